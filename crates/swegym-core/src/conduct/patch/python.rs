//! Python as statements of tokens, with what encloses each: as much of its
//! syntax as predicates need. Any text is read; what is no Python gives tokens
//! that no rule knows.

use super::evidence;
use super::formatted::Formatted;
use super::limits::{Allowance, BLOCKS, BRACES, BRACKETS};
use super::source::{Line, Passage};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    /// A string or bytes literal, without its quotes, its escapes undone.
    Text,
    Operator,
}

/// One token. Comments are none; what an f-string holds in braces follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
}

impl Token {
    /// Whether it is this name or operator.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Name | Kind::Operator) && self.text == text
    }
}

/// What encloses a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Not run when the module is imported: in a function, in the part of a
    /// program that only the program runs, or for type checkers.
    pub(super) deferred: bool,
    /// First statements of the blocks around it, outermost first, by their index.
    pub(super) blocks: Vec<usize>,
}

/// One logical line.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) tokens: Vec<Token>,
    pub(super) scope: Scope,
    /// First line, from 1, in the file.
    pub(super) line: usize,
    /// That line, as much of it as is shown.
    pub(super) text: String,
    /// Whether the change made any line of it.
    pub(super) fresh: bool,
    indent: usize,
}

impl Statement {
    /// The word that says what kind of statement it is.
    pub(super) fn keyword(&self) -> &str {
        let word = self.tokens.get(self.is_async());
        word.filter(|t| t.kind == Kind::Name).map_or("", |t| &t.text)
    }

    /// How many words stand before its keyword.
    fn is_async(&self) -> usize {
        usize::from(self.tokens.first().is_some_and(|t| t.is("async")))
    }

    /// Name of the function or class that it begins.
    pub(super) fn defines(&self, keyword: &str) -> Option<&str> {
        let at = self.is_async();
        let begins = self.tokens.get(at).is_some_and(|t| t.is(keyword));
        self.tokens.get(at + 1).filter(|_| begins).map(|t| t.text.as_str())
    }

    /// What is only run by somebody who asks for it.
    fn defers(&self) -> bool {
        let mentions = |text: &str| self.tokens.iter().any(|t| t.text == text);
        match self.keyword() {
            "def" => true,
            "if" | "elif" => mentions("__name__") && mentions("__main__") || mentions("TYPE_CHECKING"),
            _ => false,
        }
    }

    /// Where the body of a block begins that stands on the line of its head.
    fn body(&self) -> Option<usize> {
        let (mut depth, mut lambdas) = (0_usize, 0_usize);
        for (at, token) in self.tokens.iter().enumerate().filter(|(_, t)| t.kind != Kind::Text) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "lambda" if depth == 0 => lambdas += 1,
                ":" if depth == 0 && lambdas > 0 => lambdas -= 1,
                ":" if depth == 0 => return (at + 1 < self.tokens.len()).then_some(at + 1),
                _ => {}
            }
        }
        None
    }

    /// The statements of a line: what stands between semicolons, and behind the
    /// head of a block.
    fn parts(mut self) -> Vec<Self> {
        let body = if self.begins_block() { self.body() } else { Some(0) };
        let Some(body) = body.filter(|at| *at > 0 || self.tokens.iter().any(|t| t.is(";"))) else {
            return vec![self];
        };
        let tokens = std::mem::take(&mut self.tokens);
        let mut parts = vec![self.clone()];
        for (at, token) in tokens.into_iter().enumerate() {
            if body > 0 && at == body {
                // Further in than what it belongs to.
                self.indent += 1;
                parts.push(self.clone());
            }
            if token.is(";") {
                parts.push(self.clone());
            } else if let Some(part) = parts.last_mut() {
                part.tokens.push(token);
            }
        }
        parts.retain(|part| !part.tokens.is_empty());
        parts
    }

    /// Whether others may stand in it.
    pub(super) fn begins_block(&self) -> bool {
        const WORDS: [&str; 12] = [
            "def", "class", "if", "elif", "else", "for", "while", "try", "except", "finally", "with", "match",
        ];
        WORDS.contains(&self.keyword()) || self.keyword() == "case"
    }
}

/// Where code begins, as line and column, if a passage begins inside a docstring:
/// its triple quotes are odd in number and the first of them reads like an end.
pub(super) fn open_text(passage: &Passage<'_>) -> Option<(usize, usize)> {
    ["\"\"\"", "'''"].into_iter().find_map(|quotes| {
        let found: usize = passage.lines.iter().map(|line| line.text.matches(quotes).count()).sum();
        let first = passage.lines.iter().position(|line| line.text.contains(quotes));
        let first = first.filter(|_| found % 2 == 1 && !passage.whole)?;
        let text = passage.lines[first].text;
        let at = text.find(quotes)?;
        let before = text[..at].trim_end_matches(['r', 'b', 'f', 'u', 'R', 'B', 'F', 'U']).trim();
        let above = passage.lines[..first].iter().rev();
        let above = above.map(|line| line.text.trim()).find(|t| !t.is_empty());
        let begins = match above {
            _ if !before.is_empty() => before.ends_with(['=', '(', ',', '[', '{', '+', '%']),
            Some(above) => above.ends_with([':', '(', ',', '=']),
            None => !text[at + 3..].trim().is_empty(),
        };
        (!begins).then_some((first, at + 3))
    })
}

