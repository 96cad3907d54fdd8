//! What a command printed: bytes as they came, two streams kept apart, in order.

use std::collections::VecDeque;

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes of one stream that arrived together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where they came from.
    pub stream: Stream,
    /// As written.
    pub bytes: Vec<u8>,
}

/// How much of the output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Bytes from the start.
    pub head: u64,
    /// Bytes from the end; what lies between is counted and dropped.
    pub tail: u64,
    /// A command that prints more is killed.
    pub kill_after: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { head: 16 << 20, tail: 1 << 20, kill_after: 1 << 30 }
    }
}

/// Kept output: the head, then (when bytes were dropped) the tail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// From the start, in order of arrival.
    pub head: Vec<Chunk>,
    /// From the end, in order of arrival.
    pub tail: Vec<Chunk>,
    /// Bytes between head and tail that are not kept.
    pub dropped: u64,
}

impl Output {
    pub(crate) fn push_head(&mut self, stream: Stream, bytes: &[u8]) {
        push(&mut self.head, stream, bytes);
    }

    pub(crate) fn push_tail(&mut self, stream: Stream, bytes: &[u8]) {
        push(&mut self.tail, stream, bytes);
    }

    /// One stream alone, byte for byte; dropped bytes are left out.
    #[must_use]
    pub fn stream(&self, stream: Stream) -> Vec<u8> {
        let chunks = self.head.iter().chain(&self.tail).filter(|c| c.stream == stream);
        chunks.flat_map(|c| c.bytes.iter().copied()).collect()
    }

    /// Standard output as text, for commands whose output is ours to read.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stream(Stream::Stdout)).into_owned()
    }

    /// Both streams in order of arrival, as a terminal would show them, with a
    /// line where bytes were dropped. Invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn combined_text(&self) -> String {
        let mut bytes: Vec<u8> = self.head.iter().flat_map(|c| c.bytes.iter().copied()).collect();
        if self.dropped > 0 {
            bytes.extend(format!("\n[{} bytes dropped]\n", self.dropped).bytes());
        }
        bytes.extend(self.tail.iter().flat_map(|c| c.bytes.iter().copied()));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn push(chunks: &mut Vec<Chunk>, stream: Stream, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match chunks.last_mut() {
        Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
        _ => chunks.push(Chunk { stream, bytes: bytes.to_vec() }),
    }
}

/// Splits arriving bytes into the head, which is passed on at once, and a
/// bounded tail. Its memory is at most `keep.tail` plus one read.
pub(crate) struct Funnel {
    head_left: u64,
    tail_limit: u64,
    tail: VecDeque<Chunk>,
    tail_bytes: u64,
    dropped: u64,
    pub(crate) total: u64,
}

impl Funnel {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            head_left: keep.head,
            tail_limit: keep.tail,
            tail: VecDeque::new(),
            tail_bytes: 0,
            dropped: 0,
            total: 0,
        }
    }

    /// Takes bytes in; returns the part that belongs to the head.
    pub(crate) fn take<'a>(&mut self, stream: Stream, bytes: &'a [u8]) -> &'a [u8] {
        self.total += bytes.len() as u64;
        let cut = usize::try_from(self.head_left).unwrap_or(usize::MAX).min(bytes.len());
        let (head, rest) = bytes.split_at(cut);
        self.head_left -= cut as u64;
        self.keep_tail(stream, rest);
        head
    }

    fn keep_tail(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match self.tail.back_mut() {
            // Short writes are merged, so that many one-byte writes stay small.
            Some(last) if last.stream == stream && last.bytes.len() < 4096 => {
                last.bytes.extend_from_slice(bytes);
            }
            _ => self.tail.push_back(Chunk { stream, bytes: bytes.to_vec() }),
        }
        self.tail_bytes += bytes.len() as u64;
        while self.tail_bytes > self.tail_limit {
            let over = self.tail_bytes - self.tail_limit;
            let Some(first) = self.tail.front_mut() else { break };
            let len = first.bytes.len() as u64;
            let cut = if over >= len {
                self.tail.pop_front();
                len
            } else {
                first.bytes.drain(..over as usize);
                over
            };
            self.tail_bytes -= cut;
            self.dropped += cut;
        }
    }

    /// The tail and the number of bytes dropped before it.
    pub(crate) fn finish(self) -> (Vec<Chunk>, u64) {
        (self.tail.into(), self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn head_and_tail_are_the_two_ends(
            writes in proptest::collection::vec((proptest::bool::ANY, proptest::collection::vec(0u8..255, 0..50)), 0..20),
            head in 0u64..100, tail in 0u64..100,
        ) {
            let mut funnel = Funnel::new(Keep { head, tail, kill_after: u64::MAX });
            let mut output = Output::default();
            let mut all = Vec::new();
            for (err, bytes) in &writes {
                let stream = if *err { Stream::Stderr } else { Stream::Stdout };
                let kept = funnel.take(stream, bytes);
                output.push_head(stream, kept);
                all.extend_from_slice(bytes);
            }
            let (chunks, dropped) = funnel.finish();
            for chunk in chunks { output.push_tail(chunk.stream, &chunk.bytes); }
            let flat = |c: &[Chunk]| c.iter().flat_map(|c| c.bytes.clone()).collect::<Vec<u8>>();
            let (h, t) = (flat(&output.head), flat(&output.tail));
            proptest::prop_assert_eq!(h.len() as u64, head.min(all.len() as u64));
            proptest::prop_assert!(all.starts_with(&h) && all.ends_with(&t));
            proptest::prop_assert_eq!((h.len() + t.len()) as u64 + dropped, all.len() as u64);
            proptest::prop_assert!(t.len() as u64 <= tail);
        }
    }
}
