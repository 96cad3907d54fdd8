//! Parquet and Arrow: batches of columns, given as rows.

mod words;

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use swegym_core::format::{FormatError, Problem};
use thiserror::Error;

use super::json;
use super::rows::RowText;

/// Rows that are decoded at once.
const BATCH: usize = 64;

/// Why columns cannot be read.
#[derive(Debug, Error)]
pub enum ColumnError {
    /// Parquet's word.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Arrow's word.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// Rows of a Parquet file.
pub(super) fn parquet(name: Arc<str>, file: File) -> Result<ColumnRows, ColumnError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH).build()?;
    Ok(ColumnRows::new(name, Box::new(reader)))
}

/// Rows of an Arrow file with its index at the end.
pub(super) fn arrow_file(name: Arc<str>, file: File) -> Result<ColumnRows, ColumnError> {
    let reader = arrow_ipc::reader::FileReader::try_new(BufReader::new(file), None)?;
    Ok(ColumnRows::new(name, Box::new(reader)))
}

/// Rows of Arrow messages one after the other.
pub(super) fn arrow_stream(name: Arc<str>, file: File) -> Result<ColumnRows, ColumnError> {
    let reader = arrow_ipc::reader::StreamReader::try_new(BufReader::new(file), None)?;
    Ok(ColumnRows::new(name, Box::new(reader)))
}

/// The rows of batches.
pub(super) struct ColumnRows {
    file: Arc<str>,
    batches: Batches,
    /// What is left of the batch at hand, row by row as JSON.
    rows: json::TextRows<Cursor<Vec<u8>>>,
    row: usize,
    over: bool,
}

impl ColumnRows {
    fn new(file: Arc<str>, batches: Batches) -> Self {
        let rows = json::TextRows::of_lines(file.clone(), Cursor::new(Vec::new()));
        Self { file, batches, rows, row: 0, over: false }
    }

    /// The next batch as lines of JSON; arrays within a batch are cut, so that
    /// a file that is one batch does not become one text.
    fn decode(&mut self) -> Option<Result<(), ArrowError>> {
        let batch = match self.batches.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let rows =
            WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(words::InWords));
        let mut writer = rows.build::<_, LineDelimited>(Vec::new());
        let written = writer.write(&batch).and_then(|()| writer.finish());
        self.rows = json::TextRows::of_lines(self.file.clone(), Cursor::new(writer.into_inner()));
        Some(written)
    }
}

