#!/bin/bash
# Makes a repository in the folder $1 whose history has a pull request of every kind.
# Everything in it is fixed: ids of commits are the same on every machine.
set -euo pipefail
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 LC_ALL=C TZ=UTC
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
clock=1600000000
tick() { clock=$((clock + 3600)); export GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000"; }
commit() { tick; git add -A; git commit -q --allow-empty -m "$1"; }
# A change of source $1 and of its test, with the word $2.
change() { mkdir -p pkg tests; echo "value_$1 = '$2'" > "pkg/$1.py"; echo "def test_$1(): assert '$2'" > "tests/test_$1.py"; }
pull() { git update-ref "refs/pull/$1/head" HEAD; }
# Squashes branch $1 into the current one.
squash() { git merge -q --squash "$1" >/dev/null; commit "$2"; }

git init -q -b main "$1"
cd "$1"
git remote add origin https://example.org/owner/name.git
change base old; echo '__version__ = "1.2.3"' > pkg/__init__.py
commit "First commit"
git branch stable

# 1: squashed, with a text in the landing.
git checkout -q -b p1; change one new; commit "wip"; change one newer; commit "more"; pull 1
git checkout -q main; squash p1 "Read empty lines (#1)

The reader takes an empty line for the end of the file, so that whatever stands below it is lost for good.

Co-authored-by: B <b@example.org>"

# 2: merged, with a text in its commit and a note for the news.
git checkout -q -b p2; change two new; mkdir -p news
echo "Names that hold a blank are read whole, where only the first word was read before." > news/2.bugfix
commit "Read names whole"; pull 2
git checkout -q main; change other x; commit "Direct push, no pull request"
tick; git merge -q --no-ff -m "Merge pull request #2 from b/p2

Read names whole" p2

# 3: rebased, without a number.
git checkout -q -b p3 main~1; change three new; commit "Sort names without regard to case, as the documents of the package promise it to everybody who reads them"; pull 3
git checkout -q main; tick; git cherry-pick p3 >/dev/null

# 4: merged without a number.
git checkout -q -b p4; change four new; commit "Count lines that do not end, which were left out of every count that this package ever made so far"; pull 4
git checkout -q main; change other y; commit "Another direct push"
tick; git merge -q --no-ff -m "Merge branch 'p4'" p4

# 5: landed on another branch only.
git checkout -q -b p5 stable; change five new; commit "Mend the stable reader"; pull 5
git checkout -q stable; squash p5 "Mend the stable reader (#5)"

# 6: a port of 1 to that branch.
git checkout -q -b p6 stable; change one newer; commit "Read empty lines"; pull 6
git checkout -q stable; squash p6 "[1.x] Read empty lines (#1) (#6)"

# 7: takes 2 back. 8: only documents. 9: only tests. 10: only source.
git checkout -q main
git checkout -q -b p7; git rm -q pkg/two.py tests/test_two.py; commit "Revert \"Read names whole\""; pull 7
git checkout -q main; squash p7 "Revert \"Read names whole\" (#7)

This reverts commit 0123456789abcdef0123456789abcdef01234567."
git checkout -q -b p8; echo text > README.md; commit docs; pull 8; git checkout -q main; squash p8 "Documents (#8)"
git checkout -q -b p9; echo 'def test_x(): pass' > tests/test_x.py; commit tests; pull 9; git checkout -q main; squash p9 "Tests (#9)"
git checkout -q -b p10; echo x=1 > pkg/latest.py; commit source; pull 10; git checkout -q main; squash p10 "Source (#10)"

# 11: open. 12: the same change as 1 once more, after it was lost.
git checkout -q -b p11; change eleven new; commit "Not yet"; pull 11; git checkout -q main
git rm -q pkg/one.py tests/test_one.py; commit "Lose one"
git checkout -q -b p12; change one newer; commit "Again"; pull 12; git checkout -q main; squash p12 "Again (#12)"

# 13: was pushed to after it landed, and has nothing left of that. 40: the number of an issue.
git checkout -q -b p13; change unrelated new; commit "Unrelated"; pull 13; git checkout -q main
change thirteen new; commit "Mend thirteen (#13)"
change forty new; commit "Mend forty (#40)"

# 14: merged into 15, which landed.
git checkout -q -b p15; change fifteen new; commit "Fifteen"
git checkout -q -b p14; change fourteen new; commit "Fourteen"; pull 14
git checkout -q p15; tick; git merge -q --no-ff -m "Merge pull request #14 from b/p14

Fourteen" p14
change fifteen newer; commit "Fifteen again"; pull 15
git checkout -q main; squash p15 "Fifteen (#15)"

# 16: no UTF-8. 17: a picture among the fixtures, a renamed file, a name that git quotes.
git checkout -q -b p16; change sixteen new; printf 'x = "\xff"\n' > pkg/latin.py; commit "Latin"; pull 16; git checkout -q main; squash p16 "Latin (#16)"
git checkout -q -b p17; change seventeen new; mkdir -p tests/data; printf '\0\1\2' > tests/data/picture.png
git mv pkg/base.py pkg/café.py; commit "Seventeen"; pull 17; git checkout -q main; squash p17 "Seventeen (#17)"

# 19: its branch was pushed to after it landed.
git checkout -q -b p19; change nineteen new; commit "Nineteen"; git checkout -q main; squash p19 "Nineteen (#19)"
git checkout -q p19; change nineteen newer; commit "Too late"; pull 19; git checkout -q main

# 20: pushed as it was.
git checkout -q -b p20; change twenty new; commit "Twenty"; pull 20; git checkout -q main; tick; git merge -q --ff-only p20

# 21: tests that only their contents tell. 22: a submodule.
git checkout -q -b p21; change twentyone new; rm tests/test_twentyone.py
printf 'import unittest\n\nclass Checks(unittest.TestCase):\n    def test_it(self):\n        pass\n' > pkg/selftest.py
commit "Twenty-one"; pull 21; git checkout -q main; squash p21 "Twenty-one (#21)"
git checkout -q -b p22; change twentytwo new; git add -A
git update-index --add --cacheinfo 160000,0123456789abcdef0123456789abcdef01234567,vendored
tick; git commit -q -m "Twenty-two"; pull 22; git checkout -q main
git merge -q --squash p22 >/dev/null 2>&1; tick; git commit -q -m "Twenty-two (#22)"
git tag v1.3.0