/// The statements of a passage from a line and column on, and the line of the first one that is not read
/// because a limit was reached.
pub(super) fn statements(
    passage: &Passage<'_>,
    start: (usize, usize),
    allowance: &Allowance,
) -> (Vec<Statement>, Option<usize>) {
    let mut reader = Reader::new(&passage.lines, allowance, 0);
    (reader.at, reader.column) = start;
    let mut all: Vec<Statement> = Vec::new();
    // Blocks that are open: their indent, the index of their first statement, and
    // whether what stands in them is deferred.
    let mut open: Vec<(usize, usize, bool)> = Vec::new();
    let lines = std::iter::from_fn(|| reader.statement());
    for mut statement in lines.flat_map(Statement::parts) {
        while open.last().is_some_and(|(indent, ..)| *indent >= statement.indent) {
            open.pop();
        }
        if open.len() > BLOCKS {
            return (all, Some(statement.line));
        }
        let blocks: Vec<usize> = open.iter().map(|(_, at, _)| *at).collect();
        let rooted = blocks.first().map_or(statement.indent == 0, |at| all[*at].indent == 0);
        let deferred = !rooted || statement.defers() || open.last().is_some_and(|(.., deferred)| *deferred);
        if statement.begins_block() {
            open.push((statement.indent, all.len(), deferred));
        }
        statement.scope = Scope { deferred, blocks };
        all.push(statement);
    }
    (all, reader.unread)
}

struct Reader<'p, 'a> {
    lines: &'p [Line<'a>],
    at: usize,
    /// In bytes, in the line.
    column: usize,
    tokens: Vec<Token>,
    /// Open brackets.
    depth: usize,
    allowance: &'p Allowance,
    /// Literals around it.
    braces: usize,
    /// The line on which a limit was reached.
    unread: Option<usize>,
}

