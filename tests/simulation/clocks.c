/* SPDX-License-Identifier: Apache-2.0 */
/* What base/clock.h, base/random.h, base/bell.h and base/thread.h declare, by the schedule: instead of the library's own. */
#include "base/bell.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/thread.h"
#include "simulation/schedule.h"

#include <string.h>

enum { YIELD_ONE_IN = 6 };

#define WALL_AT_BEGIN_MS INT64_C(1700000000000)

static void may_yield(void) {
    if (schedule_chance(YIELD_ONE_IN)) {
        schedule_yield();
    }
}

int64_t hearth__monotonic_ns(void) {
    may_yield();
    return schedule_now();
}

int64_t hearth__boot_ms(void) {
    may_yield();
    return schedule_now() / SCHEDULE_MS + schedule_clock_of(schedule_process())->boot_ahead_ms;
}

/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
_Thread_local hearth__tick hearth__tick_of_thread __attribute__((tls_model("initial-exec")));

/* As far behind as it may be, but never going back. */
int64_t hearth__boot_coarse_ms(void) {
    int64_t lag_ms = schedule_below(HEARTH__COARSE_LAG_MS + 1);
    int64_t now_ms = hearth__boot_ms() - lag_ms;
    if (now_ms > hearth__tick_of_thread.boot_ms) {
        hearth__tick_of_thread.boot_ms = now_ms;
    }
    return hearth__tick_of_thread.boot_ms;
}

int64_t hearth__wall_ms(void) {
    return WALL_AT_BEGIN_MS + schedule_now() / SCHEDULE_MS +
           schedule_clock_of(schedule_process())->wall_ahead_ms;
}

int64_t hearth__deadline_ns(int64_t ms) {
    int64_t deadline = 0;
    if (__builtin_mul_overflow(ms, SCHEDULE_MS, &deadline) ||
        __builtin_add_overflow(deadline, schedule_now(), &deadline)) {
        return HEARTH__NEVER;
    }
    return deadline;
}

void hearth__random_bytes(void *data, size_t size) {
    unsigned char *bytes = data;
    while (size != 0) {
        uint64_t number = schedule_random();
        size_t some = size < sizeof number ? size : sizeof number;
        memcpy(bytes, &number, some);
        bytes += some;
        size -= some;
    }
}

uint64_t hearth__random_u64(void) {
    return schedule_random();
}

double hearth__random_unit(void) {
    return (double)((schedule_random() >> 32) + 1) / (double)(UINT64_C(1) << 32);
}

bool hearth__bell_await(hearth__bell *bell, uint32_t seen, uint32_t strokes,
                        int64_t deadline_ns) {
    if (deadline_ns <= 0) {
        return false;
    }
    return atomic_load(&bell->rings) != seen || schedule_wait(bell, strokes, deadline_ns);
}

void hearth__bell_ring(hearth__bell *bell, uint32_t strokes) {
    atomic_fetch_add(&bell->rings, 1);
    schedule_wake(bell, strokes);
}

bool hearth__thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg) {
    schedule_thread *started = schedule_start(schedule_process(), run, arg);
    memcpy(thread, schedule_id(started), sizeof *thread);
    return true;
}
