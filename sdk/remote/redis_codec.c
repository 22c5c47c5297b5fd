/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_codec.h"

#include "base/memory.h"
#include "remote/envelope.h"
#include "remote/redis_canary.h"
#include "remote/redis_command.h"
#include "remote/redis_greeting.h"
#include "remote/redis_node.h"
#include "remote/redis_verbs.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    PIECE_BYTES = 2048,       /* of what is parsed at once, */
    MANY_BYTES = 16 * 1024,   /* unless it comes in large reads, for one large reply */
    REPLY_EXTRA_BYTES = 4096, /* what a reply may be longer than a value's body */
};

/* ---- the parser ----------------------------------------------------------------------------- */

static int32_t open_parser(void *node, void **out) {
    const hearth__node *own = node;
    hearth__redis_parser *parser = hearth__alloc(sizeof *parser);
    if (parser == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = hearth__redis_parser_init(parser, own->config.remote->max_value_bytes +
                                                           REPLY_EXTRA_BYTES);
    if (status != HEARTH_OK) {
        hearth__free(parser);
        return status;
    }
    *out = parser;
    return HEARTH_OK;
}

static void close_parser(void *parser) {
    hearth__redis_parser_fini(parser);
    hearth__free(parser);
}

/* What hearth__redis_parser_next() gives a reply to. */
struct audience {
    hearth__hearer *hearer;
    void *arg;
};

static bool pass_on(void *arg, const hearth__redis_reply *reply) {
    const struct audience *audience = arg;
    return audience->hearer(audience->arg, reply);
}

static int32_t parse_piece(hearth__redis_parser *parser, const void *bytes, size_t size,
                           struct audience *audience) {
    int32_t status = hearth__redis_parser_feed(parser, bytes, size);
    while (status == HEARTH_OK) {
        status = hearth__redis_parser_next(parser, pass_on, audience);
    }
    return status == HEARTH_MISS ? HEARTH_OK : status;
}

/* hiredis moves all that lies behind a reply, one in so many bytes of them: little by little, that is little. */
static int32_t parse(void *parser, const void *bytes, size_t size, hearth__hearer *hearer,
                     void *arg) {
    struct audience audience = {.hearer = hearer, .arg = arg};
    const unsigned char *from = bytes;
    size_t piece = size <= MANY_BYTES ? PIECE_BYTES : size;
    int32_t status = HEARTH_OK;
    for (size_t at = 0; status == HEARTH_OK && at < size; at += piece) {
        size_t left = size - at;
        status = parse_piece(parser, from + at, left < piece ? left : piece, &audience);
    }
    return status;
}

static bool is_empty(const void *parser) {
    return hearth__redis_parser_is_empty(parser);
}

static size_t under_way(const void *parser) {
    return hearth__redis_parser_under_way(parser);
}

static void trim(void *parser) {
    hearth__redis_parser_trim(parser);
}

void hearth__redis_copy_code(hearth__kept kept, char code[HEARTH__REDIS_CODE_SIZE]) {
    const char *text = kept.bytes;
    size_t at = 0;
    for (; at < kept.size && at < HEARTH__REDIS_CODE_SIZE - 1; at++) {
        if ((text[at] < 'A' || text[at] > 'Z') && text[at] != '_') {
            break;
        }
        code[at] = text[at];
    }
    memset(code + at, 0, HEARTH__REDIS_CODE_SIZE - at);
}

/* ---- hearing -------------------------------------------------------------------------------- */

static bool is_expected(uint32_t asked, int type) {
    switch ((enum hearth__redis_asked)asked) {
    case HEARTH__REDIS_ASKED_GET:
    case HEARTH__REDIS_ASKED_TTL_GET:
        return type == REDIS_REPLY_STRING || type == REDIS_REPLY_NIL;
    case HEARTH__REDIS_ASKED_SET_NEW:
        return type == REDIS_REPLY_STATUS || type == REDIS_REPLY_NIL;
    case HEARTH__REDIS_ASKED_SCRIPT:
        return type == REDIS_REPLY_INTEGER || type == REDIS_REPLY_STRING;
    case HEARTH__REDIS_ASKED_STRING:
        return type == REDIS_REPLY_STRING;
    case HEARTH__REDIS_ASKED_INTEGER:
        return type == REDIS_REPLY_INTEGER;
    case HEARTH__REDIS_ASKED_SET:
    case HEARTH__REDIS_ASKED_STATUS:
        return type == REDIS_REPLY_STATUS;
    case HEARTH__REDIS_ASKED_EXEC:
        return type == REDIS_REPLY_ARRAY || type == REDIS_REPLY_NIL;
    }
    return false;
}

static bool is_ok(const hearth__redis_reply *reply) {
    return reply->size == 2 && memcmp(reply->text, "OK", 2) == 0;
}

/* A script's verdict, or a sum. */
static bool fits_script(enum hearth__verb verb, const hearth__redis_reply *reply) {
    int64_t sum = 0;
    if (reply->type == REDIS_REPLY_INTEGER) {
        return hearth__redis_verdict(verb, reply->integer) != HEARTH_E_PROTOCOL;
    }
    return verb == HEARTH__INCREMENT &&
           hearth__envelope_is_integer(reply->text, reply->size, &sum);
}

static bool fits(const hearth__notes *notes, const hearth__redis_reply *reply) {
    if (!is_expected(notes->asked, reply->type)) {
        return false;
    }
    if (notes->asked == HEARTH__REDIS_ASKED_SET ||
        notes->asked == HEARTH__REDIS_ASKED_SET_NEW) {
        return reply->type == REDIS_REPLY_NIL || is_ok(reply);
    }
    return notes->asked != HEARTH__REDIS_ASKED_SCRIPT ||
           fits_script((enum hearth__verb)notes->flags, reply);
}

static void note_elements(hearth__notes *notes, const hearth__redis_reply *reply) {
    for (size_t i = 0; i < reply->count; i++) {
        if (reply->elements[i].type == REDIS_REPLY_ERROR && notes->status == HEARTH_OK) {
            notes->status = reply->elements[i].status;
        }
    }
}

static enum hearth__heard hear_ttl(hearth__notes *notes, const hearth__redis_reply *reply) {
    if (reply->type == REDIS_REPLY_ERROR) {
        notes->status = reply->status;
        return HEARTH__HEARD_MORE;
    }
    notes->ttl_ms = reply->integer;
    bool is_life = reply->type == REDIS_REPLY_INTEGER && reply->integer >= -2;
    return is_life ? HEARTH__HEARD_MORE : HEARTH__HEARD_NONSENSE;
}

/* An error's code, since its words are gone when it is asked for. */
static void note_error(hearth__notes *notes, const hearth__redis_reply *reply) {
    const hearth__kept words = {.bytes = reply->text, .size = reply->size};
    char code[HEARTH__REDIS_CODE_SIZE];
    hearth__redis_copy_code(words, code);
    notes->opaque = hearth__redis_refuses_scripts(notes, words);
    memcpy(&notes->cas, code, sizeof notes->cas);
}

/* The look behind a store that was answered. */
static enum hearth__heard hear_look(hearth__notes *notes, const hearth__redis_reply *reply,
                                    hearth__kept *kept) {
    enum { TTL = 1 };
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    if (notes->heard++ == TTL) {
        notes->ttl_ms = is_error ? -2 : reply->integer;
        bool is_life = reply->type == REDIS_REPLY_INTEGER && reply->integer >= -2;
        return is_error || is_life ? HEARTH__HEARD_MORE : HEARTH__HEARD_NONSENSE;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        *kept = (hearth__kept){.bytes = reply->text, .size = reply->size};
    }
    return is_error || reply->type == REDIS_REPLY_STRING ? HEARTH__HEARD_ALL
                                                         : HEARTH__HEARD_NONSENSE;
}

static enum hearth__heard hear_answer(hearth__notes *notes, const void *heard, bool half_sent,
                                      hearth__kept *kept) {
    const hearth__redis_reply *reply = heard;
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    if (half_sent && !is_error) {
        return HEARTH__HEARD_NONSENSE; /* nobody can have answered it */
    }
    if (notes->asked == HEARTH__REDIS_ASKED_TTL_GET && notes->heard++ == 0) {
        return hear_ttl(notes, reply);
    }
    if (!is_error && !fits(notes, reply)) {
        return HEARTH__HEARD_NONSENSE;
    }
    notes->answer = (uint32_t)reply->type;
    notes->number = reply->integer;
    if (is_error && notes->status == HEARTH_OK) {
        notes->status = reply->status;
    }
    note_elements(notes, reply);
    if (is_error || reply->type == REDIS_REPLY_STRING) {
        *kept = (hearth__kept){.bytes = reply->text, .size = reply->size};
    }
    return HEARTH__HEARD_ALL;
}

static enum hearth__heard hear(hearth__notes *notes, const void *heard, bool half_sent,
                               hearth__kept *kept) {
    if (!notes->checks || half_sent) {
        return hear_answer(notes, heard, half_sent, kept);
    }
    if (notes->heard != 0) {
        return hear_look(notes, heard, kept);
    }
    enum hearth__heard answered = hear_answer(notes, heard, half_sent, kept);
    notes->heard = 1;
    if (notes->answer == REDIS_REPLY_ERROR) {
        note_error(notes, heard);
    }
    *kept = (hearth__kept){0};
    return answered == HEARTH__HEARD_ALL ? HEARTH__HEARD_MORE : answered;
}

/* ---- the codec ------------------------------------------------------------------------------ */

static void ended(void *node, int32_t status) {
    if (status == HEARTH_E_PROTOCOL) {
        hearth__redis_complain(node, status, "sent what is no answer of a Redis server", "", 0);
    } else if (status == HEARTH_E_TOO_LARGE) {
        hearth__redis_complain(node, status, "has a value over remote.max_value_bytes", "", 0);
    }
}

const hearth__codec hearth__redis_codec = {
    .server = "Redis",
    .open = open_parser,
    .close = close_parser,
    .parse = parse,
    .is_empty = is_empty,
    .under_way = under_way,
    .trim = trim,
    .hear = hear,
    .greet = hearth__redis_greet,
    .welcome = hearth__redis_welcome,
    .ping = hearth__redis_ping,
    .canary = hearth__redis_canary,
    .take_canary = hearth__redis_take_canary,
    .redirect = hearth__redis_redirect,
    .redirected = hearth__redis_redirected,
    .ended = ended,
};
