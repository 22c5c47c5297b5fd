/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_verbs.h"

#include "base/clock.h"
#include "remote/envelope.h"
#include "remote/redis_codec.h"
#include "remote/redis_filter.h"
#include "remote/redis_scripts.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    WORDS_SIZE = 121, /* of a server's words in the log */
    DIGIT_TOO_LARGE = 6,
    DIGIT_TYPE = 7, /* other statuses are digits themselves */
};

/* The scripts have these numbers written out. */
_Static_assert(HEARTH__HOLDS_NOTHING == 0 && HEARTH__HOLDS_VALUE == 1 &&
                   HEARTH__HOLDS_STALE == 2 && HEARTH__HOLDS_ABSENT == 3 &&
                   HEARTH__HOLDS_LEASE == 4 && HEARTH__HOLDS_INTEGER == 5 &&
                   HEARTH__HOLDS_FOREIGN == 6 && HEARTH__HOLDS_UNREADABLE == 7 &&
                   HEARTH__HOLDINGS == 8,
               "redis_scripts.h: at");

bool hearth__redis_needs_script(enum hearth__verb verb) {
    return verb == HEARTH__ADD || verb == HEARTH__REPLACE || verb == HEARTH__SWAP ||
           verb == HEARTH__INCREMENT || verb == HEARTH__DELETE ||
           hearth__verb_is_of_lease(verb);
}

bool hearth__redis_refuses_scripts(const hearth__notes *notes, hearth__kept kept) {
    return notes->answer == REDIS_REPLY_ERROR &&
           (notes->opaque != 0 || hearth__redis_begins_with(kept.bytes, kept.size, "NOPERM") ||
            hearth__redis_begins_with(kept.bytes, kept.size, "ERR unknown command"));
}

/* ---- asking --------------------------------------------------------------------------------- */

hearth__redis_column hearth__redis_column_of(enum hearth__verb verb) {
    hearth__redis_column column;
    for (unsigned holding = 0; holding < HEARTH__HOLDINGS; holding++) {
        int32_t status = hearth__verb_status(verb, (enum hearth__holding)holding);
        column.digits[holding] = (char)('0' + (status < 0 ? DIGIT_TYPE : status));
    }
    return column;
}

void hearth__redis_verb(hearth__redis_command *command, const char *verb,
                        const hearth__remote_op *op) {
    hearth__redis_command_init(command, verb);
    hearth__redis_word(command, op->key, op->key_size);
}

void hearth__redis_script(hearth__redis_command *command, const char *text,
                          const hearth__remote_op *op) {
    hearth__redis_command_init(command, "EVAL");
    hearth__redis_text(command, text);
    hearth__redis_text(command, "1");
    hearth__redis_word(command, op->key, op->key_size);
}

/* Adds what the op stores. */
static void add_value(hearth__redis_command *command, const hearth__remote_op *op,
                      hearth__redis_header *header) {
    size_t size = hearth__envelope_compose(op, false, header->bytes);
    hearth__redis_headed_word(command, header->bytes, size, op->data, op->data_size);
}

void hearth__redis_set(hearth__redis_command *command, const hearth__remote_op *op,
                       hearth__redis_header *header, hearth__redis_number *number) {
    hearth__redis_verb(command, "SET", op);
    add_value(command, op, header);
    if (op->ttl_ms != 0) {
        hearth__redis_text(command, "PX");
        hearth__redis_integer(command, op->ttl_ms, number);
    }
}

/* The header of what is there. */
static int32_t say_head(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_verb(&command, "GETRANGE", op);
    hearth__redis_text(&command, "0");
    hearth__redis_text(&command, "47");
    return hearth__redis_say(exchange, &command);
}

static int32_t say_of_key(const hearth__remote_op *op, const char *head,
                          hearth__exchange *exchange) {
    return hearth__redis_say_of_key(exchange, head, op->key, op->key_size);
}

static int32_t say_get(const hearth__remote_op *op, hearth__exchange *exchange) {
    /* Before the value: were it written in between, its life is not longer. */
    int32_t status = op->want_ttl ? say_of_key(op, HEARTH__REDIS_PTTL, exchange) : HEARTH_OK;
    if (status != HEARTH_OK) {
        return status;
    }
    return op->known_version != 0 ? say_head(op, exchange)
                                  : say_of_key(op, HEARTH__REDIS_GET, exchange);
}

