/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags: families of keys that are invalidated at once.
 *
 * There is one clock a cache, a number at its node, and one value for each tag at the tag's: the time of its last invalidation. A
 * value is stamped with a time that the clock had reached before its load began, and is good if none of its tags is later; so it
 * covers tags that a loader names when it has loaded.
 *
 * An invalidation has the clock go on, and then writes to the tag that there was one, of which the time is not told yet: one round trip,
 * where one node has both. This process tells the time when it first stores a value with the tag. Who reads the tag before that
 * takes the clock's time of then, which is no earlier, and so does who makes a tag anew that its node has lost: what was stamped
 * before is not good any more. A time replaces the very version of the tag that was there before it was taken, so nobody who
 * was held up in between sets a tag back.
 *
 * Local copies of values with tags have these with them (local.h). Each is a plain hit until half of coherence.version_ttl_ms after its tags
 * were asked for, as long as nothing else was learned of any tag; then its tags are looked at here.
 */
#ifndef HEARTH_TIER_TAGS_H
#define HEARTH_TIER_TAGS_H

#include "base/buffer.h"
#include "tier/tag_table.h"
#include "tier/tier.h"

/* The most tags of a value. Their bytes, with a length before each, are at most HEARTH__TAGS_BYTES. */
enum { HEARTH__TAGS_MAX = 16 };

/* Adds a tag that is not there yet. HEARTH_OK, HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE: there are too many. */
int32_t hearth__tags_add(hearth__buffer *tags, const void *tag, size_t size);

/* What a value's tags say, after asking their nodes where that was not done lately. UNKNOWN: they do not answer. */
enum hearth__tags_verdict hearth__tags_judge(hearth *cache, const void *tags, size_t size,
                                             uint64_t stamp, hearth__tags_check *check);

/* The same, by what is known. No I/O. */
enum hearth__tags_verdict hearth__tags_judge_known(hearth *cache, const void *tags, size_t size,
                                                   uint64_t stamp, hearth__tags_check *check);

/* How long after its tags were asked for a value is a plain hit. */
int64_t hearth__tags_trust_ms(const hearth *cache);

/* Tells the times of this process's own invalidations of these tags, before a value with them is stored. */
void hearth__tags_tell(hearth *cache, const void *tags, size_t size);

/* A stamp for what is loaded from now on; 0: this process has no use for stamps so far, and knows none. No I/O. */
uint64_t hearth__tags_stamp(const hearth *cache);

/* The same, asking for it where none is known. 0: that failed. */
uint64_t hearth__tags_ask_stamp(hearth *cache);

/* The clock's time of now, from its node. HEARTH_OK, or why not. */
int32_t hearth__tags_ask_clock(hearth *cache, int64_t deadline_ns, uint64_t *time);

/* A key of a node's has changed, which may be a tag's. No I/O. */
void hearth__tags_changed(hearth *cache, const void *key, size_t key_size);

/* How many invalidations this process has begun: what began with fewer may have seen what the last one ended. */
uint64_t hearth__tags_invalidations(const hearth *cache);

#endif
