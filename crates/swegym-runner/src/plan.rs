//! How tests are run, and what reads their output.

use serde_json::{Value, json};
use swegym_core::{Boundary, Fault, Instance, TestCommand, TestPlan};
use swegym_grade::LogParser;
use swegym_grade::semantics::{GradeError, Semantics};
use swegym_sandbox::Image;

/// The repository inside every image.
pub const WORKDIR: &str = "/testbed";

/// With this, pytest runs the others where one file cannot be collected.
pub const GOES_ON: &str = "--continue-on-collection-errors";

/// What an image says of its tests; kept in its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// What runs them.
    pub command: TestCommand,
    /// What reads its output.
    pub parser: LogParser,
}

/// How an instance is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tests {
    /// How its tests are run.
    pub plan: TestPlan,
    /// What reads their output.
    pub parser: LogParser,
}

impl Suite {
    /// The label of an image that holds it.
    pub const LABEL: &str = "swegym.test";

    /// Reads an image's labels.
    ///
    /// # Errors
    /// A fault of the task: the image is not one of ours.
    pub fn of_image(image: &Image) -> Result<Self, Fault> {
        Self::read(image).ok_or_else(|| {
            let message = "the image does not say how to run its tests";
            Fault::new(Boundary::Task, "no_test_plan", message).with_hint("build it with `swegym build`")
        })
    }

    fn read(image: &Image) -> Option<Self> {
        let value: Value = serde_json::from_str(image.labels.get(Self::LABEL)?).ok()?;
        let words: Vec<&str> = value["command"].as_array()?.iter().filter_map(Value::as_str).collect();
        let parser = value["parser"].as_str().and_then(LogParser::named)?;
        Some(Self { command: TestCommand::of_words(&words)?, parser })
    }

    /// The label's text.
    #[must_use]
    pub fn to_label(&self) -> String {
        json!({"command": self.command.words(), "parser": self.parser.name()}).to_string()
    }

    /// As a package is tested of which no instance is made yet.
    #[must_use]
    pub fn tests(&self) -> Tests {
        Tests { plan: TestPlan::Command(self.command.clone()), parser: self.parser }
    }
}

impl Tests {
    /// Whether tests run although a file of theirs cannot be collected.
    #[must_use]
    pub fn go_on(&self) -> bool {
        matches!(&self.plan, TestPlan::Command(command) if command.arguments.iter().any(|word| word == GOES_ON))
    }

    /// Whether hidden tests that ask for what is not there yet keep all tests from running:
    /// compilers build a file with all that it names, or nothing.
    #[must_use]
    pub fn may_not_build(&self) -> bool {
        use LogParser::{Cargo, Gotest, Jest, Tap, Vitest};
        matches!(&self.plan, TestPlan::Script(_))
            && matches!(self.parser, Cargo | Gotest | Jest | Tap | Vitest)
    }

    /// How an instance is tested in its image. Its log is read by what the row names,
    /// or its repository stands for, else by what the image names.
    ///
    /// # Errors
    /// A fault of the task: neither row nor image says how, or nothing reads the log.
    pub fn of(instance: &Instance, image: &Image) -> Result<Self, Fault> {
        Self::decided(instance, Suite::read(image))
    }

    fn decided(instance: &Instance, suite: Option<Suite>) -> Result<Self, Fault> {
        let id = &instance.instance_id;
        let of_image = suite.as_ref().map(|suite| suite.parser);
        let plan = TestPlan::of(instance.eval_script.as_deref(), suite.map(|suite| suite.command));
        let plan = plan.ok_or_else(|| {
            let message =
                format!("nothing says how `{id}` is tested: no `eval_script`, and its image no command");
            Fault::new(Boundary::Task, "no_test_plan", message)
                .with_hint("give the row an `eval_script`, or build its image with `swegym build`")
        })?;
        let parser = match &plan {
            TestPlan::Command(_) => Ok(LogParser::of(instance).ok().flatten().or(of_image)),
            // What the row says of its own script, swegym has to know.
            TestPlan::Script(_) => match Semantics::V5.parser(instance) {
                Ok(parser) => Ok(Some(parser)),
                Err(GradeError::NoParser(_)) => Ok(of_image),
                Err(why) => Err(format!("the log of `{id}` cannot be read: {why}")),
            },
        };
        let parser =
            parser.and_then(|known| known.ok_or(format!("nothing says how the log of `{id}` is read")));
        let parser = parser.map_err(|why| {
            Fault::new(Boundary::Task, "no_parser", why)
                .with_hint("name one of swegym's parsers in the row's `log_parser`")
        })?;
        Ok(Self { plan, parser })
    }
}

#[cfg(test)]
mod tests {
    use swegym_core::format::instances::{self, UnknownFields};

    use super::*;

    fn instance(more: Value) -> Instance {
        let mut row = json!({
            "instance_id": "a__b-1", "repo": "a/b", "base_commit": "", "patch": "", "test_patch": "",
            "problem_statement": "", "FAIL_TO_PASS": [], "PASS_TO_PASS": [],
        });
        let (Value::Object(row), Value::Object(more)) = (&mut row, more) else { panic!() };
        row.extend(more);
        instances::read("rows.jsonl", &Value::Object(row.clone()).to_string(), UnknownFields::Refuse)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn a_row_says_how_it_is_tested_or_its_image_does() {
        let command = TestCommand::of_words(&["python", "-m", "pytest", "-rA"]).unwrap();
        let suite = Suite { command, parser: LogParser::Pytest };
        let (ours, bare) = (Some(&suite), None::<&Suite>);
        let plan = |row: Value, suite: Option<&Suite>| {
            Tests::decided(&instance(row), suite.cloned()).map_err(|fault| fault.code)
        };
        assert_eq!(plan(json!({}), ours), Ok(suite.tests()));
        let script = |parser| Ok(Tests { plan: TestPlan::Script("make check".into()), parser });
        let row = json!({"eval_script": "make check"});
        assert_eq!(plan(row.clone(), ours), script(LogParser::Pytest));
        assert_eq!(plan(row, bare), Err("no_parser".into()));
        let row = json!({"eval_script": "make check", "log_parser": "gotest"});
        assert_eq!(plan(row, bare), script(LogParser::named("gotest").unwrap()));
        let row = json!({"eval_script": "make check", "log_parser": "none-such"});
        assert_eq!(plan(row, ours), Err("no_parser".into()));
        let fault = Tests::decided(&instance(json!({})), None).unwrap_err();
        assert_eq!(fault.code, "no_test_plan");
        assert!(fault.message.contains("a__b-1"), "{}", fault.message);
    }
}
