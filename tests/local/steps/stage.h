/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hot tier of one shard, one log and one bucket, with three keys of one tag in it; and what may happen to the first of them
 * while somebody is in the middle of something.
 */
#ifndef HEARTH_TESTS_LOCAL_STEPS_STAGE_H
#define HEARTH_TESTS_LOCAL_STEPS_STAGE_H

#include "steps.h"

#include "local/local.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The key that is read; another of the same size, and one that begins like it: all with the same tag in the one bucket. */
enum { OURS_KEY, ALIKE, LONGER, NAMES };

enum {
    SHORT = 24,    /* bytes of a value */
    LONG = 200,    /* too long for the short way to copy it in line */
    MORE = 16,     /* by which a value can be longer */
    HEAD = 16 + 8, /* words and key */
    FILLER = 3200,
    MIDDLE = 4 * FILLER, /* of the ring: farther than a filler from both ends */
    AMPLE = 256,         /* more than any value of the key that is read */
    SPOILED_SIZE = 1000,
    VERSIONS = 30,
};

static const hearth__local_entry everlasting = {.bare = true,
                                                .soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};

struct stage {
    hearth__seats *counters;
    hearth__local *local;
    hearth__shard *shard;
    char names[NAMES][32];
    size_t size;       /* of the key's value */
    bool versioned;    /* all entries have a version: a flag, and a word of their own */
    bool at_end;       /* the key's entry is the last of the ring */
    uint64_t offset;   /* where it was put at first */
    unsigned version;  /* put last */
    uint32_t had;      /* versions, as bits, that the key had since the read began */
    bool absent;       /* it was not there at some moment */
    uint64_t saved[2]; /* what garbage was written over */
    bool spoiled;

    /* who comes in, and before which of the steps */
    void (*scripts[2])(struct stage *stage);
    size_t steps[2];
    size_t step;          /* now */
    bool always;          /* the first script comes before every step */
    bool too_far;         /* bytes were read that are none of the entry's */
    hearth__buffer other; /* of another reader */
    hearth__buffer bytes;
    /* readers within a write */
    bool wrong;
    uint64_t reads;
    uint64_t waits;

    char text[512]; /* the steps taken */
};

/* Of an entry before its value. */
static inline size_t head_bytes(const struct stage *stage) {
    return HEAD + (stage->versioned ? 8 : 0);
}

/* Of the key that is read. */
static inline size_t entry_bytes(const struct stage *stage) {
    return head_bytes(stage) + stage->size;
}

static inline hearth__log *log_of(const struct stage *stage) {
    return &stage->shard->logs[HEARTH__MAIN];
}

static inline _Atomic uint64_t *slot_of(const struct stage *stage, size_t name) {
    const char *key = stage->names[name];
    const uint64_t hash = hearth__hash_key(&stage->local->secret, key, strlen(key));
    const hearth__probe probe = hearth__probe_of(stage->shard, hash);
    return find(stage->shard, &probe, key, strlen(key));
}

static inline void put(struct stage *stage, size_t name, unsigned char fill, size_t size) {
    unsigned char value[FILLER];
    const char *key = stage->names[name];
    hearth__local_entry entry = everlasting;
    entry.version = stage->versioned ? 1 : 0;
    memset(value, fill, size);
    (void)hearth__local_put(stage->local, key, strlen(key), &entry, value, size);
}

static inline bool evict(struct stage *stage, size_t name) {
    return hearth__local_evict(stage->local, stage->names[name], strlen(stage->names[name]));
}

static inline void put_ours(struct stage *stage, size_t size) {
    stage->version = stage->version % VERSIONS + 1;
    stage->had |= UINT32_C(1) << stage->version;
    put(stage, OURS_KEY, (unsigned char)stage->version, size);
}

static inline void evict_ours(struct stage *stage) {
    stage->absent = evict(stage, OURS_KEY) || slot_of(stage, OURS_KEY) == NULL;
}

/* A new entry of the other key at the head. */
static inline void append_alike(struct stage *stage, size_t entry_bytes) {
    (void)evict(stage, ALIKE);
    put(stage, ALIKE, 0xee, entry_bytes - head_bytes(stage));
}

