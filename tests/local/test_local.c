/* SPDX-License-Identifier: Apache-2.0 */
/* What the local tier keeps, for how long, in which order it lets go, and how much it takes. */
#include "base/stat.h"
#include "local/local.h"
#include "support/failing_memory.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};

struct tier {
    int64_t blocks; /* that lived before it */
    hearth__seats *counters;
    hearth__local *local;
    hearth__buffer bytes;
    hearth__local_entry entry; /* of the last get */
    hearth__buffer scratch;
};

static void tier_open_with(struct tier *tier, size_t max_bytes, size_t max_entry_bytes,
                           const char *policy) {
    *tier = (struct tier){.blocks = failing_memory_blocks()};
    tier->counters = hearth__local_seats_create();
    assert_non_null(tier->counters);
    const hearth__local_config config = {.max_bytes = max_bytes,
                                         .max_entry_bytes = max_entry_bytes,
                                         .policy = policy,
                                         .counters = tier->counters};
    assert_int_equal(hearth__local_open(&config, &tier->local), HEARTH_OK);
}

static void tier_open(struct tier *tier, size_t max_bytes, size_t max_entry_bytes) {
    tier_open_with(tier, max_bytes, max_entry_bytes, NULL);
}

static void tier_close(struct tier *tier) {
    hearth__local_close(tier->local);
    hearth__seats_destroy(tier->counters);
    hearth__buffer_fini(&tier->bytes);
    hearth__buffer_fini(&tier->scratch);
    assert_int_equal(failing_memory_blocks(), tier->blocks);
}

static hearth__local_usage usage_of(const struct tier *tier) {
    hearth__local_usage usage;
    hearth__local_usage_get(tier->local, &usage);
    return usage;
}

static bool keep(struct tier *tier, const char *key, const hearth__local_entry *entry,
                 const void *data, size_t size) {
    hearth__local_ticket ticket = hearth__local_sample(tier->local, key, strlen(key));
    return hearth__local_fill(tier->local, key, strlen(key), ticket, entry, data, size);
}

static bool keep_text(struct tier *tier, const char *key, const char *text) {
    return keep(tier, key, &everlasting, text, strlen(text));
}

static int32_t get_at(struct tier *tier, const char *key, int64_t now_ms) {
    return hearth__local_get(tier->local, key, strlen(key), now_ms, &tier->bytes, &tier->entry);
}

static bool has(struct tier *tier, const char *key) {
    hearth__local_entry entry;
    int32_t status =
        hearth__local_get(tier->local, key, strlen(key), 0, &tier->scratch, &entry);
    assert_true(status == HEARTH_OK || status == HEARTH_MISS);
    return status == HEARTH_OK;
}

static void expect_text(struct tier *tier, const char *key, const char *text) {
    assert_int_equal(get_at(tier, key, 0), HEARTH_OK);
    assert_int_equal(tier->bytes.size, strlen(text));
    assert_memory_equal(tier->bytes.data, text, strlen(text));
}

/* ---- keeping ---- */

static void a_value_is_kept_replaced_and_dropped(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    assert_int_equal(get_at(&tier, "a", 0), HEARTH_MISS);
    assert_true(keep_text(&tier, "a", "one"));
    assert_true(keep_text(&tier, "ab", "two"));
    expect_text(&tier, "a", "one");
    expect_text(&tier, "ab", "two");
    assert_true(keep_text(&tier, "a", "another"));
    expect_text(&tier, "a", "another");
    assert_int_equal(usage_of(&tier).entries, 2);
    assert_true(hearth__local_evict(tier.local, "a", 1));
    assert_false(hearth__local_evict(tier.local, "a", 1));
    assert_int_equal(get_at(&tier, "a", 0), HEARTH_MISS);
    expect_text(&tier, "ab", "two");
    tier_close(&tier);
}

static void what_is_known_of_a_value_comes_back_with_it(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    const hearth__local_entry entry = {.stale = true,
                                       .born_ms = 11,
                                       .read_ms = 12,
                                       .soft_expiry_ms = 13,
                                       .hard_expiry_ms = 1000,
                                       .version = UINT64_MAX - 1,
                                       .content = 0xfeedbeef,
                                       .lead_ms = 7};
    assert_true(keep(&tier, "a", &entry, "", 0));
    assert_int_equal(get_at(&tier, "a", 20), HEARTH_OK);
    assert_int_equal(tier.bytes.size, 0);
    assert_true(tier.entry.stale && !tier.entry.absent);
    assert_int_equal(tier.entry.born_ms, 11);
    assert_int_equal(tier.entry.read_ms, 12);
    assert_int_equal(tier.entry.soft_expiry_ms, 13);
    assert_int_equal(tier.entry.hard_expiry_ms, 1000);
    assert_true(tier.entry.version == UINT64_MAX - 1);
    assert_int_equal(tier.entry.content, 0xfeedbeef);
    assert_int_equal(tier.entry.lead_ms, 7);
    const hearth__local_entry absent = {.absent = true, .hard_expiry_ms = 1000};
    assert_true(keep(&tier, "a", &absent, NULL, 0));
    assert_int_equal(get_at(&tier, "a", 20), HEARTH_OK);
    assert_true(tier.entry.absent && !tier.entry.stale);
    tier_close(&tier);
}

