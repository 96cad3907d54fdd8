//! Runners that name failures only; their instances are graded by what is
//! missing (`fail_only`).

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;

use regex::Regex;

use super::FAILED;
use crate::lines::Lines;
use crate::parser::StatusMap;
use crate::parser::pattern::pattern;
use crate::text::{indent, python_split, python_strip, without_escapes};

/// `Chrome 1.2 (Linux) name FAILED`.
pub(in crate::parser) fn chart_js(lines: &mut Lines<'_>) -> StatusMap {
    static FAILURE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?m)Chrome\s[\d.]+[^\S\r\n]\(.+?\)[^\S\r\n](.*)FAILED$"));
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for found in FAILURE.captures_iter(&without_escapes(&text)) {
        map.say(&found[1], FAILED);
    }
    map
}

/// `1) name`.
pub(in crate::parser) fn marked(lines: &mut Lines<'_>) -> StatusMap {
    static FAILURE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d+\)\s(.*)"));
    let mut map = StatusMap::default();
    while let Some(line) = lines.next() {
        if let Some(found) = FAILURE.captures(line) {
            map.say(python_strip(&found[1]), FAILED);
        }
    }
    map
}

/// The four browsers' `… FAILED` lines, one kind after the other.
pub(in crate::parser) fn bpmn_js(lines: &mut Lines<'_>) -> StatusMap {
    static FAILURES: LazyLock<[Regex; 4]> = LazyLock::new(|| {
        [
            pattern(r"2KPhantomJS\s[\d.]+\s\(Linux\s[\d.]+\)\s(.*)FAILED\n"),
            pattern(r"2KPhantomJS\s[\d.]+\s\(Linux\sx86_64\)\s(.*)FAILED\n"),
            pattern(r"Chrome\sHeadless\s(?:.*)\s\(Linux\sx86_64\)\s(.*)FAILED\n"),
            pattern(r"HeadlessChrome\s[\d.]+\s\(Linux\s[\d.]+\)\s(.*)FAILED\n"),
        ]
    });
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for rule in &*FAILURES {
        for found in rule.captures_iter(&text) {
            map.say(&found[1], FAILED);
        }
    }
    map
}

/// Browsers, mocha's list of failures, and rendering cases that differ.
pub(in crate::parser) fn openlayers(lines: &mut Lines<'_>) -> StatusMap {
    static FAILURES: LazyLock<[Regex; 4]> = LazyLock::new(|| {
        [
            pattern(r"Chrome\sHeadless\s[\d.]+\s\(Linux\s\S+\)\s(.*)\sFAILED\n"),
            pattern(r"Chrome\s[\d.]+\s\(Linux\s\S+\)\s(.*)FAILED\n"),
            pattern(r"(?m)^\s{2}\d+\)((?s:.*?))Error:"),
            pattern(r"(?m)^case\s(.*):\smismatch"),
        ]
    });
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for rule in &*FAILURES {
        for found in rule.captures_iter(&text) {
            map.say(one_line(&found[1]), FAILED);
        }
    }
    map
}

/// `  1) suite name … SomeError`, over several lines.
pub(in crate::parser) fn eslint(lines: &mut Lines<'_>) -> StatusMap {
    static FAILURE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s{2}\d+\)((?s:.*?))\s+(?:.*)Error"));
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for found in FAILURE.captures_iter(&text) {
        map.say(one_line(&found[1]), FAILED);
    }
    map
}

/// White space of any kind and length as one blank.
fn one_line(text: &str) -> String {
    python_split(text).collect::<Vec<_>>().join(" ")
}

/// `  1) suite`, `name:` on ever deeper lines, in what is left of the log
/// without JSON and XML.
pub(in crate::parser) fn p5js(lines: &mut Lines<'_>) -> StatusMap {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\s*(\d+)\)"));
    /// Longest name, in characters.
    const LONGEST: usize = 1000;
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    let text = without_xml(without_json(&without_escapes(&text)));
    let mut from = 0;
    while let Some(found) = NUMBER.find_at(&text, from) {
        from = found.end();
        let mut window = text[from..].char_indices().take(LONGEST + 1);
        if let Some((colon, _)) = window.find(|(_, c)| *c == ':') {
            let name = &text[from..from + colon];
            from += colon + 1;
            let depths: Vec<usize> = name.split('\n').map(indent).collect();
            if depths[0] > 0 && depths.is_sorted_by(|a, b| a < b) {
                let parts: Vec<&str> = name.split('\n').map(python_strip).collect();
                map.say(parts.join(":"), FAILED);
            }
        }
    }
    map
}

