/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/remote_site.h"

#include "ring/ring.h"
#include "splitmix.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

enum { URL_BYTES = 512, ALL_KEYS = CLIENT_KEYS + CLIENT_LARGE };

_Static_assert((int)MANY *(int)MANY_THREADS <= (int)SWARM_THREADS, "each has its values");

/* ---- keys -------------------------------------------------------------------------------- */

static uint64_t draw(const struct client_keys *keys, unsigned thread, uint64_t count) {
    uint64_t seed = keys->seed + ((uint64_t)thread << 40) + count;
    return splitmix(&seed);
}

uint32_t client_pick(const struct client_keys *keys, unsigned thread, uint64_t count) {
    return (uint32_t)(draw(keys, thread, count) % CLIENT_KEYS);
}

bool client_writes(const struct client_keys *keys, unsigned thread, uint64_t count) {
    return (draw(keys, thread, count) >> 32) % 100 < CLIENT_WRITES_PERCENT;
}

bool client_is_large(const struct client_keys *keys, unsigned thread, uint64_t count) {
    return (draw(keys, thread, count) >> 32) % 100 < CLIENT_LARGE_PERCENT;
}

uint32_t client_pick_large(const struct client_keys *keys, unsigned thread, uint64_t count) {
    return CLIENT_KEYS + (uint32_t)(draw(keys, thread, count) % CLIENT_LARGE);
}

static void keys_destroy(struct client_keys *keys) {
    for (size_t i = 0; keys->stored != NULL && i < CLIENT_KEYS; i++) {
        free(keys->stored[i]);
    }
    free(keys->stored);
    free(keys->node_of);
    free(keys->keys);
}

static int keys_create(struct client_keys *keys, const struct server_node *nodes, size_t count,
                       const struct bench *bench) {
    hearth__ring_member members[NODES_MOST];
    hearth__ring *ring = NULL;
    *keys = (struct client_keys){.keys = calloc(ALL_KEYS, sizeof *keys->keys),
                                 .node_of = calloc(ALL_KEYS, sizeof *keys->node_of),
                                 .stored = calloc(CLIENT_KEYS, sizeof(char *)),
                                 .value_size = VALUE_SIZE,
                                 .seed = bench->seed};
    for (size_t i = 0; i < count; i++) {
        members[i] = (hearth__ring_member){.host = nodes[i].path, .weight = 1};
    }
    if (keys->keys == NULL || keys->node_of == NULL || keys->stored == NULL ||
        hearth__ring_create(members, (uint32_t)count, &ring) != HEARTH_OK) {
        return bench_fail(bench, "no memory");
    }
    for (uint32_t i = 0; i < ALL_KEYS; i++) {
        key_write(keys->keys[i], i);
        keys->node_of[i] = hearth__ring_pick(ring, keys->keys[i], KEY_SIZE);
    }
    hearth__ring_destroy(ring);
    return 0;
}

/* ---- Hearth ------------------------------------------------------------------------------ */

static int our_client_open(struct our_client *ours, const struct bench *bench, const char *url,
                           const char *local_bytes, const char *entry_bytes,
                           const struct client_keys *keys) {
    const char *const settings[][2] = {
        {"remote.url", url},
        {"local.max_bytes", local_bytes},
        {"local.max_entry_bytes", entry_bytes},
        {"remote.timeout_ms", "5000"}, /* a busy machine is no failure here */
        {"ttl_ms", "12h"},
    };
    hearth_options *options = hearth_options_new();
    int32_t status = options != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    for (size_t i = 0; status == HEARTH_OK && i < sizeof settings / sizeof settings[0]; i++) {
        status = hearth_options_set(options, settings[i][0], settings[i][1]);
    }
    if (status == HEARTH_OK) {
        status = hearth_open(options, &ours->cache);
    }
    hearth_options_free(options);
    ours->keys = keys;
    hearth_read_options_init(&ours->read, sizeof ours->read);
    ours->read.max_stale_ms = 0;
    for (size_t i = 0; status == HEARTH_OK && i < SWARM_THREADS; i++) {
        ours->values[i] = hearth_value_new();
        status = ours->values[i] != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    }
    return status == HEARTH_OK ? 0 : bench_fail(bench, "no cache: %s", hearth_strerror(status));
}

