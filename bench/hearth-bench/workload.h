/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and the order in which they are asked for: made before anything is measured, and the same
 * for hearth and its peers. */
#ifndef HEARTH_BENCH_WORKLOAD_H
#define HEARTH_BENCH_WORKLOAD_H

#include "hearth-bench/crew.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    KEY_SIZE = 13,     /* user:%08d, without a terminator */
    VALUE_SIZE = 100,  /* of most cases */
    MIXED_PERCENT = 5, /* of the requests that a mixed case writes */
};

/* Requests lie one behind the other, as they would in the buffers of a server: reading the next
 * key costs no cache miss. */
struct request {
    char key[KEY_SIZE];
    uint8_t writes; /* 1: in a mixed case, a set */
    uint8_t unused[2];
};

/* A sequence for each thread. Read-only once made. */
struct order {
    struct request *requests; /* thread t's begin at t * per_thread */
    uint32_t *ids;            /* the same keys as numbers */
    size_t per_thread;        /* a multiple of CREW_BATCH */
};

/* Writes the key of a number below 10^8: KEY_SIZE bytes. */
void key_write(char *key, uint32_t id);

/* Which of `count` keys are asked for: by Zipf's law with exponent 0.99, the ranks in random
 * order; */
int order_create_zipf(struct order *order, uint32_t count, size_t per_thread, uint64_t seed);

/* each as often as any other, at random; */
int order_create_uniform(struct order *order, uint32_t count, size_t per_thread, uint64_t seed);

/* each once, in random order, before any comes again: 2 * per_thread keys, half of them each
 * thread's. These answer 0, or -1: no memory. */
int order_create_once(struct order *order, size_t per_thread, uint64_t seed);

/* Asks for key instead[id] wherever `id` is asked for. */
void order_replace(struct order *order, const uint32_t *instead);

void order_destroy(struct order *order);

/*
 * The numbers 0 to count - 1 in the order in which keys are inserted, to be freed with free(): random, and not that of their
 * popularity, or the hottest keys would be neighbours in memory. NULL: no memory.
 */
uint32_t *insertion_order(uint32_t count, uint64_t seed);

/* The request that a thread finds at a place of its sequence. */
static inline const struct request *order_requests(const struct order *order, unsigned thread,
                                                   size_t place) {
    return &order->requests[thread * order->per_thread + place];
}

static inline const uint32_t *order_ids(const struct order *order, unsigned thread,
                                        size_t place) {
    return &order->ids[thread * order->per_thread + place];
}

/* Fills in the bytes of a value: its first and last 8 (it has at least 16) tell the key's number
 * and the size, so that a wrong or torn answer shows. */
void value_write(void *value, size_t size, uint32_t id);

/* Makes a value that value_write() filled the value of another key. */
static inline void value_readdress(void *value, size_t size, uint32_t id) {
    uint64_t word = ((uint64_t)id + 1) * 0x9E3779B97F4A7C15U ^ size;
    memcpy(value, &word, sizeof word);
    memcpy((unsigned char *)value + size - sizeof word, &word, sizeof word);
}

/* Whether these are the bytes that value_write() would write. */
bool value_is(const void *value, size_t size, uint32_t id);

#endif
