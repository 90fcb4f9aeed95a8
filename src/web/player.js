// The player: one path, as large as the window allows. Also what an <iframe> of /{path} shows:
// then compact, and with MediaMTX's query switches (controls, muted, autoplay, playsInline).

import { Feed, expose } from './feed.js';
import { Overlay, Delay } from './overlay.js';
import { Notice } from './notice.js';
import { Poller } from './poll.js';
import { Quality } from './stats.js';
import { Switch } from './switch.js';
import { Timeline } from './timeline.js';
import { keyboard } from './keys.js';
import { saveSnapshot } from './shot.js';
import { credentials, fillIcons, flag, nameControl, pathFromLocation, say, setIcon, setText, store, toggleFullscreen, urlOfPath } from './util.js';

const HIDDEN_MS = 60000; // a tab in the background that is not heard either lets go after that
const STILL_MS = 3000;

const byId = (id) => document.getElementById(id);
const [root, video, chip] = ['player', 'video', 'chip'].map(byId);
const query = new URLSearchParams(location.search);
const access = credentials();
const name = pathFromLocation(location.pathname);
const framed = window.self !== window.top;

const options = {
  controls: flag(query, 'controls', true),
  // What the address says, else what the person chose last, else silent (autoplay rules).
  muted: flag(query, 'muted', framed || store.get('muted', true)),
  autoplay: flag(query, 'autoplay', true),
  inline: flag(query, 'playsinline', true),
};
let paused = !options.autoplay;
let hidden = false;
let away = 0;
let infoOpen = false;

video.playsInline = options.inline;
video.muted = options.muted;
video.volume = store.get('volume', 100) / 100;

const feed = new Feed({ name, video, audio: true, lowLatency: true });
const { session } = feed;
const quality = new Quality();
const delay = new Delay(video);
let grade = Quality.of(0);
const overlay = new Overlay(byId('overlay'), name, () => showInfo(false));
const notice = new Notice(byId('notice'), { name, onTry: () => tryNow(), onPlay: () => setPaused(false), onSignIn: () => location.reload() });

const timeline = new Timeline(byId('timeline'), session);
const protocol = new Switch(byId('protocol'), byId('fallback'), session, () => { quality.reset(); show(); });

// --- playing ---

async function play() {
  if (paused) return;
  try {
    await video.play();
    byId('hear').hidden = true;
  } catch (e) {
    // Browsers let a page make noise only after a touch or a key: silent then, and say so.
    if (e.name !== 'NotAllowedError' || video.muted) return;
    video.muted = true;
    byId('hear').hidden = false;
    video.play().catch(() => {});
  }
}

function setPaused(on) {
  paused = on;
  if (on) video.pause();
  want();
  if (!on) play();
  show();
}

/** Pausing a live picture lets go of the session; going on joins anew, at the live edge. */
function want() { feed.want(!paused && !hidden); }

function tryNow() {
  poller.now();
  if (session.open) session.retryNow();
  else want();
  show();
}

function setMuted(on) {
  video.muted = on;
  byId('hear').hidden = true;
  store.set('muted', on);
  if (!on && video.volume === 0) setVolume(50);
  if (!paused) play();
}

function setVolume(percent) {
  video.volume = percent / 100;
  store.set('volume', percent);
}

session.addEventListener('track', play);
video.addEventListener('volumechange', show);
// Not our doing (power saving, a picture-in-picture window closed): live goes on.
video.addEventListener('pause', () => { if (!paused && session.open && !document.hidden) play(); });

if ('mediaSession' in navigator) {
  const set = (action, run) => { try { navigator.mediaSession.setActionHandler(action, run); } catch { /* not this one */ } };
  set('play', () => setPaused(false));
  set('pause', () => setPaused(true));
  if ('MediaMetadata' in window) navigator.mediaSession.metadata = new MediaMetadata({ title: name, artist: 'camgate' });
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(away);
  if (!document.hidden) { hidden = false; want(); return; }
  away = setTimeout(() => {
    hidden = video.muted && document.pictureInPictureElement !== video;
    want();
  }, HIDDEN_MS);
});
addEventListener('pagehide', () => feed.want(false));
addEventListener('pageshow', (e) => { if (e.persisted) want(); });

