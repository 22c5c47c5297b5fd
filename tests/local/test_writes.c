/* SPDX-License-Identifier: Apache-2.0 */
/* Writes, puts and fills of one key that meet; values that are written in place, and those that cannot be. */
#include "base/clock.h"
#include "base/stat.h"
#include "local/local.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};

struct tier {
    hearth__seats *counters;
    hearth__local *local;
    hearth__buffer bytes;
};

static void tier_open(struct tier *tier) {
    *tier = (struct tier){.counters = hearth__local_seats_create()};
    assert_non_null(tier->counters);
    const hearth__local_config config = {.max_bytes = HEARTH__LOCAL_MIN_BYTES,
                                         .counters = tier->counters};
    assert_int_equal(hearth__local_open(&config, &tier->local), HEARTH_OK);
}

static void tier_close(struct tier *tier) {
    hearth__local_close(tier->local);
    hearth__seats_destroy(tier->counters);
    hearth__buffer_fini(&tier->bytes);
}

static bool put(struct tier *tier, const hearth__local_entry *entry, const char *text) {
    return hearth__local_put(tier->local, "key", 3, entry, text, strlen(text));
}

static bool fill(struct tier *tier, hearth__local_ticket ticket, const char *text) {
    return hearth__local_fill(tier->local, "key", 3, ticket, &everlasting, text, strlen(text));
}

static void expect(struct tier *tier, const char *text) {
    hearth__local_entry entry;
    const int32_t status = hearth__local_get(tier->local, "key", 3, 0, &tier->bytes, &entry);
    assert_int_equal(status, text != NULL ? HEARTH_OK : HEARTH_MISS);
    if (text != NULL) {
        assert_int_equal(tier->bytes.size, strlen(text));
        assert_memory_equal(tier->bytes.data, text, strlen(text));
    }
}

static void a_put_voids_fills_under_way(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    const hearth__local_ticket ticket = hearth__local_sample(tier.local, "key", 3);
    assert_true(put(&tier, &everlasting, "new"));
    assert_false(fill(&tier, ticket, "old"));
    expect(&tier, "new");
    assert_true(fill(&tier, hearth__local_sample(tier.local, "key", 3), "newer"));
    expect(&tier, "newer");
    tier_close(&tier);
}

/* Nobody knows here which of the two is older. */
static void a_write_that_ends_drops_what_was_put_meanwhile(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    for (int keeps = 0; keeps < 2; keeps++) {
        const hearth__local_ticket ticket = hearth__local_write_begin(tier.local, "key", 3);
        assert_true(put(&tier, &everlasting, "put"));
        expect(&tier, "put");
        hearth__local_write_end(tier.local, "key", 3, ticket, keeps != 0 ? &everlasting : NULL,
                                "written", 7);
        expect(&tier, NULL);
    }
    tier_close(&tier);
}

/* An entry with a version has a word more; so this value and that take the same room, but their key stands elsewhere. */
static void a_value_that_is_as_long_with_other_words_is_found(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    hearth__local_entry versioned = everlasting;
    versioned.version = 7;
    for (int i = 0; i < 3; i++) {
        assert_true(put(&tier, &versioned, "8 bytes."));
        expect(&tier, "8 bytes.");
        assert_true(put(&tier, &everlasting, "sixteen bytes..."));
        expect(&tier, "sixteen bytes...");
    }
    tier_close(&tier);
}

static void a_value_that_says_less_takes_the_place_of_one_that_said_more(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    hearth__local_entry described = everlasting;
    described.version = 7;
    described.lead_ms = 5;
    described.soft_expiry_ms = hearth__boot_ms() + 3600000;
    assert_true(put(&tier, &described, "a load"));
    assert_true(put(&tier, &everlasting, "a set."));
    expect(&tier, "a set.");
    hearth__local_entry entry;
    assert_int_equal(hearth__local_get(tier.local, "key", 3, 0, &tier.bytes, &entry),
                     HEARTH_OK);
    assert_int_equal(entry.version, 0);
    assert_int_equal(entry.lead_ms, 0);
    assert_int_equal(entry.soft_expiry_ms, HEARTH__LOCAL_FOREVER);
    hearth__local_usage usage;
    hearth__local_usage_get(tier.local, &usage);
    assert_int_equal(usage.dead_bytes, 0);
    tier_close(&tier);
}

static void a_longer_value_leaves_its_neighbour_alone(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    assert_true(put(&tier, &everlasting, "short"));
    assert_true(hearth__local_put(tier.local, "neighbour", 9, &everlasting, "n", 1));
    assert_true(put(&tier, &everlasting, "a good deal longer than it was before"));
    expect(&tier, "a good deal longer than it was before");
    hearth__local_entry entry;
    assert_int_equal(hearth__local_get(tier.local, "neighbour", 9, 0, &tier.bytes, &entry),
                     HEARTH_OK);
    assert_int_equal(tier.bytes.size, 1);
    assert_memory_equal(tier.bytes.data, "n", 1);
    tier_close(&tier);
}

enum { STRANGERS = 2000, STRANGER_BYTES = 400 };

static void put_strangers(struct tier *tier, int from, int to, const char *text) {
    static const char zeros[STRANGER_BYTES];
    for (int i = from; i < to; i++) {
        expect(tier, text); /* it is read again and again, so it stays */
        assert_true(
            hearth__local_put(tier->local, &i, sizeof i, &everlasting, zeros, sizeof zeros));
    }
}

/* The overwritten entry is dead when the log's tail meets it, some stores before the new one. */
static void an_overwritten_value_does_not_come_back(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    assert_true(put(&tier, &everlasting, "old"));
    put_strangers(&tier, 0, 10, "old");
    assert_true(put(&tier, &everlasting, "the new one, in another place"));
    put_strangers(&tier, 10, STRANGERS, "the new one, in another place");
    assert_true(hearth__seats_sum(tier.counters, HEARTH__STAT_local_evictions) > 0);
    tier_close(&tier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_voids_fills_under_way),
        cmocka_unit_test(a_write_that_ends_drops_what_was_put_meanwhile),
        cmocka_unit_test(a_value_that_is_as_long_with_other_words_is_found),
        cmocka_unit_test(a_value_that_says_less_takes_the_place_of_one_that_said_more),
        cmocka_unit_test(a_longer_value_leaves_its_neighbour_alone),
        cmocka_unit_test(an_overwritten_value_does_not_come_back),
    };
    return cmocka_run_group_tests_name("writes", tests, NULL, NULL);
}
