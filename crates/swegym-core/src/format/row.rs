//! Taking fields out of one JSON row, with errors that name the field.

use serde_json::{Map, Value};

use super::rows::{RowText, Rows};
use super::{FormatError, Problem};

/// A row being read: fields are taken out one by one; what is left is unknown.
pub(crate) struct Row<'a> {
    file: &'a str,
    line: usize,
    fields: Map<String, Value>,
}

/// The JSON kind of a value, for messages.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether a value says nothing: null, or an empty text, list or object.
#[must_use]
pub fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

impl<'a> Row<'a> {
    /// A row, of which a number that is none costs its own field.
    pub(crate) fn parse(file: &'a str, line: usize, json: &[u8]) -> Result<Self, FormatError> {
        Self::of(file, line, crate::json::row(json))
    }

    /// A row, whose numbers must be some.
    pub(crate) fn strict(file: &'a str, line: usize, json: &[u8]) -> Result<Self, FormatError> {
        Self::of(file, line, crate::json::from_slice(json))
    }

    fn of(file: &'a str, line: usize, read: serde_json::Result<Value>) -> Result<Self, FormatError> {
        match read {
            Ok(Value::Object(fields)) => Ok(Self { file, line, fields }),
            Ok(other) => Err(FormatError::new(file, line, Problem::NotAnObject(kind(&other)))),
            Err(error) => Err(FormatError::new(file, line, Problem::Json(error.to_string()))),
        }
    }

    /// Every row of a text.
    ///
    /// # Errors
    /// The first that is no JSON object.
    pub(crate) fn all(file: &'a str, text: &str) -> Result<Vec<(usize, Self)>, FormatError> {
        let parse = |row: std::io::Result<RowText>| {
            let row = row.map_err(|e| FormatError::new(file, None, Problem::Unreadable(e.to_string())))?;
            Ok((row.line, Self::parse(file, row.line, &row.json)?))
        };
        Rows::new(text.as_bytes()).map(parse).collect()
    }

    pub(crate) fn from_map(file: &'a str, line: usize, fields: Map<String, Value>) -> Self {
        Self { file, line, fields }
    }

    pub(crate) fn error(&self, problem: impl Into<Problem>) -> FormatError {
        FormatError::new(self.file, self.line, problem)
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The names of the fields that nobody took yet.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    pub(crate) fn take(&mut self, field: &'static str) -> Option<Value> {
        // `shift_remove` keeps the order of what is left.
        self.fields.shift_remove(field)
    }

    pub(crate) fn wrong(&self, field: &str, expected: &'static str, found: &Value) -> FormatError {
        self.error(Problem::Type { field: field.to_owned(), expected, found: kind(found).to_owned() })
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Result<String, FormatError> {
        self.optional_string(field)?.ok_or_else(|| self.error(Problem::Missing(field)))
    }

    /// `null` counts as absent.
    pub(crate) fn optional_string(&mut self, field: &'static str) -> Result<Option<String>, FormatError> {
        match self.take(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, "a string", &other)),
        }
    }

    pub(crate) fn integer(&mut self, field: &'static str) -> Result<u64, FormatError> {
        match self.take(field) {
            None => Err(self.error(Problem::Missing(field))),
            Some(value) => value.as_u64().ok_or_else(|| self.wrong(field, "a whole number", &value)),
        }
    }

    /// `null` counts as absent.
    pub(crate) fn optional_integer(&mut self, field: &'static str) -> Result<Option<u64>, FormatError> {
        match self.take(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| self.wrong(field, "a whole number", &value))
            }
        }
    }

    /// A number, where there is one.
    pub(crate) fn number(&mut self, field: &'static str) -> Option<f64> {
        self.take(field)?.as_f64()
    }

    /// A field that is a row of its own.
    pub(crate) fn object(&mut self, field: &'static str) -> Result<Self, FormatError> {
        match self.take(field) {
            None => Err(self.error(Problem::Missing(field))),
            Some(Value::Object(fields)) => Ok(Self { file: self.file, line: self.line, fields }),
            Some(other) => Err(self.wrong(field, "an object", &other)),
        }
    }

    /// Whatever stands there by name; nothing where it is absent.
    pub(crate) fn map(&mut self, field: &'static str) -> Map<String, Value> {
        match self.take(field) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// A word that this version does not know.
    pub(crate) fn unknown(&self, field: &str, found: &str) -> FormatError {
        let (field, found) = (field.to_owned(), format!("`{found}`"));
        self.error(Problem::Type { field, expected: "a known word", found })
    }

    pub(crate) fn boolean(&mut self, field: &'static str) -> Result<bool, FormatError> {
        match self.take(field) {
            None => Err(self.error(Problem::Missing(field))),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(field, "true or false", &value)),
        }
    }

    pub(crate) fn strings<L: FromIterator<String>>(
        &mut self,
        field: &'static str,
        value: Value,
    ) -> Result<L, FormatError> {
        let Value::Array(items) = value else { return Err(self.wrong(field, "a list of strings", &value)) };
        items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                other => Err(self.wrong(field, "a list of strings", &other)),
            })
            .collect()
    }

    /// All fields, where several together say something.
    pub(crate) fn take_all(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.fields)
    }

    /// The fields nobody took.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.fields
    }
}

/// The known name nearest to `field`, if it is near: at most two edits, or a
/// known name and more (`attempt_id`).
pub(crate) fn closest(field: &str, known: &[&'static str]) -> Option<&'static str> {
    let longer =
        |known: &&&'static str| field.strip_prefix(**known).is_some_and(|rest| rest.starts_with('_'));
    known
        .iter()
        .map(|k| (edits(&field.to_lowercase(), &k.to_lowercase()), *k))
        .filter(|(d, _)| *d <= 2)
        .min()
        .map(|(_, k)| k)
        .or_else(|| known.iter().find(longer).copied())
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let best = (corner + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[b.len()]
}
