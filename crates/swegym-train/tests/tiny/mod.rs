//! The small decoder that tests train and sample.

use swegym_train::architecture::{Architecture, Family};
use swegym_train::rope::Rope;

/// A Qwen2 of two layers.
pub(crate) fn shape(vocabulary: usize, context: usize) -> Architecture {
    Architecture {
        family: Family::Qwen2,
        vocabulary,
        width: 32,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        inner: 64,
        epsilon: 1e-6,
        rope: Rope::plain(10_000.0, 8),
        context,
        tied: true,
        classes: None,
        qkv_bias: true,
        out_bias: false,
        init_range: 0.05,
    }
}
