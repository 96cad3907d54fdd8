//! How one dataset differs from another: by instance, and by field.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use indexmap::{IndexMap, IndexSet};
use swegym_core::Instance;
use swegym_core::format::{instances, is_blank};

/// An instance as hashes: of each field, and of each test of a list.
#[derive(Debug, Clone, Default)]
struct Print {
    fields: IndexMap<String, u64>,
    fail_to_pass: BTreeSet<u64>,
    pass_to_pass: BTreeSet<u64>,
}

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
    pub fn note_old(&mut self, instance: &Instance) {
        self.old.insert(instance.instance_id.to_string(), Print::of(instance));
    }

    /// Compares an instance of the second dataset.
    pub fn note_new(&mut self, instance: &Instance) {
        let id = instance.instance_id.to_string();
        self.seen.insert(id.clone());
        let Some(old) = self.old.get(&id) else {
            self.added.push(id);
            return;
        };
        match old.changed(&Print::of(instance)) {
            Some(changed) => drop(self.changed.insert(id, changed)),
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
    fn of(instance: &Instance) -> Self {
        let mut print = Self {
            fail_to_pass: instance.fail_to_pass.iter().map(hash).collect(),
            pass_to_pass: instance.pass_to_pass.iter().map(hash).collect(),
            ..Self::default()
        };
        for (field, value) in instances::fields(instance) {
            if !is_blank(&value) && field != "FAIL_TO_PASS" && field != "PASS_TO_PASS" {
                print.fields.insert(field, hash(&value.to_string()));
            }
        }
        print
    }

    fn changed(&self, new: &Self) -> Option<Changed> {
        let moved = |old: &BTreeSet<u64>, new: &BTreeSet<u64>| {
            (new.difference(old).count(), old.difference(new).count())
        };
        let names: IndexSet<&String> = self.fields.keys().chain(new.fields.keys()).collect();
        let differs = |name: &&String| self.fields.get(*name) != new.fields.get(*name);
        let mut changed = Changed {
            fields: names.into_iter().filter(differs).cloned().collect(),
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
}

fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}
