import assert from 'node:assert/strict';
import test from 'node:test';
import { REST, allowed, fromGamepad, fromHeld, fromPad, fromRocker, reach, resting, same, scaled, sum } from './ptz-vector.js';

const close = (a, b, by = 1e-9) => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);
const speed = (v) => Math.hypot(v.pan, v.tilt);

test('the pad: right is right, up is up, whatever the pixels say', () => {
  assert.deepEqual(fromPad(1, 0), { pan: 1, tilt: 0, zoom: 0 });
  assert.deepEqual(fromPad(-1, 0), { pan: -1, tilt: 0, zoom: 0 });
  assert.deepEqual(fromPad(0, -1), { pan: 0, tilt: 1, zoom: 0 });
  assert.deepEqual(fromPad(0, 1), { pan: 0, tilt: -1, zoom: 0 });
  const up = fromPad(Math.SQRT1_2, -Math.SQRT1_2);
  close(up.pan, Math.SQRT1_2, 1e-6);
  close(up.tilt, Math.SQRT1_2, 1e-6);
});

test('the pad: still in the middle, faster with the distance, no faster beyond the rim', () => {
  assert.deepEqual(fromPad(0, 0), REST);
  assert.deepEqual(fromPad(0.08, 0.08), REST);
  let before = 0;
  for (let d = 0; d <= 3; d += 0.01) {
    const now = speed(fromPad(d * Math.cos(1), d * Math.sin(1)));
    assert.ok(now >= before - 1e-9 && now <= 1 + 1e-9, `${now} at ${d}`);
    before = now;
  }
  close(before, 1);
  assert.ok(speed(fromPad(0.5, 0)) < 0.4, 'half way is for small corrections');
  assert.deepEqual(fromPad(NaN, 0), REST);
});

test('the pad: nearly straight is straight', () => {
  for (const [x, y, axis] of [[1, 0.1, 'tilt'], [-1, -0.1, 'tilt'], [0.1, 1, 'pan'], [-0.1, -1, 'pan']]) {
    assert.equal(fromPad(x, y)[axis], 0, `${x}, ${y}`);
  }
  assert.notEqual(fromPad(1, 0.3).tilt, 0);
});

test('the rocker: up is in', () => {
  assert.equal(fromRocker(1).zoom, 1);
  assert.equal(fromRocker(-5).zoom, -1);
  assert.ok(resting(fromRocker(0.05)));
  assert.ok(fromRocker(0.5).zoom < fromRocker(0.9).zoom);
});

test('keys add up and cancel out', () => {
  assert.deepEqual(fromHeld(['left', 'up', 'in']), { pan: -1, tilt: 1, zoom: 1 });
  assert.ok(resting(fromHeld(['left', 'right'])));
  assert.ok(resting(fromHeld([])));
});

test('the gamepad: stick, cross and triggers', () => {
  const pad = (axes, values = {}, mapping = 'standard') => ({ mapping, axes, buttons: Array.from({ length: 17 }, (_, i) => ({ value: values[i] || 0 })) });
  assert.ok(resting(fromGamepad(pad([0.1, -0.1]))), 'a worn stick');
  assert.deepEqual(fromGamepad(pad([0, -1])), { pan: 0, tilt: 1, zoom: 0 });
  assert.equal(fromGamepad(pad([0, 0], { 7: 1 })).zoom, 1);
  assert.equal(fromGamepad(pad([0, 0], { 6: 1 })).zoom, -1);
  assert.ok(resting(fromGamepad(pad([0, 0], { 6: 1, 7: 1 }))));
  assert.deepEqual(fromGamepad(pad([0, 0], { 14: 1 })), { pan: -1, tilt: 0, zoom: 0 });
  assert.deepEqual(fromGamepad(pad([1, 0], { 7: 1 }, '')), { pan: 1, tilt: 0, zoom: 0 }, 'nobody knows its buttons');
  assert.ok(resting(fromGamepad({ mapping: 'standard', axes: [], buttons: [] })));
});

test('sums stay within full speed', () => {
  assert.deepEqual(sum({ pan: 1, tilt: 0.5, zoom: 0 }, { pan: 1, tilt: -0.5, zoom: -1 }), { pan: 1, tilt: 0, zoom: -1 });
});

test('scaled to hundredths, and never to nothing', () => {
  assert.deepEqual(scaled({ pan: 0.333, tilt: -1, zoom: 0 }, 0.5), { pan: 0.17, tilt: -0.5, zoom: 0 });
  assert.deepEqual(scaled({ pan: 0.001, tilt: -0.001, zoom: 0 }, 0.5), { pan: 0.01, tilt: -0.01, zoom: 0 });
  assert.equal(JSON.stringify(scaled({ pan: 0, tilt: -0, zoom: 1 }, 1)), '{"pan":0,"tilt":0,"zoom":1}');
});

test('what the camera cannot do is left out', () => {
  assert.deepEqual(allowed({ pan: 1, tilt: 1, zoom: 1 }, { pan: true, tilt: false }), { pan: 1, tilt: 0, zoom: 0 });
  assert.ok(same(REST, { pan: 0, tilt: 0, zoom: 0 }));
});

test('the knob is where the hand is', () => {
  assert.deepEqual(reach(REST), { x: 0, y: -0 });
  for (const [x, y] of [[1, 0], [0, -1], [0.6, 0.7], [-0.4, 0.3]]) {
    const at = reach(fromPad(x, y));
    close(Math.atan2(at.y, at.x), Math.atan2(y, x), 1e-6);
    close(Math.hypot(at.x, at.y), Math.min(1, Math.hypot(x, y)), 0.12);
  }
  const corner = reach({ pan: 1, tilt: 1, zoom: 0 });
  close(Math.hypot(corner.x, corner.y), 1);
});
