//! How one dataset differs from another: by instance, and by field.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;
use swegym_core::format::{instances, is_blank};
use swegym_core::{Instance, Names};

/// An instance as hashes: of each field, and of each test of a list.
#[derive(Debug, Clone)]
pub struct Print {
    id: String,
    fields: Vec<(String, u64)>,
    fail_to_pass: Set,
    pass_to_pass: Set,
}

/// Hashes in order, each once.
type Set = Box<[u64]>;

/// What changed of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// The fields that differ.
    pub fields: Vec<String>,
    /// Tests that joined `FAIL_TO_PASS` and left it.
    pub fail_to_pass: (usize, usize),
    /// Tests that joined `PASS_TO_PASS` and left it.
    pub pass_to_pass: (usize, usize),
}

/// The first dataset, remembered by hashes, and what the second made of it.
/// Of instances with one id the last counts.
#[derive(Debug, Default)]
pub struct Difference {
    old: IndexMap<String, Print>,
    /// Ids of the second that were seen.
    seen: IndexSet<String>,
    /// Ids that only the second has, in its order.
    pub added: Vec<String>,
    /// Instances that both have and that differ, in the order of the second.
    pub changed: IndexMap<String, Changed>,
    /// How many are the same.
    pub same: usize,
}

impl Difference {
    /// Remembers an instance of the first dataset.
    pub fn note_old(&mut self, print: Print) {
        self.old.insert(print.id.clone(), print);
    }

    /// Compares an instance of the second dataset.
    pub fn note_new(&mut self, print: &Print) {
        let id = &print.id;
        self.seen.insert(id.clone());
        let Some(old) = self.old.get(id) else {
            self.added.push(id.clone());
            return;
        };
        match old.changed(print) {
            Some(changed) => drop(self.changed.insert(id.clone(), changed)),
            None => self.same += 1,
        }
    }

    /// Ids that only the first has, in its order.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.old.keys().filter(|id| !self.seen.contains(*id)).map(String::as_str)
    }

    /// For each field, how many instances differ in it.
    #[must_use]
    pub fn fields(&self) -> IndexMap<&str, usize> {
        let mut count: IndexMap<&str, usize> = IndexMap::new();
        for field in self.changed.values().flat_map(|changed| &changed.fields) {
            *count.entry(field).or_default() += 1;
        }
        count.sort_keys();
        count
    }
}

impl Print {
    /// Lists count as sets: neither their order nor how they are written is a difference.
    #[must_use]
    pub fn of(instance: &Instance) -> Self {
        let said = |(field, value): (String, Value)| (!is_blank(&value)).then(|| (field, hash(&value)));
        Self {
            id: instance.instance_id.to_string(),
            fields: instances::fields_beside_tests(instance).into_iter().filter_map(said).collect(),
            fail_to_pass: set(&instance.fail_to_pass),
            pass_to_pass: set(&instance.pass_to_pass),
        }
    }

    fn changed(&self, new: &Self) -> Option<Changed> {
        let mut changed = Changed {
            fields: self.changed_fields(new),
            fail_to_pass: moved(&self.fail_to_pass, &new.fail_to_pass),
            pass_to_pass: moved(&self.pass_to_pass, &new.pass_to_pass),
        };
        for (field, moved) in [("FAIL_TO_PASS", changed.fail_to_pass), ("PASS_TO_PASS", changed.pass_to_pass)]
        {
            if moved != (0, 0) {
                changed.fields.push(field.to_owned());
            }
        }
        (!changed.fields.is_empty()).then_some(changed)
    }

    /// In the order of the old fields, and then of the new.
    fn changed_fields(&self, new: &Self) -> Vec<String> {
        if self.fields == new.fields {
            return Vec::new();
        }
        let by_name = |print: &'_ Self| -> IndexMap<String, u64> { print.fields.iter().cloned().collect() };
        let (old, new) = (by_name(self), by_name(new));
        let names: IndexSet<&String> = old.keys().chain(new.keys()).collect();
        names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
    }
}

/// How many joined, and how many left.
fn moved(old: &[u64], new: &[u64]) -> (usize, usize) {
    let (mut joined, mut left) = (0, 0);
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (joined, left),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.cmp(new),
        };
        left += usize::from(order.is_lt());
        joined += usize::from(order.is_gt());
        if order.is_le() {
            old.next();
        }
        if order.is_ge() {
            new.next();
        }
    }
}

fn set(names: &Names) -> Set {
    let mut hashes: Vec<u64> = names.iter().map(hash_of).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into()
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Two values have the same when they are the same as JSON.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    note(value, &mut hasher);
    hasher.finish()
}

fn note(value: &Value, to: &mut DefaultHasher) {
    std::mem::discriminant(value).hash(to);
    match value {
        Value::Null => {}
        Value::Bool(truth) => truth.hash(to),
        Value::Number(number) => number.to_string().hash(to),
        Value::String(text) => text.hash(to),
        Value::Array(list) => {
            list.len().hash(to);
            list.iter().for_each(|value| note(value, to));
        }
        Value::Object(map) => {
            map.len().hash(to);
            for (name, value) in map {
                name.hash(to);
                note(value, to);
            }
        }
    }
}
