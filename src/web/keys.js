// Keyboard: one table of keys per page, which is also what the `?` dialog shows.

import { h, icon } from './util.js';

const SPOKEN = { ' ': 'Space', ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓' };

function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable
    || /^(TEXTAREA|SELECT)$/.test(target.tagName)
    || (target.tagName === 'INPUT' && target.type !== 'range'));
}

/**
 * @param {{keys: string[], text: string, show?: string, run?: (e: KeyboardEvent) => void}[]} table
 *   `keys` as in KeyboardEvent.key, with `Shift+` before it where meant; an entry without `run`
 *   is only shown
 * @returns {() => void} opens the dialog
 */
export function keyboard(table) {
  let dialog = null;
  const open = () => {
    dialog ||= build(table);
    if (!dialog.open) dialog.showModal();
  };
  const all = [...table, { keys: ['?'], text: 'This list', run: () => open() }];
  const actions = new Map();
  for (const entry of all) if (entry.run) for (const key of entry.keys) actions.set(key, entry.run);

  addEventListener('keydown', (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
    if (document.querySelector('dialog[open]')) return;
    // Space and Enter on a control belong to the control.
    if ((e.key === ' ' || e.key === 'Enter') && e.target.closest('button, a, input')) return;
    if (e.key.startsWith('Arrow') && e.target.matches('input')) return;
    const plain = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    const run = actions.get(e.shiftKey && e.key.length > 1 ? `Shift+${e.key}` : plain);
    if (!run || (e.repeat && !e.key.startsWith('Arrow') && !e.key.startsWith('Shift'))) return;
    e.preventDefault();
    run(e);
  });
  return open;

  function build() {
    const rows = all.flatMap((entry) => [
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
