// Aiming at the picture itself: a drag draws the box to zoom in on, a click centres.

import { boxOf, inside, isClick, pictureRect, placing, toPicture } from './ptz-geometry.js';
import { h } from './util.js';

const DOUBLE_MS = 400; // the second half of a double click is not another place

export class Aim {
  #from = null; // {x, y} on the screen
  #pointer = null;
  #clicked = { at: -Infinity, x: 0, y: 0 };

  /**
   * @param {object} options
   * @param {HTMLVideoElement} options.video
   * @param {(box: {x, y, width, height}) => void} options.onBox in the picture, from 0 to 1
   * @param {(point: {x, y}) => void} options.onPoint likewise
   */
  constructor({ video, onBox, onPoint }) {
    Object.assign(this, { video, onBox, onPoint });
    this.frame = h('div', { class: 'aim-box' });
    this.frame.hidden = true;
    this.el = h('div', { class: 'aim on-video', 'aria-hidden': 'true' }, this.frame);
    this.el.hidden = true;
    const { el } = this;
    el.addEventListener('pointerdown', (e) => this.#down(e));
    el.addEventListener('pointermove', (e) => this.#moveTo(e));
    el.addEventListener('pointerup', (e) => this.#up(e));
    for (const event of ['pointercancel', 'lostpointercapture']) el.addEventListener(event, () => this.#end());
    el.addEventListener('contextmenu', (e) => e.preventDefault());
  }

  get on() { return !this.el.hidden; }
  set on(on) {
    this.el.hidden = !on;
    this.#end();
  }

  /** Lets go of a box that is being drawn; whether there was one. */
  abandon() {
    const drawing = this.#pointer !== null;
    this.#end();
    return drawing;
  }

  #rect() {
    const { video } = this;
    return pictureRect(video.getBoundingClientRect(), video.videoWidth, video.videoHeight, placing(getComputedStyle(video).objectPosition));
  }

  #down(e) {
    const rect = this.#rect();
    const at = { x: e.clientX, y: e.clientY };
    // A second finger means something else than a box.
    if (!e.isPrimary || this.#pointer !== null) return this.#end();
    if (e.button !== 0 || !rect || !inside(toPicture(rect, at))) return;
    this.#pointer = e.pointerId;
    this.#from = at;
    this.el.setPointerCapture(e.pointerId);
  }

  #moveTo(e) {
    if (e.pointerId !== this.#pointer) return;
    const rect = this.#rect();
    const to = { x: e.clientX, y: e.clientY };
    const box = rect && !isClick(this.#from, to) && boxOf(toPicture(rect, this.#from), toPicture(rect, to));
    this.frame.hidden = !box;
    if (!box) return;
    const stage = this.el.getBoundingClientRect();
    const set = (name, px) => this.frame.style.setProperty(name, `${px.toFixed(1)}px`);
    set('left', rect.left - stage.left + box.x * rect.width);
    set('top', rect.top - stage.top + box.y * rect.height);
    set('width', box.width * rect.width);
    set('height', box.height * rect.height);
  }

  #up(e) {
    if (e.pointerId !== this.#pointer) return;
    const [rect, from, to] = [this.#rect(), this.#from, { x: e.clientX, y: e.clientY }];
    this.#end();
    if (!rect) return;
    if (!isClick(from, to)) {
      const box = boxOf(toPicture(rect, from), toPicture(rect, to));
      if (box) this.onBox(box);
      return;
    }
    const last = this.#clicked;
    this.#clicked = { at: e.timeStamp, ...to };
    if (e.timeStamp - last.at < DOUBLE_MS && isClick(last, to)) return;
    this.onPoint(toPicture(rect, from));
  }

  #end() {
    const id = this.#pointer;
    this.#pointer = null;
    this.frame.hidden = true;
    if (id !== null && this.el.hasPointerCapture(id)) this.el.releasePointerCapture(id);
  }
}
