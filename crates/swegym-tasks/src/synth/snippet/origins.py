"""Where a test's names come from that its own lines do not bind: classes, parameters, fixtures."""

import ast
import copy
import inspect

from swegym_assertions import called
from swegym_names import BUILTINS, FUNCTIONS, Module, Scope, Unfit, dotted, forget, is_test_path, mark, names, without_marks
from swegym_slices import Frame, assign, levels_of, literal, with_scope

SET_UP_ONCE = ("setUpClass", "setup_class")
SET_UP = ("setUp", "asyncSetUp", "setup_method", "setup")
LONGEST_WRITTEN = 300
# Fixtures of the runner as lines that anybody can run.
READY = {
    "tmp_path": "import pathlib\nimport tempfile\ntmp_path = pathlib.Path(tempfile.mkdtemp())",
    "tmpdir": "import tempfile\nimport py\ntmpdir = py.path.local(tempfile.mkdtemp())",
    "monkeypatch": "import pytest\nmonkeypatch = pytest.MonkeyPatch()",
}


class Renamed(ast.NodeTransformer):
    """`self.x` as `x`: a snippet has no class around it."""

    def __init__(self, taken):
        self.taken, self.names, self.properties = taken, {}, set()

    def visit_Attribute(self, node):
        if ast.unparse(node.value) not in ("self", "cls", "type(self)", "self.__class__"):
            return self.generic_visit(node)
        name = ast.copy_location(ast.Name(self.name_of(node.attr), node.ctx), node)
        return ast.copy_location(ast.Call(name, [], []), node) if node.attr in self.properties else name

    def name_of(self, attribute):
        if attribute not in self.names:
            own = attribute.lstrip("_") or attribute
            self.names[attribute] = own + "_" if own in self.taken or own in BUILTINS else own
        return self.names[attribute]


class TestClass:
    """A class of tests: what its set-up does, and what its bodies hold."""

    def __init__(self, instance):
        self.parts = []
        for part in reversed(type(instance).__mro__):
            path = inspect.getsourcefile(part) if "." in part.__module__ or part.__module__ != "builtins" else None
            if path and is_test_path(path):
                module = Module.of(path, vars(inspect.getmodule(part)))
                definition = module.class_named(part.__qualname__)
                if definition is None:
                    raise Unfit("a class that is nowhere")
                self.parts.append((definition, module))
        taken = set()
        for definition, _ in self.parts:
            for statement in definition.body:
                read, _ = names(statement)
                taken |= read
                for inner in ast.walk(statement):
                    if isinstance(inner, ast.Name):
                        taken.add(inner.id)
        self.renamed = Renamed(taken)
        for definition, _ in self.parts:
            for line in definition.body:
                decorators = map(dotted, getattr(line, "decorator_list", []))
                if any(d.rpartition(".")[2] in ("property", "cached_property") for d in decorators):
                    self.renamed.properties.add(line.name)
        # Every attribute has its name before any body is looked at.
        for definition, _ in self.parts:
            self.rename(definition)

    def rename(self, node):
        node = copy.deepcopy(node)
        for statement in ast.walk(node):
            forget(statement)
        return self.renamed.visit(node)

    def frame(self, definition, module, line, values):
        frame = Frame(self.rename(definition), module, line, values, set(self.renamed.names.values()))
        for name in SET_UP_ONCE + (SET_UP if definition.name not in SET_UP_ONCE + SET_UP else ()):
            frame.prelude += self.set_up(name, len(self.parts))
        frame.attributes = self.attributes({n for s in frame.prelude for n in names(s)[1]})
        return frame

    def set_up(self, name, below):
        """The lines of a method and, where it calls them, of the same one of the classes above."""
        for i in range(below - 1, -1, -1):
            definition, module = self.parts[i]
            found = next((n for n in definition.body if isinstance(n, FUNCTIONS) and n.name == name), None)
            if found is None:
                continue
            body = Frame(self.rename(found), module, 0, {}, set(self.renamed.names.values())).body
            calls_up = [s for s in body if "super()" in ast.unparse(s)]
            above = self.set_up(name, i) if calls_up else []
            return above + [s for s in body if s not in calls_up]
        return []

    def attributes(self, bound):
        """What class bodies hold, as lines: values, and methods without `self`."""
        found, every = {}, set(self.renamed.names.values())
        for definition, module in self.parts:
            for statement in definition.body:
                if isinstance(statement, FUNCTIONS):
                    line = self.method(statement)
                elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    line = assign(self.renamed.name_of(statement.targets[0].id), copy.deepcopy(statement.value))
                else:
                    continue
                name = next(iter(names(line)[1]))
                if name in every and name not in bound:
                    found[name] = with_scope(line, Scope(module, every))
        return found

    def method(self, definition):
        line = without_marks(self.rename(definition))
        line.name = self.renamed.name_of(definition.name)
        arguments = line.args.posonlyargs + line.args.args
        plain = any(dotted(d) == "staticmethod" for d in line.decorator_list)
        if arguments and not plain:
            (line.args.posonlyargs or line.args.args).pop(0)
        line.decorator_list = []
        own = set(self.renamed.names.values())
        written = sorted({n.id for n in ast.walk(line) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} & own)
        if written:
            line.body = [ast.Global(written)] + line.body
        return line


