//! Files that are programs: setup.py, noxfile.py, Makefile, CI's files. They are read
//! as syntax, never run; what is computed in them stays unknown.

use std::fs;
use std::path::Path;

use tree_sitter::Node;
use yaml_rust2::Yaml;

use super::config::{requirement_lines, text_of, words};
use super::{Found, RecipeError};
use crate::synth::syntax;
use crate::yaml;

pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), RecipeError> {
    if let Some(text) = text_of(root, "setup.py")? {
        setup_py(&text, found);
    }
    if let Some(text) = text_of(root, "noxfile.py")? {
        noxfile(&text, found);
    }
    for file in files_of(root, ".github/workflows").iter().filter(|file| is_yaml(file)) {
        if let Some(text) = text_of(root, file)? {
            ci_file(root, "CI workflow", &text, found);
        }
    }
    for file in CI_FILES {
        if let Some(text) = text_of(root, file)? {
            ci_file(root, file, &text, found);
        }
    }
    for file in MAKEFILES {
        if let Some(text) = text_of(root, file)? {
            // Recipes are indented; what comes before a command is for make.
            let recipes = text.lines().filter_map(|line| line.strip_prefix('\t'));
            let lines: Vec<&str> = recipes.map(|line| line.trim_start_matches(['@', '-', '+'])).collect();
            commands(root, file, &lines.join("\n"), found);
        }
    }
    Ok(())
}

/// The files of a folder of the project, sorted, relative to the project.
pub(super) fn files_of(root: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut files: Vec<String> = names.map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}

pub(super) fn is_yaml(file: &str) -> bool {
    file.ends_with(".yml") || file.ends_with(".yaml")
}

/// Files of other CI services than the one with a folder of its own.
const CI_FILES: [&str; 6] = [
    ".travis.yml",
    ".circleci/config.yml",
    ".gitlab-ci.yml",
    "azure-pipelines.yml",
    ".cirrus.yml",
    "appveyor.yml",
];

const MAKEFILES: [&str; 2] = ["Makefile", "makefile"];

/// Keys of CI's files below which scripts stand.
const SCRIPTS: [&str; 9] = [
    "run",
    "command",
    "script",
    "bash",
    "install",
    "before_install",
    "before_script",
    "install_script",
    "test_script",
];

/// What CI installs for itself.
const OF_CI: [&str; 14] = [
    "pip",
    "setuptools",
    "wheel",
    "virtualenv",
    "tox",
    "nox",
    "twine",
    "codecov",
    "coveralls",
    "codacy-coverage",
    "python-coveralls",
    "tox-travis",
    "tox-gh-actions",
    "pre-commit",
];

/// The arguments of `setup(…)` that are literals.
fn setup_py(text: &str, found: &mut Found) {
    let Some(tree) = syntax::parse(text) else { return };
    for call in syntax::descendants(tree.root_node()).filter(|n| n.kind() == "call") {
        let name = call.child_by_field_name("function").map(|f| syntax::text(f, text)).unwrap_or_default();
        if name != "setup" && !name.ends_with(".setup") {
            continue;
        }
        for (name, value) in keyword_arguments(call, text) {
            let value = assigned(tree.root_node(), value, text);
            match name {
                "tests_require" => {
                    found.add(
                        "test",
                        "tests_require of setup.py".into(),
                        string_literals(value, text),
                        Vec::new(),
                    );
                }
                "extras_require" => {
                    for pair in syntax::descendants(value).filter(|n| n.kind() == "pair") {
                        let key = pair
                            .child_by_field_name("key")
                            .map(|k| string_literals(k, text))
                            .unwrap_or_default();
                        for group in key {
                            found.add(&group, format!("extra `{group}`"), Vec::new(), vec![group.clone()]);
                        }
                    }
                }
                "python_requires" if found.requires_python.is_none() => {
                    found.requires_python = string_literals(value, text).pop();
                }
                _ => {}
            }
        }
    }
}

/// `session.install(…)` and `session.run(…)` in sessions that are named for tests.
fn noxfile(text: &str, found: &mut Found) {
    let Some(tree) = syntax::parse(text) else { return };
    let functions = syntax::descendants(tree.root_node()).filter(|n| n.kind() == "function_definition");
    for function in functions {
        let name = function.child_by_field_name("name").map(|n| syntax::text(n, text)).unwrap_or_default();
        if !name.contains("test") {
            continue;
        }
        for call in syntax::descendants(function).filter(|n| n.kind() == "call") {
            let method =
                call.child_by_field_name("function").map(|f| syntax::text(f, text)).unwrap_or_default();
            let arguments =
                call.child_by_field_name("arguments").map(|a| string_literals(a, text)).unwrap_or_default();
            match method {
                "session.install" => installed(&arguments, "noxfile.py", found),
                "session.run" => found.commands.push(arguments),
                _ => {}
            }
        }
    }
}

