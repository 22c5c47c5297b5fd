/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

enum {
    CROWD_UNIT = 16,  /* callers are counted in parts, so that they can be forgotten slowly */
    CROWD_FADES = 64, /* a part of it in so many calls */
    CROWD_MAX = 1 << 16,
    CALLERS_A_LANE = 48, /* a pipeline that long is worth no more */
};

#define STUCK_NS INT64_C(5000000)

/*
 * How many lanes are enough. Up to some more callers than lanes each had better have one to itself.
 * A crowd had not: on few lanes it makes longer pipelines, and each call to the kernel, here and at
 * the server, is shared by more of them. The crowd is the most callers at once, of late: it is
 * remembered since between two batches only a few are inside.
 */
static uint32_t width_of(hearth__lane_set *set) {
    uint32_t inside = 1;
    for (uint32_t i = 0; i < set->count; i++) {
        inside += hearth__lane_load(&set->all[i]);
    }
    inside = inside < CROWD_MAX ? inside : CROWD_MAX;
    uint32_t crowd = atomic_load_explicit(&set->crowd, memory_order_relaxed);
    uint32_t now = inside * CROWD_UNIT;
    if (now < crowd) {
        now = crowd - 1 - crowd / CROWD_FADES;
    }
    if (now != crowd) { /* a hint: who is overwritten was about as right */
        atomic_store_explicit(&set->crowd, now, memory_order_relaxed);
    }
    uint32_t callers = now / CROWD_UNIT;
    uint32_t width = 1 + callers / CALLERS_A_LANE;
    return callers > set->count + set->count / 2 && width < set->count ? width : set->count;
}

/*
 * Whether a lane may get more than its part of the callers: what makes one wait, makes all of
 * them wait. Not behind something large; nor where somebody gave up, or nothing was sent for a while.
 */
static bool flows(hearth__lane *lane, int64_t now_ns) {
    int64_t moved_ns = atomic_load_explicit(&lane->moved_ns, memory_order_relaxed);
    return hearth__lane_is_open(lane) && !hearth__lane_is_reserved(lane) &&
           !hearth__lane_is_bulky(lane) &&
           atomic_load_explicit(&lane->orphans, memory_order_relaxed) == 0 &&
           (hearth__lane_load(lane) == 0 || now_ns - moved_ns < STUCK_NS);
}

/* The least loaded of the first lanes that flow, if there are enough of them. */
enum hearth__joined hearth__lane_join_crowd(hearth__lane_set *set, hearth__exchange *exchange) {
    hearth__lane *best = NULL;
    uint32_t width = width_of(set);
    if (width == set->count) {
        return HEARTH__JOINED_NOT;
    }
    for (uint32_t i = 0; i < set->count && width != 0; i++) {
        hearth__lane *lane = &set->all[i];
        if (flows(lane, exchange->sent_ns)) {
            best =
                best == NULL || hearth__lane_load(lane) < hearth__lane_load(best) ? lane : best;
            width--;
        }
    }
    return width == 0 ? hearth__lane_join(best, exchange, HEARTH__JOIN_ANY, true)
                      : HEARTH__JOINED_NOT;
}
