//! Other users and poorer machines: an ordinary user, a root that is none, no
//! user namespaces, a full disk.

mod common;

use std::process::Output;

use common::Gym;

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
