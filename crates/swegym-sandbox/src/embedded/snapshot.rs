//! Taking a snapshot: a box's supervisor tells what the box wrote, and the store
//! keeps it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;

use tokio::sync::mpsc;

use super::connection::Connection;
use crate::sandbox::{Extent, SandboxError};
use crate::store::{Freezer, LayerId, Store, StoreError, path_of};
use crate::wire::{EntryMark, Reply, Request, WINDOW};

/// Lengths of files in a snapshot, in parts of the box's disk: holes have length
/// and take no room.
const LENGTHS: u64 = 2;

/// Freezes what a box with this much disk wrote. `growth` are the bytes that its
/// snapshots may still add to the store.
pub(super) async fn take(
    connection: &Connection,
    store: Store,
    extent: Extent,
    disk_bytes: u64,
    growth: &AtomicU64,
) -> Result<LayerId, SandboxError> {
    let whole = extent == Extent::Whole;
    let room = disk_bytes.saturating_mul(LENGTHS);
    let mut replies = connection.ask(|job| Request::Snapshot { job, whole, room }).await?;
    let (feed, told) = std_mpsc::channel();
    let (took, mut taken) = mpsc::unbounded_channel();
    let left = growth.load(Ordering::Relaxed);
    let keeping = tokio::task::spawn_blocking(move || keep(&store, &told, (room, left), &took));
    let mut under_way = 0;
    let ended = loop {
        tokio::select! {
            reply = replies.next() => match reply {
                Ok(Reply::Status { errno, .. }) => break Ok(errno),
                // What cannot be kept is told to the end all the same.
                Ok(reply) => _ = feed.send(reply),
                Err(error) => break Err(error),
            },
            Some(bytes) = taken.recv() => {
                under_way += bytes;
                while under_way >= WINDOW / 2 {
                    under_way -= WINDOW / 2;
                    connection.tell(&Request::More { job: replies.job() }).await?;
                }
            }
        }
    };
    drop(feed);
    let (kept, left) = keeping.await.map_err(|_| SandboxError::Gone)?;
    growth.store(left, Ordering::Relaxed);
    match ended? {
        0 => {}
        libc::ENAMETOOLONG => return Err(SandboxError::TooMuch("its folders lie too deep in one another")),
        libc::EFBIG => return Err(SandboxError::TooMuch("its files are longer than its disk is large")),
        errno => return Err(io::Error::from_raw_os_error(errno).into()),
    }
    kept.map_err(|error| match error {
        StoreError::TooMuch(what) => SandboxError::TooMuch(what),
        error => error.into(),
    })
}

/// Keeps what comes until nothing more does; gives what the store may still grow by.
fn keep(
    store: &Store,
    told: &std_mpsc::Receiver<Reply>,
    (room, growth): (u64, u64),
    took: &mpsc::UnboundedSender<usize>,
) -> (Result<LayerId, StoreError>, u64) {
    let mut freezer = Freezer::new(store, room, growth);
    let mut all = Ok(());
    for reply in told {
        // What cannot be kept is heard to its end.
        if all.is_ok() {
            all = put(&mut freezer, &reply);
        }
        // Nobody waits for it any longer where this fails.
        let _ = took.send(frame_length(&reply));
    }
    let left = freezer.growth();
    (all.and_then(|()| freezer.finish()), left)
}

fn put(freezer: &mut Freezer<'_>, reply: &Reply) -> Result<(), StoreError> {
    match reply {
        Reply::Entry { kind, path, link, .. } => {
            let path = path_of(path);
            match kind {
                EntryMark::Folder => freezer.folder(path, false),
                EntryMark::Opaque => freezer.folder(path, true),
                EntryMark::File => freezer.begin_file(path, false),
                EntryMark::Executable => freezer.begin_file(path, true),
                EntryMark::Link => freezer.link(path, link),
                EntryMark::Whiteout => freezer.whiteout(path),
            }
        }
        Reply::Data { bytes, last, .. } => {
            freezer.data(bytes)?;
            if *last { freezer.end_file() } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// About as the supervisor counts.
fn frame_length(reply: &Reply) -> usize {
    match reply {
        Reply::Entry { path, link, .. } => path.len() + link.len() + 18,
        Reply::Data { bytes, .. } => bytes.len() + 14,
        _ => 0,
    }
}
