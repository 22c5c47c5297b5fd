/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of what the bus's server says: the first byte is the size of the pieces, the rest comes in them. However it comes, the
 * parser tells the same tokens, ends the same way, and keeps no more than its bound. */
#include "fuzz/fuzz.h"

#include "coherence/bus_parser.h"

#include <hearth/errors.h>

#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = HEARTH__BUS_STRING_MAX + 2 * HEARTH__BUS_CHUNK };

static void add(uint64_t *sum, const hearth__bus_token *token) {
    bool is_text = token->kind == HEARTH__BUS_STATUS || token->kind == HEARTH__BUS_ERROR ||
                   (token->kind == HEARTH__BUS_STRING && !token->is_cut);
    bool is_number = token->kind == HEARTH__BUS_NUMBER || token->kind == HEARTH__BUS_ARRAY;
    *sum = *sum * 31 + (uint64_t)token->kind * 2 + token->is_cut;
    *sum = *sum * 31 + (is_number ? (uint64_t)token->number : 0);
    for (size_t i = 0; is_text && i < token->size; i++) {
        *sum = *sum * 31 + (unsigned char)token->bytes[i];
    }
}

static int32_t tell_all(hearth__bus_parser *parser, uint64_t *sum) {
    hearth__bus_token token;
    int32_t status = hearth__bus_parser_next(parser, &token);
    for (; status == HEARTH_OK; status = hearth__bus_parser_next(parser, &token)) {
        add(sum, &token);
    }
    return status;
}

static int32_t parse(const uint8_t *data, size_t size, size_t piece, uint64_t *sum) {
    hearth__bus_parser parser = {0};
    int32_t status = HEARTH_MISS;
    piece = piece < HEARTH__BUS_CHUNK ? piece : HEARTH__BUS_CHUNK;
    for (size_t at = 0; at < size && status == HEARTH_MISS; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        unsigned char *room = hearth__bus_parser_room(&parser);
        if (room == NULL) {
            abort();
        }
        memcpy(room, data + at, part);
        hearth__bus_parser_take(&parser, part);
        status = tell_all(&parser, sum);
        if (parser.in.size - parser.at > KEPT_MAX) {
            abort();
        }
    }
    hearth__bus_parser_fini(&parser);
    return status;
}

int fuzz_bus_parser(const uint8_t *data, size_t size) {
    return fuzz_in_pieces(data, size, parse);
}
