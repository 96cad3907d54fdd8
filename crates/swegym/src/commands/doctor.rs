//! `doctor`: checks what this machine allows, by trying it.

use std::time::Duration;

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_method::session::KEEPER;
use swegym_method::settings::Settings;
use swegym_runner::foundation;
use swegym_sandbox::{Host, Store, doctor, tool};

pub(crate) async fn run(settings: Settings, printer: Printer) -> Result<u8, CommandError> {
    let store = Store::open(&settings.home)?;
    let host = Host::start(store, std::env::current_exe()?, &[KEEPER]).await;
    let mut findings = doctor::examine(host.as_ref()).await;
    for (what, needed) in [("git", true), ("python3", true), ("uv", false), ("docker", false)] {
        findings.push(program(&settings, what, needed));
    }
    findings.push(interpreters(&settings));
    let mut table = vec![["", "what", "found", "what to do"].map(str::to_owned).to_vec()];
    for finding in &findings {
        let mark = if finding.good { "ok" } else { "BAD" };
        let hint = finding.hint.clone().unwrap_or_default();
        table.push(vec![mark.to_owned(), finding.what.to_owned(), finding.found.clone(), hint]);
    }
    let value: Vec<_> = findings
        .iter()
        .map(|f| json!({"what": f.what, "good": f.good, "found": f.found, "hint": f.hint}))
        .collect();
    printer.result(&json!({"home": settings.home, "findings": value}), &table);
    Ok(if findings.iter().all(|f| f.good) { exit::DONE } else { exit::INFRASTRUCTURE })
}

/// Interpreters behind version managers, whatever their scripts on the `PATH` say.
fn interpreters(settings: &Settings) -> doctor::Finding {
    let found: Vec<String> =
        foundation::interpreters(&settings.install).into_iter().map(|(version, _)| version).collect();
    let hint = "commits of other years need others: pyenv, `uv python install`, or gym --fetch-python";
    let (found, hint) = match found.is_empty() {
        true => ("none of a version manager".to_owned(), Some(hint.to_owned())),
        false => (found.join(", "), None),
    };
    doctor::Finding { what: "interpreters", good: true, found, hint }
}

/// A program of the machine, and whether what it needs answers.
fn program(settings: &Settings, what: &'static str, needed: bool) -> doctor::Finding {
    let path = settings.find_program(what);
    let (found, hint) = match (&path, what) {
        (None, "uv") => (None, Some("swegym fetches its own from the package index".to_owned())),
        (None, "docker") => (None, Some("not needed".to_owned())),
        (None, _) => (None, Some(format!("install {what}"))),
        (Some(path), "docker") => {
            let ask = ["version", "--format", "{{.Server.Version}}"];
            match tool::run(path, ask, Duration::from_secs(5)) {
                Ok(version) => {
                    (Some(format!("{}, {}", path.display(), String::from_utf8_lossy(&version).trim())), None)
                }
                Err(_) => {
                    let found = format!("{}, but no daemon answers", path.display());
                    (Some(found), Some("not needed".to_owned()))
                }
            }
        }
        (Some(path), _) => (Some(path.display().to_string()), None),
    };
    let found = found.unwrap_or_else(|| "not on the PATH".to_owned());
    doctor::Finding { what, good: path.is_some() || !needed, found, hint }
}
