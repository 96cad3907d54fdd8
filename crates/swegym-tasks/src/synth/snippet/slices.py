"""A runnable snippet out of a failing test: from what it shows, back to what that needs."""

import ast
import copy
import os

from swegym_assertions import AROUND, HOLDS, RAISING, WARNING, context, expected_class, is_literal, observations, printing, without_checks
from swegym_names import BUILTINS, FUNCTIONS, ROOT, Ground, Plain, Scope, Unfit, dotted, forget, free, is_compound, mark, names, unparse

# Least first: what the shown value needs; then every call before it; then what checks call, too.
MANNERS = ("needed", "calls", "all")
LONGEST_LITERAL = 60
MOST_SCRIPTS = 12


class Frame:
    """One function of the tests that was running, and where it stood."""

    def __init__(self, definition, module, line, values, attributes=frozenset()):
        self.definition, self.module, self.line, self.values = definition, module, line, values
        self.prelude, self.attributes = [], {}
        # Contexts that decorate the function, outermost first, and what they hand to it.
        self.around = [d for d in definition.decorator_list if is_context(d)]
        self.handed = handed_by(self.around, definition)
        arguments = definition.args
        self.parameters = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        self.scope = Scope(module, bound_in(definition) | attributes)
        self.body = mark([Direct().visit(statement) for statement in copy.deepcopy(definition.body)], self.scope)


class Direct(ast.NodeTransformer):
    """What `monkeypatch` does, without it: nothing is to be undone in a snippet."""

    LINES = {
        ("setenv", 2): "os.environ[{0}] = {1}",
        ("delenv", 1): "os.environ.pop({0}, None)",
        ("chdir", 1): "os.chdir({0})",
        ("syspath_prepend", 1): "sys.path.insert(0, str({0}))",
        ("setitem", 3): "{0}[{1}] = {2}",
        ("delitem", 2): "{0}.pop({1}, None)",
        ("setattr", 3): "setattr({0}, {1}, {2})",
        ("delattr", 2): "delattr({0}, {1})",
    }

    def visit_Expr(self, node):
        call = node.value
        name = dotted(call.func) if isinstance(call, ast.Call) else ""
        line = self.LINES.get((name[len("monkeypatch."):], len(call.args))) if name.startswith("monkeypatch.") else None
        if line is None:
            return node
        done = ast.parse(line.format(*map(ast.unparse, call.args))).body[0]
        if name.endswith("setattr") and isinstance(call.args[1], ast.Constant) and str(call.args[1].value).isidentifier():
            target = ast.Attribute(call.args[0], call.args[1].value, ast.Store())
            done = ast.Assign([target], call.args[2], lineno=0)
        done.was_patching = True
        for part in ast.walk(done):
            part.lineno, part.end_lineno = node.lineno, node.end_lineno
            part.col_offset, part.end_col_offset = node.col_offset, node.end_col_offset
        return done


def is_patch(decorator):
    return isinstance(decorator, ast.Call) and "patch" in dotted(decorator.func).split(".")


def is_context(decorator):
    """Whether a decorator may stand around lines as well; it is seen when they run."""
    root = dotted(decorator.func).split(".") if isinstance(decorator, ast.Call) else [""]
    return is_patch(decorator) or not {"", "pytest", "mark", "unittest", "given", "settings", "fixture"} & set(root)


def handed_by(around, definition):
    """`mock.patch` without a stand-in of the test's own hands one over, the innermost first."""
    handing = [
        d for d in reversed(around)
        if is_patch(d) and len(d.args) < (3 if "object" in dotted(d.func) else 2)
        and "dict" not in dotted(d.func).split(".") and not any(k.arg in ("new", None) for k in d.keywords)
    ]
    names_ = [a.arg for a in definition.args.args if a.arg not in ("self", "cls")]
    return {id(d): name for d, name in zip(handing, names_)}


def bound_in(definition):
    """All names that a function binds for itself."""
    bound = {a.arg for a in ast.walk(definition.args) if isinstance(a, ast.arg)}
    for statement in definition.body:
        bound |= names(statement)[1]
    return bound


