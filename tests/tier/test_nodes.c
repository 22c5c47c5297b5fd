/* SPDX-License-Identifier: Apache-2.0 */
/* The breakers around nodes, on real servers of both kinds: a node that does not answer is left alone
 * after some calls, the others go on, and it is found again. */
#include "support/crowd.h"
#include "tier/nodes_rig.h"

#include <sched.h>

/* In the place of the C library's. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
                           const struct timespec *until) {
    return nodes_wait_until(condition, lock, until);
}

/* ---- asking --------------------------------------------------------------------------------- */

static int32_t get(struct nodes_rig *rig, size_t key) {
    return nodes_get_of(rig, rig->cache, key);
}

static hearth_stats stats_of(struct nodes_rig *rig) {
    return nodes_stats_of(rig->cache);
}

static void set_all(struct nodes_rig *rig) {
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(
            hearth_set(rig->cache, rig->keys[i], strlen(rig->keys[i]), "v", 1, NULL),
            HEARTH_OK);
    }
}

/* Until the node's breaker is open: not before so many calls got no answer. */
static void ask_until_left_alone(struct nodes_rig *rig) {
    for (int i = 0; i < FAILURES; i++) {
        assert_int_equal(stats_of(rig).breaker_openings, 0);
        assert_true(get(rig, 0) < 0);
    }
    assert_int_equal(stats_of(rig).breaker_openings, 1);
    assert_true(nodes_is_logged(rig->cache, "does not answer: calls to it fail at once"));
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* While it is gone one call after each pause is tried, and no other. */
static void a_node_that_is_gone_is_found_again(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_go_away(rig);
    ask_until_left_alone(rig);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
        assert_int_equal(get(rig, KEYS - 1), HEARTH_OK);
        nodes_pass_the_pause();
        assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
        assert_int_equal(stats_of(rig).breaker_probes, i);
    }
    nodes_come_back(rig);
    assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
    nodes_pass_the_pause();
    assert_int_equal(get(rig, 0), HEARTH_OK);
    assert_true(nodes_is_logged(rig->cache, "answers again"));
    assert_int_equal(stats_of(rig).breaker_openings, 1);
}

/* ---- every way of being dead ---- */

static void vanish(struct nodes_rig *rig) {
    assert_true(proxy_door(rig->proxies[0], PROXY_UNSEEN));
    proxy_cut(rig->proxies[0], false);
}

static void swallow(struct nodes_rig *rig) {
    proxy_swallow(rig->proxies[0], PROXY_TO_SERVER, true);
}

static void swallow_no_more(struct nodes_rig *rig) {
    proxy_swallow(rig->proxies[0], PROXY_TO_SERVER, false);
    proxy_cut(rig->proxies[0], false);
}

/* A byte for each call, and no answer has so few. */
static void drip(struct nodes_rig *rig) {
    proxy_hold(rig->proxies[0], PROXY_TO_CLIENT);
    proxy_let(rig->proxies[0], PROXY_TO_CLIENT, 1);
}

static void drip_no_more(struct nodes_rig *rig) {
    proxy_release(rig->proxies[0], PROXY_TO_CLIENT);
}

enum { ASKED = 10 * KEYS };

struct death {
    const char *how;
    void (*begin)(struct nodes_rig *rig);
    void (*go_on)(struct nodes_rig *rig); /* before each call; may be NULL */
    void (*end)(struct nodes_rig *rig);
};

static const struct death deaths[] = {
    {"it refuses", nodes_go_away, NULL, nodes_come_back},
    {"it is silent", nodes_fall_silent, NULL, nodes_speak_again},
    {"it takes no connection", vanish, NULL, nodes_come_back},
    {"it swallows", swallow, NULL, swallow_no_more},
    {"it drips", drip, drip, drip_no_more},
};

/* What the proxy held is still on its way, and a connection that is made anew has little time: so after each pause there is one
 * probe, until one succeeds. How many there were. */
static uint64_t probe_until_found(struct nodes_rig *rig, hearth *cache) {
    enum { MOST = 100 };
    for (uint64_t probes = 1; probes <= MOST; probes++) {
        nodes_pass_the_pause();
        if (nodes_get_of(rig, cache, 0) == HEARTH_OK) {
            return probes;
        }
    }
    return 0;
}

