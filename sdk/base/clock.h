/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks. Any thread may read them. */
#ifndef HEARTH_BASE_CLOCK_H
#define HEARTH_BASE_CLOCK_H

#include <stdint.h>

/* A deadline that never comes. */
#define HEARTH__NEVER INT64_MAX

/* ns, CLOCK_MONOTONIC: for deadlines of waits. */
int64_t hearth__monotonic_ns(void);

/* ms, CLOCK_BOOTTIME: for lives, so that a suspended machine's entries age. */
int64_t hearth__boot_ms(void);

/* hearth__boot_ms() for a few ns: up to HEARTH__COARSE_LAG_MS behind it, never ahead. A suspend is noticed within a tick. */
int64_t hearth__boot_coarse_ms(void);

enum { HEARTH__COARSE_LAG_MS = 20 };

/* The coarse clock's last tick that a thread saw. */
typedef struct hearth__tick {
    int64_t seconds; /* CLOCK_MONOTONIC_COARSE */
    int64_t ns;
    int64_t boot_ms;
} hearth__tick;

/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) a thread has one of these */
extern _Thread_local hearth__tick hearth__tick_of_thread
    __attribute__((tls_model("initial-exec")));

/* What hearth__boot_coarse_ms() told this thread last; 0: it never asked. */
static inline int64_t hearth__boot_last_ms(void) {
    return hearth__tick_of_thread.boot_ms;
}

/* ms since 1970: only for what other hosts read. */
int64_t hearth__wall_ms(void);

/* The deadline `ms` from now on the clock of hearth__monotonic_ns(); HEARTH__NEVER when that is
 * out of reach. */
int64_t hearth__deadline_ns(int64_t ms);

#endif
