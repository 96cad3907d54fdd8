//! Packages that cargo builds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use swegym_core::shell::quote;
use swegym_core::test_plan::RESULTS;
use toml::Table;

use super::{Age, Install, Project, ProjectError, REPORTERS, Testing, Tests, below, holder, text, within};

/// How the runners are started. nextest is to try nothing twice, and to tell every test.
const BY_CARGO: &str = "cargo test";
pub(super) const BY_NEXTEST: &str = "cargo nextest run";
const STEADILY: &str = "--retries 0 --status-level all --final-status-level none";

/// The test targets of one package that changed tests are in.
#[derive(Default)]
struct Targets {
    /// Integration tests by name.
    named: BTreeSet<String>,
    /// A file that several targets may share, or that stands in a library or a program.
    others: bool,
}

pub(super) fn infer(root: &Path, tests: &Tests) -> Result<Project, ProjectError> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let of_package = |key: &str| {
        let value = manifest.get("package").and_then(|package| package.get(key))?;
        value.as_str().map(str::to_owned)
    };
    let mut packages: BTreeMap<&str, Targets> = BTreeMap::new();
    for file in &tests.files {
        let Some(folder) = holder(root, file, "Cargo.toml") else { continue };
        let Ok(manifest) = read(&root.join(folder).join("Cargo.toml")) else { continue };
        packages.entry(folder).or_default().add(&manifest, below(folder, file));
    }
    let mut features = false;
    let mut starts = Vec::new();
    for (folder, targets) in &packages {
        let manifest = read(&root.join(folder).join("Cargo.toml"))?;
        // A workspace without a package of its own has tests in its members only.
        let words = if manifest.contains_key("package") { targets.words() } else { " --workspace".into() };
        features |= has_features(&manifest);
        starts.push(((*folder).to_owned(), words));
    }
    if starts.is_empty() {
        starts.push((String::new(), " --workspace".to_owned()));
        features |= has_features(&manifest);
    }
    let lines = |start: &str, options: &str| -> Vec<String> {
        let line = |(folder, words): &(String, String)| {
            within(folder, &format!("{start} --offline --no-fail-fast{options}{words}"))
        };
        starts.iter().map(line).collect()
    };
    // Of several starts, each would write over the results of the one before.
    let nextest = match starts.len() {
        1 => format!(
            "SWEGYM_RESULTS={RESULTS} {BY_NEXTEST} --tool-config-file swegym:{REPORTERS}/nextest.toml {STEADILY}"
        ),
        _ => format!("{BY_NEXTEST} {STEADILY}"),
    };
    let way = |runner: &str, start: &str, options: &str| Testing {
        runner: format!("{runner}{options}"),
        before: Vec::new(),
        lines: lines(start, options),
        parser: "cargo",
    };
    let runners = [(BY_NEXTEST, nextest.as_str()), (BY_CARGO, BY_CARGO)];
    let runners = runners.into_iter().filter(|(runner, _)| *runner == BY_CARGO || uses_nextest(root));
    let all: &[&str] = if features { &["", " --all-features"] } else { &[""] };
    let ways: Vec<Testing> = runners
        .flat_map(|(runner, start)| all.iter().map(move |options| (runner, start, *options)))
        .map(|(runner, start, options)| way(runner, start, options))
        .collect();
    let locked = root.join("Cargo.lock").is_file();
    let fetch = |from: &str, line: &str, age| Install { from: from.to_owned(), line: line.to_owned(), age };
    let mut installs = vec![
        fetch("Cargo.toml, as of its day", "cargo fetch", Age::OfItsDay),
        // What was taken back since then is no longer chosen.
        fetch("Cargo.toml, as of now", "cargo fetch", Age::Now),
    ];
    if locked {
        installs.insert(0, fetch("Cargo.lock", "cargo fetch --locked", Age::Locked));
    }
    Ok(Project {
        name: of_package("name").unwrap_or_default(),
        version: of_package("version").unwrap_or_default(),
        wants: None,
        installs,
        builds: lines(BY_CARGO, "").iter().map(|line| line.replace("--no-fail-fast", "--no-run")).collect(),
        ways,
    })
}

impl Targets {
    /// What a file of tests belongs to; its path is seen from the package.
    fn add(&mut self, manifest: &Table, file: &str) {
        let given = manifest.get("test").and_then(|tests| tests.as_array()).into_iter().flatten();
        let mut named =
            given.filter_map(|test| Some((test.get("name")?.as_str()?, test.get("path")?.as_str()?)));
        if let Some((name, _)) = named.find(|(_, path)| *path == file) {
            self.named.insert(name.to_owned());
            return;
        }
        match file.split('/').collect::<Vec<_>>()[..] {
            ["tests", name] if name.ends_with(".rs") => {
                self.named.insert(name.trim_end_matches(".rs").to_owned());
            }
            ["tests", name, "main.rs"] => {
                self.named.insert(name.to_owned());
            }
            _ => self.others = true,
        }
    }

