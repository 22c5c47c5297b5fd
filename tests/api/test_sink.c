/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_get_with(): what becomes an object, what is a miss, and what a sink may do. That it never waits, and what threads
 * see of it: test_sink_threads.c. */
#include "sink.h"
#include "source.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;

static int open_cache(void **state) {
    (void)state;
    cache = cache_open_with_sink(NULL, NULL);
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

/* ---- objects ---- */

/* Bytes that follow from their place and a number. */
static void compose(unsigned char *bytes, size_t size, size_t number) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i * 31 + i / 256 + number);
    }
}

static void set_bytes(const char *key, size_t size) {
    unsigned char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    compose(bytes, size, size);
    assert_int_equal(hearth_set(cache, key, strlen(key), bytes, size, NULL), HEARTH_OK);
    free(bytes);
}

static bool is_whole(const unsigned char *data, size_t size) {
    unsigned char *bytes = malloc(size + 1);
    compose(bytes, size, size);
    bool same = memcmp(bytes, data, size) == 0;
    free(bytes);
    return same;
}

static void a_value_of_any_size_becomes_an_object(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 100, 4095, 4096, 4097, 65536, 500000, 5000, 20, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        set_bytes("key", sizes[i]);
        struct object *object = hearth_get_with(cache, "key", 3);
        assert_non_null(object);
        assert_ptr_not_equal(object, &missing);
        assert_int_equal(object->size, sizes[i]);
        assert_true(is_whole(object->bytes, object->size));
        free(object);
    }
}

static void keys_are_bytes(void **state) {
    (void)state;
    static char longest[HEARTH_KEY_MAX];
    memset(longest, 'k', sizeof longest);
    assert_int_equal(hearth_set(cache, "a\0b", 3, "1", 1, NULL), HEARTH_OK);
    assert_int_equal(hearth_set(cache, longest, sizeof longest, "2", 1, NULL), HEARTH_OK);
    assert_string_equal(cache_get_with(cache, "a"), "MISS");
    struct object *object = hearth_get_with(cache, "a\0b", 3);
    assert_ptr_not_equal(object, &missing);
    assert_int_equal(object->bytes[0], '1');
    free(object);
    object = hearth_get_with(cache, longest, sizeof longest);
    assert_ptr_not_equal(object, &missing);
    assert_int_equal(object->bytes[0], '2');
    free(object);
}

/* ---- misses ---- */

static int32_t set_with_lives(const char *key, int64_t ttl_ms, int64_t soft_ttl_ms) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = ttl_ms;
    write.soft_ttl_ms = soft_ttl_ms;
    return hearth_set(cache, key, strlen(key), "v", 1, &write);
}

static bool is_no_longer_fresh(void *key) {
    return strcmp(cache_get_with(cache, key), "MISS") == 0;
}

static void what_is_not_fresh_is_a_miss(void **state) {
    (void)state;
    char stale[] = "stale";
    char expired[] = "expired";
    assert_int_equal(set_with_lives("fresh", 10000000, 9000000), HEARTH_OK);
    assert_int_equal(set_with_lives(stale, 10000000, 1), HEARTH_OK);
    assert_int_equal(set_with_lives(expired, 1, 0), HEARTH_OK);
    assert_true(await_until(is_no_longer_fresh, stale));
    assert_true(await_until(is_no_longer_fresh, expired));
    assert_string_equal(cache_get(cache, stale, HEARTH_READ_ALLOW_STALE), "=v");
    assert_string_equal(cache_get_with(cache, "fresh"), "=v");
}

/* Not even what the node has: it would have to be waited for. */
static void what_is_not_in_the_local_tier_is_a_miss(void **state) {
    (void)state;
    struct source absent = {SOURCE_INIT, .absent = true};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    assert_string_equal(cache_get_with(cache, "nothing"), "MISS");
    assert_int_equal(cache_set(cache, "remote", "v"), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "remote", 6), HEARTH_OK);
    assert_string_equal(cache_get_with(cache, "remote"), "MISS");
    assert_string_equal(cache_get(cache, "remote", 0), "=v");
    assert_string_equal(cache_get_with(cache, "remote"), "=v");
    assert_int_equal(source_fetch(cache, "absent", &absent, NULL), HEARTH_ABSENT);
    assert_string_equal(cache_get_with(cache, "absent"), "MISS");
    write.flags = HEARTH_WRITE_INTEGER;
    assert_int_equal(hearth_set(cache, "number", 6, "41", 2, &write), HEARTH_OK);
    assert_string_equal(cache_get_with(cache, "number"), "MISS");
    assert_int_equal(cache_set(cache, "deleted", "v"), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, "deleted", 7, NULL), HEARTH_OK);
    assert_string_equal(cache_get_with(cache, "deleted"), "MISS");
}

