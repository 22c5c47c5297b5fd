/* SPDX-License-Identifier: Apache-2.0 */
/* Servers with keys on them, and who asks them: Hearth, and the clients it is compared with. */
#ifndef HEARTH_BENCH_REMOTE_SITE_H
#define HEARTH_BENCH_REMOTE_SITE_H

#include "hearth-bench/clients.h"
#include "support/proxy.h"

#include <hearth/hearth.h>

enum { NODES_MOST = 3, MANY = 64, MANY_THREADS = 4 };

/* Hearth as a client. */
struct our_client {
    hearth *cache;
    const struct client_keys *keys;
    hearth_read_options read;
    hearth_value *values[SWARM_THREADS];
};

struct site {
    struct servers servers;
    size_t nodes; /* 0: not open */
    pid_t pids[NODES_MOST];
    struct proxy *proxy; /* before the last node, if there is one */
    int64_t late_ms;     /* its answers are delayed by so much */
    struct client_keys keys;
    struct our_client plain; /* without a local tier */
    struct our_client kept;  /* with one that has no room for these values */
    struct hiredis_peer *hiredis;
    struct libmemcached_peer *libmemcached;
};

struct site_plan {
    enum server_kind kind;
    size_t nodes;
    bool proxied; /* the last node */
};

/* Starts the servers, stores all keys, and connects, unless that is done. 0; -1, and bench_fail() has said why. */
int site_open(struct site *site, const struct bench *bench, const struct site_plan *plan);
void site_close(struct site *site);

/* As a party; `arg` is an our_client. */
swarm_ask our_get;
swarm_ask our_mixed; /* a set where the key's turn says so */
swarm_ask our_set_always;
swarm_ask our_get_large; /* one of the large values where the key's turn says so */
swarm_ask our_get_many;  /* MANY keys; the threads are the first MANY_THREADS */

#endif
