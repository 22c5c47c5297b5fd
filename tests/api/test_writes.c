/* SPDX-License-Identifier: Apache-2.0 */
/* Writes through both tiers: what a later read of this process finds in each. (What a verb does to
 * what it finds at a node: tests/contract/.) */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LARGEST = 2000 };

static hearth *cache;
static struct source source;
static char *large; /* one byte more than may be stored */

static int open_cache(void **state) {
    (void)state;
    source = (struct source){SOURCE_INIT, .text = "loaded"};
    large = malloc(LARGEST + 2);
    if (large != NULL) {
        memset(large, 'l', LARGEST + 1);
        large[LARGEST + 1] = '\0';
    }
    cache = cache_open(
        (const char *const[]){"remote.max_value_bytes", "2000", "remote.prefix", "app:", NULL});
    return cache != NULL && large != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    free(large);
    return hearth_close(cache);
}

static void expect_in_tiers(const char *key, const char *local, const char *remote) {
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE), local);
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), remote);
}

static hearth_write_options with_flags(uint32_t flags) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = flags;
    return write;
}

static uint64_t version_of(const char *key) {
    hearth_info info = {.size = sizeof info};
    hearth_value *value = hearth_value_new();
    assert_non_null(value);
    assert_int_equal(hearth_get(cache, key, strlen(key), NULL, value), HEARTH_OK);
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    hearth_value_free(value);
    return info.version;
}

static void a_stored_value_is_in_both_tiers(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    expect_in_tiers("key", "=one", "=one");
    assert_int_equal(hearth_replace(cache, "key", 3, "two", 3, NULL), HEARTH_OK);
    expect_in_tiers("key", "=two", "=two");
    assert_int_equal(hearth_add(cache, "new", 3, "three", 5, NULL), HEARTH_OK);
    expect_in_tiers("new", "=three", "=three");
    const hearth_write_options write = with_flags(HEARTH_WRITE_NO_LOCAL);
    assert_int_equal(hearth_set(cache, "key", 3, "four", 4, &write), HEARTH_OK);
    expect_in_tiers("key", "MISS", "=four");
    assert_string_equal(cache_get(cache, "key", 0), "=four");
    expect_in_tiers("key", "=four", "=four"); /* the read kept it */
}

static void what_was_not_stored_leaves_no_local_copy(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_int_equal(hearth_add(cache, "key", 3, "two", 3, NULL), HEARTH_EXISTS);
    expect_in_tiers("key", "MISS", "=one");
    assert_int_equal(hearth_replace(cache, "none", 4, "two", 3, NULL), HEARTH_MISS);
    expect_in_tiers("none", "MISS", "MISS");
    assert_string_equal(cache_get(cache, "key", 0), "=one");
    hearth_write_options write = with_flags(0);
    write.if_version = version_of("key") + 1;
    assert_int_equal(hearth_set(cache, "key", 3, "two", 3, &write), HEARTH_CONFLICT);
    expect_in_tiers("key", "MISS", "=one");
}

static void a_version_is_replaced_once(void **state) {
    (void)state;
    hearth_write_options write = with_flags(0);
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    write.if_version = version_of("key");
    assert_int_equal(hearth_set(cache, "key", 3, "two", 3, &write), HEARTH_OK);
    expect_in_tiers("key", "=two", "=two");
    assert_int_equal(hearth_set(cache, "key", 3, "three", 5, &write), HEARTH_CONFLICT);
    assert_true(version_of("key") != write.if_version);
    write.if_version = version_of("key");
    assert_int_equal(hearth_replace(cache, "key", 3, "four", 4, &write), HEARTH_OK);
    expect_in_tiers("key", "=four", "=four");
}

static void a_delete_takes_it_from_both_tiers(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, "key", 3, NULL), HEARTH_OK);
    expect_in_tiers("key", "MISS", "MISS");
    assert_int_equal(hearth_delete(cache, "key", 3, NULL), HEARTH_MISS);
    source.absent = true;
    assert_int_equal(source_fetch(cache, "key", &source, NULL), HEARTH_ABSENT);
    expect_in_tiers("key", "ABSENT", "ABSENT");
    assert_int_equal(hearth_delete(cache, "key", 3, NULL), HEARTH_MISS);
    expect_in_tiers("key", "MISS", "MISS"); /* the absence went too */
}

