/* SPDX-License-Identifier: Apache-2.0 */
/* The suite stampede: what the origin gets when a hot key expires, and when all is cold. */
#include "hearth-bench/stampede.h"

#include <pthread.h>
#include <time.h>

/* What the origin takes is time, not work: a database on another machine. */
static void sleep_ms(int64_t ms) {
    const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&span, NULL);
}

void slow_origin_ask(struct slow_origin *origin) {
    int running = atomic_fetch_add(&origin->running, 1) + 1;
    int most = atomic_load(&origin->most_running);
    while (running > most &&
           !atomic_compare_exchange_weak(&origin->most_running, &most, running)) {
    }
    atomic_fetch_add(&origin->loads, 1);
    sleep_ms(origin->ms);
    atomic_fetch_sub(&origin->running, 1);
}

/* ---- a rush ----------------------------------------------------------------------------- */

struct runner {
    pthread_t thread;
    unsigned number;
    struct rush *rush;
};

struct rush {
    rush_ask *ask;
    void *arg;
    _Atomic bool over;
    _Atomic bool failed;
    struct runner runners[RUSH_THREADS_MOST];
};

static void *run(void *arg) {
    const struct runner *runner = arg;
    struct rush *rush = runner->rush;
    while (!atomic_load_explicit(&rush->over, memory_order_relaxed)) {
        if (!rush->ask(rush->arg, runner->number)) {
            atomic_store(&rush->failed, true);
            break;
        }
    }
    return NULL;
}

enum { LOOK_MS = 5 };

int rush(const struct bench *bench, unsigned threads, rush_ask *ask, void *arg,
         bool (*over)(void *arg)) {
    struct rush rush = {.ask = ask, .arg = arg};
    unsigned started = 0;
    while (started < threads) {
        struct runner *runner = &rush.runners[started];
        *runner = (struct runner){.number = started, .rush = &rush};
        if (pthread_create(&runner->thread, NULL, run, runner) != 0) {
            break;
        }
        started++;
    }
    while (started == threads && !atomic_load(&rush.failed) && !over(arg)) {
        sleep_ms(LOOK_MS);
    }
    atomic_store(&rush.over, true);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(rush.runners[i].thread, NULL);
    }
    if (started != threads) {
        return bench_fail(bench, "no thread");
    }
    return atomic_load(&rush.failed) ? bench_fail(bench, "a call answered what it must not")
                                     : 0;
}

static const struct bench_case cases[] = {
    {"expiry", "a hot key that expires, origin 50 ms: who waits, and how often it is loaded",
     stampede_expiry},
    {"failure", "a load that fails while 63 threads wait: until the last has its answer",
     stampede_failure},
    {"cold-start", "Redis flushed, origin 20 ms, 32 loads at once: until the hits are back",
     stampede_cold_start},
    {"cold-return", "the same where Memcached dies and comes back empty", stampede_cold_return},
};

const struct suite suite_stampede = {
    .name = "stampede",
    .what =
        "a hot key's expiry beside a plain TTL and single flight; a load that fails; the start from cold",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
};
