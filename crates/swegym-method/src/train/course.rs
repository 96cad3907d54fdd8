//! A training run: its folder, its steps, its checkpoints.
//!
//! `training.json` has the settings, `metrics.jsonl` a line per step (`tensorboard/`
//! the same for TensorBoard), `checkpoints/` the states to continue from, `model/` the
//! result.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_console::{exit, text};
use swegym_train::checkpoint::{self, Precision};
use swegym_train::decoder::Decoder;
use swegym_train::tokens::TokenRow;
use swegym_train::trainer::{Settings, StepReport, Stopping, Trainer};
use tokio::sync::watch;

use super::curves;
use super::events::{self, Events};
use crate::settings::Pace;

/// The user's wish to stop.
pub(super) type Stop = watch::Receiver<bool>;

/// What every training run of a command has in common.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// Who tells.
    pub printer: Printer,
    /// On how many it computes.
    pub cores: usize,
    /// A run that was cut short is taken up where it was.
    pub resume: bool,
    /// Turns true where the user wants to stop.
    pub stop: &'a Stop,
}

/// A run that is about to begin, or to go on.
pub(super) struct Course<'a> {
    pub(super) runs: &'a Training<'a>,
    pub(super) settings: Settings,
    pub(super) pace: Pace,
    pub(super) out: &'a Path,
    pub(super) precision: Precision,
    pub(super) config: Option<Value>,
    /// The model that an adapter adapts.
    pub(super) base: Option<String>,
    /// Files that go with every model.
    pub(super) files: &'a [(String, Vec<u8>)],
}

/// How a run ended.
pub(super) struct Outcome {
    pub(super) steps: u64,
    pub(super) loss: Option<f64>,
    pub(super) held_out: Option<f64>,
    pub(super) per_second: f64,
    pub(super) why: &'static str,
    pub(super) model: PathBuf,
    pub(super) exit: u8,
    fitted: swegym_train::packing::Fitted,
}

impl Outcome {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "steps": self.steps, "loss": self.loss, "held_out_loss": self.held_out,
            "tokens_per_second": self.per_second, "stopped": self.why, "model": self.model,
            "rows": {"kept": self.fitted.kept, "overlong": self.fitted.overlong, "empty": self.fitted.empty},
        })
    }
}

/// What a run knows while it goes.
struct Going {
    metrics: Metrics,
    bar: Bar,
    past: Stopping,
    tokens: usize,
    begun: Instant,
}

/// What a run had come to that wrote these lines: for states that do not say it.
fn read_losses(metrics: &str) -> Stopping {
    let mut past = Stopping::default();
    for row in metrics.lines().filter_map(|line| serde_json::from_str::<Row<'_>>(line).ok()) {
        if let Some(loss) = row.loss.and_then(exact) {
            past.last = Some(loss);
        }
        if let Some(loss) = row.held_out_loss.and_then(exact) {
            past.judge(row.step, loss);
        }
    }
    past
}

/// Of a line of the metrics, what a run that goes on must know.
#[derive(serde::Deserialize)]
struct Row<'a> {
    step: u64,
    #[serde(borrow)]
    loss: Option<&'a RawValue>,
    #[serde(borrow)]
    held_out_loss: Option<&'a RawValue>,
}

/// To the bit, which numbers of a [`Value`] need not be: equal losses must stay equal.
fn exact(number: &RawValue) -> Option<f64> {
    number.get().parse().ok()
}

/// What is measured, for people and programs.
struct Metrics {
    lines: File,
    events: Events,
}

impl Metrics {
    fn add(&mut self, row: &Value) -> std::io::Result<()> {
        // In one call: whatever moment the process dies at, lines are whole.
        self.lines.write_all(format!("{row}\n").as_bytes())?;
        self.events.add(row)
    }
}

