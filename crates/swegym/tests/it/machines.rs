//! Other users and poorer machines: an ordinary user, a root that is none, no
//! user namespaces, a full disk.

use std::process::Output;

use crate::common::{Gym, rows};

/// Runs the binary by way of another program that changes what it may do.
fn through(gym: &Gym, wrapper: &[&str], script: &str) -> Output {
    let mut words: Vec<&str> = wrapper[1..].to_vec();
    words.extend(["sh", "-c", script, env!("CARGO_BIN_EXE_swegym")]);
    #[expect(clippy::disallowed_methods, reason = "a test starts the program it tests")]
    let mut command = std::process::Command::new(wrapper[0]);
    command.args(words).current_dir(gym.folder.path()).env("SWEGYM_HOME", gym.path("home")).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn am_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0")
}

#[test]
fn an_ordinary_user_gets_the_same_boxes() {
    let gym = Gym::new();
    if !am_root() {
        // Then every other test already runs as one.
        assert!(text(&gym.run(&["doctor"])).contains("started, ran, gone"));
        return;
    }
    // The test's folder and a copy of the binary, where that user can reach them.
    let open = "cp \"$0\" ./swegym && chmod 755 . ./swegym && mkdir -p home && chown 65534:65534 home";
    assert!(through(&gym, &["env"], open).status.success());
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let done = through(&gym, &user, "id -u && HOME=/nonexistent ./swegym doctor");
    assert!(
        text(&done).starts_with("65534\n") && text(&done).contains("started, ran, gone"),
        "{}",
        text(&done)
    );
}

#[test]
fn root_of_a_namespace_of_one_user_is_an_ordinary_user() {
    let gym = Gym::new();
    let done = through(&gym, &["unshare", "-Ur"], "\"$0\" doctor");
    assert!(text(&done).contains("started, ran, gone"), "{}", text(&done));
}

#[test]
fn without_user_namespaces_the_setting_is_named() {
    let gym = Gym::new();
    gym.write("p/pyproject.toml", "");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \"$0\" build ./p --python /usr/bin/env; echo exit: $?; \"$0\" doctor; \"$0\" store list";
    let done = text(&through(&gym, &["unshare", "-Ur"], script));
    assert!(done.contains("user.max_user_namespaces"), "{done}");
    assert!(done.contains("BAD  user namespaces"), "{done}");
    assert!(done.contains("image  package"), "what needs no box works: {done}");
}

#[test]
fn a_full_disk_is_named_and_harms_nothing() {
    let gym = Gym::new();
    let project = gym.project("full", "def f():\n    return 1\n", "def test_f():\n    pass\n");
    let script = format!(
        "mkdir -p home && mount -t tmpfs -o size=3m tmpfs home && \"$0\" build {project} --out home/run; echo exit: $?; ls home/tmp | wc -l"
    );
    let done = text(&through(&gym, &["unshare", "-Urm"], &script));
    assert!(done.contains("hint: no space left") && done.contains("exit: 10"), "{done}");
}

/// A group of this size in which a script's later commands run.
const LIMITED: &str = r#"
v1=$(sed -n 's/^[0-9]*:[^:]*\bmemory\b[^:]*://p' /proc/self/cgroup)
if [ -n "$v1" ]; then
    G=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ {print $2; exit}' /proc/mounts)$v1/swegym-test-$$
    mkdir "$G" && echo 300M > "$G/memory.limit_in_bytes"
else
    U=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)$(sed -n 's/^0:://p' /proc/self/cgroup)
    G=$(dirname "$U")/swegym-test-$$
    mkdir "$G" && echo 300M > "$G/memory.max" && echo 0 > "$G/memory.swap.max"
fi
echo $$ > "$G/cgroup.procs" || exit 99
trap 'echo $$ > "$(dirname "$G")/cgroup.procs"; sleep 0.3; rmdir "$G"' EXIT
"#;

/// A package whose tests need 500 MB, a task made of it, and its gold answer.
fn make_fat_task(gym: &Gym, user: &[&str]) {
    gym.project(
        "fat",
        "def double(x):\n    return 2 * x\n",
        "import fat\n\n\ndef test_double():\n    block = bytearray(500 << 20)\n    block[::4096] = b'x' * len(block[::4096])\n    assert fat.double(2) == 4\n",
    );
    let script = "./swegym build ./fat --out build && ./swegym synth --images build/images.jsonl --candidates 2 --out synth && \
        ./swegym validate --instances synth/candidates.jsonl --repeats 1 --out tasks";
    let done = through(gym, user, script);
    assert!(done.status.success(), "{}", text(&done));
    let row = rows(&gym.read("tasks/instances.jsonl")).remove(0);
    let gold = serde_json::json!({"instance_id": row["instance_id"], "model_name_or_path": "gold", "model_patch": row["patch"]});
    gym.write("gold.jsonl", &format!("{gold}\n"));
}

#[test]
fn what_a_limit_around_us_kills_is_no_answers_fault() {
    if !am_root() {
        // Nobody else can make a group to be limited by.
        return;
    }
    let ordinary =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/nonexistent"];
    for (gym, user, words) in [
        (Gym::new().founded(), &["env"][..], ""),
        (
            Gym::new(),
            &ordinary[..],
            "setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent",
        ),
    ] {
        let open = "cp \"$0\" ./swegym && chmod 777 . && chmod 755 ./swegym";
        assert!(through(&gym, &["env"], open).status.success());
        make_fat_task(&gym, user);
        let evaluate = format!(
            "{LIMITED}\n{words} ./swegym evaluate --instances tasks/instances.jsonl --predictions gold.jsonl --out run; echo exit: $?"
        );
        let done = text(&through(&gym, &["env"], &evaluate));
        assert!(done.contains("exit: 10") && done.contains("killed what ran in the box"), "{words}: {done}");
        assert!(done.contains("ask for more memory"), "{words}: {done}");
        let report: serde_json::Value = serde_json::from_str(&gym.read("run/report.json")).unwrap();
        assert_eq!(report["unresolved_instances"], 0, "{words}: {report:#}");
    }
}

#[test]
fn root_leaves_a_users_store_alone() {
    let gym = Gym::new();
    if !am_root() {
        return;
    }
    let open = "cp \"$0\" ./swegym && chmod 755 . ./swegym && mkdir -p home && chown 65534:65534 home";
    assert!(through(&gym, &["env"], open).status.success());
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/nonexistent"];
    assert!(text(&through(&gym, &user, "./swegym doctor")).contains("started, ran, gone"));
    let refused = text(&through(&gym, &["env"], "./swegym doctor; echo exit: $?"));
    assert!(
        refused.contains("belongs to user 65534, and this is user 0") && refused.contains("exit: 2"),
        "{refused}"
    );
    assert!(text(&through(&gym, &user, "./swegym doctor")).contains("started, ran, gone"));
    let other = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "env", "HOME=/nonexistent"];
    let refused = text(&through(&gym, &other, "./swegym doctor; echo exit: $?"));
    assert!(
        refused.contains("belongs to user 65534, and this is user 65533") && refused.contains("exit: 2"),
        "{refused}"
    );
}
