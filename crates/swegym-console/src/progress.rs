//! How far something is that lasts. On a terminal that is a bar; elsewhere a plain
//! line after two seconds, and then one every half minute.

mod pace;

use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use swegym_core::visible;

use crate::printer::{Printer, Shown};
use pace::Pace;

/// After which the first line comes: what is over by then says nothing.
const FIRST: Duration = Duration::from_secs(2);
/// After which the others do.
const NEXT: Duration = Duration::from_secs(30);

/// One thing that lasts. Dropped, it says no more.
pub struct Bar {
    shared: Arc<Shared>,
    drawn: Option<ProgressBar>,
    teller: Option<JoinHandle<bool>>,
}

/// What the bar and whoever shows it both know.
struct Shared {
    what: String,
    /// What is counted, where nobody knows how many there are.
    unit: &'static str,
    began: Instant,
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    done: u64,
    total: Option<u64>,
    /// Said beside it.
    aside: String,
    pace: Pace,
    is_over: bool,
}

impl Bar {
    /// Of so many.
    pub fn of(printer: Printer, what: &str, total: u64) -> Self {
        Self::begin(printer, what, "", Some(total))
    }

    /// Of as many as come, counted in this unit.
    pub fn counting(printer: Printer, what: &str, unit: &'static str) -> Self {
        Self::begin(printer, what, unit, None)
    }

    /// Of what cannot be counted: it says what is done, and for how long.
    pub fn waiting(printer: Printer, what: &str, for_what: &str) -> Self {
        let bar = Self::begin(printer, what, "", None);
        bar.say(for_what);
        bar
    }

    fn begin(printer: Printer, what: &str, unit: &'static str, total: Option<u64>) -> Self {
        let shared = Arc::new(Shared {
            what: what.to_owned(),
            unit,
            began: Instant::now(),
            state: Mutex::new(State { total, ..State::default() }),
            over: Condvar::new(),
        });
        let shown = printer.shows_progress();
        let drawn = (shown == Shown::Bars).then(|| draw(&shared, total));
        let told = Arc::clone(&shared);
        let teller = (shown == Shown::Lines).then(|| std::thread::spawn(move || tell(&told)));
        Self { shared, drawn, teller }
    }

    /// So much is done, of so many.
    pub fn set(&self, done: u64, total: u64) {
        let now = self.shared.seconds();
        let mut state = self.shared.state();
        (state.done, state.total) = (done, Some(total));
        state.pace.note(now, done);
        drop(state);
        if let Some(drawn) = &self.drawn {
            drawn.set_length(total);
            drawn.set_position(done);
        }
    }

    /// So much more is done.
    pub fn add(&self, more: u64) {
        let now = self.shared.seconds();
        let mut state = self.shared.state();
        let before = state.done;
        if before == 0 {
            state.pace.note(0.0, 0);
        }
        state.done += more;
        state.pace.note(now, before + more);
        drop(state);
        if let Some(drawn) = &self.drawn {
            drawn.inc(more);
        }
    }

    /// Says something beside it.
    pub fn say(&self, aside: &str) {
        aside.clone_into(&mut self.shared.state().aside);
        if let Some(drawn) = &self.drawn {
            drawn.set_message(visible(aside).replace('\n', " "));
        }
    }

    /// Ends it; a last line says so where there were others.
    pub fn finish(mut self) {
        if self.end() {
            self.shared.tell();
        }
    }

