// What stands in the middle of the player while there is no picture, or not a live one:
// what was tried, what to do, when it tries again.

import { fromResponse, sentence } from './failure.js';
import { h, icon, setText } from './util.js';

const WAITING = {
  idle: 'Waking the camera',
  starting: 'Starting the camera',
};

export class Notice {
  #key = '';
  #server = null;
  #timer = 0;
  #later = null;
  #session = null;

  constructor(el, { name, onTry, onPlay, onSignIn }) { Object.assign(this, { el, name, onTry, onPlay, onSignIn }); }

  /** The last failure of the poll ({status, error}), or null. */
  server(failure) { this.#server = failure; }

  show({ paused, state, view, status, session }) {
    this.#session = session;
    const made = this.#content({ paused, state, view, status, session });
    // Rebuilt only when it says something else: no flicker, no repeated announcements.
    if (made.key !== this.#key) {
      this.#key = made.key;
      this.#later = null;
      this.el.replaceChildren(...made.build());
    }
    this.#count();
  }

  #content({ paused, state, view, status, session }) {
    if (paused) return { key: 'paused', build: () => [this.#big()] };
    if (state === 'playing') return { key: 'playing', build: () => [] };
    const { failure } = session;
    const own = status && !['live', 'idle', 'starting'].includes(status.state);
    if (state === 'connecting') {
      const text = (status && WAITING[status.state]) || 'Connecting';
      return { key: `c ${text}`, build: () => [this.#card('calm', 'wait', text)] };
    }
    if (state === 'reconnecting') {
      return { key: `r ${view.word} ${view.reason}`, build: () => [this.#card('warn', 'again', view.word, view.reason)] };
    }
    if (own) {
      const shape = { refused: ['down', 'down', 'camgate asks again, though rarely: cameras lock an account after wrong passwords.'], noSource: ['calm', 'none', 'The picture comes as soon as somebody publishes.'], closed: ['calm', 'none', ''] }[status.state] || ['warn', 'again', ''];
      return { key: `s ${status.state} ${status.reason}`, build: () => [this.#card(shape[0], shape[1], view.word, status.reason, shape[2])] };
    }
    const why = failure || (this.#server && this.#server.status ? fromResponse(this.#server.status, this.#server.error, { path: this.name }) : null);
    if (!why) return { key: 'nothing', build: () => [this.#card('down', 'down', view.word, view.reason)] };
    return {
      key: `f ${why.kind} ${why.tried}`,
      build: () => {
        this.#later = h('p', { class: 'later', 'aria-live': 'off' });
        const again = why.kind === 'auth'
          ? h('button', { type: 'button', class: 'button text first', onclick: this.onSignIn }, 'Sign in')
          : h('button', { type: 'button', class: 'button text', id: 'try', onclick: this.onTry }, 'Try now');
        return [this.#card('down', 'down', why.title, why.tried, why.advice, this.#later, h('div', { class: 'buttons' }, again))];
      },
    };
  }

  #big() {
    return h('button', { type: 'button', class: 'button big', 'aria-label': 'Play', title: 'Play (space)', onclick: this.onPlay }, icon('play'));
  }

  #card(tone, shape, title, text, advice, ...more) {
    return h('div', { class: 'card', dataset: { tone } }, icon(shape), h('h2', {}, title),
      text ? h('p', { class: 'tried' }, sentence(text)) : null, advice ? h('p', { class: 'advice' }, advice) : null, ...more);
  }

  /** Counts down to the next try, second by second. */
  #count() {
    clearTimeout(this.#timer);
    if (!this.#later) return;
    const { retryAt } = this.#session;
    const seconds = retryAt ? Math.ceil((retryAt - performance.now()) / 1000) : 0;
    setText(this.#later, seconds > 0 ? `Next try in ${seconds} s` : this.#session.open && !retryAt && this.#session.failure.retry !== 'never' ? 'Trying …' : '');
    if (retryAt) this.#timer = setTimeout(() => this.#count(), 500);
  }
}
