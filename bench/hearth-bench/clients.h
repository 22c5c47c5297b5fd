/* SPDX-License-Identifier: Apache-2.0 */
/* What the clients of a server ask for, and the clients that Hearth is compared with. */
#ifndef HEARTH_BENCH_CLIENTS_H
#define HEARTH_BENCH_CLIENTS_H

#include "hearth-bench/swarm.h"
#include "hearth-bench/workload.h"
#include "support/servers.h"

enum { CLIENT_KEYS = 10000, CLIENT_WRITES_PERCENT = 10 };

/* The keys that are on the servers; and, as they lie there, their values. */
struct client_keys {
    char (*keys)[KEY_SIZE];
    uint32_t *node_of;
    char **stored; /* with Hearth's header */
    size_t stored_size;
    size_t value_size;
    uint64_t seed;
};

/* The key of a thread's `count`-th operation, and whether a mixed case writes it. */
uint32_t client_pick(const struct client_keys *keys, unsigned thread, uint64_t count);
bool client_writes(const struct client_keys *keys, unsigned thread, uint64_t count);

/* hiredis: a connection a thread and node. */
struct hiredis_peer;

/* NULL: no memory, or a server does not answer. `keys` must live as long. */
struct hiredis_peer *hiredis_create(const struct server_node *nodes, size_t count,
                                    const struct client_keys *keys);
void hiredis_destroy(struct hiredis_peer *peer);

swarm_ask hiredis_get;
swarm_ask hiredis_get_ttl; /* PTTL and GET in one go */
swarm_ask hiredis_mixed;   /* a SET where the key's turn says so */

#endif
