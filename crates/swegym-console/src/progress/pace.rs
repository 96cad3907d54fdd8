//! How fast something goes, and so when it will be over.

use std::collections::VecDeque;

/// Changes that the rate is taken over, at least.
const CHANGES: usize = 32;
/// Seconds that it is taken over, at least, where changes come faster.
const SECONDS: f64 = 30.0;
/// Seconds between changes that are told apart.
const APART: f64 = 0.25;
/// What must be done before anything is said of the rest.
const ENOUGH: u64 = 2;
/// Seconds beyond which an estimate says nothing: 99 hours.
const LONGEST: f64 = 99.0 * 3600.0;

/// What was done when, of late.
///
/// The rate is that of the last changes, and the time since the last one counts: where
/// nothing happens for a while, the estimate grows as slowly as time does.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Seconds, and how much was done then: from the beginning, or the oldest that counts.
    marks: VecDeque<(f64, u64)>,
    done: u64,
}

impl Pace {
    /// Takes down how much is done. The first time, that is what was done before.
    pub(super) fn note(&mut self, now: f64, done: u64) {
        let is_change = self.marks.is_empty() || done != self.done;
        self.done = done;
        if !is_change || self.marks.back().is_some_and(|(last, _)| now - last < APART) {
            return;
        }
        self.marks.push_back((now, done));
        while self.marks.len() > CHANGES && self.marks.get(1).is_some_and(|(at, _)| now - at >= SECONDS) {
            self.marks.pop_front();
        }
    }

    /// Seconds until `total` is done; nothing while too little is known.
    pub(super) fn left(&self, now: f64, total: u64) -> Option<f64> {
        let (since, before) = *self.marks.front()?;
        let (done, seconds) = (self.done.checked_sub(before)?, now - since);
        if done < ENOUGH || seconds < 1.0 {
            return None;
        }
        let left = total.saturating_sub(self.done) as f64 * seconds / done as f64;
        (left <= LONGEST).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_is_no_speed() {
        let mut pace = Pace::default();
        pace.note(0.0, 500);
        assert_eq!(pace.left(10.0, 1000), None);
        pace.note(10.0, 501);
        assert_eq!(pace.left(10.0, 1000), None, "one is too few");
        pace.note(20.0, 502);
        assert_eq!(pace.left(20.0, 1000), Some(4980.0));
        assert_eq!(pace.left(20.0, 502), Some(0.0));
    }

    #[test]
    fn a_standstill_makes_it_longer_no_faster_than_time_passes() {
        let mut pace = Pace::default();
        pace.note(0.0, 0);
        for done in 1..=3 {
            pace.note(10.0 * done as f64, done);
        }
        // Three of 32 in half a minute, and then nothing for seven.
        assert_eq!(pace.left(30.0, 32), Some(290.0));
        assert_eq!(pace.left(420.0, 32), Some(4060.0));
        assert_eq!(pace.left(40.0 * 3600.0, 32), None, "it says nothing rather than days");
    }

    #[test]
    fn the_rate_is_that_of_late_and_bursts_do_not_carry_it_away() {
        let mut pace = Pace::default();
        pace.note(0.0, 0);
        for step in 1..=1000_u64 {
            pace.note(step as f64, step);
        }
        for step in 1..=400_u64 {
            pace.note(1000.0 + 0.01 * step as f64, 1000 + step);
        }
        let left = pace.left(1004.0, 2400).unwrap();
        assert!((50.0..100.0).contains(&left), "{left}");
        for step in 1..=1000_u64 {
            pace.note(1004.0 + 2.0 * step as f64, 1400 + step);
        }
        assert!((pace.left(3004.0, 2500).unwrap() - 200.0).abs() < 10.0);
        assert!(pace.marks.len() <= 2 * CHANGES + 120);
    }
}
