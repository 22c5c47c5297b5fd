/* SPDX-License-Identifier: Apache-2.0 */
/* Shards of a uthash table with a utlist in order of use: least recently used goes first. */
#include "local/local.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/stat.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <string.h>

/* A table that cannot grow keeps its entry out; see insert(). */
#define HASH_NONFATAL_OOM        1
#define uthash_malloc(size)      hearth__alloc(size)
#define uthash_free(block, size) hearth__free(block)
#include <uthash.h>
#include <utlist.h>

enum {
    SHARD_BYTES = 16 << 20, /* a tier has a shard for each of these, */
    SHARDS_MAX = 64,        /* but no more than these */
    STRIPES = 1024,         /* of a shard */
};

/* Of an allocation: its header and its rounding, on average. */
static const size_t HEAP_OVERHEAD = 16;

struct entry {
    UT_hash_handle hh;
    struct entry *prev; /* in order of use, the newest first */
    struct entry *next;
    hearth__local_entry info;
    size_t size;
    uint32_t key_size;
    unsigned char bytes[]; /* key, value */
};

/* Writes of the keys that fall on it. */
struct stripe {
    uint32_t begun;     /* in all */
    uint32_t under_way; /* now */
};

struct shard {
    pthread_mutex_t lock;
    struct entry *table;
    struct entry *list;
    size_t entries;
    size_t entry_bytes;
    struct stripe stripes[STRIPES];
};

struct hearth__local {
    hearth__counters *counters;
    hearth__hash_secret secret;
    size_t max_entry_bytes; /* key and value */
    size_t shard_max_bytes;
    size_t max_bytes;
    size_t shard_count; /* a power of two */
    struct shard *shards;
};

/* Where a key lives: found once a call. */
struct place {
    struct shard *shard;
    struct stripe *stripe;
    unsigned hash;
};

static struct place place_of(hearth__local *local, const void *key, size_t key_size) {
    uint64_t hash = hearth__hash_key(&local->secret, key, key_size);
    struct shard *shard = &local->shards[(hash >> 48) & (local->shard_count - 1)];
    return (struct place){.shard = shard,
                          .stripe = &shard->stripes[(hash >> 32) % STRIPES],
                          .hash = (unsigned)hash};
}

/* ---- open and close --------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t shards_for(size_t max_bytes) {
    size_t shards = 1;
    while (shards < SHARDS_MAX && shards * 2 * SHARD_BYTES <= max_bytes) {
        shards *= 2;
    }
    return shards;
}

static bool open_shards(hearth__local *local, size_t count) {
    local->shards = hearth__alloc_zero(count, sizeof *local->shards);
    if (local->shards == NULL) {
        return false;
    }
    for (; local->shard_count < count; local->shard_count++) {
        if (pthread_mutex_init(&local->shards[local->shard_count].lock, NULL) != 0) {
            return false;
        }
    }
    return true;
}

int32_t hearth__local_open(const hearth__local_config *config, hearth__local **out) {
    hearth__local *local = hearth__alloc_zero(1, sizeof *local);
    if (local == NULL) {
        return HEARTH_E_NOMEM;
    }
    size_t shards = shards_for(config->max_bytes);
    local->counters = config->counters;
    local->max_bytes = config->max_bytes;
    local->shard_max_bytes = config->max_bytes / shards;
    size_t largest = smaller(config->max_bytes / 64, local->shard_max_bytes / 8);
    if (config->max_entry_bytes != 0) {
        largest = smaller(config->max_entry_bytes, local->shard_max_bytes / 8);
    }
    local->max_entry_bytes = largest;
    hearth__hash_secret_init(&local->secret);
    if (!open_shards(local, shards)) {
        hearth__local_close(local);
        return HEARTH_E_NOMEM;
    }
    *out = local;
    return HEARTH_OK;
}

static void remove_entry(struct shard *shard, struct entry *entry) {
    shard->entries--;
    shard->entry_bytes -= sizeof *entry + entry->key_size + entry->size + HEAP_OVERHEAD;
    DL_DELETE(shard->list, entry);
    HASH_DELETE(hh, shard->table, entry);
    hearth__free(entry);
}

void hearth__local_close(hearth__local *local) {
    if (local == NULL) {
        return;
    }
    for (size_t i = 0; i < local->shard_count; i++) {
        struct shard *shard = &local->shards[i];
        while (shard->list != NULL) {
            remove_entry(shard, shard->list);
        }
        pthread_mutex_destroy(&shard->lock);
    }
    hearth__free(local->shards);
    hearth__free(local);
}

/* ---- under the shard's lock ------------------------------------------------------------- */

