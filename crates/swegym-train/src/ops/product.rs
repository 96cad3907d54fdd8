//! Matrix products, on the `gemm` crate's kernels.
//!
//! Each number of a product is one sum over the inner dimension, in order, in
//! equal slabs of at most [`SLAB`] that are added up: `gemm` does exactly that inside
//! a slab whatever the outer sizes, as long as the right matrix is read along
//! its rows. So a row's result does not depend on how many rows there are, and
//! a product can be split anywhere: sampling one token and training on a
//! thousand agree to the bit.

use super::isa::widest;
use super::{Shared, split, with_scratch};

/// Longest inner dimension that `gemm` sums in one go, whatever the sizes.
const SLAB: usize = 512;

/// Products below this many multiplications are not worth a second thread.
const WORTH_SPLITTING: usize = 1 << 21;

/// A matrix somewhere in an array: number `(row, column)` is at
/// `row * down + column * right`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) array: &'a [f32],
    pub(crate) down: usize,
    pub(crate) right: usize,
}

impl<'a> View<'a> {
    /// Rows one after another, `down` apart.
    pub(crate) fn rows(array: &'a [f32], down: usize) -> Self {
        Self { array, down, right: 1 }
    }

    /// The same array, read with rows and columns exchanged.
    pub(crate) fn turned(self) -> Self {
        Self { array: self.array, down: self.right, right: self.down }
    }
}

/// What becomes of what was in the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// It is replaced.
    Set,
    /// The product is added to it.
    Add,
}

/// The sizes of a product: `[rows][inner] x [inner][columns]`.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

/// `result (+)= factor * left * right`; the result's rows are `down` apart.
pub(crate) fn product(
    width: usize,
    sizes: Sizes,
    factor: f32,
    left: View<'_>,
    right: View<'_>,
    (result, down): (&mut [f32], usize),
    into: Into,
) {
    let Sizes { rows, inner, columns } = sizes;
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(inner > 0 && result.len() >= (rows - 1) * down + columns, "the result is too small");
    assert!(left.array.len() > (rows - 1) * left.down + (inner - 1) * left.right, "the left is too small");
    assert!(
        right.array.len() > (inner - 1) * right.down + (columns - 1) * right.right,
        "the right is too small"
    );
    let result = Shared::new(result);
    // Equal slabs: a last one of a number or two would be summed another way.
    let slab = inner.div_ceil(inner.div_ceil(SLAB));
    let part = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        for first in (0..inner).step_by(slab) {
            let part =
                Part { rows: rows.clone(), columns: columns.clone(), inner: first..inner.min(first + slab) };
            let into = if first > 0 { Into::Add } else { into };
            // SAFETY: the assertions above hold for every part; parts of the
            // result do not overlap.
            unsafe { part.multiply(factor, left, right, result.pointer(), down, into) };
        }
    };
    if width <= 1 || rows * columns * inner < WORTH_SPLITTING {
        part(0..rows, 0..columns);
    } else if rows >= columns {
        split(width, rows, 48, |some| part(some, 0..columns));
    } else {
        split(width, columns, 64, |some| part(0..rows, some));
    }
}

/// A matrix in panels of [`PANEL`] columns, each `[inner][PANEL]`: what few rows
/// are multiplied with streams through memory from end to end.
#[derive(Debug)]
pub(crate) struct Panels {
    numbers: Vec<f32>,
    inner: usize,
    columns: usize,
}

/// Columns of a panel: a multiple of what every kernel computes at once.
const PANEL: usize = 64;

impl Panels {
    /// Copies a matrix of so many rows and columns.
    pub(crate) fn of(matrix: View<'_>, inner: usize, columns: usize) -> Self {
        let mut numbers = vec![0f32; columns.div_ceil(PANEL) * PANEL * inner];
        for (index, panel) in numbers.chunks_exact_mut(PANEL * inner).enumerate() {
            let first = index * PANEL;
            for (row, to) in panel.chunks_exact_mut(PANEL).enumerate() {
                for (column, to) in (first..columns).zip(to) {
                    *to = matrix.array[row * matrix.down + column * matrix.right];
                }
            }
        }
        Self { numbers, inner, columns }
    }

