//! Tests that help, README and docs agree with what can be typed.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_markdown::MarkdownOptions;

use super::command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_flags_fit_together() {
    command().debug_assert();
}

/// Holds docs/commands.md to the flags, or writes it.
#[test]
fn the_command_reference_is_up_to_date() {
    let options = MarkdownOptions::new().title("Commands".to_owned()).show_footer(false);
    let page = clap_markdown::help_markdown_command_custom(&command(), &options).replace(
        "This document contains the help content for the `swegym` command-line program.",
        "For whoever looks up a flag. The page is made from the program's own help: after a change of flags, run\n\
         `SWEGYM_COMMANDS_PAGE=1 cargo test -p swegym --bin swegym up_to_date`. Flags of `swegym` itself may be\n\
         given to every command.",
    );
    let page: Vec<&str> = page.lines().map(str::trim_end).collect();
    let page = page.join("\n") + "\n";
    let path = root().join("docs/commands.md");
    if written_anew() {
        fs::write(&path, page).unwrap();
    } else {
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == page, "docs/commands.md differs from the flags; its head says how to write it anew");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
fn written_anew() -> bool {
    std::env::var_os("SWEGYM_COMMANDS_PAGE").is_some()
}

#[test]
fn every_verb_shows_an_example_that_can_be_typed() {
    fn check(command: &Command, path: &str) {
        let shown = command.get_after_help().unwrap_or_else(|| panic!("`{path}` has no example")).to_string();
        let example = shown.strip_prefix("Example:\n\n    ").unwrap();
        assert!(example.starts_with(path), "`{path}` shows `{example}`");
        assert!(
            example.lines().all(|line| line.len() < 96),
            "`{path}`: the example is wrapped in 100 columns"
        );
        assert_typed("help", example);
        for verb in command.get_subcommands() {
            check(verb, &format!("{path} {}", verb.get_name()));
        }
    }
    check(&command(), "swegym");
}

#[test]
fn commands_of_the_documents_can_be_typed() {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap().map(Result::unwrap) {
        pages.extend(Some(entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    let mut found = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```console\n").skip(1) {
            let block = block.split("```").next().unwrap().replace("\\\n", " ");
            for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
                found += assert_typed(&page.display().to_string(), line);
            }
        }
        for verb in text.split("`swegym ").skip(1).filter_map(|rest| rest.split(['`', ' ', '\n']).next()) {
            let is_verb = verb.chars().all(|c| c.is_ascii_lowercase());
            assert!(
                !is_verb || command().find_subcommand(verb).is_some() || verb == "help",
                "{page:?}: `{verb}`"
            );
        }
    }
    assert!(found > 40, "only {found} commands were found: how do the documents write them?");
}

/// Parses each swegym command of a shell line; gives their number.
fn assert_typed(page: &str, line: &str) -> usize {
    let line = line.replace("\\\n", " ");
    let mut found = 0;
    for part in line.split(" && ") {
        let part = part.split(" > ").next().unwrap_or(part);
        let words = shlex::split(part).unwrap_or_else(|| panic!("{page}: quotes of `{part}`"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let typed = match words.as_slice() {
            ["cargo", "run", "--release", "--", rest @ ..] | ["swegym", rest @ ..] => rest,
            _ => continue,
        };
        // `help` and `--help` are no error, though clap tells them as one.
        let read = command().try_get_matches_from(["swegym"].iter().chain(typed));
        let refused = read.err().filter(|error| error.use_stderr());
        assert!(refused.is_none(), "{page}: `{part}`: {}", refused.unwrap());
        found += 1;
    }
    found
}
