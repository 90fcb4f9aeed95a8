// The time line of HLS: back to the start of what the server keeps, and to the live edge again.

import { h, setText } from './util.js';

const secondsText = (s) => (s < 60 ? `${s.toFixed(0)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`);

export class Timeline {
  #held = false; // the person has it in hand

  /** @param {HTMLElement} el @param {Session} session */
  constructor(el, session) {
    Object.assign(this, { el, session });
    this.range = h('input', { type: 'range', id: 'time', min: '-1', max: '0', step: '0.1', value: '0', 'aria-label': 'Time line' });
    this.text = h('span', { class: 'behind', id: 'behind' });
    this.live = h('button', { type: 'button', class: 'button text', id: 'live', 'aria-pressed': 'true' }, h('span', { class: 'dot', 'aria-hidden': 'true' }), 'Live');
    this.range.addEventListener('input', () => { this.#held = true; this.#say(-this.range.value); });
    this.range.addEventListener('change', () => {
      this.#held = false;
      const { window } = session;
      if (window) session.seek(window.live + Number(this.range.value));
    });
    this.live.addEventListener('click', () => {
      const { window } = session;
      if (window) session.seek(window.live);
    });
    el.append(this.text, this.range, this.live);
  }

  /** @param {boolean} on whether there is a picture that time passes in */
  show(on) {
    const window = on ? this.session.window : null;
    this.el.hidden = !window;
    if (!window) { this.#held = false; return; }
    const { atLive } = this.session;
    this.live.setAttribute('aria-pressed', String(atLive));
    this.el.classList.toggle('back', !atLive);
    this.live.title = atLive ? 'At the live edge' : 'Back to the live edge';
    if (this.#held) return;
    const behind = atLive ? 0 : window.live - window.now;
    this.range.min = String(Math.min(-1, window.start - window.live).toFixed(1));
    this.range.value = String(-behind);
    this.#say(behind);
  }

  #say(behind) {
    const text = behind < 0.5 ? 'Live' : `−${secondsText(behind)}`;
    setText(this.text, text);
    this.range.setAttribute('aria-valuetext', behind < 0.5 ? 'live' : `${secondsText(behind)} behind live`);
  }
}
