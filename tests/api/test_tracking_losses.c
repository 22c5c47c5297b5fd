/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of local copies when connections, listeners and nodes are lost: none is trusted for longer than promised, and none that may
 * still be an answer is thrown away. */
#include "support/crowd.h"
#include "tracking_rig.h"

#include "base/clock.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

/* ---- losses -------------------------------------------------------------------------------- */

static void a_listener_that_is_killed_takes_its_copies_along(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "old");
    tracking_track(&rig, "k");
    tracking_tell(rig.client, "CLIENT KILL TYPE pubsub");
    tracking_set(rig.other, "k", "new");
    assert_true(await_until(tracking_has_lost, &rig));
    assert_string_equal(tracking_get(&rig, "k").text, "new");
    tracking_rig_close(&rig);
}

static bool is_untold_copy(void *arg) {
    const struct tracking_copy *copy = arg;
    struct tracking_found found = tracking_get(copy->rig, copy->key);
    return found.info.tier == HEARTH_TIER_LOCAL && found.info.ttl_left_ms <= 1000;
}

/* Its connections work on: what is read there is kept as if nobody had ever told. */
static void without_a_listener_there_are_copies_for_a_second(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "value");
    tracking_track(&rig, "k");
    assert_true(proxy_door(rig.proxy, PROXY_SHUT));
    tracking_tell(rig.client, "CLIENT KILL TYPE pubsub");
    assert_true(await_until(tracking_has_lost, &rig));
    struct tracking_copy copy = {.rig = &rig, .key = "k"};
    assert_true(await_until(is_untold_copy, &copy));
    tracking_rig_close(&rig);
}

static void a_silent_node_is_trusted_no_longer_than_promised(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open_with(&rig, TRACKING_SOON_MS, "4");
    tracking_set(rig.other, "k", "old");
    tracking_track(&rig, "k");
    proxy_swallow(rig.proxy, PROXY_TO_CLIENT, true);
    int64_t changed_ms = hearth__boot_ms();
    tracking_set(rig.other, "k", "new");
    const hearth_read_options no_remote = {.size = sizeof no_remote,
                                           .flags = HEARTH_READ_NO_REMOTE,
                                           .max_stale_ms = HEARTH_STALE_ANY};
    struct tracking_found found = {.status = HEARTH_OK};
    while (found.status == HEARTH_OK) {
        int64_t asked_ms = hearth__boot_ms();
        found = tracking_get_with(&rig, "k", &no_remote);
        if (found.status == HEARTH_OK) {
            assert_string_equal(found.text, "old");
            /* It was right when it says it was. */
            assert_true(asked_ms - found.info.staleness_bound_ms <= changed_ms + 1);
            assert_true(asked_ms <= changed_ms + TRACKING_GRACE_MS);
        }
    }
    assert_int_equal(found.status, HEARTH_MISS);
    proxy_swallow(rig.proxy, PROXY_TO_CLIENT, false);
    tracking_rig_close(&rig);
}

/* Their copies are told of no more, and nothing says so. */
static void connections_that_end_take_their_copies_along_in_time(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open_with(&rig, TRACKING_SOON_MS, "4");
    tracking_set(rig.other, "k", "old");
    tracking_track(&rig, "k");
    tracking_tell(rig.client, "CLIENT KILL TYPE normal SKIPME yes");
    int64_t changed_ms = hearth__boot_ms();
    tracking_set(rig.other, "k", "new");
    for (;;) {
        int64_t asked_ms = hearth__boot_ms();
        struct tracking_found found = tracking_get(&rig, "k");
        assert_int_equal(found.status, HEARTH_OK);
        if (strcmp(found.text, "new") == 0) {
            break;
        }
        assert_true(asked_ms - found.info.staleness_bound_ms <= changed_ms + 1);
        assert_true(asked_ms <= changed_ms + TRACKING_GRACE_MS);
    }
    tracking_track(&rig, "k");
    tracking_rig_close(&rig);
}

