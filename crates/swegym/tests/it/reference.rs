//! Our log parsers against the reference's, on random and mutated logs. The
//! reference is fetched from the package index as a wheel and read from it;
//! nothing of it is installed.
//!
//! `SWEGYM_REFERENCE_LOGS=10000 cargo test --release -p swegym --test it reference::`
//! is the long form; `SWEGYM_CONFORMANCE_PAGE=FILE` with it writes docs/conformance.md.

mod corpus;

use std::fs;
use std::path::Path;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use swegym_grade::LogParser;
use swegym_grade::lines::Lines;
use swegym_grade::parser::{Edition, Said};

use crate::common::wheel::{ask_script, fetch_wheel};
use crate::common::{Gym, rows};

/// Releases of the reference, oldest last.
const RELEASES: [(&str, Edition); 4] =
    [("5.0.2", Edition::V5), ("4.1.0", Edition::V4), ("2.1.8", Edition::V2), ("1.1.5", Edition::V1)];

/// Logs for each parser, where the environment does not say.
const LOGS: usize = 120;

#[test]
#[expect(clippy::disallowed_methods, reason = "the one knob of these tests")]
fn log_parsers_say_what_the_reference_says() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::env::var("SWEGYM_REFERENCE_LOGS").map_or(LOGS, |n| n.parse().unwrap());
    let numbered = corpus::PARSERS.iter().enumerate();
    let cases: Vec<Vec<Value>> = numbered
        .map(|(number, (_, parser, pieces))| cases(parser, &corpus::logs(pieces, number as u64, count)))
        .collect();
    let mut page = Page::default();
    for (release, edition) in RELEASES {
        let wheel = fetch_wheel(folder.path(), "swebench", release);
        let mut answers = ask_script(&wheel, include_str!("reference/parse.py"), &cases.concat());
        let registered = answers.remove(0);
        if edition == Edition::V5 {
            let mut known: Vec<String> =
                corpus::PARSERS.iter().map(|(_, parser, _)| format!("parse_log_{parser}")).collect();
            known.sort();
            assert_eq!(json!(known), registered, "every name of the registry");
        }
        assert_eq!(answers.len(), cases.len() * count);
        for (at, (cases, answers)) in cases.iter().zip(answers.chunks(count)).enumerate() {
            let found = compare(edition, cases, answers);
            // A corpus that says nothing would agree with everything.
            assert!(
                found.is_none_or(|found| found.statuses > count / 20),
                "{}: {found:?}",
                cases[0]["parser"]
            );
            page.add(corpus::PARSERS[at], found);
        }
    }
    if let Ok(path) = std::env::var("SWEGYM_CONFORMANCE_PAGE") {
        fs::write(path, page.write(count)).unwrap();
    }
}

/// A line of 10 MB (1 MB in the short form), alone and as the rest of a line
/// that may name a test.
#[test]
#[expect(clippy::disallowed_methods, reason = "the one knob of these tests")]
fn endless_lines_are_read_as_the_reference_reads_them() {
    let length = if std::env::var_os("SWEGYM_REFERENCE_LOGS").is_some() { 10_000_000 } else { 1_000_000 };
    let folder = tempfile::tempdir().unwrap();
    let wheel = fetch_wheel(folder.path(), "swebench", "5.0.2");
    let numbered = corpus::PARSERS.iter().enumerate();
    let mut cases: Vec<Value> = numbered
        .flat_map(|(number, (_, parser, pieces))| {
            let logs = corpus::logs(pieces, 3000 + number as u64, 40);
            let log = logs.iter().max_by_key(|log| log.lines().count()).unwrap();
            let stretched: Vec<_> = log.lines().map(str::to_owned).collect();
            let middle = stretched.len() / 2;
            let own: String = stretched
                .iter()
                .enumerate()
                .map(|(at, line)| format!("{line}{}\n", if at == middle { "@LONG@" } else { "" }))
                .collect();
            cases(parser, &[format!("@LONG@\n{log}\n@LONG@\n{log}"), own])
        })
        .collect();
    cases.iter_mut().for_each(|case| case["long"] = json!(length));
    let mut answers = ask_script(&wheel, include_str!("reference/parse.py"), &cases);
    answers.remove(0);
    for (case, answer) in cases.iter().zip(&answers).filter(|(_, answer)| !answer.is_null()) {
        let mut long = case.clone();
        long["log"] = json!(case["log"].as_str().unwrap().replace("@LONG@", &"x".repeat(length)));
        assert!(&read(&long, Edition::V5) == answer, "{case:#}");
    }
}

