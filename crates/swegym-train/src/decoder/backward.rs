//! The way back: from the loss to the gradient of everything that is trained.

use super::Decoder;
use super::forward::positions;
use super::heads::{HeadGradients, gains_back, place_back};
use super::workspace::{Pack, Workspace, sized, zeroed};
use crate::adapter::Site;
use crate::ops::attention::{Block, Forward, Head, attend_back};
use crate::ops::loss::{HeadGradient, Outcome, Targets, cross_entropy, logits_of};
use crate::ops::rows::{bias_back, gate_back, norm_back};
use crate::ops::{Shared, split};

/// How a pass is computed. None of it changes a bit of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Threads that one pass may use.
    pub width: usize,
    /// Whether layers are computed again on the way back, and only their
    /// inputs kept: less memory for a third more work.
    pub again: bool,
}

impl Decoder {
    /// The logits of every token of one sequence, `[tokens][outputs]`: for
    /// looking at; nothing that trains or samples needs them all.
    pub fn logits(&self, pass: Pass, tokens: &[u32], work: &mut Workspace) -> Vec<f32> {
        let pack = Pack { tokens: tokens.to_vec(), segments: vec![tokens.len()], ..Pack::default() };
        self.forward(pass.width, &pack, work, true);
        let mut logits = vec![0f32; tokens.len() * self.shape.outputs()];
        self.with_head(|head| logits_of(pass.width, head, &work.normed, 0, &mut logits));
        logits
    }

    /// Each target's log-probability, without a way back. Targets with weight
    /// zero are left out.
    pub fn score(&self, pass: Pass, pack: &Pack, work: &mut Workspace) -> Vec<Outcome> {
        // One set of buffers for all layers: nothing is kept for a way back.
        self.forward(pass.width, pack, work, true);
        let mut outcomes = vec![Outcome::default(); pack.tokens.len()];
        let targets = Targets { tokens: &pack.targets, weights: &pack.weights };
        self.with_head(|head| cross_entropy(pass.width, head, &work.normed, targets, &mut outcomes, None));
        outcomes
    }

    /// Forward and back: adds to `gradient`, which is as long as what is
    /// trained, `factor` times the derivative of the weighted sum of negative
    /// log-likelihoods, and returns every target's outcome.
    pub fn learn(
        &self,
        pass: Pass,
        pack: &Pack,
        factor: f32,
        work: &mut Workspace,
        gradient: &mut [f32],
    ) -> Vec<Outcome> {
        assert_eq!(gradient.len(), self.trained_len(), "a gradient of everything that is trained");
        let Pass { width, again } = pass;
        self.forward(width, pack, work, again);
        let all = self.adapter.is_none();
        let tokens = pack.tokens.len();
        let mut outcomes = vec![Outcome::default(); tokens];
        let targets = Targets { tokens: &pack.targets, weights: &pack.weights };
        let dnormed = zeroed(&mut work.dnormed, tokens * self.shape.width);
        self.with_head(|head| {
            let embedding =
                self.layout.embedding..self.layout.embedding + self.shape.vocabulary * self.shape.width;
            let dhead = match (&self.adapter, self.layout.head) {
                // Frozen, but for a head that is the adapter's own.
                (Some(adapter), _) => adapter.head.map(|head| (head.range(), false)),
                (None, Some(head)) => Some((head.range(), false)),
                (None, None) => Some((embedding, true)),
            };
            let dhead = dhead.map(|(range, by_token)| HeadGradient { array: &mut gradient[range], by_token });
            let back = Some((factor, &mut *dnormed, dhead));
            cross_entropy(width, head, &work.normed, targets, &mut outcomes, back);
        });
        let dx = zeroed(&mut work.dx, tokens * self.shape.width);
        let gain = self.weights.vector(self.layout.norm);
        let dgain = all.then(|| &mut gradient[self.layout.norm.range()]);
        norm_back(width, dnormed, &work.x, gain, &work.inverse, dx, dgain);
        for layer in (0..self.shape.layers).rev() {
            if again {
                work.x.clone_from(&work.inputs[layer]);
                self.layer(width, layer, pack, work);
            }
            self.layer_back(width, layer, pack, work, gradient);
        }
        if all {
            self.embed_back(width, &pack.tokens, &work.dx, gradient);
        }
        outcomes
    }

    /// Each token's gradient goes to its row, by columns in the order of the
    /// tokens.
    fn embed_back(&self, width: usize, tokens: &[u32], dx: &[f32], gradient: &mut [f32]) {
        let size = self.shape.width;
        let gradient = Shared::new(&mut gradient[self.layout.embedding..]);
        split(width, size, 64, |columns| {
            for (token, dx) in tokens.iter().zip(dx.chunks_exact(size)) {
                // SAFETY: pieces are ranges of columns that do not overlap.
                let row = unsafe { gradient.slice(*token as usize * size + columns.start, columns.len()) };
                crate::ops::math::add(row, &dx[columns.clone()]);
            }
        });
    }

