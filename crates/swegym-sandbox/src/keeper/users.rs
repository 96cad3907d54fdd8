//! Whom boxes run as.
//!
//! The kernel counts some things by user: descriptors on their way through
//! sockets, instances of inotify, pending signals, queues. Where the keeper is
//! root, each box therefore has a user of its own, whom nobody else is as long as
//! it lives, boxes of other runs included. The layers of the store belong to one
//! user, [`BOX_USER`]; a box sees them through a mount on which they are its own.
//! An ordinary user has nobody else to be.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use super::Refused;
use crate::owner::BOX_USER;
use crate::sys;

/// Users of boxes. Debian gives 60000 to 64999 to packages on demand and nobody
/// takes this end of it.
const FIRST: u32 = BOX_USER + 1;
const LAST: u32 = BOX_USER + 999;

/// Who has which, on this machine: a byte for each, locked.
const NOTES: &str = "/run/swegym";

/// The store's layers, seen from the home folder.
pub(super) const LAYERS: &std::ffi::CStr = c"store/layers";

/// The users that this keeper has.
pub(super) enum Users {
    /// Boxes run as whoever runs this.
    Own,
    /// Root has no others to give: the kernel or the file system cannot show layers
    /// as another user's.
    One,
    /// Root, with a user for every box.
    Many {
        /// Keeps the locks.
        notes: Option<File>,
        /// Mine, and free.
        free: Vec<User>,
        next: u32,
    },
}

/// One box's user.
pub(super) struct User {
    pub(super) id: u32,
    /// Maps the owner of the store's layers to it.
    map: Option<OwnedFd>,
}

impl Users {
    /// Looks what this process may do.
    pub(super) fn find() -> Self {
        if !sys::is_root_over(BOX_USER) {
            return Self::Own;
        }
        if !sys::is_root_over(LAST) || User::make(FIRST).and_then(|user| user.layers()).is_err() {
            return Self::One;
        }
        Self::Many { notes: open_notes(), free: Vec::new(), next: FIRST }
    }

    /// For `doctor`.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Own => "",
            Self::One => "one user for all boxes",
            Self::Many { .. } => "a user for every box",
        }
    }

    /// A user for a box; `None` for whoever runs this.
    pub(super) fn take(&mut self) -> Result<Option<User>, Refused> {
        match self {
            Self::Own => Ok(None),
            Self::One => Ok(Some(User { id: BOX_USER, map: None })),
            Self::Many { notes, free, next } => {
                if let Some(user) = free.pop() {
                    return Ok(Some(user));
                }
                let id = loop {
                    let id = *next;
                    // More boxes than users: from here on they are shared.
                    *next = if id == LAST { FIRST } else { id + 1 };
                    let is_mine = notes.as_ref().is_none_or(|n| sys::lock_byte(n, id).unwrap_or(true));
                    if is_mine || *next == FIRST {
                        break id;
                    }
                };
                User::make(id).map(Some)
            }
        }
    }

    /// Nothing of the box is left.
    pub(super) fn release(&mut self, user: Option<User>) {
        if let (Self::Many { free, .. }, Some(user)) = (self, user) {
            free.push(user);
        }
    }
}

impl User {
    fn make(id: u32) -> Result<Self, Refused> {
        // SAFETY: the keeper has one thread.
        let map = unsafe { sys::user_map(BOX_USER, id) };
        Ok(Self { id, map: Some(map.map_err(|e| ("making a user for the box", e))?) })
    }

    /// A mount of the store's layers on which they are this user's; `None` where
    /// they are anyway.
    pub(super) fn layers(&self) -> Result<Option<OwnedFd>, Refused> {
        let Some(map) = &self.map else { return Ok(None) };
        let mount = sys::clone_mount_for(LAYERS, map);
        mount.map(Some).map_err(|e| ("showing the layers as the box's own", e))
    }
}

/// Without notes, keepers of one machine may take the same users.
fn open_notes() -> Option<File> {
    let _ = std::fs::DirBuilder::new().mode(0o700).create(NOTES);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(format!("{NOTES}/users")).ok()
}
