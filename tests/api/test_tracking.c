/* SPDX-License-Identifier: Apache-2.0 */
/* Local copies of what is on real servers, which tell of changes: as fresh as promised, and they say so. */
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

/* ---- changes ------------------------------------------------------------------------------- */

static void changes_elsewhere_reach_local_copies(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "old");
    tracking_track(&rig, "k");
    uint64_t told = tracking_stat_of(rig.cache, offsetof(hearth_stats, changes_told));
    tracking_set(rig.other, "k", "new");
    tracking_await_text(&rig, "k", "new");
    assert_true(tracking_stat_of(rig.cache, offsetof(hearth_stats, changes_told)) > told);
    /* And again: it was read anew, so the next change is told of too. */
    tracking_track(&rig, "k");
    tracking_tell(rig.client, "DEL app:k");
    struct tracking_copy gone = {.rig = &rig, .key = "k"};
    assert_true(await_until(tracking_is_missed, &gone));
    tracking_rig_close(&rig);
}

/* What is read while the node is just being asked to tell of changes is not told of, so it is read anew once it does. A machine may
 * be so slow that the copy has ended by itself meanwhile, which shows nothing. */
static void changes_right_after_the_opening_are_heard(void **state) {
    (void)state;
    enum { TRIES = 20, OWN_END_MS = 900 };
    struct tracking_rig rig;
    unsigned tries = 0;
    bool heard = false;
    tracking_rig_open(&rig);
    for (; !heard && tries < TRIES; tries++) {
        assert_int_equal(hearth_close(rig.cache), HEARTH_OK);
        rig.cache =
            tracking_open_cache(&(struct tracking_opening){.path = proxy_path(rig.proxy)});
        tracking_set(rig.other, "k", "old");
        int64_t read_ms = hearth__boot_ms();
        assert_string_equal(tracking_get(&rig, "k").text, "old");
        tracking_set(rig.other, "k", "new");
        tracking_await_text(&rig, "k", "new");
        heard = hearth__boot_ms() - read_ms < OWN_END_MS;
    }
    assert_true(heard);
    tracking_rig_close(&rig);
}

static void own_writes_are_seen_at_once(void **state) {
    (void)state;
    struct tracking_rig rig;
    char text[32];
    tracking_rig_open(&rig);
    tracking_set(rig.cache, "k", "0");
    tracking_track(&rig, "k");
    for (int i = 1; i < 300; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        tracking_set(rig.cache, "k", text);
        struct tracking_found found = tracking_get(&rig, "k");
        assert_string_equal(found.text, text);
    }
    tracking_rig_close(&rig);
}

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    unsigned *loads = arg;
    (void)key;
    (void)key_size;
    ++*loads;
    return hearth_fill_value(fill, "loaded", 6);
}

static int32_t load_absent(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    (void)key;
    (void)key_size;
    return hearth_fill_absent(fill);
}

/* What was loaded or written is there without being read again, and yet as fresh as what was read. */
static void loaded_values_are_told_of(void **state) {
    (void)state;
    enum { KEYS = 1000 };
    struct tracking_rig rig;
    char key[32];
    unsigned loads = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &loads};
    tracking_rig_open(&rig);
    tracking_set(rig.other, "first", "x");
    tracking_track(&rig, "first");
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(
            hearth_fetch(rig.cache, key, strlen(key), &loader, NULL, NULL, rig.value),
            HEARTH_OK);
    }
    assert_int_equal(loads, KEYS);
    unsigned remote = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        struct tracking_found found = tracking_get(&rig, key);
        assert_string_equal(found.text, "loaded");
        remote += found.info.tier != HEARTH_TIER_LOCAL;
    }
    /* None, but where the machine was too busy to hear in time of a lease that was just taken. */
    assert_true(remote <= KEYS / 10);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_set(rig.other, key, "new");
    }
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_await_text(&rig, key, "new");
    }
    tracking_rig_close(&rig);
}

static void written_values_are_told_of(void **state) {
    (void)state;
    enum { KEYS = 100 };
    struct tracking_rig rig;
    char key[32];
    tracking_rig_open(&rig);
    tracking_set(rig.other, "first", "x");
    tracking_track(&rig, "first");
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_set(rig.cache, key, "old");
        struct tracking_found found = tracking_get(&rig, key);
        assert_string_equal(found.text, "old");
        assert_int_equal(found.info.tier, HEARTH_TIER_LOCAL);
        assert_true(found.info.ttl_left_ms > 2000);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_set(rig.other, key, "new");
        tracking_await_text(&rig, key, "new");
    }
    tracking_rig_close(&rig);
}

