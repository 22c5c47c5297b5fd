/* SPDX-License-Identifier: Apache-2.0 */
/* The node of the Memcached backend. */
#ifndef HEARTH_REMOTE_MEMCACHED_NODE_H
#define HEARTH_REMOTE_MEMCACHED_NODE_H

#include "remote/backend.h"
#include "remote/complaint.h"
#include "remote/lane.h"

#include <stdatomic.h>

/* What the node speaks: its last greeting showed it. */
enum hearth__mc_protocol {
    HEARTH__MC_PROTOCOL_UNKNOWN, /* nobody has greeted it yet */
    HEARTH__MC_PROTOCOL_TEXT,
    HEARTH__MC_PROTOCOL_META,
};

struct hearth__node {
    hearth__node_config config;
    hearth__lanes *lanes;
    _Atomic int protocol;    /* enum hearth__mc_protocol */
    _Atomic uint32_t opaque; /* of the next request */
    hearth__complaint complaint;
};

#endif
