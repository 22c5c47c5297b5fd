/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys are asked for: Zipf's law, and what happens in the middle of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "popularity.h"

enum { KEYS = 1000, THREADS = 4, TURNS = 50000, ALL = THREADS * TURNS };

static const int64_t AT_NS = 10000000000;

struct tally {
    uint32_t counts[KEYS + POPULARITY_FLASH_KEYS];
    uint32_t writes;
};

static void ask(const struct popularity *popularity, int64_t at_ns, struct tally *tally) {
    memset(tally, 0, sizeof *tally);
    for (unsigned thread = 0; thread < THREADS; thread++) {
        for (uint64_t count = 0; count < TURNS; count++) {
            int writes = 0;
            uint32_t key = popularity_pick(popularity, thread, count, at_ns, &writes);
            assert_true(key < popularity_keys(popularity));
            tally->counts[key]++;
            tally->writes += writes != 0;
        }
    }
}

static uint32_t sum(const uint32_t *counts, size_t count) {
    uint32_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all += counts[i];
    }
    return all;
}

static int descending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a < b) - (a > b);
}

static struct popularity *create(enum popularity_event event, double share) {
    const struct popularity_plan plan = {.keys = KEYS,
                                         .exponent = 0.99,
                                         .event = event,
                                         .share = share,
                                         .at_ns = AT_NS,
                                         .threads = THREADS,
                                         .writes = 0.1,
                                         .seed = 1};
    struct popularity *popularity = popularity_create(&plan);
    assert_non_null(popularity);
    return popularity;
}

static bool is_near(double seen, double truth, double share) {
    return fabs(seen - truth) < truth * share;
}

static void check_law(double exponent) {
    static struct tally tally;
    const struct popularity_plan plan = {
        .keys = KEYS, .exponent = exponent, .threads = THREADS, .seed = 3};
    struct popularity *popularity = popularity_create(&plan);
    double all = 0;
    assert_non_null(popularity);
    for (int rank = 1; rank <= KEYS; rank++) {
        all += pow(rank, -exponent);
    }
    ask(popularity, 0, &tally);
    assert_int_equal(tally.writes, 0);
    qsort(tally.counts, KEYS, sizeof tally.counts[0], descending);
    assert_true(is_near(tally.counts[0], ALL / all, 0.05));
    assert_true(is_near(tally.counts[1], ALL * pow(2, -exponent) / all, 0.05));
    assert_true(is_near(tally.counts[9], ALL * pow(10, -exponent) / all, 0.1));
    double half = 0;
    for (int rank = 1; rank <= KEYS / 2; rank++) {
        half += pow(rank, -exponent);
    }
    assert_true(is_near(sum(tally.counts, KEYS / 2), ALL * half / all, 0.02));
    popularity_destroy(popularity);
}

static void ranks_follow_zipf(void **state) {
    (void)state;
    check_law(0.6);
    check_law(0.99);
    check_law(1);
    check_law(1.3);
}

static void before_its_time_nothing_happens(void **state) {
    (void)state;
    static struct tally calm;
    static struct tally tally;
    struct popularity *popularity = create(POPULARITY_STEADY, 0);
    ask(popularity, AT_NS, &calm);
    assert_int_equal(sum(calm.counts, KEYS), ALL);
    assert_true(is_near(calm.writes, ALL * 0.1, 0.05));
    popularity_destroy(popularity);
    for (int event = POPULARITY_VIRAL; event <= POPULARITY_CHURN; event++) {
        popularity = create((enum popularity_event)event, 0.4);
        ask(popularity, AT_NS - 1, &tally);
        assert_memory_equal(&tally, &calm, sizeof tally);
        ask(popularity, AT_NS, &tally);
        assert_memory_not_equal(&tally, &calm, sizeof tally);
        popularity_destroy(popularity);
    }
}

static void a_viral_key_takes_its_share(void **state) {
    (void)state;
    static struct tally tally;
    struct popularity *popularity = create(POPULARITY_VIRAL, 0.4);
    ask(popularity, AT_NS, &tally);
    assert_true(is_near(tally.counts[KEYS], ALL * 0.4, 0.02));
    assert_int_equal(sum(tally.counts, KEYS + 1), ALL);
    popularity_destroy(popularity);
}

static void a_flash_crowd_is_of_many_keys(void **state) {
    (void)state;
    static struct tally tally;
    struct popularity *popularity = create(POPULARITY_FLASH, 0.4);
    ask(popularity, AT_NS, &tally);
    assert_true(is_near(sum(tally.counts + KEYS, POPULARITY_FLASH_KEYS), ALL * 0.4, 0.02));
    for (size_t i = 0; i < POPULARITY_FLASH_KEYS; i++) {
        double mean = ALL * 0.4 / POPULARITY_FLASH_KEYS;
        assert_true(is_near(tally.counts[KEYS + i], mean, 0.8));
    }
    popularity_destroy(popularity);
}

static void a_scan_goes_through_all_keys(void **state) {
    (void)state;
    static struct tally tally;
    struct popularity *popularity = create(POPULARITY_SCAN, 1);
    ask(popularity, AT_NS, &tally);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(tally.counts[i], ALL / KEYS);
    }
    popularity_destroy(popularity);
}

static void churn_lets_the_hottest_fall(void **state) {
    (void)state;
    static struct tally first;
    static struct tally later;
    struct popularity *popularity = create(POPULARITY_CHURN, 0.01);
    size_t hottest = 0;
    ask(popularity, AT_NS - 1, &first);
    ask(popularity, AT_NS + 1500000000, &later);
    for (size_t i = 1; i < KEYS; i++) {
        hottest = first.counts[i] > first.counts[hottest] ? i : hottest;
    }
    /* Two seconds' worth of turns: 20 of 1,000 keys. */
    assert_true(later.counts[hottest] < first.counts[hottest] / 100);
    qsort(first.counts, KEYS, sizeof first.counts[0], descending);
    qsort(later.counts, KEYS, sizeof later.counts[0], descending);
    assert_memory_equal(&first, &later, sizeof first); /* others are as hot now */
    popularity_destroy(popularity);
}

static void a_trace_is_played_in_its_order(void **state) {
    (void)state;
    uint32_t items[] = {0, 1, 0, 2, 3, 0, 4};
    const struct requests trace = {.items = items, .count = 7, .distinct = 5};
    const struct popularity_plan plan = {.trace = &trace, .threads = 2, .seed = 1};
    struct popularity *popularity = popularity_create(&plan);
    assert_non_null(popularity);
    for (uint64_t i = 0; i < 21; i++) {
        int writes = 1;
        assert_int_equal(popularity_pick(popularity, i % 2, i / 2, 0, &writes), items[i % 7]);
        assert_int_equal(writes, 0);
    }
    assert_int_equal(popularity_keys(popularity), 5 + POPULARITY_FLASH_KEYS);
    popularity_destroy(popularity);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_follow_zipf),
        cmocka_unit_test(before_its_time_nothing_happens),
        cmocka_unit_test(a_viral_key_takes_its_share),
        cmocka_unit_test(a_flash_crowd_is_of_many_keys),
        cmocka_unit_test(a_scan_goes_through_all_keys),
        cmocka_unit_test(churn_lets_the_hottest_fall),
        cmocka_unit_test(a_trace_is_played_in_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
