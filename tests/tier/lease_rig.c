/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/lease_rig.h"

#include "base/clock.h"

static struct servers servers;

int lease_servers_start(void **state) {
    (void)state;
    int failed = servers_open(&servers);
    if (failed == 0) {
        failed = servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL);
    }
    if (failed == 0) {
        failed = servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL);
    }
    if (failed != 0) {
        print_error("%s\n", servers.error);
    }
    return failed;
}

int lease_servers_stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

static hearth *open_at(const struct lease_rig *rig, const char *path, const char *const *more) {
    char url[SERVERS_PATH_BYTES + 32];
    /* Copies are asked for by themselves: none is to end because its node begins to tell of changes. */
    const char *settings[24] = {"remote.url",     url,  "remote.memcached_client", rig->client,
                                "coherence.mode", "ttl"};
    size_t count = 6;
    snprintf(url, sizeof url, "%s+unix://%s", rig->kind == SERVER_REDIS ? "redis" : "memcached",
             path);
    for (; more != NULL && *more != NULL; more++) {
        assert_true(count < 22);
        settings[count++] = *more;
    }
    hearth *cache = cache_open(settings);
    assert_non_null(cache);
    return cache;
}

const char *lease_path(const struct lease_rig *rig) {
    return servers.nodes[rig->kind == SERVER_REDIS ? 0 : 1].path;
}

hearth *lease_open_cache(const struct lease_rig *rig, const char *const *more) {
    return open_at(rig, lease_path(rig), more);
}

void lease_reopen(struct lease_rig *rig, hearth **cache, const char *const *more) {
    assert_int_equal(hearth_close(*cache), HEARTH_OK);
    *cache = open_at(rig, cache == &rig->b ? proxy_path(rig->proxy) : lease_path(rig), more);
}

static int open_rig(void **state, enum server_kind kind, const char *client) {
    static unsigned number;
    struct lease_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    *state = rig;
    rig->kind = kind;
    rig->client = client;
    rig->proxy = proxy_start(lease_path(rig), 0);
    rig->value = hearth_value_new();
    assert_non_null(rig->proxy);
    assert_non_null(rig->value);
    rig->a = lease_open_cache(rig, NULL);
    rig->b = open_at(rig, proxy_path(rig->proxy), NULL);
    snprintf(rig->key, sizeof rig->key, "key-%u", number++);
    return 0;
}

int lease_open_redis(void **state) {
    return open_rig(state, SERVER_REDIS, "hearth");
}

int lease_open_memcached(void **state) {
    return open_rig(state, SERVER_MEMCACHED, "hearth");
}

int lease_open_libmemcached(void **state) {
    return open_rig(state, SERVER_MEMCACHED, "libmemcached");
}

int lease_close(void **state) {
    struct lease_rig *rig = *state;
    hearth_value_free(rig->value);
    int failed = hearth_close(rig->a) != HEARTH_OK || hearth_close(rig->b) != HEARTH_OK;
    proxy_stop(rig->proxy);
    free(rig);
    return failed ? -1 : 0;
}

void lease_prepare(struct lease_fetch *fetch, hearth *cache, const char *key,
                   const char *text) {
    *fetch =
        (struct lease_fetch){.cache = cache, .key = key, .source = {SOURCE_INIT, .text = text}};
    hearth_read_options_init(&fetch->read, sizeof fetch->read);
}

int32_t lease_fetch(struct lease_fetch *fetch) {
    const hearth_loader loader = source_loader(&fetch->source);
    hearth_value *value = hearth_value_new();
    fetch->status = hearth_fetch(fetch->cache, fetch->key, strlen(fetch->key), &loader,
                                 &fetch->read, NULL, value);
    if (fetch->status == HEARTH_OK) {
        (void)snprintf(fetch->text, sizeof fetch->text, "%.*s", (int)hearth_value_size(value),
                       (const char *)hearth_value_data(value));
    }
    hearth_value_free(value);
    return fetch->status;
}

static void *run(void *arg) {
    (void)lease_fetch(arg);
    return NULL;
}

void lease_start(struct lease_fetch *fetch) {
    assert_int_equal(pthread_create(&fetch->thread, NULL, run, fetch), 0);
}

void lease_start_slow(struct lease_fetch *fetch) {
    fetch->source.waits = true;
    lease_start(fetch);
    assert_true(event_await(&fetch->source.entered, 1));
}

void lease_finish(struct lease_fetch *fetch) {
    event_raise(&fetch->source.go);
    assert_int_equal(pthread_join(fetch->thread, NULL), 0);
}

struct awaited {
    hearth *cache;
    size_t offset;
    uint64_t least;
};

static bool has_come(void *arg) {
    const struct awaited *awaited = arg;
    hearth_stats stats = cache_stats(awaited->cache);
    uint64_t now = 0;
    memcpy(&now, (const char *)&stats + awaited->offset, sizeof now);
    return now >= awaited->least;
}

void lease_await_stat(hearth *cache, size_t offset, uint64_t least) {
    struct awaited awaited = {cache, offset, least};
    assert_true(await_until(has_come, &awaited));
}

static bool has_passed(void *arg) {
    const int64_t *time_ms = arg;
    return hearth__boot_ms() >= *time_ms;
}

/* Three clocks of whole milliseconds judge it, here and at the server: by the last of them too it is stale then. */
void lease_make_stale(hearth *cache, const char *key) {
    assert_true(cache_make_stale(cache, key));
    int64_t later_ms = hearth__boot_ms() + 10;
    assert_true(await_until(has_passed, &later_ms));
}

const char *lease_at_node(const struct lease_rig *rig) {
    return cache_get(rig->a, rig->key, HEARTH_READ_NO_LOCAL);
}
