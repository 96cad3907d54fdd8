//! Signs in a log that the environment broke (swebench 5.0.2,
//! `infra_failure`; reference/grading.md, section 4.6). They are advice: a
//! verdict never depends on them.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use crate::lines::Lines;

/// How sure a sign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// No change of source code plausibly does this.
    Environment,
    /// A broken environment or a bad answer.
    Ambiguous,
}

/// One sign that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// Its code, the reference's reason.
    pub reason: &'static str,
    /// How sure it is.
    pub tier: Tier,
}

/// In the order in which they count.
const SIGNS: [(&str, Tier, &str); 8] = [
    ("browser_launch_failed", Tier::Environment, r"Failed to launch|Failed to connect to the bus"),
    (
        "display_unavailable",
        Tier::Environment,
        r"cannot open display|Missing X server|unable to open X display",
    ),
    ("out_of_memory", Tier::Environment, r"(?m)Cannot allocate memory|OutOfMemoryError|^Killed$"),
    (
        "container_unavailable",
        Tier::Environment,
        r"Error response from daemon|Cannot connect to the Docker daemon",
    ),
    (
        "network_unreachable",
        Tier::Environment,
        r"Could not resolve host|Temporary failure in name resolution",
    ),
    ("missing_module", Tier::Ambiguous, r"Cannot find module|MODULE_NOT_FOUND|ModuleNotFoundError"),
    ("no_tests_collected", Tier::Ambiguous, r"no tests ran|collected 0 items"),
    ("tests_timed_out", Tier::Ambiguous, r"Timeout error: \d+ seconds exceeded"),
];

/// The first sign in a log.
#[must_use]
pub fn classify(lines: &mut Lines<'_>) -> Option<Sign> {
    #[expect(clippy::expect_used, reason = "constants that a test compiles")]
    static SET: LazyLock<RegexSet> =
        LazyLock::new(|| RegexSet::new(SIGNS.map(|(.., pattern)| pattern)).expect("valid patterns"));
    let mut best: Option<usize> = None;
    while let Some(block) = lines.block() {
        best = SET.matches(block).iter().chain(best).min();
    }
    best.map(|at| Sign { reason: SIGNS[at].0, tier: SIGNS[at].1 })
}

/// Whether a runner counted tests that ran. A log that names no test is a
/// result only then: with runners that name failures only, silence is success.
#[must_use]
pub fn suite_ran(lines: &mut Lines<'_>) -> bool {
    static RAN: LazyLock<Regex> = LazyLock::new(|| {
        crate::parser::pattern(
            r"(?mx) Executed\ [1-9]\d*\ of\ \d+ | TOTAL:\ [1-9]\d*\ (?:SUCCESS|FAILED) | [1-9]\d*\ passing
            | Tests:\s+[1-9]\d* | Test\ Suites:\s+(?:\d+\ \w+,\ )*[1-9]\d*\ total | ^\#\ tests\ [1-9]\d*
            | [1-9]\d*\ specs?,\ \d+\ failures? | ':\ ok$",
        )
    });
    while let Some(block) = lines.block() {
        if RAN.is_match(block) {
            return true;
        }
    }
    false
}

/// What a runner counts in its last line, which it has also where no test is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The runner.
    pub runner: &'static str,
    /// What it counts, in its words.
    pub said: String,
    /// How it is told to name its tests.
    pub naming: &'static str,
}

/// The last line of a runner that may end without having named a test, without rules
/// and colours.
#[must_use]
pub fn summary(lines: &mut Lines<'_>) -> Option<Summary> {
    static SUMMARY: LazyLock<Regex> = LazyLock::new(|| {
        crate::parser::pattern(
            r"(?mx) ^(?:\x1b\[[\d;]*m|[=\ ])* (?P<said> (?: (?:\x1b\[[\d;]*m)* \d+\ [a-z]+ (?:\x1b\[[\d;]*m)* (?:,\ )? )+
            |no\ tests\ ran) (?:\x1b\[[\d;]*m|\ )*in\ \d+(?:\.\d+)?\ ?s
            |^(?:\x1b\[[\d;]*m)* (?P<phpunit> OK\ \(\d+\ tests?,\ \d+\ assertions?\)
            |Tests:\ \d+,\ Assertions:\ \d+(?:,\ [A-Z][A-Za-z\ ]*:\ \d+)* | No\ tests\ executed!)",
        )
    });
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| crate::parser::pattern(r"\x1b\[[\d;]*m"));
    while let Some(block) = lines.block() {
        if let Some(found) = SUMMARY.captures(block) {
            let of = |runner, said: &str, naming| {
                let said = COLOUR.replace_all(said, "").trim().to_owned();
                Some(Summary { runner, said, naming })
            };
            return match found.name("said") {
                Some(said) => of("pytest", said.as_str(), "run pytest with -rA, which names every test"),
                None => {
                    of("PHPUnit", &found["phpunit"], "run PHPUnit with --testdox, which names every test")
                }
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_which_a_runner_ends_is_known() {
        let said = |text: &str| summary(&mut Lines::new(&mut text.as_bytes())).map(|summary| summary.said);
        for (text, summary) in [
            ("...  [100%]\n3 passed in 0.01s\n", "3 passed"),
            (
                "===== 1 failed, 3 passed, 2 warnings in 1.20s (0:00:01) =====",
                "1 failed, 3 passed, 2 warnings",
            ),
            ("= no tests ran in 0.00s =", "no tests ran"),
            ("\x1b[32m\x1b[32m\x1b[1m3 passed\x1b[0m\x1b[32m in 0.02s\x1b[0m\x1b[0m", "3 passed"),
            ("=== 3 passed in 0.12 seconds ===", "3 passed"),
            ("1 error in 0.05s", "1 error"),
            (".....  5 / 5 (100%)\n\nOK (5 tests, 1 assertion)\n", "OK (5 tests, 1 assertion)"),
            (
                "\x1b[30;42mTests: 5, Assertions: 4, PHPUnit Warnings: 1, Skipped: 1.\x1b[0m",
                "Tests: 5, Assertions: 4, PHPUnit Warnings: 1, Skipped: 1",
            ),
            ("No tests executed!", "No tests executed!"),
        ] {
            assert_eq!(said(text).as_deref(), Some(summary), "{text}");
        }
        for text in [
            "Tests: 5 passed",
            "OK (skipped=1)",
            "3 passed",
            "passed in 3s",
            "it took 3 passed in 1s",
            "",
            "Killed",
        ] {
            assert_eq!(said(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_sign_in_order_counts() {
        let sign = |text: &str| classify(&mut Lines::new(&mut text.as_bytes())).map(|s| s.reason);
        assert_eq!(sign("collected 0 items\nx\nKilled\n"), Some("out_of_memory"));
        assert_eq!(sign("was Killed\n\n\nTimeout error: 1800 seconds exceeded."), Some("tests_timed_out"));
        assert_eq!(sign("all is well"), None);
    }

    #[test]
    fn zero_counts_are_no_sign_of_life() {
        let ran = |text: &str| suite_ran(&mut Lines::new(&mut text.as_bytes()));
        for text in [
            "Executed 3 of 4",
            "TOTAL: 1 SUCCESS",
            "Test Suites: 2 failed, 12 total",
            "x\n# tests 3",
            "1 spec, 0 failures",
            "a': ok\n",
        ] {
            assert!(ran(text), "{text}");
        }
        for text in ["Executed 0 of 0", "0 passing", "Tests: 0", "a # tests 3", "': okay", ""] {
            assert!(!ran(text), "{text}");
        }
    }
}
