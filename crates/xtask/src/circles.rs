//! Circles of files: files of a crate that use one another in a round. What is in a
//! circle can only be read, tested and moved as one.
//!
//! Paths are read from the text (`crate::`, `super::`, and the names of a file's own
//! modules), without tests; what a module gives on by `pub use` counts as where it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path from the root of its crate.
type Module = Vec<String>;

/// A circle: its files below the folder of the sources, sorted, and who uses whom in it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Circle {
    pub(crate) files: Vec<String>,
    pub(crate) uses: Vec<(String, String)>,
}

impl Circle {
    /// Whether it is one module: a file, and files in the folder that belongs to it.
    pub(crate) fn is_one_module(&self) -> bool {
        self.files.iter().any(|root| {
            let folder = format!("{}/", root.trim_end_matches(".rs"));
            self.files.iter().all(|file| file == root || file.starts_with(&folder))
        })
    }
}

/// The circles of a crate's sources.
pub(crate) fn circles(sources: &Path) -> Vec<Circle> {
    let house = House::read(sources);
    let edges: BTreeMap<&Module, BTreeSet<&Module>> =
        house.rooms.keys().map(|module| (module, house.used_by(module))).collect();
    let circles = strongly_connected(&edges).into_iter().filter(|circle| circle.len() > 1);
    let name = |module: &Module| house.rooms[module].name.clone();
    let mut found: Vec<Circle> = circles
        .map(|circle| {
            let mut files: Vec<String> = circle.iter().map(|module| name(module)).collect();
            files.sort();
            let inside = |from: &&Module| {
                let to = edges[*from].iter().filter(|to| circle.contains(*to));
                to.map(|to| (name(from), name(to))).collect::<Vec<_>>()
            };
            let mut uses: Vec<(String, String)> = circle.iter().flat_map(inside).collect();
            uses.sort();
            Circle { files, uses }
        })
        .collect();
    found.sort();
    found
}

/// A file.
struct Room {
    name: String,
    /// Paths that it uses, from the root of the crate.
    uses: BTreeSet<Module>,
    /// What it gives on: names, with where they come from.
    gives: BTreeMap<String, Module>,
}

struct House {
    rooms: BTreeMap<Module, Room>,
}

impl House {
    fn read(sources: &Path) -> Self {
        let mut files = Vec::new();
        collect(sources, &mut files);
        let mut rooms = BTreeMap::new();
        for file in files {
            let below = file.strip_prefix(sources).unwrap_or(&file);
            let text = fs::read_to_string(&file).unwrap_or_default();
            if let Some(module) = module_of(below) {
                let room = Room::read(&module, &below.to_string_lossy(), &text);
                rooms.insert(module, room);
            }
        }
        Self { rooms }
    }

    /// The files that one uses.
    fn used_by(&self, module: &Module) -> BTreeSet<&Module> {
        let used = self.rooms[module].uses.iter().filter_map(|path| self.file_of(path, 0));
        used.filter(|other| *other != module).collect()
    }

    /// The file that a path leads to.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&Module> {
        let (length, module) = (0..=path.len())
            .rev()
            .find_map(|length| Some((length, self.rooms.get_key_value(&path[..length])?.0)))?;
        let given = path.get(length).and_then(|name| self.rooms[module].gives.get(name));
        match given {
            // A name that is given on in a round is nobody's.
            Some(target) if depth < 8 => {
                let rest = path.get(length + 1..).unwrap_or_default();
                self.file_of(&[target.as_slice(), rest].concat(), depth + 1).or(Some(module))
            }
            _ => Some(module),
        }
    }
}

impl Room {
    fn read(module: &Module, name: &str, text: &str) -> Self {
        let code = without_comments(text.split("\n#[cfg(test)]\n").next().unwrap_or_default());
        let children: Vec<&str> = code
            .lines()
            .filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name))
            .filter(|name| name.chars().all(is_of_name))
            .collect();
        let (mut uses, mut gives) = (BTreeSet::new(), BTreeMap::new());
        let mut at = 0;
        while let Some((start, path)) = next_path(&code, at, &children) {
            at = start + 1;
            let before = code[..start].trim_end();
            let statement = before.rsplit([';', '}', '{']).next().unwrap_or_default();
            let is_given = statement.contains("pub") && statement.trim_end().ends_with("use");
            for mut leaf in tree(path) {
                let alias = leaf.alias.take();
                let Some(target) = absolute(module, &leaf.segments) else { continue };
                match leaf.segments.last().filter(|_| is_given) {
                    Some(last) => {
                        gives.insert(alias.unwrap_or_else(|| last.clone()), target);
                    }
                    None => {
                        uses.insert(target);
                    }
                }
            }
        }
        Self { name: name.to_owned(), uses, gives }
    }
}

/// One path of a tree of them, `a::{b, c as d}`.
#[derive(Debug, PartialEq)]
struct Leaf {
    segments: Vec<String>,
    alias: Option<String>,
}

