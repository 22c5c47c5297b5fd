/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Memcached server says, of the text and the meta protocol (its doc/protocol.txt). No I/O. One
 * thread at a time.
 *
 * Bytes come in any pieces and give the same replies. A reply that came in one piece is shown where
 * it lies; what came in several is put together first. Nothing that the server says is used as a length
 * before it is compared with a bound.
 */
#ifndef HEARTH_REMOTE_MEMCACHED_PARSER_H
#define HEARTH_REMOTE_MEMCACHED_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* The most bytes of a reply's line, its end included. */
enum { HEARTH__MC_LINE_MAX = 2048 };

/* How a reply begins. */
enum hearth__mc_word {
    HEARTH__MC_NUMBER, /* text: what `incr` and `decr` answer */
    HEARTH__MC_HD,     /* meta: done */
    HEARTH__MC_VA,     /* a value */
    HEARTH__MC_EN,     /* a miss */
    HEARTH__MC_NS,     /* not stored */
    HEARTH__MC_EX,     /* something else is there */
    HEARTH__MC_NF,     /* not found */
    HEARTH__MC_MN,     /* nothing: the answer to `mn` */
    HEARTH__MC_VALUE,  /* text, with its END: the answer to a `get` or `gets` of one key */
    HEARTH__MC_END,    /* alone: that key is not there */
    HEARTH__MC_STORED,
    HEARTH__MC_NOT_STORED,
    HEARTH__MC_EXISTS,
    HEARTH__MC_NOT_FOUND,
    HEARTH__MC_DELETED,
    HEARTH__MC_TOUCHED,
    HEARTH__MC_VERSION,
    HEARTH__MC_ERROR,
    HEARTH__MC_CLIENT_ERROR,
    HEARTH__MC_SERVER_ERROR,
    HEARTH__MC_WORDS
};

/* One reply; its bytes are valid in the hearer's call only. */
typedef struct hearth__mc_reply {
    enum hearth__mc_word word;
    const char *text; /* VERSION and errors: the rest of the line */
    size_t text_size;
    const char *key; /* NULL: not told */
    size_t key_size;
    const void *data; /* VALUE, VA; else NULL */
    size_t data_size;
    uint64_t number; /* NUMBER */
    uint64_t cas;
    uint32_t flags; /* the client's */
    bool has_opaque;
    uint32_t opaque;
    int64_t ttl_s; /* HEARTH__MC_FOR_EVER, _NOT_TOLD of memcached_exptime.h */
    bool stale;    /* X: another client marked it so */
    bool promised; /* W or Z: another client was, or this one is, told to make it anew */
} hearth__mc_reply;

/* Gets one reply. False: it is not what was asked for. */
typedef bool hearth__mc_hearer(void *arg, const hearth__mc_reply *reply);

/* All zero but for the limit is a parser. */
typedef struct hearth__mc_parser {
    size_t limit; /* bytes of a value */
    int32_t failure;
    hearth__buffer held; /* of a reply whose end has not come */
    size_t looked;       /* bytes of its line that were looked at and are not its end */
    size_t total;        /* all its bytes, once its line is there; else 0 */
} hearth__mc_parser;

/* Reads a number in digits, as a server writes it: nothing else, no leading zeros, up to 2^64-1. */
bool hearth__mc_read_number(const void *digits, size_t size, uint64_t *number);

void hearth__mc_parser_fini(hearth__mc_parser *parser);

/*
 * Takes bytes from the server and gives each reply that is complete to the hearer. HEARTH_OK;
 * HEARTH_E_PROTOCOL: no reply of this protocol, or the hearer refused one; HEARTH_E_TOO_LARGE: a
 * value over the limit; HEARTH_E_NOMEM. After an error it says the same again, and the connection is
 * of no further use; replies before it were given.
 */
int32_t hearth__mc_parser_feed(hearth__mc_parser *parser, const void *bytes, size_t size,
                               hearth__mc_hearer *hearer, void *arg);

/* Bytes of the reply that is under way, as far as its line says so; 0: it does not yet. */
size_t hearth__mc_parser_under_way(const hearth__mc_parser *parser);

/* Whether nothing lies behind the last reply. */
bool hearth__mc_parser_is_empty(const hearth__mc_parser *parser);

/* Gives memory back that a large reply took. Between two replies only. */
void hearth__mc_parser_trim(hearth__mc_parser *parser);

#endif
