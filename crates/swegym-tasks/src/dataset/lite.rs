//! The Lite filter: instances whose problem statement stands alone and whose
//! fix is small (reference/swe-gym.md, section 1.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::patch::FilePatch;
use swegym_core::{Instance, Patch};

use super::statistics::words;

/// Why an instance is no part of Lite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The problem statement has 40 words or fewer.
    ShortStatement,
    /// It holds a URL, other than `http://github.com/` and the repository.
    Hyperlink,
    /// It refers to another issue.
    IssueReference,
    /// It names a commit by its hash.
    CommitHash,
    /// It names a picture or a film.
    Image,
    /// The gold patch cannot be read.
    UnreadablePatch,
    /// The gold patch adds or removes a file.
    AddedOrRemovedFile,
    /// It changes more than one file.
    ManyFiles,
    /// It has no hunk, or more than three.
    Hunks,
    /// The tests look at the text of a message.
    MatchesMessage,
    /// The tests assert an output or an error.
    AssertsError,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::ShortStatement,
        Self::Hyperlink,
        Self::IssueReference,
        Self::CommitHash,
        Self::Image,
        Self::UnreadablePatch,
        Self::AddedOrRemovedFile,
        Self::ManyFiles,
        Self::Hunks,
        Self::MatchesMessage,
        Self::AssertsError,
    ];

    /// The code in results.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ShortStatement => "short_statement",
            Self::Hyperlink => "hyperlink",
            Self::IssueReference => "issue_reference",
            Self::CommitHash => "commit_hash",
            Self::Image => "image",
            Self::UnreadablePatch => "unreadable_patch",
            Self::AddedOrRemovedFile => "added_or_removed_file",
            Self::ManyFiles => "many_files",
            Self::Hunks => "hunks",
            Self::MatchesMessage => "matches_message",
            Self::AssertsError => "asserts_error",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ShortStatement => "the problem statement has 40 words or fewer",
            Self::Hyperlink => "the problem statement holds a link",
            Self::IssueReference => "the problem statement refers to another issue",
            Self::CommitHash => "the problem statement names a commit",
            Self::Image => "the problem statement names a picture or a film",
            Self::UnreadablePatch => "the gold patch cannot be read",
            Self::AddedOrRemovedFile => "the gold patch adds or removes a file",
            Self::ManyFiles => "the gold patch changes more than one file",
            Self::Hunks => "the gold patch has no hunk, or more than three",
            Self::MatchesMessage => "the tests look at the text of a message",
            Self::AssertsError => "the tests assert an output or an error",
        }
    }
}

/// Everything that keeps an instance out of Lite. `is_issue` says whether a
/// bare `#n` names an issue of the repository; the original asks GitHub.
pub fn drops(instance: &Instance, is_issue: impl Fn(&str, &str) -> bool) -> Vec<Reason> {
    let statement = &instance.problem_statement;
    let mut drops = Vec::new();
    let mut drop_if = |wrong: bool, why: Reason| drops.extend(wrong.then_some(why));
    drop_if(words(statement) <= 40, Reason::ShortStatement);
    drop_if(has_link(statement, &instance.repo), Reason::Hyperlink);
    drop_if(refers_to_issue(statement, &instance.repo, is_issue), Reason::IssueReference);
    drop_if(names_commit(statement), Reason::CommitHash);
    drop_if(names_picture(statement), Reason::Image);
    match Patch::survey(&instance.gold_patch) {
        Err(_) => drop_if(true, Reason::UnreadablePatch),
        Ok(patch) => {
            let changed = |file: &&FilePatch| file.old_path.is_some() && file.new_path.is_some();
            let changed: Vec<_> = patch.files.iter().filter(changed).collect();
            let hunks: usize = changed.iter().map(|file| file.hunks.len()).sum();
            drop_if(changed.len() < patch.files.len(), Reason::AddedOrRemovedFile);
            drop_if(changed.len() > 1, Reason::ManyFiles);
            drop_if(!(1..=3).contains(&hunks), Reason::Hunks);
        }
    }
    let tests = instance.test_patch.as_str();
    let has = |words: &[&str]| words.iter().any(|word| tests.contains(word));
    let raises = has(&["pytest.raises", "pytest.warns", "pytest.deprecated_call"]);
    drop_if(raises && tests.contains("match"), Reason::MatchesMessage);
    drop_if(has(&["assertOutput", "assertRaises", "checks.Error"]), Reason::AssertsError);
    drops
}

/// A site that knows issues, as github.com does.
pub struct IssueSite {
    agent: ureq::Agent,
    url: String,
}

impl IssueSite {
    /// A site by its address, without a slash at the end.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(20)))
            .build()
            .into();
        Self { agent, url: url.trim_end_matches('/').to_owned() }
    }

    /// Whether a repository has a page for an issue: the original's test.
    ///
    /// # Errors
    /// When the site gives no answer.
    pub fn has(&self, repo: &str, number: &str) -> Result<bool, ureq::Error> {
        let page = format!("{}/{repo}/issues/{number}", self.url);
        Ok(self.agent.get(&page).call()?.status() == 200)
    }
}

