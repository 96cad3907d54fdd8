"""Reads logs with the reference's parsers.

Arguments: the reference's wheel. Input: one JSON object a line,
{"parser", "instance_id", "log"}. Output: one JSON value a line: the pairs of
test and status in order, or null where the reference raises.
"""

import contextlib
import io
import json
import sys
import types

wheel = sys.argv[1]
# Imported beside the parsers, and not used by them.
sys.modules["unidiff"] = types.SimpleNamespace(PatchSet=None)
# The packages' own __init__ modules import Docker and data sets.
for name in ("swebench", "swebench.harness"):
    package = types.ModuleType(name)
    package.__path__ = [f"{wheel}/{name.replace('.', '/')}"]
    sys.modules[name] = package

from swebench.harness.log_parsers import PARSER_REGISTRY  # noqa: E402

for line in sys.stdin:
    case = json.loads(line)
    # As the reference reads a log: in text mode.
    log = io.StringIO(case["log"], newline=None).read()
    spec = types.SimpleNamespace(instance_id=case["instance_id"], version="1.0")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            statuses = PARSER_REGISTRY[case["parser"]](log, spec)
        print(json.dumps(list(statuses.items())))
    except Exception:  # noqa: BLE001
        print("null")
