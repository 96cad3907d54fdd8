//! Repeats of one test as statistics.

use indexmap::IndexMap;

use crate::parser::StatusMap;

/// How one test fared in several runs of the same code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs in which it passed.
    pub passed: u32,
    /// Runs.
    pub runs: u32,
}

impl Tally {
    /// Neither always nor never.
    #[must_use]
    pub fn is_flaky(self) -> bool {
        self.passed > 0 && self.passed < self.runs
    }

    /// Upper bound of the rate at which the other outcome could still come,
    /// at 95 %, after runs that all agreed: 1 - 0.05^(1/n). Three runs bound
    /// it below 63 %, 59 runs below 5 % (reference/environments.md, section 8).
    #[must_use]
    pub fn flake_rate_bound(self) -> f64 {
        if self.runs == 0 || self.is_flaky() {
            return 1.0;
        }
        1.0 - 0.05_f64.powf(1.0 / f64::from(self.runs))
    }
}

/// Counts every test over all runs; a test that a run does not name did not pass in it.
#[must_use]
pub fn tally(runs: &[StatusMap]) -> IndexMap<String, Tally> {
    let mut all: IndexMap<String, Tally> = IndexMap::new();
    for id in runs.iter().flat_map(StatusMap::keys) {
        all.entry(id.to_owned()).or_insert(Tally { passed: 0, runs: runs.len() as u32 });
    }
    for run in runs {
        for (id, said) in run.iter() {
            if said.status().is_some_and(|s| s.is_pass())
                && let Some(tally) = all.get_mut(id)
            {
                tally.passed += 1;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogParser;

    #[test]
    fn a_test_that_a_run_does_not_name_did_not_pass() {
        let runs = ["PASSED a\nPASSED b\n", "PASSED a\n", "PASSED a\nFAILED b\nFAILED c\n"];
        let tallies = tally(&runs.map(|l| LogParser::Pytest.parse(l)));
        assert_eq!(tallies["a"], Tally { passed: 3, runs: 3 });
        assert!(tallies["b"].is_flaky() && !tallies["c"].is_flaky());
        assert!((tallies["a"].flake_rate_bound() - 0.632).abs() < 0.001);
    }
}
