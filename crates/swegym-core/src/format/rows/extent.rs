//! How far a JSON value goes, by its brackets alone.

/// What stands on a line that begins with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// One object or list.
    Whole,
    /// One, and more after it.
    Several,
    /// The beginning of one.
    Open,
    /// None of these.
    Other,
}

impl Extent {
    pub(super) fn of(line: &[u8]) -> Self {
        let line = line.trim_ascii();
        if !line.starts_with(b"{") && !line.starts_with(b"[") {
            return Self::Other;
        }
        let mut counter = Counter::default();
        let end = line.iter().position(|byte| {
            counter.count(*byte);
            counter.is_over()
        });
        match end {
            None => Self::Open,
            Some(end) if end + 1 == line.len() => Self::Whole,
            Some(_) => Self::Several,
        }
    }
}

/// Brackets that are open outside of strings.
#[derive(Debug, Default)]
pub(super) struct Counter {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Something was opened.
    began: bool,
    /// The last byte was the end of a line.
    at_margin: bool,
    /// The last byte that was no blank.
    last: u8,
}

impl Counter {
    pub(super) fn count(&mut self, byte: u8) {
        self.at_margin = byte == b'\n';
        if self.in_string && byte != b'\n' {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            self.last = byte;
            return;
        }
        // No string goes over the end of a line: this one was cut.
        (self.in_string, self.escaped) = (byte == b'"', false);
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.began |= self.depth > 0;
        if !byte.is_ascii_whitespace() {
            self.last = byte;
        }
    }

    /// Whether what was opened is closed.
    pub(super) fn is_over(&self) -> bool {
        self.began && self.depth == 0
    }

    /// Whether nothing is open.
    pub(super) fn is_at_rest(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    /// Whether an element of a list ends before this byte.
    pub(super) fn ends_before(&self, byte: u8) -> bool {
        self.is_at_rest() && matches!(byte, b',' | b']')
    }

    /// Whether what was opened breaks off before this byte: an object at the
    /// margin where none can stand is the next one.
    pub(super) fn is_cut_before(&self, byte: u8) -> bool {
        let follows = !matches!(self.last, b',' | b':' | b'[' | b'{');
        byte == b'{' && self.at_margin && self.began && self.depth > 0 && follows
    }
}
