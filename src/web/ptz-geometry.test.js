import assert from 'node:assert/strict';
import test from 'node:test';
import { boxOf, inside, isClick, pictureRect, placing, thumbSize, toPicture } from './ptz-geometry.js';

test('bars above and below, bars beside, no bars', () => {
  const box = { left: 10, top: 20, width: 800, height: 800 };
  assert.deepEqual(pictureRect(box, 1600, 900), { left: 10, top: 195, width: 800, height: 450 });
  assert.deepEqual(pictureRect(box, 900, 1600), { left: 185, top: 20, width: 450, height: 800 });
  assert.deepEqual(pictureRect({ ...box, height: 450 }, 1280, 720), { ...box, height: 450 });
  assert.deepEqual(pictureRect(box, 1600, 900, { x: 0.5, y: 0 }), { left: 10, top: 20, width: 800, height: 450 });
  assert.equal(pictureRect(box, 0, 0), null, 'no picture yet');
  assert.equal(pictureRect({ ...box, width: 0 }, 16, 9), null, 'no element to see');
});

test('object-position', () => {
  assert.deepEqual(placing('50% 0%'), { x: 0.5, y: 0 });
  assert.deepEqual(placing('50% 50%'), { x: 0.5, y: 0.5 });
  assert.deepEqual(placing('50% 0px'), { x: 0.5, y: 0 }, 'what Chromium makes of a plain 0');
  assert.deepEqual(placing('0px 100%'), { x: 0, y: 1 });
  for (const other of ['', '10px 0%x', undefined]) assert.equal(placing(other).x, 0.5);
});

test('places in the picture', () => {
  const rect = { left: 10, top: 195, width: 800, height: 450 };
  assert.deepEqual(toPicture(rect, { x: 410, y: 420 }), { x: 0.5, y: 0.5 });
  assert.ok(inside(toPicture(rect, { x: 10, y: 195 })) && inside(toPicture(rect, { x: 810, y: 645 })));
  assert.ok(!inside(toPicture(rect, { x: 410, y: 100 })), 'on the bar above');
});

test('boxes, whichever way they are drawn, end at the edges', () => {
  const want = { x: 0.25, y: 0.5, width: 0.5, height: 0.25 };
  assert.deepEqual(boxOf({ x: 0.25, y: 0.5 }, { x: 0.75, y: 0.75 }), want);
  assert.deepEqual(boxOf({ x: 0.75, y: 0.75 }, { x: 0.25, y: 0.5 }), want);
  assert.deepEqual(boxOf({ x: 0.5, y: 0.5 }, { x: 7, y: -3 }), { x: 0.5, y: 0, width: 0.5, height: 0.5 });
  assert.equal(boxOf({ x: 0.5, y: 0.5 }, { x: 0.9, y: 0.505 }), null, 'a line is no box');
});

test('a click is one that stays where it is', () => {
  assert.ok(isClick({ x: 1, y: 1 }, { x: 5, y: 4 }));
  assert.ok(!isClick({ x: 1, y: 1 }, { x: 9, y: 4 }));
});

test('small pictures keep their shape and are never enlarged', () => {
  assert.deepEqual(thumbSize(1920, 1080, 160), { width: 160, height: 90 });
  assert.deepEqual(thumbSize(120, 90, 160), { width: 120, height: 90 });
});
