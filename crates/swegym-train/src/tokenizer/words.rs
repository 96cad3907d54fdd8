//! Byte-level tokenizers, word by word.
//!
//! The library copies every word of a text several times, with a list of where
//! each of its bytes came from. A trajectory says the same words again and
//! again: here each is given to the library once, and what it said is taken for
//! every other place. Tokens and places are the library's own.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use regex::Regex;
use tokenizers::pattern::Pattern as _;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model as _, ModelWrapper, OffsetReferential, OffsetType, PostProcessor as _, PostProcessorWrapper,
    PreTokenizedString, PreTokenizer as _, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Inner,
};

use super::Place;

/// What the library's `ByteLevel` splits by where nothing else does.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Qwen2's pattern.
pub(crate) const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Llama 3's.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How a tokenizer's text falls into words of which none depends on another.
#[derive(Debug, Clone)]
pub(super) struct Words {
    split: Split,
    /// The same for text of settled characters, several times as fast.
    plain: Option<Plain>,
    /// Words that were met before.
    known: Arc<RwLock<Known<Box<str>>>>,
}

/// Words and their tokens, with places inside the word.
type Known<W> = HashMap<W, Arc<[Token]>, foldhash::fast::RandomState>;

/// So many words are kept, none longer than this.
const KEPT: usize = 1 << 16;
const LONGEST_KEPT: usize = 64;

/// A token, and the bytes that it stands for.
type Token = (u32, Place);

impl Words {
    /// `None` where words are not all that counts: another kind of tokenizer.
    pub(super) fn of(inner: &Inner) -> Option<Self> {
        let whole = inner.get_truncation().is_none() && inner.get_padding().is_none();
        let chance = matches!(inner.get_model(), ModelWrapper::BPE(bpe) if bpe.dropout.is_some());
        let added = inner.get_added_tokens_decoder();
        // At whose edges places may be trimmed.
        let spaced = |text: &str| text.starts_with(is_blank) || text.ends_with(is_blank);
        if !whole
            || chance
            || !leaves_words(inner.get_post_processor())
            || added.values().any(|t| spaced(&t.content))
        {
            return None;
        }
        let split = match inner.get_pre_tokenizer()? {
            PreTokenizerWrapper::ByteLevel(ByteLevel {
                add_prefix_space: false, use_regex: true, ..
            }) => {
                Split::new(SplitPattern::Regex(GPT2.into()), SplitDelimiterBehavior::Isolated, false).ok()?
            }
            PreTokenizerWrapper::Sequence(parts) => match parts.as_ref() {
                [
                    PreTokenizerWrapper::Split(split),
                    PreTokenizerWrapper::ByteLevel(ByteLevel {
                        add_prefix_space: false,
                        use_regex: false,
                        ..
                    }),
                ] if split.behavior == SplitDelimiterBehavior::Isolated && !split.invert => split.clone(),
                _ => return None,
            },
            _ => return None,
        };
        let plain = Plain::of(&split.pattern);
        Some(Self { split, plain, known: Arc::default() })
    }

    /// The tokens of a text with their places; `None` where the normalizer
    /// changes it, so that places in the words are not places in the text.
    pub(super) fn encode(
        &self,
        inner: &Inner,
        text: &str,
    ) -> tokenizers::Result<Option<(Vec<u32>, Vec<Place>)>> {
        let parts = inner.get_added_vocabulary().extract_and_normalize(inner.get_normalizer(), text);
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        let mut known: Known<&str> = HashMap::default();
        for (part, (start, end), added) in parts.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if let Some(added) = added {
                ids.extend(added.iter().map(|token| token.id));
                places.resize(ids.len(), (start, end));
                continue;
            }
            if text.get(start..end) != Some(part) {
                return Ok(None);
            }
            for (from, to) in self.split(part)? {
                let word = &part[from..to];
                if !known.contains_key(word) {
                    known.insert(word, self.tokens_of(inner, word)?);
                }
                for &(id, (first, last)) in known.get(word).into_iter().flat_map(|tokens| &**tokens) {
                    ids.push(id);
                    places.push((start + from + first, start + from + last));
                }
            }
        }
        Ok(Some((ids, places)))
    }

    /// What the library says of one word, or has said before.
    fn tokens_of(&self, inner: &Inner, word: &str) -> tokenizers::Result<Arc<[Token]>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = known.get(word) {
            return Ok(tokens.clone());
        }
        let keep = known.len() < KEPT && word.len() <= LONGEST_KEPT;
        drop(known);
        let tokens: Arc<[Token]> = tokens_of(inner, word)?.into();
        if keep {
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(word.into(), tokens.clone());
        }
        Ok(tokens)
    }

    /// Where words begin and end.
    fn split(&self, part: &str) -> tokenizers::Result<Vec<Place>> {
        match &self.plain {
            Some(plain) if part.is_ascii() || part.chars().all(is_settled) => Ok(plain.split(part)),
            _ => Ok((&self.split.regex).find_matches(part)?.into_iter().map(|(place, _)| place).collect()),
        }
    }
}

