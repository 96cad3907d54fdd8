//! Which release a commit belongs to, told from its files and tags. Nothing is run.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::sync::LazyLock;

use foldhash::fast::FixedState;
use regex::Regex;

use crate::history::{History, Index, landings};
use crate::kind::Split;
use crate::objects::{Entry, Objects};
use crate::oid::Oid;
use crate::repository::MineError;

/// Files in which a package writes its version, beside `__init__.py`.
const FILES: [&str; 7] =
    ["version.py", "_version.py", "__version__.py", "__about__.py", "about.py", "__init__.py", "__meta__.py"];

/// Files at the top that say it of the whole project.
const TOP: [&str; 7] =
    ["pyproject.toml", "setup.cfg", "setup.py", "package.json", "Cargo.toml", "VERSION", "version.txt"];

/// More folders are not looked into.
const MOST_FOLDERS: usize = 12;

/// Tells versions, and keeps what it has read.
pub(crate) struct Versions<'a> {
    history: &'a History,
    /// Versions of files by their contents, which change seldom.
    read: HashMap<Oid, Option<String>, FixedState>,
    /// Tags with a number, by the commit of the main line that first has them.
    tagged: HashMap<Index, String, FixedState>,
    /// For each commit of the main line, the newest tag at or before it.
    newest: HashMap<Index, String, FixedState>,
}

impl<'a> Versions<'a> {
    pub(crate) fn of(history: &'a History) -> Self {
        let mut versions = Self {
            history,
            read: HashMap::default(),
            tagged: HashMap::default(),
            newest: HashMap::default(),
        };
        let brought = landings(history);
        for (name, tip) in &history.tags {
            if let Some(version) = short(name) {
                versions.tagged.insert(*tip, version.clone());
                if let Some(landing) = brought[*tip as usize] {
                    versions.tagged.entry(landing).or_insert(version);
                }
            }
        }
        let mut last: Option<&String> = None;
        for at in &history.main {
            last = versions.tagged.get(at).or(last);
            if let Some(version) = last {
                versions.newest.insert(*at, version.clone());
            }
        }
        versions
    }

    /// Two numbers (`2.3`), as the field's tables have them; nothing where nothing says so.
    pub(crate) fn at(
        &mut self,
        commit: Index,
        objects: &mut Objects<'_>,
    ) -> Result<Option<String>, MineError> {
        let id = self.history.commit(commit).id;
        let top = objects.entries(&format!("{id}^{{tree}}"))?;
        if let Some(version) = self.of_files(&top, &TOP, objects)? {
            return Ok(Some(version));
        }
        let is_package = |entry: &&Entry| {
            entry.is_folder && Split::Kinds.of_path(&format!("{}/x.py", entry.name)).is_none()
        };
        let mut packages: Vec<Entry> = top.iter().filter(is_package).take(MOST_FOLDERS).cloned().collect();
        // A layout with `src`: the packages lie below.
        for name in ["src", "lib", "python"] {
            if let Some(folder) = top.iter().find(|entry| entry.is_folder && entry.name == name) {
                let below = objects.entries(&folder.id.to_string())?;
                packages.extend(below.into_iter().filter(|entry| entry.is_folder).take(MOST_FOLDERS));
            }
        }
        for package in packages {
            let files = objects.entries(&package.id.to_string())?;
            if let Some(version) = self.of_files(&files, &FILES, objects)? {
                return Ok(Some(version));
            }
        }
        Ok(self.of_tags(commit))
    }

    fn of_files(
        &mut self,
        entries: &[Entry],
        names: &[&str],
        objects: &mut Objects<'_>,
    ) -> Result<Option<String>, MineError> {
        for name in names {
            let Some(file) = entries.iter().find(|entry| entry.name == *name && !entry.is_folder) else {
                continue;
            };
            let version = match self.read.entry(file.id) {
                Occupied(known) => known.get().clone(),
                Vacant(place) => {
                    let contents = objects.get(&file.id.to_string())?.unwrap_or_default();
                    place.insert(written(name, &String::from_utf8_lossy(&contents))).clone()
                }
            };
            if version.is_some() {
                return Ok(version);
            }
        }
        Ok(None)
    }

    /// The newest tag before it.
    fn of_tags(&self, commit: Index) -> Option<String> {
        let mut line = self.history.line_from(commit);
        line.find_map(|at| self.newest.get(&at).or_else(|| self.tagged.get(&at))).cloned()
    }
}

