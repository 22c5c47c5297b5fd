/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: hit, miss, absence, error and empty value are five different ones; what is known about
 * them; and that asking costs no memory once the value object has grown. */
#include "source.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;
static struct source source;

static int open_cache(void **state) {
    (void)state;
    source = (struct source){SOURCE_INIT};
    cache = cache_open(NULL);
    value = hearth_value_new();
    return cache != NULL && value != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    hearth_value_free(value);
    return hearth_close(cache);
}

static hearth_info info_of(const hearth_value *of) {
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(of, &info), HEARTH_OK);
    return info;
}

static void expect_empty(void) {
    assert_non_null(hearth_value_data(value));
    assert_int_equal(hearth_value_size(value), 0);
}

/* Neither bytes nor anything known about them. */
static void expect_no_answer(void) {
    expect_empty();
    const hearth_info info = info_of(value);
    assert_int_equal(info.tier, HEARTH_TIER_NONE);
    assert_int_equal(info.freshness, 0);
    assert_true(info.version == 0 && info.content == 0 && info.age_ms == 0);
}

static int32_t get(const char *key, uint32_t flags) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    return hearth_get(cache, key, strlen(key), &read, value);
}

/* The value object holds something that must not be taken for the next answer. */
static void fill_value_object(void) {
    assert_int_equal(cache_set(cache, "other", "something else"), HEARTH_OK);
    assert_int_equal(get("other", 0), HEARTH_OK);
    assert_int_equal(hearth_value_size(value), 14);
    assert_int_equal(info_of(value).tier, HEARTH_TIER_LOCAL);
}

/* ---- five answers ---- */

static void five_answers_are_five(void **state) {
    (void)state;
    static const uint32_t tiers[] = {0, HEARTH_READ_NO_LOCAL};
    assert_int_equal(cache_set(cache, "hit", "x"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "empty", ""), HEARTH_OK);
    source.absent = true;
    assert_int_equal(source_fetch(cache, "absent", &source, value), HEARTH_ABSENT);
    for (size_t i = 0; i < 2; i++) {
        fill_value_object();
        assert_int_equal(get("hit", tiers[i]), HEARTH_OK);
        assert_int_equal(hearth_value_size(value), 1);
        fill_value_object();
        assert_int_equal(get("empty", tiers[i]), HEARTH_OK);
        expect_empty();
        assert_int_not_equal(info_of(value).tier, HEARTH_TIER_NONE);
        fill_value_object();
        assert_int_equal(get("absent", tiers[i]), HEARTH_ABSENT);
        expect_empty();
        assert_int_not_equal(info_of(value).tier, HEARTH_TIER_NONE);
        fill_value_object();
        assert_int_equal(get("miss", tiers[i]), HEARTH_MISS);
        expect_no_answer();
    }
    fill_value_object();
    source.absent = false;
    source.returns = HEARTH_E_UNAVAILABLE;
    assert_int_equal(source_fetch(cache, "error", &source, value), HEARTH_E_LOADER);
    expect_no_answer();
}

/* Whatever went wrong, an old answer never looks like the new one. */
static void every_status_but_ok_empties_the_value(void **state) {
    (void)state;
    const hearth_loader loader = source_loader(&source);
    hearth_read_options bad;
    hearth_read_options_init(&bad, sizeof bad);
    bad.flags = 1u << 30;
    fill_value_object();
    assert_int_equal(hearth_get(cache, "other", 0, NULL, value), HEARTH_E_INVALID);
    expect_no_answer();
    fill_value_object();
    assert_int_equal(hearth_get(cache, "other", 5, &bad, value), HEARTH_E_INVALID);
    expect_no_answer();
    fill_value_object();
    assert_int_equal(hearth_fetch(cache, "other", 5, NULL, NULL, NULL, value),
                     HEARTH_E_INVALID);
    expect_no_answer();
    fill_value_object();
    assert_int_equal(hearth_fetch(cache, "other", 5, &loader, &bad, NULL, value),
                     HEARTH_E_INVALID);
    expect_no_answer();
    hearth_value *const values[] = {value};
    const void *const keys[] = {"other"};
    const size_t sizes[] = {5};
    int32_t statuses[1] = {99};
    fill_value_object();
    assert_int_equal(hearth_get_many(cache, 1, keys, sizes, &bad, values, statuses),
                     HEARTH_E_INVALID);
    expect_no_answer();
    assert_int_equal(statuses[0], 99);
}

