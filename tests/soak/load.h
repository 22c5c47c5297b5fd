/* SPDX-License-Identifier: Apache-2.0 */
/* A mixed load over one cache, at a steady rate, by calls of the public interface alone: fetches with and without workers, reads, writes,
 * deletes, batches, tags, namespaces, queues, numbers, keys that do not exist. Each answer is judged: a value is its key's, a fetch
 * answers whatever the nodes do, what exists is never denied. */
#ifndef HEARTH_TESTS_SOAK_LOAD_H
#define HEARTH_TESTS_SOAK_LOAD_H

#include "support/crowd.h"
#include "zipf.h"

#include <hearth/hearth.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LOAD_THREADS = 3,
    LOAD_KEYS = 20000, /* that exist; of others there are as many */
    LOAD_FAULT_BYTES = 200,
};

/* What is read may be read by anybody at any time. */
struct load {
    hearth *cache;
    uint64_t rate; /* operations a second, of all threads together */
    struct zipf zipf;
    struct crowd crowd;
    _Atomic bool stops;
    _Atomic uint64_t operations;
    _Atomic uint64_t loads;   /* the loader was called so often */
    _Atomic uint64_t refused; /* answers that are errors, of nodes that are away */
    _Atomic uint64_t wrong;
    char fault
        [LOAD_FAULT_BYTES]; /* the first that was wrong; to be read when the load has stopped */
};

/* Goes on until load_stop(). False: there are not enough threads; load_stop() is to be called then too. */
bool load_start(struct load *load) __attribute__((warn_unused_result));
void load_stop(struct load *load);

/* A few fetches, as a thread makes them that lives no longer than that. */
void load_visit(struct load *load, uint64_t seed);

/* The guard is told which keys there are. */
void load_rebuild(struct load *load);

#endif
