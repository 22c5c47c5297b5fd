/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One key that all threads want all the time, and that expires: with a plain TTL, where each who finds it expired loads it; the same
 * with single flight, where one does and the others wait; and Hearth with its default options, whose loader has `retain`.
 */
#include "hearth-bench/stampede.h"
#include "latency.h"

#include "base/clock.h"

#include <hearth/hearth.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    ORIGIN_MS = 50,
    TTL_MS = 3000,
    TTL_QUICK_MS = 300,
    LIVES = 5, /* that are measured */
    LIVES_QUICK = 1,
    THREADS = 8,
    BYTES = 100,
};

/* One of those who are compared. */
struct column {
    const char *name;
    rush_ask *ask;
    uint64_t (*waited)(struct column *column); /* callers that waited for the origin so far */
    struct slow_origin origin;
    int64_t ttl_ms;
    int64_t until_ns; /* of the run */
    struct latency *latencies[THREADS];
    /* of the plain ones: a value under a lock */
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    bool loading;
    int64_t expiry_ns;
    char value[BYTES];
    _Atomic uint64_t waits;
    /* of Hearth */
    hearth *cache;
    hearth_value *values[THREADS];
};

/* ---- a plain TTL, with single flight or without ------------------------------------------ */

static void load_plainly(struct column *column) {
    char fresh[BYTES];
    atomic_fetch_add(&column->waits, 1);
    slow_origin_ask(&column->origin);
    memset(fresh, 'v', sizeof fresh);
    pthread_mutex_lock(&column->lock);
    memcpy(column->value, fresh, sizeof fresh);
    column->expiry_ns = hearth__deadline_ns(column->ttl_ms);
    pthread_mutex_unlock(&column->lock);
}

static bool is_hit(struct column *column, char *copy) {
    bool fresh = hearth__monotonic_ns() < column->expiry_ns;
    if (fresh) {
        memcpy(copy, column->value, BYTES);
    }
    return fresh;
}

static bool get_plainly(void *arg, unsigned thread) {
    struct column *column = arg;
    char copy[BYTES];
    (void)thread;
    pthread_mutex_lock(&column->lock);
    bool hit = is_hit(column, copy);
    pthread_mutex_unlock(&column->lock);
    if (!hit) {
        load_plainly(column);
    }
    return true;
}

static bool get_in_single_flight(void *arg, unsigned thread) {
    struct column *column = arg;
    char copy[BYTES];
    (void)thread;
    pthread_mutex_lock(&column->lock);
    bool hit = is_hit(column, copy);
    bool waits = !hit && column->loading;
    atomic_fetch_add(&column->waits, waits);
    while (waits && column->loading) {
        (void)pthread_cond_wait(&column->loaded, &column->lock);
    }
    bool leads = !hit && !waits;
    column->loading = column->loading || leads;
    pthread_mutex_unlock(&column->lock);
    if (leads) {
        load_plainly(column);
        pthread_mutex_lock(&column->lock);
        column->loading = false;
        pthread_cond_broadcast(&column->loaded);
        pthread_mutex_unlock(&column->lock);
    }
    return true;
}

static uint64_t plain_waits(struct column *column) {
    return atomic_load(&column->waits);
}

/* ---- Hearth ----------------------------------------------------------------------------- */

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    char fresh[BYTES];
    (void)key;
    (void)key_size;
    slow_origin_ask(arg);
    memset(fresh, 'v', sizeof fresh);
    return hearth_fill_value(fill, fresh, sizeof fresh);
}

/* The origin outlives the cache. */
static void keep(void *arg) {
    (void)arg;
}

static bool fetch(void *arg, unsigned thread) {
    struct column *column = arg;
    const hearth_loader loader = {.size = sizeof loader,
                                  .load = load,
                                  .arg = &column->origin,
                                  .retain = keep,
                                  .release = keep};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = column->ttl_ms;
    return hearth_fetch(column->cache, "hot", 3, &loader, NULL, &write,
                        column->values[thread]) == HEARTH_OK;
}

/* Loads on a caller's thread, and callers who waited for another's. */
static uint64_t fetch_waits(struct column *column) {
    hearth_stats stats = {.size = sizeof stats};
    (void)hearth_stats_get(column->cache, &stats);
    return stats.loads - stats.worker_loads + stats.flight_waits;
}

/* ---- the run ---------------------------------------------------------------------------- */

