//! `str_replace_editor`: view, create, replace, insert, undo, in three
//! generations (reference/agents.md, section 1.2).
//!
//! Files are read and written by bytes through the box's supervisor, so no
//! shell and no Python of the box has a part in an edit.

mod edits;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use minijinja::Value as Blank;
use serde_json::{Map, Value};
use swegym_core::record::ActionReport;
use swegym_sandbox::sandbox::EntryKind;
use swegym_sandbox::{Sandbox, SandboxError};

use super::Done;
use super::text::{numbered, start, without_tabs};
use crate::catalogue::Catalogue;
use crate::profile::Generation;

/// Largest file that is viewed or edited.
const LARGEST_FILE: u64 = 10 << 20;
/// Longest view, in characters.
const LONGEST_VIEW: usize = 16_000;
/// Lines shown on both sides of an edit.
const AROUND: usize = 4;
/// Edits of one file that can be undone in generation C.
const UNDO_DEPTH: usize = 10;

/// The editor of one attempt, with what it needs to undo.
#[derive(Debug)]
pub(crate) struct Editor {
    generation: Generation,
    workspace: String,
    history: HashMap<String, Vec<String>>,
}

/// A key of the catalogue with its blanks: why nothing was done.
struct Refused(&'static str, Vec<(&'static str, Blank)>);

/// What a command of the editor gives.
enum Edited {
    /// Something to look at.
    Seen(String),
    /// The file changed; what it held before.
    Changed { seen: String, path: String, before: String },
}

/// Either the box broke, or the editor refuses.
enum Trouble {
    Box(SandboxError),
    Refused(Refused),
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn refuse(key: &'static str, blanks: Vec<(&'static str, Blank)>) -> Trouble {
    Trouble::Refused(Refused(key, blanks))
}

impl Editor {
    pub(crate) fn new(generation: Generation, workspace: &str) -> Self {
        Self { generation, workspace: workspace.to_owned(), history: HashMap::new() }
    }

    /// Puts an edit of an earlier part of the attempt back into the history:
    /// what a file held before, or nothing for an edit that was undone.
    pub(crate) fn remember(&mut self, path: &str, before: String) {
        let past = self.history.entry(path.to_owned()).or_default();
        past.push(before);
        if self.generation == Generation::C && past.len() > UNDO_DEPTH {
            past.remove(0);
        }
    }

    /// Takes the last edit of a file out of the history.
    pub(crate) fn forget(&mut self, path: &str) -> Option<String> {
        self.history.get_mut(&plain_path(path))?.pop()
    }

    pub(crate) async fn carry_out(
        &mut self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        arguments: &Map<String, Value>,
    ) -> Result<Done, SandboxError> {
        let mut report = ActionReport::default();
        let observation = match self.edit(sandbox, catalogue, arguments).await {
            Ok(Edited::Seen(seen)) => seen,
            Ok(Edited::Changed { seen, path, before }) => {
                report.replaced = Some((path, before));
                seen
            }
            Err(Trouble::Box(error)) => return Err(error),
            Err(Trouble::Refused(Refused(key, blanks))) => {
                report.refused = true;
                let message = catalogue.say(key, blanks);
                catalogue.say("edit_error", [("message", message.into())])
            }
        };
        Ok(Done { observation, report, submits: false })
    }