/* Two calls notice; from then on no call reaches it, the other node's keys are as they were, and none of its keys moves there. */
static void die(struct nodes_rig *rig, hearth *cache, const struct death *death) {
    hearth_stats before = nodes_stats_of(cache);
    print_message("  %s\n", death->how);
    death->begin(rig);
    for (int i = 0; i < 2; i++) {
        if (death->go_on != NULL) {
            death->go_on(rig);
        }
        assert_true(nodes_get_of(rig, cache, 0) < 0);
    }
    hearth_stats open = nodes_stats_of(cache);
    assert_int_equal(open.breaker_openings, before.breaker_openings + 1);
    assert_int_equal(open.nodes_left_alone, 1);
    for (size_t i = 0; i < ASKED; i++) {
        assert_int_equal(nodes_get_of(rig, cache, i % KEYS),
                         i % KEYS < KEYS / 2 ? HEARTH_E_UNAVAILABLE : HEARTH_OK);
    }
    hearth_stats after = nodes_stats_of(cache);
    assert_int_equal(after.breaker_refusals, open.breaker_refusals + ASKED / 2);
    assert_int_equal(after.remote_errors, open.remote_errors);
    assert_int_equal(after.connect_errors, open.connect_errors);
    assert_int_equal(after.breaker_probes, open.breaker_probes);
    death->end(rig);
    uint64_t probes = probe_until_found(rig, cache);
    assert_true(probes != 0);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(nodes_get_of(rig, cache, i), HEARTH_OK);
    }
    assert_int_equal(nodes_stats_of(cache).breaker_probes, after.breaker_probes + probes);
}

static void in_whatever_way_it_dies(void **state) {
    struct nodes_rig *rig = *state;
    const char *const options[] = {"breaker.failures", "2", "remote.timeout_ms", "200", NULL};
    hearth *cache = nodes_open_cache(rig, options);
    set_all(rig);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        die(rig, cache, &deaths[i]);
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    ++*(int *)arg;
    (void)key;
    (void)key_size;
    return hearth_fill_value(fill, "loaded", 6);
}

static void fetch_all(struct nodes_rig *rig, int *loads) {
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = loads};
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(hearth_fetch(rig->cache, rig->keys[i], strlen(rig->keys[i]), &loader,
                                      NULL, NULL, rig->value),
                         HEARTH_OK);
    }
}

/* Fetches are answered throughout, and the nodes, which come back empty, are filled again by the first fetch of each key. */
static void all_go_and_come_back_empty(void **state) {
    struct nodes_rig *rig = *state;
    int loads = 0;
    fetch_all(rig, &loads);
    fetch_all(rig, &loads);
    assert_int_equal(loads, KEYS);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(servers_kill(nodes_servers(), nodes_server_of(rig, i)), 0);
    }
    fetch_all(rig, &loads);
    assert_int_equal(loads, 2 * KEYS);
    assert_int_equal(stats_of(rig).nodes_left_alone, NODES);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(servers_restart(nodes_servers(), nodes_server_of(rig, i)), 0);
    }
    nodes_pass_the_pause();
    fetch_all(rig, &loads);
    assert_int_equal(loads, 3 * KEYS);
    fetch_all(rig, &loads);
    assert_int_equal(loads, 3 * KEYS);
    assert_int_equal(stats_of(rig).nodes_left_alone, 0);
}

/* ---- all gone, under load: faults.md, row 23 ---- */

enum { CALLERS = 8, PLACES = 2, TURNS_MOST = 3 /* of 10 s by the clock */ };

struct outage {
    struct nodes_rig *rig;
    hearth *cache; /* with a local tier, and PLACES places for loads */
    bool fails;    /* the source */
    _Atomic int running;
    _Atomic int most;
    _Atomic uint32_t stale;
    _Atomic uint32_t wrong; /* answers that are neither stale nor loaded */
};

