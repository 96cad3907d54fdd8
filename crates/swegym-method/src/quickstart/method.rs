//! The whole method in miniature, on the micro gym: a teacher that mostly fails, a
//! policy that learns from its successes, a verifier that chooses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::sheet::{Line, Part, Sheet};
use swegym_core::format::reports::Judged;
use swegym_data::select::settings::SelectSettings;
use swegym_data::{metrics, run_view};
use swegym_grade::metrics::{Attempt, measure};
use swegym_tasks::micro::Split;

use crate::base::{self, Size};
use crate::gym::{FAMILIES, Gym, HELD_OUT, Length, TEACHER_NOISE, tuning};
use crate::session::Session;
use crate::settings::AdapterSettings;
use crate::workshop::Workshop;

/// Tasks to learn from, to measure with, of families that are held out, and for
/// a verifier to learn to read from.
const TASKS: [u32; 4] = [400, 100, 60, 1000];

/// Share of the first attempts that fail on purpose.
const FIRST_NOISE: f64 = 0.4;

/// Tasks of the first look, and attempts at each.
const FIRST: (u32, u32) = (12, 2);

/// Attempts at each task that are chosen among.
const K: u32 = 8;

/// The method's steps in a folder; what an earlier attempt did there counts.
pub(super) struct Method {
    printer: Printer,
    folder: PathBuf,
    base: PathBuf,
    gym: Gym,
}

/// What a policy came to, and what it learnt from.
pub(super) struct Policies {
    /// Tasks to learn from, and to measure with.
    train: PathBuf,
    test: PathBuf,
    /// The teacher's attempts.
    taught: PathBuf,
    tuned: PathBuf,
    /// The fine-tuned policy's attempts that are chosen among.
    pool: PathBuf,
    /// By what they are called.
    measured: Vec<(&'static str, Vec<Attempt>)>,
}

/// What came out.
pub(super) struct Learnt {
    pub(super) value: Value,
    /// A page with curves.
    pub(super) page: PathBuf,
}

impl Method {
    pub(super) fn open(session: &Session, folder: &Path) -> Result<Self, CommandError> {
        let base = base::unpack(&session.settings.home, Size::Large)?;
        // The quickstart has asked already whether an earlier run is to go on.
        let gym = Gym::open(Workshop::open(session, folder, true)?)?;
        Ok(Self { printer: session.printer, folder: folder.to_owned(), base, gym })
    }

    fn say(&self, text: &str) {
        self.printer.say(&format!("      {text}"));
    }

    /// A few tasks, and what became of attempts at them.
    pub(super) async fn look(&mut self) -> Result<Value, CommandError> {
        let (count, attempts) = FIRST;
        let tasks = self.gym.tasks("first-tasks", Split::Validation, &FAMILIES, count).await?;
        let taught = self.gym.teach("first-attempts", &tasks, attempts, FIRST_NOISE).await?;
        let judged = run_view::judged(&taught)?;
        self.printer.part(&first_table(&judged, attempts));
        let resolved = judged.iter().filter(|row| row.resolved).count();
        self.say(&format!("{resolved} of {} attempts resolve their task", judged.len()));
        if let Some(row) = judged.first() {
            let record = taught.join("trajectories").join(&row.instance_id).join("0.jsonl");
            self.say(&format!("one of them, step by step: swegym show trajectory {}", record.display()));
        }
        Ok(json!({"run": taught, "attempts": judged.len(), "resolved": resolved}))
    }

    /// Teaches, tunes, measures.
    pub(super) async fn tune(&mut self) -> Result<Policies, CommandError> {
        self.say(&format!(
            "tasks: {} to learn from, {} to measure with, {} of families held out",
            TASKS[0], TASKS[1], TASKS[2]
        ));
        let (base, gym) = (self.base.clone(), &mut self.gym);
        let train = gym.tasks("tasks-train", Split::Train, &FAMILIES, TASKS[0]).await?;
        let test = gym.tasks("tasks-test", Split::Test, &FAMILIES, TASKS[1]).await?;
        let held_out = gym.tasks("tasks-held-out", Split::Test, &HELD_OUT, TASKS[2]).await?;
        self.say(
            "teacher: four attempts at each task, most of which fail; curate: what resolves, two of a task",
        );
        let gym = &mut self.gym;
        let taught = gym.teach("teacher", &train, 4, TEACHER_NOISE).await?;
        let data = gym.capped("data", &[&taught], &base, Some(2)).await?;
        self.say("policy: fine-tuned on them, and measured beside the one before");
        let gym = &mut self.gym;
        let tuned = gym.tune("tuned", &base, &data.join("train.parquet"), 1, Length::Epochs(6.0)).await?;
        let before = gym.measure("zero-shot", &base, &test, 2).await?;
        let pool = gym.sample("pool", &tuned, &test, K, 12).await?;
        let after = metrics::load(&pool, None)?.0;
        let before_away = gym.measure("zero-shot-held-out", &base, &held_out, 2).await?;
        let away = gym.measure("tuned-held-out", &tuned, &held_out, 2).await?;
        let measured = vec![
            ("zero-shot", before),
            ("fine-tuned", after),
            ("zero-shot, families held out", before_away),
            ("fine-tuned, families held out", away),
        ];
        self.printer.part(&policy_table(&measured));
        Ok(Policies { train, test, taught, tuned, pool, measured })
    }

