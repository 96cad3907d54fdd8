//! Verifiers: models that say how likely it is that an attempt resolves its
//! instance (paper, section 4.1).
//!
//! A verifier is a policy's model that was trained to answer one question with
//! one token. Its score is the share of the label for "yes" among both labels'
//! probabilities, read after one pass over the question; nothing is sampled.
//! What is scored are the very tokens that were trained. The other way is a
//! head of two classes on the last token's hidden state, which is logistic
//! regression on what the layers make of the same question.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use minijinja::{Environment, context};
use serde_json::{Value, json};
use swegym_core::Hint;
use swegym_core::calls::text;
use swegym_core::chat::{Message, Role, Tool};
use swegym_core::patch::Patch;
use thiserror::Error;

use crate::generation::{Drawing, Generator, Progress, Request};
use crate::packing::Overlong;
use crate::template::{FUEL, TemplateError};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::tokens::TokenRow;

/// Asks with the whole record of an attempt.
pub const TRAJECTORY: &str = include_str!("verifier/trajectory.jinja");
/// Asks with the issue and the change alone.
pub const PATCH: &str = include_str!("verifier/patch.jinja");

/// The labels where nobody chooses others.
pub const LABELS: [&str; 2] = ["YES", "NO"];

/// The file beside a verifier's weights that holds its [`Verifier`].
pub const FILE: &str = "verifier.json";

const VERSION: u64 = 1;

/// How the answer is read off the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// By the labels' first tokens.
    Label,
    /// By a head of two classes: 0 is no, 1 is yes.
    Class,
}

impl Answer {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::Label, Self::Class];

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| answer.name() == word)
    }

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Class => "class",
        }
    }
}

/// What a verifier is asked, and how its answer is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Verifier {
    /// The question as a Jinja template over `turns` (with `number`, `role` and
    /// `text`), `issue`, `patch`, `changes` (with `path`, `before` and `after`),
    /// `yes` and `no`.
    pub template: String,
    /// The labels for yes and no.
    pub labels: [String; 2],
    /// How the answer is read.
    pub answer: Answer,
    /// What becomes of questions longer than the context: they get no score,
    /// or lose their middle and are flagged.
    pub overlong: Overlong,
    /// The longest question that it was trained on, in tokens.
    pub context: usize,
}

/// An attempt to be judged.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// The conversation.
    pub messages: Vec<Message>,
    /// The tools that it had.
    pub tools: Vec<Tool>,
    /// The change that it left.
    pub patch: String,
}

/// A question as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The tokens; none if the question is too long and is not to be cut.
    pub ids: Option<Vec<u32>>,
    /// How many there were.
    pub len: usize,
}

/// What a verifier says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// How likely the attempt resolves its instance; none if it was not judged.
    pub score: Option<f64>,
    /// Whether the question was longer than the context.
    pub overlong: bool,
    /// The question's tokens, before any were left out.
    pub tokens: usize,
}

/// Why a verifier cannot be asked.
#[derive(Debug, Error)]
pub enum VerifierError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is not what its name says.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The question's template fails.
    #[error("the question's template does not render: {0}")]
    Template(String),
    /// The model has no chat template, or it fails.
    #[error(transparent)]
    Chat(#[from] TemplateError),
    /// The model has no chat template.
    #[error("the model has no chat template")]
    NoChat,
    /// The tokenizer refuses a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The labels cannot be told apart.
    #[error("the labels `{0}` and `{1}` begin with the same token, or are empty")]
    Labels(String, String),
}

impl Hint for VerifierError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Io { .. } | Self::Malformed { .. } => "copy the verifier again, or train it again",
            Self::Template(_) => "mend the template given with --template",
            Self::Labels(..) => "choose other --labels",
            Self::Chat(_) | Self::NoChat | Self::Tokenizer(_) => {
                "put the tokenizer's files, with a chat_template.jinja, beside the model"
            }
        };
        Some(hint.into())
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