/// What was compared of one parser and one release.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    /// Logs that the reference reads; every one is read to the same.
    agreed: usize,
    /// Logs at which it raises an exception.
    raised: usize,
    /// Statuses in those that it reads.
    statuses: usize,
}

/// docs/conformance.md.
#[derive(Default)]
struct Page {
    rows: Vec<PageRow>,
}

/// One parser, and what was found in each release that has it.
struct PageRow {
    family: &'static str,
    parser: &'static str,
    releases: Vec<Option<Found>>,
}

impl Page {
    fn add(&mut self, (family, parser, _): (&'static str, &'static str, &str), found: Option<Found>) {
        match self.rows.iter_mut().find(|row| row.parser == parser) {
            Some(row) => row.releases.push(found),
            None => self.rows.push(PageRow { family, parser, releases: vec![found] }),
        }
    }

    fn write(&self, logs: usize) -> String {
        let mut page =
            include_str!("reference/conformance.md").replace("LOGS random", &format!("{logs} random"));
        for PageRow { family, parser, releases } in &self.rows {
            page += &format!("| {family} | `{parser}` |");
            for found in releases {
                page += &match found {
                    None => " not there |".to_owned(),
                    Some(Found { agreed, raised: 0, statuses }) => {
                        format!(" {agreed} of {agreed} ({statuses}) |")
                    }
                    Some(Found { agreed, raised, statuses }) => {
                        format!(" {agreed} of {agreed} ({statuses}), raises {raised} |")
                    }
                };
            }
            page.push('\n');
        }
        page
    }
}

#[test]
fn the_conformance_page_is_the_generated_one() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let page = fs::read_to_string(page).unwrap();
    let (before, after) = include_str!("reference/conformance.md").split_once("LOGS random").unwrap();
    let rest = page.strip_prefix(before).unwrap().trim_start_matches(|c: char| c.is_ascii_digit());
    let rows = rest.strip_prefix(" random").and_then(|rest| rest.strip_prefix(after)).unwrap();
    for (_, parser, _) in corpus::PARSERS {
        assert!(rows.contains(&format!("| `{parser}` |")), "{parser}");
    }
}

/// What stands around and between the lines of tests.
const MARKS: [&str; 14] = [
    "+ : '>>>>> Start Test Output'\n",
    ">>>>> Start Test Output\n",
    "+ : '>>>>> End Test Output'\n",
    ">>>>> End Test Output\n",
    ">>>>> Test Exit Code: 0\n",
    ">>>>> Test Exit Code: 1\n",
    ">>>>> Test Exit Code:\n-1\n",
    ">>>>> Tests Timed Out\n",
    ">>>>> Applied Patch\n",
    "Executed 3 of 4\n",
    "0 passing\n",
    "Test Suites: 1 failed, 3 total\n",
    "ModuleNotFoundError: x\n",
    "Killed\n",
];

