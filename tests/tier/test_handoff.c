/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes that a node missed, on real servers: they are kept, and carried out before anything is read of their keys; so nothing
 * old comes back with the node. */
#include "tier/nodes_rig.h"

#include <hiredis/hiredis.h>

/* In the place of the C library's. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
                           const struct timespec *until) {
    return nodes_wait_until(condition, lock, until);
}

static int32_t get(struct nodes_rig *rig, size_t key) {
    return nodes_get_of(rig, rig->cache, key);
}

static int32_t set(struct nodes_rig *rig, size_t key, const char *value) {
    return nodes_set_of(rig, rig->cache, key, value);
}

static int32_t delete (struct nodes_rig *rig, size_t key) {
    return nodes_delete_of(rig, rig->cache, key);
}

static void set_all(struct nodes_rig *rig) {
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(set(rig, i, "old"), HEARTH_OK);
    }
}

static void assert_holds(struct nodes_rig *rig, size_t key, const char *value) {
    assert_int_equal(get(rig, key), HEARTH_OK);
    assert_int_equal(hearth_value_size(rig->value), strlen(value));
    assert_memory_equal(hearth_value_data(rig->value), value, strlen(value));
}

/* What another process would find. */
static int32_t found_by_others(struct nodes_rig *rig, size_t key) {
    hearth *other = nodes_open_cache(rig, NULL);
    int32_t status = nodes_get_of(rig, other, key);
    assert_int_equal(hearth_close(other), HEARTH_OK);
    return status;
}

/* Once the node can be asked again, however slowly it answers on a busy machine. */
static int32_t get_in_the_end(struct nodes_rig *rig, size_t key) {
    int32_t status = HEARTH_E_UNAVAILABLE;
    while (status == HEARTH_E_UNAVAILABLE) {
        nodes_pass_the_pause();
        status = get(rig, key);
    }
    return status;
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* What cannot be marked stale at its node goes there, once it can. */
static void a_mark_is_kept_as_a_delete(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_go_away(rig);
    const char *key = rig->keys[0];
    assert_int_equal(hearth_mark_stale(rig->cache, key, strlen(key), NULL), HEARTH_E_QUEUED);
    nodes_come_back(rig);
    assert_int_equal(get_in_the_end(rig, 0), HEARTH_MISS);
    assert_int_equal(nodes_stats_of(rig->cache).deletes_replayed, 1);
}

static void a_delete_is_kept_and_carried_out(void **state) {
    enum { KEPT = 2 * FAILURES };
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_go_away(rig);
    for (size_t i = 0; i < KEPT; i++) { /* before the breaker is open, and after */
        assert_int_equal(delete (rig, i), HEARTH_E_QUEUED);
        assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, i + 1);
    }
    assert_int_equal(delete (rig, KEYS - 1), HEARTH_OK);
    nodes_come_back(rig);
    assert_int_equal(get_in_the_end(rig, 0), HEARTH_MISS);
    hearth_stats stats = nodes_stats_of(rig->cache);
    assert_int_equal(stats.queued_deletes, 0);
    assert_int_equal(stats.queued_bytes, 0);
    assert_int_equal(stats.deletes_queued, KEPT);
    assert_int_equal(stats.deletes_replayed, KEPT);
    for (size_t i = 0; i < KEYS - 1; i++) {
        assert_int_equal(get(rig, i), i < KEPT ? HEARTH_MISS : HEARTH_OK);
        assert_int_equal(found_by_others(rig, i), i < KEPT ? HEARTH_MISS : HEARTH_OK);
    }
}

/* A node that took the delete and did not say so: it is carried out again. */
static void a_delete_whose_answer_is_lost_is_kept(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    proxy_swallow(rig->proxies[0], PROXY_TO_CLIENT, true);
    assert_int_equal(delete (rig, 0), HEARTH_E_QUEUED);
    proxy_swallow(rig->proxies[0], PROXY_TO_CLIENT, false);
    proxy_cut(rig->proxies[0], false);
    assert_int_equal(get_in_the_end(rig, 0), HEARTH_MISS);
    assert_int_equal(nodes_stats_of(rig->cache).deletes_replayed, 1);
}

