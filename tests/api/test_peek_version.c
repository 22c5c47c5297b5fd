/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_peek_version(): whether a decoded object is still good. */
#include "source.h"
#include "tier/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;

static int open_cache(void **state) {
    (void)state;
    cache = cache_open(NULL);
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

enum { UNTOUCHED = 77 };

/* The version, which is never 0; 0 and its status: there is none. */
static uint64_t peek(const char *key, int32_t expected) {
    uint64_t version = UNTOUCHED;
    int32_t status = hearth_peek_version(cache, key, strlen(key), &version);
    assert_int_equal(status, expected);
    if (status == HEARTH_OK) {
        assert_true(version != UNTOUCHED && version != 0);
        return version;
    }
    assert_true(version == UNTOUCHED);
    return 0;
}

static uint64_t version_of_get(const char *key) {
    hearth_info info = {.size = sizeof info};
    hearth_value *value = hearth_value_new();
    assert_non_null(value);
    assert_int_equal(hearth_get(cache, key, strlen(key), NULL, value), HEARTH_OK);
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    hearth_value_free(value);
    return info.version;
}

static void it_is_the_values_own(void **state) {
    (void)state;
    static char large[30000];
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "empty", ""), HEARTH_OK);
    assert_int_equal(hearth_set(cache, "large", 5, large, sizeof large, NULL), HEARTH_OK);
    assert_true(peek("key", HEARTH_OK) == version_of_get("key"));
    assert_true(peek("empty", HEARTH_OK) == version_of_get("empty"));
    assert_true(peek("large", HEARTH_OK) == version_of_get("large"));
    assert_true(peek("key", HEARTH_OK) != peek("empty", HEARTH_OK));
}

static void it_changes_with_the_value(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    const uint64_t first = peek("key", HEARTH_OK);
    assert_true(peek("key", HEARTH_OK) == first);
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK); /* the same bytes */
    const uint64_t second = peek("key", HEARTH_OK);
    assert_true(second != first);
    /* A new life is no new value; the local copy comes back from the node. */
    assert_int_equal(hearth_touch(cache, "key", 3, NULL), HEARTH_OK);
    (void)peek("key", HEARTH_MISS);
    assert_true(version_of_get("key") == second);
    assert_true(peek("key", HEARTH_OK) == second);
    assert_int_equal(hearth_delete(cache, "key", 3, NULL), HEARTH_OK);
    (void)peek("key", HEARTH_MISS);
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_true(peek("key", HEARTH_OK) != first && peek("key", HEARTH_OK) != second);
}

static void what_is_only_local_has_none(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    assert_int_equal(hearth_set(cache, "key", 3, "one", 3, NULL), HEARTH_OK);
    (void)peek("key", HEARTH_OK);
    assert_int_equal(hearth_set(cache, "key", 3, "two", 3, &write), HEARTH_OK);
    (void)peek("key", HEARTH_MISS);
}

/* ---- none ---- */

static bool is_no_longer_fresh(void *key) {
    uint64_t version = 0;
    return hearth_peek_version(cache, key, strlen(key), &version) == HEARTH_MISS;
}

static void only_a_fresh_value_has_one(void **state) {
    (void)state;
    char stale[] = "stale";
    char expired[] = "expired";
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 10000000;
    write.soft_ttl_ms = 1;
    assert_int_equal(hearth_set(cache, stale, 5, "v", 1, &write), HEARTH_OK);
    write.ttl_ms = 1;
    assert_int_equal(hearth_set(cache, expired, 7, "v", 1, &write), HEARTH_OK);
    assert_true(await_until(is_no_longer_fresh, stale));
    assert_true(await_until(is_no_longer_fresh, expired));
    (void)peek(stale, HEARTH_MISS);
    (void)peek(expired, HEARTH_MISS);
    (void)peek("nothing", HEARTH_MISS);
    assert_int_equal(cache_set(cache, "remote", "v"), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "remote", 6), HEARTH_OK);
    (void)peek("remote", HEARTH_MISS);
}

static bool is_forgotten(void *key) {
    uint64_t version = 0;
    return hearth_peek_version(cache, key, strlen(key), &version) != HEARTH_ABSENT;
}

static void an_absence_is_told_while_it_lives(void **state) {
    (void)state;
    char brief[] = "brief";
    struct source absent = {SOURCE_INIT, .absent = true};
    assert_int_equal(source_fetch(cache, "absent", &absent, NULL), HEARTH_ABSENT);
    (void)peek("absent", HEARTH_ABSENT);
    absent.has_ttl = true;
    absent.ttl_ms = 1;
    assert_int_equal(source_fetch(cache, brief, &absent, NULL), HEARTH_ABSENT);
    assert_true(await_until(is_forgotten, brief));
    (void)peek(brief, HEARTH_MISS);
    (void)peek("absent", HEARTH_ABSENT);
}

/* As one that Hearth did not write: two of them must not be taken for the same. */
static void a_value_without_a_version_is_not_told(void **state) {
    (void)state;
    const hearth__local_entry foreign = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                         .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    assert_true(hearth__local_put(cache->local, "foreign", 7, &foreign, "v", 1));
    assert_string_equal(cache_get(cache, "foreign", HEARTH_READ_NO_REMOTE), "=v");
    (void)peek("foreign", HEARTH_MISS);
}

static void what_is_not_valid_is_refused(void **state) {
    (void)state;
    uint64_t version = UNTOUCHED;
    assert_int_equal(cache_set(cache, "key", "v"), HEARTH_OK);
    assert_int_equal(hearth_peek_version(NULL, "key", 3, &version), HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, NULL, 3, &version), HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, "key", 0, &version), HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, "key", HEARTH_KEY_MAX + 1, &version),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, "key", 3, NULL), HEARTH_E_INVALID);
    assert_true(version == UNTOUCHED);
}

/* ---- a use like any other ---- */

enum { FLOOD = 4000 };

static void flood(const char *peeked) {
    static const char value[200];
    for (int i = 0; i < FLOOD; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "flood%d", i);
        assert_int_equal(hearth_set(cache, key, strlen(key), value, sizeof value, NULL),
                         HEARTH_OK);
        (void)peek(peeked, HEARTH_OK);
    }
}

static void what_is_peeked_at_stays(void **state) {
    (void)state;
    cache = cache_open(
        (const char *const[]){"local.max_bytes", "256kb", "local.policy", "lru", NULL});
    assert_non_null(cache);
    assert_int_equal(cache_set(cache, "hot", "v"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "cold", "v"), HEARTH_OK);
    flood("hot");
    (void)peek("cold", HEARTH_MISS);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(it_is_the_values_own),
        WITH_CACHE(it_changes_with_the_value),
        WITH_CACHE(what_is_only_local_has_none),
        WITH_CACHE(only_a_fresh_value_has_one),
        WITH_CACHE(an_absence_is_told_while_it_lives),
        WITH_CACHE(a_value_without_a_version_is_not_told),
        WITH_CACHE(what_is_not_valid_is_refused),
        cmocka_unit_test(what_is_peeked_at_stays),
    };
    return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
