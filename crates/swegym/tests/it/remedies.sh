#!/bin/bash
# Makes a repository in the folder $1 whose tests ask for more than can be had, and for more
# than they say, with three pull requests.
set -euo pipefail
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 LC_ALL=C TZ=UTC
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
clock=1717200000
commit() {
    clock=$((clock + 3600))
    export GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000"
    git add -A; git commit -q -m "$1"
}
land() {
    commit "$2"; git update-ref "refs/pull/$1/head" HEAD
    git checkout -q main; git merge -q --squash "p$1" >/dev/null; commit "$2 (#$1)"
}

git init -q -b main "$1"; cd "$1"
git remote add origin https://example.org/small/clock.git
printf 'from setuptools import setup\n\nsetup(name="clock", version="0.3.1", py_modules=["clock"])\n' > setup.py
printf '[testenv]\ndeps =\n    pytest\n    nobody-has-this-project-of-ours>=2\ncommands = pytest\n' > tox.ini
printf 'import time\n\n\ndef now():\n    return int(time.time())\n\n\ndef spell(hour):\n    return str(hour)\n' > clock.py
printf 'from clock import now\n\n\ndef test_now(mocker):\n    mocker.patch("time.time", return_value=2.5)\n    assert now() == 2\n' > test_clock.py
commit "First commit"

git checkout -q -b p1
sed -i 's/return int(time.time())/return round(time.time(), 1)/' clock.py
sed -i 's/== 2$/== 2.5/' test_clock.py
land 1 "Tenths of a second are no longer cut off, as they were wherever somebody asked for the time"

git checkout -q -b p2
printf '\n\ndef later(by):\n    return now() + by\n' >> clock.py
printf '\n\ndef test_later(mocker):\n    from clock import later\n\n    mocker.patch("time.time", return_value=1)\n    assert later(2) == 3\n' >> test_clock.py
land 2 "A time that is later than now by some seconds can be asked for without adding anything"

git checkout -q -b p3
sed -i 's/return str(hour)/return "three" if hour == 3 else str(hour)/' clock.py
printf 'from clock import spell\n\n\ndef test_spell():\n    assert spell(3) == "three"\n' > test_spell.py
land 3 "Spell some hours"
