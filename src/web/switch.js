// Which protocol brings the picture, why, and the person's choice of another.

import { PROTOCOLS } from './session.js';
import { h, icon, setText } from './util.js';

const SHOWN_MS = 20000;
const WORDS = { auto: 'Automatic', webrtc: 'WebRTC', hls: 'HLS' };

/** Why it is this protocol, in a sentence. */
export function reason({ choice, why, protocol }) {
  if (choice !== 'auto') return `Chosen by hand: ${WORDS[choice]}.`;
  return protocol === 'hls' && why ? `${why.tried} ${why.advice} Showing HLS instead.` : 'Automatic: WebRTC works.';
}

export class Switch {
  #dismissed = '';
  #timer = 0;

  /**
   * @param {HTMLSelectElement} select @param {HTMLElement} line where a fallback is told
   * @param {Session} session @param {() => void} onChange
   */
  constructor(select, line, session, onChange) {
    Object.assign(this, { select, line, session });
    select.append(...PROTOCOLS.map((value) => h('option', { value }, WORDS[value])));
    select.addEventListener('change', () => { session.choose(select.value); onChange(); });
    this.text = h('p', { id: 'fallback-text' });
    const close = h('button', { type: 'button', class: 'button', 'aria-label': 'Dismiss', title: 'Dismiss', onclick: () => this.#dismiss() }, icon('close'));
    line.append(icon('down'), this.text, close);
  }

  /** @param {boolean} playing */
  show(playing) {
    const { session, select } = this;
    select.value = session.choice;
    // The option itself says what automatic came to: one control, both facts.
    const auto = session.open ? `Auto · ${session.protocolName}` : WORDS.auto;
    setText(select.options[0], auto);
    setText(select.options[2], session.choice === 'hls' && session.open ? session.protocolName : WORDS.hls);
    select.title = `Protocol. ${reason(session)}`;
    const fallback = session.choice === 'auto' && session.protocol === 'hls' && session.why;
    select.dataset.tone = fallback ? 'warn' : '';
    const text = fallback ? reason(session) : '';
    if (!text || !playing || text === this.#dismissed) {
      this.line.hidden = true;
      if (!fallback) this.#dismissed = '';
      return;
    }
    if (this.line.hidden || this.text.textContent !== text) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#dismiss(), SHOWN_MS);
    }
    setText(this.text, text);
    this.line.hidden = false;
  }

  #dismiss() {
    clearTimeout(this.#timer);
    this.#dismissed = this.text.textContent;
    const focused = this.line.contains(document.activeElement);
    this.line.hidden = true;
    if (focused) this.select.focus();
  }
}