static void evicting_drops_the_local_copy_only(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "key", 3), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "key", 3), HEARTH_MISS);
    expect_in_tiers("key", "MISS", "=one");
}

static void touching_gives_a_new_life_and_keeps_the_version(void **state) {
    (void)state;
    hearth_write_options write = with_flags(0);
    hearth_info info = {.size = sizeof info};
    hearth_value *value = hearth_value_new();
    assert_non_null(value);
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    const uint64_t version = version_of("key");
    write.ttl_ms = 7000000;
    assert_int_equal(hearth_touch(cache, "key", 3, &write), HEARTH_OK);
    expect_in_tiers("key", "MISS", "=one");
    for (int i = 0; i < 2; i++) { /* from the node, then from the copy of it */
        assert_int_equal(hearth_get(cache, "key", 3, NULL, value), HEARTH_OK);
        assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
        assert_int_equal(info.tier, i == 0 ? HEARTH_TIER_REMOTE : HEARTH_TIER_LOCAL);
        assert_true(info.ttl_left_ms > 300000 && info.ttl_left_ms <= 7000000);
        assert_true(info.version == version);
    }
    assert_int_equal(hearth_touch(cache, "none", 4, &write), HEARTH_MISS);
    hearth_value_free(value);
}

static void a_number_is_kept_remotely_only(void **state) {
    (void)state;
    const hearth_write_options write = with_flags(HEARTH_WRITE_INTEGER);
    int64_t number = 0;
    assert_int_equal(cache_set(cache, "n", "text"), HEARTH_OK);
    assert_int_equal(hearth_set(cache, "n", 1, "41", 2, &write), HEARTH_OK);
    expect_in_tiers("n", "MISS", "=41");
    assert_int_equal(hearth_increment(cache, "n", 1, 1, &number, NULL), HEARTH_OK);
    assert_int_equal(number, 42);
    assert_string_equal(cache_get(cache, "n", 0), "=42");
    expect_in_tiers("n", "MISS", "=42");
    assert_int_equal(hearth_increment(cache, "n", 1, -100, NULL, NULL), HEARTH_OK);
    expect_in_tiers("n", "MISS", "=0");
}

/* ---- too large ---- */

static void a_value_that_is_too_large_takes_the_old_one_with_it(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    large[LARGEST] = '\0';
    assert_int_equal(cache_set(cache, "key", large), HEARTH_OK);
    large[LARGEST] = 'l';
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "key", large), HEARTH_E_TOO_LARGE);
    expect_in_tiers("key", "MISS", "MISS");
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    assert_int_equal(hearth_replace(cache, "key", 3, large, LARGEST + 1, NULL),
                     HEARTH_E_TOO_LARGE);
    expect_in_tiers("key", "MISS", "MISS");
}

/* A condition that may not hold takes nothing away. */
static void a_conditional_value_that_is_too_large_is_refused(void **state) {
    (void)state;
    hearth_write_options write = with_flags(0);
    assert_int_equal(hearth_add(cache, "new", 3, large, LARGEST + 1, NULL), HEARTH_E_TOO_LARGE);
    expect_in_tiers("new", "MISS", "MISS");
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    assert_int_equal(hearth_add(cache, "key", 3, large, LARGEST + 1, NULL), HEARTH_E_TOO_LARGE);
    expect_in_tiers("key", "MISS", "=old");
    write.if_version = version_of("key");
    assert_int_equal(hearth_set(cache, "key", 3, large, LARGEST + 1, &write),
                     HEARTH_E_TOO_LARGE);
    expect_in_tiers("key", "MISS", "=old");
    write.if_version = version_of("key");
    assert_int_equal(hearth_replace(cache, "key", 3, large, LARGEST + 1, &write),
                     HEARTH_E_TOO_LARGE);
    expect_in_tiers("key", "MISS", "=old");
}

static void of_many_only_the_large_one_fails(void **state) {
    (void)state;
    const void *const keys[] = {"a", "b", "c"};
    const size_t key_sizes[] = {1, 1, 1};
    const void *const data[] = {"one", large, "three"};
    const size_t sizes[] = {3, LARGEST + 1, 5};
    int32_t statuses[3];
    assert_int_equal(cache_set(cache, "b", "old"), HEARTH_OK);
    assert_int_equal(hearth_set_many(cache, 3, keys, key_sizes, data, sizes, NULL, statuses),
                     HEARTH_E_TOO_LARGE);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(statuses[1], HEARTH_E_TOO_LARGE);
    assert_int_equal(statuses[2], HEARTH_OK);
    expect_in_tiers("a", "=one", "=one");
    expect_in_tiers("b", "MISS", "MISS");
    expect_in_tiers("c", "=three", "=three");
}

