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
    hearth__counters *counters;
    hearth__local *local;
    hearth__buffer bytes;
    hearth__local_entry entry; /* of the last get */
};

static void tier_open(struct tier *tier, size_t max_bytes, size_t max_entry_bytes) {
    *tier = (struct tier){.blocks = failing_memory_blocks()};
    tier->counters = hearth__counters_create(HEARTH__STATS);
    assert_non_null(tier->counters);
    const hearth__local_config config = {
        .max_bytes = max_bytes, .max_entry_bytes = max_entry_bytes, .counters = tier->counters};
    assert_int_equal(hearth__local_open(&config, &tier->local), HEARTH_OK);
}

static void tier_close(struct tier *tier) {
    hearth__local_close(tier->local);
    hearth__counters_destroy(tier->counters);
    hearth__buffer_fini(&tier->bytes);
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
    int32_t status = hearth__local_get(tier->local, key, strlen(key), 0, NULL, &entry);
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
                                       .delta_ms = 77};
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
    assert_int_equal(tier.entry.delta_ms, 77);
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
    assert_int_equal(usage_of(&tier).entries, 0);
    assert_int_equal(hearth__counters_sum(tier.counters, HEARTH__STAT_local_expirations), 1);
    /* It is gone for good, whatever the clock says next. */
    assert_int_equal(get_at(&tier, "a", 0), HEARTH_MISS);
    assert_int_equal(hearth__counters_sum(tier.counters, HEARTH__STAT_local_expirations), 1);
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
    assert_int_equal(hearth__counters_sum(tier->counters, HEARTH__STAT_local_refusals), 0);
    assert_false(keep_sized(tier, "key", largest + 1));
    assert_int_equal(hearth__counters_sum(tier->counters, HEARTH__STAT_local_refusals), 1);
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
    for (size_t max_bytes = 0; max_bytes < 4096; max_bytes += 61) {
        tier_open(&tier, max_bytes, 100);
        for (int i = 0; i < 20; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "key%d", i);
            bool kept = keep_text(&tier, key, "0123456789");
            assert_int_equal(has(&tier, key), kept);
            assert_true(usage_of(&tier).bytes <= max_bytes);
        }
        assert_int_equal(usage_of(&tier).limit_bytes, max_bytes);
        tier_close(&tier);
    }
    tier_open(&tier, 0, 0);
    assert_false(keep_text(&tier, "a", ""));
    assert_int_equal(hearth__counters_sum(tier.counters, HEARTH__STAT_local_refusals), 0);
    tier_close(&tier);
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* What the tier says it takes, against what it took from the heap since it was empty. */
static void expect_honest(const struct tier *tier, int64_t empty_blocks, int64_t empty_bytes) {
    hearth__local_usage usage = usage_of(tier);
    int64_t blocks = failing_memory_blocks() - empty_blocks;
    int64_t bytes = failing_memory_bytes() - empty_bytes;
    assert_true(usage.bytes <= usage.limit_bytes);
    assert_true(bytes <= (int64_t)usage.bytes);
    assert_true(bytes >= (int64_t)usage.bytes - blocks * 16);
}

static void never_over_the_limit_and_true_to_the_heap(void **state) {
    (void)state;
    struct tier tier;
    static const char zeros[70000];
    uint32_t random = 7;
    for (size_t max_bytes = 1 << 14; max_bytes <= 1 << 25; max_bytes *= 8) {
        tier_open(&tier, max_bytes, 0);
        const int64_t blocks = failing_memory_blocks();
        const int64_t bytes = failing_memory_bytes();
        for (int i = 0; i < 20000; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%u", next_random(&random) % 5000);
            if (next_random(&random) % 8 == 0) {
                (void)hearth__local_evict(tier.local, key, strlen(key));
            } else {
                size_t size = next_random(&random) % (1u << (next_random(&random) % 17));
                (void)keep(&tier, key, &everlasting, zeros, size);
            }
            expect_honest(&tier, blocks, bytes);
        }
        assert_true(usage_of(&tier).entries > 0);
        for (uint32_t i = 0; i < 5000; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%u", i);
            (void)hearth__local_evict(tier.local, key, strlen(key));
        }
        assert_int_equal(usage_of(&tier).entries, 0);
        assert_int_equal(usage_of(&tier).bytes, 0);
        tier_close(&tier);
    }
}

