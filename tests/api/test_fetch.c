/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_fetch() from one thread: what the loader says, what is kept of it, where and how long. */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;
static struct source source;

static int open_with(const char *const *settings) {
    source = (struct source){SOURCE_INIT, .text = "loaded"};
    return cache_open_with_value(settings, &cache, &value);
}

static int open_cache(void **state) {
    (void)state;
    return open_with((const char *const[]){"remote.max_value_bytes", "2000", "negative_ttl_ms",
                                           "50000", NULL});
}

static int close_cache(void **state) {
    (void)state;
    hearth_value_free(value);
    return hearth_close(cache);
}

static hearth_info info_of_value(void) {
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    return info;
}

static void expect_in_tiers(const char *key, const char *local, const char *remote) {
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE), local);
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), remote);
}

static int32_t fetch_with(const char *key, uint32_t read_flags,
                          const hearth_write_options *write) {
    const hearth_loader loader = source_loader(&source);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = read_flags;
    return hearth_fetch(cache, key, strlen(key), &loader, &read, write, value);
}

static hearth_write_options write_options(int64_t ttl_ms, int64_t soft_ttl_ms) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = ttl_ms;
    write.soft_ttl_ms = soft_ttl_ms;
    return write;
}

/* ---- what the loader says ---- */

static void a_load_fills_both_tiers(void **state) {
    (void)state;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_text(value, "loaded");
    assert_int_equal(info_of_value().tier, HEARTH_TIER_LOADED);
    assert_int_equal(info_of_value().freshness, HEARTH_FRESH);
    const uint64_t version = info_of_value().version;
    expect_in_tiers("key", "=loaded", "=loaded");
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    assert_int_equal(info_of_value().tier, HEARTH_TIER_LOCAL);
    assert_true(info_of_value().version == version);
    assert_int_equal(hearth_evict_local(cache, "key", 3), HEARTH_OK);
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    assert_int_equal(info_of_value().tier, HEARTH_TIER_REMOTE);
    assert_true(info_of_value().version == version);
    assert_int_equal(source_fetch(cache, "key", &source, NULL), HEARTH_OK); /* no object */
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void an_empty_value_is_a_value(void **state) {
    (void)state;
    source.text = NULL;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_text(value, "");
    expect_in_tiers("key", "=", "=");
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void an_absence_is_remembered_in_both_tiers(void **state) {
    (void)state;
    source.absent = true;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_ABSENT);
    expect_text(value, "");
    expect_in_tiers("key", "ABSENT", "ABSENT");
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_ABSENT);
    assert_int_equal(atomic_load(&source.calls), 1);
    /* It stands in no value's way. */
    assert_int_equal(hearth_add(cache, "key", 3, "now", 3, NULL), HEARTH_OK);
    expect_in_tiers("key", "=now", "=now");
}

static void expect_nothing_kept(int32_t status) {
    const int before = atomic_load(&source.calls);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(source_fetch(cache, "key", &source, value), status);
        assert_int_equal(atomic_load(&source.calls), before + i);
        assert_int_equal(hearth_value_size(value), 0);
        assert_int_equal(info_of_value().tier, HEARTH_TIER_NONE);
        expect_in_tiers("key", "MISS", "MISS");
    }
}

static void a_failed_load_is_an_error_and_stored_nowhere(void **state) {
    (void)state;
    static const int32_t returns[] = {HEARTH_E_UNAVAILABLE, -1000, 1, HEARTH_ABSENT, INT32_MAX};
    for (size_t i = 0; i < sizeof returns / sizeof returns[0]; i++) {
        source.returns = returns[i]; /* although there is a value */
        expect_nothing_kept(HEARTH_E_LOADER);
        source.absent = true;
        expect_nothing_kept(HEARTH_E_LOADER);
        source.absent = false;
    }
    source.returns = HEARTH_OK;
    source.silent = true;
    expect_nothing_kept(HEARTH_E_LOADER);
}

