// Asks the server for its state again and again: every 2 s, slower while nobody looks
// or the server does not answer, never twice at once.

const EVERY_MS = 2000;
const HIDDEN_MS = 20000;
const FAILING_MAX_MS = 5000;
const SLOW_MS = 8000;

export class Poller {
  #timer = 0;
  #failures = 0;
  #busy = false;
  #again = false;
  #stopped = true;

  /**
   * @param {string} url what to GET (JSON)
   * @param {object} headers sent along (authorization)
   * @param {(data: object) => void} onData
   * @param {(failure: {status: number, error: string, failures: number}) => void} onFail
   *   status 0: the server does not answer. 401 ends the polling until now() is called,
   *   since every further try would make the browser ask for a password again.
   */
  constructor(url, headers, onData, onFail) {
    Object.assign(this, { url, headers, onData, onFail });
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.now(); });
    addEventListener('online', () => this.now());
  }

  start() { this.#stopped = false; this.#run(); }
  stop() { this.#stopped = true; clearTimeout(this.#timer); }

  /** Asks at once (or again at once, when a question is under way). */
  now() {
    if (this.#stopped) return;
    if (this.#busy) this.#again = true;
    else this.#run();
  }

  async #run() {
    clearTimeout(this.#timer);
    this.#busy = true;
    let unauthorized = false;
    const patience = new AbortController();
    const watch = this.#watch(patience);
    try {
      const res = await fetch(this.url, {
        headers: { Accept: 'application/json', ...this.headers },
        cache: 'no-store',
        signal: patience.signal,
      });
      const body = await res.json().catch(() => null);
      if (res.ok && body) {
        this.#failures = 0;
        this.onData(body);
      } else {
        unauthorized = res.status === 401;
        this.#failures += 1;
        const error = (body && body.error) || `the server answered ${res.status}`;
        this.onFail({ status: res.status, error, failures: this.#failures });
      }
    } catch (e) {
      this.#failures += 1;
      this.onFail({ status: 0, error: e.message, failures: this.#failures });
    }
    clearInterval(watch);
    this.#busy = false;
    if (this.#stopped) return;
    if (this.#again) {
      this.#again = false;
      this.#run();
    } else if (!unauthorized) {
      this.#timer = setTimeout(() => this.#run(), this.#wait());
    }
  }

  /**
   * Gives up a question that takes too long, unless the server lives: then the browser is
   * asking a person for a password, and that dialog must not be torn away.
   */
  #watch(patience) {
    return setInterval(async () => {
      const lives = await fetch('/healthz', { credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(SLOW_MS / 2) })
        .then((res) => res.ok, () => false);
      if (!lives) patience.abort();
    }, SLOW_MS);
  }

  #wait() {
    if (document.hidden) return HIDDEN_MS;
    const slower = Math.min(FAILING_MAX_MS, EVERY_MS * 1.5 ** Math.max(0, this.#failures - 1));
    return slower * (0.9 + Math.random() * 0.2);
  }
}
