/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite `remote`: many threads and a few connections, beside one connection a thread. The
 * local tier is off where it would answer, and the servers are the harness's own.
 *
 * Case names: where they run (`pinned-`: clients and servers on one processor; `free-`: as the
 * scheduler places them), what is asked, the number of nodes if it is not one, and threads.
 */
#include "hearth-bench/clients.h"

#include "ring/ring.h"
#include "splitmix.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES_MOST = 3, URL_BYTES = 512 };

/* Hearth as a client. */
struct our_client {
    hearth *cache;
    const struct client_keys *keys;
    hearth_read_options read;
    hearth_value *values[SWARM_THREADS];
};

/* Some nodes with the keys on them, and who asks them. */
struct site {
    struct servers servers;
    size_t nodes; /* 0: not open */
    pid_t pids[NODES_MOST];
    struct client_keys keys;
    struct our_client plain; /* without a local tier */
    struct our_client kept;  /* with one that is never good enough */
    struct hiredis_peer *hiredis;
};

struct remote {
    struct site one;
    struct site three;
};

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

static void keys_destroy(struct client_keys *keys) {
    for (size_t i = 0; keys->stored != NULL && i < CLIENT_KEYS; i++) {
        free(keys->stored[i]);
    }
    free(keys->stored);
    free(keys->node_of);
    free(keys->keys);
}

static int keys_create(struct client_keys *keys, const struct servers *servers,
                       const struct bench *bench) {
    hearth__ring_member members[NODES_MOST];
    hearth__ring *ring = NULL;
    *keys = (struct client_keys){.keys = calloc(CLIENT_KEYS, sizeof *keys->keys),
                                 .node_of = calloc(CLIENT_KEYS, sizeof *keys->node_of),
                                 .stored = calloc(CLIENT_KEYS, sizeof(char *)),
                                 .value_size = VALUE_SIZE,
                                 .seed = bench->seed};
    for (size_t i = 0; i < servers->count; i++) {
        members[i] = (hearth__ring_member){.host = servers->nodes[i].path, .weight = 1};
    }
    if (keys->keys == NULL || keys->node_of == NULL || keys->stored == NULL ||
        hearth__ring_create(members, (uint32_t)servers->count, &ring) != HEARTH_OK) {
        return bench_fail(bench, "no memory");
    }
    for (uint32_t i = 0; i < CLIENT_KEYS; i++) {
        key_write(keys->keys[i], i);
        keys->node_of[i] = hearth__ring_pick(ring, keys->keys[i], KEY_SIZE);
    }
    hearth__ring_destroy(ring);
    return 0;
}

/* ---- Hearth ------------------------------------------------------------------------------ */

