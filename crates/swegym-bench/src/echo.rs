//! Benchmark of short commands in a live session. The peer is a bash on pipes,
//! without a box.
//!
//! The scheduler chooses which process wakes up on which core, for a process's
//! whole life, and this choice outweighs everything measured here. So box and peer
//! take turns, each time started anew. A second case runs everything on one core,
//! where there is nothing to choose.

use std::time::{Duration, Instant};

use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_method::session::Session;
use swegym_sandbox::base::Base;
use swegym_sandbox::output::Keep;
use swegym_sandbox::tool::{self, Dialogue};
use swegym_sandbox::{BoxSettings, Image, Sandbox as _, SandboxError};

use crate::case::{Case, median_ms};

const SECOND: Duration = Duration::from_secs(1);
const ROUNDS: u32 = 10;

pub(super) async fn measure(session: &Session, repeats: u32) -> Result<Case, CommandError> {
    let image = Image::new(Base::host(session.host.store())?);
    let each = (repeats / ROUNDS).max(1);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let sandbox = session.host.start_box(&image, &BoxSettings::default()).await?;
        // In tasks of their own, as the runner's jobs are.
        let work = tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..=each {
                let started = Instant::now();
                sandbox.session("echo ready", SECOND, Keep::default()).await?;
                times.push(started.elapsed());
            }
            sandbox.stop().await?;
            Ok::<_, SandboxError>(times)
        });
        // The first one starts the shell.
        ours.extend(work.await.map_err(std::io::Error::other)??.into_iter().skip(1));
        let work = tokio::spawn(async move {
            let mut bash = Dialogue::start("bash", &["--norc", "--noprofile"])?;
            let mut times = Vec::new();
            for _ in 0..=each {
                let started = Instant::now();
                bash.exchange(b"echo ready\n", b"ready\n").await?;
                times.push(started.elapsed());
            }
            bash.end().await?;
            Ok::<_, std::io::Error>(times)
        });
        peer.extend(work.await.map_err(std::io::Error::other)??.into_iter().skip(1));
    }
    Ok(Case {
        name: "echo in a live session",
        ours: median_ms(ours),
        peer: median_ms(peer),
        unit: "ms",
        more_is_better: false,
        against: "bash on pipes, no box, same runtime (0.2 is the least to reach)".into(),
    })
}

/// The same by this program once more, held to one core with all it starts.
pub(super) fn measure_on_one_core(session: &Session, repeats: u32) -> Result<Case, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let allowed = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap_or("0").trim();
    let core = allowed.split([',', '-']).next().unwrap_or("0");
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let (program, repeats) = (program.to_string_lossy(), repeats.to_string());
    let home = session.settings.home.to_string_lossy();
    let arguments = ["-c", core, &program, "echo", "--json", "--repeats", &repeats, "--home", &home];
    let printed = tool::run("taskset", arguments, 300 * SECOND).map_err(|e| e.to_string())?;
    let result: Value = serde_json::from_slice(&printed).map_err(|e| e.to_string())?;
    let figure = |name: &str| result["cases"][0][name].as_f64().ok_or("no figure came back");
    Ok(Case {
        name: "echo in a live session, one core",
        ours: figure("ours")?,
        peer: figure("peer")?,
        unit: "ms",
        more_is_better: false,
        against: "the same, everything on one core (0.2 is the least to reach)".into(),
    })
}
