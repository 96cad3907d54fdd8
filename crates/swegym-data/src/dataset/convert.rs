//! `dataset convert`: a dataset in another format.

use std::path::{Path, PathBuf};

use indexmap::IndexSet;
use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Counter;
use swegym_console::text;
use swegym_console::unreadable::Unreadable;
use swegym_core::format::FormatError;
use swegym_core::format::instances::Need;
use swegym_grade::parser::parser_of_repository;
use swegym_tasks::dataset::{
    self, Change, Container, Draft, Loss, Repeated, RowText, Rows, Shape, TaskFolders,
};

use super::in_order::Read;
use super::sheet::{self, Sheet, Target};
use super::{Workplace, each, each_row, in_order};

/// What `dataset convert` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertSettings {
    /// A dataset of any format.
    pub dataset: PathBuf,
    /// A file or folder.
    pub out: PathBuf,
    /// The format of its rows, by name.
    pub to: String,
    /// The kind of file, by name; as its ending says where nothing is said.
    pub file: Option<String>,
    /// The split, where a folder is written.
    pub split: String,
    /// The dataset's name, where a folder is written.
    pub name: Option<String>,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Rows(Shape, Container),
    SweBenchTasks,
    Harbor,
}

/// What did not arrive as it was: for each loss how many instances, and the first.
#[derive(Default)]
struct Losses(Vec<(Loss, usize, String)>);

impl Losses {
    fn note(&mut self, instance_id: &str, losses: Vec<Loss>) {
        for loss in losses {
            match self.0.iter_mut().find(|(known, ..)| *known == loss) {
                Some((_, count, _)) => *count += 1,
                None => self.0.push((loss, 1, instance_id.to_owned())),
            }
        }
    }
}

/// Writes a dataset in another format, and says what is lost; gives the exit code.
///
/// # Errors
/// There is no such format, nothing can be read, or nothing written.
pub fn run(at: &Workplace, settings: &ConvertSettings) -> Result<u8, CommandError> {
    let format = Format::of(settings)?;
    let mut losses = Losses::default();
    let mut as_text = Vec::new();
    let (rows, unreadable) = match format {
        Format::Rows(shape, container) => {
            let to = Target { path: &settings.out, container, split: &settings.split };
            let row = |row: &RowText| Ok(shape.row(row.instance(Need::Grading)?).fields);
            let attempt = |sheet: &mut Sheet| write_rows(at, settings, shape, sheet);
            let ((unreadable, written), writer, mixed) =
                sheet::write(at, &settings.dataset, &to, row, attempt)?;
            as_text = mixed;
            let rows = writer.rows();
            if rows == 0 {
                return Err(unreadable.nothing_read(&settings.dataset));
            }
            let draft = writer.finish()?;
            losses = read_again(at, settings, &draft, written)?;
            draft.publish()?;
            (rows, unreadable)
        }
        Format::SweBenchTasks | Format::Harbor => write_folders(at, settings, format, &mut losses)?,
    };
    show(at.printer, settings, rows, &unreadable, &losses, &as_text);
    Ok(unreadable.tell(at.printer, &settings.dataset))
}

/// The rows that were written, by their numbers, and what their format has no
/// place for: mostly the same for many, so that it is kept once.
#[derive(Default)]
struct WrittenRows {
    rows: Vec<(usize, usize)>,
    losses: IndexSet<Vec<Loss>>,
}

/// Writes every row that can be read.
fn write_rows(
    at: &Workplace,
    settings: &ConvertSettings,
    shape: Shape,
    sheet: &mut Sheet,
) -> Result<(Unreadable, WrittenRows), CommandError> {
    let mut written = WrittenRows::default();
    let row = |row: &RowText| Ok(shape.row(row.instance(Need::Grading)?));
    let unreadable = each_row(at, "convert", &settings.dataset, row, |number, row| {
        let lost = written.losses.insert_full(row.losses).0;
        written.rows.push((number, lost));
        sheet.write(row.fields)
    })?;
    Ok((unreadable, written))
}

/// A row, what was written of it, and the number of what its format lost.
struct Pair {
    row: RowText,
    now: Option<Result<RowText, FormatError>>,
    lost: usize,
}

impl Read for Pair {
    fn size(&self) -> usize {
        self.row.size() + self.now.as_ref().map_or(0, Read::size)
    }
}

/// What each row loses: what its format has no place for, and what reads
/// otherwise than it was written, whatever the file made of it.
fn read_again(
    at: &Workplace,
    settings: &ConvertSettings,
    draft: &Draft,
    written: WrittenRows,
) -> Result<Losses, CommandError> {
    let WrittenRows { rows, losses: known } = written;
    let mut rows = rows.into_iter().peekable();
    let mut again = Rows::open(draft.path())?;
    let pairs = Rows::open(&settings.dataset)?.enumerate().filter_map(|(number, row)| {
        let (_, lost) = rows.next_if(|(written, _)| *written == number)?;
        Some(Pair { row: row.ok()?, now: again.next(), lost })
    });
    let compare = |Pair { row, now, lost }: Pair| {
        if let Some(Ok(now)) = &now
            && let Some(instance) = dataset::kept(&row, now)
        {
            return Ok((instance.instance_id, known[lost].clone()));
        }
        let before = row.instance(Need::Grading)?;
        let instance_id = before.instance_id.clone();
        let mut lost = known[lost].clone();
        match now.map(|row| row?.instance(Need::Grading)) {
            Some(Ok(now)) => {
                let mut changes = dataset::changes(before, now);
                changes.retain(|change| lost.iter().all(|loss| loss.field != change.field));
                lost.extend(changes);
            }
            Some(Err(_)) | None => {
                let why = "the row cannot be read again";
                lost.push(Loss { field: "instance_id".into(), change: Change::Altered, why });
            }
        }
        Ok((instance_id, lost))
    };
    let mut losses = Losses::default();
    let counter = Counter::new(at.printer, "compare");
    in_order(&at.cores, pairs, compare, |compared: Result<_, FormatError>| {
        counter.tick();
        if let Ok((instance_id, lost)) = compared {
            losses.note(instance_id.as_str(), lost);
        }
        Ok(())
    })?;
    counter.finish();
    Ok(losses)
}

