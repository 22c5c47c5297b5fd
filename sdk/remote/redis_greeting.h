/* SPDX-License-Identifier: Apache-2.0 */
/* What is said on a connection to Redis before anything is asked there, and to see whether it lives (lane_codec.h). */
#ifndef HEARTH_REMOTE_REDIS_GREETING_H
#define HEARTH_REMOTE_REDIS_GREETING_H

#include "remote/lane_codec.h"

int32_t hearth__redis_greet(void *node, hearth__exchange *exchange);
void hearth__redis_welcome(void *node, uint32_t index, const hearth__notes *notes,
                           hearth__kept kept, hearth__welcome *welcome);
int32_t hearth__redis_ping(hearth__exchange *exchange);

/* Changes of what is read on this connection are told to the one that listens; errors are no reason to do without it. */
int32_t hearth__redis_redirect(void *node, hearth__exchange *exchange);
void hearth__redis_redirected(void *arg, const hearth__notes *notes, hearth__kept kept);

#endif