/* ---- the race ------------------------------------------------------------------------------ */

enum { ROUNDS = 30, WRITES = 40 };

struct race {
    struct tracking_rig *rig;
    int round;
    struct event over; /* a round's writes are */
};

static void write_on(void *arg, size_t index) {
    struct race *race = arg;
    char text[32];
    (void)index;
    for (int i = 1; i <= WRITES; i++) {
        (void)snprintf(text, sizeof text, "%d", race->round * WRITES + i);
        if (hearth_set(race->rig->other, "k", 1, text, strlen(text), NULL) != HEARTH_OK) {
            break;
        }
    }
    event_raise(&race->over);
}

static bool is_over(struct event *over) {
    pthread_mutex_lock(&over->lock);
    bool yes = over->times != 0;
    pthread_mutex_unlock(&over->lock);
    return yes;
}

/* Changes come while answers are on their way: an old one that was kept would stay for minutes. */
static void an_answer_that_a_change_overtook_is_not_kept(void **state) {
    (void)state;
    struct tracking_rig rig;
    char text[32];
    struct crowd crowd;
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "0");
    tracking_track(&rig, "k");
    for (int round = 0; round < ROUNDS; round++) {
        struct race race = {.rig = &rig, .round = round, .over = EVENT_INIT};
        assert_true(crowd_start(&crowd, 1, write_on, &race));
        while (!is_over(&race.over)) {
            assert_int_equal(tracking_get(&rig, "k").status, HEARTH_OK);
        }
        crowd_join(&crowd);
        (void)snprintf(text, sizeof text, "%d", (round + 1) * WRITES);
        tracking_await_text(&rig, "k", text);
    }
    tracking_rig_close(&rig);
}

/* Own writes and loads come while others write: of what stands there in the end no older copy is left. */
static void own_copies_are_no_older_than_the_node(void **state) {
    (void)state;
    struct tracking_rig rig;
    struct crowd crowd;
    unsigned loads = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &loads};
    const hearth_read_options from_node = {.size = sizeof from_node,
                                           .flags = HEARTH_READ_NO_LOCAL,
                                           .max_stale_ms = HEARTH_STALE_ANY};
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "0");
    tracking_track(&rig, "k");
    for (int round = 0; round < ROUNDS; round++) {
        struct race race = {.rig = &rig, .round = round, .over = EVENT_INIT};
        assert_true(crowd_start(&crowd, 1, write_on, &race));
        for (unsigned i = 0; i % 8 != 0 || !is_over(&race.over); i++) {
            if (i % 4 < 2) {
                tracking_set(rig.cache, "k", "own");
            } else {
                assert_true(hearth_delete(rig.cache, "k", 1, NULL) >= 0);
                assert_int_equal(
                    hearth_fetch(rig.cache, "k", 1, &loader, NULL, NULL, rig.value), HEARTH_OK);
            }
        }
        crowd_join(&crowd);
        struct tracking_found truth = tracking_get_with(&rig, "k", &from_node);
        assert_int_equal(truth.status, HEARTH_OK);
        tracking_await_text(&rig, "k", truth.text);
    }
    tracking_rig_close(&rig);
}

/* ---- what a server does to its keys ----------------------------------------------------------- */

static void a_flush_reaches_local_copies(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    for (unsigned i = 0; i < 2; i++) {
        struct tracking_copy copy = {.rig = &rig, .key = "k"};
        tracking_set(rig.other, "k", "old");
        tracking_track(&rig, "k");
        tracking_tell(rig.client, i == 0 ? "FLUSHALL" : "FLUSHDB");
        assert_true(await_until(tracking_is_missed, &copy));
    }
    tracking_rig_close(&rig);
}

struct stale_copy {
    hearth *cache;
    hearth_value *value;
};

/* A cache that is told of nothing asks a server all the same which run of it that is. */
static bool is_stale_by_ttl(void *arg) {
    const struct stale_copy *copy = arg;
    const hearth_read_options stale = {.size = sizeof stale,
                                       .flags = HEARTH_READ_ALLOW_STALE,
                                       .max_stale_ms = HEARTH_STALE_ANY};
    hearth_info info = {.size = sizeof info};
    if (hearth_get(copy->cache, "k", 1, &stale, copy->value) != HEARTH_OK) {
        return false; /* its connections have just ended */
    }
    assert_int_equal(hearth_value_info(copy->value, &info), HEARTH_OK);
    assert_int_equal(info.freshness, HEARTH_STALE);
    return true;
}