/// One of the patterns that end in `\s+(?!\S)|\s+`, without looking ahead: then
/// it is an automaton's, and the blank before a word is given back by hand.
#[derive(Debug, Clone)]
struct Plain {
    pattern: Regex,
    /// Blanks up to a line end are words of another part of the pattern.
    by_lines: bool,
}

impl Plain {
    /// `None` for patterns of which it is not known which parts match blanks.
    fn of(pattern: &SplitPattern) -> Option<Self> {
        let SplitPattern::Regex(pattern) = pattern else { return None };
        if ![GPT2, QWEN2, LLAMA3].contains(&pattern.as_str()) {
            return None;
        }
        let without = pattern.replace(r"\s+(?!\S)|", "");
        Some(Self { pattern: Regex::new(&without).ok()?, by_lines: pattern.contains(r"\s*[\r\n]+") })
    }

    fn split(&self, part: &str) -> Vec<Place> {
        let mut places = Vec::with_capacity(part.len() / 3);
        let mut at = 0;
        while let Some(found) = self.pattern.find_at(part, at) {
            let (start, mut end) = (found.start(), found.end());
            if part[end..].starts_with(|next: char| !next.is_whitespace()) {
                end -= self.gives_back(&part[start..end]);
            }
            if start > at {
                places.push((at, start));
            }
            places.push((start, end));
            at = end;
        }
        if at < part.len() {
            places.push((at, part.len()));
        }
        places
    }

    /// How many bytes of a word go to the word that follows it: its last blank,
    /// if it is of several blanks alone.
    fn gives_back(&self, word: &str) -> usize {
        let Some(last) = word.chars().next_back().filter(|last| last.is_whitespace()) else { return 0 };
        let whole = word.len() > last.len_utf8() && word.chars().all(char::is_whitespace);
        if whole && !(self.by_lines && matches!(last, '\r' | '\n')) { last.len_utf8() } else { 0 }
    }
}

/// Characters that were letters, numbers, blanks or none of them in every
/// edition of Unicode that either engine may know, and fold to themselves:
/// Latin, Greek, Cyrillic, signs, kana, ideographs, Hangul, emoji.
fn is_settled(c: char) -> bool {
    matches!(c,
        '\0'..='\u{17e}' | '\u{180}'..='\u{52f}' | '\u{2000}'..='\u{27bf}' | '\u{3000}'..='\u{303f}'
        | '\u{3041}'..='\u{3096}' | '\u{30a0}'..='\u{30ff}' | '\u{4e00}'..='\u{9fa5}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{fe0f}' | '\u{1f300}'..='\u{1f6ff}')
}

/// What the library says of one word.
fn tokens_of(inner: &Inner, word: &str) -> tokenizers::Result<Vec<Token>> {
    let mut text = PreTokenizedString::from(word);
    ByteLevel::new(false, true, false).pre_tokenize(&mut text)?;
    text.tokenize(|word| inner.get_model().tokenize(word.get()))?;
    let mut encodings = vec![text.into_encoding(None, 0, OffsetType::Byte)?];
    if let Some(last) = inner.get_post_processor() {
        encodings = last.process_encodings(encodings, false)?;
    }
    let tokens =
        encodings.iter().flat_map(|e| e.get_ids().iter().copied().zip(e.get_offsets().iter().copied()));
    Ok(tokens.collect())
}

/// Whether what comes last changes nothing, or each token for itself.
fn leaves_words(last: Option<&PostProcessorWrapper>) -> bool {
    match last {
        None | Some(PostProcessorWrapper::Template(_)) => true,
        Some(PostProcessorWrapper::ByteLevel(bytes)) => !(bytes.trim_offsets && bytes.add_prefix_space),
        Some(PostProcessorWrapper::Sequence(parts)) => {
            parts.as_ref().iter().all(|part| leaves_words(Some(part)))
        }
        Some(PostProcessorWrapper::Bert(_) | PostProcessorWrapper::Roberta(_)) => false,
    }
}

