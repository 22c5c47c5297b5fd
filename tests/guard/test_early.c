/* SPDX-License-Identifier: Apache-2.0 */
/* Early renewal: the formula against itself written down once more, inputs that make no sense, and a simulated fleet of readers
 * that nothing keeps apart. */
#include "guard/early.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS INT64_C(50000000)

/* Numbers in (0, 1] that are the same in every run: splitmix64 (Steele, Lea, Flood 2014). */
static double next(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)((x >> 32) + 1) / 4294967296.0;
}

/* ---- the formula ---- */

static void it_is_due_as_the_formula_says(void **state) {
    (void)state;
    static const double betas[] = {0.5, 1, 2};
    uint64_t random = 1;
    for (int i = 0; i < 30000; i++) {
        const double beta = betas[i % 3];
        const double delta = 1 + floor(next(&random) * 1000);
        const double gap = floor(next(&random) * 3 * beta * delta);
        const double u = next(&random);
        const uint32_t lead = hearth__early_lead_ms(beta, delta, 1000000);
        const double early = -delta * beta * log(u);
        if (fabs(early - gap) >
            0.05) { /* the lead is in whole ms, a 23rd of that is the error */
            assert_int_equal(hearth__early_is_due(NOW_MS, NOW_MS + (int64_t)gap, lead, u),
                             early >= gap);
        }
    }
}

static void it_is_due_from_the_expiry_on(void **state) {
    (void)state;
    const uint32_t lead = hearth__early_lead_ms(1, 10, 100000);
    assert_true(hearth__early_is_due(NOW_MS, NOW_MS, lead, 1));
    assert_true(hearth__early_is_due(NOW_MS, NOW_MS - 1, lead, 1));
    assert_false(hearth__early_is_due(NOW_MS, NOW_MS + 1, lead, 1));
}

/* Before it even the smallest random number makes nothing due. */
static void it_is_never_due_before_the_lead(void **state) {
    (void)state;
    static const double deltas[] = {1, 7, 50, 999};
    for (size_t i = 0; i < 4; i++) {
        const uint32_t lead = hearth__early_lead_ms(1, deltas[i], 1000000);
        assert_false(
            hearth__early_is_due(NOW_MS, NOW_MS + (int64_t)lead, lead, 1 / 4294967296.0));
        assert_true(hearth__early_is_due(NOW_MS, NOW_MS + (int64_t)lead * 9 / 10, lead,
                                         1 / 4294967296.0));
    }
}

/* ---- inputs that make no sense ---- */

static void what_a_load_took_is_clamped(void **state) {
    (void)state;
    const uint32_t least = hearth__early_lead_ms(1, 1, 1000000);
    const uint32_t tenth = hearth__early_lead_ms(1, 100000, 1000000);
    assert_int_equal(least, 23);
    assert_int_equal(hearth__early_lead_ms(1, 0, 1000000), least);
    assert_int_equal(hearth__early_lead_ms(1, -5, 1000000), least);
    assert_int_equal(hearth__early_lead_ms(1, (double)NAN, 1000000), least);
    assert_int_equal(hearth__early_lead_ms(1, 2000000, 1000000), tenth);
    assert_int_equal(hearth__early_lead_ms(1, (double)INFINITY, 1000000), tenth);
    assert_int_equal(hearth__early_lead_ms(1, 500, 5), least);
}

static void nothing_is_early_without_beta_or_life(void **state) {
    (void)state;
    assert_int_equal(hearth__early_lead_ms(0, 10, 1000), 0);
    assert_int_equal(hearth__early_lead_ms(-1, 10, 1000), 0);
    assert_int_equal(hearth__early_lead_ms((double)NAN, 10, 1000), 0);
    assert_int_equal(hearth__early_lead_ms(1, 10, 0), 0);
    assert_int_equal(hearth__early_lead_ms(1, 10, -7), 0);
    assert_false(hearth__early_is_due(NOW_MS, NOW_MS - 1, 0, 0.5));
}

static void no_random_number_makes_a_storm(void **state) {
    (void)state;
    static const double odd[] = {0, -1, 2, (double)NAN, (double)INFINITY};
    const uint32_t lead = hearth__early_lead_ms(1, 10, 100000);
    for (size_t i = 0; i < 5; i++) {
        assert_false(hearth__early_is_due(NOW_MS, NOW_MS + lead, lead, odd[i]));
        assert_true(hearth__early_is_due(NOW_MS, NOW_MS, lead, odd[i]));
    }
}

/* A clock that stands an hour off, a machine that was asleep, and the ends of time. */
static void no_clock_makes_a_storm(void **state) {
    (void)state;
    enum { HOUR_MS = 3600000 };
    const uint32_t lead = hearth__early_lead_ms(100, (double)INFINITY, INT64_MAX);
    const uint32_t usual = hearth__early_lead_ms(1, 50, 300000);
    assert_int_equal(lead, UINT32_MAX);
    assert_false(hearth__early_is_due(NOW_MS, NOW_MS + HOUR_MS, usual, 0));
    assert_true(hearth__early_is_due(NOW_MS + HOUR_MS, NOW_MS, usual, 1));
    assert_false(hearth__early_is_due(INT64_MIN, INT64_MAX, lead, 0));
    assert_true(hearth__early_is_due(INT64_MAX, INT64_MIN, lead, 1));
}

