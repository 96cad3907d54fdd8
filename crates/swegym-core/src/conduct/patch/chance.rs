//! Code that need not do the same each time: what a test says of it once says little.

use super::limits::Allowance;
use super::python::{Kind, Token, statements};
use super::source;
use crate::patch::Patch;

/// Names that give other values each time, and names that lead to any other name.
#[rustfmt::skip]
const VARYING: &[&str] = &[
    // Chance.
    "random", "secrets", "urandom", "getrandom", "uuid", "uuid1", "uuid4", "randint", "randrange", "choice",
    "shuffle", "SystemRandom",
    // Clocks.
    "time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "times",
    "now", "utcnow", "today", "getrusage", "clock_gettime",
    // What the system numbers and orders as it likes.
    "id", "hash", "getpid", "getppid", "get_ident", "get_native_id", "gc",
    // Other names, put together while the program runs.
    "getattr", "setattr", "vars", "globals", "locals", "__dict__", "__getattribute__", "__import__",
    "import_module", "importlib", "exec", "eval", "compile", "modules", "builtins", "__builtins__",
    "attrgetter", "methodcaller", "get_field", "ctypes", "popen", "Popen",
];

/// Whether what an answer adds may do something else each time it runs. `base` gives a
/// file as it was at the base commit.
#[must_use]
pub fn may_vary(answer: &str, base: &dyn Fn(&str) -> Option<String>) -> bool {
    let Ok(answer) = Patch::survey(answer) else { return true };
    let allowance = Allowance::new();
    answer.files.iter().any(|file| {
        if !allowance.begin(0) {
            return true;
        }
        let old = file.old_path.as_deref().and_then(base);
        source::after(file, old.as_deref()).iter().any(|passage| {
            let (statements, unread) = statements(passage, (0, 0), &allowance);
            let mut tokens = statements.iter().filter(|s| s.fresh).flat_map(|s| &s.tokens);
            unread.is_some() || tokens.any(varies)
        })
    })
}

fn varies(token: &Token) -> bool {
    let text = token.text.as_str();
    let is_listed = VARYING.contains(&text.trim_start_matches('_')) || VARYING.contains(&text);
    match token.kind {
        Kind::Name => is_listed,
        Kind::Text => is_listed || text.contains("random"),
        Kind::Number | Kind::Operator => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adding(line: &str) -> bool {
        let patch = format!("--- a/m.py\n+++ b/m.py\n@@ -1,1 +1,2 @@\n import random\n+{line}\n");
        may_vary(&patch, &|_| Some("import random\n".to_owned()))
    }

    #[test]
    fn only_what_is_added_counts() {
        assert!(!adding("x = [1, 2].index(2)"));
        assert!(!adding("import functools  # random"));
        for line in [
            "x = random.random()",
            "from os import urandom as u",
            "getattr(m, 'ran' + 'dom')",
            "x = open('/dev/urandom', 'rb')",
        ] {
            assert!(adding(line), "{line}");
        }
    }
}