// --- what it shows ---

function show() {
  const { state, view, status } = feed;
  const shown = paused ? 'paused' : state;
  root.dataset.state = shown;
  root.dataset.pathState = status ? status.state : 'unknown';
  chip.dataset.tone = paused ? 'calm' : view.tone;
  setIcon(chip, paused ? 'pause' : view.icon);
  const text = paused ? 'Paused' : view.reason ? `${view.word}: ${view.reason}` : view.word;
  setText(chip.querySelector('.chip-text'), text);
  chip.title = text;
  document.title = state === 'playing' ? `${name} · camgate` : `${text} · ${name} · camgate`;
  setText(byId('viewer-count'), status ? String(status.readers) : '–');

  setIcon(byId('play'), paused ? 'play' : 'pause');
  nameControl(byId('play'), paused ? 'Play' : 'Pause', 'space');
  const sound = soundNote(status);
  const silent = video.muted || video.volume === 0;
  byId('mute').disabled = byId('volume').disabled = Boolean(sound);
  setIcon(byId('mute'), silent || sound ? 'muted' : 'sound');
  nameControl(byId('mute'), sound || (silent ? 'Sound on' : 'Sound off'), sound ? null : 'm');
  byId('volume').value = String(video.muted ? 0 : Math.round(video.volume * 100));
  protocol.show(shown === 'playing');
  timeline.show(shown === 'playing' || shown === 'reconnecting');
  notice.show({ paused, state: shown, view, status, session });
  if (shown !== 'playing') showGrade(Quality.of(0));
  if (infoOpen) fillInfo();
}

/** Why there is nothing to hear, or null. */
function soundNote(status) {
  if (!status || status.state !== 'live') return null;
  const audio = status.tracks.find((track) => track.kind === 'audio');
  if (!audio) return 'This camera sends no sound';
  if (session.protocol === 'hls') return audio.hls === false ? `No sound: ${audio.codec} is not playable over HLS` : null;
  return audio.playable ? null : `No sound: ${audio.codec} is ${audio.note || 'not playable'}${audio.hls ? '; HLS has it' : ''}`;
}

function showGrade(next) {
  grade = next;
  byId('quality').dataset.grade = String(grade.grade);
  setText(byId('quality-word'), grade.word);
  setIcon(byId('quality'), `bars${Math.max(1, grade.grade)}`);
}

session.addEventListener('stats', ({ detail }) => {
  if (feed.state === 'playing') showGrade(quality.push(detail));
  else quality.reset();
  timeline.show(feed.state === 'playing');
  protocol.show(feed.state === 'playing');
  if (infoOpen) fillInfo();
});

function fillInfo() {
  overlay.show({ status: feed.status, session, delayMs: delay.value(session.stats && session.stats.rttMs), quality: grade });
}

function showInfo(open) {
  infoOpen = open;
  byId('overlay').hidden = !open;
  byId('info').setAttribute('aria-pressed', String(open));
  delay.run(open);
  if (open) fillInfo();
  else if (byId('overlay').contains(document.activeElement)) byId('info').focus();
}

feed.addEventListener('change', show);
session.addEventListener('picture', () => poller.now()); // we count as a viewer now

// --- picture in picture, full screen, the fading bar ---

const pip = document.pictureInPictureEnabled && video.requestPictureInPicture;
byId('pip').hidden = !pip;
function togglePip() {
  if (!pip) return say('This browser has no picture in picture for pages');
  if (document.pictureInPictureElement) document.exitPictureInPicture().catch(() => {});
  else video.requestPictureInPicture().catch(() => say('Picture in picture needs a picture first'));
}
for (const [event, on] of [['enterpictureinpicture', true], ['leavepictureinpicture', false]]) {
  video.addEventListener(event, () => byId('pip').setAttribute('aria-pressed', String(on)));
}

