//! Pipeline runs, read from their files, as a table, as JSON and as a page.
//!
//! Only the files are read, and the output does not depend on the clock: the same
//! runs give the same page.

pub mod shown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::StopReason;
use swegym_core::format::reports::Judged;
use swegym_core::history::History;
use swegym_core::visible::visible_in_html;

use crate::run_view::RunView;

/// What a stage dropped.
const DROPPED: &str = "dropped.jsonl";

/// One stage's numbers.
#[derive(Debug, Clone)]
struct Stage {
    verb: String,
    /// The folder's name, which tells several evaluations apart.
    name: String,
    total: usize,
    good: usize,
    /// Everything else, by reason.
    reasons: BTreeMap<String, usize>,
    /// Rows of the stage's main file.
    rows: Vec<Value>,
    /// Verdicts, of stages that give some.
    judged: Vec<Judged>,
    bugs: Vec<Value>,
    flakes: Vec<Value>,
    /// What tricks came to on instances, where they were tried.
    probes: Vec<Value>,
    predictions: String,
    /// Jobs that are not done, of a run that was cut short or still goes on; none of one
    /// that came to its end.
    cut: Option<usize>,
}

/// All stages of the runs that were named.
#[derive(Debug, Clone)]
pub struct Summary {
    stages: Vec<Stage>,
}

/// Which outcome counts as good, and which file has the rows.
fn shape(verb: &str) -> (&'static str, &'static str) {
    match verb {
        "build" => ("built", "images.jsonl"),
        "synth" => ("candidate", "candidates.jsonl"),
        "validate" => ("kept", "instances.jsonl"),
        _ => ("resolved", "reports.jsonl"),
    }
}

impl Summary {
    /// Reads run folders; a folder of runs (a quickstart's) stands for those in it.
    pub fn load(folders: &[PathBuf]) -> Result<Self, CommandError> {
        let mut stages = Vec::new();
        for folder in folders {
            if RunView::is_at(folder) {
                stages.push(Stage::load(folder)?);
                continue;
            }
            let read =
                std::fs::read_dir(folder).map_err(|e| CommandError::file("read the run", folder, &e))?;
            let inner = read.flatten().map(|e| e.path()).filter(|p| RunView::is_at(p));
            let mut found = inner.map(|p| Stage::load(&p)).collect::<Result<Vec<_>, _>>()?;
            if found.is_empty() {
                let message = format!("`{}` holds no run", folder.display());
                return Err(CommandError::usage(
                    message,
                    "name a folder with a run.json, or a quickstart's folder",
                ));
            }
            let order = ["build", "synth", "validate", "evaluate", "rollout"];
            found.sort_by_key(|s| (order.iter().position(|o| *o == s.verb), s.name.clone()));
            stages.extend(found);
        }
        Ok(Self { stages })
    }

    /// The table for people.
    pub fn table(&self) -> Vec<Vec<String>> {
        let mut rows =
            vec![["stage", "total", "good", "%", "marked", "the rest"].map(str::to_owned).to_vec()];
        for stage in &self.stages {
            let mut rest: Vec<_> = stage.reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
            rest.extend(stage.cut.map(|undone| format!("{undone} not done")));
            rows.push(vec![
                stage.title(),
                stage.total.to_string(),
                stage.good.to_string(),
                format!("{:.0}", stage.percent()),
                stage.marked().map_or_else(String::new, |n| n.to_string()),
                rest.join(", "),
            ]);
        }
        rows
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        let stage = |s: &Stage| {
            let mut row = json!({"stage": s.verb, "run": s.name, "total": s.total, "good": s.good, "reasons": s.reasons});
            row["cut"] = json!(s.cut.is_some());
            row["not_done"] = json!(s.cut.unwrap_or(0));
            if s.has_verdicts() {
                row["marked"] = json!(s.marked());
            }
            if !s.probes.is_empty() {
                let forgeable = s.probes.iter().filter(|row| is_forgeable(row)).count();
                row["probed"] = json!(s.probes.len());
                row["forgeable"] = json!(forgeable);
                row["forgeable_share"] = json!(forgeable as f64 / s.probes.len() as f64);
            }
            row
        };
        self.stages.iter().map(stage).collect()
    }

    /// Writes `report.html`: one file, readable without a network.
    pub fn write_page(&self, folder: &Path) -> Result<PathBuf, CommandError> {
        let path = folder.join("report.html");
        let page = self.page().map_err(|e| {
            CommandError::usage(format!("cannot render the page: {e:#}"), "this is a bug in swegym")
        })?;
        text::write(&path, &page)?;
        Ok(path)
    }

