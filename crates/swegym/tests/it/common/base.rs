//! What many tests build on: made when the first of them asks for it, once in a process.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use super::Gym;

/// A gym that lasts as long as this process, for a static.
pub fn lasting() -> Gym {
    Gym::within(&PLACE)
}

/// Where they lie. Nothing in a static is ever dropped, and tests are killed, too: so a
/// process that waits for the end of this one takes the folder away.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap().keep();
    #[expect(clippy::disallowed_methods, reason = "what is left over when this process is gone")]
    let mut sweeper = Command::new("sh");
    sweeper.args(["-c", "read -r nothing; rm -rf \"$0\""]).arg(&place);
    // Nobody writes to its standard input, which ends with this process. A signal to
    // all of a terminal's programs is not for it.
    sweeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    std::mem::forget(sweeper.spawn().unwrap());
    place
});

/// A home in which something was built.
pub static FOUNDATION: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting();
    let project =
        gym.project("first", "ONE = 1\n", "import first\n\n\ndef test_one():\n    assert first.ONE == 1\n");
    gym.must(&["build", &project, "--out", "build"]);
    std::fs::remove_dir_all(gym.path("build")).unwrap();
    std::fs::remove_dir_all(gym.path("first")).unwrap();
    gym
});