impl Iterator for ColumnRows {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            if let Some(row) = self.rows.next() {
                self.row += 1;
                return Some(row.map(|row| RowText { line: self.row, ..row }));
            }
            match self.decode() {
                None => return None,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    // What follows in a damaged file cannot be found.
                    self.over = true;
                    let problem = Problem::Unreadable(error.to_string());
                    return Some(Err(FormatError::new(&self.file, self.row + 1, problem)));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_json::ReaderBuilder;
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;
    use swegym_core::format::instances::Need;

    use super::*;
    use crate::dataset::{Rows, instances};

    /// Rows of 300 batches of one dataset, as the `datasets` library types them.
    fn batches() -> (Arc<Schema>, Vec<RecordBatch>) {
        let tests = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        let schema = Arc::new(Schema::new(vec![
            Field::new("instance_id", DataType::Utf8, true),
            Field::new("repo", DataType::Utf8, true),
            Field::new("FAIL_TO_PASS", tests.clone(), true),
            Field::new("PASS_TO_PASS", tests, true),
            Field::new("version", DataType::Utf8, true),
        ]));
        let batch = |n: usize| {
            let mut decoder = ReaderBuilder::new(schema.clone()).build_decoder().unwrap();
            let row = format!(
                "{{\"instance_id\": \"a-{n}\", \"FAIL_TO_PASS\": [\"t::\\u00e9 x\"], \"PASS_TO_PASS\": []}}"
            );
            decoder.decode(row.as_bytes()).unwrap();
            decoder.flush().unwrap().unwrap()
        };
        (schema.clone(), (0..300).map(batch).collect())
    }

    fn check(path: &std::path::Path) {
        let all: Vec<_> = instances(path, Need::Grading).unwrap().map(Result::unwrap).collect();
        assert_eq!((all.len(), all[299].instance_id.as_str()), (300, "a-299"));
        assert_eq!(all[7].fail_to_pass, ["t::é x"]);
        // Null columns are empty ones; what is required is missing with its row's number.
        let row = instances(path, Need::Everything).unwrap().nth(4).unwrap().unwrap_err();
        assert_eq!(row.line, Some(5));
        assert!(row.to_string().ends_with("the field `repo` is missing"), "{row}");
    }

    #[test]
    fn a_column_of_any_type_costs_no_row() {
        use arrow_array::builder::{
            Int64Builder, ListBuilder, MapBuilder, StringBuilder, StringDictionaryBuilder,
        };
        use arrow_array::types::Int32Type;
        use arrow_array::{
            ArrayRef, DictionaryArray, Float64Array, StringArray, TimestampMicrosecondArray, UnionArray,
        };
        let at = TimestampMicrosecondArray::from(vec![1_704_164_645_000_000]);
        let zone = |name: &str| -> ArrayRef { Arc::new(at.clone().with_timezone(name)) };
        let mut map = MapBuilder::new(None, Int64Builder::new(), StringBuilder::new());
        map.keys().append_value(7);
        map.values().append_value("\"x\"");
        map.append(true).unwrap();
        let mut tests = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new());
        tests.values().append_value("t::a");
        tests.append(true);
        let union = UnionArray::try_new(
            arrow_schema::UnionFields::from_fields([Field::new("n", DataType::Float64, false)]),
            vec![0].into(),
            None,
            vec![Arc::new(Float64Array::from(vec![1.5]))],
        );
        let id: DictionaryArray<Int32Type> = vec!["a-1"].into_iter().collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("instance_id", Arc::new(id)),
            ("FAIL_TO_PASS", Arc::new(tests.finish())),
            ("PASS_TO_PASS", Arc::new(StringArray::from(vec!["[]"]))),
            ("created_at", zone("UTC")),
            ("berlin", zone("Europe/Berlin")),
            ("offset", zone("+02:00")),
            ("nowhere", zone("Somewhere/Else")),
            ("late", Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]).with_timezone("UTC"))),
            ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("map", Arc::new(map.finish())),
            ("union", Arc::new(union.unwrap())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrow");
        let mut writer =
            arrow_ipc::writer::FileWriter::try_new(File::create(&path).unwrap(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let rows: Vec<_> = instances(&path, Need::Grading).unwrap().collect();
        let row = rows.into_iter().next().unwrap().unwrap();
        assert_eq!((row.instance_id.as_str(), row.created_at.as_str()), ("a-1", "2024-01-02T03:04:05Z"));
        assert_eq!((&row.fail_to_pass, row.pass_to_pass.len()), (&["t::a".to_owned()].iter().collect(), 0));
        let said = |name: &str| row.extra[name].as_str().map(str::to_owned);
        assert_eq!(said("berlin").as_deref(), Some("2024-01-02T03:04:05Z"));
        assert_eq!(said("offset").as_deref(), Some("2024-01-02T05:04:05+02:00"));
        assert_eq!(said("nowhere").as_deref(), Some("2024-01-02T03:04:05Z"));
        assert_eq!(said("map").as_deref(), Some("{7: \"x\"}"));
        assert!(said("late").is_some() && said("union").is_some_and(|text| text.contains("1.5")));
        assert!(row.extra["nan"].is_null());
    }

    #[test]
    fn parquet_and_both_kinds_of_arrow_are_rows() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let (schema, batches) = batches();
        let mut parquet = ArrowWriter::try_new(file("a.parquet"), schema.clone(), None).unwrap();
        let mut arrow = arrow_ipc::writer::FileWriter::try_new(file("b.arrow"), &schema).unwrap();
        std::fs::create_dir_all(folder.path().join("hf/train")).unwrap();
        let mut stream =
            arrow_ipc::writer::StreamWriter::try_new(file("hf/train/data-00000-of-00001.arrow"), &schema)
                .unwrap();
        for batch in &batches {
            parquet.write(batch).unwrap();
            arrow.write(batch).unwrap();
            stream.write(batch).unwrap();
        }
        parquet.close().unwrap();
        arrow.finish().unwrap();
        stream.finish().unwrap();
        std::fs::write(folder.path().join("hf/train/state.json"), "{}").unwrap();
        for name in ["a.parquet", "b.arrow", "hf"] {
            check(&folder.path().join(name));
        }
        // Cut files are refused, or give the rows before the damage and an error.
        let whole = std::fs::read(folder.path().join("a.parquet")).unwrap();
        std::fs::write(folder.path().join("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
        assert!(Rows::open(&folder.path().join("cut.parquet")).is_err());
        let whole = std::fs::read(folder.path().join("hf/train/data-00000-of-00001.arrow")).unwrap();
        std::fs::write(folder.path().join("cut.arrow"), &whole[..whole.len() / 2]).unwrap();
        let rows: Vec<_> = Rows::open(&folder.path().join("cut.arrow")).unwrap().collect();
        assert!(rows.len() > 10 && rows.last().unwrap().is_err());
    }
}
