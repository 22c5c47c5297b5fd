/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/push_parser.h"

#include "base/memory.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    LINE_MAX_BYTES = 4096, /* of everything that is not a string */
    NUMBER_DIGITS = 20,    /* a sign and 19 digits */
    DEPTH_MAX = 2,         /* the keys of a message */
};

/* No server takes a longer string (proto-max-bulk-len): beyond, it is no server. */
#define STRING_MAX (INT64_C(512) * 1024 * 1024)
#define ARRAY_MAX  INT64_C(0x7fffffff)

/* What comes next. */
enum state { A_TYPE, A_LINE, A_LINES_END, BYTES_OF_STRING, A_STRINGS_RETURN, A_STRINGS_END };

/* What an array is, by its first element. */
enum word { UNKNOWN, MESSAGE, SUBSCRIBE, PONG };

struct hearth__push_parser {
    enum state state;
    char type;
    size_t line_size; /* what came of it, not all of which is kept */
    char line[HEARTH__PUSH_WORDS];
    uint64_t left;              /* bytes of the string that are still to come */
    size_t kept;                /* bytes of the string in `key` */
    bool too_long;              /* it has more than that */
    size_t depth;               /* arrays that are not complete */
    int64_t missing[DEPTH_MAX]; /* their elements that are still to come */
    enum word word;             /* of the outer one */
    int64_t at;                 /* its element that comes next */
    size_t key_max;
    unsigned char key[];
};

/* Who gets what was said. */
struct audience {
    hearth__push_taker *taker;
    void *arg;
};

hearth__push_parser *hearth__push_parser_create(size_t key_max) {
    hearth__push_parser *parser = hearth__alloc(sizeof *parser + key_max);
    if (parser != NULL) {
        parser->key_max = key_max;
        hearth__push_parser_reset(parser);
    }
    return parser;
}

void hearth__push_parser_destroy(hearth__push_parser *parser) {
    hearth__free(parser);
}

void hearth__push_parser_reset(hearth__push_parser *parser) {
    size_t key_max = parser->key_max;
    memset(parser, 0, sizeof *parser);
    parser->key_max = key_max;
}

static bool give(const struct audience *audience, enum hearth__push_kind kind, int64_t number,
                 const void *bytes, size_t size) {
    const hearth__push push = {.kind = kind, .number = number, .bytes = bytes, .size = size};
    return audience->taker(audience->arg, &push);
}

/* ---- what is complete ------------------------------------------------------------------- */

/* An element, or all that was said, is complete. */
static bool complete(hearth__push_parser *parser, const struct audience *audience) {
    parser->state = A_TYPE;
    while (parser->depth != 0) {
        parser->at += parser->depth == 1;
        if (--parser->missing[parser->depth - 1] != 0) {
            return true;
        }
        parser->depth--;
    }
    return parser->word != PONG || give(audience, HEARTH__PUSH_PONG, 0, NULL, 0);
}

/* Whether it is what a message says changed. */
static bool is_payload(const hearth__push_parser *parser) {
    return parser->depth == DEPTH_MAX ||
           (parser->depth == 1 && parser->word == MESSAGE && parser->at == 2);
}

static bool take_nil(hearth__push_parser *parser, const struct audience *audience) {
    return parser->depth == 1 && is_payload(parser) &&
           give(audience, HEARTH__PUSH_ALL, 0, NULL, 0) && complete(parser, audience);
}

static bool is_word(const hearth__push_parser *parser, const char *word) {
    return parser->kept == strlen(word) && memcmp(parser->key, word, parser->kept) == 0;
}

/* The first element: it says what the others are. */
static bool take_word(hearth__push_parser *parser) {
    static const struct {
        const char *text;
        enum word word;
        int64_t elements;
    } words[] = {{"message", MESSAGE, 3}, {"subscribe", SUBSCRIBE, 3}, {"pong", PONG, 2}};
    for (size_t i = 0; i < sizeof words / sizeof words[0] && !parser->too_long; i++) {
        if (is_word(parser, words[i].text)) {
            parser->word = words[i].word;
            return parser->missing[0] == words[i].elements;
        }
    }
    return false;
}

static bool take_string(hearth__push_parser *parser, const struct audience *audience) {
    bool good = true;
    if (is_payload(parser)) {
        good =
            parser->too_long || give(audience, HEARTH__PUSH_KEY, 0, parser->key, parser->kept);
    } else if (parser->at == 0) {
        good = take_word(parser);
    } else {
        good = parser->at == 1; /* the channel, or what a ping said */
    }
    return good && complete(parser, audience);
}

static bool take_number(hearth__push_parser *parser, const struct audience *audience,
                        int64_t number) {
    if (parser->depth == 0) {
        return give(audience, HEARTH__PUSH_NUMBER, number, NULL, 0);
    }
    return parser->depth == 1 && parser->word == SUBSCRIBE && parser->at == 2 &&
           give(audience, HEARTH__PUSH_SUBSCRIBED, number, NULL, 0) &&
           complete(parser, audience);
}