    fn page(&self) -> Result<String, minijinja::Error> {
        let mut templates = minijinja::Environment::new();
        templates.add_template("report.html", include_str!("report/page.html"))?;
        let stages: Vec<Value> = self.stages.iter().map(Stage::to_page).collect();
        let of = |verb: &'static str| self.stages.iter().filter(move |s| s.verb == verb);
        let images: Vec<&Value> = of("build").flat_map(|s| &s.rows).collect();
        let instances: Vec<Value> =
            of("validate").flat_map(|s| s.rows.iter().map(|r| self.instance(r, s))).collect();
        let value = json!({
            "stages": stages,
            "images": images.into_iter().map(image_row).collect::<Vec<_>>(),
            "operators": self.operators(),
            "instances": instances,
            "evaluations": self.stages.iter().filter(|s| s.has_verdicts()).map(Stage::title).collect::<Vec<_>>(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let page = templates.get_template("report.html")?.render(minijinja::Value::from_serialize(&value))?;
        Ok(visible_in_html(&page).into_owned())
    }

    /// How often each kind of bug was drawn by a candidate, and kept.
    fn operators(&self) -> Value {
        let kept: Vec<&Value> = self
            .stages
            .iter()
            .filter(|s| s.verb == "validate")
            .flat_map(|s| &s.rows)
            .map(|r| &r["instance_id"])
            .collect();
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for row in self.stages.iter().flat_map(|s| &s.bugs) {
            for bug in row["bugs"].as_array().into_iter().flatten() {
                let count = counts.entry(bug["operator"].as_str().unwrap_or("?").to_owned()).or_default();
                count.0 += 1;
                count.1 += usize::from(kept.contains(&&row["instance_id"]));
            }
        }
        counts
            .into_iter()
            .map(|(name, (drawn, kept))| json!({"name": name, "drawn": drawn, "kept": kept}))
            .collect()
    }

    fn instance(&self, row: &Value, stage: &Stage) -> Value {
        let id = &row["instance_id"];
        let verdicts: Vec<Value> =
            self.stages.iter().filter(|s| s.has_verdicts()).map(|s| json!(s.verdict(id))).collect();
        let flakes = stage.flakes.iter().find(|f| &f["instance_id"] == id);
        let forgeable = stage.probes.iter().find(|row| &row["instance_id"] == id && is_forgeable(row));
        json!({
            "id": id,
            "statement": row["problem_statement"],
            "patch": row["patch"],
            "fail_to_pass": row["FAIL_TO_PASS"],
            "pass_to_pass": row["PASS_TO_PASS"].as_array().map_or(0, Vec::len),
            "verdicts": verdicts,
            "forgeable": forgeable.map(|row| row["forgeable"].clone()),
            "flakes": flakes.map(|f| f["statistics"]["tests"].clone()),
        })
    }
}

fn image_row(row: &Value) -> Value {
    json!({
        "package": row["package"],
        "version": row["version"],
        "image": row["image"].as_str().map(|d| d.chars().take(16).collect::<String>()),
        "tests": row["passing_tests"].as_array().map_or(0, Vec::len),
        "from": row["requirements_from"],
    })
}

impl Stage {
    fn load(folder: &Path) -> Result<Self, CommandError> {
        let view = RunView::open(folder)?;
        let verb = view.head.verb.clone();
        let has_verdicts = gives_verdicts(&verb);
        let judged = if has_verdicts { view.judged()? } else { Vec::new() };
        let (rows, dropped) = rows(&view)?;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut add = |reason: &str| *reasons.entry(reason.to_owned()).or_default() += 1;
        let good = if has_verdicts && judged.is_empty() {
            let statuses = view.attempts()?.into_iter().map(|attempt| attempt.exit_status);
            let (good, other): (Vec<_>, Vec<_>) = statuses.partition(|s| *s == StopReason::Submitted);
            other.into_iter().for_each(|status| add(status.as_str()));
            good.len()
        } else if has_verdicts {
            for row in judged.iter().filter(|row| !row.resolved) {
                let code = row.broke.as_deref().or(row.reason.as_deref());
                add(code.unwrap_or(if row.patch_exists { "unresolved" } else { "empty_patch" }));
            }
            judged.iter().filter(|row| row.resolved).count()
        } else {
            dropped.iter().for_each(|row| add(row["reason"].as_str().unwrap_or("unresolved")));
            // validate lists its failures among the dropped already.
            let failed = view.history.failed().filter(|_| verb != "validate");
            failed.for_each(|(_, fault)| add(&fault.code));
            rows.len()
        };
        Ok(Self {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            total: good + reasons.values().sum::<usize>(),
            good,
            reasons,
            rows,
            judged,
            bugs: view.rows("bugs.jsonl")?,
            flakes: view.rows("flakes.jsonl")?,
            probes: view.rows("probes.jsonl")?,
            predictions: view
                .setting(if verb == "rollout" { "scaffold" } else { "predictions" })
                .unwrap_or_default()
                .to_owned(),
            cut: cut(&view),
            verb,
        })
    }

    fn title(&self) -> String {
        let cut = if self.cut.is_some() { " (cut)" } else { "" };
        if self.predictions.is_empty() {
            format!("{}{cut}", self.verb)
        } else {
            format!("{} {}{cut}", self.verb, self.predictions)
        }
    }

    fn has_verdicts(&self) -> bool {
        gives_verdicts(&self.verb)
    }

    /// How many of the good ones are not to be trusted: resolved by a patch with a
    /// mark, or kept although a trick passes them, if with a mark.
    fn marked(&self) -> Option<usize> {
        if self.has_verdicts() {
            return Some(self.judged.iter().filter(|row| row.resolved && row.marked).count());
        }
        let kept = |row: &&Value| row["kept"] == true && is_forgeable(row);
        (!self.probes.is_empty()).then(|| self.probes.iter().filter(kept).count())
    }

    /// What became of the answers to an instance.
    fn verdict(&self, id: &Value) -> String {
        let answers: Vec<&Judged> =
            self.judged.iter().filter(|row| id.as_str() == Some(&row.instance_id)).collect();
        let resolved = answers.iter().filter(|row| row.resolved).count();
        let marked = answers.iter().any(|row| row.resolved && row.marked);
        match (answers.len(), resolved) {
            (0, _) => "–".to_owned(),
            (1, 1) if marked => "resolved, marked".to_owned(),
            (1, 1) => "resolved".to_owned(),
            (1, _) => "not resolved".to_owned(),
            (all, some) => format!("{some} of {all}"),
        }
    }

    fn percent(&self) -> f64 {
        if self.total == 0 { 0.0 } else { 100.0 * self.good as f64 / self.total as f64 }
    }

    fn to_page(&self) -> Value {
        let share = |n: usize| if self.total == 0 { 0.0 } else { 100.0 * n as f64 / self.total as f64 };
        let reasons: Vec<_> = self
            .reasons
            .iter()
            .map(|(reason, n)| json!({"reason": reason, "number": n, "share": share(*n)}))
            .collect();
        json!({
            "title": self.title(), "total": self.total, "good": self.good, "share": self.percent(),
            "marked": self.marked(), "cut": self.cut,
            "word": if self.verb == "rollout" && self.judged.is_empty() { "submitted" } else { shape(&self.verb).0 }, "reasons": reasons,
        })
    }
}

/// How many jobs of a run are not done, if it did not come to its end: to the last
/// job's, or to that of its rows.
fn cut(view: &RunView) -> Option<usize> {
    let History { jobs, wanted, is_over } = &view.history;
    let undone = wanted.saturating_sub(jobs.values().filter(|job| job.end.is_some()).count());
    let has_rows = || view.has(shape(&view.head.verb).1) || gives_verdicts(&view.head.verb);
    (undone > 0 || !is_over && !has_rows()).then_some(undone)
}

/// Whether a verb's rows are verdicts, which the results of its jobs have, too.
fn gives_verdicts(verb: &str) -> bool {
    matches!(verb, "evaluate" | "rollout")
}

/// Whether a trick passes an instance, with a mark or without.
fn is_forgeable(row: &Value) -> bool {
    row["forgeable"].as_array().is_some_and(|names| !names.is_empty())
}

/// Rows of a stage's main file, and of what it dropped, as many as its journal
/// tells of.
fn rows(view: &RunView) -> Result<(Vec<Value>, Vec<Value>), CommandError> {
    let verb = view.head.verb.as_str();
    let (word, file) = shape(verb);
    let good = view.count(word);
    let others = view.history.finished().len() - good;
    Ok(match verb {
        "build" => (view.whole_rows(file, good)?, Vec::new()),
        "validate" => {
            let dropped = view.whole_rows(DROPPED, others + view.broke())?;
            (view.whole_rows(file, good)?, dropped)
        }
        "synth" => {
            let rows = view.rows(DROPPED)?;
            let again = rows.iter().filter(|row| row["reason"] == "duplicate").count();
            let dropped = view.whole_rows(DROPPED, others + again)?;
            (view.whole_rows(file, good.saturating_sub(again))?, dropped)
        }
        _ => (Vec::new(), view.rows(DROPPED)?),
    })
}
