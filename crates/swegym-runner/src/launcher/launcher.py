"""Runs a project's tests and tells their results through a descriptor.

    python launcher.py RUNNER ARGUMENT...

RUNNER is `pytest` or `unittest`, and gets the arguments as after `python -m`. Each
result is one line, `SECRET case <testcase .../>`, written when the test is over;
the last line is `SECRET end STATUS`. The secret comes by standard input: what a
project writes to the descriptor does not have it. After it, and a blank, may come
the name of a module beside this file that looks on. Runs on Python 3.6 and newer.
"""

import configparser
import fcntl
import glob
import importlib.util
import os
import re
import resource
import sys
import types

# What runs is not to be had as `__main__`, but must not go away either.
THIS = sys.modules[__name__]
DESCRIPTOR = 3
# Programs that tidy up after themselves close some thousand descriptors.
HIGHEST = 8 << 10
# Characters of a traceback that are told, and of all of them together.
LONGEST_TEXT = 16 << 10
ALL_TEXTS = 8 << 20

RANKS = ["passed", "xfail", "skipped", "failed", "error"]
TAGS = {"xfail": "skipped", "skipped": "skipped", "failed": "failure", "error": "error"}
# What unittest says of a test that is over.
WORDS = {"passed": "ok", "xfail": "expected failure", "skipped": "skipped", "failed": "FAIL", "error": "ERROR"}
# What XML cannot hold, and what it or a line gives a meaning to.
ODD = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[&<>\"]")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    guard = sys.path_hooks[0]
    if not hasattr(guard, "is_open"):
        sys.exit("swegym: the project's folder is not guarded")
    secret, _, watcher = read_input().partition(b" ")
    results = Results(secret)
    runner, *arguments = sys.argv[1:]
    if watcher:
        sys.path.insert(0, here)
    watcher = __import__(watcher.decode()) if watcher else None
    # As after `python -m`: the working folder is first.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    if not os.environ.get("PYTHONSAFEPATH"):
        sys.path.insert(0, os.getcwd())
    run = {"pytest": run_pytest, "unittest": run_unittest}[runner]
    code = run(arguments, results, watcher, guard)
    results.end(code)
    sys.exit(code)


def read_input():
    text = b""
    while True:
        more = os.read(0, 100)
        if not more:
            break
        text += more
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return text


def imitate_module(name):
    """`__main__` and the program's name are what `python -m` makes them."""
    try:
        spec = importlib.util.find_spec(name + ".__main__")
    # Python 3.6 has no ImportError for what is below a module that is no package.
    except (ImportError, AttributeError):
        spec = importlib.util.find_spec(name)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, spec.parent
    module.__file__, module.__cached__ = spec.origin, spec.cached
    sys.argv[:] = [spec.origin] + sys.argv[2:]


def begin_watching(watcher, runner, results, guard):
    begin = getattr(watcher, "watch_" + runner, None)
    if begin is not None:
        begin(results, guard)


class Results:
    """The other end of the descriptor is the supervisor's alone."""

    def __init__(self, secret):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        try:
            number = fcntl.fcntl(DESCRIPTOR, fcntl.F_DUPFD_CLOEXEC, min(limit, HIGHEST) - 1)
        except (OSError, ValueError):
            number = fcntl.fcntl(DESCRIPTOR, fcntl.F_DUPFD_CLOEXEC, DESCRIPTOR + 1)
        os.close(DESCRIPTOR)
        process, write, get_process = os.getpid(), os.write, os.getpid
        self.texts = 0

        def tell(kind, words):
            # A child that a test forked off may come by here too.
            if get_process() != process:
                return
            line = secret + b" " + kind + b" " + words.encode("utf-8", "replace") + b"\n"
            try:
                while line:
                    line = line[write(number, line):]
            except OSError:
                # Somebody closed it: the end will be missing.
                pass

        self.tell = tell
        # Who looks on may say more of a test.
        self.measured = str

    def case(self, classname, name, status, message="", text=""):
        """One test that is over."""
        attributes = 'classname="%s" name="%s"%s' % (escape(classname), escape(name), self.measured())
        if status == "passed":
            self.tell(b"case", "<testcase %s/>" % attributes)
            return
        message, text = shorten(message), shorten(text)
        self.texts += len(message) + len(text)
        if self.texts > ALL_TEXTS:
            message = text = ""
        kind = ' type="pytest.%s"' % ("xfail" if status == "xfail" else "skip") if TAGS[status] == "skipped" else ""
        inner = '<%s%s message="%s">%s</%s>' % (TAGS[status], kind, escape(message), escape(text), TAGS[status])
        self.tell(b"case", "<testcase %s>%s</testcase>" % (attributes, inner))

    def end(self, code):
        """The runner came to its own end; nothing is told after it."""
        self.tell(b"end", str(code))


