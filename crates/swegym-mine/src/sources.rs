//! What a mining begins with: repositories on this machine, and what people wrote about them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_sandbox::tool;

use crate::api::{Api, ApiSettings};
use crate::repository::{MineError, QUIET, Repository};
use crate::saved;
use crate::texts::Texts;

/// How long a clone may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Opens the repositories that were given; no two may have one name.
///
/// # Errors
/// One cannot be read, or has the name of another.
pub(crate) fn open(given: &[String]) -> Result<Vec<Repository>, CommandError> {
    let repositories = given.iter().map(|given| Repository::open(given)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<_> = repositories.iter().map(Repository::name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => {
            let message = format!("two of the repositories are `{}`", twice[0]);
            Err(CommandError::usage(message, "name them apart: OWNER/NAME=FOLDER"))
        }
        None => Ok(repositories),
    }
}

/// Refuses to guess whether a repository that was given is one that the API is asked about.
///
/// # Errors
/// There is one of each that belong to nothing.
pub(crate) fn check_names(repositories: &[Repository], api: &ApiSettings) -> Result<(), CommandError> {
    let missing = api.repositories.iter().find(|name| !has(repositories, name));
    let asked = |repository: &&Repository| {
        api.repositories.iter().any(|name| name.eq_ignore_ascii_case(repository.name()))
    };
    let other = repositories.iter().find(|repository| !asked(repository));
    let (Some(missing), Some(other)) = (missing, other) else { return Ok(()) };
    let message = format!("none of the repositories is `{missing}`, of which the API is asked");
    let hint = format!(
        "say which one it is ({missing}={}), or mine it in a command of its own, which clones it",
        other.path().display()
    );
    Err(CommandError::usage(message, hint))
}

fn has(repositories: &[Repository], name: &str) -> bool {
    repositories.iter().any(|one| one.name().eq_ignore_ascii_case(name))
}

/// Reads what was saved of these repositories, and those that the API is asked about.
///
/// # Errors
/// A file cannot be read, or holds something else.
pub(crate) fn read_saved(
    printer: Printer,
    files: &[PathBuf],
    repositories: &[Repository],
    api: &ApiSettings,
    texts: &mut Texts,
) -> Result<(), CommandError> {
    let mut names: Vec<&str> = repositories.iter().map(Repository::name).collect();
    for name in &api.repositories {
        if !has(repositories, name) {
            names.push(name);
        }
    }
    for file in files {
        let bar = Bar::waiting(printer, "mine", &format!("reading {}", file.display()));
        let counts = saved::read(file, &names, texts)?;
        bar.finish();
        let mut said = format!(
            "{}: {} issues and pull requests, {} comments",
            file.display(),
            counts.items,
            counts.comments
        );
        if counts.textless > 0 {
            said += &format!("; {} events tell no text", counts.textless);
        }
        printer.say(&said);
    }
    Ok(())
}

/// Asks the API, and clones what is not on this machine.
///
/// # Errors
/// The API gives no answer, or git cannot clone.
pub(crate) fn ask(
    printer: Printer,
    settings: &ApiSettings,
    repositories: &mut Vec<Repository>,
    out: &Path,
    texts: &mut Texts,
) -> Result<(), CommandError> {
    let mut asked: Vec<&str> = Vec::new();
    for name in &settings.repositories {
        if asked.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            continue;
        }
        asked.push(name);
        let mut api = Api::open(settings, name, &out.join("api"), printer)?;
        if !has(repositories, name) {
            repositories.push(cloned(printer, &mut api, out)?);
        }
        texts.fetch(api)?;
    }
    Ok(())
}

/// A mirror of a repository in the folder of the mining; what is there already is taken as it is.
fn cloned(printer: Printer, api: &mut Api, out: &Path) -> Result<Repository, CommandError> {
    let name = api.name().to_owned();
    let folder = out.join("mirrors");
    let place = folder.join(format!("{}.git", name.replace('/', "__")));
    if !place.exists() {
        let address = api.clone_address()?;
        let part = place.with_extension("part");
        let failed = |e: std::io::Error| CommandError::file("write in", &folder, &e);
        if part.exists() {
            std::fs::remove_dir_all(&part).map_err(failed)?;
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        printer.say(&format!("{name}: cloning {address} to {}", place.display()));
        let bar = Bar::waiting(printer, &name, "cloning");
        clone(&address, &part).map_err(|source| MineError::Clone {
            name: name.clone(),
            address: address.clone(),
            source,
        })?;
        bar.finish();
        std::fs::rename(&part, &place).map_err(failed)?;
    }
    Ok(Repository::open(&format!("{name}={}", place.display()))?)
}

/// Nobody is asked for a password, and nothing of this user's settings is used.
fn clone(address: &str, folder: &Path) -> Result<(), tool::ToolError> {
    let variables = QUIET.iter().map(|(name, value)| format!("{name}={value}"));
    let words = [
        "git",
        "-c",
        "protocol.allow=never",
        "-c",
        "protocol.https.allow=always",
        "-c",
        "protocol.http.allow=always",
        "-c",
        "core.hooksPath=/dev/null",
        "clone",
        "--quiet",
        "--mirror",
        "--template=",
        "--",
        address,
        &folder.to_string_lossy(),
    ];
    let line: Vec<String> = variables.chain(words.map(str::to_owned)).collect();
    tool::run("env", line, PATIENCE).map(drop)
}
