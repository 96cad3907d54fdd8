//! `cargo xtask tidy`: what the compiler does not check about the house.
//!
//! Arrows between crates, circles of files, file headers, file lengths, paths and
//! links in the documents, and words that the glossary bans. The same checks run as a
//! test. `cargo xtask circles` shows every circle, with who uses whom in it.

mod circles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The arrows: what each crate may use of ours, and what it must never reach.
/// ARCHITECTURE.md has the reasons.
const ROOMS: [(&str, &[&str], &[&str]); 16] = [
    ("swegym-core", &[], &["tokio", "ureq", "libc", "clap", "jiff"]),
    ("swegym-files", &[], &["tokio", "ureq", "reqwest", "clap", "serde_json"]),
    ("swegym-grade", &["swegym-core"], &["tokio", "ureq", "libc", "clap", "jiff"]),
    ("swegym-sandbox", &["swegym-core", "swegym-files"], &["ureq", "clap", "jiff", "tree-sitter"]),
    ("swegym-tasks", &["swegym-core", "swegym-files"], &["tokio", "libc", "clap", "jiff"]),
    ("swegym-train", &["swegym-core", "swegym-files"], &["tokio", "ureq", "reqwest", "libc", "clap", "jiff"]),
    ("swegym-console", &["swegym-core", "swegym-files"], &["tokio", "ureq", "reqwest", "clap", "jiff"]),
    ("swegym-agent", &["swegym-core", "swegym-sandbox"], &["clap", "jiff", "ureq"]),
    (
        "swegym-runner",
        &[
            "swegym-core",
            "swegym-files",
            "swegym-grade",
            "swegym-sandbox",
            "swegym-tasks",
            "swegym-agent",
            "swegym-mine",
        ],
        &["clap", "indicatif", "ureq", "reqwest"],
    ),
    (
        "swegym-data",
        &["swegym-core", "swegym-files", "swegym-grade", "swegym-tasks", "swegym-train", "swegym-console"],
        &["clap", "tokio", "reqwest", "axum", "jiff", "indicatif"],
    ),
    (
        "swegym-serve",
        &["swegym-core", "swegym-agent", "swegym-train", "swegym-console"],
        &["clap", "indicatif", "reqwest", "ureq"],
    ),
    (
        "swegym-mine",
        &["swegym-core", "swegym-files", "swegym-sandbox", "swegym-tasks", "swegym-console"],
        &["clap", "indicatif", "tokio"],
    ),
    ("swegym-method", &BELOW_THE_METHOD, &["clap", "indicatif", "axum"]),
    ("swegym", &BELOW_THE_BINARY, &["axum", "indicatif", "reqwest", "ureq"]),
    ("swegym-bench", &BELOW_THE_BINARY, &[]),
    ("xtask", &[], &["tokio", "clap"]),
];

/// All rooms that the method stands on.
const BELOW_THE_METHOD: [&str; 12] = [
    "swegym-core",
    "swegym-files",
    "swegym-grade",
    "swegym-sandbox",
    "swegym-tasks",
    "swegym-train",
    "swegym-console",
    "swegym-agent",
    "swegym-mine",
    "swegym-runner",
    "swegym-data",
    "swegym-serve",
];

/// The same with the method.
const BELOW_THE_BINARY: [&str; 13] = {
    let mut rooms = ["swegym-method"; 13];
    let mut at = 0;
    while at < BELOW_THE_METHOD.len() {
        rooms[at] = BELOW_THE_METHOD[at];
        at += 1;
    }
    rooms
};

/// Rooms where asynchronous code may live.
const ASYNC_ROOMS: [&str; 7] = [
    "swegym-sandbox",
    "swegym-agent",
    "swegym-runner",
    "swegym-serve",
    "swegym-method",
    "swegym-bench",
    "swegym",
];

/// Files of several modules that are one thing, and may use one another.
const UNITS: [(&str, &[&str]); 1] = [("swegym-train", &["adapter.rs", "decoder.rs"])];

/// Longest source file, in lines.
const LONGEST_FILE: usize = 600;

/// Words of the glossary's "do not say" column that can be told from other uses.
const BANNED: [&str; 7] = [
    "struct Env ",
    "struct Environment<",
    "Manager",
    "Helper",
    "struct Episode",
    "struct Trial",
    "struct Container",
];

