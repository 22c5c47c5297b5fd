/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node owns a key, and which ones did before. A node that a key comes back to may still hold what it held when it owned it
 * before, while what was written since is elsewhere, or was deleted there. Such a leftover is told by the time of its write.
 */
#ifndef HEARTH_TIER_PLACEMENT_H
#define HEARTH_TIER_PLACEMENT_H

#include "remote/remote.h"
#include "ring/ring.h"

#include <stdbool.h>

/* How many lists of nodes are remembered beside the one of now. */
enum { HEARTH__HISTORY = 8 };

/* A list's ring, and who its members are. Never changes. */
typedef struct hearth__placement {
    uint32_t holders; /* under the lock of who has it */
    uint64_t digest;  /* the same for the same members, in any order */
    hearth__ring *ring;
    uint64_t ids[]; /* of its members, by their addresses */
} hearth__placement;

/* What was in force before a list, the latest first. */
typedef struct hearth__history {
    size_t count;
    struct {
        hearth__placement *placement; /* held */
        int64_t until_ms;             /* by the wall clock, as values' versions are */
    } past[HEARTH__HISTORY];
} hearth__history;

/* Held by the caller. HEARTH_OK, HEARTH_E_NOMEM, HEARTH_E_INVALID. */
int32_t hearth__placement_create(const hearth__remote_url *url, hearth__placement **out);

/* Frees what nobody holds any more. NULL is allowed. */
void hearth__placement_let_go(hearth__placement *placement);

/* The history of who comes behind `before` and its history, which go on without; if that is the same placement, the same history. */
void hearth__history_begin(hearth__history *history, const hearth__placement *now,
                           hearth__placement *before, const hearth__history *old);
void hearth__history_end(hearth__history *history);

/* The latest placement ended at `wall_ms`. */
void hearth__history_close(hearth__history *history, int64_t wall_ms);

/*
 * Whether what the owner of now has of a key with that hash (hearth__ring_hash()), written at `wall_ms` by its writer's clock, is a leftover: the key was another's
 * since, and this one's before that. What a node has that owned the key never before was written by who knew that it would.
 */
bool hearth__history_is_leftover(const hearth__history *history, const hearth__placement *now,
                                 uint32_t hash, int64_t wall_ms);

#endif
