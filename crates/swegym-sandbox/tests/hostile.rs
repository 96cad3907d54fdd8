//! What a box holds against: escapes, floods, bombs, and our own sudden death.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{SECOND, out, sh, world};
use swegym_sandbox::limits::LimitHit;
use swegym_sandbox::output::Keep;
use swegym_sandbox::sandbox::Stopped;
use swegym_sandbox::{Command, End, Limits, Sandbox as _, SandboxError};

#[tokio::test]
async fn the_host_is_out_of_reach() {
    let world = world().await;
    let sandbox = world.start().await;
    let secret = world.home.path().join("secret");
    fs::write(&secret, "host secret").unwrap();
    let refused = [
        // Mounts, namespaces, other roots.
        "mount -t tmpfs x /mnt",
        "unshare -Ur true",
        "unshare -m true",
        "chroot / true",
        "mknod /root/sda b 8 0",
        "nsenter -t 1 -m true",
        // The kernel's settings.
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo b > /proc/sysrq-trigger",
        "dmesg -C",
        // The supervisor.
        "cat /proc/1/environ",
        "cat /proc/1/mem",
        "ls /proc/1/fd/",
        "ls /proc/1/root/",
        // The host's files.
        &format!("cat {}", secret.display()),
        &format!("cat /proc/1/cwd/{}", secret.display()),
        "cat /etc/shadow",
        "ls /sys/kernel",
        // The network.
        "python3 -c \"import socket; socket.create_connection(('1.1.1.1', 53), 1)\"",
        "python3 -c \"import socket; socket.socket(40, 1)\"",
        "python3 -c \"import socket; socket.socket(17, 3)\"",
        // What the machine has a fixed number of.
        "python3 -c \"import ctypes, platform, sys; c = ctypes.c_ulong(0); sys.exit(ctypes.CDLL(None).syscall({'x86_64': 206}.get(platform.machine(), 0), 8, ctypes.byref(c)) != 0)\"",
        "python3 -c \"import os; k = [os.openpty() for _ in range(100)]\"",
        // More rights.
        "python3 -c \"import os; os.setuid(12345)\"",
        "python3 -c \"import ctypes,os,sys; l=ctypes.CDLL(None,use_errno=True); sys.exit(l.ptrace(16,1,0,0) == -1)\"",
    ];
    for attempt in refused {
        let done = sh(&sandbox, attempt).await;
        assert_ne!(done.end, End::Exited(0), "`{attempt}` went through: {}", done.output.combined_text());
    }
    // Signals to the supervisor do nothing.
    assert_eq!(out(&sandbox, "kill -9 1; kill -TERM 1; kill -STOP 1; echo still").await, "still\n");
    assert_eq!(
        out(&sandbox, "grep -h ^NoNewPrivs /proc/self/status; grep -h ^Seccomp: /proc/self/status").await,
        "NoNewPrivs:\t1\nSeccomp:\t2\n"
    );
}

#[tokio::test]
async fn programs_of_the_host_are_locked_and_watched_by_nobody() {
    const HOLD: &str = r#"
import ctypes, fcntl, os, select, struct, sys
held = open("/usr/bin/env", "rb")
fcntl.flock(held, fcntl.LOCK_EX)
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
assert libc.inotify_add_watch(watch, b"/usr/bin/env", 0x20) >= 0
print("held", flush=True)
seen = select.select([watch], [], [], 3)[0]
print("seen" if seen else "nothing", flush=True)
"#;
    let world = world().await;
    let (sandbox, second) = (world.start().await, world.start().await);
    sandbox.write("/root/hold.py", HOLD.as_bytes(), None).await.unwrap();
    let start =
        "setsid python3 /root/hold.py > /root/said 2>&1 & until grep -q held /root/said; do sleep 0.02; done";
    sandbox.session(start, 20 * SECOND, Default::default()).await.unwrap();
    // Neither the host nor another box is kept waiting, and what they open is theirs.
    let env = fs::File::open("/usr/bin/env").unwrap();
    env.try_lock().unwrap();
    drop(env);
    assert_eq!(out(&second, "flock -n -x /usr/bin/env echo free; env echo ran").await, "free\nran\n");
    assert_eq!(out(&sandbox, "sleep 3.5; cat /root/said").await, "held\nnothing\n");
}

