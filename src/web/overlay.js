// The information overlay: what support asks for first, with a button that copies it as text.

import { copyText, h, icon, say, setText } from './util.js';
import { bitrateText, msText } from './stats.js';
import { reason } from './switch.js';

/** [[label, value]] of everything there is to tell. Pure. */
export function rows({ status, session, delayMs, quality }) {
  const stats = session.stats || {};
  const { video, audio } = stats;
  const of = (kind) => ((status && status.tracks) || []).find((track) => track.kind === kind);
  const source = of('video');
  const sound = of('audio');
  const size = video && video.width ? `${video.width} × ${video.height}` : '–';
  const percent = (part) => (part === null ? '–' : `${(part * 100).toFixed(1)} %`);
  const seconds = session.firstPictureMs;
  const hls = session.protocol === 'hls';
  const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;
  return [
    ['State', status ? `${status.state}${status.reason ? `: ${status.reason}` : ''}, since ${new Date(status.since).toLocaleString()}` : '–'],
    ['Video', videoText(video, source)],
    ['Audio', audioText(audio, sound)],
    ['Resolution', size],
    ['Frame rate', video && video.fps !== null ? `${video.fps.toFixed(1)} fps${source && source.fps ? ` of ${source.fps}` : ''}` : '–'],
    ['Bit rate', video ? bitrateText(video.bitrate) : '–'],
    ...(hls ? [] : [['Loss', video ? `${percent(video.loss)} now, ${video.packetsLost} of ${video.packetsReceived + video.packetsLost} packets` : '–']]),
    ['Frames', video ? `${video.framesDecoded} decoded, ${video.framesDropped} dropped${video.freezes === null ? '' : `, ${count(video.freezes, 'freeze', 'freezes')}`}` : '–'],
    ...(hls ? [
      ['Behind live', behindText(stats)],
      ['Buffer', msText(stats.bufferMs)],
    ] : [
      ['Round trip', msText(stats.rttMs ?? null)],
      ['Jitter buffer', video ? msText(video.jitterBufferMs) : '–'],
      ['Delay', delayMs === null ? '–' : `${msText(delayMs)} from camgate to the screen`],
    ]),
    ['Link', quality.word],
    ['Protocol', hls ? `${session.protocolName} by ${session.engine}` : 'WebRTC (WHEP)'],
    ['Why', reason(session)],
    ...(hls ? [] : [
      ['From', stats.remote || '–'],
      ['To', stats.local || '–'],
    ]),
    ['First picture', seconds === null ? '–' : `after ${seconds < 1000 ? msText(seconds) : `${(seconds / 1000).toFixed(2)} s`}`],
    ['Sessions', `${session.joins}, joined again ${count(session.reconnects, 'time', 'times')}`],
    ['Last failure', session.failure ? `${session.failure.title}. ${session.failure.tried}` : 'none'],
  ];
}

function behindText({ behindMs, targetMs }) {
  if (!behindMs) return '–';
  const text = `${(behindMs / 1000).toFixed(2)} s`;
  return targetMs ? `${text}, aims at ${(targetMs / 1000).toFixed(2)} s` : text;
}

/** Codec and profile: the camera's own word on its profile is truer than the negotiated one. */
function videoText(video, source) {
  const codec = (video && video.codec) || (source && source.codec);
  if (!codec) return '–';
  const same = source && source.codec.replace('.', '') === codec.replace('.', '');
  const profile = (same && source.profile) || (video && video.profile);
  return profile ? `${codec} ${profile}` : codec;
}

function audioText(audio, sound) {
  if (audio && audio.bitrate === null && audio.codec) return audio.codec;
  if (sound && !sound.playable) return `${sound.codec}, ${sound.note || 'not playable'}`;
  if (audio && audio.codec && audio.bytes) return `${audio.codec}, ${bitrateText(audio.bitrate)}`;
  return sound ? sound.codec : 'none';
}

/** For a mail to support; the address without its query, which may hold a token. */
export function asText(list, path) {
  const head = [['camgate', path], ['Page', location.origin + location.pathname], ['Time', new Date().toISOString()], ['Browser', navigator.userAgent]];
  return [...head, ...list].map(([label, value]) => `${label}: ${value}`).join('\n');
}

export class Overlay {
  #values = new Map();
  #last = [];
  #labels = '';

  /**
   * @param {HTMLElement} el  @param {string} path the path's name
   * @param {() => void} onClose
   */
  constructor(el, path, onClose) {
    this.el = el;
    this.list = h('dl', {});
    el.append(
      h('header', {},
        h('h2', { id: 'overlay-title' }, 'Information'),
        h('button', { type: 'button', class: 'button text', id: 'copy-info', onclick: async () => say(await copyText(asText(this.#last, path)) ? 'Copied' : 'The browser does not let this page copy') }, 'Copy as text'),
        h('button', { type: 'button', class: 'button', 'aria-label': 'Close information', title: 'Close (i)', onclick: onClose }, icon('close'))),
      this.list,
    );
    // It scrolls in small windows, so keys must reach it.
    el.tabIndex = -1;
    this.list.tabIndex = 0;
    this.list.setAttribute('aria-label', 'Figures');
  }

  show(data) {
    this.#last = rows(data);
    const labels = this.#last.map(([label]) => label).join();
    if (labels !== this.#labels) {
      // Another protocol has other figures.
      this.#labels = labels;
      this.#values.clear();
      this.list.replaceChildren();
    }
    for (const [label, value] of this.#last) {
      let dd = this.#values.get(label);
      if (!dd) {
        dd = h('dd', { dataset: { row: label } });
        this.#values.set(label, dd);
        this.list.append(h('dt', {}, label), dd);
      }
      setText(dd, value);
    }
  }
}

/**
 * Delay from camgate to the screen, as far as a browser can measure it without a common clock:
 * half a round trip, plus the time from a frame's last packet to its display. Smoothed.
 */
export class Delay {
  #ms = null;
  #on = false;

  constructor(video) { this.video = video; }
  get supported() { return Boolean(this.video.requestVideoFrameCallback); }

  run(on) {
    if (this.#on === on || !this.supported) return;
    this.#on = on;
    if (on) this.#next();
    else this.#ms = null;
  }

  #next() {
    this.video.requestVideoFrameCallback((_, frame) => {
      if (!this.#on) return;
      if (frame.receiveTime !== undefined) {
        const ms = Math.max(0, frame.expectedDisplayTime - frame.receiveTime);
        this.#ms = this.#ms === null ? ms : this.#ms * 0.9 + ms * 0.1;
      }
      this.#next();
    });
  }

  /** @returns {number|null} ms */
  value(rttMs) { return this.#ms === null || rttMs === null || rttMs === undefined ? null : this.#ms + rttMs / 2; }
}