static void keys_are_bytes(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    const char *const keys[] = {"\0", "\0\0", "a\0b", "a\0c", "a"};
    const size_t sizes[] = {1, 2, 3, 3, 1};
    for (size_t i = 0; i < 5; i++) {
        hearth__local_ticket ticket = hearth__local_sample(tier.local, keys[i], sizes[i]);
        assert_true(
            hearth__local_fill(tier.local, keys[i], sizes[i], ticket, &everlasting, &i, 8));
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(
            hearth__local_get(tier.local, keys[i], sizes[i], 0, &tier.bytes, &tier.entry),
            HEARTH_OK);
        assert_memory_equal(tier.bytes.data, &i, 8);
    }
    tier_close(&tier);
}

/* ---- time ---- */

static void hard_expiry_is_exact_to_the_millisecond(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    const hearth__local_entry entry = {.soft_expiry_ms = 500, .hard_expiry_ms = 1000};
    assert_true(keep(&tier, "a", &entry, "x", 1));
    assert_int_equal(get_at(&tier, "a", 999), HEARTH_OK);
    assert_int_equal(get_at(&tier, "a", 1000), HEARTH_MISS);
    assert_int_equal(hearth__seats_sum(tier.counters, HEARTH__STAT_local_expirations), 1);
    assert_true(keep(&tier, "a", &everlasting, "x", 1));
    assert_int_equal(get_at(&tier, "a", INT64_MAX - 1), HEARTH_OK);
    tier_close(&tier);
}

static void a_value_past_its_soft_life_is_kept(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    const hearth__local_entry entry = {.soft_expiry_ms = 500, .hard_expiry_ms = 1000};
    assert_true(keep(&tier, "a", &entry, "old", 3));
    for (int64_t now_ms = 499; now_ms <= 501; now_ms++) {
        assert_int_equal(get_at(&tier, "a", now_ms), HEARTH_OK);
        assert_memory_equal(tier.bytes.data, "old", 3);
        assert_int_equal(tier.entry.soft_expiry_ms, 500);
    }
    tier_close(&tier);
}

/* ---- size ---- */

/* Keeps `key` with so many bytes that key and value have `size` together. */
static bool keep_sized(struct tier *tier, const char *key, size_t size) {
    static const char zeros[1 << 18];
    assert_true(size - strlen(key) <= sizeof zeros);
    return keep(tier, key, &everlasting, zeros, size - strlen(key));
}

static void expect_largest(struct tier *tier, size_t largest) {
    assert_true(keep_sized(tier, "key", largest));
    assert_int_equal(hearth__seats_sum(tier->counters, HEARTH__STAT_local_refusals), 0);
    assert_false(keep_sized(tier, "key", largest + 1));
    assert_int_equal(hearth__seats_sum(tier->counters, HEARTH__STAT_local_refusals), 1);
    /* What it was to replace is gone. */
    assert_false(has(tier, "key"));
    assert_int_equal(usage_of(tier).entries, 0);
    tier_close(tier);
}

static void an_entry_larger_than_the_option_goes_past(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 1000);
    expect_largest(&tier, 1000);
    tier_open(&tier, 1 << 20, 200000); /* an eighth of a shard at the most */
    expect_largest(&tier, (1 << 20) / 8);
    tier_open(&tier, 1 << 20, 0); /* a 64th of the tier */
    expect_largest(&tier, (1 << 20) / 64);
}

static void without_bytes_nothing_is_kept(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 0, 0);
    assert_false(keep_text(&tier, "a", ""));
    assert_false(has(&tier, "a"));
    assert_int_equal(hearth__seats_sum(tier.counters, HEARTH__STAT_local_refusals), 0);
    assert_int_equal(usage_of(&tier).bytes, 0);
    tier_close(&tier);
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Whatever is stored, the tier stays within its limit, and so does what it took from the heap. */
static void never_over_the_limit(void **state) {
    (void)state;
    struct tier tier;
    static const char zeros[70000];
    static const char *const policies[] = {"lru", "s3fifo", "adaptive"};
    uint32_t random = 7;
    for (size_t round = 0; round < 9; round++) {
        size_t max_bytes = (size_t)HEARTH__LOCAL_MIN_BYTES << (round / 3 * 4);
        int64_t before = failing_memory_bytes();
        tier_open_with(&tier, max_bytes, 0, policies[round % 3]);
        assert_true(failing_memory_bytes() - before <= (int64_t)max_bytes + 32768);
        for (int i = 0; i < 20000; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%u", next_random(&random) % 5000);
            if (next_random(&random) % 8 == 0) {
                (void)hearth__local_evict(tier.local, key, strlen(key));
            } else {
                size_t size = next_random(&random) % (1u << (next_random(&random) % 17));
                (void)keep(&tier, key, &everlasting, zeros, size);
            }
            hearth__local_usage usage = usage_of(&tier);
            assert_true(usage.bytes <= usage.limit_bytes);
            assert_true(usage.dead_bytes <= usage.bytes);
        }
        assert_true(usage_of(&tier).entries > 0);
        for (uint32_t i = 0; i < 5000; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%u", i);
            (void)hearth__local_evict(tier.local, key, strlen(key));
            assert_false(has(&tier, key));
        }
        assert_int_equal(usage_of(&tier).entries, 0);
        tier_close(&tier);
    }
}