#[tokio::test]
async fn the_machine_is_not_described() {
    let world = world().await;
    let sandbox = world.start().await;
    for empty in
        ["kallsyms", "keys", "key-users", "modules", "config.gz", "timer_list", "iomem", "interrupts"]
    {
        let line = format!("test ! -r /proc/{empty} || head -c 99 /proc/{empty} 2>/dev/null | wc -c");
        assert!(matches!(&*out(&sandbox, &line).await, "" | "0\n"), "{empty}");
    }
    let command = out(&sandbox, "tr '\\0' ' ' < /proc/1/cmdline").await;
    assert!(!command.contains('/') && command.len() < 40, "{command}");
    let home = world.home.path().to_str().unwrap();
    let shown =
        out(&sandbox, "cat /proc/self/mountinfo /proc/mounts; cat /proc/*/cmdline /proc/*/environ").await;
    assert!(shown.contains("overlay") && !shown.contains(home), "{shown}");
    for setting in ["kernel/shmall", "kernel/hostname", "net/ipv4/ip_forward", "user/max_inotify_instances"] {
        let done =
            sh(&sandbox, &format!("cat /proc/sys/{setting} > /tmp/v && cat /tmp/v > /proc/sys/{setting}"))
                .await;
        assert!(!done.succeeded(), "{setting}");
    }
    assert_eq!(
        out(&sandbox, "ls -A /proc/fs /proc/irq /proc/pressure /proc/bus 2>/dev/null | grep -v ^/proc")
            .await
            .trim(),
        ""
    );
    assert!(!out(&sandbox, "cat /proc/self/cgroup").await.contains("swegym"));
    // What the machine's owner put into /usr/local is not there; a box may put its own.
    let before = out(&sandbox, "find /usr/local -type f | wc -l; find /usr/local -type l | wc -l").await;
    assert_eq!(before, "0\n0\n");
    assert_eq!(
        out(
            &sandbox,
            "printf '#!/bin/sh\\necho own\\n' > /usr/local/bin/own; chmod +x /usr/local/bin/own; own"
        )
        .await,
        "own\n"
    );
    let image = world.image.with_layer(sandbox.snapshot(swegym_sandbox::Extent::Image).await.unwrap());
    let second = world.host.start_box(&image, &Default::default()).await.unwrap();
    assert_eq!(out(&second, "own").await, "own\n");
}

