/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tag at its node, and the tags' clock: asking for them, and every write that may follow. tags.h says what they are for.
 */
#ifndef HEARTH_TIER_TAG_AT_NODE_H
#define HEARTH_TIER_TAG_AT_NODE_H

#include "base/buffer.h"
#include "tier/cache.h"
#include "tier/tag_table.h"

/* Where tags stand, and their clock; the prefix follows, and the tag. */
#define HEARTH__TAG_KEYS  "hearth-tag:"
#define HEARTH__TAG_CLOCK "hearth-clock:"

enum {
    HEARTH__TAG_TRIES = 8, /* after as many conflicts it is given up */
    HEARTH__TAG_BODY = 16, /* gone 8, stale 8, little-endian */
};

/* A question to a node, and where its answer goes. Must not move. */
typedef struct hearth__tag_question {
    hearth__route route;
    hearth__buffer body;
    const void *tag;
    size_t size;
} hearth__tag_question;

/* `before` is HEARTH__TAG_KEYS, or HEARTH__TAG_CLOCK with a tag of no bytes. The tag's bytes stay the caller's. HEARTH_OK, or why not; to
 * be closed in either case. */
int32_t hearth__tag_question_open(const hearth *cache, const char *before, const void *tag,
                                  size_t size, hearth__tag_question *question);
void hearth__tag_question_close(hearth__tag_question *question);

hearth__remote_op hearth__tag_question_op(hearth__tag_question *question,
                                          enum hearth__verb verb);

/* The clock's time, after it went on by `step`. It is made where there is none. HEARTH_OK, or why not. */
int32_t hearth__tag_ask_clock(hearth *cache, int64_t step, int64_t deadline_ns, uint64_t *time);

/* Who asks, or writes, does so from now on. */
void hearth__tag_begin_asking(const hearth *cache, hearth__tag_state *state);

/* Learns what a GET said that began as `asked` says, if it is of the clock's epoch. Else makes the tag anew. */
void hearth__tag_settle(hearth *cache, hearth__tag_question *question,
                        const hearth__remote_op *op, const hearth__tag_state *asked,
                        int64_t deadline_ns);

/* A version of the tag that can be replaced, from before what follows; *state is what it says. HEARTH_OK, or why not. */
int32_t hearth__tag_hold(hearth *cache, hearth__tag_question *question, int64_t deadline_ns,
                         hearth__tag_state *state);

/* A write of a tag: ADD, SET, or SWAP of the state's version. HEARTH__TAG_BODY bytes at `body` live as long as it. */
hearth__remote_op hearth__tag_compose(hearth *cache, hearth__tag_question *question,
                                      enum hearth__verb verb, const hearth__tag_state *state,
                                      unsigned char *body);

/* What was lost, or is not told, is as late as the time. */
void hearth__tag_complete(hearth__tag_state *state, uint64_t time);

/* Tells the time of this process's own invalidation, which its node has in that version. HEARTH_OK: the state has the new version;
 * HEARTH_CONFLICT: the node has another by now; or why not. */
int32_t hearth__tag_tell_time(hearth *cache, hearth__tag_question *question,
                              int64_t deadline_ns, hearth__tag_state *state);

#endif
