//! What dotted names of a Python file stand for: `_exit` after
//! `from os import _exit`, `getattr(os, "_exit")` and `sys.modules["os"]._exit`
//! are all `os._exit`.

use std::collections::{HashMap, HashSet};

use super::limits::{DEPTH, NAME};
use super::python::{Kind, Statement, Token};

/// A dotted name in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// What it stands for.
    pub(super) path: String,
    /// Its first token.
    pub(super) start: usize,
    /// The token behind it.
    pub(super) end: usize,
    /// Whether it, or a part of it, is given another value.
    pub(super) assigned: bool,
    /// Whether an import or an assignment before says what its first name is.
    pub(super) bound: bool,
}

/// What the names of a file stand for. Assignments and imports count from where
/// they stand to the end, whatever function they are in.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<String, String>,
    /// Whether a name was longer or deeper than is followed.
    pub(super) lost: bool,
}

impl Names {
    /// The names of a statement; what it imports or binds is known from then on.
    pub(super) fn references(&mut self, statement: &Statement) -> Vec<Reference> {
        let tokens = &statement.tokens;
        if matches!(statement.keyword(), "import" | "from") {
            self.import(tokens);
            return Vec::new();
        }
        let mut found = Vec::new();
        let brackets = Brackets::of(tokens);
        let mut at = 0;
        while at < tokens.len() && !self.lost {
            match self.reference(tokens, &brackets, at, 0) {
                Some((path, end)) => {
                    let bound = path != tokens[at].text
                        && !path.starts_with(&format!("{}.", tokens[at].text))
                        || self.known.contains_key(&tokens[at].text);
                    found.push(Reference { path, start: at, end, assigned: false, bound });
                    // A name in brackets behind it is looked at for itself.
                    at = if tokens[at].text == "getattr" { at + 2 } else { end };
                }
                None => at += 1,
            }
        }
        mark_assigned(statement, &brackets, &mut found);
        self.bind(tokens, &found);
        found
    }

    fn import(&mut self, tokens: &[Token]) {
        for (module, name, bound) in imports(tokens) {
            let path = match &name {
                Some(name) => format!("{module}.{name}"),
                None if bound.is_some() => module.clone(),
                None => module.split('.').next().unwrap_or_default().to_owned(),
            };
            let bound = bound.or(name).unwrap_or_else(|| path.clone());
            self.known.insert(bound, path);
        }
    }

    /// `x = a.b`, `x = __import__("a")` and `for x in (a.b, …)` give a name what
    /// stands there.
    fn bind(&mut self, tokens: &[Token], found: &[Reference]) {
        let mut binds = Vec::new();
        if let Some(at) = tokens.iter().position(|t| t.is("for"))
            && let Some(from) = tokens.iter().skip(at).position(|t| t.is("in")).map(|from| from + at)
        {
            // `list(a.b)` gives what a.b has.
            let given = found.iter().filter(|r| r.start > from);
            let given = given.clone().find(|r| r.path.contains('.')).or(given.clone().next());
            let targets = tokens[at + 1..from].iter().filter(|t| t.kind == Kind::Name);
            binds.extend(given.into_iter().flat_map(|given| targets.clone().map(move |name| (name, given))));
        }
        if tokens.len() > 2 && tokens[0].kind == Kind::Name && tokens[1].is("=") {
            let given = found.iter().find(|r| r.start == 2 && r.end == tokens.len());
            binds.extend(given.map(|given| (&tokens[0], given)));
        }
        for (name, given) in binds {
            self.known.insert(name.text.clone(), given.path.clone());
        }
    }

