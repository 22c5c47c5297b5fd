/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every remote backend must do, as one suite. A test program names a kind of server and how a
 * plain client of that server writes and reads bytes behind Hearth's back.
 */
#ifndef HEARTH_TESTS_CONTRACT_CONTRACT_H
#define HEARTH_TESTS_CONTRACT_CONTRACT_H

#include "remote/remote.h"

struct rig;

/* A plain client: another program's, not ours. All of them fail the test when the server does not
 * answer; a NULL means: this kind of server has no such thing. */
struct contract_raw {
    /* Writes bytes under a key; ttl_ms 0: for ever. */
    void (*put)(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                const void *bytes, size_t size, int64_t ttl_ms);

    /* Reads them; false: nothing there. */
    bool (*get)(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                hearth__buffer *bytes);

    /* The server's own increment by 1. */
    int64_t (*increment)(struct rig *rig, uint32_t node, const char *key);

    /* The life that the server itself still gives a key; -1: for ever. */
    int64_t (*left_ms)(struct rig *rig, uint32_t node, const char *key);

    /* Makes the key hold what is no string at all. */
    void (*put_other_type)(struct rig *rig, uint32_t node, const char *key);

    /* How many keys the server holds, and how many commands it was given, or refused, that nobody
     * here sends. */
    uint64_t (*keys)(struct rig *rig, uint32_t node);
    uint64_t (*strange_commands)(struct rig *rig, uint32_t node);
};

struct contract {
    const char *name;
    enum hearth__remote_kind kind;
    const struct contract_raw *raw;

    enum hearth__memcached_client memcached_client;
    bool memcached_text; /* the client speaks the text protocol only */

    bool has_servers; /* nodes are processes that can be paused and killed */
    bool knows_ttl;   /* a GET learns the remaining life from the server */
    int64_t late_ms;  /* values stay at the most this long beyond their time */
    int64_t early_ms; /* and go at the most this long before it */
    int64_t
        integer_ttl_ms; /* integers live in steps of this: they may go a step early or late */
    bool integers_anywhere; /* also under keys that the server would misread */
    bool pipelines_writes;  /* a node's writes are sent before another's answers are awaited */
    int64_t last_unix_s;    /* where the server's clock ends; 0: it does not */
    size_t value_max;       /* what the server can hold under a short key; 0: over 2 MiB */
    const char *const *arguments;       /* that servers are started with, so that this is so, */
    const char *const *large_arguments; /* and so that they hold more than 100 MiB */
};

extern const struct contract_raw contract_raw_embedded;
extern const struct contract_raw contract_raw_redis;
extern const struct contract_raw contract_raw_memcached;

/* Runs the suite: main()'s result. */
int contract_run(const struct contract *contract);

#endif
