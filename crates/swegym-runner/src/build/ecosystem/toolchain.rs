//! The machine's toolchains, as boxes see them: where they lie if boxes see that anyway,
//! else as a layer of their own. Go's is fetched from the index where the machine has none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_core::{Boundary, Digest, Fault, Hint as _};
use swegym_sandbox::base::Base;
use swegym_sandbox::store::{LayerId, StoreError};
use swegym_sandbox::{Image, SandboxError, Store, tool};
use swegym_tasks::go;
use swegym_tasks::index::Index;
use swegym_tasks::project::{Language, NEXTEST};

use crate::context::Context;
use crate::foundation::{internal, is_shown_by_base};

/// How long a program may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// A toolchain in an image that holds nothing else.
pub(super) struct Toolchain {
    pub(super) image: Image,
    /// What it says it is: `rustc 1.95.0`.
    pub(super) version: String,
    /// Whether [`NEXTEST`] is in it.
    pub(super) has_nextest: bool,
}

/// A toolchain of this machine.
struct Found {
    /// The folder above its `bin`.
    prefix: PathBuf,
    version: String,
    /// Where it stands in a box that does not see that folder.
    place: &'static str,
    /// What of the folder it needs; paths are relative to it.
    keep: fn(&Path) -> bool,
}

/// Finds the toolchain of a language. `wants` is the oldest that a project can be built
/// with, where it says one. [`NEXTEST`] comes with it where it is asked for and there.
///
/// # Errors
/// A fault of the task: this machine has none.
pub(super) async fn lay(
    context: &Context,
    language: Language,
    wants: Option<&str>,
    asks_for_nextest: bool,
) -> Result<Toolchain, Fault> {
    let (store, index) = (context.host.store().clone(), context.index.clone());
    let wants = wants.map(str::to_owned);
    let work = tokio::task::spawn_blocking(move || {
        let found = match language {
            Language::JavaScript => node()?,
            Language::Rust => rust()?,
            Language::Go => go(&store, &index, wants.as_deref())?,
            Language::Python => return Err(none("an interpreter is no toolchain", "use a recipe")),
        };
        let fault = |error: StoreError| SandboxError::from(error).to_fault();
        let mut image = Image::new(Base::host(&store).map_err(fault)?);
        let mut path = Vec::new();
        if !is_shown_by_base(&found.prefix) {
            image = image.with_layer(layer(&store, &found).map_err(fault)?);
            path.push(format!("{}/bin", found.place));
        } else if found.prefix != Path::new("/usr") {
            path.push(format!("{}/bin", found.prefix.display()));
        }
        let nextest = if asks_for_nextest { nextest() } else { None };
        if let Some(nextest) = &nextest {
            image = image.with_layer(layer(&store, nextest).map_err(fault)?);
            path.push(nextest.place.to_owned());
        }
        if !path.is_empty() {
            image.set_env("PATH", &format!("{}:/usr/local/bin:/usr/bin:/bin", path.join(":")));
        }
        Ok(Toolchain { image, version: found.version, has_nextest: nextest.is_some() })
    });
    work.await.map_err(|e| internal(&e))?
}

fn none(what: &str, hint: &str) -> Fault {
    Fault::new(Boundary::Task, "no_toolchain", what.to_owned()).with_hint(hint.to_owned())
}

fn ask(program: &str, words: &[&str]) -> Option<String> {
    let said = tool::run(program, words, PATIENCE).ok()?;
    Some(String::from_utf8_lossy(&said).trim().to_owned())
}

