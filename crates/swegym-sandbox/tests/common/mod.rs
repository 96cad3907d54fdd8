//! A host with a store of its own, and the host base.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses a part of this")]

use std::time::Duration;

use swegym_sandbox::base::Base;
use swegym_sandbox::{
    BoxSettings, Command, EmbeddedSandbox, Execution, Host, Image, Limits, Sandbox as _, Store,
};

pub const SECOND: Duration = Duration::from_secs(1);

pub struct World {
    pub host: Host,
    pub image: Image,
    pub home: tempfile::TempDir,
}

pub async fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let image = Image::new(Base::host(&store).unwrap());
    let host = Host::start(store, env!("CARGO_BIN_EXE_swegym-keeper").into(), &[]).await.unwrap();
    World { host, image, home }
}

impl World {
    pub async fn start(&self) -> EmbeddedSandbox {
        self.start_with(Limits::default()).await
    }

    pub async fn start_with(&self, limits: Limits) -> EmbeddedSandbox {
        let settings = BoxSettings { limits, ..BoxSettings::default() };
        self.host.start_box(&self.image, &settings).await.unwrap()
    }
}

pub async fn sh(sandbox: &EmbeddedSandbox, line: &str) -> Execution {
    sandbox.exec(Command::shell(line, 20 * SECOND)).await.unwrap()
}

pub async fn out(sandbox: &EmbeddedSandbox, line: &str) -> String {
    let done = sh(sandbox, line).await;
    done.output.combined_text()
}

/// Runs the tests of this program again as a user who is not root, may make no
/// control groups and has nobody else to be. Where this already is one, there is
/// nothing to repeat.
pub fn again_as_an_ordinary_user(but: &str) {
    if !std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0") {
        return;
    }
    // The program may lie where that user cannot go: its folder is shown to it in
    // mounts of our own.
    let script = r#"
set -e
folder=$1; program=$2; shift 2
mount --make-rprivate /
closed=; path=
for part in $(echo "$folder" | tr / ' '); do
    path=$path/$part
    case $(stat -c %A "$path") in *x|*t) ;; *) closed=$path; break;; esac
done
if [ -n "$closed" ]; then
    mkdir -p /tmp/shown-$$
    mount --bind "$folder" /tmp/shown-$$
    mount -t tmpfs -o mode=755 none "$closed"
    mkdir -p "$folder"
    mount --move /tmp/shown-$$ "$folder"
    rmdir /tmp/shown-$$
fi
exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent "$program" "$@"
"#;
    let program = std::env::current_exe().unwrap();
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_swegym-keeper")).parent().unwrap();
    let words = ["-m", "sh", "-c", script, "sh"].map(str::to_owned).into_iter();
    let words = words.chain([folder.display().to_string(), program.display().to_string()]);
    let words = words.chain(["--skip", but, "--test-threads", "2"].map(str::to_owned));
    #[expect(clippy::disallowed_methods, reason = "a test starts the program it is")]
    let done = std::process::Command::new("unshare").args(words).output().unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(done.status.success() && said.contains("test result: ok"), "{said}");
}