/* ---- order ---- */

enum { KEYS = 400, STEPS = 3000, PROBES = 40 };

/* Keys in order of use, the newest first. */
struct order {
    int keys[KEYS];
    size_t count;
};

static void order_use(struct order *order, int key, bool known) {
    size_t place = 0;
    while (place < order->count && order->keys[place] != key) {
        place++;
    }
    if (place == order->count && !known) {
        order->count++;
    }
    if (place < order->count) {
        memmove(&order->keys[1], &order->keys[0], place * sizeof order->keys[0]);
        order->keys[0] = key;
    }
}

static void name_key(int key, char name[16]) {
    (void)snprintf(name, 16, "key%d", key);
}

/* Plays `steps` fills and gets; what is there afterwards must be the newest of the order. */
static void play(int steps) {
    struct tier tier;
    struct order order = {.count = 0};
    uint32_t random = 3;
    char name[16];
    static const char zeros[1000];
    tier_open(&tier, 100000, 1000);
    for (int i = 0; i < steps; i++) {
        int key = (int)(next_random(&random) % KEYS);
        name_key(key, name);
        if (next_random(&random) % 3 != 0) {
            assert_true(keep(&tier, name, &everlasting, zeros, next_random(&random) % 990));
            order_use(&order, key, false);
        } else if (has(&tier, name)) {
            order_use(&order, key, true);
        }
    }
    const uint64_t entries = usage_of(&tier).entries;
    assert_true(entries <= order.count);
    assert_true(steps < 1000 || entries < order.count); /* some had to go */
    for (size_t i = 0; i < order.count; i++) {
        name_key(order.keys[i], name);
        assert_int_equal(has(&tier, name), i < entries);
    }
    assert_true(hearth__counters_sum(tier.counters, HEARTH__STAT_local_evictions) > 0 ||
                entries == order.count);
    tier_close(&tier);
}

static void the_least_recently_used_go_first(void **state) {
    (void)state;
    for (int i = 1; i <= PROBES; i++) {
        play(i * STEPS / PROBES + i);
    }
}

/* ---- without memory ---- */

static void without_memory_an_entry_is_not_kept_and_nothing_breaks(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier, 1 << 20, 0);
    uint64_t failed = 0;
    for (int i = 0; i < 3000; i++) {
        char key[16];
        name_key(i, key);
        failing_memory_fail((uint64_t)i % 4, 1); /* the entry, the table, its growth */
        bool kept = keep_text(&tier, key, "0123456789");
        failed += failing_memory_failures();
        failing_memory_pass();
        assert_int_equal(has(&tier, key), kept);
    }
    assert_true(failed > 0);
    assert_true(keep_text(&tier, "a", "large enough to make the value's buffer grow"));
    failing_memory_fail(0, UINT64_MAX);
    assert_int_equal(get_at(&tier, "a", 0), HEARTH_E_NOMEM);
    assert_false(keep_text(&tier, "a", "other")); /* no memory, and no older copy left */
    failing_memory_pass();
    assert_false(has(&tier, "a"));
    tier_close(&tier);
}

static void without_memory_it_does_not_open(void **state) {
    (void)state;
    hearth__counters *counters = hearth__counters_create(HEARTH__STATS);
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
    hearth__counters_destroy(counters);
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
        cmocka_unit_test(never_over_the_limit_and_true_to_the_heap),
        cmocka_unit_test(the_least_recently_used_go_first),
        cmocka_unit_test(without_memory_an_entry_is_not_kept_and_nothing_breaks),
        cmocka_unit_test(without_memory_it_does_not_open),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
