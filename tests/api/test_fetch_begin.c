/* SPDX-License-Identifier: Apache-2.0 */
/* A fetch in steps: begun, loaded by whoever likes, committed or abandoned. */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;

static int open_cache(void **state) {
    (void)state;
    return cache_open_with_value(NULL, &cache, &value);
}

static int close_cache(void **state) {
    (void)state;
    return cache_close(cache, value);
}

static uint32_t tier_of_value(void) {
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    return info.tier;
}

static int32_t begin_with(const char *key, uint32_t flags, hearth_fill **fill) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    return hearth_fetch_begin(cache, key, strlen(key), &read, value, fill);
}

static hearth_fill *begin(const char *key) {
    hearth_fill *fill = NULL;
    assert_int_equal(begin_with(key, 0, &fill), HEARTH_MISS);
    assert_non_null(fill);
    assert_int_equal(hearth_value_size(value), 0);
    return fill;
}

static void expect_in_tiers(const char *key, const char *local, const char *remote) {
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE), local);
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), remote);
}

/* ---- from begin to end ---- */

static void what_is_committed_is_stored_and_answered(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.content = 7;
    char key[] = "key";
    hearth_fill *fill = begin(key);
    memset(key, 'x', sizeof key - 1); /* the key was copied */
    assert_int_equal(hearth_fill_value(fill, "loaded", 6), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, &write, value), HEARTH_OK);
    expect_text(value, "loaded");
    assert_int_equal(tier_of_value(), HEARTH_TIER_LOADED);
    expect_in_tiers("key", "=loaded", "=loaded");
    fill = (hearth_fill *)(void *)key; /* anything */
    assert_int_equal(begin_with("key", 0, &fill), HEARTH_OK);
    assert_null(fill);
    expect_text(value, "loaded");
    assert_int_equal(tier_of_value(), HEARTH_TIER_LOCAL);
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    assert_int_equal(info.content, 7);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.load_errors, 0);
    assert_int_equal(stats.flights, 0);
}

static void an_absence_may_be_committed_too(void **state) {
    (void)state;
    hearth_fill *fill = begin("key");
    assert_int_equal(hearth_fill_absent(fill), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_ABSENT);
    expect_in_tiers("key", "ABSENT", "ABSENT");
    assert_int_equal(begin_with("key", 0, &fill), HEARTH_ABSENT);
    assert_null(fill);
}

static void a_fill_may_choose_its_life(void **state) {
    (void)state;
    hearth_fill *fill = begin("key");
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_fill_ttl(fill, 7000000, 0), HEARTH_OK);
    assert_int_equal(hearth_fill_value(fill, "x", 1), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, value), HEARTH_OK);
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    assert_true(info.ttl_left_ms > 6000000);
}

static void what_was_given_nothing_is_no_answer(void **state) {
    (void)state;
    assert_int_equal(hearth_fill_commit(begin("key"), NULL, value), HEARTH_E_LOADER);
    assert_int_equal(hearth_fill_abandon(begin("key")), HEARTH_OK);
    hearth_fill *fill = begin("key");
    assert_int_equal(hearth_fill_value(fill, "x", 1), HEARTH_OK);
    assert_int_equal(hearth_fill_abandon(fill), HEARTH_OK); /* although it has a value */
    expect_in_tiers("key", "MISS", "MISS");
    assert_int_equal(cache_stats(cache).load_errors, 3);
    assert_int_equal(cache_stats(cache).flights, 0);
}

static void a_write_voids_a_fill(void **state) {
    (void)state;
    hearth_fill *fill = begin("key");
    assert_int_equal(hearth_fill_value(fill, "older", 5), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, "key", 3, NULL), HEARTH_MISS);
    hearth_fill *later = begin("key"); /* it does not wait for the one before */
    assert_int_equal(hearth_fill_commit(fill, NULL, value), HEARTH_OK);
    expect_text(value, "older"); /* who began it may have it */
    expect_in_tiers("key", "MISS", "MISS");
    assert_int_equal(hearth_fill_value(later, "newer", 5), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(later, NULL, value), HEARTH_OK);
    expect_in_tiers("key", "=newer", "=newer");
}

