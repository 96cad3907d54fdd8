//! The embedded backend, seen from the host: one keeper, many boxes.

mod awaited;
mod connection;
mod snapshot;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::image::Image;
use crate::limits::Limits;
use crate::output::Keep;
use crate::sandbox::{
    Command, DirEntry, Execution, Extent, Keys, LONGEST_TYPED, Progress, Sandbox, SandboxError, Written,
};
use crate::store::{LayerId, Store};
use crate::wire::{BoxSpec, Get, KEEP_MODE, PIECE, Put, Reply, Request};
use crate::{keeper, sys, tool};
use awaited::Awaited;
use connection::Connection;

/// How much longer than its own deadline a command may take to be reported,
/// before the box counts as dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a supervisor may take to end by itself.
const LAST_MOMENTS: Duration = Duration::from_millis(100);

/// Access to boxes on this machine. Clones share one keeper. If it dies, its
/// boxes are gone with it; the next box gets a new one.
#[derive(Clone)]
pub struct Host {
    launch: Arc<Launch>,
}

/// How keepers are started, and the one in use.
struct Launch {
    store: Store,
    program: PathBuf,
    arguments: Vec<String>,
    keeper: Mutex<Arc<Shared>>,
    /// One new keeper at a time.
    turn: tokio::sync::Mutex<()>,
}

struct Shared {
    store: Store,
    control: Arc<AsyncFd<OwnedFd>>,
    keeper: Mutex<Option<std::process::Child>>,
    waiting: Mutex<Waiting>,
    next: AtomicU64,
    limits_by: Mutex<String>,
    users: Mutex<String>,
}

/// Why the keeper made no box: a failed step and its error number.
type Refusal = (String, i32);

#[derive(Default)]
struct Waiting {
    gone: bool,
    refused: HashMap<u64, oneshot::Sender<Refusal>>,
    ended: HashMap<u64, Vec<oneshot::Sender<()>>>,
    hello: Option<oneshot::Sender<()>>,
}

