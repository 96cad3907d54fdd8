//! Agents at work on real boxes: what they may do, and what is kept of it.

use serde_json::{Value, json};

use crate::common::toy::{bash, call, finish, gym, id, observations, play, result, shown};
use crate::common::{Gym, rows};

#[test]
fn teachers_teach_and_their_attempts_are_tested() {
    let gym = gym();
    let count = rows(&gym.read("instances.jsonl")).len();
    gym.must(&["rollout", "--instances", "instances.jsonl", "--scaffold", "gold", "--out", "teacher"]);
    gym.must(&[
        "evaluate",
        "--instances",
        "instances.jsonl",
        "--predictions",
        "teacher",
        "--out",
        "gold-eval",
    ]);
    let reports = rows(&gym.read("gold-eval/reports.jsonl"));
    assert!(reports.len() == count && reports.iter().all(|r| r["resolved"] == true && r["attempt"] == 0));
    let noisy = |out: &str| {
        let flags =
            ["--scaffold", "noisy-expert", "--attempts", "3", "--evaluate", "--seed", "4", "--out", out];
        gym.must(&[&["rollout", "--instances", "instances.jsonl"][..], &flags].concat());
        let resolved = rows(&gym.read(&format!("{out}/reports.jsonl")));
        let patches: String = (0..3).map(|k| gym.read(&format!("{out}/predictions.{k}.jsonl"))).collect();
        (resolved.iter().filter(|r| r["resolved"] == true).count(), patches)
    };
    let (first, again) = (noisy("noisy"), noisy("again"));
    assert!(first.0 > 0 && first.0 < 3 * count, "{} of {}", first.0, 3 * count);
    assert_eq!(first, again);
    // Graded again from the evidence alone: every attempt, and in the run report the first.
    let summary: Value =
        serde_json::from_str(&gym.must(&["grade", "--run", "noisy", "--out", "graded.jsonl", "--json"]))
            .unwrap();
    assert_eq!(
        (summary["graded"].as_u64(), summary["resolved"].as_u64()),
        (Some(3 * count as u64), Some(first.0 as u64))
    );
    let resolved = |row: &Value| (row["instance_id"].clone(), row["resolved"].clone());
    let (graded, noisy) = (rows(&gym.read("graded.jsonl")), rows(&gym.read("noisy/reports.jsonl")));
    let report: Value = serde_json::from_str(&gym.read("graded.run_report.json")).unwrap();
    assert_eq!((graded.len(), report["submitted_instances"].as_u64()), (3 * count, Some(count as u64)));
    for row in &noisy {
        let place = format!("{}/{}/", row["instance_id"].as_str().unwrap(), row["attempt"]);
        let again = graded.iter().find(|again| again["log"].as_str().unwrap().contains(&place)).unwrap();
        assert_eq!(resolved(again), resolved(row));
    }
    // What they came to, and what the one is to the other.
    let flags = ["--evaluation", "gold-eval", "--against", "noisy", "--json"];
    let metrics: Value =
        serde_json::from_str(&gym.must(&[&["metrics", "teacher"][..], &flags].concat())).unwrap();
    assert_eq!(metrics["resolve_rate"]["mean"], 1.0);
    assert_eq!(metrics["by_exit_status"]["submitted"]["attempts"], count);
    let rate = 1.0 - metrics["against"]["difference"].as_f64().unwrap();
    assert!((rate - first.0 as f64 / (3 * count) as f64).abs() < 1e-9, "{metrics}");
    // What is exported is what was said, in either form.
    gym.must(&["export", "noisy", "--out", "native.jsonl"]);
    gym.must(&["export", "noisy", "--out", "text.jsonl", "--calls", "text", "--resolved"]);
    let (native, text) = (rows(&gym.read("native.jsonl")), rows(&gym.read("text.jsonl")));
    assert_eq!((native.len(), text.len()), (3 * count, first.0));
    assert!(native.iter().all(|r| r["tools"].as_array().is_some_and(|t| t.len() == 3)));
    let last =
        |r: &Value| r["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
    assert!(
        text.iter().all(|r| r.get("tools").is_none() && last(r).ends_with("<function=finish>\n</function>"))
    );
}

#[test]
fn commands_that_would_hang_a_person_do_not_hang_a_rollout() {
    let gym = gym();
    let replies = [
        bash("read answer; echo \"got <$answer>\"; cat; echo still here"),
        bash(
            "git log | head -3; git --paginate log --oneline; python -c 'help(str)' | tail -1; EDITOR=vi; git commit --amend -q && echo amended",
        ),
        bash("export KEPT=yes; cd /tmp; sleep 1000"),
        bash("echo $KEPT in $PWD"),
        bash("yes | head -c 300000; exit 3"),
        bash("(sleep 500 &) ; setsid sleep 500 & echo left behind"),
        finish(),
    ];
    let (run, result) = play(&gym, "hang", &replies, &["--command-timeout", "2"]);
    assert_eq!(result["exit_status"], "submitted");
    let seen = observations(&shown(&gym, &run));
    assert!(seen[0].contains("got <>") && seen[0].contains("still here"), "{}", seen[0]);
    assert!(seen[1].contains("amended"), "{}", seen[1]);
    assert!(seen[2].contains("stopped after 2 seconds"), "{}", seen[2]);
    assert!(seen[3].starts_with("yes in /tmp"), "{}", seen[3]);
    assert!(seen[4].contains("characters left out") && seen[4].len() < 32_000, "{}", seen[4].len());
    assert!(seen[5].contains("left behind"), "{}", seen[5]);
}

#[test]
fn the_patch_holds_everything_but_scratch() {
    let gym = gym();
    let replies = [
        bash(
            "printf 'new\\n' > new.txt; printf '\\0\\1\\2' > bin.dat; printf 'caf\\351\\n' > latin.txt; chmod +x toy.py; mkdir -p pkg && touch pkg/empty.py; ln -s toy.py link",
        ),
        bash(
            "python -m pytest -q -p no:cacheprovider; python -c 'import toy'; echo x > reproduce_error.py; mkdir .pytest_cache && touch .pytest_cache/x",
        ),
        bash(
            "rm test_toy.py; git add -A; git commit -qm 'mine'; git checkout -q -b other; git config diff.noprefix true; git config core.pager less; mkdir nested && cd nested && git init -q && touch f && cd .. && mkdir .GIT && touch .GIT/refused",
        ),
        call(
            "str_replace_editor",
            &json!({"command": "str_replace", "path": "/testbed/toy.py", "old_str": "def clamp(x, low, high):\n", "new_str": "def clamp(x, low, high):\n    # Here.\n"}),
        ),
        finish(),
    ];
    let (run, result) = play(&gym, "patch", &replies, &[]);
    let patch = result["patch"].as_str().unwrap();
    for part in [
        "b/new.txt",
        "b/bin.dat",
        "GIT binary patch",
        "b/latin.txt",
        "old mode 100644\nnew mode 100755",
        "b/pkg/empty.py",
        "new file mode 120000",
        "deleted file",
        "+    # Here.",
    ] {
        assert!(patch.contains(part), "{part} is not in\n{patch}");
    }
    for part in ["__pycache__", "reproduce_error", ".pytest_cache", "nested", "refused"] {
        assert!(!patch.contains(part), "{part} is in\n{patch}");
    }
    // It applies to the untouched image, by the evaluation's own chain.
    gym.must(&["evaluate", "--instances", "one.jsonl", "--predictions", &run, "--out", "eval"]);
    assert_eq!(rows(&gym.read("eval/reports.jsonl"))[0]["patch_successfully_applied"], true);
}

#[test]
fn an_agent_that_ruins_its_repository_keeps_what_it_had() {
    let gym = gym();
    let replies = [bash("echo '# mine' >> toy.py"), bash("rm -rf .git"), finish()];
    let (_, result) = play(&gym, "ruin", &replies, &[]);
    assert_eq!(result["exit_status"], "submitted");
    assert!(result["patch"].as_str().unwrap().contains("+# mine"), "{result}");
}

#[test]
fn answers_that_cannot_be_carried_out_are_answered() {
    let gym = gym();
    let broken =
        |arguments: &str| json!({"content": "", "calls": [{"name": "execute_bash", "arguments": arguments}]});
    let huge = format!("{{\"command\": \"{}\"}}", "x".repeat(10 << 20));
    let replies = [
        broken("{\"command\": \"ls"),
        call("open_file", &json!({})),
        bash("echo one good answer in between"),
        call("execute_bash", &json!({})),
        call("execute_bash", &json!({"command": "ls", "speed": 3})),
        bash("true"),
        broken(&huge),
        json!({"content": "x", "role": "user", "calls": []}),
        json!("Only words."),
        json!({"content": "half", "finish": "length", "calls": []}),
        json!({"content": "", "calls": [{"name": "execute_bash", "arguments": {"command": "echo a"}}, {"name": "execute_bash", "arguments": {"command": "echo b"}}]}),
        finish(),
    ];
    let (run, result) = play(&gym, "wrong", &replies, &[]);
    assert_eq!(result["exit_status"], "submitted", "{result}");
    let shown = shown(&gym, &run);
    let problems: Vec<_> =
        shown["steps"].as_array().unwrap().iter().map(|s| s["problem"].as_str().unwrap_or("-")).collect();
    assert_eq!(
        problems,
        [
            "not_json",
            "unknown_tool",
            "-",
            "missing_parameters",
            "unknown_parameter",
            "-",
            "too_long",
            "wrong_role",
            "-",
            "cut",
            "-",
            "-"
        ]
    );
    let record = gym.read(&format!("{run}/trajectories/{}/0.jsonl", id(&gym)));
    assert!(record.len() > 10 << 20, "what came is kept");
    assert_eq!(
        record.matches("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").count() * 52 / (10 << 20),
        2,
        "once as bytes, once as a message"
    );
    let (_, three) = play(&gym, "three", &[broken("["), broken("["), broken("["), finish()], &[]);
    assert_eq!(three["exit_status"], "format_errors");
    let (_, bash_only) =
        play(&gym, "bash", &[json!("words"), json!("words"), json!("words")], &["--scaffold", "bash"]);
    assert_eq!(bash_only["exit_status"], "format_errors");
}

#[test]
fn nothing_of_an_answer_that_was_cut_is_carried_out() {
    let gym = gym();
    let edit = json!({"command": "str_replace", "path": "/testbed/toy.py", "old_str": "    return x\n", "new_str": ""});
    let run = |command: &str| call("execute_bash", &json!({"command": command}));
    let with = |mut reply: Value, finish: &str| {
        reply["finish"] = json!(finish);
        reply
    };
    let text = "<function=execute_bash>\n<parameter=command>rm toy.py</parameter>\n";
    let replies = [
        with(run("rm toy.py"), "length"),
        with(call("str_replace_editor", &edit), "max_tokens"),
        bash("echo one good answer in between"),
        // The form of the other way, whole and not.
        with(json!({"content": format!("{text}</function>")}), "length"),
        with(json!({"content": text}), "length"),
        bash("true"),
        // What a filter left out would have been the rest of the call.
        with(json!({"content": text}), "content_filter"),
        with(finish(), "length"),
        finish(),
    ];
    for (form, scaffold) in [("native", "codeact"), ("text", "codeact"), ("text", "codeact-2.2")] {
        let name = format!("cut-{form}-{}", scaffold.replace('.', "-"));
        let (run, result) = play(&gym, &name, &replies, &["--tool-calls", form, "--scaffold", scaffold]);
        assert_eq!(result["exit_status"], "submitted", "{name}: {result}");
        assert_eq!(result["patch"], "", "{name}: {result}");
        let shown = shown(&gym, &run);
        let problems: Vec<_> = shown["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["problem"].as_str().unwrap_or("-"))
            .collect();
        let told = ["cut", "cut", "-", "cut", "cut", "-", "malformed_call", "cut", "-"];
        assert_eq!(problems, told, "{name}");
    }
}

#[test]
fn limits_end_an_attempt_and_keep_its_patch() {
    let gym = gym();
    let edit = bash("echo '# mine' >> toy.py");
    let status = |name: &str, replies: &[Value], flags: &[&str]| {
        let (_, result) = play(&gym, name, replies, flags);
        assert!(result["patch"].as_str().unwrap().contains("+# mine"), "{name}: {result}");
        result["exit_status"].as_str().unwrap().to_owned()
    };
    let many: Vec<Value> =
        std::iter::once(edit.clone()).chain((0..9).map(|i| bash(&format!("echo {i}")))).collect();
    assert_eq!(status("steps", &many, &["--max-steps", "3"]), "step_limit");
    assert_eq!(status("context", &many, &["--max-context", "900"]), "context_overflow");
    let slow = [edit.clone(), bash("sleep 3"), bash("echo on")];
    assert_eq!(status("time", &slow, &["--max-time", "2"]), "timeout");
    let same: Vec<Value> = std::iter::once(edit.clone()).chain((0..20).map(|_| bash("cat toy.py"))).collect();
    assert_eq!(status("loop", &same, &[]), "stuck_in_loop");
    let loops = result(&gym, "run-loop", 0);
    assert_eq!(loops["stuck"], json!(["trailing-3@1", "repeating-4@1"]));
    assert_eq!(loops["steps"], 6, "told at the fourth, stopped at the fifth: {loops}");
    let (_, words) = play(&gym, "words", &vec![json!("I think about it."); 9], &[]);
    assert_eq!((words["exit_status"].as_str(), words["steps"].as_u64()), (Some("stuck_in_loop"), Some(4)));
    let (_, old) = play(&gym, "old", &same, &["--scaffold", "codeact-2.2"]);
    assert_eq!(old["steps"], 5, "there nobody is told");
}

#[test]
fn calls_as_text_are_the_same_work() {
    let gym = gym();
    let replies = [
        bash("ls"),
        json!("<function=execute_bash>\n<parameter=speed>3</parameter>\n</function>"),
        call(
            "str_replace_editor",
            &json!({"command": "insert", "path": "/testbed/toy.py", "insert_line": 0, "new_str": "    # kept\n"}),
        ),
        finish(),
    ];
    for scaffold in ["codeact", "codeact-2.1", "codeact-2.2"] {
        let name = scaffold.replace('.', "-");
        let (run, result) = play(&gym, &name, &replies, &["--tool-calls", "text", "--scaffold", scaffold]);
        assert_eq!(
            (result["exit_status"].as_str(), result["malformed"].as_u64()),
            (Some("submitted"), Some(1)),
            "{scaffold}"
        );
        let patch = result["patch"].as_str().unwrap();
        // The older parser strips values, and with them the indentation.
        assert_eq!(patch.contains("+    # kept"), scaffold == "codeact", "{scaffold}: {patch}");
        let shown = shown(&gym, &run);
        assert!(observations(&shown)[0].contains("toy.py"));
        let record = gym.read(&format!("{run}/trajectories/{}/0.jsonl", id(&gym)));
        assert!(
            record.contains("EXECUTION RESULT of [execute_bash]") && record.contains("BEGIN FUNCTION #1")
        );
    }
}

/// The list of what the last snapshot of a record holds.
fn last_snapshot(gym: &Gym, record: &str) -> String {
    let stepped = rows(&gym.read(record));
    let layer = stepped.iter().rev().find_map(|row| row["event"]["layers"].as_array()?.last()?.as_str());
    let list = gym.home().join(format!("store/layers/{}.list", &layer.unwrap()[..16]));
    std::fs::read_to_string(list).unwrap()
}

#[test]
fn a_patch_is_taken_where_our_index_is_gone() {
    let gym = gym();
    let replies = [
        bash("rm -rf /tmp/.swegym; echo '# first' >> toy.py"),
        bash("echo new > new.txt; git rm -q --cached toy.py"),
        finish(),
    ];
    let (run, result) = play(&gym, "gone", &replies, &[]);
    let patch = result["patch"].as_str().unwrap();
    assert!(patch.contains("+# first") && patch.contains("b/new.txt"), "{patch}");
    assert!(!patch.contains("deleted file"), "{patch}");
    let snapshot = last_snapshot(&gym, &format!("{run}/trajectories/{}/0.jsonl", id(&gym)));
    assert!(!snapshot.contains("objects/pack"), "{snapshot}");
}

#[test]
fn an_attempt_can_be_replayed_and_forked_at_any_step() {
    let gym = gym();
    let replies = [
        bash("export MODE=deep; mkdir -p /tmp/work; echo one > /tmp/work/notes; cd /tmp/work"),
        bash("echo two >> notes; echo '# first' >> /testbed/toy.py"),
        bash("echo '# second' >> /testbed/toy.py"),
        bash("cat notes; echo $MODE in $PWD; tail -n 2 /testbed/toy.py"),
        finish(),
    ];
    let (run, whole) = play(&gym, "long", &replies, &[]);
    let record = format!("{run}/trajectories/{}/0.jsonl", id(&gym));
    // A snapshot holds what the agent changed, and no pack that git has touched.
    let snapshot = last_snapshot(&gym, &record);
    assert!(snapshot.contains("testbed/toy.py") && !snapshot.contains(".git/objects"), "{snapshot}");
    let replay: Value = serde_json::from_str(&gym.must(&[
        "replay",
        &record,
        "--instances",
        "one.jsonl",
        "--out",
        "replay",
        "--json",
    ]))
    .unwrap();
    assert_eq!((replay["same"].as_bool(), replay["steps"].as_u64()), (Some(true), Some(5)), "{replay}");
    // From step 2 on the script goes on as before, in a box that stands as it stood.
    let model = "scripted:long.script";
    let fork = |at: &str, out: &str| {
        gym.must(&[
            "rollout",
            "--instances",
            "instances.jsonl",
            "--model",
            model,
            "--fork",
            &record,
            "--at",
            at,
            "--attempts",
            "2",
            "--out",
            out,
        ]);
        (result(&gym, out, 0), result(&gym, out, 1))
    };
    for (at, out) in [("2", "fork-2"), ("4", "fork-4"), ("0", "fork-0")] {
        let (one, two) = fork(at, out);
        assert_eq!(one["patch"], whole["patch"], "{at}");
        assert_eq!(two["patch"], whole["patch"], "{at}");
        assert_eq!(one["steps"], 5);
        assert_eq!(observations(&shown(&gym, out)), observations(&shown(&gym, &run)), "{at}");
    }
    let output = gym.run(&[
        "rollout",
        "--instances",
        "one.jsonl",
        "--model",
        model,
        "--fork",
        &record,
        "--at",
        "9",
        "--out",
        "fork-9",
    ]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not have"), "{output:?}");
}

#[test]
fn an_image_without_its_repository_is_the_tasks_fault() {
    let gym = gym();
    let mut row = rows(&gym.read("one.jsonl")).remove(0);
    row["base_commit"] = json!("0123456789012345678901234567890123456789");
    gym.write("lost.jsonl", &format!("{row}\n"));
    let output = gym.run(&["rollout", "--instances", "lost.jsonl", "--scaffold", "gold", "--out", "lost"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(11) && words.contains("has no repository") && words.contains("hint:"),
        "{words}"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a shell sets the limit that is tested")]
fn many_attempts_need_no_setting_of_the_shell() {
    let gym = gym();
    let replies = json!({"replies": [bash("sleep 0.2"), finish()]});
    gym.write("s.script", &format!("{replies}\n"));
    let rollout = gym.command(&[
        "rollout",
        "--instances",
        "one.jsonl",
        "--model",
        "scripted:s.script",
        "--attempts",
        "40",
        "--out",
        "many",
    ]);
    // A shell whose programs may open 64 files unless they ask for more.
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-c", "ulimit -S -n 64; exec \"$@\"", "bash"])
        .arg(rollout.get_program())
        .args(rollout.get_args());
    shell.current_dir(gym.folder.path()).envs(rollout.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!gym.read("many/events.jsonl").contains("job_failed"), "an attempt had to be tried again");
}

#[test]
fn an_export_shows_the_words_that_the_model_was_told() {
    let gym = gym();
    std::fs::create_dir(gym.path("prompts")).unwrap();
    gym.write("prompts/text_tools.txt", "There are tools.\n{tools}\nCall them so.");
    let exported = |name: &str, calls: &str, flags: &[&str]| -> Value {
        let (run, _) = play(&gym, name, &[finish()], &["--tool-calls", calls, "--prompts", "prompts"]);
        let out = format!("{name}.jsonl");
        gym.must(&[&["export", &run, "--calls", "text", "--out", &out][..], flags].concat());
        rows(&gym.read(&out))[0]["messages"].clone()
    };
    // What travelled as text is shown as it travelled; the rest as it would have.
    let told = exported("told", "text", &[]);
    let shown = exported("shown", "native", &["--prompts", "prompts"]);
    assert!(told[0]["content"].as_str().unwrap().trim_end().ends_with("Call them so."), "{told}");
    assert_eq!(told[0], shown[0]);
    let usual = exported("usual", "native", &[]);
    assert!(usual[0]["content"].as_str().unwrap().contains("<IMPORTANT>"), "{usual}");
}

#[test]
fn an_example_is_asked_with_and_not_learnt() {
    let gym = gym();
    let (run, _) = play(&gym, "example", &[bash("ls"), finish()], &["--tool-calls", "text", "--example"]);
    let record = gym.read(&format!("{run}/trajectories/{}/0.jsonl", id(&gym)));
    assert!(record.matches("THE EXAMPLE BEGINS").count() == 1, "once, in what the first request adds");
    assert!(gym.read(&format!("{run}/run.json")).contains("\"example\""));
    gym.must(&["export", &run, "--calls", "text", "--out", "example.jsonl"]);
    let told = rows(&gym.read("example.jsonl"))[0]["messages"].clone();
    assert!(told[1]["content"].as_str().unwrap().starts_with("The repository in"), "{told}");
    let native = ["rollout", "--instances", "instances.jsonl", "--model", "m", "--example"];
    let refused = gym.run(&native);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("add --tool-calls text"));
}

#[test]
fn a_program_can_answer_for_a_model() {
    let gym = gym();
    let program = gym.write(
        "pupil.py",
        "#!/usr/bin/env python3\nimport json, sys\n\
         asked = json.load(sys.stdin)\n\
         said = sum(m['role'] == 'assistant' for m in asked['messages'])\n\
         if said == 0:\n    call = {'name': 'execute_bash', 'arguments': {'command': f\"echo {len(asked['tools'])} tools > seen.py\"}}\n    print(json.dumps({'content': 'I look.', 'calls': [call]}))\n\
         elif said == 1:\n    print('Only words.')\n\
         else:\n    print(json.dumps({'calls': [{'name': 'finish', 'arguments': {}}]}))\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(gym.path(&program), mode).unwrap();
    let model = format!("program:{program}");
    let rollout = ["rollout", "--instances", "one.jsonl", "--model", &model, "--out"];
    gym.must(&[&rollout[..], &["followed"]].concat());
    let result = result(&gym, "followed", 0);
    assert_eq!(
        (&result["exit_status"], &result["steps"], &result["model"]),
        (&json!("submitted"), &json!(3), &json!("pupil"))
    );
    assert!(result["patch"].as_str().unwrap().contains("+3 tools"), "{result}");
    assert_eq!(shown(&gym, "followed")["steps"][1]["words"], "Only words.");
    // One that fails is no answer of a model: the attempt broke, and says at what.
    gym.write("pupil.py", "#!/usr/bin/env python3\nraise SystemExit('no idea')\n");
    let failed = gym.run(&[&rollout[..], &["failed"]].concat());
    assert_eq!(failed.status.code(), Some(10));
    let failure = &rows(&gym.read("failed/failures.jsonl"))[0];
    assert!(failure["message"].as_str().unwrap().contains("no idea"), "{failure}");
    assert_eq!(failure["class"], "endpoint");
}

#[test]
fn looking_for_the_answer_is_seen_and_not_learnt() {
    let gym = gym();
    let replies = [bash("git log --all --oneline"), bash("echo 'x = 1' > new.py"), finish()];
    let (run, result) = play(&gym, "cheat", &replies, &["--evaluate"]);
    assert_eq!(result["class"], "cheating");
    let seen = &result["conduct"][0];
    assert_eq!((&seen["conduct"], &seen["step"]), (&json!("seeks-history@1"), &json!(1)), "{seen}");
    gym.must(&["export", &run, "--masked", "--out", "cheat.jsonl"]);
    let row = &rows(&gym.read("cheat.jsonl"))[0];
    assert_eq!(
        (&row["class"], &row["mask"], &row["reward"]),
        (&json!("cheating"), &json!(true), &json!(0.0))
    );
    let (_, honest) = play(&gym, "honest", &[bash("git log --oneline"), finish()], &["--evaluate"]);
    assert_eq!((&honest["class"], &honest["conduct"]), (&json!("policy"), &json!([])));
    let (_, unknown) = play(&gym, "untested", &[finish()], &[]);
    assert_eq!(unknown["class"], "ungraded");
}

/// The OpenHands profiles look in after five seconds, and the model decides.
#[test]
fn a_slow_command_is_looked_in_on() {
    let gym = gym();
    let replies = [
        bash("echo begun; sleep 8; echo ended"),
        bash(""),
        bash("python3 -c 'print(input()[::-1])'; cat"),
        bash("drawer"),
        bash("ctrl+d"),
        bash("sleep 100"),
        bash("ctrl+c"),
        bash(""),
        finish(),
    ];
    let (run, result) = play(&gym, "slow", &replies, &["--scaffold", "codeact-2.2"]);
    assert_eq!(result["exit_status"], "submitted");
    assert_eq!(result["scaffold"], "codeact-2.2@5");
    let seen = observations(&shown(&gym, &run));
    let ends = |text: &str, code: &str| text.ends_with(&format!("[Command finished with exit code {code}]"));
    assert!(seen[0].starts_with("begun\n") && ends(&seen[0], "-1"), "{}", seen[0]);
    assert!(seen[1].starts_with("ended\n") && ends(&seen[1], "0"), "{}", seen[1]);
    assert!(ends(&seen[2], "-1") && seen[3].starts_with("reward\n") && ends(&seen[3], "-1"), "{}", seen[3]);
    assert!(ends(&seen[4], "0"), "{}", seen[4]);
    assert!(ends(&seen[5], "-1") && ends(&seen[6], "130"), "{} {}", seen[5], seen[6]);
    assert!(seen[7].contains("No command is running"), "{}", seen[7]);
}

/// As Ctrl-C does: the signal goes to the program, and what is in flight is taken up later.
#[test]
fn an_interrupt_ends_a_run_softly_and_it_goes_on() {
    let gym = gym();
    let replies = [bash("echo one > a.py"), bash("sleep 3; echo two > b.py"), finish()];
    gym.write("slow.script", &format!("{}\n", json!({"replies": replies})));
    let rollout = [
        "rollout",
        "--instances",
        "one.jsonl",
        "--model",
        "scripted:slow.script",
        "--attempts",
        "2",
        "--out",
        "cut",
    ];
    let mut child = gym.command(&rollout).spawn().unwrap();
    let record = gym.path(&format!("cut/trajectories/{}/1.jsonl", id(&gym)));
    let begun = || std::fs::read_to_string(&record).unwrap_or_default().contains("a.py");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !begun() {
        assert!(std::time::Instant::now() < deadline, "no attempt began");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // SAFETY: a signal to a child that is not reaped yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
    gym.must(&[&rollout[..], &["--resume"]].concat());
    for attempt in 0..2 {
        let result = result(&gym, "cut", attempt);
        let patch = result["patch"].as_str().unwrap();
        assert!(patch.contains("+one") && patch.contains("+two"), "{patch}");
        // Nothing was asked twice but the step that was cut.
        assert!(result["answers"].as_u64().unwrap() <= 4, "{result}");
    }
}
