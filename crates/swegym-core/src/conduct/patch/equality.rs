//! Methods that say how objects compare: those that do not look at both sides.

use std::collections::{HashMap, HashSet};

use super::limits::DEPTH;
use super::names::Reference;
use super::python::{Kind, Statement, Token};
use super::rules::{File, constant};
use super::{Finding, Trick};

/// Names of one function that hold something of the one side and of the other.
#[derive(Debug, Default)]
struct Sides<'a> {
    own: HashSet<&'a str>,
    other: HashSet<&'a str>,
}

impl<'a> Sides<'a> {
    /// Of parameters, as they stand between brackets or before a lambda's colon.
    fn of(parameters: &'a [Token]) -> Self {
        let mut sides = Self::default();
        let mut count = 0;
        for (at, token) in parameters.iter().enumerate().filter(|(_, t)| t.kind == Kind::Name) {
            let before = at.checked_sub(1).map_or(",", |at| parameters[at].text.as_str());
            match before {
                "," | "(" => count += 1,
                "*" => {
                    sides.own.insert(&token.text);
                    sides.other.insert(&token.text);
                    count += 2;
                    continue;
                }
                _ => continue,
            }
            match count {
                1 => sides.own.insert(&token.text),
                2 => sides.other.insert(&token.text),
                _ => false,
            };
        }
        sides
    }

    /// Whether tokens mention something of each side, other than its class.
    fn mentioned(&self, tokens: &[Token]) -> (bool, bool) {
        let is = |at: Option<usize>, text: &str| at.and_then(|at| tokens.get(at)).is_some_and(|t| t.is(text));
        let counts = |at: usize| {
            let of_type =
                is(at.checked_sub(1), "(") && is(at.checked_sub(2), "type") && is(Some(at + 1), ")");
            let of_class = is(Some(at + 1), ".") && is(Some(at + 2), "__class__");
            !of_type && !of_class && !is(at.checked_sub(1), ".")
        };
        let names = || tokens.iter().enumerate().filter(|(at, t)| t.kind == Kind::Name && counts(*at));
        (
            names().any(|(_, t)| self.own.contains(t.text.as_str())),
            names().any(|(_, t)| self.other.contains(t.text.as_str())),
        )
    }

    fn mentions_both(&self, tokens: &[Token]) -> bool {
        self.mentioned(tokens) == (true, true)
    }

    /// Follows what a statement gives its names.
    fn follow(&mut self, statement: &'a Statement, sure: bool) {
        let tokens = &statement.tokens;
        let loops = statement.keyword() == "for";
        let at = Top::of(tokens).words.iter().find_map(|(at, word)| {
            (*word == "=" && !statement.begins_block() || *word == "in" && loops).then_some(*at)
        });
        let Some(at) = at else { return };
        let (targets, given) = (&tokens[..at], &tokens[at + 1..]);
        let is_plain = tokens[at].is("=");
        let (own, other) = self.mentioned(given);
        let is_dot =
            |at: Option<usize>| at.and_then(|at| tokens.get(at)).is_some_and(|t| t.is(".") || t.is("["));
        let names = targets
            .iter()
            .enumerate()
            .filter(|(at, t)| t.kind == Kind::Name && !is_dot(at.checked_sub(1)) && !is_dot(Some(at + 1)));
        for name in names.map(|(_, t)| t.text.as_str()) {
            if own {
                self.own.insert(name);
            } else if sure && is_plain && !other && targets.len() == 1 {
                self.own.remove(name);
                self.other.remove(name);
            }
            if other {
                self.other.insert(name);
            }
        }
    }

    /// Whether an expression says that two are equal (or, for `__ne__`, that they
    /// are not) only after a look at both.
    fn compares(&self, tokens: &[Token], negated: bool, depth: usize) -> bool {
        if depth == DEPTH || tokens.is_empty() {
            // An empty answer is false.
            return tokens.is_empty();
        }
        let top = Top::of(tokens);
        if top.has(",") || top.has("lambda") {
            return false;
        }
        if let (Some(condition), Some(otherwise)) = (top.at("if"), top.at("else"))
            && condition < otherwise
        {
            let asks = &tokens[condition + 1..otherwise];
            let (then, or_else) = (&tokens[..condition], &tokens[otherwise + 1..]);
            return constant(asks).is_none() && self.compares(asks, negated, depth + 1)
                || self.compares(then, negated, depth + 1) && self.compares(or_else, negated, depth + 1);
        }
        for (word, needs_all) in [("or", !negated), ("and", negated)] {
            if top.has(word) {
                let mut parts = top.split(tokens, word).into_iter();
                let compares = |part: &[Token]| self.compares(part, negated, depth + 1);
                return if needs_all { parts.all(compares) } else { parts.any(compares) };
            }
        }
        let negations = tokens.iter().take_while(|t| t.is("not")).count();
        if negations > 0 {
            return self.compares(&tokens[negations..], negated != (negations % 2 == 1), depth + 1);
        }
        if tokens.len() > 2 && tokens[0].is("(") && top.closes == Some(tokens.len()) {
            return self.compares(&tokens[1..tokens.len() - 1], negated, depth + 1);
        }
        if let Some(truth) = constant(tokens) {
            return truth == negated;
        }
        let first = tokens[0].text.as_str();
        if first == "NotImplemented" || tokens.iter().take(3).any(|t| t.is("super")) {
            return true;
        }
        if matches!(first, "isinstance" | "issubclass") || !self.mentions_both(tokens) {
            return false;
        }
        let Some(at) = top.comparison else {
            // What a call says of both, or a name that holds what was said.
            return tokens[0].kind == Kind::Name && (tokens.len() == 1 || tokens[tokens.len() - 1].is(")"));
        };
        let not = tokens[at].is("is") && tokens.get(at + 1).is_some_and(|t| t.is("not"));
        let says = if tokens[at].is("!=") || tokens[at].is("not") || not {
            negated
        } else if tokens[at].is("==") || tokens[at].is("is") {
            !negated
        } else {
            // What comes before the other says something of both.
            true
        };
        says && tokens[..at] != tokens[at + 1..]
    }
}

