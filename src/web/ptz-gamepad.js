// Gamepads: asked for their sticks only while one is connected and the page is in sight.

import { REST, fromGamepad, resting, sum } from './ptz-vector.js';

const BLIND_MS = 250; // without a frame for so long nobody knows where the stick is

/** @param {import('./ptz-steer.js').Steer} steer @returns {() => void} ends it */
export function gamepads(steer) {
  const gone = new AbortController();
  const { signal } = gone;
  let frame = 0;
  let blind = 0;
  let fresh = false; // it has been at rest: what it says is meant for us

  const read = () => {
    // A frame may have to be allowed to ask.
    try { return [...navigator.getGamepads()].filter((pad) => pad && pad.connected); } catch { return []; }
  };
  const tick = () => {
    frame = 0;
    clearTimeout(blind);
    const pads = document.hidden ? [] : read();
    const velocity = document.hasFocus() ? sum(REST, ...pads.map(fromGamepad)) : REST;
    fresh ||= resting(velocity);
    steer.set('gamepad', fresh ? velocity : REST);
    if (!pads.length) return;
    frame = requestAnimationFrame(tick);
    blind = setTimeout(() => steer.set('gamepad', REST), BLIND_MS);
  };
  const begin = () => { if (!frame && !document.hidden && !signal.aborted) frame = requestAnimationFrame(tick); };

  addEventListener('gamepadconnected', begin, { signal });
  document.addEventListener('visibilitychange', begin, { signal });
  steer.addEventListener('release', () => { fresh = false; }, { signal });
  if (read().length) begin();
  return () => {
    gone.abort();
    cancelAnimationFrame(frame);
    clearTimeout(blind);
    steer.set('gamepad', REST);
  };
}
