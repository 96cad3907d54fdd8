//! JavaScript and TypeScript: what `package.json` says.

mod script;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use swegym_core::shell::quote;
use swegym_core::test_plan::RESULTS;

use super::{Age, Install, Project, ProjectError, REPORTERS, Testing, Tests, below, holder, text, within};
use script::Start;

/// What runs tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Node,
    Mocha,
    Jest,
    Vitest,
}

const KNOWN: &str = "node:test, mocha, jest and vitest";

/// Folders of what tests use, and of no tests.
const HELPERS: [&str; 12] = [
    "fixtures",
    "fixture",
    "__fixtures__",
    "__mocks__",
    "__snapshots__",
    "mocks",
    "helpers",
    "helper",
    "support",
    "utils",
    "data",
    "testdata",
];

pub(super) fn infer(root: &Path, tests: &Tests, until: Option<&str>) -> Result<Project, ProjectError> {
    let package = read(root, "")?;
    let files = test_files(&tests.files);
    let name = package["name"].as_str().unwrap_or_default().to_owned();
    let no_runner = || ProjectError::NoRunner { name: name.clone(), known: KNOWN };
    let starts = match start_of(&package, root, &tests.patch) {
        // One runner for all packages of a repository, or the only one.
        Some(start) => vec![(String::new(), start, files)],
        None => starts_below(root, &files, &tests.patch),
    };
    if starts.is_empty() {
        return Err(no_runner());
    }
    let is_vitest = |start: &Start| start.runner == Runner::Vitest;
    let count = starts.iter().filter(|(_, start, _)| is_vitest(start)).count();
    if count > 0 && count < starts.len() {
        // Nothing reads the logs of both.
        return Err(no_runner());
    }
    let mut ways = vec![way(&starts, starts.len() == 1)];
    if count == 1 {
        // Its first releases write one kind of results at a time.
        ways.push(way(&starts, false));
    }
    Ok(Project {
        version: package["version"].as_str().unwrap_or_default().to_owned(),
        wants: None,
        installs: installs(root, &package, until),
        builds: Vec::new(),
        ways,
        name,
    })
}

/// The start of each package's tests, one after the other. Results are written where there is
/// one start: the next would overwrite them.
fn way(starts: &[(String, Start, Vec<String>)], has_results: bool) -> Testing {
    let mut way = Testing { runner: String::new(), before: Vec::new(), lines: Vec::new(), parser: "tap" };
    for (folder, start, files) in starts {
        way.runner = start.runner.name().to_owned();
        way.before.extend(start.before.iter().map(|line| within(folder, &found_in(folder, line))));
        let files: Vec<&str> = files.iter().map(|file| below(folder, file)).collect();
        way.lines.push(within(folder, &found_in(folder, &start.line(&files, has_results))));
        if start.runner == Runner::Vitest {
            way.parser = "vitest";
        }
    }
    way
}

fn read(root: &Path, folder: &str) -> Result<Value, ProjectError> {
    let path = root.join(folder).join("package.json");
    let text = text(&path)?;
    let unreadable = |error: serde_json::Error| ProjectError::Unreadable { path, why: error.to_string() };
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(unreadable)
}

/// Programs of a package below the first one are found in its own folder, too.
fn found_in(folder: &str, line: &str) -> String {
    if folder.is_empty() { line.to_owned() } else { format!("PATH=\"$PWD/node_modules/.bin:$PATH\"; {line}") }
}

/// The starts of those packages that hold changed tests, each with its files.
fn starts_below(root: &Path, files: &[String], patch: &str) -> Vec<(String, Start, Vec<String>)> {
    let mut packages: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files {
        let Some(folder) = holder(root, file, "package.json").filter(|folder| !folder.is_empty()) else {
            continue;
        };
        packages.entry(folder).or_default().push(file.clone());
    }
    let start = |(folder, files): (&str, Vec<String>)| {
        let package = read(root, folder).ok()?;
        Some((folder.to_owned(), start_of(&package, &root.join(folder), patch)?, files))
    };
    packages.into_iter().filter_map(start).collect()
}