#[test]
fn verdicts_are_those_of_the_reference() {
    let gym = Gym::new();
    let wheel = fetch_wheel(gym.folder.path(), "swebench", "5.0.2");
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut asked = Vec::new();
    for (number, (_, parser, pieces)) in corpus::PARSERS.iter().enumerate() {
        for (at, body) in corpus::logs(pieces, 1000 + number as u64, 24).into_iter().enumerate() {
            let case = json!({"parser": parser, "instance_id": "a-2006", "version": "1.0", "log": body});
            let names: Vec<String> = match read(&case, Edition::V5) {
                Value::Array(pairs) => pairs.iter().map(|p| p[0].as_str().unwrap().to_owned()).collect(),
                _ => Vec::new(),
            };
            // The number chooses jest and minitest where a parser goes by it.
            let number = if *parser == "jekyll" { 9141 } else { 2006 };
            let instance = instance(&format!("{parser}__x{at}-{number}"), parser, &names, &mut rng);
            let file = format!("logs/{}.txt", instance["instance_id"].as_str().unwrap());
            gym.write(&file, &around(&body, &mut rng));
            asked.push(json!({"instance": instance, "log": gym.folder.path().join(&file)}));
        }
    }
    let lines =
        |of: &dyn Fn(&Value) -> Value| asked.iter().map(|a| format!("{}\n", of(a))).collect::<String>();
    gym.write("instances.jsonl", &lines(&|a| a["instance"].clone()));
    gym.write(
        "logs.jsonl",
        &lines(&|a| json!({"instance_id": a["instance"]["instance_id"], "log": a["log"], "semantics": "v5"})),
    );
    gym.run(&["grade", "--instances", "instances.jsonl", "--logs", "logs.jsonl", "--out", "reports.jsonl"]);
    let ours = rows(&gym.read("reports.jsonl"));
    let mut theirs = ask_script(&wheel, include_str!("../../../swegym-bench/src/grade/reference.py"), &asked);
    // The last line is the time it took.
    theirs.pop();
    assert_eq!((ours.len(), theirs.len()), (asked.len(), asked.len()));
    let (mut resolved, mut stricter) = (0, 0);
    for ((ours, theirs), case) in ours.iter().zip(&theirs).zip(&asked) {
        if theirs.is_null() {
            continue;
        }
        resolved += usize::from(theirs["resolved"] == true);
        let told = || {
            format!("{case:#}\n{}\nours {ours:#}\ntheirs {theirs:#}", gym.read(case["log"].as_str().unwrap()))
        };
        // The two departures: every exit status counts, and so does what follows a forged end.
        let reason = ours["reason"]["code"].as_str().unwrap_or_default();
        if ours["resolved"] != theirs["resolved"] || ours["tests_status"] != theirs["tests_status"] {
            assert!(["exit_without_failure", "forged_end"].contains(&reason), "{}", told());
            assert_eq!(ours["resolved"], false, "{}", told());
            stricter += 1;
            continue;
        }
        for field in theirs.as_object().unwrap().keys() {
            assert_eq!(ours[field], theirs[field], "{field} {}", told());
        }
    }
    assert!(resolved > asked.len() / 20, "only {resolved} resolved");
    assert!(stricter < asked.len() / 20, "{stricter} departures");
}

#[test]
fn a_forged_end_fools_the_reference_only() {
    let gym = Gym::new();
    let wheel = fetch_wheel(gym.folder.path(), "swebench", "5.0.2");
    let row = json!({
        "instance_id": "a__b-1", "repo": "a/b", "version": "1.0", "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail", "FAIL_TO_PASS": ["t.py::a"], "PASS_TO_PASS": [],
    });
    let forged = "PASSED t.py::a\n>>>>> End Test Output\n>>>>> Test Exit Code: 0\n";
    let log = format!(
        "+ : '>>>>> Start Test Output'\n{forged}FAILED t.py::a - assert 1 == 2\n+ : '>>>>> End Test Output'\n>>>>> Test Exit Code: 1\n"
    );
    gym.write("log.txt", &log);
    gym.write("instances.jsonl", &format!("{row}\n"));
    gym.write("logs.jsonl", "{\"instance_id\": \"a__b-1\", \"log\": \"log.txt\"}\n");
    gym.must(&["grade", "--instances", "instances.jsonl", "--logs", "logs.jsonl", "--out", "reports.jsonl"]);
    let asked = [json!({"instance": row, "log": gym.folder.path().join("log.txt")})];
    let theirs = ask_script(&wheel, include_str!("../../../swegym-bench/src/grade/reference.py"), &asked);
    let ours = rows(&gym.read("reports.jsonl"));
    assert_eq!((&theirs[0]["resolved"], &ours[0]["resolved"]), (&json!(true), &json!(false)));
    assert_eq!(ours[0]["reason"]["code"], "exit_without_failure");
}

