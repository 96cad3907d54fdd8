//! One attempt, as its record tells it: the conversation, the steps, the answer.

pub mod step;
pub mod stuck;

use crate::chat::{Message, Role, Usage};
use crate::conduct::commands::Conduct;
use crate::record::{AttemptHead, RecordEvent};
use crate::stop_reason::StopReason;
use crate::{Class, Digest, Fault, Verdict};

pub use step::{Action, Step};

/// An attempt up to its last whole step.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// What was decided before.
    pub head: AttemptHead,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The answer to the problem, as it stands.
    pub patch: String,
    /// Layers on the image that hold the box as it stood after the last step.
    pub layers: Vec<Digest>,
    /// The last step after which these layers hold the box as it stood.
    pub restorable: u32,
    /// The session's folder.
    pub folder: Option<String>,
    /// Exported variables of the session.
    pub exports: Option<String>,
    /// The last request's bytes.
    pub last_request: String,
    /// What all answers used, those of void steps included: they were paid for.
    pub usage: Usage,
    /// Answers of the model, those of void steps included.
    pub answers: u32,
    /// Why it ended, if it did.
    pub stop: Option<StopReason>,
    /// What broke last, if the attempt ended with it.
    pub fault: Option<Fault>,
}

/// Why events are no attempt.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum FoldError {
    /// The first event is another one.
    #[error("the record does not begin with the start of an attempt")]
    NoStart,
    /// A resumption names a step that is not there.
    #[error("the record goes on from step {0}, which it does not have")]
    NoStep(u32),
    /// A request does not fit the one before.
    #[error("the request of step {0} does not fit the one before it")]
    Request(u32),
}

/// The events that count: those after the step of a later resumption are left
/// out, and those before a second start.
///
/// # Errors
/// A resumption from a step that is not there.
pub fn live(events: &[RecordEvent]) -> Result<Vec<&RecordEvent>, FoldError> {
    let mut live: Vec<&RecordEvent> = Vec::new();
    for event in events {
        match event {
            RecordEvent::Resumed { step } => {
                let is_it = |e: &&RecordEvent| matches!(e, RecordEvent::Stepped { step: s, .. } if s == step);
                let at = live.iter().rposition(is_it).ok_or(FoldError::NoStep(*step))?;
                live.truncate(at + 1);
            }
            RecordEvent::Started(_) => live = vec![event],
            other => live.push(other),
        }
    }
    Ok(live)
}

/// The beginning of an attempt up to a step, for another one to go on from.
///
/// # Errors
/// When there is no such step.
pub fn beginning(
    events: &[RecordEvent],
    step: u32,
    head: AttemptHead,
) -> Result<Vec<RecordEvent>, FoldError> {
    let live = live(events)?;
    let is_it = |e: &&RecordEvent| matches!(e, RecordEvent::Stepped { step: s, .. } if *s == step);
    let end = live.iter().rposition(is_it).ok_or(FoldError::NoStep(step))?;
    let rest = live[1..=end].iter().map(|e| (*e).clone());
    Ok(std::iter::once(RecordEvent::Started(Box::new(head))).chain(rest).collect())
}

impl Trajectory {
    /// Reads an attempt off its events. What came after the last whole step
    /// counts only if the attempt ended.
    ///
    /// # Errors
    /// See [`FoldError`].
    pub fn fold(events: &[RecordEvent]) -> Result<Self, FoldError> {
        let mut live = live(events)?;
        if !live.iter().any(|e| matches!(e, RecordEvent::Ended { .. })) {
            let whole = live.iter().rposition(|e| matches!(e, RecordEvent::Stepped { .. }));
            let broke = live.iter().rev().find(|e| matches!(e, RecordEvent::Broke(_))).copied();
            live.truncate(whole.map_or(1, |at| at + 1));
            live.extend(broke);
        }
        let Some(RecordEvent::Started(head)) = live.first() else { return Err(FoldError::NoStart) };
        let mut whole = Self {
            head: (**head).clone(),
            messages: Vec::new(),
            steps: Vec::new(),
            patch: String::new(),
            layers: Vec::new(),
            restorable: 0,
            folder: None,
            exports: None,
            last_request: String::new(),
            usage: Usage::default(),
            answers: 0,
            stop: None,
            fault: None,
        };
        let mut saved = true;
        for event in live {
            whole.take(event, &mut saved)?;
        }
        // Void answers were paid for, too.
        (whole.usage, whole.answers) = (Usage::default(), 0);
        for event in events {
            if let RecordEvent::Answered { usage, .. } = event {
                whole.usage.add(usage);
                whole.answers += 1;
            }
        }
        Ok(whole)
    }

