// The wall: every camera that this visitor may see.

import { Tile } from './tile.js';
import { Poller } from './poll.js';
import { keyboard } from './keys.js';
import { reorder } from './reorder.js';
import { expose } from './feed.js';
import { GAP, arrange, commonRatio, grid, moved, readView, writeView } from './layout.js';
import { copyText, credentials, fillIcons, flag, h, nameControl, say, setIcon, setText, store, toggleFullscreen } from './util.js';

const HIDDEN_MS = 30000; // a tab in the background keeps its pictures that long
const YAML = `paths:
  gate:
    source: rtsp://user:password@192.168.1.10:554/stream1
`;

const byId = (id) => document.getElementById(id);
const [main, list, search, empty, banner, summary] = ['wall', 'tiles', 'search', 'empty', 'banner', 'summary'].map(byId);
const access = credentials();
const query = new URLSearchParams(location.search);

/** @type {Map<string, Tile>} */
const tiles = new Map();
let view = readView(location.search);
let layout = view.layout || store.get('layout', 'auto');
let order = store.get('order', []);
let known = []; // the last list of PathStatus
let columns = 1;
let away = 0;

// --- which tiles, in which order ---

function shownNames() {
  const wanted = search.value.trim().toLowerCase();
  // A path that another one names as its small picture is that one's tile already.
  const small = new Set(known.map((status) => status.substream).filter(Boolean));
  let names = known.map((status) => status.name).filter((name) => !small.has(name));
  if (view.paths) {
    // A view names its cameras: those that are not there yet have a place all the same.
    names = view.paths.filter((name, at) => view.paths.indexOf(name) === at);
  } else {
    names = arrange(names, order);
  }
  return wanted ? names.filter((name) => name.toLowerCase().includes(wanted)) : names;
}

function render() {
  const statuses = new Map(known.map((status) => [status.name, status]));
  const names = shownNames();
  const wanted = new Set(names);
  for (const [name, tile] of tiles) {
    if (wanted.has(name)) continue;
    seen.unobserve(tile.el);
    tile.remove();
    tiles.delete(name);
  }
  names.forEach((name, at) => {
    let tile = tiles.get(name);
    if (!tile) {
      tile = new Tile(name);
      tiles.set(name, tile);
    }
    const status = statuses.get(name) || missing(name);
    tile.setStatus(status, statuses.get(status.substream) || null);
    place(tile.el, at);
  });
  for (const el of list.children) seen.observe(el);
  showEmpty(names);
  showSummary(names, statuses);
  resize();
}

/** A path that a view names and the server does not list. */
function missing(name) {
  return { name, state: 'closed', reason: 'no such path, or not yours to see', since: new Date().toISOString(), readers: 0, tracks: [] };
}

function place(el, at) {
  const there = list.children[at];
  if (there === el) return;
  const focused = el.contains(document.activeElement) ? document.activeElement : null;
  // moveBefore keeps the video playing where the browser has it.
  if (el.isConnected && list.moveBefore) list.moveBefore(el, there || null);
  else list.insertBefore(el, there || null);
  if (focused) focused.focus({ preventScroll: true });
}

function move(name, to) {
  const names = shownNames();
  if (to < 0 || to >= names.length || names[to] === name) return;
  if (view.paths) {
    view.paths = moved(view.paths, names, name, to);
    history.replaceState(null, '', location.pathname + writeView(location.search, { layout, paths: view.paths }));
  } else {
    order = moved(order, names, name, to);
    store.set('order', order);
  }
  render();
  say(`${name}: place ${to + 1} of ${names.length}`);
}

// --- how large ---

const scrollbar = (() => {
  const probe = h('div', { class: 'scroll-probe' });
  document.body.append(probe);
  const width = probe.offsetWidth - probe.clientWidth;
  probe.remove();
  return width;
})();

