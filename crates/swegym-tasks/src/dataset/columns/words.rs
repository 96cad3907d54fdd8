//! Columns of types that JSON has nothing for, in words: one such column, which
//! is mostly one that nobody needs, must not cost its rows.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::timezone::Tz;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use arrow_schema::{ArrowError, DataType, FieldRef, TimeUnit};
use serde_json::Value;

/// Where time zones go by no name.
const UTC: &str = "+00:00";

/// Encodes what the writer of JSON refuses.
#[derive(Debug)]
pub(super) struct InWords;

impl EncoderFactory for InWords {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let texts = match array.data_type() {
            DataType::Timestamp(unit, Some(zone)) if zone.parse::<Tz>().is_err() => {
                texts(&in_utc(array, *unit))?
            }
            DataType::Map(entries, _) if !has_text_keys(entries.data_type()) => texts(array)?,
            DataType::Union(..) => texts(array)?,
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(Box::new(Texts(texts)), array.logical_nulls())))
    }
}

/// The same moments without their zone, whose name only a table of zones can
/// explain: moments are kept in UTC whatever it is.
fn in_utc(array: &dyn Array, unit: TimeUnit) -> ArrayRef {
    match unit {
        TimeUnit::Second => Arc::new(array.as_primitive::<TimestampSecondType>().clone().with_timezone(UTC)),
        TimeUnit::Millisecond => {
            Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone(UTC))
        }
        TimeUnit::Microsecond => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(UTC))
        }
        TimeUnit::Nanosecond => {
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone(UTC))
        }
    }
}

fn has_text_keys(entries: &DataType) -> bool {
    let DataType::Struct(fields) = entries else { return false };
    let key = fields.first().map(|field| field.data_type());
    matches!(key, Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View))
}

/// Every value as it is shown to people; what cannot be shown says why.
fn texts(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::new().with_display_error(true);
    let shown = ArrayFormatter::try_new(array, &options)?;
    Ok((0..array.len()).map(|at| shown.value(at).to_string()).collect())
}

/// Values that are texts already.
struct Texts(Vec<String>);

impl Encoder for Texts {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) {
        let text = self.0.get(at).map(String::as_str).unwrap_or_default();
        out.extend_from_slice(Value::from(text).to_string().as_bytes());
    }
}
