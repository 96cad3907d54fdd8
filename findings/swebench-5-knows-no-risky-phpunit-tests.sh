#!/usr/bin/env bash
# The PHPUnit parser of swebench 5.0.2 does not see tests that PHPUnit calls risky or
# incomplete: they have no status at all, although the run ends with exit status 0.
#
# `phpunit --testdox` (9.6.7) has five marks: ✔ passed, ✘ failed, ↩ skipped, ∅ incomplete
# and ☢ risky. A test that runs to its end without an assertion is risky by default, and
# a run of passed, risky and incomplete tests is "OK, but incomplete, skipped, or risky
# tests!". The parser knows the first three marks. So a test that passes before a change
# and asserts nothing after it (its assertion moved into a callback that is not called)
# is neither passed nor failed but missing, as if the runner had never come to it; in
# PHPUnit's JUnit file the risky test is an `<error>` and the incomplete one `<skipped>`.
#
# The log below is what PHPUnit 9.6.7 printed for three such tests, 2026-11-30. Parsed
# with CPython 3.11.7 on Linux. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps swebench==5.0.2
cat > log.txt <<'LOG'
PHPUnit 9.6.7 by Sebastian Bergmann and contributors.

Num (Acme\Tests\Num)
 ✔ It adds two
 ∅ Incomplete
 ☢ Runs

Time: 00:00.007, Memory: 6.00 MB

Summary of non-successful tests:

Num (Acme\Tests\Num)
 ∅ Incomplete
 ☢ Runs

OK, but incomplete, skipped, or risky tests!
Tests: 3, Assertions: 1, Incomplete: 1, Risky: 1.
LOG
cat > parse.py <<'PYTHON'
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
from swebench.harness.log_parsers.php import parse_log_phpunit

for test, status in parse_log_phpunit(open("log.txt", encoding="utf-8").read(), None).items():
    print(f"{test}: {status}")
PYTHON
venv/bin/python parse.py | tee seen.txt

diff seen.txt - <<'EXPECTED'
Num > It adds two: PASSED
EXPECTED
echo 'as described'