impl Verifier {
    /// Reads what stands beside a verifier's weights; nothing if the folder
    /// holds no verifier.
    ///
    /// # Errors
    /// The file cannot be read, or is not a verifier's.
    pub fn read(folder: &Path) -> Result<Option<Self>, VerifierError> {
        let path = folder.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(VerifierError::Io { path, source }),
        };
        Self::parse(&path, &bytes).map(Some)
    }

    /// A verifier from the content of its file, which errors call `path`.
    ///
    /// # Errors
    /// It is not a verifier's.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, VerifierError> {
        let malformed = |problem: String| VerifierError::Malformed { path: path.to_owned(), problem };
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| malformed(format!("not valid JSON: {e}")))?;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let found = || {
            let answer = [Answer::Label, Answer::Class];
            let named = text("/answer")?;
            Some(Self {
                template: text("/template")?,
                labels: [text("/labels/0")?, text("/labels/1")?],
                answer: answer.into_iter().find(|a| a.name() == named)?,
                overlong: Overlong::named(&text("/overlong")?)?,
                context: usize::try_from(value["context"].as_u64()?).ok()?,
            })
        };
        match value["version"].as_u64() {
            Some(VERSION) => found().ok_or_else(|| malformed("a field is missing or odd".to_owned())),
            version => Err(malformed(format!("version {version:?} is not known; {VERSION} is"))),
        }
    }

    /// The content of its file.
    pub fn write(&self) -> Vec<u8> {
        let value = json!({
            "version": VERSION, "answer": self.answer.name(), "labels": self.labels,
            "overlong": self.overlong.name(), "context": self.context, "template": self.template,
        });
        format!("{value:#}\n").into_bytes()
    }

    /// The tokens, or classes, whose probabilities make the score: yes, no.
    ///
    /// # Errors
    /// The labels cannot be told apart.
    pub fn ids(&self, tokenizer: &Tokenizer) -> Result<[u32; 2], VerifierError> {
        if self.answer == Answer::Class {
            return Ok([1, 0]);
        }
        let [yes, no] = &self.labels;
        let first = |label: &str| tokenizer.encode(label).map(|ids| ids.first().copied());
        match (first(yes)?, first(no)?) {
            (Some(a), Some(b)) if a != b => Ok([a, b]),
            _ => Err(VerifierError::Labels(yes.clone(), no.clone())),
        }
    }

    /// The text of the question.
    ///
    /// # Errors
    /// The template fails.
    pub fn ask(&self, case: &Case) -> Result<String, VerifierError> {
        let failed = |e: minijinja::Error| VerifierError::Template(format!("{e:#}"));
        let mut jinja = Environment::new();
        jinja.set_fuel(Some(FUEL));
        jinja.set_trim_blocks(true);
        jinja.set_lstrip_blocks(true);
        jinja.add_template("question", &self.template).map_err(failed)?;
        let words = text::broken_as_words(&case.messages);
        let told = text::conversation(&words, &[], "").unwrap_or(words);
        let mut turns = Vec::new();
        for message in told.iter().filter(|m| m.role != Role::System) {
            let (number, role) = (turns.len() + 1, message.role.as_str());
            turns.push(context! { number, role, text => message.content.trim_end() });
        }
        let issue = case.messages.iter().find(|m| m.role == Role::User).map(|m| m.content.trim());
        let question = jinja.get_template("question").map_err(failed)?;
        let [yes, no] = &self.labels;
        let (patch, changes) = (case.patch.trim_end(), changes(&case.patch));
        question.render(context! { turns, issue, patch, changes, yes, no }).map_err(failed)
    }

    /// The question as tokens, up to where the label comes.
    ///
    /// # Errors
    /// A template or the tokenizer fails.
    pub fn question(&self, tokenizer: &Tokenizer, case: &Case) -> Result<Question, VerifierError> {
        let chat = tokenizer.template.as_ref().ok_or(VerifierError::NoChat)?;
        let text = chat.render(&[Message::of(Role::User, self.ask(case)?)], &[], true)?;
        Ok(self.fit(tokenizer.encode(&text)?))
    }

    /// Brings a question to the context, by leaving out its middle if that is
    /// wished.
    pub fn fit(&self, mut ids: Vec<u32>) -> Question {
        let len = ids.len();
        if len <= self.context {
            return Question { ids: Some(ids), len };
        }
        if self.overlong == Overlong::Drop {
            return Question { ids: None, len };
        }
        let head = self.context / 2;
        ids.drain(head..len - (self.context - head));
        Question { ids: Some(ids), len }
    }

    /// What there is to learn from an attempt whose end is known: the label
    /// alone. Nothing if its question is too long.
    ///
    /// # Errors
    /// A template or the tokenizer fails.
    pub fn row(
        &self,
        tokenizer: &Tokenizer,
        case: &Case,
        resolved: bool,
    ) -> Result<Option<TokenRow>, VerifierError> {
        let Some(mut ids) = self.question(tokenizer, case)?.ids else { return Ok(None) };
        let [yes, no] = self.ids(tokenizer)?;
        ids.push(if resolved { yes } else { no });
        let mut loss_mask = vec![false; ids.len()];
        *loss_mask.last_mut().expect("the label") = true;
        Ok(Some(TokenRow { input_ids: ids, loss_mask, ..TokenRow::default() }))
    }
}

