//! A repository of ours in the box, in which patches are applied.
//!
//! It borrows the objects of the box's own repository and nothing else: its
//! configuration, index and attributes are ours. Patches go onto the index, and
//! where GNU patch is needed, onto a folder with the named files alone. So
//! nothing of a patch is in the working folder before the whole tree is known,
//! and no `.git` is within reach of it.

use std::io;
use std::time::Duration;

use swegym_core::{Boundary, Fault, Patch};
use swegym_sandbox::output::{Keep, Stream};
use swegym_sandbox::sandbox::SCRATCH;
use swegym_sandbox::{Command, End, Execution, Sandbox, SandboxError};

use super::tree::{Tree, folders, zero_ended};
use crate::testing::{WORKDIR, last_lines};

/// Settings of a repository in which nothing is started or converted, and in
/// which no spelling of `.git` is a path.
const SETTINGS: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfileMode = true\n\tsymlinks = true\n\
\tprotectHFS = true\n\tprotectNTFS = true\n\thooksPath = /dev/null\n\tautocrlf = false\n\tsafecrlf = false\n[gc]\n\tauto = 0\n";

/// Makes the repository, and lists the tree of the base commit.
const OPEN: &str = "set -e; mkdir -p objects/info refs files; echo 'ref: refs/heads/none' > HEAD; \
echo \"$BORROWED\" > objects/info/alternates; git ls-tree -r -z --full-tree \"$BASE\"";

/// Each way of applying begins with the index as it was.
const BEGIN: &str = "begin() { rm -f ../index ../index.lock; cp ../start ../index; }\n";

/// The reference's first ways (reference/grading.md, 1.1). What the first says is what is told.
const EXACT: &str =
    "rm -f ../index; git update-index -z --index-info < ../tree && mv ../index ../start || exit 3
begin; git apply --cached --whitespace=nowarn ../patch 2> ../said && exec git ls-files -s -z
begin; git apply --cached --3way --whitespace=nowarn ../patch 2> /dev/null && exec git ls-files -s -z
exit 1";

/// The other ways: with the files' line ends, with GNU patch, and the question
/// whether the patch is in already. The reference's `--reject` succeeds where its
/// first way does.
const LOOSE: &str = "begin; [ -s ../ends ] && git apply --cached --whitespace=nowarn ../ends 2> /dev/null && exec git ls-files -s -z
begin; cd .. && rm -rf files && mkdir files && cd files && git checkout-index -f -z --stdin < ../present \
&& patch --batch --forward --fuzz=5 --no-backup-if-mismatch -p1 -i ../patch > /dev/null 2>&1 \
&& git update-index -z --add --remove --replace --stdin < ../names && exec git ls-files -s -z
begin; git apply --cached --check --reverse ../patch 2> /dev/null && exec git ls-files -s -z
cat ../said >&2; exit 1";

/// Where every line of the named files ends how: `i/crlf`, `i/lf`, or mixed.
const LINE_ENDS: &str = "cp ../start ../index; \
xargs -0 -r git --literal-pathspecs ls-files --eol -z -- < ../present";

/// Takes away what the tree no longer has and writes what changed; whatever is
/// in the way goes.
const LAY_OUT: &str = "set -e; rm -f \"$GIT_INDEX_FILE\"; git update-index -z --index-info < $AT/tree; \
xargs -0 -r rm -f -- < $AT/gone; xargs -0 -r rmdir --ignore-fail-on-non-empty -- < $AT/emptied 2> /dev/null || true; \
git checkout-index -f -z --stdin < $AT/changed";

/// What git says, or the kernel through it, where it is not the patch that is
/// wrong but what is there for it: `No space left on device`, and so on.
const NO_ROOM: [&str; 5] =
    ["No space left", "quota exceeded", "annot allocate memory", "ut of memory", "File too large"];

/// Takes the repository away: the patches in it are not for the tests to see.
const CLOSE: &str = "rm -rf \"$AT\"";

