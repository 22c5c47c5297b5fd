/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/exchange.h"

#include "base/clock.h"
#include "base/memory.h"

#include <string.h>

enum {
    BULKY_BYTES = 64 * 1024,
    BULKY_REQUESTS = 32,
    FEW_REQUESTS = 4, /* may fit into an exchange's own text */
    PIECE_BYTES = 16 * 1024,
};

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

void hearth__exchange_begin(hearth__exchange *exchange, int64_t now_ns) {
    exchange->sent_ns = now_ns;
}

int64_t hearth__exchange_began_ns(const hearth__exchange *exchange) {
    return exchange->sent_ns != 0 ? exchange->sent_ns : hearth__monotonic_ns();
}

static void free_piece(const hearth__exchange *exchange, const hearth__piece *piece) {
    if (piece->bytes != exchange->text) {
        hearth__free(piece->bytes);
    }
}

void hearth__exchange_free(hearth__exchange *exchange) {
    for (size_t i = 0; i < exchange->piece_count; i++) {
        free_piece(exchange, &exchange->pieces[i]);
    }
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

/* Another piece, with room for so many bytes, and for more requests if there are to be more: those of many are all in one. */
static hearth__piece *add_room(hearth__exchange *exchange, size_t size) {
    size_t capacity = exchange->capacity > 1 && size < PIECE_BYTES ? PIECE_BYTES : size;
    unsigned char *bytes = exchange->text;
    if (exchange->piece_count != 0 || exchange->capacity > FEW_REQUESTS ||
        size > sizeof exchange->text) {
        bytes = hearth__alloc(capacity);
    } else {
        capacity = sizeof exchange->text;
    }
    hearth__piece *piece = bytes != NULL ? add_piece(exchange) : NULL;
    if (piece != NULL) {
        *piece = (hearth__piece){.bytes = bytes, .capacity = capacity};
    } else if (bytes != exchange->text) {
        hearth__free(bytes);
    }
    return piece;
}

unsigned char *hearth__exchange_room(hearth__exchange *exchange, size_t size) {
    hearth__piece *piece =
        exchange->piece_count != 0 ? &exchange->pieces[exchange->piece_count - 1] : NULL;
    if (piece == NULL || piece->capacity - piece->size < size) {
        piece = add_room(exchange, size);
    }
    return piece != NULL ? piece->bytes + piece->size : NULL;
}

void hearth__exchange_said(hearth__exchange *exchange, size_t size) {
    exchange->pieces[exchange->piece_count - 1].size += size;
    exchange->bytes += size;
}

bool hearth__exchange_say(hearth__exchange *exchange, const void *bytes, size_t size) {
    unsigned char *room = hearth__exchange_room(exchange, size);
    if (room == NULL) {
        return false;
    }
    memcpy(room, bytes, size);
    hearth__exchange_said(exchange, size);
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
            free_piece(exchange, piece);
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
