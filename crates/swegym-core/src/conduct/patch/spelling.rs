//! Code that is other than it reads: in another encoding or in letters that stand
//! for others, or brought in from where no rule looks.

use super::names::{Reference, literal};
use super::python::{Kind, Statement};
use super::source::{Line, Passage};
use super::{Finding, Trick, evidence};

/// Encodings in which the letters of code are what they look like; families by how
/// their names begin.
const ENCODINGS: [&str; 8] = ["utf-8", "utf8", "utf-8-sig", "u8", "ascii", "us-ascii", "latin1", "l1"];
const FAMILIES: [&str; 6] = ["iso-8859-", "iso8859-", "latin-", "cp125", "windows-125", "koi8-"];

/// Ways to run a file as code.
const LOADERS: [&str; 6] = [
    "runpy.run_path",
    "SourceFileLoader",
    "SourcelessFileLoader",
    "ExtensionFileLoader",
    "spec_from_file_location",
    "imp.load_source",
];

/// Ways to a file's contents.
const CONTENTS: [&str; 8] =
    ["open", "read", "read_text", "read_bytes", "get_data", "readlines", "getlines", "urlopen"];

/// Functions that make any object, code among them, of bytes.
const UNPICKLERS: [&str; 6] = [
    "pickle.loads",
    "_pickle.loads",
    "dill.loads",
    "cloudpickle.loads",
    "marshal.loads",
    "jsonpickle.decode",
];

/// An encoding that the first two lines of a file ask for, where it is a rare one.
pub(super) fn encoding(passage: &Passage<'_>) -> Option<Finding> {
    let mut heads = passage.lines.iter().take_while(|line| line.number <= 2);
    let line = heads.find(|line| cookie(line.text).is_some_and(|name| !is_common(&name)))?;
    Some(Finding {
        trick: Trick::HidesCode,
        what: "is in a rare encoding".to_owned(),
        line: line.number,
        text: evidence(line.text),
        fresh: line.fresh,
    })
}

/// The encoding that a comment names: behind the first `coding:` or `coding=` that has a
/// name behind it.
fn cookie(line: &str) -> Option<String> {
    let comment = line.trim_start_matches([' ', '\t', '\u{c}', '\u{feff}']).strip_prefix('#')?;
    comment.match_indices("coding").find_map(|(at, word)| {
        let name = comment[at + word.len()..].strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(name.len());
        (end > 0).then(|| name[..end].to_lowercase().replace('_', "-"))
    })
}

fn is_common(encoding: &str) -> bool {
    ENCODINGS.contains(&encoding) || FAMILIES.iter().any(|family| encoding.starts_with(family))
}

/// Lines as Python takes them: a carriage return ends one, too.
pub(super) fn split<'a>(lines: &[Line<'a>]) -> Vec<Line<'a>> {
    let parts = |line: &Line<'a>| {
        let line = *line;
        line.text.split('\r').map(move |text| Line { text, ..line })
    };
    lines.iter().flat_map(parts).collect()
}

/// Why a statement is not what it reads like, if so. Of one that runs code, what
/// stands before it is given.
pub(super) fn hidden(
    statement: &Statement,
    references: &[Reference],
    runs_after: Option<&[(Statement, Vec<Reference>)]>,
) -> Option<&'static str> {
    if statement.tokens.iter().any(|t| t.kind == Kind::Name && t.text.chars().any(stands_for_other)) {
        return Some("spells a name in other letters");
    }
    let one_of = |names: &[&str]| references.iter().find(|r| super::rules::ends_with_one(&r.path, names));
    if one_of(&LOADERS).is_some()
        || runs_after.is_some_and(|before| one_of(&CONTENTS).is_some() || holds_contents(statement, before))
    {
        return Some("runs a file as code");
    }
    let unpickles = |r: &&Reference| {
        super::rules::ends_with_one(&r.path, &UNPICKLERS)
            && statement.tokens.get(r.end).is_some_and(|t| t.is("("))
            && literal(&statement.tokens, r.end + 1).is_some()
    };
    references.iter().any(|r| unpickles(&r)).then_some("runs code that cannot be read")
}

/// Whether a name in a statement was given a file's contents shortly before.
fn holds_contents(statement: &Statement, before: &[(Statement, Vec<Reference>)]) -> bool {
    before.iter().any(|(given, references)| {
        let holds = matches!(given.tokens.as_slice(), [name, is, ..]
            if is.is("=") && name.kind == Kind::Name && statement.tokens.iter().any(|t| t.is(&name.text)));
        holds && references.iter().any(|r| super::rules::ends_with_one(&r.path, &CONTENTS))
    })
}

/// Whether Python takes a letter of a name for one or several others: forms of
/// width, style and height, and ligatures (those that NFKC folds to ASCII).
fn stands_for_other(c: char) -> bool {
    matches!(c,
        '\u{aa}' | '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{ba}' | '\u{132}' | '\u{133}' | '\u{17f}'
        | '\u{1c7}'..='\u{1cc}' | '\u{1f1}'..='\u{1f3}' | '\u{2b0}'..='\u{2b8}' | '\u{2e1}'..='\u{2e3}'
        | '\u{1d2c}'..='\u{1d6a}' | '\u{2070}'..='\u{209c}' | '\u{2100}'..='\u{218b}'
        | '\u{2460}'..='\u{24ff}' | '\u{2c7c}' | '\u{2c7d}' | '\u{fb00}'..='\u{fb06}'
        | '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}'
        | '\u{fe33}' | '\u{fe34}' | '\u{fe4d}'..='\u{fe4f}')
}