/* ---- who stays ---- */

static void name_key(int key, char name[16]) {
    (void)snprintf(name, 16, "key%d", key);
}

enum { LOYAL = 100, STRANGERS = 20000 };

/* Keys that are read again and again stay, however many others pass by. What one store may move is bounded, so when a tier
 * in which all was read fills up for the first time, a few of them go too. */
static void what_is_read_outlives_what_is_not(void **state) {
    (void)state;
    static const char *const policies[] = {"lru", "s3fifo", "adaptive"};
    static const char zeros[400];
    for (size_t policy = 0; policy < 3; policy++) {
        struct tier tier;
        char name[16];
        int hits = 0;
        tier_open_with(&tier, HEARTH__LOCAL_MIN_BYTES, 0, policies[policy]);
        for (int i = 0; i < STRANGERS; i++) {
            name_key(i % LOYAL, name);
            if (has(&tier, name)) {
                hits++;
            } else {
                assert_true(keep(&tier, name, &everlasting, zeros, sizeof zeros));
            }
            name_key(LOYAL + i, name);
            assert_true(keep(&tier, name, &everlasting, zeros, sizeof zeros));
        }
        assert_true(hits > STRANGERS / 100 * 97);
        assert_true(hearth__seats_sum(tier.counters, HEARTH__STAT_local_evictions) >
                    STRANGERS / 2);
        tier_close(&tier);
    }
}

/* The index has room for entries of the expected size; smaller ones push each other out of it. */
static void small_entries_fill_the_index_first(void **state) {
    (void)state;
    struct tier tier;
    char name[16];
    tier_open(&tier, HEARTH__LOCAL_MIN_BYTES, 0);
    for (int i = 0; i < STRANGERS; i++) {
        name_key(i, name);
        assert_true(keep(&tier, name, &everlasting, "1", 1));
        assert_true(has(&tier, name));
    }
    assert_true(hearth__seats_sum(tier.counters, HEARTH__STAT_local_index_evictions) > 0);
    assert_true(usage_of(&tier).entries > 1000);
    tier_close(&tier);
}

/* ---- without memory ---- */

static void without_memory_for_the_value_a_get_says_so(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    assert_true(keep_text(&tier, "a", "needs a buffer"));
    failing_memory_fail(0, UINT64_MAX);
    assert_int_equal(get_at(&tier, "a", 0), HEARTH_E_NOMEM);
    assert_true(keep_text(&tier, "a", "storing takes no memory"));
    failing_memory_pass();
    expect_text(&tier, "a", "storing takes no memory");
    tier_close(&tier);
}

static void without_memory_it_does_not_open(void **state) {
    (void)state;
    hearth__seats *counters = hearth__local_seats_create();
    const hearth__local_config config = {.max_bytes = 1 << 20, .counters = counters};
    const int64_t blocks = failing_memory_blocks();
    for (uint64_t i = 0; i < 2; i++) {
        hearth__local *local = NULL;
        failing_memory_fail(i, 1);
        assert_int_equal(hearth__local_open(&config, &local), HEARTH_E_NOMEM);
        assert_null(local);
        assert_int_equal(failing_memory_blocks(), blocks);
    }
    failing_memory_pass();
    hearth__local_close(NULL);
    hearth__seats_destroy(counters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_kept_replaced_and_dropped),
        cmocka_unit_test(what_is_known_of_a_value_comes_back_with_it),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(hard_expiry_is_exact_to_the_millisecond),
        cmocka_unit_test(a_value_past_its_soft_life_is_kept),
        cmocka_unit_test(an_entry_larger_than_the_option_goes_past),
        cmocka_unit_test(without_bytes_nothing_is_kept),
        cmocka_unit_test(never_over_the_limit),
        cmocka_unit_test(what_is_read_outlives_what_is_not),
        cmocka_unit_test(small_entries_fill_the_index_first),
        cmocka_unit_test(without_memory_for_the_value_a_get_says_so),
        cmocka_unit_test(without_memory_it_does_not_open),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
