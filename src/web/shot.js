// Saves the picture that is on screen, or else the path's last one from the server.

import { credentials, h, say, urlOfPath } from './util.js';

const access = credentials();

function current(video) {
  if (!video.videoWidth || video.readyState < 2) return Promise.resolve(null);
  const canvas = h('canvas', { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d', { alpha: false }).drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.92));
}

async function last(name) {
  const res = await fetch(`${urlOfPath(name)}/snapshot.jpg`, { headers: access.headers, cache: 'no-cache' }).catch(() => null);
  return res && res.ok ? res.blob() : null;
}

/** `yard-north 2026-11-24 17.05.09.jpg`, by this computer's clock. */
export function fileName(name, now = new Date()) {
  const two = (n) => String(n).padStart(2, '0');
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join('-');
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join('.');
  return `${name.replace(/\//g, '-')} ${day} ${time}.jpg`;
}

export async function saveSnapshot(video, name) {
  const blob = (await current(video)) || (await last(name));
  if (!blob) return say('There is no picture yet');
  const url = URL.createObjectURL(blob);
  const file = fileName(name);
  h('a', { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  say(`Saved as ${file}`);
}