/// What counts as a blank when places are trimmed: white space, and the sign
/// that stands for a space.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == 'Ġ'
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::corpus::{WordRule, train_tokenizer};

    /// Of both ways to split, and of Llama 3's: whole words first, places
    /// trimmed, a template at the end.
    static TOKENIZERS: LazyLock<Vec<(Inner, Words)>> = LazyLock::new(|| {
        let text = "def f(x):\n    return 'it''s' + x  # 12 élan \u{1f600}\n\n\tclass A: pass\n".repeat(3);
        let file = |rule| -> Value {
            let made =
                train_tokenizer(std::slice::from_ref(&text), 400, &["<|tool|>".to_owned()], None, rule)
                    .unwrap();
            serde_json::from_slice(&made.files()[0].1).unwrap()
        };
        let (gpt2, qwen2) = (file(WordRule::Gpt2), file(WordRule::Qwen2));
        let mut llama3 = qwen2.clone();
        llama3["normalizer"] = Value::Null;
        llama3["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(LLAMA3);
        llama3["model"]["ignore_merges"] = json!(true);
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let id = llama3["added_tokens"][0]["id"].clone();
        let begin = json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
        let template = json!({
            "type": "TemplateProcessing",
            "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [id], "tokens": ["<|endoftext|>"]}},
        });
        llama3["post_processor"] = json!({"type": "Sequence", "processors": [bytes, template]});
        // One that is found in normalised text, and one that takes the blanks before it.
        let mut odd = qwen2.clone();
        for (name, taken) in [("normalized", 1), ("lstrip", 3)] {
            odd["added_tokens"][taken][name] = json!(true);
        }
        [gpt2, qwen2, llama3, odd]
            .iter()
            .map(|file| {
                let inner: Inner = file.to_string().parse().unwrap();
                let words = Words::of(&inner).expect("a byte-level tokenizer");
                assert!(words.plain.is_some());
                (inner, words)
            })
            .collect()
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn words_give_what_the_library_gives(
            parts in proptest::collection::vec(
                prop_oneof![
                    "[a-f' ]{0,4}", "[ \t\r\n]{0,4}", "[0-9.,:]{0,3}", "\\PC{0,3}", Just("e\u{301}".to_owned()),
                    Just("<|im_start|>".to_owned()), Just("<|im_end|>".to_owned()), Just("<|tool|>".to_owned()),
                    Just("return".to_owned()), Just("<|im_".to_owned()), Just("'s".to_owned()),
                ],
                0..24,
            ),
        ) {
            let text = parts.concat();
            for (inner, words) in TOKENIZERS.iter() {
                let expected = inner.encode(text.as_str(), false).unwrap();
                let Some((ids, places)) = words.encode(inner, &text).unwrap() else {
                    prop_assert!(!text.is_ascii());
                    continue;
                };
                prop_assert_eq!(&ids, expected.get_ids(), "{:?}", &text);
                prop_assert_eq!(&places, expected.get_offsets(), "{:?}", &text);
            }
        }
    }

    #[test]
    fn settled_characters_fall_into_the_same_words() {
        let settled: Vec<char> = ('\0'..=char::MAX).filter(|c| is_settled(*c)).collect();
        for pattern in [GPT2, QWEN2, LLAMA3].map(|pattern| SplitPattern::Regex(pattern.into())) {
            let plain = Plain::of(&pattern).unwrap();
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap();
            for some in settled.chunks(40) {
                let text: String =
                    some.iter().flat_map(|c| [*c, 'b', ' ', *c, *c, '\'', *c, '1', *c, '\n', *c]).collect();
                let expected = (&split.regex).find_matches(&text).unwrap();
                let expected: Vec<Place> = expected.into_iter().map(|(place, _)| place).collect();
                assert_eq!(plain.split(&text), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn other_tokenizers_are_left_to_the_library() {
        let file: Value = serde_json::from_str(&TOKENIZERS[1].0.to_string(false).unwrap()).unwrap();
        let with = |place: &str, value: Value| {
            let mut file = file.clone();
            *file.pointer_mut(place).unwrap() = value;
            Words::of(&file.to_string().parse().unwrap()).is_some()
        };
        assert!(with("/normalizer", Value::Null));
        assert!(!with("/model/dropout", json!(0.1)));
        assert!(!with("/pre_tokenizer", json!({"type": "Whitespace"})));
        assert!(!with(
            "/truncation",
            json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0})
        ));
        let prefixed =
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        assert!(!with("/pre_tokenizer", prefixed));
    }
}
