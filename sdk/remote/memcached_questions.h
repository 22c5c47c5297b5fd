/* SPDX-License-Identifier: Apache-2.0 */
/* Several commands to a Memcached server that go out together, each about a key of its own, and are carried out in their order. */
#ifndef HEARTH_REMOTE_MEMCACHED_QUESTIONS_H
#define HEARTH_REMOTE_MEMCACHED_QUESTIONS_H

#include "remote/memcached_hear.h"
#include "remote/memcached_node.h"

enum { HEARTH__MC_QUESTIONS = 16 };

typedef struct hearth__mc_question {
    enum hearth__mc_asked asked;         /* GET, SET, ADD, SWAP, APPEND, REMOVE, TOUCH */
    char name[HEARTH__WIRE_KEY_MAX + 1]; /* as it is sent */
    const void *data;                    /* stores */
    size_t size;
    int64_t exptime;       /* stores and TOUCH, as the server takes it */
    uint64_t cas;          /* SWAP: of what was found. GET: answer */
    hearth__buffer *found; /* GET: where the bytes go */
    enum hearth__mc_answer answer;
    int32_t status; /* HEARTH_OK: it was answered */
} hearth__mc_question;

/*
 * Asks up to HEARTH__MC_QUESTIONS. On a lane that the caller has reserved, or on any: then they may be asked twice, if a connection
 * that was left alone for long turns out to be gone. HEARTH_OK: all were answered; else the first error.
 */
int32_t hearth__mc_ask_all(hearth__node *node, hearth__lane *lane,
                           hearth__mc_question *questions, size_t count, int64_t deadline_ns);

#endif
