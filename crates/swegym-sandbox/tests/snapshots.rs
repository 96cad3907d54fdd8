//! Freezing a box that fights back: links in the place of folders, names that
//! go while they are read, files that are larger than they are.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{SECOND, World, out, sh, world};
use swegym_sandbox::{Command, Extent, Limits, Sandbox as _, SandboxError};

/// Snapshots that are raced, and processes that race each.
/// `SWEGYM_RACES=1000,300` is the long form.
#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn races() -> (usize, u64) {
    let text = std::env::var("SWEGYM_RACES").unwrap_or_else(|_| "30,60".to_owned());
    let (snapshots, processes) = text.split_once(',').unwrap();
    (snapshots.parse().unwrap(), processes.parse().unwrap())
}

/// Each process puts a link to a folder of the host in the place of a folder, and
/// back, without end.
const SWAP: &str = r#"
import ctypes, os, sys
target, count = sys.argv[1], int(sys.argv[2])
rename = ctypes.CDLL(None, use_errno=True).renameat2
base = sys.argv[3]
for i in range(count):
    place = f"{base}/{i:03}".encode()
    os.makedirs(place + b"/d")
    for n in range(40):
        os.mkdir(place + b"/d/%d" % n)
    open(place + b"/d/secret", "w").write("the box's own")
    os.symlink(target, place + b"/l")
    if os.fork() == 0:
        if i % 2: os.setsid()
        while True:
            rename(-100, place + b"/d", -100, place + b"/l", 2)
print("racing", flush=True)
os.kill(os.getpid(), 19)
"#;

