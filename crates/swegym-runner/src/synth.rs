//! One candidate: a bug is planted, the tests say what it breaks, scripts made of
//! them say it to somebody who has no tests, and if one does, the broken tree
//! becomes an instance with an image of its own.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use swegym_core::format::instances;
use swegym_core::format::results::{JobOutput, Planted};
use swegym_core::instance::{Instance, ListEncoding};
use swegym_core::shell::quote;
use swegym_core::{Boundary, Digest, Fault, ImageRef, InstanceId};
use swegym_grade::evidence::RunEnd;
use swegym_sandbox::{Command, Extent, Image, Sandbox, SandboxError};
use swegym_tasks::synth::snippet::{self, Reproduced, Snippet};
use swegym_tasks::synth::statement::Occasion;
use swegym_tasks::synth::statement::gate::{self, Author, Problem, Secrets};
use swegym_tasks::synth::{Mutant, Synthesis, statement};

use crate::build::{Built, commit_script};
use crate::context::Context;
use crate::launcher::Watcher;
use crate::plan::{Suite, Tests, WORKDIR};
use crate::reproduce::{of_tests, reproduce};
use crate::result::JobResult;
use crate::shell::must_run;
use crate::testing::{TestRun, run_watched, start, stop};

/// Exits with 3 if every pair of files compiles to the same code: then no test
/// can tell the two apart. Line numbers are part of the code, and a bug that
/// moves none and changes nothing else is equivalent.
const COMPARE: &str = r"
import marshal, sys
def code(path):
    with open(path, encoding='utf-8') as f:
        return marshal.dumps(compile(f.read(), 'x', 'exec', dont_inherit=True))
pairs = zip(sys.argv[1::2], sys.argv[2::2])
sys.exit(3 if all(code(a) == code(b) for a, b in pairs) else 0)
";

/// Plants one bug.
///
/// # Errors
/// Only faults; a candidate that is no good is a result with its reason.
pub async fn synth(
    context: &Context,
    built: &Built,
    synthesis: &Synthesis,
    number: u32,
) -> Result<JobResult, Fault> {
    let Some(mutant) = synthesis.mutant(number) else {
        return Ok(dropped("no_site", &Value::Null, None));
    };
    let bugs = describe_bugs(&mutant);
    let image =
        context.host.store().load_image(&built.image).map_err(|e| SandboxError::from(e).to_fault())?;
    let suite = Suite::of_image(&image)?;
    let tests = suite.tests();
    let sandbox = start(context, &image).await?;
    if is_equivalent(&sandbox, &mutant).await? {
        return Ok(dropped("equivalent", &bugs, None));
    }
    plant(&sandbox, &mutant).await?;
    let (run, observed) = run_observed(context, &sandbox, &tests).await?;
    stop(sandbox).await?;
    if let Some(reason) = unusable(&run, &tests) {
        return Ok(dropped(reason, &bugs, None));
    }
    let passed: HashSet<String> = run.passed(&tests).into_iter().collect();
    let (pass_to_pass, fail_to_pass): (Vec<_>, Vec<_>) =
        built.passing.iter().map(String::as_str).partition(|t| passed.contains(*t));
    if fail_to_pass.is_empty() {
        return Ok(dropped("no_failing_test", &bugs, None));
    }
    let observed = of_tests(&observed, &fail_to_pass);
    let files: Vec<(&str, &str, &str)> =
        mutant.files.iter().map(|f| (f.path.as_str(), f.mended.as_str(), f.broken.as_str())).collect();
    let reproduced = reproduce(context, &image, &files, &observed).await?;
    let (statement, problems) = state(built, &mutant, &fail_to_pass, reproduced);
    let Some(statement) = statement else {
        return Ok(dropped("no_statement", &bugs, Some(json!(problems))));
    };
    let Some((image, commit)) = instance_image(context, &image, &mutant).await? else {
        return Ok(dropped("leaks", &bugs, None));
    };
    let digest = context.host.store().save_image(&image).map_err(|e| SandboxError::from(e).to_fault())?;
    let instance =
        instance(built, &mutant, &digest, commit, &suite, (&fail_to_pass, &pass_to_pass), statement)?;
    let instance = instances::fields(&instance);
    Ok(JobResult::of(JobOutput::Planted(Planted::Candidate { instance, bugs })))
}

fn dropped(reason: &str, bugs: &Value, problems: Option<Value>) -> JobResult {
    let (reason, bugs) = (reason.to_owned(), bugs.clone());
    JobResult::of(JobOutput::Planted(Planted::Dropped { reason, bugs, problems }))
}

fn describe_bugs(mutant: &Mutant) -> Value {
    let bug =
        |b: &swegym_tasks::synth::Bug| json!({"operator": b.operator.name(), "path": b.path, "line": b.line});
    mutant.bugs.iter().map(bug).collect()
}

async fn is_equivalent(sandbox: &dyn Sandbox, mutant: &Mutant) -> Result<bool, Fault> {
    let mut argv = vec!["python".to_owned(), "-I".into(), "-c".into(), COMPARE.into()];
    for (i, file) in mutant.files.iter().enumerate() {
        let copy = format!("/tmp/swegym-{i}.py");
        sandbox.write(&copy, file.broken.as_bytes(), Some(0o644)).await.map_err(|e| e.to_fault())?;
        argv.extend([format!("{WORKDIR}/{}", file.path), copy]);
    }
    let done = sandbox.exec(Command::new(argv, Duration::from_secs(60))).await;
    let done = done.map_err(|e| e.to_fault())?;
    Ok(done.end == swegym_sandbox::End::Exited(3))
}

