//! Rows from files and folders, one by one.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Cursor, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use swegym_core::Hint;
use swegym_core::format::text::{is_utf16, utf8_of_utf16};
use swegym_core::format::{FormatError, Problem};
use thiserror::Error;

use super::folders::Folders;
use super::row_text::RowText;
use super::{column_files, columns, json};

/// Why a dataset cannot be opened.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A file or folder cannot be read.
    #[error("cannot read `{path}`", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder without any file of rows.
    #[error("`{path}` holds no dataset", path = path.display())]
    NoRows {
        /// Which.
        path: PathBuf,
    },
    /// Not the columns that its first bytes promise.
    #[error("`{path}` is damaged", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: columns::ColumnError,
    },
}

impl Hint for DatasetError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: &'static str = match self {
            Self::Read { .. } => "check the path and the permissions",
            Self::NoRows { .. } => {
                "give a .jsonl, .json (also .gz, .zst), .parquet or .arrow file, a folder with such files, or a folder of tasks"
            }
            Self::Damaged { .. } => "fetch the file again",
        };
        Some(hint.into())
    }
}

type Item = Result<RowText, FormatError>;

/// The rows of a dataset, in order: of one file, or of all files of a folder,
/// which are sorted by their paths.
pub struct Rows {
    files: std::vec::IntoIter<PathBuf>,
    current: Box<dyn Iterator<Item = Item> + Send>,
}

impl Rows {
    /// Opens a file by its first bytes, a Hugging Face dataset folder, or a
    /// folder of tasks.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let read = |source| DatasetError::Read { path: path.to_owned(), source };
        let mut files = Vec::new();
        if fs::metadata(path).map_err(read)?.is_dir() {
            if let Some(tasks) = Folders::find(path).map_err(read)? {
                return Ok(Self { files: files.into_iter(), current: Box::new(tasks) });
            }
            collect(path, &mut files).map_err(read)?;
            if files.is_empty() {
                return Err(DatasetError::NoRows { path: path.to_owned() });
            }
            files.sort();
        } else {
            files.push(path.to_owned());
        }
        let mut files = files.into_iter();
        let current = match files.next() {
            Some(first) => open_file(&first)?,
            None => Box::new(std::iter::empty()),
        };
        Ok(Self { files, current })
    }
}

impl Iterator for Rows {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(row) = self.current.next() {
                return Some(row);
            }
            let file = self.files.next()?;
            match open_file(&file) {
                Ok(rows) => self.current = rows,
                Err(error) => {
                    let problem = Problem::Unreadable(error.to_string());
                    return Some(Err(FormatError::new(&file.to_string_lossy(), None, problem)));
                }
            }
        }
    }
}

/// Files of rows under a folder; what the `datasets` library keeps beside them is none.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    const NO_ROWS: [&str; 4] = ["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let hidden = name.starts_with('.') || name.starts_with("cache-");
        if entry.file_type()?.is_dir() {
            if !hidden {
                collect(&path, files)?;
            }
        } else if !hidden && !NO_ROWS.contains(&&*name) && is_named_like_rows(&name) {
            files.push(path);
        }
    }
    Ok(())
}

/// By the endings, of which the last may say how the file is compressed.
fn is_named_like_rows(name: &str) -> bool {
    let text = name.strip_suffix(".gz").or(name.strip_suffix(".zst"));
    let endings: &[&str] =
        if text.is_some() { &["jsonl", "json"] } else { &["jsonl", "json", "parquet", "arrow"] };
    text.unwrap_or(name).rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

fn open_file(path: &Path) -> Result<Box<dyn Iterator<Item = Item> + Send>, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_owned(), source };
    let damaged = |source| DatasetError::Damaged { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    let mut magic = Vec::new();
    file.by_ref().take(8).read_to_end(&mut magic).map_err(read)?;
    file.rewind().map_err(read)?;
    let name: Arc<str> = path.to_string_lossy().into();
    match magic.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => Ok(Box::new(column_files::parquet(name, file).map_err(damaged)?)),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => {
            Ok(Box::new(column_files::arrow_file(name, file).map_err(damaged)?))
        }
        // A stream of messages, as `datasets` saves: each starts with this mark.
        [0xff, 0xff, 0xff, 0xff, ..] => {
            Ok(Box::new(column_files::arrow_stream(name, file).map_err(damaged)?))
        }
        _ => {
            let text: Box<dyn Read + Send> = match magic.as_slice() {
                [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(file))),
                [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::new(file).map_err(read)?),
                _ => Box::new(file),
            };
            let mut text = BufReader::with_capacity(1 << 18, text);
            if !is_utf16(text.fill_buf().map_err(read)?) {
                return Ok(Box::new(json::TextRows::new(name, text)));
            }
            let mut bytes = Vec::new();
            text.read_to_end(&mut bytes).map_err(read)?;
            let text = utf8_of_utf16(&bytes).unwrap_or_default();
            Ok(Box::new(json::TextRows::new(name, Cursor::new(text))))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn compressed_lines_are_lines() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"{\"a\": 1}\n{\"a\": 2}\n";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text).unwrap();
        fs::write(folder.path().join("a.jsonl.gz"), gz.finish().unwrap()).unwrap();
        fs::write(folder.path().join("b.jsonl.zst"), zstd::encode_all(text.as_slice(), 1).unwrap()).unwrap();
        fs::write(folder.path().join("notes.gz"), "no rows").unwrap();
        let rows: Vec<_> =
            Rows::open(folder.path()).unwrap().map(|row| row.unwrap().read().unwrap()).collect();
        assert_eq!(
            rows.iter().map(|row| row.fields["a"].as_u64()).collect::<Vec<_>>(),
            [1, 2, 1, 2].map(Some)
        );
        // A cut file gives its rows and an error.
        let cut = fs::read(folder.path().join("a.jsonl.gz")).unwrap();
        fs::write(folder.path().join("a.jsonl.gz"), &cut[..cut.len() - 9]).unwrap();
        assert!(Rows::open(&folder.path().join("a.jsonl.gz")).unwrap().any(|row| row.is_err()));
    }
}
