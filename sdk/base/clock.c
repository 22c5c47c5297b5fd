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

/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
_Thread_local hearth__tick hearth__tick_of_thread __attribute__((
    tls_model("initial-exec"))); /* said here too, or this file would call for its address */

/*
 * There is no coarse clock that counts suspended time, so the distance between the two clocks is kept, and read anew
 * whenever the coarse one has moved on.
 */
static __attribute__((noinline)) int64_t take_tick(const struct timespec *monotonic) {
    int64_t tick_ns = (int64_t)monotonic->tv_sec * 1000000000 + monotonic->tv_nsec;
    int64_t suspended_ns = read_ns(CLOCK_BOOTTIME) - read_ns(CLOCK_MONOTONIC);
    hearth__tick_of_thread = (hearth__tick){.seconds = monotonic->tv_sec,
                                            .ns = monotonic->tv_nsec,
                                            .boot_ms = (tick_ns + suspended_ns) / 1000000};
    return hearth__tick_of_thread.boot_ms;
}

int64_t hearth__boot_coarse_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_nsec == hearth__tick_of_thread.ns &&
        now.tv_sec == hearth__tick_of_thread.seconds) {
        return hearth__tick_of_thread.boot_ms;
    }
    return take_tick(&now);
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
