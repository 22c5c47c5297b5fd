/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb has to write over what was seen at its key. No waiting. */
#ifndef HEARTH_REMOTE_REDIS_CHANGE_H
#define HEARTH_REMOTE_REDIS_CHANGE_H

#include "base/buffer.h"
#include "remote/envelope.h"
#include "remote/redis_verbs.h"

/* What was seen. */
typedef struct hearth__redis_sight {
    hearth__buffer bytes; /* the first of the value */
    int64_t ttl_ms;       /* as PTTL has it: -2: there is nothing */
} hearth__redis_sight;

/* What is to be written; points into itself and the op. */
typedef struct hearth__redis_change {
    int32_t status; /* the op's, once it is written */
    int64_t sum;    /* INCREMENT's, with HEARTH_OK */
    size_t count;   /* of commands; 0: nothing is to be written */
    hearth__redis_command commands[2];
    hearth__redis_number numbers[2];
    bool renews; /* TOUCH, MARK: a header is replaced */
    hearth__redis_header header;
} hearth__redis_change;

/* How many bytes must be seen to decide; at most as many as there are: enough were. */
size_t hearth__redis_sight_wanted(const hearth__redis_sight *sight,
                                  const hearth__remote_op *op);

/* Decides. The sight's buffer may grow. Of the op, MARK's found_version is set. */
void hearth__redis_decide(hearth__remote_op *op, hearth__redis_sight *sight,
                          hearth__redis_change *change);

#endif
