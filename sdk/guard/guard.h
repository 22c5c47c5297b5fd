/* SPDX-License-Identifier: Apache-2.0 */
/* The guard room: what keeps the origin from being asked twice, or for nothing. It holds no values and does no I/O. */
#ifndef HEARTH_GUARD_GUARD_H
#define HEARTH_GUARD_GUARD_H

#include "guard/backoff.h"
#include "guard/bloom_guard.h"
#include "guard/bloom_image.h"
#include "guard/bloom_share.h"
#include "guard/breaker.h"
#include "guard/early.h"
#include "guard/flight.h"
#include "guard/hints.h"
#include "guard/lease.h"
#include "guard/limiter.h"
#include "guard/retries.h"

#endif