static bool take_words(const hearth__push_parser *parser, const struct audience *audience) {
    size_t size =
        parser->line_size < sizeof parser->line ? parser->line_size : sizeof parser->line;
    return parser->depth == 0 &&
           give(audience, parser->type == '+' ? HEARTH__PUSH_STATUS : HEARTH__PUSH_ERROR, 0,
                parser->line, size);
}

/* ---- what is announced ------------------------------------------------------------------ */

static bool begin_string(hearth__push_parser *parser, const struct audience *audience,
                         int64_t size) {
    if (size == -1) {
        return take_nil(parser, audience);
    }
    if (size < 0 || size > STRING_MAX || parser->depth == 0) {
        return false;
    }
    parser->left = (uint64_t)size;
    parser->kept = 0;
    parser->too_long = (uint64_t)size > parser->key_max;
    parser->state = size != 0 ? BYTES_OF_STRING : A_STRINGS_RETURN;
    return true;
}

static bool begin_array(hearth__push_parser *parser, const struct audience *audience,
                        int64_t elements) {
    if (elements == -1) {
        return take_nil(parser, audience);
    }
    if (elements < 0 || elements > ARRAY_MAX || parser->depth == DEPTH_MAX) {
        return false;
    }
    if (parser->depth == 0) {
        parser->word = UNKNOWN;
        parser->at = 0;
        if (elements != 2 && elements != 3) {
            return false;
        }
    } else if (!is_payload(parser)) {
        return false;
    } else if (elements == 0) {
        return complete(parser, audience);
    }
    parser->missing[parser->depth++] = elements;
    return true;
}

/* A whole number in the line: canonical digits, but for zeros before them. */
static bool number_of(const hearth__push_parser *parser, int64_t *number) {
    bool negative = parser->line_size != 0 && parser->line[0] == '-';
    int64_t value = 0;
    if (parser->line_size == negative || parser->line_size > NUMBER_DIGITS) {
        return false;
    }
    for (size_t i = negative; i < parser->line_size; i++) {
        int digit = parser->line[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) {
            return false;
        }
    }
    if (negative) {
        *number = value;
        return true;
    }
    return !__builtin_sub_overflow(0, value, number);
}

static bool take_line(hearth__push_parser *parser, const struct audience *audience) {
    int64_t number = 0;
    parser->state = A_TYPE;
    if (parser->type == '+' || parser->type == '-') {
        return take_words(parser, audience);
    }
    if (!number_of(parser, &number)) {
        return false;
    }
    return parser->type == ':'   ? take_number(parser, audience, number)
           : parser->type == '$' ? begin_string(parser, audience, number)
                                 : begin_array(parser, audience, number);
}

/* ---- bytes ------------------------------------------------------------------------------ */

static bool begin_line(hearth__push_parser *parser, char type) {
    parser->type = type;
    parser->line_size = 0;
    parser->state = A_LINE;
    return type == '+' || type == '-' || type == ':' || type == '$' || type == '*';
}

static bool add_to_line(hearth__push_parser *parser, char byte) {
    if (byte == '\r') {
        parser->state = A_LINES_END;
        return true;
    }
    if (parser->line_size < sizeof parser->line) {
        parser->line[parser->line_size] = byte;
    }
    bool is_number = parser->type == ':' || parser->type == '$' || parser->type == '*';
    return byte != '\n' &&
           ++parser->line_size <= (is_number ? (size_t)NUMBER_DIGITS : LINE_MAX_BYTES);
}

static bool take_byte(hearth__push_parser *parser, const struct audience *audience, char byte) {
    switch (parser->state) {
    case A_TYPE:
        return begin_line(parser, byte);
    case A_LINE:
        return add_to_line(parser, byte);
    case A_LINES_END:
        return byte == '\n' && take_line(parser, audience);
    case A_STRINGS_RETURN:
        parser->state = A_STRINGS_END;
        return byte == '\r';
    case A_STRINGS_END:
        return byte == '\n' && take_string(parser, audience);
    case BYTES_OF_STRING:
        break;
    }
    return false;
}

/* How many bytes were the string's. */
static size_t take_bytes(hearth__push_parser *parser, const unsigned char *bytes, size_t size) {
    size_t taken = size < parser->left ? size : (size_t)parser->left;
    if (!parser->too_long) {
        memcpy(parser->key + parser->kept, bytes, taken);
        parser->kept += taken;
    }
    parser->left -= taken;
    if (parser->left == 0) {
        parser->state = A_STRINGS_RETURN;
    }
    return taken;
}

int32_t hearth__push_parser_feed(hearth__push_parser *parser, const void *bytes, size_t size,
                                 hearth__push_taker *taker, void *arg) {
    const struct audience audience = {.taker = taker, .arg = arg};
    const unsigned char *at = bytes;
    const unsigned char *end = at + size;
    while (at != end) {
        if (parser->state == BYTES_OF_STRING) {
            at += take_bytes(parser, at, (size_t)(end - at));
        } else if (!take_byte(parser, &audience, (char)*at++)) {
            return HEARTH_E_PROTOCOL;
        }
    }
    return HEARTH_OK;
}
