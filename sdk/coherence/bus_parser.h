/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bus's server answers (RESP2), token by token. No I/O; one thread at a time. Whatever a server announces, no more is kept
 * than one string of HEARTH__BUS_STRING_MAX bytes: a longer one is passed over, and told as cut.
 */
#ifndef HEARTH_COHERENCE_BUS_PARSER_H
#define HEARTH_COHERENCE_BUS_PARSER_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARTH__BUS_STRING_MAX = 128 * 1024, HEARTH__BUS_CHUNK = 32 * 1024 };

enum hearth__bus_token_kind {
    HEARTH__BUS_STATUS,
    HEARTH__BUS_ERROR,
    HEARTH__BUS_NUMBER,
    HEARTH__BUS_STRING,
    HEARTH__BUS_NIL,
    HEARTH__BUS_ARRAY, /* its elements are the tokens that follow */
};

typedef struct hearth__bus_token {
    enum hearth__bus_token_kind kind;
    int64_t number;    /* of a number; of an array's elements */
    const char *bytes; /* of a status, error or string: valid until the parser is used again */
    size_t size;
    bool is_cut; /* a string without its bytes */
} hearth__bus_token;

/* All zero is a parser at the beginning of a connection. */
typedef struct hearth__bus_parser {
    hearth__buffer in;
    size_t at;     /* what is behind it was not told yet */
    uint64_t skip; /* so much is to be passed over first */
} hearth__bus_parser;

/* For a new connection. */
void hearth__bus_parser_reset(hearth__bus_parser *parser);
void hearth__bus_parser_fini(hearth__bus_parser *parser);

/* Room for HEARTH__BUS_CHUNK bytes that come from the server; NULL: no memory. */
unsigned char *hearth__bus_parser_room(hearth__bus_parser *parser);
/* So many came. */
void hearth__bus_parser_take(hearth__bus_parser *parser, size_t size);

/* HEARTH_OK; HEARTH_MISS: more has to come first; HEARTH_E_PROTOCOL: no server says that. */
int32_t hearth__bus_parser_next(hearth__bus_parser *parser, hearth__bus_token *token);

#endif
