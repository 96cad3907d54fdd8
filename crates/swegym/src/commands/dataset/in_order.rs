//! Rows that all cores work on, and that are given on in order.

use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::error::CommandError;

/// Rows that are worked on at once.
const BATCH: usize = 64;

/// Makes something of each row, on all cores, and gives it to a function in the
/// rows' order. While a batch is worked on, the one before is given on and the
/// one after is read, so that no more than three are held.
///
/// # Errors
/// The first of the function's.
pub(super) fn in_order<R: Send, T: Send>(
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
                || {
                    rayon::join(
                        || read.into_par_iter().map(&make).collect::<Vec<_>>(),
                        || rows.by_ref().take(BATCH).collect::<Vec<_>>(),
                    )
                },
            );
            given?;
            (read, made) = (next, now);
            if read.is_empty() && made.is_empty() {
                return Ok(());
            }
        }
    })
}
