//! YAML that strangers wrote.

use thiserror::Error;
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::{ScanError, Yaml, YamlLoader};

/// Each alias can double a document that the loader builds, so a few lines
/// could fill the memory.
const MOST_ALIASES: usize = 8;

/// Each level takes a part of the stack.
const DEEPEST: usize = 100;

/// Far above what a workflow or a task's description needs.
const LONGEST: usize = 1 << 20;

/// Why a text is not read.
#[derive(Debug, Error)]
pub(crate) enum YamlError {
    /// Not YAML.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A document that grows when it is read.
    #[error("more than {MOST_ALIASES} aliases, deeper than {DEEPEST}, or longer than 1 MiB")]
    Large,
}

/// The documents of a text.
pub(crate) fn load(text: &str) -> Result<Vec<Yaml>, YamlError> {
    if text.len() > LONGEST {
        return Err(YamlError::Large);
    }
    // Whoever builds a document goes as deep as it is: first it is only looked through.
    let mut parser = Parser::new_from_str(text);
    let (mut aliases, mut depth) = (0, 0_usize);
    loop {
        match parser.next_token()?.0 {
            Event::StreamEnd => break,
            Event::Alias(_) => aliases += 1,
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if aliases > MOST_ALIASES || depth > DEEPEST {
            return Err(YamlError::Large);
        }
    }
    Ok(YamlLoader::load_from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_when_it_is_read_is_refused() {
        let shared = load("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(shared[0]["b"][1].as_i64(), Some(2));
        let mut bomb = "a0: &a0 [lol]\n".to_owned();
        for n in 1..30 {
            bomb += &format!("a{n}: &a{n} [*a{p}, *a{p}]\n", p = n - 1);
        }
        assert!(matches!(load(&bomb), Err(YamlError::Large)));
        assert!(matches!(load("a: [1"), Err(YamlError::Scan(_))));
        let deep = "- ".repeat(DEEPEST + 1) + "a\n";
        assert!(matches!(load(&deep), Err(YamlError::Large)));
        assert!(load(&deep[4..]).is_ok());
    }
}
