//! The decoder against `transformers` in double precision: logits, loss and
//! every gradient of random models. The files are made by `golden/make.py`;
//! `SWEGYM_GOLDEN` names a folder of others.

use std::path::PathBuf;

use safetensors::SafeTensors;
use swegym_train::adapter::{Adapter, AdapterShape, TARGETS};
use swegym_train::checkpoint::{self, Held};
use swegym_train::decoder::{Decoder, Pack, Pass, Workspace};
use swegym_train::layout::{Place, Tensor};

const ONE: Pass = Pass { width: 1, again: false };

#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn folder() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::env::var_os("SWEGYM_GOLDEN").map_or(here, PathBuf::from)
}

struct Golden {
    decoder: Decoder,
    bytes: Vec<u8>,
}

impl Golden {
    fn read(name: &str) -> Self {
        let folder = folder().join(name);
        let decoder = checkpoint::read(&folder, Held::Whole).expect("a golden model").decoder;
        Self { decoder, bytes: std::fs::read(folder.join("golden.safetensors")).expect("a golden file") }
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let data = file.tensor(name).expect("a golden tensor").data();
        data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn ids(&self, index: usize) -> Vec<u32> {
        self.numbers(&format!("ids.{index}")).iter().map(|x| x.to_bits()).collect()
    }

    /// Both sequences in one pack, and the sum of their weights.
    fn pack(&self) -> (Pack, f64) {
        let mut pack = Pack::default();
        for index in 0..2 {
            pack.push(&self.ids(index), &self.numbers(&format!("weights.{index}")));
        }
        let weight = pack.weight();
        (pack, weight)
    }
}

/// A tensor out of a gradient, in the file's order.
fn tensor(gradient: &[f32], tensor: &Tensor) -> Vec<f32> {
    let (outputs, inputs) = (tensor.shape[0], tensor.shape.get(1).copied().unwrap_or(1));
    let index = |output: usize, input: usize| match tensor.place {
        Place::Straight { offset } => offset + output * inputs + input,
        Place::Turned { offset, stride } => offset + input * stride + output,
    };
    (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| gradient[index(o, i)]).collect()
}

/// The largest difference, by the largest number.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let most = expected.iter().fold(1e-12f32, |most, x| most.max(x.abs()));
    found.iter().zip(expected).fold(0f32, |worst, (a, b)| worst.max((a - b).abs())) / most
}

const MODELS: [&str; 4] = ["qwen2", "qwen3", "llama", "yarn"];

#[test]
fn logits_are_those_of_the_reference() {
    for name in MODELS {
        let golden = Golden::read(name);
        for index in 0..2 {
            let logits = golden.decoder.logits(ONE, &golden.ids(index), &mut Workspace::default());
            let error = distance(&logits, &golden.numbers(&format!("logits.{index}")));
            assert!(error < 1e-5, "{name}, sequence {index}: {error:e}");
        }
    }
}

#[test]
fn loss_and_every_gradient_are_those_of_the_reference() {
    for name in MODELS {
        let golden = Golden::read(name);
        let (pack, weight) = golden.pack();
        let mut gradient = vec![0f32; golden.decoder.trained_len()];
        let mut work = Workspace::default();
        let factor = (1.0 / weight) as f32;
        let outcomes = golden.decoder.learn(ONE, &pack, factor, &mut work, &mut gradient);
        let loss: f64 = outcomes
            .iter()
            .zip(&pack.weights)
            .map(|(o, &w)| -f64::from(o.logprob) * f64::from(w))
            .sum::<f64>()
            / weight;
        let expected = f64::from(golden.numbers("loss")[0]);
        assert!((loss - expected).abs() < 1e-5 * expected, "{name}: loss {loss} for {expected}");
        for spec in &golden.decoder.layout.tensors {
            let error = distance(&tensor(&gradient, spec), &golden.numbers(&format!("grad.{}", spec.name)));
            assert!(error < 1e-4, "{name}, {}: {error:e}", spec.name);
        }
    }
}

#[test]
fn threads_and_computing_again_change_no_bit() {
    for name in MODELS {
        let golden = Golden::read(name);
        let (pack, _) = golden.pack();
        let run = |pass: Pass| {
            let mut gradient = vec![0f32; golden.decoder.trained_len()];
            let outcomes = golden.decoder.learn(pass, &pack, 1.0, &mut Workspace::default(), &mut gradient);
            let bits: Vec<u32> = gradient.iter().map(|x| x.to_bits()).collect();
            (outcomes, bits)
        };
        let first = run(ONE);
        for pass in [Pass { width: 2, again: false }, Pass { width: 3, again: true }] {
            assert!(run(pass) == first, "{name}: {pass:?} changes the result");
        }
    }
}

/// With an adapter only it is trained; its gradient is that of finite
/// differences of the loss.
#[test]
fn gradients_of_adapters_are_those_of_finite_differences() {
    for name in MODELS {
        let mut decoder = Golden::read(name).decoder;
        let (pack, _) = Golden::read(name).pack();
        let shape = AdapterShape {
            rank: 3,
            alpha: 6.0,
            by_root: false,
            targets: TARGETS.map(str::to_owned).to_vec(),
        };
        let mut adapter = Adapter::fresh(&decoder, shape, 7);
        // B is zero at first; then A would have no gradient.
        for (i, x) in adapter.numbers.iter_mut().enumerate() {
            *x += ((i * 37 % 101) as f32 / 101.0 - 0.5) * 0.2;
        }
        decoder.adapter = Some(adapter);
        let loss = |decoder: &Decoder| -> f64 {
            let outcomes = decoder.score(ONE, &pack, &mut Workspace::default());
            outcomes.iter().zip(&pack.weights).map(|(o, &w)| -f64::from(o.logprob) * f64::from(w)).sum()
        };
        let mut gradient = vec![0f32; decoder.trained_len()];
        decoder.learn(ONE, &pack, 1.0, &mut Workspace::default(), &mut gradient);
        // Along the gradient itself the loss changes most: the one direction
        // in which single precision shows a difference well.
        let length = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
        for target in 0..4 {
            let from = decoder.trained_len() * target / 4;
            let to = decoder.trained_len() * (target + 1) / 4;
            let part: f64 = gradient[from..to].iter().map(|&g| f64::from(g) * f64::from(g)).sum();
            let step = 2e-3 / length;
            let moved = |sign: f64| {
                let mut other = decoder.clone();
                let numbers = other.trained_mut().expect("an adapter");
                for (x, g) in numbers[from..to].iter_mut().zip(&gradient[from..to]) {
                    *x += (sign * step * f64::from(*g)) as f32;
                }
                loss(&other)
            };
            let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            assert!(
                (slope - part).abs() < 0.02 * part + 1e-3 * length * length,
                "{name}, quarter {target}: {slope} for {part}"
            );
        }
    }
}
