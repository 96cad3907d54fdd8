"""What a failing statement of a test lets one see, and what of a test only checks."""

import ast

from swegym_names import dotted, forget

# In the place of an exception: a claim that must be true where nothing is broken.
HOLDS = "holds"
# What flattens to its body: it only counts, names or checks.
AROUND = ("subTest", "warns", "deprecated_call", "assertWarns", "assertWarnsRegex", "assertNoLogs")
RAISING = ("raises", "assertRaises", "assertRaisesRegex", "assertRaisesRegexp", "assert_raises", "assert_raises_regex", "RaisesGroup")
WARNING = ("warns", "deprecated_call", "assertWarns", "assertWarnsRegex")
# What a test says to its runner alone.
ASIDE = ("print", "pprint", "addCleanup", "addClassCleanup", "doCleanups", "skipTest", "addTypeEqualityFunc", "importorskip", "fail", "skip", "xfail")


def called(node):
    """The last part of what a call names."""
    node = node.value if isinstance(node, ast.Expr) else node
    return dotted(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def context(statement, words):
    """The call among a `with`'s contexts that has one of these names, and what it is bound to."""
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        for item in statement.items:
            if called(item.context_expr) in words:
                return item
    return None


def is_assertion(statement):
    name = called(statement) if isinstance(statement, ast.Expr) else ""
    words = name.lower().lstrip("_")
    return isinstance(statement, ast.Assert) or words.startswith(("assert", "ensure", "expect")) or name in ("eq_", "ok_")


def without_checks(statements, keep_calls=False):
    """The statements that do something; of checks, if wanted, the calls in them."""
    found = []
    for statement in statements:
        if is_assertion(statement):
            if keep_calls:
                found.extend(calls_in(statement))
        elif context(statement, RAISING):
            continue
        elif context(statement, AROUND):
            found.extend(without_checks(statement.body, keep_calls))
        elif isinstance(statement, ast.Expr) and (called(statement) in ASIDE or isinstance(statement.value, ast.Constant)):
            continue
        elif isinstance(statement, (ast.Pass, ast.Global, ast.Nonlocal)):
            continue
        elif not isinstance(statement, BLOCKS):
            found.append(statement)
        elif has_more(thinned(statement)):
            found.append(statement)
    return found


BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith)


def thinned(statement):
    """A compound statement without the checks inside of it."""
    for field in ("body", "orelse", "finalbody"):
        inner = getattr(statement, field, None)
        if inner:
            setattr(statement, field, without_checks(inner) or [ast.Pass()] * (field == "body"))
    forget(statement)
    return statement


def has_more(statement):
    """Whether anything is left of a block but `pass`."""
    handlers = [line for handler in getattr(statement, "handlers", []) for line in handler.body]
    lines = statement.body + getattr(statement, "orelse", []) + getattr(statement, "finalbody", []) + handlers
    return any(not isinstance(line, ast.Pass) for line in lines)


def calls_in(check):
    parts = [check.test] if isinstance(check, ast.Assert) else check.value.args
    if len(parts) == 1 and isinstance(parts[0], ast.Compare):
        parts = [parts[0].left] + parts[0].comparators
    lines = [ast.Expr(part) for part in parts if any(isinstance(n, ast.Call) for n in ast.walk(part))]
    return [ast.copy_location(with_scope(line, check), check) for line in lines]


def with_scope(statement, other):
    statement.scope = other.scope
    return statement


def is_literal(node):
    try:
        ast.literal_eval(node)
        return True
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False


def seen_in(test):
    """Expressions of a claim, the telling ones first."""
    found = []
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        found = [test.left, test.comparators[0]]
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        found = seen_in(test.operand)
    elif isinstance(test, ast.BoolOp):
        found = [part for value in test.values for part in seen_in(value)]
    return [part for part in found if not is_literal(part)] + [test]


COMPARING = {
    "Equal": ast.Eq, "Equals": ast.Eq, "NotEqual": ast.NotEq, "Is": ast.Is, "IsNot": ast.IsNot, "In": ast.In,
    "NotIn": ast.NotIn, "Less": ast.Lt, "LessEqual": ast.LtE, "Greater": ast.Gt, "GreaterEqual": ast.GtE,
    "ListEqual": ast.Eq, "DictEqual": ast.Eq, "TupleEqual": ast.Eq, "SetEqual": ast.Eq, "MultiLineEqual": ast.Eq,
    "SequenceEqual": ast.Eq, "_equal": ast.Eq,
}


def seen_in_call(call):
    """The same for `assertEqual(a, b)` and others by whatever name."""
    arguments = [a for a in call.args if not isinstance(a, ast.Starred)]
    operator = COMPARING.get(called(call).replace("assert", "", 1), None)
    found = [part for argument in arguments[:2] for part in seen_in(argument) if not is_literal(argument)]
    if operator is not None and len(arguments) >= 2:
        found.append(ast.Compare(arguments[0], [operator()], [arguments[1]]))
    return found


def printing(expression, written=False):
    """`print(x)`, or with quotation marks and all."""
    if written:
        expression = ast.Call(ast.Name("repr", ast.Load()), [expression], [])
    return ast.Expr(ast.Call(ast.Name("print", ast.Load()), [expression], []))


def printed(expressions, claim=None):
    found = []
    for expression in expressions:
        found.append(([printing(expression)], HOLDS if expression is claim else None))
        if expression is not claim and not isinstance(expression, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            found.append(([printing(expression, True)], None))
    return found


def observations(statement):
    """Ways to see what goes wrong in a statement: lines, and the exception they should end in."""
    raising = context(statement, RAISING)
    if raising is not None:
        return [(statement.body, expected_class(raising.context_expr))]
    warning = context(statement, WARNING)
    if warning is not None:
        return [(watching_warnings(statement.body), None)]
    if isinstance(statement, ast.Assert):
        return printed(seen_in(statement.test), statement.test)
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if called(call) in RAISING:
            start = 2 if "egex" in called(call) else 1
            if len(call.args) <= start:
                return []
            inner = ast.Call(call.args[start], call.args[start + 1:], call.keywords)
            return [([ast.Expr(inner)], expected_class(call))]
        if is_assertion(statement):
            seen = seen_in_call(call)
            return printed(seen, seen[-1] if seen and seen[-1] not in call.args else None)
        return [([statement], None)]
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Return, ast.AugAssign)) and statement.value is not None:
        # What has no text of its own can still come about without an error.
        return printed([statement.value]) + [([ast.Expr(statement.value)], None)]
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        return printed([ast.Call(ast.Name("list", ast.Load()), [statement.iter], [])])
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        return [([ast.Expr(item.context_expr) for item in statement.items], None)]
    return [([statement], None)]


def expected_class(call):
    """The name of the exception, `Exception` where it is not written down."""
    if call.args:
        node = call.args[0].elts[0] if isinstance(call.args[0], ast.Tuple) and call.args[0].elts else call.args[0]
        return dotted(node).rpartition(".")[2] or "Exception"
    return "Exception"


WATCHING = """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
print([w.category.__name__ + ": " + str(w.message) for w in caught])
"""


def watching_warnings(body):
    lines = [ast.Import([ast.alias("warnings")])] + ast.parse(WATCHING).body
    lines[1].body = lines[1].body + body
    return lines
