//! What servers are told.

use std::path::PathBuf;

/// What is served, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// A model's folder.
    pub model: PathBuf,
    /// In requests; the folder's where nothing is said.
    pub name: Option<String>,
    /// By name.
    pub adapters: Vec<(String, PathBuf)>,
    /// Requests may load and unload adapters.
    pub hot_swap: bool,
    /// From where they may, beside those of `adapters`.
    pub adapter_folders: Vec<PathBuf>,
    /// An address with its port.
    pub listen: String,
    /// Whom it lets in.
    pub door: DoorSettings,
    /// Requests answered at once, at least one.
    pub at_once: usize,
    /// Requests that wait.
    pub queue: usize,
    /// Of an answer, where the request gives none.
    pub max_tokens: usize,
}

impl ServeSettings {
    /// A model on a free port of this machine.
    pub fn here(model: PathBuf, name: &str) -> Self {
        Self {
            model,
            name: Some(name.to_owned()),
            adapters: Vec::new(),
            hot_swap: false,
            adapter_folders: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            door: DoorSettings::default(),
            at_once: 64,
            queue: 1024,
            max_tokens: 1024,
        }
    }
}

/// Whom a server lets in, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorSettings {
    /// Host names that requests may use, beside the listening address.
    pub allow_hosts: Vec<String>,
    /// Seconds that a client may take or pause.
    pub patience: u64,
    /// Connections at once; what can be served where nothing is said.
    pub connections: Option<usize>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self { allow_hosts: Vec::new(), patience: 30, connections: None }
    }
}
