/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local room: the hot tier in this process. Values with their lives, bounded in bytes, index included.
 *
 * It also keeps the order of this process's own reads and writes. A read of the remote tier may be kept only if no write of
 * the key was under way or came between; each key belongs to a stripe that counts writes, so a write can void the fill of
 * another key of its stripe (an extra miss), but never the other way round.
 */
#ifndef HEARTH_LOCAL_LOCAL_H
#define HEARTH_LOCAL_LOCAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/seats.h"

typedef struct hearth__local hearth__local;

typedef struct hearth__local_config {
    size_t max_bytes; /* the limit; 0: nothing is ever kept */
    size_t
        max_entry_bytes; /* larger keys and values together go past the tier; 0: by max_bytes */
    size_t expected_entry_bytes; /* the index is made for entries of this size; 0: 128 */
    const char *policy;          /* its name: hearth__policy_find(); NULL: adaptive */
    int64_t now_ms;              /* hearth__boot_ms() */
    hearth__seats *counters;     /* hearth__local_seats_create(); outlives the tier */
    void *owner;                 /* for hearth__local_otherwise */
    /* Until when entries of each source may be hits, on the clock of hearth__boot_ms(); a power of two of them, and number 0 for
     * ever. NULL: there are no sources. Outlives the tier. */
    const _Atomic int64_t *until_ms;
    uint32_t sources;
    /* Goes on whenever any tag may have been invalidated; NULL: no entry has tags. Outlives the tier. */
    const _Atomic uint64_t *tags_epoch;
    int64_t tags_trust_ms; /* so long after they were asked for, tags need not be looked at */
    /* Which family (base/seats.h) a key is of, the same as long as it may be kept; NULL: none is of any. Called under a shard's lock. */
    uint32_t (*family)(void *owner, const void *key, size_t key_size);
} hearth__local_config;

/* The least limit of a tier that is not off. */
enum { HEARTH__LOCAL_MIN_BYTES = 256 << 10 };

/* HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__local_open(const hearth__local_config *config, hearth__local **local);

/* Nobody may be inside. NULL is allowed. */
void hearth__local_close(hearth__local *local);

/* A point in time that never comes, and one that always was: on the clock of hearth__boot_ms(). */
#define HEARTH__LOCAL_FOREVER INT64_MAX

/* What is kept with a value. Times are points on the clock of hearth__boot_ms(). */
typedef struct hearth__local_entry {
    bool absent; /* the key is known not to exist; there are no bytes, and it may not be kept */
    bool bare;   /* born_ms and read_ms are not kept: the caller can do without */
    bool stale;  /* marked stale: past its soft life whatever the clock says */
    int64_t born_ms; /* when its load or write began */
    /* when it was asked of the remote tier or written: it may differ only by younger changes */
    int64_t read_ms;
    int64_t soft_expiry_ms; /* HEARTH__LOCAL_FOREVER: none */
    int64_t hard_expiry_ms; /* HEARTH__LOCAL_FOREVER: none; never served from then on */
    uint64_t version;
    uint32_t content;
    uint32_t delta_ms; /* how long its load took; it is not kept */
    /* so long before its soft expiry it is no plain hit any more, but for the caller to judge; at most 4.6 hours are kept */
    uint32_t lead_ms;
    /* The entry is a hit only as long as this source is good; 0: none. Not kept with a bare entry, and not told. */
    uint16_t source;
    /* Told: until when it was known to be good when the entry was read; HEARTH__LOCAL_FOREVER: no source. */
    int64_t until_ms;
    /* Whose tags are to be looked at: the entry is a plain hit only for a while after they were asked for, and while their epoch is still
     * that of before they were looked at last. To be kept, the tags are at `tags`; told, they are behind the value. */
    const void *tags;
    size_t tags_size; /* 0: none */
    uint64_t stamp;   /* by which they are judged */
    uint64_t tags_epoch;
    int64_t tags_ms; /* when they were asked for */
    int64_t
        tags_until_ms; /* told: it is no plain hit from then on; INT64_MIN: the epoch has gone on */
} hearth__local_entry;

/*
 * Looks a key up at the time `now_ms`. HEARTH_OK: there; the entry and the value, and behind it its tags, which are the caller's to
 * judge. HEARTH_MISS: not there, past its hard expiry, or its source is no longer good. HEARTH_E_NOMEM. Any thread; waits for no I/O.
 */
