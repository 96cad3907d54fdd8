//! Whether columns hold a row already. Nearly every row tells nothing new, so
//! that it is asked first, without making anything of the row.

use arrow_schema::DataType;
use serde_json::Value;

use super::schema::{Columns, Kind};
use crate::dataset::columns::{Cell, Row};
use crate::dataset::row_text::{Content, RowText};

impl Columns {
    /// Whether [`Self::note`] would learn nothing of this row. A row of text,
    /// and one that only its JSON can tell of, is not held.
    #[must_use]
    pub fn hold(&self, row: &RowText) -> bool {
        let Content::Columns(batch, at) = &row.content else { return false };
        let row = Row { batch, at: *at };
        row.cells().enumerate().all(|(at, (name, cell))| {
            let kind = self.place(name, at).and_then(|place| self.kind(place));
            kind.is_some_and(|kind| kind.holds_cell(&cell))
        })
    }
}

impl Kind {
    /// Whether this kind stays as it is when it holds this value, too.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null)
            | (Self::Mixed, _)
            | (Self::Bool, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::Text, Value::String(_)) => true,
            (Self::Integer, Value::Number(number)) => number.is_i64(),
            (Self::List(item), Value::Array(list)) => list.iter().all(|value| item.holds(value)),
            (Self::Record(fields), Value::Object(map)) => {
                map.iter().all(|(name, value)| fields.get(name).is_some_and(|kind| kind.holds(value)))
            }
            _ => false,
        }
    }

    /// The same of the JSON that a cell is, where that is plain to see.
    fn holds_cell(&self, cell: &Cell<'_>) -> bool {
        match (self, cell) {
            (_, Cell::Null)
            | (Self::Mixed, _)
            | (Self::Bool, Cell::Bool(_))
            | (Self::Integer, Cell::Signed(_))
            | (
                Self::Number,
                Cell::Signed(_)
                | Cell::Unsigned(_)
                | Cell::Half(_)
                | Cell::Single(_)
                | Cell::Double(_)
                | Cell::Decimal(_),
            )
            | (Self::Text, Cell::Text(_) | Cell::Bytes(_) | Cell::Time(_)) => true,
            (Self::List(item), Cell::List(items, range)) => {
                let are_texts = **item == Self::Text && *items.data_type() == DataType::Utf8;
                are_texts || range.clone().all(|at| item.holds_cell(&Cell::at(*items, at)))
            }
            (Self::Record(fields), Cell::Record(named, columns, at)) => {
                named.iter().zip(*columns).all(|(field, column)| {
                    fields.get(field.name()).is_some_and(|kind| kind.holds_cell(&Cell::at(column, *at)))
                })
            }
            _ => false,
        }
    }
}
