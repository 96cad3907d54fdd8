//! Token files: [`TokenRow`]s as Parquet, in the columns that trainers read:
//! `input_ids`, `loss_mask`, and where they are known `logprobs`, `weights`,
//! `turns`, and the ids of instance, attempt and policy. Written and read a
//! batch of rows at a time.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Int32Builder, ListBuilder, StringBuilder, UInt32Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int8Type, Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use swegym_core::Hint;
use thiserror::Error;

use crate::tokens::TokenRow;

/// The version that is written; older ones are read.
const VERSION: u32 = 1;
const VERSION_KEY: &str = "swegym.tokens.version";

/// Rows in a batch.
const BATCH: usize = 256;

/// Why a token file cannot be read or written.
#[derive(Debug, Error)]
pub enum TokenFileError {
    /// The file cannot be opened, read or written.
    #[error("cannot {verb} {}: {problem}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Which file.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
    /// Written by a later swegym.
    #[error("{} has version {found} of token files; this swegym reads up to {VERSION}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// A column that must be there.
    #[error("{}: the column `{column}` is missing or is not {expected}", path.display())]
    Column {
        /// Which file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A learnt token with a weight below zero: unlearning has an objective of its
    /// own, and the mean over weights would learn the token instead.
    #[error("{}: row {row}: a learnt token has the weight {weight}", path.display())]
    Negative {
        /// Which file.
        path: PathBuf,
        /// Which row, from 1.
        row: usize,
        /// The weight.
        weight: f32,
    },
    /// A row that contradicts itself.
    #[error("{}: row {row}: {problem}", path.display())]
    Row {
        /// Which file.
        path: PathBuf,
        /// Which row, from 1.
        row: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What to do about weights below zero.
pub(crate) const UNLEARNING: &str =
    "nothing can be unlearnt yet: leave such rows out, or give them weights from 0 on";

impl Hint for TokenFileError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Negative { .. } => UNLEARNING,
            _ => "token files are Parquet with lists `input_ids` and `loss_mask`",
        };
        Some(hint.into())
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

fn schema(columns: Columns) -> SchemaRef {
    let list = |name: &str, item: DataType, nullable: bool| {
        Field::new(name, DataType::List(Arc::new(Field::new("item", item, true))), nullable)
    };
    if columns == Columns::Labels {
        let names = ["input_ids", "labels"];
        return Arc::new(Schema::new(names.map(|name| list(name, DataType::Int32, false)).to_vec()));
    }
    Arc::new(Schema::new(vec![
        list("input_ids", DataType::Int32, false),
        list("loss_mask", DataType::Boolean, false),
        list("logprobs", DataType::Float32, true),
        list("weights", DataType::Float32, true),
        list("turns", DataType::Int32, true),
        Field::new("instance_id", DataType::Utf8, false),
        Field::new("repo", DataType::Utf8, true),
        Field::new("attempt", DataType::UInt32, false),
        Field::new("policy", DataType::Utf8, true),
    ]))
}

/// The label of a token that is not learnt, as PyTorch's losses have it.
const IGNORED: i32 = -100;

/// Which columns a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Ours.
    All,
    /// `input_ids` and `labels`, which TRL takes as they are.
    Labels,
}

/// Writes rows as they come.
pub struct TokenWriter {
    path: PathBuf,
    columns: Columns,
    writer: ArrowWriter<File>,
    waiting: Vec<TokenRow>,
    written: usize,
}

impl TokenWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> Result<Self, TokenFileError> {
        Self::begin(path, Columns::All)
    }

    /// Begins a file for trainers that want `labels`, with -100 where nothing
    /// is learnt, and no other column beside the tokens.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn with_labels(path: &Path) -> Result<Self, TokenFileError> {
        Self::begin(path, Columns::Labels)
    }

    fn begin(path: &Path, columns: Columns) -> Result<Self, TokenFileError> {
        let failed = |problem: String| TokenFileError::Io { verb: "write", path: path.to_owned(), problem };
        let version = KeyValue::new(VERSION_KEY.to_owned(), VERSION.to_string());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![version]))
            .build();
        let file = File::create(path).map_err(|e| failed(e.to_string()))?;
        let writer = ArrowWriter::try_new(file, schema(columns), Some(properties))
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { path: path.to_owned(), columns, writer, waiting: Vec::new(), written: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The row contradicts itself, or cannot be written.
    pub fn push(&mut self, row: TokenRow) -> Result<(), TokenFileError> {
        self.written += 1;
        check(&self.path, self.written, &row)?;
        self.waiting.push(row);
        if self.waiting.len() == BATCH { self.flush() } else { Ok(()) }
    }

    /// Ends the file, and waits until the disk has it. Returns its rows.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<usize, TokenFileError> {
        self.flush()?;
        let failed = |problem: String| TokenFileError::Io { verb: "write", path: self.path.clone(), problem };
        let file = self.writer.into_inner().map_err(|e| failed(e.to_string()))?;
        file.sync_all().map_err(|e| failed(e.to_string()))?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), TokenFileError> {
        let failed = |problem: String| TokenFileError::Io { verb: "write", path: self.path.clone(), problem };
        let batch = match self.columns {
            Columns::All => batch_of(&self.waiting),
            Columns::Labels => labels_of(&self.waiting),
        };
        let batch = batch.map_err(|e| failed(e.to_string()))?;
        self.waiting.clear();
        self.writer.write(&batch).map_err(|e| failed(e.to_string()))
    }
}

