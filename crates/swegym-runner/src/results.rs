//! What the launcher told through its descriptor, line by line, as a second
//! witness: complete and by nobody else, or none at all.

use serde::Deserialize;
use swegym_core::Fault;
use swegym_core::test_plan::RESULTS;
use swegym_grade::evidence::{RunEnd, Structured};
use swegym_grade::junit;
use swegym_sandbox::{Results, Sandbox, SandboxError};

/// What a run told.
pub(crate) struct Read {
    /// The JUnit XML that is kept: of what cannot be read, nothing is.
    pub(crate) junit: Option<Vec<u8>>,
    /// The witness.
    pub(crate) structured: Structured,
    /// What tests asked for, in the order of asking.
    pub(crate) sites: Vec<Site>,
    /// Files whose tests end in a failure, whatever they do.
    pub(crate) changed: Vec<String>,
}

/// A place in a test file that asks for something, as `swegym_counter.py` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Site {
    /// The file, from the repository's root.
    pub(crate) file: String,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// The line's text, before it was changed.
    pub(crate) text: String,
    /// Whether it got what it asked for.
    pub(crate) held: bool,
}

impl Read {
    /// Of a run that has no second witness.
    pub(crate) fn nothing_offered() -> Self {
        Self { junit: None, structured: Structured::NotOffered, sites: Vec::new(), changed: Vec::new() }
    }
}

/// Reads what came through the descriptor.
pub(crate) fn read(results: &Results, secret: &str, end: RunEnd) -> Read {
    let missing = |why: String| Read {
        junit: None,
        structured: Structured::Missing(why),
        sites: Vec::new(),
        changed: Vec::new(),
    };
    let bytes = match results {
        Results::Whole(bytes) => bytes,
        Results::TooLarge(limit) => return missing(format!("the results are larger than {limit} bytes")),
        Results::NotAsked => return missing("the run had nowhere to write results".to_owned()),
    };
    let told = match Told::read(&String::from_utf8_lossy(bytes), secret) {
        Ok(told) => told,
        Err(why) => return missing(why.to_owned()),
    };
    let cases = match junit::read(&told.document) {
        Ok(cases) => cases,
        Err(error) => return missing(error.to_string()),
    };
    let structured = match (told.status, end) {
        (None, _) => {
            Structured::Missing(format!("the run ended before its runner did, after {} results", cases.len()))
        }
        (Some(told), RunEnd::Exited(status)) if told != status => {
            Structured::Missing(format!("the runner ended with status {told}, the run with {status}"))
        }
        (Some(_), _) => Structured::Cases(cases),
    };
    Read { junit: Some(told.document.into_bytes()), structured, sites: told.sites, changed: told.changed }
}

/// Reads the file of results that a row's script has had written; none is no witness.
///
/// # Errors
/// When the box breaks.
pub(crate) async fn read_file(sandbox: &dyn Sandbox) -> Result<Read, Fault> {
    let missing = |why: String| Read { structured: Structured::Missing(why), ..Read::nothing_offered() };
    let bytes = match sandbox.read(RESULTS, junit::LARGEST).await {
        Ok(bytes) => bytes,
        Err(SandboxError::File { source, .. }) => {
            return Ok(missing(format!("the run left no results that can be read: {source}")));
        }
        Err(error) => return Err(error.to_fault()),
    };
    Ok(match junit::read(&String::from_utf8_lossy(&bytes)) {
        Ok(cases) => {
            Read { junit: Some(bytes), structured: Structured::Cases(cases), ..Read::nothing_offered() }
        }
        Err(error) => missing(error.to_string()),
    })
}

/// The lines, taken apart.
struct Told {
    /// All cases as one document.
    document: String,
    /// The runner's own status, where it came to its end.
    status: Option<i32>,
    sites: Vec<Site>,
    changed: Vec<String>,
}

impl Told {
    fn read(text: &str, secret: &str) -> Result<Self, &'static str> {
        const FOREIGN: &str = "something else than the runner wrote results";
        let mut document = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<testsuites><testsuite name=\"swegym\">\n",
        );
        let mut status = None;
        let (mut sites, mut changed) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let line = line.strip_prefix(secret).and_then(|l| l.strip_prefix(' ')).ok_or(FOREIGN)?;
            if status.is_some() {
                return Err("results were written after the runner's end");
            }
            match line.split_once(' ') {
                Some(("case", case)) => {
                    document.push_str(case);
                    document.push('\n');
                }
                Some(("site", site)) => sites.push(serde_json::from_str(site).map_err(|_| FOREIGN)?),
                Some(("changed", file)) => changed.push(file.to_owned()),
                Some(("end", code)) => status = Some(code.parse().map_err(|_| FOREIGN)?),
                _ => return Err(FOREIGN),
            }
        }
        document.push_str("</testsuite></testsuites>\n");
        Ok(Self { document, status, sites, changed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, end: RunEnd) -> String {
        let Read { junit, structured, .. } = read(&Results::Whole(text.as_bytes().to_vec()), "s3", end);
        match structured {
            Structured::Cases(cases) => format!("{} cases", cases.len()),
            Structured::Missing(why) => {
                format!("{why}, {}", if junit.is_some() { "kept" } else { "not kept" })
            }
            Structured::NotOffered => "not offered".to_owned(),
        }
    }

    #[test]
    fn places_that_ask_are_told_among_results() {
        let site = "s3 site {\"file\": \"a.py\", \"line\": 3, \"text\": \"assert x == 1\", \"held\": true}\n";
        let text = format!("s3 changed a.py\n{site}s3 end 1\n");
        let read = read(&Results::Whole(text.into_bytes()), "s3", RunEnd::Exited(1));
        assert_eq!(read.changed, ["a.py"]);
        assert_eq!((read.sites[0].line, read.sites[0].held), (3, true));
        let foreign = "something else than the runner wrote results, not kept";
        assert_eq!(word("s3 site {}\ns3 end 1\n", RunEnd::Exited(1)), foreign);
    }

    #[test]
    fn only_whole_results_of_the_runner_count() {
        const CASE: &str = "s3 case <testcase classname=\"m\" name=\"t\"/>\n";
        let done = RunEnd::Exited(0);
        assert_eq!(word(&format!("{CASE}{CASE}s3 end 0\n"), done), "2 cases");
        let ended = "the run ended before its runner did, after ";
        assert_eq!(word("", done), format!("{ended}0 results, kept"));
        assert_eq!(word(CASE, done), format!("{ended}1 results, kept"));
        let other = "the runner ended with status 1, the run with 0, kept";
        assert_eq!(word(&format!("{CASE}s3 end 1\n"), done), other);
        let foreign = "something else than the runner wrote results, not kept";
        for text in ["<testsuites/>\n", "s4 end 0\n", "s3 end x\n", "s3 \n", "s3case <testcase/>\n"] {
            assert_eq!(word(&format!("{CASE}{text}s3 end 0\n"), done), foreign, "{text}");
        }
        let after = "results were written after the runner's end, not kept";
        assert_eq!(word(&format!("s3 end 0\n{CASE}"), done), after);
        let cut = word("s3 case <testcase\ns3 end 0\n", done);
        assert!(cut.ends_with("not kept") && !cut.contains("cases"), "{cut}");
        let read = read(&Results::TooLarge(5), "s3", done);
        assert_eq!(read.junit, None);
        assert_eq!(read.structured, Structured::Missing("the results are larger than 5 bytes".into()));
    }
}
