//! Which issues a pull request closes.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::item::IssueId;

/// How it is known that a pull request closes an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// SWE-bench's: `fixes #1` in its title, its text or its commits, without a colon.
    SweBench,
    /// The same word before any way to name an issue, the landing's message included.
    Keyword,
    /// The host has recorded it.
    Recorded,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SweBench, Self::Keyword, Self::Recorded];

    /// The word in files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::SweBench => "swe-bench",
            Self::Keyword => "keyword",
            Self::Recorded => "recorded",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SweBench => "`fixes #1` in the title, the text or the commits",
            Self::Keyword => "a closing word before any reference, the landing's message included",
            Self::Recorded => "the host has recorded it",
        }
    }
}

/// An issue that a pull request closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) issue: IssueId,
    pub(crate) rules: BTreeSet<Rule>,
}

/// What may name issues.
pub(crate) struct Texts<'a> {
    /// The repository, `owner/name`.
    pub(crate) repo: &'a str,
    /// Title and text of the pull request, and the messages of its commits.
    pub(crate) own: Vec<&'a str>,
    /// The message of the commit that landed it.
    pub(crate) landing: &'a str,
    /// What the host has recorded.
    pub(crate) recorded: &'a [IssueId],
}

/// More issues of one pull request are not looked at.
const MOST: usize = 16;

/// The words that close issues.
const WORDS: [&str; 9] =
    ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];

/// The issues that a pull request closes, in the order in which they are named.
pub(crate) fn find(texts: &Texts<'_>) -> Vec<Link> {
    let own = without_comments(&texts.own.join("\n"));
    let landing = without_comments(texts.landing);
    let mut links: Vec<Link> = Vec::new();
    let mut note = |issue: IssueId, rule: Rule| match links.iter().position(|link| link.issue == issue) {
        Some(at) => _ = links[at].rules.insert(rule),
        None if links.len() < MOST => links.push(Link { issue, rules: [rule].into() }),
        None => {}
    };
    for number in by_swe_bench(&own) {
        note(IssueId::new(texts.repo, number), Rule::SweBench);
    }
    for text in [&own, &landing] {
        for issue in by_keyword(text, texts.repo) {
            note(issue, Rule::Keyword);
        }
    }
    for issue in texts.recorded {
        note(issue.clone(), Rule::Recorded);
    }
    links
}

fn without_comments(text: &str) -> String {
    static COMMENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?s)<!--.*?-->").ok());
    COMMENT.as_ref().map_or_else(|| text.to_owned(), |comment| comment.replace_all(text, "").into_owned())
}

/// The original's rule, word for word.
fn by_swe_bench(text: &str) -> impl Iterator<Item = u32> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(\w+)\s+#(\d+)").ok());
    let found = FORM.iter().flat_map(|form| form.captures_iter(text));
    let closing = found.filter(|found| WORDS.contains(&found[1].to_lowercase().as_str()));
    closing.filter_map(|found| number(&found[2]))
}

/// A closing word, perhaps with a colon, and references behind it: `#1`, `GH-1`,
/// `owner/name#1`, an address, in brackets or not, and several of them in a row.
fn by_keyword(text: &str, repo: &str) -> Vec<IssueId> {
    static WORD: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+").ok());
    static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"^(?i:issues?\s+)?[\[(<*]*(?:(?:([\w.-]+/[\w.-]+))?#(\d+)|(?i:GH)-(\d+)|https?://[^/\s]+/([\w.-]+/[\w.-]+)/issues/(\d+))\b[\])>*]*",
        )
        .ok()
    });
    static GOES_ON: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(?:\s*(?:,|&|\band\b)\s*)+").ok());
    let (Some(word), Some(reference), Some(goes_on)) = (&*WORD, &*REFERENCE, &*GOES_ON) else {
        return Vec::new();
    };
    let mut issues = Vec::new();
    for found in word.find_iter(text) {
        let mut rest = &text[found.end()..];
        while let Some(named) = reference.captures(rest) {
            let group = |at: usize| named.get(at).map(|group| group.as_str());
            let of = group(1).or(group(4)).unwrap_or(repo);
            let digits = group(2).or(group(3)).or(group(5)).unwrap_or_default();
            issues.extend(number(digits).map(|number| IssueId::new(of, number)));
            rest = &rest[named.get(0).map_or(0, |whole| whole.end())..];
            match goes_on.find(rest) {
                Some(between) => rest = &rest[between.end()..],
                None => break,
            }
        }
    }
    issues
}

