//! Training on rows of tokens: what SFT, the verifier and pre-training share.
//!
//! Everything that is trained on is a weighted negative log-likelihood, so
//! there is one loop. The order of the data follows from the seed and the
//! epoch alone; together with the optimiser's moments and the step's number
//! that is all a run needs to go on as if it had never stopped.

mod state;
mod stopping;

use std::borrow::Cow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use swegym_core::{Hint, Trouble};
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::decoder::{Decoder, Outcome, Pack, Pass, Workspace};
use crate::gradient::Lanes;
use crate::optimizer::{self, AdamW, Moments};
use crate::packing::{Fitted, Overlong, Sequence, best_fit, fit, pack};
use crate::schedule::{Schedule, Shape};
use crate::token_file::UNLEARNING;
use crate::tokens::TokenRow;

pub use stopping::Stopping;

/// What a user chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Longest sequence, and tokens of a pack.
    pub context: usize,
    /// What becomes of longer rows.
    pub overlong: Overlong,
    /// Whether several rows share a pack.
    pub packing: bool,
    /// Packs of an optimiser step.
    pub batch: usize,
    /// Passes over the data; or [`Settings::steps`].
    pub epochs: f64,
    /// Optimiser steps, if they and not epochs are counted.
    pub steps: Option<u64>,
    /// The peak of the learning rate.
    pub rate: f64,
    /// The last rate, as a share of the peak.
    pub floor: f64,
    /// How the rate goes.
    pub schedule: Shape,
    /// Share of all steps that warm up.
    pub warmup: f64,
    /// Longest gradient (2-norm); longer ones are shortened to it.
    pub clip: f64,
    /// The optimiser's other settings.
    pub adamw: AdamW,
    /// Gradient lanes: part of the arithmetic (see [`Lanes`]).
    pub lanes: usize,
    /// Compute layers again on the way back.
    pub again: bool,
    /// Of the data's order.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            context: 4096,
            overlong: Overlong::Drop,
            packing: true,
            batch: 8,
            epochs: 3.0,
            steps: None,
            rate: 1e-4,
            floor: 0.0,
            schedule: Shape::Cosine,
            warmup: 0.05,
            clip: 1.0,
            adamw: AdamW::default(),
            lanes: 2,
            again: false,
            seed: 0,
        }
    }
}

/// Why training stopped.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Nothing is left to learn from.
    #[error(
        "no row can be learnt from: of {rows}, {} are longer than the context of {context} tokens and {} have no learnt token",
        fitted.overlong, fitted.empty
    )]
    Nothing {
        /// Rows in all.
        rows: usize,
        /// The context.
        context: usize,
        /// What became of them.
        fitted: Fitted,
    },
    /// A token that the model does not have.
    #[error("row {row} ({instance}) has token {token}; the model's vocabulary ends at {vocabulary}")]
    Vocabulary {
        /// Which row, from 1.
        row: usize,
        /// Its instance.
        instance: String,
        /// The token.
        token: u32,
        /// The model's tokens.
        vocabulary: usize,
    },
    /// A weight below zero. The loss is divided by the sum of weights, so that it
    /// would be learnt like any other, or not at all.
    #[error("row {row} ({instance}) has a learnt token with the weight {weight}")]
    Negative {
        /// Which row, from 1.
        row: usize,
        /// Its instance.
        instance: String,
        /// The weight.
        weight: f32,
    },
    /// The loss of a row is no number any more.
    #[error("at step {step} the loss of row {row} ({instance}) is not a number")]
    NotFinite {
        /// Which step, from 1.
        step: u64,
        /// Which row, from 1.
        row: usize,
        /// Its instance.
        instance: String,
    },
    /// The gradient is no number any more, though every loss is.
    #[error("at step {step} the gradient is not a number")]
    Gradient {
        /// Which step, from 1.
        step: u64,
    },
    /// The weights are held for reading only.
    #[error("the weights are held in half precision and there is no adapter: nothing can be trained")]
    Frozen,
    /// A state that belongs to another run.
    #[error("the state in {place} is of another run: {problem}")]
    State {
        /// Where.
        place: String,
        /// What differs.
        problem: String,
    },
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Hint for TrainError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Nothing { .. } => "give a longer --context, or rows whose mask is not empty",
            Self::Vocabulary { .. } => "the tokens were made with another model's tokenizer",
            Self::Negative { .. } => UNLEARNING,
            Self::NotFinite { .. } | Self::Gradient { .. } => {
                "the last checkpoint is good: lower --rate, look at the row, and go on with --resume"
            }
            Self::Frozen => "train an adapter with --lora, or leave --half away",
            Self::State { .. } => "resume with the data and the flags that the run began with",
            Self::Checkpoint(inner) => return inner.hint(),
        };
        Some(hint.into())
    }

    fn trouble(&self) -> Trouble {
        match self {
            Self::Nothing { .. } => Trouble::Nothing,
            Self::NotFinite { .. } | Self::Gradient { .. } => Trouble::Unexpected,
            _ => Trouble::Usage,
        }
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

/// What one step, or one evaluation, found.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measured {
    /// Mean negative log-likelihood, weighted.
    pub loss: f64,
    /// Share of learnt tokens that were the likeliest.
    pub accuracy: f64,
    /// Tokens read.
    pub tokens: usize,
    /// Tokens learnt.
    pub learnt: usize,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Which step, from 1.
    pub step: u64,
    /// Passes over the data so far.
    pub epoch: f64,
    /// What was found before the update.
    pub measured: Measured,
    /// The rate of the update.
    pub rate: f64,
    /// The gradient's length before clipping.
    pub norm: f64,
}

