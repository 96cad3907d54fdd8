//! What a model is told and offered: prompts, tools, texts, habits.
//!
//! A profile is versioned (`codeact@1`): whatever changes what a model sees or
//! what becomes of its answers makes a new version. Prompts and texts lie in
//! `prompts/`; a user's folder can replace any of them ([`Prompts::load`]).

mod example;

use std::path::Path;
use std::time::Duration;

use minijinja::{Environment, context};
use swegym_core::Instance;
use swegym_core::calls::text::{self, Dialect};
use swegym_core::chat::Tool;
use swegym_core::format::text::decode;

use crate::catalogue::Catalogue;
use crate::profile::{Generation, Profile};
use crate::tools;
pub use example::Example;

/// The ways of working that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scaffold {
    /// Ours: a shell, an editor, `finish`; the repository's real path.
    CodeAct,
    /// OpenHands' CodeActAgent 2.1, of SWE-Gym's teacher data.
    CodeAct21,
    /// OpenHands' CodeActAgent 2.2, of SWE-Gym's rollouts and evaluations.
    CodeAct22,
    /// mini-swe-agent's: one tool, every command in a fresh shell.
    Bash,
    /// A teacher that knows the gold patch and applies it.
    Gold,
    /// A teacher that knows it and stumbles as students do.
    NoisyExpert,
}

/// Of a command that is not over by then, OpenHands 0.13 shows what there is
/// (reference/agents.md, section 1.1).
const SOFT_TIMEOUT: Duration = Duration::from_secs(5);

/// The texts of one scaffold.
#[derive(Debug)]
pub struct Prompts {
    system: String,
    task: String,
    /// What introduces tools where calls are text; see [`text::INSTRUCTIONS`].
    pub text_tools: String,
    /// What is shown before the task where calls are text, if anything.
    pub example: Option<Example>,
    /// Everything else that is said.
    pub catalogue: Catalogue,
}

impl Scaffold {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::CodeAct, Self::CodeAct21, Self::CodeAct22, Self::Bash, Self::Gold, Self::NoisyExpert];

    /// The word in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CodeAct => "codeact",
            Self::CodeAct21 => "codeact-2.1",
            Self::CodeAct22 => "codeact-2.2",
            Self::Bash => "bash",
            Self::Gold => "gold",
            Self::NoisyExpert => "noisy-expert",
        }
    }

    /// Reads the word of [`Scaffold::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Name and version, for records.
    #[must_use]
    pub fn version(self) -> String {
        let version = match self {
            Self::CodeAct21 | Self::CodeAct22 => 5,
            Self::CodeAct | Self::Bash => 3,
            Self::Gold | Self::NoisyExpert => 1,
        };
        format!("{}@{version}", self.as_str())
    }

    /// Whether it brings its own model.
    #[must_use]
    pub fn is_teacher(self) -> bool {
        matches!(self, Self::Gold | Self::NoisyExpert)
    }

    /// What it does in its own way.
    #[must_use]
    pub fn profile(self) -> Profile {
        let ours = Profile {
            session: true,
            patience: None,
            editor: Some(Generation::C),
            dialect: Dialect::Kept,
            repeats_samples: true,
            nudges: 3,
            observation: 30_000,
            words_are_fine: true,
            named_workspace: false,
            leaves_scratch_out: true,
            observation_prefix: "",
        };
        let openhands = Profile {
            patience: Some(SOFT_TIMEOUT),
            dialect: Dialect::Stripped,
            repeats_samples: false,
            nudges: 0,
            named_workspace: true,
            leaves_scratch_out: false,
            ..ours
        };
        match self {
            Self::CodeAct | Self::Gold | Self::NoisyExpert => ours,
            Self::CodeAct21 => {
                Profile { editor: Some(Generation::A), observation_prefix: "OBSERVATION:\n", ..openhands }
            }
            Self::CodeAct22 => Profile { editor: Some(Generation::B), ..openhands },
            Self::Bash => {
                Profile { session: false, editor: None, observation: 10_000, words_are_fine: false, ..ours }
            }
        }
    }

    /// What the model is offered, in the order it is told.
    #[must_use]
    pub fn tools(self) -> Vec<Tool> {
        match self.profile().editor {
            None => vec![tools::fresh_shell_tool()],
            Some(_) => {
                let shell = match self.profile().patience {
                    None => tools::session_tool(),
                    Some(_) => tools::attended_session_tool(),
                };
                vec![shell, tools::finish_tool(), tools::editor_tool()]
            }
        }
    }
}

