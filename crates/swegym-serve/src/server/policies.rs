//! Which policies are served: the model itself, and adapters that are loaded, replaced
//! and unloaded while requests run.
//!
//! Each time a name is loaded, its generation goes up, from 1. A request is answered
//! to its end by the generation it started with, and the answer names it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, RwLock};

use axum::http::StatusCode;
use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_train::adapter::Adapter;
use swegym_train::checkpoint;
use swegym_train::decoder::Decoder;
use swegym_train::verifier::{self, Verifier};

use super::Refusal;
use super::shelf::{Found, Shelf};

/// Adapters that are served at once, and names that ever had one.
const MOST_ADAPTERS: usize = 64;
const MOST_NAMES: usize = 4096;

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
}

/// Why an adapter is not taken, and what to do.
struct Odd {
    message: String,
    hint: &'static str,
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
        let base =
            Policy { name: name.to_owned(), generation: 1, adapter: None, verifier: Verifier::read(folder)? };
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
            Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message)
        })
    }

    /// Loads an adapter that whoever serves has named.
    pub(super) fn load(&self, name: &str, folder: &Path) -> Result<u64, CommandError> {
        let folder = swegym_train::policy::model_folder(folder);
        let adapter = checkpoint::read_adapter(&folder, &self.decoder)?;
        let verifier = Verifier::read(&folder)?;
        self.put(name, adapter, verifier).map_err(|odd| CommandError::usage(odd.message, odd.hint))
    }

    /// Loads an adapter that a request has named. What is not there and what must
    /// not be read are one: nobody learns from us which paths exist.
    pub(super) fn load_from(&self, shelf: &Shelf, name: &str, place: &Path) -> Result<u64, Refusal> {
        // An adapter is smaller than the model that it adapts, or both are small.
        let most = (self.decoder.layout.len as u64).saturating_mul(4) + (64 << 20);
        let Found { config, model, verifier } = shelf.find(place, most).ok_or_else(|| {
            let message = "`lora_path` is no adapter in the folders that this server loads adapters from";
            Refusal::about("lora_path", message)
        })?;
        let odd = |e: &dyn Error| Refusal::about("lora_path", e.to_string());
        let called = Path::new("adapter");
        let adapter =
            checkpoint::parse_adapter(called, &config, model, &self.decoder).map_err(|e| odd(&e))?;
        let verifier = verifier.map(|bytes| Verifier::parse(&called.join(verifier::FILE), &bytes));
        let verifier = verifier.transpose().map_err(|e| odd(&e))?;
        self.put(name, adapter, verifier).map_err(|odd| Refusal::about("lora_name", odd.message))
    }

    /// Puts an adapter in place of whatever had its name. Gives its generation.
    fn put(&self, name: &str, adapter: Adapter, verifier: Option<Verifier>) -> Result<u64, Odd> {
        let odd = |message: String, hint| Err(Odd { message, hint });
        if name == self.base.name {
            return odd(format!("`{name}` is the model itself"), "give the adapter another name");
        }
        if adapter.has_head() {
            let message = format!("the adapter `{name}` has a head of classes of its own");
            return odd(message, "serve it alone, with --model and its folder");
        }
        let mut adapters = self.adapters.write().expect("nobody panics while writing");
        let mut generations = self.generations.write().expect("nobody panics while writing");
        let is_known = generations.contains_key(name);
        if (adapters.len() >= MOST_ADAPTERS && !adapters.contains_key(name))
            || (generations.len() >= MOST_NAMES && !is_known)
        {
            return odd("too many adapters are served".to_owned(), "unload some, or take names again");
        }
        let generation = generations.entry(name.to_owned()).or_default();
        *generation += 1;
        let policy = Policy {
            name: name.to_owned(),
            generation: *generation,
            adapter: Some(Arc::new(adapter)),
            verifier,
        };
        adapters.insert(name.to_owned(), policy);
        Ok(*generation)
    }

    /// Takes an adapter away; requests under way end with it.
    pub(super) fn unload(&self, name: &str) -> Result<(), Refusal> {
        let mut adapters = self.adapters.write().expect("nobody panics while writing");
        adapters.remove(name).map(|_| ()).ok_or_else(|| {
            let message = format!("no adapter `{name}` is served");
            Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message)
        })
    }

    /// The list that `/v1/models` gives.
    pub(super) fn list(&self, context: usize, begun: i64) -> Value {
        let entry = |policy: &Policy, parent: Value| {
            json!({
                "id": policy.name, "object": "model", "created": begun, "owned_by": "swegym",
                "max_model_len": context, "root": policy.name, "parent": parent,
                "generation": policy.generation, "verifier": policy.verifier.is_some(),
            })
        };
        let adapters = self.adapters.read().expect("nobody panics while writing");
        let others = adapters.values().map(|policy| entry(policy, json!(self.base.name)));
        let data: Vec<Value> = std::iter::once(entry(&self.base, Value::Null)).chain(others).collect();
        json!({"object": "list", "data": data})
    }
}
