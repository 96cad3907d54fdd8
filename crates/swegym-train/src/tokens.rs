//! What is trained on: tokens, with what is learnt of each.
//!
//! A row is one trajectory. Rows come from conversations, rendered by the
//! model's own template, or from ids that were recorded when they were sampled;
//! those are used as they are and never tokenised again.

use std::borrow::Cow;
use std::ops::Range;
use swegym_core::Hint;

use serde_json::{Map, Value};
use swegym_core::chat::{Message, Role, Tool, ToolCall};
use thiserror::Error;

use crate::conversation::{Refused, each};
use crate::mask::Mask;
use crate::recorded::{self, Turn};
use crate::template::{Template, TemplateError, UNREADABLE};
pub use crate::token_row::TokenRow;
use crate::tokenizer::{Place, Tokenizer, TokenizerError};

/// Why a conversation gives no row.
#[derive(Debug, Error)]
pub enum TokensError {
    /// The model has no chat template.
    #[error("the model has no chat template")]
    NoTemplate,
    /// The template refuses the conversation.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The tokenizer refuses the text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl Hint for TokensError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("put a chat_template.jinja beside the model's tokenizer.json".into())
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

/// Renders and tokenises a conversation. Learnt are the assistant's turns that
/// `mask` leaves: not their headers, but the token that ends them, and nothing
/// after that token.
///
/// # Errors
/// There is no template, or it fails, or the tokenizer does.
pub fn row_of(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: &[Tool],
    mask: &Mask,
) -> Result<TokenRow, TokensError> {
    let Told { messages, tools, mask } = Told::by(tokenizer, messages, tools, mask)?;
    let rendered = template(tokenizer)?.render_turns(&messages, tools)?;
    let stretches = rendered.turns.iter().map(|(_, bytes)| bytes);
    let text = Text::of(tokenizer, &rendered.text, &stretches.collect::<Vec<_>>())?;
    let said: Vec<usize> = turns_among(&messages).collect();
    let mut turns = vec![-1i32; text.ids.len()];
    let mut loss_mask = vec![false; text.ids.len()];
    for (nth, (index, bytes)) in rendered.turns.iter().enumerate() {
        let turn = said.partition_point(|at| at < index);
        let goes_on = rendered.turns.get(nth + 1).is_some_and(|(next, _)| next == index);
        let learnt = if goes_on {
            text.tokens(bytes)
        } else {
            text.learnt(&messages[*index], bytes, mask.cut.contains(&turn))
        };
        let all = text.tokens(bytes);
        turns[all.start..learnt.end.max(all.start)].fill(turn as i32);
        if mask.learns(turn, said.len()) {
            loss_mask[learnt].fill(true);
        }
    }
    Ok(TokenRow { input_ids: text.ids, loss_mask, turns: Some(turns), ..TokenRow::default() })
}

/// As [`row_of`]; but where the template rewrites what came before (stock
/// templates of thinking models drop earlier thoughts), several rows: each
/// turn is learnt after what the model read when it said it. Turns whose
/// beginnings agree share a row.
///
/// # Errors
/// As [`row_of`], or the template changes even the last message.
pub fn rows_of(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: &[Tool],
    mask: &Mask,
) -> Result<Vec<TokenRow>, TokensError> {
    match row_of(tokenizer, messages, tools, mask) {
        Err(TokensError::Template(TemplateError::Rewrites(_))) => {}
        row => return Ok(vec![row?]),
    }
    let Told { messages, tools, mask } = Told::by(tokenizer, messages, tools, mask)?;
    let mut mask = mask.into_owned();
    let mut turns = Vec::new();
    for (turn, index) in turns_among(&messages).enumerate() {
        let (rendered, said) = template(tokenizer)?.render_turn(&messages, tools, index)?;
        let text = Text::of(tokenizer, &rendered, &[&said])?;
        let learnt = text.learnt(&messages[index], &said, mask.cut.contains(&turn));
        let all = text.tokens(&said);
        let end = if learnt.is_empty() { all.end } else { learnt.end };
        if learnt.is_empty() {
            mask.skip.push(turn);
        }
        let (prompt, answer) = (text.ids[..all.start].to_vec(), text.ids[all.start..end].to_vec());
        turns.push(Turn { prompt, answer, logprobs: None, policy: None });
    }
    Ok(recorded::rows(&turns, &mask))
}

fn template(tokenizer: &Tokenizer) -> Result<&Template, TokensError> {
    tokenizer.template.as_ref().ok_or(TokensError::NoTemplate)
}

/// Where the assistant's messages are.
fn turns_among(messages: &[Message]) -> impl Iterator<Item = usize> {
    messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant).map(|(index, _)| index)
}