/* Large enough that it shows in what a proxy has seen. */
enum { LARGE = 200000 };

static void set_large(hearth *cache, char fill) {
    const hearth_write_options write = {.size = sizeof write, .ttl_ms = 600000};
    char *text = malloc(LARGE);
    assert_non_null(text);
    memset(text, fill, LARGE);
    assert_int_equal(hearth_set(cache, "k", 1, text, LARGE, &write), HEARTH_OK);
    free(text);
}

/* By itself, or among many. */
static void get_one(struct tracking_rig *rig, bool many) {
    const void *const keys[] = {"none", "k"};
    const size_t sizes[] = {4, 1};
    int32_t statuses[2] = {HEARTH_OK, HEARTH_MISS};
    hearth_value *none = hearth_value_new();
    hearth_value *values[] = {none, rig->value};
    assert_non_null(none);
    if (many) {
        assert_int_equal(hearth_get_many(rig->cache, 2, keys, sizes, NULL, values, statuses),
                         HEARTH_OK);
        assert_int_equal(statuses[0], HEARTH_MISS);
    } else {
        statuses[1] = hearth_get(rig->cache, "k", 1, NULL, rig->value);
    }
    assert_int_equal(statuses[1], HEARTH_OK);
    hearth_value_free(none);
}

/* What is there, all of it; 0: it is no copy of one letter. */
static char get_large(struct tracking_rig *rig, bool many, hearth_info *info) {
    get_one(rig, many);
    assert_int_equal(hearth_value_info(rig->value, info), HEARTH_OK);
    const char *text = hearth_value_data(rig->value);
    bool is_one = hearth_value_size(rig->value) == LARGE;
    for (size_t i = 1; is_one && i < LARGE; i++) {
        is_one = text[i] == text[0];
    }
    return is_one ? text[0] : 0;
}

static bool is_large_tracked(void *arg) {
    struct tracking_rig *rig = arg;
    hearth_info info = {.size = sizeof info};
    (void)get_large(rig, false, &info);
    if (info.tier == HEARTH_TIER_LOCAL && info.ttl_left_ms <= 2000) {
        (void)hearth_evict_local(rig->cache, "k", 1);
    }
    return info.tier == HEARTH_TIER_LOCAL && info.ttl_left_ms > 2000;
}

/* Its connections end; then the copy does, in time, and this is what comes from the node instead. */
static char get_when_copy_has_ended(struct tracking_rig *rig, bool many) {
    hearth_info info = {.size = sizeof info};
    char found = 0;
    do {
        found = get_large(rig, many, &info);
    } while (info.tier == HEARTH_TIER_LOCAL);
    return found;
}

/* A copy whose connection has ended is not read again if its node still has it, and is told of from then on. */
static void a_copy_outlives_its_connection(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open_with(&rig, TRACKING_SOON_MS, "4");
    set_large(rig.other, 'a');
    for (unsigned i = 0; i < 4; i++) {
        bool changes = i % 2 == 1;
        bool many = i >= 2;
        assert_true(await_until(is_large_tracked, &rig));
        uint64_t confirmed =
            tracking_stat_of(rig.cache, offsetof(hearth_stats, copies_confirmed));
        uint64_t seen = proxy_seen(rig.proxy, PROXY_TO_CLIENT);
        tracking_tell(rig.client, "CLIENT KILL TYPE normal SKIPME yes");
        if (changes) { /* another value, and the same again: that is another one too */
            set_large(rig.other, 'b');
            set_large(rig.other, 'a');
        }
        assert_int_equal(get_when_copy_has_ended(&rig, many), 'a');
        assert_int_equal(proxy_seen(rig.proxy, PROXY_TO_CLIENT) - seen < LARGE, !changes);
        assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, copies_confirmed)),
                         confirmed + !changes);
    }
    assert_true(await_until(is_large_tracked, &rig));
    set_large(rig.other, 'b');
    hearth_info info = {.size = sizeof info};
    while (get_large(&rig, false, &info) != 'b') {
        assert_int_equal(info.tier, HEARTH_TIER_LOCAL);
    }
    tracking_rig_close(&rig);
}

