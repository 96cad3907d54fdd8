//! What a box does for well-behaved programs.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{SECOND, out, sh, world};
use swegym_sandbox::base::Base;
use swegym_sandbox::limits::LimitHit;
use swegym_sandbox::output::{Keep, Stream};
use swegym_sandbox::sandbox::{EntryKind, Stopped};
use swegym_sandbox::{
    BoxSettings, Command, End, Extent, Image, Keys, Limits, Progress, Sandbox as _, SandboxError,
};

#[tokio::test]
async fn a_command_has_its_streams_apart_its_status_and_its_folder() {
    let world = world().await;
    let sandbox = world.start().await;
    let done = sh(&sandbox, "printf 'a\\0\\377'; printf b >&2; exit 7").await;
    assert_eq!(done.end, End::Exited(7));
    assert_eq!(done.output.stream(Stream::Stdout), b"a\0\xff");
    assert_eq!(done.output.stream(Stream::Stderr), b"b");
    let command = Command::new(["cat"], SECOND).with_stdin("x".repeat(300_000));
    assert_eq!(sandbox.exec(command).await.unwrap().output.stdout_text().len(), 300_000);
    let command = Command::new(["pwd"], SECOND).in_folder("/usr").with_env("A", "b");
    assert_eq!(sandbox.exec(command).await.unwrap().output.stdout_text(), "/usr\n");
    assert!(matches!(
        sandbox.exec(Command::new(["no-such-program"], SECOND)).await,
        Err(SandboxError::Start { .. })
    ));
    assert_eq!(sh(&sandbox, "kill -9 $$").await.end, End::Signalled(9));
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn the_order_of_the_two_streams_is_kept() {
    let world = world().await;
    let sandbox = world.start().await;
    let text = out(&sandbox, "for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done").await;
    assert_eq!(text, "o1\ne1\no2\ne2\no3\ne3\n");
}

#[tokio::test]
async fn programs_are_told_how_much_memory_there_is() {
    let world = world().await;
    for limit in [1 << 30, 1 << 29] {
        let sandbox = world.start_with(Limits { memory_bytes: limit, ..Limits::default() }).await;
        let told = "cd /sys/fs/cgroup && cat memory.max memory/memory.limit_in_bytes";
        assert_eq!(out(&sandbox, told).await, format!("{limit}\n{limit}\n"));
        assert_eq!(out(&sandbox, "touch /sys/x 2>&1 | grep -ci read-only").await, "1\n");
        // It is the box's, and no part of an image.
        let layer = sandbox.snapshot(Extent::Image).await.unwrap();
        let folder = world.host.store().layer_folder(layer).unwrap();
        assert!(!world.host.store().home().join(folder).join("sys").exists());
        sandbox.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_box_sees_its_own_machine() {
    let world = world().await;
    let sandbox = world.start().await;
    assert_eq!(
        out(&sandbox, "id -u; hostname; cat /proc/1/comm >/dev/null; echo $$ | wc -c").await.lines().count(),
        3
    );
    assert_eq!(out(&sandbox, "ls /home /root /mnt; ls -A /tmp").await, "/home:\n\n/mnt:\n\n/root:\n");
    // Only loopback, and it is up.
    let devices = "awk 'NR>2{print $1}' /proc/net/dev";
    assert_eq!(out(&sandbox, devices).await, "lo:\n");
    let server = "python3 -c \"import socket;s=socket.create_server(('localhost',0));socket.create_connection(s.getsockname());print('ok')\"";
    assert_eq!(out(&sandbox, server).await, "ok\n");
    assert_eq!(out(&sandbox, "touch /usr/x 2>&1 | grep -c -i read-only").await, "1\n");
    assert_eq!(
        out(&sandbox, "echo hi > /dev/shm/a && echo x > /root/y && cat /dev/shm/a /root/y").await,
        "hi\nx\n"
    );
    assert_eq!(out(&sandbox, "cat /proc/[0-9]*/comm | grep -v -e bash -e cat -e grep").await, "supervisor\n");
}

#[tokio::test]
async fn two_boxes_do_not_see_each_other() {
    let world = world().await;
    let (a, b) = (world.start().await, world.start().await);
    sh(&a, "echo secret > /root/file; sleep 100 & disown").await;
    assert_eq!(out(&b, "cat /root/file 2>&1 | grep -c 'No such'").await, "1\n");
}

#[tokio::test]
async fn files_go_in_and_out_by_bytes_and_links_stay_inside() {
    let world = world().await;
    let sandbox = world.start().await;
    let big: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
    sandbox.write("/root/deep/er/file", &big, Some(0o755)).await.unwrap();
    assert_eq!(sandbox.read("/root/deep/er/file", 2_000_000).await.unwrap(), big);
    assert!(matches!(sandbox.read("/root/deep/er/file", 10).await, Err(SandboxError::FileTooLarge { .. })));
    sandbox.write("/root/empty", b"", Some(0o644)).await.unwrap();
    assert_eq!(sandbox.read("/root/empty", 10).await.unwrap(), b"");
    let secret = world.home.path().join("secret");
    fs::write(&secret, "host").unwrap();
    sh(
        &sandbox,
        &format!("ln -s {} /root/link; ln -s /etc/hostname /root/own; mkfifo /root/pipe", secret.display()),
    )
    .await;
    assert!(sandbox.read("/root/link", 100).await.is_err());
    assert_eq!(sandbox.read("/root/own", 100).await.unwrap(), b"box\n");
    assert!(sandbox.read("/root/pipe", 100).await.is_err());
    assert!(sandbox.read("/dev/zero", 100).await.is_err());
    let names: Vec<_> = sandbox.list("/root").await.unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
    assert!(
        names.contains(&(b"deep".to_vec(), EntryKind::Folder))
            && names.contains(&(b"link".to_vec(), EntryKind::Link))
    );
}

#[tokio::test]
async fn a_session_remembers_and_survives() {
    let world = world().await;
    let sandbox = world.start().await;
    let run = async |text: &str, timeout| sandbox.session(text, timeout, Keep::default()).await.unwrap();
    let done = run("cd /usr && export A=1 && f() { echo fn $A; }", SECOND * 5).await;
    assert_eq!((done.end, done.folder.as_deref()), (End::Exited(0), Some("/usr")));
    assert_eq!(run("f; pwd; echo e >&2; (exit 7)", SECOND * 5).await.end, End::Exited(7));
    assert_eq!(run("f; pwd", SECOND * 5).await.output.combined_text(), "fn 1\n/usr\n");
    run("declare -A map=([k]=v); typeset x=7; break; return 3", SECOND * 5).await;
    assert_eq!(run("echo ${map[k]} $x", SECOND * 5).await.output.stdout_text(), "v 7\n");
    assert_eq!(run("if then fi (", SECOND * 5).await.end, End::Exited(2));
    assert_ne!(run("echo 'abc", SECOND * 5).await.end, End::Exited(0));
    assert_eq!(run("cat; read x; echo rc=$?", SECOND * 5).await.output.stdout_text(), "rc=1\n");
    assert_eq!(run("cat <<EOF\na\nb\nEOF", SECOND * 5).await.output.stdout_text(), "a\nb\n");
    let big = "x".repeat(200_000);
    assert_eq!(run(&format!("v={big}; echo ${{#v}}"), SECOND * 5).await.output.stdout_text(), "200000\n");
    let started = std::time::Instant::now();
    assert_eq!(run("(sleep 30; echo late) & echo now", SECOND * 5).await.output.stdout_text(), "now\n");
    assert!(started.elapsed() < SECOND * 5);

    assert_eq!(run("sleep 100", SECOND / 5).await.end, End::TimedOut(Stopped::Interrupted));
    assert_eq!(run("while :; do :; done", SECOND / 5).await.end, End::TimedOut(Stopped::Interrupted));
    assert_eq!(run("echo $A; pwd", SECOND * 5).await.output.stdout_text(), "1\n/usr\n");
    let deaf = "python3 -c 'import signal,time; signal.signal(2,signal.SIG_IGN); time.sleep(100)'";
    assert_eq!(run(deaf, SECOND).await.end, End::TimedOut(Stopped::Killed));
    assert_eq!(run("f", SECOND * 5).await.output.stdout_text(), "fn 1\n");
    let deaf = run("trap '' INT; while :; do :; done", SECOND / 5).await;
    assert_eq!(deaf.end, End::TimedOut(Stopped::Respawned));
    assert_eq!(run("echo $A; pwd", SECOND * 5).await.output.stdout_text(), "1\n/usr\n");
    assert_eq!(run("export B=2; cd /tmp; exit 3", SECOND * 5).await.end, End::Exited(3));
    assert_eq!(run("echo $B; pwd", SECOND * 5).await.output.stdout_text(), "2\n/tmp\n");
    assert_eq!(run("set -e; false; echo no", SECOND * 5).await.end, End::Exited(1));
    assert_eq!(run("echo back", SECOND * 5).await.output.stdout_text(), "back\n");
    assert_eq!(
        run("test -t 1; echo $?; echo x > /dev/tty; echo $?", SECOND * 5).await.output.stdout_text(),
        "1\n0\n"
    );
}

#[tokio::test]
async fn a_session_behaves_as_a_prompt_does() {
    let world = world().await;
    let sandbox = world.start().await;
    let run = async |text: &str| {
        let done = sandbox.session(text, SECOND * 10, Keep::default()).await.unwrap();
        assert!(!matches!(done.end, End::TimedOut(_)), "{text}: {done:?}");
        done
    };
    let both = async |text: &str| {
        let done = run(text).await;
        let error = String::from_utf8(done.output.stream(Stream::Stderr)).unwrap();
        (done.output.stdout_text(), error)
    };
    let pair = |out: &str, error: &str| (out.to_owned(), error.to_owned());
    // The last status is there for the next command, also for `set -e`.
    assert_eq!(run("(exit 7)").await.end, End::Exited(7));
    assert_eq!(both("echo $?; echo $?").await, pair("7\n0\n", ""));
    assert_eq!(run("").await.end, End::Exited(0));
    assert_eq!(run("   # only words").await.end, End::Exited(0));
    assert_eq!(run("-x").await.end, End::Exited(127));
    // What ends a loop or a line at a prompt ends the command, not the session.
    assert_eq!(run("continue").await.end, End::Exited(0));
    assert_eq!(both("break; echo not reached").await.0, "");
    assert_ne!(run("x=${unset_variable:?needed}; echo not reached").await.end, End::Exited(0));
    assert_ne!(run("readonly r=1; r=2; echo not reached").await.end, End::Exited(0));
    assert_eq!(both("echo still; echo r=$r").await, pair("still\nr=1\n", ""));
    // Tracing shows the commands, not the machinery.
    assert_eq!(both("set -x; echo one").await, pair("one\n", "++ echo one\n"));
    assert_eq!(both("false").await, pair("", "++ false\n"));
    assert_eq!(both("echo two; set +x").await, pair("two\n", "++ echo two\n++ set +x\n"));
    // Redirections by `exec` do not blind the session.
    run("exec >/tmp/log 2>&1; echo to the log").await;
    assert_eq!(both("cat /tmp/log; echo e >&2").await, pair("to the log\n", "e\n"));
    // Programs see three streams and nothing of ours.
    // (3 is the folder that `ls` reads; bash itself leaves one above 200 open.)
    assert_eq!(both("ls /proc/self/fd | grep -E '^.{1,2}$' | xargs").await.0, "0 1 2 3\n");
    // Scripts for people's prompts change nothing.
    run("PROMPT_COMMAND='echo prompt'; PS1='$ '; alias printf=false; IFS=x").await;
    assert_eq!(both("break; :").await, pair("", ""));
    assert_eq!(both("printf 'a%sb' 1 || echo aliased").await.0, "aliased\n");
    let timed_out = sandbox.session("sleep 100; echo late", SECOND / 5, Keep::default()).await.unwrap();
    assert_eq!(timed_out.end, End::TimedOut(Stopped::Interrupted));
    assert_eq!(both("echo $((6 * 7))").await, pair("42\n", ""));
    // Becoming another program, and the next shell after it.
    run("export KEPT=before; cd /usr").await;
    assert_eq!(both("exec python3 -c 'print(6 * 7)'").await.0, "42\n");
    assert_eq!(both("pwd").await.0, "/usr\n");
    assert_eq!(both("exec printf quick").await.0, "quick");
    // More than a pipe holds, in both directions.
    let long = format!("cat <<'END'\n{}\nEND", "0123456789".repeat(30_000));
    assert_eq!(both(&long).await.0.len(), 300_001);
    // A command that is cut off while the shell reads it does not run in part.
    let cut = format!("true {}; touch /tmp/ran; sleep 9", "x".repeat(2_000_000));
    sandbox.session(&cut, Duration::from_millis(3), Keep::default()).await.unwrap();
    assert_eq!(both("ls /tmp/ran 2>/dev/null").await.0, "");
}

#[tokio::test]
async fn a_session_can_be_looked_at_while_it_works() {
    let world = world().await;
    let sandbox = world.start().await;
    let begin =
        async |text: &str, patience| sandbox.begin(text, SECOND * 20, Keep::default(), patience).await;
    let running = |progress: Progress| match progress {
        Progress::Running(output) => output.combined_text(),
        Progress::Over(done) => panic!("it is over: {done:?}"),
    };
    let over = |progress: Progress| match progress {
        Progress::Over(done) => (done.end, done.output.combined_text(), done.folder),
        Progress::Running(output) => panic!("it goes on: {output:?}"),
    };
    let quick = over(begin("echo quick", SECOND * 10).await.unwrap());
    assert_eq!((quick.0, quick.1.as_str()), (End::Exited(0), "quick\n"));
    let slow = "echo one; cd /usr; sleep 1.5; echo two; (exit 3)";
    assert_eq!(running(begin(slow, SECOND / 2).await.unwrap()), "one\n");
    // Nothing else runs in the session before it is over; beside it, everything does.
    assert!(begin("echo other", SECOND).await.is_err());
    assert!(sandbox.exec(Command::shell("true", SECOND * 10)).await.unwrap().succeeded());
    assert_eq!(running(sandbox.attend(Keys::None, SECOND / 10).await.unwrap()), "");
    let (end, text, folder) = over(sandbox.attend(Keys::None, SECOND * 10).await.unwrap());
    assert_eq!((end, text.as_str(), folder.as_deref()), (End::Exited(3), "two\n", Some("/usr")));
    assert!(sandbox.attend(Keys::None, SECOND).await.is_err());
    assert_eq!(running(begin("sleep 100; echo late", SECOND / 10).await.unwrap()), "");
    let (end, text, _) = over(sandbox.attend(Keys::Interrupt, SECOND * 10).await.unwrap());
    assert_eq!((end, text.as_str()), (End::TimedOut(Stopped::Interrupted), ""));
    assert_eq!(over(begin("pwd", SECOND * 10).await.unwrap()).1, "/usr\n");
}

#[tokio::test]
async fn a_command_that_is_attended_reads_what_is_typed() {
    let world = world().await;
    let sandbox = world.start().await;
    let begin =
        async |text: &str| sandbox.begin(text, SECOND * 20, Keep::default(), SECOND / 2).await.unwrap();
    let attend = async |keys| sandbox.attend(keys, SECOND * 5).await;
    let text = |progress: &Progress| match progress {
        Progress::Running(output) => output.combined_text(),
        Progress::Over(done) => format!("{:?}: {}", done.end, done.output.combined_text()),
    };
    begin("cd /usr; read -p 'name? ' name; echo \"<$name>\"; head -n 1; test -t 0").await;
    let both = attend(Keys::Text("Ada\nof London\nand more\n")).await.unwrap();
    assert_eq!(text(&both), "Exited(0): <Ada>\nof London\n");
    // What it did not read is nobody's.
    begin("cat").await;
    assert_eq!(text(&attend(Keys::Text("one\n\u{4}")).await.unwrap()), "Exited(0): one\n");
    begin("python3 -c 'print(int(input()) + int(input()))' || cat; (exit 3)").await;
    assert!(matches!(sandbox.attend(Keys::Text("20\n"), SECOND / 2).await.unwrap(), Progress::Running(_)));
    assert_eq!(text(&attend(Keys::Text("22\n")).await.unwrap()), "Exited(3): 42\n");
    // More than a terminal takes, at once or in sum: the command goes on.
    begin("sleep 100").await;
    let long = "x".repeat(4090) + "\n";
    let longer = long.repeat(2);
    assert!(matches!(attend(Keys::Text(&longer)).await, Err(SandboxError::NotTyped(_))));
    let mut refused = false;
    for _ in 0..20 {
        refused |= sandbox.attend(Keys::Text(&long), SECOND / 100).await.is_err();
    }
    assert!(refused);
    let over = attend(Keys::Interrupt).await.unwrap();
    assert_eq!(text(&over), "TimedOut(Interrupted): ");
    let quiet = sandbox.session("pwd; cat; test -t 0", SECOND * 5, Keep::default()).await.unwrap();
    assert_eq!((quiet.end, quiet.output.combined_text().as_str()), (End::Exited(1), "/usr\n"));
    assert!(matches!(attend(Keys::Text("late\n")).await, Err(SandboxError::NotTyped(_))));
}

#[tokio::test]
async fn a_snapshot_is_an_image_layer_with_deletions() {
    let world = world().await;
    let sandbox = world.start().await;
    sh(&sandbox, "mkdir -p /work/sub && echo one > /work/a && echo two > /work/sub/b && chmod +x /work/a && ln -s a /work/l").await;
    let first = world.image.with_layer(sandbox.snapshot(Extent::Image).await.unwrap());
    assert_eq!(out(&sandbox, "cat /work/a").await, "one\n", "the box goes on");
    let second = world.host.start_box(&first, &Default::default()).await.unwrap();
    assert_eq!(out(&second, "cat /work/l /work/sub/b; test -x /work/a && echo x").await, "one\ntwo\nx\n");
    sh(&second, "rm /work/a /work/l; rm -r /work/sub; mkdir /work/sub; echo three > /work/sub/c").await;
    let image = first.with_layer(second.snapshot(Extent::Image).await.unwrap());
    let third = world.host.start_box(&image, &Default::default()).await.unwrap();
    assert_eq!(out(&third, "cd /work; find . | sort").await, ".\n./sub\n./sub/c\n");
    assert_eq!(out(&sandbox, "cat /work/a").await, "one\n", "layers are not shared for writing");
    let digest = world.host.store().save_image(&image).unwrap();
    assert_eq!(world.host.store().load_image(&digest.hex()).unwrap(), image);
}

#[tokio::test]
async fn a_box_can_be_taken_up_where_another_stood() {
    let world = world().await;
    let sandbox = world.start().await;
    sh(
        &sandbox,
        "echo one > /root/a; echo old > /tmp/gone; mkdir -p /tmp/.swegym /tmp/sub; echo x > /tmp/.swegym/x",
    )
    .await;
    let first = world.image.with_layer(sandbox.snapshot(Extent::Whole).await.unwrap());
    let second = world.host.start_box(&first, &Default::default()).await.unwrap();
    let look = "cat /root/a; cd /tmp; find . -mindepth 1 | sort; cat gone 2>&1";
    assert_eq!(out(&second, look).await, "one\n./gone\n./sub\nold\n");
    sh(&second, "rm /tmp/gone; echo tool > /tmp/sub/run; chmod +x /tmp/sub/run; ln -s run /tmp/sub/l").await;
    let third = first.with_layer(second.snapshot(Extent::Whole).await.unwrap());
    let third = world.host.start_box(&third, &Default::default()).await.unwrap();
    let look = "cat /root/a; cd /tmp; find . -mindepth 1 | sort; test -x sub/run && cat sub/l";
    assert_eq!(out(&third, look).await, "one\n./sub\n./sub/l\n./sub/run\ntool\n");
}

#[tokio::test]
async fn what_a_box_writes_is_seen_and_nothing_else() {
    let world = world().await;
    let sandbox = world.start().await;
    let written = async || sandbox.written().await.unwrap();
    let mut last = written().await;
    sh(&sandbox, "cat /etc/passwd; ls /").await;
    assert_eq!(written().await, last);
    for loud in [
        "mkdir -p /tmp/.swegym/objects && echo x > /tmp/.swegym/index",
        "echo 1 > /root/a",
        "echo 2 > /root/a",
        "chmod +x /root/a",
        "touch -d 2001-01-01 /root/a",
        "echo 1 > /tmp/a",
        "rm /tmp/a",
        "mkdir /root/d",
        "ln -s / /root/d/l",
        "rm /etc/hostname",
    ] {
        sh(&sandbox, loud).await;
        let next = written().await;
        assert_ne!(next, last, "{loud}");
        last = next;
    }
    let kind = |path: &str| last.iter().find(|w| w.path == Path::new(path)).map(|w| w.kind);
    assert_eq!(kind("/root/a"), Some(EntryKind::File));
    assert_eq!(kind("/root/d"), Some(EntryKind::Folder));
    assert_eq!(kind("/root/d/l"), Some(EntryKind::Link));
    assert_eq!(kind("/etc/hostname"), Some(EntryKind::Other));
    assert_eq!(kind("/tmp/a"), None);
    assert_eq!(kind("/tmp/.swegym/index"), Some(EntryKind::File));
    sh(&sandbox, "echo x > /tmp/.swegym/objects/x").await;
    assert_eq!(written().await, last);
}

#[tokio::test]
async fn equal_work_gives_equal_layers_and_files_are_stored_once() {
    let world = world().await;
    let make = "mkdir /a && head -c 3000000 /dev/zero > /a/big && echo x > /a/small";
    let (one, two) = (world.start().await, world.start().await);
    sh(&one, make).await;
    sh(&two, &format!("sleep 0.1; {make}")).await;
    assert_eq!(one.snapshot(Extent::Image).await.unwrap(), two.snapshot(Extent::Image).await.unwrap());
    sh(&two, "echo y > /a/other").await;
    let before = size_on_disk(world.home.path());
    two.snapshot(Extent::Image).await.unwrap();
    assert!(size_on_disk(world.home.path()) - before < 100_000);
}

fn size_on_disk(path: &Path) -> u64 {
    let text = swegym_sandbox::tool::run("du", ["-sk", path.to_str().unwrap()], SECOND * 10).unwrap();
    String::from_utf8(text).unwrap().split('\t').next().unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_root_file_system_of_its_own_works_as_base() {
    let world = world().await;
    let root = tempfile::tempdir().unwrap();
    // The host's libraries stand in for a distribution's, copied by the loader's own list.
    let copy = "set -e; cd $0; mkdir -p usr/bin; cp /bin/bash usr/bin/; for b in cat ls; do cp $(command -v $b) usr/bin/; done; \
        for b in usr/bin/*; do ldd $b; done | grep -o '/[^ ]*' | sort -u | while read l; do cp --parents -L $l .; done; echo hello > greeting; tar czf ../root.tar.gz .";
    let nested = root.path().join("root");
    fs::create_dir(&nested).unwrap();
    swegym_sandbox::tool::run("bash", ["-c", copy, nested.to_str().unwrap()], SECOND * 30).unwrap();
    for source in [nested.clone(), root.path().join("root.tar.gz")] {
        let mut image = Image::new(Base::rootfs(world.host.store(), &source).unwrap());
        image.set_env("PATH", "/usr/bin");
        let sandbox = world.host.start_box(&image, &Default::default()).await.unwrap();
        assert_eq!(out(&sandbox, "cat /greeting; ls /usr").await, "hello\nbin\n");
    }
}

#[tokio::test]
async fn the_fourth_wall_counts_usage_and_time() {
    let world = world().await;
    let sandbox = world.start().await;
    let burn = "python3 -c \"import time\nt=time.process_time()\nx=bytearray(60<<20)\nwhile time.process_time()-t<0.3: pass\"";
    let done = sh(&sandbox, burn).await;
    assert!(done.cpu_time.as_millis() >= 300 && done.max_rss_bytes > 60 << 20, "{done:?}");
    assert_eq!(done.limit_hit, None::<LimitHit>);
}

#[tokio::test]
async fn the_host_answers_in_the_boxs_own_network_and_nobody_else() {
    let world = world().await;
    let settings = BoxSettings { port: Some(4000), ..BoxSettings::default() };
    let asked = world.host.start_box(&world.image, &settings).await.unwrap();
    let other = world.host.start_box(&world.image, &settings).await.unwrap();
    let listener = tokio::net::TcpListener::from_std(asked.take_listener().unwrap()).unwrap();
    assert!(asked.take_listener().is_none() && world.start().await.take_listener().is_none());
    let answer = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut connection, b"from outside\n").await.unwrap();
        listener
    });
    let ask = "exec 3<>/dev/tcp/127.0.0.1/4000 && cat <&3";
    assert_eq!(out(&asked, ask).await, "from outside\n");
    let listener = answer.await.unwrap();
    // Whoever is in the box cannot answer in the host's place.
    assert!(
        !sh(&asked, "python3 -c \"import socket; socket.create_server(('127.0.0.1', 4000))\"")
            .await
            .succeeded()
    );
    // The other box's port is another one, at which nobody answers.
    drop(other.take_listener());
    assert!(out(&other, ask).await.contains("Connection refused"));
    // The machine's loopback is no box's.
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    assert!(out(&asked, &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")).await.contains("Connection refused"));
    drop(listener);
    assert!(out(&asked, ask).await.contains("Connection refused"));
}