fn batch_of(rows: &[TokenRow]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let mut ids = ListBuilder::new(Int32Builder::new());
    let mut mask = ListBuilder::new(BooleanBuilder::new());
    let mut logprobs = ListBuilder::new(Float32Builder::new());
    let mut weights = ListBuilder::new(Float32Builder::new());
    let mut turns = ListBuilder::new(Int32Builder::new());
    let (mut instance, mut repo) = (StringBuilder::new(), StringBuilder::new());
    let (mut attempt, mut policy) = (UInt32Builder::new(), StringBuilder::new());
    for row in rows {
        ids.append_value(row.input_ids.iter().map(|&id| Some(id as i32)));
        mask.append_value(row.loss_mask.iter().map(|&learnt| Some(learnt)));
        logprobs.append_option(row.logprobs.as_ref().map(|list| list.iter().copied().map(Some)));
        weights.append_option(row.weights.as_ref().map(|list| list.iter().copied().map(Some)));
        turns.append_option(row.turns.as_ref().map(|list| list.iter().copied().map(Some)));
        instance.append_value(&row.instance_id);
        repo.append_option(row.repo.as_ref());
        attempt.append_value(row.attempt);
        policy.append_option(row.policy.as_ref());
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        Arc::new(mask.finish()),
        Arc::new(logprobs.finish()),
        Arc::new(weights.finish()),
        Arc::new(turns.finish()),
        Arc::new(instance.finish()),
        Arc::new(repo.finish()),
        Arc::new(attempt.finish()),
        Arc::new(policy.finish()),
    ];
    RecordBatch::try_new(schema(Columns::All), columns)
}

fn labels_of(rows: &[TokenRow]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let mut ids = ListBuilder::new(Int32Builder::new());
    let mut labels = ListBuilder::new(Int32Builder::new());
    for row in rows {
        let learnt = row.input_ids.iter().zip(row.loss_weights());
        ids.append_value(row.input_ids.iter().map(|&id| Some(id as i32)));
        labels
            .append_value(learnt.map(|(&id, weight)| Some(if weight == 0.0 { IGNORED } else { id as i32 })));
    }
    RecordBatch::try_new(schema(Columns::Labels), vec![Arc::new(ids.finish()), Arc::new(labels.finish())])
}

fn check(path: &Path, row: usize, of: &TokenRow) -> Result<(), TokenFileError> {
    let len = of.input_ids.len();
    let lengths = [
        ("loss_mask", Some(of.loss_mask.len())),
        ("logprobs", of.logprobs.as_ref().map(Vec::len)),
        ("weights", of.weights.as_ref().map(Vec::len)),
        ("turns", of.turns.as_ref().map(Vec::len)),
    ];
    let problem = match lengths.into_iter().find(|(_, found)| found.is_some_and(|found| found != len)) {
        Some((column, found)) => format!("{len} ids and {} of `{column}`", found.unwrap_or(0)),
        None if of.weights.iter().flatten().any(|w| !w.is_finite()) => "a weight is not a number".to_owned(),
        None => return Ok(()),
    };
    Err(TokenFileError::Row { path: path.to_owned(), row, problem })
}

/// Gives every row of a token file to `take`, in order. Files of other writers
/// need `input_ids` and `loss_mask` alone.
///
/// # Errors
/// The file cannot be read, is newer, or holds a row that contradicts itself or
/// that nothing can learn from as it says; or `take` fails.
pub fn read<E: From<TokenFileError>>(
    path: &Path,
    mut take: impl FnMut(TokenRow) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |problem: String| TokenFileError::Io { verb: "read", path: path.to_owned(), problem };
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(e.to_string()))?;
    let version = builder.metadata().file_metadata().key_value_metadata().and_then(|pairs| {
        pairs.iter().find(|pair| pair.key == VERSION_KEY).and_then(|pair| pair.value.clone())
    });
    if let Some(found) = version.filter(|v| v.parse::<u32>().map_or(true, |v| v > VERSION)) {
        return Err(TokenFileError::Newer { path: path.to_owned(), found }.into());
    }
    let batches = builder.with_batch_size(BATCH).build().map_err(|e| failed(e.to_string()))?;
    let mut row = 0;
    for batch in batches {
        let batch = batch.map_err(|e| failed(e.to_string()))?;
        for index in 0..batch.num_rows() {
            row += 1;
            let found = row_of(path, &batch, index)?;
            check(path, row, &found)?;
            if let Some(weight) = found.negative_weight() {
                return Err(TokenFileError::Negative { path: path.to_owned(), row, weight }.into());
            }
            take(found)?;
        }
    }
    Ok(())
}

