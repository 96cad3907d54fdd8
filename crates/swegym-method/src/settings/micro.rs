//! What `micro` is told.

use swegym_tasks::micro::{Family, LEVELS, Split, World};

/// Which repositories of the micro gym are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroSettings {
    /// What they are drawn from.
    pub world: World,
    /// How many.
    pub count: u32,
}

impl MicroSettings {
    /// The first so many of a split, of all families and levels.
    pub fn new(split: Split, count: u32) -> Self {
        let world = World { split, seed: 1, families: Family::ALL.to_vec(), levels: (1..=LEVELS).collect() };
        Self { world, count }
    }

    /// The same of these families.
    pub fn of(mut self, families: &[Family]) -> Self {
        self.world.families = families.to_vec();
        self
    }

    /// The same with another seed.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.world.seed = seed;
        self
    }
}