int32_t hearth__local_get(hearth__local *local, const void *key, size_t key_size,
                          int64_t now_ms, hearth__buffer *bytes, hearth__local_entry *entry);

/* An entry's words as they stand in the tier: read at once on a hit, told apart only when somebody asks. */
typedef struct hearth__local_raw {
    uint64_t word1;
    uint64_t extra[4]; /* as many as its flags say */
    int64_t opened_ms;
    int64_t until_ms;      /* of its source, if its flags say that it has one */
    int64_t tags_until_ms; /* of its tags, as are the following, if it has some */
    int64_t tags_ms;
    size_t tags_size;
    uint64_t stamp;
} hearth__local_raw;

/* What is to be done about a key that was no plain hit; `owner` as in the configuration. The buffer may hold anything. */
typedef int32_t hearth__local_otherwise(void *owner, const void *key, size_t key_size,
                                        hearth__buffer *bytes);

/*
 * The short way of hearth__local_get() for what nearly every hit is: HEARTH_OK: a value, not marked stale, within its soft
 * and hard lives, not in the lead before the soft one's end, its source good, and its tags. Anything else is left to `otherwise`, whose status
 * is returned: so nobody above has to keep anything for that case, which would be a sixth of a hit's instructions. It is complete:
 * it goes through the gate of the tier's counters,
 * looks at the clock and counts its hit. Any thread.
 */
int32_t hearth__local_hit(hearth__local *local, const void *key, size_t key_size,
                          hearth__buffer *bytes, hearth__local_raw *raw,
                          hearth__local_otherwise *otherwise);

/* A key, and where its value and its entry's words go. */
typedef struct hearth__local_ask {
    const void *key;
    size_t key_size;
    hearth__buffer *bytes;
    hearth__local_raw *raw;
} hearth__local_ask;

enum { HEARTH__LOCAL_ASKS = 16 };

/* hearth__local_hit() of at most HEARTH__LOCAL_ASKS keys, which wait for memory together. The caller is inside. */
void hearth__local_hit_many(hearth__local *local, const hearth__local_ask *asks, size_t count,
                            int32_t *statuses);

void hearth__local_decode(const hearth__local_raw *raw, hearth__local_entry *entry);

/*
 * A look that never waits: no lock, no allocation, no clock. HEARTH_OK: there, be it fresh, stale, absent or expired;
 * HEARTH_MISS: not there, or a writer kept changing it. `bytes` does not grow: bytes->size is the value's, and the value is
 * in it if that is no more than its capacity (which may be 0, with no data). Counts as a use of the entry, as any read.
 */
int32_t hearth__local_peek(hearth__local *local, const void *key, size_t key_size,
                           hearth__buffer *bytes, hearth__local_raw *raw);

/* Whether it is a value, not marked stale, that is within its soft and hard lives at `until_ms`, not in its lead, its source and its
 * tags good until then. */
bool hearth__local_is_fresh(const hearth__local_raw *raw, int64_t until_ms);

/* The tags of the value of that version were looked at: from now on tags_epoch and tags_ms of `entry` say how far it is a plain hit. Any
 * thread. */
void hearth__local_retag(hearth__local *local, const void *key, size_t key_size,
                         const hearth__local_entry *entry);

/* Drops a key. True: it was there. Any thread. */
bool hearth__local_evict(hearth__local *local, const void *key, size_t key_size);

/* The state of a key's stripe, taken before a read of the remote tier or a load began. */
typedef struct hearth__local_ticket {
    uint32_t writes;  /* begun so far */
    uint32_t changes; /* told of so far: hearth__local_changed() */
    bool valid;       /* no write was under way */
    bool had_copy;    /* of hearth__local_write_begin(): there was one */
} hearth__local_ticket;

hearth__local_ticket hearth__local_sample(hearth__local *local, const void *key,
                                          size_t key_size);

/* Changes of the key that were told of up to now do not void a fill with this ticket: what is to be kept is looked at where it is
 * stored from now on. This process's own writes since it was taken do. */
void hearth__local_ticket_catch_up(hearth__local *local, const void *key, size_t key_size,
                                   hearth__local_ticket *ticket);

/*
 * Keeps what was read or loaded after `ticket` was taken, unless a write of the stripe is under way or came between, or a change
 * of it was told. True: it is kept. Any thread.
 */
