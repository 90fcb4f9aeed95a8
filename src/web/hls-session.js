// Keeps one path's picture in one <video> over HLS: hls.js where the browser has Media Source
// Extensions, the browser's own player where it has none (iPhones). The same events, states
// and figures as a WhepSession, so that a Session can use either.

import { Backoff } from './retry.js';
import { HlsStats } from './hls-stats.js';
import { createHls, library, native } from './hls-engine.js';
import * as failures from './failure.js';

const TICK_MS = 1000;
const STABLE_MS = 5000; // a session that held that long forgets earlier failures
const STALLED_MS = 3000;
const STUCK_MS = 8000; // the path is live, nothing moves: a new session starts at the live edge
const SETTLED_MS = 3000; // stalls while the first parts come say nothing about the network
const CALM_MS = 60000; // no stall for that long: the distance to live may shrink again
const JUMP_S = 1; // as late as that is caught up with at once, not by playing faster
const JUMP_EVERY_MS = 10000;
const AT_LIVE_S = 1.5; // nearer to the live edge than that is live

/** Events and states: see WhepSession. */
export class HlsSession extends EventTarget {
  #turn = 0; // what an earlier try tells late is not listened to
  #hls = null;
  #timer = 0;
  #tick = 0;
  #backoff = new Backoff();
  #startedAt = 0;
  #pictureAt = 0;
  #frameAt = 0;
  #frames = 0;
  #healedAt = 0;
  #jumpedAt = -Infinity;
  #calmFor = 0;
  #calmSince = 0;
  #stalled = false;
  #back = false; // the person went back in time
  #reader = null;
  #awaited = 0; // the request for the first frame
  state = 'closed';
  failure = null;
  /** What hls.js said last of what it could not get over, in its own words. */
  complaint = null;
  retryAt = 0;
  joins = 0;
  reconnects = 0;
  firstPictureMs = null;
  stats = null;

