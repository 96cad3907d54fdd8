//! From scratch: text to a tokenizer, and text to rows of tokens.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_core::Hint;
use swegym_core::format::text::decode;
use thiserror::Error;
use tokenizers::decoders::byte_level::ByteLevel as ByteDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer as Inner};

use crate::conversation::Conversation;
use crate::mask::Mask;
use crate::tokenizer::{QWEN2, Tokenizer, TokenizerError};
use crate::tokens::{TokenRow, TokensError, row_of};

/// The template that tokenizers of ours come with: ChatML, without anything
/// that the conversation does not say.
const CHATML: &str = include_str!("corpus/chatml.jinja");

/// Ends a document.
const END_OF_TEXT: &str = "<|endoftext|>";
/// Begin and end a message.
const MESSAGE: [&str; 2] = ["<|im_start|>", "<|im_end|>"];

/// Why text cannot be used.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line that is no document.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is nothing to read.
    #[error("the files hold no text")]
    Empty,
    /// The tokenizer cannot be trained, or refuses a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A conversation gives no row.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// A vocabulary that cannot hold what it must.
    #[error("a vocabulary of {0} is too small: 256 bytes and the special tokens need {1}")]
    Vocabulary(usize, usize),
}

impl Hint for CorpusError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("text is read from .jsonl files with `text` in each line, and from other files whole".into())
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

/// Reads documents: the lines' `text` of `.jsonl` files, other files whole.
///
/// # Errors
/// A file cannot be read, or a line has no text.
pub fn documents(files: &[PathBuf]) -> Result<Vec<Document>, CorpusError> {
    let mut documents = Vec::new();
    for path in files {
        let bytes = std::fs::read(path).map_err(|source| CorpusError::Io { path: path.clone(), source })?;
        let text = match decode(&path.to_string_lossy(), &bytes) {
            Ok(text) => text.into_owned(),
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        if path.extension().is_none_or(|ending| ending != "jsonl") {
            documents.push(Document::Text(text));
            continue;
        }
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let failed = |problem: String| CorpusError::Line { path: path.clone(), line: index + 1, problem };
            let row: Value =
                swegym_core::json::from_str(line).map_err(|e| failed(format!("not valid JSON: {e}")))?;
            documents.push(match row["text"].as_str() {
                Some(text) => Document::Text(text.to_owned()),
                None if row["messages"].is_array() => {
                    Document::Conversation(Box::new(Conversation::read(line).map_err(failed)?))
                }
                None => return Err(failed("neither `text` nor `messages` is there".to_owned())),
            });
        }
    }
    documents.retain(|document| !document.is_empty());
    if documents.is_empty() { Err(CorpusError::Empty) } else { Ok(documents) }
}

/// What a model or a tokenizer is made of.
#[derive(Debug, Clone)]
pub enum Document {
    /// Plain text.
    Text(String),
    /// A conversation, which the model reads as its chat template renders it.
    Conversation(Box<Conversation>),
}

impl Document {
    /// Its words alone.
    pub fn words(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Conversation(of) => {
                of.messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.words().is_empty()
    }

    fn rendered(&self, tokenizer: &Tokenizer) -> Result<String, CorpusError> {
        match (self, &tokenizer.template) {
            (Self::Text(text), _) => Ok(text.clone()),
            (Self::Conversation(of), Some(template)) => {
                Ok(template.render(&of.messages, &of.tools, false).map_err(TokenizerError::from)?)
            }
            (Self::Conversation(_), None) => Ok(self.words()),
        }
    }
}

/// How text falls into words, inside which BPE joins bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WordRule {
    /// As GPT-2's does. The gym's base policies were made with it.
    Gpt2,
    /// As Qwen2's does, which `transformers` 5 takes for every tokenizer beside
    /// a model of that family, whatever the tokenizer's own file says.
    #[default]
    Qwen2,
}

impl WordRule {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::Gpt2, Self::Qwen2];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Qwen2 => "qwen2",
        }
    }

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == word)
    }

    fn set_up(self, inner: &mut Inner) -> tokenizers::Result<()> {
        match self {
            Self::Gpt2 => {
                inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            }
            Self::Qwen2 => {
                let words =
                    Split::new(SplitPattern::Regex(QWEN2.into()), SplitDelimiterBehavior::Isolated, false)?;
                let bytes = ByteLevel::new(false, true, false);
                inner.with_pre_tokenizer(Some(Sequence::new(vec![words.into(), bytes.into()])));
                inner.with_normalizer(Some(NFC))?;
            }
        }
        inner.with_decoder(Some(ByteDecoder::new(false, true, true)));
        Ok(())
    }
}