fn main() -> ExitCode {
    let verb = std::env::args().nth(1).unwrap_or_default();
    if verb == "circles" {
        for (room, ..) in ROOMS {
            for circle in circles::circles(&root().join("crates").join(room).join("src")) {
                let kind = if circle.is_one_module() { "one module" } else { "several modules" };
                say(&format!("{room}: {kind}: {}", circle.files.join(" ")));
                circle.uses.iter().for_each(|(from, to)| say(&format!("    {from} -> {to}")));
            }
        }
        return ExitCode::SUCCESS;
    }
    if verb != "tidy" {
        say("usage: cargo xtask tidy | circles");
        return ExitCode::from(2);
    }
    let problems = tidy(&root());
    for problem in &problems {
        say(problem);
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stderr, reason = "a tool for developers; it has no printer")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Asked of cargo when this runs: a target folder that checkouts share may hold
/// a program that was built in another one.
#[expect(clippy::disallowed_methods, reason = "there are no settings here")]
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    here.join("../..")
}

/// Everything that is wrong, as lines for people.
fn tidy(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    check_arrows(root, &mut problems);
    for (room, ..) in ROOMS {
        check_circles(root, room, &mut problems);
    }
    let mut files = Vec::new();
    collect(&root.join("crates"), &mut files);
    files.sort();
    for file in &files {
        check_file(root, file, &mut problems);
    }
    for document in documents(root) {
        check_paths(root, &document, &mut problems);
        check_links(root, &document, &mut problems);
    }
    problems
}

fn check_arrows(root: &Path, problems: &mut Vec<String>) {
    let mut found: BTreeMap<String, toml::Table> = BTreeMap::new();
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        found.insert(name, text.parse().unwrap_or_default());
    }
    for (name, manifest) in &found {
        let Some((_, allowed, never)) = ROOMS.iter().find(|(room, ..)| room == name) else {
            problems
                .push(format!("crates/{name}: not a room of the house; add it to ARCHITECTURE.md and xtask"));
            continue;
        };
        let package = manifest.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str);
        if package != Some(name) {
            problems.push(format!("crates/{name}: the folder and the crate have different names"));
        }
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let tables = kinds.iter().filter_map(|kind| manifest.get(*kind).and_then(toml::Value::as_table));
        for dependency in tables.flat_map(toml::Table::keys) {
            let ours = dependency.starts_with("swegym");
            if ours && !allowed.contains(&dependency.as_str()) {
                problems.push(format!("crates/{name}: the arrow to {dependency} points up or aside"));
            }
            if never.contains(&dependency.as_str()) {
                problems.push(format!("crates/{name}: must never know {dependency}"));
            }
        }
    }
}