static void our_client_close(struct our_client *ours) {
    for (size_t i = 0; i < SWARM_THREADS; i++) {
        hearth_value_free(ours->values[i]);
    }
    if (ours->cache != NULL) {
        (void)hearth_close(ours->cache);
    }
}

static bool get_one(struct our_client *ours, unsigned thread, uint32_t id, size_t size) {
    hearth_value *value = ours->values[thread];
    return hearth_get(ours->cache, ours->keys->keys[id], KEY_SIZE, &ours->read, value) ==
               HEARTH_OK &&
           hearth_value_size(value) == size && value_is(hearth_value_data(value), size, id);
}

bool our_get(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    return get_one(ours, thread, client_pick(ours->keys, thread, count), VALUE_SIZE);
}

bool our_get_large(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    return client_is_large(ours->keys, thread, count)
               ? get_one(ours, thread, client_pick_large(ours->keys, thread, count),
                         CLIENT_LARGE_BYTES)
               : our_get(arg, thread, count);
}

static bool our_set(struct our_client *ours, uint32_t id) {
    unsigned char value[VALUE_SIZE];
    value_write(value, VALUE_SIZE, id);
    return hearth_set(ours->cache, ours->keys->keys[id], KEY_SIZE, value, VALUE_SIZE, NULL) ==
           HEARTH_OK;
}

static bool our_set_large(struct our_client *ours, uint32_t id) {
    unsigned char *value = malloc(CLIENT_LARGE_BYTES);
    bool set = false;
    if (value != NULL) {
        value_write(value, CLIENT_LARGE_BYTES, id);
        set = hearth_set(ours->cache, ours->keys->keys[id], KEY_SIZE, value, CLIENT_LARGE_BYTES,
                         NULL) == HEARTH_OK;
    }
    free(value);
    return set;
}

bool our_set_always(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    return our_set(ours, client_pick(ours->keys, thread, count));
}

bool our_mixed(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    return client_writes(ours->keys, thread, count) ? our_set_always(arg, thread, count)
                                                    : our_get(arg, thread, count);
}

bool our_get_many(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    const void *keys[MANY];
    size_t sizes[MANY];
    uint32_t ids[MANY];
    int32_t statuses[MANY];
    hearth_value **values = &ours->values[(size_t)thread * MANY];
    for (size_t i = 0; i < MANY; i++) {
        ids[i] = client_pick(ours->keys, thread, count * MANY + i);
        keys[i] = ours->keys->keys[ids[i]];
        sizes[i] = KEY_SIZE;
    }
    bool right = hearth_get_many(ours->cache, MANY, keys, sizes, &ours->read, values,
                                 statuses) == HEARTH_OK;
    for (size_t i = 0; right && i < MANY; i++) {
        right = statuses[i] == HEARTH_OK && hearth_value_size(values[i]) == VALUE_SIZE &&
                value_is(hearth_value_data(values[i]), VALUE_SIZE, ids[i]);
    }
    return right;
}

/* ---- a site ------------------------------------------------------------------------------ */

/* What the server has under a key, to be freed with free(). */
static char *look(struct site *site, redisContext *const *contexts, uint32_t id, size_t *size) {
    char *bytes = NULL;
    if (site->libmemcached != NULL) {
        return libmemcached_look(site->libmemcached, id, size);
    }
    redisReply *reply = redisCommand(contexts[site->keys.node_of[id]], "GET %b",
                                     site->keys.keys[id], (size_t)KEY_SIZE);
    if (reply != NULL && reply->type == REDIS_REPLY_STRING &&
        (bytes = malloc(reply->len)) != NULL) {
        memcpy(bytes, reply->str, reply->len);
        *size = reply->len;
    }
    freeReplyObject(reply);
    return bytes;
}

