//! What `improve` is told.

use std::path::PathBuf;

use swegym_agent::model::endpoint::EndpointSettings;
use swegym_data::curate::settings::CurateSettings;

use super::{ModelChoice, RolloutSettings, SftSettings};

/// Rounds of sampling, grading, curating, training, measuring.
#[derive(Debug, Clone, PartialEq)]
pub struct ImproveSettings {
    /// The first policy.
    pub model: PathBuf,
    /// What is learnt from.
    pub instances: PathBuf,
    /// What is measured with.
    pub measure: PathBuf,
    /// Who serves the policy and its adapters; this process where nobody is named.
    pub endpoint: Option<Served>,
    /// How many.
    pub rounds: u32,
    /// Which policy a round fine-tunes.
    pub from: Start,
    /// Which rounds' attempts are learnt.
    pub learn: Memory,
    /// Evaluated rollouts that every round learns from, too.
    pub mix: Vec<PathBuf>,
    /// Attempts at an instance, in a round.
    pub attempts: u32,
    /// The same in a measurement.
    pub measure_attempts: u32,
    /// Round r uses this seed plus r.
    pub seed: u64,
    /// What every round's attempts have in common.
    pub rollout: RolloutSettings,
    /// What every round's data have in common.
    pub curate: CurateSettings,
    /// What every round's training has in common.
    pub sft: SftSettings,
}

/// A policy at somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its address.
    pub endpoint: String,
    /// What it calls the policy.
    pub name: String,
}

impl ImproveSettings {
    /// What requests carry, where the endpoint wants it.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.rollout.model {
            ModelChoice::Here(_, endpoint) | ModelChoice::There(endpoint) => endpoint.key.as_deref(),
            ModelChoice::Teacher | ModelChoice::Scripted(_) | ModelChoice::Program(_) => None,
        }
    }

    /// A policy of this machine, or one that the endpoint calls by this name.
    pub fn policy(&self, model: PathBuf, name: Option<String>) -> ModelChoice {
        let usual = match &self.rollout.model {
            ModelChoice::Here(_, endpoint) | ModelChoice::There(endpoint) => endpoint.clone(),
            ModelChoice::Teacher | ModelChoice::Scripted(_) | ModelChoice::Program(_) => {
                return ModelChoice::here(model);
            }
        };
        match (&self.endpoint, name) {
            (Some(Served { endpoint, .. }), Some(name)) => {
                let address = endpoint.clone();
                ModelChoice::There(Box::new(EndpointSettings { model: name, address, ..*usual }))
            }
            _ => ModelChoice::Here(model, usual),
        }
    }
}

/// Which policy a round fine-tunes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first policy's: only the data accumulates.
    Base,
    /// The previous round's.
    Last,
}

impl Start {
    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "base" => Some(Self::Base),
            "last" => Some(Self::Last),
            _ => None,
        }
    }
}

/// Which rounds' attempts are learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// All rounds so far.
    All,
    /// This round only.
    Last,
}

impl Memory {
    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "last" => Some(Self::Last),
            _ => None,
        }
    }
}
