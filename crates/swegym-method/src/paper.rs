//! `paper`: the paper's tables and figures on the micro gym. Each claim has our figure,
//! its interval, the paper's figure, and whether the shape holds.

mod data;
mod policies;
mod rounds;
mod verifiers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::sheet::{Part, Sheet};
use swegym_console::{exit, text};
use swegym_data::metrics;
use swegym_grade::metrics::{Attempt, Estimate, estimate};
use swegym_tasks::micro::Split;

use super::gym::{FAMILIES, Gym, HELD_OUT, Length, TEACHER_NOISE};
use crate::base::{self, Size};
use crate::session::{Place, Session};
use crate::workshop::Workshop;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Tasks to learn from, to measure with, and of families that are held out.
    train: u32,
    test: u32,
    held_out: u32,
    /// Attempts of the teacher at each task to learn from.
    taught: u32,
    /// Attempts at each task in a measurement.
    measured: u32,
    /// Seeds of training.
    seeds: u64,
    /// Attempts at each task that are chosen among.
    k: u32,
    /// Attempts at each task that a verifier learns from.
    judged: u32,
    /// Rounds of self-improvement, and tasks of a round.
    rounds: u32,
    improved: u32,
    /// Tasks for a verifier to learn to read from.
    read: u32,
    /// Length of fine-tuning, of a verifier's learning to read and to judge, and
    /// of its learning to judge from nothing.
    tuning: Length,
    reading: Length,
    judging: Length,
    judging_alone: Length,
    /// Optimiser steps of every arm of the scaling study.
    steps: u64,
    /// Every arm of every study, or those that claims need.
    every: bool,
}

/// Everything: about an hour and a half on two cores.
const WHOLE: Scale = Scale {
    train: 600,
    test: 160,
    held_out: 90,
    taught: 4,
    measured: 2,
    seeds: 3,
    k: 16,
    judged: 4,
    rounds: 3,
    improved: 300,
    read: 2400,
    tuning: Length::Epochs(6.0),
    reading: Length::Epochs(3.0),
    judging: Length::Epochs(3.0),
    judging_alone: Length::Epochs(5.0),
    steps: 240,
    every: true,
};

/// The same in a few minutes: directions, not figures.
const FAST: Scale = Scale {
    train: 110,
    test: 36,
    held_out: 24,
    taught: 3,
    measured: 2,
    seeds: 1,
    k: 8,
    judged: 3,
    rounds: 1,
    improved: 110,
    read: 500,
    tuning: Length::Epochs(6.0),
    reading: Length::Epochs(4.0),
    judging: Length::Epochs(3.0),
    judging_alone: Length::Epochs(5.0),
    steps: 40,
    every: false,
};

/// A finding beside the paper's.
struct Claim {
    name: String,
    ours: f64,
    interval: Option<(f64, f64)>,
    paper: &'static str,
    holds: bool,
}

/// What all studies share.
struct Study<'a> {
    gym: Gym,
    scale: Scale,
    /// Base policies by size, the smallest first.
    bases: Vec<(Size, PathBuf)>,
    train: PathBuf,
    test: PathBuf,
    held_out: PathBuf,
    /// The teacher's attempts at the tasks to learn from.
    taught: PathBuf,
    claims: Vec<Claim>,
    sheet: Sheet,
    say: &'a dyn Fn(&str),
}

impl Study<'_> {
    /// The largest base policy.
    fn base(&self) -> PathBuf {
        self.bases[self.bases.len() - 1].1.clone()
    }

    fn claim(
        &mut self,
        name: impl Into<String>,
        ours: Found,
        paper: &'static str,
        holds: impl Fn(&Found) -> bool,
    ) {
        let name = name.into();
        let holds = holds(&ours);
        (self.say)(&format!("  {} {name}: {}", if holds { "holds" } else { "DOES NOT HOLD" }, ours.tell()));
        self.claims.push(Claim { name, ours: ours.value, interval: ours.interval, paper, holds });
    }
}

/// A figure with its interval.
#[derive(Debug, Clone, Copy)]
struct Found {
    value: f64,
    interval: Option<(f64, f64)>,
}

impl Found {
    fn plain(value: f64) -> Self {
        Self { value, interval: None }
    }

    /// A share, in percent.
    fn percent(of: Option<Estimate>) -> Self {
        of.map_or(Self::plain(f64::NAN), |e| Self {
            value: 100.0 * e.mean,
            interval: Some((100.0 * e.interval.0, 100.0 * e.interval.1)),
        })
    }

    /// Whether the whole interval is above a bound.
    fn clears(&self, bound: f64) -> bool {
        self.interval.map_or(self.value, |interval| interval.0) > bound
    }

    fn tell(&self) -> String {
        match self.interval {
            Some((low, high)) => format!("{:.1} ({low:.1} to {high:.1})", self.value),
            None => format!("{:.2}", self.value),
        }
    }
}

