//! Flags with a closed list of values: clap refuses others, completes them, and gives
//! what they mean.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A value by its name; `named` knows every one of `names`.
pub(super) fn choice<T: Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item: Into<PossibleValue>>,
    named: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(move |word| named(&word).ok_or("no such value"))
}

/// Names, each with what `--help` says of it.
pub(super) fn explained<const N: usize>(names: [(&'static str, &'static str); N]) -> [PossibleValue; N] {
    names.map(|(name, meaning)| PossibleValue::new(name).help(meaning))
}
