//! Which Python images get: the one that the user named, or one that the project can be
//! used with, of the machine or of a root file system that the user gave.
//!
//! Version managers put scripts on the `PATH` that refuse where no version is chosen;
//! the programs behind them work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pep440_rs::{Version, VersionSpecifiers};
use swegym_core::{Boundary, Fault};
use swegym_sandbox::tool;

use crate::context::InstallSettings;

use super::Wanted;
use super::root::{self, InRoot};

/// The name that is tried first where the user named none.
const USUAL: &str = "python3";
/// Minor versions of Python 3 that are looked for by name.
const MINORS: std::ops::RangeInclusive<u32> = 6..=20;

/// An interpreter on the host.
#[derive(Debug, Clone)]
pub(super) struct Interpreter {
    pub(super) prefix: PathBuf,
    pub(super) executable: PathBuf,
    pub(super) version: String,
}

/// An interpreter that was found.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// One of this machine.
    Here(Interpreter),
    /// One of a root file system, which is not asked before it is in a box.
    InRoot(InRoot),
}

/// Where one that may serve lies.
#[derive(Debug, Clone)]
enum Place {
    Program(PathBuf),
    Root(InRoot),
}

impl Place {
    /// It, if it works.
    fn visit(self) -> Option<Found> {
        match self {
            Self::Program(program) => ask(&program.to_string_lossy()).ok().map(Found::Here),
            Self::Root(found) => Some(Found::InRoot(found)),
        }
    }
}

/// Finds the interpreter that is named, or else one that fits what the project asks.
///
/// # Errors
/// A fault of the task: there is none.
pub(super) fn find(install: &InstallSettings, wanted: &Wanted) -> Result<Found, Fault> {
    let Some(named) = &install.python else { return find_fitting(install, wanted) };
    let refusal = match ask(named) {
        Ok(interpreter) => return Ok(Found::Here(interpreter)),
        Err(fault) => fault,
    };
    let wanted = version_named(named);
    let of_that = kept(install).into_iter().filter(|(version, _)| {
        wanted.as_ref().is_some_and(|wanted| is_within(version.release(), wanted.release()))
    });
    newest_that_works(of_that.collect()).ok_or(refusal)
}

/// Whether numbers are of a version that is asked for. Those of a program's name (`3.9`) may
/// be fewer than those that are asked for.
fn is_within(found: &[u64], wanted: &[u64]) -> bool {
    found.starts_with(wanted) || found.len() == 2 && wanted.starts_with(found)
}

/// From which day on a minor version of Python 3 is what a project of the time is used with:
/// half a year after its release, when most packages had come along.
const SETTLED: [(u64, &str); 9] = [
    (6, "2017-06-23"),
    (7, "2018-12-27"),
    (8, "2020-04-14"),
    (9, "2021-04-05"),
    (10, "2022-04-04"),
    (11, "2023-04-24"),
    (12, "2024-04-02"),
    (13, "2025-04-07"),
    (14, "2026-04-07"),
];

/// From which day on people used projects with this interpreter (`3.9.18`), if it is known.
pub(super) fn settled(version: &str) -> Option<&'static str> {
    let minor: u64 = version.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
    SETTLED.iter().find(|(known, _)| *known == minor).map(|(_, since)| *since)
}

/// The oldest that uv installs for and our own code runs on.
const OLDEST: (u64, u64) = (3, 6);

/// The usual one if it fits; else the newest that does; else the usual one all the same,
/// for a project may ask for more than it needs. Where a day is known, the newest of that
/// time, or the oldest of later.
fn find_fitting(install: &InstallSettings, wanted: &Wanted) -> Result<Found, Fault> {
    let fits = fitting(wanted);
    let usual = ask(USUAL);
    let by_name = || {
        MINORS.rev().filter_map(|minor| {
            let found = ask(&format!("{USUAL}.{minor}")).ok()?;
            Some((found.version.parse().ok()?, Place::Program(found.executable)))
        })
    };
    if let Some(day) = &wanted.day {
        let usual = usual
            .iter()
            .filter_map(|one| Some((one.version.parse().ok()?, Place::Program(one.executable.clone()))));
        let all = kept(install).into_iter().chain(by_name()).chain(usual);
        let all: Vec<(Version, Place)> = all.filter(|(version, _)| fits(version)).collect();
        let served: Option<Version> = wanted.served.as_deref().and_then(|version| version.parse().ok());
        let has_served = |(version, _): &&(Version, Place)| {
            served.as_ref().is_some_and(|served| is_within(version.release(), served.release()))
        };
        if let Some(found) = all.iter().find(has_served).and_then(|(_, place)| place.clone().visit()) {
            return Ok(found);
        }
        let best = order_of_time(all, day).into_iter().find_map(|(_, place)| place.visit());
        return best.ok_or_else(|| none_of_that_time(wanted));
    }
    if let Ok(usual) = &usual
        && usual.version.parse().is_ok_and(|version| fits(&version))
    {
        return Ok(Found::Here(usual.clone()));
    }
    let all = kept(install).into_iter().chain(by_name());
    let fitting = all.filter(|(version, _)| fits(version)).collect();
    match newest_that_works(fitting) {
        Some(found) => Ok(found),
        None => usual.map(Found::Here),
    }
}

