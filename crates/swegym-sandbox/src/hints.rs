//! What to do where a machine refuses a step of a box's set-up.

use std::io;

/// The setting behind a refused step of a box's set-up.
pub(crate) fn hint_for(step: &str, error: &io::Error) -> Option<String> {
    let hint = match (step, error.raw_os_error()) {
        ("making namespaces", Some(libc::ENOSPC)) => {
            "user namespaces are used up or switched off: as root, set \
             `sysctl user.max_user_namespaces=15000` (it is 0 or too low)"
        }
        ("making namespaces", Some(libc::EPERM)) => {
            "this user may not make user namespaces: as root, set \
             `sysctl kernel.unprivileged_userns_clone=1`, or inside a container allow it with \
             `--security-opt seccomp=unconfined`"
        }
        ("making namespaces", Some(libc::ENOSYS)) => {
            "the kernel or a filter has no clone3: Linux 5.3 or newer is needed"
        }
        (
            "making mounts private" | "mounting memory for the writable layer",
            Some(libc::EACCES | libc::EPERM),
        ) => {
            "user namespaces exist but may not mount: on Ubuntu, as root, set \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
        }
        ("mounting the overlay", _) => {
            "overlayfs in user namespaces with files in memory needs Linux 6.6 or newer; see `swegym doctor`"
        }
        ("mounting /proc", _) => {
            "an outer container hides parts of /proc, so a private one is refused: start it with \
             `--security-opt systempaths=unconfined`"
        }
        ("making the host's programs read-only", Some(libc::ENOSYS)) => {
            "Linux 5.12 or newer is needed (mount_setattr)"
        }
        ("making a control group", Some(libc::ENOSPC | libc::EAGAIN)) => {
            "the machine has no room for more control groups"
        }
        _ => return None,
    };
    let rest =
        "`swegym doctor` checks this machine. Without boxes these verbs still work: report, store, help";
    Some(format!("{hint}. {rest}"))
}