def scripts(frames, provide):
    """Texts of snippets with the exceptions that should end them, the shortest ways first.

    `frames` go from the test to its innermost helper; `provide(name, tail)` gives
    the lines that come before for one of the test's own parameters.
    """
    found, seen = [], set()
    try:
        ways = ways_to_see(levels_of(frames[-1].body, frames[-1].line), frames[-1])
    except Unfit:
        return []
    for manner in MANNERS:
        for levels, lines, raises in ways:
            try:
                text = Assembly(frames, provide, manner).text(levels, lines)
            except (Unfit, SyntaxError, ValueError, RecursionError, AttributeError):
                continue
            if text not in seen and len(found) < MOST_SCRIPTS:
                seen.add(text)
                found.append({"text": text, "raises": raises if raises != HOLDS else None, "holds": raises == HOLDS})
    return found


def ways_to_see(levels, frame):
    """Levels up to a place in the function, the lines to put there, and the exception that should come.

    In its place, `HOLDS` says that a claim is printed.
    """
    preceding, statement = levels[-1]
    read, _ = names(statement)
    ways = []
    for i, earlier in enumerate(preceding):
        item = context(earlier, RAISING)
        binds = names(earlier)[1] & read
        # A claim about an exception that was caught: let it go.
        if item is not None and binds:
            ways.append((levels[:-1] + [(preceding[:i], earlier)], earlier.body, expected_class(item.context_expr)))
        # A claim about what was printed: it is printed.
        elif binds and "readouterr" in ast.unparse(earlier):
            ways.append((levels[:-1] + [(preceding[:i], earlier)], [], None))
    if "readouterr" in ast.unparse(statement):
        ways.append((levels, [], None))
    for depth, (_, container) in enumerate(levels):
        for handler in getattr(container, "handlers", []):
            raises = expected_class(ast.Call(ast.Name("raises", ast.Load()), [handler.type] if handler.type else [], []))
            ways.append((levels[:depth] + [(levels[depth][0], container)], container.body, raises))
    ways.extend((levels, lines, raises) for lines, raises in observations(statement))
    for _, lines, _ in ways:
        mark(lines, frame.scope)
    return ways


def levels_of(body, line):
    """From the outside in: statements before, and the one that the line is in."""
    for i, statement in enumerate(body):
        if not statement.lineno <= line <= statement.end_lineno:
            continue
        stays = context(statement, RAISING + WARNING) or isinstance(statement, FUNCTIONS + (ast.ClassDef,))
        blocks = [getattr(statement, field, None) for field in ("body", "orelse", "finalbody")]
        blocks += [handler.body for handler in getattr(statement, "handlers", [])]
        for block in blocks if not stays else []:
            if block and isinstance(block, list) and block[0].lineno <= line <= block[-1].end_lineno:
                return [(body[:i], statement)] + levels_of(block, line)
        return [(body[:i], statement)]
    raise Unfit("no statement at the line")