/// Everything in the store that holds these bytes.
fn holders(folder: &Path, bytes: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(holders(&entry.path(), bytes));
        } else if entry.file_type().unwrap().is_file()
            && String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).contains(bytes)
        {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// A folder that only the host's user may enter, with a file that only it may read.
fn vault(world: &World) -> String {
    let vault = world.home.path().join("vault");
    fs::create_dir(&vault).unwrap();
    fs::write(vault.join("secret"), "of the host alone").unwrap();
    fs::set_permissions(vault.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&vault, fs::Permissions::from_mode(0o700)).unwrap();
    vault.display().to_string()
}

#[tokio::test]
async fn no_byte_of_the_host_is_in_a_snapshot_whatever_links_take_turns_with_folders() {
    let world = world().await;
    let (snapshots, processes) = races();
    let sandbox = world.start_with(Limits { processes: processes + 50, ..Limits::default() }).await;
    let vault = vault(&world);
    let race = format!(
        "printf '%s' '{}' > /root/swap.py; setsid python3 /root/swap.py '{vault}' {processes} /root/r > /root/said & \
         until grep -q racing /root/said 2>/dev/null; do sleep 0.05; done",
        SWAP.replace('\'', "'\\''")
    );
    assert!(
        sandbox
            .session(&race, 20 * SECOND, Default::default())
            .await
            .unwrap()
            .output
            .stdout_text()
            .is_empty()
    );
    for number in 0..snapshots {
        let extent = if number % 2 == 0 { Extent::Whole } else { Extent::Image };
        sandbox.snapshot(extent).await.unwrap();
    }
    let store = world.home.path().join("store");
    assert_eq!(holders(&store, "of the host alone"), [] as [&str; 0]);
    assert!(!holders(&store, "the box's own").is_empty());
    assert_eq!(out(&sandbox, "echo on").await, "on\n");
}

#[tokio::test]
async fn a_snapshot_is_of_one_moment() {
    let world = world().await;
    let sandbox = world.start().await;
    // Two files that are never equal but for the moment between two renames.
    let program = "import os\nos.makedirs('/root/a')\nn = 0\nwhile True:\n  n += 1\n  for name in ('one', 'two'):\n    with open('/root/a/.new', 'w') as f: f.write(str(n) * 2000)\n    os.rename('/root/a/.new', '/root/a/' + name)\n";
    sandbox.write("/root/p.py", program.as_bytes(), None).await.unwrap();
    let start = "setsid python3 /root/p.py & until test -e /root/a/two; do sleep 0.05; done";
    sandbox.session(start, 20 * SECOND, Default::default()).await.unwrap();
    for _ in 0..20 {
        let layer = sandbox.snapshot(Extent::Image).await.unwrap();
        let folder = world.home.path().join(world.host.store().layer_folder(layer).unwrap());
        let read = |name: &str| fs::read_to_string(folder.join("root/a").join(name)).unwrap();
        let number = |text: String| -> u64 { text[..text.len() / 2000].parse().unwrap() };
        let (one, two) = (number(read("one")), number(read("two")));
        assert!(one == two || one == two + 1, "{one} {two}");
    }
}

#[tokio::test]
async fn what_is_closed_even_to_its_owner_is_frozen_too() {
    let world = world().await;
    let sandbox = world.start().await;
    sh(
        &sandbox,
        "mkdir -p /root/closed/in && echo x > /root/closed/in/f && chmod 000 /root/closed/in/f /root/closed",
    )
    .await;
    let image = world.image.with_layer(sandbox.snapshot(Extent::Image).await.unwrap());
    let second = world.host.start_box(&image, &Default::default()).await.unwrap();
    assert_eq!(out(&second, "cat /root/closed/in/f").await, "x\n");
    assert!(sandbox.written().await.unwrap().iter().any(|w| w.path == Path::new("/root/closed/in/f")));
}

#[tokio::test]
async fn pipes_sockets_and_names_of_all_kinds_hold_nothing_up() {
    let world = world().await;
    let sandbox = world.start().await;
    let odd = "cd /root; mkfifo pipe; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"; \
               ln -s /proc/self/root/etc/shadow out; ln -s ../../../../../.. up; ln -s loop loop; \
               python3 -c \"open(b'\\xff\\n \\\\\\\\ odd', 'w').write('x')\"; mkdir -p w; echo y > w/f; ln w/f w/g";
    sh(&sandbox, odd).await;
    let image = world.image.with_layer(sandbox.snapshot(Extent::Image).await.unwrap());
    let second = world.host.start_box(&image, &Default::default()).await.unwrap();
    let look = "cd /root; ls -A | cat -v; readlink out up loop; cat w/f w/g";
    assert_eq!(
        out(&second, look).await,
        "loop\nout\nup\nw\nM-^?\n \\ odd\n/proc/self/root/etc/shadow\n../../../../../..\nloop\ny\ny\n"
    );
}

#[tokio::test]
async fn the_store_grows_by_what_a_box_holds_and_no_more() {
    let world = world().await;
    let limits = Limits { disk_bytes: 32 << 20, ..Limits::default() };
    let sandbox = world.start_with(limits).await;
    // Holes: 30 MiB each that take no room in the box.
    sh(&sandbox, "truncate -s 30M /root/a /root/b; echo end >> /root/b").await;
    let image = world.image.with_layer(sandbox.snapshot(Extent::Image).await.unwrap());
    let store = world.home.path().join("store");
    let used = swegym_sandbox::tool::run("du", ["-sk", store.to_str().unwrap()], 20 * SECOND).unwrap();
    let used: u64 = String::from_utf8_lossy(&used).split_whitespace().next().unwrap().parse().unwrap();
    assert!(used < 16 << 10, "{used} KiB");
    let second = world.host.start_box(&image, &Default::default()).await.unwrap();
    assert_eq!(
        out(&second, "stat -c %s /root/a /root/b; tail -c 4 /root/b").await,
        "31457280\n31457284\nend\n"
    );
    // One file by many names, each of which would be read: refused, and the box goes on.
    sh(&sandbox, "for i in $(seq 100); do ln /root/a /root/a$i; done").await;
    let refused = sandbox.snapshot(Extent::Image).await;
    assert!(matches!(refused, Err(SandboxError::TooMuch(_))), "{refused:?}");
    assert_eq!(out(&sandbox, "rm /root/a*; echo on").await, "on\n");
    sandbox.snapshot(Extent::Image).await.unwrap();
}

#[tokio::test]
async fn the_snapshots_of_a_box_together_have_an_end() {
    let world = world().await;
    let sandbox = world.start_with(Limits { snapshot_bytes: 30 << 20, ..Limits::default() }).await;
    for step in 0..4 {
        sh(&sandbox, "head -c 9000000 /dev/urandom > /root/another").await;
        let taken = sandbox.snapshot(Extent::Whole).await;
        assert_eq!(taken.is_ok(), step < 3, "{step} {taken:?}");
    }
    // What is in the store already costs nothing.
    sh(&sandbox, "rm /root/another").await;
    sandbox.snapshot(Extent::Whole).await.unwrap();
}

#[tokio::test]
async fn depth_without_end_is_refused_by_name() {
    let world = world().await;
    let sandbox = world.start().await;
    let deep =
        "python3 -c \"import os\nos.chdir('/root')\nfor i in range(3000):\n  os.mkdir('d'); os.chdir('d')\"";
    assert!(sandbox.exec(Command::shell(deep, 20 * SECOND)).await.unwrap().succeeded());
    let refused = sandbox.snapshot(Extent::Image).await;
    assert!(matches!(refused, Err(SandboxError::TooMuch(_))), "{refused:?}");
    sandbox.written().await.unwrap();
    assert_eq!(out(&sandbox, "echo on").await, "on\n");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    common::again_as_an_ordinary_user("the_same_holds_for_an_ordinary_user");
}
