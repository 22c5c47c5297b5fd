/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of hot keys that change as fast as they can while others read them: every request is looked at, and keys keep taking
 * each other's places. What they find is tested in tests/api/.
 *
 * The reading side is compiled here, so that the test has its turn in the middle of each copy.
 */
#include "base/clock.h"
#include "base/racy.h"
#include "local/hot_keys.h"
#include "support/crowd.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void (*in_the_middle)(const hearth__hot_name *name); /* NULL: nothing happens there */

static void copy_in_two(void *to, const void *from, size_t size) {
    size_t half = size / 16 * 8;
    hearth__racy_copy(to, from, half);
    if (in_the_middle != NULL) {
        in_the_middle(from);
    }
    hearth__racy_copy((unsigned char *)to + half, (const unsigned char *)from + half,
                      size - half);
}

#define hearth__racy_copy copy_in_two
/* NOLINTNEXTLINE(bugprone-suspicious-include) with copies that are interrupted */
#include "local/hot_keys_sum.c"
#undef hearth__racy_copy

enum { WRITERS = 3, ROUNDS = 300, NAMES = 100000, REPEATS = 20 };

struct hall {
    hearth__seats *seats;
    hearth__local *local;
    _Atomic bool over;
    size_t told;
    bool torn;
};

/* A key that tells by itself whether it is whole: a number, again and again. */
static size_t repeated(char *key, size_t number) {
    char *at = key;
    for (size_t i = 0; i < 1 + number % REPEATS; i++) {
        at += snprintf(at, 8, "%05zu.", number % NAMES);
    }
    return (size_t)(at - key);
}

static bool is_whole(const hearth__hot_key *hot) {
    char key[8 * REPEATS];
    char number[8] = {0};
    memcpy(number, hot->key, 5);
    size_t size = repeated(key, strtoul(number, NULL, 10));
    return hot->full_size == size && hot->key_size == size && memcmp(hot->key, key, size) == 0;
}

static void hall_open(struct hall *hall) {
    *hall = (struct hall){.seats = hearth__local_seats_create()};
    assert_non_null(hall->seats);
    const hearth__local_config config = {.counters = hall->seats};
    assert_int_equal(hearth__local_open(&config, &hall->local), HEARTH_OK);
}

static void hall_close(struct hall *hall) {
    hearth__local_close(hall->local);
    hearth__seats_destroy(hall->seats);
}

/* Looks at a request twice: then it may take another's place. */
static void look_at_some(const struct hall *hall, uint64_t *random) {
    char key[8 * REPEATS];
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    size_t size = repeated(key, (*random >> 33) % NAMES);
    (void)hearth__boot_coarse_ms();
    hearth__hot_sample(hall->local, hearth__seats_own(hall->seats), key, size);
    hearth__hot_sample(hall->local, hearth__seats_own(hall->seats), key, size);
}

static void check(void *arg, const hearth__hot_key *key) {
    struct hall *hall = arg;
    hall->told++;
    hall->torn = hall->torn || !is_whole(key);
}

static void write_or_read(void *arg, size_t index) {
    struct hall *hall = arg;
    uint64_t random = index;
    while (index != 0 && !atomic_load(&hall->over)) {
        look_at_some(hall, &random);
    }
    if (index != 0) {
        return;
    }
    for (size_t i = 0; i < ROUNDS || hall->told < 1000; i++) {
        if (hearth__local_hot_keys(hall->local, SIZE_MAX, check, hall) != HEARTH_OK) {
            hall->torn = true;
            break;
        }
    }
    atomic_store(&hall->over, true);
}

static void keys_are_whole_while_they_change(void **state) {
    (void)state;
    struct hall hall;
    hall_open(&hall);
    assert_true(crowd_run(1 + WRITERS, write_or_read, &hall));
    assert_false(hall.torn);
    hall_close(&hall);
}

/* ---- in the middle of a copy -------------------------------------------------------------- */

static struct hall *of_the_turn;
static size_t taken;

/* Other keys come, of which one may take this place. */
static void others_come(const hearth__hot_name *name) {
    const hearth__hot_name before = *name;
    static uint64_t random;
    for (size_t i = 0; i < 500 && memcmp(&before, name, sizeof before) == 0; i++) {
        look_at_some(of_the_turn, &random);
    }
    taken += memcmp(&before, name, sizeof before) != 0;
}

static void a_key_whose_place_is_taken_meanwhile_is_not_told(void **state) {
    (void)state;
    struct hall hall;
    uint64_t random = 1;
    hall_open(&hall);
    for (size_t i = 0; i < 1000; i++) {
        look_at_some(&hall, &random);
    }
    of_the_turn = &hall;
    in_the_middle = others_come;
    assert_int_equal(hearth__local_hot_keys(hall.local, SIZE_MAX, check, &hall), HEARTH_OK);
    in_the_middle = NULL;
    assert_true(taken > 10);
    assert_true(hall.told > 10);
    assert_false(hall.torn);
    hall_close(&hall);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_whole_while_they_change),
        cmocka_unit_test(a_key_whose_place_is_taken_meanwhile_is_not_told),
    };
    return cmocka_run_group_tests_name("hot keys, tables", tests, NULL, NULL);
}
