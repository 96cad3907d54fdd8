//! Files and folders that rows are written to. Nothing appears under its name
//! before it is whole.

mod arrays;
mod fit;
mod schema;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use swegym_core::Hint;
use thiserror::Error;

use super::columns::ColumnError;

pub use schema::Columns;

/// Rows that become columns at once.
const BATCH: usize = 64;
/// Rows of a group, the unit that readers of Parquet hold in memory: the
/// `datasets` library's own choice.
const ROW_GROUP: usize = 1000;

/// What rows are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// One object a line.
    JsonLines,
    /// One list.
    Json,
    /// Columns, compressed.
    Parquet,
    /// Arrow's file format.
    Arrow,
    /// A folder as on the Hugging Face hub: `load_dataset(folder)` reads it.
    Hub,
    /// A folder as `save_to_disk` writes it: `load_from_disk(folder)` reads it.
    Saved,
}

impl Container {
    /// Every container.
    pub const ALL: [Self; 6] =
        [Self::JsonLines, Self::Json, Self::Parquet, Self::Arrow, Self::Hub, Self::Saved];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Hub => "hub",
            Self::Saved => "saved",
        }
    }

    /// The container that a path's ending promises.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        [Self::JsonLines, Self::Json, Self::Parquet, Self::Arrow].into_iter().find(|c| c.name() == ending)
    }

    /// Whether all rows must be known by type before the first is written.
    #[must_use]
    pub fn has_columns(self) -> bool {
        !matches!(self, Self::JsonLines | Self::Json)
    }

    fn is_folder(self) -> bool {
        matches!(self, Self::Hub | Self::Saved)
    }

    /// Where in a folder the rows are.
    fn file_in(self, split: &str) -> PathBuf {
        match self {
            Self::Hub => format!("data/{split}-00000-of-00001.parquet").into(),
            Self::Saved => "data-00000-of-00001.arrow".into(),
            Self::JsonLines | Self::Json | Self::Parquet | Self::Arrow => PathBuf::new(),
        }
    }
}

/// Why rows cannot be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// A file or folder.
    #[error("cannot write `{path}`", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is something already.
    #[error("`{path}` is there already", path = path.display())]
    Occupied {
        /// What.
        path: PathBuf,
    },
    /// A folder has one place for an id.
    #[error("`{id}` is the id of two instances, and `{path}` has one place for it", path = path.display())]
    Repeated {
        /// The id.
        id: String,
        /// Where to.
        path: PathBuf,
    },
    /// A row that does not fit its columns.
    #[error("cannot write columns to `{path}`", path = path.display())]
    Columns {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: ColumnError,
    },
}

impl Hint for WriteError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: &'static str = match self {
            Self::File { .. } => "check the path, the permissions and the space that is left",
            Self::Occupied { .. } => "name another folder, or remove this one",
            Self::Repeated { .. } => {
                "keep one of the rows, or write a format of rows, which has place for both"
            }
            Self::Columns { .. } => "write JSON Lines, which holds every row, and mend the row there",
        };
        Some(hint.into())
    }
}

/// Rows on their way into a container.
pub struct Writer {
    draft: Draft,
    container: Container,
    split: String,
    rows: usize,
    sink: Sink,
}

/// Rows that are written and do not have their name yet. One that is dropped
/// leaves nothing, and what was there before as it was.
pub struct Draft {
    /// Where everything appears in the end.
    target: PathBuf,
    /// Where it is until then.
    path: PathBuf,
    is_folder: bool,
    is_published: bool,
}

impl Draft {
    fn of(target: &Path, is_folder: bool) -> Self {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let path = target.with_file_name(name);
        Self { target: target.to_owned(), path, is_folder, is_published: false }
    }

    /// Where the rows can be read already.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the rows their name.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn publish(mut self) -> Result<(), WriteError> {
        let failed = |source| WriteError::File { path: self.target.clone(), source };
        if self.is_folder && self.target.is_dir() {
            fs::remove_dir(&self.target).map_err(failed)?;
        }
        fs::rename(&self.path, &self.target).map_err(failed)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What stays behind is written over by the next attempt.
        let _ = match (self.is_published, self.is_folder) {
            (true, _) => Ok(()),
            (false, true) => fs::remove_dir_all(&self.path),
            (false, false) => fs::remove_file(&self.path),
        };
    }
}

enum Sink {
    Lines(BufWriter<File>),
    List(BufWriter<File>),
    Columns { columns: Columns, schema: SchemaRef, waiting: Vec<Map<String, Value>>, to: Box<ColumnSink> },
}

enum ColumnSink {
    Parquet(ArrowWriter<File>),
    Arrow(FileWriter<BufWriter<File>>),
    Stream(StreamWriter<BufWriter<File>>),
}