static int32_t say_set(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_header header;
    hearth__redis_number ttl;
    hearth__redis_set(&command, op, &header, &ttl);
    return hearth__redis_say(exchange, &command);
}

static int32_t say_store(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_header header;
    hearth__redis_number ttl;
    hearth__redis_column column = hearth__redis_column_of(op->verb);
    unsigned char version[8];
    if (op->verb == HEARTH__SWAP) {
        for (size_t i = 0; i < sizeof version; i++) {
            version[i] = (unsigned char)(op->if_version >> (8 * i));
        }
        hearth__redis_script(&command,
                             op->same_body ? hearth__lua_swap_header : hearth__lua_swap, op);
        hearth__redis_word(&command, version, sizeof version);
    } else {
        hearth__redis_script(&command, hearth__lua_store, op);
        hearth__redis_word(&command, column.digits, sizeof column.digits);
    }
    if (op->verb == HEARTH__SWAP && op->same_body) {
        size_t size = hearth__envelope_compose(op, false, header.bytes);
        hearth__redis_word(&command, header.bytes, size);
    } else {
        add_value(&command, op, &header);
    }
    if (op->ttl_ms != 0) {
        hearth__redis_integer(&command, op->ttl_ms, &ttl);
    }
    return hearth__redis_say(exchange, &command);
}

static int32_t say_increment(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_number amount;
    hearth__redis_number bound;
    hearth__redis_column column = hearth__redis_column_of(op->verb);
    uint64_t limit =
        op->number < 0 ? -(uint64_t)op->number : (uint64_t)INT64_MAX - (uint64_t)op->number;
    (void)snprintf(bound.text, sizeof bound.text, "%" PRIu64, limit);
    hearth__redis_script(&command, hearth__lua_increment, op);
    hearth__redis_word(&command, column.digits, sizeof column.digits);
    hearth__redis_integer(&command, op->number, &amount);
    hearth__redis_text(&command, bound.text);
    return hearth__redis_say(exchange, &command);
}

static int32_t say_delete(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_column column = hearth__redis_column_of(op->verb);
    hearth__redis_script(&command, hearth__lua_delete, op);
    hearth__redis_word(&command, column.digits, sizeof column.digits);
    return hearth__redis_say(exchange, &command);
}

/* A plain command: it is one step at the server, and no access list forbids it that allows to store. */
static int32_t say_lease(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_header header;
    hearth__redis_number ttl;
    hearth__redis_set(&command, op, &header, &ttl);
    hearth__redis_text(&command, "NX");
    return hearth__redis_say(exchange, &command);
}

static int32_t say_on_lease(const hearth__remote_op *op, hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_header header;
    hearth__redis_number ttl;
    const char *script = op->verb == HEARTH__FILL     ? hearth__lua_fill
                         : op->verb == HEARTH__EXTEND ? hearth__lua_extend
                                                      : hearth__lua_release;
    hearth__redis_script(&command, script, op);
    hearth__redis_word(&command, op->token, HEARTH__TOKEN_BYTES);
    if (op->verb == HEARTH__FILL) {
        add_value(&command, op, &header);
    }
    if (op->verb != HEARTH__RELEASE && op->ttl_ms != 0) {
        hearth__redis_integer(&command, op->ttl_ms, &ttl);
    }
    return hearth__redis_say(exchange, &command);
}

static int32_t say(const hearth__remote_op *op, hearth__exchange *exchange) {
    switch (op->verb) {
    case HEARTH__GET:
        return say_get(op, exchange);
    case HEARTH__SET:
        return say_set(op, exchange);
    case HEARTH__ADD:
    case HEARTH__REPLACE:
    case HEARTH__SWAP:
        return say_store(op, exchange);
    case HEARTH__INCREMENT:
        return say_increment(op, exchange);
    case HEARTH__DELETE:
        return say_delete(op, exchange);
    case HEARTH__LEASE:
        return say_lease(op, exchange);
    case HEARTH__FILL:
    case HEARTH__EXTEND:
    case HEARTH__RELEASE:
        return say_on_lease(op, exchange);
    case HEARTH__FILTER:
        return hearth__redis_say_filter(op, exchange);
    case HEARTH__TOUCH:
    case HEARTH__MARK:
        break;
    }
    return HEARTH_E_PROTOCOL;
}

