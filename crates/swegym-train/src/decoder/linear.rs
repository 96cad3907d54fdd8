//! A layer's projections, with what an adapter adds, forward and back.

use super::Decoder;
use crate::adapter::{Adapter, Pair, Site};
use crate::ops::product::{Into, Sizes, View, product};
use crate::ops::with_scratch;

impl Decoder {
    /// `y (+)= x W`, and the adapter's share.
    pub(super) fn linear(
        &self,
        width: usize,
        layer: usize,
        site: Site,
        x: &[f32],
        y: &mut [f32],
        into: Into,
    ) {
        self.base_linear(width, layer, site, x, y, into);
        if let Some(adapter) = &self.adapter {
            self.adapt(adapter, width, layer, site, x, y);
        }
    }

    /// `y (+)= x W`.
    pub(super) fn base_linear(
        &self,
        width: usize,
        layer: usize,
        site: Site,
        x: &[f32],
        y: &mut [f32],
        into: Into,
    ) {
        let matrix = site.matrix(&self.layout.layers[layer]);
        let rows = x.len() / matrix.inputs;
        let sizes = Sizes { rows, inner: matrix.inputs, columns: matrix.outputs };
        self.weights.matrix(matrix, |numbers| {
            let (left, right) = (View::rows(x, matrix.inputs), View::rows(numbers, matrix.outputs));
            product(width, sizes, 1.0, left, right, (y, matrix.outputs), into);
        });
    }

    /// Adds an adapter's share of a projection.
    pub(super) fn adapt(
        &self,
        adapter: &Adapter,
        width: usize,
        layer: usize,
        site: Site,
        x: &[f32],
        y: &mut [f32],
    ) {
        let matrix = site.matrix(&self.layout.layers[layer]);
        let (rank, rows) = (adapter.shape.rank, x.len() / matrix.inputs);
        for pair in adapter.pairs(layer, site) {
            with_scratch(rows * rank, |middle| {
                through_down(width, &adapter.numbers, pair, x, middle);
                let sizes = Sizes { rows, inner: rank, columns: pair.up.outputs };
                let up = View::rows(&adapter.numbers[pair.up.range()], pair.up.outputs);
                let result = (&mut y[pair.first..], matrix.outputs);
                product(width, sizes, adapter.shape.scale(), View::rows(middle, rank), up, result, Into::Add);
            });
        }
    }

    /// The way back: sets `dx`, and adds to the gradient of what is trained.
    pub(super) fn linear_back(
        &self,
        width: usize,
        layer: usize,
        site: Site,
        (x, dy): (&[f32], &[f32]),
        dx: &mut [f32],
        gradient: &mut [f32],
    ) {
        let matrix = site.matrix(&self.layout.layers[layer]);
        let rows = x.len() / matrix.inputs;
        let (x_rows, dy_rows) = (View::rows(x, matrix.inputs), View::rows(dy, matrix.outputs));
        let sizes = Sizes { rows, inner: matrix.outputs, columns: matrix.inputs };
        self.weights.matrix(matrix, |numbers| {
            let right = View::rows(numbers, matrix.outputs).turned();
            product(width, sizes, 1.0, dy_rows, right, (dx, matrix.inputs), Into::Set);
        });
        let Some(adapter) = &self.adapter else {
            let sizes = Sizes { rows: matrix.inputs, inner: rows, columns: matrix.outputs };
            let result = (&mut gradient[matrix.range()], matrix.outputs);
            return product(width, sizes, 1.0, x_rows.turned(), dy_rows, result, Into::Add);
        };
        let (rank, scale) = (adapter.shape.rank, adapter.shape.scale());
        for pair in adapter.pairs(layer, site) {
            let outputs = pair.up.outputs;
            let dy_part = View::rows(&dy[pair.first..], matrix.outputs);
            with_scratch(2 * rows * rank, |scratch| {
                let (middle, dmiddle) = scratch.split_at_mut(rows * rank);
                through_down(width, &adapter.numbers, pair, x, middle);
                let sizes = Sizes { rows: rank, inner: rows, columns: outputs };
                let result = (&mut gradient[pair.up.range()], outputs);
                product(width, sizes, scale, View::rows(middle, rank).turned(), dy_part, result, Into::Add);

                let sizes = Sizes { rows, inner: outputs, columns: rank };
                let up = View::rows(&adapter.numbers[pair.up.range()], outputs).turned();
                product(width, sizes, scale, dy_part, up, (dmiddle, rank), Into::Set);

                let dmiddle = View::rows(dmiddle, rank);
                let sizes = Sizes { rows: matrix.inputs, inner: rows, columns: rank };
                let result = (&mut gradient[pair.down.range()], rank);
                product(width, sizes, 1.0, x_rows.turned(), dmiddle, result, Into::Add);

                let sizes = Sizes { rows, inner: rank, columns: matrix.inputs };
                let down = View::rows(&adapter.numbers[pair.down.range()], rank).turned();
                product(width, sizes, 1.0, dmiddle, down, (dx, matrix.inputs), Into::Add);
            });
        }
    }
}

fn through_down(width: usize, numbers: &[f32], pair: Pair, x: &[f32], middle: &mut [f32]) {
    let rank = pair.down.outputs;
    let sizes = Sizes { rows: x.len() / pair.down.inputs, inner: pair.down.inputs, columns: rank };
    let down = View::rows(&numbers[pair.down.range()], rank);
    product(width, sizes, 1.0, View::rows(x, pair.down.inputs), down, (middle, rank), Into::Set);
}