/* ---- many ---- */

static void many_writes_are_each_their_own(void **state) {
    (void)state;
    enum { MANY = 100 };
    char names[MANY][16];
    const void *keys[MANY];
    size_t sizes[MANY];
    int32_t statuses[MANY];
    for (size_t i = 0; i < MANY; i++) {
        sizes[i] = (size_t)snprintf(names[i], sizeof names[i], "key%zu", i);
        keys[i] = names[i];
    }
    assert_int_equal(hearth_set_many(cache, MANY, keys, sizes, keys, sizes, NULL, statuses),
                     HEARTH_OK);
    for (size_t i = 0; i < MANY; i++) {
        char expected[20];
        (void)snprintf(expected, sizeof expected, "=%.15s", names[i]);
        assert_int_equal(statuses[i], HEARTH_OK);
        assert_string_equal(cache_get(cache, names[i], 0), expected);
        assert_string_equal(cache_get(cache, names[i], HEARTH_READ_NO_LOCAL), expected);
    }
    assert_int_equal(hearth_delete(cache, "key7", 4, NULL), HEARTH_OK);
    assert_int_equal(hearth_delete_many(cache, MANY, keys, sizes, NULL, statuses), HEARTH_OK);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(statuses[i], i == 7 ? HEARTH_MISS : HEARTH_OK);
        expect_in_tiers(names[i], "MISS", "MISS");
    }
}

static void of_a_key_that_comes_twice_the_last_stays(void **state) {
    (void)state;
    const void *const keys[] = {"key", "other", "key"};
    const size_t key_sizes[] = {3, 5, 3};
    const void *const data[] = {"first", "x", "last"};
    const size_t sizes[] = {5, 1, 4};
    int32_t statuses[3];
    assert_int_equal(hearth_set_many(cache, 3, keys, key_sizes, data, sizes, NULL, statuses),
                     HEARTH_OK);
    assert_string_equal(cache_get(cache, "key", 0), "=last");
    assert_string_equal(cache_get(cache, "key", HEARTH_READ_NO_LOCAL), "=last");
    assert_int_equal(hearth_delete_many(cache, 3, keys, key_sizes, NULL, statuses), HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(statuses[2], HEARTH_MISS);
}

static void many_may_be_for_the_local_tier_alone(void **state) {
    (void)state;
    const void *const keys[] = {"key", "other", "key", "third"};
    const size_t key_sizes[] = {3, 5, 3, 5};
    const void *const data[] = {"first", "x", "last", "third value"};
    const size_t sizes[] = {5, 1, 4, 11};
    const hearth_write_options write = with_flags(HEARTH_WRITE_NO_REMOTE);
    int32_t statuses[4];
    assert_int_equal(hearth_set_many(cache, 4, keys, key_sizes, data, sizes, &write, statuses),
                     HEARTH_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(statuses[i], HEARTH_OK);
    }
    expect_in_tiers("key", "=last", "MISS");
    expect_in_tiers("other", "=x", "MISS");
    expect_in_tiers("third", "=third value", "MISS");
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(a_stored_value_is_in_both_tiers),
        WITH_CACHE(what_was_not_stored_leaves_no_local_copy),
        WITH_CACHE(a_version_is_replaced_once),
        WITH_CACHE(a_delete_takes_it_from_both_tiers),
        WITH_CACHE(evicting_drops_the_local_copy_only),
        WITH_CACHE(touching_gives_a_new_life_and_keeps_the_version),
        WITH_CACHE(a_number_is_kept_remotely_only),
        WITH_CACHE(a_value_that_is_too_large_takes_the_old_one_with_it),
        WITH_CACHE(a_conditional_value_that_is_too_large_is_refused),
        WITH_CACHE(of_many_only_the_large_one_fails),
        WITH_CACHE(many_writes_are_each_their_own),
        WITH_CACHE(of_a_key_that_comes_twice_the_last_stays),
        WITH_CACHE(many_may_be_for_the_local_tier_alone),
    };
    return cmocka_run_group_tests_name("writes", tests, NULL, NULL);
}
