#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the packages of packages.txt that are missing. Says and does nothing when none is.
# usage: deps.sh build|test
set -euo pipefail

list=$(dirname "$0")/packages.txt
guard=/usr/sbin/policy-rc.d
mark='made by deps.sh'

missing=()
while read -r group package _; do
    if [ "$group" = "$1" ] &&
        ! dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
        missing+=("$package")
    fi
done <"$list"

if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}" >&2
    echo "There is no apt-get here: install what corresponds to these Debian packages." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "missing: ${missing[*]}. As root:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# Packages of servers would start them. A policy that forbids it stands for as long as this runs;
# one that was there before is not touched.
exec 9>/run/lock/hearth-deps
flock 9
log=$(mktemp)
ours=no
if [ ! -e "$guard" ] || grep -q "$mark" "$guard"; then
    ours=yes
fi
clean_up() {
    rm -f "$log"
    if [ "$ours" = yes ]; then
        rm -f "$guard"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
if [ "$ours" = yes ]; then
    printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$guard"
    chmod 755 "$guard"
fi

quietly() {
    "$@" >"$log" 2>&1 9>&- </dev/null || {
        cat "$log" >&2
        echo "failed: $*" >&2
        exit 1
    }
}

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
quietly apt-get update -qq
quietly apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