pub(super) struct Repository<'a> {
    sandbox: &'a dyn Sandbox,
    base: &'a str,
    folder: String,
}

impl<'a> Repository<'a> {
    /// Makes it, and lists the tree of the base commit.
    pub(super) async fn open(sandbox: &'a dyn Sandbox, base: &'a str) -> Result<(Self, Tree), Fault> {
        let repository = Self { sandbox, base, folder: format!("{SCRATCH}/answer") };
        repository.write("config", SETTINGS.as_bytes()).await?;
        let done = repository.run(OPEN, "").await?;
        let listing = succeed(&done, "listing the base commit")?;
        Ok((repository, Tree::read(&listing)))
    }

    /// The tree after a patch; or why it does not apply, in the words of the first way.
    ///
    /// # Errors
    /// Faults of the box; faults of the boundary task where there is no room for
    /// the patch in it, or no time.
    pub(super) async fn apply(&self, tree: &Tree, patch: &Patch) -> Result<Result<Tree, String>, Fault> {
        let text = patch.to_text();
        if text.is_empty() {
            return Ok(Err("error: no section of the patch changes anything".into()));
        }
        let names: Vec<&[u8]> = patch.files.iter().flat_map(|file| file.names()).collect();
        // A link or a module of another repository, and what would be written through it.
        let is_through =
            |name: &&&[u8]| folders(name).any(|f| tree.get(f).is_some_and(|e| !e.mode.starts_with("10")));
        if let Some(name) = names.iter().find(is_through) {
            let name = String::from_utf8_lossy(name);
            return Ok(Err(format!("error: affected file '{name}' is beyond a symbolic link")));
        }
        self.write("tree", &tree.to_index_info()).await?;
        self.write("patch", text.as_bytes()).await?;
        self.write("names", &zero_ended(names.iter().copied())).await?;
        let present = names.iter().copied().filter(|name| tree.get(name).is_some());
        self.write("present", &zero_ended(present)).await?;
        let mut done = self.run(&format!("{BEGIN}{EXACT}"), "files").await?;
        if !done.succeeded() && !was_stopped(&done) {
            let ends = self.with_line_ends(patch).await?.map(|patch| patch.to_text()).unwrap_or_default();
            self.write("ends", ends.as_bytes()).await?;
            done = self.run(&format!("{BEGIN}{LOOSE}"), "files").await?;
        }
        if done.succeeded() {
            return Ok(Ok(Tree::read(&done.output.stream(Stream::Stdout))));
        }
        let said = last_lines(&String::from_utf8_lossy(&done.output.stream(Stream::Stderr)), 4);
        if was_stopped(&done) || NO_ROOM.iter().any(|words| said.contains(words)) {
            return Err(failed(&done, "applying a patch"));
        }
        Ok(Err(said))
    }

    /// The patch with the line ends of the files that it changes, where they differ.
    async fn with_line_ends(&self, patch: &Patch) -> Result<Option<Patch>, Fault> {
        let listing = succeed(&self.run(LINE_ENDS, "files").await?, "looking at line ends")?;
        let rows: Vec<&[u8]> = listing.split(|b| *b == 0).collect();
        let other = patch.with_line_ends(|name| {
            let row = rows.iter().find(|row| row.ends_with(&[b"\t", name].concat()))?;
            [(&b"i/crlf"[..], true), (b"i/lf", false)]
                .iter()
                .find(|(ends, _)| row.starts_with(ends))
                .map(|(_, crlf)| *crlf)
        });
        Ok((other != *patch).then_some(other))
    }

