//! How one set of requirements is installed: what remedies have decided so far.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::remedies::{Act, Remedy, Step};
use super::{RequirementSet, requirement_name};

/// Short options of test runners that have a value.
const VALUED: [&str; 4] = ["-k", "-m", "-o", "-p"];

/// Decisions; none to begin with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Way {
    /// What is asked of the tools that build, by step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub build_with: BTreeMap<Step, BTreeSet<String>>,
    /// Projects of which only wheels are taken.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub wheels_only: BTreeSet<String>,
    /// Projects that are built without a compiler.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub pure: BTreeSet<String>,
    /// Names of requirements that are left out.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub dropped: BTreeSet<String>,
    /// Projects of which any version will do, whatever is asked of them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub relaxed: BTreeSet<String>,
    /// Extras of the project itself that are wanted as well.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub extras: BTreeSet<String>,
    /// What is required as well.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<String>,
    /// Projects whose files are all newer than the day: the first day on which there is one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub freed: BTreeMap<String, String>,
    /// The time (RFC 3339) up to which wheels of chosen versions may have come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wheels_until: Option<String>,
    /// An interpreter older than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python_below: Option<String>,
    /// Whether the project is not built: its folder is put on the path.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub on_path: bool,
    /// Options without which the tests are run.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub without_options: BTreeSet<String>,
    /// What the machine lacks, as failures say.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub lacking: BTreeSet<String>,
    /// The interpreter that it asks for, where no image has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_python: Option<String>,
    /// The remedies that were taken, in order, with their words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<String>,
}

/// What the last remedy is called.
const ON_PATH: &str = "folder-on-the-path";

impl Way {
    /// Where nothing else helps: the project is not built, and its folder is put on the path.
    pub fn go_on_path(&mut self) {
        self.on_path = true;
        self.remedies.push(ON_PATH.to_owned());
    }

    /// What other commits begin with: whether one of them builds shows when it is tried.
    #[must_use]
    pub fn to_teach(mut self) -> Self {
        self.on_path = false;
        self.remedies.retain(|remedy| remedy != ON_PATH);
        self
    }

    /// Takes a remedy for a failure of a step; says whether anything is different now.
    pub fn take(&mut self, step: Step, remedy: &Remedy) -> bool {
        let words = match &remedy.act {
            Act::BuildWith(constraint) => {
                let name = requirement_name(constraint);
                let asked = self.build_with.entry(step).or_default();
                // Of two limits on one project the later would be as wrong as the first.
                let is_new = !asked.iter().any(|known| requirement_name(known) == name);
                is_new.then(|| asked.insert(constraint.clone())).map(|_| constraint)
            }
            Act::WheelsOnly(name) => self.wheels_only.insert(requirement_name(name)).then_some(name),
            Act::Pure(name) => self.pure.insert(requirement_name(name)).then_some(name),
            Act::Drop(name) => self.dropped.insert(requirement_name(name)).then_some(name),
            Act::Relax(name) => self.relaxed.insert(requirement_name(name)).then_some(name),
            Act::Extra(name) => self.extras.insert(name.clone()).then_some(name),
            Act::Require(requirement) => self.added.insert(requirement.clone()).then_some(requirement),
            Act::PythonBelow(version) => {
                let is_new = self.python_below.is_none();
                is_new.then(|| self.python_below = Some(version.clone())).map(|()| version)
            }
            Act::WithoutOption(option) => self.without_options.insert(option.clone()).then_some(option),
            Act::System(_) | Act::NeedsPython(_) => None,
        };
        if let Some(words) = words {
            self.remedies.push(format!("{} ({words})", remedy.name));
        }
        words.is_some()
    }

    /// What of a set is required this way.
    #[must_use]
    pub fn requirements(&self, set: &RequirementSet) -> Vec<String> {
        let kept = |requirement: &&String| !self.dropped.contains(&requirement_name(requirement));
        let mut all: Vec<String> = set.requirements.iter().filter(kept).cloned().collect();
        all.extend(self.added.iter().filter(|one| !set.requirements.contains(one)).cloned());
        all
    }

    /// What stands over all that others ask for, the project itself among them: a version that
    /// is gone is replaced by any, and what is left out is wanted by no interpreter.
    #[must_use]
    pub fn overrides(&self) -> Vec<String> {
        let none = |name: &String| format!("{name} ; python_version < '1'");
        let any = self.relaxed.iter().filter(|name| !self.dropped.contains(*name)).cloned();
        self.dropped.iter().map(none).chain(any).collect()
    }

    /// Arguments without the options that are not known, nor their values.
    #[must_use]
    pub fn arguments(&self, arguments: Vec<String>) -> Vec<String> {
        let mut known = Vec::new();
        let mut words = arguments.into_iter();
        while let Some(word) = words.next() {
            let is_unknown = |option: &&String| {
                word == **option
                    || word.strip_prefix(option.as_str()).is_some_and(|rest| rest.starts_with('='))
            };
            match self.without_options.iter().find(is_unknown) {
                None => known.push(word),
                // The value of a short option is a word of its own.
                Some(option) if option.len() == 2 && VALUED.contains(&option.as_str()) => {
                    words.next();
                }
                Some(_) => {}
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(act: Act) -> Remedy {
        Remedy { name: "r".into(), act }
    }

    #[test]
    fn the_same_is_not_taken_twice() {
        let mut way = Way::default();
        assert!(way.take(Step::Lock, &remedy(Act::Drop("Foo_Bar".into()))));
        assert!(!way.take(Step::Lock, &remedy(Act::Drop("foo-bar".into()))));
        assert!(way.take(Step::Lock, &remedy(Act::BuildWith("setuptools<82".into()))));
        assert!(!way.take(Step::Lock, &remedy(Act::BuildWith("setuptools<58".into()))));
        assert!(way.take(Step::Project, &remedy(Act::BuildWith("setuptools<58".into()))));
        assert!(!way.take(Step::Project, &remedy(Act::System("gcc".into()))));
        assert_eq!(way.remedies, ["r (Foo_Bar)", "r (setuptools<82)", "r (setuptools<58)"]);
        let set = RequirementSet {
            from: String::new(),
            requirements: vec!["foo.bar>=1".into(), "six".into()],
            extras: Vec::new(),
            until: None,
        };
        way.added.insert("attrs".into());
        assert_eq!(way.requirements(&set), ["six", "attrs"]);
        way.without_options.insert("--color".into());
        let words = ["-rA", "--color=no", "--colors"].map(str::to_owned).to_vec();
        assert_eq!(way.arguments(words), ["-rA", "--colors"]);
        way.without_options.insert("-o".into());
        let words = ["-o", "addopts=", "-p", "no:x", "-o", "cache_dir=y", "t.py"].map(str::to_owned).to_vec();
        assert_eq!(way.arguments(words), ["-p", "no:x", "t.py"]);
        assert!(way.take(Step::Lock, &remedy(Act::Relax("Moto".into()))));
        assert_eq!(way.overrides(), ["foo-bar ; python_version < '1'", "moto"]);
    }
}
