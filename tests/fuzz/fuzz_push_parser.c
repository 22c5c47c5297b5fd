/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of pushes: the first byte is the size of the pieces, the rest what a server says. However it comes, the parser
 * tells the same, ends the same way, and tells no key over its limit. */
#include "fuzz/fuzz.h"

#include "coherence/push_parser.h"

#include <hearth/errors.h>

#include <stdlib.h>

enum { KEY_MAX = 20 };

/* A sum over all that was told. */
static bool take(void *arg, const hearth__push *push) {
    uint64_t *sum = arg;
    const unsigned char *bytes = push->bytes;
    if (push->kind == HEARTH__PUSH_KEY && push->size > KEY_MAX) {
        abort();
    }
    *sum = *sum * 31 + (uint64_t)push->kind + (uint64_t)push->number + push->size;
    for (size_t i = 0; i < push->size; i++) {
        *sum = *sum * 31 + bytes[i];
    }
    return true;
}

static int32_t parse(const uint8_t *data, size_t size, size_t piece, uint64_t *sum) {
    hearth__push_parser *parser = hearth__push_parser_create(KEY_MAX);
    if (parser == NULL) {
        abort();
    }
    int32_t status = HEARTH_OK;
    for (size_t at = 0; at < size && status == HEARTH_OK; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        status = hearth__push_parser_feed(parser, data + at, part, take, sum);
    }
    hearth__push_parser_destroy(parser);
    return status;
}

int fuzz_push_parser(const uint8_t *data, size_t size) {
    return fuzz_in_pieces(data, size, parse);
}
