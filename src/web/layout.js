// Where the wall's tiles go. Pure: figures in, figures out.

export const LAYOUTS = ['auto', '1', '4', '9', '16'];
export const GAP = 6;
const MIN_WIDTH = 260; // below that, auto scrolls rather than shrinks
const WIDE = 16 / 9;

/**
 * The largest equal tiles for a window.
 * @param {{width: number, height: number, count: number, layout: string, ratio: number, scrollbar: number}} p
 *   pixels; `scrollbar` is what a scroll bar takes from the width when there is one
 * @returns {{columns: number, width: number, height: number}} of one tile, whole pixels
 */
export function grid({ width, height, count, layout, ratio = WIDE, scrollbar = 0 }) {
  const fit = (columns, rows, room = width) => {
    const wide = (room - GAP * (columns - 1)) / columns;
    const high = (height - GAP * (rows - 1)) / rows;
    return Math.floor(Math.min(wide, high * ratio));
  };
  const tile = (columns, wide) => ({ columns, width: wide, height: Math.floor(wide / ratio) });
  if (layout !== 'auto') {
    const side = Math.sqrt(Number(layout));
    const scrolls = count > Number(layout);
    return tile(side, fit(side, side, width - (scrolls ? scrollbar : 0)));
  }
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const wide = fit(columns, Math.ceil(count / columns));
    if (wide > best.width) best = { columns, width: wide };
  }
  if (best.width >= Math.min(MIN_WIDTH, width)) return tile(best.columns, best.width);
  const room = width - scrollbar;
  const columns = Math.max(1, Math.floor((room + GAP) / (MIN_WIDTH + GAP)));
  return tile(columns, Math.floor((room - GAP * (columns - 1)) / columns));
}

/** 16:9 unless every camera is known to have one and the same other ratio. */
export function commonRatio(statuses) {
  const ratios = statuses.map((status) => {
    const video = status.tracks.find((track) => track.kind === 'video');
    return video && video.width && video.height ? video.width / video.height : null;
  });
  const first = ratios[0];
  if (!first || ratios.some((ratio) => !ratio || Math.abs(ratio / first - 1) > 0.02)) return WIDE;
  return Math.min(2.4, Math.max(1, first)); // portrait pictures stand in a square
}

/**
 * `names` in the person's order: those of `order` first, as there; new ones behind, by name.
 * Names that are gone keep their place in `order` for the day they come back.
 */
export function arrange(names, order) {
  const place = new Map(order.map((name, at) => [name, at]));
  const at = (name) => (place.has(name) ? place.get(name) : Infinity);
  return [...names].sort((a, b) => {
    const [x, y] = [at(a), at(b)];
    return x === y ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  });
}

/** `shown` with `name` moved to index `to`, and the hidden rest of `order` kept behind its neighbours. */
export function moved(order, shown, name, to) {
  const next = shown.filter((other) => other !== name);
  next.splice(Math.max(0, Math.min(to, next.length)), 0, name);
  // Names filtered out of sight stay where they are; the shown ones take the shown places.
  const all = order.length ? [...order] : [];
  for (const other of shown) if (!all.includes(other)) all.push(other);
  const visible = new Set(shown);
  let i = 0;
  return all.map((other) => (visible.has(other) ? next[i++] : other));
}

/** `/?layout=9&paths=gate,yard` → {layout, paths}; paths null when not named. */
export function readView(search) {
  const query = new URLSearchParams(search);
  const paths = query.get('paths');
  return {
    layout: LAYOUTS.includes(query.get('layout')) ? query.get('layout') : null,
    paths: paths === null ? null : paths.split(',').map((name) => name.trim()).filter(Boolean),
  };
}

/** The same way back, other parameters kept, slashes and commas legible. */
export function writeView(search, { layout, paths }) {
  const query = new URLSearchParams(search);
  if (layout === 'auto') query.delete('layout');
  else query.set('layout', layout);
  if (paths === null) query.delete('paths');
  else query.set('paths', paths.join(','));
  const text = query.toString().replace(/%2C/g, ',').replace(/%2F/g, '/');
  return text ? `?${text}` : '';
}
