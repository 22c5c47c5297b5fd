/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/nodes_rig.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t ahead_ns; /* of the machine's clocks */

/* In the place of the C library's, for the library under test: it links this program first. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    struct timespec real = {0};
    (void)syscall(SYS_clock_gettime, clock, &real);
    int64_t now_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec + atomic_load(&ahead_ns);
    *time = (struct timespec){.tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
    return 0;
}

int nodes_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                     const struct timespec *until) {
    clockid_t clock = until->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    int64_t until_ns =
        (int64_t)until->tv_sec * 1000000000 + until->tv_nsec - atomic_load(&ahead_ns);
    struct timespec real = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    return pthread_cond_clockwait(condition, lock, clock, &real);
}

void nodes_pass_the_pause(void) {
    atomic_fetch_add(&ahead_ns, INT64_C(10000000000));
}

/* ---- servers and caches ----------------------------------------------------------------- */

static struct servers servers;

int nodes_start(void **state) {
    (void)state;
    int failed = servers_open(&servers);
    for (int i = 0; failed == 0 && i < 2 * NODES; i++) {
        failed = servers_start(&servers, i < NODES ? SERVER_REDIS : SERVER_MEMCACHED,
                               SERVER_UNIX, NULL);
    }
    if (failed != 0) {
        print_error("%s\n", servers.error);
    }
    return failed;
}

int nodes_stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

struct servers *nodes_servers(void) {
    return &servers;
}

size_t nodes_server_of(const struct nodes_rig *rig, size_t node) {
    return rig->kind == SERVER_REDIS ? node : NODES + node;
}

static void set_options(hearth_options *options, const char *const *settings) {
    for (; settings != NULL && *settings != NULL; settings += 2) {
        if (hearth_options_set(options, settings[0], settings[1]) != HEARTH_OK) {
            fail_msg("%s", hearth_options_error(options));
        }
    }
}

hearth *nodes_open_cache(struct nodes_rig *rig, const char *const *more) {
    char url[NODES * SERVERS_PATH_BYTES + 64];
    char failures[8];
    hearth_options *options = hearth_options_new();
    hearth *cache = NULL;
    assert_non_null(options);
    snprintf(failures, sizeof failures, "%d", FAILURES);
    snprintf(url, sizeof url, "%s+unix://%s,%s",
             rig->kind == SERVER_REDIS ? "redis" : "memcached", proxy_path(rig->proxies[0]),
             proxy_path(rig->proxies[1]));
    const char *const settings[] = {"remote.url",
                                    url,
                                    "remote.timeout_ms",
                                    "300",
                                    "breaker.failures",
                                    failures,
                                    "local.max_bytes",
                                    "0",
                                    "remote.restart_distrust_ms",
                                    "0", /* the servers' clocks go on as they do */
                                    "remote.memcached_client",
                                    rig->libmemcached ? "libmemcached" : "hearth",
                                    NULL};
    set_options(options, settings);
    set_options(options, more);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

static void find_keys(struct nodes_rig *rig) {
    static unsigned number;
    size_t found[NODES] = {0, 0};
    while (found[0] < KEYS / 2 || found[1] < KEYS / 2) {
        char key[24];
        uint32_t node = 0;
        snprintf(key, sizeof key, "key-%u", number++);
        assert_int_equal(hearth_node_of(rig->cache, key, strlen(key), &node, NULL, 0),
                         HEARTH_OK);
        if (found[node] < KEYS / 2) {
            memcpy(rig->keys[node * KEYS / 2 + found[node]++], key, sizeof key);
        }
    }
}

static int open_rig(void **state, enum server_kind kind, bool libmemcached) {
    struct nodes_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    *state = rig;
    rig->kind = kind;
    rig->libmemcached = libmemcached;
    for (size_t i = 0; i < NODES; i++) {
        const struct server_node *node = &servers.nodes[nodes_server_of(rig, i)];
        rig->proxies[i] = proxy_start(node->path, 0);
        assert_non_null(rig->proxies[i]);
    }
    rig->cache = nodes_open_cache(rig, NULL);
    rig->value = hearth_value_new();
    assert_non_null(rig->value);
    find_keys(rig);
    return 0;
}

int nodes_open_redis(void **state) {
    return open_rig(state, SERVER_REDIS, false);
}

int nodes_open_memcached(void **state) {
    return open_rig(state, SERVER_MEMCACHED, false);
}

int nodes_open_libmemcached(void **state) {
    return open_rig(state, SERVER_MEMCACHED, true);
}

int nodes_close(void **state) {
    struct nodes_rig *rig = *state;
    hearth_value_free(rig->value);
    (void)hearth_close(rig->cache);
    proxy_stop(rig->proxies[0]);
    proxy_stop(rig->proxies[1]);
    free(rig);
    return 0;
}

/* ---- the first node --------------------------------------------------------------------- */

void nodes_go_away(struct nodes_rig *rig) {
    assert_true(proxy_door(rig->proxies[0], PROXY_SHUT));
    proxy_cut(rig->proxies[0], false);
}

void nodes_come_back(struct nodes_rig *rig) {
    assert_true(proxy_door(rig->proxies[0], PROXY_OPEN));
}

void nodes_fall_silent(struct nodes_rig *rig) {
    proxy_hold(rig->proxies[0], PROXY_TO_SERVER);
}

void nodes_speak_again(struct nodes_rig *rig) {
    proxy_release(rig->proxies[0], PROXY_TO_SERVER);
}

/* ---- calls ------------------------------------------------------------------------------ */

int32_t nodes_get_of(struct nodes_rig *rig, hearth *cache, size_t key) {
    return hearth_get(cache, rig->keys[key], strlen(rig->keys[key]), NULL, rig->value);
}

int32_t nodes_set_of(struct nodes_rig *rig, hearth *cache, size_t key, const char *value) {
    return hearth_set(cache, rig->keys[key], strlen(rig->keys[key]), value, strlen(value),
                      NULL);
}

int32_t nodes_delete_of(struct nodes_rig *rig, hearth *cache, size_t key) {
    return hearth_delete(cache, rig->keys[key], strlen(rig->keys[key]), NULL);
}

hearth_stats nodes_stats_of(hearth *cache) {
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    return stats;
}

bool nodes_is_logged(hearth *cache, const char *words) {
    hearth_log_record record = {.size = sizeof record};
    while (hearth_log_next(cache, &record) == HEARTH_OK) {
        if (strstr(record.text, words) != NULL) {
            return true;
        }
    }
    return false;
}
