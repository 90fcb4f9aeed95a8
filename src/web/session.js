// One path in one <video>, by the protocol that works: WebRTC first; HLS where WebRTC finds no
// way or cannot carry the codec; back to WebRTC when it works again. Or as the person chose.
//
// While HLS has the video, WebRTC is tried in an element of its own, and moves over with its
// first picture. To the rest of the page this is one session, whatever carries it.

import { WhepSession } from './whep.js';
import { HlsSession } from './hls-session.js';
import { library } from './hls-engine.js';
import * as failures from './failure.js';
import { credentials, h, store, urlOfPath } from './util.js';

const access = credentials();
const SOON_MS = 600; // then hls.js is fetched, in case
const PATIENCE_MS = 1500; // no connection that long after the answer: HLS begins beside it
const RETRY_MS = [30000, 60000, 120000, 300000];
const AFTER_HLS_MS = 3000;

// Failures that another protocol may not have. The rest (the camera, rights, the server's
// limits) would be the same over HLS.
const OTHERWISE = new Set(['ice', 'dtls', 'noPicture', 'codec', 'client', 'server']);
// Those that no network change heals.
const LASTING = new Set(['codec', 'client']);

// The track that decides which protocol it is: the video, else the sound.
const leading = ({ tracks }) => tracks.find((track) => track.kind === 'video') || tracks[0];

// Chosen here, so that a session that begins anew stays the one viewer that it is.
const reader = () => Array.from({ length: 4 }, () => Math.floor(Math.random() * 0x10000).toString(16).padStart(4, '0')).join('');

/** What a person can choose: `auto`, `webrtc` or `hls`. Kept for the next time. */
export const PROTOCOLS = ['auto', 'webrtc', 'hls'];
const chosen = () => (PROTOCOLS.includes(store.get('protocol', 'auto')) ? store.get('protocol', 'auto') : 'auto');

/** Events and states: see WhepSession. */
export class Session extends EventTarget {
  #whep;
  #hls;
  #timers = [];
  #retryTimer = 0;
  #retries = 0;
  #had = false;
  #startedAt = 0;
  #waitedMs = null;
  #judged = null; // the last failure of WebRTC that was acted upon
  #gone = new AbortController();
  #picked = null; // a choice for this page, which stands though storage may be closed to us
  /** The failure of WebRTC because of which HLS is used, or null. */
  why = null;

