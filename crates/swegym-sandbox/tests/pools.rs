//! What the kernel counts by user: a box that uses it up stops no other box, and
//! no program of the host.

mod common;

use common::{World, out, world};
use swegym_sandbox::{Command, EmbeddedSandbox, Sandbox as _};

/// Takes as much as it gets of one thing, says so, and holds it.
const EXHAUST: &str = r#"
import ctypes, os, select, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
what, most = sys.argv[1], int(sys.argv[2])
kept = []

def inotify():
    fd = libc.inotify_init1(0)
    if fd < 0: raise OSError(ctypes.get_errno(), "inotify")
    kept.append(fd)

def in_flight():
    # Descriptors that nobody receives: pairs in one another.
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    kept.append((a, b))
    null = os.open("/dev/null", os.O_RDONLY)
    try:
        socket.send_fds(a, [b"x"], [null] * 250)
    finally:
        os.close(null)

def signals():
    if not kept: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    if libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), ctypes.c_void_p(1)) != 0:
        raise OSError(ctypes.get_errno(), "sigqueue")
    kept.append(1)

def queues():
    queue, name = ctypes.CDLL("librt.so.1", use_errno=True), b"/q%d-%d" % (os.getpid(), len(kept))
    fd = queue.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
    if fd < 0: raise OSError(ctypes.get_errno(), "mq_open")
    kept.append(fd)
    queue.mq_unlink(name)

done = 0
try:
    while done < most:
        {"inotify": inotify, "in_flight": in_flight, "signals": signals, "queues": queues}[what]()
        done += 1
except OSError as error:
    print(done, error.errno, flush=True)
else:
    print(done, 0, flush=True)
if most > 3: time.sleep(1000)
"#;

const KINDS: [&str; 4] = ["inotify", "in_flight", "signals", "queues"];

async fn exhaust(sandbox: &EmbeddedSandbox) {
    sandbox.write("/root/exhaust.py", EXHAUST.as_bytes(), None).await.unwrap();
    for kind in KINDS {
        let line = format!(
            "setsid python3 /root/exhaust.py {kind} 200000 > /root/{kind} 2>&1 & until test -s /root/{kind}; do sleep 0.05; done"
        );
        sandbox.session(&line, 60 * common::SECOND, Default::default()).await.unwrap();
    }
}

/// One of each kind, in a box: nothing of it is refused.
async fn gets_some(sandbox: &EmbeddedSandbox) {
    sandbox.write("/root/exhaust.py", EXHAUST.as_bytes(), None).await.unwrap();
    for kind in KINDS {
        assert_eq!(out(sandbox, &format!("python3 /root/exhaust.py {kind} 2")).await, "2 0\n", "{kind}");
    }
}

fn boxes_have_users_of_their_own(world: &World) -> bool {
    world.host.users().contains("every")
}

#[tokio::test]
async fn one_box_cannot_stop_the_others_or_the_host() {
    let world = world().await;
    let (greedy, old) = (world.start().await, world.start().await);
    exhaust(&greedy).await;
    let said =
        out(&greedy, "cd /root; for k in inotify in_flight signals queues; do echo $k $(cat $k); done").await;
    // Its supervisor needs nothing of it to answer, and neither does ours.
    assert_eq!(out(&greedy, "echo on").await, "on\n");
    greedy.snapshot(swegym_sandbox::Extent::Image).await.unwrap();
    let new = world.start().await;
    for sandbox in [&old, &new] {
        assert_eq!(out(sandbox, "echo fine").await, "fine\n", "{said}");
    }
    if boxes_have_users_of_their_own(&world) {
        gets_some(&old).await;
        gets_some(&new).await;
    }
    // The host's own programs.
    let script = world.home.path().join("exhaust.py");
    std::fs::write(&script, EXHAUST).unwrap();
    for kind in KINDS {
        let done =
            swegym_sandbox::tool::run("python3", [script.to_str().unwrap(), kind, "2"], 20 * common::SECOND);
        assert_eq!(String::from_utf8_lossy(&done.unwrap()), "2 0\n", "{kind}: {said}");
    }
}

#[tokio::test]
async fn boxes_of_root_have_users_of_their_own_across_runs() {
    let (one, two) = (world().await, world().await);
    if !boxes_have_users_of_their_own(&one) {
        // An ordinary user has nobody else to be.
        assert_ne!(
            std::fs::metadata(one.home.path()).map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap(),
            0
        );
        return;
    }
    let boxes = [one.start().await, one.start().await, two.start().await, two.start().await];
    let mut users = Vec::new();
    for sandbox in &boxes {
        let marker = format!("user-{}", users.len());
        let line = format!("exec -a {marker} sleep 30");
        let running = sandbox.exec(Command::new(["bash", "-c", &line], common::SECOND / 2));
        let (_, user) = tokio::join!(running, async {
            tokio::time::sleep(common::SECOND / 4).await;
            user_of(&marker)
        });
        users.push(user);
    }
    let different: std::collections::HashSet<_> = users.iter().collect();
    assert_eq!(different.len(), 4, "{users:?}");
    assert!(users.iter().all(|user| *user != 0));
    // What lies in layers is each box's own all the same.
    for sandbox in &boxes {
        let own = "stat -c %u:%g /etc/passwd /; echo x >> /etc/passwd && rm /etc/hosts && echo ok";
        assert_eq!(out(sandbox, own).await, "0:0\n0:0\nok\n");
    }
}

/// The user of the process that calls itself this, as the host sees it.
fn user_of(marker: &str) -> u32 {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let found = all.into_iter().find(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.starts_with(marker.as_bytes()))
    });
    let status = std::fs::read_to_string(found.unwrap().path().join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    common::again_as_an_ordinary_user("the_same_holds_for_an_ordinary_user");
}
