/* SPDX-License-Identifier: Apache-2.0 */
/* Absences: the part of the memory that they have, when they have it, and that they never take more, nor anything of a value's. */
#include "base/racy.h"
#include "base/stat.h"
#include "local/local.h"
#include "support/crowd.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { VALUE = 100 };
#define LIMIT (UINT64_C(4) << 20)

static const hearth__local_entry value = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                          .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                          .bare = true};
static const hearth__local_entry absence = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                            .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                            .bare = true,
                                            .absent = true};

#if defined(HEARTH__RACY_WORDS) /* each word is written by itself */
static const char *const policies[] = {"adaptive"};
#else
static const char *const policies[] = {"lru", "s3fifo", "adaptive"};
#endif
enum { POLICIES = sizeof policies / sizeof policies[0] };

static hearth__seats *counters;
static hearth__local *local;
static hearth__buffer bytes;

static void tier_open(const char *policy, size_t max_bytes, size_t expected) {
    counters = hearth__local_seats_create();
    assert_non_null(counters);
    const hearth__local_config config = {.max_bytes = max_bytes,
                                         .expected_entry_bytes = expected,
                                         .policy = policy,
                                         .counters = counters};
    assert_int_equal(hearth__local_open(&config, &local), HEARTH_OK);
}

static void tier_close(void) {
    hearth__local_close(local);
    hearth__seats_destroy(counters);
    hearth__buffer_fini(&bytes);
}

/* The usage, which is never over its limits. */
static hearth__local_usage usage(void) {
    hearth__local_usage now;
    hearth__local_usage_get(local, &now);
    assert_true(now.bytes <= now.limit_bytes);
    assert_true(now.negative_bytes <= now.limit_bytes / 25);
    assert_true(now.negative_entries <= now.entries);
    return now;
}

static const char zeros[VALUE];

/* Keys are numbers; those of absences are others. */
static bool put(uint64_t key) {
    return hearth__local_put(local, &key, sizeof key, &value, zeros, sizeof zeros);
}

static uint64_t absent(uint64_t number) {
    return number | UINT64_C(1) << 63;
}

static bool put_absence(uint64_t number) {
    uint64_t key = absent(number);
    return hearth__local_put(local, &key, sizeof key, &absence, NULL, 0);
}

/* HEARTH_OK, HEARTH_ABSENT, HEARTH_MISS. */
static int32_t get(uint64_t key) {
    hearth__local_entry entry;
    int32_t status = hearth__local_get(local, &key, sizeof key, 0, &bytes, &entry);
    return status == HEARTH_OK && entry.absent ? HEARTH_ABSENT : status;
}

static size_t count(uint64_t from, uint64_t to, int32_t status) {
    size_t found = 0;
    for (uint64_t key = from; key < to; key++) {
        found += get(key) == status;
    }
    return found;
}

/* ---- one key ----------------------------------------------------------------------------- */

static bool put_text(const hearth__local_entry *entry, const char *text) {
    return hearth__local_put(local, "key", 3, entry, text, strlen(text));
}

static int32_t get_text(void) {
    hearth__local_entry entry;
    int32_t status = hearth__local_get(local, "key", 3, 0, &bytes, &entry);
    return status == HEARTH_OK && entry.absent ? HEARTH_ABSENT : status;
}

/* Also a value of no bytes, which takes as much as an absence. */
static void a_value_and_an_absence_replace_each_other(void **state) {
    (void)state;
    static const char *const texts[] = {"", "x", "longer than that"};
    for (size_t i = 0; i < 3; i++) {
        tier_open("s3fifo", LIMIT, 0);
        for (int round = 0; round < 3; round++) {
            assert_true(put_text(&absence, ""));
            assert_int_equal(get_text(), HEARTH_ABSENT);
            assert_int_equal(usage().entries, 1);
            assert_int_equal(usage().negative_entries, 1);
            assert_true(put_text(&absence, "")); /* again, in the same place */
            assert_int_equal(get_text(), HEARTH_ABSENT);
            assert_int_equal(usage().negative_entries, 1);
            assert_true(put_text(&value, texts[i]));
            assert_int_equal(get_text(), HEARTH_OK);
            assert_int_equal(bytes.size, strlen(texts[i]));
            assert_int_equal(usage().entries, 1);
            assert_int_equal(usage().negative_entries, 0);
        }
        assert_true(put_text(&absence, ""));
        assert_true(hearth__local_evict(local, "key", 3));
        assert_int_equal(get_text(), HEARTH_MISS);
        assert_int_equal(usage().entries, 0);
        assert_int_equal(usage().negative_entries, 0);
        tier_close();
    }
}

struct exchange {
    _Atomic bool over;
    _Atomic bool missed;
};