  /**
   * @param {object} options
   * @param {string} options.path @param {HTMLVideoElement} options.video
   * @param {boolean} options.audio whether to ask for sound
   * @param {boolean} options.lowLatency see HlsSession
   * @param {() => number} options.liveMs for how long the path has been known to be live (ms)
   * @param {() => object|null} options.status the path's PathStatus
   */
  constructor({ path, video, audio, lowLatency, liveMs, status }) {
    super();
    Object.assign(this, { video, status });
    const tracks = () => (status() ? status().tracks : []);
    // Far from the page, but alive: what it decodes tells that WebRTC works.
    this.probe = h('video', { playsinline: true });
    this.probe.muted = true;
    this.#whep = new WhepSession({ headers: access.headers, video, audio, liveMs, tracks });
    this.#hls = new HlsSession({ video, lowLatency, liveMs, tracks });
    this.path = path;
    this.#listen(this.#whep);
    this.#listen(this.#hls);
    this.#whep.addEventListener('answered', () => this.#wait());
    for (const event of ['stats', 'picture']) this.#whep.addEventListener(event, () => this.#connected());
    const { signal } = this.#gone;
    const network = () => { this.#retries = 0; this.#retry(); };
    addEventListener('online', network, { signal });
    if (navigator.connection && navigator.connection.addEventListener) navigator.connection.addEventListener('change', network, { signal });
  }

  get path() { return this.#whep.path; }
  /** Another path in the same place: begins anew if it was open. */
  set path(path) {
    if (path === this.path) return;
    const { open } = this;
    this.close();
    this.why = null;
    Object.assign(this.#whep, { path, url: `${urlOfPath(path)}/whep` });
    Object.assign(this.#hls, { path, url: `${urlOfPath(path)}/index.m3u8?reader=${reader()}${access.query.replace('?', '&')}` });
    if (open) this.start();
  }

  get #front() { return this.#hls.open ? this.#hls : this.#whep; }
  get open() { return this.#whep.open || this.#hls.open; }
  get connected() { return this.#front.connected; }
  get stalledMs() { return this.#front.stalledMs; }
  get stats() { return this.#front.stats; }
  get joins() { return this.#front.joins; }
  get reconnects() { return this.#front.reconnects; }
  /** Over HLS with the time that WebRTC was waited for. */
  get firstPictureMs() {
    const ms = this.#whep.firstPictureMs;
    return this.#hls.open ? this.#waitedMs ?? ms : ms ?? this.#waitedMs;
  }
  get state() {
    const { state } = this.#front;
    return state === 'connecting' && this.#had ? 'reconnecting' : state;
  }
  get failure() {
    const { failure } = this.#front;
    return failure && this.#hls.open && this.why && !this.#had ? failures.both(this.why, failure) : failure;
  }
  get retryAt() { return this.#front.retryAt; }
  get choice() { return this.#picked || chosen(); }
  /** `webrtc` or `hls`, and its name for people. */
  get protocol() { return this.#hls.open ? 'hls' : 'webrtc'; }
  get protocolName() { return this.#hls.open ? this.#hls.kind : 'WebRTC'; }
  get complaint() { return this.#hls.complaint; }
  get engine() { return this.#hls.open ? this.#hls.engine : null; }
  /** The time line of HLS (see HlsSession), or null. */
  get window() { return this.#hls.open && this.#had ? this.#hls.window : null; }
  get atLive() { return !this.#hls.open || this.#hls.atLive; }
  get behindMs() { return this.#hls.open ? this.#hls.behindMs : null; }

  start() {
    if (this.open) return;
    this.#had = false;
    this.#startedAt = performance.now();
    const { choice } = this;
    if (choice === 'auto' && this.#offered) {
      const lead = leading(this.status());
      if (typeof RTCPeerConnection === 'undefined') this.why = failures.noWebrtc();
      else if (lead && !lead.playable && lead.hls) this.why = failures.notOverWebrtc(lead);
      else if (this.why && LASTING.has(this.why.kind)) this.why = null;
    }
    if (choice === 'hls' || (choice === 'auto' && this.why && this.#offered)) return this.#useHls(this.why);
    this.#whep.attach(this.video);
    this.#whep.start();
  }

  close() {
    this.#calm();
    clearTimeout(this.#retryTimer);
    this.#hls.close();
    this.#whep.close();
  }

  /** The person's choice, kept; the last picture stays until there is a new one. */
  choose(choice) {
    store.set('protocol', choice);
    this.#picked = choice;
    this.why = null;
    this.#retries = 0;
    const { open } = this;
    this.close();
    if (open) this.start();
    this.#tell('change');
  }

  retryNow() {
    this.#front.retryNow();
    if (this.#hls.open) this.#retry();
  }

  rejoin() { this.#front.rejoin(); }

  /** The path's status may have changed: perhaps HLS is offered by now. */
  news() {
    const { state, failure } = this.#whep;
    if (this.choice !== 'auto' || this.#hls.open || state !== 'failed' || !this.#offered) return;
    if (failure && OTHERWISE.has(failure.kind)) this.#useHls(failure);
  }

  /** Ends it for good. */
  dispose() {
    this.close();
    this.#gone.abort();
  }

  seek(to) { if (this.#hls.open) this.#hls.seek(to); }

  /** Whether the server offers HLS for the path; false while that is not known. */
  get #offered() { return Boolean(this.status() && this.status().hls); }

  #listen(session) {
    const on = (event, run) => session.addEventListener(event, run);
    const front = () => session === this.#front;
    on('ending', () => { if (session.video === this.video) this.#tell('ending'); });
    on('stats', ({ detail }) => { if (front()) this.dispatchEvent(new CustomEvent('stats', { detail })); });
    on('track', () => {
      if (session.video === this.video) this.#tell('track');
      else this.probe.play().catch(() => {});
    });
    on('picture', () => {
      if (!front()) return this.#back();
      if (session === this.#hls && !this.#had) this.#waitedMs = performance.now() - this.#startedAt;
      this.#had = true;
      this.#tell('picture');
    });
    on('change', () => {
      if (session.state === 'failed' || session.state === 'reconnecting') {
        if (session === this.#whep && session.failure !== this.#judged) return this.#whepFailed(session.failure);
        // HLS in trouble, too: WebRTC is asked again sooner than it would be.
        if (session === this.#hls && this.why && !LASTING.has(this.why.kind)) this.#schedule(AFTER_HLS_MS);
      }
      if (front() && session.open) this.#tell('change');
    });
  }

  #tell(event) { this.dispatchEvent(new Event(event)); }

  // --- from WebRTC to HLS ---

  #wait() {
    this.#calm();
    if (this.choice !== 'auto' || this.#hls.open) return;
    const waiting = () => this.#whep.open && !this.#whep.connected && !this.#hls.open && this.#offered;
    this.#timers = [
      setTimeout(() => { if (waiting()) library().catch(() => {}); }, SOON_MS),
      setTimeout(() => { if (waiting()) this.#useHls(this.#whep.route, true); }, PATIENCE_MS),
    ];
  }

  #connected() { if (this.#whep.connected) this.#calm(); }

  #calm() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
  }

  #whepFailed(failure) {
    this.#judged = failure;
    this.#calm();
    if (this.#hls.open) {
      // It was tried beside HLS.
      if (OTHERWISE.has(failure.kind)) this.why = failure;
      this.#whep.close();
      this.#schedule();
    } else if (this.choice === 'auto' && OTHERWISE.has(failure.kind) && this.#offered) {
      return this.#useHls(failure);
    }
    this.#tell('change');
  }

  /** @param {boolean} beside WebRTC is still being tried */
  #useHls(why, beside = false) {
    this.why = why;
    if (!beside) this.#whep.close();
    this.#whep.attach(this.probe);
    this.#hls.start();
    if (!beside) this.#schedule();
  }

  // --- and back ---

  #schedule(soon = 0) {
    clearTimeout(this.#retryTimer);
    if (this.choice !== 'auto' || (this.why && LASTING.has(this.why.kind))) return;
    const wait = soon || RETRY_MS[Math.min(this.#retries, RETRY_MS.length - 1)];
    if (!soon) this.#retries += 1;
    this.#retryTimer = setTimeout(() => this.#retry(), wait * (0.9 + Math.random() * 0.2));
  }

  #retry() {
    if (this.choice !== 'auto' || !this.#hls.open || this.#whep.open) return;
    if (document.hidden) return this.#schedule();
    clearTimeout(this.#retryTimer);
    const lead = this.#offered && leading(this.status());
    if (lead && !lead.playable) return;
    this.#whep.start();
  }

  /** WebRTC has a picture: it gets the video. */
  #back() {
    clearTimeout(this.#retryTimer);
    this.#retries = 0;
    this.why = null;
    this.#hls.close(); // takes a still picture of the last frame first
    this.probe.pause();
    const { video } = this;
    const shown = () => { if (!this.#hls.open && this.#whep.open) { this.#had = true; this.#tell('picture'); } };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
    else video.addEventListener('loadeddata', shown, { once: true });
    this.#whep.attach(video);
    this.#tell('change');
  }
}
