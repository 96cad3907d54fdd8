//! Forward against caches: some tokens more of some sequences.
//!
//! The same operators as in training, on whatever tokens come together: a
//! prompt, a piece of one, one token each of many sequences. A token's result
//! is the same to the bit in any company. Keys and values lie in pages of one
//! attention block, which sequences with the same beginning share.

use std::sync::Arc;

use super::Decoder;
use super::heads::{Places, Standing, place, prepare};
use super::workspace::{Angles, sized};
use crate::adapter::{Adapter, Site};
use crate::layout::Matrix;
use crate::ops::attention::{Block, Head, KEYS, attend, queries_of};
use crate::ops::loss::LogSums;
use crate::ops::product::{Into, Panels, View};
use crate::ops::rows::{add_bias, gate, norm};
use crate::ops::{Shared, split, with_scratch};

/// Keys of the smallest page.
const SMALLEST: usize = 64;

/// Keys and values of up to [`KEYS`] tokens, for every layer.
#[derive(Debug, Clone)]
struct Page {
    /// `[layer][kv][head_dim][stride]`.
    keys: Vec<f32>,
    /// `[layer][kv][stride][head_dim]`.
    values: Vec<f32>,
    stride: usize,
}

/// What a sequence has been read up to.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    pages: Vec<Arc<Page>>,
    len: usize,
}

impl Cache {
    /// Tokens so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The beginning of a cache, sharing its pages.
    #[must_use]
    pub fn beginning(&self, len: usize) -> Self {
        let len = len.min(self.len);
        Self { pages: self.pages[..len.div_ceil(KEYS)].to_vec(), len }
    }

    /// Bytes that only this cache holds, about: shared pages count for none.
    pub fn bytes(&self) -> usize {
        let own = self.pages.iter().filter(|page| Arc::strong_count(page) == 1);
        own.map(|page| 4 * (page.keys.len() + page.values.len())).sum()
    }

    /// Makes room for `more` tokens in pages of its own.
    fn reserve(&mut self, decoder: &Decoder, more: usize) {
        let (first, last) = (self.len, self.len + more);
        let layers = decoder.shape.layers * decoder.shape.kv_heads;
        let dim = decoder.shape.head_dim;
        for index in first / KEYS..last.div_ceil(KEYS) {
            let need = (last - index * KEYS).clamp(SMALLEST, KEYS).next_power_of_two();
            if index == self.pages.len() {
                let len = layers * dim * need;
                self.pages.push(Arc::new(Page {
                    keys: vec![0.0; len],
                    values: vec![0.0; len],
                    stride: need,
                }));
            }
            let page = Arc::make_mut(&mut self.pages[index]);
            if page.stride < need {
                page.grow(layers, dim, need);
            }
        }
    }
}

impl Page {
    fn grow(&mut self, layers: usize, dim: usize, stride: usize) {
        let mut keys = vec![0f32; layers * dim * stride];
        let mut values = vec![0f32; layers * dim * stride];
        for (from, to) in self.keys.chunks_exact(self.stride).zip(keys.chunks_exact_mut(stride)) {
            to[..self.stride].copy_from_slice(from);
        }
        let (short, long) = (self.stride * dim, stride * dim);
        for (from, to) in self.values.chunks_exact(short).zip(values.chunks_exact_mut(long)) {
            to[..short].copy_from_slice(from);
        }
        (self.keys, self.values, self.stride) = (keys, values, stride);
    }
}

/// Tokens to read into a sequence.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// The tokens.
    pub tokens: &'a [u32],
    /// What was read before them.
    pub cache: &'a mut Cache,
    /// Whether the logits of every token are wanted, or only the last one's.
    pub every: bool,
    /// The adapter of this sequence, where it is not the decoder's own.
    pub adapter: Option<&'a Adapter>,
}

/// Buffers of [`Decoder::extend`].
#[derive(Debug, Default)]
pub struct StepSpace {
    angles: Angles,
    x: Vec<f32>,
    normed: Vec<f32>,
    inverse: Vec<f32>,
    projected: Vec<f32>,
    inverse_heads: Vec<f32>,
    queries: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    gated: Vec<f32>,
    wanted: Vec<f32>,
    /// The logits that were asked for, `[rows][outputs]`.
    pub logits: Vec<f32>,
}

/// A decoder's matrices once more, as few tokens at a time read them fastest.
#[derive(Debug)]
pub struct Reading {
    /// Of each layer, by [`Site`]; none for models that are too large to hold
    /// twice.
    layers: Vec<[Panels; 4]>,
    head: Panels,
}

/// Models with more numbers than this are not held twice.
const WORTH_HOLDING_TWICE: usize = 250_000_000;

