/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

#include "contract/suite.h"

#define ON_OWN_SERVERS(test) cmocka_unit_test_setup_teardown(test, rig_open, rig_close)

/* These share servers. */
static const struct CMUnitTest peaceful[] = {
    cmocka_unit_test(test_verb_table),
    cmocka_unit_test(test_get_says_what_it_found),
    cmocka_unit_test(test_foreign_values_by_choice),
    cmocka_unit_test(test_other_types),
    cmocka_unit_test(test_a_lease_is_taken_once_and_filled),
    cmocka_unit_test(test_a_released_lease_leaves_nothing),
    cmocka_unit_test(test_writes_void_a_lease),
    cmocka_unit_test(test_other_clients_void_a_lease),
    cmocka_unit_test(test_a_lease_of_another_is_none),
    cmocka_unit_test(test_what_is_no_value_leaves_a_lease),
    cmocka_unit_test(test_a_lease_ends_unless_it_is_extended),
    cmocka_unit_test(test_leases_under_awkward_keys),
    cmocka_unit_test(test_leases_in_a_batch),
    cmocka_unit_test(test_one_of_many_gets_a_lease),
    cmocka_unit_test(test_a_fill_too_large_leaves_nothing),
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_stores_of_absences_and_integers),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_too_large),
    cmocka_unit_test(test_awkward_bodies),
    cmocka_unit_test(test_damaged_values_are_misses),
    cmocka_unit_test(test_wrong_key_is_a_miss),
    cmocka_unit_test(test_swap),
    cmocka_unit_test(test_swap_of_the_same_body),
    cmocka_unit_test(test_swap_replaces_a_damaged_value),
    cmocka_unit_test(test_increment),
    cmocka_unit_test(test_other_clients_increment),
    cmocka_unit_test(test_integers_of_others),
    cmocka_unit_test(test_lives_end_in_time),
    cmocka_unit_test(test_long_lives),
    cmocka_unit_test(test_lives_are_told),
    cmocka_unit_test(test_touch_gives_a_new_life),
    cmocka_unit_test(test_touch_of_an_integer),
    cmocka_unit_test(test_increment_keeps_the_life),
    cmocka_unit_test(test_a_mark_keeps_the_life),
    cmocka_unit_test(test_a_mark_voids_what_was_read),
    cmocka_unit_test(test_integers_under_awkward_keys),
    cmocka_unit_test(test_batch_of_many_verbs),
    cmocka_unit_test(test_large_batch),
    cmocka_unit_test(test_threads),
};

/* These count what the servers hold, or harm them. */
static const struct CMUnitTest alone[] = {
    ON_OWN_SERVERS(test_keys),
    ON_OWN_SERVERS(test_keys_in_a_batch),
    ON_OWN_SERVERS(test_dead_node_fails_alone),
    ON_OWN_SERVERS(test_dead_node_comes_back),
    ON_OWN_SERVERS(test_stopped_node),
    ON_OWN_SERVERS(test_no_answer_goes_astray),
    ON_OWN_SERVERS(test_deadline_has_passed),
    ON_OWN_SERVERS(test_lost_connections_change_the_generation),
    ON_OWN_SERVERS(test_fork),
    ON_OWN_SERVERS(test_fork_versions),
#if !SANITIZED
    ON_OWN_SERVERS(test_fork_with_threads),
#endif
};

int contract_run(const struct contract *contract) {
    rig_contract = contract;
    int failed = cmocka_run_group_tests_name(contract->name, peaceful, rig_open, rig_close);
    return failed + cmocka_run_group_tests_name(contract->name, alone, NULL, NULL);
}
