//! The real binary, a home folder of its own, and small projects to feed it.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses a part of this")]

pub mod index;
pub mod projects;
pub mod toy;
pub mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use regex::Regex;

/// A home folder and the binary.
pub struct Gym {
    pub folder: tempfile::TempDir,
    /// Whose images it uses, if not its own.
    shared: Option<Arc<Self>>,
}

impl Gym {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), shared: None }
    }

    /// A folder of its own, and the images of another one.
    pub fn beside(other: &Arc<Self>) -> Self {
        Self { shared: Some(Arc::clone(other)), ..Self::new() }
    }

    pub fn home(&self) -> PathBuf {
        self.shared.as_ref().map_or_else(|| self.path("home"), |other| other.home())
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
