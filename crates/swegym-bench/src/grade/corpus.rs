//! Generated logs in the style of test runners: a few hundred tests among other output.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use swegym_console::error::CommandError;

/// Tests in a log, as SWE-bench has them in the mean (reference/swe-gym.md,
/// section 1.4), and lines of other output after each.
const TESTS: usize = 132;
const NOISE: usize = 10;

/// A runner's format: the parser's name, and a test's lines and id.
pub(super) type Format = (&'static str, fn(usize) -> (String, String));

/// Formats by family of languages.
pub(super) const FAMILIES: [(&str, &[Format]); 8] = [
    ("python", &[("pytest", pytest), ("scikit", pytest), ("django", django), ("sympy", sympy)]),
    ("javascript", &[("jest", jest), ("tap", tap), ("carbon", carbon), ("calypso", calypso)]),
    ("go", &[("gotest", go)]),
    ("rust", &[("cargo", cargo)]),
    ("java", &[("gradle_custom", gradle), ("maven", maven)]),
    ("php", &[("phpunit", phpunit)]),
    ("ruby", &[("ruby_unit", ruby_unit), ("rspec_transformed_json", rspec)]),
    ("c", &[("redis", redis), ("googletest", googletest)]),
];

fn pytest(n: usize) -> (String, String) {
    let id = format!("tests/unit/test_module_{}.py::TestThing::test_case_{n}[value-{n}]", n % 7);
    (format!("PASSED {id}"), id)
}

fn django(n: usize) -> (String, String) {
    let id = format!("test_case_{n} (app.tests.test_module_{}.ThingTests)", n % 7);
    (format!("{id} ... ok"), id)
}

fn sympy(n: usize) -> (String, String) {
    (format!("test_case_{n} ok"), format!("test_case_{n}"))
}

fn jest(n: usize) -> (String, String) {
    let id = format!("does thing number {n} as it should");
    (format!("    ✓ {id} ({} ms)", n % 50), id)
}

fn tap(n: usize) -> (String, String) {
    let id = format!("Module{} > thing {n}", n % 7);
    (format!("ok {n} {id}"), id)
}

fn carbon(n: usize) -> (String, String) {
    let id = format!("packages/components/src/thing-{n}/thing-test.js");
    (format!("PASS {id} (5.{} s)", n % 10), id)
}

fn calypso(n: usize) -> (String, String) {
    let head = if n == 0 { "+ ./node_modules/.bin/jest client\n" } else { "" };
    let id = format!("Suite {n} - does thing number {n}");
    (format!("{head}  Suite {n}\n    ✓ does thing number {n} ({}ms)", n % 50), id)
}

fn go(n: usize) -> (String, String) {
    let id = format!("TestThing/case_{n}");
    (format!("=== RUN   {id}\n    --- PASS: {id} (0.0{}s)", n % 10), id)
}

fn cargo(n: usize) -> (String, String) {
    let id = format!("module_{}::tests::case_{n}", n % 7);
    (format!("test {id} ... ok"), id)
}

fn gradle(n: usize) -> (String, String) {
    let id = format!("org.example.ThingTest > case{n}()");
    (format!("{id} PASSED"), id)
}

fn maven(n: usize) -> (String, String) {
    let id = format!("org.example.ThingTest#case{n}");
    (format!("+ mvn test -B -Dtest={id}\n[INFO] BUILD SUCCESS"), id)
}

fn phpunit(n: usize) -> (String, String) {
    let head = if n.is_multiple_of(20) {
        format!("Thing {} (Tests\\Thing{})\n", n / 20, n / 20)
    } else {
        String::new()
    };
    (format!("{head} ✔ Does thing number {n}"), format!("Thing {} > Does thing number {n}", n / 20))
}

fn ruby_unit(n: usize) -> (String, String) {
    let id = format!("does thing number {n}");
    (format!("  test: {id}:\t.: (0.00{})", n % 10), id)
}

fn rspec(n: usize) -> (String, String) {
    let id = format!("Thing does number {n} as it should");
    (format!("{id} - passed"), id)
}

fn redis(n: usize) -> (String, String) {
    let id = format!("Thing number {n} works");
    (format!("[ok]: {id} ({} ms)", n % 50), id)
}

fn googletest(n: usize) -> (String, String) {
    let id = format!("thing_test.case_{n}");
    (format!("[ RUN      ] {id}\n[       OK ] {id} ({} ms)", n % 50), id)
}

/// Writes the logs of a family; gives instances with their logs.
pub(super) fn write(
    folder: &Path,
    family: &str,
    formats: &[Format],
    logs: usize,
) -> Result<Vec<Value>, CommandError> {
    let mut inputs = Vec::new();
    for number in 0..logs {
        let (parser, test) = formats[number % formats.len()];
        let mut log =
            "+ git apply -v -\nApplied patch test.patch cleanly.\n+ : '>>>>> Start Test Output'\n".to_owned();
        let mut ids = Vec::new();
        for n in 0..TESTS {
            let (lines, id) = test(n);
            log.push_str(&lines);
            log.push('\n');
            ids.push(id);
            for line in 0..NOISE {
                log.push_str(&format!("at module/file_{line}.ext:{n}: a warning that has little to say\n"));
            }
        }
        log.push_str("+ : '>>>>> End Test Output'\n>>>>> Test Exit Code: 0\n");
        let id = format!("{family}__{parser}-{number}");
        let path = folder.join(format!("{id}.txt"));
        fs::write(&path, log)?;
        let held = ids.split_off(3);
        inputs.push(json!({
            "log": path,
            "instance": {
                "instance_id": id, "repo": "a/b", "version": "1.0", "log_parser": format!("parse_log_{parser}"),
                "eval_type": "pass_and_fail", "FAIL_TO_PASS": ids, "PASS_TO_PASS": held,
            },
        }));
    }
    Ok(inputs)
}
