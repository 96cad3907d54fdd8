//! Which policies are served: the model itself, and adapters to it that come,
//! change and go while requests run.
//!
//! Each loading of a name has a generation, from 1. A request is answered to
//! its end by the generation that it began with, and names it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use axum::http::StatusCode;
use serde_json::{Value, json};
use swegym_train::adapter::Adapter;
use swegym_train::checkpoint;
use swegym_train::decoder::Decoder;
use swegym_train::verifier::Verifier;

use super::Refusal;
use crate::error::CommandError;

/// A policy as one request sees it.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// Its name in requests.
    pub(super) name: String,
    /// How often the name was loaded.
    pub(super) generation: u64,
    /// What is added to the model.
    pub(super) adapter: Option<Arc<Adapter>>,
    /// How it judges, if it does.
    pub(super) verifier: Option<Verifier>,
    folder: PathBuf,
}

/// All policies of a server.
pub(super) struct Policies {
    decoder: Arc<Decoder>,
    base: Policy,
    adapters: RwLock<BTreeMap<String, Policy>>,
    /// The last generation of each name, of those that are gone too.
    generations: RwLock<BTreeMap<String, u64>>,
}

impl Policies {
    pub(super) fn new(decoder: Arc<Decoder>, name: &str, folder: &Path) -> Result<Self, CommandError> {
        let base = Policy {
            name: name.to_owned(),
            generation: 1,
            adapter: None,
            verifier: Verifier::read(folder)?,
            folder: folder.to_owned(),
        };
        Ok(Self { decoder, base, adapters: RwLock::default(), generations: RwLock::default() })
    }

    /// The name of the model itself.
    pub(super) fn base(&self) -> &str {
        &self.base.name
    }

    /// The policy that a request names; the model itself where it names none.
    pub(super) fn pick(&self, name: Option<&str>) -> Result<Policy, Refusal> {
        let Some(name) = name.filter(|name| *name != self.base.name) else { return Ok(self.base.clone()) };
        let adapters = self.adapters.read().expect("nobody panics while writing");
        adapters.get(name).cloned().ok_or_else(|| {
            let served: Vec<&str> =
                std::iter::once(self.base()).chain(adapters.keys().map(String::as_str)).collect();
            let message = format!("the model `{name}` does not exist; `{}` is served", served.join("`, `"));
            Refusal { status: StatusCode::NOT_FOUND, code: "model_not_found", message }
        })
    }

    /// Loads an adapter under a name, in place of whatever had it. Gives its
    /// generation.
    pub(super) fn load(&self, name: &str, folder: &Path) -> Result<u64, CommandError> {
        if name == self.base.name {
            let message = format!("`{name}` is the model itself");
            return Err(CommandError::usage(message, "give the adapter another name"));
        }
        let folder = crate::commands::train::model_folder(folder);
        let adapter = Arc::new(checkpoint::read_adapter(&folder, &self.decoder)?);
        if adapter.has_head() {
            let message = format!("the adapter `{name}` has a head of classes of its own");
            return Err(CommandError::usage(message, "serve it alone, with --model and its folder"));
        }
        let verifier = Verifier::read(&folder)?;
        let mut adapters = self.adapters.write().expect("nobody panics while writing");
        let mut generations = self.generations.write().expect("nobody panics while writing");
        let generation = generations.entry(name.to_owned()).or_default();
        *generation += 1;
        let policy = Policy {
            name: name.to_owned(),
            generation: *generation,
            adapter: Some(adapter),
            verifier,
            folder,
        };
        adapters.insert(name.to_owned(), policy);
        Ok(*generation)
    }

    /// Takes an adapter away; requests under way end with it.
    pub(super) fn unload(&self, name: &str) -> Result<(), Refusal> {
        let mut adapters = self.adapters.write().expect("nobody panics while writing");
        adapters.remove(name).map(|_| ()).ok_or_else(|| {
            let message = format!("no adapter `{name}` is served");
            Refusal { status: StatusCode::NOT_FOUND, code: "model_not_found", message }
        })
    }

    /// The list that `/v1/models` gives.
    pub(super) fn list(&self, context: usize, begun: i64) -> Value {
        let entry = |policy: &Policy, parent: Value| {
            json!({
                "id": policy.name, "object": "model", "created": begun, "owned_by": "swegym",
                "max_model_len": context, "root": policy.folder, "parent": parent,
                "generation": policy.generation, "verifier": policy.verifier.is_some(),
            })
        };
        let adapters = self.adapters.read().expect("nobody panics while writing");
        let others = adapters.values().map(|policy| entry(policy, json!(self.base.name)));
        let data: Vec<Value> = std::iter::once(entry(&self.base, Value::Null)).chain(others).collect();
        json!({"object": "list", "data": data})
    }
}
