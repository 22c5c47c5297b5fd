/* SPDX-License-Identifier: Apache-2.0 */
/* The room's calls: a key's shard, its lock, its stripe. What a shard does is in shard.h. */
#include "local/local.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/stat.h"
#include "local/shard.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    SHARD_BYTES = 8 << 20, /* a tier has a shard for each of these, */
    SHARDS_MAX = 64,       /* but no more than these */
};

/* Number 0 is good for ever. */
static const _Atomic int64_t no_source = HEARTH__LOCAL_FOREVER;
static const _Atomic uint64_t no_tags = 0;

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

static int32_t open_shards(hearth__local *local, const hearth__local_config *config) {
    size_t count = shards_for(config->max_bytes);
    uint64_t share = (config->max_bytes - sizeof *local) / count;
    size_t eighth = config->max_bytes / count / 8;
    size_t largest = smaller(config->max_bytes / 64, eighth);
    if (config->max_entry_bytes != 0) {
        largest = smaller(config->max_entry_bytes, eighth);
    }
    const char *policy = config->policy != NULL ? config->policy : "adaptive";
    size_t expected = config->expected_entry_bytes != 0 ? config->expected_entry_bytes : 128;
    hearth__shard_config shard = {.policy = hearth__policy_find(policy),
                                  .bytes = share,
                                  .expected_entry_bytes = expected,
                                  .max_entry_bytes = largest,
                                  .counters = config->counters,
                                  .secret = &local->secret,
                                  .opened_ms = local->opened_ms,
                                  .family = config->family,
                                  .owner = config->owner};
    size_t memory_bytes = hearth__shard_memory_bytes(&shard);
    if (memory_bytes == 0) {
        return HEARTH_E_INVALID;
    }
    /* Behind the last one's bytes too, a reader may look at an entry's extra words. */
    local->memory_bytes =
        (sizeof *local->shards + memory_bytes) * count + (size_t)HEARTH__ENTRY_EXTRA_WORDS * 8;
    local->memory = hearth__map(local->memory_bytes);
    if (local->memory == NULL) {
        return HEARTH_E_NOMEM;
    }
    local->shards = local->memory;
    shard.memory = (unsigned char *)(local->shards + count);
    for (; local->shard_count < count; local->shard_count++, shard.memory += memory_bytes) {
        int32_t status = hearth__shard_open(&shard, &local->shards[local->shard_count]);
        if (status != HEARTH_OK) {
            return status;
        }
    }
    return HEARTH_OK;
}

int32_t hearth__local_open(const hearth__local_config *config, hearth__local **out) {
    hearth__local *local = hearth__alloc_zero(1, sizeof *local);
    if (local == NULL) {
        return HEARTH_E_NOMEM;
    }
    local->max_bytes = config->max_bytes;
    local->counters = config->counters;
    local->owner = config->owner;
    local->opened_ms = config->now_ms;
    local->until_ms = config->until_ms != NULL ? config->until_ms : &no_source;
    local->source_mask = config->until_ms != NULL ? config->sources - 1 : 0;
    local->tags_epoch = config->tags_epoch != NULL ? config->tags_epoch : &no_tags;
    local->tags_trust_ms = config->tags_trust_ms;
    hearth__hash_secret_init(&local->secret);
    int32_t status = HEARTH_OK;
    if (config->max_bytes != 0) {
        status = open_shards(local, config);
    }
    if (status != HEARTH_OK) {
        hearth__local_close(local);
        return status;
    }
    *out = local;
    return HEARTH_OK;
}

void hearth__local_close(hearth__local *local) {
    if (local == NULL) {
        return;
    }
    for (size_t i = 0; i < local->shard_count; i++) {
        hearth__shard_close(&local->shards[i]);
    }
    hearth__unmap(local->memory, local->memory_bytes);
    hearth__free(local);
}

/* ---- places ----------------------------------------------------------------------------- */

static uint64_t hash_of(const hearth__local *local, const void *key, size_t key_size) {
    return hearth__hash_key(&local->secret, key, key_size);
}

static hearth__stripe *stripe_of(hearth__shard *shard, uint64_t hash) {
    return &shard->stripes[(hash >> 32) % HEARTH__STRIPES];
}

static hearth__shard *lock_shard_of(hearth__local *local, uint64_t hash) {
    hearth__shard *shard = hearth__local_shard(local, hash);
    hearth__shard_lock(shard);
    return shard;
}

/* Stores under the shard's lock. */
static bool store(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                  const hearth__local_entry *entry, const void *data, size_t size) {
    bool kept = hearth__shard_store(shard, hash, key, key_size, entry, data, size);
    if (!kept && !entry->absent) {
        HEARTH__COUNT(shard->counters, local_refusals);
    }
    return kept;
}

