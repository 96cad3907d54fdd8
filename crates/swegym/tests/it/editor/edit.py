"""Carries out sessions with the reference's editor.

Arguments: its wheel, and a folder to work in. Input: one JSON object a line,
{"files": [[name, text]], "commands": [arguments]}. Output: one JSON list a line:
for each command {"done", "lines": those shown with numbers, "files": in hexadecimal digits}.
"""

import json
import pathlib
import re
import sys
import tempfile
import types
import zipfile

wheel, folder = sys.argv[1:]
# One of its packages has no __init__.py, which archives cannot have.
zipfile.ZipFile(wheel).extractall(folder + "/reference")
sys.path.insert(0, folder + "/reference")
# Linting is off, as in SWE-Gym; what it needs is not here.
linter = types.ModuleType("openhands_aci.linter")
linter.DefaultLinter = object
sys.modules["openhands_aci.linter"] = linter

if "openhands_aci-" in wheel:
    from openhands_aci.editor.editor import OHEditor as Editor
    from openhands_aci.editor.exceptions import ToolError
else:
    # The packages around it need much that is not here.
    sys.path.insert(0, folder + "/reference/openhands/runtime/plugins/agent_skills")
    from file_editor.base import ToolError
    from file_editor.impl import EditTool as Editor


def edit(root, editor, command):
    path = command["path"]
    if not path.startswith("relative/"):
        path = str(root / path)
    if command["command"] == "rm":
        if pathlib.Path(path).is_file():
            pathlib.Path(path).unlink()
        return look(root, False, "")
    try:
        said = editor(**{**command, "path": path})
        done, text = not said.error, said.output or ""
    # A bare `raise` is how it says that a parameter is missing.
    except (ToolError, RuntimeError):
        done, text = False, ""
    return look(root, done, text)


def look(root, done, text):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        "done": done,
        "lines": [line for line in text.split("\n") if re.match(r" *\d+\t", line)],
        "files": {str(path.relative_to(root)): path.read_bytes().hex() for path in files},
    }


for line in sys.stdin:
    session = json.loads(line)
    with tempfile.TemporaryDirectory(dir=folder) as root:
        root = pathlib.Path(root)
        for name, text in session["files"]:
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(text.encode())
        editor = Editor()
        print(json.dumps([edit(root, editor, command) for command in session["commands"]]))
