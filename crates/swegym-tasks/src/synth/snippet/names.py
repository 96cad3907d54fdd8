"""What pieces of Python read and bind, and where the modules of tests bind it."""

import ast
import builtins
import copy
import importlib.util
import os
import symtable
import sys

# Tests change the folder; these are the repository's files as it is when they are first read.
ROOT = os.getcwd()
BUILTINS = frozenset(dir(builtins)) - {"__name__", "__file__", "__doc__"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Unfit(Exception):
    """No snippet comes of it this way."""


def unparse(statements):
    module = ast.Module(body=list(statements), type_ignores=[])
    return ast.unparse(ast.fix_missing_locations(module))


def names(statement):
    """The names that a statement reads from outside, and those it binds."""
    known = getattr(statement, "known_names", None)
    if known is None:
        known = statement.known_names = names_by_table(statement)
    return known


def forget(statement):
    """After a change: its names are others."""
    statement.known_names = None


def names_by_table(statement):
    if isinstance(statement, ast.expr):
        statement = ast.Expr(statement)
    table = symtable.symtable(unparse([statement]), "snippet", "exec")
    read, bound = set(), set()
    for symbol in table.get_symbols():
        if symbol.is_referenced():
            read.add(symbol.get_name())
        if symbol.is_assigned() or symbol.is_imported():
            bound.add(symbol.get_name())
    inner = table.get_children()
    while inner:
        child = inner.pop()
        inner.extend(child.get_children())
        read.update(s.get_name() for s in child.get_symbols() if s.is_global())
    return frozenset(read), frozenset(bound)


def is_compound(statement):
    return hasattr(statement, "body")


def free(statements):
    """What statements in a row need from before, and what they might need."""
    needed, perhaps, known = set(), set(), set()
    for statement in statements:
        read, bound = names(statement)
        own = bound if is_compound(statement) else set()
        needed |= read - own - known
        perhaps |= (read & own) - known
        known |= bound
    return needed, perhaps


def dotted(node):
    """`a.b.c` of an expression, or nothing."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id] + parts[::-1])


def is_test_path(path):
    """Whether a file belongs to tests, and so not to what a reader may count on."""
    parts = os.path.relpath(path, ROOT).replace(os.sep, "/").split("/")
    name = parts[-1]
    if "site-packages" in parts or ".." in parts or not name.endswith(".py"):
        return False
    named = name.startswith("test_") or name.endswith("_test.py") or name in ("test.py", "tests.py", "conftest.py")
    return named or bool({"tests", "test", "testing"} & set(parts[:-1]))


class Module:
    """A file of tests."""

    known = {}

    @classmethod
    def of(cls, path, namespace):
        if path not in cls.known:
            cls.known[path] = cls(path, namespace)
        return cls.known[path]

    def __init__(self, path, namespace):
        self.path, self.namespace = path, namespace
        self.name = namespace.get("__name__", "")
        self.package = namespace.get("__package__") or ""
        with open(path, "rb") as file:
            self.tree = ast.parse(file.read())
        self.binding = {}
        self.stars = []
        self._note(self.tree.body)

    def __deepcopy__(self, memo):
        return self

    def _note(self, statements):
        for statement in statements:
            if isinstance(statement, ast.If):
                self._note(statement.body + statement.orelse)
            elif isinstance(statement, ast.Try):
                self._note(statement.body)
                for handler in statement.handlers:
                    self._note(handler.body)
            elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(statement)
            else:
                for name in names(statement)[1]:
                    self.binding.setdefault(name, []).append(statement)

    def function(self, code):
        """The definition of a code object."""
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTIONS) and node.name == code.co_name:
                first = min([node.lineno] + [d.lineno for d in node.decorator_list])
                if first <= code.co_firstlineno <= node.lineno:
                    return node
        raise Unfit("no definition of " + code.co_name)

    def class_named(self, qualified):
        body, found = self.tree.body, None
        for part in qualified.split("."):
            found = next((n for n in body if isinstance(n, ast.ClassDef) and n.name == part), None)
            if found is None:
                return None
            body = found.body
        return found

    def absolute(self, statement):
        """The module that `from ... import` names, without dots before it."""
        name = "." * statement.level + (statement.module or "")
        return importlib.util.resolve_name(name, self.package) if statement.level else name


class Scope:
    """Whose names a statement's names are: a function's own, else its module's."""

    def __init__(self, module, local):
        self.module, self.local = module, local

    def __deepcopy__(self, memo):
        return self


def mark(statements, scope):
    """Statements remember where they are from, however they are moved about."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.stmt) and not hasattr(node, "scope"):
                node.scope = scope
    return statements


class Ground:
    """Imports and definitions that come before a snippet's own lines."""

    def __init__(self):
        self.imports, self.definitions, self.origins = [], [], {}

    def provide(self, name, module):
        if name == "__file__" and name not in self.origins:
            # As if the snippet lay beside the tests: it is run from the repository's root.
            place = os.path.relpath(os.path.join(os.path.dirname(module.path), "snippet.py"), ROOT)
            self._define(name, module, [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(place), lineno=0)])
            return
        known = self.origins.get(name)
        if known is not None and known != module.path and name in module.binding and not is_same(name, known, module):
            raise Unfit("two things are called " + name)
        if known is not None:
            return
        statements = module.binding.get(name, [])
        if not statements:
            self._provide_unseen(name, module)
        elif isinstance(statements[0], (ast.Import, ast.ImportFrom)):
            self._import(name, statements[0], module)
        elif isinstance(statements[-1], FUNCTIONS + (ast.ClassDef,)):
            self._define(name, module, [without_marks(statements[-1])])
        else:
            self._define(name, module, statements + effects_on(name, module))

    def _provide_unseen(self, name, module):
        """A builtin, or what a star brought."""
        for star in module.stars:
            source = sys.modules.get(module.absolute(star))
            if source is not None and hasattr(source, name):
                self._import(name, ast.ImportFrom(star.module, [ast.alias(name)], star.level), module)
                return
        if name in ("os", "sys"):
            self.imports.append(ast.Import([ast.alias(name)]))
        elif name not in BUILTINS:
            raise Unfit("nothing binds " + name)

    def _define(self, name, module, statements):
        self.origins[name] = module.path
        statements = [self.flattened(s, Scope(module, frozenset())) for s in statements]
        needed, _ = free(statements)
        for other in sorted(needed):
            self.provide(other, module)
        known = {unparse([s]) for s in self.definitions}
        self.definitions.extend(s for s in statements if unparse([s]) not in known)
        for statement in statements:
            for other in names(statement)[1]:
                self.origins.setdefault(other, module.path)

    def _import(self, name, statement, module):
        alias = next(a for a in statement.names if (a.asname or a.name.split(".")[0]) == name)
        if isinstance(statement, ast.Import):
            source = sys.modules.get(alias.name)
            # `import a.b` and `import a.c` both bind `a`.
            found = [a for s in module.binding[name] if isinstance(s, ast.Import) for a in s.names]
            same = [a for a in found if (a.asname or a.name.split(".")[0]) == name]
            lines = [ast.Import([ast.alias(a.name, a.asname)]) for a in same]
        else:
            full = module.absolute(statement)
            source = sys.modules.get(full)
            inner = sys.modules.get(full + "." + alias.name)
            if inner is not None and source is not None and getattr(source, alias.name, None) is inner:
                source = inner
            lines = [ast.ImportFrom(full, [ast.alias(alias.name, alias.asname)], 0)]
        path = getattr(source, "__file__", None) or ""
        if not path or not is_test_path(path):
            self.origins[name] = module.path
            self.imports.extend(lines)
        elif isinstance(statement, ast.ImportFrom) and source.__name__ != full + "." + alias.name:
            self._inline(name, alias.name, Module.of(path, vars(source)), module)
        else:
            raise Unfit("a module of tests as a value")

    def _inline(self, name, there, source, module):
        """What a module of tests takes from another one."""
        self.provide(there, source)
        if name != there:
            self.definitions.append(ast.Assign([ast.Name(name, ast.Store())], ast.Name(there, ast.Load()), lineno=0))
        self.origins[name] = module.path if name != there else self.origins.get(there, module.path)

    def flattened(self, statement, scope):
        """`helpers.f` as `f`, where `helpers` is a module of tests."""
        for name in names(statement)[0] - scope.local if scope.module is not None else ():
            source = module_of_tests(name, scope.module)
            if source is not None:
                members = Members(name)
                statement = members.visit(copy.deepcopy(statement))
                forget(statement)
                for member in sorted(members.found):
                    self.provide(member, source)
        return statement

    def lines(self):
        seen, imports = set(), []
        for statement in self.imports:
            text = unparse([statement])
            if text not in seen:
                seen.add(text)
                imports.append(text)
        ahead = [text for text in imports if text.startswith("from __future__")]
        return ahead + sorted(text for text in imports if text not in ahead)


