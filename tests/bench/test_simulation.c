/* SPDX-License-Identifier: Apache-2.0 */
/* Policies on simulated caches: what each is there for, and that the tier does as its simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"
#include "reference.h"
#include "simulation.h"

#include <hearth/errors.h>

static const hearth__policy *policy(const char *name) {
    const hearth__policy *found = hearth__policy_find(name);
    assert_non_null(found);
    return found;
}

static uint64_t misses_of(const char *name, const struct requests *requests,
                          uint64_t capacity) {
    const struct simulation_size size = {.capacity = capacity};
    struct simulation_outcome outcome;
    assert_int_equal(simulate(policy(name), requests, &size, &outcome), 0);
    return outcome.misses;
}

static uint64_t lru_misses(const struct requests *requests, uint64_t capacity) {
    int64_t misses = reference_lru_misses(requests->items, requests->count, requests->distinct,
                                          (uint32_t)capacity);
    assert_true(misses >= 0);
    return (uint64_t)misses;
}

static struct requests generate(uint64_t seed) {
    struct requests requests;
    assert_int_equal(requests_generate(&requests, seed), 0);
    return requests;
}

/* ---- all policies ---- */

static void only_first_requests_miss_where_all_fits(void **state) {
    (void)state;
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    struct requests requests = generate(1);
    assert_true(count >= 3);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(misses_of(policies[i]->name, &requests, requests.distinct),
                         requests.distinct);
        assert_ptr_equal(hearth__policy_find(policies[i]->name), policies[i]);
    }
    assert_null(hearth__policy_find("belady"));
    requests_fini(&requests);
}

/* One place: only the same object again is a hit, whatever the policy. */
static void a_single_place_hits_what_comes_twice_in_a_row(void **state) {
    (void)state;
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    static uint32_t items[] = {0, 0, 1, 1, 1, 2, 0, 0, 2, 2};
    const struct requests requests = {.items = items, .count = 10, .distinct = 3};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(misses_of(policies[i]->name, &requests, 1), 5);
    }
}

static void sizes_count_where_the_capacity_is_in_bytes(void **state) {
    (void)state;
    /* 640 bytes: one of 10 at the most, so the one of 11 is never there. */
    static uint32_t items[] = {0, 1, 0, 1, 0, 1};
    static uint64_t sizes[] = {10, 11};
    const struct requests requests = {
        .items = items, .count = 6, .distinct = 2, .sizes = sizes};
    const struct simulation_size size = {.capacity = 640, .in_bytes = true};
    struct simulation_outcome outcome;
    assert_int_equal(simulate(policy("adaptive"), &requests, &size, &outcome), 0);
    assert_int_equal(outcome.misses, 4);
}

/* ---- who is how good ---- */

static void lru_is_near_the_exact_one(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct requests requests = generate(seed);
        for (uint32_t share = 10; share <= 1000; share *= 10) {
            uint64_t ours = misses_of("lru", &requests, requests.distinct / share);
            uint64_t exact = lru_misses(&requests, requests.distinct / share);
            assert_true(ours <= exact + requests.count / 200);
        }
        requests_fini(&requests);
    }
}

/* Small or large: never much worse than recency, and better where frequency is of use. */
static void the_default_is_good_at_all_sizes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct requests requests = generate(seed);
        for (uint32_t share = 10; share <= 1000; share *= 10) {
            uint64_t capacity = requests.distinct / share;
            uint64_t ours = misses_of("adaptive", &requests, capacity);
            uint64_t lru = lru_misses(&requests, capacity);
            uint64_t s3fifo = misses_of("s3fifo", &requests, capacity);
            print_message("%u objects: adaptive %.4f, exact LRU %.4f, s3fifo %.4f\n",
                          (unsigned)capacity, (double)ours / (double)requests.count,
                          (double)lru / (double)requests.count,
                          (double)s3fifo / (double)requests.count);
            assert_true(ours <= lru + lru / 50);
            assert_true(ours <= s3fifo + s3fifo / 50);
        }
        requests_fini(&requests);
    }
}

enum { LOOP = 5000, LOOPS = 40 };

/* A loop that does not fit leaves no hit to recency; what stays of it is a hit each time. */
static void a_loop_that_does_not_fit_keeps_a_part(void **state) {
    (void)state;
    struct requests requests = {.count = (size_t)LOOP * LOOPS, .distinct = LOOP};
    requests.items = calloc(requests.count, sizeof *requests.items);
    assert_non_null(requests.items);
    for (size_t i = 0; i < requests.count; i++) {
        requests.items[i] = (uint32_t)(i % LOOP);
    }
    assert_int_equal(lru_misses(&requests, LOOP / 2), requests.count);
    assert_true(misses_of("adaptive", &requests, LOOP / 2) < requests.count / 10 * 8);
    requests_fini(&requests);
}