  /**
   * @param {object} options
   * @param {string} options.path @param {string} options.url the multivariant playlist
   * @param {HTMLVideoElement} options.video
   * @param {boolean} options.lowLatency not where many play at once: each holds a connection
   *   for its blocked playlist, and a browser has six to a host
   * @param {() => number} options.liveMs @param {() => object[]} options.tracks
   */
  constructor({ path, url, video, lowLatency, liveMs, tracks }) {
    super();
    Object.assign(this, { path, url, video, lowLatency, liveMs, tracks });
    video.addEventListener('waiting', () => {
      if (!this.#reader || !this.#pictureAt || video.seeking) return;
      this.#calmSince = performance.now();
      this.#reader.waited();
    });
  }

  get open() { return this.state !== 'closed'; }
  get connected() { return this.state === 'playing'; }
  get stalledMs() {
    if (this.state !== 'playing' || document.hidden) return 0;
    const still = performance.now() - this.#frameAt;
    return still > STALLED_MS ? still : 0;
  }
  /** `hls.js 1.7.4` or `the browser`. */
  get engine() { return native() ? 'the browser' : `hls.js ${this.#hls ? this.#hls.constructor.version : ''}`.trim(); }
  /** `LL-HLS` or `HLS`, by what the playlist offers and this session uses. */
  get kind() { return this.#hls && this.lowLatency && this.#details && this.#details.partList ? 'LL-HLS' : 'HLS'; }
  get #details() { return this.#hls ? this.#hls.latestLevelDetails : null; }

  /** What can be seeked to: {start, live, now} in seconds of the video's clock, or null. */
  get window() {
    const { video } = this;
    const details = this.#details;
    const now = video.currentTime;
    if (details && this.#hls.liveSyncPosition !== null) {
      return { start: Math.min(now, details.fragmentStart), live: Math.max(now, this.#hls.liveSyncPosition), now };
    }
    if (!native() || !video.seekable.length) return null;
    return { start: video.seekable.start(0), live: Math.max(now, video.seekable.end(video.seekable.length - 1)), now };
  }

  get atLive() { return !this.#back; }

  /** How far behind the live edge (ms), or null. */
  get behindMs() {
    if (this.#hls) return this.#hls.latency ? this.#hls.latency * 1000 : null;
    const window = this.window;
    return window ? (window.live - window.now) * 1000 : null;
  }

  start() {
    if (this.open) return;
    this.#backoff.reset();
    this.failure = null;
    this.#begin('connecting');
  }

  close() {
    if (!this.open) return;
    clearTimeout(this.#timer);
    this.retryAt = 0;
    this.#release();
    this.#set('closed');
  }

  retryNow() {
    if (!this.open || !this.retryAt) return;
    this.#backoff.reset();
    this.#begin(this.state);
  }

  rejoin() {
    if (!this.open) return;
    if (this.retryAt) this.retryNow();
    else this.#fail(failures.lost('connection'));
  }

  /** To a place on the video's clock; as far as the live edge means live. */
  seek(to) {
    const window = this.window;
    if (!window) return;
    this.#back = window.live - to > AT_LIVE_S;
    if (this.#back) this.video.playbackRate = 1;
    this.video.currentTime = this.#back ? Math.max(to, window.start + 0.5) : window.live;
    this.dispatchEvent(new Event('change'));
  }

  #begin(state) {
    clearTimeout(this.#timer);
    this.retryAt = 0;
    this.joins += 1;
    this.#startedAt = performance.now();
    this.#pictureAt = this.#frames = 0;
    this.#back = false;
    this.#set(state);
    const turn = ++this.#turn;
    const mine = (run) => (...args) => { if (turn === this.#turn) run(...args); };
    library().then(mine((Hls) => this.#load(Hls, mine)), mine(() => this.#fail(failures.unreachable(location.host))));
  }

  #load(Hls, mine) {
    const { video } = this;
    this.#reader = new HlsStats(video);
    video.playbackRate = 1;
    if (Hls) {
      if (!Hls.isSupported()) return this.#fail(failures.noHls());
      const hls = this.#hls = createHls(Hls, this.lowLatency);
      hls.on(Hls.Events.ERROR, mine((_, data) => this.#error(Hls, data)));
      hls.on(Hls.Events.FRAG_BUFFERED, mine((_, data) => this.#reader.loaded(data.stats.loaded)));
      hls.loadSource(this.url);
      hls.attachMedia(video);
    } else {
      if (!native()) return this.#fail(failures.noHls());
      video.onerror = mine(() => this.#fail(this.#pictureAt ? failures.lost('connection') : failures.unreachable(location.host)));
      video.src = this.url;
    }
    if (video.requestVideoFrameCallback) this.#awaited = video.requestVideoFrameCallback(mine(() => this.#picture()));
    this.#tick = setInterval(mine(() => this.#sample()), TICK_MS);
    this.dispatchEvent(new Event('track'));
  }

  /** Lets go of the video; what it shows ends with that. */
  #release() {
    this.#turn += 1;
    clearInterval(this.#tick);
    if (this.#pictureAt) this.dispatchEvent(new Event('ending'));
    const { video } = this;
    if (this.#hls) this.#hls.destroy();
    else if (this.#reader) { video.onerror = null; video.removeAttribute('src'); video.load(); }
    if (this.#awaited) video.cancelVideoFrameCallback(this.#awaited);
    this.#awaited = 0;
    video.playbackRate = 1;
    this.#hls = this.#reader = this.stats = null;
    this.#pictureAt = 0;
    this.#stalled = false;
  }

  #picture() {
    if (this.#pictureAt) return;
    this.#pictureAt = this.#frameAt = performance.now();
    this.firstPictureMs = this.#pictureAt - this.#startedAt;
    this.#calmSince = this.#pictureAt;
    this.#calmFor = SETTLED_MS;
    this.failure = null;
    this.#set('playing');
    this.dispatchEvent(new Event('picture'));
  }

  #error(Hls, data) {
    if (!data.fatal) return;
    this.complaint = `${data.details}: ${data.reason || (data.error && data.error.message) || ''}`;
    const status = data.response && data.response.code;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !/incompatible|AddCodec/i.test(data.details)) {
      // A decoder that stumbled: once in a while it is helped up, else all begins anew.
      if (performance.now() - this.#healedAt > 2 * STABLE_MS) {
        this.#healedAt = performance.now();
        return this.#hls.recoverMediaError();
      }
      return this.#fail(this.#pictureAt ? failures.lost('stalled') : failures.noHlsCodec(this.tracks()));
    }
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) return this.#fail(failures.noHlsCodec(this.tracks()));
    // What played is gone (the server's muxer began anew, the network broke): joined again.
    if (this.#pictureAt) return this.#fail(failures.lost(status >= 400 ? 'ended' : 'connection'));
    if (!status) return this.#fail(failures.unreachable(location.host, /timeout/i.test(data.details)));
    if (status < 400) return this.#fail(failures.fromResponse(500, data.reason || (data.error && data.error.message)));
    this.#fail(this.#refused(status, data.networkDetails));
  }

  #refused(status, xhr) {
    let error = '';
    try { error = JSON.parse(xhr.responseText).error; } catch { /* not ours, then the status has to do */ }
    let retryAfterMs = 0;
    try { retryAfterMs = failures.retryAfter(xhr.getResponseHeader('Retry-After')); } catch { /* likewise */ }
    return failures.fromResponse(status, error, { path: this.path, credentialsGiven: /[?&](token|jwt)=/.test(this.url), retryAfterMs });
  }

  #fail(failure) {
    const pictured = this.#pictureAt > 0;
    if (pictured && performance.now() - this.#pictureAt > STABLE_MS) this.#backoff.reset();
    if (pictured) this.reconnects += 1;
    this.#release();
    const wait = this.#backoff.next(failure);
    this.failure = failure;
    this.retryAt = wait === null ? 0 : performance.now() + wait;
    if (wait !== null) this.#timer = setTimeout(() => this.#begin(this.state), wait);
    const again = failure.kind === 'lost' || (this.state === 'reconnecting' && this.#backoff.tries < 4 && failure.retry === 'soon');
    this.state = again ? 'reconnecting' : 'failed';
    this.dispatchEvent(new Event('change'));
  }

  #sample() {
    const now = performance.now();
    const stats = this.stats = this.#reader.sample(this.#hls, this.behindMs);
    if (stats.video.framesDecoded !== this.#frames || document.hidden) this.#frameAt = now;
    this.#frames = stats.video.framesDecoded;
    if (this.#frames > 0 && this.video.currentTime > 0) this.#picture();
    this.dispatchEvent(new CustomEvent('stats', { detail: stats }));
    this.#settle();
    this.#follow();
    const stalled = this.stalledMs > 0;
    if (stalled !== this.#stalled) {
      this.#stalled = stalled;
      this.dispatchEvent(new Event('change'));
    }
    // While the camera is away there is nothing to judge by; the session is kept.
    const since = Math.min(now - Math.max(this.#frameAt, this.#startedAt), this.liveMs());
    if (since > (this.#pictureAt ? STUCK_MS : 2 * STUCK_MS)) {
      this.#fail(this.#pictureAt ? failures.lost('stalled') : failures.noPicture(stats.bytes > 0));
    }
  }

  /** Each stall moves hls.js away from the live edge; after a calm time it may come back. */
  #settle() {
    const details = this.#details;
    if (!this.lowLatency || !details || !details.partHoldBack || performance.now() - this.#calmSince < this.#calmFor) return;
    if (this.#hls.targetLatency > details.partHoldBack) {
      this.#hls.targetLatency = details.partHoldBack;
      this.#calmFor = Math.max(CALM_MS, this.#calmFor * 2);
    }
    this.#calmSince = performance.now();
  }

  /** Stays at the live edge: a little faster when late, a jump when far behind. */
  #follow() {
    const hls = this.#hls;
    const { video } = this;
    if (!hls || this.#back || video.paused || hls.targetLatency === null || !hls.latency) return;
    const late = hls.latency - hls.targetLatency;
    const details = this.#details;
    const far = this.lowLatency ? JUMP_S : Math.max(3, 2 * (details ? details.targetduration : 1));
    const buffered = video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0;
    const now = performance.now();
    if (late > far && now - this.#jumpedAt > JUMP_EVERY_MS && hls.liveSyncPosition !== null) {
      this.#jumpedAt = now;
      video.currentTime = hls.liveSyncPosition;
    } else if (this.lowLatency) {
      video.playbackRate = late > 0.08 && buffered > 0.25 ? (late > 0.25 ? 1.1 : 1.05) : 1;
    }
  }

  #set(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }
}
