//! Submodules of a commit, laid out from repositories of this machine: nothing is fetched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::export::export;
use crate::repository::{MineError, Repository, name_of};

/// How far submodules of submodules are followed, and how many are laid out for one commit:
/// each is a whole tree.
const DEEPEST: usize = 4;
const MOST: usize = 64;

/// A folder of a commit that is another repository's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Submodule {
    /// The folder.
    path: String,
    /// The other repository's commit.
    commit: String,
    /// `owner/name` of the other repository, if the commit says where it is.
    name: Option<String>,
}

/// What a commit's folder lacks, because no repository of this machine has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Submodules that stay empty: `path (owner/name)`, and why where their repository is known.
    pub empty_submodules: Vec<String>,
    /// Files whose contents partial clones do not have.
    pub absent_files: Vec<String>,
}

/// As [`export()`], with the submodules of the commit laid out as well, each as a repository
/// of that one commit, from the repositories that are `known` by their names.
///
/// # Errors
/// As [`export()`], for the commit itself.
pub fn export_whole(
    repository: &Repository,
    commit: &str,
    folder: &Path,
    known: &BTreeMap<String, Repository>,
) -> Result<Gaps, MineError> {
    let absent_files = export(repository, commit, folder)?;
    let mut gaps = fill_submodules(repository, commit, folder, known)?;
    gaps.absent_files.extend(absent_files);
    gaps.absent_files.sort_unstable();
    Ok(gaps)
}

/// Lays out the submodules of a commit that was exported to `folder`.
///
/// # Errors
/// git cannot read the commit.
fn fill_submodules<'a>(
    repository: &'a Repository,
    commit: &str,
    folder: &Path,
    known: &'a BTreeMap<String, Repository>,
) -> Result<Gaps, MineError> {
    let beside = folder.with_extension("submodule");
    let mut filling = Filling { known, beside, count: 0, gaps: Gaps::default() };
    filling.fill(&mut vec![repository], commit, folder, "")?;
    Ok(filling.gaps)
}

/// Submodules of one commit, on their way.
struct Filling<'a> {
    known: &'a BTreeMap<String, Repository>,
    /// Where one is made before it is moved to its place.
    beside: PathBuf,
    count: usize,
    gaps: Gaps,
}

impl<'a> Filling<'a> {
    /// `holders` are the repositories that lead here; the last one's commit lies in `folder`.
    fn fill(
        &mut self,
        holders: &mut Vec<&'a Repository>,
        commit: &str,
        folder: &Path,
        prefix: &str,
    ) -> Result<(), MineError> {
        let Some(holder) = holders.last().copied() else { return Ok(()) };
        for submodule in submodules(holder, commit)? {
            let shown = format!("{prefix}{}", submodule.path);
            let source = submodule.name.as_ref().and_then(|name| self.known.get(name));
            let laid = match source {
                None => Err(String::new()),
                Some(source) => self.lay_out(holders, source, &submodule, (folder, &shown)),
            };
            match (laid, source) {
                (Ok(()), Some(source)) => {
                    holders.push(source);
                    let place = folder.join(&submodule.path);
                    self.fill(holders, &submodule.commit, &place, &format!("{shown}/"))?;
                    holders.pop();
                }
                (Err(why), _) => {
                    let name = submodule.name.map(|name| format!(" ({name})")).unwrap_or_default();
                    self.gaps.empty_submodules.push(format!("{shown}{name}{why}"));
                }
                (Ok(()), None) => {}
            }
        }
        Ok(())
    }

    /// Puts one in its place; says why not.
    fn lay_out(
        &mut self,
        holders: &[&Repository],
        source: &Repository,
        submodule: &Submodule,
        (folder, shown): (&Path, &str),
    ) -> Result<(), String> {
        let is_within_itself = holders.iter().any(|holder| holder.name() == source.name());
        if is_within_itself || holders.len() > DEEPEST || self.count >= MOST {
            return Err(": not followed so far".to_owned());
        }
        if !is_free(folder, &submodule.path) {
            return Err(": something else lies there".to_owned());
        }
        self.count += 1;
        let place = folder.join(&submodule.path);
        let made = export(source, &submodule.commit, &self.beside).map_err(|error| error.to_string());
        let moved = made.and_then(|absent| {
            self.gaps.absent_files.extend(absent.into_iter().map(|path| format!("{shown}/{path}")));
            let parent = place.parent().unwrap_or(folder);
            let moved = fs::create_dir_all(parent).and_then(|()| fs::rename(&self.beside, &place));
            moved.map_err(|error| error.to_string())
        });
        // What was begun and not moved is nobody's.
        let _ = fs::remove_dir_all(&self.beside);
        moved.map_err(|why| format!(": {why}"))
    }
}

/// Whether a path leads through folders of `root` alone, to one that is empty or not there.
fn is_free(root: &Path, path: &str) -> bool {
    let mut place = root.to_owned();
    for part in Path::new(path).components() {
        let Component::Normal(name) = part else { return false };
        if name.eq_ignore_ascii_case(".git") {
            return false;
        }
        place.push(name);
        // A link would lead elsewhere.
        if fs::symlink_metadata(&place).is_ok_and(|found| !found.is_dir()) {
            return false;
        }
    }
    fs::read_dir(&place).map_or(true, |mut entries| entries.next().is_none())
}

