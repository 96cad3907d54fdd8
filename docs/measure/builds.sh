#!/usr/bin/env bash
# Compares what commits cost to build: a release from an empty target folder, then
# once more after a change in crates/swegym.
#
#   docs/measure/builds.sh COMMIT [COMMIT …]
#
# A line a commit: processor seconds (which other work on the machine changes little),
# seconds that passed, the size of the program, and the processor seconds of the second
# build; then the ratios to the first commit. Dependencies must have been fetched.
set -euo pipefail
repository=$(git rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a command; prints its processor seconds and the seconds that passed.
measured() {
    python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{used.ru_utime + used.ru_stime:.0f} {time.monotonic() - start:.0f}")
PYTHON
}

printf '%-12s %10s %8s %8s %10s\n' commit processor passed MB again
first=
for commit in "$@"; do
    tree=$work/tree
    rm -rf "$tree" "$work/target"
    git clone -q --no-checkout "$repository" "$tree"
    git -C "$tree" checkout -q "$(git rev-parse "$commit")"
    build=(cargo build --release --quiet -p swegym --locked --manifest-path "$tree/Cargo.toml" --target-dir "$work/target")
    read -r processor passed < <(measured "${build[@]}")
    size=$(($(stat -c %s "$work/target/release/swegym") / 100000))
    echo '// changed' >>"$tree/crates/swegym/src/main.rs"
    read -r again _ < <(measured "${build[@]}")
    row="$processor $passed $size $again"
    first=${first:-$row}
    python3 - "$(git rev-parse --short "$commit")" "$row" "$first" <<'PYTHON'
import sys
name, row, first = sys.argv[1], *(list(map(float, text.split())) for text in sys.argv[2:])
print(f"{name:12} {row[0]:10.0f} {row[1]:8.0f} {row[2] / 10:8.1f} {row[3]:10.0f}", end="   ")
print(" ".join(f"{new / max(old, 1):.2f}" for new, old in zip(row, first)))
PYTHON
done
