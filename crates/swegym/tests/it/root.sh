#!/bin/bash
# Makes a root file system in the folder $1 of parts of this machine: a few programs, with the
# libraries that they need, and the Python whose program is $2, below /usr/local.
set -euo pipefail
root=$1 python=$2

# A program, with whatever the loader would load for it, where both stand on this machine.
bring() {
    local file
    for file in "$@"; do
        [ -e "$root$file" ] || cp -L --parents "$file" "$root"
        bring_libraries "$file"
    done
}

# Scripts have none.
bring_libraries() {
    { ldd "$1" 2>/dev/null || true; } | { grep -o '/[^ )]*' || true; } | sort -u | while read -r library; do
        [ -e "$root$library" ] || cp -L --parents "$library" "$root"
    done
}

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/local/lib" "$root/etc"
for folder in bin sbin lib lib64; do
    mkdir -p "$root/usr/$folder"; ln -s "usr/$folder" "$root/$folder"
done
printf 'root:x:0:0:root:/root:/bin/bash\n' > "$root/etc/passwd"
for name in bash sh cat chmod comm cp cut dirname env find grep head id ln ls mkdir mktemp mv nproc printf pwd \
    readlink rm rmdir sed sleep sort stat tail tee test touch tr true uname wc xargs patch timeout; do
    bring "/usr/bin/$name"
done
bring /usr/bin/git $(find /usr/lib/git-core -maxdepth 1 -type f -name 'git*' -size -200k | head -n 40) /usr/lib/git-core/git
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir -p "$root/usr/local/bin"
cp -L "$prefix/bin/python$version" "$root/usr/local/bin/"
(cd "$prefix/lib" && tar cf - --exclude=test --exclude=site-packages --exclude=dist-packages --exclude=__pycache__ \
    --exclude=idlelib --exclude='config-*' "python$version") | tar xf - -C "$root/usr/local/lib"
cp -L "$prefix"/lib/libpython"$version"*.so* "$root/usr/local/lib/" 2>/dev/null || true
bring "$prefix/bin/python$version"
find "$root/usr/local/lib/python$version/lib-dynload" -name '*.so' | while read -r module; do
    LD_LIBRARY_PATH=$prefix/lib bring_libraries "$module"
done