class Assembly:
    """One attempt at a snippet, in one manner."""

    def __init__(self, frames, provide, manner):
        self.frames, self.provide, self.manner = frames, provide, manner
        self.ground = Ground()

    def text(self, levels, lines):
        inner = self.frames[-1]
        tail = self.wrapped(levels, copy.deepcopy(lines), inner)
        for frame, caller in zip(reversed(self.frames), reversed(self.frames[:-1])):
            outer = levels_of(caller.body, caller.line)
            tail = self.bound_by_call(outer[-1][1], frame, tail)
            tail = self.wrapped(outer, tail, caller)
        tail = self.before(self.frames[0], tail)
        return self.finished(tail)

    def wrapped(self, levels, tail, frame):
        """The tail with what comes before it at each level of its function."""
        for depth in range(len(levels) - 1, -1, -1):
            preceding, container = levels[depth]
            if depth < len(levels) - 1:
                tail = self.inside(container, tail, frame)
            tail = self.cut(preceding, tail)
        return self.cut(frame.prelude, tail)

    def inside(self, container, tail, frame):
        """The tail as part of a loop or a `with`; where one round of a loop can be told, that round."""
        if isinstance(container, (ast.For, ast.AsyncFor)):
            literal = literal_of(container.target, frame.values)
            if literal is not None:
                assign = ast.Assign([container.target], literal, lineno=container.lineno)
                return self.cut(mark([assign], container.scope), tail)
            header = type(container)(container.target, container.iter, tail, [], lineno=container.lineno)
        elif isinstance(container, (ast.With, ast.AsyncWith)) and not context(container, AROUND):
            header = type(container)(container.items, tail, lineno=container.lineno)
        else:
            return tail
        header.scope, header.spliced = container.scope, True
        return [header]

    def cut(self, preceding, tail):
        """What of the preceding statements the tail needs."""
        wanted = self.wanted(tail)
        for statement in reversed(without_checks(preceding, self.manner == "all")):
            read, bound = names(statement)
            read = self.with_methods(read)
            local = (wanted | set(self.frames[0].handed.values())) & statement.scope.local
            if not (bound & wanted or self.acts(statement, read, local)):
                continue
            if isinstance(statement, ast.Assign) and all(isinstance(t, (ast.Name, ast.Tuple)) for t in statement.targets):
                wanted -= bound
            wanted |= read
            tail = [copy.deepcopy(statement)] + tail
        return tail

    def wanted(self, tail):
        needed, perhaps = free(tail)
        return self.with_methods(needed | perhaps)

    def with_methods(self, wanted):
        """A method that is called reads what its class has."""
        attributes = self.frames[0].attributes
        todo, done = list(wanted), set(wanted)
        while todo:
            found = attributes.get(todo.pop())
            for name in names(found)[0] - done if found is not None else ():
                done.add(name)
                todo.append(name)
        return done

    def acts(self, statement, read, local):
        """Whether a statement changes something without binding a name."""
        if "monkeypatch" in read or getattr(statement, "was_patching", False):
            return True
        if isinstance(statement, ast.Expr):
            acts = any(isinstance(node, (ast.Call, ast.Await)) for node in ast.walk(statement))
        elif isinstance(statement, (ast.Assign, ast.AugAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            acts = any(isinstance(t, (ast.Attribute, ast.Subscript)) for t in targets)
            acts = acts or self.manner == "all" and any(isinstance(n, ast.Call) for n in ast.walk(statement))
        else:
            acts = isinstance(statement, ast.Delete) or is_compound(statement) and not isinstance(statement, FUNCTIONS + (ast.ClassDef,))
        return acts and (self.manner != "needed" or bool(read & local))

    def bound_by_call(self, statement, frame, tail):
        """A helper's parameters become what it was called with."""
        name = frame.definition.name
        calls = [n for n in ast.walk(statement) if isinstance(n, ast.Call) and dotted(n.func).split(".")[-1] == name]
        if len(calls) != 1 or any(isinstance(a, ast.Starred) for a in calls[0].args):
            raise Unfit("no single call of " + name)
        call, arguments = calls[0], frame.definition.args
        places = [a.arg for a in arguments.posonlyargs + arguments.args]
        given = dict(zip(reversed(places), reversed(arguments.defaults)))
        given.update((a.arg, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults))
        if places[:1] in (["self"], ["cls"]):
            places = places[1:]
        given.update(zip(places, call.args))
        given.update((k.arg, k.value) for k in call.keywords)
        wanted = self.wanted(tail) & set(frame.parameters)
        values = {n: given.get(n) for n in frame.parameters if n in wanted}
        if None in values.values():
            raise Unfit("a parameter that the call does not name")
        pairs = [(n, v) for n, v in values.items() if not (isinstance(v, ast.Name) and v.id == n)]
        return [with_scope(assign(n, v), statement.scope) for n, v in pairs] + tail

    def before(self, frame, tail):
        """The test's own parameters, and its class's attributes."""
        for decorator in reversed(frame.around):
            target = frame.handed.get(id(decorator))
            if self.manner == "needed" and not is_patch(decorator):
                continue
            item = ast.withitem(copy.deepcopy(decorator), ast.Name(target, ast.Store()) if target else None)
            tail = [ast.With([item], tail, lineno=0)]
            tail[0].scope, tail[0].spliced = frame.scope, True
        if self.manner != "needed":
            for name in self.provide.unasked(frame.parameters):
                tail = self.provide(name, self, tail)
        done = set()
        while True:
            wanted = self.wanted(tail)
            handed = set(frame.handed.values())
            todo = [n for n in frame.parameters if n in wanted and n not in done | handed]
            todo += sorted(n for n in wanted if n not in todo and n not in done and self.provide.knows(n))
            name = self.provide.last(todo)
            if name is None:
                break
            done.add(name)
            tail = self.provide(name, self, tail)
        for name in sorted(self.wanted(tail) & set(frame.attributes)):
            definition = frame.attributes[name]
            tail = [copy.deepcopy(definition)] + tail
        return tail

    def finished(self, tail):
        if not tail:
            raise Unfit("nothing is done")
        tail = [Plain().visit(statement) for statement in tail]
        for statement in tail:
            forget(statement)
        tail = inlined(without_aliases(tail))
        if is_literal(shown_by(tail[-1])):
            raise Unfit("nothing but a literal is shown")
        tail = [self.ground.flattened(Relative().visit(statement), statement.scope) for statement in tail]
        self.claim(tail)
        body = self.ground.definitions + tail
        # In which order is seen when it runs: functions may read what is bound after them.
        undefined = free(body)[0] - BUILTINS - {n for line in self.ground.imports + body for n in names(line)[1]}
        if undefined:
            raise Unfit("undefined: " + ", ".join(sorted(undefined)))
        parts = [unparse(self.ground.definitions), unparse(asynchronous(tail, self.ground))]
        text = "\n".join(self.ground.lines())
        return "\n\n".join(part for part in [text] + parts if part) + "\n"

    def claim(self, statements):
        """Imports and definitions for what the lines read and do not bind."""
        for statement in statements:
            if getattr(statement, "spliced", False):
                heads = [statement.iter] if hasattr(statement, "iter") else [i.context_expr for i in statement.items]
                read = set().union(*(names(head)[0] for head in heads))
                self.claim(statement.body)
            else:
                read, _ = names(statement)
            for name in sorted(read - statement.scope.local - set(self.frames[0].attributes)):
                self.ground.provide(name, statement.scope.module)


def shown_by(statement):
    """What a line prints; the line itself where it prints nothing."""
    call = getattr(statement, "value", None)
    while isinstance(call, ast.Call) and dotted(call.func) in ("print", "repr") and len(call.args) == 1:
        call = call.args[0]
    return call


def without_aliases(tail):
    """`a = b`, where nothing reads `b` after it: one name for both."""
    for i, statement in enumerate(tail):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name) and isinstance(statement.targets[0], ast.Name):
            old, new = statement.value.id, statement.targets[0].id
            bound = {n for s in tail[:i] for n in names(s)[1]}
            if old in bound and old not in names_in(tail[i + 1:]) and new not in names_in(tail[:i]):
                for earlier in tail[:i]:
                    earlier.scope = Scope(earlier.scope.module, earlier.scope.local | {new})
                    forget(earlier)
                    for node in ast.walk(earlier):
                        if isinstance(node, ast.Name) and node.id == old:
                            node.id = new
                        elif isinstance(node, FUNCTIONS) and node.name == old:
                            node.name = new
                return without_aliases(tail[:i] + tail[i + 1:])
    return tail


def with_scope(statement, scope):
    return mark([statement], scope)[0]


def assign(name, value):
    return ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)