    /// [`product`] of rows and the matrix, to the bit.
    pub(crate) fn product(&self, width: usize, left: &[f32], result: &mut [f32], into: Into) {
        let (inner, columns) = (self.inner, self.columns);
        let rows = left.len() / inner;
        assert!(result.len() >= rows * columns, "the result is too small");
        let slab = inner.div_ceil(inner.div_ceil(SLAB));
        let result = Shared::new(result);
        let width = if rows * columns * inner < WORTH_SPLITTING { 1 } else { width };
        split(width, columns.div_ceil(PANEL), 1, |panels| {
            for panel in panels {
                let right = View::rows(&self.numbers[panel * PANEL * inner..][..PANEL * inner], PANEL);
                let wide = PANEL.min(columns - panel * PANEL);
                for first in (0..inner).step_by(slab) {
                    let part =
                        Part { rows: 0..rows, columns: 0..wide, inner: first..inner.min(first + slab) };
                    let into = if first > 0 { Into::Add } else { into };
                    let left = View::rows(left, inner);
                    // SAFETY: each panel has columns of its own, and the
                    // assertion above holds for all of them.
                    unsafe {
                        let result = result.pointer().add(panel * PANEL);
                        part.multiply(1.0, left, right, result, columns, into);
                    }
                }
            }
        });
    }
}

/// A piece of a product that `gemm` sums in one go.
struct Part {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    inner: std::ops::Range<usize>,
}

impl Part {
    /// # Safety
    /// The part lies inside all three matrices, and nobody else uses its part
    /// of the result.
    unsafe fn multiply(
        self,
        factor: f32,
        left: View<'_>,
        right: View<'_>,
        result: *mut f32,
        down: usize,
        into: Into,
    ) {
        // SAFETY: by the caller's promise.
        let result = unsafe { result.add(self.rows.start * down + self.columns.start) };
        let (rows, columns) = (self.rows.len(), self.columns.len());
        // Read across its rows, a small result would be summed in lanes too.
        let across = right.right != 1;
        if self.inner.len() <= 2 || columns == 1 || (across && rows * columns <= 256) {
            // `gemm` adds outer products number by number to what is there, and
            // sums towards a single column in lanes.
            // SAFETY: as above.
            return unsafe { self.plain(factor, left, right, result, down, into) };
        }
        if rows == 1 && across {
            // A single row too; the same row twice is no vector any more.
            return with_scratch(2 * columns, |sums| {
                let twice = Self { rows: self.rows.start..self.rows.start + 2, ..self };
                let left = View { array: &left.array[self.rows.start * left.down..], down: 0, ..left };
                // SAFETY: as above; both rows of the left are the one.
                unsafe { twice.kernel(1.0, left, right, sums.as_mut_ptr(), columns, Into::Set) };
                // SAFETY: as above.
                put(
                    &sums[..columns],
                    factor,
                    unsafe { std::slice::from_raw_parts_mut(result, columns) },
                    into,
                );
            });
        }
        if rows == 1 && (into == Into::Add || factor != 1.0) {
            // For vectors `gemm` starts its sum from what is there; everywhere
            // else it adds a finished sum. So the sum is finished first.
            return with_scratch(columns, |sums| {
                // SAFETY: as above; the sums are as large as the part.
                unsafe { self.kernel(1.0, left, right, sums.as_mut_ptr(), columns, Into::Set) };
                // SAFETY: as above.
                let result = unsafe { std::slice::from_raw_parts_mut(result, columns) };
                put(sums, factor, result, into);
            });
        }
        // SAFETY: as above.
        unsafe { self.kernel(factor, left, right, result, down, into) };
    }

    /// A product that is too thin for `gemm`'s order of sums.
    ///
    /// # Safety
    /// As for [`Part::multiply`]; `result` is where the part's result begins.
    unsafe fn plain(
        &self,
        factor: f32,
        left: View<'_>,
        right: View<'_>,
        result: *mut f32,
        down: usize,
        into: Into,
    ) {
        for (row, left_row) in self.rows.clone().enumerate() {
            // SAFETY: by the caller's promise.
            let result =
                unsafe { std::slice::from_raw_parts_mut(result.add(row * down), self.columns.len()) };
            let left = View { array: &left.array[left_row * left.down..], ..left };
            sum_plainly(left, right, self.inner.clone(), self.columns.start, factor, result, into);
        }
    }

    /// # Safety
    /// As for [`Part::multiply`]; `result` is where the part's result begins.
    unsafe fn kernel(
        &self,
        factor: f32,
        left: View<'_>,
        right: View<'_>,
        result: *mut f32,
        down: usize,
        into: Into,
    ) {
        let left_first = self.rows.start * left.down + self.inner.start * left.right;
        let right_first = self.inner.start * right.down + self.columns.start * right.right;
        // The kernels want a result that lies column by column. Ours lies row by row, so that
        // the transposed product is asked for: the right factor's columns are its rows.
        // SAFETY: by the caller's promise.
        unsafe {
            gemm_f32::gemm::f32::get_gemm_fn()(
                self.columns.len(),
                self.rows.len(),
                self.inner.len(),
                result,
                down as isize,
                1,
                into == Into::Add,
                right.array.as_ptr().add(right_first),
                right.down as isize,
                right.right as isize,
                left.array.as_ptr().add(left_first),
                left.down as isize,
                left.right as isize,
                1.0,
                factor,
                false,
                false,
                false,
                gemm_common::Parallelism::None,
            );
        }
    }
}

