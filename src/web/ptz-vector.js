// How fast the camera is to go, from what a hand does. Pure.
// A velocity is {pan, tilt, zoom}, each −1…1: + is right, up, in.

/** No movement. */
export const REST = Object.freeze({ pan: 0, tilt: 0, zoom: 0 });

const AXES = ['pan', 'tilt', 'zoom'];
const DEAD = 0.12; // of the way from the centre to the rim: where a resting thumb does nothing
const CURVE = 1.6; // slow near the centre, where small corrections are made
const SNAP = Math.PI / 20; // so close to an axis (9°), it is meant to go straight
const STICK_DEAD = 0.15; // worn sticks do not come back to nought
const TRIGGER_DEAD = 0.05;

const BY_KEY = {
  left: { pan: -1 }, right: { pan: 1 }, up: { tilt: 1 }, down: { tilt: -1 }, in: { zoom: 1 }, out: { zoom: -1 },
};

// Not -0, which JSON and people read as a direction.
const clamp = (n) => Math.min(1, Math.max(-1, Number.isFinite(n) ? n : 0)) + 0;

/** Distance from rest, 0…1 → speed, 0…1. */
function ease(distance, dead) {
  if (!(distance > dead)) return 0;
  return Math.min(1, (distance - dead) / (1 - dead)) ** CURVE;
}

/** Offset (x right, y down, in radii) → pan and tilt: speed by distance from the centre. */
function radial(x, y, dead) {
  const distance = Math.hypot(x, y);
  const speed = ease(distance, dead);
  if (!speed) return REST;
  let angle = Math.atan2(-y, x);
  const straight = Math.round(angle / (Math.PI / 2)) * (Math.PI / 2);
  if (Math.abs(angle - straight) < SNAP) angle = straight;
  // cos(90°) is a very small number, not nought.
  const part = (n) => (Math.abs(n) < 1e-9 ? 0 : clamp(n * speed));
  return { pan: part(Math.cos(angle)), tilt: part(Math.sin(angle)), zoom: 0 };
}

/** The round pad: where the pointer is from its centre, in radii; beyond the rim it is full speed. */
export const fromPad = (x, y) => radial(x, y, DEAD);

/** The zoom rocker: how far up the pointer is from its middle, −1…1. */
export function fromRocker(up) {
  return { ...REST, zoom: clamp(Math.sign(up) * ease(Math.abs(up), DEAD)) };
}

/** Directions that are held down: any of left, right, up, down, in, out. */
export function fromHeld(directions) {
  return sum(...[...directions].map((direction) => ({ ...REST, ...BY_KEY[direction] })));
}

/** A gamepad (standard mapping): left stick or cross to pan and tilt, right and left trigger to zoom. */
export function fromGamepad({ axes, buttons, mapping }) {
  const stick = radial(axes[0] || 0, axes[1] || 0, STICK_DEAD);
  // Without the standard mapping nobody knows which button is which.
  if (mapping !== 'standard') return stick;
  const value = (at) => (buttons[at] ? buttons[at].value : 0);
  const cross = ['up', 'down', 'left', 'right'].filter((_, i) => value(12 + i) > 0.5);
  const trigger = value(7) - value(6);
  const zoom = Math.sign(trigger) * ease(Math.abs(trigger), TRIGGER_DEAD);
  return sum(stick, fromHeld(cross), { ...REST, zoom });
}

/** Several hands at once: added up, no faster than full speed. */
export function sum(...velocities) {
  return Object.fromEntries(AXES.map((axis) => [axis, clamp(velocities.reduce((n, v) => n + v[axis], 0))]));
}

/** At that part (0…1) of its speed, and in hundredths: finer steps would be requests for nothing. */
export function scaled(velocity, speed) {
  const round = (n) => Math.sign(n) * Math.max(0.01, Math.round(Math.abs(n) * 100) / 100);
  return Object.fromEntries(AXES.map((axis) => {
    const n = clamp(velocity[axis] * speed);
    return [axis, n === 0 ? 0 : round(n)];
  }));
}

/** How far out (0…1) a hand is that wants this velocity: for the picture of the knob. */
export function reach({ pan, tilt }) {
  const speed = Math.hypot(pan, tilt);
  const far = speed ? Math.min(1, speed) ** (1 / CURVE) / speed : 0;
  return { x: pan * far, y: -tilt * far };
}

/** Without the axes that the camera does not have. `can`: {pan, tilt, zoom} as booleans. */
export function allowed(velocity, can) {
  return Object.fromEntries(AXES.map((axis) => [axis, can[axis] ? velocity[axis] : 0]));
}

export const resting = (velocity) => AXES.every((axis) => velocity[axis] === 0);
export const same = (a, b) => AXES.every((axis) => a[axis] === b[axis]);