bool hearth__local_fill(hearth__local *local, const void *key, size_t key_size,
                        hearth__local_ticket ticket, const hearth__local_entry *entry,
                        const void *data, size_t size);

/*
 * Around a write of the remote tier by this process. begin drops the local copy and holds fills of the stripe off; end
 * keeps what was written (entry NULL: nothing is kept), unless another write of the stripe came between, or a change was told: then
 * nobody knows here which one the server did last. Every begin has its end.
 */
hearth__local_ticket hearth__local_write_begin(hearth__local *local, const void *key,
                                               size_t key_size);
void hearth__local_write_end(hearth__local *local, const void *key, size_t key_size,
                             hearth__local_ticket ticket, const hearth__local_entry *entry,
                             const void *data, size_t size);

/* Drops the keys that `wants` says, and voids all fills under way, whatever their key. `wants` may take no lock, and
 * writers wait for a few hundred of its calls. Any thread. */
void hearth__local_forget(hearth__local *local,
                          bool (*wants)(void *arg, const void *key, size_t key_size),
                          void *arg);

/* A key may have changed at its node, by whomever: drops it; fills under way for its stripe are void. Any thread. */
void hearth__local_changed(hearth__local *local, const void *key, size_t key_size);

/* Asks for the memory that a write of the key needs first, for whoever has something else to do meanwhile. The key's hash. */
uint64_t hearth__local_ahead(const hearth__local *local, const void *key, size_t key_size);

/* Keeps a value without a write of the remote tier; fills under way for its stripe are void. True: it is kept. */
bool hearth__local_put(hearth__local *local, const void *key, size_t key_size,
                       const hearth__local_entry *entry, const void *data, size_t size);
/* The same, with the key's hash from hearth__local_ahead(). */
bool hearth__local_put_hashed(hearth__local *local, uint64_t hash, const void *key,
                              size_t key_size, const hearth__local_entry *entry,
                              const void *data, size_t size);

/* ---- the account of reads ---- */

/* Seats for a tier: the counters of base/stat.h, and what the hot keys need of each thread. NULL: no memory. */
hearth__seats *hearth__local_seats_create(void) __attribute__((warn_unused_result));

/* Count a read that hearth__local_hit() and hearth__local_hit_many() did not answer: of the local tier, or not. By the thread's
 * own seat of the tier's counters. */
void hearth__local_count_hit(hearth__local *local, hearth__seat *seat, const void *key,
                             size_t key_size);
void hearth__local_count_miss(hearth__local *local, hearth__seat *seat, const void *key,
                              size_t key_size);

enum { HEARTH__HOT_KEY_BYTES = 128 };

/* A key that is asked for often. */
typedef struct hearth__hot_key {
    uint64_t requests_per_s;
    uint64_t key_size;  /* of it is kept */
    uint64_t full_size; /* of all of it */
    unsigned char key[HEARTH__HOT_KEY_BYTES];
} hearth__hot_key;

/* Gives the keys most asked for in the last 8 to 16 s, at most `most` of them, the hottest first. HEARTH_OK, HEARTH_E_NOMEM:
 * none was given. Any thread. */
int32_t hearth__local_hot_keys(hearth__local *local, size_t most,
                               void (*give)(void *arg, const hearth__hot_key *key), void *arg);

typedef struct hearth__local_usage {
    uint64_t entries;
    uint64_t bytes;            /* never more than the limit */
    uint64_t dead_bytes;       /* of these, overwritten or deleted and not yet reused */
    uint64_t negative_entries; /* of the entries, absences */
    uint64_t
        negative_bytes; /* of the bytes, theirs, dead ones included: never more than 4 % of the limit */
    uint64_t limit_bytes;
} hearth__local_usage;

void hearth__local_usage_get(hearth__local *local, hearth__local_usage *usage);

/* From now on the live entries of a family have at most so many bytes, without the index: for what is over, its own go, or it is not
 * kept. Each shard has an equal part of them. Before anything of the family is stored. */
void hearth__local_limit_family(hearth__local *local, size_t family, uint64_t bytes);

/* The entries of a family and their bytes, live ones only: the other fields are the whole tier's. */
void hearth__local_family_usage_get(hearth__local *local, size_t family,
                                    hearth__local_usage *usage);

#endif
