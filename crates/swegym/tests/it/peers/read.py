"""Reads what `swegym dataset convert` wrote with the libraries of the field.

Arguments: a folder with `hub`, `saved`, `rows.parquet`, `rows.arrow` and
`tasks`. Prints one JSON object: for each of them its rows by id, and what the
reference's own check says of the tasks.
"""

import json
import sys
import types
from importlib.util import find_spec

import datasets
import pyarrow.ipc
import pyarrow.parquet

# The package's own __init__ imports Docker.
package = types.ModuleType("swebench")
package.__path__ = list(find_spec("swebench").submodule_search_locations)
sys.modules["swebench"] = package

from swebench.task.checks import check_task_repo  # noqa: E402
from swebench.task.repo import load_task_repo, published_tasks  # noqa: E402

folder = sys.argv[1]
datasets.disable_progress_bars()
cache = f"{folder}/cache"
hub = datasets.load_dataset(f"{folder}/hub", split="test", cache_dir=cache)
saved = datasets.load_from_disk(f"{folder}/saved")
found = {
    "hub": hub.to_list(),
    "saved": saved.to_list(),
    "parquet": pyarrow.parquet.read_table(f"{folder}/rows.parquet").to_pylist(),
    "arrow": pyarrow.ipc.open_file(f"{folder}/rows.arrow").read_all().to_pylist(),
    "tasks": load_task_repo(f"{folder}/tasks"),
}
by_id = {name: {row["instance_id"]: row for row in rows} for name, rows in found.items()}
by_id["check"] = [str(problem) for problem in check_task_repo(f"{folder}/tasks")]
by_id["splits"] = [str(hub.split), str(saved.split)]
by_id["published"] = {
    name: {split: len(rows) for split, rows in splits.items()}
    for name, splits in published_tasks(f"{folder}/tasks").items()
}
print(json.dumps(by_id))