/* Stores all keys through Hearth, and looks at how they lie there. */
static int fill(struct site *site, const struct bench *bench) {
    redisContext *contexts[NODES_MOST] = {NULL};
    struct client_keys *keys = &site->keys;
    int result = 0;
    for (size_t i = 0; site->libmemcached == NULL && i < site->nodes; i++) {
        contexts[i] = redisConnectUnix(site->servers.nodes[i].path);
        result = contexts[i] == NULL || contexts[i]->err != 0 ? -1 : result;
    }
    for (uint32_t i = 0; result == 0 && i < CLIENT_KEYS; i++) {
        if (our_set(&site->plain, i)) {
            keys->stored[i] = look(site, contexts, i, &keys->stored_size);
        }
        result = keys->stored[i] != NULL ? 0 : -1;
    }
    /* Memcached's limit is lower. */
    for (uint32_t i = 0; result == 0 && site->libmemcached == NULL && i < CLIENT_LARGE; i++) {
        result = our_set_large(&site->plain, CLIENT_KEYS + i) ? 0 : -1;
    }
    for (size_t i = 0; i < site->nodes; i++) {
        redisFree(contexts[i]);
    }
    return result == 0 ? 0 : bench_fail(bench, "the servers do not keep the keys");
}

static int start(struct site *site, const struct bench *bench, const struct site_plan *plan) {
    if (servers_open(&site->servers) != 0) {
        return bench_fail(bench, "%s", site->servers.error);
    }
    for (size_t i = 0; i < plan->nodes; i++) {
        if (servers_start(&site->servers, plan->kind, SERVER_UNIX, NULL) != 0) {
            return bench_fail(bench, "%s", site->servers.error);
        }
        site->pids[i] = site->servers.nodes[i].pid;
        site->nodes = i + 1;
    }
    if (!plan->proxied) {
        return 0;
    }
    struct server_node *last = &site->servers.nodes[plan->nodes - 1];
    site->proxy = proxy_start(last->path, 0);
    if (site->proxy == NULL) {
        return bench_fail(bench, "no proxy");
    }
    (void)snprintf(last->path, sizeof last->path, "%s", proxy_path(site->proxy));
    return 0;
}

static int connect_peer(struct site *site, const struct bench *bench,
                        const struct site_plan *plan) {
    const struct server_node *nodes = site->servers.nodes;
    if (plan->kind == SERVER_REDIS) {
        site->hiredis = hiredis_create(
            nodes, plan->nodes, plan->proxied ? MANY_THREADS : SWARM_THREADS, &site->keys);
    } else {
        site->libmemcached = libmemcached_create(nodes, &site->keys);
    }
    return site->hiredis != NULL || site->libmemcached != NULL
               ? 0
               : bench_fail(bench, "no connections");
}

int site_open(struct site *site, const struct bench *bench, const struct site_plan *plan) {
    char url[URL_BYTES];
    if (site->nodes != 0) {
        return 0;
    }
    if (start(site, bench, plan) != 0) {
        return -1;
    }
    if (servers_url(&site->servers, plan->kind, url, sizeof url) != 0) {
        return bench_fail(bench, "no room for the address");
    }
    if (keys_create(&site->keys, site->servers.nodes, plan->nodes, bench) != 0 ||
        our_client_open(&site->plain, bench, url, "0", "0", &site->keys) != 0 ||
        our_client_open(&site->kept, bench, url, "16mb", "64", &site->keys) != 0 ||
        connect_peer(site, bench, plan) != 0) {
        return -1;
    }
    return fill(site, bench);
}

void site_close(struct site *site) {
    if (site->nodes == 0) {
        return;
    }
    our_client_close(&site->plain);
    our_client_close(&site->kept);
    hiredis_destroy(site->hiredis);
    libmemcached_destroy(site->libmemcached);
    proxy_stop(site->proxy);
    keys_destroy(&site->keys);
    servers_stop(&site->servers);
}
