//! Drawing bugs from a seed: the same seed and source give the same mutants,
//! each drawn from a stream of its own, so that dropping one changes no other.

use std::collections::BTreeMap;
use std::path::Path;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use similar::TextDiff;
use swegym_core::Digest;

use super::operator::{self, Edit, Operator, Site};
use super::source::{self, SkippedFile, SourceFile};

/// One planted bug, for statistics; the agent never sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bug {
    /// Its kind.
    pub operator: Operator,
    /// Where.
    pub path: String,
    /// Line of the original, from 1.
    pub line: usize,
}

/// One file of a broken tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Relative to the repository.
    pub path: String,
    /// As it was.
    pub mended: String,
    /// With its bugs.
    pub broken: String,
}

/// A broken tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Position in the sequence of the seed.
    pub number: u32,
    /// Sorted by path and line.
    pub bugs: Vec<Bug>,
    /// The changed files.
    pub files: Vec<ChangedFile>,
    /// From the original to the broken tree.
    pub bug_patch: String,
    /// From the broken tree back.
    pub gold_patch: String,
}

/// All sites of a package, ready to draw from.
#[derive(Debug)]
pub struct Synthesis {
    files: Vec<SourceFile>,
    sites: BTreeMap<Operator, Vec<(usize, Site)>>,
    skipped: Vec<SkippedFile>,
    seed: Digest,
}

/// How often a mutant gets more than one bug: of 8, one has two bugs in one
/// file, one has two or three over several.
const SHAPES: u32 = 8;

impl Synthesis {
    /// Reads the package's own source ([`source::read`]).
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_tree(root: &Path, package: &str, version: &str, seed: u64) -> std::io::Result<Self> {
        let (files, skipped) = source::read(root, version)?;
        Ok(Self { skipped, ..Self::of_files(files, &format!("{package}=={version}"), seed) })
    }

    /// The same for files at hand.
    #[must_use]
    pub fn of_files(files: Vec<SourceFile>, name: &str, seed: u64) -> Self {
        let mut sites: BTreeMap<Operator, Vec<(usize, Site)>> = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for site in operator::sites(&file.text) {
                sites.entry(site.operator).or_default().push((i, site));
            }
        }
        Self { files, sites, skipped: Vec::new(), seed: Digest::of(format!("{seed}/{name}").as_bytes()) }
    }

    /// The files that no bug is planted in, tests aside.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedFile] {
        &self.skipped
    }

    /// Sites by operator.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Operator, usize> {
        self.sites.iter().map(|(o, s)| (*o, s.len())).collect()
    }

    /// Mutant number `number` of the seed; `None` when the draw gives nothing
    /// usable (no site, or edits that do not parse).
    #[must_use]
    pub fn mutant(&self, number: u32) -> Option<Mutant> {
        let stream = Digest::of(format!("{}/{number}", self.seed).as_bytes());
        let mut seed = [0; 32];
        for (to, from) in seed.iter_mut().zip(stream.hex().as_bytes().chunks(2)) {
            *to = u8::from_str_radix(std::str::from_utf8(from).ok()?, 16).ok()?;
        }
        let mut random = ChaCha8Rng::from_seed(seed);
        let mut drawn: Vec<(usize, Site)> = Vec::new();
        let (wanted, spread) = match random.random_range(0..SHAPES) {
            0 => (2, false),
            1 => (random.random_range(2..=3), true),
            _ => (1, false),
        };
        for _ in 0..40 {
            if drawn.len() == wanted {
                break;
            }
            let (file, site) = self.draw(&mut random)?;
            let fits = drawn.iter().all(|(f, s)| {
                let same_file = *f == file;
                let apart = !same_file || s.function != site.function;
                apart && (same_file != spread || self.files.len() == 1)
            });
            if fits {
                drawn.push((file, site));
            }
        }
        self.build(number, &drawn)
    }

    /// Operators are equally likely, whatever their number of sites: else most
    /// bugs would be wrong variables.
    fn draw(&self, random: &mut ChaCha8Rng) -> Option<(usize, Site)> {
        if self.sites.is_empty() {
            return None;
        }
        let operators: Vec<_> = self.sites.values().collect();
        let sites = operators[random.random_range(0..operators.len() as u32) as usize];
        Some(sites[random.random_range(0..sites.len() as u32) as usize].clone())
    }

    fn build(&self, number: u32, drawn: &[(usize, Site)]) -> Option<Mutant> {
        let mut by_file: BTreeMap<usize, Vec<Edit>> = BTreeMap::new();
        let mut bugs = Vec::new();
        for (file, site) in drawn {
            by_file.entry(*file).or_default().extend(site.edits.iter().cloned());
            let start = site.edits.first()?.range.start;
            let source = &self.files[*file];
            let line = source.text[..start].matches('\n').count() + 1;
            bugs.push(Bug { operator: site.operator, path: source.path.clone(), line });
        }
        bugs.sort_by(|a, b| (&a.path, a.line, a.operator).cmp(&(&b.path, b.line, b.operator)));
        let (mut files, mut bug_patch, mut gold_patch) = (Vec::new(), String::new(), String::new());
        for (file, edits) in by_file {
            let source = &self.files[file];
            let broken = operator::apply(&source.text, &edits)?;
            bug_patch.push_str(&diff(&source.path, &source.text, &broken));
            gold_patch.push_str(&diff(&source.path, &broken, &source.text));
            files.push(ChangedFile { path: source.path.clone(), mended: source.text.clone(), broken });
        }
        (!files.is_empty()).then_some(Mutant { number, bugs, files, bug_patch, gold_patch })
    }
}

