#!/usr/bin/env bash
# unidiff 1.0.1 refuses what `git diff` writes of a file in a folder whose name ends in
# " b" ("plan b/notes.py"): `Target without source`. 0.7.5 reads one file as two.
#
# Git does not quote names for their blanks, so the line is
# `diff --git a/plan b/notes.py b/plan b/notes.py`, which can be split at two places; only
# one of them gives equal names on both sides, and the `---` and `+++` lines below say
# which it is. unidiff takes another one. A file "b note.py" is read. (Names that git
# does quote, with letters beyond ASCII, keep quotes and escapes in `path`, in both.)
# Tools that ask `PatchSet` which files a patch changes either stop at such a patch or
# count a file that is not there.
#
# Seen with CPython 3.11.7 and git 2.47.3 on Linux, 2026-11-30. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
git init -q repository
mkdir "repository/plan b"
echo 1 >"repository/plan b/notes.py"
echo 1 >"repository/b note.py"
echo 1 >"repository/größe.py"
git -C repository add -A
git -C repository -c user.name=n -c user.email=n@localhost commit -qm first
for file in "plan b/notes.py" "b note.py" "größe.py"; do echo 2 >"repository/$file"; done
for file in "plan b" "b note.py" "größe.py"; do git -C repository diff -- "$file"; done >all.diff
cat >ask.py <<'PYTHON'
import re
from unidiff import PatchSet

for patch in re.split(r"(?m)^(?=diff --git)", open("all.diff", encoding="utf-8").read())[1:]:
    try:
        print([file.path for file in PatchSet(patch)])
    except Exception as error:
        print(type(error).__name__, str(error).strip())
PYTHON
for version in 1.0.1 0.7.5; do
    python3 -m venv --clear venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "unidiff==$version"
    echo "unidiff $version"
    venv/bin/python ask.py
done | tee seen.txt

diff seen.txt - <<'EXPECTED'
unidiff 1.0.1
UnidiffParseError Target without source: +++ b/plan b/notes.py
['b note.py']
['"gr\\303\\266\\303\\237e.py"']
unidiff 0.7.5
['notes.py', 'plan b/notes.py']
['b note.py']
['"a/gr\\303\\266\\303\\237e.py"']
EXPECTED
echo 'as described'
