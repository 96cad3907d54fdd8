//! Datasets: what is read, what a conversion keeps, and what it says of the rest.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{Gym, rows};

const ID: &str = "pallets__flask-1";

/// A home with the inputs of the kind.
fn gym() -> Gym {
    let gym = Gym::new();
    copy(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases/datasets"), gym.folder.path());
    gym
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn said(gym: &Gym, arguments: &[&str]) -> Value {
    serde_json::from_str(&gym.must(&[arguments, &["--json"]].concat())).unwrap()
}

fn one(gym: &Gym) -> Value {
    rows(&gym.read("01-one.jsonl")).remove(0)
}

/// What a conversion said of a field.
fn change(done: &Value, field: &str) -> Option<String> {
    let losses = done["losses"].as_array().unwrap();
    let loss = losses.iter().find(|loss| loss["field"] == field)?;
    Some(loss["why"].as_str().unwrap().to_owned())
}

const SHAPES: [&str; 7] =
    ["swe-bench", "swe-gym", "swe-rebench", "swe-smith", "r2e", "multi-swe-bench", "nemo"];

#[test]
fn what_a_conversion_writes_is_read_after_any_detour() {
    let gym = gym();
    gym.must(&["dataset", "convert", "01-one.jsonl", "multi.jsonl", "--to", "multi-swe-bench"]);
    gym.must(&["dataset", "convert", "multi.jsonl", "back.jsonl", "--to", "swe-bench"]);
    let back = rows(&gym.read("back.jsonl")).remove(0);
    assert_eq!((&back["instance_id"], &back["repo"]), (&json!(ID), &json!("pallets/flask")));
    gym.must(&["dataset", "convert", "back.jsonl", "again.jsonl"]);
    assert_eq!(gym.read("back.jsonl"), gym.read("again.jsonl"));
    for detour in SHAPES.into_iter().chain(["harbor", "swe-bench-tasks"]) {
        let there = format!("there-{detour}");
        let flags: &[&str] = if SHAPES.contains(&detour) { &["--file", "jsonl"] } else { &[] };
        gym.must(&[&["dataset", "convert", "01-one.jsonl", &there, "--to", detour], flags].concat());
        for shape in SHAPES {
            for kind in ["jsonl", "parquet"] {
                let out = format!("{detour}-{shape}.{kind}");
                let done = said(&gym, &["dataset", "convert", &there, &out, "--to", shape]);
                assert_eq!((&done["instances"], &done["unreadable"]), (&json!(1), &json!(0)), "{out}");
                assert_ne!(
                    change(&done, "instance_id").as_deref(),
                    Some("the row cannot be read again"),
                    "{out}"
                );
                let stats = said(&gym, &["dataset", "stats", &out]);
                assert_eq!(stats["all"]["instances"], 1, "{out}");
            }
        }
        // Twice in the same format is the same.
        let (once, twice) = (format!("{detour}-swe-bench.jsonl"), format!("{detour}-twice.jsonl"));
        let done = said(&gym, &["dataset", "convert", &once, &twice]);
        assert_eq!((&done["losses"], gym.read(&once)), (&json!([]), gym.read(&twice)), "{detour}");
    }
}

#[test]
fn every_layout_of_rows_is_read() {
    let gym = gym();
    let row = |n: usize| {
        let mut row = one(&gym);
        row["instance_id"] = json!(format!("pallets__flask-{n}"));
        row
    };
    let map = json!({"pallets__flask-1": row(1), "pallets__flask-2": row(2)});
    let mut bare = map.clone();
    for n in ["pallets__flask-1", "pallets__flask-2"] {
        bare[n].as_object_mut().unwrap().remove("instance_id");
    }
    let utf16: Vec<u8> =
        format!("\u{feff}{}\r\n{}\r\n", row(1), row(2)).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let layouts: Vec<(&str, Vec<u8>)> = vec![
        ("pretty.json", format!("{:#}\n{:#}\n", row(1), row(2)).into_bytes()),
        ("joined.json", format!("{}{}", row(1), row(2)).into_bytes()),
        ("joined-pretty.json", format!("{:#}{:#}", row(1), row(2)).into_bytes()),
        ("split.json", json!({"train": [row(1)], "test": [row(2)]}).to_string().into_bytes()),
        ("split-pretty.json", format!("{:#}", json!({"train": [row(1), row(2)]})).into_bytes()),
        ("map.json", map.to_string().into_bytes()),
        ("map-pretty.json", format!("{bare:#}").into_bytes()),
        ("bare.json", bare.to_string().into_bytes()),
        ("named.json", format!("{:#}", json!({"version": 1, "instances": [row(1), row(2)]})).into_bytes()),
        ("viewer.json", json!({"features": [{"name": "repo"}], "rows": [{"row_idx": 0, "row": row(1)}, {"row_idx": 1, "row": row(2)}]}).to_string().into_bytes()),
        ("mark.json", format!("\u{feff}[{}, {}]", row(1), row(2)).into_bytes()),
        ("utf16.jsonl", utf16),
        ("verl.jsonl", format!("{}\n{}\n", json!({"data_source": "x", "prompt": [], "extra_info": row(1)}), json!({"data_source": "x", "extra_info": {"index": 1, "instance": row(2).to_string()}})).into_bytes()),
        ("verl-text.jsonl", format!("{}\n{}\n", json!({"prompt": [], "reward_model": {"style": "rule", "ground_truth": row(1).to_string()}}), json!({"prompt": [], "extra_info": row(2).to_string()})).into_bytes()),
    ];
    gym.write("right.jsonl", &format!("{}\n{}\n", row(1), row(2)));
    for (name, bytes) in layouts {
        fs::write(gym.path(name), bytes).unwrap();
        gym.must(&["dataset", "convert", name, "out.jsonl"]);
        let read = said(&gym, &["dataset", "diff", "right.jsonl", "out.jsonl"]);
        let known = |fields: &Value| {
            fields.as_object().unwrap().keys().filter(|f| one(&gym).get(*f).is_some()).count()
        };
        assert_eq!(
            (&read["added"], &read["removed"], known(&read["fields"])),
            (&json!([]), &json!([]), 0),
            "{name}: {read}"
        );
    }
    assert_eq!(said(&gym, &["dataset", "stats", "02-single-pretty.json"])["all"]["instances"], 1);
    // Evaluations read files whole; theirs are the same layouts.
    gym.write("pair.json", &format!("{:#}{:#}", row(1), row(1)));
    let output = gym.run(&["validate", "--instances", "pair.json", "--out", "never"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("pair.json:14: duplicate id `pallets__flask-1`, first seen on line 1"), "{told}");
}

#[test]
fn a_folder_of_tasks_names_an_id_that_two_rows_have() {
    let gym = gym();
    for to in ["harbor", "swe-bench-tasks"] {
        let output = gym.run(&["dataset", "convert", "03-duplicate-id.jsonl", "out", "--to", to]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        let both =
            "`pallets__flask-1` is the id of two rows, 03-duplicate-id.jsonl:1 and 03-duplicate-id.jsonl:2";
        assert!(told.contains(both) && told.contains("\nhint: "), "{told}");
        assert!(!gym.path("out").exists());
    }
    gym.must(&["dataset", "convert", "03-duplicate-id.jsonl", "both.jsonl"]);
    assert_eq!(rows(&gym.read("both.jsonl")).len(), 2);
}

#[test]
fn a_conversion_without_a_row_leaves_the_file_that_is_there() {
    let gym = gym();
    gym.write("empty.jsonl", "\n");
    for out in ["out.jsonl", "out.json", "out.parquet", "out.arrow"] {
        for from in ["04-predictions.jsonl", "empty.jsonl"] {
            gym.write(out, "what was there");
            let output = gym.run(&["dataset", "convert", from, out]);
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(12), "{told}");
            assert!(told.contains(&format!("no row of `{from}` can be read")), "{told}");
            assert_eq!(gym.read(out), "what was there");
            assert!(!gym.path(&format!("{out}.partial")).exists());
        }
    }
    gym.write("lite.jsonl", "what was there");
    gym.write("lite.dropped.jsonl", "this, too");
    gym.run(&["dataset", "lite", "04-predictions.jsonl", "--out", "lite.jsonl"]);
    assert_eq!(
        (gym.read("lite.jsonl"), gym.read("lite.dropped.jsonl")),
        ("what was there".into(), "this, too".into())
    );
    for folder in ["harbor", "swe-bench-tasks"] {
        gym.run(&["dataset", "convert", "04-predictions.jsonl", "never", "--to", folder]);
        assert!(!gym.path("never").exists(), "{folder}");
    }
}

#[test]
fn a_harbor_task_says_field_by_field_what_its_configuration_does_not() {
    let gym = gym();
    gym.must(&["dataset", "convert", "10-harbor-partial-config/group", "out.jsonl"]);
    let (row, right) = (rows(&gym.read("out.jsonl")).remove(0), one(&gym));
    for field in ["instance_id", "repo", "base_commit", "patch"] {
        assert_eq!(row[field], right[field], "{field}");
    }
    assert_eq!(row["problem_statement"].as_str().map(str::trim_end), right["problem_statement"].as_str());
    assert_eq!((&row["FAIL_TO_PASS"], &row["image"]), (&json!("[\"t::a\"]"), &json!("python:3.11")));
}

#[test]
fn columns_of_any_type_and_compression_are_read() {
    let gym = gym();
    for name in ["11-brotli.parquet", "11-created-at-utc.parquet"] {
        gym.must(&["dataset", "convert", name, "out.jsonl"]);
        let row = rows(&gym.read("out.jsonl")).remove(0);
        assert_eq!(row["instance_id"], ID, "{name}");
        if name.contains("utc") {
            let at = row["created_at"].as_str().unwrap();
            assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
        }
    }
}

#[test]
fn a_number_that_is_none_costs_its_column() {
    let gym = gym();
    let mut row = one(&gym);
    (row["stars"], row["share"]) = (json!("A"), json!(["A", 1]));
    let text = row.to_string().replace("\"stars\":\"A\"", "\"stars\":NaN").replace("\"A\"", "-Infinity");
    gym.write("nan.jsonl", &format!("{text}\n"));
    gym.must(&["dataset", "convert", "nan.jsonl", "out.jsonl"]);
    let read = rows(&gym.read("out.jsonl")).remove(0);
    assert_eq!(
        (&read["stars"], &read["share"], &read["instance_id"]),
        (&Value::Null, &json!([null, 1]), &json!(ID))
    );
}

#[test]
fn every_change_of_a_round_trip_is_told() {
    let gym = gym();
    let with = |changes: &[(&str, Value)]| {
        let mut row = one(&gym);
        for (field, value) in changes {
            row[*field] = value.clone();
        }
        row
    };
    let convert = |rows: &[Value], to: &str, kind: &str| {
        gym.write("in.jsonl", &rows.iter().map(|row| format!("{row}\n")).collect::<String>());
        said(&gym, &["dataset", "convert", "in.jsonl", &format!("out.{kind}"), "--to", to])
    };
    let statement = convert(&[with(&[])], "multi-swe-bench", "jsonl");
    assert!(change(&statement, "problem_statement").is_some(), "{statement}");
    let twice = with(&[("PASS_TO_PASS", json!(["t::b", "t::b", "t::c"]))]);
    let done = convert(std::slice::from_ref(&twice), "multi-swe-bench", "jsonl");
    assert_eq!(
        change(&done, "PASS_TO_PASS").as_deref(),
        Some("names that stood there twice stand there once")
    );
    assert_eq!(change(&convert(&[twice], "swe-gym", "jsonl"), "PASS_TO_PASS"), None);
    let mixed =
        [with(&[("stars", json!(3))]), with(&[("instance_id", json!("b-1")), ("stars", json!("many"))])];
    let done = convert(&mixed, "swe-bench", "parquet");
    assert_eq!(change(&done, "stars").as_deref(), Some("a number or a truth becomes text"));
    assert_eq!(done["losses"][0]["instances"], 1);
    assert_eq!(convert(&mixed, "swe-bench", "jsonl")["losses"], json!([]));
    let lists =
        [with(&[("more", json!([1]))]), with(&[("instance_id", json!("b-1")), ("more", json!({"a": 1}))])];
    assert!(change(&convert(&lists, "swe-bench", "parquet"), "more").is_some());
    let empty = with(&[("more", json!({})), ("none", json!([]))]);
    assert!(change(&convert(&[empty], "swe-bench", "parquet"), "more").is_some());
    let large = with(&[("stars", json!(u64::MAX))]);
    assert!(change(&convert(&[large], "swe-bench", "parquet"), "stars").is_some());
    for folder in ["swe-bench-tasks", "harbor"] {
        gym.write("in.jsonl", &format!("{}\n", with(&[("version", json!(3.5))])));
        let done =
            said(&gym, &["dataset", "convert", "in.jsonl", &format!("folder-{folder}"), "--to", folder]);
        let again = said(&gym, &["dataset", "diff", "in.jsonl", &format!("folder-{folder}")]);
        let told: Vec<_> =
            done["losses"].as_array().unwrap().iter().map(|l| l["field"].as_str().unwrap()).collect();
        for field in again["fields"].as_object().unwrap().keys() {
            let known = with(&[("version", json!(3.5))]);
            assert!(
                known.get(field).is_none() || told.contains(&field.as_str()),
                "{folder}: {field} {told:?}"
            );
        }
    }
}
