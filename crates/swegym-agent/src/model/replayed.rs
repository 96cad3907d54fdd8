//! The model of a recorded attempt: the same answers, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use swegym_core::record::RecordEvent;
use swegym_core::trajectory::{FoldError, live};
use swegym_core::wire::Wire;

use super::{Answer, Answered, Ask, Model, ModelError};

/// Answers by their number in the conversation.
#[derive(Debug, Clone)]
pub struct Replayed {
    name: String,
    wire: Wire,
    responses: Vec<Vec<u8>>,
}

impl Replayed {
    /// The answers that count in a record.
    ///
    /// # Errors
    /// When the events are no attempt.
    pub fn of(events: &[RecordEvent]) -> Result<Self, FoldError> {
        let live = live(events)?;
        let Some(RecordEvent::Started(head)) = live.first() else { return Err(FoldError::NoStart) };
        let responses = live.iter().filter_map(|event| match event {
            RecordEvent::Answered { response, .. } => Some(response.clone()),
            _ => None,
        });
        Ok(Self { name: head.model.clone(), wire: head.wire, responses: responses.collect() })
    }
}

#[async_trait]
impl Model for Replayed {
    fn name(&self) -> &str {
        &self.name
    }

    fn wire(&self) -> Wire {
        self.wire
    }

    async fn answer(&self, ask: &Ask<'_>, _: &Arc<str>) -> Answered {
        let said = ask.answers();
        let result = match self.responses.get(said) {
            None => {
                Err(ModelError::Script(format!("of the record ends after {} answers", self.responses.len())))
            }
            Some(response) => self
                .wire
                .read(response)
                .map(|reply| Answer { response: response.clone(), reply, latency: Duration::ZERO })
                .map_err(|e| ModelError::Script(format!("of the record cannot be read: {e}"))),
        };
        Answered { failed: Vec::new(), result }
    }
}
