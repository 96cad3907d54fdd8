//! What an answer says of the host's limits: how long to wait before the next request.

use std::time::Duration;

use jiff::fmt::rfc2822;

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// So many requests an hour.
    Primary,
    /// Too many in too short a time.
    Secondary,
}

impl Limit {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Primary => "limit of requests an hour",
            Self::Secondary => "secondary limit",
        }
    }
}

/// A wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) limit: Limit,
    pub(super) time: Duration,
}

/// A longer wait is cut into several, after each of which the host is asked again.
const LONGEST: Duration = Duration::from_secs(3_660);

/// Waited where the host does not say how long; doubled each time.
const UNTOLD: Duration = Duration::from_secs(60);

/// The headers that speak of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Told {
    retry_after: Option<u64>,
    remaining: Option<u64>,
    /// When the limit is renewed, in seconds since 1970.
    reset: Option<i64>,
    /// What the host's clock says: nobody else's matters.
    now: Option<i64>,
}

impl Told {
    /// Reads them; `header` gives a header's text.
    pub(super) fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let number = |name: &str| header(name)?.trim().parse::<u64>().ok();
        let time = |text: &str| Some(rfc2822::parse(text).ok()?.timestamp().as_second());
        Self {
            retry_after: number("retry-after"),
            remaining: number("x-ratelimit-remaining"),
            reset: number("x-ratelimit-reset").and_then(|seconds| i64::try_from(seconds).ok()),
            now: header("date").and_then(time),
        }
    }

    /// The wait before the next request after one that was answered well: the limit is used up.
    pub(super) fn after_success(self) -> Option<Pause> {
        (self.remaining == Some(0)).then(|| self.until_reset(0))?
    }

    /// The wait after a request that was refused; `refusals` were before it without an
    /// answer between. Nothing where it was refused for another reason.
    pub(super) fn after_refusal(self, status: u16, message: &str, refusals: u32) -> Option<Pause> {
        let message = message.to_lowercase();
        let secondary = message.contains("secondary rate limit") || message.contains("abuse");
        if let Some(seconds) = self.retry_after {
            let time = Duration::from_secs(seconds).min(LONGEST);
            return Some(Pause { limit: Limit::Secondary, time });
        }
        if self.remaining == Some(0) {
            return Some(self.until_reset(refusals).unwrap_or_else(|| untold(Limit::Primary, refusals)));
        }
        if secondary || status == 429 {
            return Some(untold(Limit::Secondary, refusals));
        }
        message.contains("rate limit").then(|| untold(Limit::Primary, refusals))
    }

    /// A second more than until the limit is renewed. A time that has passed says nothing the
    /// second time.
    fn until_reset(self, refusals: u32) -> Option<Pause> {
        let seconds = self.reset?.saturating_sub(self.now?);
        if seconds < 0 && refusals > 0 {
            return None;
        }
        let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).saturating_add(1)).min(LONGEST);
        Some(Pause { limit: Limit::Primary, time })
    }
}

fn untold(limit: Limit, refusals: u32) -> Pause {
    Pause { limit, time: (UNTOLD * (1 << refusals.min(6))).min(LONGEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: (&str, &str) = ("date", "Mon, 30 Nov 2026 12:00:00 GMT");
    const NOON: i64 = 1_796_040_000;

    fn told(headers: &[(&str, &str)]) -> Told {
        Told::read(|name| headers.iter().find(|(own, _)| *own == name).map(|(_, text)| *text))
    }

    fn pause(limit: Limit, seconds: u64) -> Option<Pause> {
        Some(Pause { limit, time: Duration::from_secs(seconds) })
    }

    #[test]
    fn waits_follow_what_the_host_says() {
        let reset = (NOON + 30).to_string();
        let used_up = [DATE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(
            told(&used_up).after_refusal(403, "API rate limit exceeded", 0),
            pause(Limit::Primary, 31)
        );
        assert_eq!(told(&used_up).after_success(), pause(Limit::Primary, 31));
        assert_eq!(told(&[DATE, ("x-ratelimit-remaining", "12")]).after_success(), None);
        let after = [DATE, ("retry-after", "7")];
        assert_eq!(told(&after).after_refusal(403, "", 0), pause(Limit::Secondary, 7));
        let secondary = "You have exceeded a secondary rate limit.";
        assert_eq!(told(&[]).after_refusal(403, secondary, 0), pause(Limit::Secondary, 60));
        assert_eq!(told(&[]).after_refusal(403, secondary, 2), pause(Limit::Secondary, 240));
        assert_eq!(told(&[]).after_refusal(429, "", 0), pause(Limit::Secondary, 60));
        assert_eq!(told(&[]).after_refusal(403, "Resource not accessible", 0), None);
        assert_eq!(told(&[("x-ratelimit-remaining", "41")]).after_refusal(403, "Blocked", 0), None);
    }

    #[test]
    fn nonsense_makes_nobody_wait_for_ever() {
        for far in ["99999999999999999999", "9223372036854775807", "-5", "soon"] {
            let headers =
                [DATE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", far), ("retry-after", far)];
            let pause = told(&headers).after_refusal(403, "", 0).unwrap();
            assert!(pause.time <= LONGEST, "{far}: {pause:?}");
        }
        let past = [DATE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
        assert_eq!(told(&past).after_refusal(403, "", 0), pause(Limit::Primary, 1));
        assert_eq!(told(&past).after_refusal(403, "", 1), pause(Limit::Primary, 120));
        let without_clock = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1796040030")];
        assert_eq!(told(&without_clock).after_refusal(403, "", 0), pause(Limit::Primary, 60));
    }
}
