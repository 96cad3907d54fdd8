//! The loop: ask, act, observe, write down, until there is a reason to stop.
//!
//! A step is one answer of the model and what comes of it. When it is over,
//! the patch and (if the box changed) a snapshot of the box are in the record;
//! an attempt that is cut off at any moment goes on from its last whole step.

mod opening;

use std::sync::Arc;
use std::time::{Duration, Instant};

use swegym_core::calls::{self, CallProblem, text};
use swegym_core::chat::{CallForm, Finish, Message, Role, Sampling, Tool, ToolCall, Usage};
use swegym_core::record::{ActionReport, Delta, RecordEvent, Standing};
use swegym_core::trajectory::stuck::Stuck;
use swegym_core::trajectory::{Action, Step};
use swegym_core::{Boundary, Digest, Fault, Instance, StopReason, Trajectory};
use swegym_sandbox::{Extent, Sandbox, SandboxError};
use tokio::sync::Semaphore;

use crate::changes::Changes;
use crate::model::{Answer, Ask, Model, ModelError};
use crate::patch::{Ground, NoPatch, PatchTaker};
use crate::recorder::{RecordError, Recorder};
use crate::scaffold::{Prompts, Scaffold};
use crate::tools::Toolbox;

/// What one attempt may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Answers of the model.
    pub steps: u32,
    /// Tokens of one conversation.
    pub context: Option<u64>,
    /// Money, in US dollars.
    pub cost_usd: Option<f64>,
    /// Time of model and box together.
    pub wall_time: Duration,
    /// Time of one command.
    pub command: Duration,
    /// Answers in a row that cannot be carried out.
    pub format_errors: u32,
    /// Keep a snapshot of the box after each step that changed it.
    pub snapshots: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 50,
            context: None,
            cost_usd: None,
            wall_time: Duration::from_secs(7200),
            command: Duration::from_secs(120),
            format_errors: 3,
            snapshots: true,
        }
    }
}

/// Everything that an attempt works with.
pub struct Attempt<'a> {
    /// The problem.
    pub instance: &'a Instance,
    /// Which of the K attempts.
    pub number: u32,
    /// The way of working.
    pub scaffold: Scaffold,
    /// Its texts.
    pub prompts: &'a Prompts,
    /// Who answers.
    pub model: &'a dyn Model,
    /// How calls travel.
    pub calls: CallForm,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// What may be used.
    pub limits: &'a Limits,
    /// Whether the task says what was discussed about it.
    pub hints: bool,
    /// The repository in the box.
    pub workspace: &'a str,
    /// A box of the instance's image; of [`Trajectory::layers`] too, where an
    /// attempt is taken up.
    pub sandbox: &'a dyn Sandbox,
    /// What attempts at the instance share of its repository.
    pub ground: Arc<Ground>,
    /// Commands at once on this machine.
    pub turns: &'a Semaphore,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// Why.
    pub reason: StopReason,
    /// The answer.
    pub patch: String,
}

impl From<RecordError> for Fault {
    fn from(error: RecordError) -> Self {
        let mut message = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            message = format!("{message}: {cause}");
        }
        Self::new(Boundary::Sandbox, "record", message)
    }
}

/// An attempt at work.
struct Work<'a> {
    attempt: &'a Attempt<'a>,
    recorder: &'a mut Recorder,
    tools: Vec<Tool>,
    toolbox: Toolbox<'a>,
    taker: PatchTaker,
    messages: Vec<Message>,
    /// Whole steps, and the one at work.
    step_count: u32,
    /// The last of them: as far as predicates look back.
    recent: Vec<Step>,
    usage: Usage,
    last_request: Arc<str>,
    patch: String,
    /// Layers below this box's own.
    layers: Vec<Digest>,
    /// As the box stood after the last step.
    changes: Changes,
    format_errors: u32,
    plain_words: u32,
    nudges: u32,
    nudged: Option<Stuck>,
    deadline: Instant,
    context_tokens: u64,
}

