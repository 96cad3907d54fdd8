//! What this machine allows, checked for real.

use serde_json::json;
use swegym_sandbox::{Host, Store, doctor};

use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::session::KEEPER;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, printer: Printer) -> Result<u8, CommandError> {
    let store = Store::open(&settings.home)?;
    let host = Host::start(store, std::env::current_exe()?, &[KEEPER]).await;
    let mut findings = doctor::examine(host.as_ref()).await;
    for (what, needed) in [("git", true), ("python3", true), ("uv", false), ("docker", false)] {
        let found = settings.environment.find_program(what);
        let hint = match (&found, what) {
            (None, "uv") => Some("swegym fetches its own from the package index".to_owned()),
            (None, "docker") => Some("not needed".to_owned()),
            (None, _) => Some(format!("install {what}")),
            _ => None,
        };
        let text = found.as_ref().map_or("not on the PATH".to_owned(), |p| p.display().to_string());
        findings.push(doctor::Finding { what, good: found.is_some() || !needed, found: text, hint });
    }
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
