/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/embedded_table.h"

#include "base/memory.h"

#include <hearth/errors.h>

#include <string.h>

/* uthash asks us for memory and survives when there is none. */
#define HASH_NONFATAL_OOM        1
#define uthash_malloc(size)      hearth__alloc(size)
#define uthash_free(block, size) hearth__free(block)
#include <uthash.h>
#include <utlist.h>

enum {
    /* What the heap adds to a block. */
    BLOCK_BYTES = 16,
    /* The index may take 1 / this of the table, then its chains grow. */
    INDEX_SHARE = 4,
    INDEX_LEAST = sizeof(UT_hash_table) + HASH_INITIAL_NUM_BUCKETS * sizeof(UT_hash_bucket) +
                  BLOCK_BYTES + BLOCK_BYTES,
};

struct hearth__entry {
    UT_hash_handle hh;
    hearth__entry *prev;
    hearth__entry *next;
    int64_t expires_ms;
    size_t key_size;
    size_t size;
    unsigned char bytes[]; /* the key, then the value */
};

int32_t hearth__table_init(hearth__table *table, size_t max_bytes) {
    *table = (hearth__table){.max_bytes = max_bytes};
    return pthread_mutex_init(&table->lock, NULL) == 0 ? HEARTH_OK : HEARTH_E_NOMEM;
}

void hearth__table_fini(hearth__table *table) {
    while (table->by_use != NULL) {
        hearth__table_remove(table, table->by_use);
    }
    pthread_mutex_destroy(&table->lock);
}

static size_t entry_bytes(const hearth__entry *entry) {
    return sizeof *entry + entry->key_size + entry->size + BLOCK_BYTES;
}

static size_t index_bytes(const hearth__table *table) {
    if (table->entries == NULL) {
        return 0;
    }
    return sizeof(UT_hash_table) +
           table->entries->hh.tbl->num_buckets * sizeof(UT_hash_bucket) + BLOCK_BYTES +
           BLOCK_BYTES;
}

size_t hearth__table_bytes(const hearth__table *table) {
    return table->entries_bytes + index_bytes(table);
}

bool hearth__table_fits(const hearth__table *table, size_t key_size, size_t size) {
    size_t rest = table->max_bytes;
    size_t fixed = sizeof(hearth__entry) + BLOCK_BYTES + INDEX_LEAST + key_size;
    return rest >= fixed && rest - fixed >= size;
}

hearth__entry *hearth__entry_create(const void *key, size_t key_size, size_t size,
                                    int64_t expires_ms) {
    hearth__entry *entry = NULL;
    if (size <= SIZE_MAX - sizeof *entry - key_size) {
        entry = hearth__alloc(sizeof *entry + key_size + size);
    }
    if (entry != NULL) {
        memset(entry, 0, sizeof *entry);
        entry->expires_ms = expires_ms;
        entry->key_size = key_size;
        entry->size = size;
        memcpy(entry->bytes, key, key_size);
    }
    return entry;
}

void hearth__entry_destroy(hearth__entry *entry) {
    hearth__free(entry);
}

unsigned char *hearth__entry_value(hearth__entry *entry) {
    return entry->bytes + entry->key_size;
}

size_t hearth__entry_size(const hearth__entry *entry) {
    return entry->size;
}

int64_t hearth__entry_expires_ms(const hearth__entry *entry) {
    return entry->expires_ms;
}

void hearth__entry_set_expiry(hearth__entry *entry, int64_t expires_ms) {
    entry->expires_ms = expires_ms;
}

hearth__entry *hearth__table_find(hearth__table *table, uint64_t hash, const void *key,
                                  size_t key_size, int64_t now_ms) {
    hearth__entry *entry = NULL;
    HASH_FIND_BYHASHVALUE(hh, table->entries, key, key_size, (unsigned)hash, entry);
    if (entry == NULL) {
        return NULL;
    }
    if (entry->expires_ms <= now_ms) {
        hearth__table_remove(table, entry);
        return NULL;
    }
    DL_DELETE(table->by_use, entry);
    DL_PREPEND(table->by_use, entry);
    return entry;
}

/* What the index takes while this hash is added: it doubles when a chain gets too long, and then
 * old and new stand side by side. Keeps it from doubling beyond its share. */
static size_t index_bytes_with(hearth__table *table, uint64_t hash) {
    if (table->entries == NULL) {
        return INDEX_LEAST;
    }
    UT_hash_table *index = table->entries->hh.tbl;
    const UT_hash_bucket *bucket = &index->buckets[(unsigned)hash & (index->num_buckets - 1)];
    size_t doubled = index->num_buckets * sizeof *bucket * 2 + BLOCK_BYTES;
    if (doubled > table->max_bytes / INDEX_SHARE) {
        index->noexpand = 1;
    }
    bool doubles = index->noexpand == 0 &&
                   bucket->count + 1 >= (bucket->expand_mult + 1) * HASH_BKT_CAPACITY_THRESH;
    return index_bytes(table) + (doubles ? doubled : 0);
}

static void make_room(hearth__table *table, uint64_t hash, size_t bytes) {
    while (table->by_use != NULL &&
           table->entries_bytes + bytes + index_bytes_with(table, hash) > table->max_bytes) {
        hearth__table_remove(table, table->by_use->prev); /* the head's prev is the tail */
    }
}

bool hearth__table_add(hearth__table *table, uint64_t hash, hearth__entry *entry) {
    make_room(table, hash, entry_bytes(entry));
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->entries, entry->bytes, entry->key_size,
                                (unsigned)hash, entry);
    if (entry->hh.tbl == NULL) { /* uthash's word for no memory */
        hearth__entry_destroy(entry);
        return false;
    }
    DL_PREPEND(table->by_use, entry);
    table->entries_bytes += entry_bytes(entry);
    return true;
}

void hearth__table_remove(hearth__table *table, hearth__entry *entry) {
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): an entry of the table has a table */
    HASH_DEL(table->entries, entry);
    DL_DELETE(table->by_use, entry);
    table->entries_bytes -= entry_bytes(entry);
    hearth__entry_destroy(entry);
}
