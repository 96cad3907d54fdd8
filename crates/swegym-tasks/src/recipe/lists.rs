//! Files that list packages: lock files of Python's tools, and environments of conda.

use std::path::Path;

use serde_json::Value as Json;
use toml::{Table, Value};
use yaml_rust2::Yaml;

use super::config::{requirement_lines, text_of};
use super::scripts::{files_of, is_yaml};
use super::{Found, RecipeError, requirement_name};
use crate::yaml;

/// Lock files that name packages with their versions as `[[package]]`.
const LOCK_FILES: [&str; 4] = ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"];

/// Folders in which environments of conda lie.
const PLACES: [&str; 6] = [".", "ci", ".ci", "continuous_integration", "conda", "requirements"];

/// What conda calls otherwise than the index, or has and the index has not.
const OF_CONDA: [(&str, Option<&str>); 6] = [
    ("python", None),
    ("pip", None),
    ("pytorch", Some("torch")),
    ("pytables", Some("tables")),
    ("python-xxhash", Some("xxhash")),
    ("matplotlib-base", Some("matplotlib")),
];

/// Adds what they say. Files that do not parse are passed over.
pub(super) fn read(root: &Path, found: &mut Found) -> Result<(), RecipeError> {
    for file in LOCK_FILES {
        if let Some(text) = text_of(root, file)? {
            found.locked.extend(locked(&text.parse().unwrap_or_default()));
        }
    }
    if let Some(text) = text_of(root, "Pipfile.lock")? {
        found.locked.extend(pipfile_lock(&serde_json::from_str(&text).unwrap_or_default()));
    }
    if let Some(text) = text_of(root, "Pipfile")? {
        pipfile(&text.parse().unwrap_or_default(), found);
    }
    for place in PLACES {
        // The first by name: others are of other interpreters.
        let files = files_of(root, place);
        let name = |file: &String| file.rsplit('/').next().unwrap_or(file).to_owned();
        let is_environment = |file: &&String| name(file).starts_with("environment") && is_yaml(file);
        if let Some(file) = files.iter().find(is_environment)
            && let Some(text) = text_of(root, file)?
        {
            conda(root, &text, found);
            break;
        }
    }
    Ok(())
}

/// `name==version` of each package that is no path and no checkout.
fn locked(file: &Table) -> Vec<String> {
    let packages = file.get("package").or_else(|| file.get("packages")).and_then(Value::as_array);
    let exact = |package: &Value| {
        let (name, version) = (package.get("name")?.as_str()?, package.get("version")?.as_str()?);
        let of_index = package.get("source").is_none_or(|source| {
            source.get("registry").is_some()
                || source.get("type").and_then(Value::as_str).is_some_and(|kind| kind == "legacy")
        });
        (of_index && is_plain(name) && is_plain(version)).then(|| format!("{name}=={version}"))
    };
    packages.into_iter().flatten().filter_map(exact).collect()
}

fn pipfile_lock(file: &Json) -> Vec<String> {
    let groups = ["default", "develop"].into_iter().filter_map(|group| file.get(group)?.as_object());
    let exact = |(name, package): (&String, &Json)| {
        let version = package.get("version")?.as_str()?.strip_prefix("==")?;
        (is_plain(name) && is_plain(version)).then(|| format!("{name}=={version}"))
    };
    groups.flatten().filter_map(exact).collect()
}

/// Names and versions, and nothing that a list of them would read otherwise.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+!".contains(c))
}

fn pipfile(file: &Table, found: &mut Found) {
    for group in ["dev-packages", "packages"] {
        let table = file.get(group).and_then(Value::as_table);
        let requirements = table.into_iter().flatten().filter_map(|(name, spec)| {
            let version = spec.as_str().or_else(|| spec.get("version")?.as_str());
            // A path or a checkout is no requirement of the index.
            let version = version.or(spec.get("extras").map(|_| "*"))?;
            is_plain(name)
                .then(|| format!("{name}{}", if version.trim() == "*" { "" } else { version.trim() }))
        });
        found.add("dev", format!("`{group}` of Pipfile"), requirements.collect(), Vec::new());
    }
}

