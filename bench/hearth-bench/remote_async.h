/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of the suite `remote` with operations that do not wait: one thread submits and collects, with many in flight. */
#ifndef HEARTH_BENCH_REMOTE_ASYNC_H
#define HEARTH_BENCH_REMOTE_ASYNC_H

#include "hearth-bench/remote_site.h"

enum { ASYNC_MOST = 1024 };

/* One thread's queue. */
struct async_client {
    struct our_client *client;
    hearth_queue *queue;
    size_t in_flight; /* wanted */
    bool
        polls; /* it waits for the descriptor, as an event loop does, not in hearth_collect() */
    int fd;
    uint64_t submitted;
    size_t free_count;
    uint32_t free[ASYNC_MOST];
    uint32_t ids[ASYNC_MOST];
    hearth_value *values[ASYNC_MOST];
};

/* 0; -1, and bench_fail() has said why. Ended by async_close() in either case. */
int async_open(struct async_client *async, const struct bench *bench, struct our_client *client,
               size_t in_flight, bool polls);
void async_close(struct async_client *async);

/* As a party: MANY gets are answered, and as many are submitted; `arg` is an async_client. */
swarm_ask async_get;

#endif
