/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind of server must do for this room. remote.c groups operations by node and calls
 * begin for each node in ascending order, then finish for each; so a backend that takes a
 * connection in begin can hold it until finish without two threads waiting for each other in a
 * circle.
 *
 * To add a backend: implement this in one file, name it in remote.c, and run the contract suite
 * over it.
 */
#ifndef HEARTH_REMOTE_BACKEND_H
#define HEARTH_REMOTE_BACKEND_H

#include "remote/remote.h"

/* One node's state, and one batch on its way to it: each backend has its own. */
typedef struct hearth__node hearth__node;
typedef struct hearth__batch hearth__batch;

/* What a node is opened with: lives as long as the node. */
typedef struct hearth__node_config {
    const hearth__remote_config *remote; /* its `url` too lives as long */
    const hearth__node_address *address;
    const char *name;  /* for messages */
    uint32_t listened; /* its number for the tracker, if there is one */
} hearth__node_config;

typedef struct hearth__backend {
    const char *name;

    /* Whether reads with want_ttl learn the remaining life from the server. */
    bool knows_ttl;

    /* Whether a batch that has begun keeps nothing that others could wait for: it may lie for a while, be it that its thread begins
     * another one meanwhile, and another thread finish it. */
    bool keeps_nothing;

    /* Makes a node's state. No I/O. HEARTH_OK, HEARTH_E_NOMEM. `config` is copied. */
    int32_t (*open)(const hearth__node_config *config, hearth__node **node);

    /* Nobody is inside. Closes its connections and frees it. */
    void (*close)(hearth__node *node);

    /* Nobody is inside any more: tells a thread of the node's own to end. False: it has not yet, and close would wait for it. NULL:
     * there is none. */
    bool (*stop)(const hearth__node *node);

    /* As hearth__remote_generation(); NULL: it never changes. */
    uint64_t (*generation)(hearth__node *node);

    /* As hearth__remote_distrusts(); NULL: never. */
    bool (*distrusts)(const hearth__node *node, int64_t written_ms);

    /* As hearth__remote_refresh(); NULL: no connection ever has a source. */
    void (*refresh)(hearth__node *node);

    /*
     * Starts `count` operations on this node: takes or opens a connection and writes all
     * requests, or as many as it can without reading an answer. May block to the deadline.
     * `at_once`: finish follows without another node's begin or finish in between.
     * Operations that fail here get their status; the others stay HEARTH__PENDING. *batch may
     * stay NULL when nothing is pending. It keeps no reference to `ops` itself, only to what
     * the operations point to.
     */
    void (*begin)(hearth__node *node, hearth__remote_op **ops, size_t count, bool at_once,
                  int64_t deadline_ns, hearth__batch **batch);

    /*
     * Awaits the answers of the same operations, in order, and gives every one its status;
     * gives back or closes the connection; frees the batch. May write further requests of
     * operations that need more than one step. May block to the deadline, no longer.
     */
    void (*finish)(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch);
} hearth__backend;

extern const hearth__backend hearth__backend_embedded;
extern const hearth__backend hearth__backend_redis;
extern const hearth__backend hearth__backend_memcached;
extern const hearth__backend hearth__backend_libmemcached;

#endif