/// A training run.
pub struct Trainer {
    /// What is trained.
    pub decoder: Decoder,
    /// How.
    pub settings: Settings,
    /// What became of the rows.
    pub fitted: Fitted,
    /// What the losses say so far, for whoever decides when to stop; `None` after
    /// going on from a state that was saved before states held it.
    pub stopping: Option<Stopping>,
    schedule: Schedule,
    sequences: Vec<Sequence>,
    instances: Vec<String>,
    packs: Vec<Vec<usize>>,
    moments: Moments,
    lanes: Lanes,
    pool: ThreadPool,
}

impl Trainer {
    /// Prepares a run over `rows`.
    ///
    /// # Errors
    /// There is nothing to learn, a token that the model does not have, or a
    /// weight below zero.
    pub fn new(
        mut decoder: Decoder,
        settings: Settings,
        rows: &[TokenRow],
        pool: ThreadPool,
    ) -> Result<Self, TrainError> {
        if decoder.trained_mut().is_none() {
            return Err(TrainError::Frozen);
        }
        let instances: Vec<String> = rows.iter().map(|row| row.instance_id.clone()).collect();
        check_vocabulary(rows, &decoder)?;
        check_weights(rows)?;
        let (sequences, fitted) = fit(rows, settings.context, settings.overlong);
        if sequences.is_empty() {
            return Err(TrainError::Nothing { rows: rows.len(), context: settings.context, fitted });
        }
        let packs = pack_all(&sequences, &settings);
        let per_epoch = packs.len().div_ceil(settings.batch) as u64;
        let steps = settings.steps.unwrap_or((per_epoch as f64 * settings.epochs).ceil() as u64).max(1);
        let schedule = Schedule {
            peak: settings.rate,
            floor: settings.floor,
            warmup: (settings.warmup * steps as f64).round() as u64,
            steps,
            shape: settings.schedule,
        };
        let (moments, lanes) = (Moments::new(decoder.trained_len()), Lanes::new(&decoder, settings.lanes));
        let stopping = Some(Stopping::default());
        Ok(Self {
            decoder,
            settings,
            fitted,
            stopping,
            schedule,
            sequences,
            instances,
            packs,
            moments,
            lanes,
            pool,
        })
    }

    /// Steps in all.
    pub fn steps(&self) -> u64 {
        self.schedule.steps
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.moments.steps
    }

    /// Optimiser steps of one pass over the data.
    pub fn steps_per_epoch(&self) -> u64 {
        self.packs.len().div_ceil(self.settings.batch) as u64
    }

    /// Packs of one pass over the data.
    pub fn packs(&self) -> usize {
        self.packs.len()
    }

    /// One optimiser step. After an error the weights are as before it.
    ///
    /// # Errors
    /// The loss or the gradient is no number.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        let index = self.moments.steps;
        let chosen = self.packs_of(index);
        let packs: Vec<Pack> = chosen.iter().map(|&p| pack(&self.sequences, &self.packs[p])).collect();
        let weight: f64 = packs.iter().map(Pack::weight).sum();
        let factor = if weight == 0.0 { 0.0 } else { (1.0 / weight) as f32 };
        let outcomes = self.lanes.take(&self.pool, &self.decoder, &packs, factor, self.settings.again);
        let step = index + 1;
        if let Some((pack, token)) = first_not_finite(&packs, &outcomes) {
            let row = self.row_at(chosen[pack], token);
            self.lanes.clear();
            return Err(TrainError::NotFinite { step, row: row + 1, instance: self.instances[row].clone() });
        }
        let (gradient, norm) = self.lanes.total(&self.pool);
        if !norm.is_finite() {
            self.lanes.clear();
            return Err(TrainError::Gradient { step });
        }
        let scale = if norm > self.settings.clip { self.settings.clip / (norm + 1e-6) } else { 1.0 };
        // The first step's rate would be nothing: warm-up counts steps done.
        let rate = self.schedule.rate(if self.schedule.warmup > 0 { step } else { index });
        let decay_from = self.decoder.decay_from();
        let numbers = self.decoder.trained_mut().ok_or(TrainError::Frozen)?;
        let moments = &mut self.moments;
        optimizer::step(
            &self.pool,
            self.settings.adamw,
            rate as f32,
            scale as f32,
            numbers,
            gradient,
            moments,
            decay_from,
        );
        let epoch = step as f64 / self.steps_per_epoch() as f64;
        Ok(StepReport { step, epoch, measured: measure(&packs, &outcomes), rate, norm })
    }

    /// The loss on rows that are not trained on.
    ///
    /// # Errors
    /// A token that the model does not have, a weight below zero, or nothing to score.
    pub fn evaluate(&self, rows: &[TokenRow]) -> Result<Measured, TrainError> {
        check_vocabulary(rows, &self.decoder)?;
        check_weights(rows)?;
        let (sequences, fitted) = fit(rows, self.settings.context, self.settings.overlong);
        if sequences.is_empty() {
            return Err(TrainError::Nothing { rows: rows.len(), context: self.settings.context, fitted });
        }
        let packs: Vec<Pack> =
            pack_all(&sequences, &self.settings).iter().map(|of| pack(&sequences, of)).collect();
        let outcomes = score_all(&self.pool, &self.decoder, &packs);
        Ok(measure(&packs, &outcomes))
    }

    /// The rows that a step learns from, in the order in which it reads them;
    /// steps count from 0.
    pub fn rows_of(&self, step: u64) -> Vec<usize> {
        let packs = self.packs_of(step);
        packs.iter().flat_map(|&pack| &self.packs[pack]).map(|&index| self.sequences[index].row).collect()
    }

    /// The packs of a step: each epoch in an order of its own, the last step of
    /// an epoch with what is left.
    fn packs_of(&self, step: u64) -> Vec<usize> {
        let per_epoch = self.steps_per_epoch();
        let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
        let mut order: Vec<usize> = (0..self.packs.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(self.settings.seed);
        rng.set_stream(epoch + 1);
        order.shuffle(&mut rng);
        let first = within * self.settings.batch;
        order[first..order.len().min(first + self.settings.batch)].to_vec()
    }

    /// The row that a pack's token came from.
    fn row_at(&self, pack: usize, token: usize) -> usize {
        let mut before = 0;
        for &index in &self.packs[pack] {
            before += self.sequences[index].tokens.len() - 1;
            if token < before {
                return self.sequences[index].row;
            }
        }
        self.sequences[self.packs[pack][0]].row
    }
}

