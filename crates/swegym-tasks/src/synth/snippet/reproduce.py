"""Runs snippets on the mended and on the broken tree, and keeps those that tell the two apart.

    python reproduce.py < QUESTION > ANSWER

The question is JSON: `files` (path, mended, broken), `groups` of snippets (text, raises), how many
groups are `wanted`. Of each group the first snippet is taken that comes to its end as expected
on the mended tree, shows something else on the broken one, and shows the same twice: a second
interpreter, with another seed for hashes and another address for everything, runs it again. Where
groups do not suffice, examples in the docstrings of the broken files are tried. The answer is a
line of JSON for each snippet that is taken. Each run is a fork that has imported nothing.
"""

import ast
import datetime
import doctest
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import types

SECONDS = 10
# More than a reader would look through.
MOST_CHARACTERS, MOST_LINES = 700, 20
MOST_EXAMPLES = 12
UNTRUE = ("False", "None", "0", "0.0", "[]", "()", "{}", "set()", "")
MOST_TRIES = 60
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def main():
    question = json.load(sys.stdin)
    # Files change faster than bytecode tells.
    sys.dont_write_bytecode = True
    more = {"PYTHONHASHSEED": "4711", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": tempfile.mkdtemp()}
    environment = dict(os.environ, **more)
    other = subprocess.Popen(
        [sys.executable, __file__, "again"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    judge = Judge(question["files"], other)
    for group in question["groups"]:
        if len(judge.found) < question["wanted"]:
            judge.take_first(group)
    for group in promises(question["files"]) if not judge.found else []:
        if not judge.found:
            judge.take_first(group)
    other.stdin.close()
    other.wait()


def again():
    """The second interpreter: a snippet a line, an outcome a line."""
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


class Judge:
    def __init__(self, files, other):
        self.files, self.other, self.side = files, other, None
        self.found, self.tried = [], set()

    def lay(self, side):
        if self.side != side:
            self.side = side
            for file in self.files:
                with open(file["path"], "w", encoding="utf-8", newline="") as out:
                    out.write(file[side])

    def take_first(self, group):
        """Tells the first good snippet of a group, unless it shows what another one did."""
        for snippet in group:
            if snippet["text"] in self.tried or len(self.tried) == MOST_TRIES:
                continue
            self.tried.add(snippet["text"])
            shown = self.shown(snippet)
            if shown is not None:
                same = {(f["before"]["error"], core(f["text"])) for f in self.found}
                known = shown in [(f["before"], f["after"]) for f in self.found]
                if not known and (shown[0]["error"], core(snippet["text"])) not in same:
                    self.found.append({"text": snippet["text"], "before": shown[0], "after": shown[1]})
                    print(json.dumps(self.found[-1]), flush=True)
                return

    def shown(self, snippet):
        """What comes out before and after, if the snippet is good."""
        text = snippet["text"]
        self.lay("mended")
        after = run(text)
        if not is_expected(after, snippet) or not can_be_shown(after):
            return None
        self.lay("broken")
        before = run(text)
        if before is None or not can_be_shown(before) or is_same(before, after) or self.ask(text) != before:
            return None
        self.lay("mended")
        return (before, after) if self.ask(text) == after else None

    def ask(self, text):
        self.other.stdin.write((json.dumps(text) + "\n").encode())
        self.other.stdin.flush()
        return json.loads(self.other.stdout.readline() or "null")


def core(text):
    """A snippet without the way in which it prints."""
    return re.sub(r"\b(?:print|repr)\(|\)", "", text)


def is_expected(outcome, snippet):
    if outcome is None:
        return False
    if snippet.get("raises"):
        return snippet["raises"] in outcome["classes"]
    last = outcome["output"].strip().split("\n")[-1]
    return outcome["error"] is None and not (snippet.get("holds") and last in UNTRUE)


def now_in(text):
    """Whether a text has today's date, or the time since 1970, in one of the usual ways."""
    today = datetime.datetime.now(datetime.timezone.utc)
    year, month, day = today.year, "0?%d" % today.month, "0?%d" % today.day
    name = today.strftime("%b")
    orders = ((year, month, day), (day, month, year), (month, day, year), (name + r"\w*", day), (day, name))
    patterns = [r"(?<!\d)%s(?!\d)" % r"\D{1,3}".join(map(str, order)) for order in orders]
    patterns.append(str(int(today.timestamp()))[:6])
    return any(re.search(pattern, text) for pattern in patterns)


def can_be_shown(outcome):
    """Whether an output is short, visible, and the same tomorrow."""
    output = outcome["output"]
    if len(output) > MOST_CHARACTERS or output.count("\n") > MOST_LINES or output and not output.strip():
        return False
    text = output + (outcome["error"] or "")
    # Where things lie on this machine is no matter of the package.
    if now_in(text) or os.getcwd() in text or sys.prefix + os.sep in text:
        return False
    return all(c.isprintable() or c == "\n" for c in output)


def is_same(before, after):
    """Whether a reader would see no difference."""
    words = [(o["output"].split(), (o["error"] or "").split()) for o in (before, after)]
    return words[0] == words[1]


def run(text):
    """What a snippet prints, and the exception that ends it; nothing if it does not end."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(SECONDS)
                os.setsid()
                work(text, output, report)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        try:
            os.killpg(child, signal.SIGKILL)
        except OSError:
            pass
        output.seek(0)
        report.seek(0)
        try:
            outcome = json.loads(report.read())
            outcome["output"] = settled(output.read(1 << 16))
            outcome["error"] = outcome["error"] and settled(outcome["error"])
            return outcome
        except ValueError:
            return None


def settled(text):
    """What differs from run to run, under one name."""
    folder = re.escape(tempfile.gettempdir())
    text = re.sub(folder + r"/[\w.-]*tmp[\w.-]*", "<temporary>", text)
    return re.sub(r" at 0x[0-9a-fA-F]{6,}", " at 0x...", text)


def work(text, output, report):
    null = os.open(os.devnull, os.O_RDWR)
    for number, file in ((0, null), (1, output.fileno()), (2, null)):
        os.dup2(file, number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace")
    sys.stderr, sys.argv, sys.path[0] = os.fdopen(2, "w"), ["snippet.py"], ""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    error, classes = None, []
    try:
        exec(compile(text, "snippet.py", "exec", dont_inherit=True), vars(module))
    except BaseException as caught:
        classes = [part.__name__ for part in type(caught).__mro__]
        words = str(caught).strip()
        error = classes[0] + (": " + words if words else "")
    sys.stdout.flush()
    json.dump({"error": error and error[:MOST_CHARACTERS], "classes": classes}, report)
    report.flush()


def promises(files):
    """Examples in docstrings, as snippets that print what the last example gives."""
    for file in files:
        tree, name = ast.parse(file["mended"]), module_name(file["path"])
        own = {n.name for n in tree.body if isinstance(n, DEFINITIONS)}
        for node in ast.walk(tree):
            if isinstance(node, DEFINITIONS + (ast.Module,)):
                group = examples(ast.get_docstring(node) or "", name, own)
                if group:
                    yield group


def examples(docstring, module, own):
    try:
        found = doctest.DocTestParser().get_examples(docstring)[:MOST_EXAMPLES]
    except ValueError:
        return []
    group = []
    for i, example in enumerate(found):
        try:
            last = ast.parse(example.source).body
            before = [s for e in found[:i] for s in ast.parse(e.source).body]
        except SyntaxError:
            continue
        if len(last) == 1 and isinstance(last[0], ast.Expr):
            group.append({"text": with_import(needed(before, last[0]), last[0], module, own)})
    return group


def needed(before, last):
    """The earlier examples that bind what the last one reads."""
    kept, wanted = [], names_of(last)
    for statement in reversed(before):
        bound = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        bound |= {a.asname or a.name.split(".")[0] for n in ast.walk(statement) for a in getattr(n, "names", []) if hasattr(a, "asname")}
        bound |= {n.name for n in ast.walk(statement) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        touches = isinstance(statement, ast.Expr) and names_of(statement) & wanted
        if bound & wanted or touches:
            kept.insert(0, statement)
            wanted |= names_of(statement)
    return kept


def names_of(statement):
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}


def with_import(before, last, module, own):
    """Examples use the names of their module without a word."""
    read = set().union(*(names_of(s) for s in before + [last]))
    given = {a.asname or a.name.split(".")[0] for s in before for a in getattr(s, "names", []) if hasattr(a, "asname")}
    wanted = sorted((read & own) - given)
    lines = ["from %s import %s" % (module, ", ".join(wanted))] if wanted else []
    is_call = isinstance(last.value, ast.Call) and getattr(last.value.func, "id", "") == "print"
    shown = ast.unparse(last) if is_call else "print(repr(%s))" % ast.unparse(last)
    return "\n".join(lines + [ast.unparse(s) for s in before] + [shown]) + "\n"


def module_name(path):
    """Packages are folders with `__init__.py`; what is above them is no part of the name."""
    folder, parts = os.path.dirname(path), [os.path.basename(path)[: -len(".py")]]
    while folder and os.path.exists(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    return ".".join(part for part in parts if part != "__init__")


if __name__ == "__main__":
    again() if sys.argv[1:] == ["again"] else main()
