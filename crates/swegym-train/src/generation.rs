//! Generation: many requests at once, each as if it were alone.
//!
//! Every step reads one more token of each request that is writing, and a
//! piece of the prompts of those that are not yet (continuous batching). A
//! request's tokens depend on its prompt, its settings and its seed alone:
//! neither the company nor the number of threads changes a bit. Requests that
//! begin alike share what was read.

mod draw;

use std::collections::VecDeque;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;

use crate::adapter::Adapter;
use crate::decoder::{Cache, Chunk, Decoder, Reading, StepSpace, log_sum};
pub use draw::Drawing;
use draw::{draw, likeliest};

/// Prompt tokens that one step reads, at most, beside the tokens of those that
/// write: so that nobody waits long for a newcomer.
const PROMPT_PIECE: usize = 512;

/// Models with more numbers than this use all threads for one token.
const WORTH_SHARING: usize = 20_000_000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What was said so far; not empty.
    pub prompt: Vec<u32>,
    /// Longest answer.
    pub max_new: usize,
    /// How tokens are drawn.
    pub drawing: Drawing,
    /// Tokens that end the answer. They are part of it.
    pub ends: Vec<u32>,
    /// How many of the likeliest tokens to report with each.
    pub alternatives: usize,
    /// Tokens whose log-probabilities to report with each, drawn or not.
    pub watched: Vec<u32>,
    /// Whether the log-probabilities of the prompt are wanted.
    pub prompt_logprobs: bool,
}

/// A request's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A token that was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Its id.
    pub id: u32,
    /// The logarithm of its probability under the model, whatever the temperature.
    pub logprob: f32,
    /// The likeliest tokens and their logarithms, where asked for.
    pub alternatives: Vec<(u32, f32)>,
    /// The logarithms of the tokens that are watched.
    pub watched: Vec<f32>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By a token that ends answers.
    Token,
    /// At its longest.
    Length,
    /// The model's context is full.
    Context,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The prompt was read. The log-probability of each of its tokens after
    /// the first, where asked for; and how many were known from others.
    Read {
        /// Whose.
        ticket: Ticket,
        /// Of each token of the prompt but the first.
        logprobs: Vec<f32>,
        /// Tokens that were shared.
        shared: usize,
    },
    /// A token.
    Token {
        /// Whose.
        ticket: Ticket,
        /// Which.
        token: Drawn,
    },
    /// The answer is whole.
    Done {
        /// Whose.
        ticket: Ticket,
        /// Why.
        end: End,
    },
}

/// How a generator works. None of it changes what is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests that write at once; others wait.
    pub running: usize,
    /// Bytes of what finished requests read that are kept for others.
    pub kept_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { running: 64, kept_bytes: 512 << 20 }
    }
}

/// One request under way.
struct Running {
    ticket: Ticket,
    request: Request,
    adapter: Option<Arc<Adapter>>,
    /// The prompt and what was drawn.
    tokens: Vec<u32>,
    cache: Cache,
    shared: usize,
    prompt_logprobs: Vec<f32>,
    rng: ChaCha8Rng,
    end: Option<End>,
}

impl Running {
    /// Tokens that are not read yet.
    fn unread(&self) -> usize {
        self.tokens.len() - self.cache.len()
    }

    fn is_reading(&self) -> bool {
        self.cache.len() + 1 < self.tokens.len() || self.tokens.len() == self.request.prompt.len()
    }
}

/// What a finished request read.
struct Kept {
    tokens: Vec<u32>,
    adapter: Option<Arc<Adapter>>,
    cache: Cache,
}

/// Whether two requests compute the same of the same tokens.
fn alike(a: Option<&Arc<Adapter>>, b: Option<&Arc<Adapter>>) -> bool {
    a.map(Arc::as_ptr) == b.map(Arc::as_ptr)
}

/// A model and the requests it answers.
pub struct Generator {
    decoder: Arc<Decoder>,
    reading: Reading,
    pool: Arc<ThreadPool>,
    limits: Limits,
    waiting: VecDeque<(Ticket, Request, Option<Arc<Adapter>>)>,
    running: Vec<Running>,
    /// What finished requests read, the latest last.
    kept: VecDeque<Kept>,
    spaces: Vec<StepSpace>,
    next: u64,
}

impl Generator {
    /// A generator that answers nobody yet.
    pub fn new(decoder: Arc<Decoder>, pool: Arc<ThreadPool>, limits: Limits) -> Self {
        let reading = Reading::of(&decoder);
        let mut spaces = Vec::new();
        spaces.resize_with(pool.current_num_threads(), StepSpace::default);
        Self {
            decoder,
            reading,
            pool,
            limits,
            waiting: VecDeque::new(),
            running: Vec::new(),
            kept: VecDeque::new(),
            spaces,
            next: 0,
        }
    }

    /// Puts a request in the queue.
    ///
    /// # Panics
    /// If the prompt is empty, or has a token that the model does not.
    pub fn submit(&mut self, request: Request) -> Ticket {
        self.submit_to(request, None)
    }

