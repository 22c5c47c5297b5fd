/* SPDX-License-Identifier: Apache-2.0 */
/* What every public call checks at the door: handles, keys, arrays, data. What it refuses leaves
 * everything as it was. (Options of a call: test_call_options.c.) */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static struct source source;

static int open_cache(void **state) {
    (void)state;
    cache = cache_open(NULL);
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

/* ---- handles and keys: one list of all calls that take a key ---- */

typedef int32_t (*keyed_call)(hearth *cache, const void *key, size_t key_size);

static int32_t call_get(hearth *c, const void *key, size_t size) {
    return hearth_get(c, key, size, NULL, NULL);
}

static int32_t call_fetch(hearth *c, const void *key, size_t size) {
    const hearth_loader loader = source_loader(&source);
    return hearth_fetch(c, key, size, &loader, NULL, NULL, NULL);
}

static int32_t call_set(hearth *c, const void *key, size_t size) {
    return hearth_set(c, key, size, "v", 1, NULL);
}

static int32_t call_add(hearth *c, const void *key, size_t size) {
    return hearth_add(c, key, size, "v", 1, NULL);
}

static int32_t call_replace(hearth *c, const void *key, size_t size) {
    return hearth_replace(c, key, size, "v", 1, NULL);
}

static int32_t call_delete(hearth *c, const void *key, size_t size) {
    return hearth_delete(c, key, size, NULL);
}

static int32_t call_touch(hearth *c, const void *key, size_t size) {
    return hearth_touch(c, key, size, NULL);
}

static int32_t call_increment(hearth *c, const void *key, size_t size) {
    int32_t status = hearth_increment(c, key, size, 1, NULL, NULL);
    return status == HEARTH_E_TYPE ? HEARTH_OK : status;
}

static int32_t call_evict_local(hearth *c, const void *key, size_t size) {
    return hearth_evict_local(c, key, size);
}

static int32_t call_node_of(hearth *c, const void *key, size_t size) {
    return hearth_node_of(c, key, size, NULL, NULL, 0);
}

static int32_t call_peek_version(hearth *c, const void *key, size_t size) {
    uint64_t version = 77;
    int32_t status = hearth_peek_version(c, key, size, &version);
    return (status == HEARTH_OK) == (version != 77) ? status : HEARTH_E_UNKNOWN;
}

static int32_t call_get_many(hearth *c, const void *key, size_t size) {
    int32_t statuses[2] = {99, 99};
    const void *const keys[] = {"good", key};
    const size_t sizes[] = {4, size};
    int32_t status = hearth_get_many(c, 2, keys, sizes, NULL, NULL, statuses);
    bool untouched = statuses[0] == 99 && statuses[1] == 99;
    return (status == HEARTH_E_INVALID) == untouched ? status : HEARTH_E_UNKNOWN;
}

static int32_t call_set_many(hearth *c, const void *key, size_t size) {
    int32_t statuses[2] = {99, 99};
    const void *const keys[] = {"good", key};
    const size_t key_sizes[] = {4, size};
    const void *const data[] = {"v", "v"};
    const size_t sizes[] = {1, 1};
    int32_t status = hearth_set_many(c, 2, keys, key_sizes, data, sizes, NULL, statuses);
    bool untouched = statuses[0] == 99 && statuses[1] == 99;
    return (status == HEARTH_E_INVALID) == untouched ? status : HEARTH_E_UNKNOWN;
}

static int32_t call_delete_many(hearth *c, const void *key, size_t size) {
    int32_t statuses[2] = {99, 99};
    const void *const keys[] = {"good", key};
    const size_t sizes[] = {4, size};
    int32_t status = hearth_delete_many(c, 2, keys, sizes, NULL, statuses);
    bool untouched = statuses[0] == 99 && statuses[1] == 99;
    return (status == HEARTH_E_INVALID) == untouched ? status : HEARTH_E_UNKNOWN;
}

static int32_t call_guard_add(hearth *c, const void *key, size_t size) {
    return hearth_guard_add(c, key, size);
}

static const keyed_call keyed_calls[] = {
    call_get,      call_fetch,    call_set,         call_add,          call_replace,
    call_delete,   call_touch,    call_increment,   call_evict_local,  call_node_of,
    call_get_many, call_set_many, call_delete_many, call_peek_version, call_guard_add,
};

enum { KEYED_CALLS = sizeof keyed_calls / sizeof keyed_calls[0] };

static void every_call_with_a_key_refuses_a_bad_one(void **state) {
    (void)state;
    static const char key[HEARTH_KEY_MAX + 1] = "k";
    static const size_t bad[] = {0, HEARTH_KEY_MAX + 1, SIZE_MAX / 2, SIZE_MAX};
    const uint64_t writes = cache_stats(cache).writes;
    const uint64_t reads = cache_stats(cache).reads;
    for (size_t i = 0; i < KEYED_CALLS; i++) {
        assert_int_equal(keyed_calls[i](NULL, key, 1), HEARTH_E_INVALID);
        assert_int_equal(keyed_calls[i](cache, NULL, 1), HEARTH_E_INVALID);
        assert_int_equal(keyed_calls[i](cache, NULL, 0), HEARTH_E_INVALID);
        for (size_t j = 0; j < sizeof bad / sizeof bad[0]; j++) {
            assert_int_equal(keyed_calls[i](cache, key, bad[j]), HEARTH_E_INVALID);
        }
    }
    assert_int_equal(cache_stats(cache).writes, writes);
    assert_int_equal(cache_stats(cache).reads, reads);
    assert_string_equal(cache_get(cache, "good", 0), "MISS");
    for (size_t i = 0; i < KEYED_CALLS; i++) {
        assert_true(keyed_calls[i](cache, key, 1) >= 0);
        assert_true(keyed_calls[i](cache, key, HEARTH_KEY_MAX) >= 0);
        assert_true(keyed_calls[i](cache, "\0", 1) >= 0);
    }
}

static void calls_without_a_key_refuse_no_cache(void **state) {
    (void)state;
    hearth_stats stats = {.size = sizeof stats};
    hearth_log_record record = {.size = sizeof record};
    char text[8];
    size_t needed = 77;
    assert_int_equal(hearth_clear(NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_clear(cache), HEARTH_OK);
    assert_int_equal(hearth_stats_get(NULL, &stats), HEARTH_E_INVALID);
    assert_int_equal(hearth_stats_get(cache, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_stats_text(NULL, text, sizeof text, &needed), HEARTH_E_INVALID);
    assert_int_equal(hearth_stats_text(cache, NULL, 1, &needed), HEARTH_E_INVALID);
    assert_int_equal(needed, 77);
    assert_int_equal(hearth_log_next(NULL, &record), HEARTH_E_INVALID);
    assert_int_equal(hearth_log_next(cache, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_guard_save(NULL, "/tmp"), HEARTH_E_INVALID);
    assert_int_equal(hearth_guard_save(cache, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_guard_load(cache, ""), HEARTH_E_INVALID);
    assert_int_equal(hearth_guard_rebuild(cache, NULL, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_close(NULL), HEARTH_OK);
    hearth_value_free(NULL);
    hearth_read_options_init(NULL, 100);
    hearth_write_options_init(NULL, 100);
}

static void many_calls_need_their_arrays(void **state) {
    (void)state;
    const void *const keys[] = {"a", "b"};
    const size_t sizes[] = {1, 1};
    int32_t st[2] = {99, 99};
    assert_int_equal(hearth_get_many(cache, 2, NULL, sizes, NULL, NULL, st), HEARTH_E_INVALID);
    assert_int_equal(hearth_get_many(cache, 2, keys, NULL, NULL, NULL, st), HEARTH_E_INVALID);
    assert_int_equal(hearth_get_many(cache, 2, keys, sizes, NULL, NULL, NULL),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_set_many(cache, 2, NULL, sizes, keys, sizes, NULL, st),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_set_many(cache, 2, keys, NULL, keys, sizes, NULL, st),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_set_many(cache, 2, keys, sizes, NULL, sizes, NULL, st),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_set_many(cache, 2, keys, sizes, keys, NULL, NULL, st),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_set_many(cache, 2, keys, sizes, keys, sizes, NULL, NULL),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_delete_many(cache, 2, NULL, sizes, NULL, st), HEARTH_E_INVALID);
    assert_int_equal(hearth_delete_many(cache, 2, keys, NULL, NULL, st), HEARTH_E_INVALID);
    assert_int_equal(hearth_delete_many(cache, 2, keys, sizes, NULL, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_delete_many(NULL, 2, keys, sizes, NULL, st), HEARTH_E_INVALID);
    assert_true(st[0] == 99 && st[1] == 99);
    assert_int_equal(hearth_get_many(cache, 0, keys, sizes, NULL, NULL, st), HEARTH_OK);
    assert_int_equal(hearth_set_many(cache, 0, keys, sizes, keys, sizes, NULL, st), HEARTH_OK);
    assert_int_equal(hearth_delete_many(cache, 0, keys, sizes, NULL, st), HEARTH_OK);
    assert_true(st[0] == 99 && st[1] == 99);
}

/* ---- data ---- */

static void data_is_there_or_empty(void **state) {
    (void)state;
    const void *const keys[] = {"a", "b"};
    const size_t key_sizes[] = {1, 1};
    const void *const data[] = {"x", NULL};
    const size_t sizes[] = {1, 1};
    const size_t empty[] = {1, 0};
    int32_t statuses[2];
    assert_int_equal(hearth_set(cache, "a", 1, NULL, 1, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_add(cache, "a", 1, NULL, 1, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_replace(cache, "a", 1, NULL, 1, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_set_many(cache, 2, keys, key_sizes, data, sizes, NULL, statuses),
                     HEARTH_E_INVALID);
    assert_string_equal(cache_get(cache, "a", 0), "MISS");
    assert_int_equal(hearth_add(cache, "a", 1, NULL, 0, NULL), HEARTH_OK);
    assert_int_equal(hearth_replace(cache, "a", 1, NULL, 0, NULL), HEARTH_OK);
    assert_int_equal(hearth_set(cache, "a", 1, NULL, 0, NULL), HEARTH_OK);
    assert_string_equal(cache_get(cache, "a", 0), "=");
    assert_string_equal(cache_get(cache, "a", HEARTH_READ_NO_LOCAL), "=");
    assert_int_equal(hearth_set_many(cache, 2, keys, key_sizes, data, empty, NULL, statuses),
                     HEARTH_OK);
    assert_string_equal(cache_get(cache, "b", HEARTH_READ_NO_LOCAL), "=");
}

static void an_integer_is_digits(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "-1", "+1", "01", "1 ", "a", "9223372036854775808", "1.0", "99999999999999999999"};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(hearth_set(cache, "n", 1, bad[i], strlen(bad[i]), &write),
                         HEARTH_E_INVALID);
    }
    int64_t number = 5;
    assert_int_equal(hearth_increment(cache, "n", 1, 1, &number, NULL), HEARTH_MISS);
    assert_int_equal(hearth_set(cache, "n", 1, "9223372036854775806", 19, &write), HEARTH_OK);
    assert_int_equal(number, 5);
    assert_int_equal(hearth_increment(cache, "n", 1, 1, &number, NULL), HEARTH_OK);
    assert_true(number == INT64_MAX);
    number = 5;
    assert_int_equal(hearth_increment(cache, "n", 1, 1, &number, NULL), HEARTH_E_TOO_LARGE);
    assert_int_equal(number, 5);
    assert_string_equal(cache_get(cache, "n", 0), "=9223372036854775807");
    assert_int_equal(hearth_increment(cache, "n", 1, INT64_MIN, &number, NULL), HEARTH_OK);
    assert_int_equal(number, 0); /* it stops there */
    number = 5;
    assert_int_equal(cache_set(cache, "n", "text"), HEARTH_OK);
    assert_int_equal(hearth_increment(cache, "n", 1, 1, &number, NULL), HEARTH_E_TYPE);
    assert_int_equal(number, 5);
    assert_string_equal(cache_get(cache, "n", 0), "=text");
}

/* ---- the rest ---- */

static void a_loader_must_be_whole(void **state) {
    (void)state;
    const hearth_loader good = source_loader(&source);
    hearth_loader loader = good;
    const int before = atomic_load(&source.calls);
    assert_int_equal(hearth_fetch(cache, "k", 1, NULL, NULL, NULL, NULL), HEARTH_E_INVALID);
    loader.size = sizeof loader - 1;
    assert_int_equal(hearth_fetch(cache, "k", 1, &loader, NULL, NULL, NULL), HEARTH_E_INVALID);
    loader.size = 0;
    assert_int_equal(hearth_fetch(cache, "k", 1, &loader, NULL, NULL, NULL), HEARTH_E_INVALID);
    loader = good;
    loader.load = NULL;
    assert_int_equal(hearth_fetch(cache, "k", 1, &loader, NULL, NULL, NULL), HEARTH_E_INVALID);
    assert_int_equal(atomic_load(&source.calls), before);
    assert_int_equal(hearth_fill_value(NULL, "", 0), HEARTH_E_INVALID);
    assert_int_equal(hearth_fill_absent(NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_fill_ttl(NULL, 0, 0), HEARTH_E_INVALID);
}

static void the_node_of_a_key_is_told(void **state) {
    (void)state;
    char name[32] = "before";
    uint32_t index = 99;
    assert_int_equal(hearth_node_of(cache, "k", 1, &index, name, 3), HEARTH_E_TOO_LARGE);
    assert_int_equal(hearth_node_of(cache, "k", 1, &index, name, 0), HEARTH_E_TOO_LARGE);
    assert_int_equal(hearth_node_of(cache, "k", 1, &index, NULL, 1), HEARTH_E_INVALID);
    assert_int_equal(index, 99);
    assert_string_equal(name, "before");
    assert_int_equal(hearth_node_of(cache, "k", 1, &index, name, sizeof name), HEARTH_OK);
    assert_int_equal(index, 0);
    assert_non_null(strstr(name, "embedded"));
    assert_int_equal(hearth_node_of(cache, "k", 1, NULL, name, strlen(name) + 1), HEARTH_OK);
    assert_int_equal(hearth_node_of(cache, "k", 1, NULL, name, strlen(name)),
                     HEARTH_E_TOO_LARGE);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    source = (struct source){SOURCE_INIT};
    const struct CMUnitTest tests[] = {
        WITH_CACHE(every_call_with_a_key_refuses_a_bad_one),
        WITH_CACHE(calls_without_a_key_refuse_no_cache),
        WITH_CACHE(many_calls_need_their_arrays),
        WITH_CACHE(data_is_there_or_empty),
        WITH_CACHE(an_integer_is_digits),
        WITH_CACHE(a_loader_must_be_whole),
        WITH_CACHE(the_node_of_a_key_is_told),
    };
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
