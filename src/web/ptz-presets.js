// Saved positions: a list by name with small pictures; a click goes there. Saving, renaming and
// deleting are behind "Edit", so that a slip of the hand changes nothing.

import * as thumbs from './ptz-thumbs.js';
import { h, icon, nameControl, setText } from './util.js';

const ASK_MS = 4000;

export class Presets {
  #items = [];
  #editing = false;
  #renaming = null;
  #asked = null; // {button, timer}: a second click does it

  /**
   * @param {object} options
   * @param {import('./ptz-api.js').PtzApi} options.api @param {HTMLVideoElement} options.video
   * @param {(call: Promise<object>, done?: string) => Promise<object>} options.tell shows what an
   *   answer says, or `done` where all is well; gives the answer
   * @param {() => void} options.onGo the camera was sent somewhere
   */
  constructor({ api, video, tell, onGo }) {
    Object.assign(this, { api, video, tell, onGo });
    this.pen = h('button', { type: 'button', class: 'button', 'aria-pressed': 'false', onclick: () => this.#edit(!this.#editing) }, icon('pen'));
    nameControl(this.pen, 'Edit presets');
    this.list = h('ul', { class: 'preset-list' });
    this.none = h('p', { class: 'hint' }, 'None yet. Turn the camera, then save where it looks.');
    this.field = h('input', { type: 'text', maxlength: '64', placeholder: 'Name of this view', 'aria-label': 'Name of a new preset', autocomplete: 'off' });
    const form = h('form', { class: 'save' }, this.field, h('button', { type: 'submit', class: 'button text' }, 'Save'));
    form.addEventListener('submit', (e) => { e.preventDefault(); this.#saveNew(); });
    this.el = h('section', { class: 'presets', id: 'ptz-presets', 'aria-labelledby': 'presets-title' },
      h('header', {}, h('h3', { id: 'presets-title' }, 'Presets'), this.pen), this.none, this.list, form);
    this.el.hidden = true;
  }

  get open() { return !this.el.hidden; }

  show(open) {
    this.el.hidden = !open;
    if (!open) return this.#edit(false);
    this.#draw();
    this.load();
  }

  async load() {
    const answer = await this.tell(this.api.presets());
    if (!answer.ok || !answer.body) return;
    // A place that is not set cannot be gone to: some cameras list all 300 of them.
    this.#items = answer.body.items.filter((preset) => preset.enabled !== false);
    this.#draw();
  }

  #edit(on) {
    this.#editing = on;
    this.#renaming = null;
    this.pen.setAttribute('aria-pressed', String(on));
    this.#draw();
  }

  #draw() {
    const focus = this.list.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.#forgetAsking();
    this.none.hidden = this.#items.length > 0;
    this.list.hidden = this.#items.length === 0;
    this.list.replaceChildren(...this.#items.map((preset) => this.#row(preset)));
    // The list was made anew under the person's hand.
    if (focus) for (const el of this.list.querySelectorAll('[data-focus]')) if (el.dataset.focus === focus) el.focus();
  }

  #row(preset) {
    const { id, name } = preset;
    const url = thumbs.pictureOf(this.api.name, id);
    const picture = url ? h('img', { class: 'thumb', src: url, alt: '' }) : h('span', { class: 'thumb', 'aria-hidden': 'true' }, String(id).slice(0, 4));
    const button = (what, label, shape, run) => {
      const el = h('button', { type: 'button', class: 'button', dataset: { focus: `${what} ${id}` }, onclick: run }, icon(shape));
      nameControl(el, label);
      return el;
    };
    if (this.#renaming === id) return h('li', {}, picture, this.#renameForm(preset));
    const go = h('button', { type: 'button', class: 'go', dataset: { focus: `go ${id}` }, onclick: () => this.#go(preset) }, picture, h('span', { class: 'name' }, name));
    if (!this.#editing) return h('li', {}, go);
    const save = button('save', `Save this view as ${name}`, 'save', () => this.#ask(save, `Save this view as ${name}: press again`, () => this.#save(id, name)));
    const remove = button('delete', `Delete ${name}`, 'bin', () => this.#ask(remove, `Delete ${name}: press again`, () => this.#delete(preset)));
    return h('li', {}, go, h('span', { class: 'edits' }, save,
      button('rename', `Rename ${name}`, 'pen', () => { this.#renaming = id; this.#draw(); this.list.querySelector('input').select(); }), remove));
  }

  #renameForm({ id, name }) {
    const field = h('input', { type: 'text', maxlength: '64', 'aria-label': `New name of ${name}`, autocomplete: 'off' });
    field.value = name;
    const form = h('form', { class: 'rename' }, field, h('button', { type: 'submit', class: 'button text' }, 'Rename'));
    const end = () => { this.#renaming = null; this.#draw(); };
    field.addEventListener('keydown', (e) => { if (e.key === 'Escape') { e.stopPropagation(); end(); } });
    form.addEventListener('submit', async (e) => {
      e.preventDefault();
      const next = field.value.trim();
      end();
      if (!next || next === name) return;
      if ((await this.tell(this.api.rename(id, next), `Renamed to ${next}`)).ok) this.load();
    });
    return form;
  }

  /** What cannot be undone is asked for twice. */
  #ask(button, question, run) {
    if (this.#asked && this.#asked.button === button) {
      this.#forgetAsking();
      return run();
    }
    this.#forgetAsking();
    const before = button.getAttribute('aria-label');
    nameControl(button, question);
    button.classList.add('asks');
    this.#asked = { button, before, timer: setTimeout(() => this.#forgetAsking(), ASK_MS) };
    this.tell(null, `${question}.`);
  }

  #forgetAsking() {
    if (!this.#asked) return;
    const { button, before, timer } = this.#asked;
    this.#asked = null;
    clearTimeout(timer);
    nameControl(button, before);
    button.classList.remove('asks');
    this.tell(null, '');
  }

  async #go({ id, name }) {
    const answer = await this.tell(this.api.goTo(id), `Going to ${name}`);
    if (answer.ok) this.onGo();
  }

  async #saveNew() {
    const name = this.field.value.trim();
    if (!name) return this.field.focus();
    const answer = await this.tell(this.api.saveNew(name), `Saved as ${name}`);
    if (!answer.ok) return;
    setText(this.field, '');
    this.field.value = '';
    if (answer.body && answer.body.id) await thumbs.take(this.api.name, answer.body.id, this.video);
    this.load();
  }

  async #save(id, name) {
    const answer = await this.tell(this.api.save(id, name), `Saved as ${name}`);
    if (!answer.ok) return;
    await thumbs.take(this.api.name, id, this.video);
    this.load();
  }

  async #delete({ id, name }) {
    const answer = await this.tell(this.api.remove(id), `Deleted ${name}`);
    if (!answer.ok) return;
    thumbs.forget(this.api.name, id);
    this.load();
  }
}
