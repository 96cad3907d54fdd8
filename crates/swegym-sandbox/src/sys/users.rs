//! Users: acting as another one for a moment, maps of them, and who has which.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use super::{check, check_long, clone_into_namespaces, exit_now, kill};

/// Has this process act as another user, or as root again. Its real and its saved
/// user stay: root can come back. The C library is not asked, which would tell
/// other threads.
pub(crate) fn act_as(user: u32) -> io::Result<()> {
    let same = u32::MAX;
    // SAFETY: a plain system call.
    check_long(unsafe { libc::syscall(libc::SYS_setresuid, same, user, same) })?;
    Ok(())
}

/// A user namespace that nobody is in: what it maps `from` to is `to`, for users
/// and groups alike.
///
/// # Safety
/// The caller must be single-threaded.
pub(crate) unsafe fn user_map(from: u32, to: u32) -> io::Result<OwnedFd> {
    // SAFETY: upheld by the caller; the child does nothing but wait to be killed.
    let Some(pid) = (unsafe { clone_into_namespaces(libc::CLONE_NEWUSER)? }) else {
        loop {
            // SAFETY: a plain system call.
            if unsafe { libc::pause() } != -1 {
                exit_now(0);
            }
        }
    };
    let map = format!("{from} {to} 1\n");
    let made = std::fs::write(format!("/proc/{pid}/gid_map"), &map)
        .and_then(|()| std::fs::write(format!("/proc/{pid}/uid_map"), &map))
        .and_then(|()| File::open(format!("/proc/{pid}/ns/user")));
    kill(pid, libc::SIGKILL);
    let mut status: c_int = 0;
    // SAFETY: a valid out-pointer.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    made.map(OwnedFd::from)
}

/// Locks one byte of a file for this process; false if another one has it.
pub(crate) fn lock_byte(file: &File, at: u32) -> io::Result<bool> {
    // SAFETY: a zeroed `flock` is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = at.into();
    lock.l_len = 1;
    // SAFETY: a valid lock.
    match check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EAGAIN)) => Ok(false),
        Err(error) => Err(error),
    }
}
