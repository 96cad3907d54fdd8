"""Notes how tests fail: the call, what came out, what was expected.

A plugin for pytest, and for unittest something that looks at its results. It is put into a box for the one run that a problem statement is written from,
and never into an image. It runs no code of its own choosing: values are taken
from the frames and comparisons of the failing test, as they are.
"""

import ast
import json
import os

OUT = "/tmp/swegym/failures.jsonl"
LONGEST = 300
# Enough for a statement; a suite can fail in thousands of places.
MOST = 200

_compared = []
_notes = []


def pytest_assertrepr_compare(config, op, left, right):
    _compared.append((op, _repr(left), _repr(right)))
    return None


def pytest_runtest_setup(item):
    del _compared[:]


def pytest_runtest_makereport(item, call):
    if call.excinfo is not None and call.excinfo.typename not in ("Skipped", "XFailed"):
        _note(item.nodeid, call.excinfo.value, call.excinfo.tb)


def _note(test, error, trace):
    if len(_notes) >= MOST:
        return
    try:
        note = _describe(error, trace)
    except Exception:  # A failing test must never be hidden by its observer.
        return
    if note is not None:
        note["test"] = test
        _notes.append(note)


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


def _repr(value):
    try:
        text = repr(value)
    except Exception:
        text = "<%s>" % type(value).__name__
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def _is_test_file(path):
    name = os.path.basename(path)
    parts = path.replace(os.sep, "/").split("/")
    if "site-packages" in parts or not name.endswith(".py"):
        return False
    return name.startswith("test_") or name.endswith("_test.py") or bool({"tests", "test", "testing"} & set(parts[:-1]))


def _describe(error, trace):
    """The deepest statement of a test file, and what it shows."""
    frames = []
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    ours = [i for i, (frame, _) in enumerate(frames) if _is_test_file(frame.f_code.co_filename)]
    if not ours:
        return None
    frame, line = frames[ours[-1]]
    statement, source = _statement(frame.f_code.co_filename, line)
    if statement is None:
        return None
    note = {"code": _show(statement, frame, source)}
    deeper = [frame.f_code.co_filename for frame, _ in frames[ours[-1] + 1:]]
    asserted = isinstance(error, AssertionError) and all("unittest" in name for name in deeper)
    if type(error).__name__ == "Failed" and "DID NOT RAISE" in str(error):
        note["not_raised"] = str(error).split("<class '")[-1].rstrip("'>").replace("builtins.", "")
    elif isinstance(error, AssertionError) and str(error).endswith("not raised"):
        note["not_raised"] = str(error).split(" ")[0]
    elif asserted and _comparison(note, statement, frame, source, frames[ours[-1] + 1:]):
        pass
    elif asserted:
        note["untrue"] = True
    else:
        text = str(error).strip().split("\n")[0][:LONGEST]
        name = type(error).__name__
        note["error"] = "%s: %s" % (name, text) if text else name
    return note


def _statement(path, line):
    with open(path, encoding="utf-8", errors="replace") as file:
        source = file.read()
    found = None
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= getattr(node, "end_lineno", node.lineno):
            if found is None or node.lineno >= found.lineno:
                found = node
    return found, source


def _comparison(note, statement, frame, source, inner):
    """Sides of `assert a == b` and of unittest's `assertEqual(a, b)`."""
    sides, values = None, None
    if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare) and len(statement.test.ops) == 1:
        sides = (statement.test.left, statement.test.comparators[0])
        op = {"Eq": "==", "Is": "is"}.get(type(statement.test.ops[0]).__name__)
        if _compared and _compared[-1][0] == op:
            values = _compared[-1][1:]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        name = getattr(statement.value.func, "attr", "")
        for deeper, _ in inner:
            first, second = deeper.f_locals.get("first"), deeper.f_locals.get("second")
            if deeper.f_code.co_name.startswith("assert") and "first" in deeper.f_locals and "second" in deeper.f_locals:
                values = (_repr(first), _repr(second))
                break
        if name in ("assertEqual", "assertEquals", "assertListEqual", "assertDictEqual", "assertTupleEqual", "assertIs") and len(statement.value.args) >= 2:
            sides = tuple(statement.value.args[:2])
        else:
            values = None
    if sides is None or values is None:
        return False
    sides = [_resolved(side, statement, frame, source) for side in sides]
    # What was computed came out; what is written down was expected.
    weights = [_weight(side) for side in sides]
    came = 1 if weights[1] > weights[0] else 0
    note["call"] = _show(sides[came], frame, source)
    note["came"], note["expected"] = values[came], values[1 - came]
    return True


def _resolved(node, statement, frame, source):
    """A variable stands for what was last assigned to it in the same function."""
    if not isinstance(node, ast.Name):
        return node
    found = None
    for other in ast.walk(ast.parse(source)):
        if not isinstance(other, ast.Assign) or len(other.targets) != 1:
            continue
        here = frame.f_code.co_firstlineno <= other.lineno < statement.lineno
        if here and getattr(other.targets[0], "id", None) == node.id:
            if found is None or other.lineno > found.lineno:
                found = other
    return node if found is None else found.value


def _weight(node):
    """2 for a call of something, 1 for another computation, 0 for names and literals."""
    weight = 0
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            name = getattr(part.func, "id", "")
            plain = name in ("set", "dict", "list", "tuple", "frozenset", "sorted", "range", "len", "str", "int", "float", "bytes")
            weight = max(weight, 1 if plain else 2)
        elif isinstance(part, (ast.Attribute, ast.Subscript, ast.BinOp)):
            weight = max(weight, 1)
    return weight


def _show(node, frame, source):
    """Source with the values of local variables in their place, where they are short."""
    segment = ast.get_source_segment(source, node) or ""
    if hasattr(ast, "unparse"):
        try:
            return ast.unparse(_Fill(frame.f_locals).visit(ast.parse(segment.strip())))
        except (SyntaxError, ValueError, RecursionError):
            pass
    return segment


class _Fill(ast.NodeTransformer):
    def __init__(self, names):
        self.names = names

    def visit_Name(self, node):
        value = self.names.get(node.id, self)
        if isinstance(node.ctx, ast.Load) and _is_plain(value):
            text = repr(value)
            if len(text) <= 80:
                return ast.copy_location(ast.parse(text, mode="eval").body, node)
        return node

    # Names bound inside these are not the frame's.
    def visit_Lambda(self, node):
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_FunctionDef = visit_Lambda


def _is_plain(value):
    if isinstance(value, float):
        return value == value and value not in (float("inf"), float("-inf"))
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return type(value) in (bool, int, str, bytes, type(None))
    if type(value) in (tuple, list):
        return all(_is_plain(part) for part in value)
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    return False


def watch_unittest(results, guard):
    """From now on failures are noted; at the end somebody calls `write`."""
    import unittest

    def watched(original):
        def add(self, test, err):
            _note(test.id(), err[1], err[2])
            return original(self, test, err)

        return add

    result = unittest.TestResult
    result.addFailure, result.addError = watched(result.addFailure), watched(result.addError)
    plain = result.addSubTest

    def add_sub_test(self, test, subtest, err):
        if err is not None:
            _note(test.id(), err[1], err[2])
        return plain(self, test, subtest, err)

    result.addSubTest = add_sub_test