/* The table's own memory; an entry's handle is counted with the entry. */
static size_t table_bytes(const struct shard *shard) {
    return shard->table == NULL
               ? 0
               : sizeof(UT_hash_table) +
                     shard->table->hh.tbl->num_buckets * sizeof(UT_hash_bucket) +
                     2 * HEAP_OVERHEAD;
}

static struct entry *find(const struct place *place, const void *key, size_t key_size) {
    struct entry *entry = NULL;
    HASH_FIND_BYHASHVALUE(hh, place->shard->table, key, key_size, place->hash, entry);
    return entry;
}

static void make_room(hearth__local *local, struct shard *shard) {
    while (shard->list != NULL &&
           shard->entry_bytes + table_bytes(shard) > local->shard_max_bytes) {
        remove_entry(shard, shard->list->prev); /* the head's prev is the tail */
        HEARTH__COUNT(local->counters, local_evictions);
    }
}

static struct entry *create_entry(const void *key, size_t key_size,
                                  const hearth__local_entry *info, const void *data,
                                  size_t size) {
    struct entry *entry = hearth__alloc(sizeof *entry + key_size + size);
    if (entry != NULL) {
        entry->info = *info;
        entry->size = size;
        entry->key_size = (uint32_t)key_size;
        memcpy(entry->bytes, key, key_size);
        if (size != 0) {
            memcpy(entry->bytes + key_size, data, size);
        }
    }
    return entry;
}

/* Whether an entry may be kept at all: an empty shard must hold it with its table. */
static bool fits(const hearth__local *local, size_t key_size, size_t size) {
    const size_t own = sizeof(struct entry) + sizeof(UT_hash_table) +
                       HASH_INITIAL_NUM_BUCKETS * sizeof(UT_hash_bucket) + 3 * HEAP_OVERHEAD;
    return key_size <= local->max_entry_bytes && size <= local->max_entry_bytes - key_size &&
           own + key_size + size <= local->shard_max_bytes;
}

static bool insert(hearth__local *local, const struct place *place, const void *key,
                   size_t key_size, const hearth__local_entry *info, const void *data,
                   size_t size) {
    struct shard *shard = place->shard;
    struct entry *old = find(place, key, key_size);
    if (old != NULL) {
        remove_entry(shard, old);
    }
    if (!fits(local, key_size, size)) {
        if (local->max_bytes != 0) {
            HEARTH__COUNT(local->counters, local_refusals);
        }
        return false;
    }
    struct entry *entry = create_entry(key, key_size, info, data, size);
    if (entry == NULL) {
        return false;
    }
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, shard->table, entry->bytes, key_size, place->hash, entry);
    if (entry->hh.tbl == NULL) { /* uthash's way to say that its table got no memory */
        hearth__free(entry);
        return false;
    }
    DL_PREPEND(shard->list, entry);
    shard->entries++;
    shard->entry_bytes += sizeof *entry + key_size + size + HEAP_OVERHEAD;
    make_room(local, shard);
    return shard->list != NULL; /* the newest goes last */
}

static void drop(const struct place *place, const void *key, size_t key_size) {
    struct entry *entry = find(place, key, key_size);
    if (entry != NULL) {
        remove_entry(place->shard, entry);
    }
}

static int32_t answer(const struct entry *entry, hearth__buffer *bytes,
                      hearth__local_entry *info) {
    if (bytes != NULL &&
        !hearth__buffer_assign(bytes, entry->bytes + entry->key_size, entry->size)) {
        return HEARTH_E_NOMEM;
    }
    *info = entry->info;
    return HEARTH_OK;
}

