#!/usr/bin/env bash
# pytest 9.2.0 with pytest-forked 1.7.5: every test that passes is reported as failed.
#
# pytest-forked sends a report from the forked child to its parent by marshalling
# the report's attributes. From 9.2.0 on, a report has an attribute `_id` whose value
# is an object (`_pytest.nodeid.NodeId`), which marshal refuses; the child ends with
# status 3, and the parent makes a failure of that: "running the test EXITED with
# status 3". With pytest 9.1.1 the same test passes. pytest-forked names no upper bound
# for pytest, so an environment that is built today gets the pair.
#
# Seen with CPython 3.11.7 on Linux, 2026-11-29. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
printf 'def test_passes():\n    assert True\n' > test_one.py

run() { # pytest's version -> its exit status and last lines
    ./venv/bin/python -m pip install --quiet --disable-pip-version-check "pytest==$1" pytest-forked==1.7.5
    status=0
    said=$(./venv/bin/python -m pytest --forked -q test_one.py 2>&1) || status=$?
    printf 'pytest %s: exit %s: %s\n' "$1" "$status" "$(printf '%s' "$said" | tail -n 1)"
}

run 9.1.1
[ "$status" = 0 ]
run 9.2.0
[ "$status" = 1 ]
printf '%s' "$said" | grep -q 'EXITED with status 3'
./venv/bin/python -m pytest -q test_one.py > /dev/null
printf 'without --forked, pytest 9.2.0 passes the test\n'
