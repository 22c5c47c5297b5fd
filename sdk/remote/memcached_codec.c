/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_codec.h"

#include "base/memory.h"
#include "remote/envelope.h"
#include "remote/memcached_compose.h"
#include "remote/memcached_hear.h"
#include "remote/memcached_node.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <string.h>

/* ---- the parser ----------------------------------------------------------------------------- */

static int32_t open_parser(void *node, void **out) {
    const hearth__node *own = node;
    hearth__mc_parser *parser = hearth__alloc_zero(1, sizeof *parser);
    if (parser == NULL) {
        return HEARTH_E_NOMEM;
    }
    parser->limit = own->config.remote->max_value_bytes + HEARTH__ENVELOPE_MAX;
    *out = parser;
    return HEARTH_OK;
}

static void close_parser(void *parser) {
    hearth__mc_parser_fini(parser);
    hearth__free(parser);
}

/* What the parser gives a reply to. */
struct audience {
    hearth__hearer *hearer;
    void *arg;
};

static bool pass_on(void *arg, const hearth__mc_reply *reply) {
    const struct audience *audience = arg;
    return audience->hearer(audience->arg, reply);
}

static int32_t parse(void *parser, const void *bytes, size_t size, hearth__hearer *hearer,
                     void *arg) {
    struct audience audience = {.hearer = hearer, .arg = arg};
    return hearth__mc_parser_feed(parser, bytes, size, pass_on, &audience);
}

static bool is_empty(const void *parser) {
    return hearth__mc_parser_is_empty(parser);
}

static size_t under_way(const void *parser) {
    return hearth__mc_parser_under_way(parser);
}

static void trim(void *parser) {
    hearth__mc_parser_trim(parser);
}

static enum hearth__heard hear(hearth__notes *notes, const void *reply, bool half_sent,
                               hearth__kept *kept) {
    return hearth__mc_hear(notes, reply, half_sent, kept);
}

/* ---- greeting ------------------------------------------------------------------------------- */

enum { GREETING_VERSION, GREETING_PROBE, GREETING_BYTES = 128 };

static bool say(hearth__exchange *exchange, const hearth__buffer *command,
                enum hearth__mc_asked asked, bool meta, uint32_t opaque) {
    hearth__notes notes;
    hearth__wire_key key;
    hearth__mc_probe_key(&key);
    hearth__mc_note(&notes, asked, meta, opaque, &key);
    if (!hearth__exchange_say(exchange, command->data, command->size)) {
        return false;
    }
    hearth__exchange_ask(exchange, &notes);
    return true;
}

/* Asks for the version, and whether the meta protocol is there: what a version has of it differs. */
static int32_t greet(void *node, hearth__exchange *exchange) {
    const hearth__node *own = node;
    hearth__buffer command = {0};
    bool said = hearth__mc_compose_version(&command) &&
                say(exchange, &command, HEARTH__MC_ASK_VERSION, false, 0);
    if (said && !own->config.remote->memcached_text) {
        command.size = 0;
        said = hearth__mc_compose_probe(&command, 1) &&
               say(exchange, &command, HEARTH__MC_ASK_PROBE, true, 1);
    }
    hearth__buffer_fini(&command);
    return said ? HEARTH_OK : HEARTH_E_NOMEM;
}

static void welcome_version(const hearth__notes *notes, hearth__kept kept,
                            hearth__welcome *welcome) {
    static const char unauthenticated[] = "unauthenticated";
    if (notes->status == HEARTH_OK || kept.size == 0) {
        return; /* a proxy may not know the command */
    }
    bool wants_login = kept.size == strlen(unauthenticated) &&
                       memcmp(kept.bytes, unauthenticated, kept.size) == 0;
    welcome->status = HEARTH_E_UNAVAILABLE;
    welcome->refused = wants_login;
    if (wants_login) {
        (void)snprintf(welcome->why, sizeof welcome->why,
                       "it wants a login, which memcached:// does not have");
    } else {
        (void)snprintf(welcome->why, sizeof welcome->why, "it refused: %.*s",
                       kept.size < 100 ? (int)kept.size : 100, (const char *)kept.bytes);
    }
}

static void welcome(void *node, uint32_t index, const hearth__notes *notes, hearth__kept kept,
                    hearth__welcome *welcome) {
    hearth__node *own = node;
    if (index == GREETING_VERSION) {
        welcome_version(notes, kept, welcome);
    }
    bool last = index == GREETING_PROBE || own->config.remote->memcached_text;
    if (last && welcome->status == HEARTH_OK) {
        bool meta = index == GREETING_PROBE && notes->status == HEARTH_OK;
        atomic_store_explicit(&own->protocol,
                              meta ? HEARTH__MC_PROTOCOL_META : HEARTH__MC_PROTOCOL_TEXT,
                              memory_order_relaxed);
    }
}

static void ended(void *node, int32_t status) {
    hearth__node *own = node;
    const char *what =
        status == HEARTH_E_PROTOCOL    ? "sent what is no answer of a Memcached server"
        : status == HEARTH_E_TOO_LARGE ? "has a value over remote.max_value_bytes"
                                       : NULL;
    if (what != NULL) {
        hearth__complain(&own->complaint, &own->config, status, what, "", 0);
    }
}

const hearth__codec hearth__mc_codec = {
    .server = "Memcached",
    .open = open_parser,
    .close = close_parser,
    .parse = parse,
    .is_empty = is_empty,
    .under_way = under_way,
    .trim = trim,
    .hear = hear,
    .greet = greet,
    .welcome = welcome,
    .ended = ended,
};
