// One WHEP session (draft-ietf-wish-whep): a peer connection from its offer to its end.
//
// The offer is sent at once, without candidates; the 201 brings the ICE servers (Link), then
// gathering starts and candidates follow by PATCH. That saves the OPTIONS round trip and the
// wait for gathering: the server learns a reachable browser's address from its first check.

import { StatsReader } from './stats.js';
import { iceServers, fragment, videoRejected } from './sdp.js';
import * as failures from './failure.js';

const POST_TIMEOUT_MS = 30000; // an on-demand source may take sourceOnDemandStartTimeout to start
const CONNECT_TIMEOUT_MS = 12000; // a little over webrtcHandshakeTimeout
const FIRST_PICTURE_MS = 10000;
const DISCONNECTED_MS = 2500; // ICE "disconnected" may heal; joining again is nearly free
const UNDECODED_MS = 4000; // data without pictures: a new session starts on a key frame at once
const SILENT_MS = 12000; // over readTimeout, so that a camera's own trouble is seen by the server first
const STALLED_MS = 3000;
const TICK_MS = 1000;
const GOODBYE_MS = 500;

// Browsers open six connections to a host. Requests held for a sleeping camera must not
// starve the page's own polling, so only four joins are under way at a time.
const gate = {
  free: 4,
  waiting: [],
  async enter(signal) {
    if (this.free > 0) { this.free -= 1; return; }
    await new Promise((go, fail) => {
      this.waiting.push(go);
      signal.addEventListener('abort', () => {
        const at = this.waiting.indexOf(go);
        if (at >= 0) { this.waiting.splice(at, 1); fail(signal.reason); }
      });
    });
  },
  leave() {
    const next = this.waiting.shift();
    if (next) next();
    else this.free += 1;
  },
};

/**
 * Begins when it is made. Asks `owner` (a WhepSession) for url, headers, path, audio, tracks()
 * and liveMs(), and tells it answered(join), show(join, track), pictured(join), sampled(stats),
 * ending(join) while the picture still stands, and failed(join, failure).
 */
export class Join {
  #abort = new AbortController();
  #resource = null;
  #etag = null;
  #offer = '';
  #answer = '';
  #candidates = [];
  #gathered = false;
  #trickling = true;
  #sending = false;
  #turnErrors = [];
  #relay = false;
  #connectedAt = 0;
  #answeredAt = 0;
  #brokenAt = 0;
  #tickAt = 0;
  #dataAt = 0;
  #frameAt = 0;
  #bytes = 0;
  #frames = 0;
  #timer = 0;
  done = false;
  /** The last sample (stats.js), or null. */
  stats = null;
  hadPicture = false;
  startedAt = performance.now();
  pictureAt = 0;

  constructor(owner) {
    this.owner = owner;
    this.#run().catch((e) => this.fail(e.kind ? e : failures.inBrowser(e)));
  }

  get connected() { return !this.done && this.#connectedAt > 0 && this.pc.connectionState === 'connected'; }
  /** No new picture for so long (ms); 0 while all is well. */
  get stalledMs() {
    if (!this.hadPicture || document.hidden) return 0;
    const still = performance.now() - this.#frameAt;
    return still > STALLED_MS ? still : 0;
  }

  async #run() {
    if (typeof RTCPeerConnection === 'undefined') throw failures.noWebrtc();
    const pc = this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.reader = new StatsReader(pc);
    pc.addTransceiver('video', { direction: 'recvonly' });
    if (this.owner.audio) pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.ontrack = ({ track }) => this.#track(track);
    pc.onconnectionstatechange = () => this.#connection();
    pc.onicecandidate = ({ candidate }) => {
      if (candidate && candidate.candidate) this.#candidates.push(candidate.candidate);
      else if (!candidate) this.#gathered = true;
      this.#trickle();
    };
    pc.onicecandidateerror = ({ url, errorCode, errorText }) => {
      // 701: one of our own interfaces cannot reach the server; others may.
      if (errorCode !== 701 && url) this.#turnErrors.push(`${url} answered ${errorCode} ${errorText || ''}`);
    };
    const offer = await pc.createOffer();
    this.#offer = offer.sdp;
    const answer = await this.#post(offer.sdp);
    if (this.done) return;
    this.#answer = answer;
    if (videoRejected(answer)) throw failures.noVideo(this.owner.tracks());
    await pc.setLocalDescription(offer);
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    if (this.done) return;
    // All in one bundle, so one of them speaks for all.
    this.#listen(pc.getReceivers().map((receiver) => receiver.transport).find(Boolean));
    this.#answeredAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.owner.answered(this);
  }