macro_rules! pattern {
    ($text:expr) => {{
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("a valid pattern"));
        &*PATTERN
    }};
}

/// Links to the repository itself count where they are `https`, as in the original.
fn has_link(text: &str, repo: &str) -> bool {
    let own = format!("http://github.com/{repo}");
    let exempt = |link: &str| !repo.is_empty() && link.starts_with(&own);
    pattern!(r"https?://.|www\..").find_iter(text).any(|link| !exempt(&text[link.start()..]))
}

fn refers_to_issue(text: &str, repo: &str, is_issue: impl Fn(&str, &str) -> bool) -> bool {
    const WORDS: [&str; 9] =
        ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let closes = pattern!(r"(\w+)[\s\x1c-\x1f]+#\d+")
        .captures_iter(text)
        .any(|found| WORDS.contains(&found[1].to_lowercase().as_str()));
    closes
        || pattern!(r"https?://gitlab.com/(.*)/issues").is_match(text)
        || pattern!(r"#(\d+)").captures_iter(text).any(|found| is_issue(repo, &found[1]))
}

/// 40 digits that are no part of a path, or Subversion-like brackets of 23.
fn names_commit(text: &str) -> bool {
    pattern!(r"\b[0-9a-f]{40}\b").find_iter(text).any(|hash| !text[..hash.start()].ends_with('/'))
        || pattern!(r"\[[0-9a-f]{23}\]").is_match(text)
}

fn names_picture(text: &str) -> bool {
    pattern!(
        r"(?i)\b\.(?:png|jpg|jpeg|gif|bmp|tiff|svg|webp|ico|heif|bpg|avif|mp4|avi|mkv|mov|wmv|flv|webm|mpeg)\b"
    )
    .is_match(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use swegym_core::format::instances::{Need, read_fields};

    use super::*;

    const PATCH: &str = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n";

    fn codes(statement: &str, patch: &str, test_patch: &str) -> Vec<&'static str> {
        let row = json!({
            "instance_id": "o__r-1", "repo": "o/r", "patch": patch, "test_patch": test_patch,
            "problem_statement": statement, "FAIL_TO_PASS": [], "PASS_TO_PASS": [],
        });
        let instance = read_fields("f", 1, row.as_object().unwrap().clone(), Need::Grading).unwrap();
        drops(&instance, |repo, n| repo == "o/r" && n == "7").into_iter().map(Reason::code).collect()
    }

    #[test]
    fn statements_must_stand_alone() {
        let long = "word ".repeat(41);
        let with = |text: &str| codes(&format!("{long}{text}"), PATCH, "");
        let hash = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(codes(&long, PATCH, ""), [""; 0]);
        assert_eq!(codes(&"word ".repeat(40), PATCH, ""), ["short_statement"]);
        assert_eq!(with("see http://github.com/o/r/blob"), [""; 0]);
        assert_eq!(with("see https://github.com/o/r/blob"), ["hyperlink"]);
        assert_eq!(with("http://github.com/o/r www.x"), ["hyperlink"]);
        assert_eq!(with("Fixes  #8"), ["issue_reference"]);
        assert_eq!(with("see #8"), [""; 0]);
        assert_eq!(with("see #7"), ["issue_reference"]);
        assert_eq!(with("https://gitlab.com/a/b/issues/1"), ["hyperlink", "issue_reference"]);
        assert_eq!(with(hash), ["commit_hash"]);
        assert_eq!(with(&format!("a/{hash} {hash}0")), [""; 0]);
        assert_eq!(with("[0123456789abcdef0123456]"), ["commit_hash"]);
        assert_eq!(with("plot.PNG .png"), ["image"]);
        assert_eq!(with(".png x.pngs"), [""; 0]);
    }

    #[test]
    fn fixes_must_be_small_and_tests_not_particular() {
        let long = "word ".repeat(41);
        let hunk = "@@ -1 +1 @@\n-a\n+b\n";
        let new = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n";
        assert_eq!(codes(&long, &format!("{PATCH}{}", hunk.repeat(2)), ""), [""; 0]);
        assert_eq!(codes(&long, &format!("{PATCH}{}", hunk.repeat(3)), ""), ["hunks"]);
        assert_eq!(codes(&long, &format!("{PATCH}{}", PATCH.replace("x.py", "y.py")), ""), ["many_files"]);
        assert_eq!(codes(&long, &format!("{PATCH}{new}"), ""), ["added_or_removed_file"]);
        assert_eq!(codes(&long, "nothing", ""), ["unreadable_patch"]);
        assert_eq!(codes(&long, PATCH, "+ with pytest.raises(X):"), [""; 0]);
        assert_eq!(codes(&long, PATCH, "+ with pytest.raises(X, match='y'):"), ["matches_message"]);
        assert_eq!(codes(&long, PATCH, "+ with self.assertRaises(X):"), ["asserts_error"]);
    }
}