/// What a name stands for that the file gives a value once, at its top; any other value is
/// itself.
fn assigned<'t>(root: Node<'t>, value: Node<'t>, text: &str) -> Node<'t> {
    if value.kind() != "identifier" {
        return value;
    }
    let name = syntax::text(value, text);
    let statements = syntax::named_children(root).filter(|n| n.kind() == "expression_statement");
    let mut values = statements.flat_map(syntax::named_children).filter_map(|node| {
        let is_it = node.kind() == "assignment"
            && node.child_by_field_name("left").is_some_and(|left| syntax::text(left, text) == name);
        is_it.then(|| node.child_by_field_name("right")).flatten()
    });
    values.next().unwrap_or(value)
}

/// Every script of every step.
fn ci_file(root: &Path, from: &str, text: &str, found: &mut Found) {
    for document in yaml::load(text).unwrap_or_default() {
        let mut scripts = Vec::new();
        collect_scripts(&document, &mut scripts);
        for script in scripts {
            commands(root, from, &script, found);
        }
    }
}

/// Lines of a shell: `pip install` lines and test commands.
fn commands(root: &Path, from: &str, script: &str, found: &mut Found) {
    let script = script.replace("\\\n", " ");
    for line in script.lines().flat_map(|line| line.split("&&")) {
        let words = words(line);
        let is = |list: &[&str]| words.len() >= list.len() && list.iter().zip(&words).all(|(a, b)| a == b);
        let skip = [
            (3, is(&["uv", "pip", "install"])),
            (4, is(&["python", "-m", "pip", "install"])),
            (4, is(&["python3", "-m", "pip", "install"])),
            (2, is(&["pip", "install"])),
            (2, is(&["pip3", "install"])),
        ];
        match skip.iter().find(|(_, fits)| *fits) {
            Some((skip, _)) => {
                let mut arguments = words[*skip..].to_vec();
                while let Some(at) = arguments.iter().position(|w| w == "-r") {
                    let file =
                        if at + 1 < arguments.len() { arguments.remove(at + 1) } else { String::new() };
                    arguments.remove(at);
                    let lines = requirement_lines(root, &format!("-r {file}"), 0);
                    if file.contains("test") {
                        arguments.extend(lines);
                    }
                }
                installed(&arguments, from, found);
                also_installed(&arguments, from, found);
            }
            None => found.commands.push(words),
        }
    }
}

fn collect_scripts(node: &Yaml, scripts: &mut Vec<String>) {
    match node {
        Yaml::Hash(map) => {
            for (key, value) in map {
                let is_script = key.as_str().is_some_and(|key| SCRIPTS.contains(&key));
                match value {
                    Yaml::String(script) if is_script => scripts.push(script.clone()),
                    Yaml::Array(lines) if is_script => {
                        scripts.extend(lines.iter().filter_map(Yaml::as_str).map(str::to_owned));
                        lines.iter().for_each(|line| collect_scripts(line, scripts));
                    }
                    _ => collect_scripts(value, scripts),
                }
            }
        }
        Yaml::Array(items) => items.iter().for_each(|i| collect_scripts(i, scripts)),
        _ => {}
    }
}

/// Whatever else a line installs by name: it need not be for the tests, and is tried last.
fn also_installed(arguments: &[String], from: &str, found: &mut Found) {
    let is_name = |argument: &&String| {
        argument.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !argument.contains(['/', '$', '{', '*', ':', '\\'])
            && !argument.ends_with(".txt")
            && !argument.ends_with(".whl")
            && !OF_CI.contains(&super::requirement_name(argument).as_str())
    };
    let named: Vec<String> = arguments.iter().filter(is_name).cloned().collect();
    found.add("ci", from.to_owned(), named, Vec::new());
}

/// Arguments of an install command: requirements, and extras of the project
/// itself. Only what has to do with tests is taken: workflows install much else.
fn installed(arguments: &[String], from: &str, found: &mut Found) {
    let mut requirements = Vec::new();
    let mut extras = Vec::new();
    for argument in arguments {
        if let Some(list) = argument.strip_prefix(".[").and_then(|a| a.strip_suffix(']')) {
            extras.extend(list.split(',').map(|e| e.trim().to_owned()).filter(|e| e.contains("test")));
        } else if super::requirement_name(argument).contains("test") && !argument.starts_with(['-', '.', '/'])
        {
            requirements.push(argument.clone());
        }
    }
    found.add("test", from.to_owned(), requirements, extras);
}

fn keyword_arguments<'t, 's>(call: Node<'t>, text: &'s str) -> Vec<(&'s str, Node<'t>)> {
    let arguments = call.child_by_field_name("arguments");
    let children = arguments.into_iter().flat_map(syntax::named_children);
    children
        .filter(|n| n.kind() == "keyword_argument")
        .filter_map(|n| {
            Some((syntax::text(n.child_by_field_name("name")?, text), n.child_by_field_name("value")?))
        })
        .collect()
}

/// Plain string literals in a node, without their quotes.
fn string_literals(node: Node<'_>, text: &str) -> Vec<String> {
    let content = |n: Node<'_>| {
        let parts = syntax::named_children(n).filter(|c| c.kind() == "string_content");
        let computed = syntax::named_children(n).any(|c| c.kind() == "interpolation");
        (!computed).then(|| parts.map(|p| syntax::text(p, text)).collect::<String>())
    };
    syntax::descendants(node).filter(|n| n.kind() == "string").filter_map(content).collect()
}
