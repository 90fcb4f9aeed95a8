//! The frame index as a bar code in the picture: 20 blocks in one row along
//! the top, each a twentieth of the width and a twelfth of the height; 16 bits
//! of the index (low bits, most significant first), then 4 check bits. Black
//! and white only, so that it survives strong compression and scaling.

/// Number of blocks.
pub const BLOCKS: usize = 20;
/// The row's height is the picture's height divided by this.
pub const ROW_PART: usize = 12;

/// The 20 bits for an index: 16 data, 4 check. The check is the exclusive-or of
/// the nibbles and 0b1010, so that neither all black nor all white is valid.
pub fn bits(index: u32) -> u32 {
    let data = index & 0xffff;
    data << 4 | check(data)
}

fn check(data: u32) -> u32 {
    (data >> 12 ^ data >> 8 ^ data >> 4 ^ data ^ 0b1010) & 0xf
}

/// Draws the code of `index` into a luma plane of `width` × `height`.
pub fn draw(luma: &mut [u8], stride: usize, width: usize, height: usize, index: u32) {
    let code = bits(index);
    let rows = height / ROW_PART;
    for block in 0..BLOCKS {
        let value = if code >> (BLOCKS - 1 - block) & 1 == 1 { 235 } else { 16 };
        let (from, to) = (block * width / BLOCKS, (block + 1) * width / BLOCKS);
        for row in luma.chunks_mut(stride).take(rows) {
            row[from..to].fill(value);
        }
    }
}

/// Reads the code back from a luma plane: the low 16 bits of the frame index,
/// or None if the picture carries no valid code.
pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u16> {
    let row = (height / ROW_PART) / 2;
    let mut code = 0u32;
    for block in 0..BLOCKS {
        let x = (2 * block + 1) * width / (2 * BLOCKS);
        code = code << 1 | u32::from(*luma.get(row * stride + x)? > 127);
    }
    let (data, sum) = (code >> 4, code & 0xf);
    (sum == check(data)).then_some(data as u16)
}

/// JavaScript: defines `readBarcode(video)`, which gives the low 16 bits of the
/// frame index shown by a video element, or null; and `pictureHash(video)`,
/// a number that changes when the pixels do.
pub const JS: &str = r#"
window.readBarcode = function (video) {
  const w = video.videoWidth, h = video.videoHeight;
  if (!w || !h) return null;
  const c = window.__barcodeCanvas ||= document.createElement('canvas');
  c.width = w; c.height = h;
  const g = c.getContext('2d', { willReadFrequently: true });
  const row = Math.floor(h / 12);
  g.drawImage(video, 0, 0, w, row, 0, 0, w, row);
  const p = g.getImageData(0, Math.floor(row / 2), w, 1).data;
  let code = 0;
  for (let b = 0; b < 20; b++) {
    const x = Math.floor((2 * b + 1) * w / 40);
    code = code * 2 + (p[4 * x] + p[4 * x + 1] + p[4 * x + 2] > 381 ? 1 : 0);
  }
  const data = code >> 4, sum = code & 15;
  const want = (data >> 12 ^ data >> 8 ^ data >> 4 ^ data ^ 10) & 15;
  return sum === want ? data : null;
};
window.pictureHash = function (video) {
  const c = window.__hashCanvas ||= document.createElement('canvas');
  c.width = 64; c.height = 36;
  const g = c.getContext('2d', { willReadFrequently: true });
  g.drawImage(video, 0, 0, 64, 36);
  let n = 0;
  for (const v of g.getImageData(0, 0, 64, 36).data) n = (n * 31 + v) >>> 0;
  return n;
};
"#;
