//! All attempts of some runs: what is known of each, and its rows on demand.
//! Conversations stay on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::text;
use swegym_core::Verdict;
use swegym_core::format::scores;
use swegym_core::trajectory::stuck::Stuck;
use swegym_train::curation::Candidate;
use swegym_train::mask::{Blemish, Mask, blemished, cut};
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::TokenRow;

use crate::curate::settings::CurateSettings;
use crate::export::{self, Form, Taken};
use crate::rows::Unit;
use crate::run_view::{self, Record, RunView};

/// What a card counts beside what rules look at.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Which of the runs it is of.
    run: usize,
    pub(super) record: PathBuf,
    pub(super) model: String,
    pub(super) scaffold: String,
    pub(super) temperature: String,
    pub(super) verdict: Option<Verdict>,
}

/// The attempts.
pub(super) struct Pool {
    pub(super) candidates: Vec<Candidate>,
    pub(super) about: Vec<About>,
    /// Attempts that did not end.
    pub(super) unfinished: usize,
    /// Attempts that no rows can be made of, with the reason.
    pub(super) unusable: Vec<String>,
    runs: Vec<RunView>,
    tokenizer: Tokenizer,
    form: Form,
    blemishes: Vec<Blemish>,
    last_only: bool,
}

impl Pool {
    pub(super) fn read(printer: Printer, settings: &CurateSettings) -> Result<Self, CommandError> {
        let tokenizer = Tokenizer::read(&swegym_train::policy::model_folder(&settings.model))?;
        crate::rows::warn_of_ends(printer, &tokenizer);
        let mut pool = Self {
            candidates: Vec::new(),
            about: Vec::new(),
            unfinished: 0,
            unusable: Vec::new(),
            runs: Vec::new(),
            tokenizer,
            form: Form::of(settings.calls, settings.prompts.as_deref())?,
            blemishes: settings.skip_turns.clone(),
            last_only: settings.last_turn_only,
        };
        let scores = scores(&settings.scores)?;
        let (mut sets, mut commits) = (BTreeSet::new(), HashMap::new());
        for run in &settings.runs {
            let set = run.display().to_string();
            if !sets.insert(set.clone()) {
                return Err(CommandError::usage(format!("`{set}` is named twice"), "name each run once"));
            }
            pool.add(run, &set, &scores, &mut commits)?;
        }
        if pool.candidates.is_empty() {
            if let Some(first) = pool.unusable.first() {
                let message = format!("no attempt of the runs can be used: {first}");
                return Err(CommandError::nothing(message, "name other folders of rollouts"));
            }
            let runs: Vec<RunView> =
                settings.runs.iter().map(|run| RunView::open(run)).collect::<Result<_, _>>()?;
            return Err(run_view::nothing_finished(&runs));
        }
        let scaffolds: BTreeSet<&str> = pool.about.iter().map(|about| about.scaffold.as_str()).collect();
        if scaffolds.len() > 1 && settings.pairs.is_none() {
            let names = scaffolds.into_iter().collect::<Vec<_>>().join(", ");
            printer.say(&format!(
                "warning: the runs are of several scaffolds ({names}); what one says is no lesson for another"
            ));
        }
        Ok(pool)
    }

