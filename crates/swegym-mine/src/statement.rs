//! What is said of a change by people and by the repository: the text that an agent is told.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::change::Change;
use crate::discussion::Discussion;
use crate::kind::Kind;
use crate::number;

/// Where a problem statement stems from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The issues that it closes, as SWE-bench puts them together.
    Issue,
    /// The text of the pull request.
    Pull,
    /// A note for the news or the history of releases, in the change itself.
    News,
    /// Messages of its commits.
    Branch,
    /// The message of the commit that landed it.
    Landing,
    /// There is a title and no more: the failing tests have to tell the rest.
    Title,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Issue, Self::Pull, Self::News, Self::Branch, Self::Landing, Self::Title];

    /// The word in files and flags.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Pull => "pull",
            Self::News => "news",
            Self::Branch => "branch",
            Self::Landing => "landing",
            Self::Title => "title",
        }
    }

    /// Whether a repository's history is not enough for it.
    #[must_use]
    pub fn is_of_host(self) -> bool {
        matches!(self, Self::Issue | Self::Pull)
    }
}

/// What a statement gives away of the solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tell {
    /// It holds a diff.
    Diff,
    /// It holds a line of the fix.
    Code,
    /// It says what was done.
    Way,
}

impl Tell {
    /// The word in files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Diff => "diff",
            Self::Code => "code",
            Self::Way => "way",
        }
    }
}

/// A problem statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) source: Source,
    pub(crate) tells: BTreeSet<Tell>,
}

/// What a landing and its commits say.
pub(crate) struct Said<'a> {
    /// The message of the commit that landed the change.
    pub(crate) landing: &'a str,
    /// Messages of the change's own commits, oldest first.
    pub(crate) commits: &'a [String],
    /// What was written about it.
    pub(crate) discussion: &'a Discussion,
    pub(crate) change: &'a Change,
}

/// Fewer words say nothing to a stranger.
const FEWEST_WORDS: usize = 15;

/// Longer lines of code are a part of the fix wherever they are found.
const TELLING: usize = 20;

/// The best statement among the accepted sources.
pub(crate) fn choose(said: &Said<'_>, accepted: &[Source]) -> Option<Statement> {
    let text_of = |source| match source {
        Source::Issue => issue(said.discussion),
        Source::Pull => pull(said.discussion),
        Source::News => news(said.change),
        Source::Branch => branch(said),
        Source::Landing => landing(said.landing),
        Source::Title => title(said),
    };
    let sources = Source::ALL.into_iter().filter(|source| accepted.contains(source));
    let (source, text) = sources.filter_map(|source| Some((source, text_of(source)?))).next()?;
    let tells = tells(&text, said.change);
    Some(Statement { text, source, tells })
}

/// The issues, as SWE-bench has them: byte for byte, one after the other.
fn issue(discussion: &Discussion) -> Option<String> {
    let text = discussion.issues.iter().map(|issue| format!("{}\n{}\n", issue.title, issue.body));
    let text: String = text.collect();
    (words(&text) > 0).then_some(text)
}

/// What whoever made the change wrote to have it pulled, without what a template left.
fn pull(discussion: &Discussion) -> Option<String> {
    static LEFT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?s)<!--.*?-->|(?m:^\s*[-*] \[[ xX]\].*$)").ok());
    let pull = discussion.pull.as_ref()?;
    let body = LEFT.as_ref()?.replace_all(&pull.body, "");
    let text = prose(&format!("{}\n\n{}", pull.title, body.trim()));
    // A title alone tells no more than that of the landing.
    (words(&text) >= FEWEST_WORDS).then_some(text)
}

/// Notes of the change for the news, under the title of its landing.
fn news(change: &Change) -> Option<String> {
    static FOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(?:^|/)(?:news|changes|newsfragments|news\.d|changelog(?:s|\.d)?|changelog_unreleased|release[-_]?notes|upcoming_changes|\.changes|\.changeset|whatsnew)/").ok()
    });
    static HISTORY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(?:^|/)(?:changes|changelog|history|news|whats_?new|release[-_]?notes|releases?|versionhistory)(?:\.(?:md|rst|txt|adoc|mdx))?$").ok()
    });
    let is = |rule: &Option<Regex>, path: &str| rule.as_ref().is_some_and(|rule| rule.is_match(path));
    let fragments =
        change.sections.iter().filter(|(section, _)| section.is_new && is(&FOLDER, &section.path));
    let history =
        change.sections.iter().filter(|(section, _)| !section.is_new && is(&HISTORY, &section.path));
    let text: Vec<String> = fragments.chain(history).map(|(section, _)| note(section.marked('+'))).collect();
    let text = text.join("\n\n").trim().to_owned();
    (text.split_whitespace().count() >= FEWEST_WORDS / 2).then_some(text)
}

/// Added lines of a history, without marks of lists and what is no prose.
fn note<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let plain = lines.map(str::trim_end).filter(|line| {
        let line = line.trim();
        // Underlines of headings, and heads of fragments.
        !(line.len() >= 3 && line.chars().all(|c| "=-~^#*\"'".contains(c)))
    });
    plain.collect::<Vec<_>>().join("\n")
}

