//! Patches that were sent on badly: what a chain of git and GNU patch takes of
//! them is read here, too, and what is written anew makes the same tree.

use std::fs;
use std::path::Path;
use std::process::Command;

use rand::{Rng as _, SeedableRng as _};
use swegym_core::Patch;

/// What an author does to the project; `N` is another number each time.
const DEEDS: [&str; 8] = [
    "sed -i 's/^def part_3.*/&  # N/' mod.py",
    "sed -i '/return result/{x;s/^/x/;/^xx$/{x;s/result/result  # N/;x};x}' mod.py",
    "printf '\\n\\ndef more_N():\\n    return N\\n\\n\\n' >> mod.py",
    "sed -i '1i import os  # N' mod.py",
    "sed -i '$d' mod.py; printf '    return N' >> mod.py",
    "mkdir -p new && printf 'a\\n\\nN\\n\\n' > new/n-N.txt",
    "git rm -q --cached gone.txt; rm -f gone.txt",
    "sed -i 's/^$/\\n/;5s/$/ N/' notes.txt",
];

/// What becomes of a patch on its way.
fn maimed(text: &str, way: usize) -> String {
    let lines = |of: &dyn Fn(&str) -> String| text.lines().map(|line| of(line) + "\n").collect::<String>();
    match way {
        0 => text.to_owned(),
        1 => text.trim_end().to_owned(),
        2 => text.trim_end().to_owned() + "\n",
        3 => text.trim().to_owned() + "\n\n\n",
        4 => lines(&|line| line.trim_end().to_owned()),
        5 => lines(&|line| if line == " " { String::new() } else { line.to_owned() }),
        6 => {
            text.lines().filter(|line| !line.starts_with("index ")).map(|line| format!("{line}\n")).collect()
        }
        7 => format!("This is what I did:\n\n{text}\nThat is all.\n"),
        8 => lines(&|line| match line.strip_prefix("+++ ").or(line.strip_prefix("--- ")) {
            Some(name) if name != "/dev/null" => format!("{line}\t2020-01-01 00:00:00.000000000 +0000"),
            _ => line.to_owned(),
        }),
        9 => lines(&|line| match line.find(" @@ ") {
            Some(at) if line.starts_with("@@ ") => line[..at + 3].to_owned(),
            _ => line.to_owned(),
        }),
        10 => text.strip_suffix('\n').unwrap_or(text).to_owned(),
        _ => text.replace('\n', "\r\n"),
    }
}

const WAYS: usize = 12;

/// The way through CR LF, headers and all.
const CRLF: usize = 11;

#[expect(clippy::disallowed_methods, reason = "the other side are programs of this machine")]
fn bash(folder: &Path, script: &str) -> Option<Vec<u8>> {
    let output = Command::new("bash").args(["-c", script]).current_dir(folder).output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// The tree that the reference's ways of applying come to, the first that succeeds.
fn tree(folder: &Path, name: &str, text: &str) -> Option<Vec<u8>> {
    fs::write(folder.join(".git").join(name), text).unwrap();
    bash(
        folder,
        &format!(
            "export GIT_INDEX_FILE=$PWD/.git/other; patch=$PWD/.git/{name}; git read-tree HEAD
             git apply --cached $patch 2> /dev/null && exec git write-tree
             rm -rf .git/files && mkdir .git/files && git checkout-index -a --prefix=.git/files/ && cd .git/files \
             && patch --batch --forward --fuzz=5 --no-backup-if-mismatch -p1 -i $patch > /dev/null 2>&1 \
             && git --git-dir=.. --work-tree=. add -A . && git --git-dir=.. write-tree"
        ),
    )
}

#[test]
fn what_git_and_gnu_patch_take_of_a_maimed_patch_is_what_is_read() {
    let home = tempfile::tempdir().unwrap();
    let line = |text: &str| bash(home.path(), text).unwrap_or_else(|| panic!("{text}"));
    let part = |n: usize| {
        format!(
            "def part_{n}(rows):\n    result = []\n\n    for row in rows:\n        result.append(row)\n\n    return result\n\n\n"
        )
    };
    fs::write(home.path().join("mod.py"), (0..8).map(part).collect::<String>()).unwrap();
    fs::write(home.path().join("notes.txt"), "a\n\nb\n\nc\nd\n\n").unwrap();
    fs::write(home.path().join("gone.txt"), "a\n\n").unwrap();
    line("git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm base");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let (mut taken, mut same) = (0, 0);
    for round in 0..12 {
        line("git reset -q --hard; git clean -fdq");
        for step in 0..random.random_range(1..4) {
            let deed = DEEDS[random.random_range(0..DEEDS.len())]
                .replace('N', &format!("{}", 100 + round * 9 + step));
            line(&format!("{{ {deed}; }} 2> /dev/null; true"));
        }
        let Ok(text) = String::from_utf8(line("git add -A && git diff --cached")) else { continue };
        for way in (0..WAYS).filter(|_| !text.is_empty()) {
            let maimed = maimed(&text, way);
            let Some(right) = tree(home.path(), "maimed", &maimed) else { continue };
            taken += 1;
            // Lines that all got a CR on the way had none, those of a new file either.
            let right = if way == CRLF { tree(home.path(), "sent", &text).unwrap() } else { right };
            let read = Patch::parse(&maimed).unwrap_or_else(|e| panic!("way {way}: {e}: {maimed}"));
            let ours = tree(home.path(), "ours", &read.to_text());
            // GNU patch writes what a line lost on the way; what was written anew has it again.
            same += usize::from(ours.as_ref() == Some(&right));
            assert!(ours.is_some(), "way {way}: {maimed}\n->\n{}", read.to_text());
            if way != 4 {
                assert_eq!(ours, Some(right), "way {way}: {maimed}\n->\n{}", read.to_text());
            }
        }
    }
    assert!(taken > 80 && same * 10 > taken * 9, "{same} of {taken}");
}
