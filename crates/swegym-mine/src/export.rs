//! One commit of a repository as a repository of its own, without what came before and after.

use std::fs;
use std::path::Path;
use std::time::Duration;

use swegym_sandbox::tool::{self, ToolError};

use crate::repository::{MineError, QUIET, Repository};

/// How long a step may take: large trees are packed anew.
const PATIENCE: Duration = Duration::from_secs(600);

/// What stays out of changes that are looked for in the copy: traces of installing and testing.
const EXCLUDED: &str = "*.egg-info/\n__pycache__/\n*.pyc\n.pytest_cache/\n.eggs/\nbuild/\n.coverage\n";

/// Makes `folder`, which is not there yet, a repository whose only commit is `commit`: the
/// same commit, as a clone of depth 1 has it. Equal commits give equal bytes.
///
/// # Errors
/// There is no such commit, or objects of it are missing.
pub fn export(repository: &Repository, commit: &str, folder: &Path) -> Result<(), MineError> {
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
    let steps = || {
        for (name, value) in [("core.logAllRefUpdates", "false"), ("gc.auto", "0"), ("core.fileMode", "true")]
        {
            here(&["config", name, value])?;
        }
        here(&["update-ref", "HEAD", id.trim()])?;
        here(&["read-tree", "HEAD"])?;
        here(&["checkout-index", "-a", "-f", "-q"])?;
        git(&["-C", &place, "pack-objects", "--stdout", "--revs", "--window=0", "-q"], b"HEAD\n")
    };
    let pack = steps().map_err(failed)?;
    fs::remove_file(&alternates).map_err(broken)?;
    // One object a file: those that a commit shares with its neighbours are stored once.
    let unpack = ["-C", &place, "-c", "core.fsync=none", "unpack-objects", "-q"];
    git(&unpack, &pack).map_err(failed)?;
    // With the times of this machine; made again without.
    fs::remove_file(git_folder.join("index")).map_err(broken)?;
    here(&["read-tree", "HEAD"]).map_err(failed)
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