static void without_memory_the_value_is_empty(void **state) {
    (void)state;
    static const uint32_t tiers[] = {0, HEARTH_READ_NO_LOCAL};
    char *large = calloc(1, 100000);
    assert_non_null(large);
    assert_int_equal(hearth_set(cache, "large", 5, large, 100000, NULL), HEARTH_OK);
    free(large);
    for (size_t i = 0; i < 2; i++) {
        fill_value_object();
        failing_memory_fail(0, UINT64_MAX);
        const int32_t status = get("large", tiers[i]);
        failing_memory_pass();
        assert_int_equal(status, HEARTH_E_NOMEM);
        expect_no_answer();
    }
    const void *const keys[] = {"large", "other", "miss"};
    const size_t sizes[] = {5, 5, 4};
    hearth_value *const values[] = {value, NULL, NULL};
    for (uint64_t i = 0; i < 2; i++) {
        int32_t statuses[] = {99, 99, 99};
        fill_value_object();
        failing_memory_fail(i, UINT64_MAX);
        assert_int_equal(hearth_get_many(cache, 3, keys, sizes, NULL, values, statuses),
                         HEARTH_E_NOMEM);
        failing_memory_pass();
        expect_no_answer();
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(statuses[j], HEARTH_E_NOMEM);
        }
    }
    assert_int_equal(get("large", 0), HEARTH_OK);
    assert_int_equal(hearth_value_size(value), 100000);
}

/* ---- what is known ---- */

static void a_new_value_knows_nothing(void **state) {
    (void)state;
    expect_no_answer();
    assert_non_null(hearth_value_data(NULL));
    assert_int_equal(hearth_value_size(NULL), 0);
}

static void the_tier_and_the_life_are_told(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 1000000;
    write.soft_ttl_ms = 900000;
    write.content = 0xfedcba98;
    assert_int_equal(hearth_set(cache, "key", 3, "v", 1, &write), HEARTH_OK);
    assert_int_equal(get("key", 0), HEARTH_OK);
    const hearth_info local = info_of(value);
    assert_int_equal(local.tier, HEARTH_TIER_LOCAL);
    assert_int_equal(local.freshness, HEARTH_FRESH);
    assert_int_equal(local.content, 0xfedcba98);
    assert_int_equal(local.staleness_bound_ms, 0); /* nobody else writes an embedded tier */
    assert_true(local.age_ms >= 0 && local.age_ms < 100000);
    assert_true(local.ttl_left_ms > 900000 && local.ttl_left_ms <= 1000000);
    assert_true(local.version != 0);
    assert_int_equal(get("key", HEARTH_READ_NO_LOCAL), HEARTH_OK);
    const hearth_info remote = info_of(value);
    assert_int_equal(remote.tier, HEARTH_TIER_REMOTE);
    assert_int_equal(remote.freshness, HEARTH_FRESH);
    assert_true(remote.version == local.version);
    assert_int_equal(remote.content, local.content);
    assert_true(remote.ttl_left_ms <= local.ttl_left_ms + 1); /* it was rounded */
    assert_true(remote.ttl_left_ms > 900000);
    assert_true(remote.age_ms >= 0 && remote.age_ms < 100000);
    assert_int_equal(hearth_evict_local(cache, "key", 3), HEARTH_OK);
    assert_int_equal(get("key", 0), HEARTH_OK); /* asked of the node, and kept again */
    assert_int_equal(info_of(value).tier, HEARTH_TIER_REMOTE);
    assert_int_equal(get("key", 0), HEARTH_OK);
    assert_int_equal(info_of(value).tier, HEARTH_TIER_LOCAL);
    assert_true(info_of(value).version == local.version);
}

static void for_ever_is_told_as_such(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 0;
    assert_int_equal(hearth_set(cache, "key", 3, "v", 1, &write), HEARTH_OK);
    assert_int_equal(get("key", 0), HEARTH_OK);
    assert_int_equal(info_of(value).ttl_left_ms, -1);
    assert_int_equal(get("key", HEARTH_READ_NO_LOCAL), HEARTH_OK);
    assert_int_equal(info_of(value).ttl_left_ms, -1);
}

static void a_number_has_no_version(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    assert_int_equal(hearth_set(cache, "n", 1, "41", 2, &write), HEARTH_OK);
    for (int i = 0; i < 2; i++) { /* the second time too: numbers live remotely only */
        assert_int_equal(get("n", 0), HEARTH_OK);
        assert_int_equal(info_of(value).tier, HEARTH_TIER_REMOTE);
        assert_true(info_of(value).version == 0);
    }
    assert_memory_equal(hearth_value_data(value), "41", 2);
}

static void an_absence_is_told(void **state) {
    (void)state;
    source.absent = true;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_ABSENT);
    assert_int_equal(info_of(value).tier, HEARTH_TIER_LOADED);
    assert_true(info_of(value).ttl_left_ms > 0 && info_of(value).ttl_left_ms <= 5000);
    assert_int_equal(get("key", 0), HEARTH_ABSENT);
    assert_int_equal(info_of(value).tier, HEARTH_TIER_LOCAL);
    assert_int_equal(get("key", HEARTH_READ_NO_LOCAL), HEARTH_ABSENT);
    assert_int_equal(info_of(value).tier, HEARTH_TIER_REMOTE);
}