    /// One layer back, from `work.dx` to `work.dx`.
    fn layer_back(
        &self,
        width: usize,
        layer: usize,
        pack: &Pack,
        work: &mut Workspace,
        gradient: &mut [f32],
    ) {
        let tokens = pack.tokens.len();
        let shape = &self.shape;
        let all = self.adapter.is_none();
        let slot = if work.kept.len() == 1 { 0 } else { layer };
        let kept = &work.kept[slot];
        let of = &self.layout.layers[layer];

        let dgated = sized(&mut work.dgated, tokens * shape.inner);
        self.linear_back(width, layer, Site::Down, (&kept.gated, &work.dx), dgated, gradient);
        let dgate_up = sized(&mut work.dgate_up, tokens * 2 * shape.inner);
        gate_back(width, shape.inner, dgated, &kept.gate_up, dgate_up);
        let dnormed = sized(&mut work.dnormed, tokens * shape.width);
        self.linear_back(width, layer, Site::GateUp, (&kept.normed_mid, dgate_up), dnormed, gradient);
        let gain = self.weights.vector(of.norm_mid);
        let dgain = all.then(|| &mut gradient[of.norm_mid.range()]);
        norm_back(width, dnormed, &kept.middle, gain, &kept.inverse_mid, &mut work.dx, dgain);

        if let Some(bias) = of.out_bias.filter(|_| all) {
            bias_back(&work.dx, &mut gradient[bias.range()]);
        }
        let dattended = sized(&mut work.dattended, tokens * shape.query_width());
        self.linear_back(width, layer, Site::Out, (&kept.attended, &work.dx), dattended, gradient);
        self.attend_all_back(width, pack, slot, work);
        let kept = &work.kept[slot];
        let heads = self.heads(layer);
        let positions = positions(pack);
        let from = HeadGradients { queries: &work.dqueries, keys: &work.dkeys, values: &work.dvalues };
        let before = (&*kept.raw, &*kept.inverse_heads);
        if let Some((query, key)) = of.qk_norm.filter(|_| all) {
            let (vectors, _) = gradient.split_at_mut(key.range().end);
            let (queries, keys) = vectors.split_at_mut(key.offset);
            let gains = (&mut queries[query.range()], keys);
            gains_back(heads, from, before, &work.angles, |token| positions[token], gains);
        }
        let dprojected = sized(&mut work.dprojected, tokens * shape.qkv_width());
        place_back(heads, width, from, before, &work.angles, |token| positions[token], dprojected);
        if let Some(bias) = of.qkv_bias.filter(|_| all) {
            bias_back(dprojected, &mut gradient[bias.range()]);
        }
        let dnormed = sized(&mut work.dnormed, tokens * shape.width);
        self.linear_back(width, layer, Site::Qkv, (&kept.normed_in, dprojected), dnormed, gradient);
        let gain = self.weights.vector(of.norm_in);
        let dgain = all.then(|| &mut gradient[of.norm_in.range()]);
        norm_back(width, dnormed, &kept.x, gain, &kept.inverse_in, &mut work.dx, dgain);
    }

    fn attend_all_back(&self, width: usize, pack: &Pack, slot: usize, work: &mut Workspace) {
        let shape = &self.shape;
        let (dim, group) = (shape.head_dim, shape.group());
        let tokens = pack.tokens.len();
        let head = Head { group, head_dim: dim };
        let kept = &work.kept[slot];
        let dqueries = Shared::new(sized(&mut work.dqueries, tokens * shape.query_width()));
        let dkeys = Shared::new(zeroed(&mut work.dkeys, tokens * shape.kv_heads * dim));
        let dvalues = Shared::new(zeroed(&mut work.dvalues, tokens * shape.kv_heads * dim));
        let tasks: Vec<_> = pack
            .ranges()
            .flat_map(|segment| (0..shape.kv_heads).map(move |kv| (kv, segment.clone())))
            .collect();
        let pieces = width.max(1);
        let (attended, dattended) = (&kept.attended, &work.dattended);
        split(pieces, pieces, 1, |part| {
            for piece in part {
                for (kv, segment) in tasks.iter().skip(piece).step_by(pieces) {
                    let row = kv * tokens + segment.start;
                    let len = segment.len();
                    let first_out = segment.start * shape.query_width() + kv * group * dim;
                    let from = Forward {
                        queries: &kept.queries[row * group * dim..][..len * group * dim],
                        keys: Block {
                            keys: &kept.keys[kv * dim * tokens + segment.start..],
                            stride: tokens,
                            values: &kept.values[row * dim..],
                        },
                        out: &attended[first_out..],
                        dout: &dattended[first_out..],
                        stride: shape.query_width(),
                        log_sums: &kept.log_sums[row * group..][..len * group],
                    };
                    // SAFETY: each task has heads and tokens of its own.
                    let (dqueries, dkeys, dvalues) = unsafe {
                        (
                            dqueries.slice(row * group * dim, len * group * dim),
                            dkeys.slice(row * dim, len * dim),
                            dvalues.slice(row * dim, len * dim),
                        )
                    };
                    attend_back(head, from, dqueries, dkeys, dvalues);
                }
            }
        });
    }
}
