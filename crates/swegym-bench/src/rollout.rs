//! Benchmark of agents: steps per second and memory per attempt, with a model that
//! answers at once, against mini-swe-agent; and many attempts in parallel, with a
//! slow model.
//!
//! Both use the same endpoint over a real socket and run the same commands on the
//! same repository, each in its own loop. The figures include the cost of commands,
//! so there are three kinds of work: shell built-ins, where the agents are most of
//! the cost; viewing and editing files, where a command is a small program; and
//! searching (`grep -r`, git), where commands cost more than the agents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swegym_agent::model::scripted::Script;
use swegym_console::error::CommandError;
use swegym_method::session::Session;
use swegym_method::stage;
use swegym_runner::foundation;
use swegym_runner::plan::WORKDIR;
use swegym_runner::run_dir::Open;
use swegym_sandbox::output::{Keep, Stream};
use swegym_sandbox::{Command as BoxCommand, Sandbox as _, tool};
use swegym_serve::door::Door;
use swegym_serve::script;

use crate::case::Case;

/// The peer, and what its model client needs beside.
const PEER: [&str; 2] = ["mini-swe-agent==2.4.6", "mcp"];
/// Whose repository is worked on.
const PACKAGE: &str = "cachetools==5.5.2";
/// Turns that ours and the peer take.
const ROUNDS: usize = 3;
/// Attempts at once.
const AT_ONCE: usize = 64;
/// What attempts that search begin with, and what memory is measured with.
const COMMANDS: [&str; 9] = [
    "ls -la",
    "git log --oneline | head -3",
    "cat README.rst | head -50",
    "grep -rn 'def ' --include='*.py' . | head -40",
    "sed -n 1,80p setup.cfg",
    "sed -i '1i # note' README.rst",
    "git diff",
    "git status --short",
    "cat README.rst | tail -20",
];
/// How often the two looks at the end of a search are repeated.
const LOOKS: usize = 6;
/// Steps of every attempt before it hands in.
const STEPS: usize = COMMANDS.len() + 2 * LOOKS;

/// What an attempt does.
#[derive(Clone, Copy)]
enum Work {
    /// It says, lists and tests, by what shells have built in.
    Words,
    /// It reads files page by page and changes lines.
    Edits,
    /// It looks through the repository, with git too.
    Searches,
}

impl Work {
    const ALL: [Self; 3] = [Self::Words, Self::Edits, Self::Searches];

    /// The case's name with a scaffold.
    fn case(self, scaffold: &str) -> &'static str {
        match (self, scaffold) {
            (Self::Words, "codeact") => "steps, words, codeact",
            (Self::Words, _) => "steps, words, bash",
            (Self::Edits, "codeact") => "steps, edits, codeact",
            (Self::Edits, _) => "steps, edits, bash",
            (Self::Searches, "codeact") => "steps, searches, codeact",
            (Self::Searches, _) => "steps, searches, bash",
        }
    }

    /// Its commands. No two are the same: an agent that repeats itself is stopped.
    fn commands(self) -> Vec<String> {
        let word = |i: usize| match i % 3 {
            0 => format!("pwd; echo step {i}"),
            1 => format!("[ -f setup.cfg ] && echo there {i}"),
            _ => format!("for f in *; do echo $f {i}; done"),
        };
        let edit = |i: usize| match i % 3 {
            0 => format!("sed -n {},{}p README.rst", 1 + i, 30 + i),
            1 => format!("head -n {} setup.cfg", 20 + i),
            _ => format!("sed -i '{}s/^/ /' README.rst", 1 + i),
        };
        let look = |i: usize| match i % 2 {
            0 => format!("grep -n import -r . | head -{}", 5 + i),
            _ => format!("cat README.rst | tail -{}", 20 + i),
        };
        match self {
            Self::Words => (0..STEPS).map(word).collect(),
            Self::Edits => (0..STEPS).map(edit).collect(),
            Self::Searches => {
                COMMANDS.iter().map(|line| (*line).to_owned()).chain((0..2 * LOOKS).map(look)).collect()
            }
        }
    }
}

/// Steps, and the seconds they took.
#[derive(Clone, Copy, Default)]
struct Rate {
    steps: f64,
    seconds: f64,
}

impl Rate {
    fn add(&mut self, steps: f64, seconds: f64) {
        self.steps += steps;
        self.seconds += seconds;
    }

    fn of(self) -> f64 {
        self.steps / self.seconds
    }
}

/// Files and programs of the scenario.
struct Scene<'a> {
    session: &'a Session,
    instances: PathBuf,
    repository: PathBuf,
    python: PathBuf,
    program: PathBuf,
    /// Of ours, so far.
    runs: AtomicU32,
}