/* The next entry will be at the offset. */
static inline void go_to(struct stage *stage, uint64_t offset) {
    const hearth__log *log = log_of(stage);
    while (log->head != offset) {
        const uint64_t left = offset > log->head ? offset - log->head : FILLER;
        append_alike(stage, left < head_bytes(stage) ? FILLER
                            : left > FILLER          ? FILLER / 2
                                                     : left);
    }
}

static inline void wrap(struct stage *stage, unsigned laps) {
    const uint64_t lap = log_of(stage)->lap + laps;
    while (log_of(stage)->lap < lap) {
        append_alike(stage, FILLER);
    }
}

/* How the key is read: the long way or the short ones, with a buffer that is large enough or without. */
enum reader {
    LONG_WAY,
    SHORT_WAY,
    AMONG_MANY,
    WITHOUT_WAITING,
    WITHOUT_BUFFER,
    SHORT_WITHOUT_BUFFER,
    READERS
};

static inline int32_t get(struct stage *stage, size_t name, hearth__buffer *bytes) {
    hearth__local_entry entry;
    const char *key = stage->names[name];
    return hearth__local_get(stage->local, key, strlen(key), 0, bytes, &entry);
}

static inline int32_t give_up(void *owner, const void *key, size_t key_size,
                              hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

static inline int32_t read_ours_by(struct stage *stage, enum reader reader) {
    hearth__local_raw raw = {0};
    const char *key = stage->names[OURS_KEY];
    int32_t status = HEARTH_MISS;
    hearth__buffer_fini(&stage->bytes);
    stage->bytes = (hearth__buffer){0};
    if (reader < WITHOUT_BUFFER) {
        assert_true(hearth__buffer_reserve(&stage->bytes, AMPLE));
    }
    if (reader == LONG_WAY || reader == WITHOUT_BUFFER) {
        status = get(stage, OURS_KEY, &stage->bytes);
    } else if (reader == WITHOUT_WAITING) {
        status = hearth__local_peek(stage->local, key, strlen(key), &stage->bytes, &raw);
    } else if (reader == AMONG_MANY) {
        hearth__local_ask ask = {
            .key = key, .key_size = strlen(key), .bytes = &stage->bytes, .raw = &raw};
        hearth__local_hit_many(stage->local, &ask, 1, &status);
    } else {
        status =
            hearth__local_hit(stage->local, key, strlen(key), &stage->bytes, &raw, give_up);
    }
    return status;
}

/* ---- who comes in ---- */

static inline void rewrite_ours(struct stage *stage) {
    put_ours(stage, stage->size);
}

static inline void overwrite_ours(struct stage *stage) {
    put_ours(stage, stage->size + MORE);
}

static inline void move_ours(struct stage *stage) {
    put_ours(stage, stage->size + MORE);
    put_ours(stage, stage->size);
}

/* The other key takes the slot that has become free. */
static inline void replace_ours(struct stage *stage) {
    evict_ours(stage);
    (void)evict(stage, ALIKE);
    (void)evict(stage, LONGER);
    put(stage, ALIKE, 0xee, stage->size);
}

/* The logs come round three times; if the key was read before, it is moved on its way. */
static inline void wrap_thrice(struct stage *stage) {
    wrap(stage, 3);
}

/* The key has been read, so it is moved on its way; and then there is another key's entry, as long, in the same memory. */
static inline void carry_ours(struct stage *stage) {
    (void)get(stage, OURS_KEY, &stage->other);
    wrap(stage, 1);
    go_to(stage, stage->offset);
    append_alike(stage, entry_bytes(stage));
}

/* The same, without the key. */
static inline void recycle(struct stage *stage) {
    evict_ours(stage);
    wrap(stage, 1);
    go_to(stage, stage->offset);
    append_alike(stage, entry_bytes(stage));
}

/* ... or the same key's. */
static inline void store_again(struct stage *stage) {
    evict_ours(stage);
    (void)evict(stage, ALIKE);
    go_to(stage, stage->offset);
    (void)evict(stage, ALIKE);
    put_ours(stage, stage->size);
}

/* ... or bytes that are no header. They stay until the read has ended: the tail must not come upon them. */
static inline void spoil(struct stage *stage, uint64_t word0, uint64_t word1) {
    uint64_t *words = (uint64_t *)(void *)(log_of(stage)->space.base + stage->offset);
    evict_ours(stage);
    (void)evict(stage, ALIKE);
    memcpy(stage->saved, words, sizeof stage->saved);
    stage->spoiled = true;
    words[0] = word0;
    words[1] = word1;
}

static inline void spoil_size(struct stage *stage) {
    spoil(stage, SPOILED_SIZE, HEARTH__ENTRY_NEVER << 24 | strlen(stage->names[OURS_KEY]) << 8);
}

/* A size that the buffer has room for, and the ring may not have. */
static inline void spoil_size_a_little(struct stage *stage) {
    spoil(stage, AMPLE, HEARTH__ENTRY_NEVER << 24 | strlen(stage->names[OURS_KEY]) << 8);
}

static inline void spoil_flags(struct stage *stage) {
    spoil(stage, 0, HEARTH__ENTRY_NEVER << 24 | strlen(stage->names[OURS_KEY]) << 8 | 0xfc);
}

static inline void mend(struct stage *stage) {
    if (stage->spoiled) {
        memcpy(log_of(stage)->space.base + stage->offset, stage->saved, sizeof stage->saved);
        stage->spoiled = false;
    }
}

/* ---- a stage ---- */

/* A name that begins so and has the tag of 0: free slots have it too. */
static inline void choose_name(struct stage *stage, const char *begin, unsigned from,
                               char name[32]) {
    uint64_t hash = 1;
    for (unsigned i = from; (hash & 0xffff) != 0 && i < from + 4000000; i++) {
        (void)snprintf(name, 32, "%.8s%07u", begin, i);
        hash = hearth__hash_key(&stage->local->secret, name, strlen(name));
    }
    assert_int_equal(hash & 0xffff, 0);
}

static inline void choose_names(struct stage *stage) {
    choose_name(stage, "k", 0, stage->names[OURS_KEY]);
    choose_name(stage, "k", 5000000, stage->names[ALIKE]);
    choose_name(stage, stage->names[OURS_KEY], 0, stage->names[LONGER]);
}

static inline void open_stage(struct stage *stage) {
    *stage = (struct stage){.counters = hearth__local_seats_create(), .size = SHORT};
    assert_non_null(stage->counters);
    const hearth__local_config config = {.max_bytes = HEARTH__LOCAL_MIN_BYTES,
                                         .expected_entry_bytes = 1 << 16,
                                         .policy = "lru",
                                         .counters = stage->counters};
    assert_int_equal(hearth__local_open(&config, &stage->local), HEARTH_OK);
    stage->shard = &stage->local->shards[0];
    assert_int_equal(stage->shard->buckets, 1);
    choose_names(stage);
}

static inline void close_stage(struct stage *stage) {
    stepper = (struct stepper){0};
    hearth__buffer_fini(&stage->bytes);
    hearth__buffer_fini(&stage->other);
    hearth__local_close(stage->local);
    hearth__seats_destroy(stage->counters);
}

/* The key has its first version, has not been read, and is in the first slot; the other two are there. */
static inline void begin_stage(struct stage *stage) {
    stage->offset = stage->at_end ? log_of(stage)->space.bytes - entry_bytes(stage) : MIDDLE;
    go_to(stage, stage->offset);
    for (size_t name = 0; name < NAMES; name++) {
        (void)evict(stage, name);
    }
    stage->had = stage->version = 0;
    put_ours(stage, stage->size);
    assert_int_equal(log_of(stage)->head, stage->offset + entry_bytes(stage));
    put(stage, ALIKE, 0xee, stage->size);
    put(stage, LONGER, 0xee, SHORT);
    stage->absent = stage->too_far = false;
    stage->step = 0;
}

static inline bool is_locked(const struct stage *stage) {
    if (pthread_mutex_trylock(&stage->shard->lock) != 0) {
        return true;
    }
    pthread_mutex_unlock(&stage->shard->lock);
    return false;
}

static inline bool is_whole(const struct stage *stage, const hearth__buffer *bytes,
                            unsigned char fill) {
    for (size_t i = 0; i < bytes->size; i++) {
        if (bytes->data[i] != fill) {
            return false;
        }
    }
    return bytes->size == stage->size || bytes->size == stage->size + MORE;
}

#endif