/// Scores packs on all threads, a pack a thread.
pub fn score_all(pool: &ThreadPool, decoder: &Decoder, packs: &[Pack]) -> Vec<Vec<Outcome>> {
    use rayon::prelude::*;
    let width = pool.current_num_threads().div_ceil(packs.len().max(1));
    pool.install(|| {
        let score =
            |work: &mut Workspace, pack: &Pack| decoder.score(Pass { width, again: false }, pack, work);
        packs.par_iter().map_init(Workspace::default, score).collect()
    })
}

fn pack_all(sequences: &[Sequence], settings: &Settings) -> Vec<Vec<usize>> {
    if !settings.packing {
        return (0..sequences.len()).map(|index| vec![index]).collect();
    }
    let lengths: Vec<usize> = sequences.iter().map(|s| s.tokens.len() - 1).collect();
    best_fit(&lengths, settings.context)
}

fn check_vocabulary(rows: &[TokenRow], decoder: &Decoder) -> Result<(), TrainError> {
    let (read, said) = (decoder.shape.vocabulary, decoder.shape.outputs());
    for (index, row) in rows.iter().enumerate() {
        let learnt = |i: usize| row.loss_mask.get(i) == Some(&true);
        let known = |i: usize, token: u32| (token as usize) < if learnt(i) { said } else { read };
        if let Some((i, &token)) = row.input_ids.iter().enumerate().find(|&(i, &token)| !known(i, token)) {
            let vocabulary = if learnt(i) { said } else { read };
            let instance = row.instance_id.clone();
            return Err(TrainError::Vocabulary { row: index + 1, instance, token, vocabulary });
        }
    }
    Ok(())
}

fn check_weights(rows: &[TokenRow]) -> Result<(), TrainError> {
    let found = rows.iter().enumerate().find_map(|(index, row)| Some((index + 1, row.negative_weight()?)));
    let Some((row, weight)) = found else { return Ok(()) };
    Err(TrainError::Negative { row, instance: rows[row - 1].instance_id.clone(), weight })
}

fn first_not_finite(packs: &[Pack], outcomes: &[Vec<Outcome>]) -> Option<(usize, usize)> {
    packs.iter().zip(outcomes).enumerate().find_map(|(index, (pack, outcomes))| {
        let bad = |(outcome, weight): (&Outcome, &f32)| *weight != 0.0 && !outcome.logprob.is_finite();
        outcomes.iter().zip(&pack.weights).position(bad).map(|token| (index, token))
    })
}

fn measure(packs: &[Pack], outcomes: &[Vec<Outcome>]) -> Measured {
    let mut measured = Measured { tokens: packs.iter().map(|p| p.tokens.len()).sum(), ..Measured::default() };
    let (mut total, mut weights, mut right) = (0f64, 0f64, 0usize);
    for (pack, outcomes) in packs.iter().zip(outcomes) {
        for (outcome, &weight) in outcomes.iter().zip(&pack.weights).filter(|(_, w)| **w != 0.0) {
            total -= f64::from(outcome.logprob) * f64::from(weight);
            weights += f64::from(weight);
            measured.learnt += 1;
            right += usize::from(outcome.greedy);
        }
    }
    measured.loss = total / weights;
    measured.accuracy = right as f64 / measured.learnt as f64;
    measured
}
