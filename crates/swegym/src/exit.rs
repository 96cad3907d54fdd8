//! Exit codes, one meaning each (docs/files.md, "Exit codes").

use swegym_core::Trouble;

/// Done. Few resolved is a result, not an error.
pub(crate) const DONE: u8 = 0;
/// Something nobody foresaw.
pub(crate) const UNEXPECTED: u8 = 1;
/// Wrong flags, or a file that does not hold what it should.
pub(crate) const USAGE: u8 = 2;
/// Finished, but the machinery broke for some jobs.
pub(crate) const INFRASTRUCTURE: u8 = 10;
/// Finished, and some tasks are not valid.
pub(crate) const INVALID_TASKS: u8 = 11;
/// Nothing was left to work on.
pub(crate) const NOTHING_SELECTED: u8 = 12;
/// Ctrl-C; `--resume` goes on.
pub(crate) const INTERRUPTED: u8 = 130;

/// The code of a kind of trouble.
pub(crate) fn of(trouble: Trouble) -> u8 {
    match trouble {
        Trouble::Usage => USAGE,
        Trouble::Nothing => NOTHING_SELECTED,
        Trouble::Infrastructure => INFRASTRUCTURE,
        Trouble::Tasks => INVALID_TASKS,
        Trouble::Unexpected => UNEXPECTED,
    }
}
