/* SPDX-License-Identifier: Apache-2.0 */
/* Where a node's sockets connect to: what its host name, address or path stands for just now. */
#ifndef HEARTH_REMOTE_ADDRESSES_H
#define HEARTH_REMOTE_ADDRESSES_H

#include "remote/remote.h"

#include <sys/socket.h>

enum { HEARTH__ADDRESSES_MAX = 8 };

typedef struct hearth__address {
    struct sockaddr_storage bytes;
    socklen_t size;
} hearth__address;

/* In the order in which they are tried. */
typedef struct hearth__addresses {
    size_t count; /* 0: not known */
    hearth__address all[HEARTH__ADDRESSES_MAX];
} hearth__addresses;

/* A path or a numeric address stands for itself. False: it is a name, for a resolver. No I/O. */
bool hearth__addresses_of_number(const hearth__node_address *node,
                                 hearth__addresses *addresses);

/*
 * Asks the system's resolver, which may take its time: not for a caller's thread. The families are
 * taken in turn, the resolver's first choice first (RFC 8305, section 4), so that a family without a way
 * to the node costs one attempt. HEARTH_OK; HEARTH_E_UNAVAILABLE, HEARTH_E_NOMEM with the reason in
 * `why`, and *addresses is untouched.
 */
int32_t hearth__addresses_look_up(const hearth__node_address *node,
                                  hearth__addresses *addresses, char *why, size_t why_size);

/* Puts one first, if it is there: it worked. */
void hearth__addresses_prefer(hearth__addresses *addresses, const hearth__address *address);

#endif
