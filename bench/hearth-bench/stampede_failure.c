/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load that fails while many wait for it: how long after the loader has returned the last of them has its answer, beside threads
 * that wait for a condition which is broadcast then. faults.md's row 14 allows 5 ms.
 */
#include "hearth-bench/report.h"
#include "hearth-bench/stampede.h"
#include "latency.h"

#include "base/clock.h"

#include <hearth/hearth.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { WAITERS = 63, FAILURES = 200, FAILURES_QUICK = 20 };

/* One of those who are compared: a thread that loads in vain, and those who wait for it. */
struct waited_for {
    int32_t (*load)(struct waited_for *own);
    int32_t (*wait)(struct waited_for *own);
    unsigned (*waiting)(struct waited_for *own);
    int64_t failed_ns; /* when the load had failed */
    _Atomic bool loads;
    _Atomic bool wrong;
    _Atomic int64_t last_ns;   /* when the last was released */
    struct latency *latencies; /* of the last ones */
    /* of Hearth */
    hearth *cache;
    uint64_t waited_before;
    /* of the condition */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned count;
    bool over;
};

/* The load: it fails once all wait. */
static void fail_at_last(struct waited_for *own) {
    atomic_store(&own->loads, true);
    while (own->waiting(own) < WAITERS) {
        (void)sched_yield();
    }
    own->failed_ns = hearth__monotonic_ns();
}

/* ---- Hearth ----------------------------------------------------------------------------- */

static int32_t fail(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)key;
    (void)key_size;
    (void)fill;
    fail_at_last(arg);
    return -1;
}

static int32_t fetch(struct waited_for *own) {
    const hearth_loader loader = {.size = sizeof loader, .load = fail, .arg = own};
    return hearth_fetch(own->cache, "key", 3, &loader, NULL, NULL, NULL);
}

static hearth_stats stats_of(const struct waited_for *own) {
    hearth_stats stats = {.size = sizeof stats};
    (void)hearth_stats_get(own->cache, &stats);
    return stats;
}

static unsigned waiting_for_flight(struct waited_for *own) {
    return (unsigned)(stats_of(own).flight_waits - own->waited_before);
}

/* ---- a condition ------------------------------------------------------------------------ */

static int32_t wait_for_condition(struct waited_for *own) {
    pthread_mutex_lock(&own->lock);
    own->count++;
    while (!own->over) {
        (void)pthread_cond_wait(&own->ended, &own->lock);
    }
    pthread_mutex_unlock(&own->lock);
    return HEARTH_E_LOADER;
}

static int32_t broadcast(struct waited_for *own) {
    fail_at_last(own);
    pthread_mutex_lock(&own->lock);
    own->over = true;
    pthread_cond_broadcast(&own->ended);
    pthread_mutex_unlock(&own->lock);
    return HEARTH_E_LOADER;
}

static unsigned waiting_for_condition(struct waited_for *own) {
    pthread_mutex_lock(&own->lock);
    unsigned count = own->count;
    pthread_mutex_unlock(&own->lock);
    return count;
}

/* ---- the run ---------------------------------------------------------------------------- */

static void *load_in_vain(void *arg) {
    struct waited_for *own = arg;
    if (own->load(own) != HEARTH_E_LOADER) {
        atomic_store(&own->wrong, true);
    }
    return NULL;
}

static void *wait_in_vain(void *arg) {
    struct waited_for *own = arg;
    while (!atomic_load(&own->loads)) {
        (void)sched_yield();
    }
    int32_t status = own->wait(own);
    int64_t now_ns = hearth__monotonic_ns();
    int64_t last_ns = atomic_load(&own->last_ns);
    while (now_ns > last_ns && !atomic_compare_exchange_weak(&own->last_ns, &last_ns, now_ns)) {
    }
    if (status != HEARTH_E_LOADER) {
        atomic_store(&own->wrong, true);
    }
    return NULL;
}

static int fail_once(const struct bench *bench, struct waited_for *own) {
    pthread_t threads[WAITERS + 1];
    unsigned started = 0;
    own->waited_before = own->cache != NULL ? stats_of(own).flight_waits : 0;
    own->count = 0;
    own->over = false;
    atomic_store(&own->loads, false);
    while (started <= WAITERS &&
           pthread_create(&threads[started], NULL, started == 0 ? load_in_vain : wait_in_vain,
                          own) == 0) {
        started++;
    }
    if (started <= WAITERS) { /* those who run wait for those who are missing */
        return bench_fail(bench, "no thread");
    }
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    latency_record(own->latencies, (uint64_t)(atomic_load(&own->last_ns) - own->failed_ns));
    return atomic_load(&own->wrong) ? bench_fail(bench, "a call answered what it must not") : 0;
}

static void report(struct bench *bench, const struct latency *ours,
                   const struct latency *theirs) {
    static const struct {
        const char *metric;
        double percent;
    } rows[] = {{"all released, p50", 50}, {"all released, p99", 99}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double own_ms = (double)latency_percentile(ours, rows[i].percent) / 1e6;
        double peer_ms = (double)latency_percentile(theirs, rows[i].percent) / 1e6;
        bench_row(bench, rows[i].metric, "ms", (struct figure){own_ms, -1}, "condition",
                  (struct figure){peer_ms, -1});
    }
    bench_row(bench, "all released, longest", "ms",
              (struct figure){(double)ours->max_ns / 1e6, -1}, "condition",
              (struct figure){(double)theirs->max_ns / 1e6, -1});
    report_note(bench, "%d threads wait for a load that fails; the limit is 5 ms", WAITERS);
}

static int measure(struct bench *bench, struct waited_for *flight,
                   struct waited_for *condition) {
    int failures = bench->quick ? FAILURES_QUICK : FAILURES;
    int result = 0;
    for (int i = 0; result == 0 && i < failures; i++) {
        result = fail_once(bench, flight);
        result = result == 0 ? fail_once(bench, condition) : result;
    }
    if (result == 0) {
        report(bench, flight->latencies, condition->latencies);
    }
    return result;
}

int stampede_failure(struct bench *bench, void *stage) {
    struct waited_for flight = {.load = fetch,
                                .wait = fetch,
                                .waiting = waiting_for_flight,
                                .latencies = calloc(1, sizeof *flight.latencies)};
    struct waited_for condition = {.load = broadcast,
                                   .wait = wait_for_condition,
                                   .waiting = waiting_for_condition,
                                   .latencies = calloc(1, sizeof *condition.latencies),
                                   .lock = PTHREAD_MUTEX_INITIALIZER,
                                   .ended = PTHREAD_COND_INITIALIZER};
    (void)stage;
    bool made = flight.latencies != NULL && condition.latencies != NULL &&
                hearth_open(NULL, &flight.cache) == HEARTH_OK;
    int result =
        made ? measure(bench, &flight, &condition) : bench_fail(bench, "out of memory");
    if (flight.cache != NULL) {
        (void)hearth_close(flight.cache);
    }
    free(flight.latencies);
    free(condition.latencies);
    return result;
}