/// Whether a project can be used with a version.
fn fitting(wanted: &Wanted) -> impl Fn(&Version) -> bool {
    let asked: Option<VersionSpecifiers> = wanted.requires.as_deref().and_then(|text| text.parse().ok());
    let below: Option<Version> = wanted.below.as_deref().and_then(|text| text.parse().ok());
    move |version| {
        // Where the third number is not known, a late one is meant.
        let late = || format!("{version}.99").parse().unwrap_or_else(|_| version.clone());
        let whole = if version.release().len() < 3 { late() } else { version.clone() };
        asked.as_ref().is_none_or(|asked| asked.contains(&whole))
            && below.as_ref().is_none_or(|below| &whole < below)
    }
}

/// Versions (`3.9`) that a project can be used with, the best first, up to the first that is
/// here: what there would have to be for a better one. None where no day is known and the usual
/// one fits.
pub(super) fn better_than_here(install: &InstallSettings, wanted: &Wanted) -> Vec<String> {
    let usual: Option<Version> = ask(USUAL).ok().and_then(|usual| usual.version.parse().ok());
    let all: Vec<Version> = match &install.python {
        Some(named) => version_named(named).into_iter().collect(),
        None => {
            let fits = fitting(wanted);
            if wanted.day.is_none() && usual.as_ref().is_some_and(&fits) {
                return Vec::new();
            }
            let known = SETTLED.iter().filter_map(|(minor, _)| format!("3.{minor}").parse().ok());
            let known = known.filter(&fits).map(|version| (version, ())).collect();
            let order = order_of_time(known, wanted.day.as_deref().unwrap_or("9999"));
            order.into_iter().map(|(version, ())| version).collect()
        }
    };
    let kept: Vec<Version> = kept(install).into_iter().map(|(version, _)| version).chain(usual).collect();
    let by_name = |version: &Version| {
        let found: Version =
            ask(&format!("{USUAL}.{}", version.release().get(1)?)).ok()?.version.parse().ok()?;
        Some(found)
    };
    let is_here = |version: &Version| {
        let is_it = |found: &Version| is_within(found.release(), version.release());
        kept.iter().any(is_it) || by_name(version).as_ref().is_some_and(is_it)
    };
    all.iter().take_while(|version| !is_here(version)).map(ToString::to_string).collect()
}

/// The best first: the newest that had settled by then, then the oldest of those that had not.
fn order_of_time<T>(mut found: Vec<(Version, T)>, day: &str) -> Vec<(Version, T)> {
    let minor = |version: &Version| match version.release() {
        [major, minor, ..] => (*major, *minor),
        [major] => (*major, 0),
        [] => (0, 0),
    };
    let had_settled = |version: &Version| settled(&version.to_string()).is_some_and(|since| since <= day);
    found.retain(|(version, _)| minor(version) >= OLDEST);
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (then, later): (Vec<_>, Vec<_>) = found.into_iter().partition(|(version, _)| had_settled(version));
    then.into_iter().rev().chain(later).collect()
}

fn none_of_that_time(wanted: &Wanted) -> Fault {
    let asked = wanted.requires.as_deref().unwrap_or("3.6 or newer");
    let message = format!("no interpreter of this machine is what the project asks for (Python {asked})");
    Fault::new(Boundary::Task, "no_interpreter", message)
        .with_hint("install one, let uv fetch it (--fetch-python), give a root file system that has one (--root), or name one with --python")
}

fn newest_that_works(mut found: Vec<(Version, Place)>) -> Option<Found> {
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.into_iter().rev().find_map(|(_, place)| place.visit())
}