/* A server that comes back from a snapshot has what was replaced since, and nobody tells it: what it has from before is stale, and
 * an absence is none. Who loads it anew ends that. */
static void what_a_snapshot_brings_back_is_stale(void **state) {
    (void)state;
    struct tracking_rig rig;
    unsigned loads = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &loads};
    const hearth_loader absent = {.size = sizeof absent, .load = load_absent};
    const hearth_read_options stale = {.size = sizeof stale,
                                       .flags = HEARTH_READ_ALLOW_STALE,
                                       .max_stale_ms = HEARTH_STALE_ANY};
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "old");
    assert_int_equal(hearth_fetch(rig.other, "gone", 4, &absent, NULL, NULL, rig.value),
                     HEARTH_ABSENT);
    tracking_track(&rig, "k");
    tracking_tell(rig.client, "SAVE");
    assert_int_equal(hearth_delete(rig.other, "k", 1, NULL), HEARTH_OK);
    assert_int_equal(servers_restart(tracking_servers(), 0), 0);
    redisFree(rig.client);
    rig.client = redisConnectUnix(tracking_servers()->nodes[0].path);
    struct tracking_copy missed = {.rig = &rig, .key = "k"};
    assert_true(await_until(tracking_is_missed, &missed));
    struct tracking_copy back = {.rig = &rig, .key = "k", .text = "old"};
    struct tracking_found found = {.status = HEARTH_MISS};
    for (int64_t began_ms = hearth__boot_ms();
         found.status != HEARTH_OK && hearth__boot_ms() - began_ms < 20000;) {
        found = tracking_get_with(&rig, back.key, &stale);
    }
    assert_string_equal(found.text, back.text);
    assert_int_equal(found.info.freshness, HEARTH_STALE);
    assert_int_equal(tracking_get(&rig, "gone").status, HEARTH_MISS);
    struct stale_copy by_ttl = {.cache = rig.other, .value = rig.value};
    assert_true(await_until(is_stale_by_ttl, &by_ttl));
    assert_int_equal(hearth_get(rig.other, "k", 1, NULL, NULL), HEARTH_MISS);
    assert_true(tracking_stat_of(rig.cache, offsetof(hearth_stats, values_distrusted)) >= 2);
    assert_int_equal(hearth_fetch(rig.cache, "k", 1, &loader, NULL, NULL, rig.value),
                     HEARTH_OK);
    assert_int_equal(loads, 1);
    assert_string_equal(tracking_get(&rig, "k").text, "loaded");
    assert_int_equal(tracking_get(&rig, "k").info.freshness, HEARTH_FRESH);
    tracking_tell(rig.client, "FLUSHALL");
    tracking_tell(rig.client, "SAVE");
    tracking_rig_close(&rig);
    /* The next ones are to trust it: a server that begins with nothing. */
    assert_int_equal(servers_restart(tracking_servers(), 0), 0);
}

/* Nobody is told of that: copies end by themselves. */
static void a_swapped_database_is_seen_in_time(void **state) {
    (void)state;
    enum { LIFE_MS = 300 };
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    assert_int_equal(hearth_close(rig.cache), HEARTH_OK);
    rig.cache = tracking_open_cache(
        &(struct tracking_opening){.path = proxy_path(rig.proxy), .max_ttl = "300ms"});
    tracking_set(rig.other, "k", "old");
    assert_string_equal(tracking_get(&rig, "k").text, "old");
    tracking_tell(rig.client, "SWAPDB 0 1");
    int64_t changed_ms = hearth__boot_ms();
    for (;;) {
        int64_t asked_ms = hearth__boot_ms();
        if (tracking_get(&rig, "k").status == HEARTH_MISS) {
            break;
        }
        assert_true(asked_ms <= changed_ms + LIFE_MS);
    }
    tracking_tell(rig.client, "FLUSHALL");
    tracking_rig_close(&rig);
}

