//! Plain rows of columns: one that has SWE-bench's columns, as texts and lists
//! of texts, is an instance at once. Any other row is for the readers of fields,
//! which know every shape and what is wrong with it.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, RecordBatch};
use serde_json::{Map, Value};
use swegym_core::instance::ListEncoding;
use swegym_core::{Instance, InstanceId, Names};

use super::cells::Cell;

/// How much of an instance is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataset) enum Part {
    Whole,
    /// Without the columns that the format does not know.
    Own,
    /// Without the texts that people read, and that grading does without.
    Grading,
}

/// As much of an instance as grading needs; `None` where the row is not plain,
/// or not in order.
pub(in crate::dataset) fn instance(batch: &RecordBatch, at: usize, part: Part) -> Option<Instance> {
    let mut row = Plain::default();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        row.take(field.name(), column, at, part)?;
    }
    row.finish()
}

/// What was found of an instance.
#[derive(Default)]
struct Plain {
    id: Option<String>,
    repo: Option<String>,
    base_commit: Option<String>,
    patch: Option<String>,
    /// Rows without this column are of another shape.
    has_test_patch: bool,
    test_patch: Option<String>,
    problem_statement: Option<String>,
    hints_text: Option<String>,
    created_at: Option<String>,
    version: Option<String>,
    fail_to_pass: Option<(Names, ListEncoding)>,
    pass_to_pass: Option<(Names, ListEncoding)>,
    setup_commit: Option<String>,
    difficulty: Option<String>,
    eval_script: Option<String>,
    /// Whether there is such a column, and what it says.
    log_parser: Option<Option<String>>,
    eval_type: Option<String>,
    image: Option<Option<String>>,
    extra: Map<String, Value>,
}

impl Plain {
    /// Takes a column's value; `None` where that is not what it is in plain rows.
    fn take(&mut self, name: &str, column: &dyn Array, at: usize, part: Part) -> Option<()> {
        let slot = match name {
            "FAIL_TO_PASS" => {
                self.fail_to_pass = Some(tests(column, at)?);
                return Some(());
            }
            "PASS_TO_PASS" => {
                self.pass_to_pass = Some(tests(column, at)?);
                return Some(());
            }
            // Another spelling.
            "fail_to_pass" | "pass_to_pass" => return None,
            "patch" | "test_patch" | "problem_statement" | "hints_text" if part == Part::Grading => {
                self.has_test_patch |= name == "test_patch";
                return matches!(Cell::at(column, at), Cell::Text(_) | Cell::Null).then_some(());
            }
            "instance_id" => &mut self.id,
            "repo" => &mut self.repo,
            "base_commit" => &mut self.base_commit,
            "patch" => &mut self.patch,
            "test_patch" => {
                self.has_test_patch = true;
                &mut self.test_patch
            }
            "problem_statement" => &mut self.problem_statement,
            "hints_text" => &mut self.hints_text,
            "created_at" => &mut self.created_at,
            "version" => &mut self.version,
            "environment_setup_commit" => &mut self.setup_commit,
            "difficulty" => &mut self.difficulty,
            "eval_script" => &mut self.eval_script,
            "log_parser" => self.log_parser.insert(None),
            "eval_type" => &mut self.eval_type,
            "image" => self.image.insert(None),
            "install_config" if part == Part::Own => {
                self.extra.insert(name.to_owned(), parser_in(&Cell::at(column, at))?);
                return Some(());
            }
            // The image is named in one of these.
            _ if part == Part::Own && !matches!(name, "docker_image" | "image_name") => return Some(()),
            _ => {
                self.extra.insert(name.to_owned(), serde_json::to_value(Cell::at(column, at)).ok()?);
                return Some(());
            }
        };
        *slot = match Cell::at(column, at) {
            Cell::Null => None,
            Cell::Text(text) => Some(text.to_owned()),
            Cell::Time(text) => Some(text),
            _ => return None,
        };
        Some(())
    }

    fn finish(self) -> Option<Instance> {
        if !self.has_test_patch {
            return None;
        }
        let (fail_to_pass, encoding) = self.fail_to_pass?;
        let log_parser = match self.log_parser {
            Some(named) => named,
            None => match self.extra.get("install_config").and_then(|config| config.get("log_parser")) {
                None | Some(Value::Null) => None,
                Some(Value::String(named)) => Some(named.clone()),
                Some(_) => return None,
            },
        };
        let by_other_names = || {
            let named = |name: &&str| self.extra.get(*name).and_then(Value::as_str);
            ["docker_image", "image_name"].iter().find_map(named).map(str::to_owned)
        };
        Some(Instance {
            instance_id: InstanceId::new(self.id?).ok()?,
            repo: self.repo.unwrap_or_default(),
            base_commit: self.base_commit.unwrap_or_default(),
            gold_patch: self.patch.unwrap_or_default(),
            test_patch: self.test_patch.unwrap_or_default(),
            problem_statement: self.problem_statement.unwrap_or_default(),
            hints_text: self.hints_text.unwrap_or_default(),
            created_at: self.created_at.unwrap_or_default(),
            version: self.version.unwrap_or_default(),
            fail_to_pass,
            pass_to_pass: self.pass_to_pass?.0,
            environment_setup_commit: self.setup_commit,
            difficulty: self.difficulty,
            eval_script: self.eval_script,
            log_parser,
            eval_type: self.eval_type,
            image: self.image.unwrap_or_else(by_other_names),
            encoding,
            extra: self.extra,
        })
    }
}

/// What a package's configuration says of the parser, and of the rest as little as can be.
fn parser_in(config: &Cell<'_>) -> Option<Value> {
    let Cell::Record(fields, columns, at) = config else { return serde_json::to_value(config).ok() };
    let mut parser = Map::new();
    if let Some(column) = fields.iter().rposition(|field| field.name() == "log_parser") {
        let said = serde_json::to_value(Cell::at(&columns[column], *at)).ok()?;
        parser.insert("log_parser".to_owned(), said);
    }
    Some(Value::Object(parser))
}

/// A list of tests, or one as JSON text.
fn tests(column: &dyn Array, at: usize) -> Option<(Names, ListEncoding)> {
    let (items, range) = match Cell::at(column, at) {
        Cell::Text(text) => return Some((Names::from_json(text).ok()?, ListEncoding::Text)),
        Cell::List(items, range) => (items, range),
        _ => return None,
    };
    let mut names = Names::with_capacity(range.len(), range.len() * 64);
    match items.as_string_opt::<i32>() {
        Some(items) if items.null_count() == 0 => range.for_each(|at| names.push(items.value(at))),
        _ => {
            for at in range {
                let Cell::Text(name) = Cell::at(items, at) else { return None };
                names.push(name);
            }
        }
    }
    Some((names, ListEncoding::List))
}