    /// Puts a request for the model with an adapter in the queue; other
    /// requests may have others.
    ///
    /// # Panics
    /// As [`Generator::submit`].
    pub fn submit_to(&mut self, request: Request, adapter: Option<Arc<Adapter>>) -> Ticket {
        let vocabulary = self.decoder.shape.vocabulary;
        assert!(!request.prompt.is_empty(), "a prompt has at least one token");
        assert!(request.prompt.iter().all(|&t| (t as usize) < vocabulary), "a token outside the vocabulary");
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back((ticket, request, adapter));
        ticket
    }

    /// Gives a request up. What it read stays of use to others.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.waiting.retain(|(t, ..)| *t != ticket);
        if let Some(index) = self.running.iter().position(|r| r.ticket == ticket) {
            let running = self.running.remove(index);
            self.keep(running);
        }
    }

    /// Requests that wait, and that are under way.
    pub fn load(&self) -> (usize, usize) {
        (self.waiting.len(), self.running.len())
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// One step of every request under way.
    pub fn step(&mut self) -> Vec<Progress> {
        self.admit();
        self.share();
        let mut groups = plan(&mut self.running, self.spaces.len());
        let (decoder, reading) = (&*self.decoder, &self.reading);
        let busy = groups.iter().filter(|group| !group.is_empty()).count();
        let threads = self.pool.current_num_threads();
        let width = if decoder.layout.len < WORTH_SHARING { 1 } else { threads.div_ceil(busy.max(1)) };
        let mut progress: Vec<Vec<Progress>> = vec![Vec::new(); groups.len()];
        if busy <= 1 {
            for ((group, space), done) in groups.iter_mut().zip(&mut self.spaces).zip(&mut progress) {
                *done = self.pool.install(|| advance(decoder, reading, width, group, space));
            }
        } else {
            self.pool.scope(|scope| {
                for ((group, space), done) in groups.iter_mut().zip(&mut self.spaces).zip(&mut progress) {
                    scope.spawn(move |_| *done = advance(decoder, reading, width, group, space));
                }
            });
        }
        drop(groups);
        let mut finished = Vec::new();
        for index in (0..self.running.len()).rev() {
            if self.running[index].end.is_some() {
                finished.push(self.running.remove(index));
            }
        }
        finished.into_iter().for_each(|running| self.keep(running));
        progress.into_iter().flatten().collect()
    }

    /// Runs until nothing is left, and returns everything that happened.
    pub fn finish(&mut self) -> Vec<Progress> {
        let mut all = Vec::new();
        while !self.is_idle() {
            all.extend(self.step());
        }
        all
    }

    fn admit(&mut self) {
        while self.running.len() < self.limits.running {
            let Some((ticket, request, adapter)) = self.waiting.pop_front() else { break };
            let usable = if request.prompt_logprobs { 0 } else { request.prompt.len() - 1 };
            let known = self.kept.iter().filter(|kept| alike(kept.adapter.as_ref(), adapter.as_ref()));
            let known = known.map(|kept| (common(&kept.tokens, &request.prompt), &kept.cache));
            let best = known
                .map(|(len, cache)| (len.min(usable).min(cache.len()), cache))
                .max_by_key(|(len, _)| *len);
            let cache = best.map_or_else(Cache::default, |(len, cache)| cache.beginning(len));
            let rng = ChaCha8Rng::seed_from_u64(request.drawing.seed);
            self.running.push(Running {
                ticket,
                tokens: request.prompt.clone(),
                shared: cache.len(),
                cache,
                prompt_logprobs: Vec::new(),
                rng,
                end: None,
                request,
                adapter,
            });
        }
    }

    /// Requests that still read take what others under way have read further.
    fn share(&mut self) {
        for index in 0..self.running.len() {
            let one = &self.running[index];
            if !one.is_reading() || one.request.prompt_logprobs {
                continue;
            }
            let usable = one.request.prompt.len() - 1;
            let further = |other: &&Running| {
                other.cache.len() > one.cache.len() + 16
                    && alike(other.adapter.as_ref(), one.adapter.as_ref())
            };
            let known = self.running.iter().filter(further).map(|other| {
                (common(&other.tokens[..other.cache.len()], &one.request.prompt).min(usable), &other.cache)
            });
            let Some((len, cache)) = known.max_by_key(|(len, _)| *len) else { continue };
            if len > one.cache.len() + 16 {
                let cache = cache.beginning(len);
                self.running[index].shared += len - self.running[index].cache.len();
                self.running[index].cache = cache;
            }
        }
    }

    fn keep(&mut self, running: Running) {
        let Running { mut tokens, cache, adapter, .. } = running;
        tokens.truncate(cache.len());
        if !tokens.is_empty() {
            // Shorter ones that begin alike are of no more use.
            let useless =
                |old: &Kept| tokens.starts_with(&old.tokens) && alike(old.adapter.as_ref(), adapter.as_ref());
            self.kept.retain(|old| !useless(old));
            self.kept.push_back(Kept { tokens, adapter, cache });
        }
        while self.kept.iter().map(|kept| kept.cache.bytes()).sum::<usize>() > self.limits.kept_bytes {
            self.kept.pop_front();
        }
    }
}

