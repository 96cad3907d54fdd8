//! What is generated depends on the request alone.

mod tiny;

use std::sync::Arc;

use proptest::prelude::*;
use swegym_train::adapter::{Adapter, AdapterShape, TARGETS};
use swegym_train::architecture::Architecture;
use swegym_train::decoder::{Decoder, Pack, Pass, Workspace};
use swegym_train::generation::{Drawing, Drawn, End, Generator, Limits, Progress, Request, Ticket};

fn decoder() -> Arc<Decoder> {
    let shape = Architecture { init_range: 0.4, ..tiny::shape(120, 900) };
    Arc::new(Decoder::fresh(shape, 2))
}

fn generator(threads: usize, running: usize) -> Generator {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    Generator::new(decoder(), Arc::new(pool), Limits { running, ..Limits::default() })
}

fn request(prompt: Vec<u32>, temperature: f32, seed: u64) -> Request {
    let drawing = Drawing { temperature, seed, ..Drawing::default() };
    Request {
        prompt,
        max_new: 24,
        drawing,
        ends: vec![7],
        alternatives: 2,
        watched: Vec::new(),
        prompt_logprobs: false,
    }
}

fn answer(progress: &[Progress], of: Ticket) -> (Vec<Drawn>, Option<End>) {
    let mut tokens = Vec::new();
    let mut ended = None;
    for step in progress {
        match step {
            Progress::Token { ticket, token } if *ticket == of => tokens.push(token.clone()),
            Progress::Done { ticket, end } if *ticket == of => ended = Some(*end),
            _ => {}
        }
    }
    (tokens, ended)
}

fn alone(request: &Request) -> (Vec<Drawn>, Option<End>) {
    let mut generator = generator(1, 1);
    let ticket = generator.submit(request.clone());
    answer(&generator.finish(), ticket)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn company_threads_and_shared_beginnings_change_nothing(
        prompts in prop::collection::vec((1..60u32, 1..80usize, prop::sample::select(vec![0.0f32, 0.7, 1.3])), 2..9),
        threads in 1..4usize,
        running in 1..6usize,
    ) {
        let requests: Vec<Request> = prompts.iter().enumerate().map(|(seed, &(stride, len, temperature))| {
            // Half of the requests begin alike.
            let stride = if seed % 2 == 0 { 3 } else { stride };
            request((0..len as u32).map(|i| (i * stride + 1) % 120).collect(), temperature, seed as u64)
        }).collect();
        let mut generator = generator(threads, running);
        let tickets: Vec<Ticket> = requests.iter().map(|r| generator.submit(r.clone())).collect();
        let progress = generator.finish();
        // Once more, when everything is known from before.
        let again: Vec<Ticket> = requests.iter().map(|r| generator.submit(r.clone())).collect();
        let repeated = generator.finish();
        for ((request, ticket), again) in requests.iter().zip(tickets).zip(again) {
            let expected = alone(request);
            prop_assert!(expected.1.is_some());
            prop_assert!(answer(&progress, ticket) == expected);
            prop_assert!(answer(&repeated, again) == expected);
        }
    }
}

#[test]
fn recorded_logprobs_are_those_that_training_computes() {
    let decoder = decoder();
    for temperature in [0.0, 1.0] {
        let asked = Request { max_new: 60, ends: Vec::new(), ..request((1..40).collect(), temperature, 3) };
        let (tokens, _) = alone(&asked);
        let sequence: Vec<u32> = asked.prompt.iter().copied().chain(tokens.iter().map(|t| t.id)).collect();
        let pack = Pack::of(&sequence, &vec![1.0; sequence.len()]);
        let pass = Pass { width: 2, again: false };
        let trained = decoder.score(pass, &pack, &mut Workspace::default());
        let trained = trained[asked.prompt.len() - 1..].iter().map(|o| o.logprob.to_bits());
        assert!(trained.eq(tokens.iter().map(|t| t.logprob.to_bits())), "at temperature {temperature}");
    }
}