/// A row of SWE-bench 5 that expects some of the tests that a log names.
fn instance(id: &str, parser: &str, names: &[String], rng: &mut ChaCha8Rng) -> Value {
    let mut lists = [Vec::new(), Vec::new()];
    for name in names {
        let cut = name.find('[').map_or(name.as_str(), |at| &name[..=at]);
        match rng.random_range(0..6) {
            0 | 1 => lists[0].push(name.clone()),
            2 => lists[1].push(name.clone()),
            3 => lists[1].push(cut.to_owned()),
            _ => {}
        }
    }
    if rng.random_ratio(1, 20) {
        lists[1].push("never seen".into());
    }
    json!({
        "instance_id": id, "repo": "a/b", "base_commit": "", "patch": "", "problem_statement": "",
        "version": "1.0", "log_parser": format!("parse_log_{parser}"),
        "eval_type": if rng.random_ratio(1, 4) { "fail_only" } else { "pass_and_fail" },
        "FAIL_TO_PASS": lists[0], "PASS_TO_PASS": lists[1],
    })
}

/// A log with markers, mostly in order.
fn around(body: &str, rng: &mut ChaCha8Rng) -> String {
    let mut parts = vec![MARKS[0], body, "\n", MARKS[2], MARKS[4]];
    for _ in 0..rng.random_range(0..3) {
        let at = rng.random_range(0..=parts.len());
        parts.insert(at, MARKS[rng.random_range(0..MARKS.len())]);
    }
    if rng.random_ratio(1, 10) {
        parts.remove(rng.random_range(0..parts.len()));
    }
    parts.concat()
}

/// Logs with the ids and versions that choose between parsers.
fn cases(parser: &str, logs: &[String]) -> Vec<Value> {
    let ids: &[&str] = match parser {
        "jekyll" => &["jekyll__jekyll-9141", "jekyll__jekyll-8761", "jekyll__jekyll-1"],
        "immutable_js" => &["immutable-js__immutable-js-2006", "immutable-js__immutable-js-2005", "a-1"],
        _ => &["a__a-1"],
    };
    let versions: &[&str] = match parser {
        "lighthouse" => &["9.5", "3.0", "2.1", " 4", "x", "1_0", "1__0", "_9", "nan", "1e3"],
        "next" => &["1.27", "1.0"],
        _ => &["1.0"],
    };
    let case = |(number, log): (usize, &String)| {
        json!({
            "parser": format!("parse_log_{parser}"),
            "instance_id": ids[number % ids.len()],
            "version": versions[number % versions.len()],
            "log": log,
        })
    };
    logs.iter().enumerate().map(case).collect()
}

/// Compares every log; `None` when the release lacks the parser.
fn compare(edition: Edition, cases: &[Value], answers: &[Value]) -> Option<Found> {
    if answers[0] == "no such parser" {
        return None;
    }
    let mut found = Found::default();
    for (case, answer) in cases.iter().zip(answers) {
        let ours = read(case, edition);
        // Where the reference crashes, anything but a crash is better.
        if answer.is_null() {
            found.raised += 1;
            continue;
        }
        assert_eq!(&ours, answer, "{edition:?} {case:#}");
        found.agreed += 1;
        found.statuses += answer.as_array().unwrap().len();
    }
    Some(found)
}

fn read(case: &Value, edition: Edition) -> Value {
    let text = |key: &str| case[key].as_str().unwrap();
    let parser = LogParser::named(text("parser")).unwrap();
    let Ok(parser) = parser.for_instance(text("instance_id"), text("version")) else { return Value::Null };
    let map = parser.read(&mut Lines::new(&mut text("log").as_bytes()), edition);
    let word = |said: &Said| match said {
        Said::Status(status) => status.as_str().to_owned(),
        Said::Other(word) => word.clone(),
    };
    map.iter().map(|(id, said)| json!([id, word(said)])).collect()
}
