/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/peers.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct node {
    UT_hash_handle hh;
    char key[24];
    unsigned char value[VALUE_SIZE];
};

struct uthash_peer {
    struct node *table;
    const struct order *order;
    enum uthash_hash hash;
};

static inline unsigned hash_of(enum uthash_hash hash, const char *key) {
    unsigned value = 0;
    if (hash == UTHASH_XXH3) {
        return (unsigned)XXH3_64bits(key, KEY_SIZE);
    }
    HASH_VALUE(key, KEY_SIZE, value);
    return value;
}

static int insert(struct uthash_peer *peer, uint32_t id) {
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return -1;
    }
    key_write(node->key, id);
    value_write(node->value, VALUE_SIZE, id);
    unsigned hash = hash_of(peer->hash, node->key);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, peer->table, node->key, KEY_SIZE, hash, node);
    return 0;
}

struct uthash_peer *uthash_create(uint32_t count, enum uthash_hash hash,
                                  const struct order *order, uint64_t seed) {
    struct uthash_peer *peer = calloc(1, sizeof *peer);
    uint32_t *ids = insertion_order(count, seed);
    int failed = peer == NULL || ids == NULL;
    if (!failed) {
        *peer = (struct uthash_peer){.order = order, .hash = hash};
    }
    for (uint32_t i = 0; !failed && i < count; i++) {
        failed = insert(peer, ids[i]) != 0;
    }
    free(ids);
    if (failed) {
        uthash_destroy(peer);
        return NULL;
    }
    return peer;
}

void uthash_destroy(struct uthash_peer *peer) {
    if (peer == NULL) {
        return;
    }
    /* The nodes are a list in order of insertion; the table is freed as a whole. */
    struct node *first = peer->table;
    HASH_CLEAR(hh, peer->table);
    while (first != NULL) {
        struct node *next = first->hh.next;
        free(first);
        first = next;
    }
    free(peer);
}

/* The hash is known where this is inlined, as it is in a program that uses one. */
static inline uint64_t get(const struct uthash_peer *peer, enum uthash_hash kind,
                           const struct request *requests, size_t count) {
    unsigned char value[VALUE_SIZE];
    uint64_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        struct node *node = NULL;
        unsigned hash = hash_of(kind, requests[i].key);
        HASH_FIND_BYHASHVALUE(hh, peer->table, requests[i].key, KEY_SIZE, hash, node);
        if (node == NULL) {
            missed++;
            continue;
        }
        memcpy(value, node->value, VALUE_SIZE);
        __asm__ volatile("" : : "r"(value) : "memory"); /* somebody uses it */
    }
    return missed;
}

uint64_t uthash_get(void *arg, unsigned thread, size_t from, size_t count) {
    const struct uthash_peer *peer = arg;
    const struct request *requests = order_requests(peer->order, thread, from);
    return peer->hash == UTHASH_XXH3 ? get(peer, UTHASH_XXH3, requests, count)
                                     : get(peer, UTHASH_DEFAULT, requests, count);
}