/// Where the next path begins, and the text from there.
fn next_path<'a>(code: &'a str, from: usize, children: &[&str]) -> Option<(usize, &'a str)> {
    let rest = &code[from..];
    rest.match_indices("::").find_map(|(at, _)| {
        let head = rest[..at].rfind(|c| !is_of_name(c)).map_or(0, |end| end + 1);
        let word = &rest[head..at];
        let is_first = !rest[..head].ends_with("::") && !rest[..head].ends_with('.');
        let leads = ["crate", "super", "self"].contains(&word) || children.contains(&word);
        (is_first && leads).then(|| (from + head, &rest[head..]))
    })
}

/// The paths that a text begins with.
fn tree(text: &str) -> Vec<Leaf> {
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        segments.push(word.to_owned());
        match behind.strip_prefix("::") {
            Some(more) if more.starts_with('{') => return branches(&segments, &more[1..]),
            Some(more) => rest = more,
            None => {
                let alias = behind
                    .trim_start()
                    .strip_prefix("as ")
                    .map(|name| name.trim_start().chars().take_while(|c| is_of_name(*c)).collect::<String>());
                return vec![Leaf { segments, alias }];
            }
        }
    }
    vec![Leaf { segments, alias: None }]
}

/// What stands in braces behind some segments.
fn branches(segments: &[String], text: &str) -> Vec<Leaf> {
    let (mut depth, mut start) = (0, 0);
    let mut all = Vec::new();
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = text[start..at].trim();
                let leaves = if item.is_empty() { Vec::new() } else { tree(item) };
                all.extend(leaves.into_iter().map(|leaf| {
                    let more = leaf.segments.into_iter().filter(|word| word != "self");
                    Leaf { segments: segments.iter().cloned().chain(more).collect(), ..leaf }
                }));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    all
}

/// A path as it is from the root of the crate.
fn absolute(module: &Module, segments: &[String]) -> Option<Module> {
    let (first, mut rest) = segments.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => [module.as_slice(), std::slice::from_ref(first)].concat(),
    };
    while let Some((word, more)) = rest.split_first().filter(|(word, _)| *word == "super") {
        debug_assert_eq!(word, "super");
        base.pop()?;
        rest = more;
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// `a/b.rs` is `a::b`; programs beside the crate are none of its modules.
fn module_of(below: &Path) -> Option<Module> {
    let mut module: Module = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = module.pop()?;
    let last = last.strip_suffix(".rs")?;
    if module.first().is_some_and(|first| first == "bin") || last == "tests" {
        return None;
    }
    if !(module.is_empty() && ["lib", "main"].contains(&last)) {
        module.push(last.to_owned());
    }
    Some(module)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Sets of modules that all lead to each other (Tarjan's algorithm).
fn strongly_connected<'a>(edges: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> Vec<Vec<&'a Module>> {
    let mut search =
        Search { edges, order: BTreeMap::new(), low: BTreeMap::new(), open: Vec::new(), found: Vec::new() };
    for module in edges.keys() {
        if !search.order.contains_key(module) {
            search.visit(module);
        }
    }
    search.found
}

struct Search<'a, 'e> {
    edges: &'e BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    order: BTreeMap<&'a Module, usize>,
    low: BTreeMap<&'a Module, usize>,
    open: Vec<&'a Module>,
    found: Vec<Vec<&'a Module>>,
}

impl<'a> Search<'a, '_> {
    fn visit(&mut self, module: &'a Module) {
        let number = self.order.len();
        self.order.insert(module, number);
        self.low.insert(module, number);
        self.open.push(module);
        for next in &self.edges[module] {
            if !self.order.contains_key(next) {
                self.visit(next);
                self.low.insert(module, self.low[module].min(self.low[next]));
            } else if self.open.contains(next) {
                self.low.insert(module, self.low[module].min(self.order[next]));
            }
        }
        if self.low[module] == number {
            let start = self.open.iter().position(|open| *open == module).unwrap_or(0);
            self.found.push(self.open.split_off(start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_of_uses_is_found_and_a_line_of_them_is_none() {
        let folder = std::env::temp_dir().join(format!("swegym-circles-{}", std::process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        for (name, text) in [
            ("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::Bee;\n"),
            ("a.rs", "mod one;\nuse one::One;\npub(crate) use one::Two;\npub struct Base;\n"),
            // Of what is given on, where it comes from counts; a test is no use.
            ("a/one.rs", "use crate::{Bee, c};\n\n#[cfg(test)]\nmod tests { use super::super::Base; }\n"),
            ("b.rs", "use crate::a::Two as Second;\n// use crate::c::See;\n"),
            ("c.rs", "fn f() { crate::a::Base; }\n"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let found = circles(&folder);
        fs::remove_dir_all(&folder).unwrap();
        // a -> one -> c -> a; one -> b (through the root) -> one.
        assert_eq!(found[0].files, ["a.rs", "a/one.rs", "b.rs", "c.rs"]);
        assert!(found.len() == 1 && !found[0].is_one_module());
    }

    #[test]
    fn trees_of_paths_have_leaves() {
        let leaf = |text: &str| Leaf { segments: text.split("::").map(str::to_owned).collect(), alias: None };
        assert_eq!(
            tree("crate::a::{self, b::{c, d as e}, F};"),
            [
                leaf("crate::a"),
                leaf("crate::a::b::c"),
                Leaf { alias: Some("e".into()), ..leaf("crate::a::b::d") },
                leaf("crate::a::F")
            ]
        );
    }
}
