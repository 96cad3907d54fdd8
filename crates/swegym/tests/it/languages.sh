#!/bin/bash
# Makes a repository of a small project in the folder $1, written in $2 (node, rust or go), with two
# pull requests: a fix, and one after which the same tests pass as before, or without which none build.
. "$(dirname "$0")/history.sh"

git init -q -b main "$1"; cd "$1"
git remote add origin "https://example.org/small/$2.git"
fix="Empty steps of a path are none: where somebody writes two slashes, there is nothing between them that could be walked to"
same="Join whatever can be iterated, which is more than it was asked for until now by those who have nothing else at hand"

# What takes a path apart comes from another package, where a third word is given.
node() {
    mkdir test
    local depends='' parts='path.split("/")'
    if [ -n "${3:-}" ]; then depends=$',\n  "dependencies": {"tiny-parts": "^1.0.0"}' parts='require("tiny-parts")(path)'; fi
    printf '{\n  "name": "walk",\n  "version": "1.4.0",\n  "scripts": {"test": "node --test"}%s\n}\n' "$depends" > package.json
    printf 'exports.steps = (path) => %s;\nexports.join = (parts) => parts.join("/");\n' "$parts" > index.js
    cat > test/walk.test.js <<'JS'
const { describe, it } = require('node:test');
const assert = require('node:assert');
const { join, steps } = require('..');

describe('steps', () => {
  it('are parts', () => assert.deepStrictEqual(steps('a/b'), ['a', 'b']));
  it('are skipped', { skip: true }, () => {});
});
it('joins', () => assert.strictEqual(join(['a', 'b']), 'a/b'));
JS
    commit "First commit"
    git checkout -q -b p1
    sed -i 's|path) => \(.*\);|path) => \1.filter((part) => part);|' index.js
    printf "it('has no empty steps', () => assert.deepStrictEqual(steps('a//b/'), ['a', 'b']));\n" >> test/walk.test.js
    land 1 "$fix"
    git checkout -q -b p2
    sed -i 's|parts.join("/")|[...parts].join("/")|' index.js
    printf "it('joins nothing', () => assert.strictEqual(join([]), ''));\n" >> test/walk.test.js
    land 2 "$same"
}

rust() {
    mkdir src tests
    local depends='' parts="path.split('/').collect()"
    if [ "${3:-}" = deps ]; then depends='tiny-parts = "1"' parts='tiny_parts::parts(path)'; fi
    if [ "${3:-}" = nextest ]; then mkdir .config; printf '[profile.default]\nretries = 2\n' > .config/nextest.toml; fi
    printf '[package]\nname = "walk"\nversion = "1.4.0"\nedition = "2021"\n\n[dependencies]\n%s\n' "$depends" > Cargo.toml
    printf '/target\n/Cargo.lock\n' > .gitignore
    printf '#![deny(warnings)]\npub fn steps(path: &str) -> Vec<&str> {\n    let parts: Vec<&str> = %s;\n    parts\n}\n\npub fn join(parts: &[&str]) -> String {\n    parts.join("/")\n}\n' "$parts" > src/lib.rs
    printf 'use walk::{join, steps};\n\n#[test]\nfn parts() {\n    assert_eq!(steps("a/b"), ["a", "b"]);\n}\n\n#[test]\nfn joins() {\n    assert_eq!(join(&["a", "b"]), "a/b");\n}\n' > tests/walk.rs
    commit "First commit"
    git checkout -q -b p1
    sed -i "s|^    parts\$|    parts.into_iter().filter(\|part\| !part.is_empty()).collect()|" src/lib.rs
    printf '\n#[test]\nfn empty_steps_are_none() {\n    assert_eq!(steps("a//b/"), ["a", "b"]);\n}\n' >> tests/walk.rs
    land 1 "$fix"
    # Without the fix these tests do not build.
    git checkout -q -b p3
    printf '\npub fn last(path: &str) -> Option<&str> {\n    steps(path).pop()\n}\n' >> src/lib.rs
    printf 'use walk::last;\n\n#[test]\nfn the_last_step() {\n    assert_eq!(last("a/b/"), Some("b"));\n}\n' > tests/last.rs
    land 3 "The last step of a path can be asked for, which until now everybody had to find out by themselves again and again"
}

go() {
    mkdir deep
    local depends='' import='strings' parts='strings.Split(path, "/")'
    if [ -n "${3:-}" ]; then
        depends=$'\nrequire example.org/parts v1.0.0\n' import='example.org/parts' parts='parts.Parts(path)'
        cp ../go.sum .
    fi
    printf 'module example.org/small/walk\n\ngo 1.16\n%s' "$depends" > go.mod
    printf 'package walk\n\nimport "%s"\n\nfunc Steps(path string) []string {\n\tsteps := %s\n\treturn steps\n}\n' "$import" "$parts" > walk.go
    printf 'package walk\n\nimport "testing"\n\nfunc TestSteps(t *testing.T) {\n\tt.Run("parts", func(t *testing.T) {\n\t\tif len(Steps("a/b")) != 2 {\n\t\t\tt.Fatal(Steps("a/b"))\n\t\t}\n\t})\n}\n' > walk_test.go
    commit "First commit"
    git checkout -q -b p1
    sed -i 's|return steps|full := []string{}\n\tfor _, step := range steps {\n\t\tif step != "" {\n\t\t\tfull = append(full, step)\n\t\t}\n\t}\n\treturn full|' walk.go
    printf '\nfunc TestEmptySteps(t *testing.T) {\n\tif len(Steps("a//b/")) != 2 {\n\t\tt.Fatal(Steps("a//b/"))\n\t}\n}\n' >> walk_test.go
    land 1 "$fix"
    # Without the fix this package does not build.
    git checkout -q -b p3
    printf 'package deep\n\nfunc Deep() int { return 1 }\n' > deep/deep.go
    printf 'package deep\n\nimport "testing"\n\nfunc TestDeep(t *testing.T) {\n\tif Deep() != 1 {\n\t\tt.Fatal()\n\t}\n}\n' > deep/deep_test.go
    land 3 "How deep a path goes can be asked for, which until now everybody had to find out by themselves again and again"
}

"$2" "$@"
