//! The picture of a camera that turns: drawn from where a PTZ double looks, so
//! that a browser can measure a move.
//!
//! ```ignore
//! let ptz = Hikvision::start();
//! let video = Camera::builder().scene(ptz.scene()).start();
//! page.eval(ptz_picture::JS).await;
//! page.eval("readPosition(video)").await;  // {pan: 12.3, tilt: -4, zoom: 2.5}, as shown
//! page.eval("findLandmark(video)").await;  // {x, y, width}: parts of the picture, or null
//! ```
//!
//! The world is a dark wall with a line every 5° and one bright square, 6° wide,
//! where pan and tilt are 0: at zoom 1 the picture is 60° wide, at zoom 2 30°.
//! Over its upper twelfth stands the frame's bar code ([`super::barcode`]), over its
//! lower eighth three flatter ones: pan × 10, (tilt + 90) × 10 and zoom × 100.

use super::barcode;
use super::ptz_motion::{Motion, Position, height, width};
use std::sync::{Arc, Mutex};

/// What a picture is drawn from; see `scene()` of the PTZ doubles.
pub type Scene = Arc<Mutex<Motion>>;

/// The side of the bright square, in degrees.
pub const SQUARE: f64 = 6.0;
/// From one line to the next, in degrees.
const LINES: f64 = 5.0;

/// Draws the world as seen from `at` into a luma plane without gaps.
pub fn draw(luma: &mut [u8], w: usize, h: usize, at: Position) {
    let (fov_x, fov_y) = (width(at.zoom), height(at.zoom));
    // Degrees from the square's middle, for every column and row.
    let columns: Vec<f64> = (0..w)
        .map(|x| at.pan + ((x as f64 + 0.5) / w as f64 - 0.5) * fov_x)
        .map(|pan| (pan + 180.0).rem_euclid(360.0) - 180.0)
        .collect();
    let thin = fov_x / w as f64;
    let line = |degrees: f64| degrees.rem_euclid(LINES) < thin.max(0.1);
    let ground: Vec<u8> = columns.iter().map(|d| if line(*d) { 130 } else { 60 }).collect();
    for (y, row) in luma.chunks_mut(w).take(h).enumerate() {
        let tilt = at.tilt + (0.5 - (y as f64 + 0.5) / h as f64) * fov_y;
        row.copy_from_slice(&ground);
        if line(tilt) {
            row.fill(130);
        }
        if tilt.abs() <= SQUARE / 2.0 {
            for (p, _) in row.iter_mut().zip(&columns).filter(|(_, d)| d.abs() <= SQUARE / 2.0) {
                *p = 235;
            }
        }
    }
    let rows = h / 2 / barcode::ROW_PART;
    for (n, code) in codes(at).into_iter().enumerate() {
        barcode::draw(&mut luma[(h - (3 - n) * rows) * w..], w, w, h / 2, code);
    }
}

fn codes(at: Position) -> [u32; 3] {
    [(at.pan * 10.0).rem_euclid(3600.0), (at.tilt + 90.0) * 10.0, at.zoom * 100.0].map(|v| v.round() as u32)
}

/// The position that a luma plane shows.
pub fn read(luma: &[u8], w: usize, h: usize) -> Option<Position> {
    let rows = h / 2 / barcode::ROW_PART;
    let code = |n: usize| Some(f64::from(barcode::read(&luma[(h - (3 - n) * rows) * w..], w, w, h / 2)?));
    Some(Position::new(code(0)? / 10.0, code(1)? / 10.0 - 90.0, code(2)? / 100.0))
}

/// JavaScript: defines `readPosition(video)` and `findLandmark(video)`. Both are
/// null where there is nothing to see; the latter's numbers are parts of the
/// picture's width and height, its middle at 0.5.
pub const JS: &str = r#"
window.__ptzPixels = function (video) {
  const w = video.videoWidth, h = video.videoHeight;
  if (!w || !h) return null;
  const c = window.__ptzCanvas ||= document.createElement('canvas');
  c.width = w; c.height = h;
  const g = c.getContext('2d', { willReadFrequently: true });
  g.drawImage(video, 0, 0, w, h);
  const p = g.getImageData(0, 0, w, h).data;
  return { w, h, luma: (x, y) => { const i = 4 * (y * w + x); return (p[i] + p[i + 1] + p[i + 2]) / 3; } };
};
window.readPosition = function (video) {
  const picture = __ptzPixels(video);
  if (!picture) return null;
  const { w, h, luma } = picture, rows = Math.floor(Math.floor(h / 2) / 12), out = [];
  for (let n = 0; n < 3; n++) {
    const y = h - (3 - n) * rows + Math.floor(rows / 2);
    let code = 0;
    for (let b = 0; b < 20; b++) code = code * 2 + (luma(Math.floor((2 * b + 1) * w / 40), y) > 127 ? 1 : 0);
    const data = code >> 4;
    if ((code & 15) !== ((data >> 12 ^ data >> 8 ^ data >> 4 ^ data ^ 10) & 15)) return null;
    out.push(data);
  }
  return { pan: out[0] / 10, tilt: out[1] / 10 - 90, zoom: out[2] / 100 };
};
window.findLandmark = function (video) {
  const picture = __ptzPixels(video);
  if (!picture) return null;
  const { w, h, luma } = picture, rows = Math.floor(Math.floor(h / 2) / 12);
  let n = 0, sx = 0, sy = 0, left = w, right = -1;
  for (let y = Math.floor(h / 12) + 4; y < h - 3 * rows - 4; y += 2) {
    for (let x = 0; x < w; x += 2) {
      if (luma(x, y) <= 185) continue;
      n++; sx += x; sy += y; left = Math.min(left, x); right = Math.max(right, x);
    }
  }
  return n < 4 ? null : { x: (sx / n + 0.5) / w, y: (sy / n + 0.5) / h, width: (right - left + 2) / w };
};
"#;
