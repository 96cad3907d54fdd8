//! Training rows from conversations and token files, and which of them are held out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::text;
use swegym_core::id::repository_by_id;
use swegym_train::conversation::Refused;
use swegym_train::token_file::{self, TokenFileError};
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::{self, HiddenEnd, TokenRow};

/// What is not learnt, to measure with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Share of the groups.
    pub share: f64,
    /// What a group is.
    pub by: Unit,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { share: 0.0, by: Unit::Instance }
    }
}

/// Whose rows stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// An instance's.
    Instance,
    /// A repository's.
    Repo,
}

impl Unit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Instance, Self::Repo];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Repo => "repo",
        }
    }

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == word)
    }
}

/// Reads every file. Conversations that cannot be used are named and left out.
pub fn read(
    printer: Printer,
    files: &[PathBuf],
    tokenizer: &Tokenizer,
    last_turn_only: bool,
) -> Result<Vec<TokenRow>, CommandError> {
    let mut rows = Vec::new();
    if files.iter().any(|path| !is_of_tokens(path)) {
        warn_of_ends(printer, tokenizer);
    }
    for path in files {
        if is_of_tokens(path) {
            token_file::read(path, |row| {
                rows.push(row);
                Ok::<(), TokenFileError>(())
            })?;
            continue;
        }
        rows.extend(conversations(printer, path, &text::read(path)?, tokenizer, last_turn_only)?);
    }
    Ok(rows)
}

fn is_of_tokens(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "parquet")
}

/// Says where a template hides what ends a turn: it cannot be learnt from it.
pub fn warn_of_ends(printer: Printer, tokenizer: &Tokenizer) {
    let what = match tokens::hidden_end(tokenizer) {
        None => return,
        Some(HiddenEnd::Always) => "writes no token that ends a turn: nobody learns from it to stop",
        Some(HiddenEnd::Last) => {
            "ends a turn by what begins the next message: last turns are learnt without their end"
        }
    };
    printer.say(&format!("warning: the chat template in {} {what}", tokenizer.template_file.display()));
}

/// The conversations of a file's text as rows of tokens.
pub fn conversations(
    printer: Printer,
    path: &Path,
    text: &str,
    tokenizer: &Tokenizer,
    last_turn_only: bool,
) -> Result<Vec<TokenRow>, CommandError> {
    let (rows, refused) = tokens::conversations(tokenizer, text, last_turn_only)?;
    complain(printer, path, rows.len(), &refused)?;
    Ok(rows)
}

/// Names the lines that cannot be used; fails where none can.
pub fn complain(printer: Printer, path: &Path, used: usize, refused: &[Refused]) -> Result<(), CommandError> {
    for (line, problem) in refused.iter().take(5) {
        printer.say(&format!("warning: {}:{line}: left out: {problem}", path.display()));
    }
    if refused.len() > 5 {
        printer.say(&format!("warning: {}: {} more are left out", path.display(), refused.len() - 5));
    }
    if let (0, Some((line, problem))) = (used, refused.first()) {
        let message = format!("{}: no line can be used; line {line}: {problem}", path.display());
        return Err(CommandError::usage(message, "each line has `messages`, as `swegym export` writes them"));
    }
    Ok(())
}

/// Splits whole instances or repositories off, never rows of one.
pub fn hold_out(
    rows: Vec<TokenRow>,
    held_out: &HeldOut,
    seed: u64,
) -> Result<(Vec<TokenRow>, Vec<TokenRow>), CommandError> {
    let key = |row: &TokenRow| match held_out.by {
        Unit::Repo => row.repo.clone().unwrap_or_else(|| repository_by_id(&row.instance_id)),
        Unit::Instance => row.instance_id.clone(),
    };
    let held = held_groups(rows.iter().map(key).collect(), held_out, seed)?;
    Ok(rows.into_iter().partition(|row| !held.contains(&key(row))))
}

/// Which groups are held out.
pub fn held_groups(
    groups: BTreeSet<String>,
    held_out: &HeldOut,
    seed: u64,
) -> Result<BTreeSet<String>, CommandError> {
    let (share, by) = (held_out.share, held_out.by.name());
    if share <= 0.0 {
        return Ok(BTreeSet::new());
    }
    if groups.len() < 2 {
        let message = format!("all rows are of one {by}; none can be held out");
        return Err(CommandError::usage(message, "give more data, or leave --held-out away"));
    }
    let mut groups: Vec<String> = groups.into_iter().collect();
    groups.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    let count = ((groups.len() as f64 * share).round() as usize).clamp(1, groups.len() - 1);
    groups.truncate(count);
    Ok(groups.into_iter().collect())
}
