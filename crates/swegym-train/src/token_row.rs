//! One trajectory's tokens.

use crate::conversation::Conversation;

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
