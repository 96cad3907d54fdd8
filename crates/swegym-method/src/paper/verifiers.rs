//! Claims about verifiers: what choosing among K attempts is worth (Figure 4), with
//! smaller policies and verifiers (Figure 6), and by training data (Figure 5).

use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_console::sheet::{Line, Part};
use swegym_data::select::settings::SelectSettings;
use swegym_grade::selection::log_fit;
use swegym_tasks::micro::Split;

use super::{Found, Study, head};
use crate::gym::{FAMILIES, tuning};
use crate::settings::AdapterSettings;

/// What the ablation goes on with.
pub(super) struct Judged {
    /// Attempts that are chosen among.
    pool: PathBuf,
    /// Attempts of the policy at tasks to learn from.
    own: PathBuf,
    /// The tuned policy.
    tuned: PathBuf,
    /// Pairs of both sources.
    pairs: PathBuf,
}

/// A curve's point: mean and interval, in percent.
fn at(selection: &Value, way: &str, k: u32, what: &str) -> Found {
    let found = &selection["ways"][way][k as usize - 1][what];
    let number = |key: &str| found[key].as_f64().map_or(f64::NAN, |x| 100.0 * x);
    Found { value: number("mean"), interval: Some((number("low"), number("high"))) }
}

fn line(name: &str, selection: &Value, way: &str, what: &str, most: u32) -> Line {
    let point = |k: u32| {
        let found = at(selection, way, k, what);
        (f64::from(k), found.value, None)
    };
    Line { name: name.to_owned(), points: (1..=most).map(point).collect() }
}

/// Pass@K and Best@K of the largest policy and of smaller ones.
pub(super) async fn curves(study: &mut Study<'_>, tuned: &Path) -> Result<Judged, CommandError> {
    let scale = study.scale;
    let k = scale.k;
    let (train, test, taught, base) =
        (study.train.clone(), study.test.clone(), study.taught.clone(), study.base());
    let own = study.gym.sample("own", tuned, &train, scale.judged, 11).await?;
    let pool = study.gym.sample("pool", tuned, &test, k, 12).await?;
    let pairs = study.gym.pairs("pairs-mixed", &[&own, &taught], &base, 1).await?;
    let verifiers = verifiers(study, "large", tuned, &pairs).await?;
    let scores = scores(study, "pool-by-large", &pool, &verifiers).await?;
    // What scores are worth shows on tasks that neither policy nor verifier has learnt.
    let fresh = study.gym.tasks("tasks-validation", Split::Validation, &FAMILIES, scale.held_out).await?;
    let again = study.gym.sample("validation", tuned, &fresh, 4, 13).await?;
    let known = self::scores(study, "validation-by-large", &again, &verifiers).await?;
    let tried = study.gym.try_examples("examples", &pool, &test).await?;
    let settings = SelectSettings {
        scores,
        tests: Some(tried),
        calibrate: Some((again, known)),
        ..SelectSettings::new(pool.clone())
    };
    let found = study.gym.select("selection", settings).await?;

    let gain = at(&found, "verifier", 8, "gain");
    study.claim("Figure 4: Best@8 above Pass@1, points", gain, "8.7 points (29.3 against 20.6)", |f| {
        f.value >= 8.0 && f.clears(0.0)
    });
    let best: Vec<f64> = (1..=k).map(|k| at(&found, "verifier", k, "best").value).collect();
    let falls = best.windows(2).map(|pair| pair[0] - pair[1]).fold(f64::NEG_INFINITY, f64::max);
    study.claim(
        "Figure 4: most that Best@K falls with one more K, points",
        Found::plain(falls),
        "never falls",
        |f| f.value <= 0.0,
    );
    let points: Vec<(f64, f64)> =
        best.iter().enumerate().skip(1).map(|(i, y)| (i as f64 + 1.0, *y)).collect();
    if let Some(fit) = log_fit(&points) {
        study.claim(
            "Figure 4: R² of the log-linear fit of Best@K",
            Found::plain(fit.r_squared),
            "0.997",
            |f| f.value >= 0.9,
        );
    }
    for (way, least) in [("verifier", 0.55), ("hybrid", 0.7)] {
        let share = at(&found, way, 8, "conversion");
        let share = Found {
            value: share.value / 100.0,
            interval: share.interval.map(|(a, b)| (a / 100.0, b / 100.0)),
        };
        study.claim(format!("Conversion at K = 8, {way}"), share, "0.51 (verifier)", |f| f.value >= least);
    }
    let error = Found::plain(found["calibration_error"].as_f64().unwrap_or(f64::NAN));
    study.claim("Calibration error after calibration", error, "not measured", |f| f.value <= 0.08);
    let mut lines = vec![line("Pass@K", &found, "random", "pass", k)];
    lines.extend(["verifier", "hybrid", "majority", "random"].map(|way| line(way, &found, way, "best", k)));
    study.sheet.push(Part {
        title: "Figure 4: choosing among K attempts".to_owned(),
        words: "The paper (32B): Pass@8 37.8, Best@8 29.3, Pass@16 42.8, Best@16 32.0 %.".to_owned(),
        table: table(&found, k),
        lines,
        across: "K".to_owned(),
    });
    if scale.every {
        smaller(study, &pool, &found, &pairs, &verifiers).await?;
    }
    Ok(Judged { pool, own, tuned: tuned.to_owned(), pairs })
}

