//! Scripts of `package.json`: which runner they start, with which options, after what.

use serde_json::Value;
use swegym_core::shell::quote;

use super::Runner;

/// Scripts that start scripts are followed so far.
const DEEPEST: usize = 5;

/// How a runner is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) runner: Runner,
    /// Variables and the program, as words for a shell.
    pub(super) words: Vec<String>,
    /// Options of the runner that do not decide what it tells.
    pub(super) options: Vec<String>,
    /// The files that the script names.
    pub(super) files: Vec<String>,
    /// Lines that build what is tested.
    pub(super) before: Vec<String>,
}

/// Programs that build.
const BUILDERS: [&str; 14] = [
    "tsc",
    "babel",
    "rollup",
    "webpack",
    "esbuild",
    "tsup",
    "unbuild",
    "swc",
    "vite",
    "microbundle",
    "parcel",
    "bunchee",
    "tsdown",
    "grunt",
];

/// Words of steps that check something else than tests do.
const CHECKS: [&str; 12] = [
    "lint",
    "eslint",
    "prettier",
    "xo",
    "standard",
    "tsd",
    "--noEmit",
    "typecheck",
    "type-check",
    "audit",
    "coverage",
    "--watch",
];

/// What may stand before the program that counts.
const WRAPPERS: [&str; 9] =
    ["c8", "nyc", "cross-env", "cross-env-shell", "env", "npx", "dotenv", "tsx", "time"];

/// Options that have a value in the next word, of any of the runners.
const WITH_VALUE: [&str; 25] = [
    "-r",
    "--require",
    "--loader",
    "--experimental-loader",
    "--import",
    "--extension",
    "-u",
    "--ui",
    "-t",
    "--timeout",
    "-s",
    "--slow",
    "--config",
    "-c",
    "--opts",
    "--file",
    "-n",
    "--node-option",
    "-g",
    "--grep",
    "--root",
    "--dir",
    "--env",
    "--project",
    "--conditions",
];

/// Options that decide what is told, or what is run; those in the second list have a value.
const DROPPED: [&str; 15] = [
    "--coverage",
    "--collectCoverage",
    "--watch",
    "--watchAll",
    "-w",
    "--verbose",
    "--silent",
    "--bail",
    "-b",
    "--ci",
    "--json",
    "--test",
    "--run",
    "--ui",
    "--experimental-test-coverage",
];
const DROPPED_VALUES: [&str; 10] = [
    "--reporter",
    "-R",
    "--reporters",
    "--reporter-option",
    "--reporter-options",
    "-O",
    "--outputFile",
    "--test-reporter",
    "--test-reporter-destination",
    "--testPathPattern",
];

/// The first start of a known runner in the script `test`.
pub(super) fn start(scripts: &Value) -> Option<Start> {
    let steps = steps(scripts, "test", 0);
    let (at, mut start) = steps.iter().enumerate().find_map(|(at, step)| Some((at, read(step)?)))?;
    start.before = steps[..at].iter().filter(|step| is_build(step)).map(|step| line(step)).collect();
    Some(start)
}

impl Start {
    /// The runner without options.
    pub(super) fn plain(runner: Runner) -> Self {
        let program = if runner == Runner::Node { "node" } else { runner.name() };
        let words = vec![program.to_owned()];
        Self { runner, words, options: Vec::new(), files: Vec::new(), before: Vec::new() }
    }
}

/// The commands that a script comes to, those of the scripts that it starts among them.
fn steps(scripts: &Value, name: &str, depth: usize) -> Vec<Vec<String>> {
    let text = |name: &str| scripts.get(name).and_then(Value::as_str);
    let mut all = Vec::new();
    if depth > DEEPEST {
        return all;
    }
    for script in [text(&format!("pre{name}")), text(name)].into_iter().flatten() {
        let apart = script.replace("&&", " && ").replace(';', " ; ");
        let words = shlex::split(&apart).unwrap_or_default();
        for step in words.split(|word| matches!(word.as_str(), "&&" | ";" | "||" | "&" | "|")) {
            match called(step) {
                Some(name) if text(name).is_some() => all.extend(steps(scripts, name, depth + 1)),
                _ if step.is_empty() => {}
                _ => all.push(step.to_vec()),
            }
        }
    }
    all
}

/// The script that a command starts: `npm run build`, `yarn build`, `npm test`.
fn called(step: &[String]) -> Option<&str> {
    let words: Vec<&str> = step.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match words[..] {
        ["npm" | "pnpm" | "yarn" | "bun", "run" | "run-script", name, ..]
        | ["yarn" | "pnpm", name, ..]
        | ["npm", name @ ("test" | "t"), ..]
        | ["run-s", name, ..] => Some(if name == "t" { "test" } else { name }),
        _ => None,
    }
}