/* ---- the room's calls ------------------------------------------------------------------- */

int32_t hearth__local_get(hearth__local *local, const void *key, size_t key_size,
                          int64_t now_ms, hearth__buffer *bytes, hearth__local_entry *info) {
    struct place place = place_of(local, key, key_size);
    struct shard *shard = place.shard;
    int32_t status = HEARTH_MISS;
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(&place, key, key_size);
    if (entry != NULL && now_ms >= entry->info.hard_expiry_ms) {
        remove_entry(shard, entry);
        HEARTH__COUNT(local->counters, local_expirations);
    } else if (entry != NULL) {
        if (shard->list != entry) {
            DL_DELETE(shard->list, entry);
            DL_PREPEND(shard->list, entry);
        }
        status = answer(entry, bytes, info);
    }
    pthread_mutex_unlock(&shard->lock);
    return status;
}

bool hearth__local_evict(hearth__local *local, const void *key, size_t key_size) {
    struct place place = place_of(local, key, key_size);
    pthread_mutex_lock(&place.shard->lock);
    struct entry *entry = find(&place, key, key_size);
    if (entry != NULL) {
        remove_entry(place.shard, entry);
    }
    pthread_mutex_unlock(&place.shard->lock);
    return entry != NULL;
}

hearth__local_ticket hearth__local_sample(hearth__local *local, const void *key,
                                          size_t key_size) {
    struct place place = place_of(local, key, key_size);
    pthread_mutex_lock(&place.shard->lock);
    hearth__local_ticket ticket = {.writes = place.stripe->begun,
                                   .valid = place.stripe->under_way == 0};
    pthread_mutex_unlock(&place.shard->lock);
    return ticket;
}

bool hearth__local_fill(hearth__local *local, const void *key, size_t key_size,
                        hearth__local_ticket ticket, const hearth__local_entry *entry,
                        const void *data, size_t size) {
    struct place place = place_of(local, key, key_size);
    bool kept = false;
    pthread_mutex_lock(&place.shard->lock);
    if (ticket.valid && place.stripe->under_way == 0 && place.stripe->begun == ticket.writes) {
        kept = insert(local, &place, key, key_size, entry, data, size);
    } else {
        HEARTH__COUNT(local->counters, fills_refused);
    }
    pthread_mutex_unlock(&place.shard->lock);
    return kept;
}

hearth__local_ticket hearth__local_write_begin(hearth__local *local, const void *key,
                                               size_t key_size) {
    struct place place = place_of(local, key, key_size);
    pthread_mutex_lock(&place.shard->lock);
    drop(&place, key, key_size);
    bool alone = place.stripe->under_way == 0;
    place.stripe->under_way++;
    place.stripe->begun++;
    hearth__local_ticket ticket = {.writes = place.stripe->begun, .valid = alone};
    pthread_mutex_unlock(&place.shard->lock);
    return ticket;
}

void hearth__local_write_end(hearth__local *local, const void *key, size_t key_size,
                             hearth__local_ticket ticket, const hearth__local_entry *entry,
                             const void *data, size_t size) {
    struct place place = place_of(local, key, key_size);
    pthread_mutex_lock(&place.shard->lock);
    place.stripe->under_way--;
    bool alone = ticket.valid && place.stripe->begun == ticket.writes;
    if (entry != NULL && alone) {
        (void)insert(local, &place, key, key_size, entry, data, size);
    } else {
        drop(&place, key, key_size);
    }
    pthread_mutex_unlock(&place.shard->lock);
}

void hearth__local_usage_get(hearth__local *local, hearth__local_usage *usage) {
    *usage = (hearth__local_usage){.limit_bytes = local->max_bytes};
    for (size_t i = 0; i < local->shard_count; i++) {
        struct shard *shard = &local->shards[i];
        pthread_mutex_lock(&shard->lock);
        usage->entries += shard->entries;
        usage->bytes += shard->entry_bytes + table_bytes(shard);
        pthread_mutex_unlock(&shard->lock);
    }
}
