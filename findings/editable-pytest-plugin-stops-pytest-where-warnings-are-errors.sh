#!/usr/bin/env bash
# A pytest plugin that is installed with `pip install -e` by setuptools 64 or newer from a
# flat layout (`greeting/` beside `setup.py`) stops every run of pytest 7.0.1 in which warnings
# are errors: it ends with a traceback before it collects a test. pytest 9.0.1 says nothing.
#
# setuptools puts a module of its own (`__editable___NAME_finder`) into the environment, lists
# it among the package's files, and has it imported when Python starts. pytest wants to rewrite
# the assertions of all modules of a plugin's package, finds this one imported already, and
# warns (PytestAssertRewriteWarning); `-W error` on the command line makes that an exception.
# The project's own tests are not involved. With `--config-settings editable_mode=compat` there
# is no such module, and the tests run. Old commits of such projects are tested with the pytest
# of their day and, unless a date holds it back, the setuptools of today.
#
# Seen with setuptools 80.9.0 and CPython 3.11.7 on Linux, 2026-11-30. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p project/greeting
cat >project/setup.py <<'PYTHON'
from setuptools import setup

setup(
    name="greeting",
    version="1.0",
    packages=["greeting"],
    entry_points={"pytest11": ["greeting = greeting"]},
)
PYTHON
touch project/greeting/__init__.py
echo 'def test_nothing(): pass' >test_nothing.py
for version in 9.0.1 7.0.1; do
    python3 -m venv --clear venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check "pytest==$version" setuptools==80.9.0 wheel==0.45.1
    for mode in default compat; do
        settings=()
        [ "$mode" = default ] || settings=(--config-settings "editable_mode=$mode")
        venv/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 --no-build-isolation \
            --no-deps "${settings[@]}" -e project
        for warnings in default error; do
            said=$(venv/bin/python -m pytest -q -p no:cacheprovider -W "$warnings" test_nothing.py 2>&1 || true)
            printf '%s, %s, -W %s: ' "pytest $version" "$mode" "$warnings"
            grep -oE '1 passed|PytestAssertRewriteWarning: Module already imported' <<<"$said" | sort -u | paste -sd, -
        done
    done
done | tee seen.txt

diff seen.txt - <<'EXPECTED'
pytest 9.0.1, default, -W default: 1 passed
pytest 9.0.1, default, -W error: 1 passed
pytest 9.0.1, compat, -W default: 1 passed
pytest 9.0.1, compat, -W error: 1 passed
pytest 7.0.1, default, -W default: 1 passed,PytestAssertRewriteWarning: Module already imported
pytest 7.0.1, default, -W error: PytestAssertRewriteWarning: Module already imported
pytest 7.0.1, compat, -W default: 1 passed
pytest 7.0.1, compat, -W error: 1 passed
EXPECTED
echo 'as described'
