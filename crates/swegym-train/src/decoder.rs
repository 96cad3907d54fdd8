//! The decoder: its weights, and its layers forward and back.

mod backward;
mod cached;
mod forward;
mod heads;
mod linear;
pub(crate) mod workspace;

use crate::adapter::Adapter;
use crate::architecture::Architecture;
use crate::layout::Layout;
use crate::ops::loss::HeadWeights;
use crate::ops::product::View;
use crate::weights::{Weights, fresh};

pub use crate::ops::loss::Outcome;
pub use backward::Pass;
pub use cached::{Cache, Chunk, Reading, StepSpace, log_sum};
pub use workspace::{Pack, Workspace};

/// A model that can be trained and sampled.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Its sizes.
    pub shape: Architecture,
    /// Where its tensors lie.
    pub layout: Layout,
    /// Its numbers.
    pub weights: Weights,
    /// What is added to its matrices, if anything. Then only this is trained.
    pub adapter: Option<Adapter>,
}

impl Decoder {
    /// A decoder with fresh weights.
    pub fn fresh(shape: Architecture, seed: u64) -> Self {
        let layout = Layout::of(&shape);
        let weights = Weights::fresh(&shape, &layout, seed);
        Self { shape, layout, weights, adapter: None }
    }

    /// The same layers under a fresh head that tells `classes` apart. An adapter
    /// is dropped.
    ///
    /// Nothing if the weights are held for reading only.
    pub fn with_classes(self, classes: usize, seed: u64) -> Option<Self> {
        let Weights::Whole(mut numbers) = self.weights else { return None };
        let shape = Architecture { classes: Some(classes), ..self.shape };
        let layout = Layout::of(&shape);
        let Some(head) = layout.head else { unreachable!("classes have a head of their own") };
        numbers.truncate(head.offset);
        numbers.extend(fresh(shape.width * classes, shape.init_range, seed));
        Some(Self { shape, layout, weights: Weights::Whole(numbers), adapter: None })
    }

    /// How many numbers training changes.
    pub fn trained_len(&self) -> usize {
        self.adapter.as_ref().map_or(self.layout.len, |adapter| adapter.numbers.len())
    }

    /// Where among the trained numbers those begin that decay.
    pub fn decay_from(&self) -> usize {
        if self.adapter.is_some() { 0 } else { self.layout.vectors }
    }

    /// The numbers that training changes; none if the weights are halved and
    /// there is no adapter.
    pub fn trained_mut(&mut self) -> Option<&mut Vec<f32>> {
        match &mut self.adapter {
            Some(adapter) => Some(&mut adapter.numbers),
            None => self.weights.whole_mut(),
        }
    }

    /// Looks up the embedding of each token.
    fn embed(&self, tokens: &[u32], x: &mut [f32]) {
        let width = self.shape.width;
        for (token, row) in tokens.iter().zip(x.chunks_exact_mut(width)) {
            let first = self.layout.embedding + *token as usize * width;
            self.weights.lend(first..first + width, |numbers| row.copy_from_slice(numbers));
        }
    }

    /// Lends the head's weights.
    fn with_head<R>(&self, work: impl FnOnce(HeadWeights<'_>) -> R) -> R {
        let (width, outputs) = (self.shape.width, self.shape.outputs());
        if let Some((adapter, head)) =
            self.adapter.as_ref().and_then(|adapter| Some((adapter, adapter.head?)))
        {
            let view = View::rows(&adapter.numbers[head.range()], outputs);
            return work(HeadWeights { view, width, vocabulary: outputs });
        }
        let range = match self.layout.head {
            Some(head) => head.range(),
            None => self.layout.embedding..self.layout.embedding + outputs * width,
        };
        self.weights.lend(range, |array| {
            let view = match self.layout.head {
                Some(_) => View::rows(array, outputs),
                None => View::rows(array, width).turned(),
            };
            work(HeadWeights { view, width, vocabulary: outputs })
        })
    }
}
