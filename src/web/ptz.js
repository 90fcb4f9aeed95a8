// PTZ on the player: asks what the camera can do and whether this person may, builds what is
// shown of it, and says what goes wrong. Loaded only on a path that has PTZ.

import { Aim } from './ptz-aim.js';
import { PtzApi } from './ptz-api.js';
import { gamepads } from './ptz-gamepad.js';
import { Lens } from './ptz-lens.js';
import { Pad } from './ptz-pad.js';
import { Presets } from './ptz-presets.js';
import { Steer } from './ptz-steer.js';
import { fromHeld } from './ptz-vector.js';
import { sentence } from './failure.js';
import { h, icon, nameControl, say, setText, store } from './util.js';

const LOOK_MOVING_MS = 1000; // how often the position is asked for
const LOOK_IDLE_MS = 15000;
const ASK_AGAIN_MS = 5000; // while the camera does not answer
const SAID_MS = 4000;
const ARROWS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' };
const ZOOM = { '+': 'in', '=': 'in', '-': 'out', _: 'out' };
const STYLE = new URL('./ptz.css', import.meta.url).pathname;
const ALONE = 'The camera stops by itself.';

/** Its style, there before anything of it is shown. */
function style() {
  return new Promise((done) => {
    if (document.querySelector(`link[href="${STYLE}"]`)) return done();
    document.head.append(h('link', { rel: 'stylesheet', href: STYLE, onload: done, onerror: done }));
  });
}

export class Ptz {
  /** unknown · open · signIn · forbidden · failed */
  #access = 'unknown';
  #camera = null; // its entry in /ptz/cameras; what its status says is put in
  #keys = new Set(); // directions held on the keyboard
  #asking = false;
  #askedAt = -Infinity;
  error = ''; // why there is no pad
  #looking = false;
  #lookTimer = 0;
  #saidTimer = 0;
  #trouble = ''; // of steering; goes with the next answer that is well
  #gone = new AbortController();