/// Interpreters of root file systems, and then those of version managers, which are preferred
/// where versions are equal.
fn kept(install: &InstallSettings) -> Vec<(Version, Place)> {
    let in_roots = install.roots.iter().flat_map(|folder| root::interpreters(folder));
    let in_roots = in_roots.map(|found| (found.version.clone(), Place::Root(found)));
    let managed = managed(install).into_iter().map(|(version, program)| (version, Place::Program(program)));
    in_roots.chain(managed).collect()
}

/// `python3.9`, `3.9`, `python3.9.18`: the numbers.
fn version_named(name: &str) -> Option<Version> {
    let name = Path::new(name).file_name()?.to_str()?;
    name.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-').parse().ok()
}

/// Interpreters of version managers: below their folders, each in a folder of its own,
/// or in such a folder itself.
pub(super) fn managed(install: &InstallSettings) -> Vec<(Version, PathBuf)> {
    let mut found = Vec::new();
    for folder in &install.interpreters {
        found.extend(interpreter_in(folder));
        let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
        found.extend(below.filter_map(|entry| interpreter_in(&entry.path())));
    }
    found
}

/// What is installed in a folder. The program in it says the version (`bin/python3.9`),
/// whatever people call an environment, and the folder's name more of it (`3.9.18`,
/// `cpython-3.12.1-linux-x86_64-gnu`).
fn interpreter_in(folder: &Path) -> Option<(Version, PathBuf)> {
    let program = folder.join("bin/python3");
    if !program.exists() {
        return None;
    }
    let is_whole = |version: &Version| version.release().len() > 1 && version.is_stable();
    let names = std::fs::read_dir(folder.join("bin")).ok()?.flatten().map(|entry| entry.file_name());
    let versions = names.filter_map(|name| name.to_str()?.strip_prefix("python")?.parse::<Version>().ok());
    let by_program = versions.filter(is_whole).max();
    let name = folder.file_name()?.to_string_lossy().into_owned();
    let by_folder = name.split('-').find_map(|part| part.parse::<Version>().ok().filter(is_whole));
    let agree = |a: &Version, b: &Version| a.release()[..2] == b.release()[..2];
    let version = match (by_folder, by_program) {
        (Some(folder), Some(program)) if agree(&folder, &program) => folder,
        (_, Some(program)) => program,
        (folder, None) => folder?,
    };
    Some((version, program))
}