/// How one box differs from its image.
#[derive(Debug, Clone, Default)]
pub struct BoxSettings {
    /// What it may use.
    pub limits: Limits,
    /// A port of the box's own loopback at which this process answers: see
    /// [`EmbeddedSandbox::take_listener`].
    pub port: Option<u16>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded are plain maps; a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// Starts the keeper: `program` with `arguments` must call [`keeper::run`]. It
    /// is started in the store's home folder. This process may open
    /// as many files from then on as the system lets it: boxes need some each.
    ///
    /// # Errors
    /// When it cannot be started or ends at once.
    pub async fn start(store: Store, program: PathBuf, arguments: &[&str]) -> Result<Self, SandboxError> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        // Where it is refused, fewer boxes run at once.
        let _ = sys::set_limits(libc::RLIMIT_NOFILE, u64::MAX, u64::MAX);
        let keeper = Mutex::new(Shared::start(&store, &program, &arguments).await?);
        let turn = tokio::sync::Mutex::default();
        Ok(Self { launch: Arc::new(Launch { store, program, arguments, keeper, turn }) })
    }

    /// The store boxes start from.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.launch.store
    }

    fn keeper(&self) -> Arc<Shared> {
        Arc::clone(&lock(&self.launch.keeper))
    }

    /// A keeper that was alive just now.
    async fn living_keeper(&self) -> Result<Arc<Shared>, SandboxError> {
        let is_alive = |keeper: &Shared| !lock(&keeper.waiting).gone;
        let keeper = self.keeper();
        if is_alive(&keeper) {
            return Ok(keeper);
        }
        let _turn = self.launch.turn.lock().await;
        // Somebody may have been first.
        let keeper = self.keeper();
        if is_alive(&keeper) {
            return Ok(keeper);
        }
        let Launch { store, program, arguments, .. } = &*self.launch;
        let new = Shared::start(store, program, arguments).await?;
        *lock(&self.launch.keeper) = Arc::clone(&new);
        Ok(new)
    }

    /// What holds memory and process limits: control groups, or (empty) the watchdog.
    #[must_use]
    pub fn limits_by(&self) -> String {
        lock(&self.keeper().limits_by).clone()
    }

    /// Whom boxes run as, where that is not whoever runs this (then empty).
    #[must_use]
    pub fn users(&self) -> String {
        lock(&self.keeper().users).clone()
    }

    /// Starts a box.
    ///
    /// # Errors
    /// When the image is not in the store or the machine refuses a part of the isolation.
    pub async fn start_box(
        &self,
        image: &Image,
        settings: &BoxSettings,
    ) -> Result<EmbeddedSandbox, SandboxError> {
        match self.start_box_once(image, settings).await {
            // Nothing was done yet; one keeper's death is not the next one's.
            Err(SandboxError::KeeperGone) => self.start_box_once(image, settings).await,
            started => started,
        }
    }

    async fn start_box_once(
        &self,
        image: &Image,
        settings: &BoxSettings,
    ) -> Result<EmbeddedSandbox, SandboxError> {
        let shared = self.living_keeper().await?;
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        let spec = self.spec(id, image, settings)?;
        let (ours, theirs) = sys::socket_pair(libc::SOCK_STREAM)?;
        sys::set_nonblocking(ours.as_raw_fd())?;
        let (refused, answer) = oneshot::channel();
        {
            let mut waiting = lock(&shared.waiting);
            if waiting.gone {
                return Err(SandboxError::KeeperGone);
            }
            waiting.refused.insert(id, refused);
        }
        let mut message = spec.encode();
        message[0] = keeper::MAKE;
        if sys::send_with_fd(shared.control.as_raw_fd(), &message, Some(theirs.as_fd())).is_err() {
            shared.give_up();
            return Err(SandboxError::KeeperGone);
        }
        drop(theirs);
        // From here on the box may exist: the guard ends it if a step fails.
        let guard = Lease { id, shared: Arc::clone(&shared), over: AtomicBool::new(false) };
        let opened = Connection::open(ours).await;
        if let Err(SandboxError::Gone) = opened {
            // The keeper knows why; if it does not say, the box was killed.
            return Err(match answer.await {
                Ok((step, errno)) => {
                    SandboxError::Setup { step, source: io::Error::from_raw_os_error(errno) }
                }
                Err(_) if lock(&shared.waiting).gone => SandboxError::KeeperGone,
                Err(_) => SandboxError::Gone,
            });
        }
        lock(&shared.waiting).refused.remove(&id);
        let (connection, listener) = opened?;
        Ok(EmbeddedSandbox {
            connection,
            listener: Mutex::new(listener),
            disk_bytes: settings.limits.disk_bytes,
            growth: AtomicU64::new(settings.limits.snapshot_bytes),
            lease: guard,
            underway: tokio::sync::Mutex::default(),
        })
    }

    fn spec(&self, id: u64, image: &Image, settings: &BoxSettings) -> Result<BoxSpec, SandboxError> {
        let top_first = image.layers.iter().rev().copied().chain(image.base.layers());
        let layers = top_first.map(|l| self.launch.store.layer_folder(l)).collect::<Result<_, _>>()?;
        Ok(BoxSpec {
            id,
            layers,
            host_folders: image.base.host_folders(),
            port: settings.port,
            limits: settings.limits.clone(),
            workdir: image.workdir.clone(),
            env: image.env.clone(),
        })
    }

    /// The keeper's process id, for tests that kill it.
    #[must_use]
    pub fn keeper_pid(&self) -> Option<u32> {
        lock(&self.keeper().keeper).as_ref().map(std::process::Child::id)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The keeper ends when the socket does, after burying its boxes.
        // SAFETY: plain system call on our own descriptor.
        unsafe { libc::shutdown(self.control.as_raw_fd(), libc::SHUT_RDWR) };
        if let Some(mut child) = lock(&self.keeper).take() {
            let _ = child.wait();
        }
    }
}