/// How many tokens two sequences have in common at their beginning.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Who reads how much in this step, on which thread.
fn plan(running: &mut [Running], groups: usize) -> Vec<Vec<(&mut Running, usize)>> {
    let under_way = &*running;
    let mut room = PROMPT_PIECE;
    let mut takes = vec![0usize; under_way.len()];
    let mut readers: Vec<usize> = Vec::new();
    for index in 0..under_way.len() {
        let one = &under_way[index];
        if !one.is_reading() {
            takes[index] = one.unread();
            continue;
        }
        // Whoever begins like one that reads already waits to share it.
        let same = |&other: &usize| {
            let other = &under_way[other];
            !one.request.prompt_logprobs
                && alike(one.adapter.as_ref(), other.adapter.as_ref())
                && common(&other.tokens, &one.request.prompt) > one.cache.len() + 16
                && other.cache.len() >= one.cache.len()
        };
        if room > 0 && !readers.iter().any(same) {
            takes[index] = one.unread().min(room);
            room -= takes[index];
            readers.push(index);
        }
    }
    let mut loads = vec![0usize; groups];
    let mut groups: Vec<Vec<(&mut Running, usize)>> = loads.iter().map(|_| Vec::new()).collect();
    let mut chosen: Vec<(&mut Running, usize)> =
        running.iter_mut().zip(takes).filter(|(_, take)| *take > 0).collect();
    // The longest first, each to whoever has least; equals in their order.
    chosen.sort_by_key(|(_, take)| std::cmp::Reverse(*take));
    for (running, take) in chosen {
        let least = (0..loads.len()).min_by_key(|&g| loads[g]).unwrap_or(0);
        loads[least] += take;
        groups[least].push((running, take));
    }
    groups
}

/// Reads some tokens of some requests, and draws the next of those that are
/// through with their prompts.
fn advance(
    decoder: &Decoder,
    reading: &Reading,
    width: usize,
    group: &mut [(&mut Running, usize)],
    space: &mut StepSpace,
) -> Vec<Progress> {
    if group.is_empty() {
        return Vec::new();
    }
    let mut chunks: Vec<Chunk<'_>> = group
        .iter_mut()
        .map(|(running, take)| {
            let first = running.cache.len();
            let every = running.request.prompt_logprobs && first < running.request.prompt.len();
            let (tokens, cache) = (&running.tokens[first..first + *take], &mut running.cache);
            Chunk { tokens, cache, every, adapter: running.adapter.as_deref() }
        })
        .collect();
    let rows: Vec<usize> =
        chunks.iter().map(|chunk| if chunk.every { chunk.tokens.len() } else { 1 }).collect();
    decoder.extend(width, reading, &mut chunks, space);
    let mut progress = Vec::new();
    let mut logits = space.logits.chunks_exact_mut(decoder.shape.outputs());
    for ((running, take), rows) in group.iter_mut().zip(rows) {
        let first = running.cache.len() - *take;
        for row in 0..rows {
            let logits = logits.next().expect("as many rows as were asked for");
            let next = first + if rows == 1 { *take } else { row + 1 };
            if next < running.tokens.len() {
                if running.request.prompt_logprobs {
                    let logprob = logits[running.tokens[next] as usize] - log_sum(logits);
                    running.prompt_logprobs.push(logprob);
                }
                continue;
            }
            if next == running.request.prompt.len() {
                let logprobs = std::mem::take(&mut running.prompt_logprobs);
                progress.push(Progress::Read { ticket: running.ticket, logprobs, shared: running.shared });
            }
            progress.extend(running.write(logits, decoder.shape.context));
        }
    }
    progress
}

impl Running {
    /// Draws the next token from its logits.
    fn write(&mut self, logits: &mut [f32], context: usize) -> Vec<Progress> {
        let ticket = self.ticket;
        let drawn = self.tokens.len() - self.request.prompt.len();
        if drawn >= self.request.max_new {
            self.end = Some(End::Length);
            return vec![Progress::Done { ticket, end: End::Length }];
        }
        let sum = log_sum(logits);
        let alternatives = likeliest(logits, self.request.alternatives);
        let alternatives = alternatives.into_iter().map(|id| (id, logits[id as usize] - sum)).collect();
        let watched = self.request.watched.iter().map(|&id| logits[id as usize] - sum).collect();
        // One number a token, whether it is needed or not: what comes later
        // does not depend on how this one was drawn.
        let chance = self.rng.random::<f64>();
        let before = logits.to_vec();
        let said = &self.tokens[self.request.prompt.len()..];
        let id = draw(logits, said, &self.request.drawing, chance);
        let token = Drawn { id, logprob: before[id as usize] - sum, alternatives, watched };
        self.tokens.push(id);
        let mut progress = vec![Progress::Token { ticket, token }];
        self.end = if self.request.ends.contains(&id) {
            Some(End::Token)
        } else if drawn + 1 >= self.request.max_new {
            Some(End::Length)
        } else if self.tokens.len() >= context {
            Some(End::Context)
        } else {
            None
        };
        progress.extend(self.end.map(|end| Progress::Done { ticket, end }));
        progress
    }
}