/* ---- stale ---- */

static void a_stale_value_comes_with_its_renewal(void **state) {
    (void)state;
    char key[] = "key";
    hearth_fill *fill = NULL;
    hearth_fill *none = NULL;
    assert_true(cache_make_stale(cache, key));
    assert_int_equal(begin_with("key", 0, &fill), HEARTH_OK);
    expect_text(value, "old");
    assert_non_null(fill);
    assert_int_equal(begin_with("key", 0, &none),
                     HEARTH_OK); /* somebody renews it: not waited for */
    expect_text(value, "old");
    assert_null(none);
    assert_int_equal(hearth_fill_value(fill, "new", 3), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_OK);
    expect_in_tiers("key", "=new", "=new");
}

/* ---- others ---- */

static void without_waiting_it_is_told_that_another_loads(void **state) {
    (void)state;
    hearth_fill *fill = begin("key");
    hearth_fill *none = fill;
    assert_int_equal(begin_with("key", HEARTH_READ_NO_WAIT, &none), HEARTH_MISS);
    assert_null(none);
    assert_int_equal(hearth_fill_value(fill, "x", 1), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_OK);
    assert_int_equal(begin_with("key", HEARTH_READ_NO_WAIT, &none), HEARTH_OK);
    assert_int_equal(begin_with("other", HEARTH_READ_NO_WAIT, &fill), HEARTH_MISS);
    assert_non_null(fill);
    assert_int_equal(hearth_fill_abandon(fill), HEARTH_OK);
}

struct fetcher {
    struct source source;
    int32_t statuses[4];
    char texts[4][8];
};

static void fetch(void *arg, size_t index) {
    struct fetcher *fetcher = arg;
    hearth_value *own = hearth_value_new();
    fetcher->statuses[index] = source_fetch(cache, "key", &fetcher->source, own);
    if (hearth_value_size(own) < sizeof fetcher->texts[index]) {
        memcpy(fetcher->texts[index], hearth_value_data(own), hearth_value_size(own));
    }
    hearth_value_free(own);
}

static bool all_wait(void *arg) {
    (void)arg;
    return cache_stats(cache).flight_waits == 4;
}

static void expect_shared(bool commit, int32_t status, const char *text) {
    struct fetcher fetcher = {.source = {SOURCE_INIT, .text = "x"}};
    struct crowd crowd;
    hearth_fill *fill = begin("key");
    assert_int_equal(hearth_fill_value(fill, "loaded", 6), HEARTH_OK);
    assert_true(crowd_start(&crowd, 4, fetch, &fetcher));
    bool waiting = await_until(all_wait, NULL);
    int32_t ended = commit ? hearth_fill_commit(fill, NULL, NULL) : hearth_fill_abandon(fill);
    crowd_join(&crowd);
    assert_true(waiting);
    assert_int_equal(ended, HEARTH_OK);
    assert_int_equal(atomic_load(&fetcher.source.calls), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(fetcher.statuses[i], status);
        assert_string_equal(fetcher.texts[i], text);
    }
}

static void those_who_fetch_wait_for_the_commit(void **state) {
    (void)state;
    expect_shared(true, HEARTH_OK, "loaded");
}

static void those_who_fetch_share_the_failure(void **state) {
    (void)state;
    expect_shared(false, HEARTH_E_LOADER, "");
}

struct ender {
    hearth_fill *fill;
    int32_t status;
};

static void end_elsewhere(void *arg, size_t index) {
    struct ender *ender = arg;
    (void)!hearth_fill_value(ender->fill, "there", 5);
    ender->status = hearth_fill_commit(ender->fill, NULL, NULL);
    (void)index;
}

static void another_thread_may_end_it(void **state) {
    (void)state;
    struct ender ender = {.fill = begin("key")};
    assert_true(crowd_run(1, end_elsewhere, &ender));
    assert_int_equal(ender.status, HEARTH_OK);
    expect_in_tiers("key", "=there", "=there");
    hearth_fill *other = begin("other"); /* this thread leads nothing any more */
    assert_int_equal(hearth_fill_abandon(other), HEARTH_OK);
}