pub(super) async fn measure(
    session: &Session,
    attempts: usize,
    cases: &mut Vec<Case>,
    skipped: &mut Vec<String>,
) -> Result<(), CommandError> {
    let scene = Scene::set(session).await?;
    let say = |text: &str| session.printer.say(text);
    let mut peers = vec!["local"];
    match session.settings.find_program("bwrap") {
        Some(_) => peers.push("bubblewrap"),
        None => skipped.push("skipped: the peer in bubblewrap: there is no bwrap".to_owned()),
    }
    say("steps a second");
    for work in Work::ALL {
        scene.compare_steps(work, attempts, &peers, cases).await?;
    }
    say("memory of attempts that wait for a model");
    let slow = serve(script("bash", &COMMANDS), Duration::from_secs(2)).await?;
    let per_attempt = |bytes: u64| bytes as f64 / AT_ONCE as f64 / f64::from(1 << 20);
    let theirs = scene.peer_memory(&slow)?;
    for (name, scaffold, tool) in
        [("memory, bash", "bash", "bash"), ("memory, codeact", "codeact", "execute_bash")]
    {
        let slow = serve(script(tool, &COMMANDS), Duration::from_secs(2)).await?;
        let ours = scene.our_memory(scaffold, &slow)?;
        cases.push(Case {
            name,
            ours: per_attempt(ours.median),
            peer: per_attempt(theirs.median),
            unit: "MiB/attempt",
            more_is_better: false,
            against: format!(
                "mini-swe-agent 2.4.6, {AT_ONCE} at once, local environment; with commands, at most {:.2} and {:.2}",
                per_attempt(ours.most),
                per_attempt(theirs.most)
            ),
        });
    }
    say("200 attempts at once with a model that takes 2 s");
    cases.push(scene.many(200).await?);
    Ok(())
}

/// Answers of one attempt: its commands and the hand-in.
fn script(tool: &str, commands: &[impl AsRef<str>]) -> Script {
    let say = "I go on with my work, and look at the next thing.";
    let call = |line: &str| json!([{"name": tool, "arguments": {"command": line}}]);
    let mut replies: Vec<Value> =
        commands.iter().map(|line| json!({"content": say, "calls": call(line.as_ref())})).collect();
    replies.push(if tool == "bash" {
        json!({"content": "Done.", "calls": [{"name": tool, "arguments": {"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"}}]})
    } else {
        json!({"content": "Done.", "calls": [{"name": "finish", "arguments": {}}]})
    });
    Script::read(&json!({"replies": replies}).to_string()).unwrap_or_default()
}

/// An endpoint in this process; it ends with it.
async fn serve(script: Script, latency: Duration) -> Result<String, CommandError> {
    let door = Door::new(Vec::new(), Duration::from_secs(3600), script::CONNECTIONS);
    let (address, server) = script::listen("127.0.0.1:0", door, script::Server::of(script, latency)).await?;
    tokio::spawn(server);
    Ok(address)
}

impl<'a> Scene<'a> {
    async fn set(session: &'a Session) -> Result<Self, CommandError> {
        let home = &session.settings.home;
        session.printer.say("the repository and the peer");
        let context = session.context(&home.join("runs"));
        foundation::ready_uv(&context, session.settings.find_program("uv")).await?;
        foundation::lay(&context, &foundation::Wanted::default()).await?;
        let build = home.join("runs/build");
        stage::build(session, &[PACKAGE.to_owned()], &build, Open::New).await?;
        let synth = home.join("runs/synth");
        stage::synth(session, &build.join("images.jsonl"), 1, 4, &synth, Open::New).await?;
        let text = fs::read_to_string(synth.join("candidates.jsonl"))?;
        let row = text.lines().next().ok_or_else(|| {
            CommandError::nothing(
                "no bug could be planted in the benchmark's package",
                "see the messages above",
            )
        })?;
        let instances = home.join("instance.jsonl");
        fs::write(&instances, row)?;
        let image: Value = serde_json::from_str(row).unwrap_or_default();
        let digest = image["image"].as_str().unwrap_or_default().trim_start_matches("swegym:");
        let repository = home.join("tree");
        copy_repository(session, digest, &repository).await?;
        let python = install_peer(session)?;
        let program = std::env::current_exe()?.with_file_name("swegym");
        if !program.is_file() {
            let message = format!("`{}` is not there", program.display());
            return Err(CommandError::usage(
                message,
                "build it as this program was built: cargo build --profile dist -p swegym",
            ));
        }
        Ok(Self { session, instances, repository, python, program, runs: AtomicU32::new(0) })
    }

