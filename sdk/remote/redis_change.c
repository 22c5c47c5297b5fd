/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_change.h"

#include "remote/verbs.h"

#include <hearth/errors.h>

#include <string.h>

enum { SOFT_AT = 28, HARD_AT = 32 }; /* lives in the header */

static const void *bytes_of(const hearth__redis_sight *sight) {
    return sight->bytes.data != NULL ? (const void *)sight->bytes.data : "";
}

static enum hearth__holding holding_of(const hearth__redis_sight *sight) {
    return sight->ttl_ms == -2 ? HEARTH__HOLDS_NOTHING
                               : hearth__holding_of(bytes_of(sight), sight->bytes.size);
}

size_t hearth__redis_sight_wanted(const hearth__redis_sight *sight,
                                  const hearth__remote_op *op) {
    enum hearth__holding holding = holding_of(sight);
    bool renews =
        (op->verb == HEARTH__TOUCH && holding == HEARTH__HOLDS_VALUE) ||
        (op->verb == HEARTH__MARK && hearth__verb_status(op->verb, holding) == HEARTH_OK);
    return renews ? hearth__envelope_header_size(sight->bytes.data, sight->bytes.size) : 0;
}

static uint32_t take32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static int64_t ttl_of(uint32_t life) {
    return life == HEARTH__ENVELOPE_NO_TTL ? 0 : (int64_t)life;
}

/* Whether the header is whole and of this key: sealed anew with its own lives it must be the
 * same. New sums would vouch for anything else. */
static bool is_sound(const unsigned char *header, size_t header_size,
                     const hearth__remote_op *op, unsigned char *scratch) {
    memcpy(scratch, header, header_size);
    hearth__envelope_renew(scratch, header_size, op->key, op->key_size, 0,
                           ttl_of(take32(header + SOFT_AT)), ttl_of(take32(header + HARD_AT)));
    return memcmp(scratch, header, header_size) == 0;
}

/* The value's header with new lives, or its mark: HEARTH_OK; HEARTH_MISS: it is damaged or newer. */
static int32_t renew(const hearth__remote_op *op, hearth__redis_sight *sight,
                     unsigned char *renewed) {
    size_t size = sight->bytes.size;
    size_t header_size = hearth__envelope_header_size(sight->bytes.data, size);
    hearth__envelope envelope = {0};
    if (header_size > size ||
        !hearth__envelope_version(sight->bytes.data, size, &envelope.version)) {
        return HEARTH_MISS;
    }
    if (!hearth__buffer_reserve(&sight->bytes, size + header_size)) {
        return HEARTH_E_NOMEM;
    }
    const unsigned char *header = sight->bytes.data;
    unsigned char *scratch = sight->bytes.data + size;
    if (!is_sound(header, header_size, op, scratch)) {
        return HEARTH_MISS;
    }
    if (op->verb == HEARTH__MARK) {
        hearth__envelope_mark(scratch, header_size, op->key, op->key_size);
    } else {
        envelope.hard_ms = take32(header + HARD_AT);
        int64_t age_ms = hearth__envelope_age(&envelope, sight->ttl_ms);
        hearth__envelope_renew(scratch, header_size, op->key, op->key_size, age_ms,
                               op->soft_ttl_ms, op->ttl_ms);
    }
    memcpy(renewed, scratch, HEARTH__ENVELOPE_HEADER);
    return HEARTH_OK;
}

static hearth__redis_command *add(hearth__redis_change *change, const char *verb,
                                  const hearth__remote_op *op) {
    hearth__redis_command *command = &change->commands[change->count++];
    hearth__redis_verb(command, verb, op);
    return command;
}

static void rewrite_header(const hearth__remote_op *op, hearth__redis_sight *sight,
                           hearth__redis_change *change) {
    change->status = renew(op, sight, change->header.bytes);
    if (change->status == HEARTH_OK) {
        change->renews = true;
        hearth__redis_command *command = add(change, "SETRANGE", op);
        hearth__redis_text(command, "0");
        hearth__redis_word(command, change->header.bytes, HEARTH__ENVELOPE_HEADER);
    }
}

/* What is no value, or a damaged one, must not stay as it is: who made it knew nothing of what the mark is for. */
static void decide_mark(hearth__remote_op *op, hearth__redis_sight *sight,
                        hearth__redis_change *change) {
    if (change->status == HEARTH_OK) {
        rewrite_header(op, sight, change);
    }
    if (change->status == HEARTH_OK) {
        (void)hearth__envelope_version(sight->bytes.data, sight->bytes.size,
                                       &op->found_version);
    } else if (change->status == HEARTH_MISS && holding_of(sight) != HEARTH__HOLDS_NOTHING) {
        (void)add(change, "DEL", op);
    }
}

static void decide_touch(const hearth__remote_op *op, hearth__redis_sight *sight,
                         hearth__redis_change *change) {
    if (holding_of(sight) == HEARTH__HOLDS_VALUE) {
        rewrite_header(op, sight, change);
        if (change->status != HEARTH_OK) {
            return;
        }
    }
    if (op->ttl_ms == 0) {
        (void)add(change, "PERSIST", op);
    } else {
        hearth__redis_integer(add(change, "PEXPIRE", op), op->ttl_ms, &change->numbers[0]);
    }
}

/* The difference is added, also at the floor: so the key keeps its life. */
static void decide_increment(const hearth__remote_op *op, const hearth__redis_sight *sight,
                             hearth__redis_change *change) {
    int64_t number = 0;
    (void)hearth__envelope_is_integer(bytes_of(sight), sight->bytes.size, &number);
    change->status = hearth__number_add(number, op->number, &change->sum);
    if (change->status == HEARTH_OK) {
        hearth__redis_integer(add(change, "INCRBY", op), change->sum - number,
                              &change->numbers[0]);
    }
}

static void decide_store(const hearth__remote_op *op, hearth__redis_change *change) {
    hearth__redis_set(&change->commands[0], op, &change->header, &change->numbers[0]);
    change->count = 1;
}

static int32_t status_over(const hearth__remote_op *op, const hearth__redis_sight *sight) {
    enum hearth__holding holding = holding_of(sight);
    const void *bytes = holding != HEARTH__HOLDS_NOTHING ? bytes_of(sight) : NULL;
    if (hearth__verb_is_of_lease(op->verb)) {
        return hearth__lease_status(bytes, sight->bytes.size, op->token);
    }
    if (op->verb != HEARTH__SWAP) {
        return hearth__verb_status(op->verb, holding);
    }
    return hearth__swap_status(bytes, sight->bytes.size, op->if_version);
}

void hearth__redis_decide(hearth__remote_op *op, hearth__redis_sight *sight,
                          hearth__redis_change *change) {
    *change = (hearth__redis_change){.status = status_over(op, sight)};
    if (op->verb == HEARTH__DELETE) { /* also what is no value */
        if (holding_of(sight) != HEARTH__HOLDS_NOTHING) {
            (void)add(change, "DEL", op);
        }
    } else if (op->verb == HEARTH__MARK) {
        decide_mark(op, sight, change);
    } else if (change->status != HEARTH_OK) {
        return;
    } else if (op->verb == HEARTH__TOUCH) {
        decide_touch(op, sight, change);
    } else if (op->verb == HEARTH__INCREMENT) {
        decide_increment(op, sight, change);
    } else if (op->verb == HEARTH__EXTEND) {
        hearth__redis_integer(add(change, "PEXPIRE", op), op->ttl_ms, &change->numbers[0]);
    } else if (op->verb == HEARTH__RELEASE) {
        (void)add(change, "DEL", op);
    } else {
        decide_store(op, change);
    }
}
