/* SPDX-License-Identifier: Apache-2.0 */
/* The suite's tests, by file. */
#ifndef HEARTH_TESTS_CONTRACT_SUITE_H
#define HEARTH_TESTS_CONTRACT_SUITE_H

#include "contract/rig.h"
#include "support/sanitizer.h"

/* verb_table.c */
void test_verb_table(void **state);
void test_get_says_what_it_found(void **state);
void test_foreign_values_by_choice(void **state);
void test_other_types(void **state);

/* leases.c */
void test_a_lease_is_taken_once_and_filled(void **state);
void test_a_released_lease_leaves_nothing(void **state);
void test_writes_void_a_lease(void **state);
void test_other_clients_void_a_lease(void **state);
void test_a_lease_of_another_is_none(void **state);
void test_what_is_no_value_leaves_a_lease(void **state);
void test_a_lease_ends_unless_it_is_extended(void **state);
void test_leases_under_awkward_keys(void **state);
void test_leases_in_a_batch(void **state);
void test_one_of_many_gets_a_lease(void **state);
void test_a_fill_too_large_leaves_nothing(void **state);
void test_lost_connections_change_the_generation(void **state);

/* values.c */
void test_round_trip(void **state);
void test_stores_of_absences_and_integers(void **state);
void test_sizes(void **state);
void test_too_large(void **state);
void test_awkward_bodies(void **state);
void test_damaged_values_are_misses(void **state);
void test_wrong_key_is_a_miss(void **state);
void test_swap(void **state);
void test_swap_of_the_same_body(void **state);
void test_swap_replaces_a_damaged_value(void **state);
void test_increment(void **state);
void test_other_clients_increment(void **state);
void test_integers_of_others(void **state);

/* lives.c */
void test_lives_end_in_time(void **state);
void test_long_lives(void **state);
void test_lives_are_told(void **state);
void test_touch_gives_a_new_life(void **state);
void test_touch_of_an_integer(void **state);
void test_increment_keeps_the_life(void **state);
void test_a_mark_keeps_the_life(void **state);
void test_a_mark_voids_what_was_read(void **state);

/* keys.c */
void test_keys(void **state);
void test_keys_in_a_batch(void **state);
void test_integers_under_awkward_keys(void **state);

/* batches.c */
void test_batch_of_many_verbs(void **state);
void test_large_batch(void **state);
void test_threads(void **state);

/* faults.c */
void test_dead_node_fails_alone(void **state);
void test_dead_node_comes_back(void **state);
void test_stopped_node(void **state);
void test_no_answer_goes_astray(void **state);
void test_deadline_has_passed(void **state);
void test_fork(void **state);
void test_fork_versions(void **state);
#if !SANITIZED
void test_fork_with_threads(void **state);
#endif

#endif
