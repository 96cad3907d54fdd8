"""Asks hidden tests for other values, to see whether an answer gives those too.

Every expectation in the files of the expected tests is changed: `assert f(2) == 4`
asks for another number, in the file as in what runs, and a test goes on after an
expectation that is not met. No fix can meet both; what does is equal to everything,
or read the tests. At its end each test fails, so that a runner which reports it as
passed is none. Where expectations stand is known from Python 3.8 on; before,
nothing is asked.
"""

import ast
import io
import json
import os
import re
import sys
import tokenize
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "swegym_counter.json"), encoding="utf-8") as listing:
    EXPECTED = frozenset(json.load(listing))
FUNCTIONS = frozenset(test.partition("[")[0] for test in EXPECTED)

# Ends a display that stands for another value of what is in it.
NUMBER = 731000731
# What no test asks for: no number is less or greater than the one, and nobody
# raises the other.
NOTHING = 'float("nan")'
ERROR = "UnicodeTranslateError"
# Longest line that is told.
LONGEST = 200

# Functions that compare their first two arguments, by the end of their names.
EQUAL = re.compile(r"(assert(List|Tuple|Dict|Set|Sequence|MultiLine|Count|Almost|ArrayAlmost)?Equals?|assertIs|assert(_\w+)?_equal|assert_allclose)$")
ROUGH = re.compile(r"approx$|lmost|allclose$")
RAISES = re.compile(r"(raises|assertRaises(Regex)?)$")
MARGIN = re.compile(r"assert(Less|Greater)(Equal)?$")

# What every instrumented module calls this one.
NAME = "@counter"
# A test's last assertion.
OVER = False
EVERYTHING = BaseException

changed = {}
tell = None


def watch_pytest(results, guard):
    import pytest
    from _pytest.assertion import rewrite

    rewrite_asserts = rewrite.rewrite_asserts

    def rewrite_changed(tree, *more, **named):
        for path in list(more) + list(named.values()):
            if isinstance(path, (str, os.PathLike)):
                change_tree(tree, str(path))
        return rewrite_asserts(tree, *more, **named)

    rewrite.rewrite_asserts = rewrite_changed

    def ignore(path):
        return True if os.path.isfile(str(path)) and os.path.realpath(str(path)) not in changed else None

    # pytest gives it by another name since 7.
    new = int(pytest.__version__.split(".")[0]) >= 7
    globals()["pytest_ignore_collect"] = (lambda collection_path: ignore(collection_path)) if new else (lambda path: ignore(path))
    start(results, guard, {test.partition("::")[0] for test in FUNCTIONS})


