//! Files of columns, byte by byte.

use std::fs;

use serde_json::{Map, Value, json};

use super::*;

/// Rows with values of every kind, and without.
fn rows() -> Vec<Map<String, Value>> {
    let row = |n: usize| {
        let many: Map<String, Value> = (0..70).map(|key| (format!("k{key}"), json!(n))).collect();
        let row = json!({
            "text": format!("a-{n} \"é\"\n"),
            "null": null,
            "bool": n.is_multiple_of(2),
            "integer": if n.is_multiple_of(5) { Value::Null } else { json!(i64::MIN + n as i64) },
            "number": if n.is_multiple_of(3) { json!(n) } else { json!(n as f64 / 7.0) },
            "large": if n.is_multiple_of(2) { json!(u64::MAX) } else { json!(-1) },
            "list": (0..n % 4).map(|k| if k == 2 { Value::Null } else { json!(format!("t::{k}")) }).collect::<Value>(),
            "lists": [[1, 2], [], null, [n]],
            "no_items": [],
            "record": {"a": n, "b": {"c": [true, null]}, "d": null},
            "records": if n.is_multiple_of(3) { json!([{"x": 1}, {"y": "z", "x": null}, null]) } else { Value::Null },
            "empty": {},
            "mixed": if n.is_multiple_of(2) { json!(n) } else { json!({"text": ["é"]}) },
            "mixed_in": [{"m": if n.is_multiple_of(2) { json!("s") } else { json!(1.5) }, "e": {}}],
            "mixed_list": if n.is_multiple_of(2) { json!([1]) } else { json!(["s", [2]]) },
            "many": many,
        });
        let mut row = row.as_object().unwrap().clone();
        if n % 7 == 3 {
            row.retain(|name, _| name == "text" || name.len() % 2 == 0);
        }
        if n > 100 {
            row.insert("late".into(), json!([{"n": n}]));
        }
        row
    };
    (0..200).map(row).collect()
}

/// Writes the rows.
fn write(target: &Path, container: Container) {
    let mut columns = Columns::default();
    for row in rows() {
        columns.note(&row);
    }
    let mut writer = Writer::create(target, container, columns, "train").unwrap();
    rows().into_iter().for_each(|row| writer.write(row).unwrap());
    writer.finish().unwrap().publish().unwrap();
}

/// Writes rows and gives every file of the result by name, with its digest.
fn digests(container: Container) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    write(&target, container);
    let (mut places, mut found) = (vec![target], Vec::new());
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let digest = swegym_core::id::hex(&Sha256::digest(fs::read(&place).unwrap()));
        found.push(format!("{} {digest}", place.strip_prefix(folder.path()).unwrap().display()));
    }
    found.sort();
    found
}

/// What others hash must not change by itself. A new release of the crates that
/// write the files may change the bytes, and then these digests.
#[test]
fn files_are_the_same_byte_by_byte() {
    let all: Vec<_> = Container::ALL.into_iter().map(|c| (c.name(), digests(c))).collect();
    insta::assert_debug_snapshot!(all);
}

/// A row that columns hold, where it stands, is one that tells them nothing new.
#[test]
fn held_rows_tell_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    for container in [Container::Parquet, Container::Saved] {
        let target = folder.path().join(container.name());
        write(&target, container);
        let (mut columns, mut held) = (Columns::default(), 0);
        for row in crate::dataset::Rows::open(&target).unwrap() {
            let row = row.unwrap();
            let is_held = columns.hold(&row);
            assert_eq!(is_held, !columns.note(&row.read().unwrap().fields));
            assert!(columns.hold(&row));
            held += usize::from(is_held);
        }
        assert!(held > 150, "{held}");
    }
}
