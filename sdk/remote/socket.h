/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that block for a moment at the most, leave no trace in an exec'd program and raise no signal. */
#ifndef HEARTH_REMOTE_SOCKET_H
#define HEARTH_REMOTE_SOCKET_H

#include "remote/addresses.h"

#include <stdatomic.h>

/*
 * Connects to a node: each of its addresses in turn, each with its share of the time that is left.
 * HEARTH_OK: *fd is the socket, to the address numbered *used. HEARTH_E_UNAVAILABLE, HEARTH_E_TIMEOUT,
 * HEARTH_E_NOMEM with the reason in `why`; *fd is -1. It names every socket in *fd from the moment it
 * exists to its close.
 */
int32_t hearth__socket_open(const hearth__addresses *addresses, int64_t deadline_ns,
                            _Atomic int *fd, size_t *used, char *why, size_t why_size);

/* Waits for any of `events`. HEARTH_OK with them, or an error's or end's, in *seen;
 * HEARTH_E_TIMEOUT; HEARTH_E_UNAVAILABLE. After the deadline it still looks once. Signals do not
 * shorten or lengthen it. */
int32_t hearth__socket_poll(int fd, short events, int64_t deadline_ns, short *seen);

/* From now on a recv() without MSG_DONTWAIT waits so long, and some ms of the kernel's more. False:
 * it does not wait at all. */
bool hearth__socket_set_wait(int fd, int64_t ms);

#endif