#[tokio::test]
async fn memory_that_no_process_has_mapped_counts_or_is_refused() {
    let world = world().await;
    let limits = Limits { memory_bytes: 256 << 20, disk_bytes: 64 << 20, ..Limits::default() };
    let hoard = r#"
import ctypes, mmap, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.shmat.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
piece, held, kept = 8 << 20, 0, []
def files():
    fd = os.memfd_create("x")
    kept.append(fd)
    for _ in range(piece >> 20): os.write(fd, b"x" * (1 << 20))
def system_v():
    segment = libc.shmget(0, ctypes.c_size_t(piece), 0o1600)
    if segment < 0: raise OSError(ctypes.get_errno(), "shmget")
    at = libc.shmat(segment, None, 0)
    ctypes.memset(at, 1, piece)
    libc.shmdt(ctypes.c_void_p(at))
def unmapped(fd=-1, flags=0x21):
    at = libc.mmap(None, piece, 3, flags, fd, 0)
    if at == ctypes.c_void_p(-1).value: raise OSError(ctypes.get_errno(), "mmap")
    ctypes.memset(at, 1, piece)
    libc.munmap(ctypes.c_void_p(at + 4096), ctypes.c_size_t(piece - 4096))
def device():
    fd = os.open("/dev/zero", os.O_RDWR)
    unmapped(fd, 1)
    os.close(fd)
try:
    while held < (4 << 30):
        {"files": files, "system_v": system_v, "unmapped": unmapped, "device": device}[sys.argv[1]]()
        held += piece
except OSError as error: pass
print(held >> 20, flush=True)
time.sleep(1)
"#;
    for kind in ["files", "system_v", "unmapped", "device"] {
        let sandbox = world.start_with(limits.clone()).await;
        sandbox.write("/root/hoard.py", hoard.as_bytes(), None).await.unwrap();
        let done = sh(&sandbox, &format!("python3 /root/hoard.py {kind}")).await;
        let held: u64 = done.output.stdout_text().trim().parse().unwrap_or(0);
        // A control group counts memory and disk together.
        assert!(held <= 256 + 64 + 64, "{kind}: {held} MiB, {:?}", done.end);
        assert_eq!(
            out(&sandbox, "echo on; head -c 3 /dev/zero | od -An -tx1").await,
            "on\n 00 00 00\n",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_program_that_ignores_interrupts_is_killed_with_its_children() {
    let world = world().await;
    let sandbox = world.start().await;
    let deaf = "trap '' INT TERM; (trap '' INT TERM; sleep 1000) & while :; do sleep 1000; done";
    let done = sandbox.exec(Command::shell(deaf, SECOND / 5)).await.unwrap();
    assert_eq!(done.end, End::TimedOut(Stopped::Killed));
    assert_eq!(out(&sandbox, "cat /proc/[0-9]*/comm | grep -c sleep").await, "0\n");
    let polite = sandbox.exec(Command::shell("sleep 1000", SECOND / 5)).await.unwrap();
    assert_eq!(polite.end, End::TimedOut(Stopped::Interrupted));
}

#[tokio::test]
async fn background_processes_do_not_hold_a_command_up_nor_outlive_it() {
    let world = world().await;
    let sandbox = world.start().await;
    let started = Instant::now();
    assert_eq!(out(&sandbox, "sleep 1000 & (sleep 1000; echo late) & echo now").await, "now\n");
    assert!(started.elapsed() < 10 * SECOND);
    // An orphan that left its group is reaped by the supervisor when it ends.
    sh(&sandbox, "setsid sleep 0.1 & disown").await;
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(out(&sandbox, "cat /proc/[0-9]*/stat | grep -c ' Z '").await, "0\n");
}

#[tokio::test]
async fn standard_input_is_empty_and_a_reader_does_not_hang() {
    let world = world().await;
    let sandbox = world.start().await;
    assert_eq!(
        out(&sandbox, "cat; read x || echo eof; python3 -c 'input()' 2>&1 | tail -1").await,
        "eof\nEOFError: EOF when reading a line\n"
    );
}

#[tokio::test]
async fn a_fork_bomb_stays_in_its_box() {
    let world = world().await;
    let sandbox = world.start_with(Limits { processes: 64, ..Limits::default() }).await;
    let neighbour = world.start().await;
    // A classic one, and one whose processes are all their own leaders.
    for bomb in [
        "f(){ f | f & }; f; sleep 1; for i in 1 2 3; do sleep 0.2; done",
        "import os\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass",
    ] {
        let command = if bomb.starts_with("import") {
            Command::new(["/usr/bin/env", "python3", "-c", bomb], 3 * SECOND)
        } else {
            Command::shell(bomb, 3 * SECOND)
        };
        let done = sandbox.exec(command).await.unwrap();
        // It is stopped or starves itself, within its time and a grace for each step.
        assert!(done.wall_time < 15 * SECOND, "{done:?}");
        assert_eq!(out(&neighbour, "echo fine").await, "fine\n");
    }
    if !world.host.limits_by().is_empty() {
        let pids = Command::new(["/bin/ls", "/proc"], 5 * SECOND);
        let listed = sandbox.exec(pids).await;
        let many =
            listed.map_or(0, |l| l.output.stdout_text().lines().filter(|l| l.parse::<u32>().is_ok()).count());
        assert!(many <= 64, "{many} processes in a box that may have 64");
    }
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn the_process_limit_is_named() {
    let world = world().await;
    let sandbox = world.start_with(Limits { processes: 20, ..Limits::default() }).await;
    let many = "python3 -c \"\nimport subprocess, time\nk=[]\ntry:\n  for i in range(100): k.append(subprocess.Popen(['sleep','100']))\nexcept OSError: pass\ntime.sleep(0.5)\nprint(len(k) < 25)\"";
    let done = sh(&sandbox, many).await;
    assert_eq!((done.output.stdout_text().as_str(), done.limit_hit), ("True\n", Some(LimitHit::Processes)));
}

#[tokio::test]
async fn memory_is_bounded_and_the_reason_named() {
    let world = world().await;
    let limits = Limits { memory_bytes: 200 << 20, disk_bytes: 50 << 20, ..Limits::default() };
    let sandbox = world.start_with(limits).await;
    let done = sh(&sandbox, "python3 -c \"x = bytearray(600 << 20); print(len(x))\"").await;
    assert_ne!(done.end, End::Exited(0));
    // Several processes that each stay below are seen together.
    let herd = "for i in 1 2 3 4 5 6; do python3 -c \"import time; x = bytearray(60 << 20); time.sleep(3)\" & done; wait";
    let started = Instant::now();
    let done = sh(&sandbox, herd).await;
    assert_eq!(done.limit_hit, Some(LimitHit::Memory), "{:?} {:?}", done.end, started.elapsed());
    assert_eq!(out(&sandbox, "echo alive").await, "alive\n");
}

#[tokio::test]
async fn processor_time_and_share_are_bounded() {
    let world = world().await;
    let sandbox = world.start_with(Limits { cpu_time: SECOND, ..Limits::default() }).await;
    let endless = sh(&sandbox, "exec python3 -c 'while True: pass'").await;
    assert!(matches!(endless.end, End::Signalled(_)), "{endless:?}");
    // The kernel counts ticks, which a busy machine has more of than of time.
    assert!(endless.cpu_time >= SECOND * 3 / 4 && endless.cpu_time < 5 * SECOND, "{endless:?}");
    assert_eq!(endless.limit_hit, Some(LimitHit::CpuTime));
    let within = sh(&sandbox, "python3 -c 'while True: pass'; exit $?").await;
    assert_eq!((within.end, within.limit_hit), (End::Exited(152), Some(LimitHit::CpuTime)));
    assert_eq!(out(&sandbox, "echo alive").await, "alive\n");
    let slow = world.start_with(Limits { cpu_cores: 0.25, ..Limits::default() }).await;
    let done = sh(&slow, "python3 -c \"import time\nwhile time.process_time() < 0.5: pass\"").await;
    assert_eq!(done.end, End::Exited(0));
    if world.host.limits_by().contains("cpu") {
        assert!(done.wall_time > SECOND, "half a second of work on a quarter of a core: {done:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_the_command_only() {
    let world = world().await;
    let sandbox = world.start_with(Limits { disk_bytes: 20 << 20, ..Limits::default() }).await;
    let done = sh(&sandbox, "head -c 100000000 /dev/zero > /root/big").await;
    assert_eq!((done.end, done.limit_hit), (End::Exited(1), Some(LimitHit::Disk)));
    let done = sh(&sandbox, "rm /root/big; head -c 100000000 /dev/zero > /tmp/big").await;
    assert_eq!(done.limit_hit, Some(LimitHit::Disk), "/tmp counts too");
    let names = "rm /tmp/big; python3 -c \"
n = 0
try:
    while n < 100000: open(f'/root/{n}', 'w').close(); n += 1
except OSError: print('bounded')
\"";
    assert_eq!(out(&sandbox, names).await, "bounded\n");
}

#[tokio::test]
async fn a_gigabyte_of_output_is_counted_not_kept() {
    let world = world().await;
    let sandbox = world.start().await;
    let keep = Keep { head: 1000, tail: 1000, kill_after: 4 << 30 };
    let flood = Command::shell("head -c 1000000000 /dev/zero; echo end", 60 * SECOND).keeping(keep);
    let done = sandbox.exec(flood).await.unwrap();
    assert_eq!(done.end, End::Exited(0));
    assert_eq!(done.output.dropped, 1_000_000_004 - 2000);
    assert!(done.output.stdout_text().ends_with("end\n"));
    let endless = Command::shell("yes", 60 * SECOND).keeping(Keep { kill_after: 10 << 20, ..keep });
    let done = sandbox.exec(endless).await.unwrap();
    assert_eq!((done.end, done.limit_hit), (End::Signalled(9), Some(LimitHit::Output)));
    let done = sandbox.session("yes", 60 * SECOND, Keep { kill_after: 10 << 20, ..keep }).await.unwrap();
    assert_eq!(done.limit_hit, Some(LimitHit::Output));
}

#[tokio::test]
async fn a_session_cannot_be_ended_by_what_is_printed() {
    let world = world().await;
    let sandbox = world.start().await;
    let forged = "printf 'p 0 /\\0\\0'; printf '__swegym_say\\n'; exit_status=5; (exit 5)";
    let done = sandbox.session(forged, 5 * SECOND, Keep::default()).await.unwrap();
    assert_eq!(done.end, End::Exited(5));
    let killer = sandbox.session("kill -9 $$", 5 * SECOND, Keep::default()).await.unwrap();
    assert_eq!(killer.end, End::Signalled(9));
    let after = sandbox.session("echo back", 5 * SECOND, Keep::default()).await.unwrap();
    assert_eq!(after.output.stdout_text(), "back\n");
}

#[tokio::test]
async fn a_box_that_was_stopped_answers_no_more() {
    let world = world().await;
    let sandbox = world.start().await;
    sandbox.stop().await.unwrap();
    assert!(matches!(sandbox.exec(Command::shell("true", SECOND)).await, Err(SandboxError::Gone)));
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn when_the_keeper_is_killed_its_boxes_go_and_another_takes_over() {
    let world = world().await;
    let sandbox = world.start().await;
    let marker = format!("swegym-test-{}-{:?}", std::process::id(), Instant::now())
        .replace([' ', ':', '{', '}', '.', ','], "");
    sh(&sandbox, &format!("setsid bash -c 'exec -a {marker} sleep 1000' & disown; sleep 0.2")).await;
    assert_eq!(processes_named(&marker), 1);
    let pid = world.host.keeper_pid().unwrap();
    swegym_sandbox::tool::run("kill", ["-9", &pid.to_string()], SECOND).unwrap();
    let after = sandbox.exec(Command::shell("true", SECOND)).await;
    assert!(matches!(after, Err(SandboxError::Gone)), "{after:?}");
    wait_until(|| processes_named(&marker) == 0).await;
    // The next box gets a new keeper, also when several are wanted at once.
    let (a, b) = tokio::join!(world.start(), world.start());
    assert_eq!(out(&a, "echo again").await + &out(&b, "echo again").await, "again\nagain\n");
    assert_ne!(world.host.keeper_pid(), Some(pid));
}

#[tokio::test]
async fn dropping_the_host_leaves_no_process_mount_or_group() {
    let world = world().await;
    let boxes = [world.start().await, world.start().await];
    let marker = format!("swegym-drop-{}", std::process::id());
    for sandbox in &boxes {
        sh(sandbox, &format!("setsid bash -c 'exec -a {marker} sleep 1000' & disown; sleep 0.2")).await;
    }
    assert_eq!(processes_named(&marker), 2);
    let keeper = world.host.keeper_pid().unwrap();
    let home = world.home.path().to_owned();
    drop(boxes);
    drop(world.host);
    wait_until(|| processes_named(&marker) == 0 && !Path::new(&format!("/proc/{keeper}")).exists()).await;
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(home.to_str().unwrap()));
    assert_eq!(fs::read_dir(home.join("tmp")).unwrap().count(), 0);
    assert_eq!(groups_of(keeper), "");
}

/// A host may be killed while its keeper begins.
#[test]
#[expect(clippy::disallowed_methods, reason = "the program that is tested")]
fn a_keeper_that_finds_nobody_leaves_no_group() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(ours);
    let mut keeper = std::process::Command::new(env!("CARGO_BIN_EXE_swegym-keeper"));
    keeper.current_dir(home.path()).stdin(std::os::fd::OwnedFd::from(theirs));
    let mut keeper = keeper.stderr(std::process::Stdio::null()).spawn().unwrap();
    assert!(!keeper.wait().unwrap().success());
    assert_eq!(groups_of(keeper.id()), "");
}

/// Control groups of a keeper.
fn groups_of(keeper: u32) -> String {
    let named = format!("swegym-{keeper}");
    let find = ["/sys/fs/cgroup", "-maxdepth", "5", "-name", &named];
    let found = swegym_sandbox::tool::run("find", find, 5 * SECOND).unwrap_or_default();
    String::from_utf8_lossy(&found).into_owned()
}

fn processes_named(marker: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|e| fs::read(e.path().join("cmdline")).is_ok_and(|c| c.starts_with(marker.as_bytes())))
        .count()
}

async fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still there after five seconds");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    common::again_as_an_ordinary_user("the_same_holds_for_an_ordinary_user");
}