impl Writer {
    /// Starts a container; `columns` are those of all rows to come, and `split`
    /// names the part of the dataset in a folder.
    ///
    /// # Errors
    /// When nothing can be written there, or a folder is not empty.
    pub fn create(
        target: &Path,
        container: Container,
        columns: Columns,
        split: &str,
    ) -> Result<Self, WriteError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::File { path, source }
        };
        if container.is_folder() {
            refuse_occupied(target)?;
        }
        let target = &swegym_files::place_of(target).map_err(at(target))?;
        let draft = Draft::of(target, container.is_folder());
        if draft.is_folder && draft.path.exists() {
            fs::remove_dir_all(&draft.path).map_err(at(&draft.path))?;
        }
        let file = draft.path.join(container.file_in(split));
        let file = if draft.is_folder { file } else { draft.path.clone() };
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        let open = File::create(&file).map_err(at(&file))?;
        let sink = match container {
            Container::JsonLines => Sink::Lines(BufWriter::new(open)),
            Container::Json => Sink::List(BufWriter::new(open)),
            _ => Sink::columns(container, open, columns).map_err(columns_error(target))?,
        };
        Ok(Self { draft, container, split: split.to_owned(), rows: 0, sink })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written, or does not fit the columns.
    pub fn write(&mut self, row: Map<String, Value>) -> Result<(), WriteError> {
        let first = self.rows == 0;
        self.rows += 1;
        let written = match &mut self.sink {
            Sink::Lines(file) => serde_json::to_writer(&mut *file, &row)
                .map_err(io::Error::from)
                .and_then(|()| file.write_all(b"\n")),
            Sink::List(file) => file
                .write_all(if first { b"[\n" } else { b",\n" })
                .and_then(|()| serde_json::to_writer(file, &row).map_err(io::Error::from)),
            Sink::Columns { waiting, .. } => {
                waiting.push(row);
                let full = waiting.len() >= BATCH;
                return if full { self.flush() } else { Ok(()) };
            }
        };
        written.map_err(|source| WriteError::File { path: self.draft.target.clone(), source })
    }

    /// How many rows there are so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let Sink::Columns { columns, schema, waiting, to } = &mut self.sink else { return Ok(()) };
        if waiting.is_empty() {
            return Ok(());
        }
        let mut write = || -> Result<(), ColumnError> {
            let batch = columns.batch(schema, waiting)?;
            waiting.clear();
            match to.as_mut() {
                ColumnSink::Parquet(writer) => writer.write(&batch)?,
                ColumnSink::Arrow(writer) => writer.write(&batch)?,
                ColumnSink::Stream(writer) => writer.write(&batch)?,
            }
            Ok(())
        };
        write().map_err(columns_error(&self.draft.target))
    }

    /// Ends the container, which can be read then, and has its name when it is published.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(mut self) -> Result<Draft, WriteError> {
        self.flush()?;
        let target = self.draft.target.clone();
        let failed = |source| WriteError::File { path: target.clone(), source };
        let ended = match self.sink {
            Sink::Lines(file) => file.into_inner().map_err(|e| failed(e.into_error())).map(drop),
            Sink::List(mut file) => {
                let end: &[u8] = if self.rows == 0 { b"[]\n" } else { b"\n]\n" };
                file.write_all(end).and_then(|()| file.flush()).map_err(failed)
            }
            Sink::Columns { to, .. } => match *to {
                ColumnSink::Parquet(writer) => writer.close().map(drop).map_err(ColumnError::from),
                ColumnSink::Arrow(mut writer) => writer.finish().map_err(ColumnError::from),
                ColumnSink::Stream(mut writer) => writer.finish().map_err(ColumnError::from),
            }
            .map_err(columns_error(&target)),
        };
        ended?;
        if self.container == Container::Saved {
            describe_saved(&self.draft.path, &self.split).map_err(failed)?;
        }
        Ok(self.draft)
    }
}

impl Sink {
    fn columns(container: Container, file: File, columns: Columns) -> Result<Self, ColumnError> {
        let schema: SchemaRef = columns.schema();
        let to = match container {
            Container::Parquet | Container::Hub => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_row_count(Some(ROW_GROUP))
                    .build();
                ColumnSink::Parquet(ArrowWriter::try_new(file, schema.clone(), Some(properties))?)
            }
            Container::Saved => ColumnSink::Stream(StreamWriter::try_new(BufWriter::new(file), &schema)?),
            _ => ColumnSink::Arrow(FileWriter::try_new(BufWriter::new(file), &schema)?),
        };
        Ok(Self::Columns { columns, schema, waiting: Vec::new(), to: Box::new(to) })
    }
}

fn columns_error<E: Into<ColumnError>>(path: &Path) -> impl FnOnce(E) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError::Columns { path, source: source.into() }
}

/// A folder may be there, but nothing in it.
pub(super) fn refuse_occupied(folder: &Path) -> Result<(), WriteError> {
    let empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if empty { Ok(()) } else { Err(WriteError::Occupied { path: folder.to_owned() }) }
}

/// What `load_from_disk` asks for beside the rows. The fingerprint names the
/// rows for its caches, so it follows from them.
fn describe_saved(folder: &Path, split: &str) -> io::Result<()> {
    let file = Container::Saved.file_in(split);
    let mut digest = Sha256::new();
    io::copy(&mut File::open(folder.join(&file))?, &mut digest)?;
    let fingerprint = swegym_core::id::hex(&digest.finalize()[..8]);
    let state = json!({
        "_data_files": [{"filename": file}],
        "_fingerprint": fingerprint,
        "_format_columns": null,
        "_format_kwargs": {},
        "_format_type": null,
        "_output_all_columns": false,
        "_split": split,
    });
    fs::write(folder.join("state.json"), format!("{state:#}\n"))?;
    let info = json!({"citation": "", "description": "", "homepage": "", "license": ""});
    fs::write(folder.join("dataset_info.json"), format!("{info:#}\n"))
}

#[cfg(test)]
mod tests;