static int32_t load_slowly(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct outage *outage = arg;
    int running = atomic_fetch_add(&outage->running, 1) + 1;
    int most = atomic_load(&outage->most);
    while (running > most && !atomic_compare_exchange_weak(&outage->most, &most, running)) {
    }
    for (int i = 0; i < 100; i++) { /* others come meanwhile */
        (void)sched_yield();
    }
    atomic_fetch_sub(&outage->running, 1);
    return outage->fails ? -1 : hearth_fill_value(fill, key, key_size);
}

static void ask_for_all(void *arg, size_t index) {
    struct outage *outage = arg;
    const hearth_loader loader = {.size = sizeof loader, .load = load_slowly, .arg = outage};
    hearth_value *value = hearth_value_new();
    for (size_t i = 0; i < KEYS; i++) {
        const char *key = outage->rig->keys[(i + index) % KEYS];
        hearth_info info = {.size = sizeof info};
        int32_t status =
            hearth_fetch(outage->cache, key, strlen(key), &loader, NULL, NULL, value);
        if (status != HEARTH_OK || hearth_value_info(value, &info) != HEARTH_OK) {
            outage->wrong++;
        } else if (info.freshness == HEARTH_STALE) {
            outage->stale++;
        } else {
            outage->wrong += hearth_value_size(value) != strlen(key);
        }
    }
    hearth_value_free(value);
}

static size_t count_at_nodes(const struct outage *outage) {
    hearth_read_options read;
    size_t count = 0;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOCAL;
    for (size_t i = 0; i < KEYS; i++) {
        const char *key = outage->rig->keys[i];
        count += hearth_get(outage->cache, key, strlen(key), &read, NULL) == HEARTH_OK;
    }
    return count;
}

static void open_for_outage(struct outage *outage, struct nodes_rig *rig) {
    static const char *const settings[] = {
        "local.max_bytes", "4mb", "local.max_ttl_ms",    "10h", "ttl_ms", "10h",
        "coherence.mode",  "ttl", "load.max_concurrent", "2",   NULL};
    hearth_write_options write;
    *outage = (struct outage){.rig = rig, .cache = nodes_open_cache(rig, settings)};
    hearth_write_options_init(&write, sizeof write);
    write.soft_ttl_ms = 1;
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(
            hearth_set(outage->cache, rig->keys[i], strlen(rig->keys[i]), "old", 3, &write),
            HEARTH_OK);
    }
}

/* Its local copies end, as they do after local.max_ttl_ms, and all callers ask. */
static void ask_from_cold(struct outage *outage) {
    nodes_pass_the_pause();
    for (size_t i = 0; i < KEYS; i++) {
        const char *key = outage->rig->keys[i];
        assert_int_equal(hearth_evict_local(outage->cache, key, strlen(key)), HEARTH_OK);
    }
    assert_true(crowd_run(CALLERS, ask_for_all, outage));
}

/* Callers get what is stale while nothing else answers; and when the nodes come back empty, nobody has to do anything: nine keys in
 * ten are there again within half a minute, and no more loads run at once than may. */
static void what_is_stale_is_served_until_the_nodes_are_back(void **state) {
    struct nodes_rig *rig = *state;
    struct outage outage;
    open_for_outage(&outage, rig);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(servers_kill(nodes_servers(), nodes_server_of(rig, i)), 0);
    }
    nodes_pass_the_pause(); /* all of it is stale */
    outage.fails = true;
    assert_true(crowd_run(CALLERS, ask_for_all, &outage));
    assert_int_equal(outage.stale, CALLERS * KEYS);
    assert_int_equal(nodes_stats_of(outage.cache).stale_served, CALLERS * KEYS);
    assert_true(nodes_stats_of(outage.cache).load_errors > 0);
    outage.fails = false;
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(servers_restart(nodes_servers(), nodes_server_of(rig, i)), 0);
    }
    for (int i = 0; i < TURNS_MOST && count_at_nodes(&outage) < KEYS * 9 / 10; i++) {
        ask_from_cold(&outage);
    }
    assert_true(count_at_nodes(&outage) >= KEYS * 9 / 10);
    assert_int_equal(outage.wrong, 0);
    assert_in_range(outage.most, 1, PLACES);
    assert_int_equal(hearth_close(outage.cache), HEARTH_OK);
}

