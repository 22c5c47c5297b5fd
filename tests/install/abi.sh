#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whether programs that were built with an earlier revision run on this one's shared library: its types and functions are compared
# (abidiff), and its conformance cases and the README's first program, compiled there, are run here.
# usage: MAKE=make abi.sh LIBRARY SONAME [REVISION]      without a revision: the last released version (a tag v...)
set -euo pipefail

cd "$(dirname "$0")/../.."
library=$(readlink -f "$1")
soname=$2
base=${3:-$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "check-abi: $*" >&2
    exit 1
}

[ -n "$base" ] || fail "no version was released yet: name a revision with BASE="
revision=$(git rev-parse --verify --quiet "$base^{commit}") || fail "BASE=$base is no revision"

old=$work/old
mkdir "$old" "$work/run"
git archive "$revision" | tar -x -C "$old"
${MAKE:-make} -C "$old" lib CC=gcc VARIANT=plain >"$work/make.log" 2>&1 || {
    cat "$work/make.log" >&2
    fail "$base does not build"
}
before=$(readlink -f "$old/build/plain/$soname") || true
[ -f "$before" ] || fail "$base has another soname than $soname: its programs do not use this library"

# Bits of its status: 1 and 2 an error, 4 a change, 8 one that breaks programs. New functions are no change here.
compare() {
    local status=0
    abidiff --no-added-syms --headers-dir1 "$old/include" --headers-dir2 include \
        --suppressions tests/install/abi.suppr "$before" "$library" >"$work/abidiff" || status=$?
    if [ "$status" -ne 0 ]; then
        cat "$work/abidiff" >&2
        fail "programs that were built with $base see something else (abidiff: $status)"
    fi
}

run_on_this() { # program and its arguments, in the old tree
    (cd "$old" && LD_LIBRARY_PATH=$work/run timeout 120 "$@" >"$work/out" 2>&1) || {
        cat "$work/out" >&2
        fail "$1, built with $base, ended with a status that is not 0"
    }
}

use() { # name, sources and flags
    local name=$1
    shift
    gcc -std=gnu11 -D_GNU_SOURCE -O1 -pthread -I"$old/include" -I"$old/tests" "$@" -o "$work/$name" \
        -L"$old/build/plain" -Wl,--allow-shlib-undefined -lhearth
    run_on_this "$work/$name"
}

ln -s "$library" "$work/run/$soname"
compare
awk '$0 == "<!-- snippet: quickstart -->" { marked = 1 }
     marked && inside && /^```$/ { exit }
     inside { print }
     marked && /^```c$/ { inside = 1 }' "$old/README.md" >"$work/quickstart.c"
[ -s "$work/quickstart.c" ] || fail "$base has no first program in its README.md"
use quickstart "$work/quickstart.c"
sources=("$old"/tests/conformance/*.c "$old"/tests/support/keeper.c "$old"/tests/support/servers.c)
use conformance "${sources[@]}" -lcmocka -ljansson
echo "check-abi: ok (since $base: $(tail -n +1 "$work/abidiff" | grep -c . || true) lines of abidiff, $(grep -c ' OK ' "$work/out") cases)"
