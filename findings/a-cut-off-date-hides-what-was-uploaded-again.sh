#!/usr/bin/env bash
# `uv pip compile --exclude-newer 2019-06-01 pytest` chooses pytest 3.5.1, of April 2018, without
# a word, although pytest 4.5.0 had been out for three weeks; so it goes, in other versions, for
# every day from May 2018 until November 2019.
#
# pytest 3.6.0 to 5.2.4 require `atomicwrites`. All its releases were taken from the index in
# July 2022, and some were uploaded again: the oldest upload that the index knows now is younger
# than all of these pytests. A cut-off that goes by upload times hides the project whole, and
# the resolver goes back to the last pytest that did not ask for it. Whoever builds an old
# environment by its date gets another test runner than there was, and nothing fails. With
# `--exclude-newer-package` for that one project (and for what builds it) the right version comes.
#
# Seen with uv 0.13.9, for Python 3.7 on Linux, 2026-11-30. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export UV_CACHE_DIR=$folder/cache UV_PYTHON_DOWNLOADS=never
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
echo pytest >pytest.in
choose() {
    venv/bin/uv pip compile --quiet --no-config --no-header --no-annotate --python-version 3.7 pytest.in "$@" |
        grep -E '^(pytest|atomicwrites)==' | paste -sd, -
}
for day in 2018-06-01 2019-06-01 2019-11-01 2020-03-01; do
    printf '%s: %s\n' "$day" "$(choose --exclude-newer "${day}T00:00:00Z")"
done | tee seen.txt
day=2019-06-01T00:00:00Z
printf 'one project freed: %s\n' \
    "$(choose --exclude-newer "$day" --exclude-newer-package={atomicwrites,setuptools,wheel}=2022-09-01T00:00:00Z)" | tee -a seen.txt

diff seen.txt - <<'EXPECTED'
2018-06-01: pytest==3.5.1
2019-06-01: pytest==3.5.1
2019-11-01: pytest==3.5.1
2020-03-01: pytest==5.3.5
one project freed: atomicwrites==1.4.1,pytest==4.5.0
EXPECTED
echo 'as described'
