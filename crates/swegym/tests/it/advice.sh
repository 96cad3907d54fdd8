#!/bin/bash
# Makes a repository in the folder $1 with one pull request, whose tests want a project that
# nothing names.
. "$(dirname "$0")/history.sh"

git init -q -b main "$1"; cd "$1"
git remote add origin https://example.org/small/walk.git
printf 'from setuptools import setup\n\nsetup(name="walk", version="1.0", py_modules=["walk"])\n' > setup.py
printf 'def steps(path):\n    return path.split("/")\n' > walk.py
printf 'from importlib import metadata\n\nfrom walk import steps\n\n\ndef test_steps():\n    assert metadata.version("six") and steps("a/b") == ["a", "b"]\n' > test_walk.py
commit "First commit"

git checkout -q -b p1
sed -i 's|return path.split("/")|return [part for part in path.split("/") if part]|' walk.py
printf '\n\ndef test_empty_steps():\n    assert metadata.version("six") and steps("a//b") == ["a", "b"]\n' >> test_walk.py
land 1 "Empty steps of a path are none: where somebody writes two slashes, there is nothing between them that could be walked to"
