/* SPDX-License-Identifier: Apache-2.0 */
/* Parses `remote.url`. No message repeats any of it: what looks like a port may be a password whose
 * '?' was not encoded. */
#include "base/memory.h"
#include "remote/remote.h"

#include <hearth/errors.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NODES_MAX = 1000,
    HOST_MAX = 253,
    UNIX_PATH_MAX = 107, /* what sockaddr_un holds, less its NUL */
    WEIGHT_MAX = 1000000,
    DATABASE_MAX = 1000000,
};

struct scheme {
    const char *name;
    enum hearth__remote_kind kind;
    uint16_t port; /* the usual one; 0: unix sockets */
    bool supported;
};

static const struct scheme schemes[] = {
    {"embedded", HEARTH__EMBEDDED, 0, true},
    {"redis", HEARTH__REDIS, 6379, true},
    {"redis+unix", HEARTH__REDIS, 0, true},
    {"memcached", HEARTH__MEMCACHED, 11211, true},
    {"memcached+unix", HEARTH__MEMCACHED, 0, true},
    {"rediss", HEARTH__REDIS, 6379, false},
    {"redis-cluster", HEARTH__REDIS, 6379, false},
};

/* A piece of the text. */
struct span {
    const char *at;
    size_t size;
};

struct parser {
    hearth__remote_url *url;
    const struct scheme *scheme;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int32_t
refuse(struct parser *parser, int32_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(parser->why, parser->why_size, format, args);
    va_end(args);
    return status;
}

static int32_t out_of_memory(struct parser *parser) {
    return refuse(parser, HEARTH_E_NOMEM, "out of memory");
}

/* Cuts the part before `separator` off the front of *rest; the whole of it when there is none. */
static struct span cut(struct span *rest, char separator) {
    const char *end = memchr(rest->at, separator, rest->size);
    struct span part = *rest;
    if (end == NULL) {
        rest->at += rest->size;
        rest->size = 0;
        return part;
    }
    part.size = (size_t)(end - rest->at);
    rest->at = end + 1;
    rest->size -= part.size + 1;
    return part;
}

static bool span_is(struct span span, const char *text) {
    return span.size == strlen(text) && memcmp(span.at, text, span.size) == 0;
}

/* Decimal digits up to `max`. */
static bool parse_number(struct span span, uint32_t max, uint32_t *number) {
    uint32_t value = 0;
    if (span.size == 0 || span.size > 9) {
        return false;
    }
    for (size_t i = 0; i < span.size; i++) {
        if (span.at[i] < '0' || span.at[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(span.at[i] - '0');
    }
    *number = value;
    return value <= max;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Overwrites the text before it is freed; the compiler may not leave that out. */
static void forget(char *secret) {
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        hearth__free(secret);
    }
}

/* A copy with %XX decoded. NULL: no memory, or *bad: a % that is not followed by two hex digits, or a NUL. */
static char *decode(struct span span, bool *bad) {
    char *copy = hearth__copy_text(span.at, span.size);
    size_t size = 0;
    *bad = false;
    for (size_t i = 0; copy != NULL && i < span.size; i++) {
        int byte = (unsigned char)span.at[i];
        if (byte == '%') {
            int high = i + 2 < span.size ? hex_digit(span.at[i + 1]) : -1;
            int low = i + 2 < span.size ? hex_digit(span.at[i + 2]) : -1;
            byte = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        }
        if (byte == 0) {
            *bad = true;
            forget(copy);
            return NULL;
        }
        copy[size++] = (char)byte;
    }
    if (copy != NULL) {
        copy[size] = '\0';
    }
    return copy;
}

static int32_t decode_into(struct parser *parser, struct span span, const char *what,
                           char **out) {
    bool bad = false;
    *out = decode(span, &bad);
    if (bad) {
        return refuse(parser, HEARTH_E_INVALID,
                      "the %s has a '%%' that is not followed by two hex digits of a byte",
                      what);
    }
    return *out == NULL ? out_of_memory(parser) : HEARTH_OK;
}

static int32_t add_node(struct parser *parser, char *host, uint16_t port) {
    hearth__remote_url *url = parser->url;
    if (url->count == NODES_MAX) {
        hearth__free(host);
        return refuse(parser, HEARTH_E_INVALID, "more than %d nodes", NODES_MAX);
    }
    hearth__node_address *nodes =
        hearth__realloc(url->nodes, (url->count + 1) * sizeof *url->nodes);
    if (nodes == NULL) {
        hearth__free(host);
        return out_of_memory(parser);
    }
    url->nodes = nodes;
    nodes[url->count++] = (hearth__node_address){.host = host, .port = port, .weight = 1};
    return HEARTH_OK;
}

/* The node that is being read is told by its number. */
static int32_t refuse_node(struct parser *parser, const char *why) {
    return refuse(parser, HEARTH_E_INVALID, "node %zu: %s", parser->url->count + 1, why);
}

static int32_t parse_path(struct parser *parser, struct span text) {
    char *path = NULL;
    int32_t status = decode_into(parser, text, "path", &path);
    if (status != HEARTH_OK) {
        return status;
    }
    if (path[0] != '/' || strlen(path) > UNIX_PATH_MAX) {
        hearth__free(path);
        return refuse_node(parser,
                           "the path of a unix socket begins with '/' and has at most 107 "
                           "bytes");
    }
    return add_node(parser, path, 0);
}

/* A node as written: host, host:port, [v6] or [v6]:port. */
struct host_and_port {
    struct span host;
    struct span port;
    bool has_port;
};

/* False: a bracket stands where none may, or one is missing. */
static bool split_node(struct span text, struct host_and_port *node) {
    bool bracketed = text.size != 0 && text.at[0] == '[';
    if (bracketed) {
        text.at++;
        text.size--;
        if (memchr(text.at, ']', text.size) == NULL) {
            return false;
        }
        node->host = cut(&text, ']');
        node->has_port = text.size != 0;
        struct span between = cut(&text, ':');
        node->port = text;
        return between.size == 0;
    }
    node->has_port = memchr(text.at, ':', text.size) != NULL;
    node->host = cut(&text, ':');
    node->port = text;
    return memchr(node->host.at, '[', node->host.size) == NULL &&
           memchr(node->host.at, ']', node->host.size) == NULL;
}

/* Whether a name can be looked up at all: blanks and control bytes are slips. */
static bool is_host(const char *name) {
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name <= ' ' || *name == 0x7f) {
            return false;
        }
    }
    return true;
}

static int32_t parse_host(struct parser *parser, struct span text) {
    struct host_and_port node;
    uint32_t port = parser->scheme->port;
    if (!split_node(text, &node)) {
        return refuse_node(parser, "brackets stand around an IPv6 address and nowhere else");
    }
    if (node.has_port && (!parse_number(node.port, UINT16_MAX, &port) || port == 0)) {
        return refuse_node(parser, "the port is a number from 1 to 65535, and an IPv6 address "
                                   "stands in brackets");
    }
    char *host = NULL;
    bool fits = node.host.size != 0 && node.host.size <= HOST_MAX;
    int32_t status = fits ? decode_into(parser, node.host, "host name", &host) : HEARTH_OK;
    if (status == HEARTH_OK && (!fits || !is_host(host))) {
        hearth__free(host);
        return refuse_node(parser, "a host name has 1 to 253 bytes and no blanks; nodes are "
                                   "given as host:port, separated by commas");
    }
    return status == HEARTH_OK ? add_node(parser, host, (uint16_t)port) : status;
}

static int32_t parse_nodes(struct parser *parser, struct span text) {
    int32_t status = HEARTH_OK;
    bool more = true;
    while (more && status == HEARTH_OK) {
        more = memchr(text.at, ',', text.size) != NULL;
        struct span node = cut(&text, ',');
        status =
            parser->scheme->port == 0 ? parse_path(parser, node) : parse_host(parser, node);
    }
    return status;
}

static int32_t parse_user(struct parser *parser, struct span text) {
    bool has_user = memchr(text.at, ':', text.size) != NULL;
    if (parser->scheme->kind != HEARTH__REDIS) {
        return refuse(parser, HEARTH_E_UNSUPPORTED,
                      "user and password are supported for Redis only");
    }
    struct span user = {text.at, 0};
    if (has_user) {
        user = cut(&text, ':');
    }
    if (user.size != 0) {
        int32_t status = decode_into(parser, user, "user name", &parser->url->user);
        if (status != HEARTH_OK) {
            return status;
        }
    }
    return decode_into(parser, text, "password", &parser->url->password);
}

static int32_t parse_database(struct parser *parser, struct span text) {
    if (parser->scheme->kind != HEARTH__REDIS ||
        !parse_number(text, DATABASE_MAX, &parser->url->database)) {
        return refuse(
            parser, HEARTH_E_INVALID,
            "what follows the nodes is the number of a Redis database, as in /2 or ?db=2");
    }
    return HEARTH_OK;
}

static int32_t parse_weights(struct parser *parser, struct span text) {
    bool fits = text.size == 0 || text.at[text.size - 1] != ',';
    for (size_t i = 0; i < parser->url->count; i++) {
        uint32_t *weight = &parser->url->nodes[i].weight;
        fits = parse_number(cut(&text, ','), WEIGHT_MAX, weight) && *weight != 0 && fits;
    }
    if (!fits || text.size != 0) {
        return refuse(parser, HEARTH_E_INVALID,
                      "weight: one number from 1 to %d for each of the %zu nodes, no more, "
                      "separated by commas",
                      WEIGHT_MAX, parser->url->count);
    }
    return HEARTH_OK;
}

static int32_t parse_query(struct parser *parser, struct span text) {
    int32_t status = HEARTH_OK;
    while (text.size != 0 && status == HEARTH_OK) {
        struct span value = cut(&text, '&');
        struct span name = cut(&value, '=');
        if (span_is(name, "weight")) {
            status = parse_weights(parser, value);
        } else if (span_is(name, "db")) {
            status = parse_database(parser, value);
        } else {
            status = refuse(parser, HEARTH_E_INVALID,
                            "after '?' only weight= and db= are known, separated by '&'");
        }
    }
    return status;
}

static int32_t parse_scheme(struct parser *parser, struct span *rest) {
    const char *colon = strstr(rest->at, "://");
    struct span name = {rest->at, colon != NULL ? (size_t)(colon - rest->at) : 0};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!span_is(name, schemes[i].name)) {
            continue;
        }
        parser->scheme = &schemes[i];
        parser->url->kind = schemes[i].kind;
        rest->at += name.size + 3;
        rest->size -= name.size + 3;
        if (!schemes[i].supported) {
            return refuse(
                parser, HEARTH_E_UNSUPPORTED,
                "%s:// is not supported by this version; use redis:// (TLS: through a "
                "local proxy such as stunnel)",
                schemes[i].name);
        }
        return HEARTH_OK;
    }
    return refuse(
        parser, HEARTH_E_INVALID,
        "an address begins with embedded://, redis://, redis+unix://, memcached:// or "
        "memcached+unix://");
}

