// The last picture, kept while a session is replaced: a <video> whose tracks end goes black.

import { h } from './util.js';

const WIDE = 1280; // enough for a dimmed picture; 16 of them must not fill the memory

export class Still {
  constructor(video) {
    this.video = video;
    this.canvas = h('canvas', { class: 'still', 'aria-hidden': 'true' });
    this.canvas.hidden = true;
    video.before(this.canvas);
  }

  /** Takes what the video shows now. */
  take() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || !this.canvas.hidden) return;
    const scale = Math.min(1, WIDE / videoWidth);
    this.canvas.width = Math.round(videoWidth * scale);
    this.canvas.height = Math.round(videoHeight * scale);
    const context = this.canvas.getContext('2d', { alpha: false });
    if (!context) return;
    context.drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    this.canvas.hidden = false;
  }

  /** A new picture is there. Gives the memory back, too. */
  drop() {
    if (this.canvas.hidden) return;
    this.canvas.hidden = true;
    this.canvas.width = this.canvas.height = 0;
  }
}
