//! Flags with a closed list of values: clap refuses others, completes them, and gives
//! what they mean.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A value by its name; `named` knows every one of `names`.
pub(super) fn choice<T: Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item = &'static str>,
    named: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(move |word| named(&word).ok_or("no such value"))
}
