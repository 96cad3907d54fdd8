//! One box's socket: requests out, replies sorted to whoever asked.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::lock;
use crate::sandbox::SandboxError;
use crate::sys;
use crate::wire::{MAX_FRAME, Reply, Request};

type Askers = Arc<Mutex<Option<HashMap<u32, mpsc::UnboundedSender<Reply>>>>>;

/// Bytes read at once: a short command's output and end.
const READ_AHEAD: usize = 16 << 10;

/// How long a full socket is left alone.
const FULL: Duration = Duration::from_millis(1);

pub(super) struct Connection {
    /// Watched for reading only: the runtime would wake up for every request
    /// that the box takes out of the socket.
    socket: Arc<AsyncFd<OwnedFd>>,
    /// One request at a time.
    turn: tokio::sync::Mutex<()>,
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
    /// Waits for the supervisor's first word, and the socket that listens in the box
    /// where that was asked for.
    pub(super) async fn open(socket: OwnedFd) -> Result<(Self, Option<OwnedFd>), SandboxError> {
        // SAFETY: an `OwnedFd` names one open descriptor for as long as it lives.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        let socket = socket.map_err(io::Error::from)?;
        let mut bytes = Vec::new();
        let mut listener = None;
        let first = loop {
            let mut buffer = [0; 512];
            let received =
                socket.async_io(Interest::READABLE, |fd| sys::receive_with_fd(fd.as_raw_fd(), &mut buffer));
            let (n, fd) = received.await?;
            if n == 0 {
                return Err(SandboxError::Gone);
            }
            bytes.extend_from_slice(&buffer[..n]);
            listener = listener.or(fd);
            if let Some(length) = bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize)
                && bytes.len() >= 4 + length
            {
                break Reply::parse(&bytes[4..4 + length])?;
            }
        };
        match first {
            Reply::Ready => {
                let socket = Arc::new(socket);
                let askers: Askers = Arc::new(Mutex::new(Some(HashMap::new())));
                tokio::spawn(sort_replies(Arc::clone(&socket), Arc::clone(&askers)));
                let connection = Self { socket, turn: Default::default(), askers, next: AtomicU32::new(1) };
                Ok((connection, listener))
            }
            Reply::Failed { step, errno } => {
                Err(SandboxError::Setup { step, source: io::Error::from_raw_os_error(errno) })
            }
            _ => Err(SandboxError::Gone),
        }
    }

    /// Ends the conversation, and with it the box; false if it had ended.
    pub(super) fn close(&self) -> bool {
        // SAFETY: plain system call on our own descriptor.
        let closed = unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) } == 0;
        lock(&self.askers).take().is_some() && closed
    }

    pub(super) async fn ask(&self, request: impl FnOnce(u32) -> Request) -> Result<Replies, SandboxError> {
        let job = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.askers).as_mut().ok_or(SandboxError::Gone)?.insert(job, sender);
        let replies = Replies { job, receiver, askers: Arc::clone(&self.askers) };
        self.tell(&request(job)).await?;
        Ok(replies)
    }

    /// Sends what has no answer of its own.
    pub(super) async fn tell(&self, request: &Request) -> Result<(), SandboxError> {
        let frame = request.frame();
        let _turn = self.turn.lock().await;
        let mut left = frame.as_slice();
        while !left.is_empty() {
            match sys::send(self.socket.as_raw_fd(), left) {
                Ok(n) => left = &left[n..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(FULL).await,
                Err(_) => return Err(SandboxError::Gone),
            }
        }
        Ok(())
    }
}

impl Replies {
    /// Whom they answer.
    pub(super) fn job(&self) -> u32 {
        self.job
    }

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

impl Drop for Connection {
    fn drop(&mut self) {
        // The reader holds the socket too; this ends it.
        self.close();
    }
}

async fn sort_replies(socket: Arc<AsyncFd<OwnedFd>>, askers: Askers) {
    // Any error means that the box is gone or lies; either way it is over.
    let _ = sort(&socket, &askers).await;
    *lock(&askers) = None;
}

async fn sort(socket: &AsyncFd<OwnedFd>, askers: &Askers) -> io::Result<()> {
    let mut inbox = Vec::new();
    loop {
        read_more(socket, &mut inbox).await?;
        let mut read = 0;
        while let Some(length) = inbox[read..].first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize) {
            if length > MAX_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(frame) = inbox.get(read + 4..read + 4 + length) else { break };
            answer(Reply::parse(frame)?, askers);
            read += 4 + length;
        }
        inbox.drain(..read);
        if inbox.is_empty() {
            // A box is silent most of the time, and there are many.
            inbox = Vec::new();
        }
    }
}

async fn read_more(socket: &AsyncFd<OwnedFd>, inbox: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut ready = socket.readable().await?;
        let read = ready.try_io(|fd| {
            let mut block = [0; READ_AHEAD];
            let n = sys::read(fd.as_raw_fd(), &mut block)?;
            inbox.extend_from_slice(&block[..n]);
            Ok(n)
        });
        match read {
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                if read? < READ_AHEAD {
                    // Empty now: no need for a read that says so.
                    ready.clear_ready();
                }
                return Ok(());
            }
            Err(_would_block) => {}
        }
    }
}

fn answer(reply: Reply, askers: &Askers) {
    let job = match &reply {
        Reply::Ready | Reply::Failed { .. } => return,
        Reply::Chunk { job, .. }
        | Reply::Done { job, .. }
        | Reply::Data { job, .. }
        | Reply::Results { job, .. }
        | Reply::Listing { job, .. }
        | Reply::Entry { job, .. }
        | Reply::Wrote { job, .. }
        | Reply::Status { job, .. } => *job,
    };
    if let Some(asker) = lock(askers).as_ref().and_then(|a| a.get(&job)) {
        let _ = asker.send(reply);
    }
}