def names_in(statements):
    return {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)}


def is_plain(value):
    """Whether a value is what its representation says."""
    if type(value) is float:
        return value == value and value not in (float("inf"), float("-inf"))
    if value is None or type(value) in (bool, int, str, bytes):
        return True
    if type(value) in (tuple, list):
        return all(map(is_plain, value))
    return type(value) is dict and all(map(is_plain, value)) and all(map(is_plain, value.values()))


def literal(value, longest=300):
    """A plain value as an expression, if it is short."""
    text = repr(value) if is_plain(value) else ""
    return ast.parse(text, mode="eval").body if 0 < len(text) <= longest else None


def literal_of(target, values):
    """What a loop's variables held, if it can be written down."""
    if isinstance(target, ast.Name):
        return literal(values[target.id]) if target.id in values else None
    if isinstance(target, (ast.Tuple, ast.List)):
        parts = [literal_of(part, values) for part in target.elts]
        return None if None in parts else ast.Tuple(parts, ast.Load())
    return None


class Relative(ast.NodeTransformer):
    """Files of the repository by their path in it: that is where snippets are run."""

    def visit_Constant(self, node):
        if isinstance(node.value, str) and node.value.startswith(ROOT + os.sep):
            return ast.copy_location(ast.Constant(node.value[len(ROOT) + 1:] or "."), node)
        return node


