// What a person is told about a path: the server's state of it and the session's own state
// in one word, for the wall's tiles and the player alike. Decides when to hold a session.

import { Session } from './session.js';
import { Still } from './still.js';

// Where joining now can bring a picture. For the others the poll tells when that changes:
// asking a camera again that refused us is the server's to decide.
const JOINABLE = new Set(['live', 'idle', 'starting']);

// tone: live (green), warn (amber), down (red), calm (no colour of its own)
const WORDS = {
  idle: ['calm', 'idle', 'Idle'],
  starting: ['calm', 'wait', 'Starting'],
  live: ['live', 'live', 'Live'],
  reconnecting: ['warn', 'again', 'Reconnecting'],
  refused: ['down', 'down', 'Refused'],
  noSource: ['calm', 'none', 'No source'],
  closed: ['calm', 'none', 'Closed'],
};

/** Emits `change` whenever state or view may differ. */
export class Feed extends EventTarget {
  #status = null;
  #wanted = false;
  #liveSince = 0;
  #server = true;

  /**
   * @param {object} options
   * @param {string} options.name the path's name @param {HTMLVideoElement} options.video
   * @param {boolean} options.audio @param {boolean} options.lowLatency see HlsSession
   */
  constructor({ name, video, audio, lowLatency }) {
    super();
    this.name = name;
    this.session = new Session({
      path: name,
      video,
      audio,
      lowLatency,
      liveMs: () => (this.#liveSince ? performance.now() - this.#liveSince : 0),
      status: () => this.#status,
    });
    const still = new Still(video);
    this.session.addEventListener('ending', () => still.take());
    this.session.addEventListener('picture', () => still.drop());
    this.session.addEventListener('change', () => this.#follow());
  }

  get status() { return this.#status; }

  /**
   * What the last poll said (PathStatus), or null when the path is unknown to it. A status of
   * another name is that of the substream: it is played instead.
   */
  setStatus(status) {
    this.session.path = status ? status.name : this.name;
    const before = this.#status ? this.#status.state : null;
    const codecs = (s) => JSON.stringify(s ? s.tracks.map((t) => [t.kind, t.codec]) : []);
    const changed = codecs(this.#status) !== codecs(status);
    this.#status = status;
    const live = Boolean(status && status.state === 'live');
    if (!live) this.#liveSince = 0;
    else if (!this.#liveSince) this.#liveSince = performance.now();
    // News that make a failed try worth repeating before its time.
    if ((live && before && before !== 'live') || (changed && before)) this.session.retryNow();
    this.session.news();
    this.#follow();
  }

  /** Whether the server answers polls at all. */
  setServer(answers) {
    const back = answers && !this.#server;
    this.#server = answers;
    if (!answers) this.#liveSince = 0;
    if (back && (!this.session.connected || this.session.stalledMs > 0)) this.session.rejoin();
    this.#follow();
  }

  /** Whether somebody is looking. */
  want(wanted) {
    if (this.#wanted === wanted) return;
    this.#wanted = wanted;
    this.#follow();
  }

  get wanted() { return this.#wanted; }

  /** Ends it for good. */
  dispose() {
    this.want(false);
    this.session.dispose();
  }

  #joinable() { return !this.#status || JOINABLE.has(this.#status.state); }

  #follow() {
    const { session } = this;
    if (!this.#wanted) session.close();
    else if (this.#joinable()) session.start();
    // A session that stands outlives its camera's restart; one that would have to be begun waits.
    else if (session.open && !session.connected) session.close();
    this.dispatchEvent(new Event('change'));
  }

  /** connecting | playing | reconnecting | failed | paused, for data-state */
  get state() {
    const { session } = this;
    if (!this.#wanted) return 'paused';
    if (!session.open) return this.#status && this.#status.state === 'reconnecting' ? 'reconnecting' : 'failed';
    if (session.state === 'playing' && session.stalledMs > 0) return 'reconnecting';
    return session.state;
  }

  /** {tone, icon, word, reason} for a chip. */
  get view() {
    const { session } = this;
    const status = this.#status;
    const of = (name, reason) => {
      const [tone, icon, word] = WORDS[name] || WORDS.closed;
      return { tone, icon, word, reason: reason || null };
    };
    const own = status && status.state !== 'live' && status.state !== 'idle';
    switch (this.state) {
      case 'playing': return session.atLive ? of('live') : { tone: 'calm', icon: 'idle', word: 'Behind live', reason: null };
      case 'paused': return status ? of(status.state, status.reason) : { tone: 'calm', icon: 'idle', word: 'Paused', reason: null };
      case 'connecting':
        return own ? of(status.state, status.reason) : { tone: 'calm', icon: 'wait', word: 'Connecting', reason: null };
      case 'reconnecting': {
        if (!this.#server) return of('reconnecting', 'camgate does not answer');
        if (own) return of(status.state, status.reason);
        if (session.open && session.state === 'playing') return { ...of('reconnecting', 'no new picture'), word: 'Frozen' };
        return of('reconnecting', session.failure && session.failure.tried.replace(/\.$/, '').toLowerCase());
      }
      default: {
        if (own) return of(status.state, status.reason);
        const failure = session.failure;
        return { tone: 'down', icon: 'down', word: 'Failed', reason: failure ? failure.title : null };
      }
    }
  }

  /** One session in figures, for window.camgate. */
  get snapshot() {
    const { session } = this;
    return {
      path: this.name,
      state: this.state,
      joins: session.joins,
      reconnects: session.reconnects,
      firstPictureMs: session.firstPictureMs,
      failure: session.failure,
      stats: session.stats,
      protocol: session.protocol,
      protocolName: session.protocolName,
      choice: session.choice,
      why: session.why,
      behindMs: session.behindMs,
      complaint: session.complaint,
    };
  }
}

/**
 * The page's one hook for tests and for support: `window.camgate.sessions`, a fresh array of
 * what Feed.snapshot holds, made anew at each reading. It only reads.
 */
export function expose(feeds) {
  window.camgate = Object.freeze({
    get sessions() { return [...feeds()].map((feed) => feed.snapshot); },
  });
}