/* The breaker has not opened: the node counts as good, and still its old value is not told. */
static void a_node_that_was_silent_once_tells_nothing_old(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_fall_silent(rig);
    assert_int_equal(delete (rig, 0), HEARTH_E_QUEUED);
    assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE); /* a try, and then a pause */
    nodes_speak_again(rig);
    assert_int_equal(get(rig, 0), HEARTH_E_UNAVAILABLE);
    assert_int_equal(get_in_the_end(rig, 0), HEARTH_MISS);
    assert_int_equal(nodes_stats_of(rig->cache).breaker_openings, 0);
}

/* Whoever asks first, of whatever key: the node's deletes come before. */
static void any_call_carries_them_out(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_go_away(rig);
    for (size_t i = 0; i < KEYS / 2 - 1; i++) {
        assert_int_equal(delete (rig, i), HEARTH_E_QUEUED);
    }
    nodes_come_back(rig);
    nodes_pass_the_pause();
    assert_holds(rig, KEYS / 2 - 1, "old");
    assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, 0);
    for (size_t i = 0; i < KEYS / 2 - 1; i++) {
        assert_int_equal(found_by_others(rig, i), HEARTH_MISS);
    }
}

static void a_key_is_kept_once(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_go_away(rig);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(delete (rig, 0), HEARTH_E_QUEUED);
    }
    assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, 1);
}

/* What a write that failed was to replace is not to come back either; the others end nothing. */
static void failed_writes_leave_nothing_old(void **state) {
    struct nodes_rig *rig = *state;
    hearth_write_options over;
    int64_t number = 0;
    set_all(rig);
    assert_int_equal(get(rig, 5), HEARTH_OK);
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(rig->value, &info), HEARTH_OK);
    hearth_write_options_init(&over, sizeof over);
    over.if_version = info.version;
    nodes_go_away(rig);
    assert_true(set(rig, 0, "new") < 0);
    assert_true(hearth_replace(rig->cache, rig->keys[1], strlen(rig->keys[1]), "new", 3, NULL) <
                0);
    assert_true(hearth_add(rig->cache, rig->keys[2], strlen(rig->keys[2]), "new", 3, NULL) < 0);
    assert_true(hearth_touch(rig->cache, rig->keys[3], strlen(rig->keys[3]), NULL) < 0);
    assert_true(
        hearth_increment(rig->cache, rig->keys[4], strlen(rig->keys[4]), 1, &number, NULL) < 0);
    assert_true(hearth_set(rig->cache, rig->keys[5], strlen(rig->keys[5]), "new", 3, &over) <
                0);
    assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, 2);
    nodes_come_back(rig);
    assert_int_equal(get_in_the_end(rig, 0), HEARTH_MISS);
    assert_int_equal(get(rig, 1), HEARTH_MISS);
    for (size_t i = 2; i < 6; i++) {
        assert_holds(rig, i, "old");
    }
}

/* Writes of a key come after its delete, and are not undone by it. */
static void what_is_written_afterwards_stays(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    nodes_go_away(rig);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(delete (rig, i), HEARTH_E_QUEUED);
    }
    nodes_come_back(rig);
    nodes_pass_the_pause();
    assert_int_equal(set(rig, 0, "new"), HEARTH_OK);
    assert_int_equal(hearth_add(rig->cache, rig->keys[1], strlen(rig->keys[1]), "new", 3, NULL),
                     HEARTH_OK);
    assert_int_equal(
        hearth_replace(rig->cache, rig->keys[2], strlen(rig->keys[2]), "new", 3, NULL),
        HEARTH_MISS);
    assert_int_equal(delete (rig, 3), HEARTH_MISS);
    assert_holds(rig, 0, "new");
    assert_holds(rig, 1, "new");
}