/// A conversation as its template can hold it, and what is learnt of that.
struct Told<'a> {
    messages: Cow<'a, [Message]>,
    tools: &'a [Tool],
    mask: Cow<'a, Mask>,
}

impl<'a> Told<'a> {
    fn by(
        tokenizer: &Tokenizer,
        messages: &'a [Message],
        tools: &'a [Tool],
        mask: &'a Mask,
    ) -> Result<Self, TokensError> {
        let (told, tools) = template(tokenizer)?.suited(messages, tools)?;
        // Calls in words are one a turn.
        let mask = match &told {
            Cow::Owned(_) => Cow::Owned(mask.in_words(messages)),
            Cow::Borrowed(_) => Cow::Borrowed(mask),
        };
        Ok(Self { messages: told, tools, mask })
    }
}

/// A rendered conversation in tokens.
struct Text<'a> {
    tokenizer: &'a Tokenizer,
    text: &'a str,
    ids: Vec<u32>,
    places: Vec<Place>,
}

impl<'a> Text<'a> {
    /// Tokens of a text of which some stretches were said. A model that is asked
    /// begins a token of its own, and so does what follows its answer: where a
    /// token would reach over such a border, it is cut there.
    fn of(tokenizer: &'a Tokenizer, text: &'a str, stretches: &[&Range<usize>]) -> Result<Self, TokensError> {
        let (ids, places) = tokenizer.encode_with_places(text)?;
        let reaches_over = |at: &usize| {
            let next = places.partition_point(|(start, _)| start < at);
            next > 0 && places[next - 1].1 > *at
        };
        let borders = stretches.iter().flat_map(|bytes| [bytes.start, bytes.end]);
        let cuts: Vec<usize> = borders.filter(reaches_over).collect();
        let whole = Self { tokenizer, text, ids, places };
        // Others begin every text in their own way, a piece of one as well.
        if cuts.is_empty() || !tokenizer.is_of_bytes {
            return Ok(whole);
        }
        let mut pieces = Self { ids: Vec::new(), places: Vec::new(), ..whole };
        let mut from = 0;
        for to in cuts.into_iter().chain([text.len()]) {
            let (ids, places) = tokenizer.encode_with_places(&text[from..to])?;
            pieces.ids.extend(ids);
            pieces.places.extend(places.into_iter().map(|(start, end)| (from + start, from + end)));
            from = to;
        }
        Ok(pieces)
    }

    /// The tokens that begin within some bytes.
    fn tokens(&self, bytes: &Range<usize>) -> Range<usize> {
        let first = self.places.partition_point(|(start, _)| *start < bytes.start);
        let last = self.places.partition_point(|(start, _)| *start < bytes.end);
        first..last.max(first)
    }

