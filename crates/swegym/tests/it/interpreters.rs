//! Interpreters that the machine does not have: of root file systems, and fetched by uv.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::slice;
use std::time::Duration;

use serde_json::{Value, json};
use swegym_sandbox::tool;

use crate::common::{Gym, rows};

/// The machine's own Python: its program, the folder that it was made for, and its version.
fn python() -> (PathBuf, PathBuf, String) {
    let ask = "import os, sys; print(os.path.realpath(sys.executable), sys.base_prefix, '%d.%d.%d' % sys.version_info[:3])";
    let said = tool::run("python3", ["-c", ask], Duration::from_secs(30)).unwrap();
    let said = String::from_utf8(said).unwrap();
    let [program, prefix, version] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{said}")
    };
    (program.into(), prefix.into(), version.to_owned())
}

/// A gym on a machine without any Python: git alone is on its `PATH`.
struct Bare(Gym);

impl Bare {
    fn new() -> Self {
        let gym = Gym::new();
        fs::create_dir(gym.path("bin")).unwrap();
        for name in ["git", "env"] {
            symlink(Path::new("/usr/bin").join(name), gym.path("bin").join(name)).unwrap();
        }
        gym.project("toy", "ONE = 1\n", "import toy\n\n\ndef test_one():\n    assert toy.ONE == 1\n");
        Self(gym)
    }

    fn build(&self, flags: &[&str], variables: &[(&str, String)]) -> Output {
        let mut command = self.0.command(&[&["build", "./toy"], flags].concat());
        command.env("PATH", self.0.path("bin")).env("HOME", self.0.path("nobody"));
        for variable in ["PYENV_ROOT", "CONDA_EXE"] {
            command.env(variable, self.0.path("nowhere"));
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_python_of_another_root_file_system_serves() {
    let bare = Bare::new();
    let (program, _, version) = python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/root.sh");
    let words =
        [script.as_os_str(), bare.0.path("root").as_os_str(), program.as_os_str()].map(ToOwned::to_owned);
    fs::create_dir(bare.0.path("root")).unwrap();
    tool::run("bash", words, Duration::from_secs(120)).unwrap();

    let without = bare.build(&["--out", "without"], &[]);
    assert!(!without.status.success(), "{}", said(&without));
    let minor = version.rsplit_once('.').unwrap().0;
    for (out, flags) in
        [("any", &[][..]), ("named", &["--python", minor]), ("whole", &["--python", &version])]
    {
        let built = bare.build(&[&["--root", "root", "--out", out], flags].concat(), &[]);
        assert!(built.status.success(), "{}", said(&built));
        let image = &rows(&bare.0.read(&format!("{out}/images.jsonl")))[0];
        assert_eq!(image["passing_tests"], json!(["test_toy.py::test_one"]), "{image:#}");
    }
    // Its boxes are that system, and not the machine.
    fs::remove_file(bare.0.path("root/usr/bin/git")).unwrap();
    let broken = bare.build(&["--root", "root", "--out", "broken"], &[]);
    assert!(!broken.status.success());
    assert!(said(&broken).contains("no git"), "{}", said(&broken));
    let nothing = bare.build(&["--root", "toy", "--out", "nothing"], &[]);
    assert!(said(&nothing).contains("is no root file system"), "{}", said(&nothing));
}

#[test]
fn uv_fetches_an_interpreter_where_it_may() {
    let bare = Bare::new();
    let (_, prefix, version) = python();
    let minor = version.rsplit_once('.').unwrap().0.to_owned();
    let archive = archive_of(&bare.0, &prefix, &minor);
    let of = |url: &str| {
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        let name = format!("cpython-{version}-linux-x86_64-gnu");
        let list: Value = json!({name: {
            "name": "cpython", "arch": {"family": "x86_64", "variant": null}, "os": "linux", "libc": "gnu",
            "major": parts[0], "minor": parts[1], "patch": parts[2], "prerelease": "", "url": url,
            "sha256": null, "variant": null, "build": "20240101",
        }});
        let file = bare.0.write("downloads.json", &list.to_string());
        ("UV_PYTHON_DOWNLOADS_JSON_URL", bare.0.path(&file).display().to_string())
    };
    let python = ["--python", minor.as_str()];
    // Nothing is fetched unless somebody says so.
    let here = of(&format!("file://{}", archive.display()));
    let silent = bare.build(&[&python[..], &["--out", "silent"]].concat(), slice::from_ref(&here));
    assert!(!silent.status.success());
    let nowhere = of("file:///nowhere.tar.gz");
    let failed = bare.build(&[&python[..], &["--fetch-python", "--out", "failed"]].concat(), &[nowhere]);
    assert!(!failed.status.success());
    let reason = format!("uv cannot fetch Python {minor}");
    assert!(said(&failed).contains(&reason), "{}", said(&failed));

    let here = of(&format!("file://{}", archive.display()));
    let built = bare.build(&[&python[..], &["--fetch-python", "--out", "built"]].concat(), &[here]);
    assert!(built.status.success(), "{}", said(&built));
    assert!(bare.0.path("home/tools/python").join(format!("cpython-{version}-linux-x86_64-gnu")).is_dir());
    // It is there now.
    let again = bare.build(&[&python[..], &["--out", "again"]].concat(), &[]);
    assert!(again.status.success(), "{}", said(&again));
}

/// The machine's Python in the form in which uv fetches them.
fn archive_of(gym: &Gym, prefix: &Path, minor: &str) -> PathBuf {
    let (bin, lib) = (gym.path("made/python/bin"), gym.path("made/python/lib"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&lib).unwrap();
    let program = format!("python{minor}");
    fs::copy(prefix.join("bin").join(&program), bin.join(&program)).unwrap();
    symlink(&program, bin.join("python3")).unwrap();
    let script = "cd \"$0\" && tar cf - --exclude=test --exclude=site-packages --exclude=dist-packages --exclude='config-*' \
                  --exclude=__pycache__ $(ls -d libpython* \"$1\") | tar xf - -C \"$2\" && tar czf \"$3\" -C \"$2/../..\" python";
    let archive = gym.path("python.tar.gz");
    let words =
        [Path::new("-c"), Path::new(script), &prefix.join("lib"), Path::new(&program), &lib, &archive];
    tool::run("sh", words, Duration::from_secs(120)).unwrap();
    archive
}