    /// Makes the working folder, which is as one tree has it, what another one has,
    /// and takes the repository away.
    pub(super) async fn lay_out(&self, from: &Tree, to: &Tree) -> Result<(), Fault> {
        let (changed, gone): (Vec<&Vec<u8>>, Vec<_>) =
            to.differing(from).partition(|path| to.get(path).is_some());
        if changed.is_empty() && gone.is_empty() {
            return self.close().await;
        }
        let mut emptied: Vec<&[u8]> =
            gone.iter().flat_map(|path| folders(path)).filter(|f| !to.has(f)).collect();
        emptied.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
        emptied.dedup();
        let slices = |paths: &[&Vec<u8>]| zero_ended(paths.iter().map(|path| path.as_slice()));
        self.write("tree", &to.to_index_info()).await?;
        self.write("changed", &slices(&changed)).await?;
        self.write("gone", &slices(&gone)).await?;
        self.write("emptied", &zero_ended(emptied)).await?;
        succeed(&self.git(LAY_OUT, WORKDIR, WORKDIR, self.base).await?, "laying out the answer")?;
        self.close().await
    }

    async fn close(&self) -> Result<(), Fault> {
        succeed(&self.git(CLOSE, WORKDIR, WORKDIR, self.base).await?, "tidying up").map(drop)
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = format!("{}/{name}", self.folder);
        self.sandbox.write(&path, bytes, Some(0o644)).await.map_err(|error| match &error {
            SandboxError::File { source, .. } if is_no_room(source) => {
                Fault { boundary: Boundary::Task, code: "limit".into(), ..error.to_fault() }
            }
            _ => error.to_fault(),
        })
    }

    /// Runs a script in a folder of the repository, where nothing has attributes.
    async fn run(&self, script: &str, folder: &str) -> Result<Execution, Fault> {
        /// What git knows without having it.
        const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let files = format!("{}/files", self.folder);
        self.git(script, &format!("{}/{folder}", self.folder), &files, EMPTY_TREE).await
    }

    async fn git(
        &self,
        script: &str,
        folder: &str,
        tree: &str,
        attributes: &str,
    ) -> Result<Execution, Fault> {
        let keep = Keep { head: 256 << 20, tail: 0, kill_after: 256 << 20 };
        let mut command = Command::shell(script, Duration::from_secs(120)).in_folder(folder).keeping(keep);
        let index = format!("{}/index", self.folder);
        let borrowed = format!("{WORKDIR}/.git/objects");
        for (name, value) in [
            ("GIT_DIR", self.folder.as_str()),
            ("GIT_WORK_TREE", tree),
            ("GIT_INDEX_FILE", &index),
            ("GIT_ATTR_SOURCE", attributes),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_COUNT", "0"),
            ("XDG_CONFIG_HOME", "/nonexistent"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("AT", &self.folder),
            ("BASE", self.base),
            ("BORROWED", &borrowed),
        ] {
            command = command.with_env(name, value);
        }
        self.sandbox.exec(command).await.map_err(|e| e.to_fault())
    }
}

/// What a script printed that must succeed.
fn succeed(done: &Execution, what: &str) -> Result<Vec<u8>, Fault> {
    if done.succeeded() {
        return Ok(done.output.stream(Stream::Stdout));
    }
    Err(failed(done, what))
}

/// Whether a script did not come to its own end.
fn was_stopped(done: &Execution) -> bool {
    done.limit_hit.is_some() || !matches!(done.end, End::Exited(_))
}

/// What a script that did not succeed is recorded as.
fn failed(done: &Execution, what: &str) -> Fault {
    let said = last_lines(&String::from_utf8_lossy(&done.output.stream(Stream::Stderr)), 5);
    let (code, why) = match (done.limit_hit, done.end) {
        (Some(limit), _) => ("limit", format!("the box's {} limit was hit. ", limit.as_str())),
        (None, End::TimedOut(_)) => ("limit", "it took too long. ".to_owned()),
        (None, End::Signalled(signal)) => ("step_failed", format!("it ended by signal {signal}. ")),
        (None, End::Exited(_)) => ("step_failed", String::new()),
    };
    Fault::new(Boundary::Task, code, format!("{what} failed: {why}{said}").trim_end())
}

/// Whether a file cannot be written because of the box's limits.
fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | OutOfMemory)
}