/// How a package's script starts its tests; else what it depends on says what runs them.
fn start_of(package: &Value, root: &Path, patch: &str) -> Option<Start> {
    if let Some(start) = script::start(&package["scripts"]) {
        return Some(start);
    }
    let depends = |name: &str| {
        ["devDependencies", "dependencies"].iter().any(|kind| package[*kind].get(name).is_some())
    };
    let has_module = |file: &str| text(&root.join(file)).is_ok_and(|text| uses_node(&text));
    let runner = if depends("vitest") {
        Runner::Vitest
    } else if depends("jest") {
        Runner::Jest
    } else if depends("mocha") {
        Runner::Mocha
    } else if uses_node(patch) || has_module("test.js") || has_module("test/index.js") {
        Runner::Node
    } else {
        return None;
    };
    Some(Start::plain(runner))
}

fn uses_node(text: &str) -> bool {
    ["'node:test'", "\"node:test\""].iter().any(|module| text.contains(module))
}

/// Those of the changed files that a runner runs. Where some have names of tests, the
/// others are what they use.
fn test_files(changed: &[String]) -> Vec<String> {
    const ENDS: [&str; 8] = [".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx"];
    let is_code = |path: &str| {
        let is_types = path.contains(".d.") || path.contains(".test-d.");
        ENDS.iter().any(|end| path.ends_with(end)) && !is_types
    };
    let is_helper = |path: &str| path.split('/').rev().skip(1).any(|folder| HELPERS.contains(&folder));
    let code: Vec<String> =
        changed.iter().filter(|path| is_code(path) && !is_helper(path)).cloned().collect();
    let named: Vec<String> = code.iter().filter(|path| has_name_of_tests(path)).cloned().collect();
    if named.is_empty() { code } else { named }
}

fn has_name_of_tests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let of_tests = |part: &str| matches!(part.to_lowercase().as_str(), "test" | "tests" | "spec" | "specs");
    path.split('/').any(|folder| folder == "__tests__") || name.split(['.', '-', '_']).any(of_tests)
}

/// With what a lock file says, then with what there was at that time, then with what there
/// is now; each time as it is meant, and then without what is most often in the way: rules
/// of peers that nobody kept to, and what packages do when they are installed.
fn installs(root: &Path, package: &Value, until: Option<&str>) -> Vec<Install> {
    const FORCED: &str = "--legacy-peer-deps --ignore-scripts";
    let is_empty = |kind: &str| package[kind].as_object().is_none_or(serde_json::Map::is_empty);
    let kinds = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
    let has_workspaces = !package["workspaces"].is_null();
    if kinds.into_iter().all(is_empty) && !has_workspaces {
        return Vec::new();
    }
    let locked = |from: &str, line: String| Install { from: from.to_owned(), line, age: Age::Locked };
    let is_there = |lock: &&str| root.join(lock).is_file();
    let mut installs = Vec::new();
    if let Some(lock) = ["npm-shrinkwrap.json", "package-lock.json"].into_iter().find(is_there) {
        installs.push(locked(lock, "npm ci".to_owned()));
        installs.push(locked(&format!("{lock}, forced"), format!("npm ci {FORCED}")));
    }
    // npm reads yarn's file where it may have one of its own.
    let yarn = Some("yarn.lock").filter(is_there).filter(|_| installs.is_empty());
    let (from, own) = match yarn {
        Some(lock) => (format!("package.json, {lock}"), ""),
        None => ("package.json".to_owned(), " --no-package-lock"),
    };
    let day = until.and_then(|until| until.get(..10)).unwrap_or_default();
    for until in until.into_iter().map(Some).chain([None]) {
        let from = until.map_or_else(|| format!("{from}, as of now"), |_| format!("{from}, as of {day}"));
        let age = if until.is_some() { Age::OfItsDay } else { Age::Now };
        let before = until.map(|until| format!(" --before={}", quote(until))).unwrap_or_default();
        let line = format!("npm install{own}{before}");
        for (from, line) in
            [(from.clone(), line.clone()), (format!("{from}, forced"), format!("{line} {FORCED}"))]
        {
            installs.push(Install { from, line, age });
        }
    }
    installs
}

impl Runner {
    fn name(self) -> &'static str {
        match self {
            Self::Node => "node:test",
            Self::Mocha => "mocha",
            Self::Jest => "jest",
            Self::Vitest => "vitest",
        }
    }
}

