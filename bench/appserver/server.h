/* SPDX-License-Identifier: Apache-2.0 */
/* One thread that serves: an event loop of libevent's with the connections that it accepted. It either submits and never waits, or
 * waits for each page. */
#ifndef HEARTH_BENCH_APPSERVER_SERVER_H
#define HEARTH_BENCH_APPSERVER_SERVER_H

#include "appserver/held.h"
#include "appserver/shop.h"

#include <pthread.h>

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

struct waiting; /* one whose page is being looked for */

struct server {
    struct shop *shop;
    pthread_t thread;
    struct event_base *base;
    struct evhttp *http;
    struct evconnlistener *listener;
    struct event *accept_more;
    struct event *ending; /* the server's end */
    int accepted;         /* since the loop had its turn */
    struct held held;     /* by all that it called */
    struct held in_cache; /* by hearth_submit() and hearth_collect() */
    struct held
        outside; /* by answers, which call nothing of Hearth's that may take long: what the machine does to a loop anyhow */
    /* Of a loop that submits: */
    hearth_queue *queue;
    struct event *results;
    struct waiting *spares;
    /* Of one that waits: */
    hearth_value *page;
};

/* Starts one: it listens on `socket`, which is shared by all, until `end` is readable. False: stderr says why. */
bool server_start(struct server *server, struct shop *shop, int socket, int end);

/* Waits for its end, and frees what it had. One that was not started is left alone. */
void server_join(struct server *server);

#endif
