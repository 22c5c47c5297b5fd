/* SPDX-License-Identifier: Apache-2.0 */
/* What a node did wrong, told to the log: at most once a second and node. */
#ifndef HEARTH_REMOTE_COMPLAINT_H
#define HEARTH_REMOTE_COMPLAINT_H

#include "remote/backend.h"

#include <stdatomic.h>

/* All zero. */
typedef struct hearth__complaint {
    _Atomic int64_t quiet_until_ms; /* boot time: nothing is told before */
} hearth__complaint;

/*
 * Logs "node NAME " and what it did, and its words, if it said any, with unprintable bytes replaced.
 * Any thread, under no lock.
 */
void hearth__complain(hearth__complaint *complaint, const hearth__node_config *node,
                      int32_t status, const char *what, const void *words, size_t size);

#endif
