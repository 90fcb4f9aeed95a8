// How long to wait before a path is tried again, whatever the protocol.

const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 15000;
const SLOW_MS = 30000;

export class Backoff {
  /** Tries that failed since the last one that held. */
  tries = 0;

  reset() { this.tries = 0; }

  /** Milliseconds until the next try after this failure (failure.js), or null for never. */
  next(failure) {
    const wait = this.#wait(failure);
    this.tries += 1;
    return wait;
  }

  #wait({ retry, afterMs }) {
    if (retry === 'never') return null;
    if (retry === 'slow') return SLOW_MS * (0.9 + Math.random() * 0.2);
    // The first try comes at once, though not from all tiles of all walls in the same instant.
    if (this.tries === 0 && !afterMs) return Math.random() * 150;
    const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.max(0, this.tries - 1));
    return Math.max(afterMs, backoff * (0.75 + Math.random() * 0.5));
  }
}
