//! The micro gym's base policy: a model of under a million parameters that can read
//! and write the gym's code and tool calls, but fixes few bugs. It is part of the
//! binary; `train base` trains it again.

use std::path::{Path, PathBuf};

use serde_json::json;
use swegym_core::Digest;
use swegym_train::checkpoint::{replace_folder, write_synced};

use crate::args::{RunArgs, Size};
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::session::Session;
use crate::workshop::{HERE, Workshop};

/// Files of the tokenizer, which all sizes share.
const TOKENIZER: [(&str, &[u8]); 4] = [
    ("tokenizer.json", include_bytes!("../../base/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../base/tokenizer_config.json")),
    ("chat_template.jinja", include_bytes!("../../base/chat_template.jinja")),
    ("generation_config.json", include_bytes!("../../base/generation_config.json")),
];

impl Size {
    /// All of them, the smallest first.
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// Columns and layers.
    fn shape(self) -> [&'static str; 2] {
        match self {
            Self::Small => ["64", "2"],
            Self::Medium => ["96", "3"],
            Self::Large => ["128", "4"],
        }
    }

    fn model(self) -> [(&'static str, &'static [u8]); 2] {
        match self {
            Self::Small => [
                ("config.json", include_bytes!("../../base/small/config.json")),
                ("model.safetensors", include_bytes!("../../base/small/model.safetensors")),
            ],
            Self::Medium => [
                ("config.json", include_bytes!("../../base/medium/config.json")),
                ("model.safetensors", include_bytes!("../../base/medium/model.safetensors")),
            ],
            Self::Large => [
                ("config.json", include_bytes!("../../base/large/config.json")),
                ("model.safetensors", include_bytes!("../../base/large/model.safetensors")),
            ],
        }
    }

    /// All files, as `train base` writes them.
    fn files(self) -> impl Iterator<Item = (&'static str, &'static [u8])> {
        self.model().into_iter().chain(TOKENIZER)
    }
}

/// Families whose tasks policies are tuned on.
pub(crate) const FAMILIES: &str = "arithmetic,list,truth,choice";

/// Families that are held out of all tuning: the base policy has read of them
/// what it has read of all, code, words and failures.
pub(crate) const HELD_OUT: &str = "text,table";

/// Agents' flags that fit the policy: few words, short answers.
pub(crate) const AGENT: &str =
    "--scaffold codeact --prompts terse --tool-calls text --max-steps 8 --max-tokens 120 --concurrent 16";

/// Conversations of the pre-training text, each about another repository.
const TALKS: &str = "60000";

/// Repositories that transcripts are about, and attempts at each.
const TASKS: &str = "1500";
const ATTEMPTS: &str = "4";

/// Share of the transcribed attempts that go wrong, in the text and in what is
/// read last. Nobody filters them: a policy that has read them begins tasks as
/// its teacher did, and mostly ends as badly. With 0.6 in what is read last it
/// mended 8 % of its tasks, with 0.7 one of 200.
const NOISE: &str = "0.8";
const LAST_NOISE: &str = "0.64";

/// Repositories of the transcripts that are read last.
const LAST_TASKS: &str = "979";

/// The policy's folder, written under the home folder if it is not there.
pub(crate) fn unpack(home: &Path, size: Size) -> Result<PathBuf, CommandError> {
    let whole: Vec<u8> = size.files().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let policies = home.join("policies");
    let folder = policies.join(format!("micro-{}-{}", size.name(), Digest::of(&whole).short()));
    if !folder.is_dir() {
        std::fs::create_dir_all(&policies)
            .map_err(|e| CommandError::file("make the folder", &policies, &e))?;
        place(size, &folder)?;
    }
    Ok(folder)
}

fn place(size: Size, folder: &Path) -> Result<(), CommandError> {
    replace_folder(folder, |draft| {
        size.files().try_for_each(|(name, bytes)| write_synced(&draft.join(name), bytes))
    })?;
    Ok(())
}

/// Writes it where the user wants it.
pub(crate) fn write(printer: Printer, size: Size, folder: &Path) -> Result<u8, CommandError> {
    if folder.exists() && !folder.join("config.json").is_file() {
        let message = format!("`{}` is there, and is no model", folder.display());
        return Err(CommandError::usage(message, "name a folder that is not there yet"));
    }
    place(size, folder)?;
    let table = vec![vec!["policy".to_owned()], vec![folder.display().to_string()]];
    printer.result(&json!({"policy": folder, "size": size.name()}), &table);
    Ok(exit::DONE)
}