/// The request that reads the probabilities of `ids` after a question.
pub fn request(question: Vec<u32>, ids: Vec<u32>) -> Request {
    Request {
        prompt: question,
        max_new: 1,
        drawing: Drawing { temperature: 0.0, ..Drawing::default() },
        ends: Vec::new(),
        alternatives: 0,
        watched: ids,
        prompt_logprobs: false,
    }
}

/// The first one's probability among all, of their logarithms.
pub fn share(logprobs: &[f32]) -> f64 {
    let first = f64::from(logprobs[0]);
    1.0 / logprobs.iter().map(|&l| (f64::from(l) - first).exp()).sum::<f64>()
}

/// Judges attempts, each with one pass; what their questions begin with alike
/// is read once.
pub fn judge(generator: &mut Generator, questions: Vec<Question>, ids: [u32; 2]) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    let mut tickets = std::collections::HashMap::new();
    for (index, Question { ids: question, len }) in questions.into_iter().enumerate() {
        let overlong = question.as_ref().is_none_or(|ids| ids.len() < len);
        judgements.push(Judgement { score: None, overlong, tokens: len });
        if let Some(question) = question {
            tickets.insert(generator.submit(request(question, ids.to_vec())), index);
        }
    }
    for progress in generator.finish() {
        let Progress::Token { ticket, token } = progress else { continue };
        if let Some(&index) = tickets.get(&ticket) {
            judgements[index].score = Some(share(&token.watched));
        }
    }
    judgements
}

/// Each hunk of a patch as it was and as it became.
fn changes(patch: &str) -> Vec<minijinja::Value> {
    let Ok(patch) = Patch::survey(patch) else { return Vec::new() };
    let mut changes = Vec::new();
    for file in &patch.files {
        for hunk in &file.hunks {
            let side = |without: char| {
                let lines = hunk.lines.iter().filter(|line| !line.starts_with([without, '\\']));
                lines.map(|line| line.get(1..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
            };
            changes.push(context! { path => file.path(), before => side('+'), after => side('-') });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier(template: &str, overlong: Overlong, context: usize) -> Verifier {
        let labels = LABELS.map(str::to_owned);
        Verifier { template: template.to_owned(), labels, answer: Answer::Label, overlong, context }
    }

    fn case() -> Case {
        let patch = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n";
        let messages = vec![
            Message::of(Role::System, "You mend things."),
            Message::of(Role::User, "f() must be 2."),
            Message::assistant("I look at it.", Vec::new()),
            Message::of(Role::User, "1"),
        ];
        Case { messages, tools: Vec::new(), patch: patch.to_owned() }
    }

    #[test]
    fn the_whole_record_is_asked_about() {
        insta::assert_snapshot!(verifier(TRAJECTORY, Overlong::Drop, 9).ask(&case()).expect("a question"));
    }

    #[test]
    fn the_change_alone_is_asked_about() {
        insta::assert_snapshot!(verifier(PATCH, Overlong::Drop, 9).ask(&case()).expect("a question"));
        let empty = Case { patch: String::new(), ..case() };
        let asked = verifier(PATCH, Overlong::Drop, 9).ask(&empty).expect("a question");
        assert!(asked.contains("(The change is empty.)"), "{asked}");
    }

    #[test]
    fn a_long_question_loses_its_middle_or_is_not_asked() {
        let ids: Vec<u32> = (0..10).collect();
        let cut = verifier(PATCH, Overlong::Cut, 5).fit(ids.clone());
        assert_eq!(cut, Question { ids: Some(vec![0, 1, 7, 8, 9]), len: 10 });
        assert_eq!(verifier(PATCH, Overlong::Drop, 5).fit(ids.clone()), Question { ids: None, len: 10 });
        assert_eq!(
            verifier(PATCH, Overlong::Drop, 10).fit(ids.clone()),
            Question { ids: Some(ids), len: 10 }
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Verifier::read(folder.path()).expect("nothing there"), None);
        let verifier = verifier(PATCH, Overlong::Cut, 77);
        std::fs::write(folder.path().join(FILE), verifier.write()).expect("written");
        assert_eq!(Verifier::read(folder.path()).expect("a verifier"), Some(verifier));
        std::fs::write(folder.path().join(FILE), "{\"version\": 9}").expect("written");
        let error = Verifier::read(folder.path()).expect_err("too new").to_string();
        assert!(error.ends_with("version Some(9) is not known; 1 is"), "{error}");
    }

    #[test]
    fn a_score_is_the_first_labels_share() {
        assert!((share(&[0.25f32.ln(), 0.5f32.ln()]) - 1.0 / 3.0).abs() < 1e-6);
        assert!((share(&[-800.0, -801.0]) - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-9);
    }
}
