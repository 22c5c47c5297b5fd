/* SPDX-License-Identifier: Apache-2.0 */
/* The breakers around nodes, on real servers of both kinds: a node that does not answer is left alone
 * after some calls, the others go on, and it is found again. */
#include <hearth/hearth.h>

#include "support/crowd.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { NODES = 2, KEYS = 32, FAILURES = 3 };

/* ---- time ----------------------------------------------------------------------------------- */

static _Atomic int64_t ahead_ns; /* of the machine's clocks */

/* In the place of the C library's, for the library under test: it links this program first. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    struct timespec real = {0};
    (void)syscall(SYS_clock_gettime, clock, &real);
    int64_t now_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec + atomic_load(&ahead_ns);
    *time = (struct timespec){.tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
    return 0;
}

/* Longer than any pause between two probes. */
static void pass_the_pause(void) {
    atomic_fetch_add(&ahead_ns, INT64_C(10000000000));
}

/* ---- two nodes of a kind, each behind a proxy ------------------------------------------------ */

static struct servers servers;

static int start_servers(void **state) {
    (void)state;
    int failed = servers_open(&servers);
    for (int i = 0; failed == 0 && i < NODES; i++) {
        failed = servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL);
    }
    for (int i = 0; failed == 0 && i < NODES; i++) {
        failed = servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL);
    }
    if (failed != 0) {
        print_error("%s\n", servers.error);
    }
    return failed;
}

static int stop_servers(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

struct rig {
    enum server_kind kind;
    struct proxy *proxies[NODES];
    hearth *cache;
    char keys[KEYS][24]; /* half of them on each node, the first one's first */
    hearth_value *value;
};

static hearth *open_cache(struct rig *rig, const char *failures, const char *timeout_ms) {
    char url[NODES * SERVERS_PATH_BYTES + 64];
    hearth_options *options = hearth_options_new();
    hearth *cache = NULL;
    assert_non_null(options);
    snprintf(url, sizeof url, "%s+unix://%s,%s",
             rig->kind == SERVER_REDIS ? "redis" : "memcached", proxy_path(rig->proxies[0]),
             proxy_path(rig->proxies[1]));
    assert_int_equal(hearth_options_set(options, "remote.url", url), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "remote.timeout_ms", timeout_ms), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "breaker.failures", failures), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "local.max_bytes", "0"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

/* The first half of the keys lie on node 0, the others on node 1. No other test has them. */
static void find_keys(struct rig *rig) {
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

static int open_rig(void **state, enum server_kind kind) {
    char failures[8];
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    *state = rig;
    rig->kind = kind;
    for (size_t i = 0; i < NODES; i++) {
        const struct server_node *node = &servers.nodes[kind == SERVER_REDIS ? i : NODES + i];
        rig->proxies[i] = proxy_start(node->path, 0);
        assert_non_null(rig->proxies[i]);
    }
    snprintf(failures, sizeof failures, "%d", FAILURES);
    rig->cache = open_cache(rig, failures, "100");
    rig->value = hearth_value_new();
    assert_non_null(rig->value);
    find_keys(rig);
    return 0;
}

static int open_redis(void **state) {
    return open_rig(state, SERVER_REDIS);
}

static int open_memcached(void **state) {
    return open_rig(state, SERVER_MEMCACHED);
}

static int close_rig(void **state) {
    struct rig *rig = *state;
    hearth_value_free(rig->value);
    (void)hearth_close(rig->cache);
    proxy_stop(rig->proxies[0]);
    proxy_stop(rig->proxies[1]);
    free(rig);
    return 0;
}

/* The first node refuses connections. */
static void go_away(struct rig *rig) {
    assert_true(proxy_door(rig->proxies[0], PROXY_SHUT));
    proxy_cut(rig->proxies[0], false);
}

static void come_back(struct rig *rig) {
    assert_true(proxy_door(rig->proxies[0], PROXY_OPEN));
}

/* The first node takes all and answers nothing. */
static void fall_silent(struct rig *rig) {
    proxy_hold(rig->proxies[0], PROXY_TO_SERVER);
}

static void speak_again(struct rig *rig) {
    proxy_release(rig->proxies[0], PROXY_TO_SERVER);
}

/* ---- asking --------------------------------------------------------------------------------- */

static int32_t get(struct rig *rig, size_t key) {
    return hearth_get(rig->cache, rig->keys[key], strlen(rig->keys[key]), NULL, rig->value);
}

static hearth_stats stats_of(struct rig *rig) {
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_stats_get(rig->cache, &stats), HEARTH_OK);
    return stats;
}

static bool is_logged(struct rig *rig, const char *words) {
    hearth_log_record record = {.size = sizeof record};
    while (hearth_log_next(rig->cache, &record) == HEARTH_OK) {
        if (strstr(record.text, words) != NULL) {
            return true;
        }
    }
    return false;
}

static void set_all(struct rig *rig) {
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(
            hearth_set(rig->cache, rig->keys[i], strlen(rig->keys[i]), "v", 1, NULL),
            HEARTH_OK);
    }
}

