// Keeps one path's picture in one <video>, through server restarts and network changes:
// one Join after another, with back-off and jitter between them.

import { Join } from './join.js';
import { Backoff } from './retry.js';
import * as failures from './failure.js';

const STABLE_MS = 5000; // a session that held that long forgets earlier failures

/**
 * Events: `change` (state, failure or stalled changed), `stats` (once a second), `answered` (the
 * server's answer is applied, the search for a way through the network begins), `picture`
 * (the first frame of each session), `track` (the video element got a new video track), `ending` (the picture is
 * about to go).
 * States: `closed`, `connecting`, `playing`, `reconnecting` (had a picture, joins again),
 * `failed` (see .failure; goes on trying unless failure.retry is 'never').
 */
export class WhepSession extends EventTarget {
  #join = null;
  #timer = 0;
  #backoff = new Backoff();
  #stalled = false;
  state = 'closed';
  failure = null;
  /** When the next try is due (performance.now()), or 0. */
  retryAt = 0;
  /** How many sessions were begun, and how many of them after a picture was lost. */
  joins = 0;
  reconnects = 0;
  firstPictureMs = null;

  /**
   * @param {object} options
   * @param {string} options.path the path's name, for texts
   * @param {string} options.url the WHEP endpoint
   * @param {object} options.headers authorization, or {}
   * @param {HTMLVideoElement} options.video
   * @param {boolean} options.audio whether to ask for sound
   * @param {() => number} options.liveMs for how long the path has been known to be live (ms)
   * @param {() => object[]} options.tracks the path's tracks as the server tells them
   */
  constructor({ path, url, headers, video, audio, liveMs, tracks }) {
    super();
    Object.assign(this, { path, url, headers, video, audio, liveMs, tracks });
    this.stream = new MediaStream();
  }

  get open() { return this.state !== 'closed'; }
  get connected() { return Boolean(this.#join && this.#join.connected); }
  get stalledMs() { return this.#join ? this.#join.stalledMs : 0; }
  get stats() { return this.#join ? this.#join.stats : null; }
  /** What would be said if the present join found no way through the network. */
  get route() { return this.#join ? this.#join.noRoute() : null; }

  /** Shows in another element from now on, and in the old one no more. */
  attach(video) {
    if (this.video === video) return;
    const { video: old, stream } = this;
    this.video = video;
    if (old.srcObject === stream) old.srcObject = null;
    if (!this.#join || !stream.getVideoTracks().length) return;
    video.srcObject = stream;
    this.dispatchEvent(new Event('track'));
  }

  start() {
    if (this.open) return;
    this.#backoff.reset();
    this.failure = null;
    this.#begin('connecting');
  }

  /** Ends the session; the last picture stays in the video. */
  close() {
    if (!this.open) return;
    clearTimeout(this.#timer);
    this.retryAt = 0;
    if (this.#join) this.#join.close();
    this.#join = null;
    this.#set('closed');
  }

  /** Tries now instead of later; leaves a session alone that is connected or connecting. */
  retryNow() {
    if (!this.open || this.#join) return;
    this.#backoff.reset();
    this.#begin(this.state);
  }

  /** Leaves a session that is perhaps dead (the server was away) and joins anew. */
  rejoin() {
    if (!this.open) return;
    if (this.#join) this.#join.fail(failures.lost('connection'));
    else this.retryNow();
  }

  #begin(state) {
    clearTimeout(this.#timer);
    this.retryAt = 0;
    this.joins += 1;
    this.#join = new Join(this);
    this.#set(state);
  }

  #set(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }

  // --- what a Join tells ---

  show(join, track) {
    if (join !== this.#join) return;
    // One stream for good, its tracks are exchanged: the old picture stays until the new one.
    for (const old of this.stream.getTracks()) {
      if (old.kind === track.kind && old !== track) this.stream.removeTrack(old);
    }
    this.stream.addTrack(track);
    if (this.video.srcObject !== this.stream) this.video.srcObject = this.stream;
    if (track.kind !== 'video') return;
    // Exact to the frame; the samples once a second are the fallback (hidden tabs, old browsers).
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(() => join.picture());
    this.dispatchEvent(new Event('track'));
  }

  answered(join) { if (join === this.#join) this.dispatchEvent(new Event('answered')); }

  ending() { this.dispatchEvent(new Event('ending')); }

  pictured(join) {
    if (join !== this.#join) return;
    this.firstPictureMs = join.pictureAt - join.startedAt;
    this.failure = null;
    this.#set('playing');
    this.dispatchEvent(new Event('picture'));
  }

  sampled(stats) {
    const stalled = this.stalledMs > 0;
    this.dispatchEvent(new CustomEvent('stats', { detail: stats }));
    if (stalled !== this.#stalled) {
      this.#stalled = stalled;
      this.dispatchEvent(new Event('change'));
    }
  }

  failed(join, failure) {
    if (join !== this.#join) return;
    this.#join = null;
    this.#stalled = false;
    const held = join.hadPicture && performance.now() - join.pictureAt > STABLE_MS;
    if (held) this.#backoff.reset();
    if (join.hadPicture) this.reconnects += 1;
    const wait = this.#backoff.next(failure);
    this.failure = failure;
    if (wait !== null) {
      this.retryAt = performance.now() + wait;
      this.#timer = setTimeout(() => this.#begin(this.state), wait);
    }
    const again = failure.kind === 'lost' || (this.state === 'reconnecting' && this.#backoff.tries < 4 && failure.retry === 'soon');
    this.state = again ? 'reconnecting' : 'failed';
    this.dispatchEvent(new Event('change'));
  }
}
