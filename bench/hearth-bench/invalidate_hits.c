/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What those who read pay for it. A value with tags against one without, both from the node, and then with a local tier; and a local hit
 * in a namespace against one in the cache itself.
 */
#include "hearth-bench/invalidate.h"

#include "hearth-bench/ours.h"
#include "hearth-bench/report.h"
#include "hearth-bench/swarm.h"
#include "splitmix.h"

enum { HIT_KEYS = 1000, TAGS = 3, READS = 1 << 14 };

/* ---- tags ------------------------------------------------------------------------------- */

struct reader {
    hearth *cache;
    hearth_value *value;
    uint32_t first; /* the number of its first key */
    uint64_t seed;
};

static bool read_one(void *arg, unsigned thread, uint64_t count) {
    struct reader *reader = arg;
    char key[KEY_SIZE];
    uint64_t seed = reader->seed + count;
    uint32_t id = reader->first + (uint32_t)(splitmix(&seed) % HIT_KEYS);
    (void)thread;
    key_write(key, id);
    return hearth_get(reader->cache, key, KEY_SIZE, NULL, reader->value) == HEARTH_OK &&
           value_is(hearth_value_data(reader->value), hearth_value_size(reader->value), id);
}

/* What one hit takes, of a party with one thread. */
static struct figure hit_time(const struct bench *bench, const struct swarm_party *party) {
    struct figure figure = swarm_throughput(bench, party);
    figure.value = 1e3 / figure.value;
    return figure;
}

/* A cache without a local tier, and one with; of each, the values with tags and those without. */
enum { NODE_TAGGED, NODE_PLAIN, LOCAL_TAGGED, LOCAL_PLAIN, READERS };

static int contest_tags(struct bench *bench, const struct invalidate_site *site,
                        hearth_value *value) {
    struct reader readers[READERS];
    struct swarm_party parties[READERS];
    const pid_t pids[] = {site->servers.nodes[0].pid};
    const struct swarm_place place = {.pinned = true, .servers = pids, .count = 1};
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.cache = site->caches[i / 2],
                                     .value = value,
                                     .first = i % 2 == 0 ? 0 : HIT_KEYS,
                                     .seed = bench->seed};
        parties[i] = (struct swarm_party){.ask = read_one, .arg = &readers[i], .threads = 1};
    }
    if (swarm_contest(bench, &place, parties, READERS) != 0) {
        return -1;
    }
    bench_row(bench, "hit at node", "us", hit_time(bench, &parties[NODE_TAGGED]), "no-tags",
              hit_time(bench, &parties[NODE_PLAIN]));
    bench_row(bench, "cpu at node", "us", swarm_cpu(bench, &parties[NODE_TAGGED]), "no-tags",
              swarm_cpu(bench, &parties[NODE_PLAIN]));
    bench_row(bench, "hit local tier", "us", hit_time(bench, &parties[LOCAL_TAGGED]), "no-tags",
              hit_time(bench, &parties[LOCAL_PLAIN]));
    return 0;
}

static int tagged_hit(struct bench *bench, enum server_kind kind) {
    static struct invalidate_site site;
    const struct invalidate_plan plan = {kind, {"0", "16mb"}, "1000"};
    const void *tags[TAGS] = {"product", "shop", "page"};
    const size_t sizes[TAGS] = {7, 4, 4};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = TAGS;
    site = (struct invalidate_site){0};
    hearth_value *value = hearth_value_new();
    int result = value != NULL ? 0 : bench_fail(bench, "no memory");
    if (result == 0) {
        result = invalidate_open(&site, bench, &plan);
        if (result == 0) {
            result = invalidate_store(bench, site.caches[0], 0, HIT_KEYS, &write);
        }
        if (result == 0) {
            result = invalidate_store(bench, site.caches[1], HIT_KEYS, HIT_KEYS, NULL);
        }
        bench_progress_end(bench);
        if (result == 0) {
            result = contest_tags(bench, &site, value);
        }
        invalidate_close(&site);
    }
    hearth_value_free(value);
    return result;
}

int invalidate_tagged_hit_redis(struct bench *bench, void *stage) {
    (void)stage;
    return tagged_hit(bench, SERVER_REDIS);
}

int invalidate_tagged_hit_memcached(struct bench *bench, void *stage) {
    (void)stage;
    return tagged_hit(bench, SERVER_MEMCACHED);
}

/* ---- a namespace ------------------------------------------------------------------------ */

/* Brings all keys into the local tier, those too that it did not keep when they were stored. */
static int read_all(const struct bench *bench, hearth *cache, hearth_value *value) {
    for (uint32_t id = 0; id < HIT_KEYS; id++) {
        char key[KEY_SIZE];
        key_write(key, id);
        int32_t status = hearth_get(cache, key, KEY_SIZE, NULL, value);
        if (status != HEARTH_OK) {
            return bench_fail(bench, "key %u: %s", (unsigned)id, hearth_strerror(status));
        }
    }
    return 0;
}

/* All keys are in the local tier; what is known of the generation is looked at anew every so often, which counts. */
static int contest_view(struct bench *bench, hearth *cache, hearth *view, hearth_value *value,
                        const struct order *order) {
    struct ours own = {.cache = cache, .order = order, .values = {{value}}};
    struct ours named = {.cache = view, .order = order, .values = {{value}}};
    struct party parties[] = {
        {.run = ours_get, .arg = &named, .places = order->per_thread, .threads = 1},
        {.run = ours_get, .arg = &own, .places = order->per_thread, .threads = 1}};
    if (invalidate_store(bench, cache, 0, HIT_KEYS, NULL) != 0 ||
        invalidate_store(bench, view, 0, HIT_KEYS, NULL) != 0 ||
        read_all(bench, cache, value) != 0 || read_all(bench, view, value) != 0 ||
        ours_contest(&own, bench, parties, 2, 1000) != 0) {
        return -1;
    }
    bench_row(bench, "local hit", "ns", party_time(bench, &parties[0]), "no-namespace",
              party_time(bench, &parties[1]));
    return 0;
}

int invalidate_view_hit(struct bench *bench, void *stage) {
    static struct invalidate_site site;
    const struct invalidate_plan plan = {SERVER_REDIS, {"16mb", "0"}, "1000"};
    struct order order = {0};
    hearth *view = NULL;
    (void)stage;
    site = (struct invalidate_site){0};
    hearth_value *value = hearth_value_new();
    bool made =
        value != NULL && order_create_uniform(&order, HIT_KEYS, READS, bench->seed) == 0;
    int result = made ? 0 : bench_fail(bench, "no memory");
    if (result == 0) {
        result = invalidate_open(&site, bench, &plan);
        if (result == 0 &&
            hearth_namespace_open(site.caches[0], "shop", 4, &view) != HEARTH_OK) {
            result = bench_fail(bench, "no namespace");
        }
        if (result == 0) {
            result = contest_view(bench, site.caches[0], view, value, &order);
        }
        bench_progress_end(bench);
        if (view != NULL) {
            (void)hearth_close(view);
        }
        invalidate_close(&site);
    }
    order_destroy(&order);
    hearth_value_free(value);
    return result;
}