static void a_value_that_is_too_large_is_told(void **state) {
    (void)state;
    char *large = malloc(2001);
    assert_non_null(large);
    memset(large, 'l', 2001);
    source.text = large;
    source.size = 2001;
    expect_nothing_kept(HEARTH_E_TOO_LARGE);
    assert_int_equal(source.filled, HEARTH_E_TOO_LARGE);
    source.size = 2000;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    assert_int_equal(source.filled, HEARTH_OK);
    assert_int_equal(hearth_value_size(value), 2000);
    free(large);
}

/* ---- a loader that changes its mind ---- */

static void say_value_then_absent(struct source *from, hearth_fill *fill) {
    from->filled = hearth_fill_value(fill, "first", 5);
    from->filled |= hearth_fill_absent(fill);
}

static void say_absent_then_value(struct source *from, hearth_fill *fill) {
    from->filled = hearth_fill_absent(fill);
    from->filled |= hearth_fill_value(fill, "first", 5);
    from->filled |= hearth_fill_value(fill, "second", 6);
}

static void say_too_large_then_value(struct source *from, hearth_fill *fill) {
    static const char large[4000];
    from->filled = hearth_fill_value(fill, large, sizeof large) != HEARTH_E_TOO_LARGE;
    from->filled |= hearth_fill_value(fill, "small", 5);
}

static void say_value_then_too_large(struct source *from, hearth_fill *fill) {
    static const char large[4000];
    from->filled = hearth_fill_value(fill, "small", 5);
    from->filled |= hearth_fill_value(fill, large, sizeof large) != HEARTH_E_TOO_LARGE;
}

static void say_value_then_nonsense(struct source *from, hearth_fill *fill) {
    from->filled = hearth_fill_value(fill, "small", 5);
    from->filled |= hearth_fill_value(fill, NULL, 5) != HEARTH_E_INVALID;
}

static void the_last_word_counts(void **state) {
    (void)state;
    static const struct {
        void (*say)(struct source *, hearth_fill *);
        int32_t status;
        const char *text;
    } cases[] = {
        {say_value_then_absent, HEARTH_ABSENT, ""},
        {say_absent_then_value, HEARTH_OK, "second"},
        {say_too_large_then_value, HEARTH_OK, "small"},
        {say_value_then_too_large, HEARTH_E_TOO_LARGE, ""},
        {say_value_then_nonsense, HEARTH_E_LOADER, ""},
    };
    source.silent = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%zu", i);
        source.inside = cases[i].say;
        source.filled = 99;
        assert_int_equal(source_fetch(cache, key, &source, value), cases[i].status);
        assert_int_equal(source.filled, HEARTH_OK);
        expect_text(value, cases[i].text);
        if (cases[i].status < 0) {
            expect_in_tiers(key, "MISS", "MISS");
        }
    }
}

/* ---- how long ---- */

static void expect_left(const char *key, int64_t at_most) {
    static const uint32_t flags[] = {HEARTH_READ_NO_REMOTE, HEARTH_READ_NO_LOCAL};
    for (size_t i = 0; i < 2; i++) {
        hearth_read_options read;
        hearth_read_options_init(&read, sizeof read);
        read.flags = flags[i];
        (void)!hearth_get(cache, key, strlen(key), &read, value);
        const int64_t left = info_of_value().ttl_left_ms;
        assert_int_not_equal(info_of_value().tier, HEARTH_TIER_NONE);
        assert_true(at_most < 0 ? left == -1 : left <= at_most && left > at_most / 3);
    }
}

