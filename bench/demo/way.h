/* SPDX-License-Identifier: Apache-2.0 */
/* The ways of answering the requests: the origin alone; then, over one kind of server, the remote
 * tier alone, and Hearth with both tiers. Each gives the figures of its passes. */
#ifndef HEARTH_BENCH_DEMO_WAY_H
#define HEARTH_BENCH_DEMO_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "demo/crew.h"
#include "demo/ledger.h"
#include "demo/stage.h"
#include "demo/track.h"

/* Of the values, in both tiers: longer than any run, so that none expires in it. */
#define WAY_TTL "1d"

/* Of a node's answer: clients, servers and database share the processors here, and a request
 * that gives up loads a page again. */
#define WAY_TIMEOUT "1s"

/* One pass over the requests. The origin alone is measured again and again on the way: on a
 * machine that is now busy, now not, rates that are compared must have seen the same. */
struct pass {
    char name[32];
    struct crew_outcome outcome;
    uint64_t origin_requests; /* of the origin alone, */
    uint64_t origin_ns;       /* and the time they took */
    uint64_t loads;           /* queries at the origin */
    uint64_t errors;          /* of nodes, as the library counts them */
    bool has_nodes;           /* and with it the next two */
    double
        hottest_requests; /* of all that was sent to nodes, the share of the node with most */
    double hottest_keys;  /* the share of the keys that this node owns */
    struct track track;   /* nothing of the origin alone */
};

/* The passes over one kind of server: a cold one begins with everything empty, the warm one
 * follows it. */
enum way_pass {
    WAY_REMOTE_COLD,
    WAY_REMOTE_WARM,
    WAY_HEARTH_COLD,
    WAY_HEARTH_WARM,
    WAY_PASSES
};

/* A node that was killed in the last pass. */
struct kill {
    bool is_done;
    size_t node; /* counted from 1 */
    uint64_t at_ns;
    size_t at_request;
};

struct show {
    enum server_kind kind;
    struct pass passes[WAY_PASSES];
    struct ledger_sums remote_loads; /* of both passes */
    struct ledger_sums cold_loads;   /* of Hearth's first pass */
    struct ledger_sums hearth_loads; /* of both */
    bool kills;
    struct kill kill;
};

/* A pass is cut into so many parts; before each comes a slice of the origin alone. */
enum { WAY_PARTS = 5, WAY_SLICES_MOST = 2 * WAY_PASSES * WAY_PARTS };

/* Who plays, the same in all ways. */
struct players {
    struct stage *stage;
    struct crew *crew;
    struct ledger *ledger;
    uint64_t slice_ns;                   /* for which the origin alone is measured each time */
    struct pass origin;                  /* what was seen of it in all, */
    size_t slices;                       /* and slice by slice: */
    double slices_at[WAY_SLICES_MOST];   /* seconds of its own at the end of each */
    double slices_rate[WAY_SLICES_MOST]; /* requests a second */
    uint64_t local_bytes; /* of the local tier; 0 until all pages were loaded once */
};

const char *way_server_name(enum server_kind kind);

/* All passes over the servers of one kind, which are empty. 0, or -1 after stderr was told; a
 * failed request is no -1. */
int way_play_servers(struct players *players, enum server_kind kind, struct show *show)
    __attribute__((warn_unused_result));

#endif