/// A change of one file as `git diff` would print it.
pub(crate) fn diff(path: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let body =
        diff.unified_diff().context_radius(3).header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    format!("diff --git a/{path} b/{path}\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use swegym_core::Patch;

    fn files() -> Vec<SourceFile> {
        let text = "def f(a, b):\n    if a < b and b:\n        return a + 1\n    return g(a, b)\n\n\ndef h(x):\n    x.go()\n    return not x\n";
        ["a.py", "b.py"].map(|p| SourceFile { path: format!("src/{p}"), text: text.into() }).to_vec()
    }

    #[test]
    fn a_seed_gives_the_same_mutants_and_another_seed_others() {
        let draw =
            |seed| (0..30).map(|n| Synthesis::of_files(files(), "x", seed).mutant(n)).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mutants: Vec<_> = draw(1).into_iter().flatten().collect();
        assert!(mutants.len() > 20);
        assert!(mutants.iter().any(|m| m.bugs.len() > 1 && m.files.len() == 1), "several bugs in one file");
        assert!(mutants.iter().any(|m| m.files.len() > 1), "bugs in several files");
    }

    #[test]
    fn patches_are_reverses_that_parse() {
        check_patches(&Synthesis::of_files(files(), "x", 7));
    }

    #[test]
    fn line_ends_are_kept() {
        let mut files = files();
        for file in &mut files {
            file.text = file.text.replace('\n', "\r\n");
        }
        let synthesis = Synthesis::of_files(files, "x", 7);
        check_patches(&synthesis);
        for file in (0..50).filter_map(|n| synthesis.mutant(n)).flat_map(|mutant| mutant.files) {
            assert_eq!(file.broken.matches('\n').count(), file.broken.matches("\r\n").count());
            assert!(!file.broken.replace("\r\n", "").contains('\r'), "{:?}", file.broken);
        }
    }

    fn check_patches(synthesis: &Synthesis) {
        for mutant in (0..50).filter_map(|n| synthesis.mutant(n)) {
            let (bug, gold) =
                (Patch::parse(&mutant.bug_patch).unwrap(), Patch::parse(&mutant.gold_patch).unwrap());
            assert_eq!(bug.changed_lines(), gold.changed_lines());
            assert_eq!(bug.files.len(), mutant.files.len());
        }
    }
}
