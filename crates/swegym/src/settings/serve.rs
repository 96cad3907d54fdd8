//! What servers are told.

use std::path::PathBuf;

use crate::args::{DoorArgs, ServeArgs};
use crate::error::CommandError;

/// What is served, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServeSettings {
    pub(crate) model: PathBuf,
    /// In requests; the folder's where nothing is said.
    pub(crate) name: Option<String>,
    /// By name.
    pub(crate) adapters: Vec<(String, PathBuf)>,
    /// Requests may load and unload adapters.
    pub(crate) hot_swap: bool,
    /// From where they may, beside those of `adapters`.
    pub(crate) adapter_folders: Vec<PathBuf>,
    /// An address with its port.
    pub(crate) listen: String,
    pub(crate) door: DoorSettings,
    /// Requests answered at once, at least one.
    pub(crate) at_once: usize,
    /// Requests that wait.
    pub(crate) queue: usize,
    /// Of an answer, where the request gives none.
    pub(crate) max_tokens: usize,
}

impl ServeSettings {
    /// A model on a free port of this machine.
    pub(crate) fn here(model: PathBuf, name: &str) -> Self {
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

    pub(crate) fn resolve(args: ServeArgs) -> Result<Self, CommandError> {
        let ServeArgs {
            model,
            name,
            adapters,
            hot_swap,
            adapter_folders,
            listen,
            door,
            at_once,
            queue,
            max_tokens,
        } = args;
        let adapter = |text: String| match text.split_once('=') {
            Some((name, folder)) => Ok((name.to_owned(), PathBuf::from(folder))),
            None => Err(CommandError::usage(format!("`{text}` names no adapter"), "--adapter NAME=DIR")),
        };
        Ok(Self {
            model,
            name,
            adapters: adapters.into_iter().map(adapter).collect::<Result<_, _>>()?,
            hot_swap,
            adapter_folders,
            listen,
            door: door.into(),
            at_once: at_once.max(1),
            queue,
            max_tokens,
        })
    }
}

/// Whom a server lets in, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DoorSettings {
    /// Host names that requests may use, beside the listening address.
    pub(crate) allow_hosts: Vec<String>,
    /// Seconds that a client may take or pause.
    pub(crate) patience: u64,
    /// Connections at once; what can be served where nothing is said.
    pub(crate) connections: Option<usize>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self { allow_hosts: Vec::new(), patience: 30, connections: None }
    }
}

impl From<DoorArgs> for DoorSettings {
    fn from(args: DoorArgs) -> Self {
        let DoorArgs { allow_hosts, patience, connections } = args;
        Self { allow_hosts, patience, connections }
    }
}
