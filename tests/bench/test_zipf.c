/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks come as often as Zipf's law says. */
#include "splitmix.h"
#include "zipf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { OBJECTS = 1000, DRAWS = 1000000 };

static void draw(uint32_t *counts, uint32_t objects) {
    struct zipf zipf;
    uint64_t random = 1;
    zipf_init(&zipf, objects, 0.99);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t rank = zipf_rank(&zipf, splitmix(&random));
        assert_true(rank < objects);
        counts[rank]++;
    }
}

static double share_of(uint32_t from, uint32_t until) {
    double all = 0;
    double part = 0;
    for (uint32_t rank = 0; rank < OBJECTS; rank++) {
        double weight = pow(rank + 1, -0.99);
        all += weight;
        part += rank >= from && rank < until ? weight : 0;
    }
    return part / all;
}

/* The method is exact for the first two ranks, and close for the rest. */
static void shares_follow_the_law(void **state) {
    (void)state;
    uint32_t *counts = calloc(OBJECTS, sizeof *counts);
    assert_non_null(counts);
    draw(counts, OBJECTS);
    const struct {
        uint32_t from, until;
        double tolerance;
    } parts[] = {{0, 1, 0.02}, {1, 2, 0.02}, {2, 10, 0.1}, {10, 100, 0.05}, {100, 1000, 0.05}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        double share = share_of(parts[i].from, parts[i].until);
        double drawn = 0;
        for (uint32_t rank = parts[i].from; rank < parts[i].until; rank++) {
            drawn += (double)counts[rank] / DRAWS;
        }
        if (fabs(drawn / share - 1) > parts[i].tolerance) {
            fail_msg("ranks %u to %u: %.4f instead of %.4f", parts[i].from, parts[i].until - 1,
                     drawn, share);
        }
    }
    free(counts);
}

static void few_objects_are_drawn_too(void **state) {
    (void)state;
    uint32_t one = 0;
    uint32_t two[2] = {0, 0};
    draw(&one, 1);
    assert_int_equal(one, DRAWS);
    draw(two, 2);
    assert_true(fabs((double)two[0] / two[1] - pow(2, 0.99)) < 0.02);
}

static void extreme_random_numbers_stay_inside(void **state) {
    (void)state;
    struct zipf zipf;
    zipf_init(&zipf, OBJECTS, 0.99);
    assert_int_equal(zipf_rank(&zipf, 0), 0);
    assert_in_range(zipf_rank(&zipf, UINT64_MAX), OBJECTS / 2, OBJECTS - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_the_law),
        cmocka_unit_test(few_objects_are_drawn_too),
        cmocka_unit_test(extreme_random_numbers_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
