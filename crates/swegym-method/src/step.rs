//! One step of the method, with all that decides what it makes.

use std::path::{Path, PathBuf};

use swegym_agent::model::endpoint::EndpointSettings;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_core::chat::CallForm;
use swegym_data::curate::settings::CurateSettings;
use swegym_data::select::settings::{ScoreSettings, SelectSettings};
use swegym_data::{curate, export, score, select};
use swegym_runner::run_dir::Open;
use swegym_serve::server;

use crate::session::{Session, compute};
use crate::settings::{
    MicroSettings, ModelChoice, PretrainSettings, RolloutSettings, SftSettings, TokenizerSettings,
    VerifierSettings,
};
use crate::stage::{self, EvaluateSettings};
use crate::train;

/// A step. Where its output goes is no part of it.
#[derive(Debug, Clone)]
pub enum Step {
    /// Repositories of the micro gym.
    Micro(MicroSettings),
    /// Text about them, to pre-train on.
    Texts(MicroSettings),
    /// Attempts.
    Rollout(Box<RolloutSettings>),
    /// Verdicts on attempts.
    Evaluate(EvaluateSettings),
    /// Attempts as conversations.
    Messages {
        /// Of which run.
        run: PathBuf,
        /// How calls are written; as recorded where nothing is said.
        calls: Option<CallForm>,
        /// Prompts of the user's own, or `terse`.
        prompts: Option<PathBuf>,
    },
    /// Training data.
    Curate(Box<CurateSettings>),
    /// A verifier's scores.
    Score(ScoreSettings),
    /// A choice among attempts.
    Select(SelectSettings),
    /// A tokenizer.
    Tokenizer(TokenizerSettings),
    /// A model from nothing.
    Pretrain(Box<PretrainSettings>),
    /// A model, fine-tuned.
    Sft(Box<SftSettings>),
    /// A verifier.
    Verifier(Box<VerifierSettings>),
}

impl Step {
    /// All that decides what it makes, in words. Paths below a folder are as from there,
    /// so that it can be moved.
    pub fn identity(&self, folder: &Path) -> String {
        format!("{self:?}").replace(&format!("{}/", folder.display()), "")
    }

    /// Takes the step, or goes on with it; its output lies at `place`. Gives the exit code.
    pub async fn take(&self, session: &Session, place: &Path) -> Result<u8, CommandError> {
        let (printer, cores) = (session.printer, session.settings.run.cores);
        // A run that was cut short is taken up where it was.
        let resume = place.join("training.json").is_file();
        let training = train::Training { printer, cores, resume, stop: &session.stop };
        match self {
            Self::Micro(settings) => Ok(stage::micro(session, settings, place, Open::Any).await?.exit),
            Self::Texts(settings) => stage::write_texts(settings, place).map(|()| exit::DONE),
            Self::Rollout(settings) => roll_out(session, settings, place).await,
            Self::Evaluate(settings) => Ok(stage::evaluate(session, settings, place, Open::Any).await?.exit),
            Self::Messages { run, calls, prompts } => {
                export::write_messages(printer, run, *calls, prompts.as_deref(), place).map(|()| exit::DONE)
            }
            Self::Curate(settings) => curate::run(printer, settings, place),
            Self::Select(settings) => select::run(printer, settings, place),
            Self::Score(settings) => compute(|| score::run(printer, cores, settings, place)),
            Self::Tokenizer(settings) => compute(|| train::tokenizer(printer, settings, place)),
            Self::Pretrain(settings) => compute(|| train::pretrain(&training, settings, place)),
            Self::Sft(settings) => compute(|| train::sft(&training, settings, place)),
            Self::Verifier(settings) => compute(|| train::verifier(&training, settings, place)),
        }
    }
}

/// A policy of this machine is served while it is asked.
async fn roll_out(session: &Session, settings: &RolloutSettings, place: &Path) -> Result<u8, CommandError> {
    let ModelChoice::Here(model, endpoint) = &settings.model else {
        return Ok(stage::rollout(session, settings, place, Open::Any).await?.exit);
    };
    let server = server::start(session.settings.run.cores, model, &endpoint.model).await?;
    let endpoint = EndpointSettings { address: server.endpoint.clone(), ..(**endpoint).clone() };
    let asked = ModelChoice::There(Box::new(endpoint));
    let settings = RolloutSettings { model: asked, ..settings.clone() };
    let done = stage::rollout(session, &settings, place, Open::Any).await;
    server.stop().await?;
    Ok(done?.exit)
}
