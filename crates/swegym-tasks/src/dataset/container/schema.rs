//! The types of columns, found by looking at every row once.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use indexmap::IndexMap;
use serde_json::{Map, Value};

/// An object with more keys than this is a map, not a record: its keys would
/// each become a column. It is written as JSON text.
const MOST_KEYS: usize = 64;

/// What a column holds in all rows so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Kind {
    /// Only nulls.
    #[default]
    Unknown,
    Bool,
    Integer,
    Number,
    Text,
    List(Box<Self>),
    Record(IndexMap<String, Self>),
    /// Different things in different rows: JSON text.
    Mixed,
}

/// The columns of rows that were looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Columns {
    kinds: IndexMap<String, Kind>,
}

impl Columns {
    /// Looks at one more row; whether it told anything new.
    pub fn note(&mut self, row: &Map<String, Value>) -> bool {
        let mut is_new = false;
        for (at, (name, value)) in row.iter().enumerate() {
            let place = self.place(name, at);
            match place.and_then(|place| self.kinds.get_index_mut(place)) {
                Some((_, kind)) if kind.holds(value) => continue,
                Some((_, kind)) => *kind = std::mem::take(kind).with(value),
                None => drop(self.kinds.insert(name.clone(), Kind::default().with(value))),
            }
            is_new = true;
        }
        is_new
    }

    /// Columns that are written as JSON text, because their rows do not agree
    /// on a type or are maps.
    pub fn as_text(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().filter(|(_, kind)| kind.has_mixed()).map(|(name, _)| name.as_str())
    }

    pub(super) fn schema(&self) -> SchemaRef {
        let fields: Vec<_> = self.kinds.iter().map(|(name, kind)| kind.field(name)).collect();
        Arc::new(Schema::new(fields))
    }

    /// Which column has a name. Rows mostly have their fields in the columns'
    /// order, so that the place that is likely is looked at first.
    pub(super) fn place(&self, name: &str, likely: usize) -> Option<usize> {
        match self.kinds.get_index(likely) {
            Some((there, _)) if there == name => Some(likely),
            _ => self.kinds.get_index_of(name),
        }
    }

    pub(super) fn kind(&self, place: usize) -> Option<&Kind> {
        self.kinds.get_index(place).map(|(_, kind)| kind)
    }

    /// The columns and what they hold, in order.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&String, &Kind)> {
        self.kinds.iter()
    }
}

impl Kind {
    /// The kind that holds this value too.
    fn with(self, value: &Value) -> Self {
        match (self, value) {
            (kind, Value::Null) => kind,
            (Self::Unknown | Self::Bool, Value::Bool(_)) => Self::Bool,
            (Self::Unknown | Self::Integer, Value::Number(n)) if n.is_i64() => Self::Integer,
            (Self::Unknown | Self::Integer | Self::Number, Value::Number(_)) => Self::Number,
            (Self::Unknown | Self::Text, Value::String(_)) => Self::Text,
            (Self::Unknown, Value::Array(list)) => Self::List(Box::new(Self::Unknown)).with_items(list),
            (kind @ Self::List(_), Value::Array(list)) => kind.with_items(list),
            (Self::Unknown, Value::Object(map)) => Self::Record(IndexMap::new()).with_fields(map),
            (kind @ Self::Record(_), Value::Object(map)) => kind.with_fields(map),
            _ => Self::Mixed,
        }
    }

    fn with_items(self, list: &[Value]) -> Self {
        match self {
            Self::List(item) => match list.iter().fold(*item, Self::with) {
                Self::Mixed => Self::Mixed,
                item => Self::List(Box::new(item)),
            },
            other => other,
        }
    }

    fn with_fields(self, map: &Map<String, Value>) -> Self {
        let Self::Record(mut fields) = self else { return self };
        for (name, value) in map {
            match fields.get_mut(name) {
                Some(kind) => *kind = std::mem::take(kind).with(value),
                None => drop(fields.insert(name.clone(), Self::default().with(value))),
            }
        }
        if fields.len() > MOST_KEYS { Self::Mixed } else { Self::Record(fields) }
    }

    fn has_mixed(&self) -> bool {
        match self {
            Self::Mixed => true,
            Self::List(item) => item.has_mixed(),
            Self::Record(fields) => fields.values().any(Self::has_mixed),
            _ => false,
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Unknown | Self::Text | Self::Mixed => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            // The name that the `datasets` library and pyarrow give to items.
            Self::List(item) => DataType::List(Arc::new(item.field("item"))),
            // Parquet has no record without fields.
            Self::Record(fields) if fields.is_empty() => DataType::Utf8,
            Self::Record(fields) => {
                DataType::Struct(fields.iter().map(|(name, kind)| kind.field(name)).collect::<Fields>())
            }
        }
    }

    pub(super) fn field(&self, name: &str) -> Field {
        Field::new(name, self.data_type(), true)
    }
}