static void a_life_is_what_options_call_and_loader_say(void **state) {
    (void)state;
    const hearth_write_options write = write_options(1000000, HEARTH_TTL_DEFAULT);
    assert_int_equal(fetch_with("by option", 0, NULL), HEARTH_OK);
    expect_left("by option", 300000);
    assert_int_equal(fetch_with("by call", 0, &write), HEARTH_OK);
    expect_left("by call", 1000000);
    source.has_ttl = true;
    source.ttl_ms = 4000000;
    source.soft_ttl_ms = 0;
    assert_int_equal(fetch_with("by loader", 0, &write), HEARTH_OK);
    expect_left("by loader", 4000000);
    source.ttl_ms = source.soft_ttl_ms = HEARTH_TTL_DEFAULT;
    assert_int_equal(fetch_with("back to option", 0, &write), HEARTH_OK);
    expect_left("back to option", 300000);
    source.ttl_ms = source.soft_ttl_ms = 0;
    assert_int_equal(fetch_with("for ever", 0, &write), HEARTH_OK);
    expect_left("for ever", -1);
}

static void an_absence_lives_by_its_own_option(void **state) {
    (void)state;
    const hearth_write_options write = write_options(1000000, 900000);
    source.absent = true;
    assert_int_equal(fetch_with("by option", 0, &write), HEARTH_ABSENT);
    expect_left("by option", 50000);
    source.has_ttl = true;
    source.ttl_ms = 700000;
    source.soft_ttl_ms = HEARTH_TTL_DEFAULT;
    assert_int_equal(fetch_with("by loader", 0, &write), HEARTH_ABSENT);
    expect_left("by loader", 700000);
    source.ttl_ms = HEARTH_TTL_DEFAULT;
    assert_int_equal(fetch_with("by option again", 0, &write), HEARTH_ABSENT);
    expect_left("by option again", 50000);
}

static bool is_loaded_again(void *arg) {
    (void)arg;
    return source_fetch(cache, "key", &source, value) == HEARTH_ABSENT &&
           info_of_value().tier == HEARTH_TIER_LOADED;
}

static void an_absence_ends(void **state) {
    (void)state;
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    cache = cache_open((const char *const[]){"negative_ttl_ms", "5", NULL});
    assert_non_null(cache);
    source.absent = true;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_ABSENT);
    assert_true(await_until(is_loaded_again, NULL));
    assert_int_equal(atomic_load(&source.calls), 2);
}

static void a_life_that_makes_no_sense_is_refused(void **state) {
    (void)state;
    const struct {
        int64_t ttl_ms;
        int64_t soft_ttl_ms;
        bool valid;
    } cases[] = {
        {0, 0, true},
        {0, HEARTH_TTL_MAX, true},
        {HEARTH_TTL_MAX, HEARTH_TTL_MAX, true},
        {100000, 100000, true},
        {HEARTH_TTL_DEFAULT, HEARTH_TTL_DEFAULT, true},
        {HEARTH_TTL_DEFAULT, 300000, true},
        {HEARTH_TTL_DEFAULT, 300001, false},
        {100000, 100001, false},
        {-2, 0, false},
        {100000, -2, false},
        {INT64_MIN, INT64_MIN, false},
        {HEARTH_TTL_MAX + 1, 0, false},
        {0, HEARTH_TTL_MAX + 1, false},
        {INT64_MAX, 1, false},
    };
    source.has_ttl = true;
    source.silent = true; /* `filled` is then what the life was answered */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        source.ttl_ms = cases[i].ttl_ms;
        source.soft_ttl_ms = cases[i].soft_ttl_ms;
        assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_E_LOADER);
        assert_int_equal(source.filled, cases[i].valid ? HEARTH_OK : HEARTH_E_INVALID);
    }
    /* What was refused does not count: the call's own life does. */
    source.silent = false;
    source.ttl_ms = -7;
    const hearth_write_options write = write_options(1000000, HEARTH_TTL_DEFAULT);
    assert_int_equal(fetch_with("key", 0, &write), HEARTH_OK);
    expect_left("key", 1000000);
}