/// Drops every line from one that ends in `{` or `[` to its closing line, and
/// lines that are an object or a list.
fn without_json(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let (mut in_object, mut in_list) = (false, false);
    for line in text.split('\n') {
        let bare = line.trim_end_matches(crate::text::is_python_space);
        if bare.ends_with('{') {
            in_object = true;
        } else if bare.ends_with('[') {
            in_list = true;
        } else if bare == "}" && in_object {
            in_object = false;
        } else if bare == "]" && in_list {
            in_list = false;
        } else if !(in_object
            || in_list
            || bare.starts_with('{') && bare.ends_with('}')
            || bare.starts_with('[') && bare.ends_with(']'))
        {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Removes `<name>…</name>` until there is none: the reference rewrites the
/// text once for each, leftmost first, and keeps the opening tags of the same
/// name that were inside. This is the same in one pass, because what stands
/// before the leftmost has no closing tag and gets none, unless the seam of a
/// removal makes a new tag; then the pass starts again.
fn without_xml(mut text: String) -> String {
    static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"<(/?)(\w+)>"));
    loop {
        let tags: Vec<_> = TAG
            .captures_iter(&text)
            .map(|found| {
                (found.get_match().range(), found[1].is_empty(), found.get(2).map_or(0..0, |m| m.range()))
            })
            .collect();
        // Places of the tags of each name, opening and closing.
        let mut places: HashMap<&str, [VecDeque<usize>; 2]> = HashMap::new();
        for (at, (_, opens, name)) in tags.iter().enumerate() {
            places.entry(&text[name.clone()]).or_default()[usize::from(!*opens)].push_back(at);
        }
        let mut out = String::new();
        let (mut copied, mut at, mut seam) = (0, 0, false);
        while at < tags.len() && !seam {
            let (range, opens, name) = &tags[at];
            let name = &text[name.clone()];
            let Some([openings, closings]) = places.get_mut(name).filter(|_| *opens) else {
                at += 1;
                continue;
            };
            // Every closing tag takes one opening tag away; the first takes this one.
            let (mut open, mut end) = (0, None);
            while openings.front().is_some_and(|o| *o < at) {
                openings.pop_front();
            }
            while closings.front().is_some_and(|c| *c < at) {
                closings.pop_front();
            }
            while let Some(closing) = closings.pop_front() {
                while openings.front().is_some_and(|o| *o < closing) {
                    openings.pop_front();
                    open += 1;
                }
                open -= 1;
                end = Some(closing);
                if open == 0 {
                    break;
                }
            }
            let Some(end) = end else {
                at += 1;
                continue;
            };
            out.push_str(&text[copied..range.start]);
            out.push_str(&format!("<{name}>").repeat(open));
            copied = tags[end].0.end;
            at = end + 1;
            seam = open == 0 && makes_a_tag(&out, &text[copied..]);
        }
        out.push_str(&text[copied..]);
        text = out;
        if !seam {
            return text;
        }
    }
}

/// Whether the end of one text and the start of another are a tag together.
fn makes_a_tag(before: &str, after: &str) -> bool {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^</?\w*$"));
    static TAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^/?\w*>"));
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^</?\w+>$"));
    let Some(head) = before.rfind('<').map(|at| &before[at..]).filter(|head| HEAD.is_match(head)) else {
        return false;
    };
    TAIL.find(after).is_some_and(|tail| WHOLE.is_match(&format!("{head}{}", tail.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's way: one removal at a time, from the start.
    fn slowly_without_xml(mut text: String) -> String {
        let tag = pattern(r"<(\w+)>");
        'again: loop {
            for found in tag.captures_iter(&text.clone()) {
                let (opening, name) = (found.get_match(), &found[1]);
                let Some(length) = text[opening.end()..].find(&format!("</{name}>")) else { continue };
                let end = opening.end() + length + name.len() + 3;
                let inside = text[opening.start()..end].matches(opening.as_str()).count() - 1;
                text.replace_range(opening.start()..end, &opening.as_str().repeat(inside));
                continue 'again;
            }
            return text;
        }
    }

    proptest::proptest! {
        #[test]
        fn one_pass_removes_what_many_do(text in "(<a>|</a>|<b>|</b>|<|/|a|b|>| ){0,24}") {
            proptest::prop_assert_eq!(without_xml(text.clone()), slowly_without_xml(text));
        }
    }
}