function resize() {
  const names = shownNames();
  if (!names.length || !main.offsetWidth) return;
  const statuses = known.filter((status) => names.includes(status.name));
  const fit = grid({
    width: main.offsetWidth,
    height: main.offsetHeight,
    count: names.length,
    layout,
    ratio: statuses.length === names.length ? commonRatio(statuses) : undefined,
    scrollbar,
  });
  columns = fit.columns;
  list.style.setProperty('--columns', fit.columns);
  list.style.setProperty('--tile-width', `${fit.width}px`);
  list.style.setProperty('--tile-height', `${fit.height}px`);
  list.style.setProperty('--gap', `${GAP}px`);
  list.classList.toggle('small', fit.width < 240);
  for (const tile of tiles.values()) tile.fit(fit.width / fit.height);
}
new ResizeObserver(resize).observe(main);

function setLayout(next) {
  layout = next;
  store.set('layout', layout);
  history.replaceState(null, '', location.pathname + writeView(location.search, { layout, paths: view.paths }));
  showLayout();
  resize();
}

function showLayout() {
  for (const button of document.querySelectorAll('[data-layout]')) {
    button.setAttribute('aria-pressed', String(button.dataset.layout === layout));
  }
}

// --- live only while seen ---

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.dataset.onScreen = isIntersecting ? '1' : '';
    target.tile.look(isIntersecting && !asleep);
  }
}, { root: main, rootMargin: '120px 0px' });

let asleep = false;
function sleep(on) {
  asleep = on;
  for (const tile of tiles.values()) tile.look(!on && tile.el.dataset.onScreen === '1');
}
document.addEventListener('visibilitychange', () => {
  clearTimeout(away);
  if (document.hidden) away = setTimeout(() => sleep(true), HIDDEN_MS);
  else sleep(false);
});
addEventListener('pagehide', () => { for (const tile of tiles.values()) tile.feed.want(false); });
addEventListener('pageshow', (e) => { if (e.persisted) sleep(document.hidden); });

// --- words around the pictures ---

function showEmpty(names) {
  empty.hidden = names.length > 0;
  list.hidden = names.length === 0;
  if (names.length) return;
  const searching = known.length > 0;
  byId('empty-first').hidden = searching;
  byId('empty-search').hidden = !searching;
  setText(byId('empty-word'), search.value.trim());
}

function showSummary(names, statuses) {
  const states = names.map((name) => (statuses.get(name) || {}).state);
  const count = (...wanted) => states.filter((state) => wanted.includes(state)).length;
  const down = count('refused', 'closed', undefined);
  const parts = [
    ['live', 'live', count('live')],
    ['warn', 'reconnecting', count('reconnecting')],
    ['down', 'down', down],
    ['calm', 'without source', count('noSource')],
    ['calm', 'idle', count('idle', 'starting')],
  ].filter(([, , n]) => n > 0);
  const text = parts.map(([, word, n]) => `${n} ${word}`).join(' ');
  if (summary.dataset.text === text) return;
  summary.dataset.text = text;
  summary.replaceChildren(...parts.map(([tone, word, n]) => h('span', { class: 'tally', dataset: { tone } }, h('b', {}, String(n)), ` ${word}`)));
  const live = count('live');
  document.title = names.length ? `${live} of ${names.length} live · camgate` : 'camgate';
}

function warn(text, action) {
  banner.hidden = !text;
  setText(byId('banner-text'), text || '');
  const button = byId('banner-action');
  button.hidden = !action;
  if (action) setText(button, action);
}

const poller = new Poller('/', access.headers, (data) => {
  warn('');
  known = data.items;
  render();
  for (const tile of tiles.values()) tile.feed.setServer(true);
}, ({ status, error, failures }) => {
  if (status === 401) {
    const old = access.given ? ' The token in the address was not accepted.' : '';
    warn(`Sign in to see the cameras.${old}`, 'Sign in');
  } else if (status === 0 && failures < 2) {
    return; // one lost answer is not news
  } else {
    warn(status === 0 ? `camgate does not answer at ${location.host}. This page goes on by itself as soon as it does.` : `camgate answers: ${error}`);
  }
  if (status === 0) for (const tile of tiles.values()) tile.feed.setServer(false);
});

