/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter that processes share, at a Redis server. No I/O. Beside the key itself, which says what there is, stand
 *
 *   key:<id>    a filter's blocks, one string       key:scan   what is to be merged into the next one
 *   key:log     what was inserted, a stream whose ids have no gaps: 1-0, 2-0, and so on
 *   key:maker   who makes the next one; it runs out when nobody does any more
 */
#ifndef HEARTH_REMOTE_REDIS_FILTER_H
#define HEARTH_REMOTE_REDIS_FILTER_H

#include "remote/lane_codec.h"
#include "remote/remote.h"

/* Adds to an exchange what asks for the step. HEARTH_OK; HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE. */
int32_t hearth__redis_say_filter(const hearth__remote_op *op, hearth__exchange *exchange);

#endif
