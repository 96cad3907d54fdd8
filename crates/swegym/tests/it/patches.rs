//! The patch of every step, where it is taken the short way, is the one that git
//! gives for an index made anew; where it is drafted, it makes the same tree, and
//! is mostly the same to the letter.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use swegym_agent::changes::Changes;
use swegym_agent::patch::{Ground, PatchTaker};
use swegym_sandbox::base::Base;
use swegym_sandbox::{Command, EmbeddedSandbox, Extent, Host, Image, Sandbox as _, Store};

/// What an agent may do to a repository, as lines for bash; `N` is a number
/// that no line before had, as wide as the others.
const DEEDS: [&str; 31] = [
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
    "rm -f /tmp/.swegym/index /tmp/index; echo N > other-N.txt",
    "git config diff.context 0; git config diff.interHunkContext 20; git config diff.algorithm patience; \
     git config diff.suppressBlankEmpty true; git config diff.noprefix true; git config diff.indentHeuristic false; \
     echo N > new-N.txt",
    // What agents mostly do.
    "sed -i \"$((N % 90 + 1))s/^/    x = 'N'\\n/\" mod.py",
    "sed -i \"$((N % 90 + 1))d\" mod.py",
    "sed -i \"$((N % 90 + 1)),$((N % 90 + 9))s/result/total/\" mod.py",
    "sed -i \"$((N % 80 + 1)){h;s/.*/# N/;G}\" mod.py; tail -c +2 dir/b.txt > t; cat t > dir/b.txt; rm t",
    "printf '\\n\\ndef more_N(a):\\n    return a\\n' >> mod.py",
    "printf N >> mod.py",
    "git show HEAD:mod.py > mod.py",
    "printf 'a\\r\\nN\\n' >> dir/b.txt",
    "printf 'a\\000-N' >> a.txt",
    "truncate -s 0 a.txt",
];

async fn line(sandbox: &EmbeddedSandbox, text: &str) -> String {
    let command = Command::shell(text, Duration::from_secs(60)).in_folder("/work");
    sandbox.exec(command).await.unwrap().output.stdout_text()
}

/// An image with a repository at `/work`.
struct Repository {
    _home: tempfile::TempDir,
    host: Host,
    image: Image,
    /// The commit that it is at.
    base: String,
}

impl Repository {
    async fn start_box(&self) -> EmbeddedSandbox {
        self.host.start_box(&self.image, &Default::default()).await.unwrap()
    }
}

async fn make_repository() -> Repository {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_swegym"));
    let host = Host::start(store, program, &["__keeper"]).await.unwrap();
    let image = Image::new(Base::host(host.store()).unwrap());
    let sandbox = host.start_box(&image, &Default::default()).await.unwrap();
    sandbox.write("/work/run.sh", b"s\n", Some(0o755)).await.unwrap();
    let function = |i: u32| {
        format!(
            "def part_{i}(rows):\n    result = []\n    for row in rows:\n        result.append(row)\n\n    return result\n\n\n"
        )
    };
    let module: String = (0..14).map(function).collect();
    sandbox.write("/work/mod.py", module.as_bytes(), None).await.unwrap();
    let make = "git init -q . && mkdir dir && echo 12345 > a.txt && echo b > dir/b.txt && printf 00000 > same.txt \
        && printf 'caf\\351\\n' > latin.txt && echo kept > kept.log && git add -A \
        && git -c user.name=a -c user.email=a@b commit -qm base && git rev-parse HEAD";
    let base = line(&sandbox, make).await.trim().to_owned();
    let image = image.with_layer(sandbox.snapshot(Extent::Image).await.unwrap());
    sandbox.stop().await.unwrap();
    Repository { _home: home, host, image, base }
}

/// The patch after a deed.
async fn take(sandbox: &EmbeddedSandbox, taker: &mut PatchTaker, deed: &str, before: &str) -> String {
    line(sandbox, deed).await;
    let changes = Changes::look(sandbox, "/work").await.unwrap();
    taker.take(sandbox, &changes, before).await.unwrap().unwrap()
}

/// As an attempt begins in a fresh box.
async fn begin(sandbox: &EmbeddedSandbox, base: &str, ground: Arc<Ground>) -> PatchTaker {
    let mut taker = PatchTaker::new("/work", base, false, ground);
    taker.prepare(sandbox, true).await.unwrap().unwrap();
    taker.begin(&Changes::look(sandbox, "/work").await.unwrap());
    taker
}

#[tokio::test]
async fn files_too_large_for_a_patch_take_no_room_and_do_not_spoil_it() {
    let repository = make_repository().await;
    let sandbox = repository.start_box().await;
    let mut taker = begin(&sandbox, &repository.base, Arc::default()).await;
    let mut patch = String::new();
    // The box's disk is one GiB.
    for step in 0..6 {
        let deed = format!("head -c 250000000 /dev/urandom > 'dir/co[re] 1' && echo {step} > a.txt");
        patch = take(&sandbox, &mut taker, &deed, &patch).await;
        assert!(patch.contains(&format!("\n+{step}\n")) && !patch.contains("co[re]"), "{patch}");
    }
    patch = take(&sandbox, &mut taker, "head -c 1000 /dev/zero > 'dir/co[re] 1'", &patch).await;
    assert!(patch.contains("co[re]"), "{patch}");
    patch =
        take(&sandbox, &mut taker, "head -c 250000000 /dev/urandom > 'dir/co[re] 1'; echo n > new", &patch)
            .await;
    assert!(!patch.contains("co[re]") && patch.contains("b/new"), "{patch}");
    assert!(line(&sandbox, "du -sm /tmp/.swegym | cut -f1").await.trim().parse::<u32>().unwrap() < 20);
}

