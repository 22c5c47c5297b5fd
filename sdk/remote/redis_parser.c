/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_parser.h"

#include <hearth/errors.h>

#include <hiredis/sds.h>

#include <string.h>

enum {
    LINE_MAX_BYTES = 4096,   /* of everything that is not a string */
    LENGTH_MAX_DIGITS = 19,  /* of a string's announced length and what ends it */
    KEPT_BYTES = 256 * 1024, /* the reader's buffer between two uses */
    LARGE_BYTES = 64 * 1024, /* a string for which room is made at once, */
    AHEAD_BYTES = 4 << 20,   /* where no more than that is to come */
};

/* No server sends a longer string as a value (proto-max-bulk-len): beyond, it is no server. */
#define SERVERS_LIMIT (UINT64_C(512) * 1024 * 1024)

static void *fail(hearth__redis_parser *parser, int32_t status) {
    parser->failure = status;
    return NULL; /* makes hiredis stop */
}

/* hiredis gives an object for each reply to its parent: the parser stands for all of them. */
static void *give(const redisReadTask *task, const hearth__redis_reply *reply) {
    hearth__redis_parser *parser = task->privdata;
    if (task->parent == NULL) {
        bool taken = parser->taker(parser->taker_arg, reply);
        return taken ? parser : fail(parser, HEARTH_E_PROTOCOL);
    }
    if (task->idx < 0 || task->idx >= HEARTH__REDIS_ELEMENTS) {
        return fail(parser, HEARTH_E_PROTOCOL);
    }
    hearth__redis_reply *element = &parser->elements[task->idx];
    *element = *reply;
    element->text = NULL; /* it is gone before the array is complete */
    element->size = 0;
    return parser;
}

static void *create_string(const redisReadTask *task, char *text, size_t size) {
    hearth__redis_parser *parser = task->privdata;
    hearth__redis_reply reply = {.type = task->type, .text = text, .size = size};
    if (task->type == REDIS_REPLY_STRING) {
        if (size > parser->limit) {
            return fail(parser, HEARTH_E_TOO_LARGE);
        }
        if (text[size] != '\r' || text[size + 1] != '\n') { /* hiredis does not look */
            return fail(parser, HEARTH_E_PROTOCOL);
        }
    } else if (task->type == REDIS_REPLY_ERROR) {
        reply.status = hearth__redis_error_status(text, size);
    }
    return give(task, &reply);
}

static void *create_array(const redisReadTask *task, int elements) {
    hearth__redis_parser *parser = task->privdata;
    if (task->parent != NULL || elements < 0 || elements > HEARTH__REDIS_ELEMENTS) {
        return fail(parser, HEARTH_E_PROTOCOL);
    }
    parser->in_array = true;
    parser->array = (hearth__redis_reply){
        .type = REDIS_REPLY_ARRAY, .count = (size_t)elements, .elements = parser->elements};
    return parser;
}

static void *create_integer(const redisReadTask *task, long long integer) {
    hearth__redis_reply reply = {.type = REDIS_REPLY_INTEGER, .integer = integer};
    return give(task, &reply);
}

static void *create_nil(const redisReadTask *task) {
    hearth__redis_reply reply = {.type = REDIS_REPLY_NIL};
    return give(task, &reply);
}

static void free_object(void *object) {
    (void)object; /* the parser itself */
}

int32_t hearth__redis_parser_init(hearth__redis_parser *parser, size_t limit) {
    static redisReplyObjectFunctions functions = {
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createNil = create_nil,
        .freeObject = free_object,
    };
    *parser = (hearth__redis_parser){.limit = limit};
    parser->reader = redisReaderCreateWithFunctions(&functions);
    if (parser->reader == NULL) {
        return HEARTH_E_NOMEM;
    }
    parser->reader->privdata = parser;
    parser->reader->maxbuf = KEPT_BYTES;
    return HEARTH_OK;
}

void hearth__redis_parser_fini(hearth__redis_parser *parser) {
    if (parser->reader != NULL) {
        redisReaderFree(parser->reader);
        parser->reader = NULL;
    }
}

static size_t unread(const redisReader *reader) {
    return reader->len - reader->pos;
}

/* The type of what is only partly there; -1: not known yet. */
static int type_under_way(const redisReader *reader) {
    return reader->ridx < 0 ? -1 : reader->rstack[reader->ridx].type;
}

/*
 * What is there of a string's announced length. HEARTH_MISS: not all of it, or no digits (then
 * hiredis will say so); HEARTH_E_PROTOCOL: no number, or one that is no server's; HEARTH_OK.
 */
static int32_t announced(const redisReader *reader, uint64_t *length) {
    const char *text = reader->buf + reader->pos;
    size_t size = unread(reader);
    *length = 0;
    for (size_t i = 0; i < size && i < LENGTH_MAX_DIGITS; i++) {
        if (text[i] == '\r') {
            if (i + 1 == size) {
                return HEARTH_MISS;
            }
            return text[i + 1] == '\n' ? HEARTH_OK : HEARTH_E_PROTOCOL;
        }
        if (i == 0 && text[i] == '-') {
            return size > LENGTH_MAX_DIGITS ? HEARTH_E_PROTOCOL : HEARTH_MISS;
        }
        if (text[i] < '0' || text[i] > '9') {
            return HEARTH_E_PROTOCOL;
        }
        *length = *length * 10 + (uint64_t)(text[i] - '0');
    }
    return size >= LENGTH_MAX_DIGITS ? HEARTH_E_PROTOCOL : HEARTH_MISS;
}

