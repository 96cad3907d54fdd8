//! What a killed run may leave behind, and must not for long.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::{Gym, contents};

/// Processes below one, and when each began: numbers are given again.
pub(crate) fn below(process: u32) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    let mut stack = vec![process];
    while let Some(at) = stack.pop() {
        let tasks = fs::read_dir(format!("/proc/{at}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: String = children.collect();
        let numbers = children.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
        for child in numbers.filter(|child| !found.contains_key(child)).collect::<Vec<_>>() {
            found.extend(status(child).map(|(_, began)| (child, began)));
            stack.push(child);
        }
    }
    found
}

/// State and beginning of a process.
fn status(process: u32) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields.first()?.to_string(), fields.get(19)?.to_string()))
}

/// Whether it still runs; one that is dead and not yet told off does not.
pub(crate) fn alive(process: u32, began: &str) -> bool {
    status(process).is_some_and(|(state, when)| when == began && state != "Z")
}

/// Keepers of this home folder, in which they work.
pub(crate) fn keepers_of(gym: &Gym) -> Vec<u32> {
    let home = fs::canonicalize(gym.home()).unwrap();
    let is_one = |process: &fs::DirEntry| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("__keeper")
            && fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == home)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(is_one).filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

/// Control groups that are named for one of these processes.
pub(crate) fn groups(of: &BTreeMap<u32, String>) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let places = table.lines().filter_map(|line| {
        let (controllers, own) = line.split_once(':')?.1.split_once(':')?;
        Some(Path::new("/sys/fs/cgroup").join(controllers).join(own.trim_start_matches('/')))
    });
    // Groups of version 2 may lie beside ours.
    let folders = places.flat_map(|own| [own.parent().map(Path::to_owned), Some(own)]).flatten();
    let named = |folder: PathBuf| of.keys().map(move |process| folder.join(format!("swegym-{process}")));
    folders.flat_map(named).filter(|group| group.exists()).collect()
}

/// Names of a run's files that are not written to their end.
pub(crate) fn torn(run: &Path) -> Vec<String> {
    let is_one = |name: &str| name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".partial");
    let names = contents(run, &|_| false).into_iter().map(|(path, _)| path);
    names.filter(|path| path.split('/').any(is_one)).collect()
}

pub(crate) fn wait_until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("waited ten seconds for {what}");
}
