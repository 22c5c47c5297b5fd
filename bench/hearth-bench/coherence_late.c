/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server costs of whose answers some come too late: one in twenty by twice the time that anybody waits for them. Callers give
 * up; that must cost neither connections nor the copies of what was read there, nor the node its callers.
 *
 * Threads read a thousand keys, and another cache changes some of them, at a pace: first with all answers in time, then with late
 * ones. The library's deadlines are its own.
 */
#include "hearth-bench/coherence.h"
#include "hearth-bench/report.h"
#include "hearth-bench/workload.h"

#include "base/clock.h"
#include "pace.h"
#include "splitmix.h"
#include "support/proxy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    KEYS = 1000,
    THREADS_MOST = 4,
    READS_A_TICK = 20, /* of all threads */
    TICKS_A_CHANGE = 10,
    PHASE_TICKS = 10000,
    PHASE_TICKS_QUICK = 500,
    LATE_MS = 100, /* twice remote.timeout_ms */
    LATE_ONE_IN = 20,
    URL_ROOM = 160,
};

#define TICK_NS INT64_C(1000000)

/* Of what the server says. */
struct lateness {
    _Atomic bool begun;
    uint64_t random; /* the proxy's thread's own */
    _Atomic uint64_t chunks;
    _Atomic uint64_t late;
};

struct load {
    hearth *cache;
    hearth *other;
    int64_t begin_ns;
    int64_t ticks;
    unsigned threads;
    uint64_t seed;
    _Atomic uint64_t late; /* reads that the node did not answer in time */
    _Atomic uint64_t wrong;
};

struct late_reader {
    struct load *load;
    pthread_t thread;
    uint64_t random;
    hearth_value *value;
};

static size_t pass_on(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                      size_t size) {
    struct lateness *lateness = arg;
    bool late =
        atomic_load(&lateness->begun) && splitmix_below(&lateness->random, LATE_ONE_IN) == 0;
    atomic_fetch_add(&lateness->chunks, atomic_load(&lateness->begun));
    atomic_fetch_add(&lateness->late, late);
    proxy_emit_late(flow, bytes, size, late ? LATE_MS : 0);
    return size;
}

static void read_one(struct late_reader *reader) {
    struct load *load = reader->load;
    char key[KEY_SIZE];
    uint32_t id = splitmix_below(&reader->random, KEYS);
    key_write(key, id);
    int32_t status = hearth_get(load->cache, key, sizeof key, NULL, reader->value);
    if (status == HEARTH_OK) {
        bool right =
            value_is(hearth_value_data(reader->value), hearth_value_size(reader->value), id);
        atomic_fetch_add(&load->wrong, !right);
    } else {
        atomic_fetch_add(&load->late, 1);
    }
}

static void *read_on(void *arg) {
    struct late_reader *reader = arg;
    const struct load *load = reader->load;
    for (int64_t tick = 0; tick < load->ticks; tick++) {
        pace_until(load->begin_ns + tick * TICK_NS);
        for (unsigned i = 0; i < READS_A_TICK / load->threads; i++) {
            read_one(reader);
        }
    }
    return NULL;
}

static bool write_one(hearth *cache, uint32_t id) {
    char key[KEY_SIZE];
    unsigned char value[VALUE_SIZE];
    key_write(key, id);
    value_write(value, VALUE_SIZE, id);
    return hearth_set(cache, key, sizeof key, value, sizeof value, NULL) == HEARTH_OK;
}

/* The calling thread is the one that changes keys. */
static void change_on(struct load *load) {
    uint64_t random = ~load->seed;
    for (int64_t tick = 0; tick < load->ticks; tick += TICKS_A_CHANGE) {
        pace_until(load->begin_ns + tick * TICK_NS);
        bool done = write_one(load->other, splitmix_below(&random, KEYS));
        atomic_fetch_add(&load->wrong, !done);
    }
}

