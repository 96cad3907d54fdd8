//! Low-rank adapters (Hu et al., arXiv 2106.09685): `W + scale * B A`, where
//! only `A` and `B` are trained. They lie in an array of their own, `A` and `B`
//! turned like every matrix, and are named as PEFT names them. Where the model
//! tells classes apart, its head is part of the adapter and trained whole
//! (PEFT's `modules_to_save`): a fresh head has nothing to be added to.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::architecture::Architecture;
use crate::decoder::Decoder;
use crate::layout::{Layer, Layout, Matrix, Place, Tensor, projections};
use crate::weights::uniform;

/// The short names of the projections that can be adapted, in their order.
pub const TARGETS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// What a user chooses about an adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterShape {
    /// Columns of `A`.
    pub rank: usize,
    /// `lora_alpha`: the product is multiplied with `alpha / rank`.
    pub alpha: f32,
    /// Whether it is `alpha / sqrt(rank)` instead (`use_rslora`).
    pub by_root: bool,
    /// Which of [`TARGETS`].
    pub targets: Vec<String>,
}

impl AdapterShape {
    /// What the product is multiplied with.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.by_root { rank.sqrt() } else { rank }
    }
}

/// One projection's pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// `A`: `[inputs][rank]`.
    pub(crate) down: Matrix,
    /// `B`: `[rank][outputs]`.
    pub(crate) up: Matrix,
    /// The first column of the joined matrix that it adds to.
    pub(crate) first: usize,
}

/// An adapter: its shape, its numbers, and where they lie.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// What was chosen.
    pub shape: AdapterShape,
    /// All numbers.
    pub numbers: Vec<f32>,
    /// Its tensors by their PEFT names.
    pub tensors: Vec<Tensor>,
    /// For each layer, for each target.
    pairs: Vec<[Option<Pair>; 7]>,
    /// The head of classes that stands for the model's: `[width][classes]`.
    pub(crate) head: Option<Matrix>,
}

/// PEFT's name of the head of classes.
pub(crate) const HEAD: &str = "score";

impl Adapter {
    /// A fresh adapter, which changes nothing yet: `B` is zero, and a head of
    /// classes is the model's.
    pub fn fresh(decoder: &Decoder, shape: AdapterShape, seed: u64) -> Self {
        let mut adapter = Self::zeroed(&decoder.shape, &decoder.layout, shape);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for pair in adapter.pairs.iter().flatten().flatten() {
            let bound = 1.0 / (pair.down.inputs as f32).sqrt();
            uniform(&mut adapter.numbers[pair.down.range()], bound, &mut rng);
        }
        if let (Some(own), Some(of)) = (adapter.head, decoder.layout.head) {
            decoder.weights.lend(of.range(), |numbers| adapter.numbers[own.range()].copy_from_slice(numbers));
        }
        adapter
    }

    /// An adapter whose numbers are to be read from a file.
    pub(crate) fn zeroed(decoder: &Architecture, layout: &Layout, shape: AdapterShape) -> Self {
        let mut tensors = Vec::new();
        let mut len = 0;
        let mut take = |inputs: usize, outputs: usize| {
            let matrix = Matrix { offset: len, inputs, outputs };
            len += inputs * outputs;
            matrix
        };
        let mut pairs = Vec::new();
        for (index, layer) in layout.layers.iter().enumerate() {
            let mut of_layer = [None; 7];
            for (slot, (name, matrix, first, outputs)) in projections(layer, decoder).into_iter().enumerate()
            {
                if !shape.targets.iter().any(|target| target == TARGETS[slot]) {
                    continue;
                }
                let down = take(matrix.inputs, shape.rank);
                let up = take(shape.rank, outputs);
                let prefix = format!("base_model.model.model.layers.{index}.{name}");
                tensors.push(turned(format!("{prefix}.lora_A.weight"), down));
                tensors.push(turned(format!("{prefix}.lora_B.weight"), up));
                of_layer[slot] = Some(Pair { down, up, first });
            }
            pairs.push(of_layer);
        }
        let head = decoder.classes.map(|classes| take(decoder.width, classes));
        tensors.extend(head.map(|head| turned(format!("base_model.model.{HEAD}.weight"), head)));
        Self { shape, numbers: vec![0.0; len], tensors, pairs, head }
    }

    /// Whether it brings a head of classes, so that only one such adapter can be
    /// used with a model at a time.
    pub fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// The pairs that add to one joined matrix of a layer.
    pub(crate) fn pairs(&self, layer: usize, site: Site) -> impl Iterator<Item = Pair> + '_ {
        self.pairs[layer][site.slots()].iter().copied().flatten()
    }
}

fn turned(name: String, matrix: Matrix) -> Tensor {
    let place = Place::Turned { offset: matrix.offset, stride: matrix.outputs };
    Tensor { name, shape: vec![matrix.outputs, matrix.inputs], place }
}

/// The joined matrices of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    Qkv,
    Out,
    GateUp,
    Down,
}

impl Site {
    fn slots(self) -> std::ops::Range<usize> {
        match self {
            Self::Qkv => 0..3,
            Self::Out => 3..4,
            Self::GateUp => 4..6,
            Self::Down => 6..7,
        }
    }

    pub(crate) fn matrix(self, layer: &Layer) -> Matrix {
        match self {
            Self::Qkv => layer.qkv,
            Self::Out => layer.out,
            Self::GateUp => layer.gate_up,
            Self::Down => layer.down,
        }
    }
}