    async fn edit(
        &mut self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        arguments: &Map<String, Value>,
    ) -> Result<Edited, Trouble> {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str);
        let command = text("command").unwrap_or_default();
        let path = &plain_path(text("path").unwrap_or_default());
        let needs = |parameter: &'static str| {
            text(parameter).ok_or_else(|| {
                Refused("needs_parameter", vec![("command", command.into()), ("parameter", parameter.into())])
            })
        };
        if !path.starts_with('/') {
            return Err(self.not_absolute(sandbox, path).await);
        }
        match command {
            "view" => {
                // An empty list is none, as it is in the reference.
                let range = arguments.get("view_range").and_then(Value::as_array).filter(|r| !r.is_empty());
                self.view(sandbox, catalogue, path, range.map(Vec::as_slice)).await.map(Edited::Seen)
            }
            "create" => {
                let file_text = needs("file_text")?;
                if file_text.is_empty() && self.generation == Generation::B {
                    let blanks = vec![("command", command.into()), ("parameter", "file_text".into())];
                    return Err(refuse("needs_parameter", blanks));
                }
                self.create(sandbox, catalogue, path, file_text).await
            }
            "str_replace" => {
                // The references take no `new_str` for an empty one. That deletes what
                // nobody asked to delete, where a model was cut or forgot it.
                let (old, new) = (needs("old_str")?, needs("new_str")?);
                let before = self.read(sandbox, path).await?;
                let edit = edits::replace(self.generation, path, &before, old, new)?;
                self.apply(sandbox, catalogue, path, edit, "edited").await
            }
            "insert" => {
                let line = arguments.get("insert_line").and_then(Value::as_i64).ok_or_else(|| {
                    Refused(
                        "needs_parameter",
                        vec![("command", command.into()), ("parameter", "insert_line".into())],
                    )
                })?;
                let new = needs("new_str")?;
                if new.is_empty() && self.generation == Generation::B {
                    let blanks = vec![("command", command.into()), ("parameter", "new_str".into())];
                    return Err(refuse("needs_parameter", blanks));
                }
                let before = self.read(sandbox, path).await?;
                let edit = edits::insert(self.generation, &before, line, new)?;
                self.apply(sandbox, catalogue, path, edit, "inserted").await
            }
            _ => self.undo(sandbox, catalogue, path).await,
        }
    }

    /// A relative path is refused, with the absolute one if there is such a file.
    async fn not_absolute(&self, sandbox: &dyn Sandbox, path: &str) -> Trouble {
        let candidate = format!("{}/{}", self.workspace, path.trim_start_matches("./"));
        let there =
            sandbox.read(&candidate, LARGEST_FILE).await.is_ok() || sandbox.list(&candidate).await.is_ok();
        let suggestion = if there { candidate } else { String::new() };
        refuse("not_absolute", vec![("path", path.into()), ("suggestion", suggestion.into())])
    }

    async fn read(&self, sandbox: &dyn Sandbox, path: &str) -> Result<String, Trouble> {
        let named = || vec![("path", Blank::from(path))];
        match sandbox.read(path, LARGEST_FILE).await {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) if self.generation == Generation::C => Ok(text),
                // Python's files of text know one line end, and what is edited gets it.
                Ok(text) => Ok(text.replace("\r\n", "\n").replace('\r', "\n")),
                Err(_) => Err(refuse("not_text", named())),
            },
            Err(SandboxError::FileTooLarge { .. }) => Err(refuse("too_large", named())),
            Err(SandboxError::File { source, .. }) => Err(match source.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                    refuse("no_such_path", named())
                }
                std::io::ErrorKind::IsADirectory => refuse("is_folder", named()),
                _ => not_editable(path, "read", &source),
            }),
            Err(error) => Err(Trouble::Box(error)),
        }
    }

    async fn write(&self, sandbox: &dyn Sandbox, path: &str, text: &str) -> Result<(), Trouble> {
        match sandbox.write(path, text.as_bytes(), None).await {
            Err(SandboxError::File { source, .. }) => Err(not_editable(path, "written", &source)),
            other => other.map_err(Trouble::Box),
        }
    }

    async fn create(
        &mut self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        path: &str,
        text: &str,
    ) -> Result<Edited, Trouble> {
        match self.read(sandbox, path).await {
            Err(Trouble::Refused(Refused("no_such_path", _))) => {}
            Err(Trouble::Refused(Refused("is_folder", blanks))) => {
                return Err(Trouble::Refused(Refused("is_folder", blanks)));
            }
            Err(Trouble::Box(error)) => return Err(Trouble::Box(error)),
            _ => return Err(refuse("is_there", vec![("path", path.into())])),
        }
        if self.generation != Generation::C {
            // The older two make no folders.
            let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
            if let Err(SandboxError::File { source, .. }) = sandbox.list(folder).await {
                return Err(not_editable(path, "written", &source));
            }
        }
        self.write(sandbox, path, text).await?;
        let seen = catalogue.say("created", [("path", path.into())]);
        if self.generation == Generation::C {
            return Ok(Edited::Seen(seen));
        }
        // There, undoing a creation writes the same text again.
        self.remember(path, text.to_owned());
        Ok(Edited::Changed { seen, path: path.to_owned(), before: text.to_owned() })
    }

    async fn apply(
        &mut self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        path: &str,
        edit: edits::Edit,
        key: &str,
    ) -> Result<Edited, Trouble> {
        self.write(sandbox, path, &edit.text).await?;
        self.remember(path, edit.before.clone());
        let first = edit.lines.start.saturating_sub(AROUND).max(1);
        let lines = self.lines(&edit.text);
        let last = lines.len().min(edit.lines.end + AROUND - 1);
        let lines = self.show(catalogue, &lines[first - 1..last], first);
        let seen = catalogue.say(key, [("path", path.into()), ("lines", lines.into())]);
        Ok(Edited::Changed { seen, path: path.to_owned(), before: edit.before })
    }

    async fn undo(
        &mut self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        path: &str,
    ) -> Result<Edited, Trouble> {
        self.read(sandbox, path).await?;
        let Some(text) = self.forget(path) else {
            return Err(refuse("no_history", vec![("path", path.into())]));
        };
        self.write(sandbox, path, &text).await?;
        let lines = self.show(catalogue, &self.lines(&text), 1);
        Ok(Edited::Seen(catalogue.say("undone", [("path", path.into()), ("lines", lines.into())])))
    }

    /// Lines as the generation counts them: the older two see one more after
    /// the last line break.
    fn lines<'a>(&self, text: &'a str) -> Vec<&'a str> {
        match self.generation {
            Generation::C => text.lines().collect(),
            Generation::A | Generation::B => text.split('\n').collect(),
        }
    }

    /// Lines with their numbers, the first this one; as many as may be shown, and
    /// in the older two generations without tabs.
    fn show(&self, catalogue: &Catalogue, lines: &[&str], first: usize) -> String {
        if lines.is_empty() {
            return String::new();
        }
        let text = lines.join("\n");
        let (kept, note) = clip(catalogue, &text);
        let kept = if self.generation == Generation::C { kept.into() } else { without_tabs(kept) };
        numbered(kept.split('\n'), first) + &note
    }

    async fn view(
        &self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        path: &str,
        range: Option<&[Value]>,
    ) -> Result<String, Trouble> {
        let text = match self.read(sandbox, path).await {
            Err(Trouble::Refused(Refused("is_folder", _))) => {
                if range.is_some() {
                    return Err(refuse("no_range_for_folder", vec![("path", path.into())]));
                }
                return self.view_folder(sandbox, catalogue, path).await;
            }
            other => other?,
        };
        let lines = self.lines(&text);
        let (first, last, clamped) = self.range(range, lines.len())?;
        let shown = self.show(catalogue, &lines[first - 1..last], first);
        let note = if clamped {
            catalogue.say("range_clamped", [("lines", lines.len().into())])
        } else {
            String::new()
        };
        Ok(note + &catalogue.say("file_view", [("path", path.into()), ("lines", shown.into())]))
    }

    /// First and last line, and whether the range asked for more than there is.
    fn range(&self, range: Option<&[Value]>, count: usize) -> Result<(usize, usize, bool), Trouble> {
        let Some(range) = range else { return Ok((1, count, false)) };
        let [first, last] = range else { return Err(refuse("range_form", Vec::new())) };
        let (Some(first), Some(last)) = (first.as_i64(), last.as_i64()) else {
            return Err(refuse("range_form", Vec::new()));
        };
        let lines = count as i64;
        if first < 1 || first > lines.max(1) {
            return Err(refuse("range_start", vec![("first", first.into()), ("lines", lines.into())]));
        }
        let past_end = last > lines;
        if past_end && self.generation != Generation::C {
            return Err(refuse("range_end", vec![("last", last.into()), ("lines", lines.into())]));
        }
        let to = if last == -1 || past_end { lines } else { last };
        if to < first && lines > 0 {
            return Err(refuse("range_order", vec![("first", first.into()), ("last", last.into())]));
        }
        Ok((first as usize, to.max(0) as usize, past_end))
    }

    async fn view_folder(
        &self,
        sandbox: &dyn Sandbox,
        catalogue: &Catalogue,
        path: &str,
    ) -> Result<String, Trouble> {
        let root = path.trim_end_matches('/');
        let mark = |kind: EntryKind| {
            if kind == EntryKind::Folder && self.generation == Generation::C { "/" } else { "" }
        };
        let visible =
            |name: &[u8]| (!name.starts_with(b".")).then(|| String::from_utf8_lossy(name).into_owned());
        let listed = |error: SandboxError| match error {
            SandboxError::File { source, .. } => not_editable(path, "listed", &source),
            other => Trouble::Box(other),
        };
        let mut lines =
            vec![format!("{}{}", if root.is_empty() { "/" } else { root }, mark(EntryKind::Folder))];
        let top = sandbox.list(path).await.map_err(listed)?;
        let hidden = top.iter().filter(|e| e.name.starts_with(b".")).count();
        for entry in top {
            let Some(name) = visible(&entry.name) else { continue };
            let inner_path = format!("{root}/{name}");
            lines.push(format!("{inner_path}{}", mark(entry.kind)));
            if entry.kind == EntryKind::Folder {
                // A folder that cannot be looked into is still there.
                for inner in sandbox.list(&inner_path).await.unwrap_or_default() {
                    lines.extend(
                        visible(&inner.name).map(|n| format!("{inner_path}/{n}{}", mark(inner.kind))),
                    );
                }
            }
        }
        let hidden = if self.generation == Generation::C { hidden } else { 0 };
        let listing = lines.join("\n");
        let (kept, note) = clip(catalogue, &listing);
        let listing = kept.to_owned() + &note;
        let blanks = [("path", path.into()), ("listing", listing.into()), ("hidden", hidden.into())];
        Ok(catalogue.say("folder_view", blanks))
    }
}

/// A path as its parts, so that it names one file in one way.
fn plain_path(path: &str) -> String {
    Path::new(path).components().collect::<PathBuf>().to_string_lossy().into_owned()
}

/// The beginning of a long text, and a word on the rest.
fn clip<'a>(catalogue: &Catalogue, text: &'a str) -> (&'a str, String) {
    match start(text, LONGEST_VIEW) {
        Some(start) => (start, catalogue.say("clipped", [])),
        None => (text, String::new()),
    }
}

fn not_editable(path: &str, action: &'static str, source: &std::io::Error) -> Trouble {
    refuse(
        "not_editable",
        vec![("path", path.into()), ("action", action.into()), ("why", source.to_string().into())],
    )
}

#[cfg(test)]
mod tests;
