//! The front of our servers: it limits connections and their time, and checks host
//! name and origin of requests. What is behind it sees whole requests only.
//!
//! Anybody who reaches a port can talk to it: programs that send a byte a minute,
//! or open connections and say nothing, and browsers on behalf of the web pages that
//! they show.

mod caller;
mod pace;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::settings::DoorSettings;
use pace::Paced;

/// Longest body of a request. The longest contexts are about a million tokens
/// of a few characters each.
const BODY: usize = 4 << 20;

/// A body that is longer is read and forgotten up to here, so that the answer
/// reaches clients that write first and read afterwards.
const FORGOTTEN: usize = 8 * BODY;

/// Bodies of all requests that are being read, together.
const BODIES: usize = 256 << 20;

/// Longest head of a request.
const HEAD: usize = 64 << 10;

/// How long requests under way may still take once the server is to stop.
const GRACE: Duration = Duration::from_secs(3);

/// Files that a process needs beside its connections.
const SPARE_FILES: usize = 64;

/// Whom a server lets in.
#[derive(Debug)]
pub struct Door {
    /// Names and addresses that requests may call the server by, beside those
    /// that it listens at.
    names: Vec<String>,
    /// How long a client may take for the head of a request, for its body, and
    /// until it reads on.
    patience: Duration,
    connections: usize,
    /// Bytes of bodies that are held.
    held: AtomicUsize,
    guests: Mutex<HashMap<u64, Arc<Guest>>>,
}

/// One connection.
#[derive(Debug)]
struct Guest {
    /// Since when nothing is done for it; none while a request is answered.
    idle_since: Mutex<Option<Instant>>,
    dismissed: Notify,
}

impl Guest {
    fn is_idle(&self) -> bool {
        locked(&self.idle_since).is_some()
    }
}

impl Door {
    /// A door for at most so many connections, or as many as the process may
    /// have files.
    pub fn new(names: Vec<String>, patience: Duration, connections: usize) -> Arc<Self> {
        let connections =
            connections.min(files().saturating_sub(SPARE_FILES)).clamp(1, Semaphore::MAX_PERMITS);
        let (held, guests) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { names, patience, connections, held, guests })
    }

    /// The door that flags ask for, of a server that listens at `listens`.
    pub fn of(settings: &DoorSettings, listens: &str, connections: usize) -> Arc<Self> {
        let DoorSettings { allow_hosts, patience, connections: most } = settings;
        let names = allow_hosts.iter().cloned().chain(name_of(listens)).collect();
        Self::new(names, Duration::from_secs(*patience), most.unwrap_or(connections))
    }

    /// Serves until `stopped`; then requests under way have a few seconds, and
    /// it ends whatever clients do.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        app: Router,
        stopped: impl Future<Output = ()>,
    ) {
        let slots = Arc::new(Semaphore::new(self.connections));
        let (stop, stopping) = watch::channel(false);
        let mut stopped = pin!(stopped);
        let mut number = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped.as_mut() => break,
            };
            let Ok((stream, _)) = accepted else {
                // Gone before we looked, or no descriptor is left: others may end soon.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let slot = tokio::select! {
                slot = self.make_room(&slots) => slot,
                () = stopped.as_mut() => break,
            };
            let Some(slot) = slot else { break };
            number += 1;
            let visit = Arc::clone(&self).receive(number, stream, app.clone(), stopping.clone());
            tokio::spawn(async move {
                visit.await;
                drop::<OwnedSemaphorePermit>(slot);
            });
        }
        drop(listener);
        stop.send_replace(true);
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        // Those that are left then are cut off with the process.
        _ = timeout(GRACE + Duration::from_millis(500), slots.acquire_many(all)).await;
    }

    /// A place for one more. Where all are taken, the connection goes that has
    /// been idle for longest; where none is idle, this waits.
    async fn make_room(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
                return Some(slot);
            }
            self.dismiss_one();
            let soon = timeout(Duration::from_millis(50), Arc::clone(slots).acquire_owned());
            match soon.await {
                Ok(slot) => return slot.ok(),
                Err(_) => continue,
            }
        }
    }

    fn dismiss_one(&self) {
        let guests = locked(&self.guests);
        let idle = guests.iter().map(|(number, guest)| (*locked(&guest.idle_since), *number));
        let idle = idle.filter(|(since, _)| since.is_some()).min();
        if let Some(guest) = idle.and_then(|(_, number)| guests.get(&number)) {
            guest.dismissed.notify_one();
        }
    }

    /// Answers the requests of one connection, to its end.
    async fn receive(
        self: Arc<Self>,
        number: u64,
        stream: TcpStream,
        app: Router,
        mut stopping: watch::Receiver<bool>,
    ) {
        let Ok(local) = stream.local_addr() else { return };
        // Pieces of an answer are small, and somebody reads along.
        _ = stream.set_nodelay(true);
        let guest =
            Arc::new(Guest { idle_since: Mutex::new(Some(Instant::now())), dismissed: Notify::new() });
        locked(&self.guests).insert(number, Arc::clone(&guest));
        let _presence = Presence { door: &self, number };
        let answering = service_fn(|request| {
            let (door, guest, app) = (Arc::clone(&self), Arc::clone(&guest), app.clone());
            async move { Ok::<_, Infallible>(door.answer(local, &guest, app, request).await) }
        });
        let mut http = http1::Builder::new();
        // The limit of the head counts while a connection is idle, too.
        http.timer(TokioTimer::new()).header_read_timeout(self.patience).max_buf_size(HEAD);
        let io = TokioIo::new(Paced::new(stream, self.patience));
        let mut connection = pin!(http.serve_connection(io, answering));
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                // It may have asked something at the last moment.
                () = guest.dismissed.notified() => if guest.is_idle() { return },
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
        connection.as_mut().graceful_shutdown();
        _ = timeout(GRACE, connection).await;
    }

    async fn answer(
        self: Arc<Self>,
        local: SocketAddr,
        guest: &Arc<Guest>,
        app: Router,
        request: Request<Incoming>,
    ) -> Response {
        let (head, body) = request.into_parts();
        if let Err(why) = caller::check(&head, local.ip(), &self.names) {
            return refuse(StatusCode::FORBIDDEN, "forbidden", why, None);
        }
        let read = timeout(self.patience, self.read(body)).await.unwrap_or(Err(Odd::Slow));
        let (body, held) = match read {
            Ok(read) => read,
            Err(odd) => return odd.into_response(),
        };
        let busy = Busy::begin(guest);
        let request = Request::from_parts(head, Body::from(body));
        let response = match TowerToHyperService::new(app).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        drop(held);
        response.map(|body| Body::new(Attended { body, _busy: busy }))
    }

    /// The whole body of a request.
    async fn read(self: &Arc<Self>, mut body: Incoming) -> Result<(Bytes, Held), Odd> {
        let mut held = Held { door: Arc::clone(self), bytes: 0 };
        let (mut whole, mut len) = (Vec::new(), 0);
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(piece) = frame.map_err(|_| Odd::Broken)?.into_data() else { continue };
            len += piece.len();
            if len > FORGOTTEN {
                break;
            }
            if len <= BODY {
                held.add(piece.len())?;
                whole.extend_from_slice(&piece);
            }
        }
        if len > BODY { Err(Odd::Long) } else { Ok((whole.into(), held)) }
    }
}