#[test]
fn attempts_with_one_prompt_read_it_once() {
    let mut generator = generator(2, 16);
    let prompt: Vec<u32> = (0..700).map(|i| i * 13 % 120).collect();
    let tickets: Vec<Ticket> =
        (0..8).map(|seed| generator.submit(request(prompt.clone(), 1.0, seed))).collect();
    let progress = generator.finish();
    let shared: usize =
        progress.iter().map(|p| if let Progress::Read { shared, .. } = p { *shared } else { 0 }).sum();
    assert!(shared >= 7 * (prompt.len() - 1), "{shared} tokens shared");
    for (seed, ticket) in tickets.into_iter().enumerate() {
        assert!(answer(&progress, ticket) == alone(&request(prompt.clone(), 1.0, seed as u64)));
    }
}

#[test]
fn prompts_are_scored_and_answers_end_as_asked() {
    let mut generator = generator(1, 4);
    let prompt: Vec<u32> = (0..600).map(|i| i * 7 % 120).collect();
    let scored = Request { prompt_logprobs: true, max_new: 0, ..request(prompt.clone(), 1.0, 0) };
    let ticket = generator.submit(scored);
    let progress = generator.finish();
    let Progress::Read { logprobs, .. } = &progress[0] else { panic!("{progress:?}") };
    let pack = Pack::of(&prompt, &vec![1.0; prompt.len()]);
    let trained = decoder().score(Pass { width: 1, again: false }, &pack, &mut Workspace::default());
    assert!(trained.iter().map(|o| o.logprob.to_bits()).eq(logprobs.iter().map(|x| x.to_bits())));
    assert_eq!(answer(&progress, ticket), (Vec::new(), Some(End::Length)));

    let long = Request { max_new: 1000, ends: Vec::new(), ..request(vec![1; 850], 1.0, 0) };
    let ticket = generator.submit(long);
    let (tokens, end) = answer(&generator.finish(), ticket);
    assert_eq!((tokens.len(), end), (50, Some(End::Context)));

    let ticket = generator.submit(request(vec![1, 2], 1.0, 0));
    generator.step();
    generator.cancel(ticket);
    assert!(generator.is_idle());
}

#[test]
fn adapters_under_one_model_answer_as_if_each_were_alone() {
    let base = decoder();
    let shape =
        AdapterShape { rank: 4, alpha: 8.0, by_root: false, targets: TARGETS.map(Into::into).to_vec() };
    let adapter = |seed: u64| {
        let mut adapter = Adapter::fresh(&base, shape.clone(), seed);
        let numbers = adapter.numbers.iter_mut().enumerate();
        numbers.for_each(|(i, x)| *x += ((i as u64 * seed % 17) as f32 - 8.0) / 40.0);
        Arc::new(adapter)
    };
    let choices = [None, Some(adapter(1)), Some(adapter(2))];
    let requests: Vec<Request> = (0..9).map(|seed| request(vec![5; 30], 0.8, seed)).collect();
    let mut together = generator(2, 9);
    let ask = |(i, r): (usize, &Request)| together.submit_to(r.clone(), choices[i % 3].clone());
    let tickets: Vec<Ticket> = requests.iter().enumerate().map(ask).collect();
    let progress = together.finish();
    let mut different = std::collections::HashSet::new();
    for (i, ticket) in tickets.into_iter().enumerate() {
        let mut single = generator(1, 1);
        let own = single.submit_to(requests[i].clone(), choices[i % 3].clone());
        let (tokens, end) = answer(&progress, ticket);
        assert!((tokens.clone(), end) == answer(&single.finish(), own), "request {i}");
        if i < 3 {
            different.insert(format!("{:?}", tokens[0].logprob));
        }
    }
    assert_eq!(different.len(), 3, "the adapters change what is said");
}