static bool is_closing(void *arg) {
    hearth_stats stats = {.size = sizeof stats};
    (void)arg;
    return hearth_stats_get(cache, &stats) == HEARTH_E_CLOSED;
}

static void close_it(void *arg, size_t index) {
    int32_t *status = arg;
    *status = hearth_close(cache);
    (void)index;
}

static void closing_waits_for_a_fill(void **state) {
    (void)state;
    struct crowd crowd;
    int32_t closed = 99;
    hearth_fill *fill = begin("key");
    assert_int_equal(hearth_fill_value(fill, "late", 4), HEARTH_OK);
    assert_true(crowd_start(&crowd, 1, close_it, &closed));
    bool closing = await_until(is_closing, NULL);
    int32_t status = hearth_fill_commit(fill, NULL, value);
    crowd_join(&crowd);
    cache = NULL;
    assert_true(closing);
    assert_int_equal(status, HEARTH_OK);
    expect_text(value, "late");
    assert_int_equal(closed, HEARTH_OK);
}

/* ---- what is refused ---- */

static void end_own_fill(struct source *source, hearth_fill *fill) {
    int32_t *statuses = source->arg;
    statuses[0] = hearth_fill_commit(fill, NULL, NULL);
    statuses[1] = hearth_fill_abandon(fill);
}

static void a_loader_does_not_end_its_fill(void **state) {
    (void)state;
    int32_t statuses[2] = {99, 99};
    struct source source = {SOURCE_INIT, .text = "x", .inside = end_own_fill, .arg = statuses};
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_E_INVALID);
    assert_int_equal(statuses[1], HEARTH_E_INVALID);
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    hearth_fill *fill = NULL;
    hearth_read_options read;
    hearth_write_options write;
    hearth_read_options_init(&read, sizeof read);
    hearth_write_options_init(&write, sizeof write);
    assert_int_equal(hearth_fetch_begin(cache, "k", 1, NULL, value, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_fetch_begin(NULL, "k", 1, NULL, value, &fill), HEARTH_E_INVALID);
    assert_int_equal(hearth_fetch_begin(cache, "k", 0, NULL, value, &fill), HEARTH_E_INVALID);
    assert_int_equal(begin_with("k", 64, &fill), HEARTH_E_INVALID);
    assert_int_equal(hearth_fill_commit(NULL, NULL, value), HEARTH_E_INVALID);
    assert_int_equal(hearth_fill_abandon(NULL), HEARTH_E_INVALID);
    read.flags = HEARTH_READ_NO_WAIT; /* of a begin only */
    assert_int_equal(hearth_get(cache, "k", 1, &read, value), HEARTH_E_INVALID);
    fill = begin("key");
    write.if_version = 1;
    assert_int_equal(hearth_fill_value(fill, "x", 1), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, &write, value), HEARTH_E_INVALID);
    assert_int_equal(hearth_fill_commit(fill, NULL, value), HEARTH_OK); /* it is still there */
    expect_text(value, "x");
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(what_is_committed_is_stored_and_answered),
        WITH_CACHE(an_absence_may_be_committed_too),
        WITH_CACHE(a_fill_may_choose_its_life),
        WITH_CACHE(what_was_given_nothing_is_no_answer),
        WITH_CACHE(a_write_voids_a_fill),
        WITH_CACHE(a_stale_value_comes_with_its_renewal),
        WITH_CACHE(without_waiting_it_is_told_that_another_loads),
        WITH_CACHE(those_who_fetch_wait_for_the_commit),
        WITH_CACHE(those_who_fetch_share_the_failure),
        WITH_CACHE(another_thread_may_end_it),
        WITH_CACHE(closing_waits_for_a_fill),
        WITH_CACHE(a_loader_does_not_end_its_fill),
        WITH_CACHE(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("fetch in steps", tests, NULL, NULL);
}
