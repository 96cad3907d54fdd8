//! A folder for training on another machine: token data, a configuration, and launch
//! scripts. `export --import` brings the result back.

use std::path::{Path, PathBuf};

use minijinja::{Environment, context};
use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::{exit, text};
use swegym_train::architecture::{Architecture, Family};
use swegym_train::checkpoint::replace_folder;
use swegym_train::token_file::{self, TokenFileError, TokenWriter};
use swegym_train::tokens::TokenRow;

use super::{Choice, tokens};
use crate::export::settings::ExportSettings;

/// What trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framework {
    Trl,
    Torchtune,
    Verl,
}

/// A file of a folder: its name and its template.
type Sheet = (&'static str, &'static str);

const DATA: &str = "data/train.parquet";

impl Framework {
    pub(super) fn named(word: &str) -> Option<Self> {
        [Self::Trl, Self::Torchtune, Self::Verl].into_iter().find(|framework| framework.name() == word)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Trl => "trl",
            Self::Torchtune => "torchtune",
            Self::Verl => "verl",
        }
    }

    /// Versions that the folder was tried with.
    fn requirements(self) -> &'static str {
        match self {
            Self::Trl => "trl==1.16.0\ntransformers==5.5.0\npeft\ndatasets\naccelerate\ntensorboard\n",
            Self::Torchtune => "torchtune==0.6.1\ntorchao==0.10.0\npyarrow\n",
            Self::Verl => "verl==0.9.1\npyarrow\n",
        }
    }

    /// Refuses a model that the framework does not have.
    fn check(self, shape: &Architecture) -> Result<(), CommandError> {
        if self != Self::Torchtune {
            return Ok(());
        }
        let scaled = shape.rope.scaling.is_some() && builder(shape) != "llama3_1.llama3_1";
        let odd = match shape.family {
            Family::Qwen3 => "Qwen3",
            _ if shape.head_dim * shape.heads != shape.width => "heads of another width",
            Family::Llama if shape.tied => "a Llama whose head is its embedding",
            _ if scaled => "this scaling of positions",
            _ => return Ok(()),
        };
        let message = format!("torchtune's last release, 0.6.1, does not have {odd}");
        Err(CommandError::usage(message, "--to trl or --to verl"))
    }

    fn sheets(self) -> &'static [Sheet] {
        match self {
            Self::Trl => &[
                ("trl.yaml", include_str!("bundle/trl.yaml.jinja")),
                ("launch.sh", include_str!("bundle/trl.sh.jinja")),
            ],
            Self::Torchtune => &[
                ("torchtune.yaml", include_str!("bundle/torchtune.yaml.jinja")),
                ("token_rows.py", include_str!("bundle/torchtune.py.jinja")),
                ("launch.sh", include_str!("bundle/torchtune.sh.jinja")),
            ],
            Self::Verl => &[
                ("token_rows.py", include_str!("bundle/verl.py.jinja")),
                ("launch.sh", include_str!("bundle/verl.sh.jinja")),
            ],
        }
    }
}

/// Writes the folder.
pub(super) fn write(
    printer: Printer,
    framework: Framework,
    source: &Path,
    settings: &ExportSettings,
    choice: &Choice,
) -> Result<u8, CommandError> {
    let model = model(settings)?;
    framework.check(&model.shape)?;
    let (mut made, mut weighted) = (Value::Null, 0);
    replace_folder(&settings.out, |draft| -> Result<(), CommandError> {
        (made, weighted) = fill(printer, framework, source, settings, choice, (&model, draft))?;
        Ok(())
    })?;
    if weighted > 0 {
        printer.say(&format!(
            "warning: {weighted} rows weigh their tokens; {} learns or leaves a token, and nothing between",
            framework.name()
        ));
    }
    let table = vec![
        ["rows", "folder"].map(str::to_owned).to_vec(),
        vec![made["rows"].to_string(), settings.out.display().to_string()],
    ];
    printer.result(&made, &table);
    printer.say(&format!(
        "there: pip install -r requirements.txt && bash launch.sh; back: swegym export --import {}",
        settings.out.join("model").display()
    ));
    Ok(exit::DONE)
}

fn fill(
    printer: Printer,
    framework: Framework,
    source: &Path,
    settings: &ExportSettings,
    choice: &Choice,
    (model, draft): (&Model, &Path),
) -> Result<(Value, usize), CommandError> {
    let data = draft.join(DATA);
    std::fs::create_dir_all(data.parent().unwrap_or(draft))
        .map_err(|e| CommandError::file("make the folder", draft, &e))?;
    let given = draft.join("rows.parquet");
    let made = source.extension().is_some_and(|ending| ending == "parquet");
    let mut masked = json!({});
    let token_file = if !made {
        masked = tokens::write(printer, source, settings, choice, &given)?.0.masked.to_json();
        given.clone()
    } else {
        source.to_owned()
    };
    let (rows, weighted, longest) = copy(framework, &token_file, &data)?;
    if given.is_file() {
        std::fs::remove_file(&given).map_err(|e| CommandError::file("remove", &given, &e))?;
    }
    if longest > settings.recipe.context {
        printer.say(&format!(
            "the longest row has {longest} tokens, more than --context {}: {} cuts such rows",
            settings.recipe.context,
            framework.name()
        ));
    }
    let sheets = framework.sheets().iter().copied();
    for (name, template) in sheets.chain([("train.sbatch", include_str!("bundle/sbatch.jinja"))]) {
        let filled = render(framework, template, settings, model, rows)?;
        text::write(&draft.join(name), &filled)?;
    }
    text::write(&draft.join("requirements.txt"), framework.requirements())?;
    let made = json!({
        "framework": framework.name(), "rows": rows, "longest": longest, "masked": masked, "out": settings.out,
    });
    Ok((made, weighted))
}