hearth__local_ticket hearth__local_sample(hearth__local *local, const void *key,
                                          size_t key_size) {
    if (hearth__local_is_off(local)) {
        return (hearth__local_ticket){0};
    }
    uint64_t hash = hash_of(local, key, key_size);
    hearth__shard *shard = lock_shard_of(local, hash);
    const hearth__stripe *stripe = stripe_of(shard, hash);
    hearth__local_ticket ticket = {
        .writes = stripe->begun, .changes = stripe->told, .valid = stripe->under_way == 0};
    pthread_mutex_unlock(&shard->lock);
    return ticket;
}

void hearth__local_ticket_catch_up(hearth__local *local, const void *key, size_t key_size,
                                   hearth__local_ticket *ticket) {
    ticket->changes = hearth__local_sample(local, key, key_size).changes;
}

uint64_t hearth__local_ahead(const hearth__local *local, const void *key, size_t key_size) {
    uint64_t hash = hash_of(local, key, key_size);
    if (!hearth__local_is_off(local)) {
        hearth__shard *shard = hearth__local_shard(local, hash);
        __builtin_prefetch(&shard->lock, 1);
        __builtin_prefetch(&shard->logs[HEARTH__WINDOW].head, 1);
        __builtin_prefetch(&shard->logs[HEARTH__MAIN].head);
        __builtin_prefetch(stripe_of(shard, hash), 1);
        __builtin_prefetch(&shard->slots[hearth__first_bucket(shard, hash)], 1);
        __builtin_prefetch(&shard->slots[hearth__second_bucket(shard, hash)], 1);
        shard->policy->ahead(shard->policy_state, hash);
    }
    return hash;
}

/* ---- writes ----------------------------------------------------------------------------- */

bool hearth__local_evict(hearth__local *local, const void *key, size_t key_size) {
    if (hearth__local_is_off(local)) {
        return false;
    }
    uint64_t hash = hash_of(local, key, key_size);
    hearth__shard *shard = lock_shard_of(local, hash);
    bool there = hearth__shard_remove(shard, hash, key, key_size);
    pthread_mutex_unlock(&shard->lock);
    return there;
}

void hearth__local_retag(hearth__local *local, const void *key, size_t key_size,
                         const hearth__local_entry *entry) {
    if (!hearth__local_is_off(local)) {
        uint64_t hash = hash_of(local, key, key_size);
        hearth__shard *shard = lock_shard_of(local, hash);
        hearth__shard_retag(shard, hash, key, key_size, entry);
        pthread_mutex_unlock(&shard->lock);
    }
}

bool hearth__local_fill(hearth__local *local, const void *key, size_t key_size,
                        hearth__local_ticket ticket, const hearth__local_entry *entry,
                        const void *data, size_t size) {
    if (hearth__local_is_off(local)) {
        return false;
    }
    uint64_t hash = hash_of(local, key, key_size);
    hearth__shard *shard = lock_shard_of(local, hash);
    const hearth__stripe *stripe = stripe_of(shard, hash);
    bool kept = false;
    if (ticket.valid && stripe->under_way == 0 && stripe->begun == ticket.writes &&
        stripe->told == ticket.changes) {
        kept = store(shard, hash, key, key_size, entry, data, size);
    } else {
        HEARTH__COUNT(local->counters, fills_refused);
    }
    pthread_mutex_unlock(&shard->lock);
    return kept;
}

static void void_fills(hearth__shard *shard) {
    for (size_t i = 0; i < HEARTH__STRIPES; i++) {
        shard->stripes[i].begun++;
    }
}

void hearth__local_forget(hearth__local *local,
                          bool (*wants)(void *arg, const void *key, size_t key_size),
                          void *arg) {
    for (size_t i = 0; i < local->shard_count; i++) {
        hearth__shard *shard = &local->shards[i];
        hearth__shard_lock(shard);
        void_fills(shard);
        pthread_mutex_unlock(&shard->lock);
        for (size_t at = 0; at < shard->buckets * HEARTH__BUCKET_SLOTS;) {
            hearth__shard_lock(shard);
            at = hearth__shard_forget(shard, at, wants, arg);
            pthread_mutex_unlock(&shard->lock);
        }
    }
}

void hearth__local_changed(hearth__local *local, const void *key, size_t key_size) {
    if (hearth__local_is_off(local)) {
        return;
    }
    uint64_t hash = hash_of(local, key, key_size);
    hearth__shard *shard = lock_shard_of(local, hash);
    (void)hearth__shard_remove(shard, hash, key, key_size);
    hearth__stripe *stripe = stripe_of(shard, hash);
    stripe->told++;
    stripe->begun += stripe->told == 0;
    pthread_mutex_unlock(&shard->lock);
}

