//! Text to tokens and back: the `tokenizers` crate, with the files that stand
//! beside a model.

mod words;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_core::Hint;
use thiserror::Error;
use tokenizers::{DecoderWrapper, Tokenizer as Inner};

use crate::template::{Template, TemplateError};
use words::Words;

pub(crate) use words::QWEN2;

/// The files of a tokenizer, which go with a model wherever it is written.
const FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
];

/// The bytes of a text that a token stands for: from and to.
pub type Place = (usize, usize);

/// A model's tokenizer, its chat template and its special tokens.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
    /// Where the library need not see every word of a text.
    words: Option<Words>,
    /// How conversations become text, where the model has a way.
    pub template: Option<Template>,
    /// The file that the template is in.
    pub template_file: PathBuf,
    /// The token that ends what is said.
    pub end: Option<u32>,
    /// All tokens that end an answer: `generation_config.json` may name several.
    pub ends: Vec<u32>,
    /// Asked for every token and every request; the library would copy its
    /// whole vocabulary each time.
    special: HashSet<u32>,
    /// Whether a token is written as characters that stand for its bytes.
    pub(crate) is_of_bytes: bool,
    len: usize,
    files: Vec<(String, Vec<u8>)>,
}

/// Why a tokenizer cannot be used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is not what its name says.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A token that settings or the template name, and the vocabulary lacks.
    #[error("{}: the token `{token}` is not in the vocabulary", path.display())]
    Lacks {
        /// Who names it.
        path: PathBuf,
        /// The token.
        token: String,
    },
    /// The vocabulary does not fit the model.
    #[error("the tokenizer has {tokens} tokens, the model {rows}")]
    TooLarge {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the model's embedding.
        rows: usize,
    },
    /// The chat template cannot be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The library refuses a text.
    #[error("cannot tokenise: {0}")]
    Encode(String),
}