/* So many changes at once that the server gives the listener up: then all copies end, since nobody knows which were told. */
static void a_listener_that_is_given_up_takes_its_copies_along(void **state) {
    (void)state;
    enum { KEYS = 3000 };
    struct tracking_rig rig;
    char key[32];
    tracking_rig_open(&rig);
    tracking_tell(rig.client, "CONFIG SET client-output-buffer-limit %s", "pubsub 20480 0 0");
    tracking_set(rig.other, "first", "x");
    tracking_track(&rig, "first");
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_set(rig.other, key, "old");
        assert_string_equal(tracking_get(&rig, key).text, "old");
    }
    tracking_tell(rig.client, "EVAL %s 0",
                  "for i=0,2999 do redis.call('DEL','app:k'..i) end return 1");
    assert_true(await_until(tracking_has_lost, &rig));
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(tracking_get(&rig, key).status, HEARTH_MISS);
    }
    tracking_tell(rig.client, "CONFIG SET client-output-buffer-limit %s", "pubsub 32mb 8mb 60");
    tracking_rig_close(&rig);
}

/* A server that remembers few readers tells of changes that there are none of. Long: of ten thousand keys. */
static void a_small_table_costs_nothing_but_misses(void **state) {
    (void)state;
    const unsigned count = getenv("HEARTH_LONG") != NULL ? 10000 : 300;
    struct tracking_rig rig;
    char key[32];
    tracking_rig_open(&rig);
    tracking_set(rig.other, "first", "x");
    tracking_track(&rig, "first");
    tracking_tell(rig.client, "CONFIG SET tracking-table-max-keys 10");
    unsigned hits = 0;
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_set(rig.other, key, key);
        assert_string_equal(tracking_get(&rig, key).text, key);
    }
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        struct tracking_found found = tracking_get(&rig, key);
        assert_string_equal(found.text, key);
        hits += found.info.tier == HEARTH_TIER_LOCAL;
    }
    print_message("%u of %u keys are local hits still\n", hits, count);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_set(rig.other, key, "new");
    }
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        tracking_await_text(&rig, key, "new");
    }
    tracking_tell(rig.client, "CONFIG SET tracking-table-max-keys 1000000");
    tracking_rig_close(&rig);
}

static void anybody_may_say_that_a_key_changed(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "value");
    tracking_track(&rig, "k");
    uint64_t told = tracking_stat_of(rig.cache, offsetof(hearth_stats, changes_told));
    tracking_tell(rig.client, "PUBLISH __redis__:invalidate other:k");
    tracking_tell(rig.client, "PUBLISH __redis__:invalidate app:");
    tracking_tell(rig.client, "PUBLISH __redis__:invalidate app:k");
    while (tracking_stat_of(rig.cache, offsetof(hearth_stats, changes_told)) == told) {
    }
    assert_int_equal(tracking_get(&rig, "k").info.tier, HEARTH_TIER_REMOTE);
    assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, changes_told)),
                     told + 1);
    assert_int_equal(tracking_stat_of(rig.cache, offsetof(hearth_stats, changes_lost)), 0);
    tracking_rig_close(&rig);
}

/* A server that lets keys expire unseen tells nobody; the copy knows by itself. */
static void expiry_needs_nobody_to_tell(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    tracking_tell(rig.client, "DEBUG SET-ACTIVE-EXPIRE 0");
    const hearth_write_options write = {.size = sizeof write, .ttl_ms = 3000};
    assert_int_equal(hearth_set(rig.other, "warm", 4, "x", 1, NULL), HEARTH_OK);
    tracking_track(&rig, "warm");
    assert_int_equal(hearth_set(rig.other, "k", 1, "x", 1, &write), HEARTH_OK);
    tracking_tell(rig.client, "PEXPIRE app:k 200");
    int64_t gone_ms = hearth__boot_ms() + 200;
    for (;;) {
        int64_t asked_ms = hearth__boot_ms();
        if (tracking_get(&rig, "k").status != HEARTH_OK) {
            break;
        }
        assert_true(asked_ms <= gone_ms + 2);
    }
    tracking_tell(rig.client, "DEBUG SET-ACTIVE-EXPIRE 1");
    tracking_rig_close(&rig);
}

/* ---- the bound ----------------------------------------------------------------------------- */

/* A copy that is older than any ping that was not answered could make it is as fresh as all hits are. */
static bool is_old_and_fresh(void *arg) {
    struct tracking_found found = tracking_get(arg, "k");
    assert_int_equal(found.status, HEARTH_OK);
    if (found.info.tier != HEARTH_TIER_LOCAL) {
        return false;
    }
    assert_true(found.info.staleness_bound_ms <= TRACKING_GRACE_MS);
    return found.info.ttl_left_ms < 600000 - INT64_C(2) * TRACKING_GRACE_MS;
}