/// What its commits say, oldest first.
fn branch(said: &Said<'_>) -> Option<String> {
    let messages = said.commits.iter().map(|message| prose(message)).filter(|text| !text.is_empty());
    // A commit may say the same as the one before: it was amended.
    let mut texts: Vec<String> = Vec::new();
    for text in messages {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let text = texts.join("\n\n");
    (words(&text) >= FEWEST_WORDS).then_some(text)
}

/// What the landing says: its title, and below it a text that is more than that.
fn landing(message: &str) -> Option<String> {
    let text = prose(message);
    (words(&text) >= FEWEST_WORDS).then_some(text)
}

/// The title of the landing, or of the last commit that has one.
fn title(said: &Said<'_>) -> Option<String> {
    let messages = std::iter::once(said.landing).chain(said.commits.iter().rev().map(String::as_str));
    let mut titles = messages.filter_map(|message| prose(message).lines().next().map(str::to_owned));
    titles.find(|title| !title.is_empty())
}

fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count()
}

/// A message without what tools add: numbers, trailers, the names of branches.
pub(crate) fn prose(message: &str) -> String {
    static TRAILER: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)^(?:(?:co-authored|signed-off|reviewed|acked|tested|approved|reported|suggested|committed|merged|helped|authored)-by|co-authored by|change-id|cc|cherry[- ]picked from|\(cherry picked from commit|gitorigin-revid|git-svn-id|differential revision|pull[- ]request(?:ed)?(?: resolved)?|pr close|reviewers|-{4,}$|\* ?(?:\[pre-commit|pre-commit|lint|fix lint|format|black|isort|fmt)\b)").ok()
    });
    let is_trailer = |line: &str| TRAILER.as_ref().is_some_and(|rule| rule.is_match(line.trim_start()));
    let mut lines = message.lines();
    let title = number::without(lines.next().unwrap_or_default());
    // The title of a merge is git's.
    let title = if is_merge(title) { "" } else { title };
    let body = lines.filter(|line| !is_trailer(line)).map(str::trim_end);
    let text: Vec<&str> = std::iter::once(title).chain(body).collect();
    text.join("\n").trim().to_owned()
}

fn is_merge(title: &str) -> bool {
    [
        "Merge pull request",
        "Merge branch",
        "Merge remote",
        "Merge PR",
        "Merge tag",
        "Auto merge of",
        "Merged in",
    ]
    .iter()
    .any(|start| title.starts_with(start))
}

/// What the text gives away of the change.
pub(crate) fn tells(text: &str, change: &Change) -> BTreeSet<Tell> {
    static WAY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(?:fix(?:ed|es)?|solved?|resolved?|worked around|mended|prevented|avoid(?:ed)?)\b[^.\n]{0,40}\bby (?:\w+ly )?(?:chang|mov|add|remov|us|replac|renam|mak|sett?|call|check|pass|ensur|skip|convert|wrapp?|return|handl|default|dropp?|updat|switch|includ)ing\b").ok()
    });
    let mut tells = BTreeSet::new();
    let is_diff = text.lines().any(|line| line.starts_with("diff --git ") || line.starts_with("@@ -"));
    tells.extend(is_diff.then_some(Tell::Diff));
    tells.extend(WAY.as_ref().is_some_and(|way| way.is_match(text)).then_some(Tell::Way));
    let sources = change.sections.iter().filter(|(_, kind)| *kind == Kind::Source);
    let mut lines = sources.flat_map(|(section, _)| section.marked('+')).map(str::trim);
    let is_code =
        |line: &str| line.len() >= TELLING && line.contains(['(', '=', '[', '{']) && !line.starts_with('#');
    tells.extend(lines.any(|line| is_code(line) && text.contains(line)).then_some(Tell::Code));
    tells
}

/// Why a change is none of its own: it takes another one back.
pub(crate) fn is_revert(message: &str) -> bool {
    static REVERT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?im)^(?:revert[: ]+["'“`]|this reverts commit [0-9a-f]{7,})"#).ok());
    // Taking back a revert does the thing again.
    let again = message.to_lowercase().starts_with("revert \"revert");
    !again && REVERT.as_ref().is_some_and(|revert| revert.is_match(message))
}

/// The commits that a message says it was picked from.
pub(crate) fn picked_from(message: &str) -> Vec<&str> {
    static PICKED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"cherry picked from commit ([0-9a-f]{40})").ok());
    let found = PICKED.iter().flat_map(|picked| picked.captures_iter(message));
    found.filter_map(|picked| Some(picked.get(1)?.as_str())).collect()
}