    fn take(&mut self, event: &RecordEvent, saved: &mut bool) -> Result<(), FoldError> {
        match event {
            RecordEvent::Answered { request, usage, latency_ms, .. } => {
                let number = self.steps.len() as u32 + 1;
                let text = request.apply(&self.last_request).ok_or(FoldError::Request(number))?;
                self.last_request = text;
                self.steps.push(Step { number, usage: *usage, latency_ms: *latency_ms, ..Step::default() });
            }
            RecordEvent::Said(message) => {
                self.messages.push(message.clone());
                let Some(step) = self.steps.last_mut() else { return Ok(()) };
                match message.role {
                    Role::Assistant => {
                        step.words = message.content.clone();
                        step.actions = message
                            .calls
                            .iter()
                            .map(|c| Action { call: c.clone(), observation: String::new(), report: None })
                            .collect();
                    }
                    Role::Tool => {
                        let answered = |a: &&mut Action| message.call_id.as_deref() == Some(&a.call.id);
                        if let Some(action) = step.actions.iter_mut().find(answered) {
                            action.observation = message.content.clone();
                        }
                    }
                    Role::User | Role::System => {}
                }
            }
            RecordEvent::Acted(report) => {
                let action = self
                    .steps
                    .last_mut()
                    .and_then(|s| s.actions.iter_mut().find(|a| a.call.id == report.call_id));
                if let Some(action) = action {
                    action.report = Some(report.clone());
                }
            }
            RecordEvent::Malformed { code, .. } => {
                if let Some(step) = self.steps.last_mut() {
                    step.problem = Some(code.clone());
                }
            }
            RecordEvent::Nudged { predicate } => {
                if let Some(step) = self.steps.last_mut() {
                    step.nudges.push(predicate.clone());
                }
            }
            RecordEvent::Stepped { step, standing } => {
                *saved = !standing.unsaved && (*saved || standing.layers.is_some());
                if *saved {
                    self.restorable = *step;
                }
                if let Some(patch) = &standing.patch {
                    self.patch.clone_from(patch);
                    if let Some(step) = self.steps.last_mut() {
                        step.patch = Some(patch.clone());
                    }
                }
                if let Some(layers) = &standing.layers {
                    self.layers.clone_from(layers);
                }
                if standing.folder.is_some() {
                    self.folder.clone_from(&standing.folder);
                }
                if standing.exports.is_some() {
                    self.exports.clone_from(&standing.exports);
                }
            }
            RecordEvent::Broke(fault) => self.fault = Some(fault.clone()),
            RecordEvent::Ended { reason, patch } => {
                (self.stop, self.fault) = (Some(*reason), None);
                self.patch.clone_from(patch);
            }
            RecordEvent::Started(_) | RecordEvent::Refused { .. } | RecordEvent::Resumed { .. } => {}
        }
        Ok(())
    }

    /// What the attempt came to, if it is over: by its verdict, where there is
    /// one, and by its conduct at a repository (`owner/name`).
    #[must_use]
    pub fn class(&self, repo: &str, verdict: Option<Verdict>) -> Option<Class> {
        let cheated = !Conduct::sightings(&self.steps, repo).is_empty();
        self.stop.map(|stop| Class::of(stop, verdict, cheated))
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stop.is_some()
    }
}
