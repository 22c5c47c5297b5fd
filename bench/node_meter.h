/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nodes themselves say they have done: Redis by INFO, Memcached by stats. So nobody's
 * client is believed, and all are counted alike. What other programs ask of the same nodes is in
 * it too. One thread a meter.
 */
#ifndef HEARTH_BENCH_NODE_METER_H
#define HEARTH_BENCH_NODE_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote/remote.h"

enum { NODE_METER_NODES = 64 };

/* Since the node's start, less what the meter itself asked for. */
struct node_reading {
    uint64_t commands;
    uint64_t bytes;  /* in and out, protocol included */
    uint64_t cpu_us; /* processor time, user and system */
    bool is_known;   /* false: the node did not answer within half a second, or may not say */
};

struct node_meter;

/* Connects to the nodes of a URL, at most NODE_METER_NODES. NULL, and the reason in `why`. */
struct node_meter *node_meter_open(const hearth__remote_url *url, char *why, size_t why_size);

void node_meter_close(struct node_meter *meter);

/* Asks every node; one that stood still is connected to anew. */
void node_meter_read(struct node_meter *meter, struct node_reading *readings);

/* Redis nodes: forgets all keys. For nodes that are ours alone. False: one did not. */
bool node_meter_flush(struct node_meter *meter);

#endif
