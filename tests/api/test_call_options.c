/* SPDX-License-Identifier: Apache-2.0 */
/* The options of reads and writes: flags and times that are refused, and structs of callers that
 * were compiled against another version. */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
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

/* ---- options of a read ---- */

static int32_t read_with(const hearth_read_options *read, int which) {
    static const void *const keys[] = {"key"};
    static const size_t sizes[] = {3};
    int32_t statuses[1] = {HEARTH_OK};
    const hearth_loader loader = source_loader(&source);
    return which == 0   ? hearth_get(cache, "key", 3, read, NULL)
           : which == 1 ? hearth_get_many(cache, 1, keys, sizes, read, NULL, statuses)
                        : hearth_fetch(cache, "key", 3, &loader, read, NULL, NULL);
}

static void expect_read(const hearth_read_options *read, bool valid) {
    for (int which = 0; which < 3; which++) {
        assert_int_equal(read_with(read, which) != HEARTH_E_INVALID, valid);
    }
}

static void read_options_are_checked(void **state) {
    (void)state;
    hearth_read_options good;
    hearth_read_options_init(&good, sizeof good);
    assert_int_equal(good.max_stale_ms, HEARTH_STALE_ANY);
    expect_read(&good, true);
    expect_read(NULL, true);
    struct {
        int64_t deadline_ms;
        int64_t max_stale_ms;
        uint32_t flags;
        uint32_t reserved;
        bool valid;
    } cases[] = {
        {0, 0, 0, 0, true},
        {1, 1, 7, 0, true},
        {HEARTH_TTL_MAX, HEARTH_STALE_ANY, 0, 0, true},
        {HEARTH_TTL_MAX + 1, HEARTH_STALE_ANY, 0, 0, false},
        {INT64_MAX, HEARTH_STALE_ANY, 0, 0, false},
        {-1, HEARTH_STALE_ANY, 0, 0, false},
        {INT64_MIN, HEARTH_STALE_ANY, 0, 0, false},
        {0, -1, 0, 0, false},
        {0, 0, 8, 0, false},
        {0, 0, 1u << 31, 0, false},
        {0, 0, 0, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hearth_read_options read = good;
        read.deadline_ms = cases[i].deadline_ms;
        read.max_stale_ms = cases[i].max_stale_ms;
        read.flags = cases[i].flags;
        read.reserved = cases[i].reserved;
        expect_read(&read, cases[i].valid);
    }
}

/* A struct of another version: shorter, its end is as by default; longer, its end must be zero. */
static void read_options_of_any_version_are_taken(void **state) {
    (void)state;
    struct {
        hearth_read_options read;
        uint64_t later[4];
    } given;
    memset(&given, 0xff, sizeof given);
    given.read.size = offsetof(hearth_read_options, deadline_ms);
    expect_read(&given.read, true);
    given.read.size = offsetof(hearth_read_options, max_stale_ms);
    expect_read(&given.read, false); /* a deadline of -1 */
    given.read.deadline_ms = 5;
    expect_read(&given.read, true);
    given.read.size = 0;
    expect_read(&given.read, false);
    given.read.size = sizeof(size_t) - 1;
    expect_read(&given.read, false);
    memset(&given, 0, sizeof given);
    given.read.size = sizeof given;
    expect_read(&given.read, true);
    given.later[3] = 1;
    expect_read(&given.read, false);
    given.read.size = sizeof given - sizeof given.later[3];
    expect_read(&given.read, true);
    given.read.size = SIZE_MAX;
    expect_read(&given.read, false);
}

/* ---- options of a write ---- */

typedef int32_t (*write_call)(const hearth_write_options *write);

static int32_t set_with(const hearth_write_options *write) {
    return hearth_set(cache, "key", 3, "1", 1, write);
}

static int32_t add_with(const hearth_write_options *write) {
    return hearth_add(cache, "key", 3, "1", 1, write);
}

static int32_t replace_with(const hearth_write_options *write) {
    return hearth_replace(cache, "key", 3, "1", 1, write);
}

static int32_t set_many_with(const hearth_write_options *write) {
    static const void *const keys[] = {"key"};
    static const void *const data[] = {"1"};
    static const size_t key_sizes[] = {3};
    static const size_t sizes[] = {1};
    int32_t statuses[1];
    return hearth_set_many(cache, 1, keys, key_sizes, data, sizes, write, statuses);
}

static int32_t touch_with(const hearth_write_options *write) {
    return hearth_touch(cache, "key", 3, write);
}

static int32_t fetch_with(const hearth_write_options *write) {
    const hearth_loader loader = source_loader(&source);
    return hearth_fetch(cache, "key", 3, &loader, NULL, write, NULL);
}

static const write_call storing_calls[] = {set_with,      add_with,   replace_with,
                                           set_many_with, touch_with, fetch_with};

static void expect_write(const hearth_write_options *write, bool valid) {
    for (size_t i = 0; i < sizeof storing_calls / sizeof storing_calls[0]; i++) {
        assert_int_equal(storing_calls[i](write) != HEARTH_E_INVALID, valid);
    }
}

static void write_options_are_checked(void **state) {
    (void)state;
    hearth_write_options good;
    hearth_write_options_init(&good, sizeof good);
    assert_true(good.ttl_ms == HEARTH_TTL_DEFAULT && good.soft_ttl_ms == HEARTH_TTL_DEFAULT);
    expect_write(&good, true);
    expect_write(NULL, true);
    const int64_t any = HEARTH_TTL_DEFAULT;
    const struct {
        int64_t ttl_ms;
        int64_t soft_ttl_ms;
        int64_t deadline_ms;
        bool valid;
    } cases[] = {
        {0, 0, 0, true},
        {1, 1, 1, true},
        {HEARTH_TTL_MAX, HEARTH_TTL_MAX, HEARTH_TTL_MAX, true},
        {0, HEARTH_TTL_MAX, 0, true}, /* for ever, but soft */
        {300001, 300000, 0, true},
        {any, 300000, 0, true},  /* the option ttl_ms */
        {any, 300001, 0, false}, /* more than that */
        {1000, 1001, 0, false},
        {-2, any, 0, false},
        {any, -2, 0, false},
        {INT64_MIN, any, 0, false},
        {any, INT64_MIN, 0, false},
        {HEARTH_TTL_MAX + 1, any, 0, false},
        {0, HEARTH_TTL_MAX + 1, 0, false},
        {INT64_MAX, any, 0, false},
        {any, any, -1, false},
        {any, any, HEARTH_TTL_MAX + 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hearth_write_options write = good;
        write.ttl_ms = cases[i].ttl_ms;
        write.soft_ttl_ms = cases[i].soft_ttl_ms;
        write.deadline_ms = cases[i].deadline_ms;
        expect_write(&write, cases[i].valid);
    }
    good.flags = 8;
    expect_write(&good, false);
    good.flags = 1u << 31;
    expect_write(&good, false);
}

/* A set that writes no node is seen here, and only here. */
static void the_local_tier_can_be_written_alone(void **state) {
    (void)state;
    hearth_read_options no_local;
    hearth_write_options write;
    hearth_read_options_init(&no_local, sizeof no_local);
    hearth_write_options_init(&write, sizeof write);
    no_local.flags = HEARTH_READ_NO_LOCAL;
    write.flags = HEARTH_WRITE_NO_REMOTE;
    assert_int_equal(hearth_set(cache, "here", 4, "x", 1, &write), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "here", 4, NULL, NULL), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "here", 4, &no_local, NULL), HEARTH_MISS);
    assert_int_equal(hearth_evict_local(cache, "here", 4), HEARTH_OK);
    assert_int_equal(hearth_get(cache, "here", 4, NULL, NULL), HEARTH_MISS);
    assert_int_equal(hearth_add(cache, "here", 4, "x", 1, &write), HEARTH_E_INVALID);
    assert_int_equal(hearth_touch(cache, "here", 4, &write), HEARTH_E_INVALID);
    write.flags = HEARTH_WRITE_NO_REMOTE | HEARTH_WRITE_NO_LOCAL;
    assert_int_equal(hearth_set(cache, "here", 4, "x", 1, &write), HEARTH_E_INVALID);
    write.flags = HEARTH_WRITE_NO_REMOTE | HEARTH_WRITE_INTEGER;
    assert_int_equal(hearth_set(cache, "here", 4, "1", 1, &write), HEARTH_E_INVALID);
}

