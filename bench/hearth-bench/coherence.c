/* SPDX-License-Identifier: Apache-2.0 */
/* The suite coherence: what it takes, and what it saves, that Redis tells of changes. Here the servers, and what a local hit costs. */
#include "hearth-bench/coherence.h"
#include "hearth-bench/ours.h"
#include "hearth-bench/report.h"

#include <stdio.h>
#include <stdlib.h>

enum { URL_ROOM = 160, HIT_KEYS = 10000, HIT_KEYS_QUICK = 2000, HIT_REQUESTS = 1 << 17 };

/* So many of a million reads may ask the server: what the tier did not take, or was told of. */
enum { MISSES_MOST = 1000 };

/* ---- servers and caches ----------------------------------------------------------------- */

static void *open_stage(struct bench *bench) {
    struct coherence_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL || servers_open(&stage->servers) != 0) {
        (void)bench_fail(bench, "%s", stage != NULL ? stage->servers.error : "no memory");
        free(stage);
        return NULL;
    }
    for (size_t i = 0; i <= COHERENCE_MEMCACHED; i++) {
        enum server_kind kind = i < COHERENCE_MEMCACHED ? SERVER_REDIS : SERVER_MEMCACHED;
        if (servers_start(&stage->servers, kind, SERVER_UNIX, NULL) != 0) {
            (void)bench_fail(bench, "%s", stage->servers.error);
            servers_stop(&stage->servers);
            free(stage);
            return NULL;
        }
    }
    return stage;
}

static void close_stage(void *arg) {
    struct coherence_stage *stage = arg;
    servers_stop(&stage->servers);
    free(stage);
}

hearth *coherence_open_cache(const struct bench *bench, const struct coherence_stage *stage,
                             size_t node, const struct coherence_setting *settings) {
    char url[URL_ROOM];
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    (void)snprintf(url, sizeof url, "redis+unix://%s", stage->servers.nodes[node].path);
    int32_t status = options != NULL ? hearth_options_set(options, "remote.url", url)
                                     : (int32_t)HEARTH_E_NOMEM;
    if (status == HEARTH_OK) { /* a busy machine is no failure here */
        status = hearth_options_set(options, "remote.timeout_ms", "5000");
    }
    for (; status == HEARTH_OK && settings->name != NULL; settings++) {
        status = hearth_options_set(options, settings->name, settings->value);
    }
    if (status == HEARTH_OK) {
        status = hearth_open(options, &cache);
    }
    if (status != HEARTH_OK) {
        (void)bench_fail(bench, "no cache: %s",
                         options != NULL ? hearth_options_error(options) : "no memory");
        cache = NULL;
    }
    hearth_options_free(options);
    return cache;
}

/* ---- hits ------------------------------------------------------------------------------- */

/* Both keep their copies for the whole run, so that all that differs is who answers for them. */
static const struct coherence_setting tracking[] = {
    {"coherence.mode", "tracking"}, {"local.max_ttl_ms", "1h"}, {NULL, NULL}};
static const struct coherence_setting broadcast[] = {{"coherence.mode", "tracking"},
                                                     {"coherence.tracking", "broadcast"},
                                                     {"local.max_ttl_ms", "1h"},
                                                     {NULL, NULL}};
static const struct coherence_setting by_ttl[] = {
    {"coherence.mode", "ttl"}, {"local.max_ttl_ms", "1h"}, {NULL, NULL}};

static int open_ours(struct ours *ours, const struct bench *bench,
                     const struct coherence_stage *stage, const struct order *order,
                     const struct coherence_setting *settings) {
    *ours = (struct ours){.order = order, .value_size = VALUE_SIZE};
    for (size_t i = 0; i < (size_t)CREW_THREADS * OURS_MANY; i++) {
        /* All, though one a thread is used: or two threads' would share a cache line. */
        hearth_value *value = hearth_value_new();
        ours->values[i / OURS_MANY][i % OURS_MANY] = value;
        if (value == NULL) {
            return bench_fail(bench, "no memory");
        }
    }
    ours->cache = coherence_open_cache(bench, stage, 0, settings);
    return ours->cache != NULL ? 0 : -1;
}

/* Stores all keys at the server. */
static int store(const struct ours *ours, const struct bench *bench, uint32_t count) {
    int32_t status = HEARTH_OK;
    for (uint32_t id = 0; status == HEARTH_OK && id < count; id++) {
        char key[KEY_SIZE];
        unsigned char value[VALUE_SIZE];
        key_write(key, id);
        value_write(value, VALUE_SIZE, id);
        status = hearth_set(ours->cache, key, KEY_SIZE, value, VALUE_SIZE, NULL);
    }
    return status == HEARTH_OK ? 0 : bench_fail(bench, "set: %s", hearth_strerror(status));
}

