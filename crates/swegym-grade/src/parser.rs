//! Log parsers: from what a test runner printed to one status a test.
//!
//! A closed list, one file a language family. Each parser follows the
//! reference harness to the byte, quirks included, because gold lists were
//! made with those quirks (reference/grading.md, section 4).

mod c;
mod go;
mod java;
mod javascript;
mod json;
mod pattern;
mod php;
mod python;
mod ruby;
mod rust;
mod table;

use swegym_core::{Instance, TestStatus};
use thiserror::Error;

use crate::lines::Lines;
use crate::needles::Needles;

pub use crate::status_map::{Lacking, Said, StatusMap};
pub(crate) use pattern::pattern;
pub use table::{names_failures_only, parser_of_repository};

/// Releases of the reference between which its parsers changed. A set of gold
/// tests was made with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Edition {
    /// swebench 1.1.5.
    V1,
    /// swebench 2.1.8, and SWE-Gym's fork of it.
    V2,
    /// swebench 4.1.0.
    V4,
    /// swebench 5.0.2.
    V5,
    /// The same, and what it passes over though the runner says it of a test that
    /// is expected: subtests, `XPASS`, blocks that could not be set up, and runs that
    /// ended early (docs/verdicts.md).
    #[default]
    Own,
}

macro_rules! parsers {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $read:expr;)+) => {
        /// A parser. The reference knows some of them by several names; see [`LogParser::named`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LogParser { $($(#[doc = $doc])+ $variant,)+ }

        impl LogParser {
            /// Every parser.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in instances and images.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            fn reader(self) -> fn(&mut Lines<'_>, Edition) -> StatusMap {
                match self { $(Self::$variant => $read,)+ }
            }
        }
    };
}

