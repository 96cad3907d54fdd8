//! Every way in which rows stand in a text.

use super::*;

fn found(text: &str) -> Vec<(usize, String)> {
    let read = |row: io::Result<RowText>| {
        let row = row.unwrap();
        (row.line, String::from_utf8(row.json).unwrap())
    };
    // However the text comes in pieces.
    let whole: Vec<_> = Rows::new(text.as_bytes()).map(read).collect();
    for size in [1, 2, 7] {
        let pieces: Vec<_> =
            Rows::new(io::BufReader::with_capacity(size, text.as_bytes())).map(read).collect();
        if size >= MARK.len() || !text.starts_with(MARK) {
            assert_eq!(pieces, whole, "{text}");
        }
    }
    whole
}

fn lines(rows: &[(usize, String)]) -> Vec<(usize, &str)> {
    rows.iter().map(|(line, json)| (*line, json.as_str())).collect()
}

#[test]
fn lines_are_rows_and_bad_ones_cost_only_themselves() {
    let text = "\u{feff}{\"a\":1}\r\n\n{\"a\":NaN}\n[2]\n{\"a\":3\n{\"a\":\"}{\"}\n{\"a\"";
    let right = [
        (1, "{\"a\":1}"),
        (3, "{\"a\":NaN}"),
        (4, "[2]"),
        (5, "{\"a\":3"),
        (6, "{\"a\":\"}{\"}"),
        (7, "{\"a\""),
    ];
    assert_eq!(lines(&found(text)), right);
    // The first line, too, and one that ends where an object may follow.
    for cut in ["{\"a\": 1", "{\"a\": [", "{\"a\": \"x", "{\"a\": 1,", "what"] {
        let text = format!("{cut}\n{{\"a\":2}}\n{{\"a\":3}}\n");
        assert_eq!(lines(&found(&text)), [(1, cut), (2, "{\"a\":2}"), (3, "{\"a\":3}")], "{cut}");
    }
    assert_eq!(found("").len() + found(" \n\n").len(), 0);
}

#[test]
fn lists_are_split_outside_of_strings() {
    let text = "[\n {\"a\": \"x]},\\\"[\"},\n{\"a\": [1,{}]}, 5\n,{\"a\": 2}]\n";
    let right = [(2, "{\"a\": \"x]},\\\"[\"}"), (3, "{\"a\": [1,{}]}"), (3, "5"), (4, "{\"a\": 2}")];
    assert_eq!(lines(&found(text)), right);
    assert_eq!(found("[ ]").len(), 0);
    assert_eq!(lines(&found("[{\"a\": 1},{\"a\"")), [(1, "{\"a\": 1}"), (1, "{\"a\"")]);
    // Lists one after the other, and what stands behind one.
    assert_eq!(
        lines(&found("[{\"a\":1}]\n[]\n[{\"a\":2}]\n{\"a\":3}")),
        [(1, "{\"a\":1}"), (3, "{\"a\":2}"), (4, "{\"a\":3}")]
    );
}

#[test]
fn objects_stand_one_after_the_other() {
    for indent in ["", "  ", "\t"] {
        let object = |n: usize| {
            format!(
                "{{\n{indent}\"instance_id\": {n},\n{indent}\"b\": [\n{indent}{{\n{indent}\"c\": \"}}{{\"\n{indent}}}\n{indent}]\n}}"
            )
        };
        let text = format!("{}\n{}\n\n{}", object(1), object(2), object(3));
        assert_eq!(found(&text), [(1, object(1)), (9, object(2)), (18, object(3))], "{indent:?}");
        let text = format!("{}{}", object(1), object(2));
        assert_eq!(found(&text), [(1, object(1)), (8, object(2))], "{indent:?}");
        assert_eq!(found(&format!("\n{}", object(1))), [(2, object(1))]);
        // The second of three is cut off, then the first.
        let cut = &object(2)[..object(2).len() - 4 - indent.len()];
        let text = format!("{}\n{cut}\n{}", object(1), object(3));
        let rows = found(&text);
        assert_eq!((rows.len(), &rows[0].1, &rows[2].1), (3, &object(1), &object(3)), "{text}");
        let rows = found(&format!("{cut}\n{}", object(3)));
        assert_eq!((rows.len(), &rows[1].1), (2, &object(3)));
        // Rows of lines, and one that takes several.
        let text = format!("{{\"a\":0}}\n{}\n{{\"a\":4}}\n", object(1));
        assert_eq!(found(&text), [(1, "{\"a\":0}".into()), (2, object(1)), (10, "{\"a\":4}".into())]);
    }
    let row = |n: usize| format!("{{\"a\":{n}}}");
    for between in ["", " ", ",", ",\n", "\u{1e}", "\t"] {
        let text = [row(1), row(2), row(3)].join(between);
        let json: Vec<_> = found(&text).into_iter().map(|(_, json)| json).collect();
        assert_eq!(json, [row(1), row(2), row(3)], "{between:?}");
    }
    assert_eq!(lines(&found("{\"a\":1}\n{\"a\":2}{\"a\":3}\n{\"a\":4}")).len(), 4);
}

