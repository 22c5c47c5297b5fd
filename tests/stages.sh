#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs `make STAGE` for each argument, whatever fails, and sums up. The last line counts all test
# cases: `N passed, N failed`; a stage that fails without a test case (lint, say) counts as one.
# Before it stands what failed, of all stages.
# usage: MAKE=make stages.sh "check CC=clang VARIANT=asan" ...
set -uo pipefail

HEARTH_TALLY=$(mktemp)
export HEARTH_TALLY
trap 'rm -f "$HEARTH_TALLY"' EXIT
trap 'exit 130' INT TERM

failures() {
    awk '!/^#/ { failed += $2 } END { print failed + 0 }' "$HEARTH_TALLY"
}

summary=()
for stage in "$@"; do
    printf '\n===== make %s\n' "$stage"
    before=$(failures)
    start=$SECONDS
    # The stage's words are make's arguments.
    # shellcheck disable=SC2086
    if $MAKE $stage; then
        result=ok
    else
        result=FAILED
        if [ "$(failures)" -eq "$before" ]; then
            echo "0 1" >>"$HEARTH_TALLY"
        fi
    fi
    summary+=("$(printf '%-8s %5d s  make %s' "$result" $((SECONDS - start)) "$stage")")
done

printf '\n'
printf '%s\n' "${summary[@]}"
sed -n 's/^#/FAILED:/p' "$HEARTH_TALLY"
awk '!/^#/ { passed += $1; failed += $2 } END { printf "%d passed, %d failed\n", passed, failed
    exit failed > 0 }' "$HEARTH_TALLY"