hearth__local_ticket hearth__local_write_begin(hearth__local *local, const void *key,
                                               size_t key_size) {
    if (hearth__local_is_off(local)) {
        return (hearth__local_ticket){0};
    }
    uint64_t hash = hash_of(local, key, key_size);
    hearth__shard *shard = lock_shard_of(local, hash);
    hearth__stripe *stripe = stripe_of(shard, hash);
    bool had_copy = hearth__shard_remove(shard, hash, key, key_size);
    bool alone = stripe->under_way == 0;
    stripe->under_way++;
    stripe->begun++;
    hearth__local_ticket ticket = {
        .writes = stripe->begun, .changes = stripe->told, .valid = alone, .had_copy = had_copy};
    pthread_mutex_unlock(&shard->lock);
    return ticket;
}

void hearth__local_write_end(hearth__local *local, const void *key, size_t key_size,
                             hearth__local_ticket ticket, const hearth__local_entry *entry,
                             const void *data, size_t size) {
    if (hearth__local_is_off(local)) {
        return;
    }
    uint64_t hash = hash_of(local, key, key_size);
    hearth__shard *shard = lock_shard_of(local, hash);
    hearth__stripe *stripe = stripe_of(shard, hash);
    stripe->under_way--;
    if (entry != NULL && ticket.valid && stripe->begun == ticket.writes &&
        stripe->told == ticket.changes) {
        (void)store(shard, hash, key, key_size, entry, data, size);
    } else {
        (void)hearth__shard_remove(shard, hash, key, key_size);
    }
    pthread_mutex_unlock(&shard->lock);
}

bool hearth__local_put(hearth__local *local, const void *key, size_t key_size,
                       const hearth__local_entry *entry, const void *data, size_t size) {
    uint64_t hash = hash_of(local, key, key_size);
    return hearth__local_put_hashed(local, hash, key, key_size, entry, data, size);
}

bool hearth__local_put_hashed(hearth__local *local, uint64_t hash, const void *key,
                              size_t key_size, const hearth__local_entry *entry,
                              const void *data, size_t size) {
    if (hearth__local_is_off(local)) {
        return false;
    }
    hearth__shard *shard = lock_shard_of(local, hash);
    stripe_of(shard, hash)->begun++;
    bool kept = store(shard, hash, key, key_size, entry, data, size);
    pthread_mutex_unlock(&shard->lock);
    return kept;
}

void hearth__local_usage_get(hearth__local *local, hearth__local_usage *usage) {
    *usage = (hearth__local_usage){.limit_bytes = local->max_bytes};
    usage->bytes = hearth__local_is_off(local) ? 0 : sizeof *local;
    for (size_t i = 0; i < local->shard_count; i++) {
        hearth__shard *shard = &local->shards[i];
        hearth__shard_lock(shard);
        usage->entries += shard->entries;
        usage->bytes += shard->fixed_bytes + shard->logs[HEARTH__WINDOW].used +
                        shard->logs[HEARTH__MAIN].used + shard->logs[HEARTH__NEGATIVE].used;
        usage->negative_entries += shard->absences;
        usage->negative_bytes += shard->logs[HEARTH__NEGATIVE].used;
        usage->dead_bytes += shard->logs[HEARTH__WINDOW].dead + shard->logs[HEARTH__MAIN].dead +
                             shard->logs[HEARTH__NEGATIVE].dead;
        pthread_mutex_unlock(&shard->lock);
    }
}

void hearth__local_limit_family(hearth__local *local, size_t family, uint64_t bytes) {
    for (size_t i = 0; i < local->shard_count; i++) {
        hearth__shard *shard = &local->shards[i];
        hearth__shard_lock(shard);
        shard->has_limits = true;
        shard->families[family].is_limited = true;
        shard->families[family].limit = bytes / local->shard_count;
        pthread_mutex_unlock(&shard->lock);
    }
}

void hearth__local_family_usage_get(hearth__local *local, size_t family,
                                    hearth__local_usage *usage) {
    hearth__local_usage_get(local, usage);
    usage->entries = usage->bytes = 0;
    for (size_t i = 0; i < local->shard_count; i++) {
        hearth__shard *shard = &local->shards[i];
        hearth__shard_lock(shard);
        if (shard->families != NULL) {
            usage->entries += shard->families[family].entries;
            usage->bytes += shard->families[family].bytes;
        }
        pthread_mutex_unlock(&shard->lock);
    }
}
