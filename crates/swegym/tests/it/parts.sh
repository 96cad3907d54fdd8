#!/bin/bash
# Makes a repository in the folder $1 that no file builds, of which a part is another repository
# ($1-words), with files that are hard to lay out, and with three pull requests.
. "$(dirname "$0")/history.sh"

git init -q -b main "$1-words"; cd "$1-words"
printf 'one\ntwo\n' > list.txt
commit "Words"
words=$(git rev-parse HEAD)

git init -q -b main "$1"; cd "$1"
git remote add origin https://example.org/small/walk.git
printf '[submodule "words"]\n\tpath = words\n\turl = ../words.git\n' > .gitmodules
git update-index --add --cacheinfo "160000,$words,words"
mkdir tests words
printf 'test:\n\t@pip install pytest six==1.16.0\n\tpytest tests\n' > Makefile
printf 'import six\n\n\ndef words():\n    return six.ensure_text(open("words/list.txt").read()).split()\n' > walk.py
# Names that are one on some machines, one that is no text, and a pointer to a file elsewhere.
printf 'a\n' > Notes.txt; printf 'b\n' > notes.txt; printf 'c\n' > "$(printf 'caf\351.txt')"
printf 'data.bin filter=lfs diff=lfs merge=lfs -text\n' > .gitattributes
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n' 7 > data.bin
mkdir docs; for page in {1..12}; do echo "Page $page" > docs/$page.txt; done; head -c 3000 /dev/zero > 'docs/a [big] picture'
cat > tests/test_walk.py <<'PY'
from walk import words


def test_words():
    assert words()[0] == "one"


def test_data():
    assert len(open("data.bin", "rb").read()) == 12345


def test_notes():
    assert open("Notes.txt").read() != open("notes.txt").read()
PY
commit "First commit"

# 1: a fix.
git checkout -q -b p1
printf '\n\ndef last_word():\n    return words()[-1]\n' >> walk.py
printf '\n\ndef test_last_word():\n    from walk import last_word\n\n    assert last_word() == "two"\n' >> tests/test_walk.py
land 1 "The last word of the list can be asked for, which everybody had to find by themselves until now"

# 2: one that brings a setup.py, which asks the network.
git checkout -q -b p2
printf 'import urllib.request\nfrom setuptools import setup\n\nversion = urllib.request.urlopen("http://example.org/version").read()\nsetup(name="walk", version=version, py_modules=["walk"])\n' > setup.py
printf '\n\ndef count():\n    return len(words())\n' >> walk.py
printf '\n\ndef test_count():\n    from walk import count\n\n    assert count() == 2\n' >> tests/test_walk.py
land 2 "Words can be counted, and the package has a version that is asked for where releases are made"

# 3: a fix on top of that.
git checkout -q -b p3
printf '\n\ndef first_word():\n    return words()[0]\n' >> walk.py
printf '\n\ndef test_first_word():\n    from walk import first_word\n\n    assert first_word() == "one"\n' >> tests/test_walk.py
land 3 "The first word of the list can be asked for as well, as the last one already could be for some time"