static int our_client_open(struct our_client *ours, const struct bench *bench, const char *url,
                           const char *local_bytes, const struct client_keys *keys) {
    const char *const settings[][2] = {
        {"remote.url", url},
        {"local.max_bytes", local_bytes},
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

static bool our_get(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    const uint32_t id = client_pick(ours->keys, thread, count);
    hearth_value *value = ours->values[thread];
    return hearth_get(ours->cache, ours->keys->keys[id], KEY_SIZE, &ours->read, value) ==
               HEARTH_OK &&
           hearth_value_size(value) == VALUE_SIZE &&
           value_is(hearth_value_data(value), VALUE_SIZE, id);
}

static bool our_set(struct our_client *ours, uint32_t id) {
    unsigned char value[VALUE_SIZE];
    value_write(value, VALUE_SIZE, id);
    return hearth_set(ours->cache, ours->keys->keys[id], KEY_SIZE, value, VALUE_SIZE, NULL) ==
           HEARTH_OK;
}

static bool our_mixed(void *arg, unsigned thread, uint64_t count) {
    struct our_client *ours = arg;
    return client_writes(ours->keys, thread, count)
               ? our_set(ours, client_pick(ours->keys, thread, count))
               : our_get(arg, thread, count);
}

/* ---- a site ------------------------------------------------------------------------------ */

/* Stores all keys through Hearth, and looks at how they lie there. */
static int fill(struct site *site, const struct bench *bench) {
    redisContext *contexts[NODES_MOST] = {NULL};
    int result = 0;
    for (size_t i = 0; i < site->nodes; i++) {
        contexts[i] = redisConnectUnix(site->servers.nodes[i].path);
        result = contexts[i] == NULL || contexts[i]->err != 0 ? -1 : result;
    }
    for (uint32_t i = 0; result == 0 && i < CLIENT_KEYS; i++) {
        struct client_keys *keys = &site->keys;
        redisReply *reply = NULL;
        if (our_set(&site->plain, i)) {
            reply = redisCommand(contexts[keys->node_of[i]], "GET %b", keys->keys[i],
                                 (size_t)KEY_SIZE);
        }
        if (reply == NULL || reply->type != REDIS_REPLY_STRING ||
            (keys->stored[i] = malloc(reply->len)) == NULL) {
            result = -1;
        } else {
            memcpy(keys->stored[i], reply->str, reply->len);
            keys->stored_size = reply->len;
        }
        if (reply != NULL) {
            freeReplyObject(reply);
        }
    }
    for (size_t i = 0; i < site->nodes; i++) {
        redisFree(contexts[i]);
    }
    return result == 0 ? 0 : bench_fail(bench, "the servers do not keep the keys");
}

static int site_open(struct site *site, const struct bench *bench, size_t nodes) {
    char url[URL_BYTES];
    if (site->nodes != 0) {
        return 0;
    }
    if (servers_open(&site->servers) != 0) {
        return bench_fail(bench, "%s", site->servers.error);
    }
    for (size_t i = 0; i < nodes; i++) {
        if (servers_start(&site->servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0) {
            return bench_fail(bench, "%s", site->servers.error);
        }
        site->pids[i] = site->servers.nodes[i].pid;
        site->nodes = i + 1;
    }
    if (servers_url(&site->servers, SERVER_REDIS, url, sizeof url) != 0 ||
        keys_create(&site->keys, &site->servers, bench) != 0 ||
        our_client_open(&site->plain, bench, url, "0", &site->keys) != 0 ||
        our_client_open(&site->kept, bench, url, "16mb", &site->keys) != 0 ||
        fill(site, bench) != 0) {
        return -1;
    }
    site->hiredis = hiredis_create(site->servers.nodes, nodes, &site->keys);
    return site->hiredis != NULL ? 0 : bench_fail(bench, "no connections");
}

static void site_close(struct site *site) {
    if (site->nodes == 0) {
        return;
    }
    our_client_close(&site->plain);
    our_client_close(&site->kept);
    hiredis_destroy(site->hiredis);
    keys_destroy(&site->keys);
    servers_stop(&site->servers);
}

static void *remote_open(struct bench *bench) {
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        (void)bench_fail(bench, "no memory");
    }
    return remote;
}

static void remote_close(void *arg) {
    struct remote *remote = arg;
    site_close(&remote->one);
    site_close(&remote->three);
    free(remote);
}

/* ---- cases ------------------------------------------------------------------------------- */

static int contest(struct bench *bench, struct site *site, struct swarm_party *parties) {
    const struct swarm_place place = {.pinned = strncmp(bench->case_name, "pinned", 6) == 0,
                                      .servers = site->pids,
                                      .count = site->nodes};
    const char *threads = strrchr(bench->case_name, '-') + 1;
    parties[0].threads = parties[1].threads = (unsigned)strtoul(threads, NULL, 10);
    if (swarm_contest(bench, &place, parties, 2) != 0) {
        return -1;
    }
    bench_row(bench, "throughput", "kops/s", swarm_throughput(bench, &parties[0]), "hiredis",
              swarm_throughput(bench, &parties[1]));
    bench_row(bench, "p99", "us", swarm_p99(bench, &parties[0]), "hiredis",
              swarm_p99(bench, &parties[1]));
    bench_row(bench, "cpu", "us", swarm_cpu(bench, &parties[0]), "hiredis",
              swarm_cpu(bench, &parties[1]));
    return 0;
}

static int get(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->one;
    if (site_open(site, bench, 1) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = our_get, .arg = &site->plain},
                                    {.ask = hiredis_get, .arg = site->hiredis}};
    return contest(bench, site, parties);
}

static int get_3n(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->three;
    if (site_open(site, bench, 3) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = our_get, .arg = &site->plain},
                                    {.ask = hiredis_get, .arg = site->hiredis}};
    return contest(bench, site, parties);
}

static int get_ttl(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->one;
    if (site_open(site, bench, 1) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = our_get, .arg = &site->kept},
                                    {.ask = hiredis_get_ttl, .arg = site->hiredis}};
    hearth_stats stats = {.size = sizeof stats};
    if (contest(bench, site, parties) != 0) {
        return -1;
    }
    (void)hearth_stats_get(site->kept.cache, &stats);
    return stats.local_hits == 0 ? 0 : bench_fail(bench, "the local tier answered");
}

static int mixed90(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->one;
    if (site_open(site, bench, 1) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = our_mixed, .arg = &site->plain},
                                    {.ask = hiredis_mixed, .arg = site->hiredis}};
    return contest(bench, site, parties);
}

#define CASES_OF(asks, run, what)                                                           \
    {"pinned-" asks "-1t", what ", one thread, on one processor", run},                     \
        {"pinned-" asks "-4t", "4 threads", run}, {"pinned-" asks "-8t", "8 threads", run}, \
        {"pinned-" asks "-16t", "16 threads", run},                                         \
        {"pinned-" asks "-32t", "32 threads", run},                                         \
        {"pinned-" asks "-64t", "64 threads", run},                                         \
        {"pinned-" asks "-256t", "256 threads", run},                                       \
        {"free-" asks "-1t", what ", one thread, as the scheduler likes", run},             \
        {"free-" asks "-4t", "4 threads", run}, {"free-" asks "-8t", "8 threads", run},     \
        {"free-" asks "-16t", "16 threads", run}, {"free-" asks "-32t", "32 threads", run}, \
        {"free-" asks "-64t", "64 threads", run}, {                                         \
        "free-" asks "-256t", "256 threads", run                                            \
    }

static const struct bench_case cases[] = {
    CASES_OF("get", get, "hearth_get of 100 bytes from a Redis node"),
    CASES_OF("get-ttl", get_ttl, "the same with the remaining life"),
    CASES_OF("mixed90", mixed90, "nine gets and a set"),
    CASES_OF("get-3n", get_3n, "hearth_get from three nodes"),
};

const struct suite suite_remote = {
    .name = "remote",
    .what = "threads that share a few connections to Redis, beside hiredis with one a thread",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
    .open = remote_open,
    .close = remote_close,
};