/* ---- from now on ------------------------------------------------------------------------- */

/* Threads that keep the only connection busy. */
struct traffic {
    struct tracking_rig *rig;
    _Atomic bool over;
};

static void ask_on(void *arg, size_t index) {
    struct traffic *traffic = arg;
    const hearth_read_options read = {
        .size = sizeof read, .flags = HEARTH_READ_NO_LOCAL, .max_stale_ms = HEARTH_STALE_ANY};
    hearth_value *value = hearth_value_new();
    (void)index;
    while (!atomic_load(&traffic->over) &&
           hearth_get(traffic->rig->cache, "busy", 4, &read, value) == HEARTH_OK) {
    }
    hearth_value_free(value);
}

static bool is_gone(void *arg) {
    const struct tracking_copy *copy = arg;
    return tracking_get(copy->rig, copy->key).info.tier == HEARTH_TIER_REMOTE;
}

static int32_t load_through_a_flush(void *arg, const void *key, size_t key_size,
                                    hearth_fill *fill) {
    struct traffic *traffic = arg;
    struct crowd crowd;
    (void)key;
    (void)key_size;
    bool started = crowd_start(&crowd, 3, ask_on, traffic);
    /* Of another database: what this process holds stays, and no copy does. */
    tracking_tell(traffic->rig->client, "SELECT 1");
    tracking_tell(traffic->rig->client, "FLUSHDB");
    tracking_tell(traffic->rig->client, "SELECT 0");
    struct tracking_copy copy = {.rig = traffic->rig, .key = "other"};
    assert_true(await_until(is_gone, &copy));
    tracking_track(traffic->rig, "other");
    atomic_store(&traffic->over, true);
    crowd_join(&crowd);
    return started ? hearth_fill_value(fill, "loaded", 6) : HEARTH_E_NOMEM;
}

/* A connection is asked to tell of changes from now on, though it never rests. It is not made anew, which would void what this
 * process holds at the node. */
static void a_flush_costs_no_connection(void **state) {
    (void)state;
    struct tracking_rig rig;
    struct traffic traffic = {.rig = &rig};
    const hearth_loader loader = {
        .size = sizeof loader, .load = load_through_a_flush, .arg = &traffic};
    tracking_rig_open_with(&rig, TRACKING_DEAD_MS, "1");
    hearth_value *value = hearth_value_new();
    tracking_set(rig.other, "busy", "x");
    tracking_set(rig.other, "other", "x");
    tracking_track(&rig, "other");
    uint64_t lost = tracking_stat_of(rig.cache, offsetof(hearth_stats, disconnects));
    assert_int_equal(hearth_fetch(rig.cache, "k", 1, &loader, NULL, NULL, value), HEARTH_OK);
    assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, disconnects)), lost);
    assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, leases_void)), 0);
    assert_int_equal(hearth_get(rig.other, "k", 1, NULL, value), HEARTH_OK);
    tracking_set(rig.other, "other", "new");
    tracking_await_text(&rig, "other", "new");
    hearth_value_free(value);
    tracking_rig_close(&rig);
}

/* ---- when nobody answers --------------------------------------------------------------------- */

static int32_t load_failing(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    (void)key;
    (void)key_size;
    (void)fill;
    return 7;
}

static int32_t load_many_failing(void *arg, size_t count, const void *const *keys,
                                 const size_t *key_sizes, hearth_fill *const *fills) {
    (void)arg;
    (void)count;
    (void)keys;
    (void)key_sizes;
    (void)fills;
    return 7;
}

static const hearth_loader failing = {
    .size = sizeof failing, .load = load_failing, .load_many = load_many_failing};
static const hearth_read_options allow_stale = {.size = sizeof allow_stale,
                                                .flags = HEARTH_READ_ALLOW_STALE,
                                                .max_stale_ms = HEARTH_STALE_ANY};

