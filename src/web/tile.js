// One camera on the wall.

import { Feed } from './feed.js';
import { Poster } from './poster.js';
import { h, icon, setIcon, setText, urlOfPath, credentials } from './util.js';

const LEAVE_MS = 1500; // scrolled past: the session is kept that long
const access = credentials();

export class Tile {
  #visible = false;
  #timer = 0;
  #ratio = 16 / 9;
  #readers = 0;

  constructor(name) {
    this.name = name;
    this.video = h('video', { playsinline: true, muted: true, tabindex: '-1', 'aria-hidden': 'true', disablepictureinpicture: true });
    this.video.muted = true;
    this.chip = h('span', { class: 'chip' }, h('span', { class: 'chip-text' }));
    this.viewers = h('span', { class: 'viewers' }, icon('viewers'), h('span', { class: 'count' }));
    this.label = h('div', { class: 'label on-video', 'aria-hidden': 'true' },
      h('span', { class: 'name' }, name), this.viewers, this.chip);
    this.link = h('a', { class: 'hit', href: urlOfPath(name) + access.query, draggable: 'false' });
    this.el = h('li', { class: 'tile', dataset: { path: name, state: 'paused' } }, this.video, this.label, this.link);
    this.el.tile = this;
    // A Feed puts its still picture before the video, so the video must be in its place by now.
    this.feed = new Feed({ name, video: this.video, audio: false, lowLatency: false });
    this.poster = new Poster(this.video, () => this.fit(this.#ratio));
    this.feed.addEventListener('change', () => this.#show());
    this.feed.session.addEventListener('picture', () => this.poster.drop());
    this.feed.session.addEventListener('track', () => this.video.play().catch(() => {}));
    this.video.addEventListener('resize', () => this.fit(this.#ratio));
    // Browsers pause muted video to save power; on a wall it goes on when they let it.
    this.video.addEventListener('pause', () => { if (this.feed.wanted) this.video.play().catch(() => {}); });
    this.#show();
  }

  /**
   * What the last poll said.
   * @param {object} status the path's own  @param {object|null} small its substream's, if it has
   *   one: that is what the wall plays, the player plays the path itself
   */
  setStatus(status, small) {
    this.#readers = status.readers + (small ? small.readers : 0);
    this.feed.setStatus(small || status);
    this.#want();
  }

  /** Asks for a poster while somebody looks and there was no video yet: its last frame stays. */
  #want() {
    if (this.#visible && this.feed.session.firstPictureMs === null) this.poster.want(this.feed.status);
  }

  /** @param {boolean} visible on screen, in a tab that somebody looks at */
  look(visible) {
    clearTimeout(this.#timer);
    this.#visible = visible;
    if (visible) {
      this.#want();
      this.feed.want(true);
    } else {
      this.#timer = setTimeout(() => this.feed.want(false), LEAVE_MS);
    }
  }

  /** The tile's own ratio. A picture of the same ratio fills it to the last pixel, no line beside it. */
  fit(ratio) {
    this.#ratio = ratio;
    const { img } = this.poster;
    const width = this.video.videoWidth || img.naturalWidth;
    const height = this.video.videoHeight || img.naturalHeight;
    this.el.classList.toggle('fills', height > 0 && Math.abs(width / height / ratio - 1) < 0.01);
  }

  get visible() { return this.#visible; }

  /** Takes it off the wall for good. */
  remove() {
    clearTimeout(this.#timer);
    this.feed.dispose();
    this.poster.drop();
    this.video.srcObject = null;
    this.el.remove();
  }

  #show() {
    const { feed } = this;
    const { tone, icon: shape, word, reason } = feed.view;
    const { status } = feed;
    this.el.dataset.state = feed.state;
    this.el.dataset.pathState = status ? status.state : 'unknown';
    this.el.classList.toggle('has-picture', feed.session.firstPictureMs !== null);
    this.chip.dataset.tone = tone;
    setIcon(this.chip, shape);
    const text = reason ? `${word}: ${reason}` : word;
    setText(this.chip.querySelector('.chip-text'), text);
    const readers = this.#readers;
    setText(this.viewers.querySelector('.count'), String(readers));
    const name = `${this.name}, ${text}, ${readers} ${readers === 1 ? 'viewer' : 'viewers'}`;
    if (this.link.getAttribute('aria-label') !== name) this.link.setAttribute('aria-label', name);
    const since = status ? ` since ${new Date(status.since).toLocaleString()}` : '';
    this.link.title = `${this.name}\n${text}${since}\nDouble click to open`;
  }
}