#[test]
fn an_object_may_hold_the_rows() {
    for text in ["{\"i-1\": {\"a\": 1}, \"i-2\": {}}", "{\n \"i-1\": {\"a\": 1},\n \"i-2\": {\n }\n}\n"] {
        let rows = found(text);
        let fields = |n: usize| serde_json::from_str::<serde_json::Value>(&rows[n].1).unwrap();
        assert_eq!(fields(0), serde_json::json!({"instance_id": "i-1", "a": 1}));
        assert_eq!((rows.len(), fields(1)), (2, serde_json::json!({"instance_id": "i-2"})));
        assert_eq!(rows[1].0, 1 + 2 * usize::from(text.contains('\n')));
    }
    let said = "{\"x\": {\"instance_id\": \"i\", \"a\": {}}}";
    assert_eq!(lines(&found(said)), [(1, "{\"instance_id\": \"i\", \"a\": {}}")]);
    for text in [
        "{\"train\": [{\"a\": 1}], \"test\": [{\"a\": 2}]}",
        "{\"info\": \"x\",\n\"train\": [\n{\"a\": 1}],\n\"test\": [{\"a\": 2}], \"dev\": []}",
    ] {
        let rows = found(text);
        assert_eq!((rows.len(), rows[0].1.as_str(), rows[1].1.as_str()), (2, "{\"a\": 1}", "{\"a\": 2}"));
    }
    assert_eq!(found("{\"info\": \"x\",\n\"train\": [\n{\"a\": 1}]}"), [(3, "{\"a\": 1}".into())]);
    let page = "{\"features\": [{\"name\": \"a\"}], \"rows\": [{\"row_idx\": 0, \"row\": {\"a\": 1}, \"truncated_cells\": []}]}";
    assert_eq!(found(page), [(1, "{\"a\": 1}".into())]);
    // These are rows.
    for row in [
        "{\"instance_id\": \"i\", \"difficulty\": {\"files\": 1}}",
        "{\"test_result\": {\"git_patch\": \"\"}}",
        "{\"extra_info\": {\"instance_id\": \"i\"}}",
        "{\"a\": 1, \"b\": {}}",
        "{}",
    ] {
        assert_eq!(found(row), [(1, row.to_owned())]);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_comes_to_an_end(text in "[\\{\\}\\[\\]\",: \\\\a\n1]{0,40}") {
        found(&text);
    }

    #[test]
    fn rows_of_any_text_are_found_in_every_layout(texts in proptest::collection::vec("\\PC{0,8}", 1..5)) {
        let objects: Vec<serde_json::Value> = texts.iter().map(|text| serde_json::json!({"instance_id": text, "b": [text, {"c": text}]})).collect();
        let one = |value: &serde_json::Value| value.to_string();
        let pretty = |value: &serde_json::Value| format!("{value:#}");
        let map: serde_json::Map<_, _> = objects.iter().enumerate().map(|(n, row)| (format!("k{n}"), row.clone())).collect();
        let layouts = [
            objects.iter().map(one).collect::<Vec<_>>().join("\n"),
            objects.iter().map(one).collect::<String>(),
            objects.iter().map(pretty).collect::<Vec<_>>().join("\n"),
            objects.iter().map(pretty).collect::<String>(),
            serde_json::json!(objects).to_string(),
            format!("{:#}", serde_json::json!(objects)),
            serde_json::json!({"train": objects}).to_string(),
            format!("{:#}", serde_json::json!({"train": objects})),
            serde_json::json!(map).to_string(),
            format!("{:#}", serde_json::json!(map)),
        ];
        for text in layouts {
            let read: Vec<serde_json::Value> = found(&text).iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect();
            proptest::prop_assert_eq!(&read, &objects, "{}", text);
        }
    }
}
