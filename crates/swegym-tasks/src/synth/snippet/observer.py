"""Makes snippets of failing tests: lines that show the same without the tests.

A plug-in for pytest, and for unittest something that looks at its results. It is put
into a box for the one run that a problem statement is made from, and never into an
image. It runs no code of its own choosing: it reads the tests' source, and the values
of the frames that failed. Whether a snippet is any good is for `reproduce.py` to see.
"""

import inspect
import json
import os

import swegym_assertions
import swegym_names
import swegym_origins
import swegym_slices

OUT = "/tmp/swegym/failures.jsonl"
# Enough for a statement; a suite can fail in thousands of places.
MOST = 40
MOST_OF_ONE_FUNCTION = 2
INNER = ("<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<module>")

_notes = []
_counts = {}


def pytest_runtest_makereport(item, call):
    if call.excinfo is not None and call.excinfo.typename not in ("Skipped", "XFailed"):
        _note(_name(item), call.excinfo.tb, item, None)


def _name(item):
    """The test as the log names it: from the working folder, not from that of the settings."""
    path, colons, rest = item.nodeid.partition("::")
    root = str(getattr(item.config, "rootpath", None) or item.config.rootdir)
    return os.path.relpath(os.path.join(root, path)).replace(os.sep, "/") + colons + rest


def pytest_sessionfinish(session):
    write()


def write():
    try:
        os.makedirs(os.path.dirname(OUT), exist_ok=True)
        with open(OUT, "w", encoding="utf-8", errors="replace") as out:
            for note in _notes:
                out.write(json.dumps(note) + "\n")
    except OSError:
        pass


def _note(test, trace, item, instance):
    if len(_notes) >= MOST:
        return
    try:
        frames = _frames(trace)
        if not frames:
            return
        key = frames[0][0].f_code
        _counts[key] = _counts.get(key, 0) + 1
        if _counts[key] > MOST_OF_ONE_FUNCTION:
            return
        scripts = _scripts(frames, item, instance)
    except Exception as error:  # A failing test must never be hidden by its observer.
        if os.environ.get("SWEGYM_OBSERVER_SAYS"):
            raise
        return
    _notes.append({"test": test, "scripts": scripts})


def _frames(trace):
    """Functions of test files that called one another, from the first one on."""
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        ours = swegym_names.is_test_path(code.co_filename) and code.co_name not in INNER
        if ours:
            found.append((trace.tb_frame, trace.tb_lineno))
        elif found:
            break
        trace = trace.tb_next
    return found


def _scripts(frames, item, instance):
    first = frames[0][0]
    instance = first.f_locals.get("self", instance)
    test_class = swegym_origins.TestClass(instance) if instance is not None else None
    made = []
    for frame, line in frames:
        module = swegym_names.Module.of(frame.f_code.co_filename, frame.f_globals)
        definition = module.function(frame.f_code)
        if test_class is not None and "self" in frame.f_locals:
            made.append(test_class.frame(definition, module, line, frame.f_locals))
        else:
            made.append(swegym_slices.Frame(definition, module, line, frame.f_locals))
    provide = swegym_origins.Provider(item, first.f_locals, test_class)
    return swegym_slices.scripts(made, provide)


def watch_unittest(results, guard):
    """From now on failures are noted; at the end somebody calls `write`."""
    import unittest

    def watched(original):
        def add(self, test, err):
            _note(test.id(), err[2], None, test)
            return original(self, test, err)

        return add

    result = unittest.TestResult
    result.addFailure, result.addError = watched(result.addFailure), watched(result.addError)
    plain = result.addSubTest

    def add_sub_test(self, test, subtest, err):
        if err is not None:
            _note(test.id(), err[2], None, test)
        return plain(self, test, subtest, err)

    result.addSubTest = add_sub_test
