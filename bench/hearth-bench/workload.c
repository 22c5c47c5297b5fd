/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/workload.h"

#include "splitmix.h"
#include "zipf.h"

#include <stdlib.h>

void key_write(char *key, uint32_t id) {
    memcpy(key, "user:", 5);
    for (size_t i = KEY_SIZE; i > 5; i--) {
        key[i - 1] = (char)('0' + id % 10);
        id /= 10;
    }
}

/* The numbers 0 to count - 1 in random order. */
static uint32_t *shuffled(uint32_t count, uint64_t seed) {
    uint32_t *ids = malloc(count * sizeof *ids);
    if (ids == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) { /* Fisher and Yates, from the inside */
        uint32_t other = splitmix_below(&seed, i + 1);
        ids[i] = ids[other];
        ids[other] = i;
    }
    return ids;
}

uint32_t *insertion_order(uint32_t count, uint64_t seed) {
    return shuffled(count, splitmix(&seed));
}

static int order_alloc(struct order *order, size_t per_thread) {
    size_t count = per_thread * CREW_THREADS;
    *order = (struct order){.requests = malloc(count * sizeof *order->requests),
                            .ids = malloc(count * sizeof *order->ids),
                            .per_thread = per_thread};
    if (order->requests == NULL || order->ids == NULL) {
        order_destroy(order);
        return -1;
    }
    return 0;
}

static void order_put(struct order *order, size_t place, uint32_t id, uint64_t random) {
    struct request *request = &order->requests[place];
    *request = (struct request){.writes = random % 100 < MIXED_PERCENT};
    key_write(request->key, id);
    order->ids[place] = id;
}

int order_create_zipf(struct order *order, uint32_t count, size_t per_thread, uint64_t seed) {
    struct zipf zipf;
    uint32_t *by_rank = shuffled(count, seed);
    if (by_rank == NULL || order_alloc(order, per_thread) != 0) {
        free(by_rank);
        return -1;
    }
    zipf_init(&zipf, count, 0.99);
    for (size_t i = 0; i < per_thread * CREW_THREADS; i++) {
        uint32_t rank = zipf_rank(&zipf, splitmix(&seed));
        order_put(order, i, by_rank[rank], splitmix(&seed));
    }
    free(by_rank);
    return 0;
}

int order_create_uniform(struct order *order, uint32_t count, size_t per_thread,
                         uint64_t seed) {
    if (order_alloc(order, per_thread) != 0) {
        return -1;
    }
    for (size_t i = 0; i < per_thread * CREW_THREADS; i++) {
        uint32_t id = splitmix_below(&seed, count);
        order_put(order, i, id, splitmix(&seed));
    }
    return 0;
}

int order_create_once(struct order *order, size_t per_thread, uint64_t seed) {
    uint32_t count = (uint32_t)(per_thread * CREW_THREADS);
    uint32_t *ids = shuffled(count, seed);
    if (ids == NULL || order_alloc(order, per_thread) != 0) {
        free(ids);
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        order_put(order, i, ids[i], splitmix(&seed));
    }
    free(ids);
    return 0;
}

void order_replace(struct order *order, const uint32_t *instead) {
    for (size_t i = 0; i < order->per_thread * CREW_THREADS; i++) {
        order->ids[i] = instead[order->ids[i]];
        key_write(order->requests[i].key, order->ids[i]);
    }
}

void order_destroy(struct order *order) {
    free(order->requests);
    free(order->ids);
    *order = (struct order){0};
}

void value_write(void *value, size_t size, uint32_t id) {
    memset(value, 'h', size);
    value_readdress(value, size, id);
}

bool value_is(const void *value, size_t size, uint32_t id) {
    const unsigned char *bytes = value;
    uint64_t words[2];
    int different = 0;
    value_readdress(words, sizeof words, id);
    words[0] ^= sizeof words ^ size; /* the size is part of the word */
    for (size_t at = sizeof words[0]; at + sizeof words[0] < size; at++) {
        different |= bytes[at] != 'h';
    }
    return different == 0 && memcmp(bytes, words, sizeof words[0]) == 0 &&
           memcmp(bytes + size - sizeof words[0], words, sizeof words[0]) == 0;
}
