//! What `improve` is told, from its flags. Those of its steps are read once, before the
//! first step: the last one would find a mistake hours later.

use clap::Parser as _;
use swegym_console::error::CommandError;
use swegym_data::curate::settings::CurateSettings;
use swegym_method::settings::{ImproveSettings, RolloutSettings, Served, SftSettings};

use crate::args::{Args, ImproveArgs, TrainVerb, Verb, WayArgs};
use crate::words::words;

impl TryFrom<ImproveArgs> for ImproveSettings {
    type Error = CommandError;

    fn try_from(args: ImproveArgs) -> Result<Self, CommandError> {
        let ImproveArgs {
            model,
            instances,
            measure,
            endpoint,
            policy,
            rounds,
            ways,
            measure_attempts,
            seed,
            rollout_flags,
            curate_flags,
            train_flags,
            run: _,
        } = args;
        let WayArgs { attempts, temperature, cap, mix, from, learn, outcome, skip_turns } = ways;
        let endpoint = endpoint.zip(policy).map(|(endpoint, name)| Served { endpoint, name });
        let address = endpoint.as_ref().map_or("http://127.0.0.1/v1", |served| &served.endpoint);
        let rollout = Typed::of("--rollout", &rollout_flags, "rollout")?
            .with(["--evaluate", "--no-snapshots", "--model", "policy", "--endpoint", address])
            .with(["--temperature".to_owned(), temperature.to_string()])
            .with(["--instances".into(), instances.clone().into_os_string()]);
        let Verb::Rollout(rollout) = rollout.parse()? else { return Err(astray("--rollout")) };
        let curate = Typed::of("--curate", &curate_flags, "curate")?
            .with([".", "--out", ".", "--model"])
            .with([model.clone().into_os_string()]);
        let Verb::Curate(curate) = curate.parse()? else { return Err(astray("--curate")) };
        let mut curate = CurateSettings::try_from(*curate)?.of(outcome);
        if cap > 0 {
            curate.rules.per_instance = Some(cap);
        }
        if !skip_turns.is_empty() {
            curate.skip_turns = skip_turns;
        }
        let sft = Typed::of("--train", &train_flags, "train sft")?
            .with(["--data", ".", "--model"])
            .with([model.clone().into_os_string()]);
        let Verb::Train { verb: TrainVerb::Sft(sft) } = sft.parse()? else { return Err(astray("--train")) };
        Ok(Self {
            model,
            instances,
            measure,
            endpoint,
            rounds,
            from,
            learn,
            mix,
            attempts,
            measure_attempts,
            seed,
            rollout: RolloutSettings::try_from(*rollout)?,
            curate,
            sft: SftSettings::try_from(*sft)?,
        })
    }
}

/// Flags of another verb, as a user typed them in one text.
struct Typed {
    verb: &'static str,
    words: Vec<std::ffi::OsString>,
}

impl Typed {
    fn of(option: &str, text: &str, verb: &'static str) -> Result<Self, CommandError> {
        let typed = words(option, text)?.into_iter().map(Into::into);
        let words = ["swegym"].into_iter().chain(verb.split(' ')).map(Into::into).chain(typed).collect();
        Ok(Self { verb, words })
    }

    fn with<T: Into<std::ffi::OsString>>(mut self, more: impl IntoIterator<Item = T>) -> Self {
        self.words.extend(more.into_iter().map(Into::into));
        self
    }

    fn parse(self) -> Result<Verb, CommandError> {
        Args::try_parse_from(self.words).map(|args| args.verb).map_err(|e| {
            let hint = format!("see `swegym {} --help`", self.verb);
            CommandError::usage(format!("a step cannot be taken: {}", reason(&e)), hint)
        })
    }
}

/// What is wrong with flags, without the usage that the hint leads to.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    lines.collect::<Vec<_>>().join("\n").trim().trim_start_matches("error: ").to_owned()
}

fn astray(option: &str) -> CommandError {
    CommandError::usage(format!("{option} names another command"), "give flags alone")
}
