//! Best of N: which attempt of each instance is handed in, and what choosing
//! is worth, by every K and against what needs no verifier.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_core::Prediction;
use swegym_core::format::scores;
use swegym_grade::selection::{
    AtK, Calibration, Group, LogFit, Rate, Scored, auc, auc_within, calibration_error, log_fit, mean_curve,
    paper_best_at_k, reliability,
};
use swegym_train::checkpoint::write_synced;

use super::{export, show};
use crate::args::SelectArgs;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::sheet::{Line, Part, Sheet};
use crate::text;

/// An attempt that can be chosen.
struct Attempt {
    patch: String,
    model: String,
    turns: usize,
    resolved: bool,
    score: Option<f64>,
    /// Tests of the repository that it breaks, and tests made for the issue
    /// that it passes.
    tested: Option<(usize, usize)>,
}

/// What chooses. The word is the one of `--by`.
const WAYS: [&str; 5] = ["verifier", "hybrid", "shortest", "majority", "random"];

/// Chooses among the attempts of a run.
pub(crate) fn run(printer: Printer, args: &SelectArgs) -> Result<u8, CommandError> {
    if !WAYS[..4].contains(&args.by.as_str()) {
        return Err(CommandError::usage(format!("nothing chooses by `{}`", args.by), WAYS[..4].join(", ")));
    }
    if args.by == "hybrid" && args.tests.is_none() {
        let hint = "evaluate the rollout against tests of your own, and name the folder with --tests";
        return Err(CommandError::usage("a hybrid choice needs tests", hint));
    }
    let judges = judges(printer, args)?;
    let instances = &judges[0];
    let scored = args.by == "verifier" || !args.scores.is_empty();
    let has = |way: &&str| match *way {
        "verifier" => scored,
        "hybrid" => args.tests.is_some(),
        _ => true,
    };
    let ways: Vec<&str> = WAYS.into_iter().filter(has).collect();
    let of_way = |way: &str| judges.iter().map(|of| groups(of, way, args.gate)).collect::<Vec<_>>();
    let mean = |of: &[Vec<Group>]| mean_curve(&of.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let curves: BTreeMap<&str, Vec<AtK>> = ways.iter().map(|way| (*way, mean(&of_way(way)))).collect();
    let judged = of_way("verifier");
    let over = |of: &dyn Fn(&[Group]) -> Option<f64>| mean_of(&judged, of);
    let flat = |groups: &[Group]| -> Vec<Scored> { groups.iter().flatten().copied().collect() };
    let groups = &judged[0];
    // Every attempt as often as it is judged: what scores say and what happens.
    let all: Vec<Scored> = judged.iter().flatten().flatten().copied().collect();
    let attempts: usize = groups.iter().map(Vec::len).sum();
    let of = ways.iter().find(|way| **way == args.by).copied().unwrap_or(ways[0]);
    let fit = fit(&curves[of], |at| at.best.mean);
    let value = json!({
        "run": args.run, "instances": instances.len(), "attempts": attempts, "judges": judges.len(),
        "without_a_score": scored.then(|| flat(groups).iter().filter(|a| a.score.is_none()).count()),
        "ways": curves.iter().map(|(way, curve)| (*way, curve_json(curve))).collect::<BTreeMap<_, _>>(),
        "paper_estimate": (1..=curves[of].len()).map(|k| paper_best_at_k(groups, k).map(|(mean, spread)| json!({"k": k, "mean": mean, "spread": spread}))).collect::<Vec<_>>(),
        "auc": scored.then(|| over(&|of| auc(&flat(of)))), "auc_within": scored.then(|| over(&|of| auc_within(of))),
        "calibration_error": scored.then(|| over(&|of| calibration_error(&flat(of)))),
        "reliability": reliability(&all).iter().map(|b| json!({"attempts": b.count, "score": b.score, "resolved": b.resolved})).collect::<Vec<_>>(),
        "fit": fit.map(|f| json!({"slope": f.slope, "offset": f.offset, "r_squared": f.r_squared})),
    });
    std::fs::create_dir_all(&args.out).map_err(|e| CommandError::file("make the folder", &args.out, &e))?;
    write_synced(&args.out.join("predictions.jsonl"), chosen(instances, args).as_bytes())?;
    write_synced(&args.out.join("selection.json"), format!("{value:#}\n").as_bytes())?;
    let page = sheet(&value, &curves, of).write(&args.out)?;
    printer.result(&value, &table(&curves, of));
    if let Some(words) = scored.then(|| quality(&value)) {
        printer.say(&words);
    }
    printer.say(&format!("page: {}", page.display()));
    Ok(exit::DONE)
}

/// The mean of a figure over judges for which there is one.
fn mean_of(judged: &[Vec<Group>], figure: &dyn Fn(&[Group]) -> Option<f64>) -> Option<f64> {
    let found: Vec<f64> = judged.iter().filter_map(|groups| figure(groups)).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// Attempts by instance, as one judge scores them.
type Instances = BTreeMap<String, Vec<Attempt>>;

/// One judge whose scores are the mean of all files, or one for each file.
fn judges(printer: Printer, args: &SelectArgs) -> Result<Vec<Instances>, CommandError> {
    if !args.apart {
        return Ok(vec![read(printer, args, &args.scores, &args.calibrate_scores)?]);
    }
    let known = &args.calibrate_scores;
    if args.scores.is_empty() || args.calibrate.is_some() && known.len() != args.scores.len() {
        let message = format!("{} files of scores, {} to calibrate by", args.scores.len(), known.len());
        let hint = "--apart wants one file of --scores for each verifier, and as many of --calibrate-scores";
        return Err(CommandError::usage(message, hint));
    }
    let each = |index: usize| {
        let known = known.get(index..=index).unwrap_or_default();
        // What is amiss with the attempts is said once.
        let printer = if index == 0 { printer } else { printer.inner() };
        read(printer, args, &args.scores[index..=index], known)
    };
    (0..args.scores.len()).map(each).collect()
}

/// Attempts by instance, each with as many.
fn read(
    printer: Printer,
    args: &SelectArgs,
    files: &[PathBuf],
    known_files: &[PathBuf],
) -> Result<Instances, CommandError> {
    let mut scores = scores(files)?;
    if let Some(known) = &args.calibrate {
        let fit = calibration(known, known_files)?;
        scores.values_mut().for_each(|score| *score = fit.apply(*score));
    }
    let tests = args.tests.as_deref().map(tested).transpose()?.unwrap_or_default();
    let verdicts = export::verdicts(args.evaluation.as_deref().unwrap_or(&args.run))?;
    if verdicts.is_empty() {
        let message = format!("nobody has tested the attempts of `{}`", args.run.display());
        return Err(CommandError::nothing(message, "rollout --evaluate, or name their --evaluation"));
    }
    let mut instances = Instances::new();
    let (mut scaffolds, mut untested) = (std::collections::BTreeSet::new(), 0);
    for record in export::records(&args.run)? {
        let attempt = show::read(&record)?;
        let key = (attempt.head.instance_id.to_string(), u64::from(attempt.head.attempt));
        let Some(verdict) = verdicts.get(&key).filter(|_| attempt.is_over()) else {
            untested += 1;
            continue;
        };
        scaffolds.insert(attempt.head.scaffold.clone());
        instances.entry(key.0.clone()).or_default().push(Attempt {
            score: scores.get(&key).copied(),
            tested: tests.get(&key).copied(),
            patch: attempt.patch,
            model: attempt.head.model,
            turns: attempt.steps.len(),
            resolved: verdict.resolved,
        });
    }
    if scaffolds.len() > 1 {
        let names = scaffolds.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("the attempts are of several scaffolds: {names}");
        return Err(CommandError::usage(message, "choose among the attempts of one; make a run of each"));
    }
    let most = instances.values().map(Vec::len).max().unwrap_or(0);
    let k = args.k.unwrap_or(most);
    if k > most || k == 0 {
        let message = format!("no instance has {k} tested attempts; the most is {most}");
        return Err(CommandError::nothing(message, "choose a smaller --k, or roll out more attempts"));
    }
    let all = instances.len();
    instances.retain(|_, attempts| attempts.len() >= k);
    instances.values_mut().for_each(|attempts| attempts.truncate(k));
    if instances.len() < all || untested > 0 {
        printer.say(&format!(
            "{untested} attempts are not tested; {} of {all} instances have fewer than {k} that are, and count nowhere",
            all - instances.len()
        ));
    }
    if k == 1 {
        printer.say("one attempt an instance leaves nothing to choose");
    }
    let missing = instances.values().flatten().filter(|a| a.score.is_none()).count();
    if args.by == "verifier" {
        let count: usize = instances.values().map(Vec::len).sum();
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
    let resolved = instances.values().flatten().filter(|a| a.resolved).count();
    if resolved == 0 || resolved == instances.values().map(Vec::len).sum::<usize>() {
        let what = if resolved == 0 { "no attempt" } else { "every attempt" };
        printer.say(&format!("{what} is resolved: nothing tells one way of choosing from another"));
    }
    Ok(instances)
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
    let (scores, verdicts) = (scores(files)?, export::verdicts(run)?);
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
    let mut tested = HashMap::new();
    for row in lines(&run.join("reports.jsonl"))? {
        let id = row["instance_id"].as_str().unwrap_or_default().to_owned();
        let attempt = row.get("attempt").and_then(Value::as_u64).unwrap_or(0);
        let count = |path: &str| row.pointer(path).and_then(Value::as_array).map(Vec::len);
        let broken = count("/tests_status/PASS_TO_PASS/failure");
        let passed = count("/tests_status/FAIL_TO_PASS/success");
        tested.insert((id, attempt), (broken.unwrap_or(usize::MAX), passed.unwrap_or(0)));
    }
    Ok(tested)
}

fn lines(path: &Path) -> Result<Vec<Value>, CommandError> {
    let text = text::read(path)?;
    let row = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            let message = format!("{}:{}: not valid JSON: {e}", path.display(), index + 1);
            CommandError::usage(message, "make the file again with `swegym score` or `swegym evaluate`")
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

/// What a way of choosing thinks of each attempt of an instance.
fn thoughts(attempts: &[Attempt], way: &str, gate: f64) -> Vec<Option<f64>> {
    if way == "hybrid" {
        return hybrid(attempts, gate).into_iter().map(|place| Some(place as f64)).collect();
    }
    let same = |of: &Attempt| attempts.iter().filter(|other| other.patch == of.patch).count() as f64;
    let think = |of: &Attempt| match way {
        "verifier" => of.score,
        "shortest" => Some(-(of.turns as f64)),
        // Counted over all attempts that are chosen among, for every K. Nothing
        // to hand in is no majority.
        "majority" => (!of.patch.trim().is_empty()).then(|| same(of)),
        _ => Some(0.0),
    };
    attempts.iter().map(think).collect()
}

/// Each attempt's place, the best having the highest (R2E-Gym's order): the
/// verifier's favourites first; among them those that break least, pass most
/// tests made for the issue, and are scored highest. Equals share a place.
fn hybrid(attempts: &[Attempt], gate: f64) -> Vec<usize> {
    let score = |of: &Attempt| of.score.unwrap_or(f64::NEG_INFINITY);
    let mut scores: Vec<f64> = attempts.iter().map(score).collect();
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

fn groups(instances: &Instances, way: &str, gate: f64) -> Vec<Group> {
    let group = |attempts: &Vec<Attempt>| {
        let thoughts = thoughts(attempts, way, gate);
        attempts.iter().zip(thoughts).map(|(of, score)| Scored { score, resolved: of.resolved }).collect()
    };
    instances.values().map(group).collect()
}

/// The predictions that are handed in, one an instance.
fn chosen(instances: &Instances, args: &SelectArgs) -> String {
    let best = |(id, attempts): (&String, &Vec<Attempt>)| {
        let thoughts = thoughts(attempts, &args.by, args.gate);
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
    head.extend(WAYS.iter().filter(|way| curves.contains_key(*way)).map(|way| format!("Best@K {way}")));
    head.extend(["gain 95 %".to_owned(), "conversion".to_owned()]);
    let mut table = vec![head];
    for (index, at) in curves[of].iter().enumerate() {
        let mut row = vec![at.k.to_string(), percent(at.pass.mean)];
        let found = WAYS.iter().filter_map(|way| curves.get(way));
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
    lines.extend(WAYS.iter().filter_map(|way| Some(line(way, curves.get(way)?, |at| at.best))));
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
