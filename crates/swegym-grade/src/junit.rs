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
    /// What the child elements say; none is a pass.
    pub status: TestStatus,
    /// The `message` attribute of the failure.
    pub message: String,
    /// The text of the failure: a traceback.
    pub text: String,
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
    let mut cases = Vec::new();
    let mut open: Option<Case> = None;
    let mut in_failure = false;
    let mut depth = 0u32;
    loop {
        let event =
            reader.read_event().map_err(|source| JunitError::Xml { at: reader.error_position(), source })?;
        match event {
            Event::Start(tag) => {
                depth += 1;
                in_failure = note(&tag, &mut open);
            }
            Event::Empty(tag) => {
                note(&tag, &mut open);
                if tag.local_name().as_ref() == "testcase" {
                    cases.extend(open.take());
                }
            }
            Event::Text(part) if in_failure => {
                if let Some(case) = &mut open {
                    case.text.push_str(&part);
                }
            }
            Event::CData(part) if in_failure => {
                if let Some(case) = &mut open {
                    case.text.push_str(&part);
                }
            }
            Event::GeneralRef(name) if in_failure => {
                if let Some(case) = &mut open {
                    case.text.push_str(&resolve(&name));
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                in_failure = false;
                if tag.local_name().as_ref() == "testcase" {
                    cases.extend(open.take());
                }
            }
            Event::Eof if depth > 0 => return Err(JunitError::Cut),
            Event::Eof => return Ok(cases),
            _ => {}
        }
    }
}

/// Takes an opening tag in; true if its text belongs to a failure.
fn note(tag: &BytesStart<'_>, open: &mut Option<Case>) -> bool {
    let attribute = |name: &str| -> String {
        let found = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == name);
        let text = found.map(|a| a.value.into_owned()).unwrap_or_default();
        quick_xml::escape::unescape(&text).map(|t| t.into_owned()).unwrap_or(text)
    };
    if tag.local_name().as_ref() == "testcase" {
        let (classname, name) = (attribute("classname"), attribute("name"));
        *open = Some(Case {
            classname,
            name,
            status: TestStatus::Passed,
            message: String::new(),
            text: String::new(),
        });
        return false;
    }
    let status = match tag.local_name().as_ref() {
        "failure" => TestStatus::Failed,
        "error" => TestStatus::Error,
        "skipped" if attribute("type") == "pytest.xfail" => TestStatus::XFail,
        "skipped" => TestStatus::Skipped,
        _ => return false,
    };
    if let Some(case) = open {
        case.status = status;
        case.message = attribute("message");
    }
    matches!(status, TestStatus::Failed | TestStatus::Error)
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