/// The runner that a command starts.
fn read(step: &[String]) -> Option<Start> {
    let at = step.iter().position(|word| program(word).is_some_and(|name| runner(name, step).is_some()))?;
    let name = program(&step[at])?;
    let runner = runner(name, step)?;
    let is_variable = |word: &String| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    // What stands before: variables, wrappers with their options, or node with its own.
    let node = step[..at].iter().position(|word| program(word) == Some("node"));
    let before = &step[..node.unwrap_or(at)];
    let is_known = |word: &&String| {
        is_variable(word)
            || word.starts_with('-')
            || program(word).is_some_and(|name| WRAPPERS.contains(&name))
    };
    if !before.iter().all(|word| is_known(&word))
        && !before.iter().any(|word| WRAPPERS.contains(&word.as_str()))
    {
        return None;
    }
    let assign = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        format!("{name}={}", quote(value))
    };
    let mut words: Vec<String> = before.iter().filter(|word| is_variable(word)).map(assign).collect();
    match node {
        Some(node) => words.extend(step[node..=at].iter().map(|word| quote(word))),
        None => words.push(name.trim_start_matches('_').to_owned()),
    }
    let (options, files) = sort(&step[at + 1..]);
    // `vitest run`
    let files = files
        .into_iter()
        .filter(|word| runner != Runner::Vitest || !matches!(word.as_str(), "run" | "dev" | "watch"));
    Some(Start { runner, words, options, files: files.collect(), before: Vec::new() })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A program's own name: `./node_modules/.bin/mocha`, `node_modules/jest/bin/jest.js`.
fn program(word: &str) -> Option<&str> {
    let name = word.rsplit('/').next()?;
    Some(name.strip_suffix(".js").or(name.strip_suffix(".mjs")).unwrap_or(name))
}

fn runner(name: &str, step: &[String]) -> Option<Runner> {
    match name {
        "mocha" | "_mocha" => Some(Runner::Mocha),
        "jest" => Some(Runner::Jest),
        "vitest" => Some(Runner::Vitest),
        "node" | "tsx" if step.iter().any(|word| word == "--test") => Some(Runner::Node),
        _ => None,
    }
}

/// Options and files among a runner's words.
fn sort(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut options, mut files) = (Vec::new(), Vec::new());
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let name = word.split('=').next().unwrap_or(word);
        let is_whole = word.contains('=');
        let mut value = || if is_whole { None } else { rest.next_if(|next| !next.starts_with('-')) };
        if !word.starts_with('-') {
            files.push(word.clone());
        } else if DROPPED_VALUES.contains(&name) {
            let _ = value();
        } else if DROPPED.contains(&name) || name.starts_with("--coverage") || word == "--" {
        } else if WITH_VALUE.contains(&name) {
            let value = value().cloned();
            options.push(word.clone());
            options.extend(value);
        } else {
            options.push(word.clone());
        }
    }
    (options, files)
}

/// Whether a command builds something that tests may need.
fn is_build(step: &[String]) -> bool {
    let is_check = |word: &String| CHECKS.iter().any(|check| word == check || word.starts_with("lint"));
    let first = step.iter().find(|word| *word != "npx" && !word.contains('='));
    let builds =
        first.and_then(|word| program(word)).is_some_and(|name| BUILDERS.contains(&name) || name == "node");
    builds && !step.iter().any(is_check)
}

fn line(step: &[String]) -> String {
    step.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scripts_are_followed_to_what_they_start() {
        let scripts = json!({
            "pretest": "npm run lint && npm run build",
            "lint": "eslint .",
            "build": "tsc -p . && node scripts/copy.js",
            "test": "npm run -s test:unit -- --x && size-limit",
            "test:unit": "cross-env NODE_ENV=test c8 --all node --expose-gc ./node_modules/.bin/_mocha --exit -t 500 -R dot test/a.js",
        });
        let start = start(&scripts).unwrap();
        assert_eq!(start.runner, Runner::Mocha);
        assert_eq!(
            start.words,
            ["NODE_ENV='test'", "'node'", "'--expose-gc'", "'./node_modules/.bin/_mocha'"]
        );
        assert_eq!(start.options, ["--exit", "-t", "500"]);
        assert_eq!(start.files, ["test/a.js"]);
        assert_eq!(start.before, ["'tsc' '-p' '.'", "'node' 'scripts/copy.js'"]);
    }

    #[test]
    fn starts_of_runners_are_read() {
        for (script, words, options) in [
            ("node --import tsx --test test/*.ts", vec!["node"], vec!["--import", "tsx"]),
            ("tsx --test", vec!["tsx"], vec![]),
            ("npx vitest run --coverage.enabled --root x", vec!["vitest"], vec!["--root", "x"]),
            (
                "node --experimental-vm-modules node_modules/jest/bin/jest.js -i",
                vec!["'node'", "'--experimental-vm-modules'", "'node_modules/jest/bin/jest.js'"],
                vec!["-i"],
            ),
        ] {
            let start = start(&json!({ "test": script })).unwrap();
            assert_eq!(
                (start.words, start.options),
                (
                    words.iter().map(|w| (*w).to_owned()).collect(),
                    options.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()
                ),
                "{script}"
            );
        }
        for script in ["echo 'no tests' && exit 1", "ava", "turbo run test", "node test.js", "npm test"] {
            assert_eq!(start(&json!({ "test": script })), None, "{script}");
        }
    }
}
