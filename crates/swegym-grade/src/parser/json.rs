//! Results that are JSON already.

use serde_json::Value;

use super::{Said, StatusMap};
use crate::lines::Lines;

/// `{"tests": [{"name", "status"}]}`, as SWE-bench Pro's own parsers leave it
/// (reference/environments.md, section 1.10). Anything else says nothing.
pub(super) fn pro(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    let output: Value = swegym_core::json::from_str(&text).unwrap_or_default();
    for test in output["tests"].as_array().into_iter().flatten() {
        if let (Some(name), Some(status)) = (test["name"].as_str(), test["status"].as_str()) {
            map.say(name, Said::of(status));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    #[test]
    fn half_a_surrogate_pair_costs_one_character_and_no_test() {
        let tests =
            r#"{"tests": [{"name": "a \ud83d b", "status": "PASSED"}, {"name": "c", "status": "FAILED"}]}"#;
        let names = |parser: LogParser, log: &str| -> Vec<String> {
            parser.parse(log).iter().map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(LogParser::Pro, tests), ["a \u{fffd} b", "c"]);
        let mocha = "./node_modules/.bin/mocha tests/run.js --reporter json\n{\"passes\": [{\"fullTitle\": \"a \\udc00\"}], \"failures\": [{\"fullTitle\": \"b\"}]}\n";
        assert_eq!(names(LogParser::Prismjs, mocha), ["b", "a \u{fffd}"]);
    }
}
