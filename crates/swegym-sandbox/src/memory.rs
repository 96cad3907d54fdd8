//! How much memory there is for this process and what it starts: what the machine
//! has free, and what the control groups around it leave.

use std::fs;
use std::path::Path;

use crate::keeper::memory_groups;

/// Bytes that may still be used.
#[must_use]
pub fn available() -> u64 {
    let groups = memory_groups();
    let around = groups.iter().flat_map(|groups| {
        groups
            .folders
            .iter()
            .filter_map(|folder| if groups.version == 2 { room_v2(folder) } else { room_v1(folder) })
    });
    around.fold(of_machine(), u64::min)
}

/// `MemAvailable`, or a guess where the kernel does not say.
fn of_machine() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(4 << 20) * 1024
}

/// What a group's limit leaves; nothing is said where it has none.
fn room_v2(group: &Path) -> Option<u64> {
    let limit = number(group, "memory.max")?;
    Some(room(limit, number(group, "memory.current")?, statistic(group, "inactive_file ")))
}

fn room_v1(group: &Path) -> Option<u64> {
    /// Where there is no limit, a number near the largest stands.
    const NONE: u64 = 1 << 60;
    let limit = number(group, "memory.limit_in_bytes").filter(|limit| *limit < NONE)?;
    Some(room(limit, number(group, "memory.usage_in_bytes")?, statistic(group, "total_inactive_file ")))
}

/// Pages of files that nobody uses are given back before a limit is met.
fn room(limit: u64, used: u64, idle: u64) -> u64 {
    limit.saturating_sub(used.saturating_sub(idle))
}

fn number(group: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
}

fn statistic(group: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_what_is_not_in_use() {
        let group = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(group.path().join(file), text).unwrap();
        write("memory.max", "max\n");
        write("memory.current", "200\n");
        assert_eq!(room_v2(group.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(room_v2(group.path()), Some(800));
        write("memory.stat", "anon 5\ninactive_file 150\ntotal_inactive_file 30\n");
        assert_eq!(room_v2(group.path()), Some(950));
        write("memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.usage_in_bytes", "700\n");
        assert_eq!(room_v1(group.path()), None);
        write("memory.limit_in_bytes", "600\n");
        assert_eq!(room_v1(group.path()), Some(0));
        assert!(available() > 0);
    }
}
