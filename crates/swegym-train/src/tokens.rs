//! What is trained on: tokens, with what is learnt of each.
//!
//! A row is one trajectory. Rows come from conversations, rendered by the
//! model's own template, or from ids that were recorded when they were sampled;
//! those are used as they are and never tokenised again.

use swegym_core::chat::{Message, Role, Tool};
use thiserror::Error;

use crate::conversation::{Conversation, Refused, each};
use crate::mask::Mask;
use crate::recorded::{self, Turn};
use crate::template::TemplateError;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// One trajectory's tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenRow {
    /// All tokens.
    pub input_ids: Vec<u32>,
    /// Whether each is learnt.
    pub loss_mask: Vec<bool>,
    /// The log-probability of each when it was sampled, zero for those that
    /// were not.
    pub logprobs: Option<Vec<f32>>,
    /// What each token's loss is multiplied with.
    pub weights: Option<Vec<f32>>,
    /// Which turn each token belongs to: the index of an assistant's message
    /// among them, -1 for what others said.
    pub turns: Option<Vec<i32>>,
    /// Which instance.
    pub instance_id: String,
    /// The repository, where it is known.
    pub repo: Option<String>,
    /// Which attempt at it.
    pub attempt: u32,
    /// Which policy sampled it.
    pub policy: Option<String>,
}

impl TokenRow {
    /// The weight of each token's loss.
    pub fn loss_weights(&self) -> Vec<f32> {
        let weight = |i: usize| self.weights.as_ref().map_or(1.0, |weights| weights[i]);
        self.loss_mask.iter().enumerate().map(|(i, &learnt)| if learnt { weight(i) } else { 0.0 }).collect()
    }

    /// The weight below zero of a token that is learnt, if there is one.
    pub fn negative_weight(&self) -> Option<f32> {
        let learnt = self.weights.iter().flatten().zip(&self.loss_mask).filter(|(_, learnt)| **learnt);
        learnt.map(|(weight, _)| *weight).find(|weight| *weight < 0.0)
    }

    /// The row with what is known of the attempt that it came from.
    #[must_use]
    pub fn about(self, of: &Conversation) -> Self {
        let Conversation { instance_id, repo, attempt, model, .. } = of;
        let (instance_id, repo, policy) = (instance_id.clone(), repo.clone(), model.clone());
        Self { instance_id, repo, attempt: *attempt, policy, ..self }
    }

    /// How many tokens are learnt.
    pub fn learnt(&self) -> usize {
        self.loss_mask.iter().filter(|&&learnt| learnt).count()
    }
}

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
    let template = tokenizer.template.as_ref().ok_or(TokensError::NoTemplate)?;
    let (messages, tools) = template.suited(messages, tools)?;
    let rendered = template.render_turns(&messages, tools)?;
    let (ids, places) = tokenizer.encode_with_places(&rendered.text)?;
    let mut turns = vec![-1i32; ids.len()];
    let mut loss_mask = vec![false; ids.len()];
    for (turn, (_, bytes)) in rendered.turns.iter().enumerate() {
        // A token belongs to a turn if it begins inside it.
        let first = places.partition_point(|(start, _)| *start < bytes.start);
        let last = places.partition_point(|(start, _)| *start < bytes.end);
        let span = first..last.max(first);
        let ended = span.clone().rev().find(|&i| tokenizer.is_special(ids[i]) && is_end(tokenizer, ids[i]));
        let end = ended.map_or(span.end, |i| i + 1);
        turns[span.start..end].fill(turn as i32);
        if mask.learns(turn, rendered.turns.len()) {
            loss_mask[span.start..end].fill(true);
        }
    }
    Ok(TokenRow { input_ids: ids, loss_mask, turns: Some(turns), ..TokenRow::default() })
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
    let template = tokenizer.template.as_ref().ok_or(TokensError::NoTemplate)?;
    let (messages, tools) = template.suited(messages, tools)?;
    let said = messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant);
    let turn = |(index, _): (usize, &Message)| -> Result<Turn, TokensError> {
        let (text, said) = template.render_turn(&messages, tools, index)?;
        let (mut prompt, places) = tokenizer.encode_with_places(&text)?;
        let mut answer = prompt.split_off(places.partition_point(|(start, _)| *start < said.start));
        let end = answer.iter().rposition(|&id| tokenizer.is_special(id) && is_end(tokenizer, id));
        answer.truncate(end.map_or(answer.len(), |end| end + 1));
        Ok(Turn { prompt, answer, logprobs: None, policy: None })
    };
    let turns: Vec<Turn> = said.map(turn).collect::<Result<_, _>>()?;
    Ok(recorded::rows(&turns, mask))
}

/// Tokens that end a turn: those that end an answer, and what a template
/// writes to close a message.
fn is_end(tokenizer: &Tokenizer, id: u32) -> bool {
    const CLOSING: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "</s>"];
    tokenizer.ends.contains(&id) || tokenizer.token(id).is_some_and(|token| CLOSING.contains(&token.as_str()))
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
        let mask = Mask { last_only, skip: of.skip_turns.clone() };
        let rows = rows_of(tokenizer, &of.messages, &of.tools, &mask).map_err(|e| e.to_string())?;
        Ok(rows.into_iter().map(|row| row.about(&of)).collect::<Vec<_>>())
    });
    Ok((rows.into_iter().flatten().collect(), refused))
}
