//! The gradient of one optimiser step over many packs, on all cores.
//!
//! Packs go round-robin into a fixed number of lanes. A lane adds up its packs
//! in order, and the lanes are added up in order: which thread did what never
//! shows. With fewer packs than threads the threads share a pack's products
//! instead, which never shows either. Lanes are part of the arithmetic, threads
//! are not; a lane costs one more array as large as what is trained.

use rayon::ThreadPool;

use crate::decoder::{Decoder, Outcome, Pack, Pass, Workspace};
use crate::ops::math::add;
use crate::ops::{Shared, split};

/// Lanes, and the buffers to fill them with.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Vec<f32>>,
    work: Vec<Workspace>,
}

/// Numbers in a piece of a norm's sum. Part of the arithmetic.
const PIECE: usize = 4096;

impl Lanes {
    /// Empty lanes for what `decoder` trains.
    pub fn new(decoder: &Decoder, lanes: usize) -> Self {
        let lanes = lanes.max(1);
        let mut work = Vec::new();
        work.resize_with(lanes, Workspace::default);
        Self { lanes: vec![vec![0.0; decoder.trained_len()]; lanes], work }
    }

    /// Adds the packs' gradients, times `factor`. Returns the outcomes of each
    /// pack's tokens.
    pub fn take(
        &mut self,
        pool: &ThreadPool,
        decoder: &Decoder,
        packs: &[Pack],
        factor: f32,
        again: bool,
    ) -> Vec<Vec<Outcome>> {
        let threads = pool.current_num_threads();
        let count = self.lanes.len();
        let full = packs.len() / count * count;
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); packs.len()];
        // Full rounds keep every lane busy; in the last one, threads without a
        // lane help those that have one.
        for (first, last) in [(0, full), (full, packs.len())] {
            let busy = count.min(last - first).max(1);
            let pass = Pass { width: threads.div_ceil(busy), again };
            let mut of_lane: Vec<Vec<(usize, Vec<Outcome>)>> = vec![Vec::new(); count];
            pool.scope(|scope| {
                let lanes =
                    self.lanes.iter_mut().zip(&mut self.work).zip(&mut of_lane).take(busy).enumerate();
                for (lane, ((gradient, work), done)) in lanes {
                    scope.spawn(move |_| {
                        for index in (first + lane..last).step_by(count) {
                            done.push((index, decoder.learn(pass, &packs[index], factor, work, gradient)));
                        }
                    });
                }
            });
            for (index, of_pack) in of_lane.into_iter().flatten() {
                outcomes[index] = of_pack;
            }
        }
        outcomes
    }

    /// Empties the lanes.
    pub fn clear(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.fill(0.0));
    }

    /// Adds up the lanes and returns the whole gradient with its length
    /// (2-norm). The other lanes are empty again afterwards.
    pub fn total(&mut self, pool: &ThreadPool) -> (&mut [f32], f64) {
        let threads = pool.current_num_threads();
        let (total, rest) = self.lanes.split_at_mut(1);
        let len = total[0].len();
        let mut squares = vec![0f64; len.div_ceil(PIECE)];
        {
            let total = Shared::new(&mut total[0]);
            let rest: Vec<Shared<'_>> = rest.iter_mut().map(|lane| Shared::new(lane)).collect();
            let squares = std::sync::Mutex::new(&mut squares);
            pool.install(|| {
                split(threads, len, PIECE, |part| {
                    let mut found = Vec::new();
                    for first in part.clone().step_by(PIECE) {
                        let len = PIECE.min(part.end - first);
                        // SAFETY: pieces do not overlap.
                        let total = unsafe { total.slice(first, len) };
                        for lane in &rest {
                            // SAFETY: as above.
                            let lane = unsafe { lane.slice(first, len) };
                            add(total, lane);
                            lane.fill(0.0);
                        }
                        found.push((first / PIECE, total.iter().map(|&x| f64::from(x) * f64::from(x)).sum()));
                    }
                    let mut squares = squares.lock().expect("no thread panics here");
                    found.into_iter().for_each(|(piece, square)| squares[piece] = square);
                });
            });
        }
        (&mut self.lanes[0], squares.iter().sum::<f64>().sqrt())
    }
}
