//! Single values of columns, whatever their type, and how they are JSON.

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ListLikeArray, MapArray, RecordBatch, downcast_dictionary_array, downcast_run_array,
};
use arrow_buffer::ArrowNativeType as _;
use arrow_schema::{DataType, Fields, UnionMode};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Number, Value};

use super::times;

/// One row of a batch: an object.
pub(in crate::dataset) struct Row<'a> {
    pub(in crate::dataset) batch: &'a RecordBatch,
    pub(in crate::dataset) at: usize,
}

impl Row<'_> {
    /// The row's fields, in order.
    pub(in crate::dataset) fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // Names are texts and numbers are finite, so that nothing fails.
            _ => Map::new(),
        }
    }

    /// The row's values by name, in order.
    pub(in crate::dataset) fn cells(&self) -> impl Iterator<Item = (&str, Cell<'_>)> {
        let columns = self.batch.schema_ref().fields().iter().zip(self.batch.columns());
        columns.map(|(field, column)| (field.name().as_str(), Cell::at(column, self.at)))
    }

    /// The same as JSON.
    pub(in crate::dataset) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { batch, at } = *self;
        Cell::Record(batch.schema_ref().fields(), batch.columns(), at).serialize(serializer)
    }
}

/// One value of a column.
pub(in crate::dataset) enum Cell<'a> {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Half(f32),
    Single(f32),
    Double(f64),
    /// All digits of a decimal number.
    Decimal(String),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// A time, a date, a length of time.
    Time(String),
    List(&'a dyn Array, Range<usize>),
    Record(&'a Fields, &'a [ArrayRef], usize),
    Map(&'a MapArray, Range<usize>),
    /// One of several things, by its name.
    Variant(&'a str, &'a dyn Array, usize),
}

impl<'a> Cell<'a> {
    /// The value at a place of a column.
    pub(in crate::dataset) fn at(array: &'a dyn Array, at: usize) -> Self {
        if array.is_null(at) { Self::Null } else { Self::present(array, at) }
    }

    /// A value that is known to be there.
    fn present(array: &'a dyn Array, at: usize) -> Self {
        macro_rules! number {
            ($kind:ident, $type:ty) => {
                Self::$kind(array.as_primitive::<$type>().value(at).into())
            };
        }
        macro_rules! decimal {
            ($type:ty) => {
                Self::Decimal(array.as_primitive::<$type>().value_as_string(at))
            };
        }
        match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().value(at)),
            DataType::Int8 => number!(Signed, Int8Type),
            DataType::Int16 => number!(Signed, Int16Type),
            DataType::Int32 => number!(Signed, Int32Type),
            DataType::Int64 => number!(Signed, Int64Type),
            DataType::UInt8 => number!(Unsigned, UInt8Type),
            DataType::UInt16 => number!(Unsigned, UInt16Type),
            DataType::UInt32 => number!(Unsigned, UInt32Type),
            DataType::UInt64 => number!(Unsigned, UInt64Type),
            DataType::Float16 => number!(Half, Float16Type),
            DataType::Float32 => number!(Single, Float32Type),
            DataType::Float64 => number!(Double, Float64Type),
            DataType::Decimal32(..) => decimal!(Decimal32Type),
            DataType::Decimal64(..) => decimal!(Decimal64Type),
            DataType::Decimal128(..) => decimal!(Decimal128Type),
            DataType::Decimal256(..) => decimal!(Decimal256Type),
            DataType::Utf8 => Self::Text(array.as_string::<i32>().value(at)),
            DataType::LargeUtf8 => Self::Text(array.as_string::<i64>().value(at)),
            DataType::Utf8View => Self::Text(array.as_string_view().value(at)),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>().value(at)),
            DataType::LargeBinary => Self::Bytes(array.as_binary::<i64>().value(at)),
            DataType::BinaryView => Self::Bytes(array.as_binary_view().value(at)),
            DataType::FixedSizeBinary(_) => Self::Bytes(array.as_fixed_size_binary().value(at)),
            DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Duration(_)
            | DataType::Interval(_) => Self::Time(times::said(array, at)),
            DataType::List(_) => Self::list(array.as_list::<i32>(), at),
            DataType::LargeList(_) => Self::list(array.as_list::<i64>(), at),
            DataType::ListView(_) => Self::list(array.as_list_view::<i32>(), at),
            DataType::LargeListView(_) => Self::list(array.as_list_view::<i64>(), at),
            DataType::FixedSizeList(..) => Self::list(array.as_fixed_size_list(), at),
            DataType::Struct(fields) => Self::Record(fields, array.as_struct().columns(), at),
            DataType::Map(..) => {
                let map = array.as_map();
                let end = |at: usize| map.value_offsets()[at].as_usize();
                Self::Map(map, end(at)..end(at + 1))
            }
            DataType::Dictionary(..) => downcast_dictionary_array! {
                array => Self::present(array.values(), array.keys().value(at).as_usize()),
                _ => Self::Null
            },
            DataType::RunEndEncoded(..) => downcast_run_array! {
                array => Self::at(array.values(), array.get_physical_index(at)),
                _ => Self::Null
            },
            DataType::Union(fields, mode) => {
                let union = array.as_union();
                let id = union.type_id(at);
                let at = if *mode == UnionMode::Dense { union.value_offset(at) } else { at };
                let name =
                    fields.iter().find(|(other, _)| *other == id).map_or("", |(_, field)| field.name());
                Self::Variant(name, union.child(id), at)
            }
        }
    }

    /// Whether another cell is the same as JSON, where that is plain to see.
    pub(in crate::dataset) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(own), Self::Bool(other)) => own == other,
            (Self::Signed(own), Self::Signed(other)) => own == other,
            (Self::Unsigned(own), Self::Unsigned(other)) => own == other,
            (Self::Double(own), Self::Double(other)) => own.to_bits() == other.to_bits(),
            (Self::Text(own), Self::Text(other)) => own == other,
            (Self::List(own, range), Self::List(other, others)) => {
                range.len() == others.len()
                    && range
                        .clone()
                        .zip(others.clone())
                        .all(|(at, there)| Self::at(*own, at).is_same(&Cell::at(*other, there)))
            }
            (Self::Record(fields, columns, at), Self::Record(others, there, other)) => {
                let names = |fields: &'a Fields| fields.iter().map(|field| field.name());
                names(fields).eq(names(others))
                    && columns
                        .iter()
                        .zip(*there)
                        .all(|(own, there)| Self::at(own, *at).is_same(&Cell::at(there, *other)))
            }
            _ => false,
        }
    }

    fn list(lists: &'a impl ListLikeArray, at: usize) -> Self {
        Self::List(lists.values(), lists.element_range(at))
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Half(number) | Self::Single(number) => short_float(*number).serialize(serializer),
            Self::Double(number) => float(*number).serialize(serializer),
            Self::Decimal(digits) => number(digits).serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Time(text) => serializer.serialize_str(text),
            Self::List(items, range) => serializer.collect_seq(range.clone().map(|at| Cell::at(*items, at))),
            Self::Record(fields, columns, at) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                for (field, column) in fields.iter().zip(*columns) {
                    object.serialize_entry(field.name(), &Cell::at(column, *at))?;
                }
                object.end()
            }
            Self::Map(map, range) if has_text_keys(map) => {
                let mut object = serializer.serialize_map(Some(range.len()))?;
                for at in range.clone() {
                    object.serialize_entry(&Cell::at(map.keys(), at), &Cell::at(map.values(), at))?;
                }
                object.end()
            }
            Self::Variant(_, array, at) if array.is_null(*at) => serializer.serialize_unit(),
            // JSON has nothing for these. Such a column, which is mostly one
            // that nobody needs, must not cost its rows.
            Self::Bytes(_) | Self::Map(..) | Self::Variant(..) => serializer.collect_str(self),
        }
    }
}

