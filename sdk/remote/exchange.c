/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/exchange.h"

#include "base/memory.h"

#include <string.h>

enum { BULKY_BYTES = 64 * 1024, BULKY_REQUESTS = 32 };

hearth__exchange *hearth__exchange_create(uint32_t requests) {
    hearth__exchange *exchange =
        hearth__alloc(sizeof *exchange + requests * sizeof(hearth__request));
    if (exchange == NULL) {
        return NULL;
    }
    memset(exchange, 0, offsetof(hearth__exchange, few));
    exchange->capacity = requests;
    exchange->pieces = exchange->few;
    exchange->piece_capacity = HEARTH__EXCHANGE_PIECES;
    return exchange;
}

static void release_pieces(hearth__exchange *exchange) {
    for (size_t i = 0; i < exchange->piece_count; i++) {
        if (exchange->pieces[i].release != NULL) {
            exchange->pieces[i].release(exchange->pieces[i].bytes);
        }
    }
    exchange->piece_count = 0;
}

void hearth__exchange_free(hearth__exchange *exchange) {
    release_pieces(exchange);
    if (exchange->pieces != exchange->few) {
        hearth__free(exchange->pieces);
    }
    for (uint32_t i = 0; i < exchange->count; i++) {
        hearth__buffer_fini(&exchange->requests[i].kept);
    }
    hearth__free(exchange);
}

void hearth__exchange_discard(hearth__exchange *exchange) {
    hearth__exchange_free(exchange);
}

size_t hearth__exchange_bytes(const hearth__exchange *exchange) {
    return exchange->bytes;
}

uint32_t hearth__exchange_requests(const hearth__exchange *exchange) {
    return exchange->count;
}

/* ---- what is sent --------------------------------------------------------------------------- */

static hearth__piece *add_piece(hearth__exchange *exchange) {
    if (exchange->piece_count == exchange->piece_capacity) {
        size_t capacity = 4 * exchange->piece_capacity;
        bool few = exchange->pieces == exchange->few;
        hearth__piece *pieces =
            hearth__realloc(few ? NULL : exchange->pieces, capacity * sizeof *pieces);
        if (pieces == NULL) {
            return NULL;
        }
        if (few) {
            memcpy(pieces, exchange->few, sizeof exchange->few);
        }
        exchange->pieces = pieces;
        exchange->piece_capacity = capacity;
    }
    return &exchange->pieces[exchange->piece_count++];
}

static bool grow(hearth__piece *piece, size_t more) {
    size_t capacity = 2 * (piece->size + more);
    bool own = piece->release != NULL;
    unsigned char *bytes = hearth__realloc(own ? piece->bytes : NULL, capacity);
    if (bytes == NULL) {
        return false;
    }
    if (!own) { /* it was in the exchange itself */
        memcpy(bytes, piece->bytes, piece->size);
    }
    *piece = (hearth__piece){
        .bytes = bytes, .size = piece->size, .capacity = capacity, .release = hearth__free};
    return true;
}

/* The last piece, with room for so many bytes. */
static hearth__piece *room(hearth__exchange *exchange, size_t size) {
    hearth__piece *piece =
        exchange->piece_count != 0 ? &exchange->pieces[exchange->piece_count - 1] : NULL;
    if (piece == NULL || piece->capacity == 0) {
        bool first = piece == NULL;
        piece = add_piece(exchange);
        if (piece == NULL) {
            return NULL;
        }
        *piece = (hearth__piece){.bytes = exchange->text,
                                 .capacity = first ? sizeof exchange->text : 0};
    }
    return piece->capacity - piece->size >= size || grow(piece, size) ? piece : NULL;
}

bool hearth__exchange_say(hearth__exchange *exchange, const void *bytes, size_t size) {
    hearth__piece *piece = room(exchange, size);
    if (piece == NULL) {
        return false;
    }
    memcpy(piece->bytes + piece->size, bytes, size);
    piece->size += size;
    exchange->bytes += size;
    return true;
}

bool hearth__exchange_give(hearth__exchange *exchange, void *bytes, size_t size,
                           void (*release)(void *bytes)) {
    hearth__piece *piece = add_piece(exchange);
    if (piece == NULL) {
        release(bytes);
        return false;
    }
    *piece = (hearth__piece){.bytes = bytes, .size = size, .release = release};
    exchange->bytes += size;
    return true;
}

static size_t said_before(const hearth__exchange *exchange) {
    return exchange->count != 0 ? exchange->requests[exchange->count - 1].end : 0;
}

void hearth__exchange_ask(hearth__exchange *exchange, const hearth__notes *notes) {
    hearth__request *request = &exchange->requests[exchange->count];
    size_t begin = said_before(exchange);
    *request = (hearth__request){.notes = *notes, .begin = begin, .end = exchange->bytes};
    exchange->count++;
    exchange->bulky = exchange->bytes > BULKY_BYTES || exchange->count > BULKY_REQUESTS;
}

void hearth__exchange_unsay(hearth__exchange *exchange) {
    size_t excess = exchange->bytes - said_before(exchange);
    exchange->bytes -= excess;
    while (excess != 0) {
        hearth__piece *piece = &exchange->pieces[exchange->piece_count - 1];
        size_t cut = piece->size < excess ? piece->size : excess;
        piece->size -= cut;
        excess -= cut;
        if (piece->size == 0) {
            if (piece->release != NULL) {
                piece->release(piece->bytes);
            }
            exchange->piece_count--;
        }
    }
}

/* ---- what is kept --------------------------------------------------------------------------- */

void hearth__exchange_keep(hearth__exchange *exchange, uint32_t index, hearth__kept kept) {
    hearth__request *request = &exchange->requests[index];
    request->keeps = kept.bytes != NULL;
    if (!request->keeps) {
        return;
    }
    if (exchange->count == 1 && kept.size <= sizeof exchange->small) {
        memcpy(exchange->small, kept.bytes, kept.size);
        request->small_size = kept.size;
        request->is_small = true;
    } else {
        request->lost = !hearth__buffer_assign(&request->kept, kept.bytes, kept.size);
    }
}

hearth__kept hearth__exchange_kept(const hearth__exchange *exchange, uint32_t index) {
    const hearth__request *request = &exchange->requests[index];
    if (!request->keeps) {
        return (hearth__kept){0};
    }
    if (request->is_small) {
        return (hearth__kept){.bytes = exchange->small, .size = request->small_size};
    }
    const void *bytes = request->kept.data != NULL ? (const void *)request->kept.data : "";
    return (hearth__kept){.bytes = bytes, .size = request->kept.size, .lost = request->lost};
}
