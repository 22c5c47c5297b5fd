/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the suite `coherence` share. */
#ifndef HEARTH_BENCH_COHERENCE_H
#define HEARTH_BENCH_COHERENCE_H

#include "hearth-bench/bench.h"
#include "support/servers.h"

#include <hearth/hearth.h>

/* Redis servers: those who are compared by what they ask have one each. */
enum { COHERENCE_NODES = 4 };

/* And a Memcached server, behind them. */
enum { COHERENCE_MEMCACHED = COHERENCE_NODES };

struct coherence_stage {
    struct servers servers;
};

struct coherence_setting {
    const char *name; /* NULL: the end */
    const char *value;
};

/* A cache on one of the servers. NULL, and bench_fail() has said why. */
hearth *coherence_open_cache(const struct bench *bench, const struct coherence_stage *stage,
                             size_t node, const struct coherence_setting *settings);

/* From a SET in another process until the local copy is gone, beside a client that polls. */
case_run coherence_heard;
case_run coherence_heard_broadcast;

/* From a delete in one cache until another one's copy is gone: over the bus, in front of Memcached, beside a bare stream. */
case_run coherence_bus;

/* Commands at the server for loads and for gets: tracking, the same by broadcast, ttl and no local tier. */
case_run coherence_saved;

/* From the end of the listening connection, or of its server, until a copy is no hit any more, beside a client that waits for the same. */
case_run coherence_lost;
case_run coherence_lost_server;
case_run coherence_lost_flush;

/* The share of local hits when a server's answers are late now and then: one thread reads, or four. */
case_run coherence_late;
case_run coherence_late_4t;

#endif
