//! Times, dates and lengths of time in words, as Arrow's own tools say them.

use std::fmt::{Debug, Display};

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_array::temporal_conversions::{
    as_datetime, as_datetime_with_timezone, date32_to_datetime, date64_to_datetime, duration_ns_to_duration,
    duration_us_to_duration, time32ms_to_time, time32s_to_time, time64ns_to_time, time64us_to_time,
    try_duration_ms_to_duration, try_duration_s_to_duration,
};
use arrow_array::timezone::Tz;
use arrow_array::types::{
    ArrowTimestampType, Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, IntervalDayTimeType, IntervalMonthDayNanoType,
    IntervalYearMonthType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_schema::{ArrowError, DataType, IntervalUnit, TimeUnit};

/// Where time zones go by no name.
const UTC: &str = "+00:00";

/// The value of a column of times. One that is none says so.
pub(super) fn said(array: &dyn Array, at: usize) -> String {
    macro_rules! value {
        ($type:ty) => {
            array.as_primitive::<$type>().value(at)
        };
    }
    match array.data_type() {
        DataType::Date32 => {
            let date = |days| Some(date32_to_datetime(days)?.date());
            temporal(array, value!(Date32Type), date)
        }
        DataType::Date64 => temporal(array, value!(Date64Type), date64_to_datetime),
        DataType::Time32(TimeUnit::Second) => temporal(array, value!(Time32SecondType), time32s_to_time),
        DataType::Time32(_) => temporal(array, value!(Time32MillisecondType), time32ms_to_time),
        DataType::Time64(TimeUnit::Microsecond) => {
            temporal(array, value!(Time64MicrosecondType), time64us_to_time)
        }
        DataType::Time64(_) => temporal(array, value!(Time64NanosecondType), time64ns_to_time),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref();
            match unit {
                TimeUnit::Second => moment::<TimestampSecondType>(array, at, zone),
                TimeUnit::Millisecond => moment::<TimestampMillisecondType>(array, at, zone),
                TimeUnit::Microsecond => moment::<TimestampMicrosecondType>(array, at, zone),
                TimeUnit::Nanosecond => moment::<TimestampNanosecondType>(array, at, zone),
            }
        }
        DataType::Duration(TimeUnit::Second) => {
            duration(try_duration_s_to_duration(value!(DurationSecondType)))
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            duration(try_duration_ms_to_duration(value!(DurationMillisecondType)))
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            duration(Some(duration_us_to_duration(value!(DurationMicrosecondType))))
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            duration(Some(duration_ns_to_duration(value!(DurationNanosecondType))))
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let months = value!(IntervalYearMonthType);
            format!("{} years {} mons", months.div_euclid(12), months.rem_euclid(12))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let length = value!(IntervalDayTimeType);
            interval(0, length.days, length.milliseconds.into(), 1_000)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let length = value!(IntervalMonthDayNanoType);
            interval(length.months, length.days, length.nanoseconds, 1_000_000_000)
        }
        _ => String::new(),
    }
}

fn temporal<V: Copy + Display, T: Debug>(
    array: &dyn Array,
    value: V,
    read: impl Fn(V) -> Option<T>,
) -> String {
    match read(value) {
        Some(time) => format!("{time:?}"),
        None => failed(value, "temporal", array.data_type()),
    }
}

/// A moment in its zone. One whose name only a table of zones can explain is
/// in UTC, as all moments are kept.
fn moment<T: ArrowTimestampType>(array: &dyn Array, at: usize, zone: Option<&str>) -> String {
    let value = array.as_primitive::<T>().value(at);
    let Some(zone) = zone else {
        return match as_datetime::<T>(value) {
            Some(time) => format!("{time:?}"),
            None => failed(value, "datetime", array.data_type()),
        };
    };
    let (zone, name) = match zone.parse::<Tz>() {
        Ok(known) => (Some(known), zone),
        Err(_) => (UTC.parse().ok(), UTC),
    };
    let Some(time) = zone.and_then(|zone| as_datetime_with_timezone::<T>(value, zone)) else {
        return failed(value, "datetime", &DataType::Timestamp(T::UNIT, Some(name.into())));
    };
    let text = time.to_rfc3339();
    match text.strip_suffix(UTC) {
        Some(time) => format!("{time}Z"),
        None => text,
    }
}

fn duration(length: Option<impl Display>) -> String {
    length.map_or("<invalid>".to_owned(), |length| length.to_string())
}

/// Months, days and the rest, whose unit there is so often in a second.
fn interval(months: i32, days: i32, rest: i64, unit: i64) -> String {
    let seconds = rest / unit;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let (seconds, fraction) = ((seconds % 60).abs(), (rest % unit).abs());
    let digits = unit.ilog10() as usize;
    let sign = if rest < 0 { "-" } else { "" };
    let parts = [
        (months != 0).then(|| format!("{months} mons")),
        (days != 0).then(|| format!("{days} days")),
        (hours != 0).then(|| format!("{hours} hours")),
        (minutes != 0).then(|| format!("{minutes} mins")),
        (seconds != 0 || fraction != 0).then(|| format!("{sign}{seconds}.{fraction:0digits$} secs")),
    ];
    let said: Vec<_> = parts.into_iter().flatten().collect();
    if said.is_empty() { "0 secs".to_owned() } else { said.join(" ") }
}

fn failed(value: impl Display, what: &str, from: &DataType) -> String {
    let why = ArrowError::CastError(format!("Failed to convert {value} to {what} for {from}"));
    format!("ERROR: {why}")
}
