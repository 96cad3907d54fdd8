#!/usr/bin/env bash
# Compares two builds on a dataset: rows a second and peak memory of each verb
# of `swegym dataset`, the builds taking turns, and whether they write the same.
#
#   docs/measure/datasets.sh OLD NEW DATASET [ROUNDS]
#
# OLD and NEW are programs. A verb's line has the ratio of the medians.
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2") dataset=$(realpath "$3") rounds=${4:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints wall seconds, seconds of all cores, and peak memory in MiB.
measured() {
    python3 - "$@" <<'PYTHON'
import os, sys, time
start = time.monotonic()
child = os.fork()
if child == 0:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.execv(sys.argv[1], sys.argv[1:])
usage = os.wait4(child, 0)[2]
print(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
PYTHON
}

verbs=(
    "stats $dataset"
    "diff $dataset $dataset"
    "lite $dataset --out OUT.parquet"
    "convert $dataset OUT.parquet --to swe-bench"
    "convert $dataset OUT.parquet --to swe-gym"
    "convert $dataset OUT.jsonl --to swe-gym"
    "check $dataset"
)
for verb in "${verbs[@]}"; do
    : >"$work/measures"
    for ((round = 0; round < rounds; round++)); do
        for build in old new; do
            mkdir -p "$work/$build"
            read -r -a words <<<"${verb//OUT/$work/$build/out}"
            echo "$build $(measured "${!build}" dataset "${words[@]}")" >>"$work/measures"
        done
    done
    same=no
    diff -rq "$work/old" "$work/new" >/dev/null && same=yes
    rm -rf "$work/old" "$work/new"
    python3 - "$work/measures" "${verb//$dataset/DATASET}" "$same" <<'PYTHON'
import statistics, sys
measures = [line.split() for line in open(sys.argv[1])]
middle = lambda build, at: statistics.median(float(m[at]) for m in measures if m[0] == build)
wall, cores, memory = ((middle("old", at), middle("new", at)) for at in (1, 2, 3))
print(f"{sys.argv[2]}: {wall[0]:.1f} s, now {wall[1]:.1f} s: {wall[0] / wall[1]:.2f} times as fast; "
      f"cores' time {cores[0]:.1f} s, now {cores[1]:.1f} s; "
      f"memory {memory[0]:.0f} MiB, now {memory[1]:.0f} MiB; same files: {sys.argv[3]}")
PYTHON
done