// --- hands on ---

list.addEventListener('click', (e) => {
  const link = e.target.closest('a.hit');
  // Keys (detail 0), fingers and "open in a new tab" follow the link; one click of a mouse selects.
  if (!link || e.detail === 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.pointerType === 'touch') return;
  e.preventDefault();
  link.focus();
});
list.addEventListener('dblclick', (e) => {
  const link = e.target.closest('a.hit');
  if (link) location.assign(link.href);
});
reorder(list, (from, to) => move(from.tile.name, [...list.children].indexOf(to)));

const focusedIndex = () => [...list.children].findIndex((el) => el.contains(document.activeElement));
const step = (key) => ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns })[key];
function go(e) {
  const at = focusedIndex();
  const next = list.children[at < 0 ? 0 : at + step(e.key)];
  if (next) next.tile.link.focus();
}
function carry(e) {
  const at = focusedIndex();
  if (at >= 0) move(list.children[at].tile.name, at + step(e.key));
}

const ARROWS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'];
const openKeys = keyboard([
  { keys: ARROWS, text: 'Go from camera to camera', run: go },
  { keys: ['Enter'], text: 'Open the camera' },
  { keys: ARROWS.map((key) => `Shift+${key}`), show: 'Shift ← → ↑ ↓', text: 'Move the camera to another place', run: carry },
  { keys: ['/'], text: 'Search', run: () => search.focus() },
  { keys: ['f'], text: 'Full screen', run: () => toggleFullscreen(document.documentElement) },
]);

search.addEventListener('input', render);
search.addEventListener('keydown', (e) => {
  if (e.key !== 'Escape') return;
  search.value = '';
  render();
  search.blur();
});
for (const button of document.querySelectorAll('[data-layout]')) {
  button.addEventListener('click', () => setLayout(button.dataset.layout));
}
byId('keys').addEventListener('click', openKeys);
byId('full').addEventListener('click', () => toggleFullscreen(document.documentElement));
document.addEventListener('fullscreenchange', () => {
  const on = Boolean(document.fullscreenElement);
  setIcon(byId('full'), on ? 'unfull' : 'full');
  nameControl(byId('full'), on ? 'Leave full screen' : 'Full screen', 'f');
  keepAwake(on);
});
byId('theme').addEventListener('click', () => { window.camgateTheme.next(); showTheme(); });
byId('share').addEventListener('click', async () => {
  // A link for other people: without the token that this page was opened with.
  const shared = new URL(location.pathname + writeView(location.search, { layout, paths: shownNames() }), location.href);
  for (const key of ['token', 'jwt']) shared.searchParams.delete(key);
  const url = shared.href.replace(/%2C/g, ',').replace(/%2F/g, '/');
  say(await copyText(url) ? 'Link to this view copied' : url);
});
byId('copy-yaml').addEventListener('click', async () => {
  say(await copyText(YAML) ? 'Copied' : 'Select the lines and copy them by hand');
});
byId('banner-action').addEventListener('click', () => location.reload());

function showTheme() { nameControl(byId('theme'), `Colours: ${window.camgateTheme.choice}`); }

// A wall monitor in full screen must not fall asleep.
let lock = null;
async function keepAwake(on) {
  if (!navigator.wakeLock) return;
  if (on && !lock) lock = await navigator.wakeLock.request('screen').catch(() => null);
  else if (!on && lock) { lock.release(); lock = null; }
}

fillIcons();
showTheme();
showLayout();
setText(byId('yaml'), YAML);
document.documentElement.classList.toggle('bare', !flag(query, 'controls', true));
expose(() => [...tiles.values()].map((tile) => tile.feed));
poller.start();