async fn plant(sandbox: &dyn Sandbox, mutant: &Mutant) -> Result<(), Fault> {
    for file in &mutant.files {
        let path = format!("{WORKDIR}/{}", file.path);
        sandbox.write(&path, file.broken.as_bytes(), Some(0o644)).await.map_err(|e| e.to_fault())?;
    }
    Ok(())
}

/// Reasons that need no comparison of tests.
fn unusable(run: &TestRun, tests: &Tests) -> Option<&'static str> {
    if run.end == RunEnd::TimedOut {
        return Some("timeout");
    }
    if run.limit_hit.is_some() {
        return Some("limit");
    }
    if run.statuses(tests).is_empty() || !run.collection_errors(tests).is_empty() {
        return Some("collection_error");
    }
    None
}

/// Runs the tests with the observer looking on.
async fn run_observed(
    context: &Context,
    sandbox: &dyn Sandbox,
    tests: &Tests,
) -> Result<(TestRun, Vec<(String, Vec<Snippet>)>), Fault> {
    let observer = Watcher { modules: snippet::OBSERVER, data: None };
    let run = run_watched(context, sandbox, tests, Some(&observer)).await?;
    let bytes = sandbox.read(snippet::OBSERVER_OUTPUT, 16 << 20).await.unwrap_or_default();
    Ok((run, snippet::read_observed(&String::from_utf8_lossy(&bytes))))
}

/// The statement, or what was wrong with each script that might have been in it: one
/// that breaks a rule is left out, and the others stay.
fn state(
    built: &Built,
    mutant: &Mutant,
    fail_to_pass: &[&str],
    reproduced: Vec<Reproduced>,
) -> (Option<String>, Vec<Value>) {
    let secrets = Secrets { tests: fail_to_pass, gold_patch: &mutant.gold_patch };
    let occasion = Occasion::Broken { package: &built.name, version: &built.version };
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for one in reproduced {
        let text = statement::write(occasion, std::slice::from_ref(&one));
        let found = gate::problems(&text, Author::Swegym, secrets);
        if found.is_empty() {
            good.push(one);
        }
        problems.extend(found.iter().map(Problem::to_json));
    }
    let statement = (!good.is_empty()).then(|| statement::write(occasion, &good));
    (statement, problems)
}

/// The broken tree as an image: changed files, fresh bytecode, one new commit.
/// `None` if the mended text stands anywhere else in the image.
async fn instance_image(
    context: &Context,
    image: &Image,
    mutant: &Mutant,
) -> Result<Option<(Image, String)>, Fault> {
    let sandbox = start(context, image).await?;
    for file in &mutant.files {
        if has_copy_elsewhere(&sandbox, &file.path).await? {
            return Ok(None);
        }
    }
    plant(&sandbox, mutant).await?;
    let paths: Vec<String> = mutant.files.iter().map(|f| quote(&f.path)).collect();
    // The untouched file's bytecode would give the fix away.
    let compile = format!("python -m compileall -q -f --invalidation-mode checked-hash {}", paths.join(" "));
    must_run(&sandbox, &compile, "compiling the changed files").await?;
    let commit = must_run(&sandbox, &commit_script(), "committing").await?.trim().to_owned();
    let layer = sandbox.snapshot(Extent::Image).await.map_err(|e: SandboxError| e.to_fault())?;
    stop(sandbox).await?;
    Ok(Some((image.with_layer(layer), commit)))
}

/// Whether another file of the same name has the same content (a `build`
/// folder, a second installation).
async fn has_copy_elsewhere(sandbox: &dyn Sandbox, path: &str) -> Result<bool, Fault> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let line = format!(
        "find /opt/venv . -name {} -not -path ./{} -not -path './.git/*' -exec cmp -s {{}} {} \\; -print",
        quote(name),
        quote(path),
        quote(path)
    );
    let found = must_run(sandbox, &line, "looking for copies").await?;
    Ok(!found.trim().is_empty())
}

fn instance(
    built: &Built,
    mutant: &Mutant,
    image: &Digest,
    commit: String,
    suite: &Suite,
    (fail_to_pass, pass_to_pass): (&[&str], &[&str]),
    problem_statement: String,
) -> Result<Instance, Fault> {
    let number = &Digest::of(mutant.bug_patch.as_bytes()).hex()[..10];
    let instance_id = InstanceId::new(format!("pypi__{}-{number}", built.name))
        .map_err(|e| Fault::new(Boundary::Internal, "bad_id", e.to_string()))?;
    Ok(Instance {
        instance_id,
        repo: format!("pypi/{}", built.name),
        base_commit: commit,
        gold_patch: mutant.gold_patch.clone(),
        test_patch: String::new(),
        problem_statement,
        hints_text: String::new(),
        created_at: String::new(),
        version: built.version.clone(),
        fail_to_pass: fail_to_pass.iter().collect(),
        pass_to_pass: pass_to_pass.iter().collect(),
        environment_setup_commit: Some(built.commit.clone()),
        difficulty: None,
        eval_script: Some(suite.command.to_script(WORKDIR)),
        log_parser: Some(suite.parser.name().to_owned()),
        eval_type: Some("pass_and_fail".to_owned()),
        image: Some(ImageRef::Store(image.hex()).to_string()),
        encoding: ListEncoding::List,
        extra: serde_json::Map::new(),
    })
}
