// Focus and iris, for cameras that let them be moved: two buttons each, held like the pad, by
// mouse, finger, Space or Enter. Each is a drive of its own, which ends by itself like a move.

import { holdable, pressable } from './ptz-pad.js';
import { Steer } from './ptz-steer.js';
import { fromHeld } from './ptz-vector.js';
import { h, icon } from './util.js';

const AXES = [
  ['focus', 'Focus', ['out', 'Focus nearer', 'minus'], ['in', 'Focus farther', 'plus']],
  ['iris', 'Iris', ['out', 'Close the iris', 'minus'], ['in', 'Open the iris', 'plus']],
];

export class Lens {
  #axes = [];

  /**
   * @param {import('./ptz-api.js').PtzApi} api
   * @param {(answer: object) => void} onAnswer every answer of the camera's
   */
  constructor(api, onAnswer) {
    for (const [name, title, ...sides] of AXES) {
      const steer = new Steer({
        move: ({ zoom }, abort) => api.drive(name, zoom, abort),
        stop: () => api.drive(name, 0),
        lasts: (body, sent) => api.lasts(body, sent),
      });
      const buttons = sides.map(([side, label, shape]) => {
        const button = h('button', { type: 'button', class: 'button hold', 'aria-label': label, title: label }, icon(shape));
        holdable(button, side, steer, () => fromHeld([side]));
        pressable(button, side, steer);
        return button;
      });
      const row = h('div', { class: 'row', role: 'group', 'aria-label': title }, h('span', {}, title), ...buttons);
      steer.addEventListener('answer', ({ detail }) => onAnswer(detail));
      steer.addEventListener('hands', () => {
        buttons.forEach((button, i) => button.classList.toggle('on', steer.velocity.zoom === (i ? 1 : -1)));
      });
      this.#axes.push({ name, steer, row });
    }
  }

  get rows() { return this.#axes.map(({ row }) => row); }

  /** Only what the camera can do. @param {{focus: boolean, iris: boolean}} can */
  limit(can) {
    for (const { name, steer, row } of this.#axes) {
      row.hidden = !can[name];
      if (row.hidden) steer.release();
    }
  }

  release() { for (const { steer } of this.#axes) steer.release(); }
  dispose() { for (const { steer } of this.#axes) steer.dispose(); }
}
