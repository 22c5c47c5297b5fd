/* SPDX-License-Identifier: Apache-2.0 */
/* What linking Hearth into a server comes to: a request for a page, and what is done when its result is there. By the thread of
 * the server. */
#ifndef HEARTH_BENCH_APPSERVER_SERVE_H
#define HEARTH_BENCH_APPSERVER_SERVE_H

#include "appserver/server.h"

/* Answers, at once or when the page is there. */
void serve_page(struct server *server, struct evhttp_request *http, uint32_t product);

/* The product changed: its page is loaded anew for whoever comes from here on. */
void serve_change(struct server *server, struct evhttp_request *http, uint32_t product);

/* Answers some of those whose results are there; the queue's descriptor stays readable for the rest. */
void serve_results(struct server *server);

/* Closes the queue; who waits still gets no answer. Before the loop is freed. */
void serve_close(struct server *server);

#endif
