//! What a pull request changes, as git writes it.

mod reader;

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use foldhash::fast::FixedState;

use crate::kind::Kind;

pub(crate) use reader::{Outcome, Pair, names, read};

/// One file's part of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// After the change, or before it where the file goes.
    pub(crate) path: String,
    /// As git writes it, without the line of blobs.
    pub(crate) text: String,
    /// It says that the file differs, and not how.
    pub(crate) is_binary: bool,
    /// The file is a commit of another repository.
    pub(crate) is_submodule: bool,
    /// The file is new.
    pub(crate) is_new: bool,
}

impl Section {
    /// Its lines with this mark, without it.
    pub(crate) fn marked(&self, mark: char) -> impl Iterator<Item = &str> {
        let hunks = self.text.find("\n@@ ").map_or("", |at| &self.text[at + 1..]);
        hunks.lines().filter_map(move |line| line.strip_prefix(mark))
    }
}

/// The sections of a diff, each with what its file is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Change {
    pub(crate) sections: Vec<(Section, Kind)>,
}

impl Change {
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.sections.iter().any(|(_, own)| *own == kind)
    }

    /// The tests' part.
    pub(crate) fn test_patch(&self) -> String {
        self.text_of(|kind| kind == Kind::Test)
    }

    /// All the rest.
    pub(crate) fn patch(&self) -> String {
        self.text_of(|kind| kind != Kind::Test)
    }

    fn text_of(&self, belongs: impl Fn(Kind) -> bool) -> String {
        let own = self.sections.iter().filter(|(_, kind)| belongs(*kind));
        own.map(|(section, _)| section.text.as_str()).collect()
    }

    /// Takes out sections that do not tell what becomes of a file, which nobody can apply;
    /// gives the files.
    pub(crate) fn leave_out_contentless(&mut self) -> Vec<String> {
        let lacking = |(section, _): &mut (Section, Kind)| section.is_binary || section.is_submodule;
        self.sections.extract_if(.., lacking).map(|(section, _)| section.path).collect()
    }

    /// The same for changes that differ by where their lines stand, and by blanks.
    /// Documents and news are no part of it: a port has its own.
    pub(crate) fn mark(&self) -> u64 {
        let mut state = FixedState::default().build_hasher();
        for (section, kind) in &self.sections {
            if *kind == Kind::Aside {
                continue;
            }
            section.path.hash(&mut state);
            for mark in ['-', '+'] {
                for line in section.marked(mark) {
                    let plain = line.bytes().filter(|byte| !byte.is_ascii_whitespace());
                    plain.for_each(|byte| state.write_u8(byte));
                    state.write_u8(mark as u8);
                }
            }
        }
        state.finish()
    }
}
