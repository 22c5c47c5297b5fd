/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 400 lines: the whole of the wire format stands in one file. */
#include "remote/envelope.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/stat.h"

#include <endian.h>
#include <string.h>

enum {
    FORMAT = 1,
    FIELD_HEAD = 4, /* type, 0, length */
    FIELD_TAGS = 1,
    FIELD_FULL_KEY = 2,
    FIELD_TOKEN = 4,
    MUST_TAGS = 8,
    MUST_KNOWN = MUST_TAGS, /* the must flags that this version can read */
};

/* Where the header's parts stand. */
enum {
    AT_FORMAT = 4,
    AT_KIND = HEARTH__ENVELOPE_KIND_AT,
    AT_HEADER_SIZE = 6,
    AT_MUST = 8,
    AT_CONTENT = 12,
    AT_VERSION = HEARTH__ENVELOPE_VERSION_AT,
    AT_DELTA = 24,
    AT_SOFT = 28,
    AT_HARD = 32,
    AT_BODY_SUM = 36,
    AT_HEADER_SUM = 40,
};

/* With sizes that are known where it is compiled, each of these is one store or one load. */
static inline void put(unsigned char *at, uint64_t value, size_t bytes) {
    value = htole64(value);
    memcpy(at, &value, bytes);
}

static inline uint64_t take(const unsigned char *at, size_t bytes) {
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return le64toh(value);
}

static uint32_t take32(const unsigned char *at) {
    return (uint32_t)take(at, 4);
}

/* A life counted from the version's time, or none where 32 bits do not hold it. */
static uint32_t life(int64_t age_ms, int64_t ttl_ms) {
    int64_t from_version = age_ms + ttl_ms;
    if (ttl_ms <= 0 || from_version >= (int64_t)HEARTH__ENVELOPE_NO_TTL) {
        return HEARTH__ENVELOPE_NO_TTL;
    }
    return (uint32_t)from_version;
}

/* Over header and fields with the sum's own place zero, and the full key. */
static uint32_t header_sum(const unsigned char *header, size_t size, const void *key,
                           size_t key_size) {
    static const unsigned char zero[4];
    hearth__hash_piece pieces[] = {
        {header, AT_HEADER_SUM},
        {zero, sizeof zero},
        {header + AT_HEADER_SUM + 4, size - AT_HEADER_SUM - 4},
        {key, key_size},
    };
    return (uint32_t)hearth__hash64_pieces(pieces, sizeof pieces / sizeof pieces[0]);
}

static void seal(unsigned char *header, size_t size, const void *key, size_t key_size) {
    put(header + AT_HEADER_SUM, header_sum(header, size, key, key_size), 4);
}

static bool carries_token(const hearth__remote_op *op) {
    return op->kind == HEARTH__KIND_LEASE && op->token != NULL;
}

static bool carries_tags(const hearth__remote_op *op) {
    return op->kind == HEARTH__KIND_VALUE && op->tags_size != 0;
}

size_t hearth__envelope_size(const hearth__remote_op *op, bool with_key) {
    if (op->kind == HEARTH__KIND_INTEGER || op->kind == HEARTH__KIND_FOREIGN) {
        return 0;
    }
    size_t size = carries_token(op) ? HEARTH__ENVELOPE_LEASE : HEARTH__ENVELOPE_HEADER;
    if (carries_tags(op)) {
        size += FIELD_HEAD + HEARTH__ENVELOPE_STAMP + op->tags_size;
    }
    return size + (with_key ? FIELD_HEAD + op->key_size : 0);
}

/* Adds a field, and gives back where the next one goes. */
static unsigned char *put_field(unsigned char *field, unsigned char type, const void *bytes,
                                size_t size) {
    field[0] = type;
    field[1] = 0;
    put(field + 2, size, 2);
    memcpy(field + FIELD_HEAD, bytes, size);
    return field + FIELD_HEAD + size;
}

static unsigned char *put_tags(unsigned char *field, const hearth__remote_op *op) {
    field[0] = FIELD_TAGS;
    field[1] = 0;
    put(field + 2, HEARTH__ENVELOPE_STAMP + op->tags_size, 2);
    put(field + FIELD_HEAD, op->stamp, HEARTH__ENVELOPE_STAMP);
    memcpy(field + FIELD_HEAD + HEARTH__ENVELOPE_STAMP, op->tags, op->tags_size);
    return field + FIELD_HEAD + HEARTH__ENVELOPE_STAMP + op->tags_size;
}