/// Receives what the keeper says, until either side is gone: dropping the host
/// shuts the socket down, which ends this too.
async fn listen(control: Arc<AsyncFd<OwnedFd>>, shared: std::sync::Weak<Shared>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(mut ready) = control.readable().await else { break };
        match ready.try_io(|fd| sys::receive_with_fd(fd.as_raw_fd(), &mut buffer)) {
            Ok(Ok((n, _))) if n > 0 => {
                let Some(shared) = shared.upgrade() else { return };
                // A message that cannot be read answers nobody.
                let _ = shared.hear(&buffer[..n]);
            }
            Err(_would_block) => {}
            Ok(_) => break,
        }
    }
    if let Some(shared) = shared.upgrade() {
        shared.give_up();
    }
}

impl Shared {
    async fn start(store: &Store, program: &Path, arguments: &[String]) -> Result<Arc<Self>, SandboxError> {
        let (ours, theirs) = sys::socket_pair(libc::SOCK_SEQPACKET)?;
        sys::set_nonblocking(ours.as_raw_fd())?;
        let child = tool::start_keeper(program, arguments, store.home(), theirs)
            .map_err(|source| SandboxError::Setup { step: "starting the keeper".into(), source })?;
        let (hello, greeted) = oneshot::channel();
        // SAFETY: an `OwnedFd` names one open descriptor for as long as it lives.
        let control = Arc::new(unsafe { AsyncFd::register(ours) }.map_err(io::Error::from)?);
        let shared = Arc::new(Self {
            store: store.clone(),
            control: Arc::clone(&control),
            keeper: Mutex::new(Some(child)),
            waiting: Mutex::new(Waiting { hello: Some(hello), ..Waiting::default() }),
            next: AtomicU64::new(1),
            limits_by: Mutex::new(String::new()),
            users: Mutex::new(String::new()),
        });
        tokio::spawn(listen(control, Arc::downgrade(&shared)));
        let answered = tokio::time::timeout(PATIENCE, greeted).await;
        if matches!(answered, Ok(Ok(()))) { Ok(shared) } else { Err(SandboxError::KeeperGone) }
    }

    fn hear(&self, message: &[u8]) -> io::Result<()> {
        let g = &mut Get(message);
        let kind = g.u8()?;
        let mut waiting = lock(&self.waiting);
        if kind == keeper::HELLO {
            *lock(&self.limits_by) = g.text()?;
            *lock(&self.users) = g.text()?;
            if let Some(hello) = waiting.hello.take() {
                let _ = hello.send(());
            }
            return Ok(());
        }
        let id = g.u64()?;
        let refused = waiting.refused.remove(&id);
        if kind == keeper::REFUSED {
            let reason = (g.text()?, g.u32()? as i32);
            if let Some(asker) = refused {
                let _ = asker.send(reason);
            }
        } else {
            for listener in waiting.ended.remove(&id).unwrap_or_default() {
                let _ = listener.send(());
            }
        }
        Ok(())
    }

    /// The keeper is gone: whoever waits for it hears so.
    fn give_up(&self) {
        *lock(&self.waiting) = Waiting { gone: true, ..Waiting::default() };
    }

    fn kill(&self, id: u64) {
        let message = Put::default().u8(keeper::KILL).u64(id).0;
        // If the keeper is gone, so is the box.
        let _ = sys::send_with_fd(self.control.as_raw_fd(), &message, None);
    }
}

/// Ends the box when dropped.
struct Lease {
    id: u64,
    shared: Arc<Shared>,
    /// The keeper said that nothing is left of it.
    over: AtomicBool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.over.load(Ordering::Relaxed) {
            self.shared.kill(self.id);
        }
    }
}