/// The version that a file of this name tells.
fn written(name: &str, text: &str) -> Option<String> {
    static PLAIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?m)^(?:__version__|__VERSION__|VERSION|version|_version)\s*(?::\s*\w+\s*)?=\s*["']([^"'\n]+)["']"#).ok()
    });
    static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:__version_info__|__version__|VERSION|version_info|version)\s*(?::[^=\n]+)?=\s*\(\s*(\d+)\s*,\s*(\d+)").ok()
    });
    static SET_UP: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?:[(,]|^)\s*version\s*=\s*["']([^"'\n]+)["']"#).ok());
    static SECTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?ms)^\[(?:project|tool\.poetry|package|workspace\.package|metadata)\]\s*\n(?:[^\[\n][^\n]*\n|\n)*?version\s*=\s*["']?([\w.+!-]+)"#).ok()
    });
    static JSON: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?m)^\s{0,4}"version"\s*:\s*"([^"]+)""#).ok());
    let first = |rule: &Option<Regex>| {
        rule.as_ref()?.captures(text)?.get(1).map(|version| version.as_str().to_owned())
    };
    let told = match name {
        "pyproject.toml" | "setup.cfg" | "Cargo.toml" => first(&SECTION),
        "setup.py" => first(&SET_UP),
        "package.json" => first(&JSON),
        "VERSION" | "version.txt" => text.lines().next().map(str::to_owned),
        _ => first(&PLAIN).or_else(|| {
            let numbers = NUMBERS.as_ref()?.captures(text)?;
            Some(format!("{}.{}", &numbers[1], &numbers[2]))
        }),
    };
    short(&told?)
}

/// `v2.3.1rc1` is 2.3. Versions that tools put in later (`0.0.0`, `0+unknown`) are none.
fn short(version: &str) -> Option<String> {
    static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^(?:[A-Za-z][A-Za-z_]*[-_]?(?:[A-Za-z]+[-_])*)?v?(\d+)(?:[._](\d+))?(?:[._]\d+)*(?:[-_.+]?[A-Za-z].*)?$").ok()
    });
    let found = NUMBER.as_ref()?.captures(version.trim())?;
    let (major, minor) = (&found[1], found.get(2).map_or("0", |minor| minor.as_str()));
    let plain = |number: &str| number.parse::<u32>().ok();
    let (major, minor) = (plain(major)?, plain(minor)?);
    ((major, minor) != (0, 0)).then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_two_numbers() {
        for (version, told) in [
            ("2.3.1", Some("2.3")),
            ("v2.3", Some("2.3")),
            ("release-1.4", Some("1.4")),
            ("pkg_name-0.9.1", Some("0.9")),
            ("REL_1_2_3", Some("1.2")),
            ("3", Some("3.0")),
            ("2.0b1", Some("2.0")),
            ("1.0.dev1", Some("1.0")),
            ("0.0.0", None),
            ("0+unknown", None),
            ("nightly", None),
        ] {
            assert_eq!(short(version).as_deref(), told, "{version}");
        }
    }

    #[test]
    fn files_tell_them() {
        for (name, text, told) in [
            ("__init__.py", "\"\"\"A.\"\"\"\n__version__ = \"1.2.3\"\n", Some("1.2")),
            ("version.py", "VERSION = (1, 7, 0, 'final')\n", Some("1.7")),
            ("_version.py", "version = get_version()\n", None),
            (
                "pyproject.toml",
                "[build-system]\nversion = 9\n[project]\nname = \"a\"\nversion = \"1.2.0\"\n",
                Some("1.2"),
            ),
            (
                "pyproject.toml",
                "[project]\nname = \"a\"\ndynamic = [\"version\"]\n[tool.x]\nversion = \"9.0\"\n",
                None,
            ),
            ("setup.cfg", "[metadata]\nname = a\nversion = 4.5\n", Some("4.5")),
            ("setup.cfg", "[metadata]\nversion = attr: a.b\n", None),
            ("setup.py", "setup(\n    name='a',\n    version='0.7.1',\n)\n", Some("0.7")),
            ("setup.py", "setup(name='a', version=\"1.4.0\", packages=['a'])\n", Some("1.4")),
            ("setup.py", "setup(name='a', version=version())\n", None),
            ("package.json", "{\n  \"name\": \"a\",\n  \"version\": \"3.1.0\"\n}\n", Some("3.1")),
            ("VERSION", "2.11.0\n", Some("2.11")),
        ] {
            assert_eq!(written(name, text).as_deref(), told, "{name}: {text}");
        }
    }
}
