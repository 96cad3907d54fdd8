//! The operators: each one once, with its way back.
//!
//! All are bit-exact whatever the number of threads: work is only ever split
//! so that each number is still summed by one thread in one order. `width`
//! says into how many pieces a call may split itself.

pub(crate) mod attention;
#[cfg(test)]
mod gradients;
mod isa;
pub(crate) use isa::widest as isa_widest;
pub(crate) mod loss;
pub(crate) mod math;
pub(crate) mod product;
pub(crate) mod rows;

use std::cell::RefCell;

/// Runs `work` on equal shares of `0..len`, at most `width` of them, each a
/// multiple of `grain` long but the last.
pub(crate) fn split(width: usize, len: usize, grain: usize, work: impl Fn(std::ops::Range<usize>) + Sync) {
    let pieces = width.min(len.div_ceil(grain)).max(1);
    if pieces == 1 {
        return work(0..len);
    }
    let share = len.div_ceil(pieces).next_multiple_of(grain);
    rayon::scope(|scope| {
        for piece in 1..pieces {
            let work = &work;
            scope.spawn(move |_| work((piece * share).min(len)..((piece + 1) * share).min(len)));
        }
        work(0..share.min(len));
    });
}

/// A mutable array that pieces of one operator write at places that do not
/// overlap. Splitting by columns has no safe form.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a>(*mut f32, usize, std::marker::PhantomData<&'a mut [f32]>);

// SAFETY: every use writes a range of its own; `slice` says so.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(array: &'a mut [f32]) -> Self {
        Self(array.as_mut_ptr(), array.len(), std::marker::PhantomData)
    }

    pub(crate) fn len(self) -> usize {
        self.1
    }

    pub(crate) fn pointer(self) -> *mut f32 {
        self.0
    }

    /// The numbers from `first` on.
    ///
    /// # Safety
    /// No two live slices may overlap.
    pub(crate) unsafe fn slice(&self, first: usize, len: usize) -> &'a mut [f32] {
        assert!(first + len <= self.1, "a piece outside its array");
        // SAFETY: inside the array; disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(first), len) }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer of the thread's own, of at least `len` numbers with anything
/// in them: fresh large buffers would be mapped and faulted in at every call.
pub(crate) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with(|kept| kept.borrow_mut().pop()).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = work(&mut buffer[..len]);
    SCRATCH.with(|kept| kept.borrow_mut().push(buffer));
    result
}
