//! Our log parsers against the reference's, on random and mutated logs. The
//! reference is fetched from the package index as a wheel and read from it;
//! nothing of it is installed.
//!
//! `SWEGYM_REFERENCE_LOGS=10000 cargo test --release -p swegym --test reference`
//! is the long form; `INSTA_UPDATE=always` with it writes docs/conformance.md.

mod common;
#[path = "reference/corpus.rs"]
mod corpus;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use swegym_grade::LogParser;
use swegym_grade::lines::Lines;
use swegym_grade::parser::{Edition, Said};
use swegym_tasks::index::Index;

/// Releases of the reference, oldest last.
const RELEASES: [(&str, Edition); 4] =
    [("5.0.2", Edition::V5), ("4.1.0", Edition::V4), ("2.1.8", Edition::V2), ("1.1.5", Edition::V1)];

/// Logs for each parser, where the environment does not say.
const LOGS: usize = 120;

#[test]
#[expect(clippy::disallowed_methods, reason = "the one knob of this test")]
fn log_parsers_say_what_the_reference_says() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::env::var("SWEGYM_REFERENCE_LOGS").map_or(LOGS, |n| n.parse().unwrap());
    let numbered = corpus::PARSERS.iter().enumerate();
    let cases: Vec<Vec<Value>> = numbered
        .map(|(number, (_, parser, pieces))| cases(parser, &corpus::logs(pieces, number as u64, count)))
        .collect();
    for (release, edition) in RELEASES {
        let wheel = fetch_reference(folder.path(), release);
        let answers = ask(&wheel, &cases.concat());
        assert_eq!(answers.len(), cases.len() * count);
        for (cases, answers) in cases.iter().zip(answers.chunks(count)) {
            let found = compare(edition, cases, answers);
            // A corpus that says nothing would agree with everything.
            assert!(found.is_none_or(|found| found > count / 20), "{}: {found:?}", cases[0]["parser"]);
        }
    }
}

/// Logs with the ids and versions that choose between parsers.
fn cases(parser: &str, logs: &[String]) -> Vec<Value> {
    let ids: &[&str] = match parser {
        "jekyll" => &["jekyll__jekyll-9141", "jekyll__jekyll-8761", "jekyll__jekyll-1"],
        "immutable_js" => &["immutable-js__immutable-js-2006", "immutable-js__immutable-js-2005", "a-1"],
        _ => &["a__a-1"],
    };
    let versions: &[&str] = match parser {
        "lighthouse" => &["9.5", "3.0", "2.1", " 4", "x"],
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

/// How many statuses the logs have; `None` when the release lacks the parser.
fn compare(edition: Edition, cases: &[Value], answers: &[Value]) -> Option<usize> {
    if answers[0] == "no such parser" {
        return None;
    }
    let mut found = 0;
    for (case, answer) in cases.iter().zip(answers) {
        // Where the reference crashes, anything but a crash is better.
        let ours = read(case, edition);
        if !answer.is_null() {
            assert_eq!(&ours, answer, "{edition:?} {case:#}");
            found += answer.as_array().unwrap().len();
        }
    }
    Some(found)
}

fn read(case: &Value, edition: Edition) -> Value {
    let text = |key: &str| case[key].as_str().unwrap();
    let parser = LogParser::named(text("parser")).unwrap();
    let Ok(parser) = parser.for_instance(text("instance_id"), text("version")) else { return Value::Null };
    let map = parser.read(&mut Lines::new(&mut text("log").as_bytes()), edition);
    let word = |said: Said| match said {
        Said::Status(status) => status.as_str().to_owned(),
        Said::Other(word) => word,
    };
    map.into_iter().map(|(id, said)| json!([id, word(said)])).collect()
}

#[expect(clippy::disallowed_methods, reason = "the index that pip would use")]
fn fetch_reference(folder: &Path, release: &str) -> PathBuf {
    let url = std::env::var("PIP_INDEX_URL").unwrap_or_else(|_| "https://pypi.org/simple".into());
    let index = Index::new(&url, None);
    let files = index.files("swebench").unwrap();
    let name = format!("swebench-{release}-py3-none-any.whl");
    let file = files.iter().find(|f| f.filename == name).unwrap();
    let wheel = folder.join(name);
    fs::write(&wheel, index.download(file).unwrap()).unwrap();
    wheel
}

#[expect(clippy::disallowed_methods, reason = "the reference is a program of the host")]
fn ask(wheel: &Path, cases: &[Value]) -> Vec<Value> {
    let mut child = Command::new("python3")
        .args(["-c", include_str!("reference/parse.py")])
        .arg(wheel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = cases.iter().map(|c| format!("{c}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    common::rows(&String::from_utf8(output.stdout).unwrap())
}