fn submodules(repository: &Repository, commit: &str) -> Result<Vec<Submodule>, MineError> {
    let words = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit];
    let said = repository.ask(&words).map_err(|source| repository.git_error(source))?;
    let links = said.split('\0').filter_map(|row| {
        let (kind, path) = row.split_once('\t')?;
        let commit = kind.strip_prefix("160000 commit ")?;
        Some((path.to_owned(), commit.to_owned()))
    });
    let links: Vec<(String, String)> = links.collect();
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let named = names(repository, commit);
    let named = links.into_iter().map(|(path, commit)| {
        let name = named.get(&path).cloned();
        Submodule { path, commit, name }
    });
    Ok(named.collect())
}

/// Names of submodules' repositories by their folders, as `.gitmodules` says; none where it
/// says nothing that can be read.
fn names(repository: &Repository, commit: &str) -> BTreeMap<String, String> {
    let blob = format!("{commit}:.gitmodules");
    let words =
        ["config", "--no-includes", "--blob", &blob, "-z", "--get-regexp", r"^submodule\..*\.(path|url)$"];
    let said = repository.ask(&words).unwrap_or_default();
    let (mut paths, mut urls) = (BTreeMap::new(), BTreeMap::new());
    for row in said.split('\0') {
        let Some((key, value)) = row.split_once('\n') else { continue };
        match key.rsplit_once('.') {
            Some((section, "path")) => paths.insert(section, value),
            Some((section, "url")) => urls.insert(section, value),
            _ => None,
        };
    }
    let named = paths.into_iter().filter_map(|(section, path)| {
        let name = name_beside(urls.get(section)?, repository.name())?;
        Some((path.trim_end_matches('/').to_owned(), name))
    });
    named.collect()
}

/// `owner/name` of an address; one that begins with `../` is relative to that of `own`.
fn name_beside(url: &str, own: &str) -> Option<String> {
    if !url.starts_with("../") && !url.starts_with("./") {
        return name_of(url);
    }
    let mut parts: Vec<&str> = own.split('/').collect();
    for part in url.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    let [owner, name] = parts[..] else { return None };
    Some(format!("{owner}/{}", name.strip_suffix(".git").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swegym_sandbox::tool;

    use super::*;

    #[test]
    fn addresses_name_repositories() {
        for (url, name) in [
            ("https://example.org/owner/name.git", Some("owner/name")),
            ("git@example.org:owner/name", Some("owner/name")),
            ("../name.git", Some("us/name")),
            ("../../them/name", Some("them/name")),
            ("./name", None),
            ("../../../name", None),
        ] {
            assert_eq!(name_beside(url, "us/here").as_deref(), name, "{url}");
        }
    }

    fn git(folder: &Path, words: &[&str], input: &str) -> String {
        let place = ["-C".to_owned(), folder.display().to_string()];
        let words = place.into_iter().chain(words.iter().map(|word| (*word).to_owned()));
        let said = tool::ask("git", words, input.into(), Duration::from_secs(10)).unwrap();
        String::from_utf8(said).unwrap().trim().to_owned()
    }

    /// A tree may have a name twice: a link, and a folder with a submodule in it.
    #[test]
    fn what_a_link_leads_to_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let (folder, outside) = (root.path().join("hostile"), root.path().join("outside"));
        fs::create_dir_all(outside.join("in/.git")).unwrap();
        fs::create_dir(&folder).unwrap();
        git(&folder, &["init", "-q"], "");
        let target = git(&folder, &["hash-object", "-w", "--stdin"], &outside.to_string_lossy());
        let inner = git(
            &folder,
            &["mktree", "--missing"],
            &format!("160000 commit {}\tin\n", "7".repeat(target.len())),
        );
        let tree = format!("120000 blob {target}\tlink\n040000 tree {inner}\tlink\n");
        let tree = git(&folder, &["mktree"], &tree);
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let commit = git(&folder, &[&identity[..], &["commit-tree", "-m", "x", &tree]].concat(), "");
        let repository = Repository::open(&format!("a/b={}", folder.display())).unwrap();
        let source = root.path().join("source");
        // git may refuse it, or lay the link out.
        if let Ok(gaps) = export_whole(&repository, &commit, &source, &BTreeMap::new()) {
            assert_eq!(gaps.empty_submodules, ["link/in"]);
        }
        assert!(outside.join("in/.git").is_dir());
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir_all(folder.join("a/empty")).unwrap();
        fs::create_dir_all(folder.join("full/b")).unwrap();
        std::os::unix::fs::symlink("/tmp", folder.join("link")).unwrap();
        for (path, free) in [
            ("a/empty", true),
            ("new/one", true),
            ("full", false),
            ("link", false),
            ("link/in", false),
            ("../out", false),
            ("/tmp/x", false),
            ("a/.GIT/x", false),
        ] {
            assert_eq!(is_free(folder, path), free, "{path}");
        }
    }
}