static int32_t parse(struct parser *parser, struct span rest) {
    int32_t status = parse_scheme(parser, &rest);
    if (status != HEARTH_OK) {
        return status;
    }
    if (parser->url->kind == HEARTH__EMBEDDED) {
        if (rest.size != 0) {
            return refuse(parser, HEARTH_E_INVALID, "nothing follows embedded://");
        }
        char *name = hearth__copy_text("embedded", strlen("embedded"));
        return name == NULL ? out_of_memory(parser) : add_node(parser, name, 0);
    }
    struct span nodes = cut(&rest, '?');
    const char *at = memrchr(nodes.at, '@', nodes.size);
    if (at != NULL) {
        struct span user = {nodes.at, (size_t)(at - nodes.at)};
        nodes.size -= user.size + 1;
        nodes.at = at + 1;
        status = parse_user(parser, user);
    }
    bool has_database = parser->scheme->port != 0 && memchr(nodes.at, '/', nodes.size) != NULL;
    struct span hosts = has_database ? cut(&nodes, '/') : nodes;
    if (status == HEARTH_OK) {
        status = parse_nodes(parser, hosts);
    }
    if (status == HEARTH_OK && has_database && nodes.size != 0) {
        status = parse_database(parser, nodes);
    }
    return status == HEARTH_OK ? parse_query(parser, rest) : status;
}

int32_t hearth__remote_url_parse(const char *text, hearth__remote_url *url, char *why,
                                 size_t why_size) {
    *url = (hearth__remote_url){0};
    struct parser parser = {.url = url, .why = why, .why_size = why_size};
    int32_t status = parse(&parser, (struct span){text, strlen(text)});
    if (status != HEARTH_OK) {
        hearth__remote_url_fini(url);
    }
    return status;
}

void hearth__remote_url_fini(hearth__remote_url *url) {
    for (size_t i = 0; i < url->count; i++) {
        hearth__free(url->nodes[i].host);
    }
    hearth__free(url->nodes);
    forget(url->user);
    forget(url->password);
    *url = (hearth__remote_url){0};
}
