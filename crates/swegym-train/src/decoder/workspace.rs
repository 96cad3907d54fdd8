//! What a pass through the decoder keeps and works in. Buffers are reused from
//! pass to pass.

use crate::rope::Rope;

/// Sequences that pass through together, one after another in the same rows:
/// attention stays inside each, and each begins at position 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pack {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// How many tokens each sequence has; their sum is all.
    pub segments: Vec<usize>,
    /// What should come after each token.
    pub targets: Vec<u32>,
    /// The weight of each target's loss, zero where nothing is learnt.
    pub weights: Vec<f32>,
}

impl Pack {
    /// A pack of one sequence: each token is to predict the next.
    /// `weights[i]` belongs to `tokens[i]` as a target; the first is not used.
    pub fn of(tokens: &[u32], weights: &[f32]) -> Self {
        let mut pack = Self::default();
        pack.push(tokens, weights);
        pack
    }

    /// Adds a sequence. Sequences of fewer than two tokens teach nothing and
    /// are left out.
    pub fn push(&mut self, tokens: &[u32], weights: &[f32]) {
        assert_eq!(tokens.len(), weights.len(), "each token has a weight");
        let Some(steps) = tokens.len().checked_sub(1).filter(|&steps| steps > 0) else { return };
        self.tokens.extend_from_slice(&tokens[..steps]);
        self.segments.push(steps);
        self.targets.extend_from_slice(&tokens[1..]);
        self.weights.extend_from_slice(&weights[1..]);
    }

    /// The sequences' rows.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.segments.iter().scan(0, |next, &len| {
            let first = *next;
            *next += len;
            Some(first..*next)
        })
    }

    /// The sum of all weights.
    pub fn weight(&self) -> f64 {
        self.weights.iter().map(|&w| f64::from(w)).sum()
    }
}

/// Cosines and sines of positions, as many as were needed so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Angles {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
}

impl Angles {
    pub(crate) fn reach(&mut self, rope: &Rope, head_dim: usize, positions: usize) {
        self.half = head_dim / 2;
        let have = self.cosines.len() / self.half;
        if have >= positions {
            return;
        }
        let positions = positions.next_power_of_two();
        self.cosines.resize(positions * self.half, 0.0);
        self.sines.resize(positions * self.half, 0.0);
        for position in have..positions {
            let range = position * self.half..(position + 1) * self.half;
            rope.angles(position, &mut self.cosines[range.clone()], &mut self.sines[range]);
        }
    }

    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

/// What one layer keeps for its way back.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) x: Vec<f32>,
    pub(crate) inverse_in: Vec<f32>,
    pub(crate) normed_in: Vec<f32>,
    /// Projections before norms and turns, only where heads are normed.
    pub(crate) raw: Vec<f32>,
    pub(crate) inverse_heads: Vec<f32>,
    /// `[kv][tokens * group][head_dim]`, scaled.
    pub(crate) queries: Vec<f32>,
    /// `[kv][head_dim][tokens]`.
    pub(crate) keys: Vec<f32>,
    /// `[kv][tokens][head_dim]`.
    pub(crate) values: Vec<f32>,
    pub(crate) attended: Vec<f32>,
    pub(crate) log_sums: Vec<f32>,
    pub(crate) middle: Vec<f32>,
    pub(crate) inverse_mid: Vec<f32>,
    pub(crate) normed_mid: Vec<f32>,
    pub(crate) gate_up: Vec<f32>,
    pub(crate) gated: Vec<f32>,
}

/// Buffers of one pass.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) angles: Angles,
    /// One a layer; or, when layers are computed again on the way back, one
    /// for all and the layers' inputs.
    pub(crate) kept: Vec<Kept>,
    pub(crate) inputs: Vec<Vec<f32>>,
    pub(crate) x: Vec<f32>,
    pub(crate) inverse: Vec<f32>,
    pub(crate) normed: Vec<f32>,
    pub(crate) projected: Vec<f32>,
    pub(crate) dx: Vec<f32>,
    pub(crate) dnormed: Vec<f32>,
    pub(crate) dgated: Vec<f32>,
    pub(crate) dgate_up: Vec<f32>,
    pub(crate) dattended: Vec<f32>,
    pub(crate) dqueries: Vec<f32>,
    pub(crate) dkeys: Vec<f32>,
    pub(crate) dvalues: Vec<f32>,
    pub(crate) dprojected: Vec<f32>,
}

/// Makes a buffer of `len` numbers, with anything in them.
pub(crate) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() != len {
        buffer.resize(len, 0.0);
    }
    buffer
}

/// Makes a buffer of `len` zeros.
pub(crate) fn zeroed(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.clear();
    buffer.resize(len, 0.0);
    buffer
}
