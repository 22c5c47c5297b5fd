/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/peers.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum { SHARDS = 64 };

struct node {
    UT_hash_handle hh;
    struct node *prev;
    struct node *next;
    char key[24];
    unsigned char value[VALUE_SIZE];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock; /* no two shards share a line */
    struct node *table;
    struct node *by_use;
    size_t capacity;
};

struct sharded_lru {
    const struct order *order;
    struct shard shards[SHARDS];
};

static inline unsigned hash_of(const char *key) {
    unsigned hash = 0;
    HASH_VALUE(key, KEY_SIZE, hash);
    return hash;
}

static struct shard *shard_of(struct sharded_lru *lru, unsigned hash) {
    return &lru->shards[hash / (UINT_MAX / SHARDS + 1)]; /* the table uses the low bits */
}

struct sharded_lru *sharded_create(uint32_t capacity, const struct order *order) {
    struct sharded_lru *lru = aligned_alloc(_Alignof(struct sharded_lru), sizeof *lru);
    if (lru == NULL) {
        return NULL;
    }
    *lru = (struct sharded_lru){.order = order};
    for (size_t i = 0; i < SHARDS; i++) {
        lru->shards[i].capacity = capacity / SHARDS + 1;
        (void)pthread_mutex_init(&lru->shards[i].lock, NULL);
    }
    return lru;
}

static void drop(struct shard *shard, struct node *node) {
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is there, so there is a table */
    HASH_DELETE(hh, shard->table, node);
    DL_DELETE(shard->by_use, node);
    free(node);
}

void sharded_destroy(struct sharded_lru *lru) {
    for (size_t i = 0; lru != NULL && i < SHARDS; i++) {
        struct shard *shard = &lru->shards[i];
        struct node *node = NULL;
        struct node *next = NULL;
        DL_FOREACH_SAFE(shard->by_use, node, next) {
            drop(shard, node);
        }
        pthread_mutex_destroy(&shard->lock);
    }
    free(lru);
}

/* ---- one key, under the shard's lock ---- */

static struct node *touch(struct shard *shard, const char *key, unsigned hash) {
    struct node *node = NULL;
    HASH_FIND_BYHASHVALUE(hh, shard->table, key, KEY_SIZE, hash, node);
    if (node != NULL && node != shard->by_use) {
        DL_DELETE(shard->by_use, node);
        DL_PREPEND(shard->by_use, node);
    }
    return node;
}

static bool get_locked(struct shard *shard, const char *key, unsigned hash, void *value) {
    const struct node *node = touch(shard, key, hash);
    if (node != NULL) {
        memcpy(value, node->value, VALUE_SIZE);
    }
    return node != NULL;
}

static int add_locked(struct shard *shard, const char *key, unsigned hash, const void *value) {
    struct node *node = malloc(sizeof *node);
    if (node == NULL) {
        return -1;
    }
    if (shard->table != NULL && HASH_COUNT(shard->table) >= shard->capacity) {
        drop(shard, shard->by_use->prev); /* utlist: the head's prev is the tail */
    }
    memcpy(node->key, key, KEY_SIZE);
    memcpy(node->value, value, VALUE_SIZE);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, shard->table, node->key, KEY_SIZE, hash, node);
    DL_PREPEND(shard->by_use, node);
    return 0;
}

static int set_locked(struct shard *shard, const char *key, unsigned hash, const void *value) {
    struct node *node = touch(shard, key, hash);
    if (node == NULL) {
        return add_locked(shard, key, hash, value);
    }
    memcpy(node->value, value, VALUE_SIZE);
    return 0;
}

static bool get(struct sharded_lru *lru, const char *key, void *value) {
    unsigned hash = hash_of(key);
    struct shard *shard = shard_of(lru, hash);
    pthread_mutex_lock(&shard->lock);
    bool hit = get_locked(shard, key, hash, value);
    pthread_mutex_unlock(&shard->lock);
    return hit;
}

static int set(struct sharded_lru *lru, const char *key, const void *value) {
    unsigned hash = hash_of(key);
    struct shard *shard = shard_of(lru, hash);
    pthread_mutex_lock(&shard->lock);
    int failed = set_locked(shard, key, hash, value);
    pthread_mutex_unlock(&shard->lock);
    return failed;
}

int sharded_put(struct sharded_lru *lru, uint32_t id) {
    char key[KEY_SIZE];
    unsigned char value[VALUE_SIZE];
    key_write(key, id);
    value_write(value, VALUE_SIZE, id);
    return set(lru, key, value);
}

bool sharded_find(struct sharded_lru *lru, uint32_t id, void *value) {
    char key[KEY_SIZE];
    key_write(key, id);
    return get(lru, key, value);
}

/* ---- parties ---- */

uint64_t sharded_get(void *arg, unsigned thread, size_t from, size_t count) {
    struct sharded_lru *lru = arg;
    const struct request *requests = order_requests(lru->order, thread, from);
    unsigned char value[VALUE_SIZE];
    uint64_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        missed += !get(lru, requests[i].key, value);
    }
    return missed;
}

uint64_t sharded_set(void *arg, unsigned thread, size_t from, size_t count) {
    struct sharded_lru *lru = arg;
    const struct request *requests = order_requests(lru->order, thread, from);
    const uint32_t *ids = order_ids(lru->order, thread, from);
    unsigned char value[VALUE_SIZE];
    uint64_t failed = 0;
    value_write(value, VALUE_SIZE, 0);
    for (size_t i = 0; i < count; i++) {
        value_readdress(value, VALUE_SIZE, ids[i]);
        failed += set(lru, requests[i].key, value) != 0;
    }
    return failed;
}

uint64_t sharded_mixed(void *arg, unsigned thread, size_t from, size_t count) {
    struct sharded_lru *lru = arg;
    const struct request *requests = order_requests(lru->order, thread, from);
    const uint32_t *ids = order_ids(lru->order, thread, from);
    unsigned char written[VALUE_SIZE];
    unsigned char value[VALUE_SIZE];
    uint64_t wrong = 0;
    value_write(written, VALUE_SIZE, 0);
    for (size_t i = 0; i < count; i++) {
        if (requests[i].writes != 0) {
            value_readdress(written, VALUE_SIZE, ids[i]);
            wrong += set(lru, requests[i].key, written) != 0;
        } else {
            wrong += !get(lru, requests[i].key, value);
        }
    }
    return wrong;
}

/* ---- what it takes ---- */

size_t sharded_entries(struct sharded_lru *lru) {
    size_t entries = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        entries += lru->shards[i].table != NULL ? HASH_COUNT(lru->shards[i].table) : 0;
    }
    return entries;
}

/* The heap puts a word before each block. */
static size_t block_bytes(void *block) {
    return malloc_usable_size(block) + sizeof(size_t);
}

size_t sharded_bytes(struct sharded_lru *lru) {
    size_t bytes = sizeof *lru;
    for (size_t i = 0; i < SHARDS; i++) {
        struct node *table = lru->shards[i].table;
        struct node *node = NULL;
        bytes += table != NULL ? block_bytes(table->hh.tbl) : 0;
        bytes += table != NULL ? block_bytes(table->hh.tbl->buckets) : 0;
        DL_FOREACH(lru->shards[i].by_use, node) {
            bytes += block_bytes(node);
        }
    }
    return bytes;
}