def watch_unittest(results, guard):
    import unittest

    run = unittest.TextTestRunner.run

    def each(suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from each(test)
            else:
                yield test

    def run_expected(self, suite):
        return run(self, unittest.TestSuite(test for test in each(suite) if test.id() in EXPECTED))

    unittest.TextTestRunner.run = run_expected
    start(results, guard, {path for test in EXPECTED for path in module_paths(test)})


def module_paths(test):
    """The files that `folder.module.Class.test` may stand in."""
    parts = test.split(".")
    for end in range(len(parts) - 1, 0, -1):
        yield "/".join(parts[:end]) + ".py"


def pytest_collection_modifyitems(items):
    # Parameters are part of a name, and may be other ones now.
    items[:] = [item for item in items if item.nodeid.partition("[")[0] in FUNCTIONS]


def start(results, guard, paths):
    """Changes the test files, before anything of the project is imported."""
    global tell
    tell = results.tell
    if sys.version_info < (3, 8):
        return
    names = {re.split(r"::|\.", test)[-1] for test in FUNCTIONS}
    for path in sorted(find(paths)):
        try:
            file = File(path, names)
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        changed[path] = file
        tell(b"changed", os.path.relpath(path))

    def change(data, path):
        if os.path.realpath(path) not in changed:
            return data
        tree = ast.parse(data, path)
        change_tree(tree, path)
        return tree

    guard.change = change


def change_tree(tree, path):
    file = changed.get(os.path.realpath(path))
    if file is not None:
        file.instrument(tree)


def find(paths):
    """Files of the project by paths that may begin further down in it."""
    found = {os.path.realpath(path) for path in paths if os.path.isfile(path)}
    if found:
        return found
    ends = tuple(os.sep + path for path in paths)
    for folder, folders, files in os.walk(os.getcwd()):
        folders[:] = [name for name in folders if name != ".git"]
        found.update(os.path.realpath(os.path.join(folder, name)) for name in files if os.path.join(folder, name).endswith(ends))
    return found


def statements(tree):
    """All of them; in the same order wherever only expressions differ."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]


class File:
    """A file of tests, and where it asks for something."""

    def __init__(self, path, names):
        self.path, self.names = path, names
        with open(path, "rb") as file:
            data = file.read()
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        text = data.decode(encoding)
        tree = ast.parse(text)
        edits = Edits(text)
        # Number of the statement -> place in `lines`.
        self.sites = {}
        moved = {id(name) for function in functions(tree) for name in move_values(function, edits)}
        swallowed = set(in_handlers(tree))
        for number, statement in enumerate(statements(tree)):
            if id(statement) not in swallowed and ask_otherwise(statement, edits, moved):
                self.sites[number] = len(lines)
                lines.append(self.told(statement.lineno, edits.line(statement.lineno)))
        if not self.sites:
            return
        text = edits.apply()
        if len(statements(ast.parse(text))) != len(statements(tree)):
            raise ValueError("the changed file reads otherwise")
        mode = os.stat(path).st_mode
        os.chmod(path, mode | 0o200)
        with open(path, "wb") as file:
            file.write(text.encode(encoding))

    def told(self, line, text):
        """What is said of a place: that it does not hold, and that it does."""
        place = {"file": os.path.relpath(self.path), "line": line, "text": text.strip()[:LONGEST]}
        return [json.dumps(dict(place, held=held)) for held in (False, True)]

    def instrument(self, tree):
        """Makes the file's tree go on after each of its expectations, and each test fail."""
        places = {id(statement): self.sites[number] for number, statement in enumerate(statements(tree)) if number in self.sites}
        Instrument(places, self.names).visit(tree)
        import_this(tree)
        ast.fix_missing_locations(tree)



# Line and text of every place that asks, and what it said already. What tells is
# put together before anything of the project is there.
lines = []
seen = set()


def note(number, held):
    if (number, held) not in seen:
        seen.add((number, held))
        tell(b"site", lines[number][held])


def in_handlers(tree):
    """Statements whose failure somebody may be waiting for."""
    for node in ast.walk(tree):
        waits = isinstance(node, ast.Try) and node.handlers
        if isinstance(node, (ast.With, ast.AsyncWith)):
            calls = [item.context_expr for item in node.items]
            waits = any(isinstance(call, ast.Call) and re.search(r"raises|suppress", last_name(call.func), re.I) for call in calls)
        for inner in node.body if waits else []:
            for statement in ast.walk(inner):
                yield id(statement)


def last_name(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


class Edits:
    """Changes of a text, by the places of its nodes."""

    def __init__(self, text):
        # Lines as Python counts them, in the bytes that it counts columns in.
        self.lines = [line.encode() for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)]
        self.all = set()

    def line(self, number):
        return self.lines[number - 1].decode()

    def insert(self, line, column, text):
        self.all.add((line - 1, column, column, text))

    def replace(self, node, text):
        """A node of one line."""
        if node.lineno != node.end_lineno:
            return False
        self.all.add((node.lineno - 1, node.col_offset, node.end_col_offset, text))
        return True

    def around(self, node, before, after):
        self.insert(node.lineno, node.col_offset, before)
        self.insert(node.end_lineno, node.end_col_offset, after)

    def step(self, node):
        """How far another number is: near, and nothing that code could know by heart."""
        far = zlib.crc32(self.lines[node.lineno - 1]) + 3 * node.lineno + node.col_offset
        return (far % 7 + 1) * (1 if far & 8 else -1)

    def end_of(self, node, length):
        """The last characters of a node."""
        line = self.lines[node.end_lineno - 1]
        return line[max(node.end_col_offset - length, 0):node.end_col_offset].decode(errors="replace")

    def apply(self):
        for number, start, end, text in sorted(self.all, reverse=True):
            line = self.lines[number]
            self.lines[number] = line[:start] + text.encode() + line[end:]
        return b"".join(self.lines).decode()


def ask_otherwise(statement, edits, moved):
    """Changes what a statement asks for; whether it asks for anything."""
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        calls = [item.context_expr for item in statement.items]
        return any([isinstance(call, ast.Call) and other_error(call, edits) for call in calls])
    sides = equality(statement)
    if sides is not None:
        rough = isinstance(statement, ast.Expr) and ROUGH.search(last_name(statement.value.func))
        return any(id(side) in moved for side in sides) or unequal(*sides, edits, rough)
    if isinstance(statement, ast.Assert):
        test = statement.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return compare_otherwise(test.left, test.ops[0], test.comparators[0], edits)
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return call_otherwise(statement.value, edits)
    return False


def equality(statement):
    """Both sides, where a statement asks whether they are equal."""
    if isinstance(statement, ast.Assert):
        test = statement.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Eq, ast.Is)):
            return test.left, test.comparators[0]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        is_plain = not any(isinstance(argument, ast.Starred) for argument in call.args[:2])
        if EQUAL.search(last_name(call.func)) and len(call.args) >= 2 and is_plain:
            return call.args[0], call.args[1]
    return None


