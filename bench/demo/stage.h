/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo plays on: the requests, the database behind the caches, the servers. */
#ifndef HEARTH_BENCH_DEMO_STAGE_H
#define HEARTH_BENCH_DEMO_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "demo/arguments.h"
#include "origin.h"
#include "requests.h"
#include "support/servers.h"

enum { STAGE_NODES = 3 }; /* of each kind */

struct stage {
    struct arguments arguments;
    struct servers servers;
    bool has_servers;
    struct requests requests;
    struct origin_calibration load;
    char database[SERVERS_FOLDER_BYTES + 16];
};

/* Sets all of it up and says what it is. 0; or -1, after stderr was told why: to be closed in
 * either case. */
int stage_open(struct stage *stage, const struct arguments *arguments)
    __attribute__((warn_unused_result));

/* Servers and files are gone when this returns. */
void stage_close(struct stage *stage);

/* The nodes of one kind: places in stage->servers. Gives their number, at most STAGE_NODES. */
size_t stage_nodes(const struct stage *stage, enum server_kind kind, size_t *places);

/* Empties the nodes of one kind, by starting them anew. 0, or -1 as above. */
int stage_empty(struct stage *stage, enum server_kind kind) __attribute__((warn_unused_result));

#endif
