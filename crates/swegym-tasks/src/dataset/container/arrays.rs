//! Columns of rows, from the values of the rows.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, SchemaRef};
use serde_json::{Map, Value};

use super::schema::{Columns, Kind};

/// What stands where a row has no such field.
static NONE: Value = Value::Null;

impl Columns {
    /// Rows as columns of the schema. Fields that have no column are left out.
    ///
    /// # Errors
    /// When a value is of another kind than its column.
    pub(super) fn batch(
        &self,
        schema: &SchemaRef,
        rows: &[Map<String, Value>],
    ) -> Result<RecordBatch, ArrowError> {
        let mut values: Vec<_> = self.kinds().map(|_| vec![&NONE; rows.len()]).collect();
        for (number, row) in rows.iter().enumerate() {
            for (at, (name, value)) in row.iter().enumerate() {
                if let Some(column) = self.place(name, at).and_then(|place| values.get_mut(place)) {
                    column[number] = value;
                }
            }
        }
        let column = |((name, kind), values): ((&String, &Kind), Vec<&Value>)| {
            kind.array(&values).map_err(|why| why.in_column(name))
        };
        let columns = self.kinds().zip(values).map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options)
    }
}

/// Why values are no column.
enum Misfit {
    Value(String),
    /// More text than a column holds at once, in bytes.
    Long(usize),
}

impl Misfit {
    fn of(value: &Value) -> Self {
        Self::Value(value.to_string().chars().take(60).collect())
    }

    fn in_column(self, name: &str) -> ArrowError {
        match self {
            Self::Value(value) => {
                ArrowError::JsonError(format!("`{value}` is of another kind than the column `{name}`"))
            }
            Self::Long(bytes) => ArrowError::OffsetOverflowError(bytes),
        }
    }
}

impl Kind {
    fn array(&self, values: &[&Value]) -> Result<ArrayRef, Misfit> {
        /// Appends each value to a builder, which a closure gets it for.
        macro_rules! primitive {
            ($builder:ident, $get:ident) => {{
                let mut builder = $builder::with_capacity(values.len());
                for value in values {
                    match value {
                        Value::Null => builder.append_null(),
                        value => builder.append_value(value.$get().ok_or_else(|| Misfit::of(value))?),
                    }
                }
                Arc::new(builder.finish())
            }};
        }
        Ok(match self {
            Self::Bool => primitive!(BooleanBuilder, as_bool),
            Self::Integer => primitive!(Int64Builder, as_i64),
            Self::Number => primitive!(Float64Builder, as_f64),
            Self::Unknown | Self::Text | Self::Mixed => self.texts(values)?,
            Self::Record(fields) if fields.is_empty() => self.texts(values)?,
            Self::List(item) => lists(item, values)?,
            Self::Record(fields) => {
                let nulls = nulls(values, Value::is_object)?;
                let column = |(name, kind): (&String, &Self)| {
                    let values: Vec<_> =
                        values.iter().map(|value| value.get(name).unwrap_or(&NONE)).collect();
                    Ok((Arc::new(kind.field(name)), kind.array(&values)?))
                };
                let (fields, columns): (Vec<_>, Vec<_>) =
                    fields.iter().map(column).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                Arc::new(StructArray::new(fields.into(), columns, nulls))
            }
        })
    }

    fn texts(&self, values: &[&Value]) -> Result<ArrayRef, Misfit> {
        let texts: Vec<_> = values.iter().map(|value| self.text(value)).collect::<Result<_, _>>()?;
        let length = texts.iter().flatten().map(|text| text.len()).sum();
        if i32::try_from(length).is_err() {
            return Err(Misfit::Long(length));
        }
        let mut builder = StringBuilder::with_capacity(texts.len(), length);
        builder.extend(texts);
        Ok(Arc::new(builder.finish()))
    }

    fn text<'v>(&self, value: &'v Value) -> Result<Option<Cow<'v, str>>, Misfit> {
        match (self, value) {
            (_, Value::Null) => Ok(None),
            (Self::Mixed | Self::Text | Self::Unknown, Value::String(text)) => Ok(Some(text.into())),
            (Self::Mixed, _) | (Self::Record(_), Value::Object(_)) => Ok(Some(value.to_string().into())),
            _ => Err(Misfit::of(value)),
        }
    }
}

fn lists(item: &Kind, values: &[&Value]) -> Result<ArrayRef, Misfit> {
    let nulls = nulls(values, Value::is_array)?;
    let items = |value: &&Value| value.as_array().map_or(0, Vec::len);
    let length = values.iter().map(items).sum();
    if i32::try_from(length).is_err() {
        return Err(Misfit::Long(length));
    }
    let offsets = OffsetBuffer::from_lengths(values.iter().map(items));
    let all: Vec<_> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    let field = Arc::new(item.field("item"));
    Ok(Arc::new(ListArray::new(field, offsets, item.array(&all)?, nulls)))
}

/// Which values are there; others must be null.
fn nulls(values: &[&Value], belongs: impl Fn(&Value) -> bool) -> Result<Option<NullBuffer>, Misfit> {
    let mut nulls = NullBufferBuilder::new(values.len());
    for value in values {
        match value {
            Value::Null => nulls.append_null(),
            value if belongs(value) => nulls.append_non_null(),
            value => return Err(Misfit::of(value)),
        }
    }
    Ok(nulls.finish())
}