/// The words of an expression that stand in no brackets.
struct Top<'a> {
    words: Vec<(usize, &'a str)>,
    /// The first operator that compares.
    comparison: Option<usize>,
    /// The token behind the first bracket's end.
    closes: Option<usize>,
}

impl<'a> Top<'a> {
    fn of(tokens: &'a [Token]) -> Self {
        let mut top = Self { words: Vec::new(), comparison: None, closes: None };
        let mut depth = 0_usize;
        for (at, token) in tokens.iter().enumerate().filter(|(_, t)| t.kind != Kind::Text) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        top.closes = top.closes.or(Some(at + 1));
                    }
                }
                word @ ("and" | "or" | "if" | "else" | "," | "lambda") if depth == 0 => {
                    top.words.push((at, word));
                }
                "==" | "!=" | "<" | ">" | "<=" | ">=" | "is" | "in" | "not" if depth == 0 => {
                    if token.is("in") {
                        top.words.push((at, "in"));
                    }
                    top.comparison = top.comparison.or(Some(at));
                }
                word if depth == 0 && word.ends_with('=') && word != ":=" => top.words.push((at, "=")),
                _ => {}
            }
        }
        top
    }

    fn at(&self, word: &str) -> Option<usize> {
        self.words.iter().find(|(_, other)| *other == word).map(|(at, _)| *at)
    }

    fn has(&self, word: &str) -> bool {
        self.at(word).is_some()
    }

    fn split(&self, tokens: &'a [Token], word: &str) -> Vec<&'a [Token]> {
        let mut parts = Vec::new();
        let mut from = 0;
        for (at, _) in self.words.iter().filter(|(_, other)| *other == word) {
            parts.push(&tokens[from..*at]);
            from = at + 1;
        }
        parts.push(&tokens[from..]);
        parts
    }
}

/// A method that answers comparisons without a look at both sides, or an
/// assignment of one.
pub(super) fn finding(file: &File<'_>, at: usize) -> Option<Finding> {
    let (statement, references) = &file.all[at];
    let (name, honest) = match statement.defines("def") {
        Some(name) if is_equality(name) => (name.to_owned(), is_honest(file, at, name == "__ne__")),
        Some(name) => (name.to_owned(), !fools(file, at, name, always_says(file, at)?)),
        None => match assigned(file, statement, references) {
            Some(found) => found,
            None => {
                let (name, says) = assigned_lambda(statement, references)?;
                let fools = fools(file, at, &name, says);
                (name, !fools)
            }
        },
    };
    if honest {
        return None;
    }
    let mut finding = Finding::of(Trick::EqualToEverything, name, statement);
    finding.fresh |= file.body(at).any(|inner| inner.fresh);
    Some(finding)
}

fn is_equality(name: &str) -> bool {
    matches!(name, "__eq__" | "__ne__")
}

/// Whether a function's answers come from both sides.
fn is_honest(file: &File<'_>, at: usize, differs: bool) -> bool {
    if let Some(judged) = file.judged.borrow().get(&(at, differs)) {
        return *judged;
    }
    let head = &file.all[at].0;
    let from = head.tokens.iter().position(|t| t.is("(")).map_or(head.tokens.len(), |at| at + 1);
    let mut sides = Sides::of(&head.tokens[from..]);
    let mut refuses = false;
    let mut asked: HashMap<usize, bool> = HashMap::new();
    let mut honest = true;
    for statement in file.body(at) {
        let around = &statement.scope.blocks;
        let inner = around.iter().rfind(|block| file.all[**block].0.defines("def").is_some());
        if inner != Some(&at) {
            continue;
        }
        let block = around.last().filter(|block| **block != at);
        // As its head was when it was entered.
        let both = around.last().filter(|_| block.is_some()).is_some_and(|entered| {
            *asked.entry(*entered).or_insert_with(|| {
                let asks = &file.all[*entered].0;
                matches!(asks.keyword(), "if" | "elif") && sides.mentions_both(&asks.tokens)
            })
        });
        if statement.keyword() != "return" {
            refuses |= statement.keyword() == "raise" && both;
            sides.follow(statement, block.is_none());
            continue;
        }
        let given = &statement.tokens[1..];
        let says_different = match constant(given) {
            Some(truth) => truth == differs,
            None => given.first().is_some_and(|t| t.is("NotImplemented")),
        };
        if says_different {
            refuses |= both;
        } else if constant(given).is_some() {
            honest &= both || refuses;
        } else {
            honest &= sides.compares(given, differs, 0);
        }
    }
    file.judged.borrow_mut().insert((at, differs), honest);
    honest
}

