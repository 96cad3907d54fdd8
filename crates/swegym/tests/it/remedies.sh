#!/bin/bash
# Makes a repository in the folder $1 whose tests ask for more than can be had, and for more
# than they say, with three pull requests.
. "$(dirname "$0")/history.sh"

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