static int32_t fetch_in_vain(struct tracking_rig *rig, int64_t max_stale_ms) {
    const hearth_read_options read = {.size = sizeof read, .max_stale_ms = max_stale_ms};
    return hearth_fetch(rig->cache, "k", 1, &failing, &read, NULL, rig->value);
}

/* There is a copy, and it is told of. */
static void open_with_copy(struct tracking_rig *rig) {
    tracking_rig_open(rig);
    tracking_set(rig->other, "k", "old");
    tracking_track(rig, "k");
}

static void kill_node(struct tracking_rig *rig) {
    assert_int_equal(servers_kill(tracking_servers(), 0), 0);
    assert_true(await_until(tracking_has_lost, rig));
}

static void close_and_restart(struct tracking_rig *rig) {
    tracking_rig_close(rig);
    assert_int_equal(servers_restart(tracking_servers(), 0), 0);
}

static void expect_old_of_many(struct tracking_rig *rig, bool fetches) {
    const void *const keys[] = {"k", "none"};
    const size_t sizes[] = {1, 4};
    hearth_value *none = hearth_value_new();
    hearth_value *values[] = {rig->value, none};
    int32_t statuses[2] = {HEARTH_OK, HEARTH_OK};
    assert_non_null(none);
    int32_t result =
        fetches ? hearth_fetch_many(rig->cache, 2, keys, sizes, &failing, NULL, NULL, values,
                                    statuses)
                : hearth_get_many(rig->cache, 2, keys, sizes, &allow_stale, values, statuses);
    assert_int_equal(result, statuses[1]);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(hearth_value_size(rig->value), 3);
    assert_memory_equal(hearth_value_data(rig->value), "old", 3);
    assert_true(statuses[1] < 0);
    hearth_value_free(none);
}

/* Nobody tells of it any more, and nobody has anything newer: it is stale, and says since when. */
static void a_copy_that_ended_is_better_than_nothing(void **state) {
    (void)state;
    struct tracking_rig rig;
    open_with_copy(&rig);
    kill_node(&rig);
    int64_t dead_ms = hearth__boot_ms();
    while (hearth__boot_ms() == dead_ms) {
    }
    int64_t asked_ms = hearth__boot_ms();
    assert_int_equal(fetch_in_vain(&rig, HEARTH_STALE_ANY), HEARTH_OK);
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(rig.value, &info), HEARTH_OK);
    assert_int_equal(hearth_value_size(rig.value), 3);
    assert_memory_equal(hearth_value_data(rig.value), "old", 3);
    assert_int_equal(info.freshness, HEARTH_STALE);
    assert_int_equal(info.tier, HEARTH_TIER_LOCAL);
    assert_true(info.staleness_bound_ms >= asked_ms - dead_ms);
    assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, stale_served)), 1);
    assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, local_stale_hits)), 1);
    /* Who wants none so old has the error, and so has a get that wants nothing stale. */
    assert_int_equal(fetch_in_vain(&rig, asked_ms - dead_ms - 1), HEARTH_E_LOADER);
    assert_int_equal(hearth_value_size(rig.value), 0);
    assert_true(tracking_get(&rig, "k").status < 0);
    assert_string_equal(tracking_get_with(&rig, "k", &allow_stale).text, "old");
    expect_old_of_many(&rig, true);
    expect_old_of_many(&rig, false);
    close_and_restart(&rig);
}

