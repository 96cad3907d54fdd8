//! A repository of ours in the box, in which patches are applied.
//!
//! It borrows the objects of the box's own repository and nothing else: its
//! configuration, index and attributes are ours. Patches go onto the index, and
//! where GNU patch is needed, onto a folder with the named files alone. So
//! nothing of a patch is in the working folder before the whole tree is known,
//! and no `.git` is within reach of it.

use std::time::Duration;

use swegym_core::{Boundary, Fault, Patch};
use swegym_sandbox::output::{Keep, Stream};
use swegym_sandbox::sandbox::SCRATCH;
use swegym_sandbox::{Command, End, Execution, Sandbox};

use super::tree::{Tree, folders, zero_ended};
use crate::plan::WORKDIR;
use crate::shell::{last_lines, write};

/// Settings of a repository in which nothing is started or converted, and in
/// which no spelling of `.git` is a path.
const SETTINGS: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfileMode = true\n\tsymlinks = true\n\
\tprotectHFS = true\n\tprotectNTFS = true\n\thooksPath = /dev/null\n\tautocrlf = false\n\tsafecrlf = false\n[gc]\n\tauto = 0\n";

/// Makes the repository with the base commit in its index, and lists it. From
/// here on scripts are in a folder where nothing has attributes. A listing ends
/// with a row that names it and has no tab.
const OPEN: &str = "set -e; mkdir -p \"$AT/files\" \"$AT/refs\" \"$AT/objects/info\"; cd \"$AT/files\"
echo 'ref: refs/heads/none' > ../HEAD; printf %s \"$SETTINGS\" > ../config
echo \"$BORROWED\" > ../objects/info/alternates
git read-tree \"$BASE\"; git ls-files -s -z; printf 'base\\0'; mv ../index ../start; set +e\n";

/// Each way of applying begins with the index as it was.
const BEGIN: &str = "begin() { [ ! -e ../index.lock ] || rm ../index.lock; cp ../start ../index; }\n";

/// The reference's first ways (reference/grading.md, 1.1). What the first says is what is told.
const EXACT: &str = "exact() {
begin; git apply --cached --whitespace=nowarn \"../$1\" 2> \"../$1.said\" ||
{ begin; git apply --cached --3way --whitespace=nowarn \"../$1\" 2> /dev/null; } || return
git ls-files -s -z && printf '%s\\0' \"$1\"
}\n";

/// The tests go on before anything of the answer is in the box.
const TESTS: &str = "exact tests\n";
const READY: &str = "ready";
const ANSWER: &str = "printf 'ready\\0'; cat > ../answer || exit 1; exact answer\n";

/// The other ways: with the files' line ends, with GNU patch, and the question
/// whether the patch is in already. The reference's `--reject` succeeds where its
/// first way does.
const LOOSE: &str = "cd \"$AT/files\"
begin; [ -s ../ends ] && git apply --cached --whitespace=nowarn ../ends 2> /dev/null && exec git ls-files -s -z
begin; cd .. && rm -rf files && mkdir files && cd files && git checkout-index -f -z --stdin < ../present \
&& patch --batch --forward --fuzz=5 --no-backup-if-mismatch -p1 -i \"../$PATCH\" > /dev/null 2>&1 \
&& git update-index -z --add --remove --replace --stdin < ../names && exec git ls-files -s -z
begin; git apply --cached --check --reverse \"../$PATCH\" 2> /dev/null && exec git ls-files -s -z
cat \"../$PATCH.said\" >&2; exit 1";

/// Where every line of the named files ends how: `i/crlf`, `i/lf`, or mixed.
const LINE_ENDS: &str = "cd \"$AT/files\"; cp ../start ../index; \
xargs -0 -r git --literal-pathspecs ls-files --eol -z -- < ../present";

/// Takes away what the tree no longer has.
const REMOVE: &str = "xargs -0 -r rm -f -- < \"$AT/gone\"
xargs -0 -r rmdir --ignore-fail-on-non-empty -- < \"$AT/emptied\" 2> /dev/null || true\n";

/// Writes what changed, which comes by standard input as an index; whatever is in
/// the way goes. At the end the repository goes, too: the patches in it are not for
/// the tests to see.
const WRITE: &str = "export GIT_INDEX_FILE=\"$AT/changed\"; git update-index -z --index-info
git checkout-index -f -a; rm -rf \"$AT\"";

