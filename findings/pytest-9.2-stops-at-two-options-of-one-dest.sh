#!/usr/bin/env bash
# With pytest 9.2.0, pytest-tap 3.5 being installed stops every run: exit status 3, no test.
#
# pytest-tap (its newest release) gives two of its options the same `dest` without saying
# so twice. Up to pytest 9.1.1 that was taken; 9.2.0 raises while plug-ins add their
# options, before tests are collected, whether or not a run asks for TAP. The status is
# that of an internal error, and the output names no test: a harness that installs the
# newest pytest beside a project's own plug-ins sees a project whose tests are all gone.
#
# Seen with CPython 3.11.7 on Linux, 2026-11-30. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
echo 'def test_nothing(): pass' > test_nothing.py
venv/bin/python -m pip install --quiet --disable-pip-version-check pytest-tap==3.5
for version in 9.1.1 9.2.0; do
    venv/bin/python -m pip install --quiet --disable-pip-version-check "pytest==$version"
    status=0
    venv/bin/python -m pytest -q test_nothing.py > log.txt 2>&1 || status=$?
    said=$(tail -1 log.txt | sed -E 's/ in [0-9.]+s$//; s/^E +//; s/;.*//')
    printf 'pytest %s: exit %s; %s\n' "$version" "$status" "$said"
done | tee seen.txt

diff seen.txt - <<'EXPECTED'
pytest 9.1.1: exit 0; 1 passed
pytest 9.2.0: exit 3; ValueError: option dest 'tap_stream' already used by ['--tap'] (this is the option that maps to dest 'tap_stream')
EXPECTED
echo 'as described'
