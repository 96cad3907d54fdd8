//! Forward through the layers.

use super::Decoder;
use super::heads::{Heads, Places, Standing, place, prepare};
use super::workspace::{Kept, Pack, Workspace, sized};
use crate::adapter::Site;
use crate::ops::attention::{Block, Head, KEYS, attend, queries_of};
use crate::ops::product::Into;
use crate::ops::rows::{add_bias, gate, norm};
use crate::ops::{Shared, split, with_scratch};

impl Decoder {
    /// What a layer's heads need to know.
    pub(super) fn heads(&self, layer: usize) -> Heads<'_> {
        let of = &self.layout.layers[layer];
        Heads {
            heads: self.shape.heads,
            kv_heads: self.shape.kv_heads,
            head_dim: self.shape.head_dim,
            epsilon: self.shape.epsilon,
            bias: of.qkv_bias.map(|bias| self.weights.vector(bias)),
            norms: of.qk_norm.map(|(query, key)| (self.weights.vector(query), self.weights.vector(key))),
        }
    }

    /// Every layer of a pack. What the way back needs is kept: everything, or
    /// with `again` only the layers' inputs.
    pub(super) fn forward(&self, width: usize, pack: &Pack, work: &mut Workspace, again: bool) {
        let tokens = pack.tokens.len();
        let longest = pack.segments.iter().copied().max().unwrap_or(0);
        work.angles.reach(&self.shape.rope, self.shape.head_dim, longest);
        work.kept.resize_with(if again { 1 } else { self.shape.layers }, Kept::default);
        work.inputs.resize_with(if again { self.shape.layers } else { 0 }, Vec::new);
        self.embed(&pack.tokens, sized(&mut work.x, tokens * self.shape.width));
        for layer in 0..self.shape.layers {
            if again {
                work.inputs[layer].clone_from(&work.x);
            }
            self.layer(width, layer, pack, work);
        }
        let gain = self.weights.vector(self.layout.norm);
        let normed = sized(&mut work.normed, work.x.len());
        norm(width, &work.x, gain, self.shape.epsilon, normed, sized(&mut work.inverse, tokens));
    }

    /// One layer, from `work.x` to `work.x`.
    pub(super) fn layer(&self, width: usize, layer: usize, pack: &Pack, work: &mut Workspace) {
        let tokens = pack.tokens.len();
        let slot = if work.kept.len() == 1 { 0 } else { layer };
        let kept = &mut work.kept[slot];
        let shape = &self.shape;
        kept.x.clone_from(&work.x);
        let of = &self.layout.layers[layer];

        let normed = sized(&mut kept.normed_in, tokens * shape.width);
        let gain = self.weights.vector(of.norm_in);
        norm(width, &kept.x, gain, shape.epsilon, normed, sized(&mut kept.inverse_in, tokens));
        let raw = if shape.qk_norm() { &mut kept.raw } else { &mut work.projected };
        self.linear(width, layer, Site::Qkv, normed, sized(raw, tokens * shape.qkv_width()), Into::Set);
        let heads = self.heads(layer);
        prepare(heads, width, raw, &mut kept.inverse_heads);
        let key_width = shape.kv_heads * shape.head_dim;
        let places = Places {
            queries: Shared::new(sized(&mut kept.queries, tokens * shape.query_width())),
            keys: Shared::new(sized(&mut kept.keys, tokens * key_width)),
            values: Shared::new(sized(&mut kept.values, tokens * key_width)),
            stride: tokens,
        };
        let positions = positions(pack);
        let standing = |token| (Standing { position: positions[token], slot: token }, places);
        place(heads, width, raw, &kept.inverse_heads, &work.angles, standing);
        sized(&mut kept.attended, tokens * shape.query_width());
        sized(&mut kept.log_sums, tokens * shape.heads);
        self.attend_all(width, pack, kept);

        kept.middle.clone_from(&kept.x);
        self.linear(width, layer, Site::Out, &kept.attended, &mut kept.middle, Into::Add);
        if let Some(bias) = of.out_bias {
            add_bias(&mut kept.middle, self.weights.vector(bias));
        }
        let normed = sized(&mut kept.normed_mid, tokens * shape.width);
        let gain = self.weights.vector(of.norm_mid);
        norm(width, &kept.middle, gain, shape.epsilon, normed, sized(&mut kept.inverse_mid, tokens));
        let gate_up = sized(&mut kept.gate_up, tokens * 2 * shape.inner);
        self.linear(width, layer, Site::GateUp, normed, gate_up, Into::Set);
        let gated = sized(&mut kept.gated, tokens * shape.inner);
        gate(width, shape.inner, gate_up, gated);
        work.x.copy_from_slice(&kept.middle);
        self.linear(width, layer, Site::Down, gated, &mut work.x, Into::Add);
    }

    fn attend_all(&self, width: usize, pack: &Pack, kept: &mut Kept) {
        let shape = &self.shape;
        let (dim, group) = (shape.head_dim, shape.group());
        let tokens = pack.tokens.len();
        let head = Head { group, head_dim: dim };
        let mut tasks = Vec::new();
        for segment in pack.ranges() {
            for kv in 0..shape.kv_heads {
                // Late queries see more keys: they go first, so that pieces end together.
                tasks.extend(
                    (0..segment.len())
                        .step_by(queries_of(segment.len()))
                        .rev()
                        .map(|first| (kv, segment.clone(), first)),
                );
            }
        }
        let (attended, log_sums) = (Shared::new(&mut kept.attended), Shared::new(&mut kept.log_sums));
        let (queries, keys, values) = (&kept.queries, &kept.keys, &kept.values);
        let pieces = width.max(1);
        split(pieces, pieces, 1, |part| {
            for piece in part {
                for (kv, segment, first) in tasks.iter().skip(piece).step_by(pieces) {
                    let count = queries_of(segment.len()).min(segment.len() - first) * group;
                    let row = (kv * tokens + segment.start + first) * group;
                    let block = |index: usize| {
                        let start = segment.start + index * KEYS;
                        Block {
                            keys: &keys[kv * dim * tokens + start..],
                            stride: tokens,
                            values: &values[(kv * tokens + start) * dim..],
                        }
                    };
                    with_scratch(count * dim, |out| {
                        // SAFETY: each task has queries of its own.
                        let log_sums = unsafe { log_sums.slice(row, count) };
                        attend(head, &queries[row * dim..][..count * dim], *first, block, out, log_sums);
                        for (i, from) in out.chunks_exact(group * dim).enumerate() {
                            let place = (segment.start + first + i) * shape.query_width() + kv * group * dim;
                            // SAFETY: as above.
                            unsafe { attended.slice(place, group * dim) }.copy_from_slice(from);
                        }
                    });
                }
            }
        });
    }
}

/// Each token's place in its sequence.
pub(super) fn positions(pack: &Pack) -> Vec<usize> {
    pack.segments.iter().flat_map(|&len| 0..len).collect()
}