/// What is wrong with the body of a request.
enum Odd {
    Slow,
    Long,
    Broken,
    Many,
}

impl Odd {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "the body of the request did not come in time".to_owned(),
            ),
            Self::Long => {
                let message = format!("the body of a request has at most {} MiB", BODY >> 20);
                (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
            }
            Self::Broken => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "the body of the request breaks off".to_owned(),
            ),
            Self::Many => {
                let message = "too many long requests are being read".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
            }
        };
        refuse(status, code, &message, None)
    }
}

/// Bytes of a body, for as long as they are held.
struct Held {
    door: Arc<Door>,
    bytes: usize,
}

impl Held {
    fn add(&mut self, bytes: usize) -> Result<(), Odd> {
        self.bytes += bytes;
        let all = self.door.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > BODIES { Err(Odd::Many) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.door.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// While it lasts, a connection is in the list of those that may be sent away.
struct Presence<'a> {
    door: &'a Door,
    number: u64,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        locked(&self.door.guests).remove(&self.number);
    }
}

/// While it lasts, a request is answered, and its connection is not sent away.
struct Busy {
    guest: Arc<Guest>,
}

impl Busy {
    fn begin(guest: &Arc<Guest>) -> Self {
        *locked(&guest.idle_since) = None;
        Self { guest: Arc::clone(guest) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *locked(&self.guest.idle_since) = Some(Instant::now());
    }
}

/// The body of an answer; its connection is busy until all of it is given.
struct Attended {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Attended {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An error in OpenAI's shape; `field` is what is to blame in the request.
pub fn refuse(status: StatusCode, code: &str, message: &str, field: Option<&str>) -> Response {
    let error = json!({"message": message, "type": code, "param": field, "code": code});
    let mut response = Response::new(Body::from(json!({ "error": error }).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// How many files this process may have open, after it has asked for all that
/// it may ask for.
fn files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, the old limit holds.
    _ = setrlimit(Resource::Nofile, limit);
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// What is guarded is changed in one step, so a panic elsewhere leaves it whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name in an address to listen at, where it has one.
fn name_of(address: &str) -> Option<String> {
    let (name, _) = address.rsplit_once(':')?;
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    (!name.is_empty() && !is_address).then(|| name.to_owned())
}
