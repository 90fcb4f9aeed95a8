// The hands-on part: round pad, zoom rocker, speed. Press and hold, by mouse, finger, pen, by
// Space or Enter on a direction, or by a screen reader's click, which is a short nudge.

import { REST, fromHeld, fromPad, fromRocker, reach } from './ptz-vector.js';
import { h, icon, setText, store } from './util.js';

const NUDGE_MS = 300;
const ZOOMS = [['in', 'Zoom in', 'plus'], ['out', 'Zoom out', 'minus']];
const SIDES = [['up', 'Tilt up'], ['left', 'Pan left'], ['right', 'Pan right'], ['down', 'Tilt down']];

/**
 * Press and hold on `el`: `at(x, y)` gives the velocity for a place in it, in halves of its size
 * from its centre. One pointer at a time, caught, so that it may leave the element.
 */
export function holdable(el, hand, steer, at) {
  let pointer = null;
  const follow = (e) => {
    const box = el.getBoundingClientRect();
    steer.set(hand, at((e.clientX - box.left) / (box.width / 2) - 1, (e.clientY - box.top) / (box.height / 2) - 1));
  };
  const end = () => {
    if (pointer === null) return;
    const id = pointer;
    pointer = null;
    if (el.hasPointerCapture(id)) el.releasePointerCapture(id);
    steer.set(hand, REST);
  };
  el.addEventListener('pointerdown', (e) => {
    if (pointer !== null || e.button !== 0) return;
    pointer = e.pointerId;
    el.setPointerCapture(pointer);
    follow(e);
  });
  el.addEventListener('pointermove', (e) => {
    if (e.pointerId !== pointer) return;
    // A release that nobody told us of.
    if (e.buttons === 0) end();
    else follow(e);
  });
  for (const event of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    el.addEventListener(event, (e) => { if (e.pointerId === pointer) end(); });
  }
  // Leaving tells of it only where the catch was lost.
  el.addEventListener('pointerleave', (e) => { if (e.pointerId === pointer && !el.hasPointerCapture(pointer)) end(); });
  steer.addEventListener('release', end);
  // Keeps the focus where it is; a frame gets the keyboard all the same.
  el.addEventListener('mousedown', (e) => { e.preventDefault(); window.focus(); });
  el.addEventListener('contextmenu', (e) => e.preventDefault());
}

/** The same for a button by keyboard, and a nudge by what clicks without a pointer. */
export function pressable(button, direction, steer) {
  const hand = `button ${direction}`;
  const press = (e, down) => {
    if (e.key !== ' ' && e.key !== 'Enter') return;
    e.preventDefault();
    if (!e.repeat) steer.set(hand, down ? fromHeld([direction]) : REST);
  };
  let nudge = 0;
  button.addEventListener('keydown', (e) => press(e, true));
  button.addEventListener('keyup', (e) => press(e, false));
  button.addEventListener('blur', () => steer.set(hand, REST));
  button.addEventListener('click', (e) => {
    if (e.detail !== 0) return; // a pointer's, which held it
    clearTimeout(nudge);
    steer.set(hand, fromHeld([direction]));
    nudge = setTimeout(() => steer.set(hand, REST), NUDGE_MS);
  });
}

function direction(name, label, shape, steer) {
  const button = h('button', { type: 'button', class: `to ${name}`, 'aria-label': label }, icon(shape));
  pressable(button, name, steer);
  return button;
}

export class Pad {
  /** @param {import('./ptz-steer.js').Steer} steer */
  constructor(steer) {
    this.steer = steer;
    this.knob = h('span', { class: 'knob', 'aria-hidden': 'true' });
    this.disc = h('div', { class: 'disc', role: 'group', 'aria-label': 'Pan and tilt' },
      ...SIDES.map(([name, label]) => direction(name, label, `to-${name}`, steer)), this.knob);
    this.rocker = h('div', { class: 'rocker', role: 'group', 'aria-label': 'Zoom' },
      ...ZOOMS.map(([name, label, shape]) => direction(name, label, shape, steer)));
    this.range = h('input', { type: 'range', id: 'ptz-speed', min: '5', max: '100', step: '5' });
    this.figure = h('output', { class: 'figure', for: 'ptz-speed' });
    this.speed = h('div', { class: 'speed' }, h('label', { for: 'ptz-speed' }, 'Speed'), this.range, this.figure);
    holdable(this.disc, 'pad', steer, fromPad);
    holdable(this.rocker, 'rocker', steer, (_, y) => fromRocker(-y));
    this.range.addEventListener('input', () => this.#setSpeed(Number(this.range.value)));
    this.#setSpeed(store.get('ptz.speed', 50));
    steer.addEventListener('hands', () => this.#show());
  }

  /** Only what the camera can do. */
  limit({ pan, tilt, zoom }) {
    this.disc.hidden = !pan && !tilt;
    for (const side of ['left', 'right']) this.disc.querySelector(`.${side}`).hidden = !pan;
    for (const side of ['up', 'down']) this.disc.querySelector(`.${side}`).hidden = !tilt;
    this.rocker.hidden = !zoom;
    this.speed.hidden = !pan && !tilt && !zoom;
  }

  #setSpeed(percent) {
    const value = Math.min(100, Math.max(5, Number(percent) || 50));
    this.range.value = String(value);
    setText(this.figure, `${value} %`);
    this.steer.setSpeed(value / 100);
    store.set('ptz.speed', value);
  }

  /** The knob goes where the hands are, whichever they are. */
  #show() {
    const { velocity } = this.steer;
    const on = (el, is) => el.classList.toggle('on', is);
    on(this.disc, velocity.pan !== 0 || velocity.tilt !== 0);
    const { x, y } = reach(velocity);
    this.knob.style.setProperty('--x', x.toFixed(3));
    this.knob.style.setProperty('--y', y.toFixed(3));
    on(this.disc.querySelector('.left'), velocity.pan < 0);
    on(this.disc.querySelector('.right'), velocity.pan > 0);
    on(this.disc.querySelector('.up'), velocity.tilt > 0);
    on(this.disc.querySelector('.down'), velocity.tilt < 0);
    on(this.rocker.querySelector('.in'), velocity.zoom > 0);
    on(this.rocker.querySelector('.out'), velocity.zoom < 0);
  }
}
