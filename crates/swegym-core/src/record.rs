//! What happens in one attempt, event by event: the journal that a crash
//! leaves, the script of a replay, and the source of training data in one.
//!
//! Events are only ever appended. An attempt that is taken up again after a
//! crash says so ([`RecordEvent::Resumed`]), and what came after the step it
//! goes on from is void: it stays in the file, and no reader counts it.

use serde_json::{Map, Value};

use crate::chat::{CallForm, Finish, Message, Sampling, Tool, Usage};
use crate::id::repository_by_id;
use crate::stop_reason::StopReason;
use crate::wire::Wire;
use crate::{Digest, Fault, InstanceId};

/// What was decided before the first step.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptHead {
    /// The problem.
    pub instance_id: InstanceId,
    /// The problem's repository, as `owner/name`; records from before it was
    /// noted do not say.
    pub repo: Option<String>,
    /// Which of the K attempts, from 0.
    pub attempt: u32,
    /// The scaffold and its version, for example `codeact@1`.
    pub scaffold: String,
    /// The model's name at its endpoint.
    pub model: String,
    /// The endpoint's protocol: how the recorded bytes are read.
    pub wire: Wire,
    /// How calls travel.
    pub calls: CallForm,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Digest of the image that the box is of.
    pub image: String,
    /// The commit that the patch is taken against.
    pub base_commit: String,
    /// What the model is offered.
    pub tools: Vec<Tool>,
    /// Limits of the loop, by the names of their flags.
    pub limits: Map<String, Value>,
    /// The attempt and step that this one was forked from.
    pub forked_from: Option<(u32, u32)>,
}

impl AttemptHead {
    /// The repository: as the record says; where it does not, what else is known
    /// of the instance; and only then what its id tells.
    #[must_use]
    pub fn repository(&self, known: Option<&str>) -> String {
        let said = self.repo.as_deref().or(known);
        said.map_or_else(|| repository_by_id(self.instance_id.as_str()), str::to_owned)
    }
}

/// Bytes of a request, as what it does not share with the one before: requests
/// repeat the whole conversation, and a record must not grow with its square.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Bytes shared at the start.
    pub prefix: usize,
    /// Bytes shared at the end.
    pub suffix: usize,
    /// What stands between.
    pub middle: String,
}

impl Delta {
    /// The difference between two requests.
    #[must_use]
    pub fn between(old: &str, new: &str) -> Self {
        let (a, b) = (old.as_bytes(), new.as_bytes());
        let mut prefix = shared_start(a, b);
        while !new.is_char_boundary(prefix) {
            prefix -= 1;
        }
        let room = a.len().min(b.len()) - prefix;
        let mut suffix = shared_end(&a[a.len() - room..], &b[b.len() - room..]);
        while !new.is_char_boundary(b.len() - suffix) {
            suffix -= 1;
        }
        Self { prefix, suffix, middle: new[prefix..b.len() - suffix].to_owned() }
    }

    /// The request, from the one before; `None` where they do not belong together.
    #[must_use]
    pub fn apply(&self, old: &str) -> Option<String> {
        let start = old.get(..self.prefix)?;
        let end = old.get(old.len().checked_sub(self.suffix)?..)?;
        Some([start, &self.middle, end].concat())
    }
}

/// Bytes compared at once: nearly all of a long conversation is in the next one.
const BLOCK: usize = 64;

fn shared_start(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let alike = BLOCK * blocks.take_while(|(x, y)| x == y).count();
    alike + a[alike..].iter().zip(&b[alike..]).take_while(|(x, y)| x == y).count()
}

fn shared_end(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK));
    let alike = BLOCK * blocks.take_while(|(x, y)| x == y).count();
    let rest = |text: &[u8]| text.len() - alike;
    alike + a[..rest(a)].iter().rev().zip(b[..rest(b)].iter().rev()).take_while(|(x, y)| x == y).count()
}

/// How one action ended in the box.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActionReport {
    /// The call it answers.
    pub call_id: String,
    /// The status of a command; `None` where there was none or it was stopped.
    pub exit_code: Option<i32>,
    /// `timeout`, a signal's number or a limit's name, where something ended it.
    pub stopped_by: Option<String>,
    /// Whether the tool refused, or the call could not be carried out.
    pub refused: bool,
    /// What came out, where the model saw something else: both ends of it.
    pub raw: Option<String>,
    /// Bytes of output that nobody kept.
    pub dropped_bytes: u64,
    /// Wall time.
    pub wall_time_ms: u64,
    /// Processor time.
    pub cpu_time_ms: u64,
    /// Largest resident set.
    pub max_rss_bytes: u64,
    /// The text that an edit replaced, by which `undo_edit` works.
    pub replaced: Option<(String, String)>,
}

/// Where the box stands after a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// The answer so far, if it changed in this step.
    pub patch: Option<String>,
    /// Layers that lie on the image, if the box changed in this step.
    pub layers: Option<Vec<Digest>>,
    /// The box changed in this step, and no snapshot holds it as it is.
    pub unsaved: bool,
    /// The session's folder.
    pub folder: Option<String>,
    /// Exported variables of the session, as bash declares them.
    pub exports: Option<String>,
}

/// One line of an attempt's record.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordEvent {
    /// The first.
    Started(Box<AttemptHead>),
    /// A message entered the conversation.
    Said(Message),
    /// A try to reach the model failed; another followed unless the attempt ended.
    Refused {
        /// The status of the answer, if there was one.
        status: Option<u16>,
        /// Its body, or what went wrong with the connection.
        body: String,
        /// How long was waited before the next try.
        wait_ms: u64,
    },
    /// The model answered.
    Answered {
        /// The request's bytes, against those of the request before.
        request: Delta,
        /// The answer's bytes; the file keeps bytes that are no text, too.
        response: Vec<u8>,
        /// Tries, the last included.
        tries: u32,
        /// From the last try to its answer.
        latency_ms: u64,
        /// What it used.
        usage: Usage,
        /// Why it stopped.
        finish: Finish,
    },
    /// The answer could not be carried out as it was.
    Malformed {
        /// [`crate::calls::CallProblem::code`].
        code: String,
        /// What was wrong.
        message: String,
    },
    /// An action was carried out.
    Acted(ActionReport),
    /// A predicate saw a loop, and the model was told.
    Nudged {
        /// Its name and version.
        predicate: String,
    },
    /// A step is over: everything before this line is safe.
    Stepped {
        /// From 1; 0 is the opening of the conversation.
        step: u32,
        /// Where the box stands.
        standing: Box<Standing>,
    },
    /// The attempt was taken up again; whatever came after `step` is void.
    Resumed {
        /// The last step that counts.
        step: u32,
    },
    /// Something broke that is not the model's doing; the attempt may go on later.
    Broke(Fault),
    /// The last: nothing follows.
    Ended {
        /// Why.
        reason: StopReason,
        /// The answer.
        patch: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delta_gives_the_request_back(start in "[aé]{0,200}", old in "[abé\"]{0,6}", new in "[abé\"]{0,6}", end in "[bé]{0,200}") {
            let (old, new) = (format!("{start}{old}{end}"), format!("{start}{new}{end}"));
            let delta = Delta::between(&old, &new);
            prop_assert_eq!(delta.apply(&old), Some(new));
        }
    }
}
