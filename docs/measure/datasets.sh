#!/usr/bin/env bash
# Compares two builds on a dataset: how long each verb of `swegym dataset` takes,
# its peak memory, and whether both write and say the same. The builds take turns.
#
#   docs/measure/datasets.sh OLD NEW DATASET [ROUNDS]
#
# OLD and NEW are programs. A verb's line has the medians and their ratios. On a
# machine that others use, too, the time that passes says little; so there is
# also the time that would pass if a core were free whenever a thread wants one:
# the cores' time by as many cores as the threads have or wait for, in the mean.
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2") dataset=$(realpath "$3") rounds=${4:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a program in a folder, keeps what it says there, and prints seconds that
# passed, seconds with free cores, seconds of all cores, and peak memory in MiB.
measured() {
    python3 - "$@" <<'PYTHON'
import os, sys, time
folder, words = sys.argv[1], sys.argv[2:]
start = time.monotonic()
child = os.fork()
if child == 0:
    os.chdir(folder)
    os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.execv(words[0], words)
wanted, done = {}, 0
while not done:
    time.sleep(0.02)
    try:
        for thread in os.listdir(f"/proc/{child}/task"):
            ran, waited, _ = open(f"/proc/{child}/task/{thread}/schedstat").read().split()
            wanted[thread] = int(ran) + int(waited)
    except (OSError, ValueError):
        pass
    done, status, usage = os.wait4(child, os.WNOHANG)
passed = time.monotonic() - start
with open(os.path.join(folder, "said"), "a") as said:
    print("exit", os.waitstatus_to_exitcode(status), file=said)
cores = usage.ru_utime + usage.ru_stime
wants = sum(wanted.values()) / 1e9 / passed
print(passed, cores / wants if wants else passed, cores, usage.ru_maxrss / 1024)
PYTHON
}

verbs=(
    "stats $dataset"
    "diff $dataset $dataset"
    "lite $dataset --out out.parquet"
    "convert $dataset out.parquet --to swe-bench"
    "convert $dataset out.parquet --to swe-gym"
    "convert $dataset out.jsonl --to swe-gym"
    "check $dataset"
)
for verb in "${verbs[@]}"; do
    : >"$work/measures"
    for ((round = 0; round < rounds; round++)); do
        for build in old new; do
            mkdir -p "$work/$build"
            read -r -a words <<<"$verb"
            echo "$build $(measured "$work/$build" "${!build}" dataset "${words[@]}")" >>"$work/measures"
        done
    done
    same=no
    diff -rq "$work/old" "$work/new" >/dev/null && same=yes
    rm -rf "$work/old" "$work/new"
    python3 - "$work/measures" "${verb//$dataset/DATASET}" "$same" <<'PYTHON'
import statistics, sys
measures = [line.split() for line in open(sys.argv[1])]
middle = lambda build, at: statistics.median(float(m[at]) for m in measures if m[0] == build)
passed, free, cores, memory = ((middle("old", at), middle("new", at)) for at in (1, 2, 3, 4))
print(f"{sys.argv[2]}: {passed[0]:.2f} s, now {passed[1]:.2f} s: {passed[0] / passed[1]:.2f} times as fast; "
      f"with free cores {free[0]:.2f} s, now {free[1]:.2f} s: {free[0] / free[1]:.2f} times as fast; "
      f"cores' time {cores[0]:.2f} s, now {cores[1]:.2f} s; "
      f"memory {memory[0]:.0f} MiB, now {memory[1]:.0f} MiB: {memory[1] / memory[0]:.2f} times as much; "
      f"same: {sys.argv[3]}", flush=True)
PYTHON
done