parsers! {
    /// `pytest -rA`.
    Pytest "pytest" python::pytest;
    /// `pytest -rA` with parameters that hold paths (requests, pylint, pydicom).
    PytestOptions "pytest_options" python::pytest_options;
    /// `pytest -rA` with colours and statuses at either end (astropy, scikit-learn, sphinx).
    PytestV2 "pytest_v2" python::pytest_v2;
    /// The same with counters after `FAILED` (pydantic, in SWE-Gym's fork).
    PytestPydantic "pytest_pydantic" |lines, _| python::pytest_pydantic(lines);
    /// Django's `runtests.py --verbosity 2`.
    Django "django" python::django;
    /// pytest with progress and summary mixed (seaborn).
    Seaborn "seaborn" |lines, _| python::seaborn(lines);
    /// `bin/test -C --verbose` (sympy).
    Sympy "sympy" python::sympy;
    /// pytest with enumeration members in parameters (matplotlib).
    Matplotlib "matplotlib" python::matplotlib;
    /// pytest's summary alone, names without files (R2E-Gym).
    R2e "r2e" |lines, _| python::r2e(lines);
    /// `pytest --verbose`, one line a test (SWE-smith).
    SmithPytest "swe_smith" python::smith::pytest;
    /// mypy, in SWE-smith.
    SmithMypy "swe_smith_mypy" |lines, _| python::smith::mypy(lines);
    /// python-slugify, in SWE-smith.
    SmithSlugify "swe_smith_slugify" |lines, _| python::smith::slugify(lines);
    /// tornado, in SWE-smith.
    SmithTornado "swe_smith_tornado" |lines, _| python::smith::tornado(lines);
    /// paramiko, in SWE-smith.
    SmithParamiko "swe_smith_paramiko" |lines, _| python::smith::paramiko(lines);
    /// autograd, in SWE-smith.
    SmithAutograd "swe_smith_autograd" |lines, _| python::smith::autograd(lines);
    /// The list of tests that every parser of SWE-bench Pro writes, as JSON.
    Pro "swe_bench_pro" |lines, _| json::pro(lines);
    /// `python -m unittest -v`; ours, the reference has none.
    Unittest "unittest" |lines, _| python::unittest(lines);
    /// One line a test with a check mark: `jest --verbose`.
    Jest "jest" javascript::jest;
    /// jest's JSON, made lines by `jq`.
    JestJson "jest_json" |lines, _| javascript::jest_json(lines);
    /// `vitest --reporter=verbose`.
    Vitest "vitest" javascript::vitest;
    /// karma with its spec reporter (preact).
    Karma "karma" |lines, _| javascript::karma(lines);
    /// The Test Anything Protocol (three.js, axios).
    Tap "tap" javascript::tap;
    /// [`Self::Jest`] or [`Self::JestJson`], by the instance.
    ImmutableJs "immutable_js" |_, _| StatusMap::default();
    /// jest with nested suites (wp-calypso).
    Calypso "calypso" |lines, _| javascript::calypso(lines);
    /// mocha's spec reporter with one level of suites (highlight.js).
    Highlightjs "highlightjs" |lines, _| javascript::highlightjs(lines);
    /// `mocha --reporter json` (prism).
    Prismjs "prismjs" |lines, _| javascript::prismjs(lines);
    /// Deno's tests with temporary files renumbered (quarto).
    QuartoCli "quarto_cli" |lines, _| javascript::quarto_cli(lines);
    /// [`Self::LighthouseMocha`], [`Self::Carbon`] or [`Self::LighthouseJson`], by the version.
    Lighthouse "lighthouse" |_, _| StatusMap::default();
    /// mocha's spec reporter with nested suites (lighthouse 9.5, 10.0, 10.2).
    LighthouseMocha "lighthouse_mocha" |lines, _| javascript::lighthouse_mocha(lines);
    /// mocha's JSON, read by its titles (lighthouse before 3).
    LighthouseJson "lighthouse_json" |lines, _| javascript::lighthouse_json(lines);
    /// [`Self::NextKarma`] or [`Self::NextCypress`], by the version.
    Next "next" |_, _| StatusMap::default();
    /// karma with nested suites (alibaba-fusion/next).
    NextKarma "next_karma" |lines, _| javascript::next_karma(lines);
    /// Cypress on a terminal (alibaba-fusion/next 1.27).
    NextCypress "next_cypress" |lines, _| javascript::next_cypress(lines);
    /// Cypress's JSON, read by its titles.
    Cypress "cypress" |lines, _| javascript::cypress(lines);
    /// A tree of `-` suites and `*` tests (plotly.js).
    Plotly "plotly" |lines, _| javascript::plotly(lines);
    /// jest by test file, with or without a duration (carbon, prettier, scratch-gui, react-pdf).
    Carbon "carbon" |lines, _| javascript::files::carbon(lines);
    /// jest by test file, failures first (grommet).
    Grommet "grommet" |lines, _| javascript::files::grommet(lines);
    /// jest by test file, durations kept (emotion).
    Emotion "emotion" |lines, _| javascript::files::emotion(lines);
    /// karma, failures only (Chart.js).
    ChartJs "chart_js" |lines, _| javascript::failures::chart_js(lines);
    /// jasmine, failures only (marked).
    Marked "marked" |lines, _| javascript::failures::marked(lines);
    /// mocha, failures only (p5.js).
    P5js "p5js" |lines, _| javascript::failures::p5js(lines);
    /// karma, failures only (bpmn-js).
    BpmnJs "bpmn_js" |lines, _| javascript::failures::bpmn_js(lines);
    /// karma, mocha and rendering cases, failures only (openlayers).
    Openlayers "openlayers" |lines, _| javascript::failures::openlayers(lines);
    /// mocha's min reporter, failures only (eslint).
    Eslint "eslint" |lines, _| javascript::failures::eslint(lines);
    /// `go test -v`.
    Gotest "gotest" go::gotest;
    /// `cargo test`.
    Cargo "cargo" rust::cargo;
    /// One `mvn test -Dtest=…` for each test, traced by the shell.
    Maven "maven" java::maven;
    /// `ant` with its junit task.
    Ant "ant" |lines, _| java::ant(lines);
    /// Gradle with a test logger.
    GradleCustom "gradle_custom" java::gradle_custom;
    /// `phpunit --testdox`; by our own rules also `--debug`, `--teamcity` and lists of failures.
    Phpunit "phpunit" php::phpunit;
    /// minitest, verbose.
    Minitest "minitest" ruby::minitest;
    /// cucumber's progress format, with names.
    Cucumber "cucumber" |lines, _| ruby::cucumber(lines);
    /// test-unit, verbose.
    RubyUnit "ruby_unit" |lines, _| ruby::ruby_unit(lines);
    /// rspec's JSON, made lines by `jq`.
    RspecTransformedJson "rspec_transformed_json" |lines, _| ruby::rspec_transformed_json(lines);
    /// [`Self::Minitest`] or [`Self::Cucumber`], by the instance.
    Jekyll "jekyll" |_, _| StatusMap::default();
    /// The Tcl runner of redis and valkey.
    Redis "redis" |lines, _| c::redis(lines);
    /// jq's own.
    Jq "jq" |lines, _| c::jq(lines);
    /// doctest's XML (C++).
    Doctest "doctest" |lines, _| c::doctest(lines);
    /// micropython's `run-tests.py`.
    MicropythonTest "micropython_test" |lines, _| c::micropython_test(lines);
    /// GoogleTest.
    Googletest "googletest" |lines, _| c::googletest(lines);
}