    /// The dotted name that begins here, and the token behind it.
    fn reference(
        &mut self,
        tokens: &[Token],
        brackets: &Brackets,
        at: usize,
        depth: usize,
    ) -> Option<(String, usize)> {
        let token = tokens.get(at).filter(|t| t.kind == Kind::Name)?;
        if at > 0 && tokens[at - 1].is(".") {
            let of_call = at > 1 && (tokens[at - 2].is(")") || tokens[at - 2].is("]"));
            if !of_call {
                return None;
            }
        }
        let (mut path, mut end) = match self.looked_up(tokens, brackets, at, depth) {
            Some(found) => found,
            // What a call gives has no name of its own.
            None if at > 0 && tokens[at - 1].is(".") => (format!("().{}", token.text), at + 1),
            None => (self.known.get(&token.text).unwrap_or(&token.text).clone(), at + 1),
        };
        if path == "__builtins__" {
            path = "builtins".to_owned();
        }
        loop {
            if path.len() > NAME {
                self.lost = true;
                return None;
            }
            let text = |at: usize| literal(tokens, at);
            let is = |at: usize, what: &str| tokens.get(at).is_some_and(|t| t.is(what));
            if let Some(name) = tokens.get(end + 1).filter(|t| is(end, ".") && t.kind == Kind::Name) {
                path.push('.');
                path.push_str(&name.text);
                end += 2;
            } else if let Some((name, after)) =
                text(end + 1).filter(|(_, after)| is(end, "[") && is(*after, "]"))
            {
                match path.as_str() {
                    "sys.modules" => path = name,
                    _ => match path.strip_suffix(".__dict__") {
                        Some(owner) => path = format!("{owner}.{name}"),
                        None if path == "builtins" => path = format!("builtins.{name}"),
                        None => break,
                    },
                }
                end = after + 1;
            } else if let Some((name, after)) = text(end + 1).filter(|_| is(end, "(")) {
                // sys.modules.get("a"), import_module("a"), __import__("a")
                let imports = path
                    .rsplit('.')
                    .next()
                    .is_some_and(|last| matches!(last, "import_module" | "__import__"));
                if path != "sys.modules.get" && !imports {
                    break;
                }
                path = name;
                end = brackets.behind(end).max(after);
            } else {
                break;
            }
        }
        Some((path, end))
    }

    /// `getattr(a, "b")` and `vars(a)["b"]` as `a.b`.
    fn looked_up(
        &mut self,
        tokens: &[Token],
        brackets: &Brackets,
        at: usize,
        depth: usize,
    ) -> Option<(String, usize)> {
        let is = |at: usize, what: &str| tokens.get(at).is_some_and(|t| t.is(what));
        if !is(at + 1, "(") {
            return None;
        }
        let looks = matches!(tokens[at].text.as_str(), "getattr" | "vars");
        if looks && depth == DEPTH {
            self.lost = true;
            return None;
        }
        match tokens[at].text.as_str() {
            "getattr" => {
                let (owner, end) = self.reference(tokens, brackets, at + 2, depth + 1)?;
                let (name, after) = literal(tokens, end + 1).filter(|_| is(end, ","))?;
                Some((format!("{owner}.{name}"), brackets.behind(at + 1).max(after)))
            }
            "vars" => {
                let (owner, end) = self.reference(tokens, brackets, at + 2, depth + 1)?;
                is(end, ")").then(|| (format!("{owner}.__dict__"), end + 1))
            }
            _ => None,
        }
    }
}

/// What an import statement brings: module, name in it, and what it is called here.
pub(super) fn imports(tokens: &[Token]) -> Vec<(String, Option<String>, Option<String>)> {
    let dotted = |tokens: &[Token]| tokens.iter().map(|t| t.text.as_str()).collect::<String>();
    let split = |tokens: &[Token]| -> Vec<(String, Option<String>)> {
        let parts = tokens.split(|t| t.is(","));
        let part = |part: &[Token]| {
            let part: Vec<Token> = part.iter().filter(|t| !t.is("(") && !t.is(")")).cloned().collect();
            let at = part.iter().position(|t| t.is("as")).unwrap_or(part.len());
            (dotted(&part[..at]), part.get(at + 1).map(|t| t.text.clone()))
        };
        parts.map(part).filter(|(name, _)| !name.is_empty()).collect()
    };
    // What follows on the same line is another statement.
    let end = tokens.iter().position(|t| t.is(";")).unwrap_or(tokens.len());
    let tokens = &tokens[..end];
    match tokens.first() {
        Some(first) if first.is("import") => {
            split(&tokens[1..]).into_iter().map(|(module, bound)| (module, None, bound)).collect()
        }
        Some(first) if first.is("from") => {
            let at = tokens.iter().position(|t| t.is("import")).unwrap_or(tokens.len());
            let module = dotted(tokens.get(1..at).unwrap_or_default());
            let names = split(tokens.get(at + 1..).unwrap_or_default());
            names.into_iter().map(|(name, bound)| (module.clone(), Some(name), bound)).collect()
        }
        _ => Vec::new(),
    }
}

