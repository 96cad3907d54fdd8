//! How much of a patch is read: what is longer or deeper than code that people
//! write is marked, not read, so that no text takes more than a few seconds.

use std::cell::Cell;

/// Tokens of one file.
const FILE: usize = 200_000;

/// Tokens of all files.
const PATCH: usize = 2_000_000;

/// What looking at a file costs beside its tokens.
const SECTION: usize = 20;

/// Bytes of a file as it was that cost as much as a token.
const BYTES: usize = 8;

/// Blocks in blocks; Python itself takes no more.
pub(super) const BLOCKS: usize = 100;

/// Brackets in brackets; Python itself takes no more.
pub(super) const BRACKETS: usize = 200;

/// Names looked up in names looked up, and expressions in expressions.
pub(super) const DEPTH: usize = 32;

/// Literals with code in braces in each other.
pub(super) const BRACES: usize = 8;

/// Length of a dotted name, in bytes.
pub(super) const NAME: usize = 1000;

/// What a finding says of code behind a limit.
pub(super) const UNREAD: &str = "is more than can be read";

/// What is left to be read.
#[derive(Debug)]
pub(super) struct Allowance {
    file: Cell<usize>,
    patch: Cell<usize>,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { file: Cell::new(FILE), patch: Cell::new(PATCH) }
    }

    /// Begins one side of a file, of which so many bytes are known from before.
    /// Says whether there is anything left for it.
    pub(super) fn begin(&self, known: usize) -> bool {
        let cost = SECTION + known / BYTES;
        self.patch.set(self.patch.get().saturating_sub(cost));
        self.file.set(FILE.min(self.patch.get()));
        self.file.get() > 0
    }

    /// Takes so many tokens; says whether there were as many.
    pub(super) fn take(&self, tokens: usize) -> bool {
        let enough = self.file.get() >= tokens;
        self.file.set(self.file.get().saturating_sub(tokens));
        self.patch.set(self.patch.get().saturating_sub(tokens));
        enough
    }
}
