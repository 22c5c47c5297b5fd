/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of evicted keys, and for how long. */
#include "local/ghost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIFE = 1000, ENTRIES = 4000 };

static hearth__ghosts *ghosts_create(bool plain) {
    static const uint64_t lives[HEARTH__GHOST_LOGS] = {LIFE, LIFE / 10};
    size_t bytes = hearth__ghosts_bytes(ENTRIES);
    hearth__ghosts *ghosts = calloc(1, bytes);
    assert_non_null(ghosts);
    if (plain) {
        hearth__ghosts_init_plain(ghosts, bytes, LIFE);
    } else {
        hearth__ghosts_init(ghosts, bytes, lives);
    }
    return ghosts;
}

static uint64_t hash_of(uint64_t key) {
    return (key + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
           (key + 1) * UINT64_C(0xff51afd7ed558ccd) >> 7;
}

static uint64_t found_among(hearth__ghosts *ghosts, uint64_t from, uint64_t count) {
    uint64_t found = 0;
    for (uint64_t key = from; key < from + count; key++) {
        found += hearth__ghosts_take(ghosts, hash_of(key)).found;
    }
    return found;
}

static void an_empty_table_knows_nobody(void **state) {
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        hearth__ghosts *ghosts = ghosts_create(plain != 0);
        assert_int_equal(found_among(ghosts, 0, 100000), 0);
        free(ghosts);
    }
}

static void a_ghost_lives_for_so_many_bytes_and_is_taken_once(void **state) {
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        hearth__ghosts *ghosts = ghosts_create(plain != 0);
        for (uint64_t key = 0; key < LIFE; key++) {
            hearth__ghosts_add(ghosts, 0, hash_of(key), 1);
        }
        /* Of the last half nearly all are known (some looked like another), and only once. */
        assert_true(found_among(ghosts, LIFE / 2, LIFE / 2) > LIFE / 2 * 95 / 100);
        assert_true(found_among(ghosts, LIFE / 2, LIFE / 2) < LIFE / 20);
        /* The first half is over when as much was evicted again. */
        hearth__ghosts_add(ghosts, 0, hash_of(LIFE), LIFE * 3 / 5);
        assert_true(found_among(ghosts, 0, LIFE / 2) < LIFE / 20);
        free(ghosts);
    }
}

static void each_log_has_its_clock(void **state) {
    (void)state;
    hearth__ghosts *ghosts = ghosts_create(false);
    hearth__ghosts_add(ghosts, 0, hash_of(1), 10);
    hearth__ghosts_add(ghosts, 1, hash_of(2), 10);
    hearth__ghosts_add(ghosts, 0, hash_of(3), LIFE / 2);
    hearth__ghost ghost = hearth__ghosts_take(ghosts, hash_of(2));
    assert_true(ghost.found);
    assert_int_equal(ghost.log, 1);
    assert_true(ghost.evicted_bytes < LIFE / 50);
    ghost = hearth__ghosts_take(ghosts, hash_of(1));
    assert_true(ghost.found);
    assert_int_equal(ghost.log, 0);
    assert_true(ghost.evicted_bytes > LIFE * 2 / 5 && ghost.evicted_bytes < LIFE * 7 / 10);
    free(ghosts);
}

static void who_came_back_before_is_known(void **state) {
    (void)state;
    hearth__ghosts *ghosts = ghosts_create(false);
    hearth__ghosts_add(ghosts, 0, hash_of(1), 10);
    assert_false(hearth__ghosts_take(ghosts, hash_of(1)).returned);
    hearth__ghosts_add(ghosts, 0, hash_of(1), 10);
    assert_true(hearth__ghosts_take(ghosts, hash_of(1)).returned);
    /* Who stayed longer than ghosts live begins anew. */
    hearth__ghosts_add(ghosts, 0, hash_of(2), (uint64_t)2 * LIFE);
    hearth__ghosts_add(ghosts, 0, hash_of(1), 10);
    hearth__ghost ghost = hearth__ghosts_take(ghosts, hash_of(1));
    assert_true(ghost.found);
    assert_false(ghost.returned);
    free(ghosts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_knows_nobody),
        cmocka_unit_test(a_ghost_lives_for_so_many_bytes_and_is_taken_once),
        cmocka_unit_test(each_log_has_its_clock),
        cmocka_unit_test(who_came_back_before_is_known),
    };
    return cmocka_run_group_tests_name("ghosts", tests, NULL, NULL);
}