impl Course<'_> {
    pub(super) fn run(
        &self,
        decoder: Decoder,
        rows: &[TokenRow],
        held_out: &[TokenRow],
    ) -> Result<Outcome, CommandError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.runs.cores).build();
        let pool = pool.map_err(|e| CommandError::from(std::io::Error::other(e)))?;
        let mut trainer = Trainer::new(decoder, self.settings.clone(), rows, pool)?;
        let (metrics, past) = self.open(&mut trainer, rows.len(), held_out.len())?;
        let fitted = trainer.fitted;
        if fitted.overlong + fitted.empty > 0 {
            self.runs.printer.say(&format!(
                "{} rows are longer than {} tokens ({}), {} teach nothing",
                fitted.overlong,
                self.settings.context,
                format!("{:?}", self.settings.overlong).to_lowercase(),
                fitted.empty
            ));
        }
        let mut going = Going {
            metrics,
            bar: Bar::of(self.runs.printer, "train", trainer.steps()),
            past,
            tokens: 0,
            begun: Instant::now(),
        };
        going.bar.set(trainer.done(), trainer.steps());
        let why = self.steps(&mut trainer, held_out, &mut going);
        going.bar.finish();
        curves::write(self.out)?;
        let why = why?;
        if let (Some((_, step)), Some(_)) = (going.past.best, self.pace.patience) {
            trainer.restore(&self.checkpoint(step))?;
        }
        let model = self.out.join("model");
        self.write_model(&mut trainer, &model)?;
        let seconds = going.begun.elapsed().as_secs_f64();
        Ok(Outcome {
            steps: trainer.done(),
            loss: going.past.last,
            held_out: going.past.best.map(|(loss, _)| loss),
            per_second: going.tokens as f64 / seconds,
            why,
            model,
            exit: if why == "interrupted" { exit::INTERRUPTED } else { exit::DONE },
            fitted,
        })
    }

    /// Steps until the end, a wish to stop, or no better loss. The checkpoints
    /// before an error stay.
    fn steps(
        &self,
        trainer: &mut Trainer,
        held_out: &[TokenRow],
        going: &mut Going,
    ) -> Result<&'static str, CommandError> {
        let epoch = trainer.steps_per_epoch();
        let (measure, save) =
            (self.pace.measure.unwrap_or(epoch).max(1), self.pace.save.unwrap_or(epoch).max(1));
        while trainer.done() < trainer.steps() {
            if *self.runs.stop.borrow() {
                self.save(trainer, &going.past)?;
                return Ok("interrupted");
            }
            let report = trainer.step()?;
            self.note(going, &report, trainer.steps())?;
            let (step, last) = (report.step, report.step == trainer.steps());
            if !held_out.is_empty() && (step % measure == 0 || last) {
                let found = trainer.evaluate(held_out)?;
                let line = json!({
                    "step": step, "held_out_loss": found.loss, "held_out_accuracy": found.accuracy,
                });
                going.metrics.add(&line)?;
                if going.past.judge(step, found.loss) && self.pace.patience.is_some() {
                    self.save(trainer, &going.past)?;
                }
                if self.pace.patience.is_some_and(|patience| going.past.worse >= patience) {
                    return Ok("no better loss");
                }
            }
            if step % save == 0 && !last {
                self.save(trainer, &going.past)?;
            }
        }
        Ok("finished")
    }

    fn note(&self, going: &mut Going, report: &StepReport, steps: u64) -> Result<(), CommandError> {
        let StepReport { step, epoch, measured, rate, norm } = report;
        going.tokens += measured.tokens;
        going.past.last = Some(measured.loss);
        let per_second = going.tokens as f64 / going.begun.elapsed().as_secs_f64();
        let line = json!({
            "step": step, "epoch": epoch, "loss": measured.loss, "accuracy": measured.accuracy,
            "tokens": measured.tokens, "learnt": measured.learnt, "rate": rate, "gradient": norm,
            "tokens_per_second": per_second,
        });
        going.metrics.add(&line)?;
        going.bar.set(*step, steps);
        going.bar.say(&format!("loss {:.4}, {per_second:.0} tokens/s", measured.loss));
        Ok(())
    }

    /// Makes the folder, or finds where to go on in it; gives its metrics, and
    /// what they say of the steps before.
    fn open(
        &self,
        trainer: &mut Trainer,
        rows: usize,
        held_out: usize,
    ) -> Result<(Metrics, Stopping), CommandError> {
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |e: std::io::Error| CommandError::file(action, &path, &e)
        };
        let about = self.out.join("training.json");
        let metrics = self.out.join("metrics.jsonl");
        if about.exists() && !self.runs.resume {
            return Err(CommandError::usage(
                format!("`{}` is a run already", self.out.display()),
                "--resume goes on with it; another --out begins anew",
            ));
        }
        let gone_on = self.go_on(trainer, &metrics)?;
        // A run that was killed at once has none yet.
        let checkpoints = self.out.join("checkpoints");
        fs::create_dir_all(&checkpoints).map_err(failed("make the folder", &checkpoints))?;
        if self.runs.resume {
            let boards = Some(self.out.join("tensorboard")).filter(|folder| folder.is_dir());
            for folder in [self.out, &checkpoints].into_iter().chain(boards.as_deref()) {
                checkpoint::remove_drafts(folder)?;
            }
        }
        let value = json!({
            "version": 1, "swegym": env!("CARGO_PKG_VERSION"), "rows": rows, "held_out": held_out,
            "base": self.base, "settings": format!("{:?}", self.settings), "steps": trainer.steps(),
            "packs": trainer.packs(), "trained": trainer.decoder.trained_len(),
        });
        text::write(&about, &format!("{value:#}\n"))?;
        let (kept, past) = gone_on.unwrap_or_default();
        self.forget(&past);
        // Cut, and not written anew: a kill in between would take what was kept.
        let lines =
            File::options().create(true).append(true).open(&metrics).map_err(failed("write", &metrics))?;
        lines.set_len(kept.len() as u64).map_err(failed("write", &metrics))?;
        let events = Events::begin(self.out, &kept).map_err(failed("write", &self.out.join(events::FILE)))?;
        Ok((Metrics { lines, events }, past))
    }

    /// Takes up the last checkpoint of a run that is to go on; gives the metrics up to
    /// it and what the losses say. Where it is refused, nothing has changed.
    fn go_on(
        &self,
        trainer: &mut Trainer,
        metrics: &Path,
    ) -> Result<Option<(String, Stopping)>, CommandError> {
        let Some(step) = self.saved().last().copied().filter(|_| self.runs.resume) else { return Ok(None) };
        trainer.restore(&self.checkpoint(step))?;
        // What came after the checkpoint is done, and told, again.
        let text = match fs::read_to_string(metrics) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CommandError::file("read", metrics, &error));
            }
            text => text.unwrap_or_default(),
        };
        let kept = before(&text, step).to_owned();
        let mut past = trainer.stopping.unwrap_or_else(|| read_losses(&kept));
        let is_lost = |best: u64| self.pace.patience.is_some() && !self.checkpoint(best).exists();
        if let Some((_, best)) = past.best.filter(|(_, best)| is_lost(*best)) {
            self.runs.printer.say(&format!(
                "step {best} was the best, but no checkpoint holds it: the search begins anew"
            ));
            (past.best, past.worse) = (None, 0);
        }
        self.runs.printer.say(&format!("going on after step {step}"));
        Ok(Some((kept, past)))
    }

    fn checkpoint(&self, step: u64) -> PathBuf {
        self.out.join("checkpoints").join(format!("step-{step:08}"))
    }

    /// Steps that have a checkpoint, in order.
    fn saved(&self) -> Vec<u64> {
        let entries = fs::read_dir(self.out.join("checkpoints")).into_iter().flatten().flatten();
        let mut steps: Vec<u64> =
            entries.filter_map(|e| e.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).collect();
        steps.sort_unstable();
        steps
    }

    /// Writes a checkpoint; beside it, only the best one stays.
    fn save(&self, trainer: &mut Trainer, past: &Stopping) -> Result<(), CommandError> {
        let place = self.checkpoint(trainer.done());
        trainer.stopping = Some(*past);
        checkpoint::replace_folder(&place, |draft| trainer.save(draft))?;
        self.forget(past);
        Ok(())
    }

    /// Keeps the last checkpoint and the best.
    fn forget(&self, past: &Stopping) {
        let (saved, best) = (self.saved(), past.best.map(|(_, step)| step));
        for step in saved.iter().rev().skip(1).filter(|step| Some(**step) != best) {
            // One that stays is only in the way.
            _ = fs::remove_dir_all(self.checkpoint(*step));
        }
    }

    fn write_model(&self, trainer: &mut Trainer, place: &Path) -> Result<(), CommandError> {
        match &trainer.decoder.adapter {
            Some(adapter) => {
                let base = self.base.as_deref().unwrap_or_default();
                checkpoint::write_adapter(place, adapter, base, self.files)?;
            }
            None => {
                checkpoint::write(place, &trainer.decoder, self.config.as_ref(), self.precision, self.files)?;
            }
        }
        Ok(())
    }
}