static void exchange(void *arg, size_t index) {
    struct exchange *exchange = arg;
    hearth__buffer own = {0};
    if (index == 0) {
        for (int i = 0; i < 30000; i++) {
            bool put =
                i % 2 == 0 ? put_text(&absence, "") : put_text(&value, i % 4 == 1 ? "" : "x");
            if (!put) {
                atomic_store(&exchange->missed, true);
            }
        }
        atomic_store(&exchange->over, true);
    }
    while (!atomic_load(&exchange->over)) {
        hearth__local_entry entry;
        if (hearth__local_get(local, "key", 3, 0, &own, &entry) != HEARTH_OK ||
            (entry.absent && own.size != 0)) {
            atomic_store(&exchange->missed, true);
        }
    }
    hearth__buffer_fini(&own);
}

/* One is replaced by the other in one step: a reader never finds neither. */
static void a_reader_finds_either_the_value_or_the_absence(void **state) {
    (void)state;
    struct exchange all = {0};
    tier_open("s3fifo", LIMIT, 0);
    assert_true(put_text(&value, "x"));
    assert_true(crowd_run(3, exchange, &all));
    assert_false(all.missed);
    tier_close();
}

/* ---- memory ------------------------------------------------------------------------------ */

enum { HOT = 1000, FLOOD = 200000 };

static void hot_keys_are_read(void) {
    for (int i = 0; i < 3; i++) {
        assert_int_equal(count(0, HOT, HEARTH_OK), HOT);
    }
}

static void flood(uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        (void)put_absence(i);
        if (i % 1024 == 0) {
            (void)usage();
        }
    }
}

static void a_flood_of_absences_displaces_no_value(void **state) {
    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        tier_open(policies[i], LIMIT, 0);
        for (uint64_t key = 0; key < HOT; key++) {
            assert_true(put(key));
        }
        hot_keys_are_read();
        flood(0, FLOOD);
        assert_int_equal(count(0, HOT, HEARTH_OK), HOT);
        hearth__local_usage now = usage();
        assert_true(now.negative_bytes > now.limit_bytes / 32);
        assert_int_equal(now.entries, HOT + now.negative_entries);
        /* First in, first out. */
        size_t kept = now.negative_entries;
        assert_true(kept > 2000);
        assert_int_equal(count(absent(FLOOD - kept), absent(FLOOD), HEARTH_ABSENT), kept);
        tier_close();
    }
}

#define FULL UINT64_C(60000) /* more values than there is room for */

/* Hot values are not neighbours: one store moves no more than some. */
enum { APART = 7 };

static size_t count_hot(void) {
    size_t found = 0;
    for (uint64_t i = 0; i < HOT; i++) {
        found += get(i * APART) == HEARTH_OK;
    }
    return found;
}

/* A tier full of values, of which some are hot: so many. */
static size_t fill(const char *policy) {
    tier_open(policy, LIMIT, 0);
    for (uint64_t key = 0; key < FULL; key++) {
        if (key % 1000 == 0) {
            (void)count_hot();
        }
        assert_true(put(key));
    }
    (void)count_hot();
    return count_hot();
}

static void in_a_full_tier_they_get_their_part_from_what_is_cold(void **state) {
    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        size_t hot = fill(policies[i]);
        uint64_t values = usage().entries;
        print_message("%s: %zu hot values of %llu\n", policies[i], hot,
                      (unsigned long long)values);
        assert_true(hot > HOT / 2);
        flood(0, FLOOD);
        hearth__local_usage now = usage();
        assert_int_equal(count_hot(), hot);
        assert_true(now.negative_bytes > now.limit_bytes / 32);
        assert_true(count(absent(FLOOD - HOT), absent(FLOOD), HEARTH_ABSENT) > HOT / 2);
        assert_true(now.entries - now.negative_entries > values - values / 10);
        tier_close();
    }
}

/* Whatever is in the tier is whole. */
static void values_are_whole_while_they_make_way(void **state) {
    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        (void)fill(policies[i]);
        for (uint64_t from = 0; from < 8000; from += 800) {
            flood(from, from + 800);
            hearth__local_usage now = usage();
            assert_int_equal(count(0, FULL, HEARTH_OK), now.entries - now.negative_entries);
        }
        tier_close();
    }
}

/* What no absence needs is not kept for them. */
static void values_have_it_all_where_there_are_none(void **state) {
    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        (void)fill(policies[i]);
        uint64_t before = usage().bytes;
        assert_true(before > LIMIT / 100 * 96);
        flood(0, FLOOD);
        uint64_t key = FULL;
        for (; key < 2 * FULL; key++) {
            assert_true(put(key));
            (void)put_absence(key); /* absences are still coming */
        }
        assert_true(usage().negative_bytes > LIMIT / 32);
        for (; key < 9 * FULL; key++) {
            assert_true(put(key));
            (void)count(key - 1, key + 1, HEARTH_OK); /* so that the main log moves on */
            if (key % 1024 == 0) {
                (void)usage();
            }
        }
        assert_int_equal(usage().negative_bytes, 0);
        assert_int_equal(usage().negative_entries, 0);
        assert_true(usage().bytes > LIMIT / 100 * 96);
        flood(0, FLOOD); /* and back again */
        assert_true(usage().negative_bytes > LIMIT / 32);
        tier_close();
    }
}

