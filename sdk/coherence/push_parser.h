/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Redis server says on a connection that listens: the answers to its greeting, and then what it pushes (RESP2). No I/O.
 * One thread at a time.
 *
 * Redis's documentation of client-side caching gives an invalidation as a message whose third element is an array of keys, or nil
 * for all of them; anybody can publish a plain string there, which is taken as one key. Nothing is buffered but one key at a
 * time, whatever a server announces: an array of a million keys takes no more memory than one of one.
 */
#ifndef HEARTH_COHERENCE_PUSH_PARSER_H
#define HEARTH_COHERENCE_PUSH_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hearth__push_kind {
    HEARTH__PUSH_STATUS,     /* bytes: its words, cut after HEARTH__PUSH_WORDS of them */
    HEARTH__PUSH_ERROR,      /* likewise */
    HEARTH__PUSH_NUMBER,     /* number */
    HEARTH__PUSH_SUBSCRIBED, /* the channel is listened to */
    HEARTH__PUSH_PONG,
    HEARTH__PUSH_KEY, /* bytes: a key that may have changed */
    HEARTH__PUSH_ALL, /* any key may have */
};

enum { HEARTH__PUSH_WORDS = 255 };

typedef struct hearth__push {
    enum hearth__push_kind kind;
    int64_t number;
    const void *bytes; /* valid in the taker's call only */
    size_t size;
} hearth__push;

/* Gets what was said, piece by piece. False: it was not to be said here. */
typedef bool hearth__push_taker(void *arg, const hearth__push *push);

typedef struct hearth__push_parser hearth__push_parser;

/* `key_max`: a longer key is nobody's here, and passed over. NULL: no memory. */
hearth__push_parser *hearth__push_parser_create(size_t key_max)
    __attribute__((warn_unused_result));
void hearth__push_parser_destroy(hearth__push_parser *parser);

/* For a new connection. */
void hearth__push_parser_reset(hearth__push_parser *parser);

/*
 * Takes bytes from the server, in any pieces, and gives what is complete to the taker. HEARTH_OK; HEARTH_E_PROTOCOL: no server
 * says that on such a connection, or the taker refused it: then the connection is of no further use.
 */
int32_t hearth__push_parser_feed(hearth__push_parser *parser, const void *bytes, size_t size,
                                 hearth__push_taker *taker, void *arg);

#endif
