//! Turns tokens into text as they come, up to a stop word.

use swegym_train::tokenizer::Tokenizer;

/// The text of an answer so far.
pub(super) struct Writing<'a> {
    tokenizer: &'a Tokenizer,
    stops: &'a [String],
    ids: Vec<u32>,
    /// Tokens before this are text that will not change; those from `context`
    /// on are decoded with what is new, since pieces join at their borders.
    read: usize,
    context: usize,
    text: String,
    /// What was given out of the text.
    given: usize,
    stopped: bool,
}

impl<'a> Writing<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, stops: &'a [String]) -> Self {
        let text = String::new();
        Self { tokenizer, stops, ids: Vec::new(), read: 0, context: 0, text, given: 0, stopped: false }
    }

    /// Takes a token in. True once a stop word is complete: then the text ends
    /// before it, and nothing more belongs to the answer.
    pub(super) fn push(&mut self, id: u32) -> bool {
        self.ids.push(id);
        let before = self.tokenizer.decode(&self.ids[self.context..self.read]);
        let now = self.tokenizer.decode(&self.ids[self.context..]);
        // A character whose bytes are not all there yet.
        if now.ends_with('\u{FFFD}') && self.ids.len() - self.read < 8 {
            return false;
        }
        self.take(now.get(before.len()..).unwrap_or_default());
        (self.context, self.read) = (self.read, self.ids.len());
        self.stopped
    }

    fn take(&mut self, new: &str) {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.text.len().saturating_sub(longest);
        while !self.text.is_char_boundary(from) {
            from -= 1;
        }
        self.text.push_str(new);
        let found = self.stops.iter().filter_map(|stop| self.text[from..].find(stop.as_str())).min();
        if let Some(at) = found {
            self.text.truncate(from + at);
            self.stopped = true;
        }
    }

    /// The answer is over: what was held back is text after all.
    pub(super) fn end(&mut self) {
        if !self.stopped && self.read < self.ids.len() {
            let before = self.tokenizer.decode(&self.ids[self.context..self.read]);
            let now = self.tokenizer.decode(&self.ids[self.context..]);
            self.take(now.get(before.len()..).unwrap_or_default());
            self.read = self.ids.len();
        }
    }

    /// What can be given out: not what may yet become a stop word, until the end.
    pub(super) fn give(&mut self, over: bool) -> String {
        let mut to = self.text.len();
        if !over && !self.stopped {
            let rest = &self.text[self.given..];
            let held = self.stops.iter().filter_map(|stop| beginning(rest, stop)).max().unwrap_or(0);
            to -= held;
        }
        let piece = self.text[self.given..to].to_owned();
        self.given = to;
        piece
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// How much of the end of `text` is the beginning of `stop`.
fn beginning(text: &str, stop: &str) -> Option<usize> {
    (1..stop.len()).rev().find(|&len| stop.is_char_boundary(len) && text.ends_with(&stop[..len]))
}

#[cfg(test)]
mod tests {
    use swegym_train::corpus;

    use super::*;

    fn tokenizer() -> Tokenizer {
        let text = "the naïve café costs 5 € — 猫 🐈 </function> stop ".repeat(20);
        corpus::train_tokenizer(&[text], 300, &[], None, corpus::WordRule::default()).expect("a tokenizer")
    }

    #[test]
    fn pieces_join_to_the_whole_text_and_characters_stay_whole() {
        let (tokenizer, text) = (tokenizer(), "a 猫 and 🐈‍⬛, naïve — € done");
        let mut writing = Writing::new(&tokenizer, &[]);
        let mut given = String::new();
        for id in tokenizer.encode(text).expect("tokens") {
            assert!(!writing.push(id));
            given += &writing.give(false);
            assert!(!given.contains('\u{FFFD}'), "{given}");
        }
        writing.end();
        given += &writing.give(true);
        assert_eq!((given.as_str(), writing.text()), (text, text));
    }

    #[test]
    fn stop_words_end_the_text_and_are_never_given_in_part() {
        let tokenizer = tokenizer();
        let stops = ["</function".to_owned(), "halt".to_owned()];
        let mut writing = Writing::new(&tokenizer, &stops);
        let mut given = String::new();
        let mut stopped = false;
        for id in tokenizer.encode("x </fun y </function> z").expect("tokens") {
            stopped = writing.push(id);
            given += &writing.give(false);
            if stopped {
                break;
            }
        }
        assert!(stopped);
        assert_eq!((given.as_str(), writing.text()), ("x </fun y ", "x </fun y "));
    }
}