impl Hint for TokenizerError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("the model and its tokenizer files must belong together".into())
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder.
    ///
    /// # Errors
    /// A file is missing or malformed, or names a token that does not exist.
    pub fn read(folder: &Path) -> Result<Self, TokenizerError> {
        let mut files = Vec::new();
        for name in FILES {
            let path = folder.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => files.push((name.to_owned(), bytes)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && name != FILES[0] => {}
                Err(source) => return Err(TokenizerError::Io { path, source }),
            }
        }
        Self::from_files(folder, files)
    }

    /// From the content of the files, `folder` being what messages name.
    ///
    /// # Errors
    /// As for [`Tokenizer::read`].
    pub fn from_files(folder: &Path, files: Vec<(String, Vec<u8>)>) -> Result<Self, TokenizerError> {
        let malformed =
            |name: &str, problem: String| TokenizerError::Malformed { path: folder.join(name), problem };
        let file = |name: &str| files.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.as_slice());
        let json = |name: &str| -> Result<Value, TokenizerError> {
            let Some(bytes) = file(name) else { return Ok(Value::Null) };
            serde_json::from_slice(bytes).map_err(|e| malformed(name, format!("not valid JSON: {e}")))
        };
        let bytes =
            file("tokenizer.json").ok_or_else(|| malformed("tokenizer.json", "is missing".to_owned()))?;
        let inner = Inner::from_bytes(bytes).map_err(|e| malformed("tokenizer.json", e.to_string()))?;
        let config = json("tokenizer_config.json")?;
        let lacks = |file: &str, token: String| TokenizerError::Lacks { path: folder.join(file), token };
        let mut specials = Vec::new();
        for name in ["bos_token", "eos_token", "pad_token", "unk_token"] {
            let Some(token) = token_text(&config[name]) else { continue };
            if inner.token_to_id(&token).is_none() {
                return Err(lacks("tokenizer_config.json", token));
            }
            specials.push((name, token));
        }
        let end =
            specials.iter().find(|(name, _)| *name == "eos_token").and_then(|(_, t)| inner.token_to_id(t));
        let mut ends: Vec<u32> = end.into_iter().collect();
        let generation = json("generation_config.json")?;
        let more = match &generation["eos_token_id"] {
            Value::Array(ids) => ids.iter().filter_map(Value::as_u64).collect(),
            one => one.as_u64().into_iter().collect::<Vec<u64>>(),
        };
        for id in more {
            let id = u32::try_from(id).map_err(|e| malformed("generation_config.json", e.to_string()))?;
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
        let (name, text) = match file("chat_template.jinja") {
            Some(bytes) => ("chat_template.jinja", Some(String::from_utf8_lossy(bytes).into_owned())),
            None => ("tokenizer_config.json", template_of(&config)),
        };
        let template = text.map(|text| Template::new(&text, &specials)).transpose()?;
        if let Some(template) = &template {
            // A template's own words in <|…|> are tokens, or nothing works.
            if let Some(token) = template.markers().find(|token| inner.token_to_id(token).is_none()) {
                return Err(lacks("chat template", token.to_owned()));
            }
        }
        let added = inner.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        // Ids may have gaps; what counts is the largest.
        let len = inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        let words = Words::of(&inner);
        let is_of_bytes = matches!(inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let template_file = folder.join(name);
        Ok(Self { inner, words, is_of_bytes, template, template_file, end, ends, special, len, files })
    }

    /// Tokens, added ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses a model with fewer rows than there are tokens.
    ///
    /// # Errors
    /// There are more tokens than rows.
    pub fn check(&self, rows: usize) -> Result<(), TokenizerError> {
        let tokens = self.len();
        if tokens > rows { Err(TokenizerError::TooLarge { tokens, rows }) } else { Ok(()) }
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether an id is a token that was added for its meaning.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The tokens of a text, without any that the tokenizer would put around it.
    ///
    /// # Errors
    /// The library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        if self.words.is_some() {
            return Ok(self.encode_with_places(text)?.0);
        }
        let encoded = self.inner.encode_fast(text, false).map_err(refused)?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The tokens of a text with the bytes that each stands for.
    ///
    /// # Errors
    /// The library refuses the text.
    pub fn encode_with_places(&self, text: &str) -> Result<(Vec<u32>, Vec<Place>), TokenizerError> {
        if let Some(words) = &self.words
            && let Some(tokens) = words.encode(&self.inner, text).map_err(refused)?
        {
            return Ok(tokens);
        }
        let encoded = self.inner.encode(text, false).map_err(refused)?;
        Ok((encoded.get_ids().to_vec(), encoded.get_offsets().to_vec()))
    }

    /// The text of tokens, without those that were added for their meaning.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// The bytes that each token adds to the text of all of them: joined, they are
    /// [`Self::decode`]'s, but for characters that are not whole.
    pub fn bytes_of_each(&self, ids: &[u32]) -> Vec<Vec<u8>> {
        if self.is_of_bytes {
            return ids.iter().map(|&id| self.bytes(id)).collect();
        }
        // What a token says may depend on the one before: blanks at the beginning
        // are left out, and bytes of one character come as tokens of their own.
        let (mut from, mut read) = (0, 0);
        let mut each = vec![Vec::new(); ids.len()];
        for at in 0..ids.len() {
            let now = self.decode(&ids[from..=at]);
            if now.ends_with('\u{FFFD}') && at + 1 < ids.len() && at - read < 8 {
                continue;
            }
            let before = self.decode(&ids[from..read]);
            each[at] = now.as_bytes().get(before.len()..).unwrap_or_default().to_vec();
            (from, read) = (read, at + 1);
        }
        each
    }

    /// The bytes that a token stands for by itself; none for those that were added
    /// for their meaning.
    pub fn bytes(&self, id: u32) -> Vec<u8> {
        if !self.is_of_bytes || self.is_special(id) {
            return self.decode(&[id]).into_bytes();
        }
        let token = self.token(id).unwrap_or_default();
        let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
        bytes.unwrap_or_else(|| token.into_bytes())
    }

    /// The files that go with a model.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn refused(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Encode(error.to_string())
}

/// The byte that a character of a token stands for, as GPT-2 wrote them down:
/// those that print stand for themselves, the others for what follows 255.
fn byte_of(c: char) -> Option<u8> {
    let prints = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    match u8::try_from(u32::from(c)) {
        Ok(byte) => prints(byte).then_some(byte),
        Err(_) => (0..=255).filter(|&byte| !prints(byte)).nth((u32::from(c) - 256) as usize),
    }
}

/// A token in settings: its text, or an object that holds it.
fn token_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned)
}

/// The template in settings: a text, or a list of named ones.
fn template_of(config: &Value) -> Option<String> {
    match &config["chat_template"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let named = |name: &str| list.iter().find(|entry| entry["name"] == name);
            let entry = named("tool_use").or_else(|| named("default"))?;
            entry["template"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}
