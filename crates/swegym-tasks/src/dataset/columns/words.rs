//! Values in words, for what JSON has nothing for.

use std::fmt::{self, Display, Formatter};

use super::cells::{Cell, shortest};

impl Display for Cell<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(truth) => truth.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Unsigned(number) => number.fmt(f),
            Self::Half(number) => number.fmt(f),
            Self::Single(number) if number.is_finite() => f.write_str(&shortest(number)),
            Self::Single(number) => number.fmt(f),
            Self::Double(number) if number.is_finite() => f.write_str(&shortest(number)),
            Self::Double(number) => number.fmt(f),
            Self::Decimal(text) | Self::Time(text) => f.write_str(text),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::List(items, range) => {
                f.write_str("[")?;
                for (comma, at) in commas().zip(range.clone()) {
                    write!(f, "{comma}{}", Cell::at(*items, at))?;
                }
                f.write_str("]")
            }
            Self::Record(fields, columns, at) => {
                f.write_str("{")?;
                for (comma, (field, column)) in commas().zip(fields.iter().zip(*columns)) {
                    write!(f, "{comma}{}: {}", field.name(), Cell::at(column, *at))?;
                }
                f.write_str("}")
            }
            Self::Map(map, range) => {
                f.write_str("{")?;
                for (comma, at) in commas().zip(range.clone()) {
                    write!(f, "{comma}{}: {}", Cell::at(map.keys(), at), Cell::at(map.values(), at))?;
                }
                f.write_str("}")
            }
            Self::Variant(name, array, at) => write!(f, "{{{name}={}}}", Cell::at(*array, *at)),
        }
    }
}

/// What stands before each of several things.
fn commas() -> impl Iterator<Item = &'static str> {
    std::iter::once("").chain(std::iter::repeat(", "))
}
