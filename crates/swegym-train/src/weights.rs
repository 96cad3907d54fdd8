//! The numbers of a decoder, whole or with its matrices in half precision.

use half::bf16;
use half::slice::HalfFloatSliceExt;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::architecture::Architecture;
use crate::layout::{Layout, Matrix, Place, Vector};
use crate::ops::with_scratch;

/// A decoder's numbers, in the order of its [`Layout`].
#[derive(Debug, Clone)]
pub enum Weights {
    /// Single precision throughout: what can be trained.
    Whole(Vec<f32>),
    /// Matrices in bfloat16, for weights that stay as they are.
    Half {
        /// Norms and biases.
        vectors: Vec<f32>,
        /// Everything after them.
        matrices: Vec<bf16>,
    },
}

impl Weights {
    /// Fresh weights: matrices normal with the architecture's deviation,
    /// norms one, biases zero. The same seed gives the same bits anywhere.
    pub fn fresh(shape: &Architecture, layout: &Layout, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut numbers = vec![0f32; layout.len];
        for tensor in &layout.tensors {
            let count: usize = tensor.shape.iter().product();
            match tensor.place {
                Place::Straight { offset } if tensor.shape.len() == 1 => {
                    let value = if tensor.name.ends_with("norm.weight") { 1.0 } else { 0.0 };
                    numbers[offset..offset + count].fill(value);
                }
                Place::Straight { offset } => {
                    numbers[offset..offset + count].fill_with(|| shape.init_range * normal(&mut rng));
                }
                Place::Turned { offset, stride } => {
                    for output in 0..tensor.shape[0] {
                        for input in 0..tensor.shape[1] {
                            numbers[offset + input * stride + output] = shape.init_range * normal(&mut rng);
                        }
                    }
                }
            }
        }
        Self::Whole(numbers)
    }

    /// The same numbers with matrices rounded to bfloat16.
    #[must_use]
    pub fn halved(self, layout: &Layout) -> Self {
        match self {
            Self::Whole(mut numbers) => {
                let matrices = numbers[layout.vectors..].iter().map(|&x| bf16::from_f32(x)).collect();
                numbers.truncate(layout.vectors);
                numbers.shrink_to_fit();
                Self::Half { vectors: numbers, matrices }
            }
            half => half,
        }
    }

    /// All numbers, where they can be trained.
    pub fn whole_mut(&mut self) -> Option<&mut Vec<f32>> {
        match self {
            Self::Whole(numbers) => Some(numbers),
            Self::Half { .. } => None,
        }
    }

    /// The number at an index.
    pub fn at(&self, index: usize) -> f32 {
        match self {
            Self::Whole(numbers) => numbers[index],
            Self::Half { vectors, matrices } => {
                vectors.get(index).copied().unwrap_or_else(|| matrices[index - vectors.len()].to_f32())
            }
        }
    }

    pub(crate) fn vector(&self, vector: Vector) -> &[f32] {
        match self {
            Self::Whole(numbers) => &numbers[vector.range()],
            Self::Half { vectors, .. } => &vectors[vector.range()],
        }
    }

    /// Lends a matrix in single precision.
    pub(crate) fn matrix<R>(&self, matrix: Matrix, work: impl FnOnce(&[f32]) -> R) -> R {
        self.lend(matrix.range(), work)
    }

    /// Lends any stretch of the matrices in single precision.
    pub(crate) fn lend<R>(&self, range: std::ops::Range<usize>, work: impl FnOnce(&[f32]) -> R) -> R {
        match self {
            Self::Whole(numbers) => work(&numbers[range]),
            Self::Half { vectors, matrices } => with_scratch(range.len(), |buffer| {
                matrices[range.start - vectors.len()..range.end - vectors.len()].convert_to_f32_slice(buffer);
                work(buffer)
            }),
        }
    }

    /// Whether any number is not one, and if so the index of the first.
    pub fn first_not_finite(&self) -> Option<usize> {
        match self {
            Self::Whole(numbers) => numbers.iter().position(|x| !x.is_finite()),
            Self::Half { vectors, matrices } => vectors
                .iter()
                .position(|x| !x.is_finite())
                .or_else(|| matrices.iter().position(|x| !x.is_finite()).map(|i| i + vectors.len())),
        }
    }
}

/// Fresh numbers of a matrix.
pub(crate) fn fresh(count: usize, deviation: f32, seed: u64) -> impl Iterator<Item = f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    std::iter::repeat_with(move || deviation * normal(&mut rng)).take(count)
}

/// A number of the normal distribution, by Box and Muller's polar form, which
/// needs no library's choice of algorithm to stay the same.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    loop {
        let (x, y) = (rng.random::<f64>() * 2.0 - 1.0, rng.random::<f64>() * 2.0 - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return (x * (-2.0 * square.ln() / square).sqrt()) as f32;
        }
    }
}

/// Fresh numbers for the first matrix of an adapter, as PEFT draws them:
/// uniform within `1 / sqrt(inputs)`.
pub(crate) fn uniform(numbers: &mut [f32], bound: f32, rng: &mut ChaCha8Rng) {
    numbers.fill_with(|| (rng.random::<f32>() * 2.0 - 1.0) * bound);
}