static uint32_t asked_by(const hearth__remote_op *op) {
    if (op->verb == HEARTH__GET) {
        return op->want_ttl ? HEARTH__REDIS_ASKED_TTL_GET : HEARTH__REDIS_ASKED_GET;
    }
    if (op->verb == HEARTH__LEASE) {
        return HEARTH__REDIS_ASKED_SET_NEW;
    }
    if (op->verb == HEARTH__FILTER) {
        return HEARTH__REDIS_ASKED_STRING;
    }
    return op->verb == HEARTH__SET ? HEARTH__REDIS_ASKED_SET : HEARTH__REDIS_ASKED_SCRIPT;
}

/* A look at what was stored: from here on its changes are told. */
static int32_t say_check(const hearth__remote_op *op, hearth__exchange *exchange) {
    int32_t status = say_of_key(op, HEARTH__REDIS_PTTL, exchange);
    return status == HEARTH_OK ? say_head(op, exchange) : status;
}

int32_t hearth__redis_compose(hearth__node *node, const hearth__remote_op *op,
                              hearth__exchange *exchange) {
    hearth__notes notes = {
        .asked = asked_by(op),
        .flags = (uint32_t)op->verb,
        .checks = op->check,
        .began_ns = op->want_ttl || op->check ? hearth__exchange_began_ns(exchange) : 0};
    (void)node;
    size_t before = hearth__exchange_bytes(exchange);
    int32_t status = say(op, exchange);
    if (status == HEARTH_OK && op->check) {
        notes.first = hearth__exchange_bytes(exchange) - before;
        status = say_check(op, exchange);
    }
    if (status == HEARTH_OK) {
        hearth__exchange_ask(exchange, &notes);
    }
    return status;
}

/* ---- answering ------------------------------------------------------------------------------ */

/* A server that does not know a command repeats its arguments: keys and values are not for a
 * log. */
static size_t without_arguments(const char *words, size_t size) {
    static const char mark[] = ", with args";
    const char *at = memmem(words, size, mark, sizeof mark - 1);
    return at != NULL ? (size_t)(at - words) : size;
}

/* At most once a second and node. */
static bool may_complain(hearth__node *node) {
    int64_t now_ms = hearth__boot_ms();
    int64_t quiet_until_ms = atomic_load_explicit(&node->quiet_until_ms, memory_order_relaxed);
    return now_ms >= quiet_until_ms &&
           atomic_compare_exchange_strong(&node->quiet_until_ms, &quiet_until_ms,
                                          now_ms + 1000);
}

void hearth__redis_complain(hearth__node *node, int32_t status, const char *what,
                            const char *words, size_t size) {
    if (!may_complain(node)) {
        return;
    }
    char printable[WORDS_SIZE];
    size_t length = without_arguments(words, size);
    length = length < sizeof printable - 1 ? length : sizeof printable - 1;
    for (size_t i = 0; i < length; i++) {
        printable[i] = words[i] >= ' ' && words[i] <= '~' ? words[i] : '?';
    }
    printable[length] = '\0';
    hearth__log_add(node->config.remote->log, HEARTH_LOG_WARNING, status, "node %.80s %s%s",
                    node->config.name, what, printable);
}

int32_t hearth__redis_refusal(hearth__node *node, int32_t status, hearth__kept words) {
    bool usual = status == HEARTH_E_TYPE || status == HEARTH_E_TOO_LARGE;
    if (!usual && words.bytes != NULL) {
        hearth__redis_complain(node, status, "refuses: ", words.bytes, words.size);
    }
    return status;
}

