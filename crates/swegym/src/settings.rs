//! What flags come to: settings of the rooms below. Each structure of flags is taken apart
//! whole, so that a new flag cannot be forgotten.

mod curate;
mod data;
mod improve;
mod micro;
mod rollout;
mod serve;
mod train;

use swegym_core::format::instances::UnknownFields;
use swegym_method::paper::PaperSettings;
use swegym_method::quickstart::Draw;
use swegym_method::session::Place;
use swegym_method::settings::{Asked, InterpretersAsked, LimitsAsked, RegistriesAsked};

use swegym_runner::TestBounds;

use crate::args::{BoundArgs, DrawArgs, GlobalArgs, InstallArgs, LimitArgs, PaperArgs, RunArgs};

/// What is asked for by flags of every verb, and by those of verbs that install packages.
pub(crate) fn asked(global: GlobalArgs, install: InstallArgs) -> Asked {
    let GlobalArgs { json: _, quiet: _, home, config, limits } = global;
    let InstallArgs {
        python,
        root: roots,
        fetch_python: fetches_python,
        index_url,
        npm_registry,
        crates_index,
        go_proxy,
        exclude_newer,
        network,
    } = install;
    let interpreters = InterpretersAsked { python, roots, fetches_python };
    let registries = RegistriesAsked { npm: npm_registry, crates: crates_index, go: go_proxy };
    Asked { home, config, limits: limits.into(), interpreters, index_url, registries, exclude_newer, network }
}

/// What becomes of fields of instances that nobody knows.
pub(crate) fn unknown_fields(keep: bool) -> UnknownFields {
    if keep { UnknownFields::Keep } else { UnknownFields::Refuse }
}

impl From<LimitArgs> for LimitsAsked {
    fn from(args: LimitArgs) -> Self {
        let LimitArgs { cores, memory, box_memory, box_disk, box_processes, build_disk, test_timeout } = args;
        Self { cores, memory, box_memory, box_disk, box_processes, build_disk, test_timeout }
    }
}

impl From<BoundArgs> for TestBounds {
    fn from(args: BoundArgs) -> Self {
        let BoundArgs { test_seconds: seconds, test_memory: mebibytes } = args;
        Self { seconds, mebibytes }
    }
}

impl From<RunArgs> for Place {
    fn from(args: RunArgs) -> Self {
        let RunArgs { out, resume } = args;
        Self { out, resume }
    }
}

impl From<DrawArgs> for Draw {
    fn from(args: DrawArgs) -> Self {
        let DrawArgs { seed, candidates } = args;
        Self { seed, candidates }
    }
}

impl From<&PaperArgs> for PaperSettings {
    fn from(args: &PaperArgs) -> Self {
        let PaperArgs { fast, seeds, run: _ } = args;
        Self { fast: *fast, seeds: *seeds }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser as _;
    use swegym_agent::Scaffold;
    use swegym_data::curate::settings::{CurateSettings, Pairs};
    use swegym_data::select::settings::SelectSettings;
    use swegym_method::settings::{
        MicroSettings, ModelChoice, RolloutSettings, SftSettings, VerifierSettings,
    };
    use swegym_serve::settings::ServeSettings;
    use swegym_tasks::micro::Split;

    use crate::args::{Args, TrainVerb, Verb};

    fn typed(words: &str) -> Verb {
        Args::try_parse_from(words.split(' ')).unwrap().verb
    }

    /// Steps of the method begin with what a user has who says nothing more.
    #[test]
    fn what_is_not_said_is_the_same_in_flags_and_in_settings() {
        let path = PathBuf::from;
        let Verb::Rollout(args) = typed("swegym rollout --instances i --scaffold gold") else { panic!() };
        let teacher = RolloutSettings::new(path("i"), Scaffold::Gold, ModelChoice::Teacher);
        assert_eq!(RolloutSettings::try_from(*args).unwrap(), teacher);
        let Verb::Curate(args) = typed("swegym curate r --model m --out o") else { panic!() };
        let curate = CurateSettings::new(vec![path("r")], path("m"));
        assert_eq!(CurateSettings::try_from(*args).unwrap(), curate);
        let Verb::Curate(args) = typed("swegym curate r --model m --out o --verifier --seed 3") else {
            panic!()
        };
        let paired = curate.paired(Pairs { negatives: 1, most: None }).seeded(3);
        assert_eq!(CurateSettings::try_from(*args).unwrap(), paired);
        let Verb::Select(args) = typed("swegym select r --out o") else { panic!() };
        assert_eq!(SelectSettings::from(args), SelectSettings::new(path("r")));
        let Verb::Micro(args) = typed("swegym micro --count 5") else { panic!() };
        assert_eq!(MicroSettings::from(args), MicroSettings::new(Split::Train, 5));
        let Verb::Serve(args) = typed("swegym serve --model m --name n --listen 127.0.0.1:0") else {
            panic!()
        };
        assert_eq!(ServeSettings::try_from(args).unwrap(), ServeSettings::here(path("m"), "n"));
        for (verb, of) in [("sft", "--model m --data d"), ("verifier", "--model m --data d")] {
            let Verb::Train { verb } = typed(&format!("swegym train {verb} {of}")) else { panic!() };
            match verb {
                TrainVerb::Sft(args) => {
                    let sft = SftSettings::new(path("m"), vec![path("d")]);
                    assert_eq!(SftSettings::try_from(*args).unwrap(), sft);
                }
                TrainVerb::Verifier(args) => {
                    let verifier = VerifierSettings::new(path("m"), vec![path("d")]);
                    assert_eq!(VerifierSettings::try_from(*args).unwrap(), verifier);
                }
                _ => panic!(),
            }
        }
    }
}
