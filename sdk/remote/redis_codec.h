/* SPDX-License-Identifier: Apache-2.0 */
/* Redis' protocol for the lanes: RESP2. */
#ifndef HEARTH_REMOTE_REDIS_CODEC_H
#define HEARTH_REMOTE_REDIS_CODEC_H

#include "remote/lane_codec.h"
#include "remote/redis_parser.h"

/* notes.asked: what a request is. notes.answer is then the type of its last reply
 * (REDIS_REPLY_...), notes.status what it means if that is an error, notes.number an integer, and
 * what is kept a string or an error's words. */
/*
 * With notes.checks PTTL's integer and GETRANGE's string follow, in notes.ttl_ms (-2: it is not to be kept) and kept; all else is of the
 * store's own reply, and of an error's words only the code is left, in notes.cas, and in notes.opaque whether it refuses scripts.
 */
enum hearth__redis_asked {
    HEARTH__REDIS_ASKED_GET,     /* answered by a string or nil */
    HEARTH__REDIS_ASKED_TTL_GET, /* by PTTL's integer, in notes.ttl_ms, and then the same; an error
                                    of PTTL's is in notes.status, whatever came then */
    HEARTH__REDIS_ASKED_SET,     /* by OK */
    HEARTH__REDIS_ASKED_SET_NEW, /* by OK, or nil: something is there */
    HEARTH__REDIS_ASKED_SCRIPT, /* by a verdict on the verb in notes.flags, or a sum in digits */
    HEARTH__REDIS_ASKED_STRING,
    HEARTH__REDIS_ASKED_INTEGER,
    HEARTH__REDIS_ASKED_STATUS,
    HEARTH__REDIS_ASKED_EXEC, /* by an array, notes.status being the first error in it, or nil */
};

extern const hearth__codec hearth__redis_codec;

/* Only the code of an error: a server that does not know AUTH repeats the password in its message. */
enum { HEARTH__REDIS_CODE_SIZE = 24 };
void hearth__redis_copy_code(hearth__kept kept, char code[HEARTH__REDIS_CODE_SIZE]);

#endif
