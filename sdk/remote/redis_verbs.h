/* SPDX-License-Identifier: Apache-2.0 */
/* How one operation is asked of a Redis server, and what its replies mean. No waiting. */
#ifndef HEARTH_REMOTE_REDIS_VERBS_H
#define HEARTH_REMOTE_REDIS_VERBS_H

#include "remote/envelope.h"
#include "remote/redis_command.h"
#include "remote/redis_node.h"

/* Whether the verb is a script's. */
bool hearth__redis_needs_script(enum hearth__verb verb);

/* Whether this answer refuses scripts as such. */
bool hearth__redis_refuses_scripts(const hearth__notes *notes, hearth__kept kept);

/*
 * Adds to an exchange what asks for the operation (not for TOUCH and MARK, which need to see
 * the value first). HEARTH_OK; HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE: part of it may be said.
 */
int32_t hearth__redis_compose(hearth__node *node, const hearth__remote_op *op,
                              hearth__exchange *exchange);

/* Gives the operation its status by what was answered. False: that is another key's value. */
bool hearth__redis_take(hearth__node *node, hearth__remote_op *op, const hearth__notes *notes,
                        hearth__kept kept);

/* The status that an error gives, logged if the server refuses to serve; `words` may be none. */
int32_t hearth__redis_refusal(hearth__node *node, int32_t status, hearth__kept words);

/* Logs what a server did, and its words with unprintable bytes replaced: at most once a second
 * and node. */
void hearth__redis_complain(hearth__node *node, int32_t status, const char *what,
                            const char *words, size_t size);

/* The status of a script's number; HEARTH_E_PROTOCOL: it is none of this verb's. */
int32_t hearth__redis_verdict(enum hearth__verb verb, int64_t number);

/* The verb's column of the verb table, as the scripts read it. */
typedef struct hearth__redis_column {
    char digits[8];
} hearth__redis_column;
hearth__redis_column hearth__redis_column_of(enum hearth__verb verb);

/* Begins the call of a script on the op's key. */
void hearth__redis_script(hearth__redis_command *command, const char *text,
                          const hearth__remote_op *op);

/* Begins a command on the op's key. */
void hearth__redis_verb(hearth__redis_command *command, const char *verb,
                        const hearth__remote_op *op);

/* What stands before a value, or a lease. */
typedef struct hearth__redis_header {
    unsigned char bytes[HEARTH__ENVELOPE_BARE];
} hearth__redis_header;

/* The plain SET of what the op stores. `header` and `number` are used until the command is said. */
void hearth__redis_set(hearth__redis_command *command, const hearth__remote_op *op,
                       hearth__redis_header *header, hearth__redis_number *number);

#endif
