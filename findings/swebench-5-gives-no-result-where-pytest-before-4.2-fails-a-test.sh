#!/usr/bin/env bash
# One failing test of a run by pytest before version 4.2 makes swebench 5.0.2 throw the whole
# run away: the fix of a task counts as unresolved although all of the task's tests pass.
#
# pytest's short summary said `FAIL test_sum.py::test_wrong` until 4.1, and says `FAILED` since
# 4.2; for tests that pass it is `PASSED` in both. swebench's parser takes lines that begin with
# a status, and `FAIL` is none: it sees the tests that pass, and no failure. The edition of 2026
# also asks for the exit status of the test command. A status other than 0 without a failing
# test is what a forged log looks like, so nothing of that run counts. Tasks of repositories
# that pinned such a pytest resolve only as long as no other test of their files fails. Lines
# of `-v` end with the status (`test_sum.py::test_wrong FAILED`), and `parse_log_pytest_v2` reads
# these, if nothing follows: `-o console_output_style=classic` takes the percentages away.
#
# The summaries are what pytest 4.1.1 and 4.2.1 printed with CPython 3.7.16 on Linux, with
# `-rapP --tb=short`; the words are also looked up in both wheels. 2026-12-01. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps swebench==5.0.2
for version in 4.1.1 4.2.1; do
    venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$version" "pytest==$version"
    found=$(venv/bin/python - "$version" <<'PYTHON'
import glob
import sys
import zipfile

wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
print("FAIL %s" in wheel.read("_pytest/skipping.py").decode())
PYTHON
    )
    echo "pytest $version has a word of its own for what fails: $found"
done >seen.txt
printf 'FAIL test_sum.py::test_wrong\nPASSED test_sum.py::test_right\n' >4.1.1.log
printf 'FAILED test_sum.py::test_wrong\nPASSED test_sum.py::test_right\n' >4.2.1.log
printf 'test_sum.py::test_right PASSED\ntest_sum.py::test_wrong FAILED\n' | cat - 4.1.1.log >4.1.1-v.log
cat >parse.py <<'PYTHON'
import pathlib
import sys
import types

# The packages' own __init__ modules import Docker; the parser needs none of it.
place = next(pathlib.Path("venv/lib").glob("python*/site-packages/swebench"))
for name in ("swebench", "swebench.harness", "swebench.harness.log_parsers"):
    module = types.ModuleType(name)
    module.__path__ = [str(place.parent / name.replace(".", "/"))]
    sys.modules[name] = module
sys.modules["swebench.types"] = types.ModuleType("swebench.types")
sys.modules["swebench.types"].TestSpec = object
from swebench.harness.log_parsers import python

for log, parser in (("4.1.1", "parse_log_pytest"), ("4.2.1", "parse_log_pytest"), ("4.1.1-v", "parse_log_pytest_v2")):
    found = getattr(python, parser)(open(log + ".log").read(), None)
    print(log, parser, sorted(found.items()))
PYTHON
venv/bin/python parse.py >>seen.txt
grading=$(echo venv/lib/python*/site-packages/swebench/harness/grading.py)
grep -c 'exit_code not in (None, 0)' "$grading" >>seen.txt
cat seen.txt

diff seen.txt - <<'EXPECTED'
pytest 4.1.1 has a word of its own for what fails: True
pytest 4.2.1 has a word of its own for what fails: False
4.1.1 parse_log_pytest [('test_sum.py::test_right', 'PASSED')]
4.2.1 parse_log_pytest [('test_sum.py::test_right', 'PASSED'), ('test_sum.py::test_wrong', 'FAILED')]
4.1.1-v parse_log_pytest_v2 [('test_sum.py::test_right', 'PASSED'), ('test_sum.py::test_wrong', 'FAILED')]
1
EXPECTED
echo 'as described'