    /// Ours and the peer take turns: a machine has better and worse minutes.
    async fn compare_steps(
        &self,
        work: Work,
        attempts: usize,
        peers: &[&str],
        cases: &mut Vec<Case>,
    ) -> Result<(), CommandError> {
        const OURS: [(&str, &str); 2] = [("codeact", "execute_bash"), ("bash", "bash")];
        let commands = work.commands();
        let mut ours = [Rate::default(); OURS.len()];
        let mut theirs = vec![Rate::default(); peers.len()];
        for _ in 0..ROUNDS {
            for (rate, (scaffold, tool)) in ours.iter_mut().zip(OURS) {
                let endpoint = serve(script(tool, &commands), Duration::ZERO).await?;
                let seconds = self.ours(scaffold, &endpoint, attempts, AT_ONCE)?;
                rate.add((attempts * (STEPS + 1)) as f64, seconds);
            }
            let endpoint = serve(script("bash", &commands), Duration::ZERO).await?;
            for (rate, kind) in theirs.iter_mut().zip(peers) {
                let (steps, seconds) = self.theirs(kind, &endpoint, AT_ONCE)?;
                rate.add(steps, seconds);
            }
        }
        for (kind, theirs) in peers.iter().zip(theirs) {
            cases.extend(OURS.iter().zip(ours).map(|((scaffold, _), ours)| Case {
                name: work.case(scaffold),
                ours: ours.of(),
                peer: theirs.of(),
                unit: "steps/s",
                more_is_better: true,
                against: format!("mini-swe-agent 2.4.6, {kind} environment"),
            }));
        }
        Ok(())
    }

    /// Seconds of the whole verb.
    fn ours(
        &self,
        scaffold: &str,
        endpoint: &str,
        attempts: usize,
        at_once: usize,
    ) -> Result<f64, CommandError> {
        let started = Instant::now();
        let (mut child, out) = self.start_ours(scaffold, endpoint, attempts, at_once)?;
        let status = child.wait()?;
        let seconds = started.elapsed().as_secs_f64();
        let results = fs::read_dir(out.join("results"))?.flatten();
        let submitted = results.filter(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            value["exit_status"] == "submitted"
        });
        if !status.success() || submitted.count() != attempts {
            return Err(std::io::Error::other("an attempt of the benchmark did not end well").into());
        }
        Ok(seconds)
    }

    #[expect(clippy::disallowed_methods, reason = "what is measured is the program itself")]
    fn start_ours(
        &self,
        scaffold: &str,
        endpoint: &str,
        attempts: usize,
        at_once: usize,
    ) -> Result<(Child, PathBuf), CommandError> {
        // Runs stay until the scene goes: after many files went, a file system
        // makes new ones slowly for a while, and the next run would pay for it.
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let out = self.session.settings.home.join(format!("runs/ours-{number}"));
        let child = Command::new(&self.program)
            .args(["rollout", "--model", "m", "--quiet", "--scaffold", scaffold, "--endpoint", endpoint])
            .args(["--attempts", &attempts.to_string(), "--concurrent", &at_once.to_string()])
            .arg("--instances")
            .arg(&self.instances)
            .arg("--home")
            .arg(&self.session.settings.home)
            .arg("--out")
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok((child, out))
    }

    #[expect(clippy::disallowed_methods, reason = "the peer is a program of the host")]
    fn start_theirs(&self, kind: &str, endpoint: &str, attempts: usize) -> Result<Child, CommandError> {
        let script = self.session.settings.home.join("peer.py");
        fs::write(&script, include_str!("rollout/peer.py"))?;
        let child = Command::new(&self.python)
            .arg(&script)
            .args([kind, &attempts.to_string(), &AT_ONCE.to_string(), endpoint])
            .arg(&self.repository)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    /// The peer's steps and seconds, by its own clock: its imports are left out.
    fn theirs(&self, kind: &str, endpoint: &str, attempts: usize) -> Result<(f64, f64), CommandError> {
        let output = self.start_theirs(kind, endpoint, attempts)?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers: Option<Vec<f64>> =
            said.lines().last().and_then(|l| l.split_whitespace().map(|n| n.parse().ok()).collect());
        match numbers.as_deref() {
            Some([steps, seconds]) => Ok((*steps, *seconds)),
            _ => Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()).into()),
        }
    }

    fn our_memory(&self, scaffold: &str, endpoint: &str) -> Result<Memory, CommandError> {
        let (mut child, _) = self.start_ours(scaffold, endpoint, AT_ONCE, AT_ONCE)?;
        let memory = watch_memory(&mut child, Duration::from_secs(15))?;
        let _ = child.kill();
        child.wait()?;
        Ok(memory)
    }

    fn peer_memory(&self, endpoint: &str) -> Result<Memory, CommandError> {
        let mut child = self.start_theirs("local", endpoint, AT_ONCE)?;
        let memory = watch_memory(&mut child, Duration::from_secs(25))?;
        let _ = child.kill();
        child.wait()?;
        Ok(memory)
    }

    /// Many attempts at once: the time that waiting alone takes, against ours.
    async fn many(&self, attempts: usize) -> Result<Case, CommandError> {
        let commands = COMMANDS.len();
        let endpoint = serve(script("execute_bash", &COMMANDS), Duration::from_secs(2)).await?;
        let before = leftovers();
        let started = Instant::now();
        let (mut child, out) = self.start_ours("codeact", &endpoint, attempts, attempts)?;
        let most = watch_memory(&mut child, Duration::from_secs(300))?.most;
        let status = child.wait()?;
        let seconds = started.elapsed().as_secs_f64();
        let failures = fs::read_to_string(out.join("failures.jsonl")).unwrap_or_default();
        if !status.success() || !failures.is_empty() || leftovers() > before {
            return Err(std::io::Error::other(format!(
                "{attempts} attempts at once did not end well: {failures}"
            ))
            .into());
        }
        Ok(Case {
            name: "200 at once",
            ours: seconds,
            peer: 2.0 * (commands + 1) as f64,
            unit: "s",
            more_is_better: false,
            against: format!("waiting alone; {} MiB at most, nothing left behind", most >> 20),
        })
    }
}

