//! The micro gym: small Python repositories made from a seed, each with one
//! function that does not do what its docstring says, an issue about it, and
//! tests that decide. Small enough that a policy of a few million parameters
//! can learn to mend them on a laptop (reference/micro-gym.md).
//!
//! What a function should do is a [`formula`]: code and words for it, composed
//! of a family's operations, so that there are thousands in each family and
//! whole families can be held out. A repository is made of them ([`repository`]).
//! Which splits a seed belongs to is part of every draw: no repository of one
//! split is drawn in another.

mod corpus;
pub mod formula;
pub mod repository;

pub use corpus::Exchange;
pub use formula::Family;
pub use repository::{Call, Function, KnownAnswer, MicroTask, Probe, Tests};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use swegym_core::Digest;

/// What instances are made for. Draws of different splits have nothing in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose settings by.
    Validation,
    /// To measure with.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name in settings and ids.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// By its name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == word)
    }
}

/// Which world is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Which split.
    pub split: Split,
    /// The seed within it.
    pub seed: u64,
    /// Families that functions come from; not empty.
    pub families: Vec<Family>,
    /// Levels of difficulty, from 1 to [`LEVELS`]; not empty.
    pub levels: Vec<u8>,
}

/// 1: the issue names the function and shows a call, one operation is wrong.
/// 2: the issue names the file and says in other words what should happen;
/// functions are composed. 3: it says only what should happen, and two
/// functions of the repository are about the same kind of thing.
pub const LEVELS: u8 = 3;

impl World {
    /// The task of a number: the same one for the same world, ever.
    #[must_use]
    pub fn task(&self, number: u32) -> MicroTask {
        repository::draw(self, number, &mut self.chances("micro@2", number))
    }

    /// Questions to pre-train on, about another repository than any task's.
    #[must_use]
    pub fn exchanges(&self, number: u32) -> Vec<Exchange> {
        let mut rng = self.chances("micro-text@2", number);
        let task = repository::draw(self, number, &mut rng);
        corpus::exchanges(&task, &mut rng)
    }

    fn chances(&self, what: &str, number: u32) -> ChaCha8Rng {
        let text = format!("{what} {} {} {number}", self.split.name(), self.seed);
        let seed = u64::from_str_radix(&Digest::of(text.as_bytes()).hex()[..16], 16).unwrap_or(self.seed);
        ChaCha8Rng::seed_from_u64(seed)
    }
}