static void a_renewal_is_followed_by_a_pause(void **state) {
    (void)state;
    assert_int_equal(hearth__early_pause_ms(1, hearth__early_lead_ms(1, 1, 100000)), 100);
    assert_int_equal(hearth__early_pause_ms(1, hearth__early_lead_ms(1, 700, 100000)), 700);
    assert_int_equal(hearth__early_pause_ms(2, hearth__early_lead_ms(2, 700, 100000)), 700);
    assert_int_equal(hearth__early_pause_ms(0, 0), 100);
    assert_int_equal(hearth__early_pause_ms(1, UINT32_MAX), UINT32_MAX / 23 + 1);
}

/* ---- a fleet ---- */

enum {
    DELTA_MS = 1000,
    READS = 100, /* within a load's time, by all of the fleet */
    TTL_MS = 60 * DELTA_MS,
};

/* One life of a value: readers come at random, each decides by itself, and whoever renews it loads, until the first of these
 * loads has ended. Returns how many there were. */
static int loads_of_cycle(double beta, uint32_t lead, uint64_t *random) {
    double now =
        TTL_MS - 13 * beta * DELTA_MS; /* earlier than that it is in a few of 10,000 lives */
    double ends = INFINITY;
    int loads = 0;
    while (now < ends) {
        now += -log(next(random)) * DELTA_MS / READS;
        if (now < ends && hearth__early_is_due((int64_t)now, TTL_MS, lead, next(random))) {
            loads++;
            ends = loads == 1 ? now + DELTA_MS : ends;
        }
    }
    return loads;
}

/* e^(1/beta) loads, which is what the paper's formula comes to where reads are many. */
static void a_fleet_loads_as_often_as_theory_says(void **state) {
    (void)state;
    static const struct {
        double beta;
        int cycles;
    } runs[] = {{0.5, 6000}, {1, 4000}, {2, 2000}};
    for (size_t i = 0; i < 3; i++) {
        const uint32_t lead = hearth__early_lead_ms(runs[i].beta, DELTA_MS, TTL_MS);
        uint64_t random = 7;
        int64_t loads = 0;
        for (int cycle = 0; cycle < runs[i].cycles; cycle++) {
            loads += loads_of_cycle(runs[i].beta, lead, &random);
        }
        const double mean = (double)loads / runs[i].cycles;
        const double theory = exp(1 / runs[i].beta);
        print_message("beta %.1f: %.3f loads a cycle, %.3f in theory\n", runs[i].beta, mean,
                      theory);
        assert_true(mean > theory * 0.95 && mean < theory * 1.05);
    }
}

#define TRIP_MS 0.2 /* from the answer that a reader has to the lease that it asks for */

/* The same where who is to renew asks for the key's lease first, which is free again once the value was renewed. */
static int loads_of_leased_cycle(double beta, uint32_t lead, uint64_t *random) {
    double now = TTL_MS - 13 * beta * DELTA_MS;
    double free_at = -INFINITY;
    double renewed_at = INFINITY;
    int loads = 0;
    while (now < renewed_at) {
        now += -log(next(random)) * DELTA_MS / READS;
        if (now < renewed_at && /* it sees the value that is to be renewed */
            hearth__early_is_due((int64_t)now, TTL_MS, lead, next(random)) &&
            now + TRIP_MS >= free_at) {
            loads++;
            free_at = now + TRIP_MS + DELTA_MS;
            renewed_at = loads == 1 ? free_at : renewed_at;
        }
    }
    return loads;
}

static void with_a_lease_a_fleet_loads_once(void **state) {
    (void)state;
    static const double betas[] = {0.5, 1, 2};
    enum { CYCLES = 4000 };
    for (size_t i = 0; i < 3; i++) {
        const uint32_t lead = hearth__early_lead_ms(betas[i], DELTA_MS, TTL_MS);
        uint64_t random = 11;
        int64_t loads = 0;
        for (int cycle = 0; cycle < CYCLES; cycle++) {
            loads += loads_of_leased_cycle(betas[i], lead, &random);
        }
        const double mean = (double)loads / CYCLES;
        print_message("beta %.1f with a lease: %.4f loads a cycle\n", betas[i], mean);
        assert_true(mean >= 1.00 && mean <= 1.01);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_due_as_the_formula_says),
        cmocka_unit_test(it_is_due_from_the_expiry_on),
        cmocka_unit_test(it_is_never_due_before_the_lead),
        cmocka_unit_test(what_a_load_took_is_clamped),
        cmocka_unit_test(nothing_is_early_without_beta_or_life),
        cmocka_unit_test(no_random_number_makes_a_storm),
        cmocka_unit_test(no_clock_makes_a_storm),
        cmocka_unit_test(a_renewal_is_followed_by_a_pause),
        cmocka_unit_test(a_fleet_loads_as_often_as_theory_says),
        cmocka_unit_test(with_a_lease_a_fleet_loads_once),
    };
    return cmocka_run_group_tests_name("early", tests, NULL, NULL);
}