/* Until nearly all are in the local tier: each has been got from the server. */
static int warm(struct ours *ours, const struct bench *bench, uint32_t count) {
    uint32_t absent = 0;
    for (uint32_t id = 0; id < count; id++) {
        char key[KEY_SIZE];
        key_write(key, id);
        int32_t status = hearth_get(ours->cache, key, KEY_SIZE, NULL, ours->values[0][0]);
        if (status != HEARTH_OK || !value_is(hearth_value_data(ours->values[0][0]),
                                             hearth_value_size(ours->values[0][0]), id)) {
            return bench_fail(bench, "get: %s", hearth_strerror(status));
        }
        absent += !ours_find(ours, id);
    }
    return absent <= count / 100
               ? 0
               : bench_fail(bench, "%u of %u keys have no local copy", absent, count);
}

/* Whether nearly all reads since then were local hits. */
static int check_hits(const struct ours *ours, const struct bench *bench,
                      const hearth_stats *before) {
    hearth_stats after = ours_stats(ours);
    uint64_t reads = after.reads - before->reads;
    uint64_t hits = after.local_hits - before->local_hits;
    if (reads == 0 || reads - hits > reads / 1000000 * MISSES_MOST + MISSES_MOST) {
        return bench_fail(bench, "%llu of %llu reads were local hits", (unsigned long long)hits,
                          (unsigned long long)reads);
    }
    return 0;
}

static int contest(struct bench *bench, struct ours *told, struct ours *untold,
                   unsigned threads) {
    struct party parties[] = {
        {.run = ours_get, .arg = told, .threads = threads, .places = HIT_REQUESTS},
        {.run = ours_get, .arg = untold, .threads = threads, .places = HIT_REQUESTS},
    };
    hearth_stats told_before = ours_stats(told);
    hearth_stats untold_before = ours_stats(untold);
    if (crew_contest(bench, parties, 2) != 0 || check_hits(told, bench, &told_before) != 0 ||
        check_hits(untold, bench, &untold_before) != 0) {
        return -1;
    }
    bench_row(bench, "hits", "Mops/s", party_throughput(bench, &parties[0]), "ttl",
              party_throughput(bench, &parties[1]));
    return 0;
}

static int hits(struct bench *bench, const struct coherence_stage *stage, unsigned threads,
                const struct coherence_setting *settings) {
    struct order order = {0};
    struct ours told = {0};
    struct ours untold = {0};
    uint32_t count = bench->quick ? HIT_KEYS_QUICK : HIT_KEYS;
    int result = order_create_zipf(&order, count, HIT_REQUESTS, bench->seed);
    if (result != 0) {
        return bench_fail(bench, "no memory");
    }
    bench_progress(bench, "filling");
    if (open_ours(&told, bench, stage, &order, settings) != 0 ||
        open_ours(&untold, bench, stage, &order, by_ttl) != 0 ||
        store(&untold, bench, count) != 0 || warm(&told, bench, count) != 0 ||
        warm(&untold, bench, count) != 0 || contest(bench, &told, &untold, threads) != 0) {
        result = -1;
    }
    ours_close(&told);
    ours_close(&untold);
    order_destroy(&order);
    return result;
}

static int hits_1t(struct bench *bench, void *stage) {
    return hits(bench, stage, 1, tracking);
}

static int hits_broadcast(struct bench *bench, void *stage) {
    return hits(bench, stage, 1, broadcast);
}

static int hits_2t(struct bench *bench, void *stage) {
    return hits(bench, stage, 2, tracking);
}

static const struct bench_case cases[] = {
    {"heard", "a SET in another process, until the local copy is gone", coherence_heard},
    {"bus",
     "a delete in another cache, until the local copy is gone: over the bus, of Memcached",
     coherence_bus},
    {"heard-broadcast", "the same with coherence.tracking=broadcast",
     coherence_heard_broadcast},
    {"lost", "the listening connection is killed, until the local copy is gone",
     coherence_lost},
    {"lost-server", "the server is killed, until the local copy is gone",
     coherence_lost_server},
    {"lost-flush", "all that the server has is flushed, until the local copy is gone",
     coherence_lost_flush},
    {"get-10k-1t", "local hits of 10,000 keys with tracking", hits_1t},
    {"get-10k-2t", "the same, two threads", hits_2t},
    {"get-10k-1t-broadcast", "the same, one thread, with coherence.tracking=broadcast",
     hits_broadcast},
    {"saved", "1,000 loads, then gets of them for seconds: commands at the server",
     coherence_saved},
    {"late", "local hits when one answer in twenty is late by twice the time it has",
     coherence_late},
    {"late-4t", "the same, four threads", coherence_late_4t},
};

const struct suite suite_coherence = {
    .name = "coherence",
    .what =
        "coherence.mode=tracking on a Redis server, and bus in front of Memcached: how soon a "
        "change is heard, what a hit costs, what is saved",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
    .open = open_stage,
    .close = close_stage,
};
