//! What `rollout` is told.

use std::fmt;
use std::path::PathBuf;

use swegym_agent::model::endpoint::EndpointSettings;
use swegym_agent::{Limits, Scaffold};
use swegym_core::chat::{CallForm, Sampling};
use swegym_core::format::instances::UnknownFields;
use swegym_core::wire::Wire;

/// Which agent works on what, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutSettings {
    /// A file of instances.
    pub instances: PathBuf,
    /// What becomes of fields that nobody knows.
    pub unknown: UnknownFields,
    /// How the agent works.
    pub scaffold: Scaffold,
    /// Who answers.
    pub model: ModelChoice,
    /// Attempts at each instance, at least one.
    pub attempts: u32,
    /// Attempt 0 is greedy.
    pub first_greedy: bool,
    /// Each answer is tested.
    pub evaluate: bool,
    /// Attempts at once, at least one.
    pub concurrent: usize,
    /// Prompts of the user's own, or `terse`.
    pub prompts: Option<PathBuf>,
    /// The prompt shows an example of a solved task.
    pub example: bool,
    /// The prompt has the hints of the instance.
    pub hints: bool,
    /// An earlier attempt, and the last step that is shared with it.
    pub fork: Option<(PathBuf, u32)>,
    /// Of a teacher.
    pub seed: u64,
    /// Share of the noisy expert's attempts that fail.
    pub noise: f64,
    /// How calls are written.
    pub calls: CallForm,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// Of an attempt.
    pub limits: Limits,
    /// Of the whole run.
    pub budget: BudgetSettings,
}

/// What a whole run may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BudgetSettings {
    /// Requests to the model.
    pub requests: Option<u64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// US dollars.
    pub cost: Option<f64>,
}

/// Who answers.
#[derive(Clone, PartialEq)]
pub enum ModelChoice {
    /// The scaffold is a teacher.
    Teacher,
    /// Answers from a file.
    Scripted(PathBuf),
    /// Answers of a program.
    Program(PathBuf),
    /// A model of this machine, served within the process while it is asked; and how it
    /// is asked then, but for the address.
    Here(PathBuf, Box<EndpointSettings>),
    /// A model behind an address.
    There(Box<EndpointSettings>),
}

impl ModelChoice {
    /// A model of this machine.
    pub fn here(model: PathBuf) -> Self {
        Self::Here(model, Box::new(reached("policy".to_owned(), String::new(), 64)))
    }

    /// As it is named in files; never how it is reached: an endpoint may have moved when
    /// a run is taken up, and a key is nobody's business.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Teacher => None,
            Self::Scripted(path) => Some(format!("scripted:{}", path.display())),
            Self::Program(path) => Some(format!("program:{}", path.display())),
            Self::Here(path, _) => Some(path.display().to_string()),
            Self::There(endpoint) => Some(endpoint.model.clone()),
        }
    }
}

impl fmt::Debug for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().as_deref().unwrap_or("teacher"))
    }
}

impl RolloutSettings {
    /// One attempt of a model, or of a teacher, at each instance of a file.
    pub fn new(instances: PathBuf, scaffold: Scaffold, model: ModelChoice) -> Self {
        Self {
            instances,
            unknown: UnknownFields::Refuse,
            scaffold,
            model,
            attempts: 1,
            first_greedy: false,
            evaluate: false,
            concurrent: 64,
            prompts: None,
            example: false,
            hints: false,
            fork: None,
            seed: 1,
            noise: 0.4,
            calls: CallForm::Native,
            sampling: Sampling::default(),
            limits: Limits::default(),
            budget: BudgetSettings::default(),
        }
    }
}

/// A model at an address of ours, which wants no key.
pub(super) fn reached(model: String, address: String, concurrent: usize) -> EndpointSettings {
    EndpointSettings::usual(model, address, Wire::OpenAi, concurrent)
}