/// By how many points one policy's attempts do better than another's, paired by
/// instance; the interval is a bootstrap over instances.
fn difference(of: &dyn Fn(&Attempt) -> Option<bool>, better: &[Attempt], worse: &[Attempt]) -> Found {
    let rates = |attempts: &[Attempt]| {
        let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for attempt in attempts {
            let Some(yes) = of(attempt) else { continue };
            let sum = sums.entry(attempt.instance_id.clone()).or_default();
            *sum = (sum.0 + f64::from(u8::from(yes)), sum.1 + 1.0);
        }
        sums
    };
    let (better, worse) = (rates(better), rates(worse));
    let differences: Vec<(&str, f64)> = better
        .iter()
        .filter_map(|(id, a)| worse.get(id).map(|b| (id.as_str(), a.0 / a.1 - b.0 / b.1)))
        .collect();
    Found::percent(estimate(&differences))
}

fn resolved(attempt: &Attempt) -> Option<bool> {
    attempt.resolved
}

/// A table's row of a policy.
fn row(name: &str, attempts: &[Attempt]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(metrics::cells(attempts)).collect()
}

fn head(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// How much of the paper is reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaperSettings {
    /// A few minutes: directions, not exact figures.
    pub fast: bool,
    /// Seeds of training; as many as the scale has where nothing is said.
    pub seeds: Option<u64>,
}

/// Runs every study.
pub async fn run(session: &Session, settings: &PaperSettings, run: Place) -> Result<u8, CommandError> {
    let folder = session.run_folder("paper", run.out);
    let say = |text: &str| session.printer.say(text);
    let mut scale = if settings.fast { FAST } else { WHOLE };
    scale.seeds = settings.seeds.unwrap_or(scale.seeds);
    let workshop = Workshop::open(session, &folder, run.resume)?;
    let mut study = open(session, workshop, scale, &say).await?;
    say("[1/5] fine-tuning: three sizes, caps, families that are held out (Tables 3 and 4)");
    let tuned = policies::sizes(&mut study).await?;
    policies::caps(&mut study).await?;
    say("[2/5] data: how much of it, and how it is spread (Figures 3, 7 and 8)");
    data::distribution(&mut study)?;
    data::scaling(&mut study).await?;
    say("[3/5] verifiers: choosing among attempts (Figures 4 and 6)");
    let judged = verifiers::curves(&mut study, &tuned).await?;
    say("[4/5] verifiers: what they learn from (Figure 5)");
    verifiers::ablation(&mut study, &judged).await?;
    say("[5/5] rounds of self-improvement (Table 5, section 5.3)");
    rounds::study(&mut study).await?;
    finish(session, &folder, study)
}

async fn open<'a>(
    session: &Session,
    workshop: Workshop,
    scale: Scale,
    say: &'a dyn Fn(&str),
) -> Result<Study<'a>, CommandError> {
    let home = &session.settings.home;
    let sizes = if scale.every { &Size::ALL[..] } else { &[Size::Small, Size::Large] };
    let bases = sizes
        .iter()
        .copied()
        .map(|size| Ok((size, base::unpack(home, size)?)))
        .collect::<Result<Vec<_>, CommandError>>()?;
    let mut gym = Gym::open(workshop)?;
    let train = gym.tasks("tasks-train", Split::Train, &FAMILIES, scale.train).await?;
    let test = gym.tasks("tasks-test", Split::Test, &FAMILIES, scale.test).await?;
    let held_out = gym.tasks("tasks-held-out", Split::Test, &HELD_OUT, scale.held_out).await?;
    let taught = gym.teach("teacher", &train, scale.taught, TEACHER_NOISE).await?;
    let lead = format!(
        "Everything below was measured on the micro gym by `swegym paper`: {} tasks to learn from, {} to measure \
         with, {} of families that nothing was tuned on; means of {} training seeds. Intervals are 95 % bootstraps \
         over instances. The paper's figures stand beside ours; what does not hold is shown as it is.",
        scale.train, scale.test, scale.held_out, scale.seeds
    );
    let sheet = Sheet::new("The paper in a box", lead);
    Ok(Study { gym, scale, bases, train, test, held_out, taught, claims: Vec::new(), sheet, say })
}

fn finish(session: &Session, folder: &Path, mut study: Study<'_>) -> Result<u8, CommandError> {
    let round = |x: f64| (x * 1000.0).round() / 1000.0;
    let claim = |claim: &Claim| {
        json!({
            "name": claim.name, "ours": round(claim.ours),
            "interval": claim.interval.map(|(low, high)| [round(low), round(high)]),
            "paper": claim.paper, "holds": claim.holds,
        })
    };
    let claims: Vec<Value> = study.claims.iter().map(claim).collect();
    let value = json!({"claims": claims});
    let mut table = vec![head(&["claim", "ours", "paper", "holds"])];
    table.extend(study.claims.iter().map(|of| {
        let ours = Found { value: of.ours, interval: of.interval }.tell();
        vec![of.name.clone(), ours, of.paper.to_owned(), if of.holds { "yes" } else { "NO" }.to_owned()]
    }));
    let words = format!("{:.0} minutes of work in all.", study.gym.workshop.seconds() / 60.0);
    let claims = Part { title: "Claims".to_owned(), table: table.clone(), words, ..Part::default() };
    study.sheet.push(claims);
    text::write(&folder.join("claims.json"), &format!("{value:#}\n"))?;
    let page = study.sheet.write(folder)?;
    session.printer.result(&value, &table);
    session.printer.say(&format!("page: {}", page.display()));
    Ok(exit::DONE)
}
