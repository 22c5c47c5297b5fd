#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs into an empty tree and uses what lies there: the files, the pkg-config file, and the
# README's first program, compiled with both compilers against both libraries, and run.
set -euo pipefail

cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

root=$work/root
prefix=/opt/hearth-$$
libdir=$prefix/lib/here
installed=$root$libdir

fail() {
    echo "check-install: $*" >&2
    exit 1
}

same() { # what, expected, seen
    if [ "$2" != "$3" ]; then
        printf 'check-install: %s\n--- expected\n%s\n--- seen\n%s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
}

header_number() {
    sed -n "s/^#define HEARTH_$1 *//p" include/hearth/version.h
}

run_make() {
    ${MAKE:-make} "$@" "DESTDIR=$root" "PREFIX=$prefix" "LIBDIR=$libdir" >"$work/make.log" 2>&1 || {
        cat "$work/make.log" >&2
        fail "make $* failed"
    }
}

abi=$(header_number ABI_VERSION)
version=$(header_number VERSION_MAJOR).$(header_number VERSION_MINOR).$(header_number VERSION_PATCH)
real=libhearth.so.$abi.${version#*.}

check_hardened() { # library
    local headers symbols
    headers=$(readelf -lW "$1")
    symbols=$(readelf --dyn-syms -W "$1")
    grep -q GNU_RELRO <<<"$headers" || fail "$1: its relocations stay writable"
    readelf -d "$1" | grep -q 'FLAGS_1.*NOW' || fail "$1: it binds its symbols one by one"
    grep -q 'GNU_STACK.* RW ' <<<"$headers" || fail "$1: its stack is executable"
    grep -q 'UND __stack_chk_fail@' <<<"$symbols" || fail "$1: its stacks are not guarded"
    grep -q 'UND __[a-z]*_chk@' <<<"$symbols" || fail "$1: its copies are not checked"
}

check_tree() {
    local expected
    expected=$({
        for header in include/hearth/*.h include/hearth/*.hpp; do echo "$prefix/$header"; done
        for file in libhearth.a libhearth.so "libhearth.so.$abi" "$real" pkgconfig/hearth.pc; do
            echo "$libdir/$file"
        done
    } | sort)
    same "the installed tree" "$expected" "$(cd "$root" && find . ! -type d -printf '/%P\n' | sort)"
    same "libhearth.so leads to" "$real" "$(basename "$(readlink -f "$installed/libhearth.so")")"
    same "the soname" "libhearth.so.$abi" \
        "$(readelf -d "$installed/$real" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')"
    readelf -d "$installed/$real" | grep -q 'FLAGS_1.*NODELETE' || fail "$real can be unloaded"
    check_hardened "$installed/$real"
    if readelf -d "$installed/$real" | grep -E 'RPATH|RUNPATH'; then
        fail "$real has a search path of its own"
    fi
    if grep -rlF "$work" "$root"; then
        fail "DESTDIR is written in the files above"
    fi
}

# The packager's view first: no DESTDIR anywhere. Then the compiler's, who works inside it.
check_pkg_config() {
    export PKG_CONFIG_PATH=$installed/pkgconfig
    same "--modversion" "$version" "$(pkg-config --modversion hearth)"
    same "--cflags" "-I$prefix/include" "$(pkg-config --cflags hearth | xargs)"
    same "--libs" "-L$libdir -lhearth" "$(pkg-config --libs hearth | xargs)"
    same "--libs --static" "-L$libdir -lhearth -lhiredis -lmemcached -lhashkit -pthread -lm" \
        "$(pkg-config --libs --static hearth | xargs)"
    export PKG_CONFIG_SYSROOT_DIR=$root
}

extract_snippet() { # name
    awk -v mark="<!-- snippet: $1 -->" '$0 == mark { marked = 1 }
         marked && inside && /^```$/ { exit }
         inside { print }
         marked && /^```c(pp)?$/ { inside = 1 }' README.md >"$work/$1.c"
    [ -s "$work/$1.c" ] || fail "README.md has no C block after <!-- snippet: $1 -->"
}

run_program() { # name
    (cd "$work" && LD_LIBRARY_PATH=$installed timeout 60 "./$1" >"$1.out" 2>&1) || {
        cat "$work/$1.out" >&2
        fail "the README's program ($1) ended with a status that is not 0"
    }
}

hearth_of() { # program: the libhearth that it is bound to
    LD_LIBRARY_PATH=$installed ldd "$1" | sed -n 's/.*libhearth[^ ]* => \([^ ]*\) .*/\1/p'
}

# Words of pkg-config are words of the command line.
# shellcheck disable=SC2046
check_program() { # compiler
    local flags=(-std=c11 -Wall -Wextra -Werror -O2)
    "$1" "${flags[@]}" $(pkg-config --cflags hearth) "$work/quickstart.c" -o "$work/$1-shared" \
        $(pkg-config --libs hearth)
    same "$1-shared uses" "$installed/libhearth.so.$abi" "$(hearth_of "$work/$1-shared")"
    run_program "$1-shared"

    "$1" "${flags[@]}" $(pkg-config --cflags hearth) "$work/quickstart.c" -o "$work/$1-static" \
        $(pkg-config --libs --static hearth | sed 's/-lhearth/-l:libhearth.a/')
    same "$1-static uses" "" "$(hearth_of "$work/$1-static")"
    run_program "$1-static"
}

# What the README says of threads and of event loops.
# shellcheck disable=SC2046
check_snippet() { # name, package that it needs
    extract_snippet "$1"
    gcc -std=gnu11 -Wall -Wextra -Werror -O2 -pthread $(pkg-config --cflags hearth) \
        ${2:+$(env -u PKG_CONFIG_SYSROOT_DIR pkg-config --cflags "$2")} "$work/$1.c" -o "$work/$1" \
        $(pkg-config --libs hearth) ${2:+$(env -u PKG_CONFIG_SYSROOT_DIR pkg-config --libs "$2")}
    run_program "$1"
}

# shellcheck disable=SC2046
check_cplusplus_snippet() {
    extract_snippet cplusplus
    g++ -std=c++17 -Wall -Wextra -Werror $(pkg-config --cflags hearth) -x c++ "$work/cplusplus.c" \
        -o "$work/snippet-cplusplus" $(pkg-config --libs hearth)
    run_program snippet-cplusplus
}

# A C++ program finds the same names.
# shellcheck disable=SC2046
check_cplusplus() {
    printf '%s\n' '#include <hearth/hearth.hpp>' \
        'int main() { return hearthpp::cache::open().value().set("a", "b").ok() ? 0 : 1; }' \
        >"$work/cplusplus.cc"
    g++ -std=c++17 -Wall -Wextra -Werror $(pkg-config --cflags hearth) "$work/cplusplus.cc" \
        -o "$work/cplusplus" $(pkg-config --libs hearth)
    run_program cplusplus
}

run_make install
check_tree
check_pkg_config
extract_snippet quickstart
check_program gcc
check_program clang
check_cplusplus
check_snippet threads
check_snippet epoll
check_snippet libuv libuv
check_snippet libevent libevent
check_cplusplus_snippet
run_make uninstall
same "after make uninstall" "" "$(find "$root" ! -type d)"
echo "check-install: ok (hearth $version)"