/// Asks a program what it is.
fn ask(python: &str) -> Result<Interpreter, Fault> {
    let question = "import sys, os; print(sys.base_prefix); print(os.path.realpath(sys.executable)); \
                    print('.'.join(map(str, sys.version_info[:3])))";
    let answer = tool::run(python, ["-I", "-c", question], Duration::from_secs(30)).map_err(|e| {
        Fault::new(Boundary::Task, "no_python", format!("cannot use the interpreter `{python}`: {e}"))
            .with_hint("install Python 3.8 or newer, or name one with --python")
    })?;
    let text = String::from_utf8_lossy(&answer);
    let lines: Vec<&str> = text.lines().collect();
    match lines.as_slice() {
        [prefix, executable, version] => Ok(Interpreter {
            prefix: PathBuf::from(prefix),
            executable: PathBuf::from(executable),
            version: (*version).to_owned(),
        }),
        _ => Err(Fault::new(Boundary::Task, "no_python", format!("`{python}` is not a Python interpreter"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn asks(requires: &str) -> Wanted {
        Wanted { requires: Some(requires.to_owned()), ..Wanted::default() }
    }

    fn here(found: Result<Found, Fault>) -> Interpreter {
        match found.unwrap() {
            Found::Here(interpreter) => interpreter,
            Found::InRoot(found) => panic!("{found:?}"),
        }
    }

    /// A folder of a version manager with these versions, all this machine's Python,
    /// and a script as version managers have them.
    fn machine(versions: &[&str]) -> (tempfile::TempDir, InstallSettings, String) {
        let folder = tempfile::tempdir().unwrap();
        let real = ask(USUAL).unwrap();
        for version in versions {
            let bin = folder.path().join("versions").join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            symlink(&real.executable, bin.join("python3")).unwrap();
        }
        let script = folder.path().join("python3.97");
        let text = "#!/bin/sh\necho 'command not found: it exists in these versions' >&2; exit 127\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let interpreters = vec![folder.path().join("versions"), folder.path().join("none")];
        let install = InstallSettings { interpreters, ..InstallSettings::default() };
        let script = script.to_string_lossy().into_owned();
        (folder, install, script)
    }

    #[test]
    fn what_a_script_refuses_is_found_behind_it() {
        let (_folder, mut install, script) = machine(&["3.97.2", "3.97.10", "3.9.1"]);
        install.python = Some(script);
        assert_eq!(managed(&install).len(), 3);
        assert!(find(&install, &Wanted::default()).is_ok());
        install.python = Some("3.97".into());
        assert!(find(&install, &Wanted::default()).is_ok());
        install.python = Some("python3.98".into());
        let fault = find(&install, &Wanted::default()).unwrap_err();
        assert!(fault.message.contains("`python3.98`"), "{fault:?}");
    }

    #[test]
    fn an_environment_is_known_by_its_program_whatever_people_call_it() {
        let (folder, mut install, _) = machine(&["work-2024", "py", "empty"]);
        let bin = |name: &str| folder.path().join("versions").join(name).join("bin");
        let real = ask(USUAL).unwrap().executable;
        for (name, program) in
            [("work-2024", "python3.97"), ("py", "python3.96"), ("py", "python3.96-config")]
        {
            symlink(&real, bin(name).join(program)).unwrap();
        }
        let mut versions: Vec<String> = managed(&install).iter().map(|(v, _)| v.to_string()).collect();
        versions.sort();
        assert_eq!(versions, ["3.96", "3.97"]);
        install.python = Some("3.97".into());
        assert!(find(&install, &Wanted::default()).is_ok());
        // The folder may be one itself.
        install.interpreters = vec![folder.path().join("versions/py")];
        assert_eq!(managed(&install).len(), 1);
    }

    #[test]
    fn what_is_of_a_day_gets_an_interpreter_of_its_time() {
        let found: Vec<(Version, PathBuf)> = ["3.12.1", "2.7.18", "3.6.15", "3.7.16", "3.9.18"]
            .map(|version| (version.parse().unwrap(), PathBuf::from(version)))
            .to_vec();
        for (day, best) in [
            ("2015-01-01", "3.6.15"),
            ("2018-12-01", "3.6.15"),
            ("2020-12-31", "3.7.16"),
            ("2021-04-05", "3.9.18"),
            ("2026-01-01", "3.12.1"),
        ] {
            let order = order_of_time(found.clone(), day);
            assert_eq!(order[0].1, Path::new(best), "{day}");
            assert_eq!(order.len(), 4, "Python 2 cannot be used");
        }
    }

    #[test]
    fn what_would_be_better_is_known_whether_it_is_there_or_not() {
        let (_folder, mut install, _) = machine(&["3.97.2"]);
        let of = |requires: Option<&str>, day: &str| Wanted {
            requires: requires.map(str::to_owned),
            day: Some(day.to_owned()),
            ..Wanted::default()
        };
        // The machine's own Python ends the lists.
        let usual: Version = ask(USUAL).unwrap().version.parse().unwrap();
        let minors = |known: &[u64]| -> Vec<String> {
            let below = known.iter().take_while(|minor| usual.release()[1] != **minor);
            below.map(|minor| format!("3.{minor}")).collect()
        };
        for (wanted, best) in [
            (of(Some("<3.9"), "2015-01-01"), &[6, 7, 8][..]),
            (of(Some(">=3.7.1,<3.9"), "2019-06-01"), &[7, 8]),
            (of(Some(">=3.9.5,<3.10"), "2018-01-01"), &[9]),
            (of(Some("<3"), "2018-01-01"), &[]),
            (Wanted { below: Some("3.8".into()), ..of(None, "2024-01-01") }, &[7, 6]),
        ] {
            let found = better_than_here(&install, &wanted);
            assert!(minors(best).starts_with(&found), "{wanted:?}: {found:?}");
        }
        for (named, is_here) in [("3.97", true), ("python3.97.2", true), ("3.97.3", false), ("3.95", false)] {
            install.python = Some(named.into());
            assert_eq!(better_than_here(&install, &Wanted::default()).is_empty(), is_here, "{named}");
        }
    }

    #[test]
    fn a_project_gets_a_version_that_it_can_be_used_with() {
        let usual = ask(USUAL).unwrap();
        let (_folder, install, _) = machine(&["3.97.2"]);
        let none = InstallSettings::default();
        // The one that is there fits, or nothing does.
        for requires in [None, Some(">=3.6"), Some("nonsense"), Some(">=3.99")] {
            assert_eq!(
                here(find(&none, &Wanted { requires: requires.map(str::to_owned), ..Wanted::default() }))
                    .executable,
                usual.executable,
                "{requires:?}"
            );
        }
        // By its folder's name it fits; the program tells its own version.
        let found = here(find(&install, &asks(">=3.97,<3.98")));
        assert_eq!(found.version, usual.version);
    }
}