/* All of the header but the sums. */
static void put_head(const hearth__remote_op *op, size_t size, unsigned char *header) {
    memset(header, 0, HEARTH__ENVELOPE_HEADER);
    memcpy(header, HEARTH__ENVELOPE_MAGIC, 4);
    header[AT_FORMAT] = FORMAT;
    header[AT_KIND] = (unsigned char)op->kind;
    put(header + AT_HEADER_SIZE, size, 2);
    put(header + AT_MUST, carries_tags(op) ? MUST_TAGS : 0, 2);
    put(header + AT_CONTENT, op->content, 4);
    put(header + AT_VERSION, op->version, 8);
    put(header + AT_DELTA, op->delta_ms, 4);
    put(header + AT_SOFT, life(op->age_ms, op->soft_ttl_ms), 4);
    put(header + AT_HARD, life(op->age_ms, op->ttl_ms), 4);
}

bool hearth__envelope_is_of(const hearth__remote_op *op, const void *bytes, size_t size) {
    unsigned char header[HEARTH__ENVELOPE_HEADER];
    size_t header_size = hearth__envelope_size(op, false);
    if (header_size == 0 || size < sizeof header) {
        return false;
    }
    put_head(op, header_size, header);
    return memcmp(header, bytes, AT_BODY_SUM) == 0;
}

size_t hearth__envelope_compose(const hearth__remote_op *op, bool with_key,
                                unsigned char *header) {
    size_t size = hearth__envelope_size(op, with_key);
    if (size == 0) {
        return 0;
    }
    put_head(op, size, header);
    put(header + AT_BODY_SUM, hearth__hash64(op->data, op->data_size), 4);
    unsigned char *field = header + HEARTH__ENVELOPE_HEADER;
    if (carries_token(op)) { /* first: servers compare it where it stands */
        field = put_field(field, FIELD_TOKEN, op->token, HEARTH__TOKEN_BYTES);
    }
    if (carries_tags(op)) {
        field = put_tags(field, op);
    }
    if (with_key) {
        (void)put_field(field, FIELD_FULL_KEY, op->key, op->key_size);
    }
    seal(header, size, op->key, op->key_size);
    return size;
}

bool hearth__envelope_is_integer(const void *bytes, size_t size, int64_t *number) {
    const unsigned char *digits = bytes;
    if (size == 0 || size > 19 || (size > 1 && digits[0] == '0')) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(digits[i] - '0'); /* 19 digits fit into 64 bits */
    }
    if (value > INT64_MAX) {
        return false;
    }
    *number = (int64_t)value;
    return true;
}

static bool begins_with_magic(const unsigned char *bytes, size_t size) {
    return size >= 4 && memcmp(bytes, HEARTH__ENVELOPE_MAGIC, 4) == 0;
}

size_t hearth__envelope_header_size(const unsigned char *bytes, size_t size) {
    if (size < HEARTH__ENVELOPE_HEADER || !begins_with_magic(bytes, size) ||
        bytes[AT_FORMAT] != FORMAT) {
        return 0;
    }
    size_t header_size = take(bytes + AT_HEADER_SIZE, 2);
    return header_size >= HEARTH__ENVELOPE_HEADER ? header_size : 0;
}

bool hearth__envelope_version(const void *data, size_t size, uint64_t *version) {
    const unsigned char *bytes = data;
    if (!begins_with_magic(bytes, size) || size < AT_VERSION + 8 || bytes[AT_FORMAT] > FORMAT ||
        (take(bytes + AT_MUST, 2) & ~(uint64_t)MUST_KNOWN) != 0) {
        return false;
    }
    *version = take(bytes + AT_VERSION, 8);
    return true;
}

bool hearth__envelope_has_token(const void *data, size_t size, const unsigned char *token) {
    static const unsigned char head[FIELD_HEAD] = {FIELD_TOKEN, 0, HEARTH__TOKEN_BYTES, 0};
    const unsigned char *bytes = data;
    uint64_t version = 0;
    return size >= HEARTH__ENVELOPE_LEASE && hearth__envelope_version(bytes, size, &version) &&
           bytes[AT_KIND] == HEARTH__KIND_LEASE &&
           memcmp(bytes + HEARTH__ENVELOPE_HEADER, head, sizeof head) == 0 &&
           memcmp(bytes + HEARTH__ENVELOPE_TOKEN_AT, token, HEARTH__TOKEN_BYTES) == 0;
}

