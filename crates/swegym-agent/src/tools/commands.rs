//! Commands: in the shell that lives on, or each in one of its own. Nothing
//! waits for a person: input is empty, or what the model types; pagers and
//! editors are programs that end, and time is limited.

use std::time::Duration;

use swegym_core::record::ActionReport;
use swegym_sandbox::output::{Keep, Output};
use swegym_sandbox::sandbox::Stopped;
use swegym_sandbox::{Command, End, Execution, Keys, Progress, Sandbox, SandboxError};
use tokio::sync::Semaphore;

use super::Done;
use crate::catalogue::Catalogue;
use crate::profile::Profile;

/// What keeps programs from waiting for a person.
const QUIET: [(&str, &str); 18] = [
    ("PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("LESS", "-R"),
    ("EDITOR", "true"),
    ("VISUAL", "true"),
    ("GIT_EDITOR", "true"),
    ("GIT_SEQUENCE_EDITOR", "true"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // Looking at a repository leaves it as it is, and the box without a change to save.
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("PIP_PROGRESS_BAR", "off"),
    ("TQDM_DISABLE", "1"),
    ("TERM", "dumb"),
    // An agent may commit; whoever it is, git asks for a name.
    ("GIT_AUTHOR_NAME", "agent"),
    ("GIT_AUTHOR_EMAIL", "agent@localhost"),
    ("GIT_COMMITTER_NAME", "agent"),
    ("GIT_COMMITTER_EMAIL", "agent@localhost"),
];

/// Words without which a command changes no exported variable.
const MAY_EXPORT: [&str; 9] =
    ["export", "source", ". ", "declare", "typeset", "eval", "set -a", "unset", "alias"];

/// First line of the output that hands work in, as in mini-swe-agent.
const SUBMIT: &str = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT";

/// ^D, as terminals have it.
const END_OF_INPUT: &str = "\u{4}";

/// How commands are run.
#[derive(Debug, Clone)]
pub(crate) struct CommandSettings {
    /// Longest time of one.
    pub(crate) timeout: Duration,
    /// The repository in the box.
    pub(crate) workspace: String,
}

/// The shell of one attempt.
pub(crate) struct Commands<'a> {
    settings: CommandSettings,
    /// Commands at once on this machine; time is counted from their turn on.
    turns: &'a Semaphore,
    /// The session's folder.
    pub(crate) folder: String,
    /// What the OpenHands profiles name.
    python: String,
    /// A command may have changed what the session exports.
    may_export: bool,
    /// A command of the session is still running.
    running: bool,
}

impl<'a> Commands<'a> {
    pub(crate) fn new(settings: CommandSettings, turns: &'a Semaphore) -> Self {
        let folder = settings.workspace.clone();
        Self { settings, turns, folder, python: "/usr/bin/python3".into(), may_export: false, running: false }
    }

    /// Prepares the shell that lives on, where an earlier one stood if it did.
    pub(crate) async fn open(
        &mut self,
        sandbox: &dyn Sandbox,
        folder: Option<&str>,
        exports: Option<&str>,
    ) -> Result<(), SandboxError> {
        let mut text = String::new();
        for (name, value) in QUIET {
            text += &format!("export {name}='{value}'\n");
        }
        if let Some(exports) = exports {
            text += exports;
            text.push('\n');
        }
        let quoted = |path: &str| format!("'{}'", path.replace('\'', "'\\''"));
        text += &format!("cd {}\n", quoted(&self.settings.workspace));
        if let Some(folder) = folder {
            text += &format!("cd {} 2>/dev/null\n", quoted(folder));
        }
        text += "command -v python || command -v python3";
        let opened = sandbox.session(&text, Duration::from_secs(30), Keep::default()).await?;
        let python = opened.output.stdout_text();
        if let Some(python) = python.lines().next() {
            self.python = python.to_owned();
        }
        if let Some(folder) = opened.folder {
            self.folder = folder;
        }
        Ok(())
    }

    /// Exported variables of the session, if they may have changed since the last look.
    pub(crate) async fn exports(&mut self, sandbox: &dyn Sandbox) -> Result<Option<String>, SandboxError> {
        if self.running || !std::mem::take(&mut self.may_export) {
            return Ok(None);
        }
        let keep = Keep { head: 256 << 10, tail: 0, kill_after: 1 << 20 };
        let said = sandbox.session("export -p", Duration::from_secs(10), keep).await?;
        Ok(said.succeeded().then(|| said.output.stdout_text()))
    }

    pub(crate) async fn run(
        &mut self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        profile: Profile,
        command: &str,
    ) -> Result<Done, SandboxError> {
        let session = profile.session;
        let word = command.trim();
        let interrupts = matches!(word, "ctrl+c" | "C-c");
        let refuse = |key: &str| {
            let report = ActionReport { refused: true, ..ActionReport::default() };
            Ok(Done { observation: catalogue.say(key, []), report, submits: false })
        };
        if session && !self.running && (interrupts || word.is_empty()) {
            return refuse("no_running_command");
        }
        let typed = format!("{command}\n");
        let keys = match word {
            "" => Keys::None,
            _ if interrupts => Keys::Interrupt,
            "ctrl+d" | "C-d" => Keys::Text(END_OF_INPUT),
            _ => Keys::Text(&typed),
        };
        // Twice what is ever shown, on both sides.
        let keep = Keep { head: 128 << 10, tail: 128 << 10, kill_after: 1 << 30 };
        let timeout = self.settings.timeout;
        let progress = {
            let _turn = self.turns.acquire().await;
            self.may_export |= session && MAY_EXPORT.iter().any(|word| command.contains(word));
            match profile.patience {
                Some(patience) if self.running => match sandbox.attend(keys, patience).await {
                    Err(SandboxError::NotTyped(_)) => return refuse("not_typed"),
                    attended => attended?,
                },
                Some(patience) if session => sandbox.begin(command, timeout, keep, patience).await?,
                _ if session => Progress::Over(sandbox.session(command, timeout, keep).await?),
                _ => {
                    let mut fresh =
                        Command::shell(command, timeout).in_folder(&self.settings.workspace).keeping(keep);
                    fresh.env = QUIET.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
                    Progress::Over(sandbox.exec(fresh).await?)
                }
            }
        };
        self.running = matches!(progress, Progress::Running(_));
        Ok(match progress {
            Progress::Running(output) => self.describe_running(catalogue, &output),
            Progress::Over(execution) => {
                if let Some(folder) = &execution.folder {
                    self.folder.clone_from(folder);
                }
                self.describe(catalogue, session, interrupts, &execution)
            }
        })
    }

    /// What a command has printed that goes on.
    fn describe_running(&self, catalogue: &Catalogue, output: &Output) -> Done {
        let text = output.combined_text();
        let note = catalogue.say("command_running", []);
        let shown = text.strip_suffix('\n').unwrap_or(&text);
        let observation = catalogue.say("command_stopped", [("output", shown.into()), ("note", note.into())]);
        // As the reference has it: a status that no program returns.
        let report = ActionReport { exit_code: Some(-1), ..ActionReport::default() };
        Done { observation, report, submits: false }
    }

    fn describe(
        &self,
        catalogue: &Catalogue,
        session: bool,
        interrupted: bool,
        execution: &Execution,
    ) -> Done {
        let output = execution.output.combined_text();
        let seconds = self.settings.timeout.as_secs();
        let limit = execution.limit_hit.map(|l| l.as_str());
        let (exit_code, stopped_by, note) = match execution.end {
            End::Exited(code) => (Some(code), None, None),
            End::Signalled(signal) => {
                let note = catalogue.say("command_signal", [("signal", signal.into())]);
                (None, Some(signal.to_string()), Some(note))
            }
            // Bash's status of what an interrupt ended.
            End::TimedOut(Stopped::Interrupted) if interrupted => (Some(130), None, None),
            End::TimedOut(Stopped::Respawned) => {
                let note = catalogue.say("command_respawned", [("seconds", seconds.into())]);
                (None, Some("timeout".to_owned()), Some(note))
            }
            End::TimedOut(_) => {
                let note = catalogue.say("command_timeout", [("seconds", seconds.into())]);
                (None, Some("timeout".to_owned()), Some(note))
            }
        };
        let note = limit.map(|l| catalogue.say("command_limit", [("limit", l.into())])).or(note);
        let submits = !session
            && exit_code == Some(0)
            && output.trim_start().lines().next().is_some_and(|line| line.trim() == SUBMIT);
        let key = match (session, exit_code) {
            (false, _) => "shell_output",
            (true, Some(_)) => "command_output",
            (true, None) => "command_stopped",
        };
        let shown = if session { output.strip_suffix('\n').unwrap_or(&output) } else { &output };
        let observation = catalogue.say(
            key,
            [
                ("output", shown.into()),
                ("exit_code", exit_code.unwrap_or(-1).into()),
                ("note", note.unwrap_or_default().into()),
                ("folder", self.folder.as_str().into()),
                ("python", self.python.as_str().into()),
            ],
        );
        let report = ActionReport {
            exit_code,
            stopped_by: limit.map(str::to_owned).or(stopped_by),
            dropped_bytes: execution.output.dropped,
            wall_time_ms: execution.wall_time.as_millis() as u64,
            cpu_time_ms: execution.cpu_time.as_millis() as u64,
            max_rss_bytes: execution.max_rss_bytes,
            ..ActionReport::default()
        };
        Done { observation, report, submits }
    }
}