/* Makes room for all that is to come of a large string: hiredis would do that little by little, and copy what is there each time.
 * Nobody has so much memory taken by what is only announced that it matters. */
static void make_room(redisReader *reader, size_t length) {
    size_t whole = LENGTH_MAX_DIGITS + length + 2;
    size_t missing = whole > unread(reader) ? whole - unread(reader) : 0;
    if (length > LARGE_BYTES && missing <= AHEAD_BYTES && sdsavail(reader->buf) < missing) {
        sds roomier = sdsMakeRoomFor(reader->buf, missing);
        reader->buf = roomier != NULL ? roomier : reader->buf;
    }
}

/* Bounds what is only partly there, before it is waited for. */
static int32_t judge_rest(const hearth__redis_parser *parser) {
    redisReader *reader = parser->reader;
    uint64_t length = 0;
    if (type_under_way(reader) != REDIS_REPLY_STRING) {
        return unread(reader) > LINE_MAX_BYTES ? HEARTH_E_PROTOCOL : HEARTH_MISS;
    }
    int32_t status = announced(reader, &length);
    if (status == HEARTH_OK && length <= parser->limit) {
        make_room(reader, length);
        return HEARTH_MISS;
    }
    if (status != HEARTH_OK) {
        return status;
    }
    return length <= SERVERS_LIMIT ? HEARTH_E_TOO_LARGE : HEARTH_E_PROTOCOL;
}

static int32_t failure_of(const hearth__redis_parser *parser) {
    if (parser->failure != HEARTH_OK) {
        return parser->failure;
    }
    return parser->reader->err == REDIS_ERR_OOM ? HEARTH_E_NOMEM : HEARTH_E_PROTOCOL;
}

int32_t hearth__redis_parser_feed(hearth__redis_parser *parser, const void *data, size_t size) {
    bool fed = redisReaderFeed(parser->reader, data, size) == REDIS_OK;
    return fed ? HEARTH_OK : failure_of(parser);
}

int32_t hearth__redis_parser_next(hearth__redis_parser *parser, hearth__redis_taker *taker,
                                  void *taker_arg) {
    void *reply = NULL;
    parser->taker = taker;
    parser->taker_arg = taker_arg;
    if (redisReaderGetReply(parser->reader, &reply) != REDIS_OK) {
        return failure_of(parser);
    }
    if (reply == NULL) {
        return judge_rest(parser);
    }
    if (!parser->in_array) {
        return HEARTH_OK;
    }
    parser->in_array = false;
    return taker(taker_arg, &parser->array) ? HEARTH_OK : HEARTH_E_PROTOCOL;
}

bool hearth__redis_parser_is_empty(const hearth__redis_parser *parser) {
    return unread(parser->reader) == 0;
}

size_t hearth__redis_parser_under_way(const hearth__redis_parser *parser) {
    const redisReader *reader = parser->reader;
    uint64_t length = 0;
    bool known =
        type_under_way(reader) == REDIS_REPLY_STRING && announced(reader, &length) == HEARTH_OK;
    return known ? (size_t)length : 0;
}

void hearth__redis_parser_trim(hearth__redis_parser *parser) {
    if (sdsalloc(parser->reader->buf) <= KEPT_BYTES) {
        return;
    }
    hearth__redis_parser fresh;
    if (hearth__redis_parser_init(&fresh, parser->limit) == HEARTH_OK) {
        hearth__redis_parser_fini(parser);
        *parser = fresh;
        parser->reader->privdata = parser;
    }
}

bool hearth__redis_begins_with(const char *text, size_t size, const char *words) {
    size_t length = strlen(words);
    return size >= length && memcmp(text, words, length) == 0;
}

int32_t hearth__redis_error_status(const char *text, size_t size) {
    static const struct {
        const char *words;
        int32_t status;
    } meanings[] = {
        {"WRONGTYPE", HEARTH_E_TYPE},
        {"ERR Protocol error: invalid bulk length", HEARTH_E_TOO_LARGE},
        {"ERR string exceeds maximum allowed size", HEARTH_E_TOO_LARGE},
        {"NOAUTH", HEARTH_E_UNAVAILABLE},
        {"WRONGPASS", HEARTH_E_UNAVAILABLE},
        {"NOPERM", HEARTH_E_UNAVAILABLE},
        {"LOADING", HEARTH_E_UNAVAILABLE},
        {"MASTERDOWN", HEARTH_E_UNAVAILABLE},
        {"READONLY", HEARTH_E_UNAVAILABLE},
        {"OOM", HEARTH_E_UNAVAILABLE},
        {"BUSY", HEARTH_E_UNAVAILABLE},
        {"MISCONF", HEARTH_E_UNAVAILABLE},
        {"NOREPLICAS", HEARTH_E_UNAVAILABLE},
        {"CLUSTERDOWN", HEARTH_E_UNAVAILABLE},
        {"MOVED", HEARTH_E_UNAVAILABLE},
        {"ASK", HEARTH_E_UNAVAILABLE},
        {"TRYAGAIN", HEARTH_E_UNAVAILABLE},
        {"DENIED", HEARTH_E_UNAVAILABLE},
        {"ERR max number of clients", HEARTH_E_UNAVAILABLE},
        {"ERR operation not permitted", HEARTH_E_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (hearth__redis_begins_with(text, size, meanings[i].words)) {
            return meanings[i].status;
        }
    }
    return HEARTH_E_PROTOCOL;
}
