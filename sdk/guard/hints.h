/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hints: the keys whose delete a node missed, kept until it is made up for (hinted handoff: DeCandia et al., "Dynamo", 2007,
 * section 4.6). A key is kept once, however often it is deleted. What finds no room is not kept; then the node is fenced: what was
 * written there up to that moment is not to be trusted.
 *
 * State only: who carries the deletes out is the caller's business, and the clock is passed in. Any thread may call these; a
 * node without hints costs one load.
 */
#ifndef HEARTH_GUARD_HINTS_H
#define HEARTH_GUARD_HINTS_H

#include "base/buffer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the hints of several nodes may take together. */
typedef struct hearth__hints_budget {
    size_t max_bytes;
    _Atomic size_t bytes; /* used; keys, tables and what the heap adds included */
} hearth__hints_budget;

/* One node's. */
typedef struct hearth__hints hearth__hints;

/* `budget` must outlive them. NULL: out of memory. */
hearth__hints *hearth__hints_create(hearth__hints_budget *budget);

/* Forgets them all. NULL is allowed. */
void hearth__hints_destroy(hearth__hints *hints);

/* How many there are. */
uint64_t hearth__hints_count(const hearth__hints *hints);

/* Keeps the delete of a key. False: no room, or no memory; a hint that the key had already stays. */
bool hearth__hints_add(hearth__hints *hints, const void *key, size_t key_size)
    __attribute__((warn_unused_result));

/* The number of a key's hint, which is new whenever it is added again; 0: it has none. */
uint64_t hearth__hints_find(hearth__hints *hints, const void *key, size_t key_size);

/* Its delete, sent after it had this number, was carried out. False: it has been added again since, or is gone. */
bool hearth__hints_settle(hearth__hints *hints, const void *key, size_t key_size,
                          uint64_t number);

/* One of the oldest hints. */
typedef struct hearth__hint {
    uint64_t number;
    size_t key_at; /* in the buffer */
    size_t key_size;
} hearth__hint;

/* Copies up to `most` of the oldest hints, and their keys one behind the other into `keys`. Returns how many: fewer if there is
 * no memory. */
size_t hearth__hints_oldest(hearth__hints *hints, hearth__hint *oldest, size_t most,
                            hearth__buffer *keys);

/* ---- the fence --------------------------------------------------------------------------- */

/* A delete at `wall_ms` was not kept. True: there was no fence yet. */
bool hearth__hints_fence(hearth__hints *hints, int64_t wall_ms);

/* Whether what was written at `wall_ms`, by its writer's clock, is behind the fence. */
bool hearth__hints_is_fenced(const hearth__hints *hints, int64_t wall_ms);

#endif