fn number(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let texts = Texts { repo: "O/n", own: vec![text], landing: "", recorded: &[] };
        let line = |link: &Link| {
            let rules: Vec<_> = link.rules.iter().map(|rule| rule.code()).collect();
            format!("{}#{} {}", link.issue.repo, link.issue.number, rules.join("+"))
        };
        find(&texts).iter().map(line).collect()
    }

    #[test]
    fn both_rules_find_what_they_should() {
        let both = |number: u32| vec![format!("o/n#{number} swe-bench+keyword")];
        let better = |issue: &str| vec![format!("{issue} keyword")];
        assert_eq!(found("Fixes #12"), both(12));
        assert_eq!(found("this CLOSED\n #12."), both(12));
        assert_eq!(found("Fixes: #12"), better("o/n#12"));
        assert_eq!(found("resolves other/Place#12"), better("other/place#12"));
        assert_eq!(found("fixed GH-12"), better("o/n#12"));
        assert_eq!(found("Closes https://github.com/O/N/issues/12"), better("o/n#12"));
        assert_eq!(found("Closes [#12](https://github.com/O/n/issues/12)"), better("o/n#12"));
        assert_eq!(found("fix issue #12"), better("o/n#12"));
        assert_eq!(
            found("Fixes #1, #2 and #3"),
            ["o/n#1 swe-bench+keyword", "o/n#2 keyword", "o/n#3 keyword"]
        );
        assert_eq!(found("Fixes #1, see #2"), both(1));
        for none in [
            "See #12",
            "prefixes #12",
            "Fixes #0",
            "fixes #99999999999",
            "<!-- fixes #12 -->",
            "Fixes https://github.com/o/n/pull/12",
            "fixes 12",
            "fixes #12a",
        ] {
            // The original stops at a digit.
            let expected: &[&str] = if none == "fixes #12a" { &["o/n#12 swe-bench"] } else { &[] };
            assert_eq!(found(none), expected, "{none}");
        }
    }

    #[test]
    fn landings_and_the_host_tell_of_issues_too() {
        let recorded = [IssueId::new("o/n", 1), IssueId::new("x/y", 5)];
        let texts = Texts { repo: "o/n", own: vec!["Fixes #1"], landing: "Closes #2", recorded: &recorded };
        let rules: Vec<Vec<Rule>> =
            find(&texts).into_iter().map(|one| one.rules.into_iter().collect()).collect();
        assert_eq!(rules, [Rule::ALL.to_vec(), vec![Rule::Keyword], vec![Rule::Recorded]]);
        let many = (1..100).map(|n| format!("fixes #{n} ")).collect::<String>();
        assert_eq!(found(&many).len(), MOST);
    }

    proptest::proptest! {
        #[test]
        fn issues_are_found_in_any_text(before in ".{0,40}", after in ".{0,40}", number in 1_u32..) {
            let text = format!("{before}\nFixes #{number}\n{after}");
            let texts = Texts { repo: "o/n", own: vec![&text], landing: &text, recorded: &[] };
            let link = find(&texts).into_iter().find(|link| link.issue.number == number).unwrap();
            proptest::prop_assert_eq!(link.rules.into_iter().collect::<Vec<_>>(), [Rule::SweBench, Rule::Keyword]);
        }
    }
}
