"""Reads logs with the reference's parsers, of any release since 1.1.

Arguments: the release's wheel. Input: one JSON object a line,
{"parser", "instance_id", "version", "log"}, where "@LONG@" in a log stands
for "long" characters. Output: one JSON value a line: the
names of all registered parsers, then for each input the pairs of test and
status in order, null where the reference raises, or "no such parser".
"""

import contextlib
import importlib
import io
import json
import sys
import types
import zipfile

wheel = sys.argv[1]


def without(name, **content):
    """A module that is imported beside the parsers and not used by them."""
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


without("unidiff", PatchSet=None)
without("swebench.harness.test_spec")
without("swebench.harness.test_spec.test_spec", TestSpec=None)
# The packages' own __init__ modules import Docker and data sets.
for name in ("swebench", "swebench.harness", "swebench.metrics"):
    without(name, __path__=[f"{wheel}/{name.replace('.', '/')}"])
if not any(name == "swebench/utils.py" for name in zipfile.ZipFile(wheel).namelist()):
    import re

    escape = re.compile(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")
    without("swebench.harness.utils", ansi_escape=lambda text: escape.sub("", text))

parsers, registered = {}, []
for path in zipfile.ZipFile(wheel).namelist():
    if path.startswith("swebench/") and "log_parsers" in path and path.endswith(".py"):
        module = importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        registered = registered or sorted(getattr(module, "PARSER_REGISTRY", []))
        for name, value in vars(module).items():
            if name.startswith("parse_log_"):
                parsers[name] = value

print(json.dumps(registered))
for line in sys.stdin:
    case = json.loads(line)
    # As the reference reads a log: in text mode.
    log = case["log"].replace("@LONG@", "x" * case.get("long", 0))
    log = io.StringIO(log, newline=None).read()
    spec = types.SimpleNamespace(instance_id=case["instance_id"], version=case["version"])
    parser = parsers.get(case["parser"])
    if parser is None:
        print(json.dumps("no such parser"))
        continue
    arguments = (log, spec)[: parser.__code__.co_argcount]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            statuses = parser(*arguments)
        print(json.dumps(list(statuses.items())))
    except Exception:  # noqa: BLE001
        print("null")
