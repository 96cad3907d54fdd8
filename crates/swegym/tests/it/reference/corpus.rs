//! Logs made at random from what each parser looks for.

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Names of the reference registry, a family's name before each group, and
/// what their logs are made of: a regular expression's alternatives.
pub(crate) const PARSERS: &[(&str, &str, &str)] = &[
    ("python", "pytest", PYTEST),
    ("python", "astroid", PYTEST),
    ("python", "flask", PYTEST),
    ("python", "marshmallow", PYTEST),
    ("python", "pvlib", PYTEST),
    ("python", "pyvista", PYTEST),
    ("python", "sqlfluff", PYTEST),
    ("python", "xarray", PYTEST),
    ("python", "pytest_options", PYTEST),
    ("python", "pydicom", PYTEST),
    ("python", "requests", PYTEST),
    ("python", "pylint", PYTEST),
    ("python", "pytest_v2", PYTEST),
    ("python", "astropy", PYTEST),
    ("python", "scikit", PYTEST),
    ("python", "sphinx", PYTEST),
    ("python", "matplotlib", PYTEST),
    ("python", "seaborn", "PASSED|PASSED | PASSED |FAILED |ERROR |XFAIL|t\\.py::a|::b|\\[ 50%\\]|\n"),
    (
        "python",
        "django",
        "test_[ab] \\([a-z.]{1,5}\\)|Applying sites.0002_alter_domain_unique...test_no_migrations| \\.\\.\\. |\\.\\.\\.| \\.\\.\\. ok| \\.\\.\\. OK| \\.\\.\\.  OK| \\.\\.\\. skipped 'x'| \\.\\.\\. FAIL| \\.\\.\\. ERROR|FAIL: |ERROR: |ok|ok\n|--version is equivalent to version| \\.\\.\\. Testing against Django installed in|Testing against Django installed in x silenced\\)\\.\n| silenced\\)\\.\n|a \\.\\.\\. Internal Server Error: /x/\n|Internal Server Error: /y/|b \\.\\.\\. System check identified no issues \\(0 silenced\\)\n|System check identified no issues \\(0 silenced\\)|Docs here",
    ),
    (
        "python",
        "sympy",
        "test_[ab]|test_c ok\n|test_d F\n|test_e E\n|__ a\\.py:b __\n| ok| F| E|____ |_ | ____|sympy/x\\.py|:|test_x|\\[OK\\]|\\[FAIL\\]",
    ),
    (
        "javascript",
        "jest",
        "  ✓ adds \\(12 ms\\)\n|✕ b\n|○ skipped c\n|✓|✕|○| |name| \\(3 ms\\)| \\(1\\.2 s\\)| \\(4 m\\)| \\(5s\\)",
    ),
    ("javascript", "jest_json", "\\[PASSED\\] a b\n|\\[FAILED\\] c\n|\\[PASSED\\]|\\[FAILED\\]| |x"),
    (
        "javascript",
        "vitest",
        "✓ a > b 12ms\n|× c 3\n|↓ d \\[skipped\\]\n|✓|×|↓| |name| 4 s| 5m|\\[skipped\\]",
    ),
    (
        "javascript",
        "karma",
        "Starting browser x\n|SUMMARY:\n|  suite\n|    inner\n|    ✔ test\n|  ✖ other\n|✔|✖| |   |name|Starting browser",
    ),
    ("javascript", "tap", "ok 1 a # SKIP\n|not ok 2 b\n|ok|not ok| |3|name|#"),
    ("javascript", "immutable_js", "✓ adds \\(12 ms\\)\n|✕ b\n|\\[PASSED\\] a b\n|\\[FAILED\\] c\n|✓| |x"),
    (
        "javascript",
        "calypso",
        "\\+ \\./node_modules/\\.bin/jest a\n| \\./node_modules/\\.bin/jest |Test Suites: 1\n|  ● x\n|  suite\n|    ✓ test \\(3ms\\)\n|    ✕ other\n|      inner\n|✓|✕| |name|\\(4ms\\)",
    ),
    (
        "javascript",
        "highlightjs",
        "  suite\n|    ✓ test \\(3ms\\)\n|  ✔ other\n|  1\\) bad\n|\n  2 passing|  passing|✓|✔| |name|\\(4ms\\)|2\\)|3 passing",
    ),
    (
        "javascript",
        "prismjs",
        "\\+ \\./node_modules/\\.bin/mocha tests/run\\.js --reporter json\n\\{\"failures\": \\[\\{\"fullTitle\": \"a\"\\}\\], \"passes\": \\[\\{\"fullTitle\": \"b \\\\\"c\\\\\"\"\\}\\]\\}\n|\\./node_modules/\\.bin/mocha tests/run\\.js --reporter json|\\{\"failures\": \\[\\], \"passes\": \\[\\{\"fullTitle\": \"d\"\\}\\]\\}|\\{|\\}|x| ",
    ),
    (
        "javascript",
        "quarto_cli",
        "\\[smoke\\] > a /tmp/q1\\.qmd \\.\\.\\. \u{1b}\\[32mok\n|\\[unit\\] > b /tmp/z/f \\.\\.\\.\u{1b}\\[31mFAILED\n|\\[unit\\] > c /tmp/q1\\.qmd|\\[smoke\\]|\\[unit\\]|/tmp/b2\\.qmd|/tmp/d/|/tmp/|\\.\\.\\.|32mok|31mFAILED|34mINFO|test result:|passed|failed|steps|failures|ERROR| |name|\n",
    ),
    (
        "javascript",
        "lighthouse",
        "running 3 test files|  suite\n|    ✔ test \\(3ms\\)\n|    1\\) bad\n|  inner\n|✔|2\\)| |4 passing|PASS a\\.js \\(1\\.2 s\\)\n|FAIL b\\.js\n|\\./node_modules/\\.bin/mocha --reporter json|\"passes\": \\[|\"failures\": \\[|\"fullTitle\": \"t\",\n|\"fullTitle\": \"u\",\n|\\],|\\]",
    ),
    (
        "javascript",
        "next",
        "\\+ xvfb-run x\n| xvfb-run |Starting browser Chrome|TOTAL|  suite\n|    ✓ test\n|    ✗ other\n|ERROR| in|LOG|AssertionError: #x\n\n|\u{1b}\\[32m|✗|✓| |Running:  a\\.js \\(1 of 2\\)\n\n\n  suite two\n|    ✓ good \\(12ms\\)\n|    1\\) bad\n|name\n",
    ),
    (
        "javascript",
        "carbon",
        "PASS a\\.js \\(1\\.2 s\\)\n|FAIL b\\.js \\(5ms\\)\n|PASS|FAIL| |c\\.js| \\(3s\\)| \\(4ms\\)| \\(5\\.1 s\\)|\\(x\\)",
    ),
    (
        "javascript",
        "react_pdf",
        "PASS a\\.js \\(1\\.2 s\\)\n|FAIL b\\.js \\(5ms\\)\n|PASS|FAIL| |c\\.js| \\(3s\\)| \\(4ms\\)",
    ),
    (
        "javascript",
        "grommet",
        "PASS a\\.js \\(1\\.2 s\\)\n|FAIL b\\.js \\(5ms\\)\n|PASS|FAIL| |c\\.js| \\(3s\\)| \\(4 ms\\)",
    ),
    (
        "javascript",
        "chart_js",
        "Chrome 1\\.2 \\(Linux\\) a b FAILED\n|\u{1b}\\[31m|Chrome| 9\\.0\\.0| \\(x86_64\\)| name| FAILED|FAILED\n",
    ),
    ("javascript", "marked", "1\\) a b\n|2\\)| |name|\n3\\) "),
    (
        "javascript",
        "p5js",
        "  1\\) suite\n       inner\n         test:\n|  2\\) one:|3\\)|\n    |name|:|<a>|</a>|<b>|</b>|<|>|\\{\n|\\}\n|\\[\n|\\]\n|\\{x\\}\n|\u{1b}\\[31m",
    ),
    (
        "javascript",
        "bpmn_js",
        "2KPhantomJS 2\\.1 \\(Linux 0\\.0\\) a FAILED\n|2KPhantomJS 2\\.1 \\(Linux x86_64\\) b FAILED\n|Chrome Headless 9 \\(Linux x86_64\\) c FAILED\n|HeadlessChrome 7\\.0 \\(Linux 0\\.0\\) d FAILED\n|2KPhantomJS| 1\\.0| \\(Linux 0\\)|Chrome Headless|HeadlessChrome| \\(Linux x86_64\\)| name|FAILED\n",
    ),
    (
        "javascript",
        "openlayers",
        "Chrome Headless 9\\.0 \\(Linux x86_64\\) a FAILED\n|Chrome 9\\.1 \\(Linux 0\\.0\\) b FAILED\n|  1\\) suite\n    test:\n Error: x\n|case a/main\\.js: mismatch\n|Chrome| Headless| 1\\.0| \\(Linux q\\)| name| FAILED\n|  2\\)|Error:|\ncase |: mismatch",
    ),
    (
        "javascript",
        "eslint",
        "  1\\) suite\n    test:\n   AssertionError: x\n|  2\\)|3\\)| name|\n|     |Error|TypeError| {2}",
    ),
    (
        "go",
        "gotest",
        "--- PASS: TestA/b \\(0\\.00s\\)\n|--- FAIL: TestB \\(1s\\)\n|--- |PASS|FAIL|SKIP|: |TestA|/sub|\\(0\\.00s\\)| \\(|\\)|ok  pkg",
    ),
    (
        "rust",
        "cargo",
        "test a::b \\.\\.\\. ok\n|test c \\.\\.\\. FAILED\n|test |tests::a|b::c| \\.\\.\\. |\\.\\.\\.|ok|FAILED|ignored| - should panic|src/lib.rs",
    ),
    (
        "java",
        "maven",
        "-Dtest=E#f x\n|BUILD SUCCESS\n|\\+ mvn |-Dtest=|A#b|C#d|\\[INFO\\] |BUILD SUCCESS|BUILD FAILURE|-DskipX",
    ),
    ("java", "ant", "\\[junit\\] \\[PASS\\] a b\n|\\[junit\\]|\\[PASS\\]|\\[FAIL\\]|\\[ERR\\]|a\\.B|test c"),
    (
        "java",
        "gradle_custom",
        "g\\.H > i PASSED\n|> Task |a\\.B > c|d\\.E > f\\(\\)| PASSED| FAILED|PASSED|FAILED|warning: x",
    ),
    (
        "php",
        "phpunit",
        "Name Here \\(A\\\\B\\)\n| ✔ Works\n|Name Here| \\(A\\\\B\\)|✔|✘|↩| Does a thing|é|\\(\\)",
    ),
    ("ruby", "minitest", "A#b\\. = 0 s = \\.\n|TestA#test_b|\\. | = 0\\.00 s = |=|\\.|F|E|S"),
    ("ruby", "cucumber", "Feature one \\.\\.F\n|Feature one| \\.|\\.|F|-"),
    ("ruby", "ruby_unit", "test: a: \\.: \\(0\\.1\\)\n|test: | name|: |:|\\.|E|F|O|Each|\\(0\\.1\\)"),
    ("ruby", "rspec_transformed_json", "A does c - passed\n|A does b| - |passed|failed|pending|-"),
    (
        "ruby",
        "jekyll",
        "A#b\\. = 0 s = \\.\n|Feature \\.\n|TestA#test_b|\\. | = 0\\.00 s = |=|\\.|F|E|Feature one| \\.",
    ),
    (
        "c",
        "redis",
        "\\[ok\\]: a b \\(12 ms\\)\n|\\[err\\]: c in tests/x\\.tcl\n|\\[ok\\]|\\[err\\]|\\[skip\\]|\\[ignore\\]|: |:|name here| in tests/x\\.tcl| \\(12 ms\\)| \\(3 s\\)| \\(1\\.2 s\\)",
    ),
    ("c", "jq", "PASS: tests/b c\n|PASS|FAIL|: |tests/a|test b"),
    ("c", "micropython_test", "pass  basics/y\\.py\n|FAIL  a b\n|pass|FAIL|skip| |basics/x\\.py|done"),
    (
        "c",
        "googletest",
        "\\[       OK \\] s\\.t \\(0 ms\\)\n|\\[ RUN      \\]|\\[       OK \\]|\\[  FAILED  \\]| |suite\\.test| \\(0 ms\\)|\\(1\\)|OK",
    ),
    (
        "c",
        "doctest",
        "<doctest binary=\"x\">|</doctest>|<TestCase name=\"a &lt;b\">|</TestCase>|<SubCase name=\"s\">|<SubCase>|</SubCase>|<Expression success=\"true\"/>|<Expression success=\"false\"><Original>x</Original></Expression>|<TestCase name=\"one\"><SubCase name=\"two\"><SubCase name=\"three\"><Expression success=\"false\"/></SubCase></SubCase></TestCase>|<doctest><TestSuite><TestCase name=\"q\"><SubCase name=\"r\"/></TestCase></TestSuite></doctest>",
    ),
];

