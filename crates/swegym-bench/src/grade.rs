//! Benchmark of grading: logs per second. The peer is the reference harness, called
//! per log as its `report` command does, in a Python process that is already
//! running; ours is the whole command. Both read instances and logs and write their
//! reports.

mod corpus;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::{Printer, Shown};
use swegym_data::grade::{self, GradeSettings};
use swegym_method::settings::Settings;

use crate::case::Case;

/// The release that is compared with.
const WHEEL: &str = "swebench-5.0.2-py3-none-any.whl";
/// Runs of ours; the middle one counts.
const ROUNDS: usize = 9;

/// One case for each family and one for all logs together.
pub(super) fn measure(settings: &Settings, logs: usize, cases: &mut Vec<Case>) -> Result<(), CommandError> {
    let home = &settings.home;
    fs::create_dir_all(home)?;
    let wheel = fetch(settings, home)?;
    let mut all = Vec::new();
    let (mut ours, mut theirs) = (0.0, 0.0);
    for (family, formats) in corpus::FAMILIES {
        let inputs = corpus::write(home, family, formats, logs)?;
        // Or the disk is written to beside what is timed first.
        rustix::fs::sync();
        let (us, them) = (time_ours(settings, home, &inputs)?, time_reference(&wheel, &inputs)?);
        cases.push(case(family, inputs.len(), us, them));
        (ours, theirs) = (ours + us, theirs + them);
        all.extend(inputs);
    }
    cases.push(case("all families", all.len(), ours, theirs));
    Ok(())
}

fn case(name: &'static str, logs: usize, ours: f64, theirs: f64) -> Case {
    Case {
        name,
        ours: logs as f64 / ours,
        peer: logs as f64 / theirs,
        unit: "logs/s",
        more_is_better: true,
        against: "swebench 5.0.2".into(),
    }
}

fn fetch(settings: &Settings, home: &Path) -> Result<PathBuf, CommandError> {
    let failed = |why: String| {
        CommandError::usage(format!("cannot fetch {WHEEL}: {why}"), "check the package index (--index-url)")
    };
    let index = settings.index();
    let files = index.files("swebench").map_err(|e| failed(e.to_string()))?;
    let file = files.iter().find(|f| f.filename == WHEEL);
    let file = file.ok_or_else(|| failed("the index does not have it".into()))?;
    let path = home.join(WHEEL);
    fs::write(&path, index.download(file).map_err(|e| failed(e.to_string()))?)?;
    Ok(path)
}

/// Seconds of the verb.
fn time_ours(settings: &Settings, home: &Path, inputs: &[Value]) -> Result<f64, CommandError> {
    let rows =
        |of: &dyn Fn(&Value) -> Value| inputs.iter().map(|i| format!("{}\n", of(i))).collect::<String>();
    fs::write(home.join("instances.jsonl"), rows(&|i| i["instance"].clone()))?;
    let manifest = rows(&|i| json!({"instance_id": i["instance"]["instance_id"], "log": i["log"]}));
    fs::write(home.join("logs.jsonl"), manifest)?;
    let args = GradeSettings {
        instances: Some(home.join("instances.jsonl")),
        logs: Some(home.join("logs.jsonl")),
        run: None,
        out: home.join("reports.jsonl"),
        report: None,
        semantics: None,
        explain: false,
    };
    let printer = Printer::new(false, true, Shown::Nothing);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        // As the reference, each round writes files that are not there yet: to
        // cut one that is, and to have it written to disk for that, takes as
        // long as grading a hundred logs.
        for file in ["reports.jsonl", "reports.run_report.json"] {
            let _ = fs::remove_file(home.join(file));
        }
        let started = Instant::now();
        let done = grade::grade(printer, settings.run.cores, &args)?;
        times.push(started.elapsed().as_secs_f64());
        if done.resolved != inputs.len() {
            return Err(std::io::Error::other("the corpus does not resolve").into());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

/// Seconds of the reference, by its own clock.
#[expect(clippy::disallowed_methods, reason = "the peer is a program of the host")]
fn time_reference(wheel: &Path, inputs: &[Value]) -> Result<f64, CommandError> {
    let lines: String = inputs.iter().map(|i| format!("{i}\n")).collect();
    let (file, folder) = (wheel.with_extension("jsonl"), wheel.with_extension("reports"));
    fs::create_dir_all(&folder)?;
    let wheel = &fs::canonicalize(wheel)?;
    fs::write(&file, lines)?;
    let output = Command::new("python3")
        .args(["-c", include_str!("grade/reference.py")])
        .args([wheel, &folder])
        .stdin(Stdio::from(fs::File::open(&file)?))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().rev();
    let seconds = lines.next().and_then(|line| line.parse().ok());
    let resolved = lines.filter(|line| line.contains("\"resolved\": true")).count();
    match seconds {
        Some(seconds) if resolved == inputs.len() => Ok(seconds),
        _ => Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()).into()),
    }
}
