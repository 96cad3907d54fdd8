//! What evaluations left: the evidence of each verdict.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::Deserialize;
use swegym_console::error::CommandError;
use swegym_core::format::evidence::{self, EvidenceFile, Results};
use swegym_core::format::{FormatError, Problem};
use swegym_core::history::Finished;

use super::verdicts::attempt_of;
use super::{RunView, read_told, told_by};

/// The evidence of one verdict.
pub struct Evaluation {
    /// The instance.
    pub id: String,
    /// Which attempt at it.
    pub attempt: u32,
    /// What the evidence says.
    pub evidence: EvidenceFile,
    /// What the tests printed, where they were run.
    pub log: PathBuf,
    /// Their structured results, where there are any.
    pub results: Option<PathBuf>,
}

impl RunView {
    /// The evidence of every answer that was tested, by instance and attempt. All
    /// of it is looked at, so that nothing is judged by half of it.
    pub fn evaluations(&self) -> Result<Vec<Evaluation>, CommandError> {
        if !self.is_tested() {
            let message = format!("`{}` holds no evaluations", self.folder.display());
            return Err(CommandError::usage(
                message,
                "give the folder of `evaluate` or of `rollout --evaluate`, or --logs MANIFEST",
            ));
        }
        let finished = self.history.finished();
        let read = finished.par_iter().map(|(job, end)| self.evaluation(job, end));
        let mut evaluations = read.collect::<Result<Vec<_>, FormatError>>()?;
        evaluations.sort_by(|a, b| (&a.id, a.attempt).cmp(&(&b.id, b.attempt)));
        Ok(evaluations)
    }

    fn evaluation(&self, job: &str, end: &Finished) -> Result<Evaluation, FormatError> {
        let (file, text) = self.result(job, end)?;
        let about: About = serde_json::from_str(&text)
            .map_err(|e| FormatError::new(&file, e.line(), Problem::Json(e.to_string())))?;
        let (attempt, id) = (attempt_of(job, &about.instance_id), about.instance_id);
        let folder = evidence::folder(&id, attempt);
        // What the journal vouches for is what it was.
        for (name, digest) in &end.files {
            self.vouched(name, digest, end.line)?;
        }
        let path = self.path(&folder).join(evidence::FILE);
        let file = path.to_string_lossy();
        let text = String::from_utf8_lossy(&read_told(&path, &told_by(end.line))?).into_owned();
        let evidence = evidence::read(&file, &text)?;
        let beside = |name: &str| {
            let beside = self.path(&folder).join(name);
            if beside.is_file() {
                return Ok(beside);
            }
            let problem = Problem::Gone { told_by: file.clone().into_owned() };
            Err(FormatError::new(&beside.to_string_lossy(), None, problem))
        };
        if evidence.end.is_some() {
            beside(evidence::LOG)?;
        }
        let log = self.path(&folder).join(evidence::LOG);
        let has_results = matches!(evidence.results, Results::Cases(_));
        let results = has_results.then(|| beside(evidence::RESULTS)).transpose()?;
        Ok(Evaluation { id, attempt, evidence, log, results })
    }
}

/// Of a result, what it is about.
#[derive(Deserialize)]
struct About {
    instance_id: String,
}
