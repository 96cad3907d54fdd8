//! Sampling and training are one model: what one computes token by token
//! against a cache, in whatever company, the other computes on the whole
//! sequence, and the two agree to the bit.

use proptest::prelude::*;
use swegym_train::architecture::{Architecture, Family};
use swegym_train::decoder::{Cache, Chunk, Decoder, Pack, Pass, Reading, StepSpace, Workspace, log_sum};
use swegym_train::rope::Rope;

fn decoder(family: Family, tied: bool, kv_heads: usize, seed: u64) -> Decoder {
    let mut decoder = Decoder::fresh(
        Architecture {
            family,
            vocabulary: 300,
            width: 64,
            layers: 2,
            heads: 4,
            kv_heads,
            head_dim: 16,
            inner: 96,
            epsilon: 1e-6,
            rope: Rope::plain(10_000.0, 16),
            context: 4096,
            tied,
            classes: None,
            qkv_bias: family == Family::Qwen2,
            out_bias: false,
            init_range: 0.3,
        },
        seed,
    );
    // Biases and gains of fresh models are all alike.
    let vectors = decoder.layout.vectors;
    for (i, x) in decoder.trained_mut().expect("whole weights")[..vectors].iter_mut().enumerate() {
        *x += ((i * 31 % 17) as f32 - 8.0) / 40.0;
    }
    decoder
}

fn tokens(len: usize, seed: u32) -> Vec<u32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % 300
        })
        .collect()
}

/// Log-probabilities of each token after the first, as the trainer sees them.
fn trained(decoder: &Decoder, sequence: &[u32], width: usize) -> Vec<u32> {
    let pack = Pack::of(sequence, &vec![1.0; sequence.len()]);
    let outcomes = decoder.score(Pass { width, again: false }, &pack, &mut Workspace::default());
    outcomes.iter().map(|o| o.logprob.to_bits()).collect()
}

/// The same, reading in steps: at each, so many tokens of every sequence.
fn sampled(decoder: &Decoder, sequences: &[Vec<u32>], steps: &[usize], width: usize) -> Vec<Vec<u32>> {
    let reading = Reading::of(decoder);
    let mut caches = vec![Cache::default(); sequences.len()];
    let mut space = StepSpace::default();
    let mut found = vec![Vec::new(); sequences.len()];
    let mut step = steps.iter().cycle();
    while caches.iter().zip(sequences).any(|(cache, sequence)| cache.len() < sequence.len()) {
        let take = *step.next().expect("a cycle does not end");
        let mut chunks = Vec::new();
        let mut read = Vec::new();
        for (index, (cache, sequence)) in caches.iter_mut().zip(sequences).enumerate() {
            let first = cache.len();
            let last = (first + take).min(sequence.len());
            if first < last {
                read.push((index, first, last));
                chunks.push(Chunk { tokens: &sequence[first..last], cache, every: true, adapter: None });
            }
        }
        decoder.extend(width, &reading, &mut chunks, &mut space);
        let mut rows = space.logits.chunks_exact(decoder.shape.vocabulary);
        for (index, first, last) in read {
            for position in first..last {
                let logits = rows.next().expect("a row a token");
                if let Some(&next) = sequences[index].get(position + 1) {
                    found[index].push((logits[next as usize] - log_sum(logits)).to_bits());
                }
            }
        }
    }
    found
}

#[test]
fn logprobs_agree_to_the_bit_token_by_token() {
    for (family, tied, kv_heads) in [
        (Family::Qwen2, true, 2),
        (Family::Qwen3, false, 1),
        (Family::Llama, true, 4),
        (Family::Qwen2, false, 2),
    ] {
        let decoder = decoder(family, tied, kv_heads, 3);
        let sequence = tokens(80, 5);
        let expected = trained(&decoder, &sequence, 1);
        assert_eq!(
            sampled(&decoder, std::slice::from_ref(&sequence), &[1], 1)[0],
            expected,
            "{family:?}, tied: {tied}"
        );
        assert_eq!(sampled(&decoder, &[sequence], &[33, 1, 1, 7], 2)[0], expected, "{family:?}, in pieces");
    }
}

#[test]
fn logprobs_agree_to_the_bit_over_many_blocks_of_keys() {
    let decoder = decoder(Family::Qwen2, true, 2, 4);
    let sequence = tokens(1100, 9);
    let expected = trained(&decoder, &sequence, 2);
    assert_eq!(sampled(&decoder, std::slice::from_ref(&sequence), &[500, 1, 1, 100], 2)[0], expected);
    assert_eq!(sampled(&decoder, &[sequence], &[510, 1, 1, 1, 1, 1, 1, 400], 1)[0], expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whoever else is in the batch, in whatever steps.
    #[test]
    fn company_changes_no_bit(lengths in prop::collection::vec(2..90usize, 1..7), steps in prop::collection::vec(1..40usize, 1..5), width in 1..3usize) {
        let decoder = decoder(Family::Qwen2, true, 2, 11);
        let sequences: Vec<Vec<u32>> = lengths.iter().enumerate().map(|(i, &len)| tokens(len, i as u32)).collect();
        let found = sampled(&decoder, &sequences, &steps, width);
        for (sequence, found) in sequences.iter().zip(found) {
            prop_assert_eq!(found, trained(&decoder, sequence, 1));
        }
    }

    /// A cache that begins as another's does goes on as its own would.
    #[test]
    fn shared_beginnings_change_no_bit(len in 3..700usize, share in 1..700usize) {
        let decoder = decoder(Family::Qwen2, true, 2, 12);
        let reading = Reading::of(&decoder);
        let (first, mut second) = (tokens(len, 1), tokens(len, 2));
        let share = share.min(len - 1);
        second[..share].copy_from_slice(&first[..share]);
        let mut space = StepSpace::default();
        let mut whole = Cache::default();
        decoder.extend(1, &reading, &mut [Chunk { tokens: &first, cache: &mut whole, every: false, adapter: None }], &mut space);
        let mut cache = whole.beginning(share);
        decoder.extend(1, &reading, &mut [Chunk { tokens: &second[share..], cache: &mut cache, every: false, adapter: None }], &mut space);
        let shared = space.logits.clone();
        decoder.extend(1, &reading, &mut [Chunk { tokens: &second, cache: &mut Cache::default(), every: false, adapter: None }], &mut space);
        prop_assert!(shared == space.logits);
    }
}