/* The share of reads that were local hits, in per cent; negative: bench_fail() has said why. */
static double run_phase(const struct bench *bench, struct load *load) {
    struct late_reader readers[THREADS_MOST];
    hearth_stats before = {.size = sizeof before};
    hearth_stats after = {.size = sizeof after};
    unsigned started = 0;
    (void)hearth_stats_get(load->cache, &before);
    load->begin_ns = hearth__monotonic_ns() + TICK_NS;
    atomic_store(&load->late, 0);
    for (; started < load->threads; started++) {
        readers[started] = (struct late_reader){
            .load = load, .random = load->seed + started, .value = hearth_value_new()};
        if (readers[started].value == NULL ||
            pthread_create(&readers[started].thread, NULL, read_on, &readers[started]) != 0) {
            hearth_value_free(readers[started].value);
            break;
        }
    }
    change_on(load);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        hearth_value_free(readers[i].value);
    }
    (void)hearth_stats_get(load->cache, &after);
    if (started < load->threads || atomic_load(&load->wrong) != 0) {
        return bench_fail(bench, started < load->threads ? "no thread" : "a wrong answer");
    }
    return 100.0 * (double)(after.local_hits - before.local_hits) /
           (double)(after.reads - before.reads);
}

static int run(struct bench *bench, struct load *load, struct lateness *lateness) {
    bench_progress(bench, "filling");
    for (uint32_t id = 0; id < KEYS; id++) {
        if (!write_one(load->other, id)) {
            return bench_fail(bench, "a key was not set");
        }
    }
    load->ticks = PHASE_TICKS_QUICK;
    bench_progress(bench, "warming");
    double in_time = run_phase(bench, load);
    load->ticks = bench->quick ? PHASE_TICKS_QUICK : PHASE_TICKS;
    bench_progress(bench, "all in time");
    in_time = in_time >= 0 ? run_phase(bench, load) : in_time;
    atomic_store(&lateness->begun, true);
    bench_progress(bench, "some late");
    double late = in_time >= 0 ? run_phase(bench, load) : in_time;
    bench_progress_end(bench);
    if (late < 0) {
        return -1;
    }
    hearth_stats stats = {.size = sizeof stats};
    (void)hearth_stats_get(load->cache, &stats);
    bench_row(bench, "local hits", "%", (struct figure){late, -1}, "in time",
              (struct figure){in_time, -1});
    report_note(bench,
                "%llu of %llu answers were %d ms late; %llu reads failed, %llu "
                "connections were closed, the breaker opened %llu times",
                (unsigned long long)atomic_load(&lateness->late),
                (unsigned long long)atomic_load(&lateness->chunks), LATE_MS,
                (unsigned long long)atomic_load(&load->late),
                (unsigned long long)stats.disconnects,
                (unsigned long long)stats.breaker_openings);
    return 0;
}

static int start(struct bench *bench, const struct coherence_stage *stage, unsigned threads) {
    struct lateness lateness = {.random = bench->seed};
    struct proxy *proxy = proxy_start(stage->servers.nodes[0].path, 0);
    char url[URL_ROOM];
    if (proxy == NULL) {
        return bench_fail(bench, "no proxy");
    }
    proxy_filter(proxy, PROXY_TO_CLIENT, pass_on, &lateness);
    (void)snprintf(url, sizeof url, "redis+unix://%s", proxy_path(proxy));
    const struct coherence_setting settings[] = {{"remote.url", url},
                                                 {"remote.timeout_ms", "50"},
                                                 {"coherence.mode", "tracking"},
                                                 {"local.max_ttl_ms", "1h"},
                                                 {NULL, NULL}};
    const struct coherence_setting others[] = {{"local.max_bytes", "0"}, {NULL, NULL}};
    struct load load = {.cache = coherence_open_cache(bench, stage, 0, settings),
                        .other = coherence_open_cache(bench, stage, 0, others),
                        .threads = threads,
                        .seed = bench->seed};
    int result = load.cache != NULL && load.other != NULL ? run(bench, &load, &lateness) : -1;
    if (load.cache != NULL) {
        (void)hearth_close(load.cache);
    }
    if (load.other != NULL) {
        (void)hearth_close(load.other);
    }
    proxy_stop(proxy);
    return result;
}

int coherence_late(struct bench *bench, void *stage) {
    return start(bench, stage, 1);
}

int coherence_late_4t(struct bench *bench, void *stage) {
    return start(bench, stage, THREADS_MOST);
}
