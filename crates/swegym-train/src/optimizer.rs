//! AdamW (Loshchilov and Hutter, arXiv 1711.05101), in the arithmetic of
//! PyTorch's.

use rayon::ThreadPool;

use crate::ops::isa_widest as widest;
use crate::ops::{Shared, split};

/// AdamW's settings but the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay of the running mean.
    pub beta1: f32,
    /// Decay of the running mean square.
    pub beta2: f32,
    /// Added to the root.
    pub epsilon: f32,
    /// Weight decay, of matrices only: norms and biases keep theirs.
    pub decay: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.01 }
    }
}

/// The running means, and how many steps they have seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Of the gradient.
    pub mean: Vec<f32>,
    /// Of its square.
    pub square: Vec<f32>,
    /// Steps so far.
    pub steps: u64,
}

impl Moments {
    /// Before the first step.
    pub fn new(len: usize) -> Self {
        Self { mean: vec![0.0; len], square: vec![0.0; len], steps: 0 }
    }
}

/// Numbers of one step.
#[derive(Clone, Copy)]
struct Step {
    rate: f32,
    /// What the gradient is multiplied with first: clipping.
    scale: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    keep: f32,
    correct1: f32,
    correct2: f32,
}

/// One step: changes `numbers` and `moments`, and empties `gradient`, whose
/// numbers are multiplied with `scale` first. Numbers before `decay_from` do
/// not decay.
#[expect(clippy::too_many_arguments, reason = "the optimiser's whole state")]
pub fn step(
    pool: &ThreadPool,
    settings: AdamW,
    rate: f32,
    scale: f32,
    numbers: &mut [f32],
    gradient: &mut [f32],
    moments: &mut Moments,
    decay_from: usize,
) {
    moments.steps += 1;
    let nth = moments.steps as f64;
    let step = Step {
        rate,
        scale,
        beta1: settings.beta1,
        beta2: settings.beta2,
        epsilon: settings.epsilon,
        keep: 1.0,
        correct1: (1.0 - f64::from(settings.beta1).powf(nth)) as f32,
        correct2: (1.0 - f64::from(settings.beta2).powf(nth)).sqrt() as f32,
    };
    let len = numbers.len();
    let threads = pool.current_num_threads();
    let (numbers, gradient) = (Shared::new(numbers), Shared::new(gradient));
    let (mean, square) = (Shared::new(&mut moments.mean), Shared::new(&mut moments.square));
    for (first, last, keep) in [(0, decay_from, 1.0), (decay_from, len, 1.0 - rate * settings.decay)] {
        let step = Step { keep, ..step };
        pool.install(|| {
            split(threads, last - first, 1 << 16, |part| {
                let (start, len) = (first + part.start, part.len());
                // SAFETY: pieces do not overlap.
                unsafe {
                    let (mean, square) = (mean.slice(start, len), square.slice(start, len));
                    update(step, numbers.slice(start, len), gradient.slice(start, len), mean, square);
                }
            });
        });
    }
}

widest! {
    fn update = update_body(step: Step, numbers: &mut [f32], gradient: &mut [f32], mean: &mut [f32], square: &mut [f32])
}

#[inline(always)]
fn update_body(step: Step, numbers: &mut [f32], gradient: &mut [f32], mean: &mut [f32], square: &mut [f32]) {
    let rows = numbers.iter_mut().zip(gradient).zip(mean).zip(square);
    for (((number, gradient), mean), square) in rows {
        let slope = *gradient * step.scale;
        *mean += (slope - *mean) * (1.0 - step.beta1);
        *square = *square * step.beta2 + slope * slope * (1.0 - step.beta2);
        let root = square.sqrt() / step.correct2 + step.epsilon;
        *number = *number * step.keep - step.rate / step.correct1 * (*mean / root);
        *gradient = 0.0;
    }
}
