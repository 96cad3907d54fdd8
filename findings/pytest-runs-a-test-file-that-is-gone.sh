#!/usr/bin/env bash
# pytest 9.1.1, and those before it, may run a test file that is no longer there: its
# cached bytecode of rewritten tests is taken by time and size alone.
#
# pytest keeps what its assertion rewriting makes of a test file in `__pycache__`, and
# takes it again if the file's modification time (in whole seconds) and its length are
# those of before. A file with other tests, as long as the old one and of the same time,
# is therefore not read: the old tests run. Archives with one time for all members (what
# reproducible builds make) and tools that keep times (`cp -p`, `rsync -t`, `tar -x`)
# bring such files, so that a harness which unpacks hidden tests over visible ones can
# report verdicts of the wrong tests. Compiling with checked hashes (`compileall
# --invalidation-mode checked-hash`, PEP 552) does not help: pytest's files have a name
# of their own; nor does `-p no:cacheprovider`. No `__pycache__` does, and pytest 9.2.0
# compares a hash of the source.
#
# Seen with CPython 3.11.7 on Linux, 2026-11-29. Fails if that changes.
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
mkdir project
cd project

write() { # a number: the test asks for it, in a file of one time whenever it is written
    printf 'def test_sum():\n    assert 1 + 1 == %s\n' "$1" > test_sum.py
    touch -d '2024-01-01T00:00:00Z' test_sum.py
}

run() { # what it is -> pytest's exit status and last line
    status=0
    said=$(../venv/bin/python -m pytest -q -p no:cacheprovider test_sum.py 2>&1) || status=$?
    printf '%s: %s\n' "$1" "$(printf '%s' "$said" | tail -n 1)"
}

for version in 7.4.4 9.1.1 9.2.0; do
    ../venv/bin/python -m pip install --quiet --disable-pip-version-check "pytest==$version"
    rm -rf __pycache__
    write 2
    run "pytest $version, the test asks for 2"
    [ "$status" = 0 ]
    write 3
    ../venv/bin/python -m compileall -q --invalidation-mode checked-hash test_sum.py
    run "pytest $version, the test asks for 3"
    case $version in
        9.2.0) [ "$status" = 1 ] ;;
        *) [ "$status" = 0 ] ;;
    esac
    rm -r __pycache__
    run "pytest $version, without __pycache__"
    [ "$status" = 1 ]
done
