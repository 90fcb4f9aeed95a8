// Which request to the camera is due: press, hold, change, release. Pure: the clock (ms) is
// passed in, requests go out and answers come in by method.
//
// A move ends by itself on the server unless it is renewed. One move is under way at a time;
// what changes meanwhile is sent after it, the newest only. A stop waits for nothing. Since
// requests on two connections may overtake one another, what was under way when a stop was
// sent is followed by another stop, and a move sent while a stop was under way by another move.

import { REST, resting, same } from './ptz-vector.js';

/** A held move is renewed so often while it is not known how long it lasts. */
export const RENEW_MS = 500;
/** And then after that part of the time: the next one may be lost. */
const RENEW_PART = 0.4;
/** However long it lasts: a network that is gone is to be noticed. */
const RENEW_MOST_MS = 4000;
/** Changes of a held move are no closer together than that. */
export const CHANGE_MS = 80;
/** An answer that takes longer is told of. */
export const LATE_MS = 1000;
const STOP_AGAIN_MS = 300;
const STOPS = 4;

export class Drive {
  #wanted = REST;
  #sent = REST; // by the last move; REST after a stop
  #moveAt = null; // since when a move is under way
  #stopAt = null;
  #moveDue = Infinity;
  #stopDue = Infinity;
  #stopsLeft = 0;
  #moving = false; // the camera may be moving, and we are why
  #lastMove = -Infinity; // when one was sent
  #obeyed = false; // the camera has taken a move since its last stop
  #overtaken = false; // a stop was sent beside a move
  #undone = false; // a move was sent beside a stop
  #refused = false; // until the hand lets go
  #renew = RENEW_MS;

  /** @param {{pan: number, tilt: number, zoom: number}} velocity what the hand wants from now on */
  want(velocity, now) {
    if (same(velocity, this.#wanted)) return;
    const rested = resting(this.#wanted);
    this.#wanted = velocity;
    if (resting(velocity)) {
      this.#moveDue = Infinity;
      this.#refused = false;
      this.#undone = false;
      if (this.#moving) this.#stop(now);
    } else if (!this.#refused) {
      this.#stopDue = Infinity;
      // The first at once; then no faster than a camera can follow.
      const next = rested ? now : Math.max(now, this.#lastMove + CHANGE_MS);
      this.#moveDue = Math.min(this.#moveDue, next);
    }
  }

  #stop(now) {
    this.#stopDue = now;
    this.#stopsLeft = STOPS;
  }

  /** What to send now, or null: {kind: 'move', velocity} or {kind: 'stop'}. Ask until null. */
  next(now) {
    if (now >= this.#stopDue && this.#stopAt === null) {
      this.#stopDue = Infinity;
      this.#stopAt = now;
      this.#stopsLeft -= 1;
      this.#overtaken = this.#moveAt !== null;
      this.#sent = REST;
      return { kind: 'stop' };
    }
    if (now >= this.#moveDue && this.#moveAt === null) {
      this.#moveDue = Infinity;
      this.#moveAt = this.#lastMove = now;
      this.#moving = true;
      this.#undone ||= this.#stopAt !== null;
      this.#sent = this.#wanted;
      return { kind: 'move', velocity: this.#wanted };
    }
    return null;
  }

  /**
   * The answer to a request.
   * @param {'move'|'stop'} kind
   * @param {null|{refused: boolean, afterMs?: number}} failure null: done. `refused`: asking
   *   again changes nothing. `afterMs`: not before that
   * @param {null|number} lasts for how long (ms) a move goes on from when it was sent, if known
   */
  answered(kind, failure, now, lasts = null) {
    if (kind === 'stop') this.#stopped(failure, now);
    else this.#moved(failure, now, lasts);
  }

  #moved(failure, now, lasts) {
    this.#moveAt = null;
    if (!failure) {
      this.#obeyed = true;
      this.#renew = lasts === null ? RENEW_MS : Math.min(RENEW_MOST_MS, Math.max(CHANGE_MS, RENEW_PART * lasts));
    }
    if (resting(this.#wanted)) {
      // It may have been done after the stop that was sent beside it.
      if (this.#overtaken) this.#stop(now);
      this.#overtaken = false;
    } else if (failure && failure.refused) {
      this.#refused = true;
      // Nothing to stop where nothing ever moved.
      this.#moving = this.#obeyed;
    } else if (failure) {
      this.#moveDue = now + Math.max(RENEW_MS, failure.afterMs || 0);
    } else if (!this.#again(now)) {
      const wait = same(this.#sent, this.#wanted) ? this.#renew : CHANGE_MS;
      this.#moveDue = Math.max(now, this.#lastMove + wait);
    }
  }

  #stopped(failure, now) {
    this.#stopAt = null;
    if (!resting(this.#wanted)) {
      this.#again(now);
    } else if (failure && !failure.refused && this.#stopsLeft > 0) {
      this.#stopDue = Math.min(this.#stopDue, now + STOP_AGAIN_MS);
    } else if (this.#moveAt === null && this.#stopDue === Infinity) {
      this.#moving = this.#obeyed = false;
    }
  }

  /** Held again while a stop was under way: both are answered now, and it may have come last. */
  #again(now) {
    if (!this.#undone || this.#moveAt !== null || this.#stopAt !== null) return false;
    this.#undone = false;
    if (!this.#refused) this.#moveDue = Math.max(now, this.#lastMove + CHANGE_MS);
    return true;
  }

  /** When next() has something to send, Infinity for not by the clock alone. */
  get due() {
    return Math.min(this.#stopAt === null ? this.#stopDue : Infinity, this.#moveAt === null ? this.#moveDue : Infinity);
  }

  /** For how long (ms) an answer has been waited for too long; 0 while all is well. */
  late(now) {
    const since = Math.min(this.#moveAt ?? Infinity, this.#stopAt ?? Infinity);
    return now - since > LATE_MS ? now - since : 0;
  }

  /** Whether the camera may be moving because of us. */
  get moving() { return this.#moving; }
  /** Whether a hand is on it. */
  get held() { return !resting(this.#wanted); }
}
