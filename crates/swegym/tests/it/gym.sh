#!/bin/bash
# Makes a repository of a small package in the folder $1, with pull requests of several kinds.
. "$(dirname "$0")/history.sh"

git init -q -b main "$1"; cd "$1"
git remote add origin https://example.org/small/walk.git
mkdir walk tests
cat > setup.py <<'PY'
from setuptools import setup

setup(name="walk", version="1.4.0", packages=["walk"], python_requires=">=3.8")
PY
cat > walk/__init__.py <<'PY'
def steps(path):
    return path.split("/")


def join(parts):
    return "/".join(parts)
PY
# A module that tests import need not be a project of any index.
cat > tests/test_walk.py <<'PY'
try:
    import nobody_has_this_module
except ImportError:
    pass
from walk import join, steps


def test_steps():
    assert steps("a/b") == ["a", "b"]


def test_join():
    assert join(["a", "b"]) == "a/b"
PY
printf '*.log\n' > .gitignore
commit "First commit"

# 1: a fix.
git checkout -q -b p1
sed -i 's|return path.split("/")|return [part for part in path.split("/") if part]|' walk/__init__.py
printf '\n\ndef test_empty_steps_are_none():\n    assert steps("a//b/") == ["a", "b"]\n' >> tests/test_walk.py
land 1 "Empty steps of a path are none: where somebody writes two slashes, there is nothing between them that could be walked to"

# 2: a change after which the same tests pass as before.
git checkout -q -b p2
sed -i 's|"/".join(parts)|"/".join(part for part in parts)|' walk/__init__.py
printf '\n\ndef test_join_of_nothing():\n    assert join([]) == ""\n' >> tests/test_walk.py
land 2 "Join whatever can be iterated"

# 3: a fix whose test cannot pass here.
git checkout -q -b p3
printf '\n\ndef first(path):\n    return steps(path)[0]\n' >> walk/__init__.py
printf 'import socket\n\nfrom walk import first\n\n\ndef test_first():\n    socket.create_connection(("example.org", 80), timeout=1)\n    assert first("a/b") == "a"\n' > tests/test_first.py
land 3 "The first step"

# 4: a fix with a test file of its own, in the middle of others.
git checkout -q -b p4
printf '\n\ndef last(path):\n    return steps(path)[-1]\n' >> walk/__init__.py
printf 'from walk import last\n\n\ndef test_last():\n    assert last("a/b/") == "b"\n' > tests/test_last.py
land 4 "The last step of a path can be asked for, which until now everybody had to find out by themselves again and again"
