//! Declarative files: pyproject.toml, setup.cfg, tox.ini, pytest.ini, requirements files.

use std::collections::BTreeSet;
use std::path::{Component, Path};
use std::{fs, io};

use configparser::ini::Ini;
use toml::{Table, Value};

use super::{Found, RecipeError};

/// Far above what a file that says how a project is tested needs, in bytes: lock files are long.
const LARGEST: u64 = 8 << 20;

/// Requirements files by the names projects give them.
const REQUIREMENTS_FILES: [&str; 14] = [
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements-testing.txt",
    "requirements_test.txt",
    "requirements_tests.txt",
    "test-requirements.txt",
    "test_requirements.txt",
    "tests-requirements.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
    "requirements/testing.txt",
    "tests/requirements.txt",
    "test/requirements.txt",
    "requirements.test.txt",
];

const DEVELOPMENT_FILES: [&str; 5] = [
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements.dev.txt",
];

/// Adds everything that the declarative files say. Files that do not parse
/// are passed over: the installer will complain about those that matter.
pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), RecipeError> {
    if let Some(text) = text_of(root, "pyproject.toml")? {
        pyproject(root, &text.parse().unwrap_or_default(), found);
    }
    if let Some(text) = text_of(root, "setup.cfg")? {
        setup_cfg(&ini(&text), found);
    }
    for file in ["pytest.ini", ".pytest.ini"] {
        if let Some(text) = text_of(root, file)? {
            pytest_section(&ini(&text), "pytest", found);
        }
    }
    if let Some(text) = text_of(root, "tox.ini")? {
        tox(root, &ini(&text), found);
    }
    for (files, group) in [(&REQUIREMENTS_FILES[..], "test"), (&DEVELOPMENT_FILES[..], "dev")] {
        for file in files {
            if let Some(text) = text_of(root, file)? {
                found.add(group, (*file).to_owned(), requirement_lines(root, &text, 0), Vec::new());
            }
        }
    }
    Ok(())
}

pub(super) fn text_of(root: &Path, file: &str) -> Result<Option<String>, RecipeError> {
    read_inside(root, file).map_err(|source| RecipeError::Read { path: root.join(file), source })
}

/// The text of a file of a project; nothing where it is none, lies elsewhere (a link may lead
/// out of the folder), or is larger than such files are.
///
/// # Errors
/// The system's, but for a file that is not there.
pub fn read_inside(root: &Path, file: &str) -> io::Result<Option<String>> {
    let mut path = root.to_owned();
    let mut kind = None;
    for part in Path::new(file).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => continue,
            _ => return Ok(None),
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Ok(None),
            Ok(found) => kind = Some(found),
            // `requirements/test.txt` where `requirements` is a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    if !kind.is_some_and(|found| found.is_file() && found.len() <= LARGEST) {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&fs::read(&path)?).into_owned()))
}

/// Python's configparser: multi-line values, case-sensitive names, no interpolation.
fn ini(text: &str) -> Ini {
    let mut ini = Ini::new_cs();
    ini.set_multiline(true);
    // What does not parse says nothing.
    let _ = ini.read(text.to_owned());
    ini
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(|i| i.as_str().map(str::to_owned)).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn pyproject(root: &Path, file: &Table, found: &mut Found) {
    let at = |path: &[&str]| -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(file.get(*first)?, |value, key| value.get(*key))
    };
    found.build_backend = at(&["build-system", "build-backend"]).and_then(Value::as_str).map(str::to_owned);
    if let Some(requires) = at(&["project", "requires-python"]).and_then(Value::as_str) {
        found.requires_python = Some(requires.to_owned());
    }
    for group in
        at(&["project", "optional-dependencies"]).and_then(Value::as_table).into_iter().flat_map(Table::keys)
    {
        found.add(group, format!("extra `{group}`"), Vec::new(), vec![group.clone()]);
    }
    if let Some(groups) = at(&["dependency-groups"]).and_then(Value::as_table) {
        for group in groups.keys() {
            let requirements = dependency_group(groups, group, &mut BTreeSet::new());
            found.add(group, format!("dependency group `{group}`"), requirements, Vec::new());
        }
    }
    let tables = [("poetry", &["tool", "poetry", "group"][..]), ("hatch", &["tool", "hatch", "envs"][..])];
    for (tool, path) in tables {
        for (group, table) in at(path).and_then(Value::as_table).into_iter().flatten() {
            let mut requirements = poetry_dependencies(table.get("dependencies"));
            requirements.extend(strings(table.get("extra-dependencies")));
            let extras = strings(table.get("features"));
            found.add(group, format!("{tool} group `{group}`"), requirements, extras);
        }
    }
    let poetry_dev = poetry_dependencies(at(&["tool", "poetry", "dev-dependencies"]));
    found.add("dev", "poetry dev-dependencies".into(), poetry_dev, Vec::new());
    found.add(
        "dev",
        "uv dev-dependencies".into(),
        strings(at(&["tool", "uv", "dev-dependencies"])),
        Vec::new(),
    );
    for (group, list) in
        at(&["tool", "pdm", "dev-dependencies"]).and_then(Value::as_table).into_iter().flatten()
    {
        found.add(group, format!("pdm group `{group}`"), strings(Some(list)), Vec::new());
    }
    // pytest 9 reads the second one, too.
    for pytest in [at(&["tool", "pytest", "ini_options"]), at(&["tool", "pytest"])].into_iter().flatten() {
        found.test_paths.extend(arguments(pytest.get("testpaths")));
        found.addopts.extend(arguments(pytest.get("addopts")));
        found.python_files.extend(arguments(pytest.get("python_files")));
    }
    if let Some(text) = at(&["tool", "tox", "legacy_tox_ini"]).and_then(Value::as_str) {
        tox(root, &ini(text), found);
    }
    let base = at(&["tool", "tox", "env_run_base"]);
    let deps = strings(base.and_then(|b| b.get("deps")))
        .iter()
        .flat_map(|d| requirement_lines(root, d, 0))
        .collect();
    found.add("test", "tox".into(), deps, strings(base.and_then(|b| b.get("extras"))));
}

