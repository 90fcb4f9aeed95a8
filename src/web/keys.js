// Keyboard: one table of keys per page, which is also what the `?` dialog shows.

import { h, icon } from './util.js';

const SPOKEN = { ' ': 'Space', ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', '-': '−' };

function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable
    || /^(TEXTAREA|SELECT)$/.test(target.tagName)
    || (target.tagName === 'INPUT' && target.type !== 'range'));
}

/**
 * @param {{keys: string[], text: string, show?: string, run?: (e: KeyboardEvent) => void,
 *   hold?: (key: string, down: boolean) => void}[]} table
 *   `keys` as in KeyboardEvent.key, with `Shift+` before it where meant. `run` is called by a
 *   press; `hold` by a press and again when the key, or the keyboard, is let go of, never by the
 *   key's repetition. An entry without either is only shown. Entries may be added at any time.
 * @returns {() => void} opens the dialog
 */
export function keyboard(table) {
  let dialog = null;
  let shown = 0;
  const held = new Map(); // KeyboardEvent.code → lets go
  const open = () => {
    if (shown !== table.length) {
      if (dialog) dialog.remove();
      dialog = build(table);
      shown = table.length;
    }
    if (!dialog.open) dialog.showModal();
  };
  const help = { keys: ['?'], text: 'This list', run: () => open() };
  const find = (key) => [...table, help].find((entry) => (entry.run || entry.hold) && entry.keys.includes(key));
  const letGo = (code) => {
    const release = held.get(code);
    held.delete(code);
    if (release) release();
  };
  const letAllGo = () => { for (const code of [...held.keys()]) letGo(code); };

  addEventListener('keydown', (e) => {
    // With these held, browsers keep the release of other keys to themselves.
    if (e.ctrlKey || e.metaKey || e.altKey) return letAllGo();
    if (e.defaultPrevented || typing(e.target)) return;
    if (document.querySelector('dialog[open]')) return;
    // Space and Enter on a control belong to the control, arrows to the slider that has the focus.
    if ((e.key === ' ' || e.key === 'Enter') && e.target.closest('button, a, input')) return;
    if (e.key.startsWith('Arrow') && e.target.matches('input')) return;
    const plain = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    const key = e.shiftKey && e.key.length > 1 ? `Shift+${e.key}` : plain;
    const entry = find(key);
    if (!entry) return;
    if (entry.hold) {
      e.preventDefault();
      if (e.repeat || held.has(e.code)) return;
      held.set(e.code, () => entry.hold(key, false));
      return entry.hold(key, true);
    }
    if (e.repeat && !e.key.startsWith('Arrow') && !e.key.startsWith('Shift')) return;
    e.preventDefault();
    entry.run(e);
  });
  addEventListener('keyup', (e) => letGo(e.code));
  addEventListener('blur', letAllGo);
  document.addEventListener('visibilitychange', letAllGo);
  return open;

  function build() {
    const rows = [...table, help].flatMap((entry) => [
      h('dt', {}, ...keycaps(entry)),
      h('dd', {}, entry.text),
    ]);
    const close = h('button', { type: 'button', class: 'button', 'aria-label': 'Close', title: 'Close (Esc)', onclick: () => made.close() }, icon('close'));
    const made = h('dialog', { class: 'sheet', 'aria-labelledby': 'keys-title' },
      h('header', {}, h('h2', { id: 'keys-title' }, 'Keys'), close),
      h('dl', { class: 'keys' }, ...rows));
    made.addEventListener('click', (e) => { if (e.target === made) made.close(); });
    document.body.append(made);
    return made;
  }
}

function keycaps({ keys, show }) {
  const words = show ? show.split(' ') : [...new Set(keys.map((key) => SPOKEN[key] || key))];
  return words.map((word) => h('kbd', {}, word));
}
