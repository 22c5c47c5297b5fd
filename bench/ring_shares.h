/* SPDX-License-Identifier: Apache-2.0 */
/* What part of the ring each node owns: the share of evenly spread keys that it gets. */
#ifndef HEARTH_BENCH_RING_SHARES_H
#define HEARTH_BENCH_RING_SHARES_H

#include "ring/ring.h"

/* Writes the share, 0 to 1, of each member of a ring that has `count` of them. */
void ring_shares(const hearth__ring *ring, double *shares, size_t count);

#endif
