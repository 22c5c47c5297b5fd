/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: no lock, no allocation but the caller's buffer, no store but the slot's mark. See shard.h for the order, and hit.c
 * for the short way. */
#include "base/hash.h"
#include "base/stat.h"
#include "local/shard.h"
#include "local/sight.h"

#include <hearth/errors.h>

enum { TRIES = 3 }; /* without the lock */

/* What one look came to. */
enum look { FOUND, NOT_FOUND, CHANGED, NO_MEMORY };

/* What is looked for, and where the answer goes. */
struct question {
    const hearth__local *local;
    const void *key;
    size_t key_size;
    uint64_t hash;
    hearth__buffer *bytes;
    hearth__local_raw *raw;
    bool is_fixed; /* bytes does not grow: of a value that does not fit only the size is told */
};

/* Tags go behind the value, where there is room: they took more before it. */
static void copy_tags(unsigned char *to, const unsigned char *stored, size_t size) {
    hearth__racy_copy(to, stored + (size_t)HEARTH__TAGS_WORDS * 8, size);
}

/* Reads the entry that a slot names, if it is the key's. */
static enum look read_entry(const hearth__shard *shard, const struct question *question,
                            hearth__sight *sight) {
    if (!hearth__sight_is_of(sight, shard, question->key, question->key_size)) {
        return hearth__sight_lasts(sight) ? NOT_FOUND : CHANGED;
    }
    hearth__buffer *bytes = question->bytes;
    uint32_t flags = hearth__entry_flags(sight->word1);
    size_t stored_size = hearth__entry_value_size(sight->word0);
    bool fits = stored_size <= bytes->capacity;
    if (!fits && !question->is_fixed) {
        /* Nobody takes memory by a size that is not proved. */
        if (!hearth__sight_is_whole(sight)) {
            return CHANGED;
        }
        if (!hearth__buffer_reserve(bytes, stored_size)) {
            return NO_MEMORY;
        }
    }
    hearth__sight_words(sight, flags, question->raw);
    hearth__sight_source(question->local, flags, question->raw);
    const unsigned char *stored = hearth__sight_value(sight, question->key_size);
    size_t tags = 0;
    question->raw->tags_size = 0;
    if (hearth__raw_is_tagged(question->raw, flags)) {
        tags = hearth__sight_tags(question->local, stored, stored_size, question->raw);
        if (tags > stored_size) {
            return CHANGED;
        }
    }
    size_t value_size = stored_size - tags;
    fits = value_size <= bytes->capacity;
    hearth__racy_copy(bytes->data, stored + tags, fits ? value_size : 0);
    if (!question->is_fixed && tags != 0) {
        copy_tags(bytes->data + value_size, stored, question->raw->tags_size);
    }
    bytes->size = value_size;
    return hearth__sight_leave(sight, hearth__sight_marks(sight, shard)) ? FOUND : CHANGED;
}

static enum look look_in_bucket(const hearth__shard *shard, size_t bucket,
                                const struct question *question) {
    for (size_t i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        hearth__sight sight;
        if (!hearth__sight_begin(&shard->slots[bucket + i], &sight) ||
            ((sight.slot >> HEARTH__SLOT_TAG_AT) ^ (question->hash & 0xffff)) != 0) {
            continue;
        }
        enum look look = read_entry(shard, question, &sight);
        if (look != NOT_FOUND) {
            return look;
        }
    }
    return NOT_FOUND;
}

static enum look look_once(const hearth__shard *shard, const struct question *question) {
    enum look look =
        look_in_bucket(shard, hearth__first_bucket(shard, question->hash), question);
    return look == NOT_FOUND
               ? look_in_bucket(shard, hearth__second_bucket(shard, question->hash), question)
               : look;
}

static enum look look_without_lock(const hearth__shard *shard,
                                   const struct question *question) {
    enum look look = CHANGED;
    for (int i = 0; i < TRIES && look == CHANGED; i++) {
        look = look_once(shard, question);
    }
    return look;
}

