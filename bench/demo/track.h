/* SPDX-License-Identifier: Apache-2.0 */
/* What a pass did over its time: the library's own counts, taken some ten times a second. */
#ifndef HEARTH_BENCH_DEMO_TRACK_H
#define HEARTH_BENCH_DEMO_TRACK_H

#include <stddef.h>
#include <stdint.h>

#include <hearth/hearth.h>

enum { TRACK_MOST = 256, TRACK_NODES = 3 };

/* Since the cache was opened. */
struct track_sample {
    uint64_t at_ns; /* of the pass */
    uint64_t reads;
    uint64_t local;
    uint64_t remote;
    uint64_t loads;
    uint64_t nodes[TRACK_NODES]; /* operations sent */
};

/* All zero is empty. A pass of any length fits: when it is full, every other sample goes, and those that come are taken half
 * as often. */
struct track {
    size_t count;
    uint64_t gap_ns; /* between samples, at least */
    struct track_sample samples[TRACK_MOST];
};

/* Takes a sample, if it is time. Nothing happens when the library does not tell. */
void track_take(struct track *track, hearth *cache, uint64_t at_ns);

#endif