    /// Whether lines were told.
    fn end(&mut self) -> bool {
        self.shared.state().is_over = true;
        self.shared.over.notify_all();
        if let Some(drawn) = self.drawn.take() {
            drawn.finish_and_clear();
        }
        self.teller.take().is_some_and(|teller| teller.join().unwrap_or_default())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// How long it will take, in words.
    fn left(&self) -> String {
        let state = self.state();
        let left = state.total.and_then(|total| state.pace.left(self.seconds(), total));
        left.map_or_else(|| "-".to_owned(), |left| duration(left, true))
    }

    fn tell(&self) {
        let line = self.line();
        // A closed stderr is nobody's loss.
        let _ = writeln!(std::io::stderr(), "{}", visible(&line).replace('\n', " "));
    }

    /// `validate: 12 of 32, 3 running, 1m40s, eta 2m`
    fn line(&self) -> String {
        let left = self.left();
        let state = self.state();
        let mut parts = Vec::new();
        match state.total {
            Some(total) => parts.push(format!("{} of {total}", state.done)),
            None if !self.unit.is_empty() => parts.push(format!("{} {}", state.done, self.unit)),
            None => {}
        }
        parts.extend(Some(state.aside.clone()).filter(|aside| !aside.is_empty()));
        parts.push(duration(self.seconds(), false));
        if state.total.is_some_and(|total| state.done < total) {
            parts.push(format!("eta {left}"));
        }
        format!("{}: {}", self.what, parts.join(", "))
    }
}

fn draw(shared: &Arc<Shared>, total: Option<u64>) -> ProgressBar {
    let counted = if shared.unit.is_empty() { "" } else { "{pos} {unit} " };
    let template = match total {
        Some(_) => "{prefix:>10} [{bar:30}] {pos}/{len} {elapsed} eta {left} {wide_msg}".to_owned(),
        None => format!("{{prefix:>10}} {counted}{{elapsed}} {{wide_msg}}"),
    };
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template(&template) {
        let (left, unit) = (Arc::clone(shared), shared.unit);
        let style = style
            .with_key("left", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&left.left());
            })
            .with_key("unit", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(unit);
            });
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(shared.what.clone());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Tells until it is over; gives whether it told anything.
fn tell(shared: &Shared) -> bool {
    let (mut wait, mut has_told) = (FIRST, false);
    loop {
        let waited = shared.over.wait_timeout_while(shared.state(), wait, |state| !state.is_over);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return has_told;
        }
        drop(state);
        shared.tell();
        (wait, has_told) = (NEXT, true);
    }
}

/// Seconds in words; an estimate has no seconds beside minutes.
fn duration(seconds: f64, is_rough: bool) -> String {
    let seconds = if is_rough { seconds.ceil() } else { seconds } as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) if is_rough => format!("{}m", seconds.div_ceil(60)),
        (0, _) => format!("{minutes}m{:02}s", seconds % 60),
        _ => format!("{hours}h{:02}m", minutes % 60),
    }
}

/// How many rows were seen, where nobody knows how many there are.
pub struct Counter {
    bar: Bar,
}

impl Counter {
    /// Begins with none.
    pub fn new(printer: Printer, what: &str) -> Self {
        Self { bar: Bar::counting(printer, what, "rows") }
    }

    /// One more was seen.
    pub fn tick(&self) {
        self.bar.add(1);
    }

    /// There are no more.
    pub fn finish(self) {
        self.bar.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(unit: &'static str, state: State) -> Shared {
        let (what, began) = ("validate".to_owned(), Instant::now());
        Shared { what, unit, began, state: Mutex::new(state), over: Condvar::new() }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let state = |done, total, aside: &str| State { done, total, aside: aside.into(), ..State::default() };
        for (unit, state, line) in [
            ("", state(3, Some(32), "3 running"), "validate: 3 of 32, 3 running, 0s, eta -"),
            ("", state(32, Some(32), ""), "validate: 32 of 32, 0s"),
            ("rows", state(1200, None, ""), "validate: 1200 rows, 0s"),
            ("", state(0, None, "reading the model"), "validate: reading the model, 0s"),
        ] {
            assert_eq!(shared(unit, state).line(), line);
        }
        let mut known = state(3, Some(6), "");
        known.pace.note(-30.0, 0);
        known.pace.note(0.0, 3);
        assert_eq!(shared("", known).line(), "validate: 3 of 6, 0s, eta 31s");
    }

    #[test]
    fn durations_are_short() {
        for (seconds, exact, rough) in [
            (0.0, "0s", "0s"),
            (59.4, "59s", "1m"),
            (100.0, "1m40s", "2m"),
            (3599.0, "59m59s", "60m"),
            (7500.0, "2h05m", "2h05m"),
        ] {
            assert_eq!((duration(seconds, false).as_str(), duration(seconds, true).as_str()), (exact, rough));
        }
    }
}
