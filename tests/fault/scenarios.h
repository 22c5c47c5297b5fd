/* SPDX-License-Identifier: Apache-2.0 */
/* What is swept: every public function is the call of at least one scenario (test_allocations_calls.c looks). */
#ifndef HEARTH_TESTS_FAULT_SCENARIOS_H
#define HEARTH_TESTS_FAULT_SCENARIOS_H

#include "fault/sweep.h"

extern const struct scenario_set scenarios_of_keys;
extern const struct scenario_set scenarios_of_families;
extern const struct scenario_set scenarios_of_families_without_memory;
extern const struct scenario_set scenarios_of_queues;
extern const struct scenario_set scenarios_of_queues_without_memory;
extern const struct scenario_set scenarios_of_fills;
extern const struct scenario_set scenarios_of_fills_without_memory;
extern const struct scenario_set scenarios_of_guards;
extern const struct scenario_set scenarios_of_guards_without_memory;
extern const struct scenario_set scenarios_of_options;
extern const struct scenario_set scenarios_of_options_without_memory;
extern const struct scenario_set scenarios_of_insight;
extern const struct scenario_set scenarios_of_insight_without_memory;

#endif