/// What git says, or the kernel through it, where it is not the patch that is
/// wrong but what is there for it: `No space left on device`, and so on.
const NO_ROOM: [&str; 5] =
    ["No space left", "quota exceeded", "annot allocate memory", "ut of memory", "File too large"];

/// Bytes that a command's input holds; more than that is written to a file first.
const MOST_INPUT: usize = 1 << 20;

pub(super) struct Repository<'a> {
    sandbox: &'a dyn Sandbox,
    commit: &'a str,
    folder: String,
    base: Tree,
}

/// A patch by the name that it has in the repository.
#[derive(Clone, Copy)]
pub(super) enum Which {
    Answer,
    Tests,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Tests => "tests",
        }
    }
}

/// What came of the first command: trees after patches that apply exactly.
#[derive(Default)]
pub(super) struct Exact {
    answer: Option<Tree>,
    tests: Option<Tree>,
    /// What stopped it when the answer was there.
    stopped: Option<Fault>,
}

impl<'a> Repository<'a> {
    /// Makes it, lists the tree of the base commit, and applies to that, each by
    /// itself, the tests and then the answer, as far as they apply exactly.
    ///
    /// # Errors
    /// Faults before there was anything of the answer in the box.
    pub(super) async fn open(
        sandbox: &'a dyn Sandbox,
        commit: &'a str,
        tests: Option<&Patch>,
        answer: Option<&Patch>,
    ) -> Result<(Self, Exact), Fault> {
        let mut repository =
            Self { sandbox, commit, folder: format!("{SCRATCH}/answer"), base: Tree::default() };
        let mut script = [OPEN, BEGIN, EXACT].concat();
        if let Some(tests) = tests {
            repository.write("tests", tests.to_text().as_bytes()).await?;
            script += TESTS;
        }
        let text = answer.map(Patch::to_text).unwrap_or_default();
        let (short, long) = if text.len() <= MOST_INPUT { (text, None) } else { (String::new(), Some(text)) };
        if answer.is_some() && long.is_none() {
            script += ANSWER;
        }
        script += "true";
        let done = repository.run(&script, short).await?;
        let mut listings = Tree::read_named(&done.output.stream(Stream::Stdout));
        let is_ready = listings.remove(READY).is_some();
        let mut exact = Exact {
            answer: listings.remove(Which::Answer.name()),
            tests: listings.remove(Which::Tests.name()),
            stopped: None,
        };
        let is_stopped = !done.succeeded() || done.limit_hit.is_some() && exact.answer.is_none();
        if is_stopped {
            exact.stopped = Some(failed(&done, "applying the patches"));
        }
        match (listings.remove("base"), exact.stopped.take()) {
            (Some(base), None) => repository.base = base,
            (Some(base), stopped) if is_ready => {
                repository.base = base;
                exact.stopped = stopped;
            }
            (_, Some(fault)) => return Err(fault),
            (None, None) => return Err(failed(&done, "listing the base commit")),
        }
        if let Some(text) = long {
            match repository.apply_long(&text).await {
                Ok(tree) => exact.answer = tree,
                Err(fault) => exact.stopped = Some(fault),
            }
        }
        Ok((repository, exact))
    }

    /// The same for an answer that is too long for a command's input.
    async fn apply_long(&self, text: &str) -> Result<Option<Tree>, Fault> {
        self.write(Which::Answer.name(), text.as_bytes()).await?;
        let script = ["cd \"$AT/files\"\n", BEGIN, EXACT, "exact answer; true"].concat();
        let done = self.run(&script, "").await?;
        let tree = Tree::read_named(&done.output.stream(Stream::Stdout)).remove(Which::Answer.name());
        if tree.is_none() && (!done.succeeded() || done.limit_hit.is_some()) {
            return Err(failed(&done, "applying the answer"));
        }
        Ok(tree)
    }

    /// The tree of the base commit.
    pub(super) fn base(&self) -> &Tree {
        &self.base
    }

