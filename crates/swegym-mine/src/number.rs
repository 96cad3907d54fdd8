//! Numbers of pull requests: what subjects and references say.

use std::sync::LazyLock;

use regex::Regex;

/// The pull request that a landing names in its subject: `Merge pull request #5 from …`,
/// `Title (#5)`. Of several numbers the last counts: `Title (#4) (#5)` is a port of 4.
pub(crate) fn of_subject(subject: &str) -> Option<u32> {
    static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let forms = [
            r"^Merge pull request #(\d+)\b",
            r"^Merged? (?:PR|in .* \(pull request) ?#?(\d+)\b",
            r"^(?:Auto merge of|Merge) #(\d+)\b",
            r"\((?:#|GH-|PR ?#?)(\d+)\)[\s.]*$",
        ];
        forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
    });
    // Most subjects have none.
    if !subject.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    FORMS.iter().find_map(|form| form.captures(subject)?.get(1)?.as_str().parse().ok())
}

/// A subject without the number at its end.
pub(crate) fn without(subject: &str) -> &str {
    static END: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\s*(?:\((?:#|GH-|PR ?#?)\d+\)[\s.]*)+$").ok());
    match END.as_ref().and_then(|end| end.find(subject)) {
        Some(found) => &subject[..found.start()],
        None => subject,
    }
}

/// All pull requests that a subject names at its end: of a port, also the one that was ported.
pub(crate) fn all_of_subject(subject: &str) -> Vec<u32> {
    static NUMBER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\((?:#|GH-|PR ?#?|backport(?: of)? #)(\d+)\)").ok());
    let found = NUMBER.iter().flat_map(|number| number.captures_iter(subject));
    found.filter_map(|number| number.get(1)?.as_str().parse().ok()).collect()
}

/// The pull request whose last commit a reference names.
pub(crate) fn of_reference(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("refs/")?;
    let rest = ["pull/", "merge-requests/", "remotes/origin/pull/", "remotes/origin/pr/"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    rest.strip_suffix("/head").unwrap_or(rest).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landings_name_their_pull_request() {
        for (subject, number) in [
            ("Merge pull request #12 from owner/branch", Some(12)),
            ("Merge PR #12 from owner/branch", Some(12)),
            ("Merged in topic (pull request #12)", Some(12)),
            ("Auto merge of #12 - user:branch, r=other", Some(12)),
            ("Mend the parser (#12)", Some(12)),
            ("Mend the parser (#3) (#12)", Some(12)),
            ("gh-4: mend the parser (GH-12)", Some(12)),
            ("Mend the parser (#12).", Some(12)),
            ("Mend #12", None),
            ("Revert \"Mend the parser (#12)\"", None),
            ("Mend (#12) the parser", None),
            ("Merge branch 'main' into topic", None),
            ("Version 12", None),
            ("Mend (#99999999999999)", None),
        ] {
            assert_eq!(of_subject(subject), number, "{subject}");
        }
    }

    #[test]
    fn titles_lose_their_number() {
        assert_eq!(without("Mend the parser (#3) (#12)"), "Mend the parser");
        assert_eq!(without("Mend (#12) the parser"), "Mend (#12) the parser");
        assert_eq!(all_of_subject("[1.x] Mend the parser (#3) (#12)"), [3, 12]);
        assert_eq!(all_of_subject("Mend (backport #3) (#12)"), [3, 12]);
    }

    #[test]
    fn references_of_several_hosts_are_known() {
        for (name, number) in [
            ("refs/pull/7/head", Some(7)),
            ("refs/merge-requests/7/head", Some(7)),
            ("refs/remotes/origin/pull/7/head", Some(7)),
            ("refs/remotes/origin/pr/7", Some(7)),
            ("refs/pull/7/merge", None),
            ("refs/heads/7", None),
        ] {
            assert_eq!(of_reference(name), number, "{name}");
        }
    }
}