/// The token file as the framework reads it. TRL has labels with -100 where
/// nothing is learnt; the others read our columns.
fn copy(framework: Framework, from: &Path, to: &Path) -> Result<(usize, usize, usize), CommandError> {
    let mut writer = match framework {
        Framework::Trl => TokenWriter::with_labels(to)?,
        Framework::Torchtune | Framework::Verl => TokenWriter::create(to)?,
    };
    let (mut weighted, mut longest) = (0, 0);
    token_file::read(from, |row: TokenRow| {
        weighted += usize::from(row.weights.iter().flatten().any(|w| *w != 0.0 && *w != 1.0));
        longest = longest.max(row.input_ids.len());
        writer.push(row)
    })
    .map_err(|e: TokenFileError| e)?;
    Ok((writer.finish()?, weighted, longest))
}

/// What the sheets say about the model.
struct Model {
    /// Its name on the other machine.
    name: String,
    shape: Architecture,
    /// Its weight files, as torchtune wants them listed.
    files: Vec<String>,
    end: u32,
}

fn model(settings: &ExportSettings) -> Result<Model, CommandError> {
    let tokenizer = tokens::tokenizer(settings)?;
    let folder = settings.model.as_deref().unwrap_or(Path::new("."));
    let folder = std::path::absolute(swegym_train::policy::model_folder(folder))?;
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|e| CommandError::file("read", &path, &e))?;
    let config: Value = serde_json::from_str(&text)
        .map_err(|e| CommandError::usage(format!("{}: {e}", path.display()), "copy the model again"))?;
    let shape = Architecture::read(&config)
        .map_err(|e| CommandError::usage(e.to_string(), "name the folder of a model"))?;
    let entries =
        std::fs::read_dir(&folder).map_err(|e| CommandError::file("read the folder", &folder, &e))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_weights = |name: &String| PathBuf::from(name).extension().is_some_and(|e| e == "safetensors");
    let mut files: Vec<String> = names.filter(is_weights).collect();
    files.sort_unstable();
    let name = settings.recipe.base.clone().unwrap_or_else(|| folder.display().to_string());
    Ok(Model { name, shape, files, end: tokenizer.end.unwrap_or(0) })
}

/// torchtune's builder of a model.
fn builder(shape: &Architecture) -> &'static str {
    let kind = shape.rope.scaling.as_ref().and_then(|s| s.get("rope_type")?.as_str());
    match (shape.family, kind) {
        (Family::Qwen2 | Family::Qwen3, _) => "qwen2.qwen2",
        (Family::Llama, Some("llama3")) => "llama3_1.llama3_1",
        (Family::Llama, _) => "llama3.llama3",
    }
}

fn render(
    framework: Framework,
    template: &str,
    settings: &ExportSettings,
    model: &Model,
    rows: usize,
) -> Result<String, CommandError> {
    let recipe = &settings.recipe;
    let failed = |e: minijinja::Error| CommandError::from(std::io::Error::other(e));
    let mut jinja = Environment::new();
    jinja.set_trim_blocks(true);
    jinja.set_lstrip_blocks(true);
    jinja.set_keep_trailing_newline(true);
    let workers = recipe.gpus.max(1);
    let shape = &model.shape;
    let values = context! {
        framework => framework.name(),
        model => model.name,
        files => model.files,
        end => model.end,
        family => shape.family.model_type(),
        builder => builder(shape),
        vocabulary => shape.vocabulary,
        layers => shape.layers,
        heads => shape.heads,
        kv_heads => shape.kv_heads,
        head_dim => shape.head_dim,
        width => shape.width,
        inner => shape.inner,
        epsilon => shape.epsilon.to_string(),
        tied => shape.tied,
        rope_base => shape.rope.theta,
        gpus => recipe.gpus,
        workers,
        context => recipe.context,
        epochs => recipe.epochs,
        rate => format!("{:?}", recipe.rate),
        batch => recipe.batch,
        accumulate => recipe.batch.div_ceil(workers),
        lora => recipe.lora,
        steps => rows.div_ceil(recipe.batch) * recipe.epochs as usize,
    };
    jinja.render_str(template, values).map_err(failed)
}
