//! Asks the processor for memory that is needed soon. The sessions of a crowd do not fit
//! into its caches: what the next one's frame needs is fetched while this one's is
//! encrypted (measured at 1,000 viewers: see `cargo bench --bench crowd`).

/// Bytes of a cache line.
const LINE: usize = 64;

/// All lines of a value; of what it points to, none. Without effect but on time.
#[inline]
pub fn value<T: ?Sized>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    for offset in (0..size_of_val(value)).step_by(LINE) {
        line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that is seen, and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_: *const u8) {}
