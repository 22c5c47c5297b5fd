/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers in HTTP: what was asked for, and how a status of Hearth's is told. */
#ifndef HEARTH_BENCH_APPSERVER_ANSWER_H
#define HEARTH_BENCH_APPSERVER_ANSWER_H

#include "appserver/page_headers.h"

#include <event2/http.h>

/* What a request wants. */
enum wish {
    WISH_PAGE,    /* GET, HEAD /product/N */
    WISH_CHANGE,  /* POST /product/N */
    WISH_METRICS, /* GET, HEAD /metrics */
    WISH_UNKNOWN, /* there is nothing of that name */
    WISH_REFUSED, /* there is, but not with this method */
};

/* *product is set for a page or a change. With WISH_REFUSED the answer's Allow is there. */
enum wish answer_wish(struct evhttp_request *http, uint32_t *product);

/* What came of a request for a page. */
struct page_answer {
    int32_t status;
    const void *data; /* with HEARTH_OK */
    size_t size;
    const hearth_info *info; /* NULL: nothing is cached */
    const struct page_lives *lives;
};

/* Each sends an answer, and the request is gone. True: it is one of the server's failures (5xx). */
bool answer_page(struct evhttp_request *http, const struct page_answer *answer);
bool answer_change(struct evhttp_request *http, int32_t status);
bool answer_text(struct evhttp_request *http, const char *text, size_t size);
bool answer_unknown(struct evhttp_request *http);
bool answer_refused(struct evhttp_request *http);

#endif