static void many_at_once(void **state) {
    struct nodes_rig *rig = *state;
    const void *keys[KEYS];
    size_t sizes[KEYS];
    hearth_value *values[KEYS] = {NULL};
    int32_t statuses[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = rig->keys[i];
        sizes[i] = strlen(rig->keys[i]);
    }
    set_all(rig);
    nodes_go_away(rig);
    assert_int_equal(hearth_delete_many(rig->cache, KEYS / 2 + 4, keys, sizes, NULL, statuses),
                     HEARTH_E_QUEUED);
    for (size_t i = 0; i < KEYS / 2 + 4; i++) {
        assert_int_equal(statuses[i], i < KEYS / 2 ? HEARTH_E_QUEUED : HEARTH_OK);
    }
    assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, KEYS / 2);
    assert_true(set(rig, 0, "new") < 0);
    nodes_come_back(rig);
    nodes_pass_the_pause();
    assert_int_equal(hearth_get_many(rig->cache, KEYS, keys, sizes, NULL, values, statuses),
                     HEARTH_OK);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(statuses[i], i < KEYS / 2 + 4 ? HEARTH_MISS : HEARTH_OK);
    }
}

/* More than goes in one batch; they are carried out call by call, and none is forgotten. */
static void a_long_queue_is_worked_off(void **state) {
    enum { LONG = 3000 };
    struct nodes_rig *rig = *state;
    char key[32];
    int kept = 0;
    assert_int_equal(get(rig, 0), HEARTH_MISS);
    nodes_go_away(rig);
    for (int i = 0; i < LONG; i++) {
        snprintf(key, sizeof key, "%s-%d", rig->keys[0], i);
        kept += hearth_delete(rig->cache, key, strlen(key), NULL) == HEARTH_E_QUEUED;
    }
    assert_in_range(kept, LONG / 4, LONG);
    assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, kept);
    nodes_come_back(rig);
    for (int i = 0; i < 1000 && nodes_stats_of(rig->cache).queued_deletes != 0; i++) {
        assert_int_equal(get_in_the_end(rig, 0), HEARTH_MISS);
    }
    assert_int_equal(nodes_stats_of(rig->cache).queued_deletes, 0);
    assert_int_equal(nodes_stats_of(rig->cache).deletes_replayed, kept);
}

/* ---- servers with old data ------------------------------------------------------------------ */

static void a_stopped_server_goes_on(void **state) {
    struct nodes_rig *rig = *state;
    size_t server = nodes_server_of(rig, 0);
    set_all(rig);
    assert_int_equal(servers_pause(nodes_servers(), server), 0);
    for (size_t i = 0; i < FAILURES + 1; i++) {
        assert_int_equal(delete (rig, i), HEARTH_E_QUEUED);
    }
    assert_int_equal(servers_resume(nodes_servers(), server), 0);
    nodes_pass_the_pause();
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(get(rig, i), i < FAILURES + 1 ? HEARTH_MISS : HEARTH_OK);
        assert_int_equal(found_by_others(rig, i), i < FAILURES + 1 ? HEARTH_MISS : HEARTH_OK);
    }
}

static void save(const char *path) {
    redisContext *context = redisConnectUnix(path);
    assert_non_null(context);
    redisReply *reply = redisCommand(context, "SAVE");
    assert_non_null(reply);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    redisFree(context);
}

static void a_server_restarts_from_its_snapshot(void **state) {
    struct nodes_rig *rig = *state;
    size_t server = nodes_server_of(rig, 0);
    set_all(rig);
    save(nodes_servers()->nodes[server].path);
    assert_int_equal(servers_kill(nodes_servers(), server), 0);
    for (size_t i = 0; i < KEYS / 4; i++) {
        assert_int_equal(delete (rig, i), HEARTH_E_QUEUED);
    }
    assert_int_equal(servers_restart(nodes_servers(), server), 0);
    assert_int_equal(found_by_others(rig, 0), HEARTH_OK); /* it has them still */
    nodes_pass_the_pause();
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(get(rig, i), i < KEYS / 4 ? HEARTH_MISS : HEARTH_OK);
        assert_int_equal(found_by_others(rig, i), i < KEYS / 4 ? HEARTH_MISS : HEARTH_OK);
    }
}

