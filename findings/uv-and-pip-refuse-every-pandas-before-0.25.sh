#!/usr/bin/env bash
# Wheels of pandas up to 0.24.2 (March 2019) are on the index, for interpreters that are there,
# and neither uv nor pip since 24.1 can install one: pip says that there is no such version and
# lists it among those it found; uv calls its metadata invalid. pip 24.0 installs it.
#
# These wheels ask for `pytz (>=2011k)`, and `2011k` is no version since PEP 440. A resolver
# that refuses metadata refuses the release, and with it whatever asks for it: with a cut-off
# in 2018, uv goes back to a release without a wheel, and builds from source or fails. So no
# environment of a project of before July 2019 that needs pandas can be made by its date.
# Reading the limit as none gives what people had.
#
# Seen with uv 0.13.9, pip 26.0 and pip 24.0, for Python 3.7 on Linux, 2026-11-30. Fails if
# that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export UV_CACHE_DIR=$folder/cache UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv new
python3 -m venv old
new/bin/python -m pip install --quiet uv==0.13.9 pip==26.0
old/bin/python -m pip install --quiet pip==24.0
by_uv() {
    echo "pandas==$1" | new/bin/uv pip compile --quiet --no-config --no-header --no-annotate \
        --python-version 3.7 --only-binary :all: - 2>&1 | grep -oE 'pandas==\S+ has invalid metadata|^pandas==\S+'
}
by_pip() {
    if "$1/bin/pip" download --quiet --no-deps --python-version 3.7 --only-binary :all: \
        --dest wheels "pandas==$2" >said.txt 2>&1; then
        echo 'fetched'
    else
        grep -oE 'No matching distribution found for \S+' said.txt
        grep -q "(from versions: .*$2" said.txt && echo 'though it is among the versions found'
    fi
}
for version in 0.23.4 0.24.2 0.25.3; do
    printf '%s\n' "uv: $(by_uv "$version")"
    printf '%s\n' "pip 26.0: $(by_pip new "$version" | paste -sd, -)"
    printf '%s\n' "pip 24.0: $(by_pip old "$version" | paste -sd, -)"
done | tee seen.txt

diff seen.txt - <<'EXPECTED'
uv: pandas==0.23.4 has invalid metadata
pip 26.0: No matching distribution found for pandas==0.23.4,though it is among the versions found
pip 24.0: fetched
uv: pandas==0.24.2 has invalid metadata
pip 26.0: No matching distribution found for pandas==0.24.2,though it is among the versions found
pip 24.0: fetched
uv: pandas==0.25.3
pip 26.0: fetched
pip 24.0: fetched
EXPECTED
echo 'as described'
