// Runs the Drive (ptz-drive.js): hands in, requests out, and no hand that is forgotten.

import { Drive } from './ptz-drive.js';
import { REST, allowed, resting, same, scaled, sum } from './ptz-vector.js';

const CHECK_MS = 250;

/**
 * Events: `hands` (velocity changed), `answer` (detail: the answer to a move or stop),
 * `late` (no answer for a while, or again one), `rest` (the camera has stopped, as told).
 */
export class Steer extends EventTarget {
  #drive = new Drive();
  #hands = new Map();
  #timer = 0;
  #move = null;
  #late = false;
  #gone = new AbortController();
  speed = 0.5;
  can = { pan: true, tilt: true, zoom: true };
  /** What all hands together want, at full speed. */
  velocity = REST;

  /** @param {import('./ptz-api.js').PtzApi} api of it `move`, `stop` and `lasts` */
  constructor(api) {
    super();
    this.api = api;
    // Whatever takes the page out of the person's sight or hand stops the camera.
    const { signal } = this.#gone;
    addEventListener('blur', () => this.release(), { signal });
    addEventListener('offline', () => this.release(), { signal });
    document.addEventListener('visibilitychange', () => { if (document.hidden) this.release(); }, { signal });
    document.addEventListener('freeze', () => this.release(), { signal });
    addEventListener('pagehide', () => this.#leave(), { signal });
  }

  /** What one hand (pad, rocker, keys, gamepad …) wants; REST when it lets go. */
  set(hand, velocity) {
    if (same(velocity, this.#hands.get(hand) || REST)) return;
    if (resting(velocity)) this.#hands.delete(hand);
    else this.#hands.set(hand, velocity);
    this.#follow();
  }

  /** Every hand lets go. Those that still press are told by `release`, so that they begin anew. */
  release() {
    this.#hands.clear();
    this.dispatchEvent(new Event('release'));
    this.#follow();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.#follow();
  }

  get held() { return this.#drive.held; }
  /** Whether the camera may be moving because of us. */
  get moving() { return this.#drive.moving; }

  /** Ends it for good. */
  dispose() {
    this.#leave();
    this.#gone.abort();
  }

  #follow() {
    this.velocity = allowed(sum(REST, ...this.#hands.values()), this.can);
    this.#drive.want(scaled(this.velocity, this.speed), performance.now());
    this.dispatchEvent(new Event('hands'));
    this.#run();
  }

  #run() {
    clearTimeout(this.#timer);
    for (let request; (request = this.#drive.next(performance.now()));) this.#send(request);
    const now = performance.now();
    const late = this.#drive.late(now) > 0;
    if (late !== this.#late) {
      this.#late = late;
      this.dispatchEvent(new CustomEvent('late', { detail: late }));
    }
    const { due, moving } = this.#drive;
    const wait = Math.min(due - now, moving ? CHECK_MS : Infinity);
    if (wait < Infinity) this.#timer = setTimeout(() => this.#run(), Math.max(0, wait));
  }

  async #send({ kind, velocity }) {
    if (kind === 'move') this.#move = new AbortController();
    const sent = performance.now();
    const answer = kind === 'move' ? await this.api.move(velocity, this.#move) : await this.api.stop();
    const moved = this.#drive.moving;
    const lasts = answer.ok && kind === 'move' ? this.api.lasts(answer.body, sent) : null;
    this.#drive.answered(kind, answer.ok ? null : answer, performance.now(), lasts);
    this.dispatchEvent(new CustomEvent('answer', { detail: { kind, ...answer } }));
    if (moved && !this.#drive.moving) this.dispatchEvent(new Event('rest'));
    this.#run();
  }

  /** The page goes: what is under way is taken back, so that the stop comes last. */
  #leave() {
    const { moving } = this.#drive;
    this.#hands.clear();
    // The page may come back (bfcache): what still presses begins anew then.
    this.dispatchEvent(new Event('release'));
    if (moving && this.#move) this.#move.abort();
    this.#follow();
  }
}