/// A box of the embedded backend. Dropping it ends the box.
pub struct EmbeddedSandbox {
    connection: Connection,
    /// What it may write.
    disk_bytes: u64,
    /// What its snapshots may still add to the store.
    growth: AtomicU64,
    listener: Mutex<Option<OwnedFd>>,
    lease: Lease,
    /// The session's command that somebody will come back to.
    underway: tokio::sync::Mutex<Option<Awaited>>,
}

impl EmbeddedSandbox {
    /// The socket that listens at [`BoxSettings::port`], once, not blocking. It
    /// belongs to the box's network, whoever holds it: what connects to it is
    /// in the box.
    #[must_use]
    pub fn take_listener(&self) -> Option<std::net::TcpListener> {
        lock(&self.listener).take().map(Into::into)
    }

    async fn run(
        &self,
        request: impl FnOnce(u32) -> Request,
        timeout: Duration,
        program: &str,
    ) -> Result<Execution, SandboxError> {
        Awaited::begin(&self.connection, request, timeout, program).await?.end(&self.lease).await
    }

    /// Waits for the session's command that is under way.
    async fn wait(
        &self,
        underway: &mut Option<Awaited>,
        patience: Duration,
    ) -> Result<Progress, SandboxError> {
        let Some(awaited) = underway else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no command is under way").into());
        };
        match tokio::time::timeout(patience, awaited.end(&self.lease)).await {
            Err(_) => Ok(Progress::Running(std::mem::take(&mut awaited.output))),
            Ok(ended) => {
                *underway = None;
                Ok(Progress::Over(ended?))
            }
        }
    }

    /// Waits for the one status that answers a request.
    async fn status(&self, request: impl FnOnce(u32) -> Request) -> Result<i32, SandboxError> {
        match self.connection.ask(request).await?.next().await? {
            Reply::Status { errno, .. } => Ok(errno),
            _ => Err(SandboxError::Gone),
        }
    }
}

fn session_request(text: &str, listens: bool, timeout: Duration, keep: Keep) -> impl FnOnce(u32) -> Request {
    let (text, timeout_ms) = (text.as_bytes().to_vec(), timeout.as_millis() as u64);
    move |job| Request::Session { job, text, listens, timeout_ms, keep }
}

fn file_error(action: &'static str, path: &str, errno: i32) -> SandboxError {
    SandboxError::File { action, path: path.to_owned(), source: io::Error::from_raw_os_error(errno) }
}

#[async_trait]
impl Sandbox for EmbeddedSandbox {
    async fn exec(&self, command: Command) -> Result<Execution, SandboxError> {
        let Command { argv, env, cwd, stdin, timeout, keep, results } = command;
        let program = argv.first().cloned().unwrap_or_default();
        let request = |job| Request::Exec {
            job,
            argv: argv.into_iter().map(String::into_bytes).collect(),
            env: env.into_iter().map(|(n, v)| format!("{n}={v}").into_bytes()).collect(),
            cwd: cwd.unwrap_or_default().into_bytes(),
            stdin,
            timeout_ms: timeout.as_millis() as u64,
            keep,
            results,
        };
        let awaited = Awaited::begin(&self.connection, request, timeout, &program).await?;
        awaited.with_results(results).end(&self.lease).await
    }

    async fn session(&self, text: &str, timeout: Duration, keep: Keep) -> Result<Execution, SandboxError> {
        let request = session_request(text, false, timeout, keep);
        self.run(request, timeout, "bash").await
    }