/// A module's file and those in its folder may use one another; other files may not.
fn check_circles(root: &Path, room: &str, problems: &mut Vec<String>) {
    for circle in circles::circles(&root.join("crates").join(room).join("src")) {
        let is_unit = UNITS.iter().any(|(of, files)| *of == room && circle.files == *files);
        if !is_unit && !circle.is_one_module() {
            let files = circle.files.join(", ");
            problems.push(format!("crates/{room}: {files} use one another; see `cargo xtask circles`"));
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn check_file(root: &Path, file: &Path, problems: &mut Vec<String>) {
    let shown = file.strip_prefix(root).unwrap_or(file).display();
    let text = fs::read_to_string(file).unwrap_or_default();
    if !text.starts_with("//!") {
        problems.push(format!("{shown}: must open with `//!` and say what it is"));
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        problems.push(format!("{shown}: {lines} lines; split it by meaning ({LONGEST_FILE} is the budget)"));
    }
    let room = file.strip_prefix(root.join("crates")).ok().and_then(|p| p.iter().next());
    let room = room.map(|r| r.to_string_lossy().into_owned()).unwrap_or_default();
    if room == "xtask" {
        return;
    }
    let never = ROOMS.iter().find(|(name, ..)| *name == room).map_or(&[][..], |(_, _, never)| never);
    for known in never.iter().filter(|name| uses(&text, &name.replace('-', "_"))) {
        problems.push(format!("{shown}: must never know {known}"));
    }
    if !ASYNC_ROOMS.contains(&room.as_str()) && text.contains("async fn") {
        problems.push(format!("{shown}: asynchronous code lives in {}", ASYNC_ROOMS.join(", ")));
    }
    for banned in BANNED.iter().filter(|b| text.contains(**b)) {
        problems.push(format!("{shown}: `{}` is not one of our words; see docs/glossary.md", banned.trim()));
    }
}

/// Whether code names a crate, by whatever way it came there.
fn uses(text: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    // Every other piece stands in quotes.
    let pieces = code.flat_map(|line| line.split('"').step_by(2));
    pieces.flat_map(|piece| piece.match_indices(&path).map(move |(at, _)| &piece[..at])).any(|before| {
        !before.ends_with(|character: char| character.is_alphanumeric() || matches!(character, '_' | ':'))
    })
}

/// Every `crates/…`, `docs/…` or `.ci/…` in backquotes must exist.
fn check_paths(root: &Path, document: &str, problems: &mut Vec<String>) {
    let text = fs::read_to_string(root.join(document)).unwrap_or_default();
    if text.is_empty() {
        problems.push(format!("{document}: missing"));
    }
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path = ["crates/", "docs/", ".ci/", ".cargo/"].iter().any(|p| quoted.starts_with(p));
        if is_path && !quoted.contains(['<', '*', ' ']) && !root.join(quoted).exists() {
            problems.push(format!("{document}: names `{quoted}`, which does not exist"));
        }
    }
}

/// What people read, by paths from the root: the pages beside it and below docs/.
fn documents(root: &Path) -> Vec<String> {
    let mut found: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
            .map(str::to_owned)
            .to_vec();
    for folder in ["docs", "docs/paper"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.extend(Some(format!("{folder}/{name}")).filter(|path| path.ends_with(".md")));
        }
    }
    found.sort();
    found
}

/// Every link to a file of ours must lead to one, and its `#part` to a heading there.
fn check_links(root: &Path, document: &str, problems: &mut Vec<String>) {
    let text = fs::read_to_string(root.join(document)).unwrap_or_default();
    let here = root.join(document);
    let beside = here.parent().unwrap_or(root);
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if link.contains("://") || link.contains(char::is_whitespace) {
            continue;
        }
        let (path, part) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { here.clone() } else { beside.join(path) };
        if !target.exists() {
            problems.push(format!("{document}: links to `{link}`, which does not exist"));
        } else if !part.is_empty() && !headings(&target).iter().any(|heading| heading == part) {
            problems.push(format!("{document}: links to `{link}`, which has no such heading"));
        }
    }
}

/// The headings of a page, as links name them: small letters and digits, hyphens for blanks.
fn headings(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap_or_default();
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let name = |title: &str| {
        let kept = title.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    titles.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        assert_eq!(tidy(&root()), Vec::<String>::new());
    }

    #[test]
    fn untidiness_is_found() {
        let mut problems = Vec::new();
        let folder = std::env::temp_dir().join(format!("swegym-tidy-{}", std::process::id()));
        let room = folder.join("crates/swegym-core");
        fs::create_dir_all(room.join("src")).unwrap();
        fs::write(
            room.join("Cargo.toml"),
            "[package]\nname='swegym-core'\n[dependencies]\ntokio='1'\n[dev-dependencies]\nswegym-grade='1'\n",
        )
        .unwrap();
        let text = format!("async fn x() {{ clap::x() }}\nmod a;\nmod b;\n{}", "\n".repeat(700));
        fs::write(room.join("src/lib.rs"), text).unwrap();
        fs::write(room.join("src/a.rs"), "use crate::b::B;\n").unwrap();
        fs::write(room.join("src/b.rs"), "use crate::a::A;\n").unwrap();
        let page = "see `crates/nowhere`, [a](nowhere.md), [b](#nowhere), [c](#some-where)\n# Some where\n";
        fs::write(folder.join("ARCHITECTURE.md"), page).unwrap();
        check_arrows(&folder, &mut problems);
        check_circles(&folder, "swegym-core", &mut problems);
        check_file(&folder, &room.join("src/lib.rs"), &mut problems);
        check_paths(&folder, "ARCHITECTURE.md", &mut problems);
        check_links(&folder, "ARCHITECTURE.md", &mut problems);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(problems.len(), 10, "{problems:#?}");
    }
}
