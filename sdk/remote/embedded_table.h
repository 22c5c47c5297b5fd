/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of bytes, bounded in bytes: the oldest use makes room. Its lock is the caller's to
 * take around every call but entry_create; `hash` is always that of the key.
 */
#ifndef HEARTH_REMOTE_EMBEDDED_TABLE_H
#define HEARTH_REMOTE_EMBEDDED_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__entry hearth__entry;

typedef struct hearth__table {
    pthread_mutex_t lock;
    hearth__entry *entries; /* uthash */
    hearth__entry *by_use;  /* utlist, the newest use first */
    size_t entries_bytes;
    size_t max_bytes; /* for entries and index */
} hearth__table;

/* HEARTH_OK, HEARTH_E_NOMEM. Fini: nobody uses it any more. */
int32_t hearth__table_init(hearth__table *table, size_t max_bytes);
void hearth__table_fini(hearth__table *table);

/* The bytes that entries and index take now. */
size_t hearth__table_bytes(const hearth__table *table);

/* Whether a value of `size` bytes under a key of `key_size` fits when all else makes room. */
bool hearth__table_fits(const hearth__table *table, size_t key_size, size_t size);

/* A new entry with room for `size` bytes at hearth__entry_value(); NULL: no memory. It is over at
 * `expires_ms` (hearth__boot_ms()). Destroy only what is in no table. */
hearth__entry *hearth__entry_create(const void *key, size_t key_size, size_t size,
                                    int64_t expires_ms) __attribute__((warn_unused_result));
void hearth__entry_destroy(hearth__entry *entry);

unsigned char *hearth__entry_value(hearth__entry *entry);
size_t hearth__entry_size(const hearth__entry *entry);
int64_t hearth__entry_expires_ms(const hearth__entry *entry);
void hearth__entry_set_expiry(hearth__entry *entry, int64_t expires_ms);

/* The entry of a key, now the newest use; NULL: none, or it was over and is gone. Valid until the
 * table changes. */
hearth__entry *hearth__table_find(hearth__table *table, uint64_t hash, const void *key,
                                  size_t key_size, int64_t now_ms);

/* Takes an entry that fits over and makes room for it; the key must have none. False: no memory for
 * the index, the entry is destroyed. */
bool hearth__table_add(hearth__table *table, uint64_t hash, hearth__entry *entry)
    __attribute__((warn_unused_result));

/* Removes and destroys an entry of the table. */
void hearth__table_remove(hearth__table *table, hearth__entry *entry);

#endif
