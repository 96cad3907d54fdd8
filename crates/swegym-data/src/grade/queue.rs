//! The work queue of `grade`. Every thread grades whatever is ready; if nothing is,
//! it reads the next rows of the dataset. Threads wait for each other only for rows
//! that another one is just reading, and at the very end.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use swegym_console::error::CommandError;
use swegym_console::unreadable::Unreadable;
use swegym_core::format::FormatError;
use swegym_core::{Boundary, Fault, Instance, InstanceId};
use swegym_tasks::dataset::{BadRow, RowText, Rows};

use super::Case;

/// Rows, and logs, that a thread takes at once.
const HANDFUL: usize = 8;

/// A case by its place, with its instance or why there is none.
pub(super) type Pair = (usize, Result<Arc<Instance>, Fault>);

/// An instance, or what is wrong with its row.
type Row = Result<Instance, BadRow>;

/// Lends what threads share. One that broke off left it as whole as it was:
/// the panic is passed on when all have ended.
pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has all cases of a dataset's rows graded, by as many threads as there are
/// cores. Returns the queue with those that no row was there for.
///
/// # Errors
/// The first of the function's.
pub(super) fn work<'a>(
    rows: Rows,
    queue: Queue<'a>,
    cores: usize,
    grade: &(impl Fn(Vec<Pair>) -> Result<(), CommandError> + Sync),
) -> Result<Queue<'a>, CommandError> {
    let source = Mutex::new(Source { rows: Some(rows), next: 0 });
    let shared = Shared { source, queue: Mutex::new(queue), news: Condvar::new() };
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.max(1)).map(|_| scope.spawn(|| shared.work(grade))).collect();
        let joined =
            threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Vec<_>>()
    });
    done.into_iter().collect::<Result<(), _>>()?;
    Ok(shared.queue.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The rows that nobody has taken.
struct Source {
    /// Gone after the last.
    rows: Option<Rows>,
    /// The number of the next handful.
    next: usize,
}

/// What the threads share.
struct Shared<'a> {
    source: Mutex<Source>,
    queue: Mutex<Queue<'a>>,
    /// Told when something is ready, or never will be.
    news: Condvar,
}

/// A handful of rows that some thread is parsing. However that ends, the
/// others learn of it.
struct Open<'s, 'a> {
    number: usize,
    rows: Vec<Result<RowText, FormatError>>,
    shared: &'s Shared<'a>,
}

impl Open<'_, '_> {
    fn parse(mut self) {
        let rows = std::mem::take(&mut self.rows).into_iter().map(|row| row?.for_grading()).collect();
        lock(&self.shared.queue).put(self.number, rows);
    }
}

impl Drop for Open<'_, '_> {
    fn drop(&mut self) {
        lock(&self.shared.queue).open -= 1;
        self.shared.news.notify_all();
    }
}

impl<'a> Shared<'a> {
    fn work(&self, grade: impl Fn(Vec<Pair>) -> Result<(), CommandError>) -> Result<(), CommandError> {
        loop {
            // Someone reads ahead, so that nobody waits for rows.
            if lock(&self.queue).is_low()
                && let Ok(source) = self.source.try_lock()
                && let Some(rows) = self.take_rows(source)
            {
                rows.parse();
                continue;
            }
            let ready = lock(&self.queue).take();
            if !ready.is_empty() {
                grade(ready)?;
            } else if let Some(rows) = self.take_rows(lock(&self.source)) {
                rows.parse();
            } else if !self.wait() {
                return Ok(());
            }
        }
    }

    /// The next rows.
    fn take_rows(&self, mut source: MutexGuard<'_, Source>) -> Option<Open<'_, 'a>> {
        let rows: Vec<_> = source.rows.iter_mut().flatten().take(HANDFUL).collect();
        if rows.len() < HANDFUL {
            source.rows = None;
        }
        if rows.is_empty() {
            return None;
        }
        let number = source.next;
        source.next += 1;
        lock(&self.queue).open += 1;
        Some(Open { number, rows, shared: self })
    }

