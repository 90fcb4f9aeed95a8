import assert from 'node:assert/strict';
import test from 'node:test';
import { CHANGE_MS, Drive, LATE_MS, RENEW_MS } from './ptz-drive.js';
import { REST } from './ptz-vector.js';

const RIGHT = { pan: 1, tilt: 0, zoom: 0 };
const LEFT = { pan: -1, tilt: 0, zoom: 0 };
const speed = (pan) => ({ pan, tilt: 0, zoom: 0 });
const move = (velocity) => ({ kind: 'move', velocity });
const STOP = { kind: 'stop' };
const LOST = { refused: false };

/** All that is due at a time. */
function drain(drive, now) {
  const sent = [];
  for (let request; (request = drive.next(now));) sent.push(request);
  return sent;
}

test('press, hold, release', () => {
  const d = new Drive();
  assert.equal(d.due, Infinity);
  d.want(RIGHT, 0);
  assert.deepEqual(drain(d, 0), [move(RIGHT)], 'at once');
  assert.ok(d.held && d.moving);
  d.answered('move', null, 10);
  assert.equal(d.due, RENEW_MS);
  assert.deepEqual(drain(d, RENEW_MS - 1), []);
  assert.deepEqual(drain(d, RENEW_MS), [move(RIGHT)], 'renewed');
  d.answered('move', null, RENEW_MS + 10);
  d.want(REST, 700);
  assert.deepEqual(drain(d, 700), [STOP], 'at once');
  d.answered('stop', null, 710);
  assert.ok(!d.moving && !d.held);
  assert.equal(d.due, Infinity, 'nothing is left to do');
});

test('renewed after two fifths of the time that a move lasts', () => {
  for (const [lasts, after] of [[2000, 800], [400, 160], [5000, 2000], [60_000, 4000], [50, CHANGE_MS], [null, RENEW_MS]]) {
    const d = new Drive();
    d.want(RIGHT, 0);
    drain(d, 0);
    d.answered('move', null, 10, lasts);
    assert.equal(d.due, after, `${lasts} ms`);
    drain(d, after);
    d.answered('move', LOST, after + 5);
    assert.equal(d.due, after + 5 + RENEW_MS, 'what is lost is not told again any faster');
  }
});

test('one move under way, the newest wins', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  for (let t = 1; t <= 200; t += 1) {
    d.want(speed(t / 1000), t);
    assert.deepEqual(drain(d, t), [], 'an answer is still to come');
  }
  d.answered('move', null, 300);
  assert.deepEqual(drain(d, 300), [move(speed(0.2))]);
});

test('changes come no faster than a camera follows', () => {
  const d = new Drive();
  let sent = 0;
  for (let t = 0; t <= 1000; t += 1) {
    d.want(speed(0.1 + t / 2000), t);
    for (const request of drain(d, t)) {
      sent += 1;
      d.answered(request.kind, null, t);
    }
  }
  assert.ok(sent >= 10 && sent <= 1000 / CHANGE_MS + 2, `${sent} requests`);
});

test('a stop does not wait for a slow move, and is said again after it', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  d.want(REST, 50);
  assert.deepEqual(drain(d, 50), [STOP]);
  d.answered('stop', null, 60);
  assert.ok(d.moving, 'the move may be done yet');
  d.answered('move', null, 900);
  assert.deepEqual(drain(d, 900), [STOP]);
  d.answered('stop', null, 910);
  assert.ok(!d.moving);
});

test('held again while the stop is under way: said again when both are answered', () => {
  for (const order of [['move', 'stop'], ['stop', 'move']]) {
    const d = new Drive();
    d.want(RIGHT, 0);
    drain(d, 0);
    d.answered('move', null, 5);
    d.want(REST, 100);
    assert.deepEqual(drain(d, 100), [STOP]);
    d.want(LEFT, 110);
    assert.deepEqual(drain(d, 110), [move(LEFT)], 'not held up by the stop');
    d.answered(order[0], null, 200);
    assert.deepEqual(drain(d, 200), []);
    d.answered(order[1], null, 300);
    assert.deepEqual(drain(d, 300), [move(LEFT)]);
    d.answered('move', null, 310);
    assert.equal(d.due, 300 + RENEW_MS);
  }
});

test('a lost stop is said again a few times, then left to the server', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  d.answered('move', null, 1);
  d.want(REST, 10);
  let stops = 0;
  for (let t = 10; t < 60_000; t += 10) {
    for (const request of drain(d, t)) {
      assert.deepEqual(request, STOP);
      stops += 1;
      d.answered('stop', LOST, t);
    }
  }
  assert.equal(stops, 4);
  assert.ok(!d.moving);
});