/* Until the node's breaker is open: not before so many calls got no answer. */
static void ask_until_left_alone(struct rig *rig) {
    for (int i = 0; i < FAILURES; i++) {
        assert_int_equal(stats_of(rig).breaker_openings, 0);
        assert_true(get(rig, 0) < 0);
    }
    assert_int_equal(stats_of(rig).breaker_openings, 1);
    assert_true(is_logged(rig, "does not answer: calls to it fail at once"));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void a_node_that_is_silent_is_left_alone(void **state) {
    struct rig *rig = *state;
    set_all(rig);
    fall_silent(rig);
    ask_until_left_alone(rig);
    uint64_t errors = stats_of(rig).remote_errors;
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(get(rig, i), i < KEYS / 2 ? HEARTH_E_UNAVAILABLE : HEARTH_OK);
    }
    assert_int_equal(stats_of(rig).breaker_refusals, KEYS / 2);
    assert_int_equal(stats_of(rig).remote_errors, errors); /* nobody asked it */
    assert_int_equal(stats_of(rig).breaker_probes, 0);
    speak_again(rig);
    pass_the_pause();
    assert_int_equal(get(rig, 0), HEARTH_OK);
    assert_int_equal(stats_of(rig).breaker_probes, 1);
    assert_true(is_logged(rig, "answers again"));
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(get(rig, i), HEARTH_OK);
    }
    assert_int_equal(stats_of(rig).breaker_openings, 1);
}

/* While it is gone one call after each pause is tried, and no other. */
static void a_node_that_is_gone_is_found_again(void **state) {
    struct rig *rig = *state;
    set_all(rig);
    go_away(rig);
    ask_until_left_alone(rig);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
        assert_int_equal(get(rig, KEYS - 1), HEARTH_OK);
        pass_the_pause();
        assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
        assert_int_equal(stats_of(rig).breaker_probes, i);
    }
    come_back(rig);
    assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
    pass_the_pause();
    assert_int_equal(get(rig, 0), HEARTH_OK);
    assert_int_equal(stats_of(rig).breaker_openings, 1);
}

/* In one call for many keys: the open node's fail alone, writes as well as reads. */
static void a_batch_goes_on_without_it(void **state) {
    struct rig *rig = *state;
    const void *keys[KEYS];
    size_t sizes[KEYS];
    const void *data[KEYS];
    size_t data_sizes[KEYS];
    hearth_value *values[KEYS];
    int32_t statuses[KEYS];
    for (size_t i = 0; i < KEYS; i++) { /* in turns */
        keys[i] = rig->keys[i / 2 + i % 2 * (KEYS / 2)];
        sizes[i] = strlen(keys[i]);
        data[i] = keys[i];
        data_sizes[i] = sizes[i];
        values[i] = hearth_value_new();
    }
    set_all(rig);
    go_away(rig);
    ask_until_left_alone(rig);
    (void)hearth_set_many(rig->cache, KEYS, keys, sizes, data, data_sizes, NULL, statuses);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(statuses[i], i % 2 == 0 ? HEARTH_E_UNAVAILABLE : HEARTH_OK);
    }
    assert_true(hearth_get_many(rig->cache, KEYS, keys, sizes, NULL, values, statuses) < 0);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(statuses[i], i % 2 == 0 ? HEARTH_E_UNAVAILABLE : HEARTH_OK);
        if (i % 2 == 1) {
            assert_int_equal(hearth_value_size(values[i]), sizes[i]);
            assert_memory_equal(hearth_value_data(values[i]), keys[i], sizes[i]);
        }
        hearth_value_free(values[i]);
    }
    assert_int_equal(stats_of(rig).breaker_refusals, KEYS);
}

/* A call for many keys is one call. */
static void a_batch_that_fails_counts_once(void **state) {
    struct rig *rig = *state;
    const void *keys[KEYS];
    size_t sizes[KEYS];
    hearth_value *values[KEYS];
    int32_t statuses[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = rig->keys[i];
        sizes[i] = strlen(rig->keys[i]);
        values[i] = hearth_value_new();
    }
    set_all(rig);
    go_away(rig);
    for (int i = 1; i <= FAILURES; i++) {
        assert_true(hearth_get_many(rig->cache, KEYS, keys, sizes, NULL, values, statuses) < 0);
        assert_int_equal(stats_of(rig).breaker_openings, i == FAILURES);
    }
    for (size_t i = 0; i < KEYS; i++) {
        hearth_value_free(values[i]);
    }
}

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    ++*(int *)arg;
    (void)key;
    (void)key_size;
    return hearth_fill_value(fill, "loaded", 6);
}

