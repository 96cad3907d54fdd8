//! One commit of a repository as a repository of its own, without what came before and after.

use std::fs;
use std::path::Path;
use std::time::Duration;

use swegym_core::absent;
use swegym_sandbox::tool::{self, ToolError};

use crate::repository::{MineError, QUIET, Repository};

/// How long a step may take: large trees are packed anew.
const PATIENCE: Duration = Duration::from_secs(600);

/// What stays out of changes that are looked for in the copy: traces of installing and testing.
const EXCLUDED: &str = "*.egg-info/\n__pycache__/\n*.pyc\n.pytest_cache/\n.eggs/\nbuild/\n.coverage\n";

/// One of so many files of a commit may be absent; where more are, the rest is no use.
const ONE_ABSENT_OF: usize = 10;

/// The file of a repository that says which of its files are not laid out; git's own form,
/// with a line `!/PATH` for each.
const LAID_OUT: &str = "info/sparse-checkout";

/// Shell: marks in an index that was just read which files are not laid out, so that git does
/// not take them for deleted.
pub const MARK_ABSENT: &str = r"sed -n 's|^!/||p' .git/info/sparse-checkout 2>/dev/null | sed 's/\\\(.\)/\1/g' | tr '\n' '\0' | \
git update-index -z --skip-worktree --stdin";

/// Makes `folder`, which is not there yet, a repository whose only commit is `commit`: the
/// same commit, as a clone of depth 1 has it. Equal commits give equal bytes.
///
/// Gives the files whose contents a partial clone does not have. They are not laid out, and
/// git knows that: it is a sparse checkout of a partial clone then, of a remote that is not
/// there.
///
/// # Errors
/// There is no such commit, or trees or many files of it are missing.
pub fn export(repository: &Repository, commit: &str, folder: &Path) -> Result<Vec<String>, MineError> {
    let failed = |source| repository.git_error(source);
    let broken = |source| repository.answer_error(source);
    let objects =
        repository.ask(&["rev-parse", "--path-format=absolute", "--git-path", "objects"]).map_err(failed)?;
    let id = ["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{commit}^{{commit}}")];
    let id = repository.ask(&id).map_err(failed)?;
    let format = repository.ask(&["rev-parse", "--show-object-format"]).map_err(failed)?;
    let format = format!("--object-format={}", format.trim());
    let place = folder.to_string_lossy();
    git(&["init", "-q", "--template=", "-b", "main", &format, &place], b"").map_err(failed)?;
    let git_folder = folder.join(".git");
    fs::create_dir_all(git_folder.join("objects/info")).map_err(broken)?;
    fs::create_dir_all(git_folder.join("info")).map_err(broken)?;
    let alternates = git_folder.join("objects/info/alternates");
    fs::write(&alternates, &objects).map_err(broken)?;
    fs::write(git_folder.join("shallow"), &id).map_err(broken)?;
    fs::write(git_folder.join("info/exclude"), EXCLUDED).map_err(broken)?;
    let here = |words: &[&str]| git(&[&["-C", &place], words].concat(), b"").map(drop);
    let settings = || {
        for (name, value) in [("core.logAllRefUpdates", "false"), ("gc.auto", "0"), ("core.fileMode", "true")]
        {
            here(&["config", name, value])?;
        }
        here(&["update-ref", "HEAD", id.trim()])
    };
    settings().map_err(failed)?;
    let (absent, all) = absent_files(&place).map_err(failed)?;
    if absent.len() * ONE_ABSENT_OF > all || absent.iter().any(|path| path.contains(['\n', '\u{fffd}'])) {
        return Err(repository.incomplete(id.trim(), absent.len(), all));
    }
    if !absent.is_empty() {
        fs::write(git_folder.join(LAID_OUT), all_but(&absent)).map_err(broken)?;
    }
    let steps = || {
        if !absent.is_empty() {
            here(&["config", "core.sparseCheckout", "true"])?;
            here(&["config", "core.repositoryFormatVersion", "1"])?;
            here(&["config", "extensions.partialClone", "nowhere"])?;
        }
        read_commit(&place, &absent)?;
        here(&["checkout-index", "-a", "-f", "-q"])?;
        let pack = ["pack-objects", "--stdout", "--revs", "--window=0", "-q", "--missing=allow-any"];
        git(&[&["-C", &place], &pack[..]].concat(), b"HEAD\n")
    };
    let pack = steps().map_err(failed)?;
    fs::remove_file(&alternates).map_err(broken)?;
    // One object a file: those that a commit shares with its neighbours are stored once.
    let unpack = ["-C", &place, "-c", "core.fsync=none", "unpack-objects", "-q"];
    git(&unpack, &pack).map_err(failed)?;
    // With the times of this machine; made again without.
    fs::remove_file(git_folder.join("index")).map_err(broken)?;
    read_commit(&place, &absent).map_err(failed)?;
    Ok(absent)
}

/// Makes the index that of the commit, in which what is `absent` is not looked for.
fn read_commit(place: &str, absent: &[String]) -> Result<(), ToolError> {
    git(&["-C", place, "read-tree", "HEAD"], b"")?;
    if !absent.is_empty() {
        let mark = ["-C", place, "update-index", "-z", "--skip-worktree", "--stdin"];
        git(&mark, absent.join("\0").as_bytes())?;
    }
    Ok(())
}

/// Files of the commit whose contents are not there, and how many files it has.
fn absent_files(place: &str) -> Result<(Vec<String>, usize), ToolError> {
    let ask = |words: [&str; 4]| git(&[&["-C", place], &words[..], &["HEAD^{tree}"]].concat(), b"");
    let walked = ask(absent::WALK)?;
    match absent::is_partial(&walked) {
        false => Ok((Vec::new(), 0)),
        true => Ok(absent::absent_files(&walked, &ask(absent::LIST)?)),
    }
}

/// Git's patterns for everything but some files.
fn all_but(absent: &[String]) -> String {
    let escaped = |path: &String| {
        let is_pattern = |letter: &char| matches!(letter, '*' | '?' | '[' | ']' | '\\' | ' ');
        path.chars()
            .flat_map(|letter| is_pattern(&letter).then_some('\\').into_iter().chain([letter]))
            .collect()
    };
    let lines = absent.iter().map(escaped).map(|path: String| format!("!/{path}\n"));
    std::iter::once("/*\n".to_owned()).chain(lines).collect()
}

/// The names at the top of a commit's tree.
///
/// # Errors
/// There is no such commit.
pub fn top_names(repository: &Repository, commit: &str) -> Result<Vec<String>, MineError> {
    let words = ["ls-tree", "-z", "--name-only", "--full-tree", "--end-of-options", commit];
    let said = repository.ask(&words).map_err(|source| repository.git_error(source))?;
    Ok(said.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn git(words: &[&str], input: &[u8]) -> Result<Vec<u8>, ToolError> {
    let variables = QUIET.iter().map(|(name, value)| format!("{name}={value}"));
    let safe = ["git", "-c", "protocol.allow=never", "-c", "core.autocrlf=false", "-c", "safe.directory=*"];
    let line = variables.chain(safe.map(str::to_owned)).chain(words.iter().map(|word| (*word).to_owned()));
    tool::ask("env", line, input.to_vec(), PATIENCE)
}
