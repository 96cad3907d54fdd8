//! What servers are told, from their flags.

use std::path::PathBuf;

use swegym_console::error::CommandError;
use swegym_serve::script::ScriptSettings;
use swegym_serve::settings::{DoorSettings, ServeSettings};

use crate::args::{DevModelArgs, DoorArgs, ServeArgs};

impl TryFrom<ServeArgs> for ServeSettings {
    type Error = CommandError;

    fn try_from(args: ServeArgs) -> Result<Self, CommandError> {
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

impl From<DoorArgs> for DoorSettings {
    fn from(args: DoorArgs) -> Self {
        let DoorArgs { allow_hosts, patience, connections } = args;
        Self { allow_hosts, patience, connections }
    }
}

impl From<DevModelArgs> for ScriptSettings {
    fn from(args: DevModelArgs) -> Self {
        let DevModelArgs { script, listen, door, latency, faults, key, seed } = args;
        Self { script, listen, door: door.into(), latency, faults, key, seed }
    }
}
