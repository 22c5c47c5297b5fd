/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process knows of tags: when each was invalidated last, by the tags' clock, and when that was asked for. State only.
 *
 * A time of the clock is 24 bits of an epoch, never 0, and 39 of a sequence. A clock that was lost is made anew with another epoch, so
 * what was stamped by the one before is never taken for good.
 */
#ifndef HEARTH_TIER_TAG_TABLE_H
#define HEARTH_TIER_TAG_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARTH__TAG_SEQUENCE_BITS = 39 };

/* No time: of a tag that is being made. Its epoch is no clock's. */
#define HEARTH__TAG_NEVER UINT64_MAX

static inline bool hearth__tag_same_epoch(uint64_t a, uint64_t b) {
    return a >> HEARTH__TAG_SEQUENCE_BITS == b >> HEARTH__TAG_SEQUENCE_BITS;
}

/* A tag, as its node has it. Values stamped before `gone` are gone, those stamped before `stale`, which is no less, are stale. */
typedef struct hearth__tag_state {
    uint64_t gone;
    uint64_t stale;
    uint64_t version; /* of what the node has; 0: nothing that can be replaced */
    int64_t asked_ms; /* hearth__boot_ms() */
    uint64_t
        distrusts; /* of the table, when it was asked: what was distrusted since is to be asked for again */
    bool is_told; /* the node has these times; else only that there was an invalidation */
} hearth__tag_state;

/* What a verdict rests on. */
typedef struct hearth__tags_check {
    uint64_t epoch;   /* of the table, before it was looked at */
    int64_t asked_ms; /* the first of the tags was asked for then */
} hearth__tags_check;

/* What tags say of a value. */
enum hearth__tags_verdict {
    HEARTH__TAGS_GOOD,
    HEARTH__TAGS_STALE,
    HEARTH__TAGS_UNKNOWN, /* of one of them nothing is known, or too long ago */
    HEARTH__TAGS_GONE,
};

typedef struct hearth__tag_table hearth__tag_table;

/* NULL: no memory. Any thread may call what follows. */
hearth__tag_table *hearth__tag_table_create(void);
/* NULL is allowed. */
void hearth__tag_table_destroy(hearth__tag_table *table);

/* Goes on whenever what is known of a tag has changed, after it has: who judged by the same epoch would judge so again. Lives as long
 * as the table. */
const _Atomic uint64_t *hearth__tag_table_epoch(const hearth__tag_table *table);

/* Nothing that was judged before holds any more without a look. */
void hearth__tag_table_go_on(hearth__tag_table *table);

/* The tag may have been invalidated: it is to be asked for again, whatever is learned from questions of before. That it was before
 * stays known. */
void hearth__tag_table_distrust(hearth__tag_table *table, const void *tag, size_t size);

/* How often any was. */
uint64_t hearth__tag_table_distrusts(const hearth__tag_table *table);

/* False: nothing is known of the tag. */
bool hearth__tag_table_look(hearth__tag_table *table, const void *tag, size_t size,
                            hearth__tag_state *state);

/* Within an epoch a tag's times only grow: what was asked for earlier and is learned later takes nothing back. Without memory it is
 * forgotten. */
void hearth__tag_table_learn(hearth__tag_table *table, const void *tag, size_t size,
                             const hearth__tag_state *state);

/* The clock had reached that time. */
void hearth__tag_table_saw_clock(hearth__tag_table *table, uint64_t time);

/* The latest time that the clock is known to have reached; 0: none is known. */
uint64_t hearth__tag_table_clock(const hearth__tag_table *table);

/* The next of a value's tags, from *at on. NULL: there are no more. */
const unsigned char *hearth__tags_next(const unsigned char *tags, size_t size, size_t *at,
                                       size_t *tag_size);

/* What is known of tags, asked for at `since_ms` or later, says of a value with that stamp. The worst counts. `check` may be NULL. */
enum hearth__tags_verdict hearth__tag_table_judge(hearth__tag_table *table,
                                                  const unsigned char *tags, size_t size,
                                                  uint64_t stamp, int64_t since_ms,
                                                  hearth__tags_check *check);

#endif
