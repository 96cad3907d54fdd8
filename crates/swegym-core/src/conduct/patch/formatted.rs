//! An f-string by its own grammar: where it ends, and the code in its braces.
//! Inside braces quotes may be used again (Python 3.12), literals stand in literals,
//! and a brace in a text is none.

/// Literals, braces and formats in each other that are followed.
const DEEPEST: usize = 64;

/// What the reader stands in, from the literal itself inwards.
#[derive(Debug)]
enum Level {
    /// A literal, of which code is looked for only in formatted ones.
    Text { quotes: String, raw: bool, formatted: bool },
    /// Code in braces, with its open brackets. What stands in a literal of that code
    /// is read with it, and has no text of its own.
    Code { depth: usize, text: Option<String> },
    /// What follows code in the same braces: a conversion, a format.
    Format,
}

/// An f-string that is read line by line.
#[derive(Debug)]
pub(super) struct Formatted {
    levels: Vec<Level>,
    /// The letters just before, which may be a literal's prefix.
    word: String,
    /// The code of its braces.
    pub(super) codes: Vec<String>,
    /// Whether it is nested further than is followed.
    pub(super) too_deep: bool,
}

impl Formatted {
    /// One that begins behind its quotes.
    pub(super) fn new(quotes: &str, raw: bool) -> Self {
        let text = Level::Text { quotes: quotes.to_owned(), raw, formatted: true };
        Self { levels: vec![text], word: String::new(), codes: Vec::new(), too_deep: false }
    }

    /// Reads on to the end of a line, or to its own; where that is, behind its quotes.
    pub(super) fn read(&mut self, line: &str) -> Option<usize> {
        let mut at = 0;
        while at < line.len() {
            at += self.step(&line[at..]);
            if self.levels.is_empty() {
                return Some(at);
            }
            if self.levels.len() > DEEPEST {
                self.too_deep = true;
                return None;
            }
        }
        self.copy(" ");
        None
    }

    /// Whether it goes on behind a line end without being one of three quotes.
    pub(super) fn is_in_code(&self) -> bool {
        matches!(self.levels.last(), Some(Level::Code { .. }))
    }

    /// Takes what comes next; how many bytes of it.
    fn step(&mut self, rest: &str) -> usize {
        match self.levels.last() {
            Some(Level::Text { quotes, raw, formatted }) => {
                let (length, raw, formatted) = (quotes.len(), *raw, *formatted);
                if rest.starts_with(quotes.as_str()) {
                    self.copy(&rest[..length]);
                    self.levels.pop();
                    return length;
                }
                self.step_in_text(rest, raw, formatted)
            }
            Some(Level::Code { depth, .. }) => self.step_in_code(rest, *depth),
            Some(Level::Format) => self.step_in_format(rest),
            None => rest.len(),
        }
    }

    fn step_in_text(&mut self, rest: &str, raw: bool, formatted: bool) -> usize {
        let taken = match rest.strip_prefix('\\') {
            Some(named) if formatted && !raw && named.starts_with("N{") => {
                rest.find('}').map_or(rest.len(), |end| end + 1)
            }
            // It takes a quote's meaning, and no brace's.
            Some(next) if formatted && next.starts_with(['{', '}']) => 1,
            Some(next) => 1 + next.chars().next().map_or(0, char::len_utf8),
            None if formatted && (rest.starts_with("{{") || rest.starts_with("}}")) => 2,
            None if formatted && rest.starts_with('{') => {
                self.open();
                return 1;
            }
            None => first_length(rest),
        };
        self.copy(&rest[..taken]);
        taken
    }

    fn step_in_code(&mut self, rest: &str, depth: usize) -> usize {
        let Some(first) = rest.chars().next() else { return 0 };
        let word = std::mem::take(&mut self.word);
        match first {
            '#' => return rest.len(),
            '}' if depth == 0 => {
                self.close();
                return 1;
            }
            ':' | '!' if depth == 0 && !rest.starts_with("!=") => {
                self.copy_inside(&rest[..1]);
                self.levels.push(Level::Format);
                return 1;
            }
            '\'' | '"' => {
                let quote = &rest[..1];
                let quotes = quote.repeat(if rest.starts_with(&quote.repeat(3)) { 3 } else { 1 });
                let is_prefix = word.len() <= 2 && word.chars().all(|c| "rbuft".contains(c));
                let raw = is_prefix && word.contains('r');
                let formatted = is_prefix && word.contains(['f', 't']);
                self.copy(&quotes);
                let length = quotes.len();
                self.levels.push(Level::Text { quotes, raw, formatted });
                return length;
            }
            '(' | '[' | '{' => self.deepen(1),
            ')' | ']' | '}' => self.deepen(-1),
            _ if first.is_alphanumeric() || first == '_' => {
                self.word = word;
                self.word.extend(first.to_lowercase());
            }
            _ => {}
        }
        self.copy(&rest[..first.len_utf8()]);
        first.len_utf8()
    }