impl Prompts {
    /// Our texts, but for those that the folder has: `system.txt`, `task.txt`,
    /// `text_tools.txt`, `messages.toml`. [`text::TERSE`] is no folder, but stands
    /// for texts of a few words: for policies of a few million parameters, which need
    /// not be told what every record shows them.
    ///
    /// # Errors
    /// In words, with the file.
    pub fn load(scaffold: Scaffold, folder: Option<&Path>) -> Result<Self, String> {
        let (system, task) = match scaffold {
            Scaffold::CodeAct | Scaffold::Gold | Scaffold::NoisyExpert => {
                (include_str!("../prompts/codeact.system.txt"), include_str!("../prompts/codeact.task.txt"))
            }
            Scaffold::CodeAct21 => (
                include_str!("../prompts/codeact-2.1.system.txt"),
                include_str!("../prompts/codeact-2.task.txt"),
            ),
            Scaffold::CodeAct22 => (
                include_str!("../prompts/codeact-2.2.system.txt"),
                include_str!("../prompts/codeact-2.task.txt"),
            ),
            Scaffold::Bash => {
                (include_str!("../prompts/bash.system.txt"), include_str!("../prompts/bash.task.txt"))
            }
        };
        let terse = folder.is_some_and(Self::is_terse);
        let (folder, system, task, text_tools) = if terse {
            (None, include_str!("../prompts/terse.system.txt"), include_str!("../prompts/terse.task.txt"), "")
        } else {
            (folder, system, task, text::INSTRUCTIONS)
        };
        let own = |name: &str| read(folder, name);
        let overlay =
            if scaffold.profile().named_workspace { include_str!("../prompts/messages-2.toml") } else { "" };
        let theirs = own("messages.toml")?.unwrap_or_default();
        let catalogue = Catalogue::of(&[overlay, &theirs]).map_err(|why| format!("messages.toml: {why}"))?;
        let prompts = Self {
            system: own("system.txt")?.unwrap_or_else(|| system.to_owned()),
            task: own("task.txt")?.unwrap_or_else(|| task.to_owned()),
            text_tools: own("text_tools.txt")?.unwrap_or_else(|| text_tools.to_owned()),
            example: None,
            catalogue,
        };
        for (name, template) in [("system.txt", &prompts.system), ("task.txt", &prompts.task)] {
            Environment::new().template_from_str(template).map_err(|e| format!("{name}: {e:#}"))?;
        }
        Ok(prompts)
    }

    /// Shows an example of the work before the task, in our frame or in the
    /// folder's `example.txt`.
    ///
    /// # Errors
    /// In words: a scaffold without an editor, or a frame that cannot be used.
    pub fn show_example(&mut self, scaffold: Scaffold, folder: Option<&Path>) -> Result<(), String> {
        let profile = scaffold.profile();
        if profile.editor.is_none() {
            return Err(format!("the example uses an editor, and `{}` has none", scaffold.as_str()));
        }
        let own = read(folder.filter(|f| !Self::is_terse(f)), "example.txt")?;
        let frame = own.as_deref().unwrap_or(example::FRAME);
        self.example = Some(Example::new(frame, profile, &self.catalogue)?);
        Ok(())
    }

    /// Whether a folder is none, but the name of the terse texts.
    #[must_use]
    pub fn is_terse(folder: &Path) -> bool {
        folder == Path::new(text::TERSE)
    }

    /// The first two messages: the rules, and the task.
    ///
    /// # Errors
    /// In words, when a template fails.
    pub fn opening(
        &self,
        instance: &Instance,
        workspace: &str,
        hints: bool,
    ) -> Result<(String, String), String> {
        let known = context! {
            workspace,
            repository_folder => workspace,
            problem_statement => instance.problem_statement,
            hints => if hints { instance.hints_text.as_str() } else { "" },
            repo => instance.repo,
            version => instance.version,
            instance_id => instance.instance_id.as_str(),
            base_commit => instance.base_commit,
        };
        Ok((render("system.txt", &self.system, &known)?, render("task.txt", &self.task, &known)?))
    }
}