fn row_of(path: &Path, batch: &RecordBatch, index: usize) -> Result<TokenRow, TokenFileError> {
    let missing = |column: &'static str, expected: &'static str| TokenFileError::Column {
        path: path.to_owned(),
        column,
        expected,
    };
    let ids = list(batch, "input_ids", index).and_then(|items| integers(&items));
    let ids = ids.ok_or_else(|| missing("input_ids", "a list of whole numbers"))?;
    let mask = list(batch, "loss_mask", index);
    let mask = mask.and_then(|items| match items.data_type() {
        DataType::Boolean => Some(items.as_boolean().iter().map(|learnt| learnt == Some(true)).collect()),
        _ => integers(&items).map(|numbers| numbers.into_iter().map(|x| x != 0).collect()),
    });
    let text = |column: &str| {
        let array = batch.column_by_name(column)?.as_string_opt::<i32>()?;
        (!array.is_null(index)).then(|| array.value(index).to_owned())
    };
    let attempt = batch.column_by_name("attempt").and_then(|array| integers(&array.slice(index, 1)));
    Ok(TokenRow {
        input_ids: ids.into_iter().map(|id| id as u32).collect(),
        loss_mask: mask.ok_or_else(|| missing("loss_mask", "a list of booleans or of 0 and 1"))?,
        logprobs: list(batch, "logprobs", index).and_then(|items| floats(&items)),
        weights: list(batch, "weights", index).and_then(|items| floats(&items)),
        turns: list(batch, "turns", index)
            .and_then(|items| integers(&items))
            .map(|numbers| numbers.into_iter().map(|x| x as i32).collect()),
        instance_id: text("instance_id").unwrap_or_default(),
        repo: text("repo"),
        attempt: attempt.and_then(|one| one.first().map(|&x| x as u32)).unwrap_or(0),
        policy: text("policy"),
    })
}

fn list(batch: &RecordBatch, column: &str, index: usize) -> Option<ArrayRef> {
    let array = batch.column_by_name(column)?;
    if array.is_null(index) {
        return None;
    }
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(index)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(index)),
        _ => None,
    }
}

fn integers(items: &ArrayRef) -> Option<Vec<i64>> {
    Some(match items.data_type() {
        DataType::Int64 => items.as_primitive::<Int64Type>().values().to_vec(),
        DataType::Int32 => items.as_primitive::<Int32Type>().values().iter().map(|&x| i64::from(x)).collect(),
        DataType::Int8 => items.as_primitive::<Int8Type>().values().iter().map(|&x| i64::from(x)).collect(),
        DataType::UInt32 => {
            items.as_primitive::<UInt32Type>().values().iter().map(|&x| i64::from(x)).collect()
        }
        _ => return None,
    })
}

fn floats(items: &ArrayRef) -> Option<Vec<f32>> {
    Some(match items.data_type() {
        DataType::Float32 => items.as_primitive::<Float32Type>().values().to_vec(),
        DataType::Float64 => items
            .as_primitive::<arrow_array::types::Float64Type>()
            .values()
            .iter()
            .map(|&x| x as f32)
            .collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<TokenRow>> {
        let row = (0..40usize, any::<u64>(), "[a-z_]{1,8}", any::<Option<u32>>()).prop_map(
            |(len, seed, id, extra)| {
                let number = |i: usize| (seed.rotate_left(i as u32 % 64) % 50_000) as u32;
                let ids: Vec<u32> = (0..len).map(number).collect();
                TokenRow {
                    loss_mask: ids.iter().map(|id| id % 3 == 0).collect(),
                    logprobs: extra.map(|_| ids.iter().map(|&id| -(id as f32) / 7.0).collect()),
                    weights: extra.filter(|x| x % 2 == 0).map(|_| ids.iter().map(|&id| id as f32).collect()),
                    turns: extra.map(|_| ids.iter().map(|&id| id as i32 % 5 - 1).collect()),
                    input_ids: ids,
                    instance_id: id.clone(),
                    repo: extra.map(|_| id),
                    attempt: extra.unwrap_or(0),
                    policy: extra.map(|x| x.to_string()),
                }
            },
        );
        prop::collection::vec(row, 0..600)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_written_is_read(rows in rows()) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("tokens.parquet");
            let mut writer = TokenWriter::create(&path).expect("a file");
            for row in &rows {
                writer.push(row.clone()).expect("a row");
            }
            prop_assert_eq!(writer.finish().expect("a file"), rows.len());
            let mut found = Vec::new();
            read(&path, |row| { found.push(row); Ok::<(), TokenFileError>(()) }).expect("readable");
            prop_assert!(found == rows);
        }
    }

    #[test]
    fn a_row_that_contradicts_itself_is_refused_by_its_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.parquet");
        let mut writer = TokenWriter::create(&path).expect("a file");
        let row = TokenRow { input_ids: vec![1, 2], loss_mask: vec![true], ..TokenRow::default() };
        let error = writer.push(row).expect_err("lengths differ").to_string();
        assert!(error.ends_with("row 1: 2 ids and 1 of `loss_mask`"), "{error}");
    }
}