impl Attempt<'_> {
    /// Works to the end, or to a fault; either way the record says so. `past`
    /// is what the record holds already.
    ///
    /// # Errors
    /// A fault of the model's endpoint, of the box, or of the task. What the
    /// model does is never one.
    pub async fn run(&self, recorder: &mut Recorder, past: Option<&Trajectory>) -> Result<Ending, Fault> {
        let mut work = self.open(recorder, past).await?;
        let ended = work.go_on().await;
        match ended {
            Ok(reason) => {
                let changes = work.look().await?;
                work.take_patch(changes).await?;
                work.settle_patch().await?;
                let patch = std::mem::take(&mut work.patch);
                work.recorder.finish(&RecordEvent::Ended { reason, patch: patch.clone() })?;
                Ok(Ending { reason, patch })
            }
            Err(fault) => {
                work.recorder.append(&RecordEvent::Broke(fault.clone()))?;
                Err(fault)
            }
        }
    }
}

impl Work<'_> {
    async fn go_on(&mut self) -> Result<StopReason, Fault> {
        loop {
            if let Some(reason) = self.limit() {
                return Ok(reason);
            }
            match self.step().await? {
                Some(reason) => return Ok(reason),
                None => self.note_step().await?,
            }
        }
    }

    /// A limit that the next step would pass.
    fn limit(&self) -> Option<StopReason> {
        let limits = self.attempt.limits;
        if self.step_count >= limits.steps {
            return Some(StopReason::StepLimit);
        }
        if limits.cost_usd.is_some_and(|most| self.usage.cost_usd.unwrap_or(0.0) >= most) {
            return Some(StopReason::CostLimit);
        }
        if Instant::now() >= self.deadline {
            return Some(StopReason::Timeout);
        }
        if limits.context.is_some_and(|most| self.context_tokens >= most) {
            return Some(StopReason::ContextOverflow);
        }
        None
    }

    /// One answer and what comes of it.
    async fn step(&mut self) -> Result<Option<StopReason>, Fault> {
        let (request, answer, tries) = match self.ask().await? {
            Ok(answered) => answered,
            Err(reason) => return Ok(Some(reason)),
        };
        let Answer { response, reply, latency } = answer;
        self.usage.add(&reply.usage);
        self.context_tokens = reply.usage.tokens();
        let number = self.step_count + 1;
        let mut step = Step { number, usage: reply.usage, ..Step::default() };
        let said = self.understand(reply.message, reply.finish, reply.wrong_role);
        step.words.clone_from(&said.message.content);
        self.recorder.append(&RecordEvent::Answered {
            request,
            response,
            tries,
            latency_ms: latency.as_millis() as u64,
            usage: reply.usage,
            finish: reply.finish,
        })?;
        self.say(said.message)?;
        self.step_count = number;
        self.recent.push(step);
        if self.recent.len() > Stuck::WINDOW {
            self.recent.remove(0);
        }
        match said.problem {
            Some(problem) => self.answer_problem(&problem),
            None if said.calls.is_empty() => self.answer_words(),
            None => self.act(said.calls).await,
        }
    }

    /// Asks the model, and says what is new in the question; a failed try is
    /// recorded, and what ends the attempt rather than breaking it is a reason.
    async fn ask(&mut self) -> Result<Result<(Delta, Answer, u32), StopReason>, Fault> {
        let (attempt, as_text) = (self.attempt, self.attempt.calls == CallForm::Text);
        let mut texts;
        let (messages, tools, stop): (&[Message], &[Tool], &[&str]) = if as_text {
            texts = text::conversation(&self.messages, &self.tools, &attempt.prompts.text_tools)
                .map_err(|e| Fault::new(Boundary::Internal, "conversation", e.to_string()))?;
            if let Some(example) = &attempt.prompts.example {
                example.show(&mut texts);
            }
            (&texts, &[], &[text::STOP])
        } else {
            (&self.messages, &self.tools, &[])
        };
        let session = attempt.instance.instance_id.as_str();
        let ask = Ask { messages, tools, sampling: &attempt.sampling, stop, session };
        let left = self.deadline.saturating_duration_since(Instant::now());
        // Compared before it is sent, so that while it waits there is one of them.
        let request = attempt.model.request(&ask);
        let news = Delta::between(&self.last_request, &request);
        self.last_request = request;
        let answer = attempt.model.answer(&ask, &self.last_request);
        let Ok(answered) = tokio::time::timeout(left, answer).await else {
            return Ok(Err(StopReason::Timeout));
        };
        let tries = answered.failed.len() as u32 + 1;
        for failed in answered.failed {
            let wait_ms = failed.wait.as_millis() as u64;
            self.recorder.append(&RecordEvent::Refused {
                status: failed.status,
                body: failed.body,
                wait_ms,
            })?;
        }
        match answered.result {
            Ok(answer) => Ok(Ok((news, answer, tries))),
            Err(ModelError::ContextOverflow(words)) => {
                self.recorder.append(&RecordEvent::Refused { status: None, body: words, wait_ms: 0 })?;
                Ok(Err(StopReason::ContextOverflow))
            }
            Err(error) => Err(error.to_fault()),
        }
    }

    /// What an answer asks for, in one form whichever way it came.
    fn understand(&self, mut message: Message, finish: Finish, wrong_role: Option<String>) -> Said {
        if let Some(role) = wrong_role {
            message.calls.clear();
            return Said { message, calls: Vec::new(), problem: Some(CallProblem::WrongRole(role)) };
        }
        // Nobody knows what it would have said next: that a call looks whole does
        // not make it the one that was meant.
        if finish == Finish::Length {
            return Said::wrong(message, CallProblem::Cut);
        }
        if self.attempt.calls == CallForm::Native && !message.calls.is_empty() {
            return self.understand_native(message);
        }
        // Models that were trained on the text form use it wherever they are.
        let profile = self.attempt.scaffold.profile();
        // Only a stop word leaves a call open that is whole; a filter leaves half of one.
        let whole = match finish {
            Finish::Stop | Finish::ToolCalls => text::repair(&message.content, profile.dialect),
            Finish::Length | Finish::Other => message.content.clone(),
        };
        match text::parse(&whole, &self.tools, profile.dialect) {
            Ok(None) => Said { message, calls: Vec::new(), problem: None },
            Ok(Some(found)) => {
                let arguments = serde_json::Value::Object(found.arguments.clone()).to_string();
                let id = format!("call_{}", self.step_count + 1);
                let call = ToolCall { id, name: found.name, arguments };
                let (reasoning, aside) = (message.reasoning.take(), std::mem::take(&mut message.aside));
                let keeps = profile.repeats_samples && self.attempt.calls == CallForm::Text;
                let sampled = keeps.then_some(whole);
                let said = Message::assistant(found.content, vec![call.clone()]);
                let message = Message { reasoning, aside, sampled, ..said };
                Said { message, calls: vec![(call, found.arguments)], problem: None }
            }
            Err(problem) => {
                message.content = whole;
                Said::wrong(message, problem)
            }
        }
    }

    /// Calls in fields of their own. All are checked before one is carried out:
    /// an answer is understood or it is not.
    fn understand_native(&self, mut message: Message) -> Said {
        // Answers name the call they belong to, so ids must be there and differ.
        let number = self.step_count + 1;
        for i in 0..message.calls.len() {
            let id = &message.calls[i].id;
            let taken = message.calls[..i].iter().any(|c| c.id == *id)
                || self.messages.iter().any(|m| m.calls.iter().any(|c| c.id == *id));
            if id.is_empty() || taken {
                message.calls[i].id = format!("call_{number}_{i}");
            }
        }
        let read = |call: &ToolCall| Ok((call.clone(), calls::read(call, &self.tools)?));
        match message.calls.iter().map(read).collect::<Result<Vec<_>, CallProblem>>() {
            Ok(calls) => Said { message, calls, problem: None },
            Err(problem) => Said::wrong(message, problem),
        }
    }

    /// Tells the model why its answer was not carried out.
    fn answer_problem(&mut self, problem: &CallProblem) -> Result<Option<StopReason>, Fault> {
        let (code, words) = (problem.code(), problem.to_string());
        self.recorder.append(&RecordEvent::Malformed { code: code.into(), message: words })?;
        if let Some(step) = self.recent.last_mut() {
            step.problem = Some(code.to_owned());
        }
        let blanks = problem.fields().into_iter().map(|(k, v)| (k, minijinja::Value::from(v)));
        let text = self.attempt.prompts.catalogue.say(code, blanks);
        let calls = self.messages.last().map(|m| m.calls.clone()).unwrap_or_default();
        for call in &calls {
            self.say(Message::answer(call, text.clone()))?;
        }
        if calls.is_empty() {
            self.say(Message::of(Role::User, text))?;
        }
        self.count_format_error()
    }

    fn count_format_error(&mut self) -> Result<Option<StopReason>, Fault> {
        self.format_errors += 1;
        let over = self.format_errors >= self.attempt.limits.format_errors;
        Ok(over.then_some(StopReason::FormatErrors))
    }

    /// Words without a call.
    fn answer_words(&mut self) -> Result<Option<StopReason>, Fault> {
        let catalogue = &self.attempt.prompts.catalogue;
        if !self.attempt.scaffold.profile().words_are_fine {
            let text = catalogue.say("no_call", []);
            self.recorder
                .append(&RecordEvent::Malformed { code: "no_call".into(), message: text.clone() })?;
            if let Some(step) = self.recent.last_mut() {
                step.problem = Some("no_call".to_owned());
            }
            self.say(Message::of(Role::User, text))?;
            return self.count_format_error();
        }
        self.format_errors = 0;
        self.plain_words += 1;
        let key = if self.plain_words > 1 { "go_on_or_give_up" } else { "go_on" };
        let text = catalogue.say(key, []);
        self.say(Message::of(Role::User, text))?;
        Ok(self.watch_for_loops()?)
    }

    /// Carries out calls one after another.
    async fn act(&mut self, calls: Vec<Call>) -> Result<Option<StopReason>, Fault> {
        self.format_errors = 0;
        if let Some(step) = self.recent.last_mut() {
            step.actions.reserve_exact(calls.len());
        }
        for (call, arguments) in calls {
            let done = self.toolbox.carry_out(&call.name, &arguments).await.map_err(|e| e.to_fault())?;
            let report = ActionReport { call_id: call.id.clone(), ..done.report };
            self.recorder.append(&RecordEvent::Acted(report.clone()))?;
            if let Some(step) = self.recent.last_mut() {
                // What a command printed is not compared: see `Stuck`.
                let observation =
                    if report.exit_code.is_some() { String::new() } else { done.observation.clone() };
                let report = ActionReport { raw: None, replaced: None, ..report };
                step.actions.push(Action { call: call.clone(), observation, report: Some(report) });
            }
            if done.submits {
                return Ok(Some(StopReason::Submitted));
            }
            self.context_tokens += observed_tokens(&done.observation);
            self.say(Message::answer(&call, done.observation))?;
        }
        Ok(self.watch_for_loops()?)
    }

    /// Tells a model that it goes in circles, and stops it if it goes on.
    fn watch_for_loops(&mut self) -> Result<Option<StopReason>, RecordError> {
        let Some(stuck) = Stuck::first(&Stuck::ONLINE, &self.recent) else {
            self.nudged = None;
            return Ok(None);
        };
        let told_already = self.nudged == Some(stuck);
        if told_already || self.nudges >= self.attempt.scaffold.profile().nudges {
            self.recorder.append(&RecordEvent::Nudged { predicate: stuck.name().into() })?;
            return Ok(Some(StopReason::StuckInLoop));
        }
        (self.nudged, self.nudges) = (Some(stuck), self.nudges + 1);
        self.recorder.append(&RecordEvent::Nudged { predicate: stuck.name().into() })?;
        let text = self.attempt.prompts.catalogue.say("nudge", []);
        self.say(Message::of(Role::User, text))?;
        Ok(None)
    }

    fn say(&mut self, mut message: Message) -> Result<(), RecordError> {
        // It stays for the attempt's life, and there are many attempts.
        message.calls.shrink_to_fit();
        self.recorder.append(&RecordEvent::Said(message.clone()))?;
        self.messages.push(message);
        Ok(())
    }

    /// Ends a step: patch and snapshot, if the box changed, and the mark in the
    /// record after which nothing of the step can be lost.
    async fn note_step(&mut self) -> Result<(), Fault> {
        let mut standing = Standing::default();
        let sandbox = self.attempt.sandbox;
        let exports = self.toolbox.commands.exports(sandbox).await.map_err(|e| e.to_fault())?;
        standing.exports = exports;
        standing.folder = Some(self.toolbox.commands.folder.clone());
        let changes = self.look().await?;
        if changes.everything != self.changes.everything {
            let before = self.patch.clone();
            self.take_patch(changes).await?;
            standing.patch = (self.patch != before).then(|| self.patch.clone());
            if self.attempt.limits.snapshots {
                standing.layers = self.snapshot().await;
            }
            standing.unsaved = standing.layers.is_none();
        }
        let step = self.step_count;
        Ok(self.recorder.append(&RecordEvent::Stepped { step, standing: Box::new(standing) })?)
    }

    /// A box that cannot be frozen just now can still be worked in.
    async fn snapshot(&self) -> Option<Vec<Digest>> {
        let layer = self.attempt.sandbox.snapshot(Extent::Whole).await.ok()?;
        Some(self.layers.iter().copied().chain([layer.0]).collect())
    }

    async fn look(&self) -> Result<Changes, Fault> {
        let Attempt { sandbox, workspace, .. } = self.attempt;
        Changes::look(*sandbox, workspace).await.map_err(|e| e.to_fault())
    }

    /// Takes the patch, if the repository's files changed.
    async fn take_patch(&mut self, changes: Changes) -> Result<(), Fault> {
        let before = std::mem::replace(&mut self.changes, changes);
        if before.tree == self.changes.tree {
            return Ok(());
        }
        let taken = self.taker.take(self.attempt.sandbox, &self.changes, &self.patch).await;
        self.keep_patch(taken)
    }

    /// Lets git say what was a draft, or an earlier process's.
    async fn settle_patch(&mut self) -> Result<(), Fault> {
        if !self.taker.is_draft() {
            return Ok(());
        }
        let taken = self.taker.take_by_git(self.attempt.sandbox, &self.changes).await;
        self.keep_patch(taken)
    }

    /// An agent may ruin its repository; what was there before counts.
    fn keep_patch(&mut self, taken: Result<Result<String, NoPatch>, SandboxError>) -> Result<(), Fault> {
        match taken {
            Ok(Ok(patch)) => self.patch = patch,
            Ok(Err(NoPatch(why))) => {
                let code = "no_patch".to_owned();
                self.recorder.append(&RecordEvent::Malformed { code, message: why })?;
            }
            Err(error) => return Err(error.to_fault()),
        }
        Ok(())
    }
}

/// About how many tokens of the next request an observation is: nobody has counted them yet.
fn observed_tokens(observation: &str) -> u64 {
    observation.len() as u64 / 4
}

/// A call with its checked arguments.
type Call = (ToolCall, serde_json::Map<String, serde_json::Value>);

/// An answer, understood.
struct Said {
    message: Message,
    calls: Vec<Call>,
    problem: Option<CallProblem>,
}

impl Said {
    fn wrong(message: Message, problem: CallProblem) -> Self {
        Self { message, calls: Vec::new(), problem: Some(problem) }
    }
}
