//! Attempts that training leaves out by their class ([`Class::is_masked`]): how many
//! of each.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_core::Class;

/// How many were left out, by class.
#[derive(Debug, Default)]
pub(super) struct Masked(BTreeMap<Class, usize>);

impl Masked {
    /// Whether an attempt is left out, and counted here. Where nothing of a run was
    /// tested, that an attempt was not tells nothing about it.
    pub(super) fn takes(&mut self, class: Option<Class>, some_are_tested: bool) -> bool {
        let class = class.unwrap_or(Class::Ungraded);
        let is_taken = class.is_masked() && (class != Class::Ungraded || some_are_tested);
        if is_taken {
            *self.0.entry(class).or_default() += 1;
        }
        is_taken
    }

    pub(super) fn count(&self) -> usize {
        self.0.values().sum()
    }

    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(|(class, count)| (class.as_str().to_owned(), json!(count))).collect()
    }

    /// Says how many are left out, and why.
    pub(super) fn tell(&self, printer: Printer) {
        if self.count() > 0 {
            printer.say(&format!("left out {}; --masked writes them, too", self.told()));
        }
    }

    /// The error where nothing else is there to write.
    pub(super) fn nothing(&self, source: &Path) -> CommandError {
        let message = format!("`{}` has no attempt to write", source.display());
        if self.count() == 0 {
            let hint = "name the folder of a rollout; with --resolved, one that is evaluated";
            return CommandError::nothing(message, hint);
        }
        let message = format!("{message}: left out {}", self.told());
        CommandError::nothing(message, "--masked writes what training leaves out by default")
    }

    fn told(&self) -> String {
        let word = |(class, count): (&Class, &usize)| {
            let why = match class {
                Class::Budget => "a limit ended, unresolved",
                Class::ResolvedOverBudget => "a limit ended, resolved",
                Class::Cheating => "cheated",
                Class::Ungraded => "nobody tested",
                _ => "broke",
            };
            format!("{count} that {why} ({})", class.as_str())
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// The lines of a file of conversations without those that its `mask` leaves out, in
/// their places.
pub(super) fn unmasked(text: &str) -> (String, Masked) {
    let class_of = |line: &str| {
        let row: Value = serde_json::from_str(line).ok()?;
        let class = row["class"].as_str().and_then(Class::parse);
        Some((row["mask"] == true, class.unwrap_or(Class::Ungraded)))
    };
    let classes: Vec<_> = text.lines().map(class_of).collect();
    let some_are_tested = classes.iter().flatten().any(|(_, class)| *class != Class::Ungraded);
    let mut masked = Masked::default();
    let mut kept = String::with_capacity(text.len());
    for (line, class) in text.lines().zip(classes) {
        let is_left_out =
            class.is_some_and(|(mask, class)| mask && masked.takes(Some(class), some_are_tested));
        if !is_left_out {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    (kept, masked)
}
