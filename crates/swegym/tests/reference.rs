//! Our log parsers against the reference's, on logs made at random from what
//! each parser looks for. The reference is fetched from the package index as a
//! wheel and read from it; nothing of it is installed.

mod common;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use swegym_grade::LogParser;
use swegym_grade::parser::Said;
use swegym_tasks::index::Index;

/// Logs for each parser.
const LOGS: usize = 300;

/// Names of the reference registry and what their logs are made of.
const PARSERS: &[(&str, &str)] = &[
    ("pytest", PYTEST),
    ("astroid", PYTEST),
    ("pytest_options", PYTEST),
    ("pylint", PYTEST),
    ("pytest_v2", PYTEST),
    ("scikit", PYTEST),
    ("seaborn", "PASSED|PASSED | PASSED |FAILED |ERROR |XFAIL|t\\.py::a|::b|\\[ 50%\\]|\n"),
    ("matplotlib", PYTEST),
    (
        "django",
        "test_[ab] \\([a-z.]{1,5}\\)|Applying sites.0002_alter_domain_unique...test_no_migrations| \\.\\.\\. |\\.\\.\\.| \\.\\.\\. ok| \\.\\.\\. OK| \\.\\.\\.  OK| \\.\\.\\. skipped 'x'| \\.\\.\\. FAIL| \\.\\.\\. ERROR|FAIL: |ERROR: |ok|--version is equivalent to version|Testing against Django installed in | silenced\\)\\.\\\n|Internal Server Error: /x/|System check identified no issues \\(0 silenced\\)|Docs here",
    ),
    (
        "sympy",
        "test_[ab]|test_c ok\\n|test_d F\\n|test_e E\\n|__ a\\.py:b __\\n| ok| F| E|____ |_ | ____|sympy/x\\.py|:|test_x|\\[OK\\]",
    ),
    (
        "gotest",
        "--- PASS: TestA/b \\(0\\.00s\\)\n|--- FAIL: TestB \\(1s\\)\n|--- |PASS|FAIL|SKIP|: |TestA|/sub|\\(0\\.00s\\)| \\(|\\)|ok  pkg",
    ),
    (
        "cargo",
        "test a::b \\.\\.\\. ok\n|test c \\.\\.\\. FAILED\n|test |tests::a|b::c| \\.\\.\\. |\\.\\.\\.|ok|FAILED|ignored| - should panic|src/lib.rs",
    ),
    (
        "maven",
        "-Dtest=E#f x\n|BUILD SUCCESS\n|\\+ mvn |-Dtest=|A#b|C#d|\\[INFO\\] |BUILD SUCCESS|BUILD FAILURE|-DskipX",
    ),
    ("ant", "\\[junit\\] \\[PASS\\] a b\n|\\[junit\\]|\\[PASS\\]|\\[FAIL\\]|\\[ERR\\]|a\\.B|test c"),
    ("gradle_custom", "> Task |a\\.B > c|d\\.E > f\\(\\)| PASSED| FAILED|PASSED|FAILED|warning: x"),
    ("phpunit", "Name Here| \\(A\\\\B\\)|✔|✘|↩| Does a thing|é|\\(\\)"),
    ("minitest", "TestA#test_b|\\. | = 0\\.00 s = |=|\\.|F|E|S"),
    ("cucumber", "Feature one| \\.|\\.|F|-"),
    ("ruby_unit", "test: | name|: |:|\\.|E|F|O|Each|\\(0\\.1\\)"),
    ("rspec_transformed_json", "A does c - passed\n|A does b| - |passed|failed|pending|-"),
    ("jekyll", "A#b\\. = 0 s = \\.\n|TestA#test_b|\\. | = 0\\.00 s = |=|\\.|F|E|Feature one| \\."),
    (
        "redis",
        "\\[ok\\]: a b \\(12 ms\\)\n|\\[err\\]: c in tests/x\\.tcl\n|\\[ok\\]|\\[err\\]|\\[skip\\]|\\[ignore\\]|: |:|name here| in tests/x\\.tcl| \\(12 ms\\)| \\(3 s\\)| \\(1\\.2 s\\)",
    ),
    ("jq", "PASS: tests/b c\n|PASS|FAIL|: |tests/a|test b"),
    ("micropython_test", "pass  basics/y\\.py\n|FAIL  a b\n|pass|FAIL|skip| |basics/x\\.py|done"),
    (
        "googletest",
        "\\[       OK \\] s\\.t \\(0 ms\\)\n|\\[ RUN      \\]|\\[       OK \\]|\\[  FAILED  \\]| |suite\\.test| \\(0 ms\\)|\\(1\\)|OK",
    ),
    (
        "doctest",
        "<doctest binary=\"x\">|</doctest>|<TestCase name=\"a &lt;b\">|</TestCase>|<SubCase name=\"s\">|<SubCase>|</SubCase>|<Expression success=\"true\"/>|<Expression success=\"false\"><Original>x</Original></Expression>|<TestCase name=\"one\"><SubCase name=\"two\"><SubCase name=\"three\"><Expression success=\"false\"/></SubCase></SubCase></TestCase>|<doctest><TestSuite><TestCase name=\"q\"><SubCase name=\"r\"/></TestCase></TestSuite></doctest>",
    ),
];

