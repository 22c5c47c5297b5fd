/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer over the parser of a Memcached server's replies, and over what they mean: the first byte
 * is the size of the pieces, the second what was asked, the rest what a server says. However it
 * comes, the same is heard, it ends the same way, and no more is held than its bound.
 */
#include "fuzz/fuzz.h"

#include "remote/memcached_hear.h"

#include "base/memory.h"

#include <hearth/errors.h>

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1024, HELD_MAX = 2 * (LIMIT + HEARTH__MC_LINE_MAX) };

struct heard {
    uint8_t asked;
    uint64_t sum; /* over all that was heard */
};

static void add(struct heard *heard, uint64_t number) {
    heard->sum = heard->sum * 31 + number;
}

static void add_bytes(struct heard *heard, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    add(heard, bytes != NULL);
    for (size_t i = 0; bytes != NULL && i < size; i++) {
        add(heard, at[i]);
    }
}

/* As if this were the reply to a request, whatever it was. */
static void understand(struct heard *heard, const hearth__mc_reply *reply) {
    hearth__notes notes;
    hearth__kept kept;
    hearth__wire_key key;
    hearth__wire_key_init(&key, "k", 1);
    enum hearth__mc_asked asked = (enum hearth__mc_asked)(heard->asked % HEARTH__MC_ASKS);
    hearth__mc_note(&notes, asked, (heard->asked & 0x80) != 0, 1, &key);
    notes.heard = heard->asked >> 5 & 1;
    add(heard, hearth__mc_hear(&notes, reply, (heard->asked & 0x40) != 0, &kept));
    add(heard, (uint64_t)notes.status + notes.answer + notes.cas + (uint64_t)notes.ttl_ms);
    add_bytes(heard, kept.bytes, kept.size);
    if (kept.bytes != NULL && kept.bytes != reply->data && kept.bytes != reply->text) {
        abort();
    }
}

static bool hear(void *arg, const hearth__mc_reply *reply) {
    struct heard *heard = arg;
    add(heard, reply->word);
    add(heard, reply->number + reply->cas + reply->flags + reply->opaque);
    add(heard, (uint64_t)reply->ttl_s);
    add(heard, (uint64_t)reply->has_opaque << 2 | (uint64_t)reply->stale << 1 |
                   (uint64_t)reply->promised);
    add_bytes(heard, reply->text, reply->text_size);
    add_bytes(heard, reply->key, reply->key_size);
    add_bytes(heard, reply->data, reply->data_size);
    understand(heard, reply);
    if (reply->data_size > LIMIT || reply->key_size > HEARTH__WIRE_KEY_MAX) {
        abort();
    }
    return true;
}

/* Pieces of their own, so that a sanitizer sees what is read beyond them. */
static int32_t parse(const uint8_t *data, size_t size, size_t piece, struct heard *heard) {
    hearth__mc_parser parser = {.limit = LIMIT};
    int32_t status = HEARTH_OK;
    for (size_t at = 0; at < size && status == HEARTH_OK; at += piece) {
        size_t part = size - at < piece ? size - at : piece;
        uint8_t *own = hearth__alloc(part);
        if (own == NULL) {
            abort();
        }
        memcpy(own, data + at, part);
        status = hearth__mc_parser_feed(&parser, own, part, hear, heard);
        hearth__free(own);
        if (parser.held.capacity > HELD_MAX ||
            hearth__mc_parser_under_way(&parser) > LIMIT + HEARTH__MC_LINE_MAX) {
            abort();
        }
    }
    if (status == HEARTH_OK && !hearth__mc_parser_is_empty(&parser)) {
        status = HEARTH_MISS;
    }
    hearth__mc_parser_fini(&parser);
    return status;
}

int fuzz_memcached_parser(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    struct heard pieces = {.asked = data[1]};
    struct heard whole = {.asked = data[1]};
    int32_t status = parse(data + 2, size - 2, (size_t)data[0] + 1, &pieces);
    if (parse(data + 2, size - 2, size - 2, &whole) != status || whole.sum != pieces.sum) {
        abort();
    }
    return 0;
}
