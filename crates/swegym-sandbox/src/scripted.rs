//! A sandbox that follows a script: every expected call with its answer.
//!
//! It lets everything above boxes be run without any, where user namespaces
//! are missing or where a failure must come at a chosen moment.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use swegym_core::Digest;

use crate::output::{Keep, Output, Stream};
use crate::sandbox::{
    Command, DirEntry, End, EntryKind, Execution, Extent, Keys, Progress, Results, SCRATCH, Sandbox,
    SandboxError, Written,
};
use crate::store::LayerId;

/// One expected command and its answer.
#[derive(Debug, Clone)]
pub struct Scene {
    /// A part of the command line (arguments joined with blanks) or session text.
    pub expects: String,
    /// How the command ends.
    pub end: End,
    /// What it prints to standard output.
    pub stdout: String,
    /// What it writes to its descriptor for results, if it is given one.
    pub results: Vec<u8>,
    /// Files it leaves behind: (path, bytes).
    pub writes: Vec<(String, Vec<u8>)>,
}

/// Follows scenes in order; files live in a map.
#[derive(Debug, Default)]
pub struct ScriptedSandbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scenes: VecDeque<Scene>,
    files: BTreeMap<String, Vec<u8>>,
    stopped: bool,
}

impl ScriptedSandbox {
    /// A sandbox that will be asked for exactly these commands.
    #[must_use]
    pub fn new(scenes: impl IntoIterator<Item = Scene>) -> Self {
        let state = State { scenes: scenes.into_iter().collect(), ..State::default() };
        Self { state: Mutex::new(state) }
    }

    /// Scenes nobody asked for.
    #[must_use]
    pub fn scenes_left(&self) -> usize {
        self.state().scenes.len()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn play(&self, line: &str, limit: Option<u64>) -> Result<Execution, SandboxError> {
        let mut state = self.state();
        if state.stopped {
            return Err(SandboxError::Gone);
        }
        let scene = state
            .scenes
            .pop_front()
            .ok_or_else(|| SandboxError::Script(format!("no scene left for `{line}`")))?;
        if !line.contains(&scene.expects) {
            let expects = scene.expects.clone();
            state.scenes.push_front(scene);
            return Err(SandboxError::Script(format!("expected `{expects}`, got `{line}`")));
        }
        state.files.extend(scene.writes);
        let mut output = Output::default();
        output.push_head(Stream::Stdout, scene.stdout.as_bytes());
        Ok(Execution {
            end: scene.end,
            limit_hit: None,
            output,
            results: match limit {
                None => Results::NotAsked,
                Some(limit) if scene.results.len() as u64 > limit => Results::TooLarge(limit),
                Some(_) => Results::Whole(scene.results),
            },
            cpu_time: Duration::ZERO,
            max_rss_bytes: 0,
            wall_time: Duration::ZERO,
            folder: None,
        })
    }
}

fn missing(action: &'static str, path: &str) -> SandboxError {
    SandboxError::File { action, path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() }
}

#[async_trait]
impl Sandbox for ScriptedSandbox {
    async fn exec(&self, command: Command) -> Result<Execution, SandboxError> {
        self.play(&command.argv.join(" "), command.results)
    }

    async fn session(&self, text: &str, _: Duration, _: Keep) -> Result<Execution, SandboxError> {
        self.play(text, None)
    }

    /// A scene is over at once.
    async fn begin(&self, text: &str, _: Duration, _: Keep, _: Duration) -> Result<Progress, SandboxError> {
        self.play(text, None).map(Progress::Over)
    }

    async fn attend(&self, _: Keys<'_>, _: Duration) -> Result<Progress, SandboxError> {
        Err(SandboxError::Script("no text is under way: every scene is over at once".into()))
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, SandboxError> {
        let bytes = self.state().files.get(path).cloned().ok_or_else(|| missing("read", path))?;
        if bytes.len() as u64 > limit {
            return Err(SandboxError::FileTooLarge { path: path.to_owned(), limit });
        }
        Ok(bytes)
    }

    async fn write(&self, path: &str, bytes: &[u8], _: Option<u32>) -> Result<(), SandboxError> {
        self.state().files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    async fn list(&self, path: &str) -> Result<Vec<DirEntry>, SandboxError> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let state = self.state();
        let mut entries: BTreeMap<&str, DirEntry> = BTreeMap::new();
        for (file, bytes) in &state.files {
            let Some(rest) = file.strip_prefix(&prefix) else { continue };
            let (name, kind, size) = match rest.split_once('/') {
                Some((folder, _)) => (folder, EntryKind::Folder, 0),
                None => (rest, EntryKind::File, bytes.len() as u64),
            };
            entries.insert(name, DirEntry { name: name.as_bytes().to_vec(), kind, size });
        }
        if entries.is_empty() { Err(missing("list", path)) } else { Ok(entries.into_values().collect()) }
    }

    async fn snapshot(&self, extent: Extent) -> Result<LayerId, SandboxError> {
        let state = self.state();
        let mut all = Vec::new();
        for (path, bytes) in &state.files {
            if extent == Extent::Whole || !path.starts_with("/tmp/") {
                all.extend(format!("{path} {}\n", Digest::of(bytes)).bytes());
            }
        }
        Ok(LayerId(Digest::of(&all)))
    }

    async fn written(&self) -> Result<Vec<Written>, SandboxError> {
        let state = self.state();
        let is_inside = |path: &&Path| path.starts_with(SCRATCH) && path.parent() != Some(Path::new(SCRATCH));
        let files = state.files.iter().filter(|(path, _)| !is_inside(&Path::new(path)));
        let written = |(path, bytes): (&String, &Vec<u8>)| {
            let mut hash = DefaultHasher::new();
            bytes.hash(&mut hash);
            let (path, kind) = (path.into(), EntryKind::File);
            let size = bytes.len() as u64;
            Written { path, kind, executable: false, replaces: false, size, stamp: hash.finish() }
        };
        Ok(files.map(written).collect())
    }

    async fn stop(&self) -> Result<(), SandboxError> {
        self.state().stopped = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn scenes_are_played_in_order_and_surprises_refused() {
        let scene = Scene {
            expects: "pytest".into(),
            end: End::Exited(1),
            stdout: "FAILED a\n".into(),
            results: b"<x/>".to_vec(),
            writes: vec![("/out/junit.xml".into(), b"<x/>".to_vec())],
        };
        let sandbox = ScriptedSandbox::new([scene]);
        let timeout = Duration::from_secs(1);
        assert!(matches!(
            sandbox.exec(Command::shell("git status", timeout)).await,
            Err(SandboxError::Script(_))
        ));
        let done = sandbox.exec(Command::shell("pytest -rA", timeout).with_results(4)).await.unwrap();
        assert_eq!(done.results, Results::Whole(b"<x/>".to_vec()));
        assert_eq!((done.end, done.output.stdout_text()), (End::Exited(1), "FAILED a\n".into()));
        assert_eq!(sandbox.read("/out/junit.xml", 10).await.unwrap(), b"<x/>");
        assert_eq!(sandbox.list("/out").await.unwrap()[0].name, b"junit.xml");
        assert_eq!(sandbox.scenes_left(), 0);
    }
}
