//! Packages of the field, read from their wheels as the package index has them;
//! nothing of them is installed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use swegym_tasks::index::Index;

/// Fetches a release that is Python alone.
#[expect(clippy::disallowed_methods, reason = "the index that pip would use")]
pub fn fetch_wheel(folder: &Path, package: &str, release: &str) -> PathBuf {
    let url = std::env::var("PIP_INDEX_URL").unwrap_or_else(|_| "https://pypi.org/simple".into());
    let index = Index::new(&url, &folder.join("cache"));
    let files = index.files(package).unwrap();
    let name = format!("{}-{release}-py3-none-any.whl", package.replace('-', "_"));
    let file = files.iter().find(|f| f.filename == name).unwrap();
    let wheel = folder.join(name);
    fs::write(&wheel, index.download(file).unwrap()).unwrap();
    wheel
}

/// A script's answers to cases, a line each; its arguments are the wheel and its folder.
#[expect(clippy::disallowed_methods, reason = "the reference is a program of the host")]
pub fn ask_script(wheel: &Path, script: &str, cases: &[Value]) -> Vec<Value> {
    let mut child = Command::new("python3")
        .args(["-c", script])
        .args([wheel, wheel.parent().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = cases.iter().map(|c| format!("{c}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    super::rows(&String::from_utf8(output.stdout).unwrap())
}