int32_t hearth__redis_verdict(enum hearth__verb verb, int64_t number) {
    static const char *const known[] = {
        [HEARTH__ADD] = "03",      [HEARTH__REPLACE] = "01",    [HEARTH__SWAP] = "014",
        [HEARTH__TOUCH] = "014",   [HEARTH__INCREMENT] = "167", [HEARTH__DELETE] = "01",
        [HEARTH__MARK] = "014",    [HEARTH__FILL] = "014",      [HEARTH__EXTEND] = "014",
        [HEARTH__RELEASE] = "014",
    };
    if (number < 0 || number > 9 || strchr(known[verb], (int)('0' + number)) == NULL) {
        return HEARTH_E_PROTOCOL;
    }
    if (number == DIGIT_TOO_LARGE) {
        return HEARTH_E_TOO_LARGE;
    }
    return number == DIGIT_TYPE ? HEARTH_E_TYPE : (int32_t)number;
}

static int32_t take_script(hearth__remote_op *op, const hearth__notes *notes,
                           hearth__kept kept) {
    if (notes->answer == REDIS_REPLY_INTEGER) {
        return hearth__redis_verdict(op->verb, notes->number);
    }
    (void)hearth__envelope_is_integer(kept.bytes, kept.size, &op->number);
    return HEARTH_OK;
}

/* What is left of the life that PTTL told of, by now; HEARTH__TTL_NONE: it has no end. */
static int64_t left_of(const hearth__notes *notes) {
    if (notes->ttl_ms < 0) {
        return notes->ttl_ms;
    }
    int64_t passed_ns = hearth__monotonic_ns() - notes->began_ns;
    int64_t left_ms = notes->ttl_ms - (passed_ns + 999999) / 1000000;
    return left_ms > 0 ? left_ms : 0;
}

static bool take_get(hearth__node *node, hearth__remote_op *op, const hearth__notes *notes,
                     hearth__kept kept) {
    int64_t left_ms = op->want_ttl ? left_of(notes) : HEARTH__TTL_UNKNOWN;
    bool came_between = left_ms == -2; /* after PTTL: nobody knows its life */
    if (op->known_version != 0) {
        op->status = HEARTH_MISS;
        op->changed =
            kept.size != 0 &&
            (came_between || !hearth__envelope_confirm(op, kept.bytes, kept.size, left_ms));
        return true;
    }
    if (notes->answer == REDIS_REPLY_NIL || came_between) {
        op->status = HEARTH_MISS;
        return true;
    }
    return hearth__envelope_answer(node->config.remote, op, kept.bytes, kept.size, false,
                                   left_ms, true);
}

/* What the look behind a store saw. */
static void take_check(hearth__remote_op *op, const hearth__notes *notes, hearth__kept kept) {
    op->left_ms = left_of(notes);
    op->checked = !kept.lost && op->left_ms != 0 && op->left_ms != -2 && kept.bytes != NULL &&
                  hearth__envelope_is_of(op, kept.bytes, kept.size);
}

bool hearth__redis_take(hearth__node *node, hearth__remote_op *op, const hearth__notes *notes,
                        hearth__kept kept) {
    if (notes->checks && notes->status == HEARTH_OK) {
        take_check(op, notes, kept);
        kept = (hearth__kept){0};
    } else if (notes->checks && kept.bytes == NULL) {
        kept = (hearth__kept){.bytes = &notes->cas,
                              .size = strnlen((const char *)&notes->cas, sizeof notes->cas)};
    }
    if (kept.lost) {
        op->status = HEARTH_E_NOMEM;
    } else if (notes->status != HEARTH_OK) {
        if (hearth__redis_needs_script(op->verb) &&
            hearth__redis_refuses_scripts(notes, kept)) {
            atomic_store(&node->scripts, HEARTH__REDIS_SCRIPTS_UNKNOWN);
        }
        op->status = hearth__redis_refusal(
            node, notes->status, notes->answer == REDIS_REPLY_ERROR ? kept : (hearth__kept){0});
    } else if (op->verb == HEARTH__GET) {
        return take_get(node, op, notes, kept);
    } else if (op->verb == HEARTH__SET) {
        op->status = HEARTH_OK;
    } else if (op->verb == HEARTH__FILTER) {
        bool kept_all = hearth__buffer_assign(op->body, kept.bytes, kept.size);
        op->status = kept_all ? HEARTH_OK : HEARTH_E_NOMEM;
    } else if (op->verb == HEARTH__LEASE) {
        op->status = notes->answer == REDIS_REPLY_NIL ? HEARTH_EXISTS : HEARTH_OK;
    } else {
        op->status = take_script(op, notes, kept);
    }
    return true;
}
