/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

#include "contract/suite.h"

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_open, rig_close)

int contract_run(const struct contract *contract) {
    const struct CMUnitTest tests[] = {
        CASE(test_verb_table),
        CASE(test_get_says_what_it_found),
        CASE(test_foreign_values_by_choice),
        CASE(test_other_types),
        CASE(test_round_trip),
        CASE(test_stores_of_absences_and_integers),
        CASE(test_sizes),
        CASE(test_too_large),
        CASE(test_awkward_bodies),
        CASE(test_damaged_values_are_misses),
        CASE(test_wrong_key_is_a_miss),
        CASE(test_swap),
        CASE(test_swap_replaces_a_damaged_value),
        CASE(test_increment),
        CASE(test_other_clients_increment),
        CASE(test_integers_of_others),
        CASE(test_lives_end_in_time),
        CASE(test_long_lives),
        CASE(test_lives_are_told),
        CASE(test_touch_gives_a_new_life),
        CASE(test_touch_of_an_integer),
        CASE(test_increment_keeps_the_life),
        CASE(test_keys),
        CASE(test_keys_in_a_batch),
        CASE(test_integers_under_awkward_keys),
        CASE(test_batch_of_many_verbs),
        CASE(test_large_batch),
        CASE(test_threads),
        CASE(test_dead_node_fails_alone),
        CASE(test_dead_node_comes_back),
        CASE(test_stopped_node),
        CASE(test_no_answer_goes_astray),
        CASE(test_deadline_has_passed),
        CASE(test_fork),
        CASE(test_fork_with_threads),
    };
    rig_contract = contract;
    return cmocka_run_group_tests_name(contract->name, tests, NULL, NULL);
}