/// A verifier for each seed. A language model can read code; a policy of this
/// size first learns to, from answers whose outcomes are known without an attempt.
async fn verifiers(
    study: &mut Study<'_>,
    name: &str,
    model: &Path,
    pairs: &Path,
) -> Result<Vec<PathBuf>, CommandError> {
    let scale = study.scale;
    let answers = study.gym.answers("tasks-judged", scale.read).await?;
    let mut made = Vec::new();
    for seed in 1..=scale.seeds {
        let (reader, judge) = (format!("reader-{name}-{seed}"), format!("verifier-{name}-{seed}"));
        let (read, judged) = (tuning(scale.reading, seed), tuning(scale.judging, seed));
        let whole = AdapterSettings::default();
        let reader = study.gym.verifier(&reader, model, &answers, read, whole.clone()).await?;
        made.push(study.gym.verifier(&judge, &reader, pairs, judged, whole).await?);
    }
    Ok(made)
}

/// What each of some verifiers says of a run.
async fn scores(
    study: &mut Study<'_>,
    name: &str,
    run: &Path,
    verifiers: &[PathBuf],
) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = Vec::new();
    for (index, verifier) in verifiers.iter().enumerate() {
        files.push(study.gym.score(&format!("scores-{name}-{}.jsonl", index + 1), run, verifier).await?);
    }
    Ok(files)
}

fn table(found: &Value, k: u32) -> Vec<Vec<String>> {
    let ways = ["verifier", "hybrid", "majority", "shortest", "random"];
    let mut table = vec![head(&["K", "Pass@K", "verifier", "hybrid", "majority", "shortest", "random"])];
    table.extend((1..=k).filter(|k| k.is_power_of_two()).map(|k| {
        let mut row = vec![k.to_string(), format!("{:.1}", at(found, "random", k, "pass").value)];
        row.extend(ways.map(|way| format!("{:.1}", at(found, way, k, "best").value)));
        row
    }));
    table
}

/// A small policy, a small verifier, and both.
async fn smaller(
    study: &mut Study<'_>,
    pool: &Path,
    large: &Value,
    pairs: &Path,
    great: &[PathBuf],
) -> Result<(), CommandError> {
    let scale = study.scale;
    let (test, small) = (study.test.clone(), study.bases[0].1.clone());
    let policy = study.gym.workshop.place("tuned-small-1");
    let few = study.gym.sample("pool-small", &policy, &test, 8.min(scale.k), 12).await?;
    let little = verifiers(study, "small", &small, pairs).await?;
    let mut lines = vec![line("large policy, large verifier", large, "verifier", "best", 8)];
    let mut table = vec![head(&["policy", "verifier", "Pass@1", "Best@8", "Pass@8"])];
    let mut gains = Vec::new();
    for (policy, verifier, run, by) in [
        ("large", "small", pool, &little[..]),
        ("small", "large", &few, great),
        ("small", "small", &few, &little),
    ] {
        let name = format!("{policy}-by-{verifier}");
        let scores = scores(study, &name, run, by).await?;
        let settings = SelectSettings { scores, ..SelectSettings::new(run.to_owned()) };
        let found = study.gym.select(&format!("selection-{name}"), settings).await?;
        lines.push(line(&format!("{policy} policy, {verifier} verifier"), &found, "verifier", "best", 8));
        let of = |what: &str, k: u32| format!("{:.1}", at(&found, "verifier", k, what).value);
        table.push(vec![policy.to_owned(), verifier.to_owned(), of("pass", 1), of("best", 8), of("pass", 8)]);
        gains.push(at(&found, "verifier", 8, "gain").value);
    }
    let better = at(large, "verifier", 8, "gain").value - gains[0];
    study.claim(
        "Figure 6: a large verifier gains more than a small one, points",
        Found::plain(better),
        "26.0 against 21.0 % (32B agent)",
        |f| f.value > 0.0,
    );
    study.sheet.push(Part {
        title: "Figure 6: sizes of policy and verifier".to_owned(),
        words: "The paper (Lite, Best@8): 32B agent with a 32B verifier 26.0, with a 7B one 21.0; 7B agent 15.0 and 13.3 %.".to_owned(),
        table,
        lines,
        across: "K".to_owned(),
    });
    Ok(())
}

