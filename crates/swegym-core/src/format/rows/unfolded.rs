//! One object that holds rows: `{"<id>": {…}}`, `{"train": […]}`, `{"rows": [{"row": {…}}]}`.

use std::ops::Range;

use super::RowText;
use super::extent::Counter;

/// Fields by which an object is known as a row, whatever its other fields hold.
const OF_ROWS: [&str; 24] = [
    "instance_id",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "fail_to_pass",
    "patch",
    "model_patch",
    "git_patch",
    "fix_patch",
    "prediction",
    "problem_statement",
    "repo",
    "repo_name",
    "org",
    "fixed_tests",
    "expected_output_json",
    "responses_create_params",
    "extra_info",
    "instance",
    "metadata",
    "messages",
    "replies",
    "score",
    "test_result",
    "log",
];

/// A field of an object: its name and value as they stand, and the value's line.
struct Member {
    name: Range<usize>,
    value: Range<usize>,
    line: usize,
}

/// The rows that an object holds, each with its own line; `None` where it is a row itself.
pub(super) fn rows(json: &[u8], line: usize) -> Option<Vec<RowText>> {
    let members = members(json, line)?;
    let name =
        |member: &Member| serde_json::from_slice::<String>(&json[member.name.clone()]).unwrap_or_default();
    if members.is_empty() || members.iter().any(|member| OF_ROWS.contains(&name(member).as_str())) {
        return None;
    }
    let starts = |member: &Member, with: &[u8]| json[member.value.clone()].starts_with(with);
    let lists: Vec<(&Member, Vec<RowText>)> =
        members.iter().filter_map(|member| Some((member, rows_of_list(json, member)?))).collect();
    if let Some(at) = lists.iter().position(|(member, _)| name(member) == "rows") {
        // The page of a dataset's viewer, which says beside them what columns there are.
        return Some(lists.into_iter().nth(at)?.1.into_iter().map(row_of_page).collect());
    }
    if !lists.is_empty() {
        return Some(lists.into_iter().flat_map(|(_, rows)| rows).collect());
    }
    let by_id = members.iter().all(|member| starts(member, b"{") || starts(member, b"null"))
        && members.iter().any(|member| starts(member, b"{"));
    by_id.then(|| members.iter().map(|member| row_of_id(json, member)).collect())
}

/// The elements of a list of objects.
fn rows_of_list(json: &[u8], member: &Member) -> Option<Vec<RowText>> {
    let list = json[member.value.clone()].strip_prefix(b"[")?;
    if !list.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let read = |row: std::io::Result<RowText>| {
        row.ok().map(|row| RowText { line: row.line + member.line - 1, ..row })
    };
    super::Rows::new(&json[member.value.clone()]).map(read).collect()
}

/// A row among what a viewer says of it.
fn row_of_page(row: RowText) -> RowText {
    let inner = members(&row.json, row.line).and_then(|members| {
        let is = |member: &&Member, name: &[u8]| &row.json[member.name.clone()] == name;
        members.iter().find(|member| is(member, b"\"row_idx\""))?;
        let inner = members.iter().find(|member| is(member, b"\"row\""))?;
        Some(RowText { line: inner.line, json: row.json[inner.value.clone()].to_vec() })
    });
    inner.unwrap_or(row)
}

/// A row that stands under its id, which it may not say itself.
fn row_of_id(json: &[u8], member: &Member) -> RowText {
    let value = &json[member.value.clone()];
    let says = |member: &Member| &value[member.name.clone()] == b"\"instance_id\"";
    let mut row = RowText { line: member.line, json: value.to_vec() };
    if let Some(fields) = members(value, member.line)
        && !fields.iter().any(says)
    {
        let comma: &[u8] = if fields.is_empty() { b"" } else { b"," };
        row.json = [b"{\"instance_id\":", &json[member.name.clone()], comma, &value[1..]].concat();
    }
    row
}

/// The fields of an object; `None` where it is none.
fn members(json: &[u8], first_line: usize) -> Option<Vec<Member>> {
    let mut at = Cursor { json, at: 0, line: first_line };
    let mut members = Vec::new();
    at.expect(b'{')?;
    loop {
        match at.peek()? {
            b'}' => return Some(members),
            b',' => at.at += 1,
            b'"' => {
                let name = at.string()?;
                at.expect(b':')?;
                at.peek()?;
                let line = at.line;
                members.push(Member { name, value: at.value()?, line });
            }
            _ => return None,
        }
    }
}

/// A place in an object.
struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
    line: usize,
}

impl Cursor<'_> {
    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.json.get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        self.at += 1;
        self.line += usize::from(byte == b'\n');
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match *self.json.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(start..self.at);
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// A value, up to the comma or the bracket after it.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut counter = Counter::default();
        loop {
            let byte = *self.json.get(self.at)?;
            if counter.ends_before(byte) || counter.is_at_rest() && byte == b'}' {
                let end = start + self.json[start..self.at].trim_ascii_end().len();
                return Some(start..end);
            }
            counter.count(byte);
            self.step(byte);
        }
    }
}
