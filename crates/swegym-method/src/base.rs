//! The micro gym's base policy: a model of under a million parameters that can read
//! and write the gym's code and tool calls, but fixes few bugs. It is part of the
//! binary; `train base` trains it again.

use std::path::{Path, PathBuf};

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_core::Digest;
use swegym_core::chat::CallForm;
use swegym_tasks::micro::Split;
use swegym_train::checkpoint::{Precision, replace_folder, write_synced};
use swegym_train::corpus::WordRule;
use swegym_train::trainer::Settings as TrainerSettings;

use super::gym::{self, FAMILIES};
use crate::session::{Place, Session};
use crate::settings::{
    CourseSettings, MicroSettings, ModelShape, PretrainSettings, RolloutSettings, SftSettings,
    TokenizerSettings,
};
use crate::step::Step;
use crate::workshop::Workshop;

/// Files of the tokenizer, which all sizes share.
const TOKENIZER: [(&str, &[u8]); 4] = [
    ("tokenizer.json", include_bytes!("../base/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../base/tokenizer_config.json")),
    ("chat_template.jinja", include_bytes!("../base/chat_template.jinja")),
    ("generation_config.json", include_bytes!("../base/generation_config.json")),
];

/// How large a policy of the micro gym is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 64 columns, 2 layers.
    Small,
    /// 96 columns, 3 layers.
    Medium,
    /// 128 columns, 4 layers.
    Large,
}

impl Size {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.name() == word)
    }

    /// Columns and layers.
    fn shape(self) -> [usize; 2] {
        match self {
            Self::Small => [64, 2],
            Self::Medium => [96, 3],
            Self::Large => [128, 4],
        }
    }

    fn model(self) -> [(&'static str, &'static [u8]); 2] {
        match self {
            Self::Small => [
                ("config.json", include_bytes!("../base/small/config.json")),
                ("model.safetensors", include_bytes!("../base/small/model.safetensors")),
            ],
            Self::Medium => [
                ("config.json", include_bytes!("../base/medium/config.json")),
                ("model.safetensors", include_bytes!("../base/medium/model.safetensors")),
            ],
            Self::Large => [
                ("config.json", include_bytes!("../base/large/config.json")),
                ("model.safetensors", include_bytes!("../base/large/model.safetensors")),
            ],
        }
    }

    /// All files, as `train base` writes them.
    fn files(self) -> impl Iterator<Item = (&'static str, &'static [u8])> {
        self.model().into_iter().chain(TOKENIZER)
    }
}

/// Conversations of the pre-training text, each about another repository.
const TALKS: u32 = 60_000;

/// Repositories that transcripts are about, and attempts at each.
const TASKS: u32 = 1500;
const ATTEMPTS: u32 = 4;

/// Share of the transcribed attempts that go wrong, in the text and in what is
/// read last. Nobody filters them: a policy that has read them begins tasks as
/// its teacher did, and mostly ends as badly. With 0.6 in what is read last it
/// mended 8 % of its tasks, with 0.7 one of 200.
const NOISE: f64 = 0.8;
const LAST_NOISE: f64 = 0.64;

/// Repositories of the transcripts that are read last.
const LAST_TASKS: u32 = 979;

/// The policy's folder, written under the home folder if it is not there.
pub fn unpack(home: &Path, size: Size) -> Result<PathBuf, CommandError> {
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
pub fn write(printer: Printer, size: Size, folder: &Path) -> Result<u8, CommandError> {
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
pub async fn make(session: &Session, size: Size, run: Place) -> Result<u8, CommandError> {
    let folder = session.run_folder("base", run.out);
    let mut workshop = Workshop::open(session, &folder, run.resume)?;
    let say = |text: &str| session.printer.say(text);
    let world = |count| MicroSettings::new(Split::Train, count).seeded(1000);
    let transcripts =
        |run| Step::Messages { run, calls: Some(CallForm::Text), prompts: Some("terse".into()) };
    let trainer =
        TrainerSettings { context: 1024, batch: 4, epochs: 1.0, seed: 1, ..TrainerSettings::default() };
    let course = CourseSettings { trainer, precision: Some(Precision::F32), ..CourseSettings::default() };

    say("[1/5] repositories, and a teacher that fails four times of five");
    let tasks = workshop.take("tasks", Step::Micro(world(TASKS).of(&FAMILIES))).await?;
    let settings = gym::teacher(gym::instances(&tasks), ATTEMPTS, NOISE);
    let attempts = workshop.take("attempts", Step::Rollout(settings.into())).await?;

    say("[2/5] conversations");
    let told = workshop.take("transcripts.jsonl", transcripts(attempts)).await?;
    let talks = MicroSettings::new(Split::Train, TALKS);
    let text = vec![workshop.take("talks.jsonl", Step::Texts(talks)).await?, told];

    say("[3/5] tokenizer");
    let settings = TokenizerSettings {
        text: text.clone(),
        vocabulary: 1024,
        special: Vec::new(),
        template: None,
        words: WordRule::Gpt2,
    };
    let tokenizer = workshop.take("tokenizer", Step::Tokenizer(settings)).await?;

    say("[4/5] model");
    let [width, layers] = size.shape();
    let settings = PretrainSettings {
        text,
        answers_only: true,
        tokenizer,
        shape: ModelShape::Small { width, layers },
        course: CourseSettings { rate: Some(2e-3), ..course.clone() },
    };
    let pretrained = workshop.take("pretrained", Step::Pretrain(settings.into())).await?;

    say("[5/5] transcripts once more, unfiltered as before");
    // Of all families: nothing can begin a task whose like it has never read.
    let tasks = workshop.take("last-tasks", Step::Micro(world(LAST_TASKS))).await?;
    let settings = RolloutSettings { seed: 2, ..gym::teacher(gym::instances(&tasks), ATTEMPTS, LAST_NOISE) };
    let attempts = workshop.take("last-attempts", Step::Rollout(settings.into())).await?;
    let last = workshop.take("last-transcripts.jsonl", transcripts(attempts)).await?;
    let settings = SftSettings {
        course: CourseSettings { rate: Some(1e-3), ..course },
        ..SftSettings::new(pretrained, vec![last])
    };
    let model = workshop.take("annealed", Step::Sft(settings.into())).await?;

    let place = folder.join("base");
    let from = swegym_train::policy::model_folder(&model);
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
        vec![place.display().to_string(), if same { "yes" } else { "no" }.to_owned()],
    ];
    let value = json!({"policy": place, "as_shipped": same, "seconds": workshop.seconds()});
    session.printer.result(&value, &table);
    Ok(exit::DONE)
}
