//! JUnit XML, the second witness: one case a test, written by the runner where
//! nothing a test prints can get into it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use swegym_core::TestStatus;
use thiserror::Error;

/// Largest results that are read, in bytes: a hundred thousand tests have less.
pub const LARGEST: u64 = 32 << 20;

/// One `<testcase>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Dotted module and class.
    pub classname: String,
    /// Function with parameters.
    pub name: String,
    /// The worst that the child elements say; none is a pass. A test with subtests
    /// has a child for each of them that failed or was skipped.
    pub status: TestStatus,
    /// The `message` attribute of the failure.
    pub message: String,
    /// The text of the failure: a traceback.
    pub text: String,
    /// The names of the suites around it, outermost first.
    pub suites: Vec<String>,
    /// Whether its suite counts more tests than it has cases: then there were
    /// subtests, and what was skipped may be one of them.
    pub may_have_subtests: bool,
    /// How long it took, if the file says it.
    pub milliseconds: Option<u64>,
    /// How much memory its process had at most, in MiB: no runner says it, but our launcher
    /// where it is asked.
    pub mebibytes: Option<u64>,
}

/// Why a file is no JUnit XML.
#[derive(Debug, Error)]
pub enum JunitError {
    /// Not XML.
    #[error("not well-formed XML at byte {at}")]
    Xml {
        /// Offset of the trouble.
        at: u64,
        /// The XML reader's word.
        #[source]
        source: quick_xml::Error,
    },
    /// XML of something else, or cut.
    #[error("the file ends inside an element")]
    Cut,
}

/// Reads every case, in order. A test that is reported twice (a call and a
/// tear-down) appears twice.
///
/// # Errors
/// When the text is not well-formed, or ends early.
pub fn read(text: &str) -> Result<Vec<Case>, JunitError> {
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    let mut depth = 0u32;
    loop {
        let event =
            reader.read_event().map_err(|source| JunitError::Xml { at: reader.error_position(), source })?;
        match event {
            Event::Start(tag) => {
                depth += 1;
                document.open(&tag);
            }
            Event::Empty(tag) => {
                document.open(&tag);
                document.close(tag.local_name().as_ref());
            }
            Event::Text(part) => document.add_text(&part),
            Event::CData(part) => document.add_text(&part),
            Event::GeneralRef(name) => document.add_text(&resolve(&name)),
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                document.close(tag.local_name().as_ref());
            }
            Event::Eof if depth > 0 => return Err(JunitError::Cut),
            Event::Eof => return Ok(document.cases),
            _ => {}
        }
    }
}

/// What was read of a file so far.
#[derive(Default)]
struct Document {
    cases: Vec<Case>,
    /// The suites around what is read.
    suites: Vec<Suite>,
    /// The cases around it: one, and more only where something is wrong.
    open: Vec<Case>,
    /// Whether text is that of the case's failure.
    in_failure: bool,
}

struct Suite {
    name: String,
    /// The tests that it says it has.
    tests: Option<usize>,
    /// Failures and errors that it says it has.
    failing: u64,
    /// How many cases there were before it.
    before: usize,
}

