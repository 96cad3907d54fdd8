"""Keeps files of a project from standing for what is not the project's.

Python takes it for its `sitecustomize`: it comes before all others by PYTHONPATH,
and is there before anything of the project can run. From then on a folder of the
project gives a module that the interpreter or an installed package has as well
only where the base commit had it in the same place, and bytecode only where it is
checked against its source. Runs on Python 3.6 and newer.
"""

import importlib.machinery as machinery
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# The project's folder, then the modules of the base commit, as paths below it.
with open(os.path.join(HERE, "base"), encoding="utf-8", errors="surrogateescape") as listing:
    FOLDER, *MODULES = listing.read().split("\0")
FOLDER = os.path.realpath(FOLDER)
MODULES = frozenset(MODULES)

# Hidden tests may come in a folder that the base commit does not have; no runner
# needs a module of such a name.
OF_TESTS = re.compile(r"(tests?|testing|conftest|test_\w*|\w*_tests?)$")
# Python asks for them at every start.
AT_START = ("sitecustomize", "usercustomize")


def is_inside(path):
    """Whether an entry of `sys.path` lies in the project."""
    path = os.path.realpath(path or os.getcwd())
    return path == FOLDER or path.startswith(FOLDER + os.sep)


def is_elsewhere(name):
    """Whether the interpreter or something installed has a module of this name."""
    if name in sys.builtin_module_names:
        return True
    outside = [entry for entry in sys.path if isinstance(entry, str) and not is_inside(entry)]
    spec = machinery.PathFinder.find_spec(name, outside)
    # Parts of a namespace are no rivals.
    return spec is not None and spec.loader is not None


class Source(machinery.SourceFileLoader):
    """Reads bytecode only where it holds its source's hash and asks for a check."""

    def get_data(self, path):
        data = super().get_data(path)
        if path.endswith(".pyc") and (sys.version_info < (3, 7) or data[4:5] != b"\x03"):
            raise OSError("bytecode that is not checked against its source")
        return data

    def source_to_code(self, data, path, **more):
        return super().source_to_code(guard.change(data, path), path, **more)


class Finder(machinery.FileFinder):
    """The modules of one folder of the project."""

    def find_spec(self, fullname, target=None):
        spec = super().find_spec(fullname, target)
        if spec is None or "." in fullname or self.is_of_base(fullname):
            return spec
        if fullname in AT_START or not guard.is_open:
            return None
        return spec if OF_TESTS.match(fullname) or not is_elsewhere(fullname) else None

    def is_of_base(self, name):
        place = os.path.relpath(os.path.realpath(self.path), FOLDER)
        return os.path.normpath(os.path.join(place, name)) in MODULES


LOADERS = [(machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES), (Source, machinery.SOURCE_SUFFIXES)]


def guard(path):
    """An entry of `sys.path_hooks`."""
    if not os.path.isdir(path or ".") or not is_inside(path):
        raise ImportError("no folder of the project", path=path)
    return Finder(path, *LOADERS)


guard.is_inside = is_inside
# While the runner itself is imported, nothing new of the project is.
guard.is_open = False
# Where somebody makes another module of a source, this is another function.
guard.change = lambda data, path: data
sys.path_hooks.insert(0, guard)
sys.path_importer_cache.clear()

# Programs that tests start are as they would be without us.
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != HERE]
os.environ.pop("PYTHONPATH", None)

# What the interpreter would have taken.
ours = sys.modules.pop(__name__)
try:
    import sitecustomize  # noqa: F401
except ImportError as error:
    if error.name != __name__:
        raise
finally:
    sys.modules.setdefault(__name__, ours)
