//! What `micro` is told.

use swegym_tasks::micro::{Family, LEVELS, Split, World};

use crate::args::MicroArgs;
use crate::error::CommandError;

/// Which repositories of the micro gym are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MicroSettings {
    pub(crate) world: World,
    /// How many.
    pub(crate) count: u32,
}

impl MicroSettings {
    /// The first so many of a split, of all families and levels.
    pub(crate) fn new(split: Split, count: u32) -> Self {
        let world = World { split, seed: 1, families: Family::ALL.to_vec(), levels: (1..=LEVELS).collect() };
        Self { world, count }
    }

    /// The same of these families.
    pub(crate) fn of(mut self, families: &[Family]) -> Self {
        self.world.families = families.to_vec();
        self
    }

    /// The same with another seed.
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.world.seed = seed;
        self
    }

    pub(crate) fn resolve(args: MicroArgs) -> Result<Self, CommandError> {
        let MicroArgs { count, split, seed, families, levels, text: _, policy: _, size: _, run: _ } = args;
        if let Some(odd) = levels.iter().find(|level| !(1..=LEVELS).contains(*level)) {
            return Err(CommandError::usage(format!("there is no level {odd}"), format!("1 to {LEVELS}")));
        }
        let mut settings = Self::new(split, count).seeded(seed);
        if !families.is_empty() {
            settings.world.families = families;
        }
        if !levels.is_empty() {
            settings.world.levels = levels;
        }
        Ok(settings)
    }
}