static void info_is_told_to_callers_of_any_version(void **state) {
    (void)state;
    struct {
        hearth_info info;
        uint64_t later;
    } larger;
    assert_int_equal(cache_set(cache, "key", "v"), HEARTH_OK);
    assert_int_equal(get("key", 0), HEARTH_OK);
    memset(&larger, 0x55, sizeof larger);
    larger.info.size = sizeof larger;
    assert_int_equal(hearth_value_info(value, &larger.info), HEARTH_OK);
    assert_int_equal(larger.info.size, sizeof larger);
    assert_int_equal(larger.info.tier, HEARTH_TIER_LOCAL);
    assert_true(larger.later == UINT64_C(0x5555555555555555));
    memset(&larger, 0x55, sizeof larger);
    larger.info.size = offsetof(hearth_info, freshness);
    assert_int_equal(hearth_value_info(value, &larger.info), HEARTH_OK);
    assert_int_equal(larger.info.size, offsetof(hearth_info, freshness));
    assert_int_equal(larger.info.tier, HEARTH_TIER_LOCAL);
    assert_int_equal(larger.info.freshness, 0x55555555);
    larger.info.size = sizeof(size_t) - 1;
    assert_int_equal(hearth_value_info(value, &larger.info), HEARTH_E_INVALID);
    assert_int_equal(hearth_value_info(value, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_value_info(NULL, &larger.info), HEARTH_E_INVALID);
}

/* ---- many ---- */

static void many_answers_are_each_their_own(void **state) {
    (void)state;
    const void *const keys[] = {"a", "miss", "empty", "a", "absent", "b"};
    const size_t sizes[] = {1, 4, 5, 1, 6, 1};
    hearth_value *values[6];
    int32_t statuses[6];
    for (size_t i = 0; i < 6; i++) {
        values[i] = i != 3 ? hearth_value_new() : NULL;
    }
    assert_int_equal(cache_set(cache, "a", "one"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "b", "two"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "empty", ""), HEARTH_OK);
    source.absent = true;
    assert_int_equal(source_fetch(cache, "absent", &source, NULL), HEARTH_ABSENT);
    assert_int_equal(hearth_evict_local(cache, "b", 1), HEARTH_OK);
    for (int round = 0; round < 2; round++) { /* each object is used again */
        assert_int_equal(hearth_get_many(cache, 6, keys, sizes, NULL, values, statuses),
                         HEARTH_OK);
        const int32_t expected[] = {HEARTH_OK, HEARTH_MISS,   HEARTH_OK,
                                    HEARTH_OK, HEARTH_ABSENT, HEARTH_OK};
        const char *const texts[] = {"one", "", "", "", "", "two"};
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(statuses[i], expected[i]);
            assert_int_equal(hearth_value_size(values[i]), strlen(texts[i]));
            assert_memory_equal(hearth_value_data(values[i]), texts[i], strlen(texts[i]));
        }
        assert_int_equal(info_of(values[1]).tier, HEARTH_TIER_NONE);
        assert_int_equal(info_of(values[5]).tier,
                         round == 0 ? HEARTH_TIER_REMOTE : HEARTH_TIER_LOCAL);
    }
    assert_int_equal(hearth_get_many(cache, 6, keys, sizes, NULL, NULL, statuses), HEARTH_OK);
    assert_int_equal(statuses[4], HEARTH_ABSENT);
    for (size_t i = 0; i < 6; i++) {
        hearth_value_free(values[i]);
    }
}

/* ---- memory ---- */

static void asking_again_takes_no_memory(void **state) {
    (void)state;
    static const uint32_t tiers[] = {0, HEARTH_READ_NO_LOCAL};
    char large[10000];
    memset(large, 'l', sizeof large);
    source.text = "loaded";
    assert_int_equal(hearth_set(cache, "large", 5, large, sizeof large, NULL), HEARTH_OK);
    assert_int_equal(cache_set(cache, "small", "s"), HEARTH_OK);
    assert_int_equal(get("large", 0), HEARTH_OK);
    assert_int_equal(source_fetch(cache, "fetched", &source, value), HEARTH_OK);
    failing_memory_pass();
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(get("large", tiers[i]), HEARTH_OK);
            assert_int_equal(hearth_value_size(value), sizeof large);
            assert_int_equal(get("small", tiers[i]), HEARTH_OK);
            assert_int_equal(get("miss", tiers[i]), HEARTH_MISS);
        }
        assert_int_equal(source_fetch(cache, "fetched", &source, value), HEARTH_OK);
        assert_int_equal(hearth_value_size(value), 6);
    }
    assert_int_equal(failing_memory_requests(), 0);
    assert_int_equal(atomic_load(&source.calls), 1);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(five_answers_are_five),
        WITH_CACHE(every_status_but_ok_empties_the_value),
        WITH_CACHE(without_memory_the_value_is_empty),
        WITH_CACHE(a_new_value_knows_nothing),
        WITH_CACHE(the_tier_and_the_life_are_told),
        WITH_CACHE(for_ever_is_told_as_such),
        WITH_CACHE(a_number_has_no_version),
        WITH_CACHE(an_absence_is_told),
        WITH_CACHE(info_is_told_to_callers_of_any_version),
        WITH_CACHE(many_answers_are_each_their_own),
        WITH_CACHE(asking_again_takes_no_memory),
    };
    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
