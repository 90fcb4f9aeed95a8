// Why there is no picture, in words that say what was tried and what to do. Pure: each
// function returns {kind, title, tried, advice, retry, afterMs}.
//   retry: 'soon'  back-off from half a second
//          'slow'  trying again changes little by itself; once in 30 s
//          'never' only a person can change it (signing in)
//   afterMs: not before that (the server's Retry-After), or 0

import { addresses, hostPort } from './sdp.js';

const failure = (kind, title, tried, advice, retry = 'soon', afterMs = 0) =>
  ({ kind, title, tried, advice, retry, afterMs });

/** Retry-After in seconds or as a date → milliseconds. */
export function retryAfter(value, now = Date.now()) {
  if (!value) return 0;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), 300000) : 0;
}

/** Begins with a capital, ends with a stop: the server's reasons come without. */
export const sentence = (text) => {
  if (!text) return '';
  const trimmed = text.trim();
  const upper = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(upper) ? upper : `${upper}.`;
};

/** The server's answer to the POST was no 201. `error` is its own sentence. */
export function fromResponse(status, error, { path, credentialsGiven = false, retryAfterMs = 0 } = {}) {
  const own = sentence(error);
  switch (status) {
    case 401:
      return failure('auth', 'Sign in to watch', own || 'The server wants to know who is asking.',
        credentialsGiven
          ? 'The token in the address was not accepted: it may have expired. Open the page with a new one.'
          : 'Sign in with a user that may read this path, or open the page with ?token=…', 'never');
    case 403:
      return failure('forbidden', 'Not allowed', own || `This user may not read “${path}”.`,
        'Ask for the permission “read” on this path (authInternalUsers).', 'slow');
    case 404:
      return failure('notFound', 'Nothing here yet', own || `There is no path “${path}”, or nobody publishes to it.`,
        'Check the name, or start the publisher. The picture comes by itself.', 'soon', retryAfterMs || 2000);
    case 429:
      return failure('tooMany', 'Too many requests', own, 'The server asks this address to slow down.', 'soon', retryAfterMs || 5000);
    case 503:
      return failure('full', 'Full', own || 'This path has as many readers as it may.',
        'Somebody has to leave first, or raise maxReaders.', 'soon', retryAfterMs || 3000);
    case 400: case 406: case 415: case 422:
      return failure('codec', 'This browser cannot play it', own || `The server answered ${status}.`,
        'Another browser may play it; or set the camera to H.264 without B-frames.', 'slow');
    case 502: case 504:
      return failure('camera', status === 502 ? 'The camera refuses' : 'The camera is silent', own,
        'Check the camera, its address and its password.', 'soon', retryAfterMs || 2000);
    default:
      return failure('server', 'The server could not do it', own || `It answered ${status}.`,
        'Its log says more.', 'soon', retryAfterMs);
  }
}

/** No answer at all. */
export function unreachable(host, slow) {
  return failure('network', 'camgate does not answer',
    slow ? `${host} took the question but gave no answer in time.` : `No connection to ${host}.`,
    'Is it running, and is the network up? This page goes on by itself.');
}

/** The offer was answered, but no path through the network was found. */
export function noRoute(answer, { turnErrors = [], relay = false } = {}) {
  const tried = addresses(answer);
  const udp = tried.filter((c) => c.protocol === 'UDP');
  const turn = turnErrors.length ? ` ${turnErrors.slice(0, 2).map(sentence).join(' ')}` : '';
  if (tried.length === 0) {
    return failure('ice', 'No way to the picture', `The server named no address to send to.${turn}`,
      'Name one: webrtcIPsFromInterfacesList or webrtcAdditionalHosts.');
  }
  const names = tried.slice(0, 3).map((c) => hostPort(c.address, c.port)).join(', ');
  const more = tried.length > 3 ? ` and ${tried.length - 3} more` : '';
  const ports = [...new Set(udp.map((c) => c.port))];
  const which = ports.length === 1 ? 'the port' : 'the ports';
  return failure('ice', 'No way to the picture',
    `No ${udp.length === tried.length ? 'UDP' : udp.length ? 'UDP or TCP' : 'TCP'} to ${names}${more}.${turn}`,
    `Open ${which} (webrtcLocalUDPAddress, or webrtcPortRange with webrtcbin) in firewall and container, or set webrtcAdditionalHosts to an address that this browser can reach${relay ? '' : ', or name a TURN server (webrtcICEServers2)'}.`);
}

/** The network path stood, the encryption on it did not. */
export function noHandshake(pair) {
  return failure('dtls', 'The connection was not secured', `The network path stands${pair ? ` (${pair})` : ''}, the DTLS handshake failed on it.`,
    'A firewall that looks into UDP, or a clock far off, can cause this.');
}

/** Connected, and nothing to see. */
export function noPicture(flowing) {
  return flowing
    ? failure('noPicture', 'No picture', 'Data arrives, but the browser makes no picture of it.',
      'The camera’s codec profile may be too much for it: try H.264 Main or Baseline.')
    : failure('noPicture', 'No picture', 'Connected, but no video arrives.', 'Joining again.');
}

/** The answer carries no video that this browser plays. */
export function noVideo(tracks = []) {
  const video = tracks.find((track) => track.kind === 'video');
  const what = video ? `${video.codec}${video.profile ? ` ${video.profile}` : ''}` : 'the video';
  return failure('codec', 'This browser cannot play it', `It offered no codec that fits ${what}.`,
    'Another browser may play it (Safari and recent Chrome on fast machines take H.265); or set the camera to H.264.', 'slow');
}

/** The server knows beforehand that this track cannot go over WebRTC. */
export function notOverWebrtc(track) {
  const what = `${track.codec}${track.profile ? ` ${track.profile}` : ''}`;
  return failure('codec', 'Not over WebRTC', `${what} is ${track.note || 'not playable over WebRTC'}.`,
    `Set the camera to ${track.kind === 'video' ? 'H.264' : 'G.711 or Opus'} for less delay.`, 'slow');
}

/** Neither hls.js nor the browser itself plays what comes over HLS. */
export function noHlsCodec(tracks = []) {
  const video = tracks.find((track) => track.kind === 'video');
  return failure('codec', 'This browser cannot play it', `It has no decoder for ${video ? video.codec : 'the video'} over HLS.`,
    'Another browser may play it (Safari and recent Chrome on fast machines take H.265); or set the camera to H.264.', 'slow');
}

/** The browser has neither Media Source Extensions nor HLS of its own. */
export function noHls() {
  return failure('client', 'No HLS in this browser', 'It has neither Media Source Extensions nor HLS of its own.', 'Use another browser.', 'never');
}

/** Two protocols were tried, both in vain: one account of both. */
export function both(webrtc, hls) {
  return { ...hls, title: webrtc.title, tried: `${webrtc.tried} HLS: ${hls.tried}`, advice: webrtc.advice };
}

/** The browser has no WebRTC. */
export function noWebrtc() {
  return failure('client', 'No WebRTC in this browser', 'It is switched off, or an extension blocks it.', 'Allow it for this page, or use another browser.', 'never');
}

/** Something broke in the browser itself. */
export function inBrowser(error) {
  return failure('client', 'The browser gave up', sentence(error && error.message), 'Joining again.');
}

/** A running session came to its end. */
export function lost(how) {
  const tried = {
    ended: 'The server ended the session.',
    connection: 'The connection broke.',
    stalled: 'Data arrived without new pictures.',
    silent: 'No data arrived any more.',
  }[how];
  return failure('lost', 'Joining again', tried, '');
}