    /// Waits until something is ready; `false` when nothing will be.
    fn wait(&self) -> bool {
        let idle = |queue: &mut Queue<'_>| queue.ready.is_empty() && queue.open > 0;
        let queue = self.news.wait_while(lock(&self.queue), idle).unwrap_or_else(PoisonError::into_inner);
        !queue.ready.is_empty()
    }
}

/// Who waits for which row, and who waits no more.
pub(super) struct Queue<'a> {
    /// The first case of each instance that they wait for, and the next of the
    /// same one by the place of the one before.
    waiting: HashMap<&'a str, usize, foldhash::fast::RandomState>,
    next: Vec<Option<usize>>,
    ready: VecDeque<Pair>,
    /// Handfuls of rows that are being parsed.
    open: usize,
    /// The one that is paired next, and those that were parsed before their turn.
    turn: usize,
    early: BTreeMap<usize, Vec<Row>>,
    /// All readable ids of the dataset, in order.
    pub(super) ids: Vec<InstanceId>,
    pub(super) unreadable: Unreadable,
}

impl<'a> Queue<'a> {
    /// Lets every case wait for its instance; those that name none are ready.
    pub(super) fn of(cases: &'a [Case]) -> Self {
        let mut queue = Self {
            waiting: HashMap::with_capacity_and_hasher(cases.len(), Default::default()),
            next: vec![None; cases.len()],
            ready: VecDeque::new(),
            open: 0,
            turn: 0,
            early: BTreeMap::new(),
            ids: Vec::new(),
            unreadable: Unreadable::default(),
        };
        // From the last on, so that each chain is in order.
        for (at, case) in cases.iter().enumerate().rev() {
            match case.check() {
                Ok(id) => queue.next[at] = queue.waiting.insert(id, at),
                Err(fault) => queue.ready.push_front((at, Err(fault))),
            }
        }
        queue
    }

    /// Whether less is ready than two threads take.
    fn is_low(&self) -> bool {
        self.ready.len() < 2 * HANDFUL
    }

    /// Cases that are ready.
    fn take(&mut self) -> Vec<Pair> {
        self.ready.drain(..HANDFUL.min(self.ready.len())).collect()
    }

    /// Takes a handful of rows and pairs all whose turn it is: in the order of
    /// the dataset, because the first row of an id takes all its cases.
    fn put(&mut self, number: usize, rows: Vec<Row>) {
        self.early.insert(number, rows);
        while let Some(rows) = self.early.remove(&self.turn) {
            rows.into_iter().for_each(|row| self.pair(row));
            self.turn += 1;
        }
    }

    /// Readies the cases that waited for a row.
    fn pair(&mut self, row: Row) {
        let (first, found) = match row {
            Ok(instance) => {
                let first = self.waiting.remove(instance.instance_id.as_str());
                self.ids.push(instance.instance_id.clone());
                (first, Ok(Arc::new(instance)))
            }
            Err(BadRow { id, error }) => {
                self.unreadable.note(&error);
                let fault = Fault::new(Boundary::Task, "instance_unreadable", error.to_string());
                (id.and_then(|id| self.waiting.remove(id.as_str())), Err(fault.hinted_by(&*error)))
            }
        };
        self.ready.extend(chain(&self.next, first).map(|at| (at, found.clone())));
    }

    /// The cases whose instance never came.
    pub(super) fn without_instance(&mut self) -> Vec<Pair> {
        let fault = |id: &str| {
            Fault::new(Boundary::Task, "instance_unknown", format!("`{id}` is not among the instances"))
                .with_hint("check that the two files belong together")
        };
        let left = std::mem::take(&mut self.waiting).into_iter();
        left.flat_map(|(id, first)| chain(&self.next, Some(first)).map(move |at| (at, Err(fault(id)))))
            .collect()
    }
}

/// The cases of one instance.
fn chain(next: &[Option<usize>], first: Option<usize>) -> impl Iterator<Item = usize> {
    std::iter::successors(first, |at| next[*at])
}
