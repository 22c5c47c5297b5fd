/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_parser.h"

#include "remote/memcached_exptime.h"
#include "remote/wire_key.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    NUMBER_MAX_DIGITS = 20,
    KEPT_BYTES = 256 * 1024, /* between two replies */
};

/* No server stores a larger item: beyond, it is no server. */
#define SERVERS_LIMIT (UINT64_C(1) << 30)

#define LINE_END  "\r\n"
#define VALUE_END "\r\nEND\r\n"

/* ---- words of a line ------------------------------------------------------------------------ */

struct token {
    const char *at;
    size_t size;
};

/* What of a line is not read yet. */
struct rest {
    const char *at;
    const char *end;
};

/* Empty at the end of the line. */
static struct token next_token(struct rest *rest) {
    while (rest->at < rest->end && *rest->at == ' ') {
        rest->at++;
    }
    const char *begin = rest->at;
    while (rest->at < rest->end && *rest->at != ' ') {
        rest->at++;
    }
    return (struct token){begin, (size_t)(rest->at - begin)};
}

/* Digits, as a server writes them, of a number up to `most`. */
static bool read_number(struct token token, uint64_t most, uint64_t *number) {
    uint64_t sum = 0;
    if (token.size == 0 || token.size > NUMBER_MAX_DIGITS ||
        (token.size > 1 && token.at[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < token.size; i++) {
        char digit = token.at[i];
        if (digit < '0' || digit > '9' || __builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(digit - '0'), &sum)) {
            return false;
        }
    }
    *number = sum;
    return sum <= most;
}

bool hearth__mc_read_number(const void *digits, size_t size, uint64_t *number) {
    return read_number((struct token){digits, size}, UINT64_MAX, number);
}

static bool read_number32(struct token token, uint32_t *number) {
    uint64_t wide = 0;
    bool read = read_number(token, UINT32_MAX, &wide);
    *number = (uint32_t)wide;
    return read;
}

static bool read_size(struct token token, size_t *size) {
    uint64_t wide = 0;
    bool read = read_number(token, SERVERS_LIMIT, &wide);
    *size = (size_t)wide;
    return read;
}

static bool read_ttl(struct token token, int64_t *ttl_s) {
    uint64_t seconds = 0;
    if (token.size == 2 && memcmp(token.at, "-1", 2) == 0) {
        *ttl_s = HEARTH__MC_FOR_EVER;
        return true;
    }
    bool read = read_number(token, UINT32_MAX, &seconds);
    *ttl_s = (int64_t)seconds;
    return read;
}

static bool read_key(struct token token, hearth__mc_reply *reply) {
    reply->key = token.at;
    reply->key_size = token.size;
    return token.size != 0 && token.size <= HEARTH__WIRE_KEY_MAX;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* A flag of the meta protocol. What we did not ask for says nothing to us. */
static bool read_flag(struct token token, hearth__mc_reply *reply) {
    struct token value = {token.at + 1, token.size - 1};
    switch (token.at[0]) {
    case 'O':
        reply->has_opaque = true;
        return read_number32(value, &reply->opaque);
    case 'c':
        return read_number(value, UINT64_MAX, &reply->cas);
    case 'f':
        return read_number32(value, &reply->flags);
    case 'k':
        return read_key(value, reply);
    case 't':
        return read_ttl(value, &reply->ttl_s);
    case 'W':
    case 'Z':
        reply->promised = true;
        return true;
    case 'X':
        reply->stale = true;
        return true;
    default:
        return true;
    }
}

static bool read_flags(struct rest *rest, hearth__mc_reply *reply) {
    for (struct token token = next_token(rest); token.size != 0; token = next_token(rest)) {
        if (!read_flag(token, reply)) {
            return false;
        }
    }
    return true;
}

static bool read_nothing(struct rest *rest, hearth__mc_reply *reply) {
    (void)reply;
    return next_token(rest).size == 0;
}

static bool read_text(struct rest *rest, hearth__mc_reply *reply) {
    reply->text = rest->at < rest->end ? rest->at + 1 : rest->at;
    reply->text_size = (size_t)(rest->end - reply->text);
    return true;
}

/* VA size flags */
static bool read_va(struct rest *rest, hearth__mc_reply *reply) {
    return read_size(next_token(rest), &reply->data_size) && read_flags(rest, reply);
}

/* VALUE key flags size [cas] */
static bool read_value(struct rest *rest, hearth__mc_reply *reply) {
    if (!read_key(next_token(rest), reply) || !read_number32(next_token(rest), &reply->flags) ||
        !read_size(next_token(rest), &reply->data_size)) {
        return false;
    }
    struct token cas = next_token(rest);
    return cas.size == 0 ||
           (read_number(cas, UINT64_MAX, &reply->cas) && read_nothing(rest, reply));
}

/* The words as they come, and how the rest of their line is read. */
static const struct word {
    const char *name;
    size_t size;
    bool (*read)(struct rest *rest, hearth__mc_reply *reply);
} words[HEARTH__MC_WORDS] = {
    [HEARTH__MC_NUMBER] = {"", 0, read_nothing},
    [HEARTH__MC_HD] = {"HD", 2, read_flags},
    [HEARTH__MC_VA] = {"VA", 2, read_va},
    [HEARTH__MC_EN] = {"EN", 2, read_flags},
    [HEARTH__MC_NS] = {"NS", 2, read_flags},
    [HEARTH__MC_EX] = {"EX", 2, read_flags},
    [HEARTH__MC_NF] = {"NF", 2, read_flags},
    [HEARTH__MC_MN] = {"MN", 2, read_nothing},
    [HEARTH__MC_VALUE] = {"VALUE", 5, read_value},
    [HEARTH__MC_END] = {"END", 3, read_nothing},
    [HEARTH__MC_STORED] = {"STORED", 6, read_nothing},
    [HEARTH__MC_NOT_STORED] = {"NOT_STORED", 10, read_nothing},
    [HEARTH__MC_EXISTS] = {"EXISTS", 6, read_nothing},
    [HEARTH__MC_NOT_FOUND] = {"NOT_FOUND", 9, read_nothing},
    [HEARTH__MC_DELETED] = {"DELETED", 7, read_nothing},
    [HEARTH__MC_TOUCHED] = {"TOUCHED", 7, read_nothing},
    [HEARTH__MC_VERSION] = {"VERSION", 7, read_text},
    [HEARTH__MC_ERROR] = {"ERROR", 5, read_text},
    [HEARTH__MC_CLIENT_ERROR] = {"CLIENT_ERROR", 12, read_text},
    [HEARTH__MC_SERVER_ERROR] = {"SERVER_ERROR", 12, read_text},
};

/* HEARTH__MC_WORDS: none of them. */
static enum hearth__mc_word word_of(struct token token, hearth__mc_reply *reply) {
    enum hearth__mc_word word = HEARTH__MC_HD;
    if (read_number(token, UINT64_MAX, &reply->number)) {
        return HEARTH__MC_NUMBER;
    }
    while (word < HEARTH__MC_WORDS && (words[word].size != token.size ||
                                       memcmp(words[word].name, token.at, token.size) != 0)) {
        word++;
    }
    return word;
}

/* Reads a line of `size` bytes, its end included. */
static bool read_line(const char *line, size_t size, hearth__mc_reply *reply) {
    struct rest rest = {line, line + size - strlen(LINE_END)};
    *reply = (hearth__mc_reply){.ttl_s = HEARTH__MC_NOT_TOLD};
    if (line[0] == ' ') {
        return false;
    }
    reply->word = word_of(next_token(&rest), reply);
    return reply->word != HEARTH__MC_WORDS && words[reply->word].read(&rest, reply);
}

/* ---- replies -------------------------------------------------------------------------------- */

/* Finds the end of the line. HEARTH_OK, HEARTH_MISS: it has not come; HEARTH_E_PROTOCOL. */
static int32_t find_line(hearth__mc_parser *parser, const char *bytes, size_t size,
                         size_t *line) {
    for (size_t at = parser->looked; at < size && at < HEARTH__MC_LINE_MAX; at++) {
        if (bytes[at] == '\n' && at != 0 && bytes[at - 1] == '\r') {
            *line = at + 1;
            return HEARTH_OK;
        }
        bool after_return = at != 0 && bytes[at - 1] == '\r';
        if (after_return || ((unsigned char)bytes[at] < ' ' && bytes[at] != '\r')) {
            return HEARTH_E_PROTOCOL;
        }
    }
    parser->looked = size < HEARTH__MC_LINE_MAX ? size : HEARTH__MC_LINE_MAX;
    return size < HEARTH__MC_LINE_MAX ? HEARTH_MISS : HEARTH_E_PROTOCOL;
}

static const char *end_of_data(const hearth__mc_reply *reply) {
    return reply->word == HEARTH__MC_VALUE ? VALUE_END : LINE_END;
}

static bool has_data(const hearth__mc_reply *reply) {
    return reply->word == HEARTH__MC_VALUE || reply->word == HEARTH__MC_VA;
}

/* How long a reply is whose line was read. */
static int32_t measure(hearth__mc_parser *parser, const hearth__mc_reply *reply, size_t line) {
    parser->total = line;
    if (!has_data(reply)) {
        return HEARTH_OK;
    }
    if (reply->data_size > parser->limit) {
        return HEARTH_E_TOO_LARGE;
    }
    parser->total += reply->data_size + strlen(end_of_data(reply));
    return HEARTH_OK;
}

/* Looks at a reply from its first byte on. HEARTH_OK: it is complete; HEARTH_MISS: not yet. */
static int32_t examine(hearth__mc_parser *parser, const char *bytes, size_t size,
                       hearth__mc_reply *reply) {
    size_t line = 0;
    if (size < parser->total) {
        return HEARTH_MISS;
    }
    int32_t status = find_line(parser, bytes, size, &line);
    if (status == HEARTH_OK && !read_line(bytes, line, reply)) {
        status = HEARTH_E_PROTOCOL;
    }
    if (status == HEARTH_OK) {
        status = measure(parser, reply, line);
    }
    if (status != HEARTH_OK || !has_data(reply)) {
        return status;
    }
    if (size < parser->total) {
        return HEARTH_MISS;
    }
    reply->data = bytes + line;
    const char *end = end_of_data(reply);
    bool ends = memcmp(bytes + line + reply->data_size, end, strlen(end)) == 0;
    return ends ? HEARTH_OK : HEARTH_E_PROTOCOL;
}

static int32_t hear(hearth__mc_parser *parser, const hearth__mc_reply *reply,
                    hearth__mc_hearer *hearer, void *arg) {
    parser->looked = 0;
    parser->total = 0;
    return hearer(arg, reply) ? HEARTH_OK : HEARTH_E_PROTOCOL;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static int32_t hold(hearth__mc_parser *parser, const char *bytes, size_t size) {
    bool room = hearth__buffer_reserve(&parser->held, parser->total) &&
                hearth__buffer_append(&parser->held, bytes, size);
    return room ? HEARTH_OK : HEARTH_E_NOMEM;
}

/* How many of these bytes belong to the reply that is held, as far as that is known. */
static size_t part_of_held(const hearth__mc_parser *parser, const char *bytes, size_t size) {
    if (parser->total != 0) {
        size_t missing = parser->total - parser->held.size;
        return missing < size ? missing : size;
    }
    size_t most = size < HEARTH__MC_LINE_MAX ? size : HEARTH__MC_LINE_MAX;
    const char *end = memchr(bytes, '\n', most);
    return end != NULL ? (size_t)(end - bytes) + 1 : most;
}

/* Goes on with the reply that is held; *used: how many of the bytes are its own. */
static int32_t feed_held(hearth__mc_parser *parser, const char *bytes, size_t size,
                         size_t *used, hearth__mc_hearer *hearer, void *arg) {
    hearth__mc_reply reply;
    *used = part_of_held(parser, bytes, size);
    int32_t status = hold(parser, bytes, *used);
    if (status == HEARTH_OK) {
        status = examine(parser, (const char *)parser->held.data, parser->held.size, &reply);
    }
    if (status == HEARTH_OK) {
        status = hear(parser, &reply, hearer, arg);
        parser->held.size = 0;
    }
    return status;
}

/* Shows a reply where it lies, or holds what there is of it. */
static int32_t feed_fresh(hearth__mc_parser *parser, const char *bytes, size_t size,
                          size_t *used, hearth__mc_hearer *hearer, void *arg) {
    hearth__mc_reply reply;
    int32_t status = examine(parser, bytes, size, &reply);
    *used = status == HEARTH_OK ? parser->total : size;
    if (status == HEARTH_OK) {
        return hear(parser, &reply, hearer, arg);
    }
    return status == HEARTH_MISS ? hold(parser, bytes, size) : status;
}

int32_t hearth__mc_parser_feed(hearth__mc_parser *parser, const void *bytes, size_t size,
                               hearth__mc_hearer *hearer, void *arg) {
    const char *at = bytes;
    while (size != 0 && parser->failure == HEARTH_OK) {
        size_t used = 0;
        int32_t status = parser->held.size != 0
                             ? feed_held(parser, at, size, &used, hearer, arg)
                             : feed_fresh(parser, at, size, &used, hearer, arg);
        if (status < 0) {
            parser->failure = status;
        }
        at += used;
        size -= used;
    }
    return parser->failure;
}

void hearth__mc_parser_fini(hearth__mc_parser *parser) {
    hearth__buffer_fini(&parser->held);
}

size_t hearth__mc_parser_under_way(const hearth__mc_parser *parser) {
    return parser->held.size != 0 ? parser->total : 0;
}

bool hearth__mc_parser_is_empty(const hearth__mc_parser *parser) {
    return parser->held.size == 0;
}

void hearth__mc_parser_trim(hearth__mc_parser *parser) {
    if (parser->held.size == 0 && parser->held.capacity > KEPT_BYTES) {
        hearth__buffer_fini(&parser->held);
    }
}