class Provider:
    """Lines for the parameters of one test."""

    def __init__(self, item, frame_values, test_class):
        self.test_class, self.values, self.closure = test_class, frame_values, set()
        self.expressions, self.fixtures, self.picked = {}, {}, {}
        if item is None:
            return
        self.closure = set(getattr(item, "fixturenames", ()))
        call = getattr(item, "callspec", None)
        self.picked = dict(call.params) if call is not None else {}
        indices = dict(call.indices) if call is not None else {}
        direct = set()
        for mark_ in item.iter_markers("parametrize"):
            direct |= self.parametrized(mark_, indices, item)
        known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        for name in self.closure - direct:
            function = inspect.unwrap(known[name][-1].func) if known.get(name) else None
            code = getattr(function, "__code__", None)
            if code is not None and is_test_path(code.co_filename):
                module = Module.of(code.co_filename, function.__globals__)
                self.fixtures[name] = (module.function(code), module)

    def parametrized(self, mark_, indices, item):
        """Parameters of one `parametrize`: the expressions in the source, else their values."""
        words = mark_.args[0] if mark_.args else mark_.kwargs.get("argnames", ())
        words = [w.strip() for w in words.split(",") if w.strip()] if isinstance(words, str) else list(words)
        if mark_.kwargs.get("indirect"):
            return set()
        for place, name in enumerate(words):
            if name in self.picked:
                # `Flag.A | Flag.B` says more than its value.
                value = self.written(name, place, len(words), indices.get(name), item)
                if value is None or len(ast.unparse(value)) > LONGEST_WRITTEN:
                    value = literal(self.picked[name])
                if value is not None:
                    self.expressions[name] = value
        return set(words)

    def written(self, name, place, count, index, item):
        code = getattr(inspect.unwrap(item.function), "__code__", None)
        if index is None or code is None:
            return None
        module = Module.of(code.co_filename, item.function.__globals__)
        for decorator in module.function(code).decorator_list:
            if called(decorator) == "parametrize" and len(decorator.args) > 1 and name in ast.unparse(decorator.args[0]):
                return self.element(decorator.args[1], index, place, count, module)
        return None

    @staticmethod
    def element(values, index, place, count, module):
        if not isinstance(values, (ast.List, ast.Tuple)) or any(isinstance(e, ast.Starred) for e in values.elts):
            return None
        if index >= len(values.elts):
            return None
        chosen = values.elts[index]
        if called(chosen) == "param":
            chosen = ast.Tuple(chosen.args, ast.Load()) if count > 1 else chosen.args[0]
        if count > 1:
            if not isinstance(chosen, (ast.Tuple, ast.List)) or place >= len(chosen.elts):
                return None
            chosen = chosen.elts[place]
        chosen = copy.deepcopy(chosen)
        chosen.module = module
        return chosen

    def unasked(self, parameters):
        """Fixtures of the tests' own that nothing names."""
        asked = set(parameters).union(*(self.needs(name) for name in self.fixtures))
        return sorted(name for name in self.fixtures if name not in asked)

    def knows(self, name):
        return name in self.closure and (name in self.expressions or name in self.fixtures or name in READY)

    def last(self, todo):
        """One that no other needs: it comes last before what is there."""
        for name in todo:
            if not any(name in self.needs(other) for other in todo if other != name):
                return name
        return None

    def needs(self, name):
        found, todo = set(), [name]
        while todo:
            definition = self.fixtures.get(todo.pop(), (None,))[0]
            for argument in definition.args.args if definition is not None else ():
                if argument.arg not in found:
                    found.add(argument.arg)
                    todo.append(argument.arg)
        return found

    def __call__(self, name, assembly, tail):
        if name in self.expressions:
            value = copy.deepcopy(self.expressions[name])
            module = getattr(value, "module", assembly.frames[0].module)
            return [with_scope(assign(name, value), Scope(module, {name}))] + tail
        if name in self.fixtures:
            return self.inline(name, assembly, tail)
        if name in READY:
            lines = ast.parse(READY[name]).body
            assembly.ground.imports += lines[:-1]
            return mark(lines[-1:], Scope(None, names(lines[-1])[0])) + tail
        value = literal(self.values[name]) if name in self.values else None
        if value is None:
            raise Unfit("a parameter from nowhere: " + name)
        return [with_scope(assign(name, value), Scope(None, set()))] + tail

    def inline(self, name, assembly, tail):
        definition, module = self.fixtures[name]
        definition = self.with_parameter(name, copy.deepcopy(definition))
        if self.test_class is not None and [a.arg for a in definition.args.args[:1]] == ["self"]:
            definition = self.test_class.rename(definition)
            definition.args.args.pop(0)
        exits = exits_of(definition)
        frame = Frame(definition, module, 0, {})
        others = frame.scope.local - {name} - set(frame.parameters)
        if not exits:
            return assembly.cut(frame.body, tail)
        if len(exits) != 1 or others & assembly.wanted(tail):
            return self.called(name, definition, module, exits) + tail
        levels = levels_of(frame.body, exits[0].lineno)
        value = exits[0].value
        if value is not None and not (isinstance(value, ast.Name) and value.id == name):
            tail = [with_scope(assign(name, copy.deepcopy(value)), frame.scope)] + tail
        return assembly.wrapped(levels, tail, frame)

    def with_parameter(self, name, definition):
        if name not in self.picked:
            return definition
        value = literal(self.picked[name])
        if value is None:
            raise Unfit("a fixture's parameter that cannot be written down")

        class Put(ast.NodeTransformer):
            def visit_Attribute(self, node):
                return value if ast.unparse(node) == "request.param" else self.generic_visit(node)

        return Put().visit(definition)

    @staticmethod
    def called(name, definition, module, exits):
        """A fixture of several ways out stays a function."""
        line = without_marks(definition)
        line.name = "make_" + name
        arguments = [ast.Name(a.arg, ast.Load()) for a in definition.args.args]
        call = ast.Call(ast.Name(line.name, ast.Load()), arguments, [])
        if any(isinstance(e, ast.Yield) for e in exits):
            call = ast.Call(ast.Name("next", ast.Load()), [call], [])
        scope = Scope(module, {line.name, name} | {a.arg for a in definition.args.args})
        return mark([line, assign(name, call)], scope)


def exits_of(definition):
    """Where a function gives its value, functions inside of it aside."""
    found, todo = [], list(definition.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Return, ast.Yield)):
            found.append(node)
        elif not isinstance(node, FUNCTIONS + (ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(node))
    return found