static void the_applications_word_is_kept(void **state) {
    (void)state;
    hearth_write_options write = write_options(HEARTH_TTL_DEFAULT, HEARTH_TTL_DEFAULT);
    write.content = 0xc0ffee;
    assert_int_equal(fetch_with("key", 0, &write), HEARTH_OK);
    assert_int_equal(info_of_value().content, 0xc0ffee);
    assert_int_equal(fetch_with("key", 0, NULL), HEARTH_OK);
    assert_int_equal(info_of_value().content, 0xc0ffee);
    assert_int_equal(fetch_with("key", HEARTH_READ_NO_LOCAL, NULL), HEARTH_OK);
    assert_int_equal(info_of_value().content, 0xc0ffee);
    assert_int_equal(info_of_value().tier, HEARTH_TIER_REMOTE);
}

/* ---- which tiers ---- */

static void a_tier_that_is_not_wanted_is_left_alone(void **state) {
    (void)state;
    assert_int_equal(fetch_with("remote", HEARTH_READ_NO_LOCAL, NULL), HEARTH_OK);
    expect_in_tiers("remote", "MISS", "=loaded");
    assert_int_equal(fetch_with("local", HEARTH_READ_NO_REMOTE, NULL), HEARTH_OK);
    expect_in_tiers("local", "=loaded", "MISS");
    assert_int_equal(fetch_with("none", HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE, NULL),
                     HEARTH_OK);
    expect_text(value, "loaded");
    expect_in_tiers("none", "MISS", "MISS");
    assert_int_equal(atomic_load(&source.calls), 3);
}

static void without_a_local_tier_the_node_answers(void **state) {
    (void)state;
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    cache = cache_open((const char *const[]){"local.max_bytes", "0", NULL});
    assert_non_null(cache);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fetch_with("key", 0, NULL), HEARTH_OK);
        assert_int_equal(info_of_value().tier,
                         i == 0 ? HEARTH_TIER_LOADED : HEARTH_TIER_REMOTE);
    }
    expect_in_tiers("key", "MISS", "=loaded");
}

/* The node lost the value, and a load that keeps no local copy puts a newer one there: a local copy
 * of the old one would differ from the node, and its bound says that it does not. */
static void a_load_leaves_no_older_local_copy(void **state) {
    (void)state;
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    cache = cache_open((const char *const[]){"embedded.max_bytes", "64kb", NULL});
    assert_non_null(cache);
    char large[30000] = {0};
    hearth_write_options write = write_options(0, 0);
    write.flags = HEARTH_WRITE_NO_LOCAL;
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        char other[2] = {(char)('a' + i), '\0'};
        assert_int_equal(hearth_set(cache, other, 1, large, sizeof large, &write), HEARTH_OK);
    }
    expect_in_tiers("key", "=old", "MISS");
    assert_int_equal(fetch_with("key", HEARTH_READ_NO_LOCAL, NULL), HEARTH_OK);
    expect_text(value, "loaded");
    expect_in_tiers("key", "MISS", "=loaded");
    assert_string_equal(cache_get(cache, "key", 0), "=loaded");
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(a_load_fills_both_tiers),
        WITH_CACHE(an_empty_value_is_a_value),
        WITH_CACHE(an_absence_is_remembered_in_both_tiers),
        WITH_CACHE(a_failed_load_is_an_error_and_stored_nowhere),
        WITH_CACHE(a_value_that_is_too_large_is_told),
        WITH_CACHE(the_last_word_counts),
        WITH_CACHE(a_life_is_what_options_call_and_loader_say),
        WITH_CACHE(an_absence_lives_by_its_own_option),
        WITH_CACHE(an_absence_ends),
        WITH_CACHE(a_life_that_makes_no_sense_is_refused),
        WITH_CACHE(the_applications_word_is_kept),
        WITH_CACHE(a_tier_that_is_not_wanted_is_left_alone),
        WITH_CACHE(without_a_local_tier_the_node_answers),
        WITH_CACHE(a_load_leaves_no_older_local_copy),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
