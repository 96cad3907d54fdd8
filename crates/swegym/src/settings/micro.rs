//! What `micro` is told, from its flags.

use swegym_method::settings::MicroSettings;

use crate::args::MicroArgs;

impl From<MicroArgs> for MicroSettings {
    fn from(args: MicroArgs) -> Self {
        let MicroArgs { count, split, seed, families, levels, text: _, policy: _, size: _, run: _ } = args;
        let mut settings = Self::new(split, count).seeded(seed);
        if !families.is_empty() {
            settings.world.families = families;
        }
        if !levels.is_empty() {
            settings.world.levels = levels;
        }
        settings
    }
}