impl Reading {
    /// Copies what is read of a decoder.
    pub fn of(decoder: &Decoder) -> Self {
        let panels = |matrix: Matrix| {
            decoder.weights.matrix(matrix, |numbers| {
                Panels::of(View::rows(numbers, matrix.outputs), matrix.inputs, matrix.outputs)
            })
        };
        let layers = if decoder.layout.len > WORTH_HOLDING_TWICE { &[][..] } else { &decoder.layout.layers };
        let sites = [Site::Qkv, Site::Out, Site::GateUp, Site::Down];
        let layers = layers.iter().map(|layer| sites.map(|site| panels(site.matrix(layer)))).collect();
        let head = decoder.with_head(|head| Panels::of(head.view, head.width, head.vocabulary));
        Self { layers, head }
    }
}

impl Decoder {
    /// Reads tokens into their caches, on up to `width` threads, and leaves the
    /// logits asked for in `space.logits`: chunk by chunk, row by row.
    pub fn extend(&self, width: usize, reading: &Reading, chunks: &mut [Chunk<'_>], space: &mut StepSpace) {
        let shape = &self.shape;
        let tokens: Vec<u32> = chunks.iter().flat_map(|chunk| chunk.tokens).copied().collect();
        let longest = chunks.iter().map(|chunk| chunk.cache.len + chunk.tokens.len()).max().unwrap_or(0);
        space.angles.reach(&shape.rope, shape.head_dim, longest);
        for chunk in &mut *chunks {
            chunk.cache.reserve(self, chunk.tokens.len());
        }
        let count = tokens.len();
        self.embed(&tokens, sized(&mut space.x, count * shape.width));
        for layer in 0..shape.layers {
            self.extend_layer(width, reading, layer, count, chunks, space);
        }
        for chunk in &mut *chunks {
            chunk.cache.len += chunk.tokens.len();
        }
        self.read_head(width, reading, count, chunks, space);
    }

    fn extend_layer(
        &self,
        width: usize,
        reading: &Reading,
        layer: usize,
        count: usize,
        chunks: &mut [Chunk<'_>],
        space: &mut StepSpace,
    ) {
        let shape = &self.shape;
        let of = &self.layout.layers[layer];
        let adapted = self.adapted(chunks);
        let linear = |site: Site, x: &[f32], y: &mut [f32], into: Into| {
            match reading.layers.get(layer) {
                // A single row streams through a whole matrix as well.
                Some(panels) if count > 1 => panels[site as usize].product(width, x, y, into),
                _ => self.base_linear(width, layer, site, x, y, into),
            }
            let matrix = site.matrix(of);
            for (rows, adapter) in &adapted {
                let x = &x[rows.start * matrix.inputs..rows.end * matrix.inputs];
                let y = &mut y[rows.start * matrix.outputs..rows.end * matrix.outputs];
                self.adapt(adapter, width, layer, site, x, y);
            }
        };
        let normed = sized(&mut space.normed, count * shape.width);
        let gain = self.weights.vector(of.norm_in);
        norm(width, &space.x, gain, shape.epsilon, normed, sized(&mut space.inverse, count));
        let projected = sized(&mut space.projected, count * shape.qkv_width());
        linear(Site::Qkv, normed, projected, Into::Set);
        let heads = self.heads(layer);
        prepare(heads, width, projected, &mut space.inverse_heads);
        let queries = Shared::new(sized(&mut space.queries, count * shape.query_width()));
        let standings = standings(layer, shape.kv_heads * shape.head_dim, chunks, queries);
        place(heads, width, projected, &space.inverse_heads, &space.angles, |token| standings[token]);
        sized(&mut space.attended, count * shape.query_width());
        self.attend_cached(width, layer, count, chunks, &space.queries, &mut space.attended);
        linear(Site::Out, &space.attended, &mut space.x, Into::Add);
        if let Some(bias) = of.out_bias {
            add_bias(&mut space.x, self.weights.vector(bias));
        }
        let gain = self.weights.vector(of.norm_mid);
        norm(width, &space.x, gain, shape.epsilon, normed, &mut space.inverse);
        let gate_up = sized(&mut space.gate_up, count * 2 * shape.inner);
        linear(Site::GateUp, normed, gate_up, Into::Set);
        let gated = sized(&mut space.gated, count * shape.inner);
        gate(width, shape.inner, gate_up, gated);
        linear(Site::Down, gated, &mut space.x, Into::Add);
    }

    /// The adapter of each run of rows that has one.
    fn adapted<'a>(&'a self, chunks: &[Chunk<'a>]) -> Vec<(std::ops::Range<usize>, &'a Adapter)> {
        let mut runs: Vec<(std::ops::Range<usize>, &Adapter)> = Vec::new();
        let mut start = 0;
        for chunk in chunks {
            let end = start + chunk.tokens.len();
            if let Some(adapter) = chunk.adapter.or(self.adapter.as_ref()) {
                match runs.last_mut().filter(|(rows, a)| rows.end == start && std::ptr::eq(*a, adapter)) {
                    Some((rows, _)) => rows.end = end,
                    None => runs.push((start..end, adapter)),
                }
            }
            start = end;
        }
        runs
    }

    fn attend_cached(
        &self,
        width: usize,
        layer: usize,
        count: usize,
        chunks: &[Chunk<'_>],
        queries: &[f32],
        attended: &mut [f32],
    ) {
        let shape = &self.shape;
        let (dim, group) = (shape.head_dim, shape.group());
        let mut tasks = Vec::new();
        let mut start = 0;
        for chunk in chunks {
            let (cache, len): (&Cache, usize) = (chunk.cache, chunk.tokens.len());
            for kv in 0..shape.kv_heads {
                tasks.extend((0..len).step_by(queries_of(len)).map(|first| (cache, start, len, kv, first)));
            }
            start += len;
        }
        let attended = Shared::new(attended);
        let pieces = width.max(1);
        split(pieces, pieces, 1, |part| {
            for piece in part {
                for (cache, start, len, kv, first) in tasks.iter().skip(piece).step_by(pieces) {
                    let rows = queries_of(*len).min(len - first) * group;
                    let block = |index: usize| {
                        let page = &cache.pages[index];
                        let slot = (layer * shape.kv_heads + kv) * page.stride * dim;
                        Block { keys: &page.keys[slot..], stride: page.stride, values: &page.values[slot..] }
                    };
                    let row = (kv * count + start + first) * group;
                    with_scratch(rows * (dim + 1), |scratch| {
                        let (out, log_sums) = scratch.split_at_mut(rows * dim);
                        let queries = &queries[row * dim..][..rows * dim];
                        let head = Head { group, head_dim: dim };
                        attend(head, queries, cache.len + first, block, out, log_sums);
                        for (i, from) in out.chunks_exact(group * dim).enumerate() {
                            let place = (start + first + i) * shape.query_width() + kv * group * dim;
                            // SAFETY: each task has queries of its own.
                            unsafe { attended.slice(place, group * dim) }.copy_from_slice(from);
                        }
                    });
                }
            }
        });
    }

    fn read_head(
        &self,
        width: usize,
        reading: &Reading,
        count: usize,
        chunks: &[Chunk<'_>],
        space: &mut StepSpace,
    ) {
        let (size, outputs) = (self.shape.width, self.shape.outputs());
        space.wanted.clear();
        let mut start = 0;
        for chunk in chunks {
            let end = start + chunk.tokens.len();
            let first = if chunk.every { start } else { end - 1 };
            space.wanted.extend_from_slice(&space.x[first * size..end * size]);
            start = end;
        }
        debug_assert_eq!(start, count, "all tokens belong to chunks");
        let rows = space.wanted.len() / size;
        let normed = sized(&mut space.normed, rows * size);
        let gain = self.weights.vector(self.layout.norm);
        norm(width, &space.wanted, gain, self.shape.epsilon, normed, sized(&mut space.inverse, rows));
        reading.head.product(width, normed, sized(&mut space.logits, rows * outputs), Into::Set);
    }
}

/// Where each token's heads go in its cache.
fn standings<'a>(
    layer: usize,
    key_width: usize,
    chunks: &'a mut [Chunk<'_>],
    queries: Shared<'a>,
) -> Vec<(Standing, Places<'a>)> {
    let mut standings = Vec::new();
    for chunk in chunks {
        let len = chunk.tokens.len();
        let Cache { pages, len: before } = &mut *chunk.cache;
        let pages: Vec<(Shared<'a>, Shared<'a>, usize)> = pages
            .iter_mut()
            .map(|page| match Arc::get_mut(page) {
                Some(page) => {
                    let slot = layer * key_width * page.stride;
                    let len = key_width * page.stride;
                    (
                        Shared::new(&mut page.keys[slot..slot + len]),
                        Shared::new(&mut page.values[slot..slot + len]),
                        page.stride,
                    )
                }
                // A shared page is full of what was read before.
                None => (Shared::new(&mut []), Shared::new(&mut []), KEYS),
            })
            .collect();
        standings.extend((*before..*before + len).map(|position| {
            let (keys, values, stride) = pages[position / KEYS];
            (Standing { position, slot: position % KEYS }, Places { queries, keys, values, stride })
        }));
    }
    standings
}

/// The logarithm of the sum of a row of logits, as the loss computes it.
pub fn log_sum(logits: &[f32]) -> f32 {
    let mut state = [0f32; 3];
    let mut sums = LogSums::new(&mut state, 1);
    for block in logits.chunks(crate::ops::loss::VOCABULARY) {
        sums.take(1, block, 0, |_| 0);
    }
    sums.log_sum(0)
}
