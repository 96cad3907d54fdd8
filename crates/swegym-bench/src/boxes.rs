//! Benchmark of bare boxes: start, sessions, many in parallel. The peers are
//! bubblewrap, Docker (where a daemon runs) and a bash on pipes.

use std::time::{Duration, Instant};

use swegym_console::error::CommandError;
use swegym_method::session::Session;
use swegym_sandbox::base::Base;
use swegym_sandbox::{BoxSettings, Command, EmbeddedSandbox, Image, Sandbox as _, SandboxError, tool};

use super::echo;
use crate::case::{Case, median_ms, time};

const SECOND: Duration = Duration::from_secs(1);
const ROUNDS: u32 = 5;

pub(super) async fn measure(
    session: &Session,
    repeats: u32,
    cases: &mut Vec<Case>,
    skipped: &mut Vec<String>,
) -> Result<(), CommandError> {
    let image = Image::new(Base::host(session.host.store())?);
    let bench = Bench { session, image };
    session.printer.say("start, run true, remove");
    // In turns, because the machine's own speed changes within seconds.
    let (mut ours, mut peers) = (Vec::new(), Ok(Vec::new()));
    for _ in 0..ROUNDS {
        ours.extend(bench.start_run_remove(repeats / ROUNDS).await?);
        peers = peers.and_then(|mut all| {
            all.extend(bench.bubblewrap(repeats / ROUNDS)?);
            Ok::<_, String>(all)
        });
    }
    let ours = median_ms(ours);
    match peers.map(median_ms) {
        Ok(peer) => cases.push(Case {
            name: "start, run true, remove",
            ours,
            peer,
            unit: "ms",
            more_is_better: false,
            against: "bubblewrap, nothing left to mount but /proc and /dev (2 is the least to reach)".into(),
        }),
        Err(why) => skipped.push(format!("skipped: bubblewrap: {why}")),
    }
    match docker(&["run", "--rm", "--network", "none", "debian:stable-slim", "true"], repeats.min(10)) {
        Ok(peer) => cases.push(Case {
            name: "start, run true, remove (Docker)",
            ours,
            peer,
            unit: "ms",
            more_is_better: false,
            against: "docker run --rm".into(),
        }),
        Err(why) => skipped.push(format!("skipped: docker run: {why}")),
    }
    session.printer.say("sessions");
    let echo = echo::measure(session, repeats * 10).await?;
    match docker_exec(repeats.min(20)) {
        Ok(peer) => cases.push(Case {
            name: "echo in a live session (Docker)",
            peer,
            against: "one docker exec (50 is the least to reach)".into(),
            ..echo.clone()
        }),
        Err(why) => skipped.push(format!("skipped: docker exec: {why}")),
    }
    cases.push(echo);
    match echo::measure_on_one_core(session, repeats * 10) {
        Ok(case) => cases.push(case),
        Err(why) => skipped.push(format!("skipped: echo on one core: {why}")),
    }
    session.printer.say("many boxes at once");
    bench.many(ours, repeats, cases).await
}

struct Bench<'a> {
    session: &'a Session,
    image: Image,
}

