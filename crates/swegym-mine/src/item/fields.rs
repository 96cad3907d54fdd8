//! Fields of an object of the API, with errors that name them.

use jiff::Timestamp;
use serde_json::{Map, Value};
use swegym_core::format::{Problem, kind};

use crate::cut::cut;

/// Longer texts are cut, in bytes: the host takes 65,536 characters.
const LONGEST_TEXT: usize = 262_144;

/// The fields of one object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    /// The number of an issue or a pull request.
    pub(super) fn number(self, name: &'static str) -> Result<u32, Problem> {
        let value = self.0.get(name).ok_or(Problem::Missing(name))?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number > 0).ok_or_else(|| wrong(name, "a number from 1", value))
    }

    /// A text; where there is none, an empty one.
    pub(super) fn text(self, name: &'static str) -> Result<String, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(cut(text, LONGEST_TEXT).to_owned()),
            Some(other) => Err(wrong(name, "a text or null", other)),
        }
    }

    /// A text that has to be there.
    pub(super) fn required_text(self, name: &'static str) -> Result<String, Problem> {
        if self.0.contains_key(name) { self.text(name) } else { Err(Problem::Missing(name)) }
    }

    /// A time, by whichever of these names it goes.
    pub(super) fn time(self, names: &[&'static str]) -> Result<Option<Timestamp>, Problem> {
        let found = names.iter().find_map(|name| Some((*name, self.0.get(*name)?)));
        let Some((name, value)) = found.filter(|(_, value)| !value.is_null()) else { return Ok(None) };
        let time = value.as_str().and_then(|text| text.parse().ok());
        time.map(Some).ok_or_else(|| wrong(name, "a time such as 2020-01-31T12:00:00Z", value))
    }
}

/// An object that has to be one.
pub(super) fn object<'a>(name: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Problem> {
    value.as_object().ok_or_else(|| wrong(name, "a list of objects", value))
}

/// A field that holds something else than it should.
pub(super) fn wrong(field: &str, expected: &'static str, found: &Value) -> Problem {
    Problem::Type { field: field.to_owned(), expected, found: kind(found).to_owned() }
}