/* Whether tags end where their field does. */
static bool tags_fit(const unsigned char *tags, size_t size) {
    size_t at = 0;
    while (at < size && tags[at] != 0) {
        at += 1 + (size_t)tags[at];
    }
    return size != 0 && size <= HEARTH__TAGS_BYTES && at == size;
}

/* Takes the field of tags. */
static bool take_tags(const unsigned char *field, size_t length, hearth__envelope *envelope) {
    if (length < HEARTH__ENVELOPE_STAMP) {
        return false;
    }
    envelope->stamp = take(field, HEARTH__ENVELOPE_STAMP);
    envelope->tags = field + HEARTH__ENVELOPE_STAMP;
    envelope->tags_size = length - HEARTH__ENVELOPE_STAMP;
    return tags_fit(envelope->tags, envelope->tags_size);
}

/* Walks the fields: whether they end where the header does, the full key, if there, is the key, and tags are there if they
 * must be. */
static bool fields_fit(const unsigned char *bytes, size_t header_size, const void *key,
                       size_t key_size, bool must_have_key, hearth__envelope *envelope) {
    bool has_key = false;
    size_t at = HEARTH__ENVELOPE_HEADER;
    while (at < header_size) {
        if (header_size - at < FIELD_HEAD) {
            return false;
        }
        size_t length = take(bytes + at + 2, 2);
        if (length > header_size - at - FIELD_HEAD) {
            return false;
        }
        if (bytes[at] == FIELD_FULL_KEY) {
            has_key = true;
            if (length != key_size || memcmp(bytes + at + FIELD_HEAD, key, key_size) != 0) {
                return false;
            }
        }
        if (bytes[at] == FIELD_TAGS && !take_tags(bytes + at + FIELD_HEAD, length, envelope)) {
            return false;
        }
        at += FIELD_HEAD + length;
    }
    bool must_have_tags = (take(bytes + AT_MUST, 2) & MUST_TAGS) != 0;
    return (has_key || !must_have_key) && must_have_tags == (envelope->tags != NULL);
}

static bool sums_match(const unsigned char *bytes, size_t size, size_t header_size,
                       const void *key, size_t key_size) {
    uint32_t body_sum = (uint32_t)hearth__hash64(bytes + header_size, size - header_size);
    return take32(bytes + AT_HEADER_SUM) == header_sum(bytes, header_size, key, key_size) &&
           take32(bytes + AT_BODY_SUM) == body_sum;
}

static enum hearth__envelope_verdict parse_bare(const unsigned char *bytes, size_t size,
                                                hearth__envelope *envelope) {
    int64_t number = 0;
    envelope->body = bytes;
    envelope->body_size = size;
    if (hearth__envelope_is_integer(bytes, size, &number)) {
        envelope->kind = HEARTH__KIND_INTEGER;
        return HEARTH__ENVELOPE_OK;
    }
    envelope->kind = HEARTH__KIND_FOREIGN;
    return HEARTH__ENVELOPE_FOREIGN;
}

static void take_head(const unsigned char *bytes, hearth__envelope *envelope) {
    envelope->kind = (enum hearth__kind)bytes[AT_KIND];
    envelope->content = take32(bytes + AT_CONTENT);
    envelope->version = take(bytes + AT_VERSION, 8);
    envelope->delta_ms = take32(bytes + AT_DELTA);
    envelope->soft_ms = take32(bytes + AT_SOFT);
    envelope->hard_ms = take32(bytes + AT_HARD);
}

