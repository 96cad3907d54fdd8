"""Finds what tests ask for, and asks for something else: edits of their text.

Where expectations stand in a line is known from Python 3.8 on.
"""

import ast
import re
import zlib

# Ends a display that stands for another value of what is in it.
NUMBER = 731000731
# Further off than any margin that is meant to be one.
FAR = 1000
# What nobody raises.
ERROR = "UnicodeTranslateError"

# Functions that compare their first two arguments, by the end of their names.
EQUAL = re.compile(r"(assert(List|Tuple|Dict|Set|Sequence|MultiLine|Count|Almost|ArrayAlmost)?Equals?|assertIs|assert(_\w+)?_equal|assert_allclose)$")
RAISES = re.compile(r"(raises|assertRaises(Regex)?)$")


def statements(tree):
    """All of them; in the same order wherever only expressions differ."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]


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

    def odd(self, node):
        """A small number that code cannot know by heart."""
        return zlib.crc32(self.lines[node.lineno - 1]) % 7

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
        return any(id(side) in moved for side in sides) or unequal(*sides, edits)
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


def unequal(left, right, edits):
    for side, other in ((right, left), (left, right)):
        if is_literal(side) and other_value(side, edits, other):
            return True
        if isinstance(side, ast.Call) and last_name(side.func) == "approx" and side.args and is_literal(side.args[0]):
            return other_value(side.args[0], edits)
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
            if all([other_value(value, edits) for value in values]):
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


def other_value(node, edits, other=None):
    """Makes a literal another one: in a part that the other side has to work out, if
    that can be told, else in the first that can be another."""
    if isinstance(node, ast.UnaryOp):
        return other_value(node.operand, edits)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
        parts = parts_of(node)
        if not parts:
            inside = {ast.List: "%d", ast.Tuple: "%d,", ast.Dict: "%d: 0"}[type(node)] % NUMBER
            edits.insert(node.lineno, node.col_offset + 1, inside)
            return True
        others = parts_of(other) if type(other) is type(node) else []
        others = others if len(others) == len(parts) else [None] * len(parts)
        pairs = sorted(zip(parts, others), key=lambda pair: pair[1] is not None and is_literal(pair[1]))
        return any(other_value(part, edits, beside) for part, beside in pairs)
    value = node.value
    if isinstance(value, (str, bytes)):
        return other_text(node, edits)
    if value is None or isinstance(value, bool):
        return edits.replace(node, "Ellipsis" if value is None else repr(not value))
    if isinstance(value, int):
        return edits.replace(node, repr(value * 2 + FAR + edits.odd(node)))
    return isinstance(value, float) and value < 1e300 and edits.replace(node, repr(value * 2 + FAR))


def other_text(node, edits):
    """A letter more at both ends."""
    line = edits.lines[node.lineno - 1][node.col_offset:].decode(errors="replace")
    begin = re.match(r"[rRbBuU]{0,2}(\"\"\"|'''|\"|')", line)
    end = edits.end_of(node, 3)
    if begin is None or end[-1:] not in ("'", '"'):
        return False
    quotes = 3 if end in ("'''", '"""') and not is_short(node) else 1
    letter = "jqxz"[edits.odd(node) % 4]
    edits.insert(node.lineno, node.col_offset + begin.end(), letter)
    edits.insert(node.end_lineno, node.end_col_offset - quotes, letter)
    return True


def parts_of(node):
    return node.values + node.keys if isinstance(node, ast.Dict) else node.elts


def is_short(node):
    """An empty text in single quotes, after a quote: `'''` with no text of three."""
    return node.lineno == node.end_lineno and node.end_col_offset - node.col_offset < 6