class Members(ast.NodeTransformer):
    """What follows a module's name, alone."""

    def __init__(self, name):
        self.name, self.found = name, set()

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id == self.name:
            self.found.add(node.attr)
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        return self.generic_visit(node)


def is_same(name, path, module):
    """Whether two modules of tests mean the same thing by a name."""
    nothing = object()
    return Module.known[path].namespace.get(name, nothing) is module.namespace.get(name)


def module_of_tests(name, module):
    """The module of tests that a name stands for, if it does."""
    value = module.namespace.get(name)
    path = getattr(value, "__file__", None)
    if not isinstance(value, type(sys)) or not path or not is_test_path(path):
        return None
    return Module.of(path, vars(value))


def without_marks(definition):
    """A definition without what is the test runner's and without its words."""
    definition = copy.deepcopy(definition)
    definition.decorator_list = [d for d in definition.decorator_list if "pytest" not in ast.unparse(d)]
    return Plain().visit(definition)


class Plain(ast.NodeTransformer):
    """Functions without what only readers and checkers of types need."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        forget(node)
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return self.visit_ClassDef(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        if isinstance(node, ast.ClassDef):
            self.generic_visit(node)
            forget(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node


def effects_on(name, module):
    """What is done at a module's level to what a name stands for: `table.update(...)`."""
    found = []
    for statement in module.tree.body:
        node = None
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            node = statement.value.func
        elif isinstance(statement, (ast.Assign, ast.AugAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            node = next((t for t in targets if not isinstance(t, (ast.Name, ast.Tuple, ast.List))), None)
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
            if isinstance(node, ast.Name) and node.id == name:
                found.append(statement)
    return found