/// A text of the folder, if it is there.
fn read(folder: Option<&Path>, name: &str) -> Result<Option<String>, String> {
    let Some(path) = folder.map(|f| f.join(name)) else { return Ok(None) };
    match std::fs::read(&path) {
        Ok(bytes) => match decode(&path.to_string_lossy(), &bytes) {
            Ok(text) => Ok(Some(text.into_owned())),
            Err(error) => Err(error.to_string()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// A text with its blanks filled.
fn render(name: &str, text: &str, known: &minijinja::Value) -> Result<String, String> {
    let rendered = Environment::new().render_str(text, known);
    rendered.map(|t| t.trim().to_owned()).map_err(|e| format!("{name}: {e:#}"))
}

/// The name under which the OpenHands profiles show a repository.
#[must_use]
pub fn workspace_name(instance: &Instance) -> String {
    let name = format!("{}__{}", instance.repo, instance.version).replace('/', "__");
    name.chars().map(|c| if c.is_alphanumeric() || "._-+".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use swegym_core::chat::{Message, Role};

    #[test]
    fn every_scaffold_has_texts_that_render() {
        let row = "{\"instance_id\":\"a__b-1\",\"repo\":\"a/b\",\"base_commit\":\"c\",\"patch\":\"\",\"test_patch\":\"\",\"problem_statement\":\"It {{ breaks }}.\",\"hints_text\":\"h\",\"FAIL_TO_PASS\":\"[]\",\"PASS_TO_PASS\":\"[]\",\"version\":\"1.0\",\"created_at\":\"\"}";
        let unknown = swegym_core::format::instances::UnknownFields::Refuse;
        let instance = swegym_core::format::instances::read("x", row, unknown).unwrap().remove(0);
        for scaffold in Scaffold::ALL {
            let prompts = Prompts::load(scaffold, None).unwrap();
            let (system, task) = prompts.opening(&instance, "/testbed", true).unwrap();
            assert!(!system.is_empty() && task.contains("It {{ breaks }}.") && task.contains("/testbed"));
            assert_eq!(Scaffold::parse(scaffold.as_str()), Some(scaffold));
            assert!(!scaffold.tools().is_empty());
        }
        assert_eq!(workspace_name(&instance), "a__b__1.0");
    }

    #[test]
    fn an_example_is_told_in_the_words_of_the_scaffold() {
        let folder = tempfile::tempdir().unwrap();
        let shown = |scaffold, folder: Option<&Path>| {
            let mut prompts = Prompts::load(scaffold, folder)?;
            prompts.show_example(scaffold, folder)?;
            let mut told = [Message::of(Role::System, "s"), Message::of(Role::User, "Mend {{ it }}.")];
            prompts.example.unwrap().show(&mut told);
            Ok::<_, String>(told[1].content.clone())
        };
        for scaffold in [Scaffold::CodeAct, Scaffold::CodeAct21] {
            insta::assert_snapshot!(format!("example_{}", scaffold.as_str()), shown(scaffold, None).unwrap());
        }
        assert!(shown(Scaffold::Bash, None).unwrap_err().contains("`bash` has none"));
        std::fs::write(folder.path().join("example.txt"), "Do:\n{{ task }}").unwrap();
        assert_eq!(shown(Scaffold::CodeAct22, Some(folder.path())).unwrap(), "Do:\nMend {{ it }}.");
        std::fs::write(folder.path().join("example.txt"), "{{ example }}").unwrap();
        assert!(shown(Scaffold::CodeAct22, Some(folder.path())).unwrap_err().contains("no place"));
    }

    #[test]
    fn a_folder_replaces_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("system.txt"), "Be {{ repo }}.").unwrap();
        std::fs::write(folder.path().join("messages.toml"), "cut = \"shorter!\"").unwrap();
        let prompts = Prompts::load(Scaffold::Bash, Some(folder.path())).unwrap();
        assert_eq!(prompts.catalogue.say("cut", []), "shorter!");
        std::fs::write(folder.path().join("task.txt"), "{{ open").unwrap();
        assert!(Prompts::load(Scaffold::Bash, Some(folder.path())).unwrap_err().starts_with("task.txt"));
    }
}
