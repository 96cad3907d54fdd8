//! `recipes/OWNER__NAME/VERSION.toml`: how commits of one version are installed, as a text
//! to read, to edit by hand and to make the same images of again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Way;

/// The lines above what is written.
const HEAD: &str = "\
# How commits of one version are installed. `swegym gym --recipes FOLDER` takes what stands here
# as it is, for commits that are not listed as well; `swegym recipe GYM` makes the listed images again.
";

/// A recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// `owner/name`.
    pub repository: String,
    /// Of the project; empty where nobody knows.
    pub version: String,
    /// For every commit of the version.
    pub install: Install,
    /// What single instances have of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instances: BTreeMap<String, Made>,
}

/// How something is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// The interpreter: `3.9.18`, or less of it. Empty for other languages.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub python: String,
    /// What another language's project is built and run with, as it calls itself: `go 1.21.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// What runs its tests: `mocha`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Nothing that was uploaded later (RFC 3339) builds anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Where the requirements were found: for people, and for other languages to find them again.
    #[serde(default)]
    pub requirements_from: String,
    /// Exact versions of all that is installed beside the project. Other languages have files of
    /// their own for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// What else was decided.
    #[serde(default, skip_serializing_if = "is_plain")]
    pub way: Way,
}

/// An image that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Its digest.
    pub image: String,
    /// How its tests are run and read: a label of the image, where it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tests: String,
    /// How it was installed, where that is not as for the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
}

fn is_plain(way: &Way) -> bool {
    *way == Way::default()
}

impl RecipeFile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The parser's words, with the line.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The file's text.
    ///
    /// # Errors
    /// None for what can be read; see `toml`.
    pub fn to_text(&self) -> Result<String, String> {
        let text = toml::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(format!("{HEAD}\n{text}"))
    }

    /// The recipes of images that were made, each with its repository, version, instance
    /// and installation. The first of a version stands for it.
    pub fn gather(made: impl IntoIterator<Item = (String, String, String, Install, Made)>) -> Vec<Self> {
        let mut files: BTreeMap<(String, String), Self> = BTreeMap::new();
        for (repository, version, instance, install, image) in made {
            let file = files.entry((repository.clone(), version.clone())).or_insert_with(|| Self {
                repository,
                version,
                install: install.clone(),
                instances: BTreeMap::new(),
            });
            let own = (install != file.install).then_some(install);
            file.instances.insert(instance, Made { install: own, ..image });
        }
        files.into_values().collect()
    }

    /// How an instance of the version is installed.
    #[must_use]
    pub fn install_of(&self, instance: &str) -> &Install {
        self.instances.get(instance).and_then(|made| made.install.as_ref()).unwrap_or(&self.install)
    }

    /// Where it lies below the folder of recipes. Whatever a version is called, it stays there.
    #[must_use]
    pub fn place(repository: &str, version: &str) -> String {
        let plain = |text: &str| -> String {
            let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
            text.chars().map(plain).collect()
        };
        let version =
            if version.trim_matches('.').is_empty() { "unversioned".to_owned() } else { plain(version) };
        let repository = repository.split('/').map(plain).collect::<Vec<_>>().join("__");
        format!("{}/{version}.toml", repository.trim_start_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(python: &str) -> Install {
        Install { python: python.into(), packages: vec!["attrs==19.1.0".into()], ..Install::default() }
    }

    fn made(image: &str) -> Made {
        Made { image: image.into(), tests: "{}".into(), install: None }
    }

    #[test]
    fn what_is_written_is_read_back_and_shared_by_a_version() {
        let one = |id: &str, python: &str| {
            ("a/b".to_owned(), "1.0".to_owned(), id.to_owned(), install(python), made(id))
        };
        let files = RecipeFile::gather([one("a__b-1", "3.7"), one("a__b-2", "3.7"), one("a__b-3", "3.8")]);
        assert_eq!(files.len(), 1);
        let file = RecipeFile::read(&files[0].to_text().unwrap()).unwrap();
        assert_eq!(file, files[0]);
        for (id, python) in [("a__b-2", "3.7"), ("a__b-3", "3.8"), ("a__b-4", "3.7")] {
            assert_eq!(file.install_of(id).python, python, "{id}");
        }
        assert!(file.instances["a__b-2"].install.is_none());
        assert!(RecipeFile::read("repository = 'a/b'\nversoin = '1'\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn a_recipe_stays_below_its_folder() {
        for (repository, version, place) in [
            ("a/b", "1.0", "a__b/1.0.toml"),
            ("a/b", "", "a__b/unversioned.toml"),
            ("a/b", "..", "a__b/unversioned.toml"),
            ("../b", "../../x", "__b/.._.._x.toml"),
        ] {
            assert_eq!(RecipeFile::place(repository, version), place);
        }
    }
}