/// node, with the npm beside it.
fn node() -> Result<Found, Fault> {
    let hint = "install Node.js 20 or newer, with npm";
    let said = ask("node", &["-p", "process.execPath + '\\n' + process.version"]);
    let said = said.ok_or_else(|| none("this machine has no `node`", hint))?;
    let (program, version) = said.split_once('\n').unwrap_or((&said, ""));
    let prefix = Path::new(program).parent().and_then(Path::parent).unwrap_or(Path::new("/usr")).to_owned();
    if !prefix.join("bin/npm").exists() {
        return Err(none(&format!("there is no `npm` beside `{program}`"), hint));
    }
    let keep = |path: &Path| {
        let is = |place: &str| path.starts_with(place) || Path::new(place).starts_with(path);
        ["bin/node", "bin/npm", "bin/npx", "lib/node_modules/npm"].into_iter().any(is)
    };
    Ok(Found { prefix, version: format!("node {version}"), place: "/opt/node", keep })
}

/// rustc and cargo: what rustup or a distribution chose.
fn rust() -> Result<Found, Fault> {
    let hint = "install Rust, for example with rustup";
    let prefix = ask("rustc", &["--print", "sysroot"]);
    let prefix = prefix.map(PathBuf::from).ok_or_else(|| none("this machine has no `rustc`", hint))?;
    let cargo = prefix.join("bin/cargo");
    if !cargo.is_file() {
        return Err(none(&format!("there is no `cargo` in `{}`", prefix.display()), hint));
    }
    let version = ask(&prefix.join("bin/rustc").to_string_lossy(), &["--version"]).unwrap_or_default();
    let keep = |path: &Path| {
        let text = path.to_string_lossy();
        let is_program = |name: &str| matches!(name, "cargo" | "rustc" | "rustdoc");
        match text.split('/').collect::<Vec<_>>()[..] {
            ["bin" | "lib" | "libexec"] => true,
            ["bin", name] => is_program(name),
            // Sources and other machines' libraries are not needed.
            ["lib", "rustlib", what, ..] => {
                what.ends_with("-unknown-linux-gnu") || what.ends_with("-unknown-linux-musl")
            }
            ["lib" | "libexec", ..] => true,
            _ => false,
        }
    };
    Ok(Found { prefix, version, place: "/opt/rust", keep })
}

/// The other runner of Rust's tests, wherever cargo would find it.
fn nextest() -> Option<Found> {
    let program = ask(
        "sh",
        &["-c", &format!("command -v {NEXTEST} || ls \"${{CARGO_HOME:-$HOME/.cargo}}/bin/{NEXTEST}\"")],
    )?;
    let program = std::fs::canonicalize(program).ok()?;
    let version = ask(&program.to_string_lossy(), &["nextest", "--version"])?;
    let version = version.lines().next().unwrap_or_default().to_owned();
    let keep = |path: &Path| path == Path::new(NEXTEST);
    (program.file_name()? == NEXTEST).then_some(())?;
    Some(Found { prefix: program.parent()?.to_owned(), version, place: "/opt/swegym/bin", keep })
}

/// Go's: on the `PATH`, where distributions have it, or fetched.
fn go(store: &Store, index: &Index, wants: Option<&str>) -> Result<Found, Fault> {
    let here = |program: &str| {
        let said = ask(program, &["env", "GOROOT", "GOVERSION"])?;
        let (root, version) = said.split_once('\n')?;
        is_enough(version, wants).then(|| (PathBuf::from(root), version.to_owned()))
    };
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders = versions.filter(|entry| entry.file_name().to_string_lossy().starts_with("go-"));
    let programs = folders.map(|entry| entry.path().join("bin/go").to_string_lossy().into_owned());
    let mut programs: Vec<String> = programs.collect();
    programs.sort();
    let programs = ["go".to_owned()].into_iter().chain(programs.into_iter().rev());
    let (prefix, version) = match programs.into_iter().find_map(|program| here(&program)) {
        Some(found) => found,
        None => (fetched(store, index)?, format!("go{}", go::VERSION)),
    };
    if !is_enough(&version, wants) {
        let message =
            format!("the project asks for Go {}, and there is {version}", wants.unwrap_or_default());
        return Err(none(&message, "install a newer one on this machine"));
    }
    let keep = |path: &Path| {
        let left_out = ["test", "api", "doc", "misc"];
        !left_out.iter().any(|folder| path.starts_with(folder))
    };
    Ok(Found { prefix, version: version.replacen("go", "go ", 1), place: "/opt/go", keep })
}

