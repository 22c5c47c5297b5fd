/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of a value. The first byte says whether the rest is a node's bytes, or what a
 * value is made of: then what was composed is parsed as it was, and no longer when a byte of it
 * is another. What can be read answers as it was read, with lives that no clock and no server makes longer than it says.
 */
#include "fuzz/fuzz.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/seats.h"
#include "base/stat.h"
#include "remote/envelope.h"

#include <hearth/errors.h>

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 5, RECIPE_BYTES = 32, BODY_SUM_AT = 36, TAGS_SIZE = 10 };

static const char key[KEY_SIZE] = "a key";
static const char tags[] = "\3one\5three";

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

/* ---- answers -------------------------------------------------------------------------------- */

static const hearth__remote_config *config_of_reader(void) {
    static hearth__remote_config config;
    if (config.counters == NULL) {
        config.counters = hearth__seats_create(HEARTH__STATS);
        expect(config.counters != NULL);
    }
    return &config;
}

/* What the tags behind a body are: each has its size in front. */
static void check_tags(const hearth__remote_op *op) {
    const unsigned char *at = op->body->data;
    size_t left = op->found_tags_size;
    if (left != 0) {
        at += op->body->size;
    }
    while (left != 0) {
        expect(*at != 0 && *at < left);
        left -= 1 + (size_t)*at;
        at += 1 + (size_t)*at;
    }
}

static void check_value(const hearth__remote_op *op, const hearth__envelope *envelope) {
    expect(op->body->size == envelope->body_size);
    expect(envelope->body_size == 0 ||
           memcmp(op->body->data, envelope->body, envelope->body_size) == 0);
    expect(op->found_version == envelope->version && op->found == envelope->kind);
    expect(op->found_tags_size == envelope->tags_size);
    check_tags(op);
}

static void check_lives(const hearth__remote_op *op, const hearth__envelope *envelope) {
    bool has_end = envelope->hard_ms != HEARTH__ENVELOPE_NO_TTL;
    expect(op->found_age_ms >= 0);
    expect(!has_end || op->left_ms <= (int64_t)envelope->hard_ms);
    expect(op->soft_left_ms == INT64_MAX || op->soft_left_ms <= (int64_t)envelope->soft_ms);
}

static void answer(const unsigned char *bytes, size_t size, bool must_have_key, int64_t ttl_ms,
                   bool is_exact) {
    hearth__buffer body = {0};
    hearth__envelope envelope;
    hearth__remote_op op = {
        .verb = HEARTH__GET, .key = key, .key_size = KEY_SIZE, .body = &body};
    bool is_whole = hearth__envelope_answer(config_of_reader(), &op, bytes, size, must_have_key,
                                            ttl_ms, is_exact);
    enum hearth__envelope_verdict verdict =
        hearth__envelope_parse(bytes, size, key, KEY_SIZE, must_have_key, &envelope);
    expect(is_whole == (verdict != HEARTH__ENVELOPE_DAMAGED));
    expect(op.status == HEARTH_MISS || verdict == HEARTH__ENVELOPE_OK);
    if (op.status == HEARTH_OK) {
        check_value(&op, &envelope);
    }
    if (op.status != HEARTH_MISS) {
        check_lives(&op, &envelope);
    }
    hearth__buffer_fini(&body);
}

/* By what is known of it, from the header alone: just what is there. */
static void confirm(const unsigned char *bytes, size_t size, int64_t ttl_ms) {
    hearth__remote_op op = {.verb = HEARTH__GET, .key = key, .key_size = KEY_SIZE};
    if (!hearth__envelope_version(bytes, size, &op.known_version)) {
        return;
    }
    if (hearth__envelope_confirm(&op, bytes, size, ttl_ms)) {
        expect(op.found_version == op.known_version && op.status == HEARTH_OK);
        expect(op.found == HEARTH__KIND_VALUE || op.found == HEARTH__KIND_STALE);
    }
    op.known_version++;
    expect(!hearth__envelope_confirm(&op, bytes, size, ttl_ms));
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

/* What is marked stale is that value still. */
static void mark(unsigned char *bytes, size_t size, bool must_have_key) {
    hearth__envelope before;
    hearth__envelope after;
    if (parse(bytes, size, must_have_key, &before) != HEARTH__ENVELOPE_OK ||
        before.kind == HEARTH__KIND_INTEGER) {
        return;
    }
    hearth__envelope_mark(bytes, hearth__envelope_header_size(bytes, size), key, KEY_SIZE);
    expect(parse(bytes, size, must_have_key, &after) == HEARTH__ENVELOPE_OK);
    expect(after.kind == HEARTH__KIND_STALE && after.body_size == before.body_size &&
           after.version == hearth__envelope_marked_version(before.version) &&
           after.version != before.version && after.version >> 16 == before.version >> 16);
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
    int64_t ttl_ms = size != 0 ? (int64_t)data[size - 1] * 1000 - 3 : HEARTH__TTL_NONE;
    for (int i = 0; i < 2; i++) { /* as it is, and with sums that match */
        answer(bytes, size, must_have_key, ttl_ms, false);
        answer(bytes, size, must_have_key, HEARTH__TTL_UNKNOWN, true);
        confirm(bytes, size, ttl_ms);
        seal(bytes, size, must_have_key);
    }
    mark(bytes, size, must_have_key);
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
    bool is_tagged = op.kind == HEARTH__KIND_VALUE && op.content % 2 != 0;
    op.tags = tags;
    op.tags_size = is_tagged ? TAGS_SIZE : 0;
    op.stamp = op.version / 3;
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
    expect(hearth__envelope_is_of(&op, bytes, whole) || with_key);
    expect(envelope.tags_size == op.tags_size &&
           (!is_tagged ||
            (envelope.stamp == op.stamp && memcmp(envelope.tags, tags, TAGS_SIZE) == 0)));
    answer(bytes, whole, with_key, op.ttl_ms, true);
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