/* An object is made of bytes alone, so those that need their content word to be understood are left to hearth_get(). */
static void a_value_with_content_is_a_miss(void **state) {
    (void)state;
    hearth_write_options write;
    uint64_t version = 0;
    hearth_write_options_init(&write, sizeof write);
    for (uint32_t bit = 0; bit < 32; bit++) {
        write.content = UINT32_C(1) << bit;
        assert_int_equal(hearth_set(cache, "key", 3, "v", 1, &write), HEARTH_OK);
        assert_string_equal(cache_get_with(cache, "key"), "MISS");
        assert_string_equal(cache_get(cache, "key", 0), "=v");
        assert_int_equal(hearth_peek_version(cache, "key", 3, &version), HEARTH_OK);
    }
    assert_int_equal(cache_set(cache, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(cache, "key"), "=v");
}

static void without_a_local_tier_all_is_a_miss(void **state) {
    (void)state;
    hearth *remote_only =
        cache_open_with_sink((const char *const[]){"local.max_bytes", "0", NULL}, NULL);
    uint64_t version = 77;
    assert_non_null(remote_only);
    assert_int_equal(cache_set(remote_only, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(remote_only, "key"), "MISS");
    assert_int_equal(hearth_peek_version(remote_only, "key", 3, &version), HEARTH_MISS);
    assert_int_equal(hearth_close(remote_only), HEARTH_OK);
}

static void a_bad_key_is_a_miss(void **state) {
    (void)state;
    static const char key[HEARTH_KEY_MAX + 1] = "k";
    static const size_t bad[] = {0, HEARTH_KEY_MAX + 1, SIZE_MAX / 2, SIZE_MAX};
    const uint64_t before = atomic_load(&missing.references);
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(hearth_get_with(cache, key, bad[i]), &missing);
    }
    assert_ptr_equal(hearth_get_with(cache, NULL, 1), &missing);
    assert_int_equal(atomic_load(&missing.references) - before, 5);
    assert_int_equal(cache_stats(cache).reads, 0);
}

/* ---- sinks ---- */

static void *make_nothing(const char *data, ptrdiff_t size) {
    (void)data;
    (void)size;
    return NULL;
}

static void what_make_returns_is_handed_on(void **state) {
    (void)state;
    hearth *own = cache_open_with_sink(NULL, make_nothing);
    assert_non_null(own);
    assert_int_equal(cache_set(own, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(own, "key"), "NULL"); /* not taken for a miss */
    assert_string_equal(cache_get_with(own, "other"), "MISS");
    assert_int_equal(hearth_close(own), HEARTH_OK);
}

static void without_a_sink_there_is_no_object(void **state) {
    (void)state;
    hearth *plain = cache_open(NULL);
    uint64_t version = 0;
    assert_non_null(plain);
    assert_int_equal(cache_set(plain, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(plain, "key"), "NULL");
    assert_string_equal(cache_get_with(plain, "other"), "NULL");
    assert_null(hearth_get_with(plain, "key", 0));
    assert_null(hearth_get_with(NULL, "key", 3));
    assert_int_equal(hearth_peek_version(plain, "key", 3, &version), HEARTH_OK);
    assert_int_equal(hearth_close(plain), HEARTH_OK);
}

static void half_a_sink_is_refused(void **state) {
    (void)state;
    hearth *own = NULL;
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    assert_int_equal(hearth_options_set_sink(NULL, object_make, NULL, &missing),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_options_set_sink(options, object_make, NULL, &missing), HEARTH_OK);
    assert_int_equal(hearth_options_set_sink(options, make_nothing, missing_retain, NULL),
                     HEARTH_E_INVALID);
    assert_non_null(strstr(hearth_options_error(options), "miss"));
    assert_int_equal(hearth_options_set_sink(options, NULL, missing_retain, &missing),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_options_set_sink(options, NULL, NULL, &missing), HEARTH_E_INVALID);
    assert_int_equal(hearth_options_set_sink(options, NULL, missing_retain, NULL),
                     HEARTH_E_INVALID);
    /* The first one still holds, and a miss that needs no references is given without. */
    assert_int_equal(hearth_open(options, &own), HEARTH_OK);
    assert_int_equal(cache_set(own, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(own, "key"), "=v");
    assert_string_equal(cache_get_with(own, "other"), "MISS, not retained");
    assert_int_equal(hearth_close(own), HEARTH_OK);
    assert_int_equal(hearth_options_set_sink(options, NULL, NULL, NULL), HEARTH_OK);
    assert_string_equal(hearth_options_error(options), "");
    assert_int_equal(hearth_open(options, &own), HEARTH_OK);
    assert_string_equal(cache_get_with(own, "other"), "NULL");
    assert_int_equal(hearth_close(own), HEARTH_OK);
    hearth_options_free(options);
}

/* ---- what a sink may do ---- */

enum { DEEP = 4 };

static struct {
    size_t depth;
    size_t spoilt; /* values whose bytes changed under make */
    bool closes;
} nested;

/* Looks at other keys, smaller and larger, while it has the value; then at its own bytes again. */
static void *make_nested(const char *data, ptrdiff_t size) {
    static const char *const keys[] = {"large", "small", "larger", "empty"};
    const size_t depth = nested.depth++;
    if (depth < DEEP) {
        for (size_t i = 0; i < 4; i++) {
            free(hearth_get_with(cache, keys[i], strlen(keys[i])));
        }
    }
    nested.depth = depth;
    nested.spoilt += !is_whole((const unsigned char *)data, (size_t)size);
    return object_make(data, size);
}

static void a_sink_may_read_other_keys(void **state) {
    (void)state;
    cache = cache_open_with_sink(NULL, make_nested);
    assert_non_null(cache);
    set_bytes("empty", 0);
    set_bytes("small", 3000);
    set_bytes("large", 30000);
    set_bytes("larger", 70000);
    memset(&nested, 0, sizeof nested);
    for (size_t i = 0; i < 3; i++) {
        struct object *object = hearth_get_with(cache, i != 1 ? "large" : "small", 5);
        assert_non_null(object);
        assert_int_equal(object->size, i != 1 ? 30000 : 3000);
        assert_true(is_whole(object->bytes, object->size));
        free(object);
    }
    assert_int_equal(nested.spoilt, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Replaces the very value that it was given, on this thread and in every way. */
static void *make_and_write(const char *data, ptrdiff_t size) {
    unsigned char other[5000] = {0};
    uint64_t version = 0;
    bool done = hearth_set(cache, "key", 3, other, sizeof other, NULL) == HEARTH_OK &&
                hearth_peek_version(cache, "key", 3, &version) == HEARTH_OK &&
                hearth_delete(cache, "key", 3, NULL) == HEARTH_OK &&
                hearth_peek_version(cache, "key", 3, &version) == HEARTH_MISS;
    if (nested.closes) {
        done = hearth_close(cache) == HEARTH_OK && done;
    }
    return done && is_whole((const unsigned char *)data, (size_t)size) ? &nested : NULL;
}

static void a_sink_may_write_and_close(void **state) {
    (void)state;
    static const size_t sizes[] = {100, 4096, 5000, 30000};
    for (size_t i = 0; i < 4; i++) {
        for (size_t closes = 0; closes < 2; closes++) {
            cache = cache_open_with_sink(NULL, make_and_write);
            assert_non_null(cache);
            set_bytes("key", sizes[i]);
            nested.closes = closes != 0;
            assert_ptr_equal(hearth_get_with(cache, "key", 3), &nested);
            if (!nested.closes) {
                assert_string_equal(cache_get_with(cache, "key"), "MISS");
                assert_int_equal(hearth_close(cache), HEARTH_OK);
            }
        }
    }
}

/* ---- statistics ---- */

static void hits_and_misses_are_counted_as_of_other_local_reads(void **state) {
    (void)state;
    uint64_t version = 0;
    assert_int_equal(cache_set(cache, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(cache, "key"), "=v");
    assert_string_equal(cache_get_with(cache, "key"), "=v");
    assert_string_equal(cache_get_with(cache, "other"), "MISS");
    assert_int_equal(hearth_peek_version(cache, "key", 3, &version), HEARTH_OK);
    assert_int_equal(hearth_peek_version(cache, "other", 5, &version), HEARTH_MISS);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.reads, 4);
    assert_int_equal(stats.local_hits, 3);
    assert_int_equal(stats.remote_hits + stats.remote_misses, 0);
}

static void what_is_found_expired_is_counted(void **state) {
    (void)state;
    char expired[] = "expired";
    assert_int_equal(set_with_lives(expired, 1, 0), HEARTH_OK);
    assert_true(await_until(is_no_longer_fresh, expired));
    assert_true(cache_stats(cache).local_expirations >= 1);
}

/* ---- memory ---- */

struct thrift {
    bool small_at_once;   /* up to 4096 bytes take no memory at all */
    bool large_is_missed; /* without memory for the buffer */
    bool large_is_whole;  /* without memory, once the buffer is there */
    uint64_t requests;    /* by then */
    int64_t blocks;       /* that live when the reads are done */
};

/* Whether a value of so many bytes is read, whole. */
static bool reads(const char *key, size_t size) {
    struct object *object = hearth_get_with(cache, key, strlen(key));
    if (object == NULL || (void *)object == &missing) {
        return false;
    }
    bool whole = object->size == size && is_whole(object->bytes, size);
    free(object);
    return whole;
}

static void read_thriftily(void *arg, size_t index) {
    struct thrift *thrift = arg;
    (void)index;
    (void)reads("nothing", 0); /* the thread is known now */
    failing_memory_fail(0, UINT64_MAX);
    thrift->small_at_once = reads("small", 4096) && failing_memory_requests() == 0;
    thrift->large_is_missed = !reads("large", 30000);
    failing_memory_pass();
    (void)reads("large", 30000); /* the buffer has grown now */
    failing_memory_fail(0, UINT64_MAX);
    thrift->large_is_whole = reads("large", 30000) && reads("small", 4096);
    thrift->requests = failing_memory_requests();
    failing_memory_pass();
    thrift->blocks = failing_memory_blocks();
}

/* Once the thread and its buffer are there. Both go with the thread. */
static void reading_takes_no_memory(void **state) {
    (void)state;
    struct thrift thrift = {0};
    set_bytes("small", 4096);
    set_bytes("large", 30000);
    const int64_t before = failing_memory_blocks();
    assert_true(crowd_run(1, read_thriftily, &thrift));
    assert_true(thrift.small_at_once);
    assert_true(thrift.large_is_missed);
    assert_true(thrift.large_is_whole);
    assert_int_equal(thrift.requests, 0);
    assert_int_equal(thrift.blocks, before + 2);
    assert_int_equal(failing_memory_blocks(), before);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(a_value_of_any_size_becomes_an_object),
        WITH_CACHE(keys_are_bytes),
        WITH_CACHE(what_is_not_fresh_is_a_miss),
        WITH_CACHE(what_is_not_in_the_local_tier_is_a_miss),
        WITH_CACHE(a_value_with_content_is_a_miss),
        cmocka_unit_test(without_a_local_tier_all_is_a_miss),
        WITH_CACHE(a_bad_key_is_a_miss),
        cmocka_unit_test(what_make_returns_is_handed_on),
        cmocka_unit_test(without_a_sink_there_is_no_object),
        cmocka_unit_test(half_a_sink_is_refused),
        cmocka_unit_test(a_sink_may_read_other_keys),
        cmocka_unit_test(a_sink_may_write_and_close),
        WITH_CACHE(hits_and_misses_are_counted_as_of_other_local_reads),
        WITH_CACHE(what_is_found_expired_is_counted),
        WITH_CACHE(reading_takes_no_memory),
    };
    return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
