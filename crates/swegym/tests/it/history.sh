# The beginning of scripts that make a repository with pull requests: read by them, with `.`.
set -euo pipefail
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 LC_ALL=C TZ=UTC
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
clock=1717200000
commit() {
    clock=$((clock + 3600))
    export GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000"
    git add -A; git commit -q -m "$1"
}
# Squashes branch p$1 into the main one, and keeps its last commit as a pull request does.
land() {
    commit "$2"; git update-ref "refs/pull/$1/head" HEAD
    git checkout -q main; git merge -q --squash "p$1" >/dev/null; commit "$2 (#$1)"
}