widest! {
    fn put = put_body(sums: &[f32], factor: f32, result: &mut [f32], into: Into)
}

#[inline(always)]
fn put_body(sums: &[f32], factor: f32, result: &mut [f32], into: Into) {
    for (to, sum) in result.iter_mut().zip(sums) {
        *to = if into == Into::Add { sum.mul_add(factor, *to) } else { sum * factor };
    }
}

widest! {
    fn sum_plainly = sum_plainly_body(
        left: View<'_>, right: View<'_>, inner: std::ops::Range<usize>, first: usize, factor: f32,
        result: &mut [f32], into: Into,
    )
}

#[inline(always)]
fn sum_plainly_body(
    left: View<'_>,
    right: View<'_>,
    inner: std::ops::Range<usize>,
    first: usize,
    factor: f32,
    result: &mut [f32],
    into: Into,
) {
    for (column, to) in result.iter_mut().enumerate() {
        let mut sum = 0f32;
        for i in inner.clone() {
            let right = right.array[i * right.down + (first + column) * right.right];
            sum = left.array[i * left.right].mul_add(right, sum);
        }
        *to = if into == Into::Add { sum.mul_add(factor, *to) } else { sum * factor };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
            })
            .collect()
    }

    /// The order of additions that everything else relies on.
    fn plainly(
        left: &[f32],
        right: &[f32],
        sizes: Sizes,
        factor: f32,
        mut result: Vec<f32>,
        into: Into,
    ) -> Vec<f32> {
        for row in 0..sizes.rows {
            for column in 0..sizes.columns {
                let result = &mut result[row * sizes.columns + column];
                let len = sizes.inner.div_ceil(sizes.inner.div_ceil(SLAB));
                for first in (0..sizes.inner).step_by(len) {
                    let mut slab = 0f32;
                    for i in first..(first + len).min(sizes.inner) {
                        slab = left[row * sizes.inner + i].mul_add(right[i * sizes.columns + column], slab);
                    }
                    let set = first == 0 && into == Into::Set;
                    *result = if set { slab * factor } else { slab.mul_add(factor, *result) };
                }
            }
        }
        result
    }

    #[test]
    fn every_sum_runs_in_order_whatever_the_sizes() {
        if !has_fused_kernels() {
            return;
        }
        let sizes = [
            (1, 64, 64),
            (1, 3, 64),
            (5, 2, 9),
            (1, 1, 40),
            (1, 512, 300),
            (2, 32, 5),
            (3, 100, 7),
            (16, 700, 16),
            (1, 1536, 2048),
            (65, 513, 130),
            (2, 600, 1),
        ];
        for (rows, inner, columns) in sizes {
            let sizes = Sizes { rows, inner, columns };
            let (left, right, before) =
                (numbers(rows * inner, 1), numbers(inner * columns, 2), numbers(rows * columns, 3));
            for (width, factor, into) in
                [(1, 1.0, Into::Set), (3, 1.0, Into::Add), (3, 0.3, Into::Set), (1, 0.3, Into::Add)]
            {
                let expected = plainly(&left, &right, sizes, factor, before.clone(), into);
                let mut found = before.clone();
                let (left, along) = (View::rows(&left, inner), View::rows(&right, columns));
                let mut turned = vec![0f32; inner * columns];
                for (i, x) in right.iter().enumerate() {
                    turned[i % columns * inner + i / columns] = *x;
                }
                let across = View::rows(&turned, inner).turned();
                product(width, sizes, factor, left, across, (&mut found, columns), into);
                assert!(
                    found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{rows} x {inner} x {columns} across"
                );
                found.clone_from(&before);
                product(width, sizes, factor, left, along, (&mut found, columns), into);
                if factor == 1.0 {
                    let mut paneled = before.clone();
                    Panels::of(along, inner, columns).product(width, left.array, &mut paneled, into);
                    assert!(paneled == found, "{rows} x {inner} x {columns} in panels");
                }
                let same = found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{rows} x {inner} x {columns} in {width} pieces, times {factor}");
            }
        }
    }

    /// Processors without fused multiplication add in the same order, but
    /// round twice; there the plain sum above is not what they compute.
    fn has_fused_kernels() -> bool {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        true
    }
}