    fn words(&self) -> String {
        if self.others {
            return " --tests".to_owned();
        }
        self.named.iter().map(|name| format!(" --test {}", quote(name))).collect()
    }
}

/// Whether the project's own people run its tests by nextest: it has settings for that, or
/// calls it where they look.
fn uses_nextest(root: &Path) -> bool {
    let is_folder = |path: &str| root.join(path).symlink_metadata().is_ok_and(|about| about.is_dir());
    let workflows = root.join(".github/workflows");
    // A link would lead out of the project.
    let workflows =
        (is_folder(".github") && is_folder(".github/workflows")).then(|| std::fs::read_dir(workflows));
    let workflows = workflows.into_iter().flatten().flatten().flatten();
    let files =
        ["Makefile", "justfile", "Justfile", ".gitlab-ci.yml"].map(|name| root.join(name)).into_iter();
    let mut files = files.chain(workflows.map(|entry| entry.path()));
    root.join(".config/nextest.toml").is_file()
        || files.any(|file| text(&file).is_ok_and(|text| text.contains("nextest run")))
}

fn has_features(manifest: &Table) -> bool {
    let features = manifest.get("features").and_then(|features| features.as_table());
    let is_more = |name: &String| name != "default";
    features.is_some_and(|features| features.keys().any(is_more))
}

fn read(path: &Path) -> Result<Table, ProjectError> {
    let unreadable = |error: toml::de::Error| ProjectError::Unreadable {
        path: path.to_owned(),
        why: error.message().to_owned(),
    };
    text(path)?.parse::<Table>().map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lines(files: &[&str]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[package]\nname = \"walk\"\nversion = \"1.0.0\"\n[features]\ndefault = []\nextra = []\n[[test]]\nname = \"odd\"\npath = \"checks/odd.rs\"\n",
        );
        write("tool/Cargo.toml", "[package]\nname = \"tool\"\n");
        write("Cargo.lock", "");
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let found = infer(root.path(), &Tests { files, patch: String::new() }).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("walk", "1.0.0"));
        assert_eq!(found.installs.len(), 3);
        found.ways.into_iter().flat_map(|way| way.lines).collect()
    }

    #[test]
    fn nextest_runs_what_its_people_run_by_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(".github/workflows")).unwrap();
        fs::write(root.path().join("Cargo.toml"), "[package]\nname = \"walk\"\nversion = \"1.0.0\"\n")
            .unwrap();
        let tests = Tests { files: vec!["tests/walk.rs".to_owned()], patch: String::new() };
        let runners = || -> Vec<String> {
            infer(root.path(), &tests).unwrap().ways.into_iter().map(|way| way.runner).collect()
        };
        assert_eq!(runners(), ["cargo test"]);
        let workflow = "steps:\n- run: cargo nextest run --profile ci\n";
        fs::write(root.path().join(".github/workflows/ci.yml"), workflow).unwrap();
        assert_eq!(runners(), ["cargo nextest run", "cargo test"]);
        let way = &infer(root.path(), &tests).unwrap().ways[0];
        assert_eq!(
            way.lines,
            [
                "SWEGYM_RESULTS=/tmp/swegym-results.xml cargo nextest run --tool-config-file swegym:/opt/swegym/nextest.toml \
              --retries 0 --status-level all --final-status-level none --offline --no-fail-fast --test 'walk'"
            ]
        );
        assert!(way.needs_nextest());
    }

    #[test]
    fn targets_of_changed_tests_are_run() {
        let start = "cargo test --offline --no-fail-fast";
        assert_eq!(
            lines(&["tests/walk.rs", "tests/deep/main.rs", "checks/odd.rs"]),
            [
                format!("{start} --test 'deep' --test 'odd' --test 'walk'"),
                format!("{start} --all-features --test 'deep' --test 'odd' --test 'walk'"),
            ]
        );
        assert_eq!(lines(&["src/tests.rs"])[0], format!("{start} --tests"));
        assert_eq!(lines(&["tests/common/mod.rs"])[0], format!("{start} --tests"));
        assert_eq!(lines(&["tool/tests/a.rs"]), [format!("(cd 'tool' && {start} --test 'a')")]);
        assert_eq!(lines(&[])[0], format!("{start} --workspace"));
    }
}
