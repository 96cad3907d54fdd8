//! What `micro` is told, from its flags.

use swegym_console::error::CommandError;
use swegym_method::settings::MicroSettings;
use swegym_tasks::micro::LEVELS;

use crate::args::MicroArgs;

impl TryFrom<MicroArgs> for MicroSettings {
    type Error = CommandError;

    fn try_from(args: MicroArgs) -> Result<Self, CommandError> {
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