/// Arguments as pytest takes them: a text is split into words, a list is not.
fn arguments(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => words(text),
        list => strings(list),
    }
}

/// A group of PEP 735, with the groups it includes.
fn dependency_group(groups: &Table, group: &str, seen: &mut BTreeSet<String>) -> Vec<String> {
    if !seen.insert(group.to_owned()) {
        return Vec::new();
    }
    let items = groups.get(group).and_then(Value::as_array).into_iter().flatten();
    items
        .flat_map(|item| match item {
            Value::String(requirement) => vec![requirement.clone()],
            Value::Table(table) => table
                .get("include-group")
                .and_then(Value::as_str)
                .map(|other| dependency_group(groups, other, seen))
                .unwrap_or_default(),
            _ => Vec::new(),
        })
        .collect()
}

/// Poetry's `name = "^1.2"`; the caret and the tilde have no PEP 440 form, so
/// their lower bound is kept. Lists (hatch) are PEP 508 already.
fn poetry_dependencies(value: Option<&Value>) -> Vec<String> {
    let Some(Value::Table(table)) = value else { return strings(value) };
    let requirement = |(name, spec): (&String, &Value)| {
        let version = spec.as_str().or_else(|| spec.get("version")?.as_str()).unwrap_or("*");
        if name == "python" {
            return None;
        }
        Some(match version.trim() {
            "*" => name.clone(),
            v => match v.strip_prefix(['^', '~']) {
                Some(bound) => format!("{name}>={}", bound.trim_start_matches('=')),
                None if v.starts_with(|c: char| c.is_ascii_digit()) => format!("{name}=={v}"),
                None => format!("{name}{v}"),
            },
        })
    };
    table.iter().filter_map(requirement).collect()
}

fn setup_cfg(ini: &Ini, found: &mut Found) {
    if found.requires_python.is_none() {
        found.requires_python = ini.get("options", "python_requires");
    }
    for group in ini.get_map_ref().get("options.extras_require").into_iter().flat_map(|m| m.keys()) {
        found.add(group, format!("extra `{group}`"), Vec::new(), vec![group.clone()]);
    }
    let tests_require = ini.get("options", "tests_require").unwrap_or_default();
    let requirements =
        tests_require.split(['\n', ';']).map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned);
    found.add("test", "tests_require of setup.cfg".into(), requirements.collect(), Vec::new());
    pytest_section(ini, "tool:pytest", found);
}

fn pytest_section(ini: &Ini, section: &str, found: &mut Found) {
    found.test_paths.extend(words(&ini.get(section, "testpaths").unwrap_or_default()));
    found.addopts.extend(words(&ini.get(section, "addopts").unwrap_or_default()));
    found.python_files.extend(words(&ini.get(section, "python_files").unwrap_or_default()));
}

fn tox(root: &Path, ini: &Ini, found: &mut Found) {
    let get = |key: &str| ini.get("testenv", key).unwrap_or_default();
    let deps = requirement_lines(root, &get("deps"), 0);
    found.add("test", "tox.ini".into(), deps, words(&get("extras").replace(',', " ")));
    let commands = get("commands");
    found.commands.extend(commands.lines().map(words).filter(|w| !w.is_empty()));
    pytest_section(ini, "pytest", found);
}

/// Lines of a requirements file or of tox's `deps`: comments, options, tox
/// factors and the project itself are dropped, included files are read.
pub(super) fn requirement_lines(root: &Path, text: &str, depth: u8) -> Vec<String> {
    let mut requirements = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or("").trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(file) = line.strip_prefix("-r").or_else(|| line.strip_prefix("--requirement")) {
            let file = file.trim_start_matches(['=', ' ']).trim().replace("{toxinidir}/", "");
            if depth < 4
                && !file.contains("..")
                && let Ok(Some(text)) = text_of(root, &file)
            {
                requirements.extend(requirement_lines(root, &text, depth + 1));
            }
            continue;
        }
        // Other options, the project itself, tox substitutions and factors (`py38: x`).
        let factor = line.find(": ").is_some_and(|at| !line[..at].contains([' ', '[', ';', '@', '=']));
        if line.starts_with(['-', '.', '{']) || line.contains('{') || factor {
            continue;
        }
        requirements.push(line.split(" --").next().unwrap_or(line).trim().to_owned());
    }
    requirements
}

/// Words as a shell would split them, quotes removed; enough for options.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut open = false;
    for c in text.chars() {
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                open = true;
            }
            (Some(q), c) if q == c => quote = None,
            (None, c) if c.is_whitespace() => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (_, c) => {
                word.push(c);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}
