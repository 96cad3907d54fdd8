//! `select`: best of N. Which attempt per instance is handed in, and what choosing is
//! worth for every K, beside baselines that need no verifier.

pub mod settings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_console::sheet::{Line, Part, Sheet};
use swegym_console::{exit, text};
use swegym_core::Prediction;
use swegym_core::format::reports::Judged;
use swegym_core::format::scores;
use swegym_grade::selection::{
    AtK, Calibration, Group, LogFit, Rate, Scored, auc, auc_within, calibration_error, log_fit, mean_curve,
    paper_best_at_k, reliability,
};

use crate::run_view::{self, RunView};
use settings::{By, SelectSettings};

/// An attempt that can be chosen.
struct Attempt {
    patch: String,
    model: String,
    turns: usize,
    /// Nothing where nobody tested it: it can be handed in, and tells nothing.
    resolved: Option<bool>,
    score: Option<f64>,
    /// Tests of the repository that it breaks, and tests made for the issue
    /// that it passes.
    tested: Option<(usize, usize)>,
}

/// What something is learnt from, or concluded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Attempts that resolve their instance.
    pub resolved: usize,
    /// Attempts that do not.
    pub unresolved: usize,
    /// Instances that they are at.
    pub instances: usize,
}

impl Evidence {
    /// What is missing to as much as another one, in words.
    pub fn missing(&self, wanted: &Self) -> Option<String> {
        let of = |what: &str, there: usize, wanted: usize| {
            (there < wanted).then(|| format!("{there} {what} of {wanted} or more"))
        };
        let missing: Vec<String> = [
            of("resolved attempts", self.resolved, wanted.resolved),
            of("unresolved attempts", self.unresolved, wanted.unresolved),
            of("instances", self.instances, wanted.instances),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}

/// What figures about scores should rest on at least: below it, intervals are wider
/// than most differences between verifiers.
const ENOUGH_TO_TELL: Evidence = Evidence { resolved: 30, unresolved: 30, instances: 30 };

/// What chooses.
const WAYS: [By; 5] = [By::Verifier, By::Hybrid, By::Shortest, By::Majority, By::Random];

/// Chooses among the attempts of a run.
pub fn run(printer: Printer, settings: &SelectSettings, out: &Path) -> Result<u8, CommandError> {
    if settings.by == By::Hybrid && settings.tests.is_none() {
        let hint = "evaluate the rollout against tests of your own, and name the folder with --tests";
        return Err(CommandError::usage("a hybrid choice needs tests", hint));
    }
    let reading = Bar::waiting(printer, "select", "reading attempts and counting choices");
    let judges = judges(printer, settings)?;
    let instances = &judges[0];
    let counted = Counted::of(instances, settings.k)?;
    let scored = settings.by == By::Verifier || !settings.scores.is_empty();
    let has = |way: &By| match way {
        By::Verifier => scored,
        By::Hybrid => settings.tests.is_some(),
        By::Shortest | By::Majority | By::Random => true,
    };
    let ways: Vec<By> = WAYS.into_iter().filter(has).collect();
    let of_way = |way: By| judges.iter().map(|of| counted.groups(of, way, settings.gate)).collect::<Vec<_>>();
    let mean = |of: &[Vec<Group>]| mean_curve(&of.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let curves: BTreeMap<&str, Vec<AtK>> = ways.iter().map(|way| (way.name(), mean(&of_way(*way)))).collect();
    let judged = of_way(By::Verifier);
    let over = |of: &dyn Fn(&[Group]) -> Option<f64>| mean_of(&judged, of);
    let flat = |groups: &[Group]| -> Vec<Scored> { groups.iter().flatten().copied().collect() };
    let groups = &judged[0];
    // Every attempt as often as it is judged: what scores say and what happens.
    let all: Vec<Scored> = judged.iter().flatten().flatten().copied().collect();
    let attempts: usize = groups.iter().map(Vec::len).sum();
    let of = ways.iter().find(|way| **way == settings.by).unwrap_or(&ways[0]).name();
    let fit = fit(&curves[of], |at| at.best.mean);
    let auc_of_all = scored.then(|| over(&|of| auc(&flat(of)))).flatten();
    let doubts = if scored { doubts(groups, auc_of_all) } else { Vec::new() };
    let value = json!({
        "run": settings.run, "instances": groups.len(), "attempts": attempts, "judges": judges.len(),
        "left_out": counted.left_out,
        "without_a_score": scored.then(|| flat(groups).iter().filter(|a| a.score.is_none()).count()),
        "ways": curves.iter().map(|(way, curve)| (*way, curve_json(curve))).collect::<BTreeMap<_, _>>(),
        "paper_estimate": (1..=curves[of].len()).map(|k| paper_best_at_k(groups, k).map(|(mean, spread)| json!({"k": k, "mean": mean, "spread": spread}))).collect::<Vec<_>>(),
        "auc": auc_of_all, "auc_within": scored.then(|| over(&|of| auc_within(of))),
        "calibration_error": scored.then(|| over(&|of| calibration_error(&flat(of)))),
        "reliability": reliability(&all).iter().map(|b| json!({"attempts": b.count, "score": b.score, "resolved": b.resolved})).collect::<Vec<_>>(),
        "warnings": doubts,
        "fit": fit.map(|f| json!({"slope": f.slope, "offset": f.offset, "r_squared": f.r_squared})),
    });
    drop(reading);
    counted.tell(printer, groups);
    std::fs::create_dir_all(out).map_err(|e| CommandError::file("make the folder", out, &e))?;
    text::write(&out.join("predictions.jsonl"), &chosen(instances, settings))?;
    text::write(&out.join("selection.json"), &format!("{value:#}\n"))?;
    let page = sheet(&value, &curves, of).write(out)?;
    printer.result(&value, &table(&curves, of));
    if let Some(words) = scored.then(|| quality(&value)) {
        printer.say(&words);
    }
    doubts.iter().for_each(|doubt| printer.say(&format!("warning: {doubt}")));
    printer.say(&format!("page: {}", page.display()));
    Ok(exit::DONE)
}

/// Why scores, or what is said of them, should not be relied on.
fn doubts(groups: &[Group], auc: Option<f64>) -> Vec<String> {
    let scored = || groups.iter().flatten().filter(|attempt| attempt.score.is_some());
    let resolved = scored().filter(|attempt| attempt.resolved).count();
    let instances = groups.iter().filter(|group| group.iter().any(|of| of.score.is_some())).count();
    let evidence = Evidence { resolved, unresolved: scored().count() - resolved, instances };
    let few = evidence
        .missing(&ENOUGH_TO_TELL)
        .map(|missing| format!("too few scored attempts to tell how good the scores are: {missing}"));
    // Ties and noise apart, 0.5 is what drawing lots gets.
    let chance = auc.and_then(|auc| match auc {
        auc if auc < 0.5 => Some(format!(
            "AUC {auc:.2} is below chance (0.5): the scores prefer attempts that fail; do not choose by them"
        )),
        auc if auc < 0.55 => Some(format!("AUC {auc:.2} is no better than chance (0.5)")),
        _ => None,
    });
    few.into_iter().chain(chance).collect()
}

/// The mean of a figure over judges for which there is one.
fn mean_of(judged: &[Vec<Group>], figure: &dyn Fn(&[Group]) -> Option<f64>) -> Option<f64> {
    let found: Vec<f64> = judged.iter().filter_map(|groups| figure(groups)).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// Attempts by instance, as one judge scores them.
type Instances = BTreeMap<String, Vec<Attempt>>;

/// One judge whose scores are the mean of all files, or one for each file.
fn judges(printer: Printer, settings: &SelectSettings) -> Result<Vec<Instances>, CommandError> {
    let known = settings.calibrate.as_ref().map_or(&[][..], |(_, scores)| scores);
    if !settings.apart {
        return Ok(vec![read(printer, settings, &settings.scores, known)?]);
    }
    if settings.scores.is_empty() || settings.calibrate.is_some() && known.len() != settings.scores.len() {
        let message = format!("{} files of scores, {} to calibrate by", settings.scores.len(), known.len());
        let hint = "--apart wants one file of --scores for each verifier, and as many of --calibrate-scores";
        return Err(CommandError::usage(message, hint));
    }
    let each = |index: usize| {
        let known = known.get(index..=index).unwrap_or_default();
        // What is amiss with the attempts is said once.
        let printer = if index == 0 { printer } else { printer.inner() };
        read(printer, settings, &settings.scores[index..=index], known)
    };
    (0..settings.scores.len()).map(each).collect()
}

/// The attempts of a run that are over, by instance.
fn read(
    printer: Printer,
    settings: &SelectSettings,
    files: &[PathBuf],
    known_files: &[PathBuf],
) -> Result<Instances, CommandError> {
    let mut scores = scores(files)?;
    if let Some((known, _)) = &settings.calibrate {
        let fit = calibration(known, known_files)?;
        scores.values_mut().for_each(|score| *score = fit.apply(*score));
    }
    let tests = settings.tests.as_deref().map(tested).transpose()?.unwrap_or_default();
    let view = RunView::open(&settings.run)?;
    let verdicts = run_view::verdicts(settings.evaluation.as_deref().unwrap_or(&settings.run))?;
    if let (true, Some(evaluation)) = (verdicts.is_empty(), &settings.evaluation) {
        let message = format!("`{}` has no verdict on any attempt", evaluation.display());
        return Err(CommandError::nothing(message, "name the folder that `swegym evaluate` wrote"));
    }
    let mut instances = Instances::new();
    let mut scaffolds = BTreeSet::new();
    for record in view.records()? {
        let attempt = view.record(&record)?.attempt;
        let of_instance = instances.entry(attempt.head.instance_id.to_string()).or_default();
        let key = (attempt.head.instance_id.to_string(), u64::from(attempt.head.attempt));
        let score = scores.remove(&key);
        if !attempt.is_over() {
            continue;
        }
        scaffolds.insert(attempt.head.scaffold.clone());
        of_instance.push(Attempt {
            score,
            tested: tests.get(&key).copied(),
            patch: attempt.patch,
            model: attempt.head.model,
            turns: attempt.steps.len(),
            resolved: verdicts.get(&key).map(|verdict| verdict.resolved),
        });
    }
    if let Some((id, attempt)) = scores.keys().min() {
        printer.say(&format!(
            "{} scores are of attempts that the run does not have: `{id}`, attempt {attempt}, is the first",
            scores.len()
        ));
    }
    if scaffolds.len() > 1 {
        let names = scaffolds.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("the attempts are of several scaffolds: {names}");
        return Err(CommandError::usage(message, "choose among the attempts of one; make a run of each"));
    }
    let none: Vec<&str> = instances.iter().filter(|(_, of)| of.is_empty()).map(|(id, _)| &**id).collect();
    if !none.is_empty() {
        printer.say(&format!(
            "warning: no attempt is over at {}: there is nothing to hand in for them",
            names(&none)
        ));
    }
    instances.retain(|_, attempts| !attempts.is_empty());
    if instances.is_empty() {
        let message = format!("no attempt of `{}` is over", settings.run.display());
        return Err(CommandError::nothing(message, "go on with the rollout by --resume"));
    }
    if settings.by == By::Verifier {
        let chosen_among =
            || instances.values().flat_map(|of| of.iter().take(settings.k.unwrap_or(usize::MAX)));
        let (count, missing) = (chosen_among().count(), chosen_among().filter(|a| a.score.is_none()).count());
        if missing == count {
            return Err(CommandError::nothing(
                "no attempt has a score",
                "name their file with --scores; see `swegym score`",
            ));
        }
        if missing > 0 {
            printer.say(&format!("{missing} of {count} attempts have no score: they come after all others"));
        }
    }
    Ok(instances)
}

/// The instances that figures are about. What is handed in is about all.
struct Counted {
    /// The first so many attempts of each that are tested; all where nobody says.
    k: Option<usize>,
    /// Which are not: they have fewer tested attempts than K, or none.
    left_out: Vec<String>,
    /// Attempts that nobody tested.
    untested: usize,
}

impl Counted {
    /// With a K that is asked for, those that have as many; otherwise all that
    /// have any, and K goes up to the smallest number of them.
    fn of(instances: &Instances, k: Option<usize>) -> Result<Self, CommandError> {
        let tested = |of: &[Attempt]| of.iter().filter(|attempt| attempt.resolved.is_some()).count();
        let most = instances.values().map(|of| tested(of)).max().unwrap_or(0);
        if let Some(k) = k.filter(|k| *k == 0 || *k > most && most > 0) {
            let message = format!("no instance has {k} tested attempts; the most is {most}");
            return Err(CommandError::nothing(message, "choose a smaller --k, or roll out more attempts"));
        }
        let has_few = |of: &[Attempt]| tested(of) < k.unwrap_or(1);
        let left_out = instances.iter().filter(|(_, of)| has_few(of)).map(|(id, _)| id.clone()).collect();
        let untested = instances.values().map(|of| of.len() - tested(of)).sum();
        Ok(Self { k, left_out, untested })
    }

    /// What a way of choosing thinks of the attempts that count, by instance.
    fn groups(&self, instances: &Instances, way: By, gate: f64) -> Vec<Group> {
        let counts = |id: &&String| !self.left_out.contains(id);
        let group = |id: &String| -> Group {
            let tested = instances[id].iter().filter(|attempt| attempt.resolved.is_some());
            let tested: Vec<&Attempt> = tested.take(self.k.unwrap_or(usize::MAX)).collect();
            let thoughts = thoughts(&tested, way, gate);
            let scored = |(of, score): (&&Attempt, _)| Scored { score, resolved: of.resolved == Some(true) };
            tested.iter().zip(thoughts).map(scored).collect()
        };
        instances.keys().filter(counts).map(group).collect()
    }

    /// Says what figures leave out, and what they cannot tell.
    fn tell(&self, printer: Printer, groups: &[Group]) {
        if !self.left_out.is_empty() {
            let fewer = self.k.map_or("no attempt".to_owned(), |k| format!("fewer than {k} attempts"));
            let left_out: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
            printer.say(&format!(
                "figures leave out {}, of which {fewer} {} tested; an answer of each is handed in",
                names(&left_out),
                if self.k.is_some() { "are" } else { "is" }
            ));
        }
        if self.untested > 0 {
            printer.say(&format!("{} attempts are not tested, and count in no figure", self.untested));
        }
        let (fewest, most) = (groups.iter().map(Vec::len).min(), groups.iter().map(Vec::len).max());
        match (fewest, most) {
            (None, _) => printer.say("no attempt is tested: nothing tells what choosing is worth"),
            (Some(1), Some(1)) => printer.say("one attempt an instance leaves nothing to choose"),
            (Some(fewest), Some(most)) if fewest < most => printer.say(&format!(
                "instances have {fewest} to {most} tested attempts: K goes up to {fewest}; --k leaves out those \
                 that have fewer"
            )),
            _ => {}
        }
        let resolved = groups.iter().flatten().filter(|attempt| attempt.resolved).count();
        if !groups.is_empty() && (resolved == 0 || resolved == groups.iter().map(Vec::len).sum::<usize>()) {
            let what = if resolved == 0 { "no attempt" } else { "every attempt" };
            printer.say(&format!("{what} is resolved: nothing tells one way of choosing from another"));
        }
    }
}

/// The first of some names, and how many there are.
fn names(of: &[&str]) -> String {
    const SHOWN: usize = 5;
    let more = if of.len() > SHOWN { ", …" } else { "" };
    let noun = if of.len() == 1 { "instance" } else { "instances" };
    format!("{} {noun} ({}{more})", of.len(), of[..of.len().min(SHOWN)].join(", "))
}

/// Scores by instance and attempt; the mean where several files have one.
fn scores(files: &[PathBuf]) -> Result<HashMap<(String, u64), f64>, CommandError> {
    let mut sums: HashMap<(String, u64), (f64, f64)> = HashMap::new();
    for path in files {
        for row in scores::read(&path.to_string_lossy(), &text::read(path)?)? {
            let Some(score) = row.score else { continue };
            let (sum, count) = sums.entry((row.instance_id, row.attempt)).or_default();
            (*sum, *count) = (*sum + score, *count + 1.0);
        }
    }
    Ok(sums.into_iter().map(|(key, (sum, count))| (key, sum / count)).collect())
}

/// What another run's outcomes say about the worth of scores.
fn calibration(run: &Path, files: &[PathBuf]) -> Result<Calibration, CommandError> {
    let (scores, verdicts) = (scores(files)?, run_view::verdicts(run)?);
    let known: Vec<Scored> = verdicts
        .iter()
        .map(|(key, verdict)| Scored { score: scores.get(key).copied(), resolved: verdict.resolved })
        .collect();
    Calibration::fit(&known).ok_or_else(|| {
        let message = format!("`{}` has no scored attempts of both outcomes", run.display());
        CommandError::nothing(message, "calibrate with a run that was evaluated, and with its own scores")
    })
}

/// By instance and attempt: tests of the repository that broke, tests made for
/// the issue that pass.
type Tested = HashMap<(String, u64), (usize, usize)>;

/// By an evaluation's reports: tests that held before and do not any more, and
/// tests that were to pass and do.
fn tested(run: &Path) -> Result<Tested, CommandError> {
    let counts = |row: Judged| {
        let counts = (row.broken_tests.unwrap_or(usize::MAX), row.passed_tests.unwrap_or(0));
        ((row.instance_id, u64::from(row.attempt)), counts)
    };
    Ok(run_view::judged(run)?.into_iter().map(counts).collect())
}

/// What a way of choosing thinks of each attempt of an instance.
fn thoughts(attempts: &[&Attempt], way: By, gate: f64) -> Vec<Option<f64>> {
    if way == By::Hybrid {
        return hybrid(attempts, gate).into_iter().map(|place| Some(place as f64)).collect();
    }
    let same = |of: &Attempt| attempts.iter().filter(|other| other.patch == of.patch).count() as f64;
    let think = |of: &Attempt| match way {
        By::Verifier => of.score,
        By::Shortest => Some(-(of.turns as f64)),
        // Counted over all attempts that are chosen among, for every K. Nothing
        // to hand in is no majority.
        By::Majority => (!of.patch.trim().is_empty()).then(|| same(of)),
        By::Hybrid | By::Random => Some(0.0),
    };
    attempts.iter().map(|of| think(of)).collect()
}

/// Each attempt's place, the best having the highest (R2E-Gym's order): the
/// verifier's favourites first; among them those that break least, pass most
/// tests made for the issue, and are scored highest. Equals share a place.
fn hybrid(attempts: &[&Attempt], gate: f64) -> Vec<usize> {
    let score = |of: &Attempt| of.score.unwrap_or(f64::NEG_INFINITY);
    let mut scores: Vec<f64> = attempts.iter().map(|of| score(of)).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let admitted = ((gate * attempts.len() as f64).ceil() as usize).clamp(1, attempts.len().max(1));
    let least = scores.get(admitted - 1).copied().unwrap_or(f64::NEG_INFINITY);
    let worth = |of: &Attempt| {
        // Nothing handed in breaks nothing; it is no answer all the same.
        let answered = !of.patch.trim().is_empty();
        let (broken, passed) = of.tested.unwrap_or((usize::MAX, 0));
        (score(of) >= least, answered, std::cmp::Reverse(broken), passed)
    };
    let order = |a: &Attempt, b: &Attempt| worth(a).cmp(&worth(b)).then(score(a).total_cmp(&score(b)));
    attempts.iter().map(|a| attempts.iter().filter(|b| order(b, a).is_lt()).count()).collect()
}

/// The predictions that are handed in, one an instance.
fn chosen(instances: &Instances, settings: &SelectSettings) -> String {
    let best = |(id, attempts): (&String, &Vec<Attempt>)| {
        let attempts: Vec<&Attempt> = attempts.iter().take(settings.k.unwrap_or(usize::MAX)).collect();
        let thoughts = thoughts(&attempts, settings.by, settings.gate);
        let worth = |i: usize| thoughts[i].unwrap_or(f64::NEG_INFINITY);
        // The first of equals.
        let first = (0..attempts.len()).reduce(|a, b| if worth(b) > worth(a) { b } else { a })?;
        Some(Prediction {
            instance_id: swegym_core::InstanceId::new(id.clone()).ok()?,
            model_name_or_path: attempts[first].model.clone(),
            model_patch: Some(attempts[first].patch.clone()),
        })
    };
    swegym_core::format::predictions::write(&instances.iter().filter_map(best).collect::<Vec<_>>())
}

fn fit(curve: &[AtK], of: impl Fn(&AtK) -> f64) -> Option<LogFit> {
    log_fit(&curve.iter().map(|at| (at.k as f64, 100.0 * of(at))).collect::<Vec<_>>())
}

fn curve_json(curve: &[AtK]) -> Value {
    let rate = |rate: &Rate| json!({"mean": rate.mean, "low": rate.interval.0, "high": rate.interval.1});
    curve
        .iter()
        .map(|at| {
            json!({
                "k": at.k, "pass": rate(&at.pass), "best": rate(&at.best), "gain": rate(&at.gain),
                "conversion": at.conversion.as_ref().map(rate),
            })
        })
        .collect()
}

fn table(curves: &BTreeMap<&str, Vec<AtK>>, of: &str) -> Vec<Vec<String>> {
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    let mut head = vec!["K".to_owned(), "Pass@K".to_owned()];
    head.extend(
        WAYS.map(By::name).iter().filter(|way| curves.contains_key(*way)).map(|way| format!("Best@K {way}")),
    );
    head.extend(["gain 95 %".to_owned(), "conversion".to_owned()]);
    let mut table = vec![head];
    for (index, at) in curves[of].iter().enumerate() {
        let mut row = vec![at.k.to_string(), percent(at.pass.mean)];
        let found = WAYS.iter().filter_map(|way| curves.get(way.name()));
        row.extend(found.map(|curve| percent(curve[index].best.mean)));
        row.push(format!("{} to {}", percent(at.gain.interval.0), percent(at.gain.interval.1)));
        row.push(at.conversion.map_or("-".to_owned(), |c| format!("{:.2}", c.mean)));
        table.push(row);
    }
    table
}

/// Curves over K, and how far scores can be believed.
fn sheet(value: &Value, curves: &BTreeMap<&str, Vec<AtK>>, by: &str) -> Sheet {
    let lead = format!(
        "{} attempts at {} instances. Best@K is the share of instances of which the chosen one of K attempts is \
         resolved, in the mean over all ways to take K; Pass@K, that any of them is. Bars and the column `gain` are \
         95 % intervals over instances.",
        value["attempts"], value["instances"]
    );
    let line = |name: &str, curve: &[AtK], of: fn(&AtK) -> Rate| {
        let percent = |x: f64| 100.0 * x;
        let point = |at: &AtK| {
            let Rate { mean, interval: (low, high) } = of(at);
            (at.k as f64, percent(mean), Some((percent(low), percent(high))))
        };
        Line { name: name.to_owned(), points: curve.iter().map(point).collect() }
    };
    let mut lines = vec![line("any (Pass@K)", &curves[by], |at| at.pass)];
    lines.extend(WAYS.map(By::name).iter().filter_map(|way| Some(line(way, curves.get(way)?, |at| at.best))));
    let mut sheet = Sheet::new("Selection", lead);
    sheet.push(Part {
        title: "Best@K, in percent".to_owned(),
        words: String::new(),
        table: table(curves, by),
        lines,
        across: "K".to_owned(),
    });
    let bins: Vec<[f64; 3]> = value["reliability"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|bin| {
            Some([bin["score"].as_f64()?, bin["resolved"].as_f64()?, bin["attempts"].as_f64()?])
        })
        .collect();
    if !bins.is_empty() {
        let mut table = vec![["score", "resolved", "attempts"].map(str::to_owned).to_vec()];
        let row = |[score, resolved, attempts]: &[f64; 3]| {
            vec![format!("{score:.2}"), format!("{resolved:.2}"), format!("{attempts:.0}")]
        };
        table.extend(bins.iter().map(row));
        let found = bins.iter().map(|bin| (bin[0], bin[1], None)).collect();
        let believed = vec![(0.0, 0.0, None), (1.0, 1.0, None)];
        sheet.push(Part {
            title: "Reliability: what scores say, and what happens".to_owned(),
            words: quality(value),
            table,
            lines: vec![
                Line { name: "what happens".to_owned(), points: found },
                Line { name: "were scores always right".to_owned(), points: believed },
            ],
            across: "score".to_owned(),
        });
    }
    sheet
}

fn quality(value: &Value) -> String {
    let number = |key: &str| value[key].as_f64().map_or("-".to_owned(), |x| format!("{x:.3}"));
    format!(
        "scores: AUC {}, within instances {}, calibration error {}",
        number("auc"),
        number("auc_within"),
        number("calibration_error")
    )
}