const full = () => toggleFullscreen(root, video);
byId('full').hidden = !(document.fullscreenEnabled || video.webkitEnterFullscreen);
let still = 0;
function stir() {
  root.classList.remove('still');
  clearTimeout(still);
  still = setTimeout(() => root.classList.add('still'), STILL_MS);
}
function showOver() {
  const on = Boolean(document.fullscreenElement);
  setIcon(byId('full'), on ? 'unfull' : 'full');
  nameControl(byId('full'), on ? 'Leave full screen' : 'Full screen', 'f');
  const over = on || framed;
  root.classList.toggle('over', over);
  document.querySelector('.bar').classList.toggle('on-video', over);
  // Dialogs and messages have to be inside what is full screen.
  (on ? root : document.body).append(byId('said'));
  stir();
}
document.addEventListener('fullscreenchange', showOver);
for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) root.addEventListener(event, stir);

// --- hands on ---

const keys = [
  { keys: [' '], text: 'Play or pause', run: () => setPaused(!paused) },
  { keys: ['m'], text: 'Sound on or off', run: () => { if (!byId('mute').disabled) setMuted(!video.muted); } },
  { keys: ['f'], text: 'Full screen', run: full },
  { keys: ['p'], text: 'Picture in picture', run: togglePip },
  { keys: ['i'], text: 'Information', run: () => showInfo(!infoOpen) },
];
const openKeys = keyboard(keys);
byId('play').addEventListener('click', () => setPaused(!paused));
byId('mute').addEventListener('click', () => setMuted(!video.muted));
byId('hear').addEventListener('click', () => setMuted(false));
byId('volume').addEventListener('input', (e) => {
  setVolume(Number(e.target.value));
  setMuted(Number(e.target.value) === 0);
});
byId('shot').addEventListener('click', () => saveSnapshot(video, name));
byId('pip').addEventListener('click', togglePip);
byId('info').addEventListener('click', () => showInfo(!infoOpen));
byId('keys').addEventListener('click', openKeys);
byId('full').addEventListener('click', full);
byId('stage').addEventListener('dblclick', (e) => { if (e.target === video || e.target === byId('notice')) full(); });

// --- the camera in hand ---

let ptz = null;
let fetching = false;
async function followPtz(status) {
  if (!status || !(status.ptz || status.ptzRefused)) {
    if (ptz) ptz.dispose();
    ptz = null;
  } else if (ptz) {
    ptz.follow(status);
  } else if (options.controls && !fetching) {
    fetching = true;
    // Where it cannot be fetched, the next poll tries again.
    const module = await import('./ptz.js').catch(() => null);
    fetching = false;
    if (module) ptz = new module.Ptz({ name, stage: byId('stage'), video, button: byId('ptz'), keys, open: !framed, status });
  }
}

// --- the server's word ---

const poller = new Poller(urlOfPath(name), access.headers, (status) => {
  notice.server(null);
  feed.setStatus(status);
  feed.setServer(true);
  followPtz(status);
}, (failure) => {
  notice.server(failure.status === 0 && failure.failures < 2 ? null : failure);
  if (failure.status === 0) feed.setServer(false);
  // Unknown to the server or not for us: then there is no state to go by any more.
  else {
    feed.setStatus(null);
    if (failure.status === 404) followPtz(null);
  }
});

fillIcons();
setText(byId('name'), name);
byId('back').href = '/' + access.query;
root.classList.toggle('compact', framed);
root.classList.toggle('bare', !options.controls);
nameControl(byId('pip'), 'Picture in picture', 'p');
nameControl(byId('info'), 'Information', 'i');
showOver();
showGrade(grade);
expose(() => [feed]);
want();
show();
poller.start();