enum hearth__envelope_verdict hearth__envelope_parse(const void *data, size_t size,
                                                     const void *key, size_t key_size,
                                                     bool must_have_key,
                                                     hearth__envelope *envelope) {
    const unsigned char *bytes = data;
    *envelope = (hearth__envelope){.soft_ms = HEARTH__ENVELOPE_NO_TTL,
                                   .hard_ms = HEARTH__ENVELOPE_NO_TTL};
    if (!begins_with_magic(bytes, size)) {
        /* Without a header nothing says which key this is of. */
        return must_have_key ? HEARTH__ENVELOPE_DAMAGED : parse_bare(bytes, size, envelope);
    }
    if (size > AT_FORMAT && bytes[AT_FORMAT] > FORMAT) {
        return HEARTH__ENVELOPE_NEWER;
    }
    if (size >= AT_VERSION + 8) {
        envelope->version = take(bytes + AT_VERSION, 8);
    }
    size_t header_size = hearth__envelope_header_size(bytes, size);
    if (header_size == 0 || header_size > size || bytes[AT_KIND] > HEARTH__KIND_STALE) {
        return HEARTH__ENVELOPE_DAMAGED;
    }
    if ((take(bytes + AT_MUST, 2) & ~(uint64_t)MUST_KNOWN) != 0) {
        return HEARTH__ENVELOPE_NEWER;
    }
    if (!sums_match(bytes, size, header_size, key, key_size) ||
        !fields_fit(bytes, header_size, key, key_size, must_have_key, envelope)) {
        return HEARTH__ENVELOPE_DAMAGED;
    }
    take_head(bytes, envelope);
    envelope->body = bytes + header_size;
    envelope->body_size = size - header_size;
    return HEARTH__ENVELOPE_OK;
}

void hearth__envelope_renew(unsigned char *header, size_t header_size, const void *key,
                            size_t key_size, int64_t age_ms, int64_t soft_ttl_ms,
                            int64_t ttl_ms) {
    put(header + AT_SOFT, life(age_ms, soft_ttl_ms), 4);
    put(header + AT_HARD, life(age_ms, ttl_ms), 4);
    seal(header, header_size, key, key_size);
}

uint64_t hearth__envelope_marked_version(uint64_t version) {
    return (version & ~UINT64_C(0xffff)) | ((version + 1) & 0xffff);
}

void hearth__envelope_mark(unsigned char *header, size_t header_size, const void *key,
                           size_t key_size) {
    uint64_t version = take(header + AT_VERSION, 8);
    header[AT_KIND] = HEARTH__KIND_STALE;
    put(header + AT_VERSION, hearth__envelope_marked_version(version), 8);
    seal(header, header_size, key, key_size);
}

/* `heard_ms`: when it was read, by the wall clock; 0: just now. */
static int64_t age_at(const hearth__envelope *envelope, int64_t server_ttl_ms,
                      int64_t heard_ms) {
    bool has_end = envelope->hard_ms != HEARTH__ENVELOPE_NO_TTL;
    int64_t hard = has_end ? (int64_t)envelope->hard_ms : INT64_MAX;
    if (has_end && server_ttl_ms >= 0 && server_ttl_ms <= hard) {
        return hard - server_ttl_ms;
    }
    int64_t now_ms = heard_ms != 0 ? heard_ms : hearth__wall_ms();
    int64_t age = now_ms - (int64_t)(envelope->version >> 16);
    if (age < 0) {
        return 0;
    }
    return age < hard ? age : hard;
}

int64_t hearth__envelope_age(const hearth__envelope *envelope, int64_t server_ttl_ms) {
    return age_at(envelope, server_ttl_ms, 0);
}

bool hearth__envelope_left(const void *data, size_t size, int64_t *left_ms) {
    const unsigned char *bytes = data;
    uint64_t version = 0;
    if (hearth__envelope_header_size(bytes, size) == 0 ||
        !hearth__envelope_version(bytes, size, &version) ||
        take32(bytes + AT_HARD) == HEARTH__ENVELOPE_NO_TTL) {
        return false;
    }
    int64_t age_ms = hearth__wall_ms() - (int64_t)(version >> 16);
    *left_ms = (int64_t)take32(bytes + AT_HARD) - (age_ms > 0 ? age_ms : 0);
    return true;
}

/* Counts what is refused; true: it is an answer. */
static bool accept(const hearth__remote_config *config, enum hearth__envelope_verdict verdict) {
    switch (verdict) {
    case HEARTH__ENVELOPE_OK:
        return true;
    case HEARTH__ENVELOPE_FOREIGN:
        if (!config->accept_foreign) {
            HEARTH__COUNT(config->counters, values_foreign);
        }
        return config->accept_foreign;
    case HEARTH__ENVELOPE_DAMAGED:
        HEARTH__COUNT(config->counters, values_damaged);
        return false;
    case HEARTH__ENVELOPE_NEWER:
        HEARTH__COUNT(config->counters, values_newer);
        return false;
    }
    return false;
}