const PYTEST: &str = "PASSED t\\.py::c\n|PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|ERROR:| |t\\.py::a|::b|\\[x y\\]|\\[/a/b\\]|\\[//h\\]|\\[/a\\*/b\\]| - why - not| - |\\[1\\]|\\[100%\\]|\\[32m|\u{1b}\\[0m|MouseButton\\.LEFT|MouseButton\\.RIGHT|assert 1";

/// Everything that ends or blanks a line in Python.
const BREAKS: &str = "\n|\n|\n|\r\n|\r| |\t|\u{1c}|\u{85}|\u{a0}|\u{2028}";

/// `count` logs for one kind, always the same for a seed.
pub(crate) fn logs(pieces: &str, seed: u64, count: usize) -> Vec<String> {
    let strategy = proptest::string::string_regex(&format!("(({pieces})|({BREAKS})){{0,30}}")).unwrap();
    let mut key = [7; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &key));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut logs: Vec<String> = Vec::with_capacity(count);
    for _ in 0..count {
        let log = strategy.new_tree(&mut runner).unwrap().current();
        let log = mutate(log, logs.choose(&mut rng), &mut rng);
        logs.push(log);
    }
    logs
}

/// What becomes of logs on their way: cut short, torn into another, coloured,
/// with progress bars and long lines. Half of them stay as they are.
fn mutate(mut log: String, other: Option<&String>, rng: &mut ChaCha8Rng) -> String {
    let cut = |text: &str, rng: &mut ChaCha8Rng| {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        *places.choose(rng).unwrap()
    };
    match rng.random_range(0..12) {
        0 => log.truncate(cut(&log, rng)),
        1 => log.insert_str(cut(&log, rng), other.map_or("", String::as_str)),
        2 => {
            let mut lines: Vec<&str> = log.split('\n').collect();
            for line in other.map_or("", String::as_str).split('\n') {
                lines.insert(rng.random_range(0..=lines.len()), line);
            }
            log = lines.join("\n");
        }
        3 => log.insert_str(cut(&log, rng), "\u{1b}[31m"),
        4 => log = log.replace('\n', "\r\n"),
        5 => log.insert_str(cut(&log, rng), &"x".repeat(rng.random_range(1..5000))),
        _ => {}
    }
    log
}