/// Trains byte-level BPE. `special` are further tokens that are never split.
///
/// # Errors
/// The vocabulary is too small, or the library fails.
pub fn train_tokenizer(
    documents: &[String],
    vocabulary: usize,
    special: &[String],
    template: Option<&str>,
    rule: WordRule,
) -> Result<Tokenizer, CorpusError> {
    let mut named = vec![END_OF_TEXT.to_owned()];
    named.extend(MESSAGE.map(str::to_owned));
    named.extend(special.iter().filter(|token| !named.contains(token)).cloned().collect::<Vec<_>>());
    let least = 256 + named.len();
    if vocabulary < least {
        return Err(CorpusError::Vocabulary(vocabulary, least));
    }
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| TokenizerError::Encode(e.to_string());
    let mut inner = Inner::new(BPE::default());
    rule.set_up(&mut inner).map_err(failed)?;
    let tokens = named.iter().map(|token| AddedToken::from(token.clone(), true)).collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .show_progress(false)
        .special_tokens(tokens)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut trainer = TrainerWrapper::from(trainer);
    inner.train(&mut trainer, documents.iter().map(String::as_str)).map_err(failed)?;
    let text = inner.to_string(true).map_err(failed)?;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": MESSAGE[1],
        "pad_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": false,
        "model_max_length": 1_000_000_000,
    });
    let generation = json!({"eos_token_id": [inner.token_to_id(MESSAGE[1]), inner.token_to_id(END_OF_TEXT)]});
    let files = vec![
        ("tokenizer.json".to_owned(), text.into_bytes()),
        ("tokenizer_config.json".to_owned(), crate::checkpoint::pretty(&config)),
        ("chat_template.jinja".to_owned(), template.unwrap_or(CHATML).as_bytes().to_vec()),
        ("generation_config.json".to_owned(), crate::checkpoint::pretty(&generation)),
    ];
    Ok(Tokenizer::from_files(Path::new("the new tokenizer"), files)?)
}

/// What is learnt of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// Every token; they are cut like any other text.
    All,
    /// The assistant's turns, as in fine-tuning; each is a row of its own. What
    /// cannot be foretold (names, what is asked) teaches a small model nothing.
    Answers,
}

/// Documents one after another, each ended, cut into rows of `context` tokens
/// and one to predict. Every token of a text is learnt.
///
/// # Errors
/// The tokenizer refuses a text.
pub fn rows(
    tokenizer: &Tokenizer,
    documents: &[Document],
    context: usize,
    learnt: Learnt,
) -> Result<Vec<TokenRow>, CorpusError> {
    use rayon::prelude::*;
    let (whole, cut): (Vec<&Document>, Vec<&Document>) = documents
        .iter()
        .partition(|document| learnt == Learnt::Answers && matches!(document, Document::Conversation(_)));
    let ends: Vec<u32> = tokenizer.id(END_OF_TEXT).or(tokenizer.end).into_iter().collect();
    let encode = |document: &&Document| Ok(tokenizer.encode(&document.rendered(tokenizer)?)?);
    let encoded: Result<Vec<Vec<u32>>, CorpusError> = cut.par_iter().map(encode).collect();
    let stream: Vec<u32> = encoded?.into_iter().flat_map(|ids| ids.into_iter().chain(ends.clone())).collect();
    // Each row begins with the token that the one before ended with.
    let row = |first: usize| {
        let input_ids = stream[first..stream.len().min(first + context + 1)].to_vec();
        TokenRow { loss_mask: vec![true; input_ids.len()], input_ids, ..TokenRow::default() }
    };
    let mut rows: Vec<TokenRow> = (0..stream.len().saturating_sub(1)).step_by(context).map(row).collect();
    let answers = |document: &&Document| match document {
        Document::Conversation(of) => Ok(row_of(tokenizer, &of.messages, &of.tools, &Mask::default())?),
        Document::Text(_) => Ok(TokenRow::default()),
    };
    let answers: Result<Vec<TokenRow>, CorpusError> = whole.par_iter().map(answers).collect();
    rows.extend(answers?);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use swegym_core::chat::{Message, Role};

    use super::*;
    use crate::template::Template;

    /// Trainers that learn the assistant's words alone ask the template where they are.
    #[test]
    fn the_usual_template_marks_what_the_assistant_says_with_the_token_that_ends_it() {
        let template = Template::new(CHATML, &[]).unwrap();
        let said = [
            Message::of(Role::System, "Be brief."),
            Message::of(Role::User, "Hi.\n"),
            Message::of(Role::Assistant, "  yes\nno "),
            Message::of(Role::User, "And?"),
            Message::of(Role::Assistant, ""),
        ];
        let rendered = template.render_turns(&said, &[]).unwrap();
        let turns: Vec<_> =
            rendered.turns.iter().map(|(index, bytes)| (*index, &rendered.text[bytes.clone()])).collect();
        assert_eq!(turns, [(2, "  yes\nno <|im_end|>"), (4, "<|im_end|>")]);
        let text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi.\n<|im_end|>\n\
                    <|im_start|>assistant\n  yes\nno <|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n\
                    <|im_start|>assistant\n<|im_end|>\n";
        assert_eq!(rendered.text, text);
        let asked = template.render(&said[..2], &[], true).unwrap();
        assert!(text.starts_with(&asked) && asked.ends_with("<|im_start|>assistant\n"));
    }
}