static bool ask_timed(void *arg, unsigned thread) {
    struct column *column = arg;
    int64_t began_ns = hearth__monotonic_ns();
    bool right = column->ask(column, thread);
    latency_record(column->latencies[thread], (uint64_t)(hearth__monotonic_ns() - began_ns));
    return right;
}

static bool is_over(void *arg) {
    const struct column *column = arg;
    return hearth__monotonic_ns() >= column->until_ns;
}

static bool open_column(struct column *column, const struct bench *bench) {
    column->origin.ms = ORIGIN_MS;
    column->ttl_ms = bench->quick ? TTL_QUICK_MS : TTL_MS;
    bool made = pthread_mutex_init(&column->lock, NULL) == 0 &&
                pthread_cond_init(&column->loaded, NULL) == 0 &&
                hearth_open(NULL, &column->cache) == HEARTH_OK;
    for (int i = 0; made && i < THREADS; i++) {
        column->latencies[i] = calloc(1, sizeof *column->latencies[i]);
        column->values[i] = hearth_value_new();
        made = column->latencies[i] != NULL && column->values[i] != NULL;
    }
    return made;
}

static void close_column(struct column *column) {
    for (int i = 0; i < THREADS; i++) {
        free(column->latencies[i]);
        hearth_value_free(column->values[i]);
    }
    if (column->cache != NULL) {
        (void)hearth_close(column->cache);
    }
    (void)pthread_cond_destroy(&column->loaded);
    (void)pthread_mutex_destroy(&column->lock);
}

/* What a column has to show. */
struct outcome {
    double waits;
    double p999_us;
    double longest_ms;
    double loads; /* a life */
};

static int measure(struct bench *bench, struct column *column, struct outcome *outcome) {
    int lives = bench->quick ? LIVES_QUICK : LIVES;
    bench_progress(bench, "%s", column->name);
    (void)column->ask(column, 0); /* the first load is not what this is about */
    uint64_t waits = column->waited(column);
    uint64_t loads = atomic_load(&column->origin.loads);
    column->until_ns = hearth__deadline_ns(lives * column->ttl_ms + column->ttl_ms / 2);
    int result = rush(bench, THREADS, ask_timed, column, is_over);
    bench_progress_end(bench);
    if (result != 0) {
        return result;
    }
    for (int i = 1; i < THREADS; i++) {
        latency_merge(column->latencies[0], column->latencies[i]);
    }
    const struct latency *all = column->latencies[0];
    *outcome = (struct outcome){
        .waits = (double)(column->waited(column) - waits),
        .p999_us = (double)latency_percentile(all, 99.9) / 1e3,
        .longest_ms = (double)all->max_ns / 1e6,
        .loads = (double)(atomic_load(&column->origin.loads) - loads) / lives,
    };
    return 0;
}

static void report_beside(struct bench *bench, const struct outcome *ours, const char *peer,
                          const struct outcome *theirs) {
    bench_row(bench, "callers that waited", "1", (struct figure){ours->waits, -1}, peer,
              (struct figure){theirs->waits, -1});
    bench_row(bench, "p99.9 of a call", "us", (struct figure){ours->p999_us, -1}, peer,
              (struct figure){theirs->p999_us, -1});
    bench_row(bench, "longest call", "ms", (struct figure){ours->longest_ms, -1}, peer,
              (struct figure){theirs->longest_ms, -1});
    bench_row(bench, "loads a life", "1", (struct figure){ours->loads, -1}, peer,
              (struct figure){theirs->loads, -1});
}

int stampede_expiry(struct bench *bench, void *stage) {
    struct column columns[] = {
        {.name = "plain-ttl", .ask = get_plainly, .waited = plain_waits},
        {.name = "single-flight", .ask = get_in_single_flight, .waited = plain_waits},
        {.name = "hearth", .ask = fetch, .waited = fetch_waits},
    };
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    struct outcome outcomes[COLUMNS] = {{0}};
    int result = 0;
    (void)stage;
    for (size_t i = 0; i < COLUMNS; i++) {
        if (result == 0) {
            result = open_column(&columns[i], bench) ? measure(bench, &columns[i], &outcomes[i])
                                                     : bench_fail(bench, "no memory");
            close_column(&columns[i]);
        }
    }
    for (size_t i = 0; result == 0 && i + 1 < COLUMNS; i++) {
        report_beside(bench, &outcomes[COLUMNS - 1], columns[i].name, &outcomes[i]);
    }
    return result;
}
