//! A row as it stands in its file, before it is read.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::Value;
use swegym_core::Instance;
use swegym_core::format::instances::{self, Need};
use swegym_core::format::{FormatError, Problem, kind, plain};

use super::columns::plain::Part;
use super::row::{BadRow, RawRow};
use super::{Shape, columns};

/// One row as it stands in its file, and where. Rows are found one after the
/// other and may be read by many.
#[derive(Debug, Clone, PartialEq)]
pub struct RowText {
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    pub(super) size: usize,
    pub(super) content: Content,
}

/// What a row is before it is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// A text, which may be no JSON.
    Json(Vec<u8>),
    /// A row of columns, by its number among theirs.
    Columns(Arc<RecordBatch>, usize),
}

impl RowText {
    pub(super) fn of_json(file: Arc<str>, line: usize, json: Vec<u8>) -> Self {
        Self { file, line, size: json.len(), content: Content::Json(json) }
    }

    /// About how many bytes the row has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The row's JSON, if it is some.
    #[must_use]
    pub fn json(&self) -> Cow<'_, [u8]> {
        match &self.content {
            Content::Json(text) => text.into(),
            Content::Columns(batch, at) => columns::Row { batch, at: *at }.json().into(),
        }
    }

    /// Parses the row.
    ///
    /// # Errors
    /// When it is a text that is no JSON object, with its place.
    pub fn read(&self) -> Result<RawRow, FormatError> {
        let error = |problem| Err(FormatError::new(&self.file, self.line, problem));
        let row = |fields| Ok(RawRow { file: self.file.clone(), line: self.line, fields });
        let text = match &self.content {
            Content::Columns(batch, at) => return row(columns::Row { batch, at: *at }.fields()),
            Content::Json(text) => text,
        };
        match swegym_core::json::row(text) {
            Ok(Value::Object(fields)) => row(fields),
            Ok(other) => error(Problem::NotAnObject(kind(&other))),
            Err(why) => error(Problem::Json(why.to_string())),
        }
    }

    /// The instance that the row is.
    ///
    /// # Errors
    /// Those of [`Self::read`], and what is wrong with the instance.
    pub fn instance(&self, need: Need) -> Result<Instance, FormatError> {
        if need == Need::Grading
            && let Some(instance) = self.plain(Part::Whole)
        {
            return Ok(instance);
        }
        let row = self.read()?;
        Shape::of(&row.fields).instance(row, need)
    }

    /// What [`Need::Grading`] makes of the row. Fields that the format does not
    /// know may be left out.
    ///
    /// # Errors
    /// Those of [`Self::instance`].
    pub fn own_fields(&self) -> Result<Instance, FormatError> {
        self.plain(Part::Own).map_or_else(|| self.instance(Need::Grading), Ok)
    }

    /// Whether another row has what this one has in columns that the format
    /// does not know, as far as that is plain to see.
    pub(super) fn others_are_in(&self, other: &Self) -> bool {
        let (Content::Columns(batch, at), Content::Columns(others, other)) = (&self.content, &other.content)
        else {
            return false;
        };
        let row = columns::Row { batch, at: *at };
        row.cells().filter(|(name, _)| !instances::FIELDS.contains(name)).all(|(name, cell)| {
            let same_name = others.schema_ref().fields().iter().rposition(|field| field.name() == name);
            same_name.is_some_and(|column| cell.is_same(&columns::Cell::at(others.column(column), *other)))
        })
    }

    pub(super) fn plain(&self, part: Part) -> Option<Instance> {
        let Content::Columns(batch, at) = &self.content else { return None };
        columns::plain::instance(batch, *at, part)
    }

    /// As much of the instance as grading takes: the texts that people read
    /// may be left out.
    ///
    /// # Errors
    /// Those of [`Self::read`], and what is wrong with the instance.
    pub fn for_grading(&self) -> Result<Instance, BadRow> {
        let plain = match &self.content {
            Content::Json(text) => plain::read_for_grading(text),
            Content::Columns(batch, at) => columns::plain::instance(batch, *at, Part::Grading),
        };
        if let Some(instance) = plain {
            return Ok(instance);
        }
        let row = self.read()?;
        let id = row.fields.get("instance_id").and_then(Value::as_str).map(str::to_owned);
        Shape::of(&row.fields)
            .instance(row, Need::Grading)
            .map_err(|error| BadRow { id, error: error.into() })
    }
}
