//! The whole method in miniature, on the micro gym: a teacher that mostly fails, a
//! policy that learns from its successes, a verifier that chooses.

use std::path::Path;

use serde_json::{Value, json};
use swegym_grade::metrics::{Attempt, measure};
use swegym_tasks::micro::Split;

use crate::args::Size;
use crate::commands::gym::{FAMILIES, Gym, HELD_OUT, Length, TEACHER_NOISE, tuning};
use crate::commands::{base, metrics};
use crate::error::CommandError;
use crate::session::Session;
use crate::settings::{AdapterSettings, SelectSettings};
use crate::sheet::{Line, Part, Sheet};
use crate::workshop::Workshop;

/// Tasks to learn from, to measure with, of families that are held out, and for
/// a verifier to learn to read from.
const TASKS: [u32; 4] = [400, 100, 60, 1000];

/// Attempts at each task that are chosen among.
const K: u32 = 8;

/// What came out.
pub(super) struct Learnt {
    pub(super) value: Value,
    pub(super) table: Vec<Vec<String>>,
    /// A page with curves.
    pub(super) page: std::path::PathBuf,
}

/// Teaches, tunes, measures, chooses; what an earlier attempt did in the folder counts.
pub(super) async fn learn(session: &Session, folder: &Path) -> Result<Learnt, CommandError> {
    let say = |text: &str| session.printer.say(&format!("      {text}"));
    let base = base::unpack(&session.settings.home, Size::Large)?;
    // The quickstart has asked already whether an earlier run is to go on.
    let mut gym = Gym::open(Workshop::open(session, folder, true)?)?;
    say(&format!(
        "tasks: {} to learn from, {} to measure with, {} of families held out",
        TASKS[0], TASKS[1], TASKS[2]
    ));
    let train = gym.tasks("tasks-train", Split::Train, &FAMILIES, TASKS[0]).await?;
    let test = gym.tasks("tasks-test", Split::Test, &FAMILIES, TASKS[1]).await?;
    let held_out = gym.tasks("tasks-held-out", Split::Test, &HELD_OUT, TASKS[2]).await?;
    say("teacher: four attempts at each task, most of which fail; curate: what resolves, two of a task");
    let taught = gym.teach("teacher", &train, 4, TEACHER_NOISE).await?;
    let data = gym.capped("data", &[&taught], &base, Some(2)).await?;
    say("policy: fine-tuned on them, and measured beside the one before");
    let tuned = gym.tune("tuned", &base, &data.join("train.parquet"), 1, Length::Epochs(6.0)).await?;
    let before = gym.measure("zero-shot", &base, &test, 2).await?;
    let pool = gym.sample("pool", &tuned, &test, K, 12).await?;
    let after = metrics::load(&pool, None)?.0;
    let before_away = gym.measure("zero-shot-held-out", &base, &held_out, 2).await?;
    let away = gym.measure("tuned-held-out", &tuned, &held_out, 2).await?;
    say("verifier: learns to read from answers with known outcomes, to judge from the policy's own attempts");
    say("and the teacher's, and chooses among eight");
    let answers = gym.answers("tasks-judged", TASKS[3]).await?;
    let course = tuning(Length::Epochs(3.0), 1);
    let whole = AdapterSettings::default();
    let reader = gym.verifier("reader", &tuned, &answers, course.clone(), whole.clone()).await?;
    let own = gym.sample("own", &tuned, &train, 2, 11).await?;
    let pairs = gym.pairs("pairs", &[&own, &taught], &base, 1).await?;
    let verifier = gym.verifier("verifier", &reader, &pairs, course, whole).await?;
    let scores = gym.score("scores.jsonl", &pool, &verifier).await?;
    let tried = gym.try_examples("examples", &pool, &test).await?;
    let settings =
        SelectSettings { scores: vec![scores], tests: Some(tried), ..SelectSettings::new(pool.clone()) };
    let found = gym.select("selection", settings).await?;

    let policies = [
        ("zero-shot", &before),
        ("fine-tuned", &after),
        ("zero-shot, families held out", &before_away),
        ("fine-tuned, families held out", &away),
    ];
    let table = table(&policies, &found);
    let page = page(&table, &found).write(folder)?;
    let measured: serde_json::Map<String, Value> = policies
        .iter()
        .map(|(name, attempts)| ((*name).to_owned(), metrics::to_json(attempts.len(), &measure(attempts))))
        .collect();
    let value =
        json!({"policies": measured, "selection": found, "seconds": gym.workshop.seconds(), "page": page});
    Ok(Learnt { value, table, page })
}

fn table(policies: &[(&str, &Vec<Attempt>)], found: &Value) -> Vec<Vec<String>> {
    let head = [""].into_iter().chain(metrics::CELLS).map(str::to_owned).collect();
    let row = |(name, attempts): &(&str, &Vec<Attempt>)| {
        std::iter::once((*name).to_owned()).chain(metrics::cells(attempts)).collect()
    };
    let mut table: Vec<Vec<String>> = std::iter::once(head).chain(policies.iter().map(row)).collect();
    let tell = |x: f64| format!("{:.1}", 100.0 * x);
    for (way, what, name) in [
        ("verifier", "best", "best of 8 by the verifier"),
        ("hybrid", "best", "best of 8 by verifier and tests"),
        ("verifier", "pass", "any of 8"),
    ] {
        let at = &found["ways"][way][K as usize - 1][what];
        let number = |key: &str| at[key].as_f64().map_or("-".to_owned(), tell);
        let mut row =
            vec![name.to_owned(), number("mean"), format!("{} to {}", number("low"), number("high"))];
        row.extend(std::iter::repeat_n(String::new(), 3));
        table.push(row);
    }
    table
}

fn page(table: &[Vec<String>], found: &Value) -> Sheet {
    let mut sheet = Sheet::new(
        "The method in miniature",
        "A policy of under a million parameters, pre-trained on text without a solved task, learns from the \
         successes of a teacher that mostly fails; a verifier then chooses among its attempts.",
    );
    let line = |name: &str, way: &str, what: &str| {
        let point = |at: &Value| Some((at["k"].as_f64()?, 100.0 * at[what]["mean"].as_f64()?, None));
        let points = found["ways"][way].as_array().into_iter().flatten().filter_map(point).collect();
        Line { name: name.to_owned(), points }
    };
    sheet.push(Part {
        title: "Resolved, in percent".to_owned(),
        table: table.to_vec(),
        lines: vec![
            line("any of K", "verifier", "pass"),
            line("chosen by verifier and tests", "hybrid", "best"),
            line("chosen by the verifier", "verifier", "best"),
            line("chosen by chance", "random", "best"),
        ],
        across: "K".to_owned(),
        ..Part::default()
    });
    sheet
}
