/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram against the sorted latencies themselves: every percentile within 0.1 %. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "latency.h"

enum { RECORDS = 50000 };

static const double percents[] = {0.01, 1, 25, 50, 90, 99, 99.9, 99.99};

static uint64_t draw(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 11;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static uint64_t sorted_percentile(const uint64_t *sorted, size_t count, double percent) {
    double exact = percent / 100 * (double)count;
    size_t rank = (size_t)exact;
    rank += (double)rank < exact;
    return sorted[rank == 0 ? 0 : rank - 1];
}

static void assert_within_a_thousandth(uint64_t seen, uint64_t truth) {
    uint64_t error = seen > truth ? seen - truth : truth - seen;
    if (error > truth / 1000) {
        fail_msg("%llu instead of %llu", (unsigned long long)seen, (unsigned long long)truth);
    }
}

static void assert_matches(const struct latency *latency, uint64_t *values, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        assert_within_a_thousandth(latency_percentile(latency, percents[i]),
                                   sorted_percentile(values, count, percents[i]));
    }
    assert_int_equal(latency->count, count);
    assert_int_equal(latency_percentile(latency, 0), values[0]);
    assert_int_equal(latency_percentile(latency, 100), values[count - 1]);
    assert_int_equal(latency_mean(latency), sum / count);
}

/* Values of every size: some bits of a random number, from 1 to 40. */
static void values_of_every_size_are_within_a_thousandth(void **state) {
    (void)state;
    static struct latency latency;
    static uint64_t values[RECORDS];
    uint64_t random = 1;
    latency_clear(&latency);
    for (size_t i = 0; i < RECORDS; i++) {
        unsigned bits = 1 + (unsigned)(draw(&random) % 40);
        values[i] = draw(&random) & ((1ULL << bits) - 1);
        latency_record(&latency, values[i]);
    }
    assert_matches(&latency, values, RECORDS);
}

/* Around each power of two, up to the largest number, one value by itself. */
static void every_value_keeps_its_size(void **state) {
    (void)state;
    static struct latency latency;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t step = 0; step < 3; step++) {
            uint64_t value = (1ULL << bit) - 1 + step;
            latency_clear(&latency);
            latency_record(&latency, 0);
            latency_record(&latency, value);
            latency_record(&latency, UINT64_MAX);
            assert_within_a_thousandth(latency_percentile(&latency, 50), value);
        }
    }
}

static void small_values_are_exact(void **state) {
    (void)state;
    static struct latency latency;
    latency_clear(&latency);
    for (uint64_t value = 0; value < 2048; value++) {
        latency_record(&latency, value);
    }
    for (uint64_t value = 1; value <= 2048; value++) {
        assert_int_equal(latency_percentile(&latency, (double)value / 20.48), value - 1);
    }
}

/* ---- ten million ---- */

enum { MANY = 10000000, RADIX_BITS = 10, RADIX = 1 << RADIX_BITS, VALUE_BITS = 40 };

/* Sorted by ten bits at a time; the result is in `values`. */
static void sort_many(uint64_t *values, uint64_t *other) {
    static size_t places[RADIX];
    for (unsigned shift = 0; shift < VALUE_BITS; shift += RADIX_BITS) {
        size_t place = 0;
        memset(places, 0, sizeof places);
        for (size_t i = 0; i < MANY; i++) {
            places[values[i] >> shift & (RADIX - 1)]++;
        }
        for (size_t digit = 0; digit < RADIX; digit++) {
            size_t count = places[digit];
            places[digit] = place;
            place += count;
        }
        for (size_t i = 0; i < MANY; i++) {
            other[places[values[i] >> shift & (RADIX - 1)]++] = values[i];
        }
        uint64_t *sorted = other;
        other = values;
        values = sorted;
    }
}

/* Recorded by four, as threads would, and merged. */
static void ten_million_are_within_a_thousandth(void **state) {
    (void)state;
    static struct latency parts[4];
    static const double all[] = {0.001, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999};
    uint64_t *values = malloc(MANY * sizeof *values);
    uint64_t *other = malloc(MANY * sizeof *other);
    uint64_t random = 3;
    assert_non_null(values);
    assert_non_null(other);
    for (size_t i = 0; i < MANY; i++) {
        /* As many of each power of two from 64 ns to 9 minutes. */
        uint64_t low = UINT64_C(64) << (draw(&random) % (VALUE_BITS - 7));
        values[i] = low + draw(&random) % low;
        latency_record(&parts[i % 4], values[i]);
    }
    for (size_t i = 1; i < 4; i++) {
        latency_merge(&parts[0], &parts[i]);
    }
    sort_many(values, other);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_within_a_thousandth(latency_percentile(&parts[0], all[i]),
                                   sorted_percentile(values, MANY, all[i]));
    }
    assert_int_equal(parts[0].count, MANY);
    free(values);
    free(other);
}

/* What is cleared leaves nothing behind. */
static void a_cleared_histogram_is_empty(void **state) {
    (void)state;
    static struct latency latency;
    static const struct latency nothing;
    uint64_t random = 4;
    for (size_t i = 0; i < RECORDS; i++) {
        latency_record(&latency, draw(&random) >> (i % 50));
    }
    latency_clear(&latency);
    assert_memory_equal(&latency, &nothing, sizeof latency);
}

static void merged_histograms_are_one(void **state) {
    (void)state;
    static struct latency parts[3];
    static struct latency whole;
    static uint64_t values[RECORDS];
    uint64_t random = 2;
    latency_clear(&whole);
    for (size_t i = 0; i < 3; i++) {
        latency_clear(&parts[i]); /* the last stays empty */
    }
    for (size_t i = 0; i < RECORDS; i++) {
        values[i] = 1000 + draw(&random) % 1000000;
        latency_record(&parts[i % 2], values[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        latency_merge(&whole, &parts[i]);
    }
    assert_matches(&whole, values, RECORDS);
}

static void no_record_is_0(void **state) {
    (void)state;
    static struct latency latency;
    latency_clear(&latency);
    assert_int_equal(latency_percentile(&latency, 0), 0);
    assert_int_equal(latency_percentile(&latency, 50), 0);
    assert_int_equal(latency_percentile(&latency, 100), 0);
    assert_int_equal(latency_mean(&latency), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_size_are_within_a_thousandth),
        cmocka_unit_test(every_value_keeps_its_size),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(merged_histograms_are_one),
        cmocka_unit_test(ten_million_are_within_a_thousandth),
        cmocka_unit_test(a_cleared_histogram_is_empty),
        cmocka_unit_test(no_record_is_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
