//! The folder of recipes: one file a version, read and written.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::Instance;
use swegym_tasks::recipe::{Install, Made, RecipeFile};

/// Recipes by repository and version.
#[derive(Debug, Default)]
pub struct Recipes(BTreeMap<(String, String), RecipeFile>);

impl Recipes {
    /// The folder's name in a gym.
    pub const FOLDER: &str = "recipes";

    /// Reads every recipe of a folder.
    ///
    /// # Errors
    /// A file that cannot be read, with its line.
    pub fn read(folder: &Path) -> Result<Self, CommandError> {
        let mut all = BTreeMap::new();
        for repository in entries(folder)? {
            for path in entries(&repository)? {
                if path.extension().is_none_or(|kind| kind != "toml") {
                    continue;
                }
                let file = RecipeFile::read(&text::read(&path)?).map_err(|why| {
                    let message = format!("{}: {}", path.display(), why.trim_end());
                    CommandError::usage(message, "see docs/gym.md for what a recipe holds")
                })?;
                all.insert((file.repository.clone(), file.version.clone()), file);
            }
        }
        Ok(Self(all))
    }

    /// What rows of `recipes.jsonl` and their instances say; of all of a version, one.
    #[must_use]
    pub fn of_rows(rows: &[Value], instances: &[Value]) -> Self {
        let of_instance: BTreeMap<&str, &Value> =
            instances.iter().filter_map(|row| Some((row["instance_id"].as_str()?, row))).collect();
        let made = rows.iter().filter_map(|row| {
            let id = row["instance_id"].as_str()?;
            let instance = of_instance.get(id)?;
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let maybe = |value: &Value| value.as_str().map(str::to_owned);
            let same = Install {
                until: maybe(&row["until"]),
                requirements_from: word(&row["requirements_from"]),
                ..Install::default()
            };
            let install = match row["language"].is_string() {
                true => {
                    Install { toolchain: maybe(&row["toolchain"]), runner: maybe(&row["runner"]), ..same }
                }
                false => Install {
                    python: word(&row["python"]),
                    packages: serde_json::from_value(row["frozen"].clone()).ok()?,
                    way: serde_json::from_value(row["way"].clone()).ok()?,
                    ..same
                },
            };
            let made = Made { image: word(&instance["image"]), tests: word(&row["tests"]), install: None };
            Some((word(&instance["repo"]), word(&instance["version"]), id.to_owned(), install, made))
        });
        let files = RecipeFile::gather(made).into_iter();
        Self(files.map(|file| ((file.repository.clone(), file.version.clone()), file)).collect())
    }

    /// Writes them below a folder.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), CommandError> {
        for ((repository, version), file) in &self.0 {
            let place = folder.join(RecipeFile::place(repository, version));
            let written = file.to_text().map_err(|why| {
                CommandError::usage(format!("`{}` cannot be written: {why}", place.display()), "")
            });
            text::write(&place, &written?)?;
        }
        Ok(())
    }

    /// How an instance is installed, where a recipe says it.
    #[must_use]
    pub fn install_of(&self, instance: &Instance) -> Option<&Install> {
        let file = self.0.get(&(instance.repo.clone(), instance.version.clone()))?;
        Some(file.install_of(instance.instance_id.as_str()))
    }

    /// The image that was made for an instance.
    #[must_use]
    pub fn made(&self, instance: &Instance) -> Option<&Made> {
        let file = self.0.get(&(instance.repo.clone(), instance.version.clone()))?;
        file.instances.get(instance.instance_id.as_str())
    }

    /// All of them as one text, for digests.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.values().filter_map(|file| file.to_text().ok()).collect()
    }
}

/// What lies in a folder, by name; a file has nothing in it.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, CommandError> {
    if folder.is_file() {
        return Ok(Vec::new());
    }
    let failed = |error: &std::io::Error| CommandError::file("read", folder, error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed(&e))? {
        entries.push(entry.map_err(|e| failed(&e))?.path());
    }
    entries.sort();
    Ok(entries)
}