/// Whether `go1.27.3` is at least `1.21`.
fn is_enough(version: &str, wants: Option<&str>) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        text.trim_start_matches("go")
            .split('.')
            .map_while(|part| {
                let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().ok()
            })
            .collect()
    };
    wants.is_none_or(|wants| numbers(version) >= numbers(wants))
}

/// Go's toolchain below the home folder, fetched from the index once.
fn fetched(store: &Store, index: &Index) -> Result<PathBuf, Fault> {
    let place = store.home().join("tools").join(format!("go-{}", go::VERSION));
    if place.is_dir() {
        return Ok(place);
    }
    let fail = |error: swegym_tasks::index::IndexError| {
        let boundary = if error.is_infrastructure() { Boundary::Sandbox } else { Boundary::Task };
        let why = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
        Fault::new(
            boundary,
            "no_toolchain",
            format!("this machine has no `go`, and it cannot be fetched: {error}{why}"),
        )
        .with_hint(format!("{}; or install Go on this machine", error.hint().unwrap_or_default()))
    };
    let work = store.work_folder().map_err(|e| SandboxError::from(e).to_fault())?;
    let unpacked = work.path().join("go");
    go::fetch(index, std::env::consts::ARCH, &unpacked).map_err(fail)?;
    let publish = || {
        std::fs::create_dir_all(store.home().join("tools"))?;
        match std::fs::rename(&unpacked, &place) {
            // Somebody else was faster.
            Err(_) if place.is_dir() => Ok(()),
            done => done,
        }
    };
    publish().map_err(|source| {
        let error = StoreError::Io { action: "install Go as", path: place.clone(), source };
        SandboxError::from(error).to_fault()
    })?;
    Ok(place)
}

/// The toolchain as a layer, remembered by what identifies it.
fn layer(store: &Store, found: &Found) -> Result<LayerId, StoreError> {
    let folder = found.prefix.join("bin");
    let folder = if folder.is_dir() { &folder } else { &found.prefix };
    let stamp = std::fs::metadata(folder).and_then(|m| m.modified()).ok();
    let key = format!("{:?} {} {stamp:?} {}", found.prefix, found.version, env!("CARGO_PKG_VERSION"));
    let note = store.home().join("cache").join(format!("toolchain-{}", Digest::of(key.as_bytes()).short()));
    let noted = std::fs::read_to_string(&note).ok();
    let noted = noted.and_then(|text| Digest::parse(text.trim()).ok()).map(LayerId);
    if let Some(layer) = noted.filter(|layer| store.layer_folder(*layer).is_ok()) {
        return Ok(layer);
    }
    let layer = store.import_folder_at(&found.prefix, found.place, found.keep)?;
    // Only a shortcut: without it the next run imports it again.
    let _ = swegym_files::write_whole(&note, layer.0.hex().as_bytes());
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_by_their_numbers() {
        for (version, wants, enough) in [
            ("go1.27.3", Some("1.21"), true),
            ("go1.19.8", Some("1.21"), false),
            ("go1.21", Some("1.21.0"), false),
            ("go1.21rc2", Some("1.21"), true),
            ("go1.9", Some("1.10"), false),
            ("go1.27.3", None, true),
        ] {
            assert_eq!(is_enough(version, wants), enough, "{version} {wants:?}");
        }
    }

    #[test]
    fn what_this_machine_has_is_found() {
        let node = node().unwrap();
        assert!(node.version.starts_with("node v") && (node.keep)(Path::new("bin/node")), "{}", node.version);
        assert!((node.keep)(Path::new("lib")) && !(node.keep)(Path::new("lib/node_modules/yarn")));
        let rust = rust().unwrap();
        assert!(rust.version.starts_with("rustc "), "{}", rust.version);
        assert!((rust.keep)(Path::new("bin/cargo")) && !(rust.keep)(Path::new("share/doc")));
    }
}
