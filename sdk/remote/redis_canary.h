/* SPDX-License-Identifier: Apache-2.0 */
/* A canary (coherence/canary.h), as Redis is asked for it: GET, which is told of, and SET, which is what is told. */
#ifndef HEARTH_REMOTE_REDIS_CANARY_H
#define HEARTH_REMOTE_REDIS_CANARY_H

#include "remote/lane_codec.h"

/* As lane_codec.h says. Who may not write them is asked again some minutes later. */
int32_t hearth__redis_canary(void *node, hearth__exchange *exchange, uint32_t source);
bool hearth__redis_take_canary(void *node, uint32_t index, const hearth__notes *notes,
                               hearth__kept kept);

#endif
