//! Exit codes, one meaning each (docs/files.md, "Exit codes").

use swegym_core::Trouble;

/// Done. Few resolved is a result, not an error.
pub const DONE: u8 = 0;
/// Something nobody foresaw.
pub const UNEXPECTED: u8 = 1;
/// Wrong flags, or a file that does not hold what it should.
pub const USAGE: u8 = 2;
/// Finished, but the machinery broke for some jobs.
pub const INFRASTRUCTURE: u8 = 10;
/// Finished, and some tasks are not valid.
pub const INVALID_TASKS: u8 = 11;
/// Nothing was left to work on.
pub const NOTHING_SELECTED: u8 = 12;
/// Ctrl-C; `--resume` goes on.
pub const INTERRUPTED: u8 = 130;

/// The code of a kind of trouble.
pub fn of(trouble: Trouble) -> u8 {
    match trouble {
        Trouble::Usage => USAGE,
        Trouble::Nothing => NOTHING_SELECTED,
        Trouble::Infrastructure => INFRASTRUCTURE,
        Trouble::Tasks => INVALID_TASKS,
        Trouble::Unexpected => UNEXPECTED,
    }
}
