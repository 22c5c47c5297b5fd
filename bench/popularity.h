/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which key a request asks for: by Zipf's law or as a trace says, and what happens to that in the
 * middle of a run. The same plan gives the same requests, to whoever is measured.
 *
 * Keys are numbers. 0 to keys - 1 are there from the beginning; those that come up later (a viral
 * key, a flash crowd's) follow them.
 */
#ifndef HEARTH_BENCH_POPULARITY_H
#define HEARTH_BENCH_POPULARITY_H

#include "requests.h"

#include <stddef.h>
#include <stdint.h>

/* What happens from at_ns on. */
enum popularity_event {
    POPULARITY_STEADY, /* nothing */
    POPULARITY_VIRAL,  /* one new key takes a share of the requests */
    POPULARITY_FLASH,  /* a thousand new keys do, each as often as the others */
    POPULARITY_SCAN,   /* a share of the requests goes through all keys, one after the other */
    POPULARITY_CHURN, /* every second, the share of the keys that were hottest fall to the end */
};

enum { POPULARITY_FLASH_KEYS = 1000, POPULARITY_KEYS_MOST = 90000000 };

struct popularity_plan {
    uint32_t keys;                /* 1 to POPULARITY_KEYS_MOST; of a trace, its own number */
    double exponent;              /* Zipf's, above 0 */
    const struct requests *trace; /* instead of Zipf's law; NULL: none. Must live as long */
    enum popularity_event event;
    double share; /* 0 to 1 */
    int64_t at_ns;
    unsigned threads; /* of all processes together */
    double writes;    /* the share of requests that write, 0 to 1 */
    uint64_t seed;
};

struct popularity;

/* NULL: no memory. Draws up to four million requests, some 100 ns each, which then come again. */
struct popularity *popularity_create(const struct popularity_plan *plan);

void popularity_destroy(struct popularity *popularity);

/* Keys in all, those that come up later included. */
uint32_t popularity_keys(const struct popularity *popularity);

/* The key of the `count`-th request of a thread, made at_ns after the begin; *writes: whether it
 * writes it. Any thread. */
uint32_t popularity_pick(const struct popularity *popularity, unsigned thread, uint64_t count,
                         int64_t at_ns, int *writes);

#endif
