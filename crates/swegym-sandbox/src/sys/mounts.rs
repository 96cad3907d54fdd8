//! Mounts, those of the new interface included.

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use super::{check, check_long, cstring};

/// The kernel's `mount_attr`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_IDMAP`.
const ID_MAPPED: u64 = 0x0010_0000;

/// A copy of the mount at a folder, from there on, that is nowhere yet, and on
/// which files have the owners that `users` (a user namespace) maps theirs to.
pub(crate) fn clone_mount_for(folder: &CStr, users: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    let attr = MountAttr { set: ID_MAPPED, clear: 0, propagation: 0, userns_fd: users.as_raw_fd() as u64 };
    // SAFETY: terminated strings and the kernel's `mount_attr` of 32 bytes; the
    // descriptor is new and ours.
    unsafe {
        let opened = check_long(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, folder.as_ptr(), flags))?;
        let mount = OwnedFd::from_raw_fd(opened as c_int);
        check_long(libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        ))?;
        Ok(mount)
    }
}

/// Puts such a copy in place.
pub(crate) fn attach_mount(mount: &OwnedFd, target: &CStr) -> io::Result<()> {
    const FROM_EMPTY_PATH: c_int = 4;
    // SAFETY: terminated strings.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            FROM_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// `mount(2)`; empty strings stand for null.
pub(crate) fn mount(
    source: &str,
    target: &str,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, target, kind, data) = (cstring(source)?, cstring(target)?, cstring(kind)?, cstring(data)?);
    let or_null = |text: &CStr| if text.is_empty() { std::ptr::null() } else { text.as_ptr() };
    // SAFETY: all pointers are null or NUL-terminated and outlive the call.
    check(unsafe {
        libc::mount(or_null(&source), target.as_ptr(), or_null(&kind), flags, or_null(&data).cast())
    })?;
    Ok(())
}

/// Makes a mount and everything under it read-only and free of set-id programs.
pub(crate) fn make_read_only(target: &str) -> io::Result<()> {
    let attr = MountAttr { set: 0x1 | 0x2, clear: 0, propagation: 0, userns_fd: 0 };
    let path = cstring(target)?;
    const AT_RECURSIVE: c_int = 0x8000;
    // SAFETY: `attr` is the kernel's `mount_attr` of 32 bytes.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            AT_RECURSIVE,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Makes the working folder the root and lets go of the old one.
pub(crate) fn pivot_to_working_folder() -> io::Result<()> {
    // SAFETY: constant strings.
    unsafe {
        check_long(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))?;
    }
    Ok(())
}

/// Takes a mount with all below it out of the tree.
pub(crate) fn unmount(target: &str) -> io::Result<()> {
    let target = cstring(target)?;
    // SAFETY: a terminated string.
    unsafe { check(libc::umount2(target.as_ptr(), libc::MNT_DETACH)).map(drop) }
}