static bool is_fresh_enough(void *arg) {
    const hearth_read_options soon = {.size = sizeof soon,
                                      .max_stale_ms = TRACKING_GRACE_MS + 100};
    return tracking_get_with(arg, "k", &soon).info.tier == HEARTH_TIER_LOCAL;
}

static void the_bound_of_a_hit_follows_the_pings(void **state) {
    (void)state;
    struct tracking_rig rig;
    tracking_rig_open_with(&rig, TRACKING_SOON_MS, "4");
    tracking_set(rig.other, "k", "value");
    tracking_track(&rig, "k");
    assert_true(await_until(is_old_and_fresh, &rig));
    /* Who wants it fresher than that has it from the node. */
    const hearth_read_options now = {.size = sizeof now, .max_stale_ms = 0};
    assert_int_equal(tracking_get_with(&rig, "k", &now).info.tier, HEARTH_TIER_REMOTE);
    assert_true(await_until(is_fresh_enough, &rig));
    tracking_rig_close(&rig);
}

static bool is_told_why(void *arg) {
    struct tracking_rig *rig = arg;
    const hearth_read_options from_node = {.size = sizeof from_node,
                                           .flags = HEARTH_READ_NO_LOCAL,
                                           .max_stale_ms = HEARTH_STALE_ANY};
    assert_int_equal(tracking_get_with(rig, "k", &from_node).status, HEARTH_OK);
    hearth_log_record record = {.size = sizeof record};
    return hearth_log_next(rig->cache, &record) == HEARTH_OK &&
           record.level == HEARTH_LOG_WARNING && strstr(record.text, "live shorter") != NULL;
}

/* Who may not be told has copies all the same, as with ttl, and learns why. */
static void who_is_not_told_has_copies_for_a_second(void **state) {
    (void)state;
    const char *const rules[] = {"-client", "-client|tracking", "-subscribe", "resetchannels"};
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        tracking_tell(rig.client, "ACL SETUSER few reset on >pass ~* &* +@all %s", rules[i]);
        assert_int_equal(hearth_close(rig.cache), HEARTH_OK);
        rig.cache = tracking_open_cache(
            &(struct tracking_opening){.user = "few:pass@", .path = proxy_path(rig.proxy)});
        tracking_set(rig.other, "k", "value");
        assert_string_equal(tracking_get(&rig, "k").text, "value");
        assert_true(await_until(is_told_why, &rig));
        struct tracking_found found = tracking_get(&rig, "k");
        while (found.info.tier != HEARTH_TIER_LOCAL) {
            found = tracking_get(&rig, "k");
        }
        assert_string_equal(found.text, "value");
        assert_in_range(found.info.ttl_left_ms, 0, 1000);
        tracking_tell(rig.client, "ACL DELUSER few");
    }
    tracking_rig_close(&rig);
}

static void only_redis_tells(void **state) {
    (void)state;
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "coherence.mode", "tracking"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_E_UNSUPPORTED);
    assert_non_null(strstr(hearth_options_error(options), "coherence.mode"));
    hearth_options_free(options);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_table_costs_nothing_but_misses),
        cmocka_unit_test(changes_elsewhere_reach_local_copies),
        cmocka_unit_test(changes_right_after_the_opening_are_heard),
        cmocka_unit_test(own_writes_are_seen_at_once),
        cmocka_unit_test(loaded_values_are_told_of),
        cmocka_unit_test(written_values_are_told_of),
        cmocka_unit_test(an_answer_that_a_change_overtook_is_not_kept),
        cmocka_unit_test(own_copies_are_no_older_than_the_node),
        cmocka_unit_test(a_flush_reaches_local_copies),
        cmocka_unit_test(what_a_snapshot_brings_back_is_stale),
        cmocka_unit_test(a_swapped_database_is_seen_in_time),
        cmocka_unit_test(a_listener_that_is_given_up_takes_its_copies_along),
        cmocka_unit_test(anybody_may_say_that_a_key_changed),
        cmocka_unit_test(expiry_needs_nobody_to_tell),
        cmocka_unit_test(the_bound_of_a_hit_follows_the_pings),
        cmocka_unit_test(who_is_not_told_has_copies_for_a_second),
        cmocka_unit_test(only_redis_tells),
    };
    return cmocka_run_group_tests(tests, tracking_start, tracking_stop);
}
