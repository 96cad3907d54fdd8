//! `run.json`: settings, versions and digests; enough to repeat a run.

use serde_json::{Map, Value, json};

use super::row::Row;
use super::{FormatError, Problem};
use crate::{Digest, RunId};

/// Newest version that this code writes and reads.
pub const VERSION: u64 = 1;

/// The head of a run directory.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHead {
    /// Also the folder's name.
    pub run_id: RunId,
    /// The verb.
    pub verb: String,
    /// swegym's version.
    pub swegym: String,
    /// Digest over settings and inputs.
    pub inputs: Digest,
    /// Settings by flag name, as they were resolved.
    pub settings: Map<String, Value>,
    /// Digest of the instances, where the run keeps them beside this file
    /// ([`INSTANCES`]); runs from before it did name a file in their settings.
    pub instances: Option<Digest>,
}

/// Where a run's folder keeps the command line; it is there before the run begins.
pub const COMMAND: &str = "command.json";

/// Where a run keeps the instances that it is about.
pub const INSTANCES: &str = "instances.jsonl";

/// The file's text.
#[must_use]
pub fn write(head: &RunHead) -> String {
    let mut value = json!({
        "format_version": VERSION,
        "run_id": head.run_id.as_str(),
        "verb": head.verb,
        "swegym": head.swegym,
        "inputs": head.inputs.hex(),
        "settings": head.settings,
    });
    if let Some(digest) = &head.instances {
        value["instances"] = json!(digest.hex());
    }
    format!("{value:#}\n")
}

/// Reads the file's text.
///
/// # Errors
/// See [`Problem`]; a newer version is refused.
pub fn read(file: &str, text: &str) -> Result<RunHead, FormatError> {
    let mut row = Row::parse(file, 1, text.as_bytes())?;
    let found = row.integer("format_version")?;
    if found > VERSION {
        return Err(row.error(Problem::Newer { found, known: VERSION }));
    }
    let settings = match row.take("settings") {
        Some(Value::Object(map)) => map,
        Some(other) => return Err(row.wrong("settings", "an object", &other)),
        None => return Err(row.error(Problem::Missing("settings"))),
    };
    let instances = row.optional_string("instances")?;
    let instances = instances.map(|text| Digest::parse(&text)).transpose().map_err(|e| row.error(e))?;
    Ok(RunHead {
        run_id: RunId::new(row.string("run_id")?).map_err(|e| row.error(e))?,
        verb: row.string("verb")?,
        swegym: row.string("swegym")?,
        inputs: Digest::parse(&row.string("inputs")?).map_err(|e| row.error(e))?,
        settings,
        instances,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_and_a_newer_one_refused() {
        let head = RunHead {
            run_id: RunId::new("r1").unwrap(),
            verb: "validate".into(),
            swegym: "0.1.0".into(),
            inputs: Digest::of(b""),
            settings: Map::from_iter([("runs".to_owned(), json!(3))]),
            instances: Some(Digest::of(b"{}")),
        };
        let text = write(&head);
        assert_eq!(read("run.json", &text).unwrap(), head);
        let newer = text.replace("\"format_version\": 1", "\"format_version\": 9");
        assert_eq!(
            read("run.json", &newer).unwrap_err().to_string(),
            "run.json:1: format version 9 is newer than 1, the newest this swegym reads"
        );
    }
}