/// An environment's packages by name alone, since conda's versions are not the index's, and
/// what it leaves to pip as that says it.
fn conda(root: &Path, text: &str, found: &mut Found) {
    let documents = yaml::load(text).unwrap_or_default();
    let list = documents.first().and_then(|document| document["dependencies"].as_vec());
    let mut requirements = Vec::new();
    for item in list.into_iter().flatten() {
        match item {
            Yaml::String(line) => {
                let line = line.rsplit("::").next().unwrap_or(line);
                let name = requirement_name(line.split('#').next().unwrap_or(line).trim());
                let named = OF_CONDA.iter().find(|(conda, _)| *conda == name);
                let Some(name) = named.map_or(Some(name.as_str()), |(_, index)| *index) else { continue };
                if !name.is_empty() {
                    found.guessed.insert(name.to_owned());
                    requirements.push(name.to_owned());
                }
            }
            Yaml::Hash(_) => {
                let lines = item["pip"].as_vec().into_iter().flatten().filter_map(Yaml::as_str);
                let lines: String = lines.map(|line| format!("{line}\n")).collect();
                requirements.extend(requirement_lines(root, &lines, 0));
            }
            _ => {}
        }
    }
    found.add("dev", "environment of conda".into(), requirements, Vec::new());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(files: &[(&str, &str)]) -> Found {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut found = Found::default();
        read(root.path(), &mut found).unwrap();
        found
    }

    #[test]
    fn lock_files_tell_versions() {
        let uv = "[[package]]\nname = \"demo\"\nversion = \"1\"\nsource = { editable = \".\" }\n[[package]]\nname = \
                  \"attrs\"\nversion = \"19.1.0\"\nsource = { registry = \"index\" }\n";
        assert_eq!(found(&[("uv.lock", uv)]).locked, ["attrs==19.1.0"]);
        let poetry = "[[package]]\nname = \"six\"\nversion = \"1.12.0\"\n[[package]]\nname = \"x\"\nversion = \"1\"\n\
                      [package.source]\ntype = \"git\"\nurl = \"u\"\n";
        assert_eq!(found(&[("poetry.lock", poetry)]).locked, ["six==1.12.0"]);
        let pipfile = r#"{"default": {"six": {"version": "==1.1"}, "own": {"path": "."}}, "develop": {"a b": {"version": "==1"}}}"#;
        assert_eq!(found(&[("Pipfile.lock", pipfile)]).locked, ["six==1.1"]);
        assert_eq!(found(&[("uv.lock", "no = [")]).locked, Vec::<String>::new());
    }

    #[test]
    fn environments_of_conda_name_packages() {
        let text = "dependencies:\n- python=3.8\n- conda-forge::numpy>=1.18\n- pytables=3.6=h1\n- pip:\n  - moto[server]>1\n  - -e .\n";
        let found = found(&[
            ("ci/environment-3.8.yaml", text),
            ("ci/environment-3.9.yaml", "dependencies: [scipy]\n"),
        ]);
        assert_eq!(found.development[0].requirements, ["numpy", "tables", "moto[server]>1"]);
        assert_eq!(found.guessed.iter().collect::<Vec<_>>(), ["numpy", "tables"]);
    }

    #[test]
    fn a_pipfile_has_two_groups() {
        let text = "[packages]\nsix = \"*\"\nown = {path = \".\"}\n[dev-packages]\npytest = \">=3\"\nx = {extras = [\"a\"]}\n";
        let found = found(&[("Pipfile", text)]);
        let all: Vec<&[String]> = found.development.iter().map(|set| &set.requirements[..]).collect();
        assert_eq!(all, [&["pytest>=3".to_owned(), "x".to_owned()][..], &["six".to_owned()]]);
    }
}
