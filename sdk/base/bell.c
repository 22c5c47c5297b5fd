/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bell.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* See futex(2): the bitset forms take deadlines instead of spans, and wake chosen sleepers. */

bool hearth__bell_await(hearth__bell *bell, uint32_t seen, uint32_t strokes,
                        int64_t deadline_ns) {
    const struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                                   .tv_nsec = deadline_ns % 1000000000};
    bool for_ever = deadline_ns == HEARTH__NEVER;
    if (deadline_ns <= 0) {
        return false;
    }
    long result = syscall(SYS_futex, &bell->rings, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen,
                          for_ever ? NULL : &until, NULL, strokes);
    return result == 0 || errno != ETIMEDOUT;
}

void hearth__bell_ring(hearth__bell *bell, uint32_t strokes) {
    atomic_fetch_add(&bell->rings, 1);
    (void)syscall(SYS_futex, &bell->rings, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, INT_MAX,
                  NULL, NULL, strokes);
}
