/* SPDX-License-Identifier: Apache-2.0 */
/* How the requests spread over the nodes, as the library tells it. */
#ifndef HEARTH_BENCH_DEMO_NODES_H
#define HEARTH_BENCH_DEMO_NODES_H

#include <stdint.h>

#include <hearth/hearth.h>

enum { NODES_MAX = 8 };

/* Operations sent to each node so far, by its place in remote.url. 0, or -1: the library's text
 * is not as expected. */
int nodes_count_requests(hearth *cache, uint64_t *requests, uint32_t nodes)
    __attribute__((warn_unused_result));

/* The node that was sent most between two counts: its share of all of that, and its share of the
 * keys of items 0 to distinct - 1. 0, or -1. */
int nodes_find_hottest(hearth *cache, const uint64_t *before, const uint64_t *after,
                       uint32_t nodes, uint32_t distinct, double *requests, double *keys)
    __attribute__((warn_unused_result));

#endif
