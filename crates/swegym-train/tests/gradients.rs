//! The gradient of every tensor, whole models and adapters, against finite
//! differences of the loss: embedding, norms, biases, heads with their norms
//! and turns, both ways of the head, classes.

mod tiny;

use swegym_train::adapter::{Adapter, AdapterShape, TARGETS};
use swegym_train::architecture::{Architecture, Family};
use swegym_train::decoder::{Decoder, Pack, Pass, Workspace};
use swegym_train::layout::{Place, Tensor};

const PASS: Pass = Pass { width: 1, again: false };

fn loss(decoder: &Decoder, pack: &Pack) -> f64 {
    let outcomes = decoder.score(PASS, pack, &mut Workspace::default());
    outcomes.iter().zip(&pack.weights).map(|(o, w)| -f64::from(o.logprob) * f64::from(*w)).sum()
}

/// Where the numbers of a tensor lie.
fn places(tensor: &Tensor) -> Vec<usize> {
    let (outputs, inputs) = (tensor.shape[0], tensor.shape.get(1).copied().unwrap_or(1));
    let at = |output: usize, input: usize| match tensor.place {
        Place::Straight { offset } => offset + output * inputs + input,
        Place::Turned { offset, stride } => offset + input * stride + output,
    };
    (0..outputs).flat_map(|output| (0..inputs).map(move |input| at(output, input))).collect()
}

/// Moves each tensor along its own gradient, and compares the slope.
fn check(mut decoder: Decoder, pack: &Pack) {
    let mut gradient = vec![0f32; decoder.trained_len()];
    decoder.learn(PASS, pack, 1.0, &mut Workspace::default(), &mut gradient);
    let tensors =
        decoder.adapter.as_ref().map_or(&decoder.layout.tensors, |adapter| &adapter.tensors).clone();
    for tensor in &tensors {
        let places = places(tensor);
        let length = places.iter().map(|&i| f64::from(gradient[i]).powi(2)).sum::<f64>().sqrt();
        assert!(length > 1e-3, "{}: a gradient of {length} tests nothing", tensor.name);
        let step = 3e-2 / length.sqrt().max(1.0);
        let before = decoder.trained_mut().expect("whole weights").clone();
        let mut at = |sign: f64| {
            let numbers = decoder.trained_mut().expect("whole weights");
            numbers.clone_from(&before);
            for &i in &places {
                numbers[i] += (sign * step * f64::from(gradient[i]) / length) as f32;
            }
            loss(&decoder, pack)
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
        assert!((slope / length - 1.0).abs() < 1e-2, "{}: {slope} by differences, {length}", tensor.name);
        decoder.trained_mut().expect("whole weights").clone_from(&before);
    }
}

/// Two sequences in one pack, some tokens not learnt.
fn pack(vocabulary: u32) -> Pack {
    let mut pack = Pack::default();
    for (len, step) in [(23u32, 5), (31, 7)] {
        let tokens: Vec<u32> = (0..len).map(|i| (i * i * step + i) % vocabulary).collect();
        let weights: Vec<f32> = (0..len).map(|i| [0.0, 1.0, 0.5][(i % 3) as usize]).collect();
        pack.push(&tokens, &weights);
    }
    pack
}

fn shape(family: Family, tied: bool) -> Architecture {
    let qkv_bias = family == Family::Qwen2;
    Architecture { family, tied, qkv_bias, out_bias: !qkv_bias, init_range: 0.25, ..tiny::shape(48, 128) }
}

/// Norms that are not one and biases that are not zero, so that they matter.
fn decoder(shape: Architecture) -> Decoder {
    let mut decoder = Decoder::fresh(shape, 4);
    let vectors = decoder.layout.vectors;
    let numbers = decoder.trained_mut().expect("whole weights");
    numbers[..vectors].iter_mut().enumerate().for_each(|(i, x)| *x += ((i * 37 % 19) as f32 - 9.0) / 40.0);
    decoder
}

#[test]
fn of_every_tensor_of_every_family() {
    for family in [Family::Qwen2, Family::Qwen3, Family::Llama] {
        for tied in [true, false] {
            check(decoder(shape(family, tied)), &pack(48));
        }
    }
}

#[test]
fn of_every_tensor_of_an_adapter() {
    let mut decoder = decoder(shape(Family::Qwen3, true));
    let shape =
        AdapterShape { rank: 3, alpha: 5.0, by_root: true, targets: TARGETS.map(Into::into).to_vec() };
    let mut adapter = Adapter::fresh(&decoder, shape, 1);
    let numbers = adapter.numbers.iter_mut().enumerate();
    numbers.for_each(|(i, x)| *x += ((i * 29 % 23) as f32 - 11.0) / 60.0);
    decoder.adapter = Some(adapter);
    check(decoder, &pack(48));
}

#[test]
fn of_a_head_of_classes() {
    let decoder = decoder(shape(Family::Qwen2, true)).with_classes(2, 5).expect("whole weights");
    check(decoder, &classes());
}

#[test]
fn of_an_adapter_with_a_head_of_classes() {
    let mut decoder = decoder(shape(Family::Qwen2, true)).with_classes(2, 5).expect("whole weights");
    let shape =
        AdapterShape { rank: 2, alpha: 4.0, by_root: false, targets: TARGETS.map(Into::into).to_vec() };
    let mut adapter = Adapter::fresh(&decoder, shape, 1);
    assert!(adapter.has_head());
    let numbers = adapter.numbers.iter_mut().enumerate();
    numbers.for_each(|(i, x)| *x += ((i * 29 % 23) as f32 - 11.0) / 60.0);
    decoder.adapter = Some(adapter);
    check(decoder, &classes());
}

/// Sequences whose last token has a class for a target.
fn classes() -> Pack {
    let mut pack = Pack::default();
    for class in 0..2u32 {
        let mut tokens: Vec<u32> = (0..20).map(|i| (i * (7 + class)) % 48).collect();
        tokens.push(class);
        let mut weights = vec![0.0; 20];
        weights.push(1.0);
        pack.push(&tokens, &weights);
    }
    pack
}
