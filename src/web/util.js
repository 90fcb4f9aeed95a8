// Small helpers that every part of the page shares. No state beyond localStorage.

/** Builds an element: h('p', {class: 'x', onclick: f}, 'text', child). No inline styles (CSP). */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'dataset') Object.assign(el.dataset, value);
    else if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? '' : value);
  }
  el.append(...children.filter((child) => child !== null && child !== undefined));
  return el;
}

const SHAPES = {
  play: 'M7 4.5v15l12-7.5z',
  pause: 'M8 5v14M16 5v14',
  sound: 'M4 9.5v5h3.5L12 19V5L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  muted: 'M4 9.5v5h3.5L12 19V5L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  shot: 'M3 7.5h4l2-2.5h6l2 2.5h4v11.5H3zM12 9.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7',
  pip: 'M3 5h18v14H3zM12 12h6v4h-6z',
  full: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  unfull: 'M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 11v6M12 7.2v.1',
  keys: 'M3 6h18v12H3zM7 10v.1M11 10v.1M15 10v.1M8 14h8',
  back: 'M14 5l-7 7 7 7',
  wall: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5L20 20',
  viewers: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  theme: 'M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  close: 'M6 6l12 12M18 6L6 18',
  live: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8',
  wait: 'M12 3a9 9 0 1 0 9 9',
  again: 'M20 5v5h-5M20 10a8.5 8.5 0 1 0 .5 4',
  down: 'M12 3.5l9.5 16.5h-19zM12 10v4.5M12 17.2v.1',
  none: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M5.6 5.6l12.8 12.8',
  idle: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3 2',
  steer: 'M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3',
  'to-up': 'M6 15l6-6 6 6', 'to-down': 'M6 9l6 6 6-6', 'to-left': 'M15 6l-6 6 6 6', 'to-right': 'M9 6l6 6-6 6',
  plus: 'M12 5v14M5 12h14', minus: 'M5 12h14',
  pen: 'M4 20l1-4.5L15.5 5l3.5 3.5L8.5 19z',
  save: 'M12 4v11M7.5 10.5L12 15l4.5-4.5M5 20h14',
  more: 'M5 12v.1M12 12v.1M19 12v.1',
  bin: 'M5 7h14M9.5 7V4h5v3M7 7l1 13h8l1-13',
  bars1: 'M5 19v-3', bars2: 'M5 19v-3M12 19v-8', bars3: 'M5 19v-3M12 19v-8M19 19V5',
};
const SOLID = new Set(['live', 'play']);

/** An icon; always decorative, the word beside it or the control's name says what it is. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', `icon${SOLID.has(name) ? ' solid' : ''} icon-${name}`);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', SHAPES[name] || '');
  svg.append(path);
  return svg;
}

/** Puts an icon into every element that asks for one with data-icon. */
export function fillIcons(root = document) {
  for (const el of root.querySelectorAll('[data-icon]')) setIcon(el, el.dataset.icon);
}

/** Shows `name` as the icon of a control; leaves the element alone when it already does. */
export function setIcon(el, name) {
  const old = el.querySelector(':scope > svg');
  if (old && el.dataset.shown === name) return;
  el.dataset.shown = name;
  if (old) old.replaceWith(icon(name));
  else el.prepend(icon(name));
}

/** Sets a button's name for screen readers and its tooltip in one go. */
export function nameControl(el, name, key) {
  if (el.getAttribute('aria-label') === name) return;
  el.setAttribute('aria-label', name);
  el.title = key ? `${name} (${key})` : name;
}

/** Writes text only when it changed: no needless layout, no needless announcements. */
export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** localStorage that is allowed to be closed to us (private windows, foreign iframes). */
export const store = {
  get(key, fallback) {
    try {
      const value = localStorage.getItem(`camgate.${key}`);
      return value === null ? fallback : JSON.parse(value);
    } catch { return fallback; }
  },
  set(key, value) {
    try { localStorage.setItem(`camgate.${key}`, JSON.stringify(value)); } catch { /* as above */ }
  },
};

function decode(segment) {
  try { return decodeURIComponent(segment); } catch { return segment; }
}

/** The path's name from location.pathname: percent-decoded once, segment by segment. */
export function pathFromLocation(pathname) {
  return pathname.split('/').filter(Boolean).map(decode).join('/');
}

/** `/yard/north` for the path `yard/north`. */
export function urlOfPath(name) {
  return '/' + name.split('/').map(encodeURIComponent).join('/');
}

/**
 * What the page was opened with (`?token=…` or `?jwt=…`): sent on as a Bearer header, which
 * stays out of access logs, and kept in links between wall and player. Basic authentication
 * is the browser's own matter.
 */
export function credentials(search = location.search) {
  const query = new URLSearchParams(search);
  const key = ['token', 'jwt'].find((name) => query.get(name));
  const token = key ? query.get(key) : null;
  return {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    query: key ? `?${key}=${encodeURIComponent(token)}` : '',
    given: token !== null,
  };
}

/** A switch in the query as MediaMTX reads it: 1, true and yes are on, anything else is off. */
export function flag(query, name, fallback) {
  for (const [key, value] of query) {
    if (key.toLowerCase() === name) return ['1', 'true', 'yes', ''].includes(value.toLowerCase());
  }
  return fallback;
}

/** Copies text; also where the page is plain http and the clipboard API is closed. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', { class: 'offscreen', 'aria-hidden': 'true', tabindex: '-1' });
    area.value = text;
    // Inside an open dialog, focus cannot leave it.
    (document.querySelector('dialog[open]') || document.fullscreenElement || document.body).append(area);
    const focused = document.activeElement;
    area.select();
    let ok = false;
    try { ok = document.execCommand('copy'); } catch { /* then the person copies by hand */ }
    area.remove();
    if (focused) focused.focus({ preventScroll: true });
    return ok;
  }
}

/** Full screen on and off; iPhones can do it for the video alone. */
export function toggleFullscreen(el, video) {
  if (document.fullscreenElement) return void document.exitFullscreen();
  if (el.requestFullscreen) el.requestFullscreen().catch(() => {});
  else if (video && video.webkitEnterFullscreen) video.webkitEnterFullscreen();
}

let said;
/** Says something once to everybody: a short line on screen that screen readers announce. */
export function say(text) {
  const el = document.getElementById('said');
  setText(el, text);
  el.dataset.shown = '1';
  clearTimeout(said);
  said = setTimeout(() => { delete el.dataset.shown; }, 3000);
}
