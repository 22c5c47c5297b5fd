/* SPDX-License-Identifier: Apache-2.0 */
/* How one operation is asked of a Redis server, and what its replies mean. No waiting. */
#ifndef HEARTH_REMOTE_REDIS_VERBS_H
#define HEARTH_REMOTE_REDIS_VERBS_H

#include "remote/redis_pool.h"

/* What is known of an operation whose replies are not all there. */
typedef struct hearth__redis_progress {
    bool asked_ttl;     /* PTTL's reply is there */
    int64_t began_ns;   /* before any of it was sent: lives are counted from here */
    int64_t ttl_ms;     /* what PTTL said */
    int32_t ttl_status; /* or its error */
} hearth__redis_progress;

/* Whether the verb is a script's. */
bool hearth__redis_needs_script(enum hearth__verb verb);

/* Whether this reply refuses scripts as such. */
bool hearth__redis_refuses_scripts(const hearth__redis_reply *reply);

/*
 * Queues what asks for the operation (not for TOUCH, which needs to see the value first).
 * HEARTH_OK; HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE: nothing is queued.
 */
int32_t hearth__redis_ask(hearth__redis_connection *connection, const hearth__remote_op *op);

/*
 * Takes the next reply of the operation; when it was the last, op->status is no longer
 * HEARTH__PENDING. False: this is no reply to it.
 */
bool hearth__redis_answer(hearth__node *node, hearth__remote_op *op,
                          hearth__redis_progress *progress, const hearth__redis_reply *reply);

/* The status that an error reply gives, logged if the server refuses to serve. */
int32_t hearth__redis_refusal(hearth__node *node, const hearth__redis_reply *reply);

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

/* A number's digits, which must live until the command is queued. */
typedef struct hearth__redis_number {
    char text[24];
} hearth__redis_number;
void hearth__redis_integer(hearth__redis_command *command, int64_t integer,
                           hearth__redis_number *number);

/* The plain SET of what the op stores. HEARTH_OK, HEARTH_E_NOMEM. The connection's scratch and
 * `number` are used until the command is queued. */
int32_t hearth__redis_set(hearth__redis_connection *connection, const hearth__remote_op *op,
                          hearth__redis_number *number, hearth__redis_command *command);

#endif
