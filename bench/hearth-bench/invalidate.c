/* SPDX-License-Identifier: Apache-2.0 */
/* The suite invalidate: what it takes to forget many keys at once, and what it costs those who read them before. */
#include "hearth-bench/invalidate.h"

#include "hearth-bench/workload.h"

enum { STORED_AT_ONCE = 256 };

static hearth *open_cache(const struct invalidate_site *site,
                          const struct invalidate_plan *plan, size_t which) {
    const char *const settings[][2] = {
        {"remote.url", site->url},
        {"remote.timeout_ms", "5000"}, /* a busy machine is no failure here */
        {"ttl_ms", "12h"},
        {"local.max_bytes", plan->local_bytes[which]},
        {"local.max_ttl_ms", "12h"}, /* local copies do not just expire */
        {"coherence.version_ttl_ms", plan->version_ttl_ms},
    };
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

int invalidate_open(struct invalidate_site *site, const struct bench *bench,
                    const struct invalidate_plan *plan) {
    /* All keys have room twice over: what is gone was invalidated, not evicted. */
    static const char *const memcached_room[] = {"-m", "1024", NULL};
    if (servers_open(&site->servers) != 0 ||
        servers_start(&site->servers, plan->kind, SERVER_UNIX,
                      plan->kind == SERVER_MEMCACHED ? memcached_room : NULL) != 0 ||
        servers_url(&site->servers, plan->kind, site->url, sizeof site->url) != 0) {
        return bench_fail(bench, "%s", site->servers.error);
    }
    for (size_t i = 0; i < SITE_CACHES; i++) {
        site->caches[i] = open_cache(site, plan, i);
        if (site->caches[i] == NULL) {
            return bench_fail(bench, "no cache");
        }
    }
    return 0;
}

void invalidate_close(struct invalidate_site *site) {
    for (size_t i = 0; i < SITE_CACHES; i++) {
        if (site->caches[i] != NULL) {
            (void)hearth_close(site->caches[i]);
        }
    }
    servers_stop(&site->servers);
}

int invalidate_store(const struct bench *bench, hearth *cache, uint32_t first, uint32_t count,
                     const hearth_write_options *write) {
    char names[STORED_AT_ONCE][KEY_SIZE];
    unsigned char values[STORED_AT_ONCE][VALUE_SIZE];
    const void *keys[STORED_AT_ONCE];
    const void *data[STORED_AT_ONCE];
    size_t key_sizes[STORED_AT_ONCE];
    size_t sizes[STORED_AT_ONCE];
    int32_t statuses[STORED_AT_ONCE];
    for (uint32_t done = 0; done < count;) {
        uint32_t now = count - done < STORED_AT_ONCE ? count - done : STORED_AT_ONCE;
        for (uint32_t i = 0; i < now; i++) {
            key_write(names[i], first + done + i);
            value_write(values[i], VALUE_SIZE, first + done + i);
            keys[i] = names[i];
            data[i] = values[i];
            key_sizes[i] = KEY_SIZE;
            sizes[i] = VALUE_SIZE;
        }
        int32_t status =
            hearth_set_many(cache, now, keys, key_sizes, data, sizes, write, statuses);
        if (status != HEARTH_OK) {
            return bench_fail(bench, "keys were not stored: %s", hearth_strerror(status));
        }
        done += now;
        bench_progress(bench, "%u of %u keys", (unsigned)done, (unsigned)count);
    }
    return 0;
}

static const struct bench_case cases[] = {
    {"keys-redis", "1,000,000 keys of one tag, and of one namespace, invalidated by one call",
     invalidate_keys_redis},
    {"keys-memcached", "the same on Memcached", invalidate_keys_memcached},
    {"tagged-hit-redis", "a hit of a value with three tags, and of one without",
     invalidate_tagged_hit_redis},
    {"tagged-hit-memcached", "the same on Memcached", invalidate_tagged_hit_memcached},
    {"view-hit", "a local hit in a namespace, and in the cache itself", invalidate_view_hit},
};

const struct suite suite_invalidate = {
    .name = "invalidate",
    .what =
        "many keys forgotten at once, beside a round trip and beside deletes; what it costs their readers",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
};
