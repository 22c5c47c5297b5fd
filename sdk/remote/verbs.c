/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/verbs.h"

#include "remote/envelope.h"

#include <hearth/errors.h>

#include <string.h>

enum hearth__holding hearth__holding_of(const void *data, size_t size) {
    static const enum hearth__holding of_kind[] = {
        [HEARTH__KIND_VALUE] = HEARTH__HOLDS_VALUE,
        [HEARTH__KIND_ABSENT] = HEARTH__HOLDS_ABSENT,
        [HEARTH__KIND_LEASE] = HEARTH__HOLDS_LEASE,
        [HEARTH__KIND_STALE] = HEARTH__HOLDS_STALE,
    };
    const unsigned char *bytes = data;
    int64_t number = 0;
    uint64_t version = 0;
    if (size < 4 || memcmp(bytes, HEARTH__ENVELOPE_MAGIC, 4) != 0) {
        return hearth__envelope_is_integer(bytes, size, &number) ? HEARTH__HOLDS_INTEGER
                                                                 : HEARTH__HOLDS_FOREIGN;
    }
    if (hearth__envelope_header_size(bytes, size) == 0 ||
        !hearth__envelope_version(bytes, size, &version) ||
        bytes[HEARTH__ENVELOPE_KIND_AT] > HEARTH__KIND_STALE) {
        return HEARTH__HOLDS_UNREADABLE;
    }
    return of_kind[bytes[HEARTH__ENVELOPE_KIND_AT]];
}

/* What a verb does to what is there: a column of the table below. */
enum column { ADDS, REPLACES, TOUCHES, COUNTS, DELETES, MARKS, COLUMNS };

static enum column column_of(enum hearth__verb verb) {
    static const unsigned char columns[] = {
        [HEARTH__ADD] = ADDS,         [HEARTH__REPLACE] = REPLACES, [HEARTH__TOUCH] = TOUCHES,
        [HEARTH__INCREMENT] = COUNTS, [HEARTH__DELETE] = DELETES,   [HEARTH__MARK] = MARKS,
    };
    return columns[verb];
}

/* Nothing is stored over what cannot be read, but a SET and, by its version, a SWAP do. */
int32_t hearth__verb_status(enum hearth__verb verb, enum hearth__holding holding) {
    enum { OK = HEARTH_OK, MISS = HEARTH_MISS, EXISTS = HEARTH_EXISTS, TYPE = HEARTH_E_TYPE };
    /* clang-format off */
    static const int32_t table[HEARTH__HOLDINGS][COLUMNS] = {
        /*                            ADDS    REPLACES TOUCHES COUNTS DELETES MARKS */
        [HEARTH__HOLDS_NOTHING]    = {OK,     MISS,    MISS,   MISS,  MISS,   MISS},
        [HEARTH__HOLDS_VALUE]      = {EXISTS, OK,      OK,     TYPE,  OK,     OK},
        [HEARTH__HOLDS_STALE]      = {OK,     OK,      MISS,   TYPE,  OK,     OK},
        [HEARTH__HOLDS_ABSENT]     = {OK,     MISS,    MISS,   MISS,  MISS,   MISS},
        [HEARTH__HOLDS_LEASE]      = {OK,     MISS,    MISS,   MISS,  MISS,   MISS},
        [HEARTH__HOLDS_INTEGER]    = {EXISTS, OK,      OK,     OK,    OK,     TYPE},
        [HEARTH__HOLDS_FOREIGN]    = {EXISTS, OK,      OK,     TYPE,  OK,     TYPE},
        [HEARTH__HOLDS_UNREADABLE] = {EXISTS, MISS,    MISS,   TYPE,  OK,     MISS},
    };
    /* clang-format on */
    switch (verb) {
    case HEARTH__LEASE:
        return holding == HEARTH__HOLDS_NOTHING ? HEARTH_OK : HEARTH_EXISTS;
    case HEARTH__ADD:
    case HEARTH__REPLACE:
    case HEARTH__TOUCH:
    case HEARTH__INCREMENT:
    case HEARTH__DELETE:
    case HEARTH__MARK:
        return table[holding][column_of(verb)];
    default: /* whatever is there */
        return HEARTH_OK;
    }
}

int32_t hearth__swap_status(const void *bytes, size_t size, uint64_t if_version) {
    uint64_t version = 0;
    if (bytes == NULL) {
        return HEARTH_MISS;
    }
    bool known = hearth__envelope_version(bytes, size, &version);
    return known && version == if_version ? HEARTH_OK : HEARTH_CONFLICT;
}

bool hearth__verb_is_of_lease(enum hearth__verb verb) {
    return verb == HEARTH__FILL || verb == HEARTH__EXTEND || verb == HEARTH__RELEASE;
}

int32_t hearth__lease_status(const void *bytes, size_t size, const unsigned char *token) {
    if (bytes == NULL) {
        return HEARTH_MISS;
    }
    return hearth__envelope_has_token(bytes, size, token) ? HEARTH_OK : HEARTH_CONFLICT;
}

int32_t hearth__number_add(int64_t number, int64_t amount, int64_t *sum) {
    if (__builtin_add_overflow(number, amount, sum)) {
        return HEARTH_E_TOO_LARGE; /* not below: `number` is not negative */
    }
    if (*sum < 0) {
        *sum = 0;
    }
    return HEARTH_OK;
}

size_t hearth__number_compose(int64_t number, unsigned char digits[HEARTH__DIGITS_MAX]) {
    unsigned char reversed[HEARTH__DIGITS_MAX];
    size_t size = 0;
    do {
        reversed[size++] = (unsigned char)('0' + number % 10);
        number /= 10;
    } while (number != 0 && size < HEARTH__DIGITS_MAX);
    for (size_t i = 0; i < size; i++) {
        digits[i] = reversed[size - 1 - i];
    }
    return size;
}