/// On-policy, off-policy, both; twice the failures; an adapter. These verifiers
/// have not learnt to read before: what they know is what they are given here.
pub(super) async fn ablation(study: &mut Study<'_>, judged: &Judged) -> Result<(), CommandError> {
    let scale = study.scale;
    let (taught, base) = (study.taught.clone(), study.base());
    let (own, pool) = (&judged.own, &judged.pool);
    let mut lines = Vec::new();
    let mut table = vec![head(&["learns from", "Best@2", "Best@8", "AUC within instances"])];
    let mut best = Vec::new();
    let (whole, adapter) = (AdapterSettings::default(), AdapterSettings::of_rank(16));
    // Of both sources where no run is named; how many failures for each success.
    let arms = [
        ("both", None, 1, &whole),
        ("on-policy", Some(own), 1, &whole),
        ("off-policy", Some(&taught), 1, &whole),
        ("off-policy-2x-failures", Some(&taught), 2, &whole),
        ("both-by-adapter", None, 1, &adapter),
    ];
    for (name, run, negatives, adapter) in arms {
        let pairs = match run {
            None => judged.pairs.clone(),
            Some(run) => study.gym.pairs(&format!("pairs-{name}"), &[run], &base, negatives).await?,
        };
        let mut verifiers = Vec::new();
        for seed in 1..=scale.seeds {
            let (step, course) = (format!("verifier-{name}-{seed}"), tuning(scale.judging_alone, seed));
            verifiers.push(study.gym.verifier(&step, &judged.tuned, &pairs, course, adapter.clone()).await?);
        }
        let scores = scores(study, name, pool, &verifiers).await?;
        let settings = SelectSettings { scores, ..SelectSettings::new(pool.clone()) };
        let found = study.gym.select(&format!("selection-{name}"), settings).await?;
        lines.push(line(name, &found, "verifier", "best", 8));
        let of = |k: u32| format!("{:.1}", at(&found, "verifier", k, "best").value);
        let auc = found["auc_within"].as_f64().map_or("-".to_owned(), |x| format!("{x:.3}"));
        table.push(vec![name.to_owned(), of(2), of(8), auc]);
        best.push(at(&found, "verifier", 8, "best").value);
    }
    let mixed = best.remove(0);
    for (index, (name, paper)) in
        [("on-policy alone", "27.1 against 23.4 %"), ("off-policy alone", "27.1 against 21.5 %")]
            .into_iter()
            .enumerate()
    {
        let more = Found::plain(mixed - best[index]);
        study.claim(format!("Figure 5: Best@8 of both sources above {name}, points"), more, paper, |f| {
            f.value > 0.0
        });
    }
    let more = Found::plain(best[2] - best[1]);
    study.claim("Figure 5: twice the failures gain nothing, points", more, "21.6 against 21.5 %", |f| {
        f.value <= 1.0
    });
    let more = Found::plain(best[3] - mixed);
    study.claim("Figure 5: an adapter above full training, points", more, "29.8 against 27.2 %", |f| {
        f.value > 0.0
    });
    study.sheet.push(Part {
        title: "Figure 5: what a verifier learns from".to_owned(),
        words: "The paper (Best@8, full training): both 27.1, on-policy 23.4, off-policy 21.5, off-policy with twice the failures 21.6 %; an adapter 29.8.".to_owned(),
        table,
        lines,
        across: "K".to_owned(),
    });
    Ok(())
}
