//! Plain instance rows, for graders: a row that has SWE-bench's fields and no
//! others is read in one go, and what only people read in it is passed over.
//! Any other row is for [`super::instances`], which knows what is wrong with it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Map;
use serde_json::value::RawValue;

use crate::instance::{Instance, ListEncoding};
use crate::{InstanceId, Names};

/// What grading takes of a plain row; `None` when it is not plain, or not in
/// order. The texts of the instance (patches, statement, hints) are empty.
#[must_use]
pub fn read_for_grading(json: &[u8]) -> Option<Instance> {
    // Looked at whole, and not string by string.
    let mut json = serde_json::Deserializer::from_str(simdutf8::basic::from_utf8(json).ok()?);
    let instance = json.deserialize_map(Fields).ok()?;
    json.end().ok().map(|()| instance)
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Instance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<Instance, A::Error> {
        let (mut id, mut fail_to_pass, mut pass_to_pass) = (None, None, None);
        let (mut repo, mut version, mut created_at, mut base_commit) = (None, None, None, None);
        let (mut setup_commit, mut difficulty, mut eval_script) = (None, None, None);
        let (mut log_parser, mut eval_type, mut image) = (None, None, None);
        let mut encoding = ListEncoding::default();
        while let Some(name) = row.next_key::<&str>()? {
            let text: &mut Option<String> = match name {
                "FAIL_TO_PASS" => {
                    let (names, written) = row.next_value_seed(Tests(Names::with_capacity(8, 512)))?;
                    (fail_to_pass, encoding) = (Some(names), written);
                    continue;
                }
                "PASS_TO_PASS" => {
                    pass_to_pass = Some(row.next_value_seed(Tests(Names::of_a_suite()))?.0);
                    continue;
                }
                "patch" | "test_patch" | "problem_statement" | "hints_text" => {
                    let passed_over: &RawValue = row.next_value()?;
                    if !passed_over.get().starts_with(['"', 'n']) {
                        return Err(A::Error::custom("no text"));
                    }
                    continue;
                }
                "instance_id" => &mut id,
                "repo" => &mut repo,
                "base_commit" => &mut base_commit,
                "created_at" => &mut created_at,
                "version" => &mut version,
                "environment_setup_commit" => &mut setup_commit,
                "difficulty" => &mut difficulty,
                "eval_script" => &mut eval_script,
                "log_parser" => &mut log_parser,
                "eval_type" => &mut eval_type,
                "image" => &mut image,
                other => return Err(A::Error::custom(other)),
            };
            *text = row.next_value()?;
        }
        let missing = || A::Error::custom("a field is missing");
        Ok(Instance {
            instance_id: InstanceId::new(id.ok_or_else(missing)?).map_err(A::Error::custom)?,
            repo: repo.unwrap_or_default(),
            base_commit: base_commit.unwrap_or_default(),
            gold_patch: String::new(),
            test_patch: String::new(),
            problem_statement: String::new(),
            hints_text: String::new(),
            created_at: created_at.unwrap_or_default(),
            version: version.unwrap_or_default(),
            fail_to_pass: fail_to_pass.ok_or_else(missing)?,
            pass_to_pass: pass_to_pass.ok_or_else(missing)?,
            environment_setup_commit: setup_commit,
            difficulty,
            eval_script,
            log_parser,
            eval_type,
            image,
            encoding,
            extra: Map::new(),
        })
    }
}

/// A list of tests, in either encoding; in the first, they go to this one.
struct Tests(Names);

impl<'de> DeserializeSeed<'de> for Tests {
    type Value = (Names, ListEncoding);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tests {
    type Value = (Names, ListEncoding);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings, or its text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok((self.0.and_sequence(list)?, ListEncoding::List))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((Names::from_json(text).map_err(E::custom)?, ListEncoding::Text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::format::instances::{self, Need};

    proptest::proptest! {
        #[test]
        fn a_plain_row_is_what_the_other_reader_makes_of_it(
            texts in proptest::collection::vec("\\PC{0,6}", 17),
            tests in proptest::collection::vec("\\PC{0,6}", 0..4),
            as_text: bool, absent in 0..17usize, null in 0..17usize, odd in 0..60usize,
        ) {
            let mut row = Map::new();
            for (at, (name, text)) in instances::FIELDS.iter().zip(&texts).enumerate() {
                let list = if as_text { json!(json!(tests).to_string()) } else { json!(tests) };
                let value = match *name {
                    "instance_id" => json!("a__b-1"),
                    "FAIL_TO_PASS" | "PASS_TO_PASS" => list,
                    _ => json!(text),
                };
                match at {
                    at if at == absent => continue,
                    at if at == null => row.insert((*name).into(), json!(null)),
                    at if at == odd => row.insert((*name).into(), json!([1])),
                    _ => row.insert((*name).into(), value),
                };
            }
            let plain = read_for_grading(json!(row).to_string().as_bytes());
            let whole = instances::read_fields("f", 1, row.clone(), Need::Grading).ok();
            let whole = whole.map(|instance| Instance {
                gold_patch: String::new(), test_patch: String::new(),
                problem_statement: String::new(), hints_text: String::new(), ..instance
            });
            // A column that nobody needs may be odd, which is nothing for this reader.
            let is_odd = row.values().any(|value| *value == json!([1]));
            proptest::prop_assert!(plain == whole || plain.is_none() && is_odd, "{:?} {:?}", plain, whole);
        }
    }

    #[test]
    fn other_rows_are_not_plain() {
        let row = json!({"instance_id": "a-1", "FAIL_TO_PASS": [], "PASS_TO_PASS": "[\"a\"]"});
        let with = |name: &str, value: serde_json::Value| {
            let mut row = row.clone();
            row[name] = value;
            read_for_grading(row.to_string().as_bytes())
        };
        assert_eq!(with("repo", json!("a/b")).unwrap().pass_to_pass, ["a"]);
        for (name, value) in [
            ("expected_output_json", json!("{}")),
            ("FAIL_TO_PASS", json!("['a']")),
            ("FAIL_TO_PASS", json!([1])),
            ("instance_id", json!("")),
            ("version", json!(1.5)),
        ] {
            assert_eq!(with(name, value), None, "{name}");
        }
        assert_eq!(read_for_grading(b"[1]"), None);
    }
}