def unequal(left, right, edits, rough):
    for side, other in ((right, left), (left, right)):
        if is_literal(side) and other_value(side, edits, other, rough):
            return True
        if isinstance(side, ast.Call) and ROUGH.search(last_name(side.func)) and side.args and is_literal(side.args[0]):
            return other_value(side.args[0], edits, rough=True)
    side = left if has_call(right) and not has_call(left) else right
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(side)):
        return False
    edits.around(side, "[", ", %d]" % NUMBER)
    return True


def call_otherwise(call, edits):
    name = last_name(call.func)
    if RAISES.search(name):
        return other_error(call, edits)
    if len(call.args) < 2 or any(isinstance(argument, ast.Starred) for argument in call.args[:2]):
        return False
    if name == "assertIn":
        return compare_otherwise(call.args[0], ast.In(), call.args[1], edits)
    if MARGIN.match(name):
        return compare_otherwise(call.args[0], ast.Lt(), call.args[1], edits)
    return False


def other_error(call, edits):
    """`raises(ValueError)` waits for another error."""
    if not RAISES.search(last_name(call.func)) or not call.args:
        return False
    kind = call.args[0]
    return isinstance(kind, (ast.Name, ast.Attribute, ast.Tuple)) and edits.replace(kind, ERROR)


def compare_otherwise(left, operator, right, edits):
    if isinstance(operator, ast.In):
        # Numbers may well lie in a range.
        return isinstance(left, ast.Constant) and isinstance(left.value, (str, bytes)) and other_value(left, edits)
    if isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
        # Not even what is infinite is less or greater.
        return any(is_number(side) and edits.replace(side, NOTHING) for side in (right, left))
    return False


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def move_values(function, edits):
    """Changes values that have a name, in a table of parameters or on a line of
    their own, where nothing but equality is asked of them; gives where it is asked."""
    places = list(ast.walk(function))
    sides = [side for node in places for side in equality(node) or ()]
    for name in sorted({side.id for side in sides if isinstance(side, ast.Name)}):
        names = [node for node in places if isinstance(node, ast.Name) and node.id == name]
        loads = [node for node in names if isinstance(node.ctx, ast.Load)]
        asked = [side for side in sides if side in loads]
        values = given_values(function, name, len(names) - len(loads))
        if len(asked) == len(loads) and values and all(is_literal(value) for value in values):
            if all([other_value(value, edits, rough=True) for value in values]):
                yield from asked


def given_values(function, name, stores):
    """The expressions that a name of a function stands for; none, where that is unclear."""
    if stores:
        lines = [node for node in function.body if isinstance(node, ast.Assign) and len(node.targets) == 1]
        values = [node.value for node in lines if getattr(node.targets[0], "id", None) == name]
        return values if stores == 1 else []
    values = []
    for call in function.decorator_list:
        if not isinstance(call, ast.Call) or last_name(call.func) != "parametrize" or len(call.args) < 2:
            continue
        names, rows = call.args[:2]
        if isinstance(names, ast.Constant) and isinstance(names.value, str):
            names = [word.strip() for word in names.value.split(",") if word.strip()]
        elif isinstance(names, (ast.List, ast.Tuple)):
            names = [getattr(element, "value", None) for element in names.elts]
        else:
            return []
        if name not in names:
            continue
        if not isinstance(rows, (ast.List, ast.Tuple)):
            return []
        for row in rows.elts:
            values.append(row if len(names) == 1 else cell(row, names.index(name)))
    return [] if None in values else values


def cell(row, number):
    cells = row.args if isinstance(row, ast.Call) and last_name(row.func) == "param" else getattr(row, "elts", [])
    return cells[number] if number < len(cells) else None


def has_call(node):
    return any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def is_number(node):
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def is_literal(node):
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(is_literal(element) for element in node.elts)
    if isinstance(node, ast.Dict):
        return all(key is not None and is_literal(key) for key in node.keys) and all(map(is_literal, node.values))
    return isinstance(node, ast.Constant) and node.value is not ... or is_number(node)


