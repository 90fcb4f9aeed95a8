// Dragging tiles to another place: with the mouse at once, with a finger after a long press
// (before that it scrolls). The keyboard has Shift + arrows (wall.js).

const START_PX = 8;
const PRESS_MS = 450;

/** @param {HTMLElement} list  @param {(from: HTMLElement, to: HTMLElement) => void} onDrop */
export function reorder(list, onDrop) {
  let drag = null; // {tile, x, y, active, over, timer, id}

  const over = (x, y) => {
    const el = document.elementFromPoint(x, y);
    const tile = el && el.closest('.tile');
    return tile && list.contains(tile) && tile !== drag.tile ? tile : null;
  };
  const begin = () => {
    drag.active = true;
    drag.tile.classList.add('dragging');
    list.classList.add('sorting');
  };
  const mark = (tile) => {
    if (drag.over === tile) return;
    if (drag.over) drag.over.classList.remove('target');
    drag.over = tile;
    if (tile) tile.classList.add('target');
  };
  const end = (drop) => {
    if (!drag) return;
    clearTimeout(drag.timer);
    const { tile, over: target, active } = drag;
    mark(null);
    tile.classList.remove('dragging');
    list.classList.remove('sorting');
    drag = null;
    if (active) {
      // The click that follows a drag must not open anything.
      const swallow = (e) => { e.preventDefault(); e.stopPropagation(); };
      list.addEventListener('click', swallow, { capture: true, once: true });
      setTimeout(() => list.removeEventListener('click', swallow, { capture: true }), 0);
    }
    if (drop && active && target) onDrop(tile, target);
  };

  list.addEventListener('pointerdown', (e) => {
    const tile = e.target.closest('.tile');
    if (!tile || e.button !== 0 || !e.isPrimary) return;
    drag = { tile, x: e.clientX, y: e.clientY, id: e.pointerId, active: false, over: null, timer: 0 };
    if (e.pointerType === 'touch') drag.timer = setTimeout(begin, PRESS_MS);
  });
  addEventListener('pointermove', (e) => {
    if (!drag || e.pointerId !== drag.id) return;
    const far = Math.hypot(e.clientX - drag.x, e.clientY - drag.y) > START_PX;
    if (!drag.active && far) {
      if (e.pointerType === 'touch') return end(false); // it scrolls
      begin();
    }
    if (drag.active) mark(over(e.clientX, e.clientY));
  });
  addEventListener('pointerup', (e) => { if (drag && e.pointerId === drag.id) end(true); });
  addEventListener('pointercancel', () => end(false));
  addEventListener('keydown', (e) => { if (e.key === 'Escape' && drag) end(false); });
  list.addEventListener('touchmove', (e) => { if (drag && drag.active) e.preventDefault(); }, { passive: false });
  list.addEventListener('contextmenu', (e) => { if (drag && drag.active) e.preventDefault(); });
}
