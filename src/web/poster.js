// A path's last picture from the server, shown until video plays over it.

import { credentials, h, urlOfPath } from './util.js';

const access = credentials();
const LIVE_EVERY_MS = 60000; // while a live path's video does not come, its poster stays fresh

export class Poster {
  #key = '';
  #at = 0;
  #busy = false;
  #url = '';

  /** @param {HTMLVideoElement} video which it lies behind @param {() => void} onLoad */
  constructor(video, onLoad) {
    this.img = h('img', { class: 'poster', alt: '', 'aria-hidden': 'true' });
    this.img.hidden = true;
    this.img.addEventListener('load', () => { this.img.hidden = false; onLoad(); });
    video.before(this.img);
  }

  /**
   * Asks once for each state that a path comes into, and of a live one again from time to time.
   * A camera that sleeps is not woken by it, and one that starts has nothing to show yet.
   * @param {object|null} status the path's PathStatus
   */
  want(status) {
    if (!status || status.state === 'starting' || this.#busy) return;
    const key = `${status.name} ${status.state}`;
    const stale = status.state === 'live' && performance.now() - this.#at > LIVE_EVERY_MS;
    if (key === this.#key && !stale) return;
    this.#key = key;
    this.#at = performance.now();
    this.#fetch(status.name);
  }

  async #fetch(name) {
    this.#busy = true;
    try {
      const res = await fetch(`${urlOfPath(name)}/snapshot.jpg?width=640`, { headers: access.headers, cache: 'no-cache' });
      // 404: there never was a picture. That is not worth a word.
      if (res.ok) this.#show(await res.blob());
    } catch { /* the poll tells when the server is away */ }
    this.#busy = false;
  }

  #show(blob) {
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    this.img.src = this.#url;
  }

  /** Video plays: gives the memory back. */
  drop() {
    if (!this.#url) return;
    URL.revokeObjectURL(this.#url);
    this.#url = '';
    this.img.hidden = true;
    this.img.removeAttribute('src');
  }
}
