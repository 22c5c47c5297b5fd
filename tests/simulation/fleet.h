/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet: processes with a cache each, their threads, the database behind them, and what goes wrong, all from one seed. Each answer
 * is judged as it comes, by promises.h.
 *
 * Real is the whole library but its connections: the public calls, tier/, guard/, local/, ring/, coherence/ with its threads, and of
 * remote/ what composes, parses and decides. A model are the servers and lanes (servers.h), and this file's application.
 */
#ifndef TESTS_SIMULATION_FLEET_H
#define TESTS_SIMULATION_FLEET_H

#include <stdbool.h>
#include <stdint.h>

struct fleet_outcome {
    uint64_t operations;
    uint64_t local_hits;
    uint64_t loads;
    uint64_t deletes_kept;
    uint64_t faults;
    uint64_t denials;
    char failure[512]; /* ""; or which promise was broken, and how */
};

/* Runs about so many operations. `trace`: prints what happens. */
void fleet_run(uint64_t seed, uint64_t operations, bool trace, struct fleet_outcome *outcome);

#endif
