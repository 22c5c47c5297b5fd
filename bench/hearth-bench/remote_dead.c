/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is dead, in one way or another: what it costs to ask it, and what that does to those who ask the others. */
#include "hearth-bench/remote_dead.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_MS = 50, URL_BYTES = 512 };

#define TIMEOUT_TEXT "50"

/* A client that asks the dead node too. */
struct mourner {
    hearth *cache;
    const struct client_keys *keys;
    uint32_t dead;
    hearth_value *values[SWARM_THREADS];
    _Atomic int64_t longest_ns; /* of the calls to the dead node */
};

/* The first key of another node from here on. */
static uint32_t of_others(const struct client_keys *keys, uint32_t id, uint32_t dead) {
    while (keys->node_of[id] == dead) {
        id = (id + 1) % CLIENT_KEYS;
    }
    return id;
}

static bool get(hearth *cache, const struct client_keys *keys, uint32_t id,
                hearth_value *value) {
    return hearth_get(cache, keys->keys[id], KEY_SIZE, NULL, value) == HEARTH_OK &&
           hearth_value_size(value) == VALUE_SIZE &&
           value_is(hearth_value_data(value), VALUE_SIZE, id);
}

static void ask_dead(struct mourner *mourner, uint32_t id, hearth_value *value) {
    int64_t began_ns = hearth__monotonic_ns();
    (void)get(mourner->cache, mourner->keys, id, value);
    int64_t took_ns = hearth__monotonic_ns() - began_ns;
    int64_t longest_ns = atomic_load(&mourner->longest_ns);
    while (took_ns > longest_ns &&
           !atomic_compare_exchange_weak(&mourner->longest_ns, &longest_ns, took_ns)) {
    }
}

/* One of another node always, and before it, where it is its turn, one of the dead node. */
static bool get_with_dead(void *arg, unsigned thread, uint64_t count) {
    struct mourner *mourner = arg;
    uint32_t id = client_pick(mourner->keys, thread, count);
    if (mourner->keys->node_of[id] == mourner->dead) {
        ask_dead(mourner, id, mourner->values[thread]);
    }
    return get(mourner->cache, mourner->keys, of_others(mourner->keys, id, mourner->dead),
               mourner->values[thread]);
}

/* What that takes for a client that has nothing to do with the dead node. */
struct stranger {
    struct our_client *client;
    uint32_t dead;
};

static bool get_without_dead(void *arg, unsigned thread, uint64_t count) {
    const struct stranger *stranger = arg;
    const struct our_client *client = stranger->client;
    uint32_t id = client_pick(client->keys, thread, count);
    return get(client->cache, client->keys, of_others(client->keys, id, stranger->dead),
               client->values[thread]);
}

static int open_mourner(struct mourner *mourner, struct site *site, const struct bench *bench) {
    char url[URL_BYTES];
    hearth_options *options = hearth_options_new();
    *mourner = (struct mourner){.keys = &site->keys, .dead = (uint32_t)site->nodes - 1};
    bool made = options != NULL &&
                servers_url(&site->servers, SERVER_REDIS, url, sizeof url) == 0 &&
                hearth_options_set(options, "remote.url", url) == HEARTH_OK &&
                hearth_options_set(options, "remote.timeout_ms", TIMEOUT_TEXT) == HEARTH_OK &&
                hearth_options_set(options, "local.max_bytes", "0") == HEARTH_OK &&
                hearth_open(options, &mourner->cache) == HEARTH_OK;
    hearth_options_free(options);
    for (size_t i = 0; made && i < SWARM_THREADS; i++) {
        mourner->values[i] = hearth_value_new();
        made = mourner->values[i] != NULL;
    }
    return made ? 0 : bench_fail(bench, "no cache");
}

static void close_mourner(struct mourner *mourner) {
    for (size_t i = 0; i < SWARM_THREADS; i++) {
        hearth_value_free(mourner->values[i]);
    }
    if (mourner->cache != NULL) {
        (void)hearth_close(mourner->cache);
    }
}

/* ---- ways to be dead --------------------------------------------------------------------- */

struct flapping {
    struct proxy *proxy;
    struct timespec length; /* silent for so long, then not */
    _Atomic bool over;
    pthread_t thread;
};

enum { FLAP_MS = 1000, FLAP_QUICK_MS = 20 };

static void *flap(void *arg) {
    struct flapping *flapping = arg;
    for (bool silent = true; !atomic_load(&flapping->over); silent = !silent) {
        if (silent) {
            proxy_hold(flapping->proxy, PROXY_TO_SERVER);
        } else {
            proxy_release(flapping->proxy, PROXY_TO_SERVER);
        }
        nanosleep(&flapping->length, NULL); /* so long it is as it is now: that is the fault */
    }
    return NULL;
}

static int measure(struct bench *bench, struct site *site, struct mourner *mourner) {
    struct stranger stranger = {&site->plain, mourner->dead};
    struct swarm_party parties[] = {
        {.ask = get_with_dead, .arg = mourner},
        {.ask = get_without_dead, .arg = &stranger},
    };
    const char *threads = strrchr(bench->case_name, '-') + 1;
    const struct swarm_place place = {.servers = site->pids, .count = site->nodes};
    hearth_stats stats = {.size = sizeof stats};
    parties[0].threads = parties[1].threads = (unsigned)strtoul(threads, NULL, 10);
    int64_t began_ns = hearth__monotonic_ns();
    if (swarm_contest(bench, &place, parties, 2) != 0) {
        return -1;
    }
    double seconds = (double)(hearth__monotonic_ns() - began_ns) / 1e9;
    (void)hearth_stats_get(mourner->cache, &stats);
    bench_row(bench, "p99 of the others", "us", swarm_p99(bench, &parties[0]), "without-dead",
              swarm_p99(bench, &parties[1]));
    bench_row(bench, "longest call", "ms",
              (struct figure){(double)atomic_load(&mourner->longest_ns) / 1e6, -1}, "timeout",
              (struct figure){TIMEOUT_MS, -1});
    bench_row(bench, "probes", "1/s",
              (struct figure){(double)stats.breaker_probes / seconds, -1}, "limit",
              (struct figure){1, -1});
    return 0;
}

static int mourn(struct bench *bench, struct site *site) {
    struct mourner mourner;
    int result = open_mourner(&mourner, site, bench);
    result = result == 0 ? measure(bench, site, &mourner) : result;
    close_mourner(&mourner);
    return result;
}

int remote_dead_refused(struct bench *bench, struct site *site) {
    if (!proxy_door(site->proxy, PROXY_SHUT)) {
        return bench_fail(bench, "the proxy's door does not shut");
    }
    proxy_cut(site->proxy, false);
    int result = mourn(bench, site);
    return proxy_door(site->proxy, PROXY_OPEN) ? result
                                               : bench_fail(bench, "the door does not open");
}

int remote_dead_silent(struct bench *bench, struct site *site) {
    proxy_hold(site->proxy, PROXY_TO_SERVER);
    int result = mourn(bench, site);
    proxy_release(site->proxy, PROXY_TO_SERVER);
    return result;
}

int remote_dead_flapping(struct bench *bench, struct site *site) {
    long ms = bench->quick ? FLAP_QUICK_MS : FLAP_MS;
    struct flapping flapping = {
        .proxy = site->proxy, .length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};
    if (pthread_create(&flapping.thread, NULL, flap, &flapping) != 0) {
        return bench_fail(bench, "no thread");
    }
    int result = mourn(bench, site);
    atomic_store(&flapping.over, true);
    (void)pthread_join(flapping.thread, NULL);
    proxy_release(site->proxy, PROXY_TO_SERVER);
    return result;
}
