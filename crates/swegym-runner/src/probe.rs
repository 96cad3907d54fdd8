//! Whether an instance can be passed without mending anything: a standing set of
//! harmless cheats, each tested as any answer is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use swegym_core::shell::quote;
use swegym_core::{Boundary, Fault, Instance, Patch, Prediction};
use swegym_sandbox::{Command, Image, Sandbox};
use swegym_tasks::recipe::belongs_to_tests;

use crate::conduct::repository_file;
use crate::context::Context;
use crate::evaluate::{Tested, test};
use crate::plan::{Tests, WORKDIR};
use crate::shell::must_run;
use crate::testing::{start, stop};

/// The tricks, as data.
const TRICKS: &str = include_str!("probe/tricks.toml");

#[derive(Deserialize)]
struct Set {
    snippets: BTreeMap<String, String>,
    tricks: Vec<Trick>,
}

#[derive(Deserialize)]
struct Trick {
    name: String,
    /// Files that are written; text is added to those that are there.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// What is added to the modules that the gold patch touches.
    #[serde(default)]
    adds: String,
    /// Whether those modules become bytecode, their source gone.
    #[serde(default)]
    compiled: bool,
}

/// What one probe came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The trick.
    pub name: String,
    /// Whether the instance counts as resolved.
    pub resolved: bool,
    /// Names of its marks.
    pub conduct: Vec<String>,
    /// Why there is no test result, as a code.
    pub reason: Option<String>,
}

impl Probe {
    /// Whether it passes, and nothing shows how.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.resolved && self.conduct.is_empty()
    }

    /// As it stands in results.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { name, resolved, conduct, reason } = self;
        json!({"probe": name, "resolved": resolved, "conduct": conduct, "reason": reason})
    }
}

/// Tries every trick on an instance, in the order of the set. A trick that the
/// instance gives no place for (no module of Python in its gold patch) is left out.
///
/// # Errors
/// Faults of boxes. What a trick breaks of the task is its failure.
pub async fn probe(
    context: &Context,
    instance: &Instance,
    image: &Image,
    tests: &Tests,
) -> Result<Vec<Probe>, Fault> {
    let mut probes = Vec::new();
    for (name, patch) in answers(context, instance, image).await? {
        let prediction = Prediction {
            instance_id: instance.instance_id.clone(),
            model_name_or_path: name.clone(),
            model_patch: Some(patch),
        };
        let probe = match test(context, instance, &prediction, image, tests).await {
            Ok(Tested { report, .. }) => Probe {
                name,
                resolved: report.resolved(),
                conduct: report.conduct.into_iter().map(|mark| mark.conduct).collect(),
                reason: report.reason.map(|fault| fault.code),
            },
            Err(fault) if fault.boundary == Boundary::Task => {
                Probe { name, resolved: false, conduct: Vec::new(), reason: Some(fault.code) }
            }
            Err(fault) => return Err(fault),
        };
        probes.push(probe);
    }
    for probe in &mut probes {
        probe.conduct.sort();
        probe.conduct.dedup();
    }
    Ok(probes)
}

/// The tricks as patches for an instance's repository, written by git in a box.
async fn answers(
    context: &Context,
    instance: &Instance,
    image: &Image,
) -> Result<Vec<(String, String)>, Fault> {
    let broken = |e: toml::de::Error| {
        Fault::new(Boundary::Internal, "probes", format!("the tricks cannot be read: {e}"))
    };
    let set: Set = toml::from_str(TRICKS).map_err(broken)?;
    let modules = modules(context, instance, image);
    let sandbox = start(context, image).await?;
    let mut answers = Vec::new();
    for trick in &set.tricks {
        let files = filled(trick, &set, instance, &modules, |path| repository_file(context, image, path));
        if files.is_empty() {
            continue;
        }
        let patch = written(&sandbox, &files, trick.compiled.then_some(&modules)).await?;
        answers.push((trick.name.clone(), patch));
    }
    stop(sandbox).await?;
    Ok(answers)
}

/// Modules of the product that the gold patch touches, with their text.
fn modules(context: &Context, instance: &Instance, image: &Image) -> BTreeMap<String, String> {
    let gold = Patch::parse(&instance.gold_patch);
    let paths = gold.iter().flat_map(|gold| &gold.files).filter_map(|file| file.old_path.as_deref());
    let product = paths.filter(|path| path.ends_with(".py") && !belongs_to_tests(Path::new(path)));
    product.filter_map(|path| Some((path.to_owned(), repository_file(context, image, path)?))).collect()
}

/// The files of a trick with their whole text, its places filled in.
fn filled(
    trick: &Trick,
    set: &Set,
    instance: &Instance,
    modules: &BTreeMap<String, String>,
    there: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let tests: Vec<&str> = instance.fail_to_pass.iter().chain(&instance.pass_to_pass).collect();
    let file = tests.first().and_then(|test| test.split_once("::")).map_or("", |(file, _)| file);
    let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let fill = |text: &str| {
        let whole = set
            .snippets
            .iter()
            .fold(text.to_owned(), |text, (name, snippet)| text.replace(&format!("<<{name}>>"), snippet));
        // A list of strings is written alike in JSON and Python.
        whole.replace("<<tests>>", &json!(tests).to_string()).replace("<<test_folder>>", &folder)
    };
    let mut files = BTreeMap::new();
    for (path, text) in &trick.files {
        let (path, text) = (fill(path), fill(text));
        let before = there(&path).unwrap_or_default();
        files.insert(path, format!("{before}{}", if before.is_empty() { text.trim_start() } else { &text }));
    }
    if !trick.adds.is_empty() {
        let added = fill(&trick.adds);
        files.extend(modules.iter().map(|(path, text)| (path.clone(), format!("{text}\n\n{added}"))));
    }
    files
}

/// The patch that writes these files.
async fn written(
    sandbox: &dyn Sandbox,
    files: &BTreeMap<String, String>,
    compiled: Option<&BTreeMap<String, String>>,
) -> Result<String, Fault> {
    for (path, text) in files {
        sandbox.write(&format!("{WORKDIR}/{path}"), text.as_bytes(), None).await.map_err(|e| e.to_fault())?;
    }
    let mut paths: Vec<String> = files.keys().map(|path| quote(path)).collect();
    for module in compiled.into_iter().flat_map(BTreeMap::keys) {
        let compile =
            "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[1] + 'c', doraise=True)";
        let quoted = quote(module);
        must_run(sandbox, &format!("python -c {} {quoted} && rm {quoted}", quote(compile)), "compiling")
            .await?;
        paths.push(quote(&format!("{module}c")));
    }
    let paths = paths.join(" ");
    let line = format!("git add -A -f -- {paths} && git diff --cached --binary --no-renames HEAD -- {paths}");
    let command = Command::shell(&line, Duration::from_secs(60)).in_folder(WORKDIR);
    let done = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    // Files that the commit does not have go, too: the index knows them.
    must_run(sandbox, "git reset -q --hard", "undoing a trick").await?;
    Ok(done.output.stdout_text())
}