/* What is kept goes with the cache, but not without another try. */
static void closing_tries_once_more(void **state) {
    struct nodes_rig *rig = *state;
    set_all(rig);
    hearth *cache = nodes_open_cache(rig, NULL);
    nodes_go_away(rig);
    assert_int_equal(nodes_delete_of(rig, cache, 0), HEARTH_E_QUEUED);
    nodes_come_back(rig);
    nodes_pass_the_pause();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(found_by_others(rig, 0), HEARTH_MISS);
    assert_int_equal(found_by_others(rig, 1), HEARTH_OK);
}

/* ---- no room -------------------------------------------------------------------------------- */

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)key;
    (void)key_size;
    ++*(int *)arg;
    return hearth_fill_value(fill, "loaded", 6);
}

static void without_room_older_values_are_missing(void **state) {
    struct nodes_rig *rig = *state;
    const char *const options[] = {"remote.max_queued_bytes", "0", NULL};
    int loads = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &loads};
    set_all(rig);
    hearth *cache = nodes_open_cache(rig, options);
    nodes_go_away(rig);
    int32_t status = nodes_delete_of(rig, cache, 0);
    assert_true(status < 0 && status != HEARTH_E_QUEUED); /* it is not kept */
    assert_true(nodes_is_logged(cache, "remote.max_queued_bytes"));
    nodes_come_back(rig);
    nodes_pass_the_pause();
    assert_int_equal(nodes_get_of(rig, cache, 0), HEARTH_MISS);
    assert_int_equal(nodes_get_of(rig, cache, 1), HEARTH_MISS);
    assert_int_equal(nodes_get_of(rig, cache, KEYS - 1), HEARTH_OK);
    hearth_stats stats = nodes_stats_of(cache);
    assert_int_equal(stats.deletes_fenced, 1);
    assert_int_equal(stats.deletes_queued, 0);
    assert_int_equal(stats.values_fenced, 2);
    /* What comes now is new, for others too. */
    assert_int_equal(nodes_set_of(rig, cache, 0, "new"), HEARTH_OK);
    assert_int_equal(nodes_get_of(rig, cache, 0), HEARTH_OK);
    assert_int_equal(hearth_fetch(cache, rig->keys[1], strlen(rig->keys[1]), &loader, NULL,
                                  NULL, rig->value),
                     HEARTH_OK);
    assert_int_equal(loads, 1);
    assert_int_equal(nodes_get_of(rig, cache, 1), HEARTH_OK);
    assert_holds(rig, 1, "loaded");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- nothing old, whatever happens ---------------------------------------------------------- */

/* The application's database: a number a key, which only grows. */
struct origin {
    unsigned numbers[KEYS];
};

struct question {
    struct origin *origin;
    size_t key;
};

static int32_t load_number(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    const struct question *question = arg;
    (void)key;
    (void)key_size;
    return hearth_fill_value(fill, &question->origin->numbers[question->key], sizeof(unsigned));
}

static void read_number(struct nodes_rig *rig, hearth *cache, struct origin *origin, size_t key,
                        bool fetches) {
    struct question question = {origin, key};
    const hearth_loader loader = {.size = sizeof loader, .load = load_number, .arg = &question};
    int32_t status = fetches ? hearth_fetch(cache, rig->keys[key], strlen(rig->keys[key]),
                                            &loader, NULL, NULL, rig->value)
                             : nodes_get_of(rig, cache, key);
    assert_true(!fetches || status == HEARTH_OK);
    if (status == HEARTH_OK) {
        unsigned number = 0;
        assert_int_equal(hearth_value_size(rig->value), sizeof number);
        memcpy(&number, hearth_value_data(rig->value), sizeof number);
        assert_int_equal(number, origin->numbers[key]);
    }
}

