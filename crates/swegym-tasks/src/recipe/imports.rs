//! What the tests import: the last resort where no file names test requirements.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::synth::syntax;

/// Folders that hold no source of the project.
const PASSED_OVER: [&str; 10] =
    ["build", "dist", "node_modules", "__pycache__", "venv", "env", "docs", "doc", "examples", "benchmarks"];

/// Import names whose project has another name, or only some versions of it.
const RENAMED: [(&str, &str); 14] = [
    ("yaml", "pyyaml"),
    ("dateutil", "python-dateutil"),
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("PIL", "pillow"),
    ("sklearn", "scikit-learn"),
    ("cv2", "opencv-python-headless"),
    ("Crypto", "pycryptodome"),
    ("OpenSSL", "pyopenssl"),
    ("jwt", "pyjwt"),
    ("google", "protobuf"),
    ("pkg_resources", "setuptools<82"),
    ("_pytest", "pytest"),
    ("serial", "pyserial"),
];

/// Names that many projects share: each has its own below (`zope.interface`).
const SHARED: [&str; 9] =
    ["azure", "backports", "jaraco", "oslo", "plone", "repoze", "ruamel", "sphinxcontrib", "zope"];

/// Every Python file of a project, relative to it, sorted; hidden folders and
/// those that hold no source are passed over.
///
/// # Errors
/// When a folder cannot be read.
pub fn python_files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(root, Path::new(""), &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(root: &Path, at: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(at))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        let path = at.join(&name);
        if kind.is_dir()
            && !name.starts_with('.')
            && !PASSED_OVER.contains(&name.as_str())
            && !name.ends_with(".egg-info")
        {
            collect(root, &path, files)?;
        } else if kind.is_file() && name.ends_with(".py") {
            files.push(path);
        }
    }
    Ok(())
}

/// Projects that the test files import, which are neither Python's nor the package's own.
pub(super) fn third_party(root: &Path, files: &[PathBuf], tests: &[&PathBuf]) -> BTreeSet<String> {
    let own: BTreeSet<String> = files
        .iter()
        .flat_map(|f| {
            f.iter().map(|part| part.to_string_lossy().trim_end_matches(".py").to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let helpers = files.iter().filter(|f| f.file_name().is_some_and(|n| n == "conftest.py"));
    let mut projects = BTreeSet::new();
    for file in tests.iter().copied().chain(helpers) {
        let text = fs::read(root.join(file)).unwrap_or_default();
        for module in imported_modules(&String::from_utf8_lossy(&text)) {
            let top = module.split('.').next().unwrap_or(&module);
            if !own.contains(top) {
                projects.extend(project_of(&module));
            }
        }
    }
    projects
}

/// What to require where a module (`yaml`, `zope.interface`) is imported; nothing for Python's
/// own, nor for what says too little.
#[must_use]
pub fn project_of(module: &str) -> Option<String> {
    let (module, below) = module.split_once('.').unwrap_or((module, ""));
    if SHARED.contains(&module) {
        let own = below.split('.').next().filter(|own| !own.is_empty())?;
        return Some(crate::index::normalise(&format!("{module}-{own}")));
    }
    if let Some((_, requirement)) = RENAMED.iter().find(|(import, _)| *import == module) {
        return Some((*requirement).to_owned());
    }
    // No project has a private name; Python's own libraries do.
    let is_standard = module.starts_with('_') || STANDARD.split_whitespace().any(|m| m == module);
    (!is_standard).then(|| crate::index::normalise(module))
}

/// Modules of absolute imports outside `try` blocks: a guarded import is optional.
fn imported_modules(text: &str) -> BTreeSet<String> {
    let Some(tree) = syntax::parse(text) else { return BTreeSet::new() };
    let mut modules = BTreeSet::new();
    for node in syntax::descendants(tree.root_node()) {
        if syntax::ancestors(node).any(|a| matches!(a.kind(), "try_statement" | "function_definition")) {
            continue;
        }
        let names: Vec<_> = match node.kind() {
            "import_statement" => syntax::named_children(node).collect(),
            "import_from_statement" => node.child_by_field_name("module_name").into_iter().collect(),
            _ => continue,
        };
        for name in names.into_iter().filter(|n| n.kind() != "relative_import") {
            let whole = syntax::text(name, text);
            modules.insert(whole.split(' ').next().unwrap_or(whole).to_owned());
        }
    }
    modules
}

/// `sys.stdlib_module_names` of Python 3.8 to 3.13, without private modules.
const STANDARD: &str = "__future__ abc aifc antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 \
bdb binascii binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys \
compileall concurrent configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal \
difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter \
fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib \
imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap \
marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode \
operator optparse os ossaudiodev parser pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath \
pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource \
rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd \
sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symbol symtable sys \
sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this threading time timeit tkinter token tokenize \
tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave \
weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_stand_for_projects() {
        for (module, project) in [
            ("yaml.constructor", Some("pyyaml")),
            ("zope.interface.verify", Some("zope-interface")),
            ("zope", None),
            ("os.path", None),
            ("_socket", None),
            ("freezegun", Some("freezegun")),
        ] {
            assert_eq!(project_of(module).as_deref(), project, "{module}");
        }
    }

    #[test]
    fn guarded_imports_are_optional() {
        let text = "import a.b as c, d\nfrom e.f import g\nfrom . import h\ntry:\n    import i\nexcept ImportError:\n    i = None\n";
        assert_eq!(imported_modules(text).into_iter().collect::<Vec<_>>(), ["a.b", "d", "e.f"]);
    }
}
