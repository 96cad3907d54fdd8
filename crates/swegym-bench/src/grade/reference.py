"""Grades logs with the reference.

Arguments: the reference's wheel, and a folder. Input: one JSON object a line,
{"instance", "log"}, where the log is a file. Output: one JSON value a line: the
report of the instance, or null where the reference raises; then the seconds
that took, from reading the input to a report.json for each and the report of
the run, as `swebench report` does it. Starting Python is not counted.
"""

import contextlib
import io
import json
import os
import sys
import time
import types

wheel, folder = sys.argv[1:]


def without(name, **content):
    """A module that is imported beside the grader and not used by it."""
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


without("unidiff", PatchSet=None)
without("docker", DockerClient=None)
without("swebench.image_builder.docker_utils", list_images=None)
# The packages' own __init__ modules import Docker and data sets.
for name in ("swebench", "swebench.harness", "swebench.image_builder"):
    without(name, __path__=[f"{wheel}/{name.replace('.', '/')}"])

from swebench.harness.grading import get_eval_report  # noqa: E402
from swebench.harness.reporting import make_run_report  # noqa: E402
from swebench.types import TestSpec  # noqa: E402

os.chdir(folder)



def grade(case):
    instance = case["instance"]
    spec = TestSpec(
        instance_id=instance["instance_id"],
        image="",
        eval_script_list=[],
        repo=instance["repo"],
        version=instance["version"],
        FAIL_TO_PASS=instance["FAIL_TO_PASS"],
        PASS_TO_PASS=instance["PASS_TO_PASS"],
        log_parser=instance["log_parser"],
        eval_type=instance["eval_type"],
    )
    prediction = {"instance_id": instance["instance_id"], "model_patch": "x"}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            report = get_eval_report(spec, prediction, case["log"], include_tests_status=True)
        return report[instance["instance_id"]]
    except Exception:  # noqa: BLE001
        return None


started = time.perf_counter()
reports, predictions, instances = [], {}, []
for line in sys.stdin:
    case = json.loads(line)
    instance_id = case["instance"]["instance_id"]
    report = grade(case)
    if report is not None:
        place = f"logs/run_evaluation/run/gold/{instance_id}"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/report.json", "w") as file:
            file.write(json.dumps({instance_id: report}, indent=4))
    reports.append(report)
    instances.append(case["instance"])
    predictions[instance_id] = {"instance_id": instance_id, "model_patch": "x", "model_name_or_path": "gold"}
with contextlib.redirect_stdout(io.StringIO()):
    make_run_report(predictions, instances, "run")
seconds = time.perf_counter() - started
for report in reports:
    print(json.dumps(report))
print(seconds)