/* Another load takes over: what the old one left must not stand in its way for long. */
static void a_new_load_gets_its_room(void **state) {
    (void)state;
    struct requests first = generate(5);
    struct requests second = generate(6);
    struct requests both = {.count = first.count + second.count,
                            .distinct = first.distinct + second.distinct};
    both.items = calloc(both.count, sizeof *both.items);
    assert_non_null(both.items);
    for (size_t i = 0; i < both.count; i++) {
        both.items[i] =
            i < first.count ? first.items[i] : first.distinct + second.items[i - first.count];
    }
    const struct requests before = {
        .items = both.items, .count = first.count, .distinct = both.distinct};
    for (uint32_t share = 2; share <= 200; share *= 10) {
        uint64_t capacity = both.distinct / share;
        uint64_t ours =
            misses_of("adaptive", &both, capacity) - misses_of("adaptive", &before, capacity);
        uint64_t lru = lru_misses(&both, capacity) - lru_misses(&before, capacity);
        print_message("%u objects: %.1f %% more misses than exact LRU\n", (unsigned)capacity,
                      ((double)ours / (double)lru - 1) * 100);
        /* Where all of the new fits, LRU misses each of its objects once. */
        assert_true(ours <= lru + lru / (share == 2 ? 7 : 50));
    }
    requests_fini(&both);
    requests_fini(&first);
    requests_fini(&second);
}

/* ---- the tier ---- */

enum { NAME_SIZE = 8, BODY_SIZE = 100, ENTRY_BYTES = 16 + NAME_SIZE + 104 };

static hearth__local *open_with(const char *name, hearth__seats *counters, size_t limit) {
    const hearth__local_config config = {.max_bytes = limit,
                                         .expected_entry_bytes = NAME_SIZE + BODY_SIZE,
                                         .policy = name,
                                         .counters = counters};
    hearth__local *local = NULL;
    assert_int_equal(hearth__local_open(&config, &local), HEARTH_OK);
    return local;
}

/* The tier whose logs hold so many entries. */
static hearth__local *open_for(const char *name, hearth__seats *counters, uint64_t entries) {
    for (size_t limit = entries * ENTRY_BYTES;; limit += ENTRY_BYTES) {
        hearth__local *local = open_with(name, counters, limit);
        if (local->shards[0].logs[HEARTH__MAIN].end >= entries * ENTRY_BYTES) {
            return local;
        }
        hearth__local_close(local);
    }
}

static uint64_t tier_misses(const char *name, const struct requests *requests,
                            uint64_t capacity) {
    static const char body[BODY_SIZE];
    static const hearth__local_entry everlasting = {.bare = true,
                                                    .soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                    .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    hearth__seats *counters = hearth__seats_create(HEARTH__STATS);
    hearth__buffer bytes = {0};
    hearth__local_entry entry;
    uint64_t misses = 0;
    assert_non_null(counters);
    hearth__local *local = open_for(name, counters, capacity);
    for (size_t i = 0; i < requests->count; i++) {
        uint64_t key = requests->items[i];
        if (hearth__local_get(local, &key, NAME_SIZE, 0, &bytes, &entry) != HEARTH_OK) {
            misses++;
            assert_true(
                hearth__local_put(local, &key, NAME_SIZE, &everlasting, body, BODY_SIZE));
        }
    }
    hearth__buffer_fini(&bytes);
    hearth__local_close(local);
    hearth__seats_destroy(counters);
    return misses;
}

static void the_tier_does_as_its_simulation(void **state) {
    (void)state;
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    struct requests requests = generate(7);
    uint64_t capacity = requests.distinct / 6;
    assert_true(capacity >= 2000);
    for (size_t i = 0; i < count; i++) {
        double simulated = (double)misses_of(policies[i]->name, &requests, capacity);
        double real = (double)tier_misses(policies[i]->name, &requests, capacity);
        double apart = (real - simulated) / (double)requests.count;
        print_message("%s: %.4f simulated, %+.4f in the tier\n", policies[i]->name,
                      simulated / (double)requests.count, apart);
        assert_true(apart < 0.01 && apart > -0.01);
    }
    requests_fini(&requests);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_first_requests_miss_where_all_fits),
        cmocka_unit_test(a_single_place_hits_what_comes_twice_in_a_row),
        cmocka_unit_test(sizes_count_where_the_capacity_is_in_bytes),
        cmocka_unit_test(lru_is_near_the_exact_one),
        cmocka_unit_test(the_default_is_good_at_all_sizes),
        cmocka_unit_test(a_loop_that_does_not_fit_keeps_a_part),
        cmocka_unit_test(a_new_load_gets_its_room),
        cmocka_unit_test(the_tier_does_as_its_simulation),
    };
    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
