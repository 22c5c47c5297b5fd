/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/retries.h"

enum { RETRY = 10 /* tenths */, MOST = 10 * RETRY, SECOND_MS = 1000 };

void hearth__retries_init(hearth__retries *retries, int64_t now_ms) {
    atomic_init(&retries->tenths, MOST);
    atomic_init(&retries->filled_ms, now_ms);
}

static void add(hearth__retries *retries, int64_t tenths) {
    int64_t had = atomic_load_explicit(&retries->tenths, memory_order_relaxed);
    int64_t has = 0;
    do {
        has = had + tenths < MOST ? had + tenths : MOST;
    } while (has != had && !atomic_compare_exchange_weak_explicit(&retries->tenths, &had, has,
                                                                  memory_order_relaxed,
                                                                  memory_order_relaxed));
}

void hearth__retries_earn(hearth__retries *retries) {
    add(retries, 1);
}

/* What the seconds since the last time have earned. */
static void fill(hearth__retries *retries, int64_t now_ms) {
    int64_t filled_ms = atomic_load_explicit(&retries->filled_ms, memory_order_relaxed);
    int64_t passed_ms = now_ms - filled_ms;
    if (passed_ms < SECOND_MS) {
        return;
    }
    int64_t seconds = passed_ms / SECOND_MS;
    if (atomic_compare_exchange_strong_explicit(&retries->filled_ms, &filled_ms,
                                                filled_ms + seconds * SECOND_MS,
                                                memory_order_relaxed, memory_order_relaxed)) {
        add(retries, (seconds < MOST ? seconds : MOST) * RETRY);
    }
}

bool hearth__retries_has(hearth__retries *retries, int64_t now_ms) {
    fill(retries, now_ms);
    return atomic_load_explicit(&retries->tenths, memory_order_relaxed) >= RETRY;
}

void hearth__retries_spend(hearth__retries *retries) {
    add(retries, -RETRY);
}

void hearth__retries_return(hearth__retries *retries) {
    add(retries, RETRY);
}
