//! Instances of the micro gym: each drawn repository becomes an image.

use serde_json::{Map, json};
use swegym_core::format::instances;
use swegym_core::format::results::{Drawn, JobOutput};
use swegym_core::instance::{Instance, ListEncoding};
use swegym_core::{Boundary, Fault, ImageRef, InstanceId, TestCommand, TestRunner};
use swegym_grade::LogParser;
use swegym_sandbox::{Command, Extent, Image, Sandbox as _, SandboxError};
use swegym_tasks::micro::{KnownAnswer, MicroTask, Tests, World};

use crate::build::commit_script;
use crate::context::Context;
use crate::foundation::{self, Wanted};
use crate::plan::{Suite, WORKDIR};
use crate::result::JobResult;
use crate::shell::must_run;
use crate::testing::{start, stop};

/// The version that instances name; another world has another.
const VERSION: &str = "1";

/// Where `python` stands under its plain name; `/usr` is the host's.
const PROGRAMS: &str = "/opt/venv/bin";

/// What all repositories of the gym stand on: the foundation, Python under its
/// plain name, and how tests are run. Gives its digest.
///
/// # Errors
/// When there is no usable interpreter, or the store cannot be written.
pub async fn ground(context: &Context) -> Result<String, Fault> {
    let foundation = foundation::lay(context, &Wanted::default()).await?;
    let mut image = foundation.image;
    let sandbox = start(context, &image).await?;
    let line = format!("mkdir -p {WORKDIR} {PROGRAMS} && ln -sf {} {PROGRAMS}/python", foundation.python);
    let command = Command::shell(&line, std::time::Duration::from_secs(60)).in_folder("/");
    let done = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    if !done.succeeded() {
        let said = done.output.combined_text();
        return Err(Fault::new(
            Boundary::Sandbox,
            "no_ground",
            format!("cannot make the gym's image: {said}"),
        ));
    }
    image = image.with_layer(sandbox.snapshot(Extent::Image).await.map_err(|e| e.to_fault())?);
    stop(sandbox).await?;
    let path = image.env.iter().find(|(n, _)| n == "PATH").map(|(_, v)| v.clone()).unwrap_or_default();
    image.set_env("PATH", &format!("{PROGRAMS}:{path}"));
    image.set_env("PYTHONHASHSEED", "0");
    image.set_env("PYTHONDONTWRITEBYTECODE", "1");
    image.workdir = WORKDIR.to_owned();
    image.labels.insert("swegym.package".to_owned(), format!("micro {VERSION}"));
    image.labels.insert(Suite::LABEL.to_owned(), suite().to_label());
    let digest = context.host.store().save_image(&image).map_err(|e| SandboxError::from(e).to_fault())?;
    Ok(digest.hex())
}

fn suite() -> Suite {
    let command = TestCommand { runner: TestRunner::Unittest, arguments: vec!["-v".to_owned()] };
    Suite { command, parser: LogParser::Unittest }
}

/// Makes the instance of a number.
///
/// # Errors
/// Only faults; a mistake that no call shows is a result with its reason.
pub async fn micro(context: &Context, ground: &str, world: &World, number: u32) -> Result<JobResult, Fault> {
    let task = world.task(number);
    let about = json!({
        "instance_id": task.instance_id, "level": task.level, "family": task.culprit().formula.family.name(),
        "function": task.culprit().name, "path": format!("{}.py", task.culprit().module),
        "right": task.culprit().formula.code, "wrong": task.mistake,
    });
    let image = context.host.store().load_image(ground).map_err(|e| SandboxError::from(e).to_fault())?;
    let sandbox = start(context, &image).await?;
    let probe = ["python", "-I", "-S", "-c", &task.probe().program].map(str::to_owned);
    let command = Command::new(probe, std::time::Duration::from_secs(60));
    let printed = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    let Some(tests) = task.tests(&printed.output.stdout_text()) else {
        stop(sandbox).await?;
        return Ok(JobResult::of(JobOutput::Drawn(Drawn::Equivalent { bug: about })));
    };
    let trial = ["python", "-I", "-S", "-c", &task.trial(&tests).program].map(str::to_owned);
    let command = Command::new(trial, std::time::Duration::from_secs(60));
    let tried = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    let answers = task.known_answers(&tests, &tried.output.stdout_text());
    let mut files = task.modules(true);
    files.push(("test_all.py".to_owned(), task.visible_tests(&tests)));
    for (path, text) in files {
        let path = format!("{WORKDIR}/{path}");
        sandbox.write(&path, text.as_bytes(), Some(0o644)).await.map_err(|e| e.to_fault())?;
    }
    let commit = must_run(&sandbox, &commit_script(), "committing").await?.trim().to_owned();
    let layer = sandbox.snapshot(Extent::Image).await.map_err(|e: SandboxError| e.to_fault())?;
    stop(sandbox).await?;
    let instance = instance(context, &task, &tests, &image.with_layer(layer), commit)?;
    let example = Instance {
        test_patch: task.example_patch(&tests),
        fail_to_pass: [MicroTask::EXAMPLE].iter().collect(),
        ..instance.clone()
    };
    let answer = |(attempt, answer): (usize, &KnownAnswer)| {
        json!({
            "instance_id": task.instance_id, "attempt": attempt, "repo": instance.repo,
            "messages": [{"role": "user", "content": instance.problem_statement.trim_end()}],
            "resolved": answer.resolves, "test_result": {"git_patch": answer.patch},
        })
    };
    Ok(JobResult::of(JobOutput::Drawn(Drawn::Candidate {
        instance: instances::fields(&instance),
        example: instances::fields(&example),
        bug: about,
        answers: answers.iter().enumerate().map(answer).collect(),
    })))
}

fn instance(
    context: &Context,
    task: &MicroTask,
    tests: &Tests,
    image: &Image,
    commit: String,
) -> Result<Instance, Fault> {
    let digest = context.host.store().save_image(image).map_err(|e| SandboxError::from(e).to_fault())?;
    let internal = |e: swegym_core::id::IdError| Fault::new(Boundary::Internal, "bad_id", e.to_string());
    let (fail_to_pass, pass_to_pass) = task.test_ids();
    Ok(Instance {
        instance_id: InstanceId::new(task.instance_id.clone()).map_err(internal)?,
        // A family is to the gym what a repository is to the world: what is
        // held out together.
        repo: format!("micro/{}", task.culprit().formula.family.name()),
        base_commit: commit.clone(),
        gold_patch: task.gold_patch(),
        test_patch: task.test_patch(tests),
        problem_statement: task.issue(tests) + "\n",
        hints_text: String::new(),
        created_at: String::new(),
        version: VERSION.to_owned(),
        fail_to_pass,
        pass_to_pass,
        environment_setup_commit: Some(commit),
        difficulty: Some(format!("level {}", task.level)),
        eval_script: Some(suite().command.to_script(WORKDIR)),
        log_parser: Some(LogParser::Unittest.name().to_owned()),
        eval_type: Some("pass_and_fail".to_owned()),
        image: Some(ImageRef::Store(digest.hex()).to_string()),
        encoding: ListEncoding::List,
        extra: Map::new(),
    })
}