impl<'p, 'a> Reader<'p, 'a> {
    fn new(lines: &'p [Line<'a>], allowance: &'p Allowance, braces: usize) -> Self {
        Self { lines, at: 0, column: 0, tokens: Vec::new(), depth: 0, allowance, braces, unread: None }
    }

    /// Notes that nothing is read from here on.
    fn stop(&mut self) {
        self.unread = self.unread.or(self.lines.get(self.at).or(self.lines.last()).map(|line| line.number));
    }

    /// What is left of the line; nothing behind the last one.
    fn rest(&self) -> Option<&'a str> {
        let line = self.lines.get(self.at).filter(|_| self.unread.is_none());
        line.map(|line| line.text.get(self.column..).unwrap_or_default())
    }

    fn next_line(&mut self) {
        (self.at, self.column) = (self.at + 1, 0);
    }

    fn statement(&mut self) -> Option<Statement> {
        self.tokens = Vec::new();
        self.depth = 0;
        let (mut first, mut indent) = (self.at, 0);
        while let Some(rest) = self.rest() {
            if self.tokens.is_empty() {
                let blank = rest.len() - rest.trim_start().len();
                (first, indent) = (self.at, self.column + width(&rest[..blank]));
            }
            let continues = self.read_line();
            if !self.tokens.is_empty() && self.depth == 0 && !continues {
                break;
            }
        }
        // Half a statement is none.
        if self.tokens.is_empty() || self.unread.is_some() {
            return None;
        }
        let own = &self.lines[first..self.at.min(self.lines.len())];
        Some(Statement {
            tokens: std::mem::take(&mut self.tokens),
            scope: Scope::default(),
            line: own.first().map_or(0, |line| line.number),
            text: evidence(own.first().map_or("", |line| line.text)),
            fresh: own.iter().any(|line| line.fresh),
            indent,
        })
    }

    /// Reads to the end of the line, or of the text that goes on behind it; says
    /// whether a backslash joins the next one.
    fn read_line(&mut self) -> bool {
        while let Some(rest) = self.rest() {
            let trimmed = rest.trim_start();
            self.column += rest.len() - trimmed.len();
            let Some(c) = trimmed.chars().next() else { break };
            match c {
                '#' => break,
                '\\' if trimmed.len() == 1 => {
                    self.next_line();
                    return true;
                }
                '"' | '\'' => self.read_text(""),
                c if c.is_alphabetic() || c == '_' => self.read_name(trimmed),
                c if c.is_ascii_digit() => {
                    let end =
                        trimmed.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(trimmed.len());
                    self.push(Kind::Number, &trimmed[..end]);
                }
                _ => self.read_operator(trimmed, c),
            }
        }
        self.next_line();
        false
    }

    fn read_name(&mut self, text: &str) {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let prefix = &text[..end];
        if text[end..].starts_with(['"', '\''])
            && prefix.len() <= 2
            && prefix.chars().all(|c| "rRbBuUfFtT".contains(c))
        {
            self.column += end;
            self.read_text(&prefix.to_lowercase());
        } else {
            self.push(Kind::Name, prefix);
        }
    }

    fn read_operator(&mut self, text: &str, first: char) {
        const LONG: [&str; 21] = [
            "**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", ":=", "->", "+=", "-=", "*=", "/=",
            "%=", "&=", "|=", "^=", "@=", "**",
        ];
        match first {
            '(' | '[' | '{' if self.depth == BRACKETS => self.stop(),
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let long = LONG.into_iter().find(|long| text.starts_with(long));
        self.push(Kind::Operator, long.unwrap_or(&text[..first.len_utf8()]));
    }

    fn push(&mut self, kind: Kind, text: &str) {
        self.column += text.len();
        self.keep(kind, text.to_owned());
    }

    fn keep(&mut self, kind: Kind, text: String) {
        if self.allowance.take(1) {
            self.tokens.push(Token { kind, text });
        } else {
            self.stop();
        }
    }

    /// A literal from its first quote on; one with three quotes may go over lines,
    /// and one that never ends takes what is left.
    fn read_text(&mut self, prefix: &str) {
        let rest = self.rest().unwrap_or_default();
        let quote = rest.get(..1).unwrap_or("\"");
        let triple = quote.repeat(3);
        let quotes = if rest.starts_with(&triple) { triple.as_str() } else { quote };
        self.column += quotes.len();
        let mut formatted = prefix.contains(['f', 't']).then(|| Formatted::new(quotes, prefix.contains('r')));
        let mut raw = String::new();
        while let Some(rest) = self.rest() {
            let end = match &mut formatted {
                Some(formatted) => formatted.read(rest).map(|end| end.saturating_sub(quotes.len())),
                None => end_of_text(rest, quotes),
            };
            if formatted.as_ref().is_some_and(|formatted| formatted.too_deep) {
                self.stop();
                return;
            }
            if let Some(end) = end {
                raw.push_str(&rest[..end]);
                self.column += end + quotes.len();
                break;
            }
            raw.push_str(rest);
            let is_in_code = formatted.as_ref().is_some_and(Formatted::is_in_code);
            if quotes.len() == 1 && !rest.ends_with('\\') && !is_in_code {
                self.column += rest.len();
                break;
            }
            raw.push('\n');
            self.next_line();
        }
        let text = if prefix.contains('r') { raw } else { unescaped(&raw) };
        self.keep(Kind::Text, text);
        let Some(formatted) = formatted else { return };
        if self.braces == BRACES && !formatted.codes.is_empty() {
            self.stop();
            return;
        }
        for code in formatted.codes {
            let lines = [Line { number: 0, text: &code, fresh: false }];
            let mut reader = Reader::new(&lines, self.allowance, self.braces + 1);
            reader.read_line();
            if reader.unread.is_some() {
                self.stop();
            }
            // Apart from each other and from what follows, as calls are.
            self.keep(Kind::Operator, "{".to_owned());
            self.tokens.append(&mut reader.tokens);
            self.keep(Kind::Operator, "}".to_owned());
        }
    }
}

/// Columns of blanks; a tab goes to the next eighth one, as in Python.
fn width(blanks: &str) -> usize {
    blanks.chars().fold(0, |at, c| if c == '\t' { at / 8 * 8 + 8 } else { at + 1 })
}

fn end_of_text(text: &str, quotes: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(quotes.as_bytes()) {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

/// Escapes undone: line ends, tabs, quotes, and characters by number.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(kind) = rest.next() else { break };
        let mut by_number = |digits: usize, radix: u32, begun: &str| {
            let taken: String =
                begun.chars().chain(rest.clone().take_while(|c| c.is_digit(radix))).take(digits).collect();
            for _ in begun.len()..taken.len() {
                rest.next();
            }
            out.extend(u32::from_str_radix(&taken, radix).ok().and_then(char::from_u32));
        };
        match kind {
            'x' => by_number(2, 16, ""),
            'u' => by_number(4, 16, ""),
            'U' => by_number(8, 16, ""),
            '0'..='7' => by_number(3, 8, &kind.to_string()),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            '\n' => {}
            other => out.push(other),
        }
    }
    out
}