fn has_text_keys(map: &MapArray) -> bool {
    // A key that is none is no text.
    matches!(map.key_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        && map.keys().null_count() == 0
}

/// A number as it is read where it stands in a text, `null` where it is none.
fn float(value: f64) -> Option<Number> {
    if value.is_finite() { number_of(&format!("{value:e}")) } else { None }
}

/// The same of one with fewer digits, of which there are as few as tell it from
/// its neighbours. What is halfway to the one before tells nothing.
fn short_float(value: f32) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    let (size, before) = (f64::from(value.abs()), f64::from(value.abs().next_down()));
    let tells = |text: &String| {
        text.parse::<f64>()
            .is_ok_and(|named| named.abs() >= size || size - named.abs() < named.abs() - before)
    };
    let text = format!("{value:e}");
    let digits = text.split('e').next()?.bytes().filter(u8::is_ascii_digit).count();
    let longer = (digits..=9).map(|places| format!("{value:.places$e}"));
    number_of(&std::iter::once(text).chain(longer).find(tells)?)
}

/// A number from its digits and exponent, which is none of a whole number.
fn number_of(text: &str) -> Option<Number> {
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => number(&format!("{digits}.0e{exponent}")),
        _ => number(text),
    }
}

/// As few digits of a finite number as tell it from its neighbours.
pub(super) fn shortest(number: &impl Serialize) -> String {
    serde_json::to_string(number).unwrap_or_default().replace("e+", "e")
}

/// A number from its text, by the same rules as every other row's.
fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text).ok()
}