def shorten(text):
    text = str(text)
    if len(text) <= LONGEST_TEXT:
        return text
    # What was wrong stands at the end.
    return text[: LONGEST_TEXT // 4] + "\n...\n" + text[-LONGEST_TEXT * 3 // 4:]


def escape(text):
    """Text for XML on one line."""
    def replace(found):
        character = found.group()
        if character in "&<>\"\t\n\r":
            return "&#%d;" % ord(character)
        return "#x%02X" % ord(character)

    return ODD.sub(replace, str(text))


class Outcome:
    """The worst of what was said of one test."""

    def __init__(self):
        self.status = None
        self.message = self.text = ""

    def add(self, status, message="", text=""):
        if self.status is None or RANKS.index(status) > RANKS.index(self.status):
            self.status, self.message, self.text = status, message, text


def run_pytest(arguments, results, watcher, guard):
    import pytest
    from _pytest.assertion import rewrite

    imitate_module("pytest")
    # The bytecode of rewritten tests is checked by time alone: what is there is not found.
    rewrite.PYC_TAIL = "." + os.urandom(8).hex() + rewrite.PYC_TAIL
    blocked = [word for name in planted_plugins(guard) for word in ("-p", "no:" + name)]
    begin_watching(watcher, "pytest", results, guard)
    guard.is_open = True
    watch = PytestWatch(results)
    plugins = [watch] if watcher is None else [watch, watcher]
    code = int(pytest.main(blocked + arguments, plugins=plugins))
    watch.finish()
    return code


def planted_plugins(guard):
    """pytest's plug-ins that nothing but metadata in the project's folder names.

    A project that is installed has its metadata among the installed packages.
    """
    def named(inside):
        path = [entry for entry in sys.path if guard.is_inside(entry) == inside]
        return {point for entry in path for point in plugins_below(entry)}

    planted = named(True)
    # What is installed is only looked through where there is a reason.
    return sorted(name for name, _ in planted - named(False)) if planted else []


def plugins_below(folder):
    """Names and modules of pytest's plug-ins, by the metadata in a folder of packages."""
    try:
        # Before Python 3.8 there is none, and what stands for it knows no folders.
        from importlib import metadata
    except ImportError:
        return plugins_in_files(folder)
    points = (point for found in metadata.distributions(path=[folder]) for point in found.entry_points)
    return {(point.name, point.value) for point in points if point.group == "pytest11"}


def plugins_in_files(folder):
    points = set()
    # Of what is installed from a folder, a link names that folder.
    for path in glob.glob(os.path.join(glob.escape(folder or "."), "*.egg-link")):
        with open(path, encoding="utf-8", errors="replace") as link:
            linked = link.readline().strip()
        if linked and os.path.abspath(linked) != os.path.abspath(folder or "."):
            points |= plugins_in_files(linked)
    for kind in ("dist-info", "egg-info"):
        for path in glob.glob(os.path.join(glob.escape(folder or "."), "*." + kind, "entry_points.txt")):
            lists = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None)
            lists.optionxform = str
            try:
                lists.read(path, encoding="utf-8")
            except (OSError, ValueError, configparser.Error):
                continue
            points.update(lists.items("pytest11") if lists.has_section("pytest11") else ())
    return points


class PytestWatch:
    """A plug-in: what pytest's own JUnit file would say, test by test."""

    def __init__(self, results):
        self.results = results
        self.outcomes = {}
        # The folder of the settings, where it is not the one we are in.
        self.root = None

    def pytest_configure(self, config):
        # Before version 2.7, names are relative to the folder we are in.
        root = getattr(config, "rootpath", None) or getattr(config, "rootdir", None) or os.getcwd()
        self.root = None if os.path.realpath(str(root)) == os.getcwd() else str(root)

    def pytest_runtest_logreport(self, report):
        if report.skipped and hasattr(report, "context"):
            # A part of a test that was skipped leaves the test what it is.
            return
        outcome = self.outcomes.setdefault(report.nodeid, Outcome())
        text = str(report.longrepr or "")
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            message = getattr(crash, "message", text)
            if report.when != "call":
                message = 'failed on %s with "%s"' % (report.when, message)
            outcome.add("failed" if report.when == "call" else "error", message, text)
        elif report.skipped and hasattr(report, "wasxfail"):
            outcome.add("xfail", report.wasxfail)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else text
            outcome.add("skipped", reason)
        elif report.passed and report.when == "call":
            outcome.add("passed")
        elif not report.passed:
            # It will be run again: this time does not count.
            del self.outcomes[report.nodeid]
        if report.when == "teardown":
            self.tell(report.nodeid)

    def pytest_collectreport(self, report):
        if not report.passed:
            status = "error" if report.failed else "skipped"
            names = split_node(self.name(report.nodeid))
            self.results.case(*names, status, "collection " + status, str(report.longrepr or ""))

    def pytest_internalerror(self, excrepr):
        self.results.case("pytest", "internal", "error", "internal error", str(excrepr))

    def tell(self, node):
        outcome = self.outcomes.pop(node, None)
        if outcome is not None and outcome.status is not None:
            self.results.case(*split_node(self.name(node)), outcome.status, outcome.message, outcome.text)

    def name(self, node):
        """As the log has it: from the working folder, not from that of the settings."""
        if self.root is None or not node:
            return node
        path, colons, rest = node.partition("::")
        return os.path.relpath(os.path.join(self.root, path)).replace(os.sep, "/") + colons + rest

    def finish(self):
        """Some plug-ins report calls alone."""
        for node in list(self.outcomes):
            self.tell(node)


