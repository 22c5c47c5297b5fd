/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/placement.h"

#include "base/hash.h"
#include "base/memory.h"

#include <hearth/errors.h>

#include <string.h>

/* ---- placements ------------------------------------------------------------------------- */

static int32_t make_ring(const hearth__remote_url *url, hearth__ring **ring) {
    hearth__ring_member *members = hearth__alloc_zero(url->count, sizeof *members);
    if (members == NULL) {
        return HEARTH_E_NOMEM;
    }
    for (size_t i = 0; i < url->count; i++) {
        const hearth__node_address *node = &url->nodes[i];
        members[i] = (hearth__ring_member){
            .host = node->host, .port = node->port, .weight = node->weight};
    }
    int32_t status = hearth__ring_create(members, url->count, ring);
    hearth__free(members);
    return status;
}

int32_t hearth__placement_create(const hearth__remote_url *url, hearth__placement **out) {
    hearth__placement *placement =
        hearth__alloc_zero(1, sizeof *placement + url->count * sizeof placement->ids[0]);
    if (placement == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = make_ring(url, &placement->ring);
    if (status != HEARTH_OK) {
        hearth__free(placement);
        return status;
    }
    for (size_t i = 0; i < url->count; i++) {
        const hearth__node_address *node = &url->nodes[i];
        uint64_t id = hearth__hash64_seeded(node->port, node->host, strlen(node->host));
        placement->ids[i] = id;
        placement->digest += hearth__hash64_seeded(node->weight, &id, sizeof id);
    }
    placement->holders = 1;
    *out = placement;
    return HEARTH_OK;
}

void hearth__placement_let_go(hearth__placement *placement) {
    if (placement != NULL && --placement->holders == 0) {
        hearth__ring_destroy(placement->ring);
        hearth__free(placement);
    }
}

/* ---- history ---------------------------------------------------------------------------- */

void hearth__history_begin(hearth__history *history, const hearth__placement *now,
                           hearth__placement *before, const hearth__history *old) {
    *history = (hearth__history){.count = 0};
    if (before->digest != now->digest) {
        history->past[history->count++].placement = before;
    }
    for (size_t i = 0; i < old->count && history->count < HEARTH__HISTORY; i++) {
        history->past[history->count++] = old->past[i];
    }
    for (size_t i = 0; i < history->count; i++) {
        history->past[i].placement->holders++;
    }
}

void hearth__history_end(hearth__history *history) {
    for (size_t i = 0; i < history->count; i++) {
        hearth__placement_let_go(history->past[i].placement);
    }
    history->count = 0;
}

/* None ends before the one that was before it, whatever the clock does. */
void hearth__history_close(hearth__history *history, int64_t wall_ms) {
    if (history->count != 0 && history->past[0].until_ms == 0) {
        int64_t least_ms = history->count > 1 ? history->past[1].until_ms : wall_ms;
        history->past[0].until_ms = wall_ms > least_ms ? wall_ms : least_ms;
    }
}

static uint64_t owner_of(const hearth__placement *placement, uint32_t hash) {
    return placement->ids[hearth__ring_pick_hash(placement->ring, hash)];
}

/* What was written in the very millisecond in which the key came back is new, unless it was lost in the same one. */
bool hearth__history_is_leftover(const hearth__history *history, const hearth__placement *now,
                                 uint32_t hash, int64_t wall_ms) {
    if (history->count == 0 || wall_ms > history->past[0].until_ms) {
        return false;
    }
    bool was_away = false;  /* at any time */
    bool is_before = false; /* written before that ended */
    uint64_t owner = owner_of(now, hash);
    for (size_t i = 0; i < history->count; i++) {
        int64_t until_ms = history->past[i].until_ms;
        if (owner_of(history->past[i].placement, hash) != owner) {
            was_away = true;
            is_before = is_before || wall_ms < until_ms;
        } else if (was_away && (is_before || wall_ms <= until_ms)) {
            return true;
        }
    }
    return false;
}
