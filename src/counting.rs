//! How often a thread asks for memory: for tests of what must not, on the way of a frame.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is the system allocator's; the counter needs no memory and no end.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.with(|n| n.set(n.get() + 1));
        // SAFETY: as we were called.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as we were called.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.with(|n| n.set(n.get() + 1));
        // SAFETY: as we were called.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// How often `f` asks for memory in this thread.
pub fn allocations(f: impl FnOnce()) -> u64 {
    let before = ASKED.with(Cell::get);
    f();
    ASKED.with(Cell::get) - before
}

#[test]
fn they_are_counted() {
    let mut list = Vec::new();
    assert_eq!(allocations(|| list.push(1u64)), 1);
    assert_eq!(allocations(|| list.reserve_exact(100)), 1);
    assert_eq!(allocations(|| list.push(2)), 0);
}
