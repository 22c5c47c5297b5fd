/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer over the reply parser: the first byte is the size of the pieces, the rest what a
 * server says. However it comes, the parser shows the same replies, ends the same way, and
 * buffers no more than its bound.
 */
#include "fuzz/fuzz.h"

#include "remote/redis_parser.h"

#include <hearth/errors.h>

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1024, BUFFER_MAX = LIMIT + 8192 };

static void add(uint64_t *sum, const hearth__redis_reply *reply) {
    *sum = *sum * 31 + (uint64_t)reply->type + (uint64_t)reply->integer + reply->size;
    for (size_t i = 0; i < reply->size; i++) {
        *sum = *sum * 31 + (unsigned char)reply->text[i];
    }
}

/* A sum over all that was shown. */
static bool take(void *arg, const hearth__redis_reply *reply) {
    add(arg, reply);
    for (size_t i = 0; i < reply->count; i++) {
        add(arg, &reply->elements[i]);
    }
    return true;
}

static int32_t parse(const uint8_t *data, size_t size, size_t piece, uint64_t *sum) {
    hearth__redis_parser parser;
    int32_t status = HEARTH_MISS;
    if (hearth__redis_parser_init(&parser, LIMIT) != HEARTH_OK) {
        abort();
    }
    for (size_t at = 0; at < size && status == HEARTH_MISS; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        status = hearth__redis_parser_feed(&parser, data + at, part);
        while (status == HEARTH_OK) {
            status = hearth__redis_parser_next(&parser, take, sum);
        }
        if (status == HEARTH_MISS && hearth__redis_parser_under_way(&parser) > LIMIT) {
            abort();
        }
        if (parser.reader->len - parser.reader->pos > BUFFER_MAX) {
            abort();
        }
    }
    hearth__redis_parser_fini(&parser);
    return status;
}

int fuzz_redis_parser(const uint8_t *data, size_t size) {
    return fuzz_in_pieces(data, size, parse);
}
