/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/track.h"

#include "demo/nodes.h"

static const uint64_t FIRST_GAP_NS = 50000000;

static void thin_out(struct track *track) {
    for (size_t i = 0; i < TRACK_MOST / 2; i++) {
        track->samples[i] = track->samples[2 * i];
    }
    track->count = TRACK_MOST / 2;
    track->gap_ns *= 2;
}

void track_take(struct track *track, hearth *cache, uint64_t at_ns) {
    hearth_stats stats = {.size = sizeof stats};
    track->gap_ns = track->gap_ns == 0 ? FIRST_GAP_NS : track->gap_ns;
    if (track->count != 0 && at_ns < track->samples[track->count - 1].at_ns + track->gap_ns) {
        return;
    }
    if (track->count == TRACK_MOST) {
        thin_out(track);
    }
    struct track_sample *sample = &track->samples[track->count];
    if (hearth_stats_get(cache, &stats) != HEARTH_OK ||
        nodes_count_requests(cache, sample->nodes, TRACK_NODES) != 0) {
        return;
    }
    sample->at_ns = at_ns;
    sample->reads = stats.reads;
    sample->local = stats.local_hits;
    sample->remote = stats.remote_hits;
    sample->loads = stats.loads;
    track->count++;
}