/* The index has a slot for each expected entry, and these are much smaller. */
static void in_a_full_index_values_go_first(void **state) {
    (void)state;
    enum { EXPECTED = 4096, SOME = 700, MANY = 4000 };
    tier_open("lru", LIMIT, EXPECTED);
    for (uint64_t key = 0; key < SOME; key++) {
        assert_true(put(key));
    }
    size_t values = count(0, SOME, HEARTH_OK);
    assert_true(values > SOME - SOME / 10);
    flood(0, MANY);
    assert_int_equal(count(0, SOME, HEARTH_OK), values);
    uint64_t absences = usage().negative_entries;
    assert_true(absences > SOME / 2 &&
                absences < MANY / 2); /* for want of slots, not of memory */
    assert_true(usage().negative_bytes < LIMIT / 25);
    for (uint64_t key = SOME; key < MANY; key++) {
        assert_true(put(key));
    }
    assert_true(usage().negative_entries < absences / 10);
    tier_close();
}

static bool put_long_absence(size_t number) {
    static char key[14000];
    (void)snprintf(key, sizeof key, "%zu", number);
    return hearth__local_put(local, key, sizeof key, &absence, NULL, 0);
}

static void an_absence_of_a_long_key_takes_only_what_is_free(void **state) {
    (void)state;
    tier_open("s3fifo", 1 << 20, 0);
    assert_true(put_absence(1));
    assert_true(put_long_absence(1));
    assert_true(put_long_absence(2));
    size_t kept = 2;
    while (kept < 10 && put_long_absence(kept + 1)) {
        kept++;
    }
    assert_true(kept < 5);
    assert_int_equal(get(absent(1)), HEARTH_ABSENT);
    assert_int_equal(usage().negative_entries, 1 + kept);
    assert_int_equal(hearth__seats_sum(counters, HEARTH__STAT_local_refusals), 0);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_true(put_absence(i));
    }
    assert_true(put_text(&value, "x"));
    assert_int_equal(get_text(), HEARTH_OK);
    tier_close();
}

/* What an absence takes the place of is gone, even if there is no room for the absence. */
static void an_absence_that_is_not_kept_leaves_no_value(void **state) {
    (void)state;
    static char key[HEARTH__LOCAL_MIN_BYTES / 64 - 1];
    tier_open("s3fifo", HEARTH__LOCAL_MIN_BYTES, 0);
    while (put_absence(usage().entries) &&
           usage().negative_bytes < HEARTH__LOCAL_MIN_BYTES / 40) {
    }
    assert_true(hearth__local_put(local, key, sizeof key, &value, "x", 1));
    while (hearth__local_put(local, key, sizeof key, &absence, NULL, 0)) {
        assert_true(hearth__local_put(local, key, sizeof key, &value, "x", 1));
    }
    hearth__local_entry entry;
    assert_int_equal(hearth__local_get(local, key, sizeof key, 0, &bytes, &entry), HEARTH_MISS);
    tier_close();
}

static void absences_that_are_over_are_no_evictions(void **state) {
    (void)state;
    tier_open("s3fifo", 256 << 10, 0);
    for (int64_t i = 0; i < 10000; i++) {
        hearth__local_entry short_lived = absence;
        uint64_t key = absent((uint64_t)i);
        short_lived.read_ms = i * 10;
        short_lived.hard_expiry_ms = i * 10 + 100;
        assert_true(hearth__local_put(local, &key, sizeof key, &short_lived, NULL, 0));
    }
    assert_int_equal(hearth__seats_sum(counters, HEARTH__STAT_local_evictions), 0);
    tier_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_and_an_absence_replace_each_other),
        cmocka_unit_test(a_reader_finds_either_the_value_or_the_absence),
        cmocka_unit_test(a_flood_of_absences_displaces_no_value),
        cmocka_unit_test(in_a_full_tier_they_get_their_part_from_what_is_cold),
        cmocka_unit_test(values_are_whole_while_they_make_way),
        cmocka_unit_test(values_have_it_all_where_there_are_none),
        cmocka_unit_test(in_a_full_index_values_go_first),
        cmocka_unit_test(an_absence_of_a_long_key_takes_only_what_is_free),
        cmocka_unit_test(an_absence_that_is_not_kept_leaves_no_value),
        cmocka_unit_test(absences_that_are_over_are_no_evictions),
    };
    return cmocka_run_group_tests_name("local tier, absences", tests, NULL, NULL);
}
