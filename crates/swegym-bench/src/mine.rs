//! Benchmark of mining. The peer is a straightforward script over `git log`, which only
//! tells which commits of the main branch change both source and tests.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_method::settings::Settings;
use swegym_mine::{ApiSettings, MineSettings, Repository, Source, Split};
use swegym_tasks::dataset::Rows;

use crate::case::Case;

/// What the peer does, per repository: one process of git, and rules on names.
const SCRIPT: &str = r#"
import re, subprocess, sys
test = re.compile(r"(^|/)(tests?|testing)/|(^|/)test_[^/]*$|_test\.\w+$|(^|/)conftest\.py$|\.test$")
aside = re.compile(r"(^|/)(docs?|examples?|news|changes)/|\.(md|rst|txt)$|(^|/)\.")
both = 0
for folder in sys.argv[1:]:
    log = ["git", "-C", folder, "log", "--first-parent", "-m", "--name-only", "--no-renames", "-z",
           "--format=%x01%H", "HEAD"]
    out = subprocess.run(log, stdout=subprocess.PIPE, check=True).stdout.decode("utf-8", "replace")
    for commit in out.split("\x01")[1:]:
        names = [name.strip() for name in commit.split("\0")[1:] if name.strip()]
        tests = [name for name in names if test.search(name)]
        both += bool(tests) and any(not test.search(n) and not aside.search(n) for n in names)
print(both)
"#;

/// How much slower than the script all of mining may be.
const TIMES: f64 = 4.0;
/// The most memory of ours, in MiB.
const MEMORY: f64 = 300.0;
/// Which share of what was published must be found.
const SHARE: f64 = 0.98;

/// Times the script, the same question asked of ours, and all of mining.
pub(super) fn measure(
    settings: &Settings,
    printer: Printer,
    given: &[String],
    published: Option<&Path>,
    cases: &mut Vec<Case>,
) -> Result<(), CommandError> {
    let opened = given.iter().map(|given| Repository::open(given)).collect::<Result<Vec<_>, _>>()?;
    // What was never read lies on the disk: neither shall pay for that.
    run_script(&opened)?;
    let (script, ours) = (run_script(&opened)?, count(&opened)?);
    cases.push(Case {
        name: "commits with both kinds of files",
        ours,
        peer: script,
        unit: "s",
        more_is_better: false,
        against: "a script over git log".into(),
    });
    let out = settings.home.join("mined");
    let mine = MineSettings {
        repositories: given.to_vec(),
        branch: None,
        split: Split::SweGym,
        statements: Source::ALL.to_vec(),
        against: Vec::new(),
        api: ApiSettings::default(),
        saved: Vec::new(),
    };
    let began = Instant::now();
    swegym_mine::run(printer.inner(), &mine, &out)?;
    cases.push(Case {
        name: "instances with patches",
        ours: began.elapsed().as_secs_f64(),
        peer: TIMES * script,
        unit: "s",
        more_is_better: false,
        against: format!("{TIMES} times the script"),
    });
    cases.push(Case {
        name: "memory",
        ours: memory(),
        peer: MEMORY,
        unit: "MiB",
        more_is_better: false,
        against: "the most allowed".into(),
    });
    published.map_or(Ok(()), |published| compare(&out, published, &opened, cases))
}

fn run_script(repositories: &[Repository]) -> Result<f64, CommandError> {
    let began = Instant::now();
    let folders = repositories.iter().map(Repository::path);
    #[expect(clippy::disallowed_methods, reason = "the peer, whose time is taken")]
    let ended = Command::new("python3").args(["-c", SCRIPT]).args(folders).output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return Err(CommandError::usage(format!("the script failed: {said}"), "it needs python3 and git"));
    }
    Ok(began.elapsed().as_secs_f64())
}

fn count(repositories: &[Repository]) -> Result<f64, CommandError> {
    let began = Instant::now();
    for repository in repositories {
        swegym_mine::count_both(repository, Split::Kinds, None)?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// The most that this process has held, in MiB.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Patches of a published instance; nothing where only its id is known.
type Patches = Option<(String, String)>;

/// How many published instances of these repositories are found, and with equal patches.
fn compare(
    out: &Path,
    published: &Path,
    repositories: &[Repository],
    cases: &mut Vec<Case>,
) -> Result<(), CommandError> {
    let mined: HashMap<String, Patches> = read(&out.join("instances.jsonl"))?.into_iter().collect();
    let names: HashSet<String> = repositories.iter().map(|one| one.name().replace('/', "__")).collect();
    let of_them = |id: &str| id.rsplit_once('-').is_some_and(|(name, _)| names.contains(name));
    let known: Vec<(String, Patches)> = read(published)?.into_iter().filter(|(id, _)| of_them(id)).collect();
    let found = known.iter().filter(|(id, _)| mined.contains_key(id)).count();
    let mut case = |name, found: usize, of: usize| {
        if of > 0 {
            cases.push(Case {
                name,
                ours: found as f64 / of as f64,
                peer: SHARE,
                unit: "share",
                more_is_better: true,
                against: format!("{found} of {of}"),
            });
        }
    };
    case("published instances found", found, known.len());
    let with_patches: Vec<_> = known
        .iter()
        .filter_map(|(id, patches)| Some((mined.get(id)?.as_ref()?, patches.as_ref()?)))
        .collect();
    let equal = with_patches.iter().filter(|(ours, theirs)| *ours == *theirs).count();
    case("published patches equal", equal, with_patches.len());
    Ok(())
}

/// Instances of a dataset, whatever their patches hold, or ids alone.
fn read(path: &Path) -> Result<Vec<(String, Patches)>, CommandError> {
    let ids = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Vec<String>>(&bytes).ok());
    if let Some(ids) = ids {
        return Ok(ids.into_iter().map(|id| (id, None)).collect());
    }
    let mut known = Vec::new();
    for row in Rows::open(path)? {
        let instance = row?.own_fields()?;
        known.push((instance.instance_id.to_string(), Some((instance.gold_patch, instance.test_patch))));
    }
    Ok(known)
}
