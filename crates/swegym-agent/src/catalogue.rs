//! What agents tell models, as templates (`messages.toml`) that a user's file
//! can replace one by one.

use std::collections::HashMap;

use minijinja::{Environment, Value};

const DEFAULTS: &str = include_str!("../prompts/messages.toml");

/// Texts by key.
#[derive(Debug)]
pub struct Catalogue {
    templates: Environment<'static>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::of(&[]).unwrap_or_else(|why| unreachable!("our own texts parse: {why}"))
    }
}

fn table(text: &str) -> Result<HashMap<String, String>, String> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.message().to_owned())?;
    let entry = |(key, value): (String, toml::Value)| match value {
        toml::Value::String(text) => Ok((key, text)),
        _ => Err(format!("`{key}` must be a string")),
    };
    table.into_iter().map(entry).collect()
}

impl Catalogue {
    /// Our texts, but for those that a later file (TOML) has.
    ///
    /// # Errors
    /// In words: no TOML, an unknown key, or a template that does not parse.
    pub fn of(files: &[&str]) -> Result<Self, String> {
        let mut texts = table(DEFAULTS)?;
        for file in files {
            for (key, text) in table(file)? {
                if texts.insert(key.clone(), text).is_none() {
                    return Err(format!("there is no message `{key}`"));
                }
            }
        }
        let mut templates = Environment::new();
        templates.set_keep_trailing_newline(true);
        for (key, text) in texts {
            templates.add_template_owned(key.clone(), text).map_err(|e| format!("`{key}`: {e:#}"))?;
        }
        Ok(Self { templates })
    }

    /// One text with its blanks filled.
    #[must_use]
    pub fn say<'a>(&self, key: &str, blanks: impl IntoIterator<Item = (&'a str, Value)>) -> String {
        let blanks: Value = blanks.into_iter().collect();
        // A user's template that fails still has to say something to the model.
        let rendered = self.templates.get_template(key).and_then(|t| t.render(blanks));
        rendered.unwrap_or_else(|error| format!("[{key}: {error}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_can_be_replaced_one_by_one() {
        let ours = Catalogue::default();
        assert!(ours.say("unknown_tool", [("tool", "x".into()), ("known", "a, b".into())]).contains("a, b"));
        let theirs = Catalogue::of(&["unknown_tool = \"no {{ tool }}\""]).unwrap();
        assert_eq!(theirs.say("unknown_tool", [("tool", "{{x}}".into())]), "no {{x}}");
        assert_eq!(Catalogue::of(&["other = \"\""]).unwrap_err(), "there is no message `other`");
        assert!(Catalogue::of(&["cut = \"{{ x\""]).unwrap_err().starts_with("`cut`"));
    }
}
