//! Go's modules.

use std::collections::BTreeMap;
use std::path::Path;

use swegym_core::shell::quote;
use swegym_core::test_plan::RESULTS;

use super::{Age, Install, Project, ProjectError, REPORTERS, Testing, Tests, below, holder, text, within};

/// Builds everything that tests may need, the standard library's part of it first. Results,
/// which have times in them, are not kept.
const BUILD: &str = "go build testing; go test -count=1 -vet=off -run='^$' ./...";

/// What tells results to us, made once for all modules.
fn reporter() -> String {
    let build = "GO111MODULE=off GOFLAGS= go build -trimpath -ldflags='-s -w -buildid=' -o tell tell.go";
    format!("(cd {REPORTERS} && {build})")
}

pub(super) fn infer(root: &Path, tests: &Tests) -> Result<Project, ProjectError> {
    let module = text(&root.join("go.mod"))?;
    let name = module.lines().find_map(|line| line.trim().strip_prefix("module "));
    let name = name.map(|name| name.trim().trim_matches('"').to_owned()).unwrap_or_default();
    // Packages by the module that they are of, which may lie below the first one.
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in tests.files.iter().filter(|file| file.ends_with("_test.go")) {
        let Some(module) = holder(root, file, "go.mod") else { continue };
        let folder = below(module, file).rsplit_once('/').map_or("", |(folder, _)| folder);
        let known = packages.entry(module).or_default();
        if !known.contains(&folder) {
            known.push(folder);
        }
    }
    if packages.is_empty() {
        // Data alone is changed: any test may read it.
        packages.insert("", vec!["..."]);
    }
    let modules: Vec<&str> = packages.keys().copied().collect();
    let needs = |folder: &&&str| {
        let depends = text(&root.join(folder).join("go.mod")).is_ok_and(|module| depends(&module));
        depends && !root.join(folder).join("vendor/modules.txt").is_file()
    };
    let downloads: Vec<String> =
        modules.iter().filter(needs).map(|folder| within(folder, "go mod download")).collect();
    let install = Install { from: "go.mod".to_owned(), line: downloads.join(" && "), age: Age::Locked };
    let run = |(module, folders): (&&str, &Vec<&str>)| {
        let folders: Vec<String> = folders.iter().map(|folder| quote(&format!("./{folder}"))).collect();
        let folders = folders.join(" ");
        // Results are written where there is one module: the next would overwrite them.
        let results = if packages.len() == 1 { format!("SWEGYM_RESULTS={RESULTS} ") } else { String::new() };
        // What today's compiler warns of is no test.
        let line = format!("go test -json -count=1 -vet=off {folders} | {results}{REPORTERS}/tell");
        within(module, &line)
    };
    let lines: Vec<String> = packages.iter().map(run).collect();
    Ok(Project {
        name,
        version: String::new(),
        wants: module.lines().find_map(|line| line.trim().strip_prefix("go ")).map(|v| v.trim().to_owned()),
        installs: if downloads.is_empty() { Vec::new() } else { vec![install] },
        builds: std::iter::once(reporter())
            .chain(modules.iter().map(|folder| within(folder, BUILD)))
            .collect(),
        ways: vec![Testing { runner: "go test".to_owned(), before: Vec::new(), lines, parser: "gotest" }],
    })
}

/// Whether a module requires others.
fn depends(module: &str) -> bool {
    let plain = |line: &str| line.split("//").next().unwrap_or_default().trim().to_owned();
    let lines: Vec<String> = module.lines().map(plain).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let opens = line.starts_with("require") && line.ends_with('(');
        let is_one = line.starts_with("require ") && !opens;
        let holds = || lines[at + 1..].iter().find(|line| !line.is_empty()).is_some_and(|line| line != ")");
        is_one || opens && holds()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn project(module: &str, files: &[&str]) -> Project {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("tool/deep")).unwrap();
        fs::write(root.path().join("go.mod"), module).unwrap();
        fs::write(root.path().join("tool/go.mod"), "module acme/walk/tool\n").unwrap();
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        infer(root.path(), &Tests { files, patch: String::new() }).unwrap()
    }

    #[test]
    fn packages_of_changed_tests_are_run() {
        let plain = "module acme/walk\n\ngo 1.20\n";
        let found =
            project(plain, &["walk_test.go", "a/b_test.go", "a/c_test.go", "tool/deep/x_test.go", "x.go"]);
        assert_eq!((found.name.as_str(), found.wants.as_deref()), ("acme/walk", Some("1.20")));
        assert_eq!(found.installs, []);
        assert_eq!(
            found.ways[0].lines,
            [
                "go test -json -count=1 -vet=off './' './a' | /opt/swegym/tell",
                "(cd 'tool' && go test -json -count=1 -vet=off './deep' | /opt/swegym/tell)"
            ]
        );
        let needs = "module x\nrequire (\n\t// none\n\ta/b v1.0.0 // indirect\n)\n";
        let found = project(needs, &["testdata/x.json"]);
        assert_eq!(found.installs[0].line, "go mod download");
        let one = "go test -json -count=1 -vet=off './...' | SWEGYM_RESULTS=/tmp/swegym-results.xml /opt/swegym/tell";
        assert_eq!(found.ways[0].lines, [one]);
        assert_eq!(found.builds[1..], [BUILD]);
        assert!(!depends("module x\nrequire (\n)\n"));
        assert!(depends("module x\nrequire a/b v1.0.0\n"));
    }
}
