//! What `curate` is told, from its flags.

use swegym_console::error::CommandError;
use swegym_data::curate::settings::{CurateSettings, Pairs};
use swegym_train::curation::{Rank, Rules};

use crate::args::{CurateArgs, Kept};

impl TryFrom<CurateArgs> for CurateSettings {
    type Error = CommandError;

    fn try_from(args: CurateArgs) -> Result<Self, CommandError> {
        let CurateArgs {
            runs,
            out: _,
            model,
            outcome,
            cap,
            per_repo,
            rank,
            scores,
            distinct,
            shares,
            band,
            keep,
            max_tokens,
            skip_turns,
            last_turn_only,
            calls,
            prompts,
            held_out,
            mut ladder,
            ladder_by,
            verifier,
            negatives,
            pairs,
            seed,
        } = args;
        if rank == Rank::Score && scores.is_empty() {
            return Err(CommandError::usage("--rank score needs scores", "name their files with --scores"));
        }
        let is_sound = |share: &f64| share.is_finite() && *share >= 0.0;
        if !shares.iter().all(is_sound) {
            let message = "a share is a number from 0 on";
            return Err(CommandError::usage(message, "give each run one: --shares 1,1"));
        }
        let band = match band.as_slice() {
            [] => None,
            [low, high] if low < high => Some((*low, *high)),
            _ => {
                let hint = "--band 0,1 leaves out what is always or never resolved";
                return Err(CommandError::usage("a band has two bounds", hint));
            }
        };
        ladder.sort_by(f64::total_cmp);
        let keeps = |kind: Kept| keep.contains(&kind);
        let rules = Rules {
            resolved: Some(true),
            keep_loops: keeps(Kept::Loops),
            keep_empty: keeps(Kept::Empty),
            keep_masked: keeps(Kept::Limits),
            // No verifier should learn that it pays.
            keep_cheating: keeps(Kept::Cheating),
            most_tokens: max_tokens,
            band,
            distinct,
            per_instance: cap,
            per_repo,
            rank,
            seed,
        };
        let settings = Self {
            rules,
            scores,
            shares,
            skip_turns,
            last_turn_only,
            calls,
            prompts,
            held_out: held_out.into(),
            ladder,
            ladder_by,
            seed,
            ..Self::new(runs, model)
        };
        let settings = if verifier { settings.paired(Pairs { negatives, most: pairs }) } else { settings };
        Ok(match outcome {
            Some(outcomes) => settings.of(outcomes),
            None => settings,
        })
    }
}
