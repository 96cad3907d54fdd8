#!/usr/bin/env bash
# pytest 9.2.0 lists a unittest test whose `subTest` fails as PASSED, and its XML keeps
# the children of a test in the order in which its subtests ended.
#
# pytest 9 took subtests into its core. For a method of a `unittest.TestCase` in which a
# `subTest` fails, the summary of `-rA` has `SUBFAILED(i=1) file::Class::test` and, for
# the test itself, `PASSED file::Class::test`; the exit status is 1. pytest 8.4.2 without
# a plug-in lists the same test as FAILED. In the XML, one `<testcase>` holds a `<failure>`
# for the subtest that failed and a `<skipped>` for one that was skipped after it. So a
# harness that reads the status words of the log (the parsers of SWE-bench do) and one
# that takes the last child of a case both report a pass of a test that failed.
#
# Seen with CPython 3.11.7 on Linux, 2026-11-29. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
cat > test_parts.py <<'PYTHON'
import unittest


class Parts(unittest.TestCase):
    def test_each(self):
        for i in range(3):
            with self.subTest(i=i):
                if i == 2:
                    self.skipTest("not this one")
                self.assertNotEqual(i, 1)
PYTHON

for version in 8.4.2 9.2.0; do
    venv/bin/python -m pip install --quiet --disable-pip-version-check "pytest==$version"
    status=0
    venv/bin/python -m pytest -rA --color=no --junitxml=junit.xml test_parts.py > log.txt 2>&1 || status=$?
    words=$(grep -E '^(PASSED|FAILED|SUBFAILED)' log.txt | sed 's/ - .*//' | sort | tr '\n' ';')
    children=$(venv/bin/python - <<'PYTHON'
import xml.etree.ElementTree as tree
print(*[child.tag for case in tree.parse("junit.xml").iter("testcase") for child in case])
PYTHON
)
    printf 'pytest %s: exit %s; %s children: %s\n' "$version" "$status" "$words" "$children"
done | tee seen.txt

diff seen.txt - <<'EXPECTED'
pytest 8.4.2: exit 1; FAILED test_parts.py::Parts::test_each; children: failure
pytest 9.2.0: exit 1; PASSED test_parts.py::Parts::test_each;SUBFAILED(i=1) test_parts.py::Parts::test_each; children: failure skipped
EXPECTED
echo 'as described'