  /**
   * @param {object} options
   * @param {string} options.name the path's
   * @param {HTMLElement} options.stage where the panel goes @param {HTMLVideoElement} options.video
   * @param {HTMLButtonElement} options.button shows and hides it
   * @param {object[]} options.keys the page's table of keys
   * @param {boolean} options.open whether it is open for one who never chose
   * @param {object} options.status the path's PathStatus
   */
  constructor({ name, stage, video, button, keys, open, status }) {
    Object.assign(this, { stage, video, button, table: keys });
    this.styled = style();
    this.api = new PtzApi(name);
    this.steer = new Steer(this.api);
    this.chosen = store.get('ptz.open', null);
    this.wanted = this.chosen ?? open;
    this.#build();
    const { signal } = this.#gone;
    button.hidden = false;
    button.addEventListener('click', () => this.toggle(), { signal });
    document.addEventListener('visibilitychange', () => this.#look(), { signal });
    for (const event of ['pointerup', 'change']) document.addEventListener(event, (e) => this.#giveBack(e), { signal });
    this.#listen();
    this.#addKeys();
    this.follow(status);
  }

  // --- what there is ---

  #build() {
    this.pad = new Pad(this.steer);
    this.aim = new Aim({
      video: this.video,
      onBox: (box) => this.#sent(this.api.box(box), 'Zooming in'),
      onPoint: (point) => this.#sent(this.api.center(point), 'Centring'),
    });
    this.presets = new Presets({ api: this.api, video: this.video, tell: (call, done) => this.#tell(call, done), onGo: () => this.#lookSoon() });
    const tool = (label, run, more = {}) => {
      const el = h('button', { type: 'button', class: 'button', onclick: run, ...more }, label);
      el.hidden = true;
      return el;
    };
    this.aimTool = tool('Aim', () => this.#setAim(!this.aim.on), { 'aria-pressed': 'false', title: 'Aim at the picture (a): click to centre, drag a box to zoom in' });
    this.homeTool = tool('Home', () => this.#sent(this.api.home(), 'Going home'), { title: 'To the home position' });
    this.presetsTool = tool('Presets', () => this.#showPresets(!this.presets.open), { 'aria-expanded': 'false', 'aria-controls': 'ptz-presets', title: 'Saved positions' });
    this.lens = new Lens(this.api, (answer) => this.#heard(answer));
    this.moreTool = h('button', { type: 'button', class: 'button', onclick: () => this.#showMore(this.more.hidden), 'aria-expanded': 'false', 'aria-controls': 'ptz-more' }, icon('more'));
    nameControl(this.moreTool, 'Lens and patrols');
    this.more = h('div', { class: 'more', id: 'ptz-more' }, ...this.lens.rows, this.#buildPatrol());
    this.more.hidden = true;
    this.where = h('p', { class: 'where', title: 'Pan, tilt, zoom' });
    this.note = h('p', { class: 'note', role: 'status' });
    const close = h('button', { type: 'button', class: 'button', 'aria-label': 'Hide camera control', title: 'Hide (c)', onclick: () => { this.show(false); this.button.focus(); } }, icon('close'));
    this.hands = h('div', { class: 'hands' }, this.pad.disc, this.pad.rocker);
    this.tools = h('div', { class: 'ptz-tools' }, this.aimTool, this.homeTool, this.presetsTool, this.moreTool);
    this.why = h('div', { class: 'why' });
    this.panel = h('section', { class: 'ptz on-video', id: 'ptz-panel', 'aria-labelledby': 'ptz-title' }, this.presets.el,
      h('div', { class: 'control' },
        h('header', {}, h('h2', { id: 'ptz-title', class: 'offscreen' }, 'Camera control'), this.where, close),
        this.note, this.why, this.hands, this.pad.speed, this.tools, this.more));
    this.panel.hidden = true;
    this.button.setAttribute('aria-controls', 'ptz-panel');
    this.stage.append(this.aim.el, this.panel);
    this.#draw();
  }

  /** Patrols have no names that the page could list: the camera's own page numbers them. */
  #buildPatrol() {
    const field = h('input', { type: 'text', maxlength: '64', value: '1', id: 'ptz-patrol', autocomplete: 'off' });
    const order = (order, label, shape, done) => {
      const run = () => {
        const id = field.value.trim();
        if (id) this.#sent(this.api.patrol(id, order), `${done} patrol ${id}`);
        else field.focus();
      };
      return h('button', { type: 'button', class: 'button', 'aria-label': label, title: label, onclick: run }, icon(shape));
    };
    this.patrol = h('div', { class: 'row patrol', role: 'group', 'aria-label': 'Patrol' }, h('label', { for: 'ptz-patrol' }, 'Patrol'), field,
      order('start', 'Start the patrol', 'play', 'Started'), order('stop', 'Stop the patrol', 'close', 'Stopped'));
    return this.patrol;
  }

  #heard(answer) {
    if (answer.ok) return this.#setTrouble('');
    this.#setTrouble(answer.status === 0 ? `${answer.error} ${ALONE}` : answer.error);
  }

  #listen() {
    const { signal } = this.#gone;
    const { steer } = this;
    steer.addEventListener('release', () => this.#keys.clear());
    steer.addEventListener('answer', ({ detail }) => this.#heard(detail), { signal });
    steer.addEventListener('late', ({ detail }) => { if (detail) this.#setTrouble(`No answer yet. ${ALONE}`); }, { signal });
    steer.addEventListener('hands', () => {
      this.panel.dataset.held = String(steer.held);
      if (steer.held) this.#lookSoon();
    }, { signal });
    steer.addEventListener('rest', () => this.#lookSoon(), { signal });
    this.endGamepads = gamepads(steer);
  }

  #addKeys() {
    const hold = (map) => (key, down) => {
      if (down) this.#keys.add(map[key]);
      else this.#keys.delete(map[key]);
      if (this.#access === 'open') this.steer.set('keys', fromHeld(this.#keys));
    };
    this.entries = [
      { keys: Object.keys(ARROWS), text: 'Pan and tilt, while held (a slider with the focus keeps its arrows)', hold: hold(ARROWS) },
      { keys: Object.keys(ZOOM), show: '+ −', text: 'Zoom, while held', hold: hold(ZOOM) },
      { keys: ['a'], text: 'Aim: click to centre, drag a box to zoom in (no double click meanwhile)', run: () => { if (!this.aimTool.hidden) this.#setAim(!this.aim.on); } },
      { keys: ['Escape'], show: 'Esc', text: 'End aiming', run: () => this.#escape() },
      { keys: ['c'], text: 'Show or hide the camera control', run: () => this.toggle() },
    ];
    this.table.push(...this.entries);
  }

  #escape() {
    if (!this.aim.abandon() && this.aim.on) this.#setAim(false);
  }

  /** A slider or list that the mouse has set does not keep the arrow keys from the camera. */
  #giveBack(e) {
    if (e.type === 'pointerup') this.pointedAt = performance.now();
    const el = document.activeElement;
    const mine = el && el === e.target && el.matches('input[type="range"], select');
    if (!mine || (e.type === 'pointerup') === el.matches('select')) return;
    if (performance.now() - this.pointedAt < 1000) el.blur();
  }

  // --- what the server says of it ---

  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    this.#askedAt = performance.now();
    const [answer] = await Promise.all([this.api.cameras(), this.styled]);
    this.#asking = false;
    if (this.#gone.signal.aborted) return;
    const items = (answer.ok && answer.body && answer.body.items) || [];
    const camera = items.find((item) => item.name === this.api.name) || null;
    if (camera) this.#camera = camera;
    if (answer.ok) this.#enter(camera ? 'open' : 'failed', 'The server does not list this camera.');
    else this.#enter({ 401: 'signIn', 403: 'forbidden' }[answer.status] || 'failed', answer.error);
    if (camera) this.#setTrouble(camera.error ? sentence(camera.error) : '');
    this.#look();
  }

  #enter(access, error) {
    this.#access = access;
    this.error = error;
    if (access !== 'open') this.steer.release();
    this.#draw();
  }

  /**
   * The path's status: whether this person may steer (`ptz`), or why not (`ptzRefused`). What
   * failed for want of a server or a camera is asked for again.
   */
  follow({ ptz, ptzRefused }) {
    if (!ptz) {
      if (this.#access === 'unknown' || this.#access === 'open') this.styled.then(() => this.#enter('forbidden', sentence(ptzRefused)));
      return;
    }
    const well = this.#access === 'open' && this.#camera.online;
    if (!well && !document.hidden && performance.now() - this.#askedAt > ASK_AGAIN_MS) this.#ask();
  }

  // --- what is shown ---

  toggle() { this.show(this.panel.hidden); }

  show(open) {
    this.wanted = this.chosen = open;
    store.set('ptz.open', open);
    if (!open) {
      this.steer.release();
      this.lens.release();
      this.#setAim(false);
    } else if (this.#access === 'failed' || /password/.test(this.error)) {
      // Asked for that, the browser asks for the password.
      this.#ask();
    }
    this.#draw();
    this.#look();
  }

  #draw() {
    const can = (this.#camera && this.#camera.capabilities) || {};
    const open = this.#access === 'open';
    // Who only watches is told why not when he asks.
    const shown = this.wanted && (open || (this.chosen === true && this.#access !== 'unknown'));
    this.panel.hidden = !shown;
    this.button.setAttribute('aria-pressed', String(shown));
    nameControl(this.button, 'Camera control', 'c');
    this.steer.can = { pan: Boolean(can.pan), tilt: Boolean(can.tilt), zoom: Boolean(can.zoom) };
    this.pad.limit(open ? this.steer.can : {});
    this.hands.hidden = this.pad.disc.hidden && this.pad.rocker.hidden;
    this.aimTool.hidden = !(open && (can.boxZoom || can.relative));
    this.homeTool.hidden = !(open && can.home);
    this.presetsTool.hidden = !(open && can.presets);
    this.lens.limit(open ? can : {});
    this.patrol.hidden = !(open && can.patrols);
    this.moreTool.hidden = [...this.more.children].every((row) => row.hidden);
    this.tools.hidden = [...this.tools.children].every((tool) => tool.hidden);
    if (this.moreTool.hidden) this.#showMore(false);
    if (this.presetsTool.hidden && this.presets.open) this.#showPresets(false);
    if (this.aimTool.hidden && this.aim.on) this.#setAim(false);
    this.#explain();
  }

  /** In place of the pad: why there is none. */
  #explain() {
    const [title, line] = {
      signIn: ['Sign in to steer'],
      forbidden: ['Not allowed to steer', '- action: ptz'],
      failed: ['Cannot steer now'],
    }[this.#access] || [];
    this.why.hidden = !title;
    const key = `${title} ${this.error}`;
    if (this.why.dataset.key === key) return;
    this.why.dataset.key = key;
    this.why.replaceChildren(...(title ? [
      h('h3', {}, title), h('p', {}, this.error), ...(line ? [h('pre', {}, h('code', {}, line))] : []),
    ] : []));
  }

  #setAim(on) {
    if (on && !this.video.videoWidth) return this.#say('There is no picture to aim at yet.');
    this.aim.on = on;
    this.aimTool.setAttribute('aria-pressed', String(on));
    this.#say(on ? `Click to centre${this.#camera.capabilities.boxZoom ? ', drag a box to zoom in' : ''}. Esc ends it.` : '', 60000);
  }

  #showMore(open) {
    this.more.hidden = !open;
    this.moreTool.setAttribute('aria-expanded', String(open));
    if (!open) this.lens.release();
  }

  #showPresets(open) {
    this.presets.show(open);
    this.presetsTool.setAttribute('aria-expanded', String(open));
    this.panel.classList.toggle('listing', open);
  }

  // --- what is said ---

  async #sent(call, done) {
    const answer = await this.#tell(call, done);
    if (answer.ok) this.#lookSoon();
  }

  /** Shows what an answer says, or `done` where all is well; `call` may be null. Gives the answer. */
  async #tell(call, done = '') {
    const answer = call ? await call : { ok: true };
    if (!answer.ok) this.#say(answer.error, 2 * SAID_MS);
    else if (done || !call) this.#say(done);
    return answer;
  }

  #setTrouble(text) {
    if (text === this.#trouble) return;
    this.#trouble = text;
    if (text && this.panel.hidden && this.steer.held) say(text);
    this.#say('');
  }

  /** For a while; trouble stays as long as it lasts. */
  #say(text, ms = SAID_MS) {
    clearTimeout(this.#saidTimer);
    const shown = text || this.#trouble;
    setText(this.note, shown);
    this.note.dataset.tone = !text && this.#trouble ? 'warn' : '';
    if (text) this.#saidTimer = setTimeout(() => this.#say(''), ms);
  }

  // --- where it looks ---

  #lookSoon() {
    clearTimeout(this.#lookTimer);
    this.#lookTimer = setTimeout(() => this.#look(), LOOK_MOVING_MS / 2);
  }

  async #look() {
    clearTimeout(this.#lookTimer);
    const known = this.#camera && Object.values(this.#camera.capabilities).some(Boolean);
    if (this.#access !== 'open' || (this.panel.hidden && known) || document.hidden || this.#looking) return;
    this.#looking = true;
    const { ok, body } = await this.api.status();
    this.#looking = false;
    if (this.#gone.signal.aborted) return;
    this.where.replaceChildren(...(ok && body ? whereText(body.position) : []));
    if (ok && body) this.#learn(body);
    const moving = this.steer.moving || (ok && body && body.moving);
    this.#lookTimer = setTimeout(() => this.#look(), moving ? LOOK_MOVING_MS : LOOK_IDLE_MS);
  }

  /** A camera tells what it can do when it first answers. */
  #learn({ online, error, capabilities }) {
    const old = this.#camera;
    const known = capabilities && Object.values(capabilities).some(Boolean);
    this.#camera = { ...old, online, error, capabilities: known ? capabilities : old.capabilities };
    if (!this.steer.moving) this.#setTrouble(error ? sentence(error) : '');
    if (known && JSON.stringify(capabilities) !== JSON.stringify(old.capabilities)) this.#draw();
  }

  /** The path has no PTZ any more. */
  dispose() {
    this.#gone.abort();
    clearTimeout(this.#lookTimer);
    clearTimeout(this.#saidTimer);
    this.endGamepads();
    this.steer.dispose();
    this.lens.dispose();
    this.aim.el.remove();
    this.panel.remove();
    this.button.hidden = true;
    for (const entry of this.entries) this.table.splice(this.table.indexOf(entry), 1);
  }
}

/** `135.0° · 15.0° · 4.0×` as far as the camera tells, with words for those who do not see it. */
function whereText(position) {
  const { pan, tilt, zoom } = position || {};
  const parts = [['Pan ', pan, '°'], ['Tilt ', tilt, '°'], ['Zoom ', zoom, '×']].filter(([, n]) => typeof n === 'number');
  return parts.flatMap(([word, n, unit], i) => [
    i ? ' · ' : '', h('span', { class: 'offscreen' }, word), `${n.toFixed(1).replace('-', '−')}${unit}`,
  ]);
}