/// Whether a subject says that the change is a port of another one.
pub(crate) fn says_port(subject: &str) -> bool {
    static PORT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\bback[- ]?port(?:s|ed|ing)?\b|^\[[\w./-]*\d+(?:\.(?:\d+|x))+\]").ok()
    });
    PORT.as_ref().is_some_and(|port| port.is_match(subject))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Section;

    fn change(files: &[(&str, bool, &str, Kind)]) -> Change {
        let section = |(path, is_new, added, kind): &(&str, bool, &str, Kind)| {
            let added: String = added.lines().map(|line| format!("+{line}\n")).collect();
            let text =
                format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1 @@\n{added}");
            let section = Section {
                path: (*path).to_owned(),
                text,
                is_binary: false,
                is_submodule: false,
                is_new: *is_new,
            };
            (section, *kind)
        };
        Change { sections: files.iter().map(section).collect() }
    }

    const LONG: &str =
        "The reader takes an empty line for the end of the file, so that whatever stands below it is lost.";

    fn chosen(landing: &str, commits: &[&str], change: &Change) -> Option<(Source, String)> {
        chosen_of(landing, commits, change, &Discussion::default())
    }

    fn chosen_of(
        landing: &str,
        commits: &[&str],
        change: &Change,
        discussion: &Discussion,
    ) -> Option<(Source, String)> {
        let commits: Vec<String> = commits.iter().map(|text| (*text).to_owned()).collect();
        let said = Said { landing, commits: &commits, discussion, change };
        let statement = choose(&said, &Source::ALL)?;
        Some((statement.source, statement.text))
    }

    #[test]
    fn the_best_source_is_taken() {
        let news = change(&[("news/12.bugfix", true, LONG, Kind::Aside)]);
        let plain = change(&[("a.py", false, "x = 1", Kind::Source)]);
        let title = format!("Mend the reader (#12)\n\n{LONG}\n\nCo-authored-by: A <a@b>");
        assert_eq!(chosen(&title, &[LONG], &news), Some((Source::News, LONG.to_owned())));
        assert_eq!(
            chosen(&title, &[LONG, "Merge branch 'main' into x", LONG], &plain),
            Some((Source::Branch, LONG.to_owned()))
        );
        let landing = format!("Mend the reader\n\n{LONG}");
        assert_eq!(chosen(&title, &["fix", "lint"], &plain), Some((Source::Landing, landing)));
        assert_eq!(chosen("Mend it (#12)", &["fix"], &plain), Some((Source::Title, "Mend it".to_owned())));
        let merge = "Merge pull request #12 from a/b\n\nMend the reader";
        assert_eq!(chosen(merge, &[], &plain), Some((Source::Title, "Mend the reader".to_owned())));
        assert_eq!(chosen("Merge branch 'a'", &[], &plain), None);
    }

    #[test]
    fn people_are_heard_first() {
        let item = |title: &str, body: &str| {
            let object = serde_json::json!({"number": 1, "title": title, "body": body});
            match crate::item::item(object.as_object().unwrap()).unwrap().what {
                crate::item::What::Item(item, _) => std::rc::Rc::new(item),
                other => panic!("{other:?}"),
            }
        };
        let news = change(&[("news/12.bugfix", true, LONG, Kind::Aside)]);
        let told = |issues: &[(&str, &str)], body: &str| {
            let issues = issues.iter().map(|(title, body)| item(title, body)).collect();
            let discussion =
                Discussion { pull: Some(item("Mend it", body)), issues, ..Discussion::default() };
            chosen_of("Mend it (#12)", &[], &news, &discussion)
        };
        let issues = [("It is lost", "What stands\r\nbelow."), ("Again", "")];
        let whole = "It is lost\nWhat stands\r\nbelow.\nAgain\n\n";
        assert_eq!(told(&issues, LONG), Some((Source::Issue, whole.to_owned())));
        let body = format!("<!-- say what\nyou did -->\n{LONG}\n\n- [x] I have read the rules");
        assert_eq!(told(&[], &body), Some((Source::Pull, format!("Mend it\n\n{LONG}"))));
        let empty = "<!-- say at great length and with many words what you have done and why you did it -->";
        assert_eq!(told(&[("", "")], empty).map(|(source, _)| source), Some(Source::News));
    }

    #[test]
    fn what_gives_the_solution_away_is_marked() {
        let fix = change(&[("a.py", false, "    return sorted(names, key=str.lower)", Kind::Source)]);
        let told = |text: &str| tells(text, &fix).into_iter().collect::<Vec<_>>();
        assert_eq!(told("Fixed the order by using lower case."), [Tell::Way]);
        assert_eq!(told("Try `return sorted(names, key=str.lower)`."), [Tell::Code]);
        assert_eq!(told("```\n@@ -1 +1 @@\n-a\n+b\n```"), [Tell::Diff]);
        assert_eq!(told("Names are not in order. They should be sorted."), []);
    }

    #[test]
    fn reverts_and_ports_are_known() {
        assert!(is_revert("Revert \"Mend it (#3)\" (#4)\n\nThis reverts commit 0123456789."));
        assert!(is_revert("Take it back\n\nThis reverts commit 0123456789abcdef."));
        assert!(!is_revert("Revert \"Revert \"Mend it\"\""));
        assert!(!is_revert("Reverting a string works for empty ones"));
        assert!(says_port("[1.x] Mend it") && says_port("Backport of #3") && !says_port("[core] Mend it"));
        let oid = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(picked_from(&format!("Mend it\n\n(cherry picked from commit {oid})")), [oid]);
    }
}
