//! Rows that all cores work on, and that are given on in order.

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use swegym_console::error::CommandError;
use swegym_core::format::FormatError;
use swegym_tasks::dataset::RowText;

/// Rows that are worked on at once, where they are small, and about how many
/// bytes these may have where they are not. Cores wait for each other after
/// every batch, and on a busy machine they wait long.
const MOST_ROWS: usize = 512;
const MOST_BYTES: usize = 3 << 19;

/// What rows are read from one by one.
pub(super) trait Read: Send {
    /// About how many bytes it has.
    fn size(&self) -> usize;
}

impl Read for Result<RowText, FormatError> {
    fn size(&self) -> usize {
        self.as_ref().map_or(0, RowText::size)
    }
}

/// Makes something of each row, on all cores, and gives it to a function in the
/// rows' order. While a batch is worked on, the one before is given on and the
/// one after is read, so that no more than three are held.
///
/// # Errors
/// The first of the function's.
pub(super) fn in_order<R: Read, T: Send>(
    cores: &ThreadPool,
    mut rows: impl Iterator<Item = R> + Send,
    make: impl Fn(R) -> T + Sync,
    mut give: impl FnMut(T) -> Result<(), CommandError> + Send,
) -> Result<(), CommandError> {
    let (mut read, mut made) = (Vec::new(), Vec::new());
    cores.install(|| {
        loop {
            let (given, (now, next)) = rayon::join(
                || std::mem::take(&mut made).into_iter().try_for_each(&mut give),
                || rayon::join(|| read.into_par_iter().map(&make).collect::<Vec<_>>(), || batch(&mut rows)),
            );
            given?;
            (read, made) = (next, now);
            if read.is_empty() && made.is_empty() {
                return Ok(());
            }
        }
    })
}

/// The next rows; none where there are no more.
fn batch<R: Read>(rows: &mut impl Iterator<Item = R>) -> Vec<R> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < MOST_ROWS && bytes < MOST_BYTES {
        let Some(row) = rows.next() else { break };
        bytes += row.size();
        batch.push(row);
    }
    batch
}
