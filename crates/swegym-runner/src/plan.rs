//! How an image is tested.

use serde_json::{Value, json};
use swegym_core::{Boundary, Fault};
use swegym_grade::LogParser;
use swegym_sandbox::Image;
use swegym_tasks::recipe::TestRunner;

/// The repository inside every image.
pub const WORKDIR: &str = "/testbed";

/// How an image is tested; kept in its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPlan {
    /// What runs them.
    pub runner: TestRunner,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What reads its output.
    pub parser: LogParser,
}

impl TestPlan {
    /// The label of an image that holds it.
    pub const LABEL: &str = "swegym.test";

    /// Reads the plan from an image's labels.
    ///
    /// # Errors
    /// A fault of the task: the image is not one of ours.
    pub fn of_image(image: &Image) -> Result<Self, Fault> {
        let fault = || {
            Fault::new(Boundary::Task, "no_test_plan", "the image does not say how to run its tests")
                .with_hint("build it with `swegym build`")
        };
        let label = image.labels.get(Self::LABEL).ok_or_else(fault)?;
        let value: Value = serde_json::from_str(label).map_err(|_| fault())?;
        let words = value["command"].as_array().ok_or_else(fault)?;
        let words: Vec<&str> = words.iter().filter_map(|w| w.as_str()).collect();
        let (runner, arguments) = match words.as_slice() {
            ["python", "-m", "pytest", arguments @ ..] => (TestRunner::Pytest, arguments),
            ["python", "-m", "unittest", arguments @ ..] => (TestRunner::Unittest, arguments),
            _ => return Err(fault()),
        };
        // Results go nowhere but through the launcher's descriptor.
        let arguments = arguments.iter().filter(|word| !word.starts_with("--junitxml="));
        Ok(Self {
            runner,
            arguments: arguments.map(|word| (*word).to_owned()).collect(),
            parser: value["parser"].as_str().and_then(LogParser::named).ok_or_else(fault)?,
        })
    }

    /// The label's text.
    #[must_use]
    pub fn to_label(&self) -> String {
        json!({"command": self.command(), "parser": self.parser.name()}).to_string()
    }

    /// The command by which a person, or another harness, runs the tests. Our own
    /// runs start them by a launcher.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let runner = match self.runner {
            TestRunner::Pytest => "pytest",
            TestRunner::Unittest => "unittest",
        };
        let words = ["python", "-m", runner].map(str::to_owned);
        words.into_iter().chain(self.arguments.iter().cloned()).collect()
    }
}