/// Mounts and processes of boxes that this process can see.
fn leftovers() -> usize {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().count();
    mounts + processes().into_iter().filter(|(_, _, name)| name == "supervisor").count()
}

/// (id, parent, name) of every process.
fn processes() -> Vec<(u32, u32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (start, rest) = stat.rsplit_once(')')?;
        let name = start.split_once('(')?.1.to_owned();
        Some((id, rest.split_whitespace().nth(1)?.parse().ok()?, name))
    };
    entries.filter_map(process).collect()
}

/// Memory of a process and all below it, in bytes, each page shared out among
/// those who share it.
struct Memory {
    /// Of all looks, few of which see a command run.
    median: u64,
    most: u64,
}

/// Looks twice a second, while the process runs and at most this long.
fn watch_memory(child: &mut Child, limit: Duration) -> Result<Memory, CommandError> {
    let until = Instant::now() + limit;
    let mut looks: Vec<u64> = Vec::new();
    while Instant::now() < until && child.try_wait()?.is_none() {
        let all = processes();
        let mut family = vec![child.id()];
        let mut at = 0;
        while let Some(parent) = family.get(at).copied() {
            family.extend(all.iter().filter(|(_, p, _)| *p == parent).map(|(id, ..)| *id));
            at += 1;
        }
        let bytes = |id: &u32| {
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
            Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        };
        looks.push(family.iter().filter_map(bytes).sum());
        std::thread::sleep(Duration::from_millis(500));
    }
    looks.sort_unstable();
    let median = looks.get(looks.len() / 2).copied().unwrap_or(0);
    Ok(Memory { median, most: looks.last().copied().unwrap_or(0) })
}

/// The repository of an image as a folder of the host, for the peer.
async fn copy_repository(session: &Session, digest: &str, to: &Path) -> Result<(), CommandError> {
    let image = session.host.store().load_image(digest)?;
    let sandbox = session.host.start_box(&image, &swegym_sandbox::BoxSettings::default()).await?;
    let keep = Keep { head: 256 << 20, ..Keep::default() };
    let pack =
        BoxCommand::new(["tar", "-cf", "-", "."], Duration::from_secs(60)).in_folder(WORKDIR).keeping(keep);
    let packed = sandbox.exec(pack).await?.output.stream(Stream::Stdout);
    sandbox.stop().await?;
    fs::create_dir_all(to)?;
    let file = to.with_extension("tar");
    fs::write(&file, packed)?;
    let (file, to) = (file.to_string_lossy().into_owned(), to.to_string_lossy().into_owned());
    tool::run("tar", ["-xf", &file, "-C", &to, "--no-same-owner"], Duration::from_secs(60))
        .map_err(|e| host_error(&e))?;
    Ok(())
}

/// The peer in a Python of its own.
fn install_peer(session: &Session) -> Result<PathBuf, CommandError> {
    let folder = session.settings.home.join("peer");
    let limit = Duration::from_secs(600);
    let place = folder.to_string_lossy().into_owned();
    tool::run(session.settings.install.usual_python(), ["-m", "venv", &place], limit)
        .map_err(|e| host_error(&e))?;
    let python = folder.join("bin/python");
    let index = &session.settings.packages.index_url;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--index-url", index];
    tool::run(&python, install.iter().copied().chain(PEER), limit).map_err(|e| host_error(&e))?;
    Ok(python)
}

fn host_error(error: &tool::ToolError) -> CommandError {
    CommandError::usage(error.to_string(), "the benchmark needs Python 3 with venv, tar, and a package index")
}
