/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/held.h"

#include "run_delay.h"

#include <time.h>
#include <unistd.h>

enum {
    DELAY_AGE_NS =
        100000, /* asking for it takes as long as a local hit, so not each time; it may be off by so much */
    SHORT_NS = 200000, /* too short to be looked at more closely */
};

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void held_open(struct held *held) {
    held->delay_file = run_delay_open();
}

void held_close(struct held *held) {
    if (held->delay_file >= 0) {
        (void)close(held->delay_file);
    }
}

void held_begin(struct held *held) {
    held->begin_ns = clock_ns(CLOCK_MONOTONIC);
    if (held->begin_ns - held->delay_seen_ns > DELAY_AGE_NS) {
        held->delay_ns = run_delay_ns(held->delay_file);
        held->delay_seen_ns = clock_ns(CLOCK_MONOTONIC);
    }
    held->begin_computed_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    held->begin_ns = clock_ns(CLOCK_MONOTONIC);
}

void held_end(struct held *held) {
    int64_t whole_ns = clock_ns(CLOCK_MONOTONIC) - held->begin_ns;
    int64_t held_ns = whole_ns;
    if (whole_ns <= SHORT_NS && whole_ns <= atomic_load(&held->held_ns)) {
        return;
    }
    int64_t computed_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - held->begin_computed_ns;
    if (whole_ns > SHORT_NS) {
        held_ns -= (int64_t)(run_delay_ns(held->delay_file) - held->delay_ns);
    }
    if (whole_ns > atomic_load(&held->whole_ns)) {
        atomic_store(&held->whole_ns, whole_ns);
    }
    if (held_ns > atomic_load(&held->held_ns)) {
        atomic_store(&held->held_ns, held_ns);
        atomic_store(&held->computed_ns, computed_ns);
    }
}

struct held_longest held_longest(const struct held *held) {
    struct held_longest longest = {.held_ns = atomic_load(&held->held_ns),
                                   .computed_ns = atomic_load(&held->computed_ns),
                                   .whole_ns = atomic_load(&held->whole_ns)};
    if (longest.computed_ns > longest.held_ns) { /* the delay is a little off */
        longest.computed_ns = longest.held_ns;
    }
    longest.slept_ns = longest.held_ns - longest.computed_ns;
    return longest;
}
