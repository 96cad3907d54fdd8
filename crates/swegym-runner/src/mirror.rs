//! The index, or a registry, as a build box sees it: served by this process at a port
//! of the box's own loopback, which is all the network that the box has.
//!
//! Covered: project pages and files of what is configured, fetched by our
//! code, checked by digest and kept for the next build; requests for anything
//! else are refused, and so is what would not end: headers, connections and
//! bytes have limits. Not covered: which projects a build asks for is known to
//! the index, so a build can tell its owner something by that.

mod answer;
mod registry;

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use swegym_tasks::index::{Index, IndexError, Registry, Release, Room, metadata};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use answer::Refusal;

/// Where it is in every box: what a build writes down is the same each time.
pub(crate) const PORT: u16 = 3141;

/// Connections at once; more have to wait.
const CONNECTIONS: usize = 64;
/// Pages and files that are looked for at once.
const SEARCHES: usize = 8;
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one connection lives: as long as the longest step of a build.
const LONGEST_CONNECTION: Duration = Duration::from_secs(900);
/// Files on pages that are remembered.
const REMEMBERED: usize = 200_000;
/// Refusals that are remembered.
const MOST_NOTES: usize = 100;

/// What a box is served.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The index of Python's packages.
    Index(Arc<Index>),
    /// A registry of another language.
    Registry(Shop),
}

/// A registry, and what of it a box sees.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    /// Whose protocol it speaks.
    pub(crate) kind: ShopKind,
    /// Where things come from.
    pub(crate) registry: Arc<Registry>,
    /// A time (RFC 3339); what was published later is not seen where the registry says when.
    pub(crate) until: Option<String>,
}

/// The protocols of registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShopKind {
    /// npm's.
    Npm,
    /// cargo's sparse index.
    Crates,
    /// Go's module proxy.
    Go,
}

/// One box's index. Dropping it ends every connection.
pub(crate) struct Mirror {
    desk: Arc<Desk>,
    accepting: JoinHandle<()>,
}

/// What all connections share.
struct Desk {
    source: Source,
    /// What this box may still have fetched.
    room: Room,
    searches: Arc<Semaphore>,
    /// Pages by project, so that a file is found without reading its page again.
    pages: Mutex<HashMap<String, Arc<Vec<Release>>>>,
    /// The same of npm's packages.
    archives: Mutex<HashMap<String, Arc<registry::Archives>>>,
    refusals: Mutex<Vec<IndexError>>,
}

impl Mirror {
    /// Serves the index on a socket that listens in a box; no more than `room`
    /// bytes are fetched for it.
    ///
    /// # Errors
    /// When the runtime cannot take the socket.
    pub(crate) fn open(listener: TcpListener, source: Source, room: u64) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let desk = Arc::new(Desk {
            source,
            room: Room::new(room),
            searches: Arc::new(Semaphore::new(SEARCHES)),
            pages: Mutex::default(),
            archives: Mutex::default(),
            refusals: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&desk)));
        Ok(Self { desk, accepting })
    }

    /// The address of the index, as the box sees it.
    pub(crate) fn address() -> String {
        format!("http://127.0.0.1:{PORT}/simple")
    }

    /// The files of a project that was asked for.
    pub(crate) fn seen(&self, project: &str) -> Option<Arc<Vec<Release>>> {
        lock(&self.desk.pages).get(project).cloned()
    }

    /// The files of every project that was asked for.
    pub(crate) fn seen_all(&self) -> Vec<(String, Arc<Vec<Release>>)> {
        lock(&self.desk.pages).iter().map(|(name, files)| (name.clone(), Arc::clone(files))).collect()
    }

    /// Projects that were asked for and of which nothing is as old as `day` (`2021-03-01`),
    /// each with the day after the first of its files. What an older project asks for was
    /// there once: such a project was taken from the index, and put there again.
    pub(crate) fn latecomers(&self, day: &str) -> Vec<(String, String)> {
        let pages = lock(&self.desk.pages);
        let first_day = |files: &Vec<Release>| {
            let days = files.iter().map(|file| file.uploaded.as_deref()?.get(..10));
            // A file of unknown age may be as old as the project.
            days.collect::<Option<Vec<&str>>>()?.into_iter().min().map(str::to_owned)
        };
        let late = pages.iter().filter_map(|(name, files)| {
            let first = first_day(files).filter(|first| first.as_str() > day)?;
            Some((name.clone(), day_after(&first)?))
        });
        let mut late: Vec<(String, String)> = late.collect();
        late.sort();
        late
    }

    /// What was refused since this was last asked, but for projects that are not there.
    pub(crate) fn take_refusals(&self) -> Vec<IndexError> {
        std::mem::take(&mut lock(&self.desk.refusals))
    }
}

/// `2021-03-01` after `2021-02-28`.
pub(crate) fn day_after(day: &str) -> Option<String> {
    let day: jiff::civil::Date = day.parse().ok()?;
    day.tomorrow().ok().map(|next| next.to_string())
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded are plain collections; a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes connections until it is aborted, which ends them too.
async fn accept(listener: tokio::net::TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&desk)));
            }
            // No descriptor is free just now, or the client is gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: tokio::net::TcpStream, desk: Arc<Desk>) {
    let answer = service_fn(move |request| answer::answer(Arc::clone(&desk), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    // However it ends: the client asks again, or is gone.
    let _ = tokio::time::timeout(LONGEST_CONNECTION, connection).await;
}

impl Desk {
    /// Looks for something where looking may take long. It goes on, and has its
    /// place among the searches, when the client does not wait.
    async fn search<T: Send + 'static>(
        self: &Arc<Self>,
        search: impl FnOnce(&Self) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = Arc::clone(&self.searches).acquire_owned().await.map_err(|_| Refusal::broken())?;
        let desk = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || {
            let found = search(&desk);
            drop(place);
            found
        });
        match found.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                let refusal = Refusal::of(&error);
                self.note(error);
                Err(refusal)
            }
            Err(_panic) => Err(Refusal::broken()),
        }
    }

    /// A project's page, the same one for as long as the box lives.
    fn page(&self, index: &Index, project: &str) -> Result<Arc<Vec<Release>>, IndexError> {
        if let Some(page) = lock(&self.pages).get(project) {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(index.page(project, &self.room)?);
        let mut pages = lock(&self.pages);
        let remembered: usize = pages.values().map(|page| page.len()).sum();
        if remembered + page.len() > REMEMBERED {
            pages.clear();
        }
        Ok(Arc::clone(pages.entry(project.to_owned()).or_insert(page)))
    }

    /// A file of a project.
    fn file(&self, index: &Index, project: &str, filename: &str) -> Result<Option<fs::File>, IndexError> {
        let page = self.page(index, project)?;
        let named = page.iter().find(|file| file.filename == filename);
        named.map(|file| index.open(file, &self.room)).transpose()
    }

    /// What a wheel says about itself, as resolvers can read it.
    fn metadata(&self, index: &Index, project: &str, wheel: &str) -> Result<Option<String>, IndexError> {
        let page = self.page(index, project)?;
        let Some(wheel) = page.iter().find(|file| file.filename == wheel) else { return Ok(None) };
        Ok(index.metadata(wheel, &self.room)?.map(|text| metadata::repaired(&text)))
    }

    /// For whoever explains why a build failed.
    fn note(&self, error: IndexError) {
        let mut refusals = lock(&self.refusals);
        // Installers ask for what may not be there.
        if !matches!(error, IndexError::NoProject { .. }) && refusals.len() < MOST_NOTES {
            refusals.push(error);
        }
    }
}