class Put(ast.NodeTransformer):
    """An expression in the place of a name that is read."""

    def __init__(self, name, value):
        self.name, self.value, self.count = name, value, 0

    def visit_Name(self, node):
        if node.id != self.name or not isinstance(node.ctx, ast.Load):
            return node
        self.count += 1
        return self.value


def inlined(tail):
    """Names that are bound and then read once give way to what they stand for."""
    tail = unpacked(tail)
    for i in range(len(tail) - 1, -1, -1):
        statement, rest = tail[i], tail[i + 1:]
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name) and len(statement.targets) == 1):
            continue
        name, short = statement.targets[0].id, len(ast.unparse(statement.value)) <= LONGEST_LITERAL
        reads = [n for s in rest for n in ast.walk(s) if isinstance(n, ast.Name) and n.id == name]
        spot = next((s for s in rest if reads and any(n is reads[0] for n in ast.walk(s))), None)
        once = len(reads) == 1 and isinstance(reads[0].ctx, ast.Load) and short
        if not once or spot is None or is_compound(spot) or has_inner(spot):
            continue
        # What is written down may move anywhere; what is computed, to the last line from the one before.
        if called_or_looked_into(spot, reads[0]) if is_literal(statement.value) else len(rest) > 1:
            continue
        read = names(statement)[0]
        if read - statement.scope.local and statement.scope.module is not spot.scope.module:
            continue
        spot.scope = Scope(spot.scope.module, spot.scope.local | read & statement.scope.local)
        Put(name, statement.value).visit(spot)
        forget(spot)
        del tail[i]
    return tail


def called_or_looked_into(statement, name):
    """`None()` and `'x'.y` are nothing that anybody would write."""
    return any(
        isinstance(n, ast.Call) and n.func is name or isinstance(n, ast.Attribute) and n.value is name
        for n in ast.walk(statement)
    )


def has_inner(statement):
    inner = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    return any(isinstance(n, inner) for n in ast.walk(statement))


def unpacked(tail):
    """`a, b = 1, 2` as two lines."""
    lines = []
    for statement in tail:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts) and is_literal(value):
            used = names_in(tail[tail.index(statement) + 1:])
            pairs = [(t, v) for t, v in zip(target.elts, value.elts) if not isinstance(t, ast.Name) or t.id in used]
            lines += [with_scope(ast.Assign([t], v, lineno=0), statement.scope) for t, v in pairs]
        else:
            lines.append(statement)
    return lines


def asynchronous(tail, ground):
    """Lines that wait are a coroutine's."""
    todo, waits = list(tail), False
    while todo and not waits:
        node = todo.pop()
        waits = isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith))
        if not isinstance(node, FUNCTIONS + (ast.Lambda,)):
            todo.extend(ast.iter_child_nodes(node))
    if not waits:
        return tail
    ground.imports.append(ast.Import([ast.alias("asyncio")]))
    arguments = ast.arguments([], [], None, [], [], None, [])
    call = ast.parse("asyncio.run(main())").body
    return [ast.AsyncFunctionDef("main", arguments, tail, [], lineno=0)] + call


__all__ = ["Frame", "assign", "literal", "printing", "scripts", "with_scope"]
