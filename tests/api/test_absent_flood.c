/* SPDX-License-Identifier: Apache-2.0 */
/* A flood of keys that do not exist: what is remembered of them, and what that may cost. */
#include "base/racy.h"
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
#if defined(HEARTH__RACY_WORDS)
    FLOOD = 100000, /* each word is written by itself */
#else
    FLOOD = 1000000,
#endif
    SHORT_FLOOD = 100000, /* more than enough for a small tier */
    HOT = 1000,
    LAST = 1000,
};

static hearth *cache;
static hearth_value *value;
static struct source source;

static int open_with(const char *policy, const char *bytes) {
    source = (struct source){SOURCE_INIT, .absent = true};
    value = hearth_value_new();
    cache = cache_open((const char *const[]){"local.policy", policy, "local.max_bytes", bytes,
                                             "embedded.max_bytes", "1mb", NULL});
    return cache != NULL && value != NULL ? 0 : -1;
}

static void close_cache(void) {
    hearth_value_free(value);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static int32_t get_local(const char *name, int number) {
    char key[32];
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    int size = snprintf(key, sizeof key, "%s%d", name, number);
    return hearth_get(cache, key, (size_t)size, &read, value);
}

static int count_local(const char *name, int from, int to, int32_t status) {
    int found = 0;
    for (int i = from; i < to; i++) {
        found += get_local(name, i) == status;
    }
    return found;
}

static void set_hot_keys(void) {
    char key[32];
    for (int i = 0; i < HOT; i++) {
        (void)snprintf(key, sizeof key, "hot%d", i);
        assert_int_equal(cache_set(cache, key, "a value like any other"), HEARTH_OK);
    }
    assert_int_equal(count_local("hot", 0, HOT, HEARTH_OK), HOT);
}

/* The statistics hold at every moment. */
static hearth_stats checked_stats(void) {
    const hearth_stats stats = cache_stats(cache);
    assert_true(stats.local_negative_bytes <= stats.local_limit_bytes / 25);
    assert_true(stats.local_bytes <= stats.local_limit_bytes);
    return stats;
}

static void flood(int keys) {
    char key[32];
    for (int i = 0; i < keys; i++) {
        (void)snprintf(key, sizeof key, "no such key %d", i);
        assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_ABSENT);
        if (i % 4096 == 0) {
            (void)checked_stats();
        }
    }
}

static void hot_keys_stay_and_the_flood_has_its_part(const char *policy, const char *bytes,
                                                     int keys) {
    assert_int_equal(open_with(policy, bytes), 0);
    set_hot_keys();
    flood(keys);
    assert_int_equal(count_local("hot", 0, HOT, HEARTH_OK), HOT);
    const hearth_stats stats = checked_stats();
    print_message("%s, %s: %llu absences in %.2f %% of the limit\n", policy, bytes,
                  (unsigned long long)stats.local_negative_entries,
                  100 * (double)stats.local_negative_bytes / (double)stats.local_limit_bytes);
    assert_true(stats.local_negative_entries >= LAST);
    assert_int_equal(count_local("no such key ", keys - LAST, keys, HEARTH_ABSENT), LAST);
    assert_int_equal(stats.loads, keys);
    close_cache();
}

static void it_displaces_no_value_under_lru(void **state) {
    (void)state;
    hot_keys_stay_and_the_flood_has_its_part("lru", "4mb", SHORT_FLOOD);
}

static void it_displaces_no_value_under_s3fifo(void **state) {
    (void)state;
    hot_keys_stay_and_the_flood_has_its_part("s3fifo", "4mb", SHORT_FLOOD);
}

static void it_displaces_no_value_under_adaptive(void **state) {
    (void)state;
    hot_keys_stay_and_the_flood_has_its_part("adaptive", "4mb", SHORT_FLOOD);
}

static void it_displaces_no_value_in_a_tier_of_many_shards(void **state) {
    (void)state;
    hot_keys_stay_and_the_flood_has_its_part("adaptive", "64mb", FLOOD);
}

/* A key that was absent and is set, and the other way round. */
static void what_a_key_is_now_is_told(void **state) {
    (void)state;
    assert_int_equal(open_with("s3fifo", "4mb"), 0);
    assert_int_equal(source_fetch(cache, "key1", &source, value), HEARTH_ABSENT);
    assert_int_equal(get_local("key", 1), HEARTH_ABSENT);
    assert_int_equal(checked_stats().local_negative_entries, 1);
    assert_int_equal(cache_set(cache, "key1", ""), HEARTH_OK);
    assert_int_equal(get_local("key", 1), HEARTH_OK);
    assert_int_equal(checked_stats().local_negative_entries, 0);
    assert_int_equal(checked_stats().local_entries, 1);
    assert_int_equal(hearth_delete(cache, "key1", 4, NULL), HEARTH_OK);
    assert_int_equal(source_fetch(cache, "key1", &source, value), HEARTH_ABSENT);
    assert_int_equal(get_local("key", 1), HEARTH_ABSENT);
    close_cache();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_displaces_no_value_under_lru),
        cmocka_unit_test(it_displaces_no_value_under_s3fifo),
        cmocka_unit_test(it_displaces_no_value_under_adaptive),
        cmocka_unit_test(it_displaces_no_value_in_a_tier_of_many_shards),
        cmocka_unit_test(what_a_key_is_now_is_told),
    };
    return cmocka_run_group_tests_name("absent keys", tests, NULL, NULL);
}
