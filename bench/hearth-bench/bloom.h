/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the suite `bloom` share. */
#ifndef HEARTH_BENCH_BLOOM_H
#define HEARTH_BENCH_BLOOM_H

#include "hearth-bench/bench.h"

/* Fetches of hot keys, alone and among a flood of missing ones. */
int bloom_flood(struct bench *bench, void *stage);

/* How long a key that one cache has added to a shared filter is denied by another. */
int bloom_told(struct bench *bench, void *stage);

#endif
