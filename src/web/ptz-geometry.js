// From places on the screen to places in the picture. Pure; rectangles are {left, top, width,
// height} in pixels, points {x, y}; in the picture both run from 0 to 1, from the upper left.

/** A drag shorter than that (pixels) is a click. */
export const CLICK_PX = 8;
/** A box thinner than that (of the picture) is a slip of the hand. */
const MIN_SIDE = 0.01;

/**
 * CSS `object-position` as getComputedStyle gives it → {x, y} from 0 to 1. It is in per cent, but
 * a plain 0 comes back as `0px`, which is the same part.
 */
export function placing(text) {
  const part = (word) => (word.endsWith('%') ? parseFloat(word) / 100 : parseFloat(word) === 0 ? 0 : NaN);
  const [x, y] = String(text).split(' ').map(part);
  return { x: Number.isFinite(x) ? x : 0.5, y: Number.isFinite(y) ? y : 0.5 };
}

/**
 * Where the picture lies in its element (object-fit: contain), or null without a picture.
 * @param {{left, top, width, height}} box the element  @param {number} width @param {number} height of the video
 * @param {{x: number, y: number}} at which part of the spare room is before it
 */
export function pictureRect(box, width, height, at = { x: 0.5, y: 0.5 }) {
  if (!(width > 0 && height > 0 && box.width > 0 && box.height > 0)) return null;
  const scale = Math.min(box.width / width, box.height / height);
  const [wide, high] = [width * scale, height * scale];
  return { left: box.left + (box.width - wide) * at.x, top: box.top + (box.height - high) * at.y, width: wide, height: high };
}

/** A point of the screen in the picture; outside of it below 0 or above 1. */
export function toPicture(rect, { x, y }) {
  return { x: (x - rect.left) / rect.width, y: (y - rect.top) / rect.height };
}

/** Whether it is in the picture, not on the bars beside it. */
export const inside = ({ x, y }) => x >= 0 && x <= 1 && y >= 0 && y <= 1;

const clip = (n) => Math.min(1, Math.max(0, n));

/** The box between two points of the picture, cut off at its edges; null when there is hardly any. */
export function boxOf(a, b) {
  const [left, right] = [clip(Math.min(a.x, b.x)), clip(Math.max(a.x, b.x))];
  const [top, bottom] = [clip(Math.min(a.y, b.y)), clip(Math.max(a.y, b.y))];
  if (right - left < MIN_SIDE || bottom - top < MIN_SIDE) return null;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Whether two points of the screen are one click. */
export const isClick = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) < CLICK_PX;

/** Size for a copy of a picture that is no wider than `wide`. */
export function thumbSize(width, height, wide) {
  const scale = Math.min(1, wide / width);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