/// All files of layers have the same time: in a restored box a changed file looks to git
/// like the one that it was, if it has the same size.
#[tokio::test]
async fn a_change_that_keeps_the_size_is_seen_in_a_box_that_is_restored() {
    let repository = make_repository().await;
    let ground = Arc::new(Ground::default());
    // The first attempt at an instance keeps what git noted of its files.
    let first = repository.start_box().await;
    begin(&first, &repository.base, Arc::clone(&ground)).await;
    let cut = repository.start_box().await;
    line(&cut, "printf 11111 > same.txt").await;
    let image = repository.image.with_layer(cut.snapshot(Extent::Image).await.unwrap());
    let restored = repository.host.start_box(&image, &Default::default()).await.unwrap();
    let mut taker = PatchTaker::new("/work", &repository.base, false, ground);
    taker.prepare(&restored, false).await.unwrap().unwrap();
    let patch = take(&restored, &mut taker, "true", "").await;
    assert!(patch.contains("+11111"), "{patch}");
    // Other rules of what is ignored make the index anew.
    let patch = take(&restored, &mut taker, "echo '*.log' > .gitignore", &patch).await;
    assert!(patch.contains("+11111") && patch.contains(".gitignore"), "{patch}");
}

#[tokio::test]
async fn the_short_way_gives_the_patch_of_the_long_one() {
    let repository = make_repository().await;
    let base = &repository.base;
    let ground = Arc::new(Ground::default());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
    let (mut drafts, mut others) = (0, 0);
    for attempt in 0..8 {
        let sandbox = repository.start_box().await;
        let mut taker = begin(&sandbox, base, Arc::clone(&ground)).await;
        let mut patch = String::new();
        for step in 0..40 {
            let first = if random.random_bool(0.6) { 21 } else { 0 };
            let deed = DEEDS[random.random_range(first..DEEDS.len())]
                .replace('N', &format!("{:05}", 10_000 + attempt * 40 + step));
            line(&sandbox, &deed).await;
            let changes = Changes::look(&sandbox, "/work").await.unwrap();
            patch = taker.take(&sandbox, &changes, &patch).await.unwrap().unwrap();
            let long = format!(
                "export GIT_INDEX_FILE=/tmp/index; git read-tree {base}; git add -A; git write-tree > /tmp/tree; \
                 echo 'latin.txt -diff' > /tmp/binary; git -c core.attributesFile=/tmp/binary -c diff.suppressBlankEmpty=false -c diff.noprefix=false \
                 diff --cached --binary --no-renames -U3 --inter-hunk-context=0 --diff-algorithm=myers --indent-heuristic {base}"
            );
            let long = line(&sandbox, &long).await;
            let place = format!("attempt {attempt}, step {step}: {deed}");
            if !taker.is_draft() {
                assert_eq!(patch, long, "{place}");
                continue;
            }
            drafts += 1;
            if random.random_bool(0.2) {
                let settled = taker.clone().take_by_git(&sandbox, &changes).await.unwrap().unwrap();
                assert_eq!(settled, long, "{place}");
            }
            others += usize::from(patch != long);
            sandbox.write("/tmp/patch", patch.as_bytes(), None).await.unwrap();
            let apply = format!(
                "export GIT_INDEX_FILE=/tmp/applied; git read-tree {base}; [ ! -s /tmp/patch ] || git apply --cached /tmp/patch; \
                 git write-tree | diff - /tmp/tree && echo same"
            );
            assert_eq!(line(&sandbox, &apply).await, "same\n", "{place}\n{patch}");
        }
        sandbox.stop().await.unwrap();
    }
    assert!(drafts > 40 && others * 20 < drafts, "{others} of {drafts} drafts are not git's to the letter");
}