/// A parser that is chosen by the instance, and an instance it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the log parser `{parser}` does not know {what}")]
pub struct UnknownInstance {
    /// The parser's name.
    pub parser: &'static str,
    /// The instance, or its version.
    pub what: String,
}

impl LogParser {
    /// The parser of a name: ours, or one of the reference registry's, with or
    /// without its `parse_log_`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("parse_log_").unwrap_or(name);
        let alias = table::ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, parser)| *parser);
        alias.or_else(|| Self::ALL.iter().copied().find(|p| p.name() == name))
    }

    /// The parser of an instance: the one it names, else its repository's;
    /// `None` when neither is known.
    ///
    /// # Errors
    /// See [`Self::for_instance`].
    pub fn of(instance: &Instance) -> Result<Option<Self>, UnknownInstance> {
        let named = instance.log_parser.as_deref().and_then(Self::named);
        let parser = named.or_else(|| parser_of_repository(&instance.repo));
        parser.map(|p| p.for_instance(instance.instance_id.as_str(), &instance.version)).transpose()
    }

    /// The parser that reads this instance's logs: another one where the
    /// reference chooses by instance or version.
    ///
    /// # Errors
    /// When it chooses by instance and does not know this one; the reference
    /// raises there.
    pub fn for_instance(self, instance_id: &str, version: &str) -> Result<Self, UnknownInstance> {
        let unknown = |what: String| UnknownInstance { parser: self.name(), what };
        match self {
            Self::Jekyll => {
                ruby::jekyll(instance_id).ok_or_else(|| unknown(format!("the instance `{instance_id}`")))
            }
            Self::ImmutableJs => javascript::immutable_js(instance_id)
                .ok_or_else(|| unknown(format!("the instance `{instance_id}`"))),
            Self::Lighthouse => {
                javascript::lighthouse(version).ok_or_else(|| unknown(format!("the version `{version}`")))
            }
            Self::Next if version == "1.27" => Ok(Self::NextCypress),
            Self::Next => Ok(Self::NextKarma),
            other => Ok(other),
        }
    }

    /// Reads a log by the rules of an edition. A parser that is chosen by
    /// instance says nothing before [`Self::for_instance`].
    #[must_use]
    pub fn read(self, lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
        self.reader()(lines, edition)
    }

    /// Reads a log that is in memory by today's rules.
    #[must_use]
    pub fn parse(self, log: &str) -> StatusMap {
        self.read(&mut Lines::of(log.as_bytes()), Edition::default())
    }
}

/// One status a line, for the many runners that print so: `rule` sees lines
/// that hold one of the words, without the white space around them.
fn by_line(
    lines: &mut Lines<'_>,
    words: &Needles,
    mut rule: impl for<'l> FnMut(&'l str) -> Option<(&'l str, TestStatus)>,
) -> StatusMap {
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(words) {
        if let Some((id, status)) = rule(crate::text::python_strip(line)) {
            map.say(id, Said::Status(status));
        }
    }
    map
}