/// A literal, or several that are added up, and the token behind.
pub(super) fn literal(tokens: &[Token], at: usize) -> Option<(String, usize)> {
    let mut text = tokens.get(at).filter(|t| t.kind == Kind::Text)?.text.clone();
    let mut end = at + 1;
    loop {
        let next = if tokens.get(end).is_some_and(|t| t.is("+")) { end + 1 } else { end };
        match tokens.get(next).filter(|t| t.kind == Kind::Text) {
            Some(more) => text.push_str(&more.text),
            None => return Some((text, end)),
        }
        end = next + 1;
    }
}

/// The brackets of a statement.
struct Brackets {
    /// For each token, how many are open before it.
    depths: Vec<usize>,
    /// For each token that opens one, the token behind its end.
    ends: Vec<usize>,
}

impl Brackets {
    fn of(tokens: &[Token]) -> Self {
        let mut brackets =
            Self { depths: Vec::with_capacity(tokens.len()), ends: vec![tokens.len(); tokens.len()] };
        let mut open = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            brackets.depths.push(open.len());
            if token.kind != Kind::Operator {
                continue;
            }
            match token.text.as_str() {
                "(" | "[" | "{" => open.push(at),
                ")" | "]" | "}" => {
                    if let Some(begin) = open.pop() {
                        brackets.ends[begin] = at + 1;
                    }
                }
                _ => {}
            }
        }
        brackets
    }

    /// The token behind the bracket that the one at `at` opens.
    fn behind(&self, at: usize) -> usize {
        self.ends.get(at).copied().unwrap_or_default()
    }
}

/// Which names are given another value: targets of assignments, and what
/// `setattr`, `delattr`, `update` and the patchers of mocks are called with.
fn mark_assigned(statement: &Statement, brackets: &Brackets, found: &mut [Reference]) {
    let tokens = &statement.tokens;
    let mut target_end = 0;
    let begins_block = statement.begins_block();
    for (at, token) in tokens.iter().enumerate() {
        let depth = brackets.depths[at];
        let sets = token.is("=")
            || token.kind == Kind::Operator
                && token.text.len() > 1
                && token.text.ends_with('=')
                && !["==", "!=", "<=", ">=", ":="].contains(&token.text.as_str());
        if depth == 0 && target_end == 0 && token.is(":") && !begins_block {
            // Behind the name there is its type.
            target_end = at;
            break;
        }
        if depth == 0 && sets {
            target_end = at;
        }
    }
    let deletes = tokens.first().is_some_and(|t| t.is("del"));
    let setters: HashSet<usize> = found
        .iter()
        .filter(|r| {
            let last = r.path.rsplit('.').next().unwrap_or_default();
            matches!(last, "setattr" | "__setattr__" | "delattr" | "__delattr__")
                || r.path.ends_with("patch.object")
                || r.path.ends_with("patch.multiple")
        })
        .map(|r| r.end + 1)
        .collect();
    for reference in found {
        let next = |what: &str| tokens.get(reference.end).is_some_and(|t| t.is(what));
        // What is called on the way to a target is no target, and a name alone is
        // only bound to something else.
        let called = next("(");
        let is_part = reference.end > reference.start + 1 || next("[");
        let is_target = (reference.end <= target_end || deletes)
            && is_part
            && !called
            && brackets.depths[reference.start] == 0;
        let name = setters.contains(&reference.start).then(|| {
            literal(tokens, reference.end + 1).map_or(String::new(), |(name, _)| format!(".{name}"))
        });
        if let Some(name) = name {
            reference.path.push_str(&name);
            reference.assigned = true;
        }
        let verb = [".update", ".setdefault", ".pop", ".__setitem__", ".clear"];
        let owner = verb.iter().find_map(|verb| reference.path.strip_suffix(verb)).filter(|_| called);
        let changed = owner.and_then(|owner| {
            let of_frame = ["f_globals", "f_locals", "f_builtins", "__globals__", "__builtins__"];
            let changes = owner == "sys.modules" || of_frame.iter().any(|place| owner.ends_with(place));
            owner.strip_suffix(".__dict__").or_else(|| changes.then_some(owner))
        });
        if let Some(owner) = changed.map(str::to_owned) {
            reference.path = owner;
            reference.assigned = true;
        }
        reference.assigned |= is_target;
    }
}
