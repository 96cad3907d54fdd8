//! How an attempt begins, or is taken up where it was cut off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use swegym_core::chat::{Message, Role};
use swegym_core::record::{AttemptHead, RecordEvent, Standing};
use swegym_core::trajectory::Step;
use swegym_core::trajectory::stuck::Stuck;
use swegym_core::{Boundary, Fault, Trajectory};
use swegym_sandbox::Command;

use super::{Attempt, Limits, Work, observed_tokens};
use crate::changes::Changes;
use crate::patch::{NoPatch, PatchTaker};
use crate::recorder::Recorder;
use crate::scaffold::workspace_name;
use crate::tools::{CommandSettings, Commands, EDITOR, Editor, Toolbox};

impl Limits {
    /// By the names of their flags, for records.
    #[must_use]
    pub fn to_map(&self) -> Map<String, serde_json::Value> {
        Map::from_iter([
            ("max-steps".to_owned(), json!(self.steps)),
            ("max-context".to_owned(), json!(self.context)),
            ("max-cost".to_owned(), json!(self.cost_usd)),
            ("max-time".to_owned(), json!(self.wall_time.as_secs())),
            ("command-timeout".to_owned(), json!(self.command.as_secs())),
            ("max-format-errors".to_owned(), json!(self.format_errors)),
            ("snapshots".to_owned(), json!(self.snapshots)),
        ])
    }

    /// Reads what [`Limits::to_map`] wrote; what is missing is as by default.
    #[must_use]
    pub fn from_map(map: &Map<String, serde_json::Value>) -> Self {
        let number = |key: &str| map.get(key).and_then(serde_json::Value::as_u64);
        let default = Self::default();
        Self {
            steps: number("max-steps").map_or(default.steps, |n| n as u32),
            context: number("max-context"),
            cost_usd: map.get("max-cost").and_then(serde_json::Value::as_f64),
            wall_time: number("max-time").map_or(default.wall_time, Duration::from_secs),
            command: number("command-timeout").map_or(default.command, Duration::from_secs),
            format_errors: number("max-format-errors").map_or(default.format_errors, |n| n as u32),
            snapshots: map.get("snapshots") != Some(&json!(false)),
        }
    }
}

impl Attempt<'_> {
    pub(super) async fn open<'a>(
        &'a self,
        recorder: &'a mut Recorder,
        past: Option<&Trajectory>,
    ) -> Result<Work<'a>, Fault> {
        let profile = self.scaffold.profile();
        let (commit, ground) = (&self.instance.base_commit, Arc::clone(&self.ground));
        let mut taker = PatchTaker::new(self.workspace, commit, profile.leaves_scratch_out, ground);
        let is_fresh = past.is_none_or(|past| past.layers.is_empty());
        if let Err(NoPatch(why)) = taker.prepare(self.sandbox, is_fresh).await.map_err(|e| e.to_fault())? {
            let message = format!(
                "`{}` has no repository at {} with the commit {}: {why}",
                self.instance.instance_id, self.workspace, self.instance.base_commit
            );
            return Err(Fault::new(Boundary::Task, "no_repository", message)
                .with_hint("build the image again, and validate the instance"));
        }
        let workspace = self.show_workspace(profile.named_workspace).await?;
        let settings = CommandSettings { timeout: self.limits.command, workspace: workspace.clone() };
        let mut commands = Commands::new(settings, self.turns);
        if profile.session {
            let (folder, exports) =
                (past.and_then(|p| p.folder.as_deref()), past.and_then(|p| p.exports.as_deref()));
            commands.open(self.sandbox, folder, exports).await.map_err(|e| e.to_fault())?;
        }
        let catalogue = &self.prompts.catalogue;
        let editor = profile.editor.map(|generation| Editor::new(generation, &workspace));
        let mut work = Work {
            attempt: self,
            recorder,
            tools: self.scaffold.tools(),
            toolbox: Toolbox { sandbox: self.sandbox, catalogue, profile, commands, editor },
            taker,
            messages: Vec::new(),
            step_count: 0,
            recent: Vec::new(),
            usage: swegym_core::chat::Usage::default(),
            last_request: "".into(),
            patch: String::new(),
            layers: Vec::new(),
            changes: Changes::default(),
            format_errors: 0,
            plain_words: 0,
            nudges: 0,
            nudged: None,
            deadline: Instant::now() + self.limits.wall_time,
            context_tokens: 0,
        };
        match past {
            Some(past) => work.take_up(past)?,
            None => work.begin(&workspace)?,
        }
        work.changes = work.look().await?;
        if is_fresh {
            work.taker.begin(&work.changes);
        }
        Ok(work)
    }

    /// Where the agent finds the repository.
    async fn show_workspace(&self, named: bool) -> Result<String, Fault> {
        if !named {
            return Ok(self.workspace.to_owned());
        }
        let place = format!("/workspace/{}", workspace_name(self.instance));
        let link = Command::new(["ln", "-sfn", self.workspace, &place], Duration::from_secs(30));
        let folder = Command::new(["mkdir", "-p", "/workspace"], Duration::from_secs(30));
        for command in [folder, link] {
            self.sandbox.exec(command).await.map_err(|e| e.to_fault())?;
        }
        Ok(place)
    }

    fn head(&self) -> AttemptHead {
        AttemptHead {
            instance_id: self.instance.instance_id.clone(),
            repo: Some(self.instance.repo.clone()),
            attempt: self.number,
            scaffold: self.scaffold.version(),
            model: self.model.name().to_owned(),
            wire: self.model.wire(),
            calls: self.calls,
            sampling: self.sampling.clone(),
            image: self.instance.image.clone().unwrap_or_default(),
            base_commit: self.instance.base_commit.clone(),
            tools: self.scaffold.tools(),
            limits: self.limits.to_map(),
            forked_from: None,
        }
    }
}

