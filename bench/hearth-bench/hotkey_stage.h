/* SPDX-License-Identifier: Apache-2.0 */
/* One case of the suite `hotkey` from its settings to its rows: servers, keys, modes. */
#ifndef HEARTH_BENCH_HOTKEY_STAGE_H
#define HEARTH_BENCH_HOTKEY_STAGE_H

#include "hearth-bench/hotkey.h"

/* 0; -1, and bench_fail() has said why. */
int hotkey_play(struct bench *bench, const struct hotkey_settings *settings);

#endif