def split_node(node):
    """Class and name as pytest writes them to JUnit XML."""
    path, bracket, parameters = node.partition("[")
    names = [name for name in path.split("::") if name != "()"]
    names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
    names[-1] += bracket + parameters
    return ".".join(names[:-1]), names[-1]


def run_unittest(arguments, results, watcher, guard):
    import unittest

    imitate_module("unittest")
    begin_watching(watcher, "unittest", results, guard)
    guard.is_open = True

    over = []

    class Result(unittest.TextTestResult):
        """Tells each test when it is over."""

        outcome = None

        def startTest(self, test):
            self.outcome = Outcome()
            super().startTest(test)

        def stopTest(self, test):
            outcome, self.outcome = self.outcome or Outcome(), None
            super().stopTest(test)
            status = outcome.status or "error"
            results.case(*split_test(test.id()), status, outcome.message, outcome.text)
            over.append((test.id(), status))

        def note(self, test, status, message="", text=""):
            if self.outcome is not None:
                self.outcome.add(status, message, text)
            else:
                # Of a class or a module: no test was begun.
                results.case(*split_test(test.id()), status, message, text)

        def note_error(self, test, status, error):
            text = self._exc_info_to_string(error, test)
            self.note(test, status, "%s: %s" % (error[0].__name__, error[1]), text)

        def addSuccess(self, test):
            super().addSuccess(test)
            self.note(test, "passed")

        def addError(self, test, err):
            super().addError(test, err)
            self.note_error(test, "error", err)

        def addFailure(self, test, err):
            super().addFailure(test, err)
            self.note_error(test, "failed", err)

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            # A part of a test that was skipped leaves the test what it is.
            is_part = hasattr(test, "test_case")
            self.note(test, "passed" if is_part else "skipped", reason)

        def addExpectedFailure(self, test, err):
            super().addExpectedFailure(test, err)
            self.note(test, "xfail")

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            self.note(test, "failed", "unexpected success")

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err is not None:
                is_failure = issubclass(err[0], test.failureException)
                self.note_error(test, "failed" if is_failure else "error", err)

    class Runner(unittest.TextTestRunner):
        resultclass = Result

    sys.argv[0] = os.path.basename(sys.executable) + " -m unittest"
    program = unittest.main(module=None, testRunner=Runner, exit=False)
    if hasattr(watcher, "write"):
        watcher.write()
    summarize(over)
    result = program.result
    if result.testsRun == 0 and not result.skipped:
        # New versions have a status for it.
        return getattr(sys.modules["unittest.main"], "_NO_TESTS_EXITCODE", int(not result.wasSuccessful()))
    return int(not result.wasSuccessful())


def summarize(over):
    """Each test on a line of its own, as pytest has it: while tests run, what they
    print stands between a name and its result."""
    lines = ["", "=" * 70, "swegym: results once more"]
    for name, status in over:
        place, test = split_test(name)
        lines.append("%s (%s) ... %s" % (test, name if place else place, WORDS[status]))
    # unittest's own words are lost where the project has put something else in the
    # place of the standard error.
    lines += ["", "Ran %d tests" % len(over)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        sys.__stderr__.write("\n".join(lines) + "\n")
        sys.__stderr__.flush()
    except (OSError, ValueError, AttributeError):
        # Closed by somebody.
        pass


def split_test(name):
    """Class and name; of `setUpClass (module.Class)` too."""
    whole = re.match(r"(\w+) \(([\w.]+)\)$", name)
    if whole:
        return whole.group(2), whole.group(1)
    place, _, test = name.rpartition(".")
    return place, test


if __name__ == "__main__":
    main()