static void a_version_is_asked_for_where_it_means_something(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.if_version = 7;
    assert_int_equal(set_with(&write), HEARTH_MISS);
    assert_int_equal(replace_with(&write), HEARTH_MISS);
    assert_int_equal(add_with(&write), HEARTH_E_INVALID);
    assert_int_equal(set_many_with(&write), HEARTH_E_INVALID);
    assert_int_equal(touch_with(&write), HEARTH_E_INVALID);
    assert_int_equal(fetch_with(&write), HEARTH_E_INVALID);
    assert_string_equal(cache_get(cache, "key", 0), "MISS");
    assert_int_equal(set_with(NULL), HEARTH_OK);
    assert_int_equal(set_with(&write), HEARTH_CONFLICT);
    assert_int_equal(replace_with(&write), HEARTH_CONFLICT);
}

static void write_options_of_any_version_are_taken(void **state) {
    (void)state;
    struct {
        hearth_write_options write;
        uint64_t later[4];
    } given;
    memset(&given, 0xee, sizeof given);
    given.write.size = offsetof(hearth_write_options, ttl_ms);
    expect_write(&given.write, true);
    given.write.size = offsetof(hearth_write_options, soft_ttl_ms);
    expect_write(&given.write, false);
    given.write.ttl_ms = 5000;
    expect_write(&given.write, true);
    given.write.size = 0;
    expect_write(&given.write, false);
    hearth_write_options_init(&given.write, sizeof given.write);
    memset(given.later, 0, sizeof given.later);
    given.write.size = sizeof given;
    expect_write(&given.write, true);
    given.later[0] = 1;
    expect_write(&given.write, false);
    given.write.size = 5000;
    expect_write(&given.write, false);
}

static void init_writes_exactly_what_it_is_told(void **state) {
    (void)state;
    unsigned char bytes[128];
    for (size_t size = 0; size <= 120; size++) {
        memset(bytes, 0xaa, sizeof bytes);
        hearth_read_options_init((hearth_read_options *)(void *)bytes, size);
        assert_int_equal(bytes[size], 0xaa);
        assert_true(size == 0 || bytes[size - 1] != 0xaa);
        memset(bytes, 0xaa, sizeof bytes);
        hearth_write_options_init((hearth_write_options *)(void *)bytes, size);
        assert_int_equal(bytes[size], 0xaa);
        assert_true(size == 0 || bytes[size - 1] != 0xaa);
    }
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    source = (struct source){SOURCE_INIT};
    const struct CMUnitTest tests[] = {
        WITH_CACHE(read_options_are_checked),
        WITH_CACHE(read_options_of_any_version_are_taken),
        WITH_CACHE(write_options_are_checked),
        WITH_CACHE(the_local_tier_can_be_written_alone),
        WITH_CACHE(a_version_is_asked_for_where_it_means_something),
        WITH_CACHE(write_options_of_any_version_are_taken),
        WITH_CACHE(init_writes_exactly_what_it_is_told),
    };
    return cmocka_run_group_tests_name("call options", tests, NULL, NULL);
}
