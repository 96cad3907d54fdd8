//! The time of day, for what people read.

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the runner is where clocks are read")]
pub(crate) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_millis() as u64)
}