  async #post(sdp) {
    const { owner } = this;
    const signal = this.#abort.signal;
    await gate.enter(signal);
    let late = false;
    const timer = setTimeout(() => { late = true; this.#abort.abort(); }, POST_TIMEOUT_MS);
    const lost = () => failures.unreachable(new URL(owner.url, location.href).host, late);
    try {
      const res = await fetch(owner.url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp', ...owner.headers },
        body: sdp,
        cache: 'no-store',
        signal,
      }).catch(() => { throw lost(); });
      const text = await res.text().catch(() => { throw lost(); });
      const resource = res.headers.get('Location');
      if (res.status !== 201 || !resource) throw this.#refused(res, text);
      this.#resource = new URL(resource, new URL(owner.url, location.href)).href;
      this.#etag = res.headers.get('ETag');
      if (this.done) {
        this.#remove();
        return text;
      }
      const servers = iceServers(res.headers.get('Link'));
      if (servers.length) {
        this.#relay = servers.some((server) => /^turns?:/.test(server.urls));
        this.pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers: servers });
      }
      return text;
    } finally {
      clearTimeout(timer);
      gate.leave();
    }
  }

  #refused(res, text) {
    let error = '';
    try { error = JSON.parse(text).error; } catch { /* not ours, then the status has to do */ }
    return failures.fromResponse(res.status === 201 ? 500 : res.status, error, {
      path: this.owner.path,
      credentialsGiven: Boolean(this.owner.headers.Authorization),
      retryAfterMs: failures.retryAfter(res.headers.get('Retry-After')),
    });
  }

  #track(track) {
    const swap = () => { if (!this.done) this.owner.show(this, track); };
    // Shown when its first packet is here: until then the old picture stays in place.
    if (track.muted) track.addEventListener('unmute', swap, { once: true });
    else swap();
  }

  /** The server's goodbye is a closed DTLS transport; connectionState does not tell it. */
  #listen(dtls) {
    if (!dtls) return;
    dtls.onstatechange = () => {
      if (dtls.state === 'closed' && this.#connectedAt) this.#ended();
      if (dtls.state === 'failed') this.#broken();
    };
  }

  #connection() {
    if (this.done) return;
    const state = this.pc.connectionState;
    if (state === 'connected') {
      this.#brokenAt = 0;
      if (!this.#connectedAt) {
        this.#connectedAt = this.#dataAt = this.#frameAt = performance.now();
      }
    } else if (state === 'failed') {
      this.#broken();
    } else if (state === 'disconnected') {
      this.#brokenAt ||= performance.now();
    } else if (state === 'closed') {
      this.#ended();
    }
  }

  /** The server said goodbye: there is nothing left to DELETE. */
  #ended() {
    this.#resource = null;
    this.fail(failures.lost('ended'));
  }

  #broken() {
    if (this.#connectedAt) return this.fail(failures.lost('connection'));
    const ice = this.pc.iceConnectionState;
    if (ice === 'connected' || ice === 'completed') return this.fail(failures.noHandshake(this.stats && this.stats.remote));
    this.fail(this.noRoute());
  }

  /** That no way through the network was found, with all that was tried. */
  noRoute() { return failures.noRoute(this.#answer, { turnErrors: this.#turnErrors, relay: this.#relay }); }

  /** Sends what candidates there are; one PATCH at a time, in order. */
  async #trickle() {
    if (!this.#trickling || this.#sending || !this.#resource || this.done) return;
    this.#sending = true;
    await new Promise((go) => setTimeout(go, 20)); // gathering comes in bursts
    const batch = this.#candidates.splice(0);
    const last = this.#gathered;
    try {
      const res = await fetch(this.#resource, {
        method: 'PATCH',
        headers: {
          'Content-Type': 'application/trickle-ice-sdpfrag',
          'If-Match': this.#etag || '*',
          ...this.owner.headers,
        },
        body: fragment(this.#offer, batch, last),
        signal: this.#abort.signal,
      });
      // A server without trickle, or one that forgot us: the connection itself will tell.
      if (!res.ok) this.#trickling = false;
    } catch { /* likewise */ }
    this.#sending = false;
    if (last) this.#trickling = false;
    else if (this.#candidates.length || this.#gathered) this.#trickle();
  }

  async #tick() {
    const now = performance.now();
    const slept = this.#tickAt && now - this.#tickAt > 5 * TICK_MS;
    this.#tickAt = now;
    let stats;
    try { stats = await this.reader.sample(); } catch { return; }
    if (this.done) return;
    this.stats = stats;
    const frames = stats.video ? stats.video.framesDecoded : 0;
    if (frames > this.#frames) this.#frameAt = now;
    if (stats.bytes > this.#bytes) this.#dataAt = now;
    this.#frames = frames;
    this.#bytes = stats.bytes;
    // The machine slept or the tab was frozen: what follows measures from now on.
    if (slept) this.#frameAt = this.#dataAt = now;
    if (frames > 0) this.picture();
    this.owner.sampled(stats);
    this.#judge(now);
  }

  #judge(now) {
    if (!this.#connectedAt) {
      if (now - this.#answeredAt > CONNECT_TIMEOUT_MS) this.#broken();
      return;
    }
    if (this.#brokenAt && now - this.#brokenAt > DISCONNECTED_MS) return this.fail(failures.lost('connection'));
    // While the camera is away there is nothing to judge by; the session is kept.
    const live = this.owner.liveMs();
    const quiet = Math.min(now - this.#dataAt, live);
    const still = Math.min(now - this.#frameAt, live);
    if (!this.hadPicture) {
      if (still > FIRST_PICTURE_MS) this.fail(failures.noPicture(this.#bytes > 0));
    } else if (quiet > SILENT_MS) {
      this.fail(failures.lost('silent'));
    } else if (!document.hidden && still > UNDECODED_MS && quiet < 1500) {
      this.fail(failures.lost('stalled'));
    }
  }

  /** The first picture is on screen (or decoded, where nobody looks). */
  picture() {
    if (this.hadPicture || this.done) return;
    this.hadPicture = true;
    this.pictureAt = this.#frameAt = performance.now();
    this.owner.pictured(this);
  }

  fail(failure) {
    if (this.done) return;
    this.close();
    this.owner.failed(this, failure);
  }

  /** Ends it on both sides; quietly, owner is not told. */
  close() {
    if (this.done) return;
    this.done = true;
    if (this.hadPicture) this.owner.ending(this);
    clearInterval(this.#timer);
    this.#abort.abort();
    const { pc } = this;
    if (pc) pc.ontrack = pc.onicecandidate = pc.onicecandidateerror = pc.onconnectionstatechange = null;
    // The connection closes after the DELETE: its own goodbye would end the session first,
    // and the DELETE of a session that is gone is a 404 on the console.
    Promise.race([this.#remove(), new Promise((go) => setTimeout(go, GOODBYE_MS))]).then(() => pc && pc.close());
  }

  async #remove() {
    const resource = this.#resource;
    if (!resource) return;
    this.#resource = null;
    // keepalive: also on the way out of the page.
    await fetch(resource, { method: 'DELETE', headers: this.owner.headers, keepalive: true }).catch(() => {});
  }
}