static void write_number(struct nodes_rig *rig, hearth *cache, struct origin *origin,
                         size_t key, bool deletes) {
    const unsigned number = ++origin->numbers[key];
    if (deletes) {
        int32_t status = nodes_delete_of(rig, cache, key);
        assert_true(status == HEARTH_OK || status == HEARTH_MISS || status == HEARTH_E_QUEUED);
    } else {
        (void)hearth_set(cache, rig->keys[key], strlen(rig->keys[key]), &number, sizeof number,
                         NULL);
    }
}

static unsigned random_below(unsigned *seed, unsigned limit) {
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % limit;
}

/* A node comes and goes, time passes, and one process reads and writes: it never sees what it has ended. */
static void turn_of_events(struct nodes_rig *rig, hearth *cache, struct origin *origin,
                           unsigned *seed) {
    size_t key = random_below(seed, KEYS);
    switch (random_below(seed, 64)) {
    case 0:
        nodes_go_away(rig);
        break;
    case 1:
    case 2:
        nodes_come_back(rig);
        break;
    case 3:
    case 4:
        nodes_pass_the_pause();
        break;
    case 5:
        proxy_cut(rig->proxies[0], false);
        break;
    default:
        if (random_below(seed, 3) != 0) {
            read_number(rig, cache, origin, key, random_below(seed, 2) != 0);
        } else {
            write_number(rig, cache, origin, key, random_below(seed, 2) != 0);
        }
        break;
    }
}

static void nothing_old_comes_back(void **state) {
    struct nodes_rig *rig = *state;
    const char *const options[] = {"local.max_bytes", "1mb", "coherence.mode", "ttl", NULL};
    static struct origin origin;
    unsigned turns = getenv("HEARTH_LONG") != NULL ? 1000000 : 3000;
    unsigned seed = 1;
    memset(&origin, 0, sizeof origin);
    hearth *cache = nodes_open_cache(rig, options);
    for (unsigned i = 0; i < turns; i++) {
        turn_of_events(rig, cache, &origin, &seed);
    }
    hearth_stats stats = nodes_stats_of(cache);
    print_message("%llu kept, %llu carried out, %llu openings\n",
                  (unsigned long long)stats.deletes_queued,
                  (unsigned long long)stats.deletes_replayed,
                  (unsigned long long)stats.breaker_openings);
    assert_true(stats.deletes_replayed > turns / 500);
    assert_true(stats.breaker_openings > turns / 1000);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

#define ON_BOTH(test)                                                       \
    {#test " (redis)", test, nodes_open_redis, nodes_close, NULL}, {        \
#test " (memcached)", test, nodes_open_memcached, nodes_close, NULL \
    }

#define ON_ALL(test)                                                              \
    {#test " (redis)", test, nodes_open_redis, nodes_close, NULL},                \
        {#test " (memcached)", test, nodes_open_memcached, nodes_close, NULL}, {  \
#test " (libmemcached)", test, nodes_open_libmemcached, nodes_close, NULL \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_ALL(a_delete_is_kept_and_carried_out),
        ON_ALL(a_mark_is_kept_as_a_delete),
        ON_BOTH(a_delete_whose_answer_is_lost_is_kept),
        ON_ALL(a_node_that_was_silent_once_tells_nothing_old),
        ON_BOTH(any_call_carries_them_out),
        ON_BOTH(a_key_is_kept_once),
        ON_BOTH(failed_writes_leave_nothing_old),
        ON_BOTH(what_is_written_afterwards_stays),
        ON_ALL(many_at_once),
        ON_BOTH(a_long_queue_is_worked_off),
        ON_BOTH(a_stopped_server_goes_on),
        {"a_server_restarts_from_its_snapshot (redis)", a_server_restarts_from_its_snapshot,
         nodes_open_redis, nodes_close, NULL},
        ON_BOTH(closing_tries_once_more),
        ON_ALL(without_room_older_values_are_missing),
        ON_ALL(nothing_old_comes_back),
    };
    return cmocka_run_group_tests_name("handoff", tests, nodes_start, nodes_stop);
}
