//! The computing thread, and how requests reach it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use rayon::ThreadPool;
use swegym_train::adapter::Adapter;
use swegym_train::decoder::Decoder;
use swegym_train::generation::{Generator, Limits, Progress, Request, Ticket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request on its way to the thread that computes.
struct Asked {
    request: Request,
    adapter: Option<Arc<Adapter>>,
    asker: UnboundedSender<Progress>,
}

/// A generator on a thread of its own.
pub(super) struct Engine {
    requests: mpsc::Sender<Asked>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    waiting: AtomicUsize,
    running: AtomicUsize,
    prompt_tokens: AtomicU64,
    shared_tokens: AtomicU64,
    new_tokens: AtomicU64,
    answers: AtomicU64,
}

/// What was done so far, and what is going on.
pub(super) struct Counts {
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) prompt_tokens: u64,
    pub(super) shared_tokens: u64,
    pub(super) new_tokens: u64,
    pub(super) answers: u64,
}

impl Engine {
    pub(super) fn start(
        decoder: Arc<Decoder>,
        pool: Arc<ThreadPool>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let shown = Arc::clone(&counters);
        let generator = Generator::new(decoder, pool, limits);
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || compute(generator, &inbox, &shown))?;
        Ok(Self { requests, counters })
    }

    /// Asks the model with an adapter, if one is given; what happens comes
    /// through the receiver. Dropping it gives up.
    pub(super) fn ask(&self, request: Request, adapter: Option<Arc<Adapter>>) -> UnboundedReceiver<Progress> {
        let (asker, receiver) = unbounded_channel();
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        // The thread ends with the engine alone; then nobody waits either.
        _ = self.requests.send(Asked { request, adapter, asker });
        receiver
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            waiting: self.counters.waiting.load(Ordering::Relaxed),
            running: self.counters.running.load(Ordering::Relaxed),
            prompt_tokens: of(&self.counters.prompt_tokens),
            shared_tokens: of(&self.counters.shared_tokens),
            new_tokens: of(&self.counters.new_tokens),
            answers: of(&self.counters.answers),
        }
    }
}

fn compute(mut generator: Generator, inbox: &mpsc::Receiver<Asked>, counters: &Counters) {
    let mut askers: HashMap<Ticket, (usize, UnboundedSender<Progress>)> = HashMap::new();
    loop {
        // With nothing to do, sleep until somebody asks.
        let first = if generator.is_idle() {
            let Ok(first) = inbox.recv() else { return };
            Some(first)
        } else {
            None
        };
        for Asked { request, adapter, asker } in first.into_iter().chain(inbox.try_iter()) {
            let len = request.prompt.len();
            askers.insert(generator.submit_to(request, adapter), (len, asker));
        }
        for progress in generator.step() {
            tell(&mut generator, &mut askers, counters, progress);
        }
        let (waiting, running) = generator.load();
        counters.waiting.store(waiting, Ordering::Relaxed);
        counters.running.store(running, Ordering::Relaxed);
    }
}

fn tell(
    generator: &mut Generator,
    askers: &mut HashMap<Ticket, (usize, UnboundedSender<Progress>)>,
    counters: &Counters,
    progress: Progress,
) {
    let add = |counter: &AtomicU64, n: usize| _ = counter.fetch_add(n as u64, Ordering::Relaxed);
    let (ticket, done) = match &progress {
        Progress::Read { ticket, shared, .. } => {
            add(&counters.prompt_tokens, askers.get(ticket).map_or(0, |(len, _)| *len));
            add(&counters.shared_tokens, *shared);
            (*ticket, false)
        }
        Progress::Token { ticket, .. } => {
            add(&counters.new_tokens, 1);
            (*ticket, false)
        }
        Progress::Done { ticket, .. } => {
            add(&counters.answers, 1);
            (*ticket, true)
        }
    };
    let gone = askers.get(&ticket).is_some_and(|(_, asker)| asker.send(progress).is_err());
    if gone {
        generator.cancel(ticket);
    }
    if gone || done {
        askers.remove(&ticket);
    }
}