/// `__eq__ = …`, `X.__eq__ = …`, `setattr(X, "__eq__", …)`, and classes that are
/// made of such names; and whether that looks at both sides.
fn assigned(file: &File<'_>, statement: &Statement, references: &[Reference]) -> Option<(String, bool)> {
    let tokens = &statement.tokens;
    let last = |path: &str| path.rsplit('.').next().filter(|name| is_equality(name)).map(str::to_owned);
    let plain = tokens.first().filter(|t| tokens.get(1).is_some_and(|is| is.is("=")) && is_equality(&t.text));
    let set = references.iter().find_map(|r| last(&r.path).filter(|_| r.assigned).map(|name| (name, r)));
    let (name, set_by_call) = match (plain, set) {
        (Some(name), _) => (name.text.clone(), None),
        (None, Some((name, r))) => (name, Some(r).filter(|r| r.start > 0)),
        (None, None) => {
            let makes =
                references.iter().any(|r| r.path == "type" && tokens.get(r.end).is_some_and(|t| t.is("(")));
            let named = |t: &&Token| {
                t.kind == Kind::Text
                    && (is_equality(&t.text) || matches!(t.text.as_str(), "__%s__" | "__{}__"))
            };
            return makes.then(|| tokens.iter().find(named)).flatten().map(|t| (t.text.clone(), false));
        }
    };
    let value = match set_by_call {
        Some(r) => {
            let from = tokens.iter().skip(r.end).position(|t| t.kind == Kind::Text)? + r.end + 2;
            tokens.get(from..tokens.len().saturating_sub(1)).unwrap_or_default()
        }
        None => &tokens[tokens.iter().position(|t| t.is("="))? + 1..],
    };
    let differs = name == "__ne__";
    let honest = match value {
        [only] if only.is("None") => true,
        [only] if only.text == name => true,
        [only] => file.functions.get(&only.text).is_some_and(|at| is_honest(file, *at, differs)),
        [first, rest @ ..] if first.is("lambda") => {
            let colon = rest.iter().position(|t| t.is(":")).unwrap_or_default();
            Sides::of(&rest[..colon]).compares(rest.get(colon + 1..).unwrap_or_default(), differs, 0)
        }
        [.., dot, last] => dot.is(".") && last.text == name,
        [] => true,
    };
    Some((name, honest))
}

/// Whether a method fools somebody that says the same whatever it is asked.
fn fools(file: &File<'_>, at: usize, name: &str, says: bool) -> bool {
    let of_class =
        file.all[at].0.scope.blocks.last().filter(|block| file.all[**block].0.defines("class").is_some());
    match name {
        "__eq__" | "__lt__" | "__le__" | "__gt__" | "__ge__" | "__contains__" | "__instancecheck__"
        | "__subclasscheck__" | "__req__" => says,
        "__ne__" => !says,
        // True however empty is what a container is that has a length.
        "__bool__" | "__nonzero__" => {
            says && of_class.is_some_and(|class| file.all[*class].0.fresh && !file.sized.contains(class))
        }
        _ => false,
    }
}

/// What a function gives back, whatever it is asked: every `return` is the same
/// truth, and there is one outside of every question.
fn always_says(file: &File<'_>, at: usize) -> Option<bool> {
    let mut said = None;
    for statement in file.body(at).filter(|statement| statement.keyword() == "return") {
        let truth = constant(&statement.tokens[1..])?;
        if said.is_some_and(|said| said != truth) {
            return None;
        }
        said = Some(truth);
    }
    said
}

/// `__lt__ = lambda …: True`, `{"__eq__": lambda …: True}`.
fn assigned_lambda(statement: &Statement, references: &[Reference]) -> Option<(String, bool)> {
    let lambda = statement.tokens.iter().rposition(|t| t.is("lambda"))?;
    let colon = statement.tokens.iter().skip(lambda).position(|t| t.is(":"))? + lambda;
    let says = constant(&statement.tokens[colon + 1..])?;
    let is_method = |name: &&str| name.starts_with("__") && name.ends_with("__");
    let target = references.iter().find(|r| r.start == 0 || r.assigned).map(|r| r.path.as_str());
    let last = target.and_then(|path| path.rsplit('.').next()).filter(is_method);
    let texts = statement.tokens[..lambda].iter().filter(|t| t.kind == Kind::Text);
    let name = last.or_else(|| texts.map(|t| t.text.as_str()).rfind(is_method))?;
    Some((name.to_owned(), says))
}