impl Format {
    fn of(settings: &ConvertSettings) -> Result<Self, CommandError> {
        let shape = match settings.to.as_str() {
            "swe-bench-tasks" => return Self::folders(Self::SweBenchTasks, settings),
            "harbor" => return Self::folders(Self::Harbor, settings),
            name => Shape::ALL.into_iter().find(|shape| shape.name() == name).ok_or_else(|| {
                let known: Vec<_> = Shape::ALL.iter().map(|shape| shape.name()).collect();
                let hint = format!("one of: {}, swe-bench-tasks, harbor", known.join(", "));
                CommandError::usage(format!("no format is called `{name}`"), hint)
            })?,
        };
        Ok(Self::Rows(shape, container(&settings.out, settings.file.as_deref())?))
    }

    fn folders(self, settings: &ConvertSettings) -> Result<Self, CommandError> {
        match &settings.file {
            None => Ok(self),
            Some(_) => {
                let message =
                    format!("`{}` is a format of folders, and --file names a kind of file", settings.to);
                Err(CommandError::usage(message, "leave --file out"))
            }
        }
    }
}

/// The kind of file that is asked for, or that the path's ending promises.
pub(super) fn container(out: &Path, named: Option<&str>) -> Result<Container, CommandError> {
    let known = || Container::ALL.map(Container::name).join(", ");
    match named {
        Some(name) => Container::ALL.into_iter().find(|c| c.name() == name).ok_or_else(|| {
            CommandError::usage(format!("no kind of file is called `{name}`"), format!("one of: {}", known()))
        }),
        None => Container::of_path(out).ok_or_else(|| {
            let message = format!("`{}` does not say what kind of file it is to be", out.display());
            CommandError::usage(
                message,
                format!("end it in .jsonl, .json, .parquet or .arrow, or add --file ({})", known()),
            )
        }),
    }
}

fn write_folders(
    at: &Workplace,
    settings: &ConvertSettings,
    format: Format,
    losses: &mut Losses,
) -> Result<(usize, Unreadable), CommandError> {
    text::refuse_overwriting(&settings.dataset, &settings.out)?;
    let name = settings.out.file_name().unwrap_or_default().to_string_lossy();
    let name = settings.name.as_deref().unwrap_or(&name);
    if let Some(Repeated { instance_id, first, second }) = dataset::repeated_id(&settings.dataset)? {
        let message = format!("`{instance_id}` is the id of two rows, {first} and {second}");
        let hint =
            "a folder of tasks has one place for an id: keep one of the rows, or write a format of rows";
        return Err(CommandError::usage(message, hint));
    }
    let mut folders = match format {
        Format::Harbor => TaskFolders::harbor(&settings.out, name, &settings.split)?,
        _ => TaskFolders::swe_bench(&settings.out, name, &settings.split)?,
    };
    let name_parser = |row: &RowText| {
        let mut instance = row.instance(Need::Grading)?;
        // Harnesses of folders know no repositories, so the parser must be named.
        if instance.log_parser.is_none() {
            let parser = parser_of_repository(&instance.repo);
            instance.log_parser = parser.map(|parser| format!("parse_log_{}", parser.name()));
        }
        Ok(instance)
    };
    let unreadable = each(at, "convert", &settings.dataset, name_parser, |instance| {
        let lost = folders.write(&instance)?;
        losses.note(instance.instance_id.as_str(), lost);
        Ok(())
    })?;
    match folders.finish()? {
        0 => Err(unreadable.nothing_read(&settings.dataset)),
        tasks => Ok((tasks, unreadable)),
    }
}

fn show(
    printer: Printer,
    settings: &ConvertSettings,
    rows: usize,
    unreadable: &Unreadable,
    losses: &Losses,
    as_text: &[String],
) {
    let mut table = vec![["field", "what", "instances", "first", "why"].map(str::to_owned).to_vec()];
    let mut lost = Vec::new();
    for (loss, count, first) in &losses.0 {
        let (field, what) = (&loss.field, loss.change.code());
        table.push(vec![field.clone(), what.into(), count.to_string(), first.clone(), loss.why.into()]);
        lost.push(json!({
            "field": field, "change": what, "instances": count, "first": first, "why": loss.why,
        }));
    }
    if lost.is_empty() {
        table = vec![vec![format!("`{}` holds everything", settings.to)]];
    }
    let summary = json!({
        "out": settings.out, "format": settings.to, "instances": rows, "unreadable": unreadable.count,
        "losses": lost, "columns_as_json_text": as_text,
    });
    printer.result(&summary, &table);
    if !as_text.is_empty() {
        let names = as_text.join(", ");
        printer.say(&format!("written as JSON text, because rows do not agree on a type: {names}"));
    }
    printer.say(&format!("{rows} instances in {}", settings.out.display()));
}