impl Document {
    fn open(&mut self, tag: &BytesStart<'_>) {
        let attribute = |name: &str| attribute(tag, name).unwrap_or_default();
        self.in_failure = false;
        let status = match tag.local_name().as_ref() {
            "testsuite" => {
                let (name, tests) = (attribute("name"), attribute("tests").parse().ok());
                let count = |name: &str| attribute(name).parse::<u64>().unwrap_or(0);
                let failing = count("failures").saturating_add(count("errors"));
                return self.suites.push(Suite { name, tests, failing, before: self.cases.len() });
            }
            "testcase" => {
                let said = ["status", "result"].into_iter().filter_map(|name| by_word(&attribute(name)));
                self.open.push(Case {
                    classname: attribute("classname"),
                    name: attribute("name"),
                    status: said.max_by_key(|said| severity(*said)).unwrap_or(TestStatus::Passed),
                    message: String::new(),
                    text: String::new(),
                    suites: self.suites.iter().map(|suite| suite.name.clone()).collect(),
                    may_have_subtests: false,
                    milliseconds: milliseconds(&attribute("time")),
                    mebibytes: attribute("peak-mib").parse().ok(),
                });
                return;
            }
            "failure" => TestStatus::Failed,
            "error" => TestStatus::Error,
            "skipped" if attribute("type") == "pytest.xfail" => TestStatus::XFail,
            "skipped" => TestStatus::Skipped,
            _ => return,
        };
        for case in self.open.iter_mut().filter(|case| severity(status) > severity(case.status)) {
            (case.status, case.message) = (status, attribute("message"));
            case.text.clear();
            self.in_failure = matches!(status, TestStatus::Failed | TestStatus::Error);
        }
    }

    fn close(&mut self, tag: &str) {
        self.in_failure = false;
        match tag {
            "testcase" => self.cases.extend(self.open.pop()),
            "testsuite" => {
                let Some(suite) = self.suites.pop() else { return };
                let own = &mut self.cases[suite.before..];
                if suite.tests.is_some_and(|tests| tests > own.len()) {
                    own.iter_mut().for_each(|case| case.may_have_subtests = true);
                }
                let fails = |case: &Case| severity(case.status) >= severity(TestStatus::Failed);
                if suite.failing > 0 && !own.iter().any(fails) {
                    // One of them failed, and nothing says which.
                    for case in own {
                        case.status = TestStatus::Failed;
                        "its suite counts failures, and no test of it has one".clone_into(&mut case.message);
                    }
                }
            }
            _ => {}
        }
    }

    fn add_text(&mut self, part: &str) {
        if let Some(case) = self.open.last_mut().filter(|_| self.in_failure) {
            case.text.push_str(part);
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == name)?;
    let text = found.value.into_owned();
    Some(quick_xml::escape::unescape(&text).map(|t| t.into_owned()).unwrap_or(text))
}

/// Seconds as files have them: `0.125`, or `1,234.5` where somebody wrote them for people.
fn milliseconds(seconds: &str) -> Option<u64> {
    let seconds: f64 = seconds.replace(',', "").parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0).round() as u64)
}

/// What some runners say of a case beside its children, or instead of them.
fn by_word(word: &str) -> Option<TestStatus> {
    match word.to_lowercase().as_str() {
        "failed" | "fail" | "failure" => Some(TestStatus::Failed),
        "error" | "errored" | "broken" | "timeout" => Some(TestStatus::Error),
        "skipped" | "disabled" | "notrun" | "suppressed" | "ignored" => Some(TestStatus::Skipped),
        _ => None,
    }
}

/// How bad a status is: of several that are said of one test, the worst counts.
pub(crate) fn severity(status: TestStatus) -> u8 {
    match status {
        TestStatus::Passed => 0,
        TestStatus::XFail => 1,
        TestStatus::Skipped => 2,
        TestStatus::Failed => 3,
        TestStatus::Error => 4,
    }
}

