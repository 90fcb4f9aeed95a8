// Small pictures of presets, taken when they were saved; kept in this browser, the oldest go first.

import { thumbSize } from './ptz-geometry.js';
import { credentials, h, store, urlOfPath } from './util.js';

const access = credentials();
const KEY = 'ptz.pictures';
const MOST = 48;
const MOST_LETTERS = 12000; // of one picture, as a data URL
const WIDE = 160;
const QUALITY = 0.6;

const nameOf = (path, id) => `${path}\n${id}`;

/** Puts a picture in, at the end; drops the oldest beyond `most`. Pure: `all` is [[name, url]]. */
export function kept(all, name, url, most = MOST) {
  const others = all.filter(([other]) => other !== name);
  if (!url || url.length > MOST_LETTERS) return others;
  return [...others, [name, url]].slice(-most);
}

function read() {
  const all = store.get(KEY, []);
  // It goes into an <img>: only what we put there.
  const good = (entry) => Array.isArray(entry) && typeof entry[0] === 'string' && String(entry[1]).startsWith('data:image/jpeg;');
  return Array.isArray(all) ? all.filter(good) : [];
}

/** The picture of a preset as a data URL, or null. */
export function pictureOf(path, id) {
  const entry = read().find(([name]) => name === nameOf(path, id));
  return entry ? entry[1] : null;
}

export const forget = (path, id) => store.set(KEY, kept(read(), nameOf(path, id), null));

/** Takes what is on screen, else the path's last picture. */
export async function take(path, id, video) {
  const there = video.videoWidth > 0 && video.readyState >= 2;
  const url = there ? small(video, video.videoWidth, video.videoHeight) : await last(path);
  if (url) store.set(KEY, kept(read(), nameOf(path, id), url));
}

function small(source, width, height) {
  const canvas = h('canvas', thumbSize(width, height, WIDE));
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) return null;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/jpeg', QUALITY);
}

async function last(path) {
  try {
    const res = await fetch(`${urlOfPath(path)}/snapshot.jpg?width=160`, { headers: access.headers, cache: 'no-cache' });
    if (!res.ok) return null;
    const bitmap = await createImageBitmap(await res.blob());
    return small(bitmap, bitmap.width, bitmap.height);
  } catch { return null; }
}