    fn step_in_format(&mut self, rest: &str) -> usize {
        let texts = self.levels.iter().rposition(|level| matches!(level, Level::Text { .. }));
        if let Some(at) = texts
            && let Level::Text { quotes, .. } = &self.levels[at]
            && rest.starts_with(quotes.as_str())
        {
            // No Python; what is open is over.
            let length = quotes.len();
            while self.levels.len() > at {
                self.close();
            }
            return length;
        }
        match rest.as_bytes().first() {
            Some(b'{') => self.open(),
            Some(b'}') => {
                self.levels.pop();
                self.close();
            }
            _ => self.copy_inside(&rest[..first_length(rest)]),
        }
        first_length(rest)
    }

    fn open(&mut self) {
        let is_inside = self.is_inside();
        self.copy_inside("{");
        self.word.clear();
        self.levels.push(Level::Code { depth: 0, text: (!is_inside).then(String::new) });
    }

    /// Leaves a level, and keeps its code if it is one of its own.
    fn close(&mut self) {
        match self.levels.pop() {
            Some(Level::Code { text: Some(text), .. }) => self.codes.push(text),
            Some(Level::Code { text: None, .. }) => self.copy("}"),
            _ => {}
        }
    }

    fn deepen(&mut self, by: isize) {
        if let Some(Level::Code { depth, .. }) = self.levels.last_mut() {
            *depth = depth.saturating_add_signed(by);
        }
    }

    /// Whether it is in a literal of code in braces.
    fn is_inside(&self) -> bool {
        self.levels.iter().skip(1).any(|level| matches!(level, Level::Text { .. }))
    }

    /// Adds what is no code of its own, but part of a literal in code.
    fn copy_inside(&mut self, part: &str) {
        if self.is_inside() {
            self.copy(part);
        }
    }

    /// Adds to the code that is read with what stands here.
    fn copy(&mut self, part: &str) {
        let code = self.levels.iter_mut().rev().find_map(|level| match level {
            Level::Code { text, .. } => text.as_mut(),
            _ => None,
        });
        if let Some(code) = code {
            code.push_str(part);
        }
    }
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> (Vec<String>, Option<usize>) {
        let mut reader = Formatted::new("'", false);
        let end = text.split('\n').find_map(|line| reader.read(line));
        (reader.codes, end)
    }

    #[test]
    fn code_is_what_python_runs() {
        for (text, expected) in [
            ("a {b} {{c}} {d!r:>{e}.{f}}'", vec!["b", "e", "f", "d"]),
            ("{'}' and g(x)}'", vec!["'}' and g(x)"]),
            ("\\x7b{g(x)}'", vec!["g(x)"]),
            ("\\{g(x)}'", vec!["g(x)"]),
            ("\\N{LEFT CURLY BRACKET}{g}'", vec!["g"]),
            ("{x['a']['b']}'", vec!["x['a']['b']"]),
            ("{f'{'#'}{g!r:>{h}}'}'", vec!["f'{'#'}{g!r:>{h}}'"]),
            ("{ {1: 2}[1] }{x != y}'", vec![" {1: 2}[1] ", "x != y"]),
            ("{x # no }'\n}'", vec!["x  "]),
            ("{x:'", vec!["x"]),
        ] {
            let (found, end) = codes(text);
            assert_eq!(found, expected, "{text}");
            assert!(end.is_some(), "{text}");
        }
        assert_eq!(codes("open {x").1, None);
        assert_eq!(codes(&"{f'".repeat(100)).1, None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(f'|'|\"|\\{|\\}|\\\\|:|!|#|\\n|[a-z]|é){0,60}") {
            let _ = codes(&text);
        }
    }
}
