/* SPDX-License-Identifier: Apache-2.0 */
/* What the clients of a server ask for, and the clients that Hearth is compared with. */
#ifndef HEARTH_BENCH_CLIENTS_H
#define HEARTH_BENCH_CLIENTS_H

#include "hearth-bench/swarm.h"
#include "hearth-bench/workload.h"
#include "support/servers.h"

enum {
    CLIENT_KEYS = 10000,
    CLIENT_WRITES_PERCENT = 10,
    CLIENT_LARGE = 8, /* more keys, with values of */
    CLIENT_LARGE_BYTES = 1 << 20,
    CLIENT_LARGE_PERCENT = 1,
};

/* The keys that are on the servers; and, as they lie there, the values of all but the large
 * ones, which come last. */
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

/* Whether a case with large values asks for one, and which. */
bool client_is_large(const struct client_keys *keys, unsigned thread, uint64_t count);
uint32_t client_pick_large(const struct client_keys *keys, unsigned thread, uint64_t count);

/* hiredis: a connection a thread and node. */
struct hiredis_peer;

/* NULL: no memory, or a server does not answer. `keys` must live as long. */
struct hiredis_peer *hiredis_create(const struct server_node *nodes, size_t count,
                                    unsigned threads, const struct client_keys *keys);
void hiredis_destroy(struct hiredis_peer *peer);
const struct client_keys *hiredis_keys(const struct hiredis_peer *peer);

swarm_ask hiredis_get;
swarm_ask hiredis_get_ttl;   /* PTTL and GET in one go */
swarm_ask hiredis_mixed;     /* a SET where the key's turn says so */
swarm_ask hiredis_get_large; /* a large value where the key's turn says so */
swarm_ask hiredis_pipeline;  /* 64 GETs of keys of the last node, in one go */
swarm_ask hiredis_pipelines; /* 64 GETs of keys of all nodes, a pipeline each */

/* libmemcached: a memcached_st a thread, with one server. */
struct libmemcached_peer;

/* NULL: no memory. `keys` must live as long. */
struct libmemcached_peer *libmemcached_create(const struct server_node *node,
                                              const struct client_keys *keys);
void libmemcached_destroy(struct libmemcached_peer *peer);

swarm_ask libmemcached_get;
swarm_ask libmemcached_set;

/* The bytes at a key, to be freed with free(). NULL: there are none. */
char *libmemcached_look(struct libmemcached_peer *peer, uint32_t id, size_t *size);

#endif
