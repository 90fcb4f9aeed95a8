// The PTZ routes of one path. Nothing here throws: each answer is {ok, status, body, error,
// refused, afterMs}; status 0 stands for no answer at all.

import { retryAfter, sentence } from './failure.js';
import { credentials, urlOfPath } from './util.js';

const access = credentials();
const PATIENCE_MS = 6000; // the server gives a camera 3 s, and says so itself

async function call(method, url, { body, keepalive = false, abort = new AbortController() } = {}) {
  let late = false;
  const timer = setTimeout(() => { late = true; abort.abort(); }, PATIENCE_MS);
  try {
    const res = await fetch(url, {
      method,
      headers: { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...access.headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      priority: 'high',
      keepalive,
      signal: abort.signal,
    });
    const answer = await res.json().catch(() => null);
    return {
      ok: res.ok,
      status: res.status,
      body: answer,
      error: res.ok ? '' : sentence((answer && answer.error) || `the server answered ${res.status}`),
      // The request itself is wrong, or not for us: the next one would be no better.
      refused: res.status >= 400 && res.status < 500 && res.status !== 408 && res.status !== 429,
      afterMs: retryAfter(res.headers.get('Retry-After')),
    };
  } catch {
    const error = late ? 'camgate does not answer.' : 'No connection to camgate.';
    return { ok: false, status: 0, body: null, error, refused: false, afterMs: 0 };
  } finally {
    clearTimeout(timer);
  }
}

/** The clock of the wall less the page's: it jumps where either was set, or the machine slept. */
const skew = () => Date.now() - performance.now();

export class PtzApi {
  #clock = null; // {ahead, skew}: the server's clock less the page's

  /** @param {string} name the path's */
  constructor(name) {
    this.name = name;
    this.url = `/ptz${urlOfPath(name)}`;
  }

  /** The cameras that may be steered. A 401 makes the browser ask for a password. */
  cameras() { return call('GET', '/ptz/cameras'); }
  move(velocity, abort) { return call('POST', `${this.url}/move`, { body: velocity, abort }); }
  /** Gets through although the page goes away. */
  stop() { return call('POST', `${this.url}/stop`, { keepalive: true }); }
  async status() {
    const sent = performance.now();
    const answer = await call('GET', `${this.url}/status`);
    const time = answer.ok ? Date.parse(answer.body?.time) : NaN;
    if (Number.isFinite(time)) this.#clock = { ahead: time - (sent + performance.now()) / 2, skew: skew() };
    return answer;
  }

  /**
   * For how long (ms) a move goes on by the server's clock, which the status tells; null where
   * that is not known. @param {object} body its answer @param {number} sent when it was sent
   */
  lasts(body, sent) {
    const clock = this.#clock;
    if (!clock || Math.abs(skew() - clock.skew) > 250) return null;
    const ms = Date.parse(body?.until) - clock.ahead - sent;
    return ms > 0 ? ms : null;
  }

  /** The focus or the iris at a speed; 0 stops it, although the page goes away. */
  drive(axis, speed, abort) { return call('POST', `${this.url}/${axis}`, { body: { speed }, abort, keepalive: speed === 0 }); }
  /** @param {'start'|'stop'} order */
  patrol(id, order) { return call('POST', `${this.url}/patrol/${encodeURIComponent(id)}/${order}`); }
  home() { return call('POST', `${this.url}/home`); }
  /** To a piece of the picture, {x, y, width, height} from 0 to 1 from the upper left. */
  box(box) { return call('POST', `${this.url}/boxzoom`, { body: box }); }
  /** The middle of the picture to a point of it, {x, y} likewise. */
  center(point) { return call('POST', `${this.url}/center`, { body: point }); }
  presets() { return call('GET', `${this.url}/presets`); }
  goTo(id) { return call('POST', this.#preset(id)); }
  /** Saves where the camera looks now; the answer's body has the new `id`. */
  saveNew(name) { return call('POST', `${this.url}/presets`, { body: { name } }); }
  /** Likewise, over an old one. */
  save(id, name) { return call('PUT', this.#preset(id), { body: { name } }); }
  rename(id, name) { return call('PATCH', this.#preset(id), { body: { name } }); }
  remove(id) { return call('DELETE', this.#preset(id)); }

  #preset(id) { return `${this.url}/preset/${encodeURIComponent(id)}`; }
}