#[tokio::test]
async fn the_answer_has_a_file_of_the_commit_that_came_back_where_names_are_ignored() {
    let repository = make_repository().await;
    let base = &repository.base;
    let sandbox = repository.start_box().await;
    let mut taker = begin(&sandbox, base, Arc::default()).await;
    let mut patch = String::new();
    for deed in ["echo '*.log' > .gitignore; rm kept.log", "echo again > kept.log; echo no > other.log"] {
        patch = take(&sandbox, &mut taker, deed, &patch).await;
    }
    assert!(patch.contains("-kept\n+again\n") && !patch.contains("other.log"), "{patch}");
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn the_answer_has_what_comes_back_to_a_folder_made_anew() {
    let repository = make_repository().await;
    let base = &repository.base;
    let ground = Arc::new(Ground::default());
    for _ in 0..2 {
        let sandbox = repository.start_box().await;
        let mut taker = begin(&sandbox, base, Arc::clone(&ground)).await;
        let mut patch = String::new();
        for deed in [
            "echo one >> dir/b.txt",
            "rm -rf dir; mkdir dir",
            "echo two >> dir/b.txt",
            "echo three >> dir/b.txt",
        ] {
            patch = take(&sandbox, &mut taker, deed, &patch).await;
        }
        let changes = Changes::look(&sandbox, "/work").await.unwrap();
        assert_eq!(taker.take_by_git(&sandbox, &changes).await.unwrap().unwrap(), patch);
        assert!(patch.contains("-b\n+two\n+three\n"), "{patch}");
        sandbox.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_answer_has_nothing_that_the_agent_made_and_then_had_git_ignore() {
    let repository = make_repository().await;
    let base = &repository.base;
    let sandbox = repository.start_box().await;
    let mut taker = begin(&sandbox, base, Arc::default()).await;
    let mut patches = vec![String::new()];
    for deed in [
        "mkdir out; for i in 1 2 3; do echo $i > out/$i.txt; done; echo w > wanted.txt; echo x >> kept.log",
        "printf 'out/\\n*.log\\n' > .gitignore",
        "rm .gitignore",
    ] {
        patches.push(take(&sandbox, &mut taker, deed, patches.last().unwrap()).await);
    }
    let has = |patch: &str, name: &str| patch.contains(&format!(" b/{name}\n"));
    for (patch, ignores) in [(&patches[1], false), (&patches[2], true), (&patches[3], false)] {
        assert_eq!(has(patch, "out/2.txt"), !ignores, "{patch}");
        assert!(has(patch, "wanted.txt") && has(patch, "kept.log"), "{patch}");
    }
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_taken_up_does_not_believe_the_agents_index() {
    let repository = make_repository().await;
    let base = &repository.base;
    let sandbox = repository.start_box().await;
    let deeds = "git update-index --assume-unchanged a.txt; git update-index --skip-worktree mod.py; \
        echo changed > a.txt; echo changed > mod.py; echo '*.log' > .git/info/exclude; echo x > x.log; git add -f x.log";
    line(&sandbox, deeds).await;
    let mut taker = PatchTaker::new("/work", base, false, Arc::default());
    taker.prepare(&sandbox, false).await.unwrap().unwrap();
    let patch = take(&sandbox, &mut taker, "true", "").await;
    assert!(patch.contains("b/a.txt") && patch.contains("b/mod.py") && !patch.contains("x.log"), "{patch}");
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_partial_clone_does_not_have_is_not_deleted() {
    let repository = make_repository().await;
    let base = &repository.base;
    let cut = repository.start_box().await;
    let deeds = "blob=$(git rev-parse HEAD:dir/b.txt); rm dir/b.txt .git/objects/$(echo $blob | sed 's|^..|&/|'); \
        printf '/*\n!/dir/b.txt\n!/a.txt\n' > .git/info/sparse-checkout; git config core.sparseCheckout true; \
        git config core.repositoryFormatVersion 1; git config extensions.partialClone nowhere; \
        git update-index --skip-worktree dir/b.txt; git status --porcelain";
    assert_eq!(line(&cut, deeds).await, "");
    let image = repository.image.with_layer(cut.snapshot(Extent::Image).await.unwrap());
    for is_fresh in [true, false] {
        let sandbox = repository.host.start_box(&image, &Default::default()).await.unwrap();
        let mut taker = PatchTaker::new("/work", base, false, Arc::default());
        taker.prepare(&sandbox, is_fresh).await.unwrap().unwrap();
        // What is there counts, whatever the list says.
        let mut patch = take(&sandbox, &mut taker, "echo new > a.txt; echo c > dir/c.txt", "").await;
        assert!(patch.contains("b/a.txt") && patch.contains("b/dir/c.txt"), "{patch}");
        for deed in [
            "git stash -q -u; git stash pop -q",
            "git add -A; git -c user.name=a -c user.email=a@b commit -qm x",
        ] {
            let now = take(&sandbox, &mut taker, deed, &patch).await;
            assert_eq!(now, patch, "{deed}");
            patch = now;
        }
        assert!(!patch.contains("b.txt"), "{patch}");
        // What an agent does to the list changes nothing.
        let deed = "echo '!/nowhere' >> .git/info/sparse-checkout; rm .git/info/sparse-checkout; \
                    git config --unset extensions.partialClone; echo d > dir/d.txt";
        let now = take(&sandbox, &mut taker, deed, &patch).await;
        assert!(now.contains("b/dir/d.txt") && !now.contains("dir/b.txt"), "{now}");
        // Nor can a patch write what it cannot take away.
        line(&sandbox, "echo other > dir/b.txt").await;
        let changes = Changes::look(&sandbox, "/work").await.unwrap();
        let refusal = taker.take_by_git(&sandbox, &changes).await.unwrap().unwrap_err();
        assert!(refusal.0.contains("`dir/b.txt` was written"), "{refusal:?}");
        sandbox.stop().await.unwrap();
    }
}
