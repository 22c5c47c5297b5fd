/* SPDX-License-Identifier: Apache-2.0 */
/* Hearth as a party: a cache behind its public calls, before an embedded remote tier. */
#ifndef HEARTH_BENCH_OURS_H
#define HEARTH_BENCH_OURS_H

#include "hearth-bench/workload.h"

#include <hearth/hearth.h>

enum { OURS_MANY = 16 }; /* keys in a get_many */

struct ours {
    hearth *cache;
    const struct order *order; /* the caller's */
    size_t value_size;
    hearth_write_options write; /* local only */
    hearth_value *values[CREW_THREADS][OURS_MANY];
};

struct ours_settings {
    size_t max_bytes;            /* of the local tier */
    size_t max_entry_bytes;      /* 0: as the tier likes it */
    size_t expected_entry_bytes; /* 0: the default */
    size_t value_size;           /* at least 16, for ours_fill() and ours_verify() */
    const struct order *order;   /* NULL when no party runs */
};

/* Opens a cache. 0; or -1, and bench_fail() has said why. Ended by ours_close() in either case. */
int ours_open(struct ours *ours, const struct bench *bench,
              const struct ours_settings *settings);

void ours_close(struct ours *ours);

/* Sets a key, in the local tier only. */
int32_t ours_put(struct ours *ours, uint32_t id);

/* Gets a key from the local tier: whether it is there. Its value is ours->values[0][0]. */
bool ours_find(struct ours *ours, uint32_t id);

/* Sets the keys 0 to count - 1 in random order. 0, or -1 as above. */
int ours_fill(struct ours *ours, const struct bench *bench, uint32_t count);

/* Reads all of them: all but a hundredth, for which the index had no place, must be in the local tier, each with its own value.
 * `order` then asks for others instead of those. 0, or -1 as above. */
int ours_verify(struct ours *ours, const struct bench *bench, uint32_t count,
                struct order *order);

/* After concurrent writes: each key that is asked for must have its own value if it is there, and all but a thousandth of
 * the requests must be for one that is; who is not is set anew. 0, or -1 as above. */
int ours_repair(struct ours *ours, const struct bench *bench);

/* The statistics now. */
hearth_stats ours_stats(const struct ours *ours);

/* A contest in which all reads but `misses_most` of a million must be local hits. `arg` of our
 * parties is `ours`. 0, or -1 as above. */
int ours_contest(struct ours *ours, struct bench *bench, struct party *parties, size_t count,
                 uint64_t misses_most);

party_run ours_get;
party_run ours_get_with; /* with a sink that makes nothing of a value */
party_run ours_fetch;    /* with a loader that must not be called */
party_run ours_get_many; /* OURS_MANY keys a call */
party_run ours_set;
party_run ours_mixed; /* a set where the request says so, else a get */

#endif
