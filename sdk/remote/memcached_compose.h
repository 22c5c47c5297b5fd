/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a Memcached server (its doc/protocol.txt): each has one reply. No I/O. They are added to
 * `out`; false: no memory, nothing was added.
 *
 * In the meta protocol every command carries a number, the opaque, which the reply repeats, and a reply
 * with a value its key too. Of the text protocol only the commands of one key are used, and `noreply` of
 * none: errors would go astray.
 *
 * base64 keys (the flag `b`) are not used. The text protocol and libmemcached have no such thing, so that
 * clients of both would not find, or delete, what the other stored; and memcached up to 1.6.45 tells some
 * of these keys as they are, line ends included.
 */
#ifndef HEARTH_REMOTE_MEMCACHED_COMPOSE_H
#define HEARTH_REMOTE_MEMCACHED_COMPOSE_H

#include "base/buffer.h"
#include "remote/remote.h"
#include "remote/wire_key.h"

#include <stdint.h>

/*
 * The client's flags of what is no value but stands in its place, so that a delete can tell it without
 * reading it. All else has none, as other clients store bytes.
 */
#define HEARTH__MC_MARKER_FLAGS UINT32_C(0x48525400)

/* The flags of what the op stores. */
uint32_t hearth__mc_flags_of(const hearth__remote_op *op);

/* Behind a command's data. */
#define HEARTH__MC_DATA_END "\r\n"

/* The longest data block that every version takes. */
#define HEARTH__MC_DATA_MAX ((size_t)1 << 30)

/* Whom a command is about. */
typedef struct hearth__mc_target {
    const hearth__wire_key *key;
    bool meta;       /* the protocol */
    uint32_t opaque; /* meta only */
} hearth__mc_target;

/* What is there, with its unique number and, in the meta protocol, the life that is left. */
bool hearth__mc_compose_get(hearth__buffer *out, const hearth__mc_target *target);

/* The client's flags of what is there; in the text protocol the value comes with them. */
bool hearth__mc_compose_flags(hearth__buffer *out, const hearth__mc_target *target);

enum hearth__mc_mode {
    HEARTH__MC_SET,    /* whatever is there */
    HEARTH__MC_ADD,    /* where nothing is */
    HEARTH__MC_SWAP,   /* where still is what had this `cas` */
    HEARTH__MC_APPEND, /* behind what is there, which keeps its life and flags */
};

typedef struct hearth__mc_store {
    enum hearth__mc_mode mode;
    uint32_t flags;
    int64_t exptime;
    uint64_t cas;
    size_t size; /* of the data that follow, and behind them HEARTH__MC_DATA_END */
} hearth__mc_store;

/* The line of a store. */
bool hearth__mc_compose_store(hearth__buffer *out, const hearth__mc_target *target,
                              const hearth__mc_store *store);

bool hearth__mc_compose_delete(hearth__buffer *out, const hearth__mc_target *target);

/* A new life. In the meta protocol the reply tells the item's unique number. */
bool hearth__mc_compose_touch(hearth__buffer *out, const hearth__mc_target *target,
                              int64_t exptime);

/* Adds to a number, to 2^64-1 and on from 0, or takes from it, down to 0. */
bool hearth__mc_compose_count(hearth__buffer *out, const hearth__mc_target *target, bool up,
                              uint64_t amount);

/* The server's version. */
bool hearth__mc_compose_version(hearth__buffer *out);

/* A read, of this key, that shows whether the server knows as much of the meta protocol as is used
 * here. */
void hearth__mc_probe_key(hearth__wire_key *key);
bool hearth__mc_compose_probe(hearth__buffer *out, uint32_t opaque);

#endif