/// `&lt;`, `&#10;`, `&#x41;`; anything else stays as it is.
fn resolve(name: &str) -> String {
    let whole = format!("&{name};");
    quick_xml::escape::unescape(&whole).map(|t| t.into_owned()).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_outcomes_and_the_traceback_are_read() {
        let text = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="4">
            <testcase classname="tests.test_a" name="test_ok[&lt;x&gt;]" time="0.1" />
            <testcase classname="tests.test_a.TestB" name="test_bad" time="0.1"><failure message="assert 1 == 2&#10; more">&gt; assert f(1) == 2
E assert 1 == 2</failure></testcase>
            <testcase classname="tests.test_a" name="test_skip" time="0"><skipped type="pytest.skip" message="no">x.py:1: no</skipped></testcase>
            <testcase classname="tests.test_a" name="test_xfail" time="0"><skipped type="pytest.xfail" message="" /></testcase>
            <testcase classname="tests.test_a" name="test_err" time="0"><error message="setup"><![CDATA[E  <boom>]]></error><system-out>noise</system-out></testcase>
            </testsuite></testsuites>"#;
        let cases = read(text).unwrap();
        let statuses: Vec<_> = cases.iter().map(|c| (c.name.as_str(), c.status.as_str())).collect();
        assert_eq!(
            statuses,
            [
                ("test_ok[<x>]", "PASSED"),
                ("test_bad", "FAILED"),
                ("test_skip", "SKIPPED"),
                ("test_xfail", "XFAIL"),
                ("test_err", "ERROR")
            ]
        );
        assert_eq!(cases[1].message, "assert 1 == 2\n more");
        assert!(cases[1].text.starts_with("> assert f(1) == 2\n"));
        assert_eq!(cases[4].text, "E  <boom>");
    }

    #[test]
    fn the_worst_child_counts_and_suites_are_kept() {
        let text = r#"<testsuites><testsuite name="outer" tests="9"><testsuite name="inner"><testcase classname="test" name="a"><failure message="no">why</failure><skipped message="later">x</skipped></testcase>
            <testcase name="b"><skipped/><failure message="todo"/></testcase></testsuite><testcase name="c"><skipped/></testcase></testsuite>
            <testsuite name="small" tests="1"><testcase name="d"/></testsuite></testsuites>"#;
        let cases = read(text).unwrap();
        let told: Vec<_> = cases
            .iter()
            .map(|c| (c.name.as_str(), c.status.as_str(), c.suites.join("/"), c.may_have_subtests))
            .collect();
        let within = "outer/inner".to_owned();
        assert_eq!(
            told,
            [
                ("a", "FAILED", within.clone(), true),
                ("b", "FAILED", within, true),
                ("c", "SKIPPED", "outer".to_owned(), true),
                ("d", "PASSED", "small".to_owned(), false)
            ]
        );
        assert_eq!((cases[0].message.as_str(), cases[0].text.as_str()), ("no", "why"));
    }

    #[test]
    fn a_failure_is_not_lost_wherever_it_is_told() {
        let statuses = |text: &str| -> Vec<String> {
            let cases = read(text).unwrap();
            cases.iter().map(|c| format!("{} {}", c.name, c.status.as_str())).collect()
        };
        let nested = "<testcase name='a'><failure/><testcase name='a'/></testcase>";
        assert_eq!(statuses(nested), ["a PASSED", "a FAILED"]);
        let nested = "<testcase name='a'><testcase name='b'><error/></testcase></testcase>";
        assert_eq!(statuses(nested), ["b ERROR", "a ERROR"]);
        let counted =
            "<testsuite tests='2' failures='1'><testcase name='a'/><testcase name='b'/></testsuite>";
        assert_eq!(statuses(counted), ["a FAILED", "b FAILED"]);
        let counted = "<testsuites><testsuite errors='1'><testcase name='a'><error/></testcase><testcase name='b'/></testsuite><testsuite><testcase name='c'/></testsuite></testsuites>";
        assert_eq!(statuses(counted), ["a ERROR", "b PASSED", "c PASSED"]);
        let by_word = "<testcase name='a' status='failed'/><testcase name='b' status='run' result='completed'/><testcase name='c' result='skipped'/>";
        assert_eq!(statuses(by_word), ["a FAILED", "b PASSED", "c SKIPPED"]);
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error() {
        assert!(read("<testsuites><testsuite><testcase name='a'").is_err());
        assert!(matches!(read("<testsuites><testsuite>"), Err(JunitError::Cut)));
        assert_eq!(read("").unwrap(), []);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(<testcase name=\"a\"|>|/>|<failure|</failure>|&lt;|&#x;|&|<!\\[CDATA\\[|\\]\\]>|\\PC){0,40}") {
            let _ = read(&text);
        }
    }
}