    async fn begin(
        &self,
        text: &str,
        timeout: Duration,
        keep: Keep,
        patience: Duration,
    ) -> Result<Progress, SandboxError> {
        let request = session_request(text, true, timeout, keep);
        let mut underway = self.underway.lock().await;
        if underway.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY).into());
        }
        *underway = Some(Awaited::begin(&self.connection, request, timeout, "bash").await?);
        self.wait(&mut underway, patience).await
    }

    async fn attend(&self, keys: Keys<'_>, patience: Duration) -> Result<Progress, SandboxError> {
        let mut underway = self.underway.lock().await;
        let errno = match keys {
            Keys::None => 0,
            Keys::Interrupt => self.status(|job| Request::Interrupt { job }).await?,
            Keys::Text(text) if text.len() > LONGEST_TYPED => libc::EMSGSIZE,
            Keys::Text(text) => {
                self.status(|job| Request::Type { job, text: text.as_bytes().to_vec() }).await?
            }
        };
        match errno {
            0 => self.wait(&mut underway, patience).await,
            errno => Err(SandboxError::NotTyped(io::Error::from_raw_os_error(errno))),
        }
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, SandboxError> {
        let request = |job| Request::Read { job, path: path.as_bytes().to_vec(), limit };
        let mut replies = self.connection.ask(request).await?;
        let mut all = Vec::new();
        loop {
            match replies.next().await? {
                Reply::Data { last: true, .. } => return Ok(all),
                Reply::Data { bytes, .. } => all.extend(bytes),
                Reply::Status { errno: libc::EFBIG, .. } => {
                    return Err(SandboxError::FileTooLarge { path: path.to_owned(), limit });
                }
                Reply::Status { errno, .. } => return Err(file_error("read", path, errno)),
                _ => return Err(SandboxError::Gone),
            }
        }
    }

    async fn write(&self, path: &str, bytes: &[u8], mode: Option<u32>) -> Result<(), SandboxError> {
        let mode = mode.unwrap_or(KEEP_MODE);
        // An empty file is one empty piece.
        let pieces = bytes.chunks(PIECE).chain(bytes.is_empty().then_some(&[][..]));
        for (i, piece) in pieces.enumerate() {
            let (path_bytes, bytes) = (path.as_bytes().to_vec(), piece.to_vec());
            let request = |job| Request::Write { job, path: path_bytes, mode, bytes, append: i > 0 };
            match self.status(request).await? {
                0 => {}
                errno => return Err(file_error("write", path, errno)),
            }
        }
        Ok(())
    }

    async fn list(&self, path: &str) -> Result<Vec<DirEntry>, SandboxError> {
        let request = |job| Request::List { job, path: path.as_bytes().to_vec() };
        match self.connection.ask(request).await?.next().await? {
            Reply::Listing { entries, .. } => Ok(entries),
            Reply::Status { errno, .. } => Err(file_error("list", path, errno)),
            _ => Err(SandboxError::Gone),
        }
    }

    async fn snapshot(&self, extent: Extent) -> Result<LayerId, SandboxError> {
        let store = self.lease.shared.store.clone();
        snapshot::take(&self.connection, store, extent, self.disk_bytes, &self.growth).await
    }

    async fn written(&self) -> Result<Vec<Written>, SandboxError> {
        let mut replies = self.connection.ask(|job| Request::Written { job }).await?;
        let mut all = Vec::new();
        loop {
            match replies.next().await? {
                Reply::Wrote { entries, last, .. } => {
                    all.extend(entries);
                    if last {
                        return Ok(all);
                    }
                }
                Reply::Status { errno, .. } => {
                    return Err(file_error("list what was written in", "/", errno));
                }
                _ => return Err(SandboxError::Gone),
            }
        }
    }

    async fn stop(&self) -> Result<(), SandboxError> {
        if self.lease.over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (sender, mut ended) = oneshot::channel();
        {
            let mut waiting = lock(&self.lease.shared.waiting);
            if waiting.gone {
                return Ok(());
            }
            waiting.ended.entry(self.lease.id).or_default().push(sender);
        }
        // The supervisor ends when its socket does; the keeper, who may be
        // busy, says so when nothing is left.
        let closed = self.connection.close();
        if !closed || tokio::time::timeout(LAST_MOMENTS, &mut ended).await.is_err() {
            self.lease.shared.kill(self.lease.id);
            // An error means that the keeper is gone, and the box with it.
            let _ = ended.await;
        }
        self.lease.over.store(true, Ordering::Relaxed);
        Ok(())
    }
}
