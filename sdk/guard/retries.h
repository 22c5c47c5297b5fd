/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A budget for retries (a token bucket, as in Finagle's RetryBudget): loads that are tried again after one of the same key failed
 * are at most a tenth of all others, and one a second, so that a source that fails is not asked more than one that works.
 *
 * Every other load earns a tenth of a retry, every second a whole one; no more than ten are saved. A retry that succeeds was
 * none: it gets its own back. State only: the clock is passed in. Any thread.
 */
#ifndef HEARTH_GUARD_RETRIES_H
#define HEARTH_GUARD_RETRIES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hearth__retries {
    _Atomic int64_t tenths;
    _Atomic int64_t filled_ms; /* when seconds were last counted */
} hearth__retries;

/* Begins with all that can be saved. `now_ms` on a clock that does not go back. */
void hearth__retries_init(hearth__retries *retries, int64_t now_ms);

/* A load that is no retry. */
void hearth__retries_earn(hearth__retries *retries);

/* Whether there is one left. */
bool hearth__retries_has(hearth__retries *retries, int64_t now_ms);

/* A retry begins. Of several that were told at once that there is one left each spends its own: the next wait longer. */
void hearth__retries_spend(hearth__retries *retries);

/* It has succeeded. */
void hearth__retries_return(hearth__retries *retries);

#endif