test('a lost move is tried again while held, no faster than it is renewed', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  d.answered('move', LOST, 40);
  assert.equal(d.due, 40 + RENEW_MS);
  drain(d, 540);
  d.answered('move', { refused: false, afterMs: 3000 }, 600);
  assert.equal(d.due, 3600, 'the server said when');
  d.want(REST, 700);
  assert.deepEqual(drain(d, 700), [STOP]);
});

test('what is refused is not asked again until the hand lets go', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  d.answered('move', { refused: true }, 5);
  d.want(LEFT, 10);
  assert.equal(d.due, Infinity);
  d.want(REST, 20);
  assert.deepEqual(drain(d, 20), [], 'nothing moved');
  d.want(RIGHT, 30);
  assert.deepEqual(drain(d, 30), [move(RIGHT)]);
});

test('refused in the middle: what moved is stopped', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  d.answered('move', null, 5);
  drain(d, 500);
  d.answered('move', { refused: true }, 510);
  d.want(REST, 600);
  assert.deepEqual(drain(d, 600), [STOP]);
});

test('a late answer is told of', () => {
  const d = new Drive();
  d.want(RIGHT, 0);
  drain(d, 0);
  assert.equal(d.late(LATE_MS), 0);
  assert.ok(d.late(LATE_MS + 1) > 0);
  d.answered('move', null, LATE_MS + 2);
  assert.equal(d.late(LATE_MS + 3), 0);
});

/** A repeatable dice. */
function dice(seed) {
  let s = seed;
  return (n) => {
    s = (Math.imul(s, 1103515245) + 12345) >>> 0;
    return (s >>> 8) % n;
  };
}

test('whatever the hand does and the network loses, in whatever order: a hand that let go is a camera that stands', () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const roll = dice(seed);
    const d = new Drive();
    const flights = []; // {kind, velocity, doneAt, backAt, failure}
    let camera = REST;
    let ends = Infinity; // the server's own timer
    let lost = false;
    const log = [];
    for (let t = 0; t < 12_000; t += 10) {
      if (t < 4000 && roll(12) === 0) d.want([REST, RIGHT, LEFT, speed(0.3)][roll(4)], t);
      if (t === 4000) d.want(REST, t);
      for (const request of drain(d, t)) {
        const under = flights.filter((f) => f.kind === request.kind);
        assert.equal(under.length, 0, `seed ${seed}: two at once`);
        const way = roll(8) === 0 ? 10 * roll(150) : 10 * roll(6);
        const gone = roll(15) === 0;
        lost ||= gone;
        const refused = !gone && request.kind === 'move' && roll(30) === 0;
        flights.push({ ...request, doneAt: gone ? Infinity : t + way, refused, backAt: t + way + 10 * roll(10), failure: gone ? LOST : refused ? { refused } : null });
        log.push(`${t} ${request.kind}`);
      }
      for (const f of flights.filter((f) => f.doneAt <= t)) {
        f.doneAt = Infinity;
        if (f.refused) continue;
        camera = f.kind === 'stop' ? REST : f.velocity;
        ends = f.kind === 'stop' ? Infinity : t + 2000;
      }
      if (t >= ends) { camera = REST; ends = Infinity; }
      for (const f of flights.filter((f) => f.backAt <= t)) {
        flights.splice(flights.indexOf(f), 1);
        d.answered(f.kind, f.failure, t);
      }
      // Sooner than the server's timer, unless an answer was lost.
      if (t > 4000 && !lost && flights.length === 0 && d.due > t) assert.deepEqual(camera, REST, `seed ${seed} at ${t}: ${log.slice(-6)}`);
    }
    assert.deepEqual(camera, REST, `seed ${seed}`);
    assert.equal(d.due, Infinity, `seed ${seed}: still busy`);
    assert.ok(!d.moving, `seed ${seed}`);
  }
});

test('a steady hand never lets the server’s timer run out', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const roll = dice(seed);
    const d = new Drive();
    const lasts = [null, 300, 2000, 20_000][seed % 4];
    const most = lasts || 1500;
    let last = 0;
    let back = null;
    d.want(RIGHT, 0);
    for (let t = 0; t < 20_000; t += 5) {
      if (back !== null && t >= back) { back = null; d.answered('move', null, t, lasts); }
      for (const request of drain(d, t)) {
        assert.equal(request.kind, 'move');
        assert.ok(t - last < most, `${t - last} ms between moves of ${lasts} ms`);
        last = t;
        back = t + 5 * roll(Math.min(200, most / 10));
      }
    }
  }
});