    fn add(
        &mut self,
        run: &Path,
        set: &str,
        scores: &HashMap<(String, u32), f64>,
        commits: &mut HashMap<String, (String, String)>,
    ) -> Result<(), CommandError> {
        let (view, verdicts) = (RunView::open(run)?, run_view::verdicts(run)?);
        for path in view.records()? {
            let record = view.record(&path)?;
            let attempt = &record.attempt;
            if !attempt.is_over() {
                self.unfinished += 1;
                continue;
            }
            let head = &attempt.head;
            // Caps, bands and pairs go by instances: one name must mean one of them.
            let of = (head.base_commit.clone(), set.to_owned());
            let known = commits.entry(head.instance_id.to_string()).or_insert_with(|| of.clone());
            if known.0 != of.0 {
                let message = format!(
                    "`{}` is one instance in `{}` and another in `{set}`: the runs are of different datasets",
                    head.instance_id, known.1
                );
                return Err(CommandError::usage(message, "curate runs of each dataset for themselves"));
            }
            let taken = Taken { record: &record, mask: self.mask(attempt) };
            let rows = match export::token_rows(&self.tokenizer, &self.form, &taken) {
                Ok((rows, _)) => rows,
                Err(problem) => {
                    self.unusable.push(format!("{} attempt {}: {problem}", head.instance_id, head.attempt));
                    continue;
                }
            };
            let id = head.instance_id.to_string();
            let key = (id.clone(), head.attempt);
            let verdict = verdicts.get(&(id.clone(), u64::from(head.attempt))).copied();
            self.candidates.push(Candidate {
                resolved: verdict.map(|v| v.resolved),
                instance_id: id,
                set: set.to_owned(),
                attempt: head.attempt,
                class: attempt.class(&record.repo, verdict),
                stop: attempt.stop,
                turns: attempt.steps.iter().filter(|step| !step.actions.is_empty()).count(),
                tokens: rows.iter().map(|row| row.input_ids.len()).sum(),
                stuck: Stuck::Trailing3.holds(&attempt.steps),
                repo: record.repo.clone(),
                patch: attempt.patch.clone(),
                score: scores.get(&key).copied(),
            });
            self.about.push(About {
                run: self.runs.len(),
                record: path,
                model: head.model.clone(),
                scaffold: head.scaffold.clone(),
                temperature: head.sampling.temperature.map_or_else(|| "default".into(), |t| t.to_string()),
                verdict,
            });
        }
        self.runs.push(view);
        Ok(())
    }

    fn mask(&self, attempt: &swegym_core::Trajectory) -> Mask {
        let skip = blemished(attempt, &self.blemishes);
        Mask { last_only: self.last_only, skip, cut: cut(attempt) }
    }

    /// The rows of an attempt.
    pub(super) fn rows(&self, index: usize) -> Result<Vec<TokenRow>, CommandError> {
        let record = self.record(index)?;
        let taken = Taken { record: &record, mask: self.mask(&record.attempt) };
        Ok(export::token_rows(&self.tokenizer, &self.form, &taken)?.0)
    }

    /// The conversation of an attempt with its outcome.
    pub(super) fn conversation(&self, index: usize) -> Result<Value, CommandError> {
        let record = self.record(index)?;
        let mut row = export::conversation_row(&record, self.about[index].verdict, &self.form);
        row["set"] = self.candidates[index].set.clone().into();
        Ok(row)
    }

    fn record(&self, index: usize) -> Result<Record, CommandError> {
        let About { run, record, .. } = &self.about[index];
        self.runs[*run].record(record)
    }

    /// What an attempt is held out with.
    pub(super) fn group(&self, index: usize, by: Unit) -> String {
        let candidate = &self.candidates[index];
        match by {
            Unit::Repo => candidate.repo.clone(),
            Unit::Instance => candidate.instance_id.clone(),
        }
    }

    pub(super) fn instances(&self, indices: &[usize]) -> usize {
        indices.iter().map(|&index| &self.candidates[index].instance_id).collect::<BTreeSet<_>>().len()
    }

    /// How many of some attempts have each value of something.
    pub(super) fn count(&self, indices: &[usize], of: impl Fn(usize) -> String) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for &index in indices {
            *counts.entry(of(index)).or_insert(0) += 1;
        }
        counts
    }
}

fn scores(files: &[PathBuf]) -> Result<HashMap<(String, u32), f64>, CommandError> {
    let mut known = HashMap::new();
    for path in files {
        for row in scores::read(&path.to_string_lossy(), &text::read(path)?)? {
            known.extend(row.score.map(|score| ((row.instance_id, row.attempt as u32), score)));
        }
    }
    Ok(known)
}