    /// What is learnt of a message that stands in some bytes: what the model said,
    /// and no more. Nothing, where the template has it in other words.
    fn learnt(&self, message: &Message, bytes: &Range<usize>, is_cut: bool) -> Range<usize> {
        let (all, text) = (self.tokens(bytes), &self.text[bytes.clone()]);
        let is_told = |call: &ToolCall| {
            let is_object = serde_json::from_str::<Map<String, Value>>(&call.arguments).is_ok();
            is_object || text.contains(call.arguments.trim()) && !text.contains(UNREADABLE)
        };
        if message.sampled.is_none() && !message.calls.iter().all(is_told) {
            return all.start..all.start;
        }
        if is_cut {
            // Nobody said what ends it; of a call, nobody knows how far it came.
            let words = message.sampled.as_deref().unwrap_or(&message.content).trim();
            let at = text.find(words).filter(|_| message.calls.is_empty() && !words.is_empty());
            return at.map_or(all.start..all.start, |at| {
                self.tokens(&(bytes.start..bytes.start + at + words.len()))
            });
        }
        all.start..self.end(&all, bytes.end)
    }

    /// Behind the token that ends a turn, and before what the template writes after.
    fn end(&self, all: &Range<usize>, bytes_end: usize) -> usize {
        let is_last = |at: usize| self.text[self.places[at].1.min(bytes_end)..bytes_end].trim().is_empty();
        let ends = |at: &usize| {
            let id = self.ids[*at];
            self.tokenizer.is_special(id) && (is_end(self.tokenizer, id) || is_last(*at))
        };
        if let Some(at) = all.clone().rev().find(ends) {
            return at + 1;
        }
        // Some templates end a turn by the header of the next, or mark it without its end.
        let follows = self.ids.get(all.end).is_some_and(|&id| {
            self.tokenizer.is_special(id) && is_end(self.tokenizer, id) && self.places[all.end].0 == bytes_end
        });
        all.end + usize::from(follows)
    }
}

/// Tokens that end a turn: those that end an answer, and what a template
/// writes to close a message.
fn is_end(tokenizer: &Tokenizer, id: u32) -> bool {
    const CLOSING: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "</s>"];
    tokenizer.ends.contains(&id) || tokenizer.token(id).is_some_and(|token| CLOSING.contains(&token.as_str()))
}

/// Turns whose end a template does not show, so that nobody learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenEnd {
    /// Every turn's.
    Always,
    /// The last turn's: what ends a turn begins the next message.
    Last,
}

/// Which ends of turns the model's template hides, told by a conversation of two.
pub fn hidden_end(tokenizer: &Tokenizer) -> Option<HiddenEnd> {
    let say = |role: Role| Message::of(role, "ok");
    let probe = [Role::User, Role::Assistant, Role::User, Role::Assistant].map(say);
    // What a template refuses is told where it is refused.
    let rows = rows_of(tokenizer, &probe, &[], &Mask::default()).ok()?;
    let is_shown = |turn: i32| {
        let of_turn = |row: &TokenRow| {
            let learnt =
                |at: &usize| row.loss_mask[*at] && row.turns.as_ref().is_some_and(|t| t[*at] == turn);
            (0..row.input_ids.len()).rev().find(learnt).map(|at| row.input_ids[at])
        };
        rows.iter().find_map(of_turn).is_some_and(|id| tokenizer.is_special(id))
    };
    match (is_shown(0), is_shown(1)) {
        (_, true) => None,
        (true, false) => Some(HiddenEnd::Last),
        (false, false) => Some(HiddenEnd::Always),
    }
}

/// The rows of a file of conversations (JSON Lines), rendered on all cores.
/// Rows that cannot be used come back with their line.
///
/// # Errors
/// The model has no template.
pub fn conversations(
    tokenizer: &Tokenizer,
    text: &str,
    last_only: bool,
) -> Result<(Vec<TokenRow>, Vec<Refused>), TokensError> {
    if tokenizer.template.is_none() {
        return Err(TokensError::NoTemplate);
    }
    let (rows, refused) = each(text, |of| {
        let mask = Mask { last_only, skip: of.skip_turns.clone(), cut: of.cut_turns.clone() };
        let rows = rows_of(tokenizer, &of.messages, &of.tools, &mask).map_err(|e| e.to_string())?;
        Ok(rows.into_iter().map(|row| row.about(&of)).collect::<Vec<_>>())
    });
    Ok((rows.into_iter().flatten().collect(), refused))
}