static void a_fetch_is_answered_by_the_loader(void **state) {
    struct rig *rig = *state;
    int calls = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &calls};
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    go_away(rig);
    ask_until_left_alone(rig);
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(hearth_fetch(rig->cache, rig->keys[0], strlen(rig->keys[0]), &loader,
                                      NULL, NULL, rig->value),
                         HEARTH_OK);
        assert_int_equal(calls, i);
    }
    assert_int_equal(stats_of(rig).breaker_refusals, 10);
}

/* Who gives a node no time has learned nothing about it. */
static void impatient_callers_do_not_open_it(void **state) {
    struct rig *rig = *state;
    hearth_read_options options;
    hearth_read_options_init(&options, sizeof options);
    options.deadline_ms = 1;
    set_all(rig);
    hearth *patient = open_cache(rig, "2", "10000");
    fall_silent(rig);
    for (int i = 0; i < 20; i++) {
        assert_true(
            hearth_get(patient, rig->keys[0], strlen(rig->keys[0]), &options, rig->value) < 0);
    }
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_stats_get(patient, &stats), HEARTH_OK);
    assert_int_equal(stats.breaker_openings, 0);
    assert_int_equal(hearth_close(patient), HEARTH_OK);
}

static void with_0_failures_there_is_none(void **state) {
    struct rig *rig = *state;
    hearth *without = open_cache(rig, "0", "20");
    fall_silent(rig);
    for (int i = 0; i < 3 * FAILURES; i++) {
        assert_true(hearth_get(without, rig->keys[0], strlen(rig->keys[0]), NULL, rig->value) <
                    0);
    }
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_stats_get(without, &stats), HEARTH_OK);
    assert_int_equal(stats.breaker_openings, 0);
    assert_int_equal(stats.breaker_refusals, 0);
    assert_int_equal(hearth_close(without), HEARTH_OK);
}

static void its_state_is_told(void **state) {
    struct rig *rig = *state;
    static char text[65536];
    char line[SERVERS_PATH_BYTES + 64];
    size_t needed = 0;
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    go_away(rig);
    ask_until_left_alone(rig);
    assert_int_equal(hearth_stats_text(rig->cache, text, sizeof text, &needed), HEARTH_OK);
    for (int i = 0; i < NODES; i++) {
        snprintf(line, sizeof line, "\nhearth_node_breaker_open{node=\"%s\"} %d\n",
                 proxy_path(rig->proxies[i]), i == 0);
        assert_non_null(strstr(text, line));
    }
    assert_non_null(strstr(text, "\nhearth_nodes_left_alone 1\n"));
    come_back(rig);
    pass_the_pause();
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    assert_int_equal(stats_of(rig).nodes_left_alone, 0);
}

/* A server that refuses is there: reads of it go on. */
static void a_refusal_is_an_answer(void **state) {
    struct rig *rig = *state;
    static const char *const full[] = {"--maxmemory", "1", NULL};
    struct servers own;
    char url[SERVERS_PATH_BYTES + 32];
    hearth *cache = NULL;
    assert_int_equal(servers_open(&own), 0);
    assert_int_equal(servers_start(&own, SERVER_REDIS, SERVER_UNIX, full), 0);
    assert_int_equal(servers_url(&own, SERVER_REDIS, url, sizeof url), 0);
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "remote.url", url), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "remote.timeout_ms", "10s"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(hearth_set(cache, "a", 1, "v", 1, NULL), HEARTH_E_UNAVAILABLE);
    }
    assert_int_equal(hearth_get(cache, "a", 1, NULL, rig->value), HEARTH_MISS);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    servers_stop(&own);
}

#define ON_BOTH(test)                                               \
    {#test " (redis)", test, open_redis, close_rig, NULL}, {        \
#test " (memcached)", test, open_memcached, close_rig, NULL \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_node_that_is_silent_is_left_alone),
        ON_BOTH(a_node_that_is_gone_is_found_again),
        ON_BOTH(a_batch_goes_on_without_it),
        ON_BOTH(a_batch_that_fails_counts_once),
        ON_BOTH(a_fetch_is_answered_by_the_loader),
        ON_BOTH(impatient_callers_do_not_open_it),
        ON_BOTH(with_0_failures_there_is_none),
        ON_BOTH(its_state_is_told),
        {"a_refusal_is_an_answer", a_refusal_is_an_answer, open_redis, close_rig, NULL},
    };
    return cmocka_run_group_tests_name("nodes", tests, start_servers, stop_servers);
}