impl Start {
    /// The line that runs these files, or, where there are none, what the script runs. Where
    /// it is not the only one, its results would be overwritten by the next.
    fn line(&self, files: &[&str], has_results: bool) -> String {
        let mut words = self.words.clone();
        let options = self.options.iter().map(|word| quote(word));
        match self.runner {
            Runner::Node => {
                words.extend(options);
                words.push("--test".to_owned());
                words.push(format!("--test-reporter={REPORTERS}/node.mjs"));
            }
            Runner::Mocha => {
                words.push(format!("--reporter {REPORTERS}/mocha.cjs"));
                words.extend(options);
            }
            Runner::Jest => {
                words.push(format!("--ci --coverage=false --reporters={REPORTERS}/jest.cjs"));
                words.extend(options);
                words.extend((!files.is_empty()).then(|| "--runTestsByPath".to_owned()));
            }
            Runner::Vitest => {
                words.push("run --reporter=verbose".to_owned());
                let results = format!("--reporter=junit --outputFile.junit={RESULTS}");
                words.extend(has_results.then_some(results));
                words.extend(options);
            }
        }
        match files {
            [] => words.extend(self.files.iter().map(|word| quote(word))),
            files => words.extend(files.iter().map(|file| quote(file))),
        }
        let line = words.join(" ");
        // Its own reporters have one file, too.
        let is_ours = self.runner != Runner::Vitest;
        if is_ours && has_results { format!("SWEGYM_RESULTS={RESULTS} {line}") } else { line }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn project(packages: &[(&str, Value)], files: &[&str]) -> Result<Project, ProjectError> {
        let root = tempfile::tempdir().unwrap();
        for (folder, package) in packages {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("package.json"), package.to_string()).unwrap();
        }
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        infer(root.path(), &Tests { files, patch: String::new() }, Some("2024-01-02T00:00:00Z"))
    }

    #[test]
    fn changed_tests_are_run_by_the_runner_of_the_script() {
        for (script, lines) in [
            (
                "node --test && eslint .",
                "SWEGYM_RESULTS=/tmp/swegym-results.xml node --test --test-reporter=/opt/swegym/node.mjs 't/a.test.js'",
            ),
            (
                "nyc --all mocha -r esm --reporter dot 'test/**/*.js'",
                "SWEGYM_RESULTS=/tmp/swegym-results.xml mocha --reporter /opt/swegym/mocha.cjs '-r' 'esm' 't/a.test.js'",
            ),
            (
                "NODE_ENV=test jest --coverage -c x.json",
                "SWEGYM_RESULTS=/tmp/swegym-results.xml NODE_ENV='test' jest --ci --coverage=false --reporters=/opt/swegym/jest.cjs '-c' 'x.json' --runTestsByPath 't/a.test.js'",
            ),
            (
                "vitest",
                "vitest run --reporter=verbose --reporter=junit --outputFile.junit=/tmp/swegym-results.xml 't/a.test.js'",
            ),
        ] {
            let package = json!({"name": "walk", "version": "1.2.3", "scripts": {"test": script}});
            let found = project(&[("", package)], &["t/a.test.js", "t/helpers/x.js", "t/more.js"]).unwrap();
            assert_eq!(found.ways[0].lines, [lines], "{script}");
            assert_eq!((found.installs.len(), found.version.as_str()), (0, "1.2.3"));
        }
    }

    #[test]
    fn packages_below_have_runners_of_their_own() {
        let top =
            json!({"private": true, "workspaces": ["p/*"], "scripts": {"test": "npm test --workspaces"}});
        let one = json!({"name": "one", "scripts": {"test": "mocha"}});
        let two = json!({"name": "two", "devDependencies": {"jest": "^29"}});
        let packages = [("", top), ("p/one", one), ("p/two", two)];
        let found = project(&packages, &["p/one/test/a.js", "p/two/b.spec.ts", "p/one/test/fixtures/a.js"]);
        // Where some files have names of tests, the others are not run.
        let found = found.unwrap();
        assert_eq!(
            found.ways[0].lines,
            [
                "(cd 'p/two' && PATH=\"$PWD/node_modules/.bin:$PATH\"; SWEGYM_RESULTS=/tmp/swegym-results.xml jest --ci --coverage=false --reporters=/opt/swegym/jest.cjs --runTestsByPath 'b.spec.ts')"
            ]
        );
        assert_eq!(found.installs[0].line, "npm install --no-package-lock --before='2024-01-02T00:00:00Z'");
        let error = project(&packages[..1], &["p/one/test/a.js"]).unwrap_err();
        assert_eq!(error.code(), "no_tests");
    }

    #[test]
    fn without_changed_tests_all_are_run() {
        let package = json!({"name": "walk", "scripts": {"test": "mocha test/*.js"}});
        let found = project(&[("", package)], &["test/data/x.json"]).unwrap();
        assert!(found.ways[0].lines[0].ends_with(" 'test/*.js'"), "{found:?}");
    }
}
