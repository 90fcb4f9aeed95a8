// The figures of an HLS session, in the shape of stats.js: what has no meaning here is null.

import { h264Profile } from './sdp.js';

const NAMES = { avc1: 'H.264', avc3: 'H.264', hvc1: 'H.265', hev1: 'H.265', mp4a: 'AAC', opus: 'Opus' };
const KEPT = 8; // seconds that a bit rate is taken over: data comes in lumps

const codecName = (codec) => (codec ? NAMES[codec.split('.')[0].toLowerCase()] || codec : null);

export class HlsStats {
  #bytes = 0;
  #waits = 0;
  #history = [];

  constructor(video) { this.video = video; }

  /** So many bytes came. */
  loaded(bytes) { this.#bytes += bytes || 0; }

  /** The video ran out of data. */
  waited() { this.#waits += 1; }

  sample(hls, behindMs) {
    const { video } = this;
    const at = performance.now();
    const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
    const before = this.#history[this.#history.length - 1];
    const oldest = this.#history[0];
    const seconds = (since) => (at - since.at) / 1000;
    const level = hls && hls.levels[Math.max(0, hls.currentLevel)];
    const codec = level ? level.videoCodec : null;
    const end = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : video.currentTime;
    const now = { at, bytes: this.#bytes, frames: totalVideoFrames, waits: this.#waits };
    this.#history.push(now);
    if (this.#history.length > KEPT) this.#history.shift();
    return {
      at,
      video: {
        codec: codecName(codec),
        profile: codec && codec.startsWith('avc') ? h264Profile(`profile-level-id=${codec.split('.')[1]}`) : null,
        width: video.videoWidth || null,
        height: video.videoHeight || null,
        fps: before ? Math.max(0, totalVideoFrames - before.frames) / seconds(before) : null,
        bitrate: oldest && this.#bytes ? ((this.#bytes - oldest.bytes) * 8) / seconds(oldest) : null,
        bytes: this.#bytes,
        packetsReceived: 0,
        packetsLost: 0,
        loss: null,
        framesDecoded: totalVideoFrames,
        framesDropped: droppedVideoFrames,
        freezes: this.#waits,
        frozen: Boolean(before && this.#waits > before.waits),
        jitterMs: null,
        jitterBufferMs: null,
      },
      audio: level && level.audioCodec ? { codec: codecName(level.audioCodec), bytes: 0, bitrate: null } : null,
      bytes: this.#bytes,
      rttMs: null,
      local: null,
      remote: null,
      behindMs,
      targetMs: hls && hls.targetLatency !== null ? hls.targetLatency * 1000 : null,
      bufferMs: Math.max(0, end - video.currentTime) * 1000,
    };
  }
}
