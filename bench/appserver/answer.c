/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>

enum {
    ACCEPTED = 202,
    NO_CONTENT = 204,
    BAD_GATEWAY = 502,
    GATEWAY_TIMEOUT = 504,
    DIGITS_MOST = 9
};

/* ---- what is wanted ---------------------------------------------------------------------- */

static bool read_product(const char *path, uint32_t *product) {
    static const char begin[] = "/product/";
    if (strncmp(path, begin, sizeof begin - 1) != 0) {
        return false;
    }
    const char *number = path + sizeof begin - 1;
    size_t digits = strspn(number, "0123456789");
    /* One page has one name: no zeros before it. */
    if (digits == 0 || digits > DIGITS_MOST || number[digits] != '\0' ||
        (number[0] == '0' && digits > 1)) {
        return false;
    }
    *product = (uint32_t)strtoul(number, NULL, 10);
    return true;
}

static void add_header(struct evhttp_request *http, const char *name, const char *value) {
    if (value[0] != '\0') {
        (void)evhttp_add_header(evhttp_request_get_output_headers(http), name, value);
    }
}

static enum wish refuse(struct evhttp_request *http, const char *allowed) {
    add_header(http, "Allow", allowed);
    return WISH_REFUSED;
}

enum wish answer_wish(struct evhttp_request *http, uint32_t *product) {
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    enum evhttp_cmd_type method = evhttp_request_get_command(http);
    bool reads = method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD;
    if (path == NULL) {
        return WISH_UNKNOWN;
    }
    if (strcmp(path, "/metrics") == 0) {
        return reads ? WISH_METRICS : refuse(http, "GET, HEAD");
    }
    if (!read_product(path, product)) {
        return WISH_UNKNOWN;
    }
    if (reads) {
        return WISH_PAGE;
    }
    return method == EVHTTP_REQ_POST ? WISH_CHANGE : refuse(http, "GET, HEAD, POST");
}

/* ---- answers ------------------------------------------------------------------------------ */

/* HEAD is told the size of what it does not get. */
static bool send_reply(struct evhttp_request *http, int code, const char *reason,
                       const void *data, size_t size) {
    if (evhttp_request_get_command(http) == EVHTTP_REQ_HEAD) {
        char length[24];
        (void)snprintf(length, sizeof length, "%zu", size);
        add_header(http, "Content-Length", length);
    } else if (size != 0) {
        (void)evbuffer_add(evhttp_request_get_output_buffer(http), data, size);
    }
    evhttp_send_reply(http, code, reason, NULL);
    return code >= HTTP_INTERNAL;
}

static bool send_plain(struct evhttp_request *http, int code, const char *reason,
                       const char *text) {
    add_header(http, "Content-Type", "text/plain; charset=utf-8");
    return send_reply(http, code, reason, text, strlen(text));
}

static bool send_failure(struct evhttp_request *http, int32_t status) {
    char text[128];
    (void)snprintf(text, sizeof text, "%s\n", hearth_strerror(status));
    add_header(http, "Cache-Control", "no-store");
    switch (status) {
    case HEARTH_E_OVERLOAD:
        add_header(http, "Retry-After", "1");
        return send_plain(http, HTTP_SERVUNAVAIL, "Service Unavailable", text);
    case HEARTH_E_TIMEOUT:
        return send_plain(http, GATEWAY_TIMEOUT, "Gateway Timeout", text);
    case HEARTH_E_LOADER:
        return send_plain(http, BAD_GATEWAY, "Bad Gateway", text);
    default:
        return send_plain(http, HTTP_INTERNAL, "Internal Server Error", text);
    }
}

/* True: who asks has this page already. */
static bool add_page_headers(struct evhttp_request *http, const struct page_answer *answer) {
    struct page_headers headers;
    const struct evkeyvalq *asked = evhttp_request_get_input_headers(http);
    if (answer->info == NULL) {
        return false;
    }
    page_headers_write(&headers, answer->info, answer->status == HEARTH_OK, answer->lives);
    add_header(http, "Cache-Control", headers.cache_control);
    add_header(http, "Cache-Status", headers.cache_status);
    add_header(http, "Age", headers.age);
    add_header(http, "ETag", headers.etag);
    return page_headers_match(evhttp_find_header(asked, "If-None-Match"), headers.etag);
}

bool answer_page(struct evhttp_request *http, const struct page_answer *answer) {
    if (answer->status < 0) {
        return send_failure(http, answer->status);
    }
    bool is_known = add_page_headers(http, answer);
    if (answer->status != HEARTH_OK) {
        return send_plain(http, HTTP_NOTFOUND, "Not Found", "There is no such product.\n");
    }
    if (is_known) {
        evhttp_send_reply(http, HTTP_NOTMODIFIED, "Not Modified", NULL);
        return false;
    }
    add_header(http, "Content-Type", "text/plain; charset=utf-8");
    return send_reply(http, HTTP_OK, "OK", answer->data, answer->size);
}

bool answer_change(struct evhttp_request *http, int32_t status) {
    if (status ==
        HEARTH_E_QUEUED) { /* a node does not answer; it is carried out before the page is read there again */
        evhttp_send_reply(http, ACCEPTED, "Accepted", NULL);
        return false;
    }
    if (status < 0) {
        return send_failure(http, status);
    }
    evhttp_send_reply(http, NO_CONTENT, "No Content", NULL);
    return false;
}

bool answer_text(struct evhttp_request *http, const char *text, size_t size) {
    add_header(http, "Content-Type", "text/plain; version=0.0.4");
    return send_reply(http, HTTP_OK, "OK", text, size);
}

bool answer_unknown(struct evhttp_request *http) {
    return send_plain(http, HTTP_NOTFOUND, "Not Found",
                      "There are /product/NUMBER and /metrics.\n");
}

bool answer_refused(struct evhttp_request *http) {
    return send_plain(http, HTTP_BADMETHOD, "Method Not Allowed",
                      "A product is read by GET and changed by POST.\n");
}