/* It is there and gone in turns: each time it is found out once. */
static void a_node_that_flaps_is_probed_once_a_turn(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    for (uint64_t turn = 1; turn <= 20; turn++) {
        nodes_go_away(rig);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
            assert_int_equal(get(rig, KEYS - 1), HEARTH_OK);
        }
        nodes_come_back(rig);
        assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
        nodes_pass_the_pause();
        for (int i = 0; i < 20; i++) {
            assert_int_equal(get(rig, 0), HEARTH_OK);
        }
        assert_int_equal(stats_of(rig).breaker_openings, turn);
        assert_int_equal(stats_of(rig).breaker_probes, turn);
    }
}

/* In one call for many keys: the open node's fail alone, writes as well as reads. */
static void a_batch_goes_on_without_it(void **state) {
    struct nodes_rig *rig = *state;
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
    nodes_go_away(rig);
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
    struct nodes_rig *rig = *state;
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
    nodes_go_away(rig);
    for (int i = 1; i <= FAILURES; i++) {
        assert_true(hearth_get_many(rig->cache, KEYS, keys, sizes, NULL, values, statuses) < 0);
        assert_int_equal(stats_of(rig).breaker_openings, i == FAILURES);
    }
    for (size_t i = 0; i < KEYS; i++) {
        hearth_value_free(values[i]);
    }
}

static void a_fetch_is_answered_by_the_loader(void **state) {
    struct nodes_rig *rig = *state;
    int calls = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &calls};
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    nodes_go_away(rig);
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
    struct nodes_rig *rig = *state;
    hearth_read_options options;
    hearth_read_options_init(&options, sizeof options);
    options.deadline_ms = 1;
    set_all(rig);
    hearth *patient = nodes_open_cache(
        rig, (const char *const[]){"breaker.failures", "2", "remote.timeout_ms", "1s", NULL});
    nodes_fall_silent(rig);
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
    struct nodes_rig *rig = *state;
    hearth *without = nodes_open_cache(
        rig, (const char *const[]){"breaker.failures", "0", "remote.timeout_ms", "20", NULL});
    nodes_fall_silent(rig);
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
    struct nodes_rig *rig = *state;
    static char text[65536];
    char line[SERVERS_PATH_BYTES + 64];
    size_t needed = 0;
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    nodes_go_away(rig);
    ask_until_left_alone(rig);
    assert_int_equal(hearth_stats_text(rig->cache, text, sizeof text, &needed), HEARTH_OK);
    for (int i = 0; i < NODES; i++) {
        snprintf(line, sizeof line, "\nhearth_node_breaker_open{node=\"%s\"} %d\n",
                 proxy_path(rig->proxies[i]), i == 0);
        assert_non_null(strstr(text, line));
    }
    assert_non_null(strstr(text, "\nhearth_nodes_left_alone 1\n"));
    nodes_come_back(rig);
    nodes_pass_the_pause();
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    assert_int_equal(stats_of(rig).nodes_left_alone, 0);
}

/* A server that refuses is there: reads of it go on. */
static void a_refusal_is_an_answer(void **state) {
    struct nodes_rig *rig = *state;
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

#define ON_BOTH(test)                                                       \
    {#test " (redis)", test, nodes_open_redis, nodes_close, NULL}, {        \
#test " (memcached)", test, nodes_open_memcached, nodes_close, NULL \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_node_that_is_gone_is_found_again),
        ON_BOTH(in_whatever_way_it_dies),
        ON_BOTH(a_node_that_flaps_is_probed_once_a_turn),
        ON_BOTH(all_go_and_come_back_empty),
        ON_BOTH(what_is_stale_is_served_until_the_nodes_are_back),
        ON_BOTH(a_batch_goes_on_without_it),
        ON_BOTH(a_batch_that_fails_counts_once),
        ON_BOTH(a_fetch_is_answered_by_the_loader),
        ON_BOTH(impatient_callers_do_not_open_it),
        ON_BOTH(with_0_failures_there_is_none),
        ON_BOTH(its_state_is_told),
        {"a_refusal_is_an_answer", a_refusal_is_an_answer, nodes_open_redis, nodes_close, NULL},
    };
    return cmocka_run_group_tests_name("nodes", tests, nodes_start, nodes_stop);
}