/* Its tags end such a copy, too. */
static void what_was_invalidated_before_is_no_answer(void **state) {
    static const void *const tags[] = {"tag"};
    static const size_t sizes[] = {3};
    const hearth_write_options tagged = {.size = sizeof tagged,
                                         .ttl_ms = HEARTH_TTL_DEFAULT,
                                         .soft_ttl_ms = HEARTH_TTL_DEFAULT,
                                         .tags = tags,
                                         .tag_sizes = sizes,
                                         .tag_count = 1};
    (void)state;
    for (int invalidates = 0; invalidates <= 1; invalidates++) {
        struct tracking_rig rig;
        tracking_rig_open(&rig);
        assert_int_equal(hearth_set(rig.other, "k", 1, "old", 3, &tagged), HEARTH_OK);
        tracking_track(&rig, "k");
        if (invalidates == 1) {
            assert_int_equal(hearth_invalidate_tag(rig.cache, "tag", 3, NULL), HEARTH_OK);
        }
        kill_node(&rig);
        assert_int_equal(fetch_in_vain(&rig, HEARTH_STALE_ANY),
                         invalidates == 1 ? HEARTH_E_LOADER : HEARTH_OK);
        close_and_restart(&rig);
    }
}

static void what_is_deleted_meanwhile_is_no_answer(void **state) {
    (void)state;
    struct tracking_rig rig;
    open_with_copy(&rig);
    kill_node(&rig);
    assert_int_equal(fetch_in_vain(&rig, HEARTH_STALE_ANY), HEARTH_OK);
    assert_int_equal(hearth_delete(rig.cache, "k", 1, NULL), HEARTH_E_QUEUED);
    assert_int_equal(fetch_in_vain(&rig, HEARTH_STALE_ANY), HEARTH_E_LOADER);
    assert_true(tracking_get_with(&rig, "k", &allow_stale).status < 0);
    close_and_restart(&rig);
}

static bool has_no_hit(void *arg) {
    const hearth_read_options no_remote = {.size = sizeof no_remote,
                                           .flags = HEARTH_READ_NO_REMOTE,
                                           .max_stale_ms = HEARTH_STALE_ANY};
    return tracking_get_with(arg, "k", &no_remote).status == HEARTH_MISS;
}

static void what_a_flush_took_is_no_answer(void **state) {
    (void)state;
    struct tracking_rig rig;
    open_with_copy(&rig);
    tracking_tell(rig.client, "FLUSHALL");
    assert_true(await_until(has_no_hit, &rig));
    kill_node(&rig);
    assert_int_equal(fetch_in_vain(&rig, HEARTH_STALE_ANY), HEARTH_E_LOADER);
    close_and_restart(&rig);
}

/* The listener was lost, so nobody told; but the node said so when it was asked. */
static void what_a_node_said_is_gone_is_no_answer(void **state) {
    (void)state;
    struct tracking_rig rig;
    open_with_copy(&rig);
    assert_true(proxy_door(rig.proxy, PROXY_SHUT));
    tracking_tell(rig.client, "CLIENT KILL TYPE pubsub");
    assert_true(await_until(tracking_has_lost, &rig));
    assert_int_equal(hearth_delete(rig.other, "k", 1, NULL), HEARTH_OK);
    assert_int_equal(tracking_get(&rig, "k").status, HEARTH_MISS);
    kill_node(&rig);
    assert_int_equal(fetch_in_vain(&rig, HEARTH_STALE_ANY), HEARTH_E_LOADER);
    close_and_restart(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_that_is_killed_takes_its_copies_along),
        cmocka_unit_test(without_a_listener_there_are_copies_for_a_second),
        cmocka_unit_test(a_silent_node_is_trusted_no_longer_than_promised),
        cmocka_unit_test(connections_that_end_take_their_copies_along_in_time),
        cmocka_unit_test(a_copy_outlives_its_connection),
        cmocka_unit_test(a_flush_costs_no_connection),
        cmocka_unit_test(a_copy_that_ended_is_better_than_nothing),
        cmocka_unit_test(what_was_invalidated_before_is_no_answer),
        cmocka_unit_test(what_is_deleted_meanwhile_is_no_answer),
        cmocka_unit_test(what_a_flush_took_is_no_answer),
        cmocka_unit_test(what_a_node_said_is_gone_is_no_answer),
    };
    return cmocka_run_group_tests(tests, tracking_start, tracking_stop);
}
