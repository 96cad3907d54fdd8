//! Benchmark of boxes with real packages: a test suite inside and outside a box,
//! machine load during validation, disk use of a second image.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use swegym_console::error::CommandError;
use swegym_core::format::instances::UnknownFields;
use swegym_method::session::Session;
use swegym_method::stage;
use swegym_runner::plan::{Suite, WORKDIR};
use swegym_runner::run_dir::Open;
use swegym_runner::{Checks, TestBounds, build::Built, foundation};
use swegym_sandbox::{BoxSettings, Command, Sandbox as _, tool};

use crate::case::Case;

/// Two versions of one package, whose dependencies are the same, and one with
/// a test suite that takes seconds.
const PACKAGES: [&str; 3] = ["humanize==4.9.0", "humanize==4.8.0", "more-itertools==10.5.0"];
const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn measure(session: &Session, cases: &mut Vec<Case>) -> Result<(), CommandError> {
    let runs = session.settings.home.join("runs");
    let context = session.context(&runs);
    session.printer.say("images");
    foundation::ready_uv(&context, session.settings.find_program("uv")).await?;
    foundation::lay(&context, &foundation::Wanted::default()).await?;
    let store = session.settings.home.join("store");
    let mut sizes = vec![disk_bytes(&store)?];
    for (i, package) in PACKAGES.iter().enumerate() {
        let folder = runs.join(format!("build-{i}"));
        stage::build(session, &[(*package).to_owned()], &folder, Open::New).await?;
        sizes.push(disk_bytes(&store)?);
    }
    let cost = |i: usize| (sizes[i] - sizes[i - 1]) as f64 / f64::from(1 << 20);
    cases.push(Case {
        name: "disk of a second image",
        ours: cost(2),
        peer: cost(1),
        unit: "MiB",
        more_is_better: false,
        against: "the first image with the same dependencies (10 is the least to reach)".into(),
    });

    session.printer.say("a test suite in a box and on the host");
    let text = std::fs::read_to_string(runs.join("build-2/images.jsonl"))?;
    let built = serde_json::from_str(&text).ok().as_ref().and_then(Built::from_json);
    let built = built.ok_or_else(|| {
        CommandError::nothing("the benchmark's package could not be built", "see the messages above")
    })?;
    cases.push(suite(session, &built).await?);

    session.printer.say("validate on all cores");
    let images = runs.join("build-0/images.jsonl");
    stage::synth(session, &images, 1, 24, &runs.join("synth"), Open::New).await?;
    let candidates = runs.join("synth/candidates.jsonl");
    let (wall, before) = (Instant::now(), busy_ticks());
    stage::validate(
        session,
        &candidates,
        Checks { repeats: 3, probes: false, bounds: TestBounds::default() },
        UnknownFields::Refuse,
        &runs.join("validate"),
        Open::New,
    )
    .await?;
    let cores = session.settings.run.cores as f64;
    let busy = (busy_ticks() - before) as f64 / 100.0;
    cases.push(Case {
        name: "processor use of validate",
        ours: 100.0 * busy / (wall.elapsed().as_secs_f64() * cores),
        peer: 85.0,
        unit: "%",
        more_is_better: true,
        against: "85 % of all cores (the machine's other work counts too)".into(),
    });
    Ok(())
}

/// The same suite, interpreter and packages; runs alternate, the best of each counts.
async fn suite(session: &Session, built: &Built) -> Result<Case, CommandError> {
    let image = session.host.store().load_image(&built.image)?;
    let suite = Suite::of_image(&image)?;
    let on_host = HostCopy::make(session, built)?;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..5 {
        let settings = BoxSettings { limits: session.settings.run.limits.clone(), ..BoxSettings::default() };
        let sandbox = session.host.start_box(&image, &settings).await?;
        let started = Instant::now();
        let command = Command::new(suite.command.words(), 600 * SECOND).in_folder(WORKDIR);
        sandbox.exec(command).await?;
        best[0] = best[0].min(started.elapsed().as_secs_f64());
        sandbox.stop().await?;
        best[1] = best[1].min(on_host.run(&suite)?);
    }
    Ok(Case {
        name: "a package's test suite",
        ours: best[0],
        peer: best[1],
        unit: "s",
        more_is_better: false,
        against: "the same suite on the host (0.95 is the least to reach)".into(),
    })
}

/// The package installed on the host as it is in the image, under the bench's home.
struct HostCopy {
    source: std::path::PathBuf,
    python: std::path::PathBuf,
}

impl HostCopy {
    fn make(session: &Session, built: &Built) -> Result<Self, CommandError> {
        let home = &session.settings.home;
        let context = session.context(home);
        let source = home.join("host-source");
        let fail = |e: tool::ToolError| {
            CommandError::nothing(e.to_string(), "the host side of the comparison could not be set up")
        };
        let original = built.source_folder(&context)?;
        tool::run("cp", [Path::new("-r"), &original, &source], 60 * SECOND).map_err(fail)?;
        let venv = home.join("host-venv");
        let python = venv.join("bin/python");
        let uv = home.join("tools/uv");
        let text = |p: &Path| p.to_string_lossy().into_owned();
        let make =
            ["venv", "-q", "--no-project", "--python", session.settings.install.usual_python(), &text(&venv)]
                .map(str::to_owned);
        tool::run(&uv, make, 60 * SECOND).map_err(fail)?;
        let install = [
            "pip",
            "install",
            "-q",
            "--compile-bytecode",
            "--python",
            &text(&python),
            "pytest",
            "-e",
            &text(&source),
        ]
        .map(str::to_owned);
        tool::run(&uv, install, 600 * SECOND).map_err(fail)?;
        tool::run(&python, ["-m", "compileall", "-q", &text(&source)], 60 * SECOND).map_err(fail)?;
        Ok(Self { source, python })
    }

    fn run(&self, suite: &Suite) -> Result<f64, CommandError> {
        let mut words: Vec<String> = vec!["-c".into(), "cd \"$0\" && exec \"$@\"; true".into()];
        words.push(self.source.to_string_lossy().into_owned());
        words.push(self.python.to_string_lossy().into_owned());
        words.extend(suite.command.words().into_iter().skip(1));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let started = Instant::now();
        // A failing test fails on both sides; only the time is compared.
        match tool::wait_for("sh", &words, 600 * SECOND) {
            Ok(()) | Err(tool::ToolError::Failed { .. }) => Ok(started.elapsed().as_secs_f64()),
            Err(error) => Err(CommandError::nothing(error.to_string(), "try again")),
        }
    }
}

/// Blocks on disk under a folder, every file counted once.
pub(super) fn disk_bytes(folder: &Path) -> Result<u64, CommandError> {
    fn add(folder: &Path, seen: &mut HashSet<u64>, total: &mut u64) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.path().symlink_metadata()?;
            if seen.insert(metadata.ino()) {
                *total += metadata.blocks() * 512;
            }
            if metadata.is_dir() {
                add(&entry.path(), seen, total)?;
            }
        }
        Ok(())
    }
    let mut total = 0;
    add(folder, &mut HashSet::new(), &mut total)?;
    Ok(total)
}

/// Hundredths of seconds that any core was busy, since the machine started.
fn busy_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait), irq, softirq.
    [0, 1, 2, 5, 6].iter().filter_map(|i| fields.get(*i)).sum()
}
