//! The patch of every step, taken the short way where names are known, is the
//! one that git gives for an index brought up to date before each.

use std::path::PathBuf;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use swegym_agent::changes::Changes;
use swegym_agent::patch::PatchTaker;
use swegym_sandbox::base::Base;
use swegym_sandbox::{Command, EmbeddedSandbox, Host, Image, Sandbox as _, Store};

/// What an agent may do to a repository, as lines for bash; `N` is a number
/// that no line before had, as wide as the others.
const DEEDS: [&str; 20] = [
    "echo N >> a.txt",
    "sed -i 's/[0-9]/7/' a.txt",
    "printf N > same.txt",
    "echo N > dir/b.txt",
    "rm -f a.txt",
    "echo N > a.txt",
    "rm -rf dir",
    "mkdir -p dir && echo N > dir/b.txt && echo N > dir/c.txt",
    "rm -rf dir; echo N > dir",
    "[ -f dir ] && rm dir",
    "echo N > new-N.txt",
    "chmod +x a.txt; chmod -x run.sh",
    "mv a.txt moved.txt",
    "ln -sfn a.txt link",
    "echo N > hidden.log",
    "echo '*.log' > .gitignore",
    "rm -f .gitignore",
    "printf 'caf\\351 N\\n' > latin.txt",
    "git add -A; git -c user.name=a -c user.email=a@b commit -qm N",
    "rm -f /tmp/.swegym/index /tmp/index",
];

async fn line(sandbox: &EmbeddedSandbox, text: &str) -> String {
    let command = Command::shell(text, Duration::from_secs(60)).in_folder("/work");
    sandbox.exec(command).await.unwrap().output.stdout_text()
}

#[tokio::test]
async fn the_short_way_gives_the_patch_of_the_long_one() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_swegym"));
    let host = Host::start(store, program, &["__keeper"]).await.unwrap();
    let image = Image::new(Base::host(host.store()).unwrap());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
    for attempt in 0..6 {
        let sandbox = host.start_box(&image, &Default::default()).await.unwrap();
        sandbox.write("/work/run.sh", b"s\n", Some(0o755)).await.unwrap();
        let make = "git init -q . && mkdir dir && echo 12345 > a.txt && echo b > dir/b.txt && printf 00000 > same.txt \
            && printf 'caf\\351\\n' > latin.txt && git add -A \
            && git -c user.name=a -c user.email=a@b commit -qm base && git rev-parse HEAD";
        let base = line(&sandbox, make).await.trim().to_owned();
        let mut taker = PatchTaker::new("/work", &base, false);
        taker.prepare(&sandbox).await.unwrap().unwrap();
        for step in 0..40 {
            let deed = DEEDS[random.random_range(0..DEEDS.len())]
                .replace('N', &format!("{:05}", attempt * 40 + step));
            line(&sandbox, &deed).await;
            let names = Changes::look(&sandbox, "/work").await.unwrap().names;
            let patch = taker.take(&sandbox, names).await.unwrap().unwrap();
            let long = format!(
                "export GIT_INDEX_FILE=/tmp/index; git add -A; \
                 echo 'latin.txt -diff' > /tmp/binary; git -c core.attributesFile=/tmp/binary \
                 diff --cached --binary --no-renames {base}"
            );
            assert_eq!(patch, line(&sandbox, &long).await, "attempt {attempt}, step {step}: {deed}");
        }
        sandbox.stop().await.unwrap();
    }
}