impl Work<'_> {
    fn begin(&mut self, workspace: &str) -> Result<(), Fault> {
        let attempt = self.attempt;
        let opening = attempt.prompts.opening(attempt.instance, workspace, attempt.hints);
        let (system, task) = opening.map_err(|why| {
            Fault::new(Boundary::Internal, "prompt", format!("a prompt cannot be rendered: {why}"))
                .with_hint("mend the template in the folder of --prompts")
        })?;
        self.recorder.append(&RecordEvent::Started(Box::new(attempt.head())))?;
        self.say(Message::of(Role::System, system))?;
        self.say(Message::of(Role::User, task))?;
        Ok(self
            .recorder
            .append(&RecordEvent::Stepped { step: 0, standing: Box::new(Standing::default()) })?)
    }

    /// Everything as it was after the last whole step.
    fn take_up(&mut self, past: &Trajectory) -> Result<(), Fault> {
        self.recorder.append(&RecordEvent::Resumed { step: past.steps.len() as u32 })?;
        self.messages.clone_from(&past.messages);
        self.step_count = past.steps.len() as u32;
        self.recent = past.steps[past.steps.len().saturating_sub(Stuck::WINDOW)..].to_vec();
        self.usage = past.usage;
        self.last_request = past.last_request.as_str().into();
        self.patch.clone_from(&past.patch);
        self.taker.go_on(&past.patch);
        self.layers.clone_from(&past.layers);
        let told =
            |step: &Step| step.actions.iter().map(|action| observed_tokens(&action.observation)).sum::<u64>();
        self.context_tokens = past.steps.last().map_or(0, |step| step.usage.tokens() + told(step));
        let is_plain = |step: &&Step| step.actions.is_empty() && step.problem.is_none();
        self.plain_words = past.steps.iter().filter(is_plain).count() as u32;
        self.format_errors = past.steps.iter().rev().take_while(|s| s.problem.is_some()).count() as u32;
        self.nudges = past.steps.iter().map(|s| s.nudges.len() as u32).sum();
        // Nobody looks for loops where an answer could not be carried out.
        let watched = past.steps.iter().rev().find(|step| step.problem.is_none());
        let last = watched.and_then(|step| step.nudges.last());
        self.nudged = last.and_then(|name| Stuck::ALL.into_iter().find(|stuck| stuck.name() == name));
        let mut spent = 0;
        for step in &past.steps {
            spent += step.latency_ms;
            for action in &step.actions {
                let Some(report) = &action.report else { continue };
                spent += report.wall_time_ms;
                let Some(editor) = self.toolbox.editor.as_mut().filter(|_| action.call.name == EDITOR) else {
                    continue;
                };
                match &report.replaced {
                    Some((path, before)) => editor.remember(path, before.clone()),
                    None if !report.refused => forget_undone(editor, &action.call.arguments),
                    None => {}
                }
            }
        }
        let left = self.attempt.limits.wall_time.saturating_sub(Duration::from_millis(spent));
        self.deadline = Instant::now() + left;
        Ok(())
    }
}

fn forget_undone(editor: &mut Editor, arguments: &str) {
    let arguments: serde_json::Value = swegym_core::json::from_str(arguments).unwrap_or_default();
    if arguments["command"] == "undo_edit" {
        editor.forget(arguments["path"].as_str().unwrap_or_default());
    }
}
