/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t hearth__monotonic_ns(void) {
    return read_ns(CLOCK_MONOTONIC);
}

int64_t hearth__boot_ms(void) {
    return read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t hearth__wall_ms(void) {
    return read_ns(CLOCK_REALTIME) / 1000000;
}

int64_t hearth__deadline_ns(int64_t ms) {
    int64_t deadline = 0;
    if (__builtin_mul_overflow(ms, INT64_C(1000000), &deadline) ||
        __builtin_add_overflow(deadline, hearth__monotonic_ns(), &deadline)) {
        return HEARTH__NEVER;
    }
    return deadline;
}
