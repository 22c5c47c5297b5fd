/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of a value. The first byte says whether the rest is a node's bytes, or what a
 * value is made of: then what was composed is parsed as it was, and no longer when a byte of it
 * is another.
 */
#include "fuzz/fuzz.h"

#include "base/hash.h"
#include "base/memory.h"
#include "remote/envelope.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 5, RECIPE_BYTES = 32, BODY_SUM_AT = 36 };

static const char key[KEY_SIZE] = "a key";

static void expect(bool holds) {
    if (!holds) {
        abort();
    }
}

/* In a piece of their own, so that a sanitizer sees what is read beyond it. */
static unsigned char *own_copy(const void *bytes, size_t size) {
    unsigned char *own = hearth__alloc(size != 0 ? size : 1);
    expect(own != NULL);
    memcpy(own, bytes, size);
    return own;
}

/* ---- a node's bytes ------------------------------------------------------------------------- */

static enum hearth__envelope_verdict parse(const unsigned char *bytes, size_t size,
                                           bool must_have_key, hearth__envelope *envelope) {
    enum hearth__envelope_verdict verdict =
        hearth__envelope_parse(bytes, size, key, KEY_SIZE, must_have_key, envelope);
    if (verdict == HEARTH__ENVELOPE_OK || verdict == HEARTH__ENVELOPE_FOREIGN) {
        expect(envelope->body >= bytes && envelope->body + envelope->body_size == bytes + size);
        expect(!must_have_key || verdict == HEARTH__ENVELOPE_OK);
    }
    return verdict;
}

/* Makes the sums match, so that what lies behind them is reached too. */
static void seal(unsigned char *bytes, size_t size, bool must_have_key) {
    hearth__envelope envelope;
    size_t header_size = hearth__envelope_header_size(bytes, size);
    if (header_size == 0 || header_size > size) {
        return;
    }
    bool was_whole = parse(bytes, size, must_have_key, &envelope) == HEARTH__ENVELOPE_OK;
    uint32_t sum = (uint32_t)hearth__hash64(bytes + header_size, size - header_size);
    for (size_t i = 0; i < sizeof sum; i++) {
        bytes[BODY_SUM_AT + i] = (unsigned char)(sum >> (8 * i));
    }
    hearth__envelope_renew(bytes, header_size, key, KEY_SIZE, 1, 2, 3);
    bool is_whole = parse(bytes, size, must_have_key, &envelope) == HEARTH__ENVELOPE_OK;
    expect(is_whole || !was_whole);
    expect(!is_whole || (envelope.soft_ms == 3 && envelope.hard_ms == 4));
}

static void read_bytes(const uint8_t *data, size_t size, bool must_have_key) {
    unsigned char *bytes = own_copy(data, size);
    hearth__envelope envelope;
    (void)parse(bytes, size, must_have_key, &envelope);
    uint64_t version = 0;
    int64_t left_ms = 0;
    unsigned char token[HEARTH__TOKEN_BYTES] = {0};
    (void)hearth__envelope_version(bytes, size, &version);
    (void)hearth__envelope_has_token(bytes, size, token);
    (void)hearth__envelope_left(bytes, size, &left_ms);
    seal(bytes, size, must_have_key);
    hearth__free(bytes);
}

/* ---- what a value is made of ---------------------------------------------------------------- */

/* What the bytes of a recipe say. */
static uint64_t number(const uint8_t *recipe, size_t at, size_t size) {
    uint64_t value = 0;
    memcpy(&value, recipe + at, size);
    return value;
}

static hearth__remote_op value_of(const uint8_t *recipe, const uint8_t *body, size_t size) {
    static const enum hearth__kind kinds[] = {HEARTH__KIND_VALUE, HEARTH__KIND_ABSENT,
                                              HEARTH__KIND_LEASE, HEARTH__KIND_STALE};
    return (hearth__remote_op){
        .verb = HEARTH__SET,
        .key = key,
        .key_size = KEY_SIZE,
        .data = body,
        .data_size = size,
        .token = recipe,
        .kind = kinds[recipe[0] % 4],
        .content = (uint32_t)number(recipe, 1, 4),
        .version = number(recipe, 5, 8),
        .delta_ms = (uint32_t)number(recipe, 13, 4),
        .soft_ttl_ms = (int64_t)number(recipe, 17, 5),
        .ttl_ms = (int64_t)number(recipe, 22, 5),
        .age_ms = (int64_t)number(recipe, 27, 2),
    };
}

static void compose_and_parse(const uint8_t *data, size_t size, bool with_key) {
    const uint8_t *body = data + RECIPE_BYTES;
    size_t body_size = size - RECIPE_BYTES;
    hearth__remote_op op = value_of(data, body, body_size);
    unsigned char *bytes = hearth__alloc(HEARTH__ENVELOPE_MAX + body_size);
    expect(bytes != NULL);
    size_t header_size = hearth__envelope_compose(&op, with_key, bytes);
    expect(header_size == hearth__envelope_size(&op, with_key));
    memcpy(bytes + header_size, body, body_size);
    size_t whole = header_size + body_size;

    hearth__envelope envelope;
    expect(hearth__envelope_parse(bytes, whole, key, KEY_SIZE, with_key, &envelope) ==
           HEARTH__ENVELOPE_OK);
    expect(envelope.kind == op.kind && envelope.content == op.content &&
           envelope.version == op.version && envelope.delta_ms == op.delta_ms);
    expect(envelope.body_size == body_size &&
           (body_size == 0 || memcmp(envelope.body, body, body_size) == 0));
    expect(hearth__envelope_parse(bytes, whole, "other", KEY_SIZE, false, &envelope) !=
           HEARTH__ENVELOPE_OK);

    bytes[number(data, 29, 2) % whole] ^= (unsigned char)(data[31] | 1);
    expect(hearth__envelope_parse(bytes, whole, key, KEY_SIZE, false, &envelope) !=
           HEARTH__ENVELOPE_OK);
    hearth__free(bytes);
}

int fuzz_envelope(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    bool flag = (data[0] & 2) != 0;
    if ((data[0] & 1) == 0) {
        read_bytes(data + 1, size - 1, flag);
    } else if (size - 1 >= RECIPE_BYTES) {
        compose_and_parse(data + 1, size - 1, flag);
    }
    return 0;
}
