#!/usr/bin/env bash
# pytest reports "1 failed, 5 passed" of two tests: the one that fails is listed twice as PASSED
# as well, the one that passes three times, and the JUnit XML file of the run has no failure.
#
# sure, up to 1.3.0, gives every object the properties of its assertions: `should`, `must`,
# `when`. A property of a class comes before a value of an instance, and its setter does nothing:
# so the phase of a pytest report (`report.when`: set up, call, tear down) is lost as soon as a
# test file imports sure, and all three phases count as tests. Whoever asks the summary whether
# a test is listed as PASSED, or the XML whether one failed, takes a failing test for a passing
# one. sure 1.4.0 leaves what is set alone.
#
# Seen with pytest 8.3.5 and sure 1.3.0, 2026-11-30. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
# Nothing newer builds a setup.py of that time without a wheel.
venv/bin/python -m pip install --quiet --disable-pip-version-check 'setuptools<70' wheel pytest==8.3.5 mock==1.3.0 six==1.17.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps sure==1.3.0
cat >test_sum.py <<'PYTHON'
import sure  # noqa: F401


def test_right():
    (1 + 1).should.equal(2)


def test_wrong():
    (1 + 1).should.equal(3)
PYTHON
run() {
    venv/bin/python -m pytest -p no:cacheprovider -rA --tb=no --junitxml=junit.xml test_sum.py >log.txt || true
    grep -oE '^(PASSED|FAILED) test_sum.py::\w+|[0-9]+ failed, [0-9]+ passed' log.txt
    printf 'failures in JUnit XML: %s\n' "$(grep -o '<failure' junit.xml | wc -l)"
}
echo 'sure 1.3.0' >seen.txt
run >>seen.txt
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps sure==1.4.0
echo 'sure 1.4.0' >>seen.txt
run >>seen.txt
cat seen.txt

diff seen.txt - <<'EXPECTED'
sure 1.3.0
PASSED test_sum.py::test_right
PASSED test_sum.py::test_right
PASSED test_sum.py::test_right
PASSED test_sum.py::test_wrong
PASSED test_sum.py::test_wrong
FAILED test_sum.py::test_wrong
1 failed, 5 passed
failures in JUnit XML: 0
sure 1.4.0
PASSED test_sum.py::test_right
FAILED test_sum.py::test_wrong
1 failed, 1 passed
failures in JUnit XML: 1
EXPECTED
echo 'as described'