static enum look look(hearth__local *local, const void *key, size_t key_size,
                      hearth__buffer *bytes, hearth__local_raw *raw) {
    raw->opened_ms = local->opened_ms;
    if (hearth__local_is_off(local)) {
        return NOT_FOUND;
    }
    struct question question = {.local = local,
                                .key = key,
                                .key_size = key_size,
                                .hash = hearth__hash_key(&local->secret, key, key_size),
                                .bytes = bytes,
                                .raw = raw};
    hearth__shard *shard = hearth__local_shard(local, question.hash);
    enum look look = look_without_lock(shard, &question);
    if (look == CHANGED) {
        hearth__shard_lock(shard); /* nothing changes under it */
        look = look_once(shard, &question);
        pthread_mutex_unlock(&shard->lock);
    }
    return look;
}

int32_t hearth__shard_look(hearth__local *local, const void *key, size_t key_size,
                           hearth__buffer *bytes, hearth__local_raw *raw) {
    enum look found = look(local, key, key_size, bytes, raw);
    return found == FOUND ? HEARTH_OK : found == NO_MEMORY ? HEARTH_E_NOMEM : HEARTH_MISS;
}

int32_t hearth__local_get(hearth__local *local, const void *key, size_t key_size,
                          int64_t now_ms, hearth__buffer *bytes, hearth__local_entry *entry) {
    hearth__local_raw raw = {0};
    int32_t status = hearth__shard_look(local, key, key_size, bytes, &raw);
    if (status != HEARTH_OK) {
        return status;
    }
    hearth__local_decode(&raw, entry);
    if (now_ms >= entry->until_ms) {
        return HEARTH_MISS;
    }
    if (now_ms >= entry->hard_expiry_ms) {
        HEARTH__COUNT(local->counters, local_expirations);
        return HEARTH_MISS;
    }
    return HEARTH_OK;
}

/* ---- without waiting -------------------------------------------------------------------- */

int32_t hearth__shard_peek(hearth__local *local, const void *key, size_t key_size,
                           hearth__buffer *bytes, hearth__local_raw *raw) {
    raw->opened_ms = local->opened_ms;
    if (hearth__local_is_off(local)) {
        return HEARTH_MISS;
    }
    const struct question question = {.local = local,
                                      .key = key,
                                      .key_size = key_size,
                                      .hash = hearth__hash_key(&local->secret, key, key_size),
                                      .bytes = bytes,
                                      .raw = raw,
                                      .is_fixed = true};
    bool found =
        look_without_lock(hearth__local_shard(local, question.hash), &question) == FOUND;
    return found ? HEARTH_OK : HEARTH_MISS;
}

/* ---- an entry's words ------------------------------------------------------------------- */

static int64_t point_of(uint64_t relative, int64_t opened_ms) {
    return relative == HEARTH__ENTRY_NEVER ? HEARTH__LOCAL_FOREVER
                                           : opened_ms + (int64_t)relative;
}

void hearth__local_decode(const hearth__local_raw *raw, hearth__local_entry *entry) {
    uint32_t flags = hearth__entry_flags(raw->word1);
    const uint64_t *extra = raw->extra;
    *entry = (hearth__local_entry){
        .absent = (flags & HEARTH__ENTRY_ABSENT) != 0,
        .stale = (flags & HEARTH__ENTRY_STALE) != 0,
        .bare = (flags & HEARTH__ENTRY_ORIGIN) == 0,
        .soft_expiry_ms = HEARTH__LOCAL_FOREVER,
        .hard_expiry_ms = point_of(hearth__entry_hard(raw->word1), raw->opened_ms),
        .until_ms = HEARTH__LOCAL_FOREVER,
    };
    if ((flags & HEARTH__ENTRY_SOFT) != 0) {
        entry->lead_ms = (uint32_t)(*extra & 0xffffff);
        entry->soft_expiry_ms = point_of((*extra++ >> 24) + entry->lead_ms, raw->opened_ms);
    }
    if ((flags & HEARTH__ENTRY_VERSION) != 0) {
        entry->version = *extra++;
    }
    if (!entry->bare) {
        entry->until_ms = raw->until_ms;
        entry->read_ms = raw->opened_ms + ((int64_t)extra[0] >> 24);
        entry->born_ms = raw->opened_ms + ((int64_t)extra[1] >> 24);
        entry->content = (uint32_t)(extra[0] & 0xffffff) | (uint32_t)(extra[1] & 0xff) << 24;
        if ((extra[1] & HEARTH__ENTRY_TAGGED) != 0) {
            entry->tags_size = raw->tags_size;
            entry->stamp = raw->stamp;
            entry->tags_ms = raw->tags_ms;
            entry->tags_until_ms = raw->tags_until_ms;
        }
    }
}