/// The lines up to a step: steps are told in their order.
fn before(metrics: &str, step: u64) -> &str {
    let is_before = |line: &&str| serde_json::from_str::<Row<'_>>(line).is_ok_and(|row| row.step <= step);
    let length = metrics.split_inclusive('\n').take_while(is_before).map(str::len).sum();
    &metrics[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_knows_what_its_metrics_say() {
        let mut lines = String::new();
        let mut whole = Stopping::default();
        // The loss that comes again is one that a JSON number need not give back to the bit.
        for (step, loss) in [(2, 0.9), (4, 0.123_456_789_012_345_68), (6, 0.123_456_789_012_345_68), (8, 0.5)]
        {
            lines += &format!("{}\n", json!({"step": step, "epoch": 1.0, "loss": loss * 2.0}));
            lines += &format!("{}\n", json!({"step": step, "held_out_loss": loss}));
            whole.last = Some(loss * 2.0);
            whole.judge(step, loss);
        }
        assert_eq!((whole.best.map(|(_, step)| step), whole.worse), (Some(4), 2));
        let cut = lines.clone() + "{\"step\":9,\"loss\":0.";
        assert_eq!(before(&cut, 9), lines);
        assert_eq!(read_losses(before(&cut, 9)), whole);
        assert_eq!(read_losses(before(&cut, 4)).worse, 0);
        assert_eq!(before(&cut, 1), "");
    }
}
