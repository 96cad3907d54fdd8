//! The answer: what the agent changed, as a git patch taken by bytes.
//!
//! It is taken against the commit that the attempt began with, whatever the
//! agent did to branches and to the index in the meantime: our own index and
//! our own objects lie aside in [`SCRATCH`]. New and binary files are in it;
//! caches of tests, and (in our scaffolds) scripts that only reproduce the
//! issue, are not, unless the repository has them.
//!
//! After every step there is a patch to keep, and git takes longer than most
//! steps; so where little happened since git took one, it is a draft. The one
//! that an attempt ends with is always git's own.

mod draft;
mod ground;
mod index;
mod section;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use swegym_core::absent;
use swegym_sandbox::output::{Keep, Stream};
use swegym_sandbox::sandbox::{End, EntryKind, SCRATCH};
use swegym_sandbox::{Command, Execution, Sandbox, SandboxError, Written};

use crate::changes::{Changes, INDEX};
use draft::Taken;
use ground::File;

/// New files that no answer needs, in the form of `.gitignore`.
const CACHES: &str = include_str!("patch/caches.txt");
/// New files by which agents reproduce an issue.
const SCRATCH_FILES: &str = include_str!("patch/scratch.txt");
pub use ground::{Ground, Grounds};

/// Largest patch.
const LARGEST: u64 = 64 << 20;
/// How long git may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Settings that hold whatever the repository's own say. Files of an image
/// have a time of their own, so that time and size tell enough of a box that began
/// with them alone.
const SETTINGS: [&str; 13] = [
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.checkStat=minimal",
    "core.trustctime=false",
    "core.fileMode=true",
    "core.sparseCheckout=false",
    "core.quotePath=true",
    // A commit's full name is nothing else's.
    "core.warnAmbiguousRefs=false",
    "diff.suppressBlankEmpty=false",
    "diff.indentHeuristic=true",
    "advice.addEmbeddedRepo=false",
];
const DIFF: [&str; 12] = [
    "diff",
    "--binary",
    "--unified=3",
    "--inter-hunk-context=0",
    "--diff-algorithm=myers",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--ignore-submodules=all",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// What `git add` says where it left out what it cannot add, and added the rest.
const LEFT_OUT: i32 = 1;

/// What our index is to have.
#[derive(Clone, Copy)]
enum Which {
    /// Everything that is there.
    All,
    /// What git can add: no names that it refuses (`.GIT/`), and nothing read as an
    /// agent's own attributes say that it is written.
    Possible,
}

/// Takes the patches of one attempt.
#[derive(Debug, Clone)]
pub struct PatchTaker {
    workspace: String,
    base_commit: String,
    excluded: String,
    /// New files that are too large for any patch.
    large: Vec<PathBuf>,
    /// Files of the commit that a partial clone's image does not have.
    absent: Vec<String>,
    ground: Arc<Ground>,
    /// The names that our index has, as [`Changes::names`].
    indexed: Option<u64>,
    /// The rules by which it got them, as [`Changes::rules`].
    ruled: Option<u64>,
    /// As everything was when the last patch was taken.
    taken: Option<Taken>,
    /// Nobody worked in the box before this attempt began in it.
    is_fresh: bool,
    /// Git's rules in a fresh box.
    fresh: Option<u64>,
    is_draft: bool,
}

/// Why there is no patch to take: the repository is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPatch(pub String);

impl PatchTaker {
    /// For a repository at `workspace`, against this commit.
    #[must_use]
    pub fn new(workspace: &str, base_commit: &str, leaves_scratch_out: bool, ground: Arc<Ground>) -> Self {
        let scratch = if leaves_scratch_out { SCRATCH_FILES } else { "" };
        Self {
            workspace: workspace.to_owned(),
            base_commit: base_commit.to_owned(),
            excluded: format!("{CACHES}{scratch}"),
            large: Vec::new(),
            absent: Vec::new(),
            ground,
            indexed: None,
            ruled: None,
            taken: None,
            is_fresh: false,
            fresh: None,
            is_draft: false,
        }
    }

    /// Sets our index up, before the agent does anything. `is_fresh` says that
    /// nobody ever worked in this box: then it is a copy of the repository's own,
    /// with notes on files that save reading them again. An agent's index may
    /// have its own: files that git is not to look at, or ignored ones.
    ///
    /// # Errors
    /// [`NoPatch`] where the repository or its commit is missing.
    pub async fn prepare(
        &mut self,
        sandbox: &dyn Sandbox,
        is_fresh: bool,
    ) -> Result<Result<(), NoPatch>, SandboxError> {
        self.furnish(sandbox).await?;
        self.is_fresh = is_fresh;
        // A fresh box says itself whether it is of a partial clone.
        let laid_out = format!("{}/.git/info/sparse-checkout", self.workspace);
        if !is_fresh || sandbox.read(&laid_out, LARGEST).await.is_ok() {
            self.find_absent(sandbox).await?;
        }
        if let Some(index) = self.noted() {
            sandbox.write(INDEX, index, None).await?;
            return Ok(Ok(()));
        }
        let index = format!("{}/.git/index", self.workspace);
        if is_fresh
            && self.stands_at_base(sandbox).await
            && let Ok(index) = sandbox.read(&index, LARGEST).await
        {
            sandbox.write(INDEX, &index, None).await?;
            self.refresh(sandbox).await?;
            self.ground.keep_index(sandbox.read(INDEX, LARGEST).await?);
            return Ok(Ok(()));
        }
        self.make_index(sandbox).await
    }

    /// Says how a fresh box stands, before the agent does anything.
    pub fn begin(&mut self, changes: &Changes) {
        self.fresh = Some(changes.rules);
        if self.ground.is_clean() {
            self.taken = Taken::of(changes, true);
        }
    }

    /// Puts there what git is told to read, but for our index.
    async fn furnish(&self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        let large = self.large.iter().filter_map(|path| rule_for(path.strip_prefix(&self.workspace).ok()?));
        let excluded: String = std::iter::once(self.excluded.clone()).chain(large).collect();
        sandbox.write(&format!("{SCRATCH}/exclude"), excluded.as_bytes(), None).await?;
        // Git names objects by paths that need this folder.
        sandbox.write(&format!("{SCRATCH}/objects/.kept"), b"", None).await
    }

    /// Makes our index that of the commit again.
    async fn start_over(&self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        // Ours would take more of the agent's disk with every one that is no longer needed.
        let line = format!("rm -rf {SCRATCH}/objects");
        sandbox.exec(Command::shell(&line, PATIENCE)).await?;
        self.furnish(sandbox).await?;
        match self.noted() {
            Some(index) => sandbox.write(INDEX, index, None).await,
            // What is wrong shows when the patch is taken.
            None => self.make_index(sandbox).await.map(|_| ()),
        }
    }

    /// The index with notes on files, if they hold here. All files of layers have the same
    /// time, so in a box that goes on from a snapshot, a changed file may look like the one
    /// that it was.
    fn noted(&self) -> Option<&[u8]> {
        self.ground.index().filter(|_| self.is_fresh)
    }

    /// Makes our index from the commit.
    async fn make_index(&self, sandbox: &dyn Sandbox) -> Result<Result<(), NoPatch>, SandboxError> {
        let tree = format!("{}^{{tree}}", self.base_commit);
        let done = self.git(sandbox, &["read-tree", &tree]).await?;
        if !done.succeeded() {
            return Ok(Err(NoPatch(words(&done))));
        }
        self.mark_absent(sandbox).await?;
        self.refresh(sandbox).await?;
        Ok(Ok(()))
    }

    /// Finds what the image of a partial clone does not have, by the commit itself: an agent may
    /// write whatever list there is.
    async fn find_absent(&mut self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        let tree = format!("{}^{{tree}}", self.base_commit);
        let ask = async |words: [&str; 4]| {
            let done = self.git(sandbox, &[&words[..], &[&tree]].concat()).await?;
            Ok::<_, SandboxError>(done.output.stream(Stream::Stdout))
        };
        let walked = ask(absent::WALK).await?;
        if absent::is_partial(&walked) {
            self.absent = absent::absent_files(&walked, &ask(absent::LIST).await?).0;
        }
        Ok(())
    }

    /// Marks in our index what is absent, so that no patch deletes it: none can, without its
    /// contents.
    async fn mark_absent(&self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        if !self.absent.is_empty() {
            let mark = self.command(&["update-index", "-z", "--skip-worktree", "--stdin"]);
            sandbox.exec(mark.with_stdin(self.absent.join("\0"))).await?;
        }
        Ok(())
    }

    /// One of the absent files that is there now: an agent wrote it, and no patch can say so.
    async fn written_anew(&self, sandbox: &dyn Sandbox) -> Result<Option<String>, SandboxError> {
        if self.absent.is_empty() {
            return Ok(None);
        }
        let look = Command::shell("xargs -0 -r ls -d -- 2>/dev/null | head -n 1", PATIENCE);
        let look = look.in_folder(&self.workspace).with_stdin(self.absent.join("\0"));
        let said = sandbox.exec(look).await?.output.stream(Stream::Stdout);
        let first = String::from_utf8_lossy(&said).trim_end().to_owned();
        Ok(Some(first).filter(|first| !first.is_empty()))
    }

    /// Notes times and sizes of files that are as our index says. Without them
    /// (images and commits have none) git would read every file again for the
    /// first patch. It would find each among the packs, and set their times: a
    /// copy of whole packs in the box and in every snapshot of it.
    async fn refresh(&self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        // Fails where some file is another one, which is no fault.
        self.git(sandbox, &["update-index", "-q", "--refresh"]).await?;
        Ok(())
    }

    /// Whether the repository's head is the base commit, by its files alone: a
    /// fresh box is where it was built, and a process costs more than a look.
    async fn stands_at_base(&self, sandbox: &dyn Sandbox) -> bool {
        let read = async |name: &str| {
            let bytes = sandbox.read(&format!("{}/.git/{name}", self.workspace), 4096).await.ok()?;
            Some(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        let Some(head) = read("HEAD").await else { return false };
        let commit = match head.strip_prefix("ref: ") {
            Some(branch) => read(branch).await,
            None => Some(head),
        };
        commit.as_ref() == Some(&self.base_commit)
    }

    /// The patch as it stands, a draft where that is enough. `before` is the one
    /// taken last.
    ///
    /// # Errors
    /// [`NoPatch`] where git no longer works there.
    pub async fn take(
        &mut self,
        sandbox: &dyn Sandbox,
        changes: &Changes,
        before: &str,
    ) -> Result<Result<String, NoPatch>, SandboxError> {
        if let Some(taken) = &self.taken
            && let Some(patch) = taken.draft(sandbox, &self.workspace, &self.ground, changes, before).await
        {
            self.taken = Taken::of(changes, self.fresh.is_some());
            // Had git looked for new names, it would have found none that count.
            self.indexed = changes.names;
            self.is_draft = true;
            return Ok(Ok(patch));
        }
        self.take_by_git(sandbox, changes).await
    }

    /// Goes on from a patch that another process left, of whatever kind.
    pub fn go_on(&mut self, patch: &str) {
        self.is_draft = !patch.is_empty();
    }

    /// Whether the last patch is a draft.
    #[must_use]
    pub fn is_draft(&self) -> bool {
        self.is_draft
    }

    /// The patch as git says it. While [`Changes::names`] are those of the last
    /// one, our index has them all, and git compares the files with the commit at
    /// once; otherwise it looks for new ones first.
    ///
    /// # Errors
    /// [`NoPatch`] where git no longer works there.
    pub async fn take_by_git(
        &mut self,
        sandbox: &dyn Sandbox,
        changes: &Changes,
    ) -> Result<Result<String, NoPatch>, SandboxError> {
        (self.taken, self.is_draft) = (None, false);
        if let Some(path) = self.written_anew(sandbox).await? {
            let why = format!("`{path}` was written, whose first contents the partial clone does not have");
            return Ok(Err(NoPatch(why)));
        }
        let taken = self.run_git(sandbox, changes).await?;
        if let Ok(patch) = &taken {
            self.taken = Taken::of(changes, self.fresh.is_some());
            self.learn(sandbox, changes, patch).await;
        }
        Ok(taken)
    }

    async fn run_git(
        &mut self,
        sandbox: &dyn Sandbox,
        changes: &Changes,
    ) -> Result<Result<String, NoPatch>, SandboxError> {
        if changes.names.is_some()
            && self.indexed == changes.names
            && let Ok(patch) = self.compare(sandbox, &[]).await?
        {
            return Ok(Ok(patch));
        }
        self.indexed = None;
        // Names that are ignored now would stay in an index that has them.
        if changes.names.is_none() || self.ruled.is_some_and(|rules| rules != changes.rules) {
            self.large.clone_from(&changes.large);
            self.start_over(sandbox).await?;
        } else if self.large != changes.large {
            self.large.clone_from(&changes.large);
            self.furnish(sandbox).await?;
        }
        self.ruled = Some(changes.rules);
        if !self.add(sandbox, Which::All).await?.succeeded() {
            self.mend(sandbox).await?;
            let mut added = self.add(sandbox, Which::All).await?;
            if !added.succeeded() {
                added = self.add(sandbox, Which::Possible).await?;
            }
            if !matches!(added.end, End::Exited(0 | LEFT_OUT)) {
                return Ok(Err(NoPatch(words(&added))));
            }
        }
        self.indexed = changes.names;
        // What was just read is not read again.
        let patch = self.compare(sandbox, &["--cached"]).await?;
        let Ok(text) = &patch else { return Ok(patch) };
        let ignored = came_back(text, &self.workspace, changes);
        if ignored.is_empty() {
            return Ok(patch);
        }
        let add: Vec<&str> =
            ["add", "-f", "--"].into_iter().chain(ignored.iter().map(String::as_str)).collect();
        self.git(sandbox, &add).await?;
        self.compare(sandbox, &["--cached"]).await
    }

    /// Learns from git's patch what later drafts need.
    async fn learn(&mut self, sandbox: &dyn Sandbox, changes: &Changes, patch: &str) {
        let Some(taken) = &self.taken else { return };
        if self.fresh == Some(changes.rules) && taken.explains(&self.workspace, patch) {
            self.ground.note_clean();
        }
        let sections = draft::by_path(patch).unwrap_or_default();
        let is_of_text = |section: &str| second_line(section).starts_with("index ");
        let modified = sections.into_iter().filter(|(_, section)| is_of_text(section));
        for (name, section) in modified.take(draft::MANY) {
            if let File::Unseen(blob) = self.ground.file(&name)
                && let Ok(now) = sandbox.read(&format!("{}/{name}", self.workspace), draft::LARGEST).await
                && let Ok(now) = String::from_utf8(now)
            {
                self.ground.learn(&name, blob, &section, &now);
            }
        }
    }

    /// What is different from the commit: files that our index knows, or itself.
    async fn compare(
        &self,
        sandbox: &dyn Sandbox,
        what: &[&str],
    ) -> Result<Result<String, NoPatch>, SandboxError> {
        let done = self.git(sandbox, &self.diff(what)).await?;
        if !done.succeeded() || done.output.dropped > 0 {
            return Ok(Err(NoPatch(words(&done))));
        }
        match String::from_utf8(done.output.stream(Stream::Stdout)) {
            Ok(patch) => Ok(Ok(patch)),
            Err(error) => self.take_as_binary(sandbox, error.as_bytes(), what).await,
        }
    }

    /// Files in other encodings than UTF-8 go into the patch as binary ones,
    /// since a prediction is text.
    async fn take_as_binary(
        &self,
        sandbox: &dyn Sandbox,
        patch: &[u8],
        what: &[&str],
    ) -> Result<Result<String, NoPatch>, SandboxError> {
        let names = self.git(sandbox, &self.diff(&[what, &["--name-only", "-z"]].concat())).await?;
        let names = names.output.stream(Stream::Stdout);
        let mut attributes = Vec::new();
        let sections = sections(patch);
        for (name, section) in names.split(|b| *b == 0).zip(sections) {
            if std::str::from_utf8(section).is_err() {
                attributes.push(b'"');
                for byte in name {
                    match byte {
                        b'"' | b'\\' => attributes.extend([b'\\', *byte]),
                        0x20..=0x7e => attributes.push(*byte),
                        other => attributes.extend(format!("\\{other:03o}").bytes()),
                    }
                }
                attributes.extend(b"\" -diff\n");
            }
        }
        sandbox.write(&format!("{SCRATCH}/attributes"), &attributes, None).await?;
        let attributes = format!("core.attributesFile={SCRATCH}/attributes");
        let again: Vec<&str> = ["-c", &attributes].into_iter().chain(self.diff(what)).collect();
        let done = self.git(sandbox, &again).await?;
        let text = String::from_utf8(done.output.stream(Stream::Stdout));
        Ok(text.map_err(|_| NoPatch("the patch is not UTF-8 text".into())))
    }

    fn diff<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        DIFF.iter().chain(more).copied().chain([self.base_commit.as_str(), "--"]).collect()
    }

    /// Brings our index up to what is there.
    async fn add(&self, sandbox: &dyn Sandbox, which: Which) -> Result<Execution, SandboxError> {
        let excluded = format!("core.excludesFile={SCRATCH}/exclude");
        let add = ["-c", &excluded, "add", "-A"];
        match which {
            Which::All => self.git(sandbox, &add).await,
            Which::Possible => {
                let arguments = [&add[..], &["--ignore-errors"]].concat();
                // Git knows it since 2.41.
                let command = self.command(&arguments).with_env("GIT_ATTR_SOURCE", &self.base_commit);
                sandbox.exec(command).await
            }
        }
    }

    /// What we read may be gone with `/tmp`; and a repository within the
    /// repository that has no commit stops git: it is left out.
    async fn mend(&self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        self.start_over(sandbox).await?;
        let line = format!(
            "find . -mindepth 2 -name .git -prune -printf '/%P\\n' | sed 's|/.git$|/|' >> {SCRATCH}/exclude"
        );
        sandbox.exec(Command::shell(&line, PATIENCE).in_folder(&self.workspace)).await?;
        Ok(())
    }

    async fn git(&self, sandbox: &dyn Sandbox, arguments: &[&str]) -> Result<Execution, SandboxError> {
        sandbox.exec(self.command(arguments)).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let repository = format!("{}/.git", self.workspace);
        let settings = SETTINGS.iter().flat_map(|s| ["-c", s]);
        let argv = ["git"].into_iter().chain(settings).chain(arguments.iter().copied());
        Command::new(argv, PATIENCE)
            .in_folder(&self.workspace)
            .with_env("GIT_DIR", &repository)
            .with_env("GIT_WORK_TREE", &self.workspace)
            .with_env("GIT_INDEX_FILE", INDEX)
            .with_env("GIT_OBJECT_DIRECTORY", format!("{SCRATCH}/objects"))
            .with_env("GIT_ALTERNATE_OBJECT_DIRECTORIES", format!("{repository}/objects"))
            .with_env("GIT_CONFIG_NOSYSTEM", "1")
            .with_env("GIT_ATTR_NOSYSTEM", "1")
            .with_env("GIT_LITERAL_PATHSPECS", "1")
            .with_env("GIT_NO_LAZY_FETCH", "1")
            // The commit as it was, whatever an agent put in its place.
            .with_env("GIT_NO_REPLACE_OBJECTS", "1")
            // Reading a language's tables takes as long as a small diff.
            .with_env("LC_ALL", "C")
            .keeping(Keep { head: LARGEST, tail: 0, kill_after: LARGEST + 1 })
    }
}

/// Files of the commit that a patch says are deleted, and that are there: they
/// were away for a while, so that our index no longer has them, and git ignores
/// such names.
fn came_back(patch: &str, workspace: &str, changes: &Changes) -> Vec<String> {
    let Some(sections) = draft::by_path(patch) else { return Vec::new() };
    let is_there = |name: &str| {
        let path = Path::new(workspace).join(name);
        let is_file = |w: &Written| matches!(w.kind, EntryKind::File | EntryKind::Link) && w.path == path;
        changes.files.iter().flat_map(|files| files.iter()).any(is_file)
    };
    let is_deleted = |section: &str| second_line(section).starts_with("deleted file ");
    let back = sections.iter().filter(|(name, section)| is_deleted(section) && is_there(name));
    back.map(|(name, _)| name.to_string()).collect()
}

/// The line of a `.gitignore` that names one path from the top; none does where a
/// name holds a line's end.
fn rule_for(path: &Path) -> Option<String> {
    let path = path.to_str().filter(|path| !path.contains('\n'))?;
    let escaped: String = path
        .chars()
        .flat_map(|c| ['\\', c].into_iter().skip(usize::from(c.is_alphanumeric() || c == '/')))
        .collect();
    Some(format!("/{escaped}\n"))
}

/// What a section says first: of what kind the change is.
fn second_line(section: &str) -> &str {
    section.lines().nth(1).unwrap_or_default()
}

/// The parts of a patch, one a file.
fn sections(patch: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in patch.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"diff --git ") {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([patch.len()]);
    starts.iter().zip(ends).map(|(start, end)| &patch[*start..end]).collect()
}

fn words(done: &Execution) -> String {
    let said = String::from_utf8_lossy(&done.output.stream(Stream::Stderr)).into_owned();
    let last = said.lines().last().unwrap_or("git gave no patch");
    if done.output.dropped > 0 {
        format!("the patch is larger than {LARGEST} bytes")
    } else {
        last.to_owned()
    }
}