def other_value(node, edits, other=None, rough=False):
    """Makes a literal another one: in a part that the other side has to work out, if
    that can be told, else in the first that can be another."""
    if isinstance(node, ast.UnaryOp):
        return other_value(node.operand, edits, rough=rough)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
        parts = parts_of(node)
        if not parts:
            inside = {ast.List: "%d", ast.Tuple: "%d,", ast.Dict: "%d: 0"}[type(node)] % NUMBER
            edits.insert(node.lineno, node.col_offset + 1, inside)
            return True
        others = parts_of(other) if type(other) is type(node) else []
        others = others if len(others) == len(parts) else [None] * len(parts)
        pairs = sorted(zip(parts, others), key=lambda pair: pair[1] is not None and is_literal(pair[1]))
        return any(other_value(part, edits, beside, rough) for part, beside in pairs)
    value = node.value
    if isinstance(value, (str, bytes)):
        return other_text(node, edits)
    if value is None or isinstance(value, bool):
        return edits.replace(node, "Ellipsis" if value is None else repr(not value))
    if isinstance(value, int):
        # Rough is further off than any margin that is meant to be one.
        step = value // 2 + 9 if rough else edits.step(node)
        return edits.replace(node, repr(value + step if value + step >= 0 else value - step))
    return isinstance(value, float) and value < 1e300 and edits.replace(node, repr(value * 1.5 + 9))


def other_text(node, edits):
    """A letter more at both ends."""
    line = edits.lines[node.lineno - 1][node.col_offset:].decode(errors="replace")
    begin = re.match(r"[rRbBuU]{0,2}(\"\"\"|'''|\"|')", line)
    end = edits.end_of(node, 3)
    if begin is None or end[-1:] not in ("'", '"'):
        return False
    quotes = 3 if end in ("'''", '"""') and not is_short(node) else 1
    letter = "jqxz"[edits.step(node) % 4]
    edits.insert(node.lineno, node.col_offset + begin.end(), letter)
    edits.insert(node.end_lineno, node.end_col_offset - quotes, letter)
    return True


def parts_of(node):
    return node.values + node.keys if isinstance(node, ast.Dict) else node.elts


def is_short(node):
    """An empty text in single quotes, after a quote: `'''` with no text of three."""
    return node.lineno == node.end_lineno and node.end_col_offset - node.col_offset < 6


def other(value):
    """Another value of the same kind, where that is known."""
    if isinstance(value, bool):
        return not value
    if type(value) in (int, float) and abs(value) < 1e300:
        return value * 2 + (9 if value >= 0 else -9)
    if type(value) in (str, bytes):
        letter = "j" if type(value) is str else b"j"
        return letter + value + letter
    if type(value) in (list, tuple) and value:
        return type(value)([other(value[0])] + list(value[1:]))
    if type(value) is dict and value:
        key = next(iter(value))
        return {**value, key: other(value[key])}
    return [value, NUMBER]


class Instrument(ast.NodeTransformer):
    def __init__(self, places, names):
        self.places, self.names = places, names
        self.depth = 0

    def visit(self, node):
        place = self.places.get(id(node))
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        self.depth += is_function
        node = super().visit(node) if isinstance(node, ast.List) else self.generic_visit(node)
        self.depth -= is_function
        if place is not None:
            return self.goes_on(node, place)
        if is_function and self.depth == 0 and node.name in self.names and not is_generator(node):
            self.fails_at_end(node)
        return node

    def visit_List(self, node):
        if len(node.elts) == 2 and getattr(node.elts[1], "value", None) == NUMBER:
            return ast.copy_location(ast.Call(func=ours("other"), args=node.elts[:1], keywords=[]), node)
        return node

    def goes_on(self, node, place):
        def call(held):
            words = [ast.Constant(value=word) for word in (place, held)]
            return ast.copy_location(ast.Expr(ast.Call(func=ours("note"), args=words, keywords=[])), node)

        handler = ast.ExceptHandler(type=ours("EVERYTHING"), name=None, body=[call(False)])
        return ast.copy_location(ast.Try(body=[node], handlers=[handler], orelse=[call(True)], finalbody=[]), node)

    def fails_at_end(self, node):
        end = ast.Assert(test=ours("OVER"), msg=None)
        whole = ast.Try(body=node.body, handlers=[], orelse=[], finalbody=[end])
        node.body = [ast.copy_location(whole, node)]


def is_generator(node):
    """Whether a function yields itself, and not one within it."""
    inner = [child for child in ast.iter_child_nodes(node) if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]
    return any(isinstance(child, (ast.Yield, ast.YieldFrom)) or is_generator(child) for child in inner)


def ours(name):
    return ast.Attribute(value=ast.Name(id=NAME, ctx=ast.Load()), attr=name, ctx=ast.Load())


def import_this(tree):
    """As the first thing that a module does."""
    place = 0
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not is_text and not is_future:
            break
        place += 1
    tree.body.insert(place, ast.Import(names=[ast.alias(name=__name__, asname=NAME)]))
