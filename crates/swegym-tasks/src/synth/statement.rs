//! A bug report: a script that anybody can run who has the repository, what comes
//! out, and what should. It names no file of the package, no test and no kind of
//! bug: an agent must find those itself. [`gate`] says whether one may be given out.

pub mod gate;

use super::snippet::{Outcome, Reproduced};

/// How many scripts a report shows at most.
pub const SHOWN: usize = 3;

/// Why there is a report.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    /// Something broke that had worked.
    Broken {
        /// Where.
        package: &'a str,
        /// In which version.
        version: &'a str,
    },
    /// Somebody asked for something, in one line.
    Wanted {
        /// The line.
        title: &'a str,
    },
}

/// The report.
#[must_use]
pub fn write(occasion: Occasion<'_>, reproduced: &[Reproduced]) -> String {
    let (mut text, last) = match occasion {
        Occasion::Broken { package, version } => (
            format!("{} does not behave as it should.\n", named(package, version)),
            "This is how it worked before. Everything else should stay as it is.",
        ),
        Occasion::Wanted { title } => {
            (format!("{}\n", title.trim_end()), "Everything else should stay as it is.")
        }
    };
    for (i, one) in reproduced.iter().take(SHOWN).enumerate() {
        let again = if i == 0 { "Run in the repository's folder, this script" } else { "Also, this script" };
        text.push_str(&format!("\n{again}\n\n{}\n", fenced("python", &one.text)));
        text.push_str(&format!(
            "\n{}\n",
            told(&one.before, ["prints", "and then ends in", "ends in", "prints nothing"])
        ));
        let words = [
            "It should print",
            "and then end in",
            "It should end in",
            "It should come to its end without an error",
        ];
        text.push_str(&format!("\n{}\n", told(&one.after, words)));
    }
    text.push_str(&format!("\n{last}\n"));
    text
}

/// A package with its version, where it has one that says something.
fn named(package: &str, version: &str) -> String {
    if gate::is_no_version(version) { package.to_owned() } else { format!("{package} {version}") }
}

fn told(outcome: &Outcome, [prints, then, ends, nothing]: [&str; 4]) -> String {
    match (outcome.output.trim_end().is_empty(), &outcome.error) {
        (true, None) if outcome.output.is_empty() => format!("{nothing}."),
        (true, Some(error)) => format!("{ends}\n\n{}", fenced("", error)),
        (_, None) => format!("{prints}\n\n{}", fenced("", &outcome.output)),
        (false, Some(error)) => {
            format!("{prints}\n\n{}\n\n{then}\n\n{}", fenced("", &outcome.output), fenced("", error))
        }
    }
}

/// A block between fences that its text cannot end.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(output: &str, error: Option<&str>) -> Outcome {
        Outcome { output: output.to_owned(), error: error.map(str::to_owned) }
    }

    #[test]
    fn the_report_has_scripts_and_what_comes_of_them() {
        let one = |text: &str, before, after| Reproduced { text: text.to_owned(), before, after };
        let all = [
            one("from demo import add\n\nprint(add(1, 1))\n", outcome("4\n", None), outcome("2\n", None)),
            one(
                "import demo\n\ndemo.add(1, 'x')\n",
                outcome("", None),
                outcome("", Some("TypeError: no number")),
            ),
            one("import demo\n\ndemo.main()\n", outcome("a\n", Some("KeyError: 'x'")), outcome("", None)),
            one("print('beyond what is shown')", outcome("1", None), outcome("2", None)),
        ];
        insta::assert_snapshot!(write(Occasion::Broken { package: "demo", version: "1.2" }, &all));
        let wanted = write(Occasion::Wanted { title: "Add numbers, too\n" }, &all[..1]);
        assert!(wanted.starts_with("Add numbers, too\n\nRun in the repository's folder, this script\n"));
        assert!(wanted.ends_with("\n\nEverything else should stay as it is.\n"), "{wanted}");
    }

    #[test]
    fn a_version_that_says_nothing_is_left_out() {
        for version in ["0", "0.0.0", "0.0", "", "0+unknown", "0.0.0.dev0"] {
            assert_eq!(named("demo", version), "demo", "{version}");
        }
        assert_eq!(named("demo", "0.1"), "demo 0.1");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_its_text() {
        assert_eq!(fenced("", "a ``` b\n"), "````\na ``` b\n````");
    }
}
