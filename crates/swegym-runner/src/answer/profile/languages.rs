//! The rules of other languages than Python, and which of all hold for an instance.

use swegym_core::Instance;
use swegym_grade::LogParser;

use super::{PYTHON, Profile};

/// JavaScript and TypeScript, with npm's runners.
const JAVASCRIPT: Profile = Profile {
    has_modules: false,
    settings: &[
        "package.json",
        ".npmrc",
        ".mocharc.js",
        ".mocharc.cjs",
        ".mocharc.mjs",
        ".mocharc.json",
        ".mocharc.jsonc",
        ".mocharc.yml",
        ".mocharc.yaml",
        "mocha.opts",
        "jest.config.js",
        "jest.config.cjs",
        "jest.config.mjs",
        "jest.config.ts",
        "jest.config.json",
        "vitest.config.js",
        "vitest.config.mjs",
        "vitest.config.cjs",
        "vitest.config.ts",
        "vitest.config.mts",
        "vitest.workspace.ts",
        "vite.config.js",
        "vite.config.mjs",
        "vite.config.ts",
        "vite.config.mts",
        "babel.config.js",
        "babel.config.cjs",
        "babel.config.json",
        ".babelrc",
        ".babelrc.js",
        ".swcrc",
        ".taprc",
    ],
    taken: &[],
    loaded: &[],
    compiled: &[".node"],
    installed: &["node_modules"],
};

/// Rust, with cargo.
const RUST: Profile = Profile {
    has_modules: false,
    settings: &["nextest.toml", "rust-toolchain", "rust-toolchain.toml"],
    taken: &[],
    loaded: &[],
    compiled: &[".so", ".rlib", ".rmeta", ".a"],
    // Settings that say where crates come from, and what builds them.
    installed: &[".cargo"],
};

/// Go, with its own runner.
const GO: Profile = Profile {
    has_modules: false,
    settings: &["go.work"],
    taken: &["go.env"],
    loaded: &[],
    compiled: &[".so", ".a", ".syso"],
    installed: &["vendor"],
};

impl Profile {
    /// The one of an instance, told by what reads its log.
    pub(in crate::answer) fn of(instance: &Instance) -> &'static Self {
        use LogParser::{Cargo, Gotest, Jest, Tap, Vitest};
        match instance.log_parser.as_deref().and_then(LogParser::named) {
            Some(Jest | Tap | Vitest) => &JAVASCRIPT,
            Some(Cargo) => &RUST,
            Some(Gotest) => &GO,
            _ => &PYTHON,
        }
    }
}
