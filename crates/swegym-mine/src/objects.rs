//! Single objects of a repository, by name.

use std::io::{BufRead as _, Read as _};

use swegym_sandbox::tool::Stream;

use crate::oid::Oid;
use crate::repository::{MineError, Repository};

/// Larger objects are not looked at.
const MOST: u64 = 1 << 20;

/// A running `git cat-file --batch`.
pub(crate) struct Objects<'a> {
    repository: &'a Repository,
    stream: Stream,
}

/// One name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) id: Oid,
    pub(crate) is_folder: bool,
}

impl<'a> Objects<'a> {
    pub(crate) fn open(repository: &'a Repository) -> Result<Self, MineError> {
        Ok(Self { repository, stream: repository.start(&["cat-file", "--batch"])? })
    }

    /// The contents of what `name` names, an id or `COMMIT:path`. `None` where there is no
    /// such object, or it is too large to look at.
    pub(crate) fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, MineError> {
        // A name ends where its line does.
        if name.contains('\n') {
            return Ok(None);
        }
        self.read(name).map_err(|source| self.repository.answer_error(source))
    }

    fn read(&mut self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.stream.ask(&format!("{name}\n"))?;
        let mut head = Vec::new();
        self.stream.read_until(b'\n', &mut head)?;
        if head.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let head = String::from_utf8_lossy(&head);
        let mut words = head.trim_end().rsplitn(3, ' ');
        let (size, _kind) = (words.next().and_then(|size| size.parse::<u64>().ok()), words.next());
        // "… missing", "… ambiguous": there is no size.
        let Some(size) = size else { return Ok(None) };
        let mut contents = Vec::new();
        self.stream.by_ref().take(size.min(MOST)).read_to_end(&mut contents)?;
        std::io::copy(&mut self.stream.by_ref().take(size - size.min(MOST) + 1), &mut std::io::sink())?;
        Ok((size <= MOST).then_some(contents))
    }

    /// What a commit's message says.
    pub(crate) fn message(&mut self, commit: Oid) -> Result<String, MineError> {
        let object = self.get(&commit.to_string())?.unwrap_or_default();
        let text = String::from_utf8_lossy(&object);
        // A head, an empty line, the message.
        Ok(text.split_once("\n\n").map(|(_, message)| message.trim().to_owned()).unwrap_or_default())
    }

    /// What lies in a folder; nothing where there is none.
    pub(crate) fn entries(&mut self, tree: &str) -> Result<Vec<Entry>, MineError> {
        let length = tree.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(tree.len()) / 2;
        let contents = self.get(tree)?.unwrap_or_default();
        Ok(entries_of(&contents, length))
    }
}

/// Reads a tree: `MODE NAME\0` and the bytes of an id, again and again.
fn entries_of(mut contents: &[u8], length: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some(end) = contents.iter().position(|byte| *byte == 0) {
        let (head, rest) = contents.split_at(end);
        let Some(id) = rest.get(1..=length).and_then(Oid::from_bytes) else { break };
        let head = String::from_utf8_lossy(head);
        if let Some((mode, name)) = head.split_once(' ') {
            entries.push(Entry { name: name.to_owned(), id, is_folder: mode == "40000" });
        }
        contents = &rest[length + 1..];
    }
    entries
}