    /// Learns to judge, and chooses.
    pub(super) async fn choose(&mut self, policies: &Policies) -> Result<Learnt, CommandError> {
        self.say(
            "it reads answers with known outcomes first, then the policy's own attempts and the teacher's",
        );
        let Policies { train, test, taught, tuned, pool, measured } = policies;
        let (base, gym) = (self.base.clone(), &mut self.gym);
        let answers = gym.answers("tasks-judged", TASKS[3]).await?;
        let (course, whole) = (tuning(Length::Epochs(3.0), 1), AdapterSettings::default());
        let reader = gym.verifier("reader", tuned, &answers, course.clone(), whole.clone()).await?;
        let own = gym.sample("own", tuned, train, 2, 11).await?;
        let pairs = gym.pairs("pairs", &[&own, taught], &base, 1).await?;
        let verifier = gym.verifier("verifier", &reader, &pairs, course, whole).await?;
        let scores = gym.score("scores.jsonl", pool, &verifier).await?;
        let tried = gym.try_examples("examples", pool, test).await?;
        let settings =
            SelectSettings { scores: vec![scores], tests: Some(tried), ..SelectSettings::new(pool.clone()) };
        let found = gym.select("selection", settings).await?;

        let choices = choice_rows(&found);
        let mut table = policy_table(measured);
        let head = table[0].clone();
        table.extend(choices.iter().cloned());
        self.printer.part(&std::iter::once(head).chain(choices).collect::<Vec<_>>());
        let page = page(&table, &found).write(&self.folder)?;
        let of = |attempts: &Vec<Attempt>| metrics::to_json(attempts.len(), &measure(attempts));
        let measured: Map<String, Value> =
            measured.iter().map(|(name, attempts)| ((*name).to_owned(), of(attempts))).collect();
        let seconds = self.gym.workshop.seconds();
        let value = json!({"policies": measured, "selection": found, "seconds": seconds, "page": page});
        Ok(Learnt { value, page })
    }
}

/// A row for each task: what became of each attempt.
fn first_table(judged: &[Judged], attempts: u32) -> Vec<Vec<String>> {
    let mut tasks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in judged {
        let word = match (&row.broke, row.resolved, row.patch_exists) {
            (Some(code), ..) => code,
            (None, true, _) => "resolved",
            (None, false, true) => "unresolved",
            (None, false, false) => "empty patch",
        };
        let words = tasks.entry(&row.instance_id).or_insert_with(|| vec!["-".into(); attempts as usize]);
        if let Some(place) = words.get_mut(row.attempt as usize) {
            word.clone_into(place);
        }
    }
    let numbers = (1..=attempts).map(|number| format!("attempt {number}"));
    let head = std::iter::once("task".to_owned()).chain(numbers).collect();
    // By number: `…-2` before `…-10`.
    let mut tasks: Vec<_> = tasks.into_iter().collect();
    tasks.sort_by_key(|(id, _)| (id.len(), *id));
    let rows = tasks.into_iter().map(|(id, words)| std::iter::once(id.to_owned()).chain(words).collect());
    std::iter::once(head).chain(rows).collect()
}

fn policy_table(policies: &[(&str, Vec<Attempt>)]) -> Vec<Vec<String>> {
    let head = [""].into_iter().chain(metrics::CELLS).map(str::to_owned).collect();
    let row = |(name, attempts): &(&str, Vec<Attempt>)| {
        std::iter::once((*name).to_owned()).chain(metrics::cells(attempts)).collect()
    };
    std::iter::once(head).chain(policies.iter().map(row)).collect()
}

/// What choosing among attempts comes to, as rows of that table.
fn choice_rows(found: &Value) -> Vec<Vec<String>> {
    let tell = |x: f64| format!("{:.1}", 100.0 * x);
    let row = |(way, what, name): (&str, &str, &str)| {
        let at = &found["ways"][way][K as usize - 1][what];
        let number = |key: &str| at[key].as_f64().map_or("-".to_owned(), tell);
        let mut row =
            vec![name.to_owned(), number("mean"), format!("{} to {}", number("low"), number("high"))];
        row.extend(std::iter::repeat_n(String::new(), 3));
        row
    };
    let ways = [
        ("verifier", "best", "best of 8 by the verifier"),
        ("hybrid", "best", "best of 8 by verifier and tests"),
        ("verifier", "pass", "any of 8"),
    ];
    ways.into_iter().map(row).collect()
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
