/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/hints.h"

#include "base/hash.h"
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

#define HASH_NONFATAL_OOM        1
#define uthash_malloc(size)      hearth__alloc(size)
#define uthash_free(block, size) hearth__free(block)
#include <uthash.h>

enum {
    /* What a hint costs besides itself and its key: the heap's own, and its share of the table's buckets, of which there is at
     * most one for each hint, and half as many of the table before while it grows. */
    OVERHEAD_BYTES = 16 + sizeof(struct UT_hash_bucket) * 3 / 2,
    /* The table itself, and the buckets that it begins with. */
    TABLE_BYTES =
        32 + sizeof(UT_hash_table) + HASH_INITIAL_NUM_BUCKETS * sizeof(struct UT_hash_bucket),
};

struct hint {
    UT_hash_handle hh; /* keeps the order in which they came, too */
    uint64_t number;
    size_t key_size;
    unsigned char key[];
};

struct hearth__hints {
    hearth__hints_budget *budget;
    pthread_mutex_t lock; /* innermost: nothing is locked, called or awaited under it */
    hearth__hash_secret secret;
    struct hint *table;
    uint64_t last_number;
    _Atomic uint64_t count;
    _Atomic int64_t fence_ms;
};

hearth__hints *hearth__hints_create(hearth__hints_budget *budget) {
    hearth__hints *hints = hearth__alloc_zero(1, sizeof *hints);
    if (hints == NULL) {
        return NULL;
    }
    hints->budget = budget;
    hearth__hash_secret_init(&hints->secret);
    atomic_init(&hints->count, 0);
    atomic_init(&hints->fence_ms, INT64_MIN);
    if (pthread_mutex_init(&hints->lock, NULL) != 0) {
        hearth__free(hints);
        return NULL;
    }
    return hints;
}

uint64_t hearth__hints_count(const hearth__hints *hints) {
    return atomic_load_explicit(&hints->count, memory_order_acquire);
}

/* ---- room ------------------------------------------------------------------------------- */

static bool take_room(hearth__hints_budget *budget, size_t bytes) {
    size_t used = atomic_load(&budget->bytes);
    do {
        if (bytes > budget->max_bytes || used > budget->max_bytes - bytes) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&budget->bytes, &used, used + bytes));
    return true;
}

static void give_room(hearth__hints_budget *budget, size_t bytes) {
    atomic_fetch_sub(&budget->bytes, bytes);
}

/* The first one pays for the table too, and the last one gives it back. */
static size_t cost_of(size_t key_size, bool alone) {
    return sizeof(struct hint) + key_size + OVERHEAD_BYTES + (alone ? TABLE_BYTES : 0);
}

/* ---- one hint, under the lock ----------------------------------------------------------- */

static struct hint *find(hearth__hints *hints, const void *key, size_t key_size,
                         unsigned hash) {
    struct hint *hint = NULL;
    HASH_FIND_BYHASHVALUE(hh, hints->table, key, key_size, hash, hint);
    return hint;
}

static unsigned hash_of(const hearth__hints *hints, const void *key, size_t key_size) {
    return (unsigned)hearth__hash_key(&hints->secret, key, key_size);
}

static struct hint *create(hearth__hints *hints, const void *key, size_t key_size,
                           unsigned hash) {
    struct hint *hint = hearth__alloc_zero(1, sizeof *hint + key_size);
    if (hint == NULL) {
        return NULL;
    }
    hint->key_size = key_size;
    memcpy(hint->key, key, key_size);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, hints->table, hint->key, key_size, hash, hint);
    if (hint->hh.tbl == NULL) { /* uthash's way to say that its table got no memory */
        hearth__free(hint);
        return NULL;
    }
    return hint;
}

static void forget(hearth__hints *hints, struct hint *hint) {
    HASH_DELETE(hh, hints->table, hint);
    give_room(hints->budget, cost_of(hint->key_size, hints->table == NULL));
    atomic_fetch_sub_explicit(&hints->count, 1, memory_order_release);
    hearth__free(hint);
}

static struct hint *find_or_create(hearth__hints *hints, const void *key, size_t key_size) {
    unsigned hash = hash_of(hints, key, key_size);
    struct hint *hint = find(hints, key, key_size, hash);
    size_t cost = cost_of(key_size, hints->table == NULL);
    if (hint != NULL || !take_room(hints->budget, cost)) {
        return hint;
    }
    hint = create(hints, key, key_size, hash);
    if (hint == NULL) {
        give_room(hints->budget, cost);
        return NULL;
    }
    atomic_fetch_add_explicit(&hints->count, 1, memory_order_release);
    return hint;
}

/* ---- all ------------------------------------------------------------------------------------ */

bool hearth__hints_add(hearth__hints *hints, const void *key, size_t key_size) {
    pthread_mutex_lock(&hints->lock);
    struct hint *hint = find_or_create(hints, key, key_size);
    if (hint != NULL) {
        hint->number = ++hints->last_number;
    }
    pthread_mutex_unlock(&hints->lock);
    return hint != NULL;
}

uint64_t hearth__hints_find(hearth__hints *hints, const void *key, size_t key_size) {
    if (hearth__hints_count(hints) == 0) {
        return 0;
    }
    pthread_mutex_lock(&hints->lock);
    const struct hint *hint = find(hints, key, key_size, hash_of(hints, key, key_size));
    uint64_t number = hint != NULL ? hint->number : 0;
    pthread_mutex_unlock(&hints->lock);
    return number;
}

bool hearth__hints_settle(hearth__hints *hints, const void *key, size_t key_size,
                          uint64_t number) {
    pthread_mutex_lock(&hints->lock);
    struct hint *hint = find(hints, key, key_size, hash_of(hints, key, key_size));
    bool same = hint != NULL && hint->number == number;
    if (same) {
        forget(hints, hint);
    }
    pthread_mutex_unlock(&hints->lock);
    return same;
}

size_t hearth__hints_oldest(hearth__hints *hints, hearth__hint *oldest, size_t most,
                            hearth__buffer *keys) {
    size_t count = 0;
    pthread_mutex_lock(&hints->lock);
    for (const struct hint *hint = hints->table; hint != NULL && count < most;
         hint = hint->hh.next) {
        size_t key_at = keys->size;
        if (!hearth__buffer_append(keys, hint->key, hint->key_size)) {
            break;
        }
        oldest[count++] = (hearth__hint){
            .number = hint->number, .key_at = key_at, .key_size = hint->key_size};
    }
    pthread_mutex_unlock(&hints->lock);
    return count;
}

void hearth__hints_destroy(hearth__hints *hints) {
    if (hints == NULL) {
        return;
    }
    while (hints->table != NULL) {
        forget(hints, hints->table);
    }
    (void)pthread_mutex_destroy(&hints->lock);
    hearth__free(hints);
}

/* ---- the fence -------------------------------------------------------------------------- */

bool hearth__hints_fence(hearth__hints *hints, int64_t wall_ms) {
    int64_t fence_ms = atomic_load(&hints->fence_ms);
    while (fence_ms < wall_ms &&
           !atomic_compare_exchange_weak(&hints->fence_ms, &fence_ms, wall_ms)) {
    }
    return fence_ms == INT64_MIN;
}

bool hearth__hints_is_fenced(const hearth__hints *hints, int64_t wall_ms) {
    return wall_ms <= atomic_load_explicit(&hints->fence_ms, memory_order_acquire);
}