const PYTEST: &str = "PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|ERROR:| |t\\.py::a|::b|\\[x y\\]|\\[/a/b\\]|\\[//h\\]|\\[/a\\*/b\\]| - why - not|\\[1\\]|\\[100%\\]|\\[32m|\u{1b}\\[0m|MouseButton\\.LEFT|MouseButton\\.RIGHT|assert 1";

#[test]
fn log_parsers_say_what_the_reference_says() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = fetch_reference(folder.path());
    let mut cases = Vec::new();
    for (at, (parser, pieces)) in PARSERS.iter().enumerate() {
        // Lines of such pieces, and everything that ends or blanks a line in Python.
        let breaks = "\n|\n|\n|\r\n|\r| |\t|\u{1c}|\u{85}|\u{a0}";
        let strategy = proptest::string::string_regex(&format!("(({pieces})|({breaks})){{0,30}}")).unwrap();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[at as u8 + 1; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        for number in 0..LOGS {
            let log = strategy.new_tree(&mut runner).unwrap().current();
            let ids = ["jekyll__jekyll-9141", "jekyll__jekyll-8761", "jekyll__jekyll-1"];
            cases.push(json!({
                "parser": format!("parse_log_{parser}"), "instance_id": ids[number % 3], "log": log,
            }));
        }
    }
    let answers = ask(&wheel, &cases);
    assert_eq!(answers.len(), cases.len());
    let mut entries = std::collections::HashMap::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let ours = read(case);
        // Where the reference crashes, anything but a crash is better.
        if !answer.is_null() {
            assert_eq!(&ours, answer, "{case:#}");
            *entries.entry(case["parser"].as_str().unwrap()).or_insert(0) += ours.as_array().unwrap().len();
        }
    }
    // A corpus that says nothing would agree with everything.
    for (parser, _) in PARSERS {
        let found = entries.get(format!("parse_log_{parser}").as_str()).copied().unwrap_or(0);
        assert!(found > 30, "{parser}: only {found} statuses in {LOGS} logs");
    }
}

fn read(case: &Value) -> Value {
    let parser = LogParser::named(case["parser"].as_str().unwrap()).unwrap();
    let Ok(parser) = parser.for_instance(case["instance_id"].as_str().unwrap()) else { return Value::Null };
    let map = parser.parse(case["log"].as_str().unwrap());
    let word = |said: Said| match said {
        Said::Status(status) => status.as_str().to_owned(),
        Said::Other(word) => word,
    };
    map.into_iter().map(|(id, said)| json!([id, word(said)])).collect()
}

#[expect(clippy::disallowed_methods, reason = "the index that pip would use")]
fn fetch_reference(folder: &Path) -> PathBuf {
    let url = std::env::var("PIP_INDEX_URL").unwrap_or_else(|_| "https://pypi.org/simple".into());
    let index = Index::new(&url, None);
    let files = index.files("swebench").unwrap();
    let release = files.iter().find(|f| f.filename == "swebench-5.0.2-py3-none-any.whl").unwrap();
    let wheel = folder.join(&release.filename);
    fs::write(&wheel, index.download(release).unwrap()).unwrap();
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