/// Makes it from nothing, bit for bit on processors with the same kernels.
pub(crate) async fn make(session: &Session, size: Size, run: RunArgs) -> Result<u8, CommandError> {
    let folder = session.run_folder("base", run.out);
    let mut workshop = Workshop::open(session, &folder, run.resume)?;
    let say = |text: &str| session.printer.say(text);
    let text = |path: &Path| path.display().to_string();

    say("[1/5] repositories, and a teacher that fails four times of five");
    let words = ["micro", "--seed", "1000", "--count", TASKS, "--families", FAMILIES];
    let tasks = workshop.step("tasks", words).await?;
    let instances = text(&tasks.join("candidates.jsonl"));
    let mut words = vec!["rollout", "--scaffold", "noisy-expert", "--noise", NOISE, "--attempts", ATTEMPTS];
    words.extend(["--prompts", "terse", "--no-snapshots", "--concurrent", "8", "--instances", &instances]);
    let attempts = workshop.step("attempts", words).await?;

    say("[2/5] conversations");
    let words = ["export", &text(&attempts), "--to", "messages", "--calls", "text", "--prompts", "terse"];
    let transcripts = workshop.step("transcripts.jsonl", words).await?;
    let talks =
        workshop.step("talks.jsonl", ["micro", "--count", TALKS, "--seed", "1", "--text", HERE]).await?;

    say("[3/5] tokenizer");
    let sources = [text(&talks), text(&transcripts)];
    let rest = ["--words", "gpt2", "--text", &sources[0], &sources[1]];
    let words = [&["train", "tokenizer", "--vocabulary", "1024"][..], &rest].concat();
    let tokenizer = text(&workshop.step("tokenizer", words).await?);

    say("[4/5] model");
    let mut words = vec!["train", "pretrain", "--text", &sources[0], &sources[1], "--tokenizer", &tokenizer];
    let [width, layers] = size.shape();
    words.extend(["--answers-only", "--width", width, "--layers", layers, "--context", "1024"]);
    words.extend(["--batch", "4"]);
    words.extend(["--epochs", "1", "--rate", "2e-3", "--seed", "1", "--precision", "float32"]);
    let pretrained = text(&workshop.step("pretrained", words).await?);

    say("[5/5] transcripts once more, unfiltered as before");
    // Of all families: nothing can begin a task whose like it has never read.
    let words = ["micro", "--seed", "1000", "--count", LAST_TASKS];
    let tasks = workshop.step("last-tasks", words).await?;
    let instances = text(&tasks.join("candidates.jsonl"));
    let mut words = vec!["rollout", "--scaffold", "noisy-expert", "--noise", LAST_NOISE, "--seed", "2"];
    words.extend(["--attempts", ATTEMPTS, "--prompts", "terse", "--no-snapshots", "--concurrent", "8"]);
    words.extend(["--instances", &instances]);
    let attempts = workshop.step("last-attempts", words).await?;
    let words = ["export", &text(&attempts), "--to", "messages", "--calls", "text", "--prompts", "terse"];
    let last = text(&workshop.step("last-transcripts.jsonl", words).await?);
    let mut words = vec!["train", "sft", "--model", &pretrained, "--data", &last, "--context", "1024"];
    words.extend([
        "--batch",
        "4",
        "--epochs",
        "1",
        "--rate",
        "1e-3",
        "--seed",
        "1",
        "--precision",
        "float32",
    ]);
    let model = workshop.step("annealed", words).await?;

    let place = folder.join("base");
    let from = super::train::model_folder(&model);
    let read = |name: &str| {
        let path = from.join(name);
        std::fs::read(&path).map_err(|e| CommandError::file("read", &path, &e))
    };
    let names: Vec<&str> = size.files().map(|(name, _)| name).collect();
    let made = names.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
    replace_folder(&place, |draft| {
        names.iter().zip(&made).try_for_each(|(name, bytes)| write_synced(&draft.join(name), bytes))
    })?;
    let same = size.files().zip(&made).all(|((_, shipped), made)| shipped == made);
    let table = vec![
        ["policy", "as shipped"].map(str::to_owned).to_vec(),
        vec![text(&place), if same { "yes" } else { "no" }.to_owned()],
    ];
    let value = json!({"policy": place, "as_shipped": same, "seconds": workshop.seconds()});
    session.printer.result(&value, &table);
    Ok(exit::DONE)
}
