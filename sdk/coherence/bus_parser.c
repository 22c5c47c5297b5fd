/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/bus_parser.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    LINE_MAX_BYTES = 1024,
    STRING_LIMIT = 512 * 1024 * 1024, /* Redis's own */
    ARRAY_LIMIT = 1024 * 1024,
    END_BYTES = 2, /* CR LF */
};

void hearth__bus_parser_reset(hearth__bus_parser *parser) {
    parser->in.size = 0;
    parser->at = 0;
    parser->skip = 0;
}

void hearth__bus_parser_fini(hearth__bus_parser *parser) {
    hearth__buffer_fini(&parser->in);
}

/* What was told already makes room. */
unsigned char *hearth__bus_parser_room(hearth__bus_parser *parser) {
    hearth__buffer *in = &parser->in;
    size_t left = in->size - parser->at;
    if (left != 0) {
        memmove(in->data, in->data + parser->at, left);
    }
    in->size = left;
    parser->at = 0;
    return hearth__buffer_reserve(in, left + HEARTH__BUS_CHUNK) ? in->data + left : NULL;
}

void hearth__bus_parser_take(hearth__bus_parser *parser, size_t size) {
    parser->in.size += size;
}

/* ---- tokens ----------------------------------------------------------------------------- */

static bool skip(hearth__bus_parser *parser) {
    size_t left = parser->in.size - parser->at;
    size_t part = parser->skip < left ? (size_t)parser->skip : left;
    parser->at += part;
    parser->skip -= part;
    return parser->skip == 0;
}

/* A whole number; false: it is none. */
static bool parse_number(const char *bytes, size_t size, int64_t *number) {
    bool is_negative = size != 0 && bytes[0] == '-';
    int64_t sum = 0;
    size_t i = is_negative;
    if (i == size) {
        return false;
    }
    for (; i < size; i++) {
        if (bytes[i] < '0' || bytes[i] > '9' || sum > (INT64_MAX - 9) / 10) {
            return false;
        }
        sum = sum * 10 + (bytes[i] - '0');
    }
    *number = is_negative ? -sum : sum;
    return true;
}

/* A string of so many bytes, behind `head`. */
static int32_t take_string(hearth__bus_parser *parser, size_t head, hearth__bus_token *token) {
    if (token->number == -1) {
        token->kind = HEARTH__BUS_NIL;
        parser->at += head;
        return HEARTH_OK;
    }
    if (token->number < 0 || token->number > STRING_LIMIT) {
        return HEARTH_E_PROTOCOL;
    }
    size_t size = (size_t)token->number;
    token->kind = HEARTH__BUS_STRING;
    if (size > HEARTH__BUS_STRING_MAX) {
        token->is_cut = true;
        parser->at += head;
        parser->skip = size + END_BYTES;
        return HEARTH_OK;
    }
    if (parser->in.size - parser->at < head + size + END_BYTES) {
        return HEARTH_MISS;
    }
    const char *bytes = (const char *)parser->in.data + parser->at + head;
    if (bytes[size] != '\r' || bytes[size + 1] != '\n') {
        return HEARTH_E_PROTOCOL;
    }
    token->bytes = bytes;
    token->size = size;
    parser->at += head + size + END_BYTES;
    return HEARTH_OK;
}

static int32_t take_array(hearth__bus_parser *parser, size_t head, hearth__bus_token *token) {
    if (token->number < -1 || token->number > ARRAY_LIMIT) {
        return HEARTH_E_PROTOCOL;
    }
    token->kind = token->number < 0 ? HEARTH__BUS_NIL : HEARTH__BUS_ARRAY;
    parser->at += head;
    return HEARTH_OK;
}

/* A line: its first byte says what it is; `head` counts its end too. */
static int32_t take_line(hearth__bus_parser *parser, const char *line, size_t head,
                         hearth__bus_token *token) {
    const char *text = line + 1;
    size_t size = head - 1 - END_BYTES;
    bool is_text = line[0] == '+' || line[0] == '-';
    if (!is_text && !parse_number(text, size, &token->number)) {
        return HEARTH_E_PROTOCOL;
    }
    switch (line[0]) {
    case '$':
        return take_string(parser, head, token);
    case '*':
        return take_array(parser, head, token);
    case ':':
        token->kind = HEARTH__BUS_NUMBER;
        break;
    case '+':
    case '-':
        token->kind = line[0] == '+' ? HEARTH__BUS_STATUS : HEARTH__BUS_ERROR;
        token->bytes = text;
        token->size = size;
        break;
    default:
        return HEARTH_E_PROTOCOL;
    }
    parser->at += head;
    return HEARTH_OK;
}

int32_t hearth__bus_parser_next(hearth__bus_parser *parser, hearth__bus_token *token) {
    if (!skip(parser)) {
        return HEARTH_MISS;
    }
    *token = (hearth__bus_token){0};
    size_t left = parser->in.size - parser->at;
    if (left == 0) {
        return HEARTH_MISS;
    }
    const char *line = (const char *)parser->in.data + parser->at;
    const char *end = memchr(line, '\n', left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES);
    if (end == NULL) {
        return left < LINE_MAX_BYTES ? HEARTH_MISS : HEARTH_E_PROTOCOL;
    }
    size_t head = (size_t)(end - line) + 1;
    if (head < 1 + END_BYTES || end[-1] != '\r') {
        return HEARTH_E_PROTOCOL;
    }
    return take_line(parser, line, head, token);
}
