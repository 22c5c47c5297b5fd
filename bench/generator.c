/* SPDX-License-Identifier: Apache-2.0 */
#include "generator.h"

#include "base/clock.h"
#include "pace.h"
#include "splitmix.h"

#include <math.h>
#include <stdbool.h>
#include <sys/prctl.h>

enum { STACK_BYTES = 512 * 1024 };

/* One thread at work. */
struct bee {
    struct generator *generator;
    struct generator_seat *seat;
    unsigned number;
    uint64_t asked;
    uint64_t random;
};

static void ask(struct bee *bee, int64_t ns) {
    struct generator *generator = bee->generator;
    enum generator_answer answer =
        generator->ask(generator->arg, bee->number, bee->asked++, ns - generator->begin_ns);
    _Atomic uint64_t *count = &bee->seat->answers[answer];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void record(struct bee *bee, int64_t from_ns, int64_t end_ns) {
    if (from_ns >= bee->generator->from_ns) {
        latency_record(&bee->seat->latency, (uint64_t)(end_ns - from_ns));
    }
}

static int64_t until_ns(struct bee *bee) {
    return atomic_load_explicit(&bee->generator->until_ns, memory_order_relaxed);
}

/* ---- closed ------------------------------------------------------------------------------ */

static void run_closed(struct bee *bee) {
    pace_until(bee->generator->begin_ns);
    int64_t begun_ns = hearth__monotonic_ns();
    while (begun_ns < until_ns(bee)) {
        ask(bee, begun_ns);
        int64_t end_ns = hearth__monotonic_ns();
        record(bee, begun_ns, end_ns);
        begun_ns = end_ns;
    }
}

/* ---- open -------------------------------------------------------------------------------- */

/* The time to the next arrival, by the exponential distribution. */
static int64_t draw_gap_ns(struct bee *bee, double mean_ns) {
    double share = ((double)(splitmix(&bee->random) >> 11) + 0.5) * 0x1p-53;
    return (int64_t)(-log(share) * mean_ns);
}

static void run_open(struct bee *bee) {
    const struct generator *generator = bee->generator;
    const double mean_ns = 1e9 * generator->threads / generator->rate;
    int64_t due_ns = generator->begin_ns + draw_gap_ns(bee, mean_ns);
    while (due_ns < until_ns(bee)) {
        int64_t now_ns = hearth__monotonic_ns();
        int64_t from_ns = due_ns;
        if (now_ns < due_ns) {
            pace_until(due_ns);
            from_ns = hearth__monotonic_ns();
        } else if (now_ns >= until_ns(bee)) {
            record(bee, due_ns, now_ns);
            bee->seat->unbegun++;
            due_ns += draw_gap_ns(bee, mean_ns);
            continue;
        }
        ask(bee, from_ns);
        record(bee, from_ns, hearth__monotonic_ns());
        due_ns += draw_gap_ns(bee, mean_ns);
    }
}

/* ---- threads ----------------------------------------------------------------------------- */

static void *work(void *arg) {
    struct generator *generator = arg;
    unsigned number = atomic_fetch_add(&generator->numbers, 1);
    struct bee bee = {.generator = generator,
                      .seat = &generator->seats[number],
                      .number = generator->first + number};
    bee.random = generator->seed + ((uint64_t)bee.number << 32);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL,
                0UL); /* it adds 50 us to each sleep otherwise */
    if (generator->rate > 0) {
        run_open(&bee);
    } else {
        run_closed(&bee);
    }
    return NULL;
}

int generator_start(struct generator *generator) {
    pthread_attr_t small;
    unsigned started = 0;
    if (pthread_attr_init(&small) != 0) {
        return -1;
    }
    (void)pthread_attr_setstacksize(&small, STACK_BYTES);
    atomic_store(&generator->numbers, 0);
    while (started < generator->threads &&
           pthread_create(&generator->handles[started], &small, work, generator) == 0) {
        started++;
    }
    (void)pthread_attr_destroy(&small);
    if (started == generator->threads) {
        return 0;
    }
    atomic_store(&generator->until_ns, 0);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(generator->handles[i], NULL);
    }
    return -1;
}

void generator_join(struct generator *generator) {
    for (unsigned i = 0; i < generator->threads; i++) {
        (void)pthread_join(generator->handles[i], NULL);
    }
}
