#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script, told by its first line, passes shellcheck.
set -euo pipefail

mapfile -t scripts < <(grep -rlE --exclude-dir=build --exclude-dir=.git '^#!/bin/(ba)?sh' \
    .ci tests bench bindings sdk 2>/dev/null | sort)
if [ "${#scripts[@]}" -gt 0 ]; then
    shellcheck --format=gcc "${scripts[@]}"
fi
echo "shell: ok (${#scripts[@]} scripts)"
