/* SPDX-License-Identifier: Apache-2.0 */
/* A flood of keys that do not exist: how many get through to the nodes, and what it does to those that are hot. */
#include "hearth-bench/bloom.h"
#include "hearth-bench/workload.h"

#include "splitmix.h"

#include <hearth/hearth.h>
#include <stdio.h>

enum {
    HOT_KEYS = 200000, /* more than the local tier holds */
    REQUESTS = 1 << 20,
    REQUESTS_QUICK = 1 << 17,
    MISSING_SIZE = 21, /* of a missing key */
};

struct flood {
    hearth *cache;
    hearth_value *value;
    struct order order;
    size_t requests;
    uint64_t seed;
};

/* ---- the source ------------------------------------------------------------------------- */

/* Hot keys exist, and no others. */
static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    unsigned char bytes[VALUE_SIZE] = {0};
    (void)arg;
    (void)key;
    return key_size == KEY_SIZE ? hearth_fill_value(fill, bytes, sizeof bytes)
                                : hearth_fill_absent(fill);
}

static const hearth_loader loader = {.size = sizeof loader, .load = load};

/* All hot keys, by number. */
struct row {
    uint32_t id;
    char key[KEY_SIZE];
};

static int32_t next_row(void *arg, const void **key, size_t *key_size) {
    struct row *row = arg;
    if (row->id == HOT_KEYS) {
        return HEARTH_MISS;
    }
    key_write(row->key, row->id++);
    *key = row->key;
    *key_size = sizeof row->key;
    return HEARTH_OK;
}

/* ---- the run ---------------------------------------------------------------------------- */

static hearth *open_cache(void) {
    static const char *const settings[][2] = {{"local.max_bytes", "16mb"},
                                              {"guard.expected_keys", "200000"},
                                              {"guard.view_ms", "0"},
                                              {"negative_ttl_ms", "300000"}};
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    bool set = options != NULL;
    for (size_t i = 0; set && i < sizeof settings / sizeof settings[0]; i++) {
        set = hearth_options_set(options, settings[i][0], settings[i][1]) == HEARTH_OK;
    }
    if (set && hearth_open(options, &cache) != HEARTH_OK) {
        cache = NULL;
    }
    hearth_options_free(options);
    return cache;
}

static int open_flood(struct flood *flood, const struct bench *bench) {
    struct row row = {0};
    *flood = (struct flood){.cache = open_cache(),
                            .value = hearth_value_new(),
                            .requests = bench->quick ? REQUESTS_QUICK : REQUESTS,
                            .seed = bench->seed};
    if (flood->cache == NULL || flood->value == NULL ||
        order_create_zipf(&flood->order, HOT_KEYS, flood->requests, bench->seed) != 0) {
        return bench_fail(bench, "no memory");
    }
    if (hearth_guard_rebuild(flood->cache, next_row, &row) != HEARTH_OK) {
        return bench_fail(bench, "the guard was not built");
    }
    return 0;
}

static void close_flood(struct flood *flood) {
    order_destroy(&flood->order);
    hearth_value_free(flood->value);
    (void)hearth_close(flood->cache);
}

/* The share of hot requests that the local tier answers, each with so many missing ones behind it. -1: one went wrong. */
static double hit_ratio(struct flood *flood, unsigned missing) {
    uint64_t hits = 0;
    const struct request *requests = order_requests(&flood->order, 0, 0);
    for (size_t i = 0; i < flood->requests; i++) {
        if (hearth_fetch(flood->cache, requests[i].key, KEY_SIZE, &loader, NULL, NULL,
                         flood->value) != HEARTH_OK) {
            return -1;
        }
        hearth_info info = {.size = sizeof info};
        (void)hearth_value_info(flood->value, &info);
        hits += info.tier == HEARTH_TIER_LOCAL;
        for (unsigned j = 0; j < missing; j++) {
            char key[MISSING_SIZE + 1];
            (void)snprintf(key, sizeof key, "none:%016llx",
                           (unsigned long long)splitmix(&flood->seed));
            if (hearth_fetch(flood->cache, key, MISSING_SIZE, &loader, NULL, NULL, NULL) !=
                HEARTH_ABSENT) {
                return -1;
            }
        }
    }
    return (double)hits / (double)flood->requests;
}

static hearth_stats stats_of(hearth *cache) {
    hearth_stats stats = {.size = sizeof stats};
    (void)hearth_stats_get(cache, &stats);
    return stats;
}

static void report(struct bench *bench, const struct flood *flood, const hearth_stats *before,
                   const hearth_stats *after, double alone, double flooded) {
    /* Whatever came to a loader had asked its node; the hot ones were loaded while warming up. */
    double absents = (double)(after->load_absents - before->load_absents);
    bench_row(bench, "reached", "%",
              (struct figure){absents / (double)flood->requests * 100, -1}, "target",
              (struct figure){1, -1});
    bench_row(bench, "hit ratio", "%", (struct figure){flooded * 100, -1}, "no-flood",
              (struct figure){alone * 100, -1});
}

int bloom_flood(struct bench *bench, void *stage) {
    struct flood flood;
    (void)stage;
    int result = open_flood(&flood, bench);
    if (result == 0) {
        bench_progress(bench, "three runs");
        bool good = hit_ratio(&flood, 0) >= 0;
        double alone = hit_ratio(&flood, 0);
        hearth_stats before = stats_of(flood.cache);
        double flooded = hit_ratio(&flood, 1);
        hearth_stats after = stats_of(flood.cache);
        bench_progress_end(bench);
        good = good && alone >= 0 && flooded >= 0 && after.guard_false_negatives == 0;
        if (good) {
            report(bench, &flood, &before, &after, alone, flooded);
        } else {
            result = bench_fail(bench, "a fetch was answered wrongly");
        }
    }
    close_flood(&flood);
    return result;
}
