/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies in RESP2, parsed by hiredis within bounds of our own. No I/O. One thread at a time.
 *
 * A reply is shown to its taker while it still lies in the reader's buffer, so that the body of
 * a value is copied once, to where it belongs.
 */
#ifndef HEARTH_REMOTE_REDIS_PARSER_H
#define HEARTH_REMOTE_REDIS_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/read.h>

/* The most elements of an array: what a transaction of ours answers. */
enum { HEARTH__REDIS_ELEMENTS = 4 };

typedef struct hearth__redis_reply {
    int type;         /* REDIS_REPLY_... of hiredis */
    int64_t integer;  /* INTEGER */
    const char *text; /* STRING, STATUS, ERROR: valid in the taker's call only */
    size_t size;
    int32_t status; /* ERROR: what it means, see hearth__redis_error_status() */
    size_t count;   /* ARRAY */
    const struct hearth__redis_reply *elements; /* without texts */
} hearth__redis_reply;

/* Gets one reply. False: it is not what was asked for. */
typedef bool hearth__redis_taker(void *arg, const hearth__redis_reply *reply);

typedef struct hearth__redis_parser {
    redisReader *reader;
    size_t limit; /* bytes of a string */
    int32_t failure;
    hearth__redis_taker *taker; /* of the reply that is being read */
    void *taker_arg;
    bool in_array;
    hearth__redis_reply array;
    hearth__redis_reply elements[HEARTH__REDIS_ELEMENTS];
} hearth__redis_parser;

/* HEARTH_OK, HEARTH_E_NOMEM. The parser must stay where it is until fini. `limit`: the bytes of
 * the longest string that is an answer. */
int32_t hearth__redis_parser_init(hearth__redis_parser *parser, size_t limit);
void hearth__redis_parser_fini(hearth__redis_parser *parser);

/* Takes bytes from the server. HEARTH_OK; HEARTH_E_NOMEM; what failed before. */
int32_t hearth__redis_parser_feed(hearth__redis_parser *parser, const void *data, size_t size);

/*
 * Gives the next reply to the taker. HEARTH_OK; HEARTH_MISS: more bytes are needed;
 * HEARTH_E_PROTOCOL: not RESP2, a line over 4 KiB, an array that nobody asked for, or the taker
 * refused; HEARTH_E_TOO_LARGE: a string over the limit; HEARTH_E_NOMEM. After an error the
 * connection is of no further use.
 */
int32_t hearth__redis_parser_next(hearth__redis_parser *parser, hearth__redis_taker *taker,
                                  void *taker_arg);

/* Whether nothing lies behind the last reply. */
bool hearth__redis_parser_is_empty(const hearth__redis_parser *parser);

/* The announced size of the string that is under way; 0: there is none, or none yet. */
size_t hearth__redis_parser_under_way(const hearth__redis_parser *parser);

/* Gives memory back that a large reply left. Between two replies only. */
void hearth__redis_parser_trim(hearth__redis_parser *parser);

/*
 * What a server's error reply means: HEARTH_E_TYPE, HEARTH_E_TOO_LARGE, HEARTH_E_UNAVAILABLE (it
 * refuses to serve now, or us), else HEARTH_E_PROTOCOL.
 */
int32_t hearth__redis_error_status(const char *text, size_t size);

/* Whether a reply's text begins with these words. */
bool hearth__redis_begins_with(const char *text, size_t size, const char *words);

#endif
