//! One box's socket: requests out, replies sorted to whoever asked.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::lock;
use crate::sandbox::SandboxError;
use crate::sys;
use crate::wire::{MAX_FRAME, Reply, Request};

type Askers = Arc<Mutex<Option<HashMap<u32, mpsc::UnboundedSender<Reply>>>>>;

pub(super) struct Connection {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    /// `None` once the box is gone.
    askers: Askers,
    next: AtomicU32,
}

/// The answers to one request.
pub(super) struct Replies {
    job: u32,
    receiver: mpsc::UnboundedReceiver<Reply>,
    askers: Askers,
}

impl Connection {
    /// Waits for the supervisor's first word and the descriptor that comes with it.
    pub(super) async fn open(socket: OwnedFd) -> Result<(Self, OwnedFd), SandboxError> {
        let stream = UnixStream::from_std(std::os::unix::net::UnixStream::from(socket))?;
        let mut bytes = Vec::new();
        let mut upper = None;
        let first = loop {
            stream.readable().await?;
            let mut buffer = [0; 512];
            let received =
                stream.try_io(Interest::READABLE, || sys::receive_with_fd(stream.as_raw_fd(), &mut buffer));
            match received {
                Ok((0, _)) => return Err(SandboxError::Gone),
                Ok((n, fd)) => {
                    bytes.extend_from_slice(&buffer[..n]);
                    upper = upper.or(fd);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if let Some(length) = bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize)
                && bytes.len() >= 4 + length
            {
                break Reply::parse(&bytes[4..4 + length])?;
            }
        };
        match (first, upper) {
            (Reply::Ready, Some(upper)) => {
                let (reader, writer) = stream.into_split();
                let askers: Askers = Arc::new(Mutex::new(Some(HashMap::new())));
                tokio::spawn(sort_replies(reader, Arc::clone(&askers)));
                let writer = tokio::sync::Mutex::new(writer);
                Ok((Self { writer, askers, next: AtomicU32::new(1) }, upper))
            }
            (Reply::Failed { step, errno }, _) => {
                Err(SandboxError::Setup { step, source: io::Error::from_raw_os_error(errno) })
            }
            _ => Err(SandboxError::Gone),
        }
    }

    pub(super) async fn ask(&self, request: impl FnOnce(u32) -> Request) -> Result<Replies, SandboxError> {
        let job = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.askers).as_mut().ok_or(SandboxError::Gone)?.insert(job, sender);
        let replies = Replies { job, receiver, askers: Arc::clone(&self.askers) };
        let frame = request(job).frame();
        self.writer.lock().await.write_all(&frame).await.map_err(|_| SandboxError::Gone)?;
        Ok(replies)
    }
}

impl Replies {
    pub(super) async fn next(&mut self) -> Result<Reply, SandboxError> {
        self.receiver.recv().await.ok_or(SandboxError::Gone)
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if let Some(askers) = lock(&self.askers).as_mut() {
            askers.remove(&self.job);
        }
    }
}

async fn sort_replies(mut reader: OwnedReadHalf, askers: Askers) {
    // Any error means that the box is gone or lies; either way it is over.
    let _ = sort(&mut reader, &askers).await;
    *lock(&askers) = None;
}

async fn sort(reader: &mut OwnedReadHalf, askers: &Askers) -> io::Result<()> {
    loop {
        let length = reader.read_u32_le().await? as usize;
        if length > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).await?;
        let reply = Reply::parse(&payload)?;
        let job = match &reply {
            Reply::Ready | Reply::Failed { .. } => continue,
            Reply::Chunk { job, .. }
            | Reply::Done { job, .. }
            | Reply::Data { job, .. }
            | Reply::Listing { job, .. }
            | Reply::Status { job, .. } => *job,
        };
        if let Some(asker) = lock(askers).as_ref().and_then(|a| a.get(&job)) {
            let _ = asker.send(reply);
        }
    }
}