impl Bench<'_> {
    async fn start(&self) -> Result<EmbeddedSandbox, SandboxError> {
        self.session.host.start_box(&self.image, &BoxSettings::default()).await
    }

    /// In a task of its own, as the runner's jobs are.
    async fn start_run_remove(&self, repeats: u32) -> Result<Vec<Duration>, CommandError> {
        let (host, image) = (self.session.host.clone(), self.image.clone());
        let work = tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..=repeats {
                let started = Instant::now();
                let sandbox = host.start_box(&image, &BoxSettings::default()).await?;
                sandbox.exec(Command::new(["/usr/bin/true"], 10 * SECOND)).await?;
                sandbox.stop().await?;
                times.push(started.elapsed());
            }
            Ok::<_, SandboxError>(times)
        });
        let mut times = work.await.map_err(std::io::Error::other)??;
        // The first one has nothing made ahead.
        times.remove(0);
        Ok(times)
    }

    /// bubblewrap with as much isolation as it has, on folders that need no
    /// overlay: what is already mounted costs it nothing.
    fn bubblewrap(&self, repeats: u32) -> Result<Vec<Duration>, String> {
        let mut arguments =
            vec!["--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"];
        arguments.extend(["--ro-bind", "/usr", "/usr"]);
        for (folder, target) in
            [("/bin", "usr/bin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64"), ("/sbin", "usr/sbin")]
        {
            if std::fs::read_link(folder).is_ok() {
                arguments.extend(["--symlink", target, folder]);
            } else if std::path::Path::new(folder).is_dir() {
                arguments.extend(["--ro-bind", folder, folder]);
            }
        }
        arguments.push("/usr/bin/true");
        let run = || tool::wait_for("bwrap", &arguments, 10 * SECOND);
        run().map_err(|e| format!("{e} (install it to compare)"))?;
        let times = time(repeats, || run().map_err(|e| CommandError::nothing(e.to_string(), "try again")));
        times.map_err(|e| e.message)
    }

    async fn many(&self, alone: f64, repeats: u32, cases: &mut Vec<Case>) -> Result<(), CommandError> {
        let mut alive = Vec::new();
        // What ended just now is still being given back.
        tokio::time::sleep(2 * SECOND).await;
        let before = available_kb();
        for _ in 0..64 {
            alive.push(self.start().await?);
        }
        let among = median_ms(self.start_run_remove(repeats.min(50)).await?);
        cases.push(Case {
            name: "the next start among 64",
            ours: among,
            peer: alone,
            unit: "ms",
            more_is_better: false,
            against: "the start alone (0.5 is the least to reach)".into(),
        });
        while alive.len() < 256 {
            alive.push(self.start().await?);
        }
        tokio::time::sleep(2 * SECOND).await;
        let idle = before.saturating_sub(available_kb()) as f64 / alive.len() as f64;
        cases.push(Case {
            name: "memory of an idle box",
            ours: idle.max(1.0),
            peer: 1024.0,
            unit: "kB",
            more_is_better: false,
            against: "1 MiB, the most it may take".into(),
        });
        let mut answering = 0;
        for sandbox in &alive {
            let done = sandbox.exec(Command::new(["/usr/bin/true"], 10 * SECOND)).await?;
            answering += u32::from(done.succeeded());
        }
        cases.push(Case {
            name: "boxes alive at once",
            ours: f64::from(answering),
            peer: 256.0,
            unit: "boxes",
            more_is_better: true,
            against: "256 that answer".into(),
        });
        for sandbox in alive {
            sandbox.stop().await?;
        }
        Ok(())
    }
}

fn docker(arguments: &[&str], repeats: u32) -> Result<f64, String> {
    tool::wait_for("docker", &["info"], 5 * SECOND).map_err(|_| "no Docker daemon answers".to_owned())?;
    let run = || tool::wait_for("docker", arguments, 60 * SECOND);
    run().map_err(|e| e.to_string())?;
    let times = time(repeats, || run().map_err(|e| CommandError::nothing(e.to_string(), "try again")));
    times.map(median_ms).map_err(|e| e.message)
}

/// `echo` by one `docker exec` each, in a container that is up.
fn docker_exec(repeats: u32) -> Result<f64, String> {
    tool::wait_for("docker", &["info"], 5 * SECOND).map_err(|_| "no Docker daemon answers".to_owned())?;
    let up = ["run", "-d", "--rm", "--network", "none", "debian:stable-slim", "sleep", "600"];
    let started = tool::run("docker", up, 120 * SECOND).map_err(|e| e.to_string())?;
    let container = String::from_utf8_lossy(&started).trim().to_owned();
    let times = docker(&["exec", &container, "echo", "ready"], repeats);
    tool::wait_for("docker", &["kill", &container], 60 * SECOND).map_err(|e| e.to_string())?;
    times
}

/// Memory that the kernel could still give, in kB.
fn available_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