    /// The base commit's tree after a patch that was there when the repository was
    /// opened; or why it does not apply, in the words of the first way.
    ///
    /// # Errors
    /// Faults of the box; faults of the boundary task where there is no room for
    /// the patch in it, or no time.
    pub(super) async fn apply(
        &self,
        which: Which,
        patch: &Patch,
        exact: &mut Exact,
    ) -> Result<Result<Tree, String>, Fault> {
        if patch.to_text().is_empty() {
            return Ok(Err("error: no section of the patch changes anything".into()));
        }
        let names: Vec<&[u8]> = patch.files.iter().flat_map(|file| file.names()).collect();
        // A link or a module of another repository, and what would be written through it.
        let is_through = |name: &&&[u8]| {
            folders(name).any(|f| self.base.get(f).is_some_and(|e| !e.mode.starts_with("10")))
        };
        if let Some(name) = names.iter().find(is_through) {
            let name = String::from_utf8_lossy(name);
            return Ok(Err(format!("error: affected file '{name}' is beyond a symbolic link")));
        }
        let other = patch.files.iter().filter_map(|file| Some((file.path(), file.other_reading()?)));
        if let Some((path, other)) = other.into_iter().find(|(_, other)| self.base.get(other).is_some()) {
            let other = String::from_utf8_lossy(other);
            return Ok(Err(format!(
                "error: the patch names '{other}', which is there, and would change '{path}': give both sides their prefixes, a/ and b/"
            )));
        }
        let (tree, stopped) = match which {
            Which::Answer => (exact.answer.take(), exact.stopped.take()),
            Which::Tests => (exact.tests.take(), None),
        };
        match (tree, stopped) {
            (Some(tree), _) => Ok(Ok(tree)),
            (None, Some(fault)) => Err(fault),
            (None, None) => self.apply_loosely(which, patch, &names).await,
        }
    }

    async fn apply_loosely(
        &self,
        which: Which,
        patch: &Patch,
        names: &[&[u8]],
    ) -> Result<Result<Tree, String>, Fault> {
        self.write("names", &zero_ended(names.iter().copied())).await?;
        let present = names.iter().copied().filter(|name| self.base.get(name).is_some());
        self.write("present", &zero_ended(present)).await?;
        let ends = self.with_line_ends(patch).await?.map(|patch| patch.to_text()).unwrap_or_default();
        self.write("ends", ends.as_bytes()).await?;
        let done = self.run(&format!("PATCH={}\n{BEGIN}{LOOSE}", which.name()), "").await?;
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
        let listing = succeed(&self.run(LINE_ENDS, "").await?, "looking at line ends")?;
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

    /// Makes the working folder, which is as the base commit has it, what a tree
    /// has, and takes the repository away.
    pub(super) async fn lay_out(self, to: &Tree) -> Result<(), Fault> {
        let (changed, gone): (Vec<&Vec<u8>>, Vec<_>) =
            to.differing(&self.base).partition(|path| to.get(path).is_some());
        let mut script = "set -e\n".to_owned();
        if !gone.is_empty() {
            let mut emptied: Vec<&[u8]> =
                gone.iter().flat_map(|path| folders(path)).filter(|f| !to.has(f)).collect();
            emptied.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
            emptied.dedup();
            self.write("gone", &zero_ended(gone.iter().map(|path| path.as_slice()))).await?;
            self.write("emptied", &zero_ended(emptied)).await?;
            script += REMOVE;
        }
        let mut input = to.to_index_info(changed);
        if input.len() > MOST_INPUT {
            self.write("input", &input).await?;
            script += "exec < \"$AT/input\"\n";
            input.clear();
        }
        script += WRITE;
        let done = self.git(&script, input, WORKDIR, self.commit).await?;
        succeed(&done, "laying out the answer").map(drop)
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        write(self.sandbox, &format!("{}/{name}", self.folder), bytes, 0o644).await
    }

    /// Runs a script on the repository's index, where nothing has attributes.
    async fn run(&self, script: &str, input: impl Into<Vec<u8>>) -> Result<Execution, Fault> {
        /// What git knows without having it.
        const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        self.git(script, input, &format!("{}/files", self.folder), EMPTY_TREE).await
    }

    async fn git(
        &self,
        script: &str,
        input: impl Into<Vec<u8>>,
        tree: &str,
        attributes: &str,
    ) -> Result<Execution, Fault> {
        let keep = Keep { head: 256 << 20, tail: 0, kill_after: 256 << 20 };
        let mut command = Command::shell(script, Duration::from_secs(120))
            .in_folder(WORKDIR)
            .with_stdin(input)
            .keeping(keep);
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
            ("BASE", self.commit),
            ("BORROWED", &borrowed),
            ("SETTINGS", SETTINGS),
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
