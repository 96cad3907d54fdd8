//! A history with pull requests of every kind, mined whole.

mod common;

use swegym_core::Instance;
use swegym_mine::{
    Against, Found, Known, MineError, Repository, Rules, Source, Split, Texts, export, survey,
};
use swegym_sandbox::tool;

use common::{Forge, PATIENCE};

trait Mine {
    fn mine(&self, rules: &Rules) -> (Vec<Instance>, Vec<String>);
}

impl Mine for Forge {
    fn mine(&self, rules: &Rules) -> (Vec<Instance>, Vec<String>) {
        mine(&self.path().to_string_lossy(), rules)
    }
}

fn rules() -> Rules {
    Rules { branch: None, split: Split::Kinds, statements: Source::ALL.to_vec(), against: Against::default() }
}

/// The instances, and a line for each of the others.
fn mine(given: &str, rules: &Rules) -> (Vec<Instance>, Vec<String>) {
    let repository = Repository::open(given).unwrap();
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let funnel = survey::<MineError>(
        &repository,
        rules,
        &mut Texts::default(),
        |_| {},
        |found| {
            match found {
                Found::Kept(instance) => kept.push(*instance),
                Found::Dropped(one) => {
                    let name = match (one.pull, &one.commit) {
                        (Some(pull), _) => format!("#{pull}"),
                        (None, commit) => commit.as_ref().map(|id| id[..7].to_owned()).unwrap_or_default(),
                    };
                    dropped.push(format!("{name} {} {}", one.reason.code(), one.detail.unwrap_or_default()));
                }
            }
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(funnel.kept(), kept.len());
    (kept, dropped)
}

fn find<'a>(kept: &'a [Instance], id: &str) -> &'a Instance {
    kept.iter().find(|one| one.instance_id.as_str() == id).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn every_kind_of_pull_request_is_known() {
    let forge = Forge::make();
    let (kept, dropped) = forge.mine(&rules());
    let line = |one: &Instance| {
        let said = &one.extra;
        format!(
            "{} {} {} {} {:?}",
            one.instance_id,
            said["landing_found_by"].as_str().unwrap(),
            said["statement_source"].as_str().unwrap(),
            one.version,
            one.problem_statement.lines().next().unwrap_or_default()
        )
    };
    let kept: Vec<String> = kept.iter().map(line).collect();
    insta::assert_snapshot!(format!("{}\n\n{}", kept.join("\n"), dropped.join("\n")));
}

#[test]
fn patches_apply_to_their_base_and_give_the_pull_request() {
    let forge = Forge::make();
    let (kept, _) = forge.mine(&rules());
    for instance in &kept {
        assert!(!instance.gold_patch.contains("\nindex ") && !instance.test_patch.contains("\nindex "));
        let left_out = instance.extra.contains_key("left_out");
        if left_out {
            continue;
        }
        forge.git(&["checkout", "-q", "--detach", &instance.base_commit]);
        for (name, patch) in [("gold", &instance.gold_patch), ("test", &instance.test_patch)] {
            let file = forge.folder.path().join(name);
            std::fs::write(&file, patch).unwrap();
            forge.git(&["apply", "--index", &file.to_string_lossy()]);
        }
        let head = instance.extra["head_commit"].as_str().unwrap();
        assert_eq!(forge.git(&["diff", "--cached", head]), "", "{}", instance.instance_id);
        forge.git(&["reset", "-q", "--hard"]);
    }
}

#[test]
fn the_original_rule_splits_by_parts_of_paths() {
    let forge = Forge::make();
    let (kept, dropped) = forge.mine(&Rules { split: Split::SweGym, ..rules() });
    // `latest.py` holds `test`.
    assert!(dropped.iter().any(|line| line.starts_with("#10 no_source")), "{dropped:?}");
    let diff = forge.git(&["diff", "main~1...refs/pull/22/head", "--", "tests"]);
    let plain: String = diff.lines().filter(|l| !l.starts_with("index ")).map(|l| format!("{l}\n")).collect();
    assert_eq!(find(&kept, "owner__name-22").test_patch, plain);
}

#[test]
fn bare_mirrors_shallow_clones_and_other_branches_are_mined() {
    let forge = Forge::make();
    let here = |name: &str| forge.folder.path().join(name).to_string_lossy().into_owned();
    forge.git(&["clone", "-q", "--mirror", ".", &here("mirror.git")]);
    let named = format!("owner/name={}", here("mirror.git"));
    let (bare, _) = mine(&named, &rules());
    let (kept, _) = forge.mine(&rules());
    assert_eq!(bare, kept);
    // A folder's own name says nothing.
    assert!(matches!(Repository::open(&here("mirror.git")), Err(MineError::Nameless { .. })));
    assert!(matches!(Repository::open(&here("nowhere")), Err(MineError::NoRepository { .. })));

    let (stable, _) = forge.mine(&Rules { branch: Some("stable".to_owned()), ..rules() });
    assert!(stable.iter().any(|one| one.instance_id.as_str() == "owner__name-5"));
    let none = Rules { branch: Some("nowhere".to_owned()), ..rules() };
    let repository = Repository::open(&named).unwrap();
    let said = survey::<MineError>(&repository, &none, &mut Texts::default(), |_| {}, |_| Ok(()));
    assert!(matches!(said, Err(MineError::NoBranch { .. })), "{said:?}");

    // Without pull requests, a landing is all that there is of one.
    forge.git(&["clone", "-q", "--branch", "main", ".", &here("plain")]);
    let (plain, _) = mine(&format!("owner/name={}", here("plain")), &rules());
    let landed = find(&plain, "owner__name-1");
    assert_eq!(landed.extra["head_commit"], landed.extra["landing_commit"]);
    assert_eq!(landed.gold_patch, find(&kept, "owner__name-1").gold_patch);

    let source = format!("file://{}", forge.path().display());
    forge.git(&["clone", "-q", "--depth", "3", &source, &here("shallow")]);
    let (shallow, dropped) = mine(&format!("owner/name={}", here("shallow")), &rules());
    assert!(shallow.len() < kept.len() && !dropped.is_empty());
}

#[test]
fn one_commit_becomes_a_repository_without_history() {
    let forge = Forge::make();
    let repository = Repository::open(&forge.path().to_string_lossy()).unwrap();
    let commit = forge.git(&["rev-parse", "main~3"]).trim().to_owned();
    let place = |name: &str| forge.folder.path().join(name);
    export(&repository, &commit, &place("one")).unwrap();
    let here = |words: &[&str]| {
        let folder = place("one").to_string_lossy().into_owned();
        let line = ["-C", &folder].into_iter().chain(words.iter().copied());
        String::from_utf8(tool::run("git", line, PATIENCE).unwrap()).unwrap().trim().to_owned()
    };
    assert_eq!(here(&["rev-parse", "HEAD"]), commit);
    assert_eq!(here(&["rev-list", "--all", "--count"]), "1");
    assert_eq!(here(&["status", "--porcelain"]), "");
    assert_eq!(here(&["fsck", "--no-progress"]), "");
    assert_eq!(here(&["rev-parse", "HEAD^{tree}"]), forge.git(&["rev-parse", "main~3^{tree}"]).trim());
    // Nothing of what came before or after is there.
    let objects = here(&["count-objects", "-v"]);
    let files = forge.git(&["ls-tree", "-r", "-t", "main~3"]);
    let distinct: std::collections::HashSet<_> =
        files.lines().filter_map(|l| l.split_whitespace().nth(2)).collect();
    assert!(objects.contains(&format!("count: {}\n", distinct.len() + 2)), "{objects} {}", distinct.len());
    // The same from a copy that packs its objects in another way.
    forge.git(&["gc", "-q", "--aggressive"]);
    export(&repository, &commit, &place("two")).unwrap();
    let diff = ["-r", &place("one").to_string_lossy(), &place("two").to_string_lossy()].map(str::to_owned);
    tool::run("diff", diff.iter().map(String::as_str).chain(["--exclude=index"]), PATIENCE).unwrap();
    let nowhere = "0".repeat(40);
    assert!(export(&repository, &nowhere, &place("three")).is_err());
}

#[test]
fn missing_objects_cost_what_needs_them() {
    let forge = Forge::make();
    let (kept, _) = forge.mine(&rules());
    // The contents of one file, which only the third pull request changes.
    let blob = forge.git(&["rev-parse", "refs/pull/3/head:pkg/three.py"]);
    let (folder, name) = blob.trim().split_at(2);
    std::fs::remove_file(forge.path().join(".git/objects").join(folder).join(name)).unwrap();
    let (rest, dropped) = forge.mine(&rules());
    let lost: Vec<_> =
        kept.iter().filter(|one| !rest.contains(one)).map(|one| one.instance_id.as_str()).collect();
    assert_eq!(lost, ["owner__name-3"]);
    assert!(dropped.iter().any(|line| line.starts_with("#3 unreadable_diff")), "{dropped:?}");
}

#[test]
fn settings_of_a_repository_start_nothing() {
    let forge = Forge::make();
    let mark = forge.folder.path().join("started");
    let touch = format!("touch {}", mark.display());
    for (name, value) in [
        ("core.fsmonitor", touch.as_str()),
        ("diff.external", &touch),
        ("diff.x.textconv", &touch),
        ("gpg.program", &touch),
        ("log.showSignature", "true"),
        ("core.pager", &touch),
        ("diff.noprefix", "true"),
        ("diff.algorithm", "patience"),
        ("diff.renames", "false"),
    ] {
        forge.git(&["config", name, value]);
    }
    std::fs::write(forge.path().join(".git/info/attributes"), "*.py diff=x\n").unwrap();
    let (with_settings, _) = forge.mine(&rules());
    assert!(!mark.exists(), "a program of the repository's settings was started");
    assert_eq!(with_settings, Forge::make().mine(&rules()).0);
}

#[test]
fn instances_of_other_datasets_are_left_out() {
    let forge = Forge::make();
    let (kept, _) = forge.mine(&rules());
    let mut against = Against::default();
    let same = find(&kept, "owner__name-1");
    against.add(Known {
        id: "else__where-9".to_owned(),
        repo: "owner/name".to_owned(),
        base_commit: same.base_commit.clone(),
        patch: String::new(),
    });
    let (_, dropped) = forge.mine(&Rules { against, ..rules() });
    assert!(dropped.contains(&"#1 known_commit else__where-9".to_owned()), "{dropped:?}");
}

#[test]
fn only_accepted_statements_count() {
    let forge = Forge::make();
    let (kept, dropped) = forge.mine(&Rules { statements: vec![Source::News], ..rules() });
    assert_eq!(kept.len(), 1);
    assert!(kept[0].problem_statement.starts_with("Names that hold a blank"));
    assert!(dropped.iter().any(|line| line.starts_with("#1 no_statement")));
}