static void judge_lives(hearth__remote_op *op, const hearth__envelope *envelope,
                        int64_t server_ttl_ms) {
    /* An integer, or what is not ours, says not when it was written. */
    op->found_age_ms =
        envelope->version != 0 ? age_at(envelope, server_ttl_ms, op->heard_ms) : 0;
    bool has_end = envelope->hard_ms != HEARTH__ENVELOPE_NO_TTL;
    op->left_ms = server_ttl_ms;
    if (server_ttl_ms == HEARTH__TTL_UNKNOWN) {
        op->left_ms =
            has_end ? (int64_t)envelope->hard_ms - op->found_age_ms : HEARTH__TTL_NONE;
    } else if (has_end && server_ttl_ms > (int64_t)envelope->hard_ms) {
        /* PTTL and GET are two commands: a value written between them may live shorter. */
        op->left_ms = (int64_t)envelope->hard_ms;
    }
    op->soft_left_ms = envelope->soft_ms == HEARTH__ENVELOPE_NO_TTL
                           ? INT64_MAX
                           : (int64_t)envelope->soft_ms - op->found_age_ms;
}

/* The body, and behind it, beyond its size, the tags. */
static bool copy_body(hearth__remote_op *op, const hearth__envelope *envelope) {
    hearth__buffer *body = op->body;
    if (body == NULL) {
        return true;
    }
    if ((envelope->tags_size != 0 &&
         !hearth__buffer_reserve(body, envelope->body_size + envelope->tags_size)) ||
        !hearth__buffer_assign(body, envelope->body, envelope->body_size)) {
        return false;
    }
    if (envelope->tags_size != 0) {
        memcpy(body->data + body->size, envelope->tags, envelope->tags_size);
    }
    op->found_tags_size = envelope->tags_size;
    op->found_stamp = envelope->stamp;
    return true;
}

bool hearth__envelope_answer(const hearth__remote_config *config, hearth__remote_op *op,
                             const void *bytes, size_t size, bool must_have_key,
                             int64_t server_ttl_ms, bool server_expires_exactly) {
    hearth__envelope envelope;
    enum hearth__envelope_verdict verdict =
        hearth__envelope_parse(bytes, size, op->key, op->key_size, must_have_key, &envelope);
    op->status = HEARTH_MISS;
    bool is_lease = envelope.kind == HEARTH__KIND_LEASE;
    op->found_version = is_lease ? 0 : envelope.version;
    if (!accept(config, verdict)) {
        return verdict != HEARTH__ENVELOPE_DAMAGED;
    }
    judge_lives(op, &envelope, server_ttl_ms);
    bool over = envelope.hard_ms != HEARTH__ENVELOPE_NO_TTL &&
                op->found_age_ms >= (int64_t)envelope.hard_ms;
    if (over && !server_expires_exactly) {
        return true;
    }
    op->found = envelope.kind;
    if (is_lease) {
        return true;
    }
    op->found_content = envelope.content;
    op->found_delta_ms = envelope.delta_ms;
    if (envelope.kind == HEARTH__KIND_ABSENT) {
        op->status = HEARTH_ABSENT;
        return true;
    }
    op->status = copy_body(op, &envelope) ? HEARTH_OK : HEARTH_E_NOMEM;
    return true;
}

bool hearth__envelope_confirm(hearth__remote_op *op, const void *data, size_t size,
                              int64_t server_ttl_ms) {
    const unsigned char *bytes = data;
    hearth__envelope envelope = {0};
    if (hearth__envelope_header_size(bytes, size) != HEARTH__ENVELOPE_HEADER ||
        (take(bytes + AT_MUST, 2) & ~(uint64_t)MUST_KNOWN) != 0 ||
        take32(bytes + AT_HEADER_SUM) !=
            header_sum(bytes, HEARTH__ENVELOPE_HEADER, op->key, op->key_size)) {
        return false;
    }
    take_head(bytes, &envelope);
    if (envelope.version != op->known_version ||
        (envelope.kind != HEARTH__KIND_VALUE && envelope.kind != HEARTH__KIND_STALE)) {
        return false;
    }
    judge_lives(op, &envelope, server_ttl_ms);
    op->status = HEARTH_OK;
    op->found = envelope.kind;
    op->found_version = envelope.version;
    op->found_content = envelope.content;
    op->found_delta_ms = envelope.delta_ms;
    return true;
}
