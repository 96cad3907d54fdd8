//! The real binary, a home folder of its own, and small projects to feed it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses a part of this"
)]

pub mod base;
pub mod index;
pub mod projects;
pub mod toy;
pub mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use regex::Regex;
use tempfile::TempDir;

/// A folder to work in, a home folder, and the binary.
pub struct Gym {
    pub folder: TempDir,
    home: PathBuf,
}

impl Gym {
    /// With an empty home.
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    fn within(place: &Path) -> Self {
        let folder = tempfile::tempdir_in(place).unwrap();
        let home = folder.path().join("home");
        Self { folder, home }
    }

    /// An empty folder, and the home of another one.
    pub fn beside(other: &'static Self) -> Self {
        Self { home: other.home(), ..Self::new() }
    }

    /// With a home that has what every build makes first: the layers of the interpreter and
    /// of uv, and what is fetched for a small project.
    pub fn founded(self) -> Self {
        self.like(&base::FOUNDATION)
    }

    /// With all that another has in its folder and in its home. Nobody writes to a file of
    /// a home, so links to those will do, but for locks, which would be held in common.
    #[expect(clippy::disallowed_methods, reason = "a test copies folders")]
    pub fn like(self, other: &Self) -> Self {
        let copy = |options: &[&str], from: &Path| {
            let mut copy = Command::new("cp");
            copy.args(options).arg(from).arg(self.folder.path());
            assert!(copy.status().unwrap().success(), "{copy:?}");
        };
        for entry in fs::read_dir(other.folder.path()).unwrap().flatten() {
            let is_home = entry.path() == other.home;
            copy(if is_home { &["--archive", "--link"] } else { &["--archive"] }, &entry.path());
        }
        // A home in which nothing was built has none.
        for lock in ["store/lock", "store/turn"].map(|lock| self.home.join(lock)) {
            if lock.exists() {
                fs::remove_file(lock).unwrap();
            }
        }
        self
    }

    pub fn home(&self) -> PathBuf {
        self.home.clone()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a test starts the program it tests")]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swegym"));
        command.args(arguments).current_dir(self.folder.path()).env("SWEGYM_HOME", self.home());
        // What is shown must not depend on how long it takes.
        command.env("SWEGYM_NO_PROGRESS", "1");
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// How many tasks of the gym in `gym` answers resolve: `gold`, `empty` or a file.
    pub fn resolved(&self, answers: &str) -> serde_json::Value {
        let out = format!("eval-{answers}");
        self.must(&[
            "evaluate",
            "--instances",
            "gym/instances.jsonl",
            "--predictions",
            answers,
            "--out",
            &out,
        ]);
        let report: serde_json::Value =
            serde_json::from_str(&self.read(&format!("{out}/report.json"))).unwrap();
        report["resolved_instances"].clone()
    }

    /// Runs and must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything visible, with what differs from machine to machine blanked.
    pub fn show(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = format!(
            "exit: {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let text = text.replace(&*self.folder.path().to_string_lossy(), "[folder]");
        let times = Regex::new(r"\d{8}-\d{6}-\d+").unwrap();
        times.replace_all(&text, "[run]").into_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        name.to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// A project with one module and one test file.
    pub fn project(&self, name: &str, module: &str, tests: &str) -> String {
        self.write(
            &format!("{name}/pyproject.toml"),
            &format!("[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n[project]\nname = \"{name}\"\nversion = \"1.0\"\n[tool.setuptools]\npy-modules = [\"{name}\"]\n"),
        );
        self.write(&format!("{name}/{name}.py"), module);
        if !tests.is_empty() {
            self.write(&format!("{name}/test_{name}.py"), tests);
        }
        format!("./{name}")
    }
}

/// Rows of a JSON Lines text.
pub fn rows(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// All files under a folder with their bytes, but for those whose name `skip` wants to skip.
/// Links are not followed.
pub fn contents(folder: &Path, skip: &dyn Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut stack = vec![folder.to_owned()];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                stack.push(path);
            } else if !kind.is_symlink() && !skip(&entry.file_name().to_string_lossy()) {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                all.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}
