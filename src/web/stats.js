// RTCStatsReport → the few figures that a person reads. Rates are over the time between two
// samples; a figure that the browser does not tell is null, never a guess.

import { h264Profile, hostPort } from './sdp.js';

const CODEC_NAMES = { H264: 'H.264', H265: 'H.265', VP8: 'VP8', VP9: 'VP9', AV1: 'AV1', opus: 'Opus', PCMU: 'G.711 µ-law', PCMA: 'G.711 A-law' };

const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);

function rate(now, before, key) {
  if (!before || number(now[key]) === null || number(before[key]) === null) return null;
  const seconds = (now.timestamp - before.timestamp) / 1000;
  return seconds > 0 ? Math.max(0, now[key] - before[key]) / seconds : null;
}

function describe(candidate) {
  if (!candidate) return null;
  const address = candidate.address || candidate.ip;
  const relay = candidate.relayProtocol ? ` by ${candidate.relayProtocol.toUpperCase()}` : '';
  // Chromium hides the address of our own host candidates from pages.
  const where = address ? ` ${hostPort(address, candidate.port)}` : candidate.port ? ` port ${candidate.port}` : '';
  return `${candidate.candidateType} ${String(candidate.protocol).toUpperCase()}${where}${relay}`;
}

/** Reads one peer connection; keeps the previous sample for rates. */
export class StatsReader {
  #before = {};

  constructor(pc) { this.pc = pc; }

  /** @returns {Promise<object>} see the return statement; bit rates in bit/s, times in ms */
  async sample() {
    const report = await this.pc.getStats();
    const all = [...report.values()];
    const inbound = (kind) => all.find((s) => s.type === 'inbound-rtp' && (s.kind || s.mediaType) === kind);
    const video = this.#track(report, inbound('video'));
    const audio = this.#track(report, inbound('audio'));
    const transport = all.find((s) => s.type === 'transport');
    const pair = (transport && report.get(transport.selectedCandidatePairId))
      || all.find((s) => s.type === 'candidate-pair' && (s.selected || (s.nominated && s.state === 'succeeded')));
    const rtt = pair ? number(pair.currentRoundTripTime) : null;
    return {
      at: performance.now(),
      video,
      audio,
      bytes: (video ? video.bytes : 0) + (audio ? audio.bytes : 0),
      rttMs: rtt === null ? null : rtt * 1000,
      local: pair ? describe(report.get(pair.localCandidateId)) : null,
      remote: pair ? describe(report.get(pair.remoteCandidateId)) : null,
    };
  }

  #track(report, now) {
    if (!now) return null;
    const before = this.#before[now.kind];
    this.#before[now.kind] = now;
    const codec = report.get(now.codecId);
    const mime = codec ? codec.mimeType.split('/')[1] : null;
    const bits = rate(now, before, 'bytesReceived');
    const since = (key) => (before ? Math.max(0, (now[key] || 0) - (before[key] || 0)) : 0);
    const lost = since('packetsLost');
    const expected = lost + since('packetsReceived');
    const emitted = since('jitterBufferEmittedCount');
    return {
      codec: mime ? CODEC_NAMES[mime] || mime : null,
      profile: codec ? h264Profile(codec.sdpFmtpLine) : null,
      width: number(now.frameWidth),
      height: number(now.frameHeight),
      // The first sample counts the burst of the join.
      fps: before ? number(now.framesPerSecond) ?? rate(now, before, 'framesDecoded') : null,
      bitrate: bits === null ? null : bits * 8,
      bytes: now.bytesReceived || 0,
      packetsReceived: now.packetsReceived || 0,
      packetsLost: now.packetsLost || 0,
      loss: expected > 0 ? lost / expected : null,
      framesDecoded: now.framesDecoded || 0,
      framesDropped: now.framesDropped || 0,
      freezes: number(now.freezeCount),
      frozen: since('freezeCount') > 0,
      jitterMs: number(now.jitter) === null ? null : now.jitter * 1000,
      jitterBufferMs: emitted > 0 ? (since('jitterBufferDelay') / emitted) * 1000 : null,
    };
  }
}

/**
 * Quality of the link in one word. Looks at the worst of the last samples, since one lost
 * packet a minute is not news but three bad seconds in ten are.
 */
export class Quality {
  #grades = [];

  /** @returns {{grade: 0|1|2|3, word: string}} 0 unknown, 1 poor, 2 fair, 3 good */
  push(sample) {
    const { video, rttMs } = sample;
    const loss = (video && video.loss) || 0;
    let grade = 3;
    if (loss > 0.01 || rttMs > 250 || (video && video.frozen)) grade = 2;
    if (loss > 0.05 || rttMs > 600) grade = 1;
    this.#grades.push(grade);
    if (this.#grades.length > 10) this.#grades.shift();
    // The third worst of ten: short trouble passes, lasting trouble shows.
    const sorted = [...this.#grades].sort();
    return Quality.of(sorted[Math.min(2, sorted.length - 1)]);
  }

  reset() { this.#grades = []; }

  static of(grade) { return { grade, word: ['–', 'Poor', 'Fair', 'Good'][grade] }; }
}

export function bitrateText(bits) {
  if (bits === null) return '–';
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`;
}

export function msText(ms) {
  return ms === null || ms === undefined ? '–' : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}
