/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at a pass while it runs: draws its progress, and kills a node on the way. */
#ifndef HEARTH_BENCH_DEMO_WATCH_H
#define HEARTH_BENCH_DEMO_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "demo/way.h"

struct watch {
    struct stage *stage;
    hearth *cache;
    struct track *track;   /* of the pass */
    const char *name;      /* of the pass */
    size_t parts;          /* of the pass, of equal length */
    size_t part;           /* the present one, counted from 0 */
    size_t part_count;     /* its requests */
    uint64_t limit_ns;     /* its time, or 0 */
    uint64_t elapsed_ns;   /* in the parts before it */
    enum server_kind kind; /* of the node to be killed, */
    struct kill *kill;     /* and what is told of that */
};

/* A crew_watch: draws how far it is, and keeps what the cache counted. */
void watch_look(void *watch, size_t done, uint64_t elapsed_ns);

/* A crew_event: kills a node. */
void watch_kill(void *watch, size_t at, uint64_t elapsed_ns);

#endif
