/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `local`, between its files: what its cases share. */
#ifndef HEARTH_BENCH_LOCAL_H
#define HEARTH_BENCH_LOCAL_H

#include "hearth-bench/ours.h"
#include "hearth-bench/peers.h"

/* The same keys in hearth and in its peers. What a case needs is made when it first asks. */
struct stage {
    uint32_t keys;
    struct order order;
    struct ours ours;
    struct uthash_peer *uthash[2]; /* by enum uthash_hash */
    struct sharded_lru *sharded;
    struct machine *machine;
};

struct local {
    struct stage one;   /* a single key */
    struct stage small; /* 50,000 keys */
    struct stage large; /* 1,000,000 keys, with --quick a quarter of them */
};

/* Each makes what is missing: 0, or -1 and bench_fail() has said why. */
int stage_ours(struct stage *stage, const struct bench *bench);
int stage_uthash(struct stage *stage, const struct bench *bench, enum uthash_hash hash);
int stage_sharded(struct stage *stage, const struct bench *bench);
int stage_machine(struct stage *stage, const struct bench *bench);

/* A party of so many threads on this stage. */
struct party stage_party(const struct stage *stage, party_run *run, void *arg,
                         unsigned threads);

/* The cases that write. */
case_run local_set_evict_1t;
case_run local_set_evict_2t;
case_run local_set_overwrite_2t;
case_run local_mixed95_2t;
case_run local_slowest_set;

#endif
