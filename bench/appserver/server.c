/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/server.h"

#include "appserver/answer.h"
#include "appserver/serve.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ACCEPTED_AT_ONCE = 8, /* then the loop has its turn: many who come at once do not hold it */
    HEADERS_MOST = 16384,
    BODY_MOST = 65536,
    SILENCE_S = 75,
};

/* ---- events ------------------------------------------------------------------------------- */

static void metrics(struct server *server, struct evhttp_request *http) {
    size_t size = 0;
    char *text = shop_metrics(server->shop, &size);
    (void)answer_text(http, text != NULL ? text : "", size);
    free(text);
}

static void on_request(struct evhttp_request *http, void *arg) {
    struct server *server = arg;
    uint32_t product = 0;
    held_begin(&server->held);
    atomic_fetch_add_explicit(&server->shop->requests, 1, memory_order_relaxed);
    switch (answer_wish(http, &product)) {
    case WISH_PAGE:
        serve_page(server, http, product);
        break;
    case WISH_CHANGE:
        serve_change(server, http, product);
        break;
    case WISH_METRICS:
        metrics(server, http);
        break;
    case WISH_REFUSED:
        (void)answer_refused(http);
        break;
    case WISH_UNKNOWN:
        (void)answer_unknown(http);
        break;
    }
    held_end(&server->held);
}

static void on_results(evutil_socket_t fd, short what, void *arg) {
    struct server *server = arg;
    (void)fd;
    (void)what;
    held_begin(&server->held);
    serve_results(server);
    held_end(&server->held);
}

/* libevent accepts as long as anybody comes; asked for a connection's buffer (NULL: the usual one) it can be made to pause. */
static struct bufferevent *on_accept(struct event_base *base, void *arg) {
    static const struct timeval at_once = {0, 0};
    struct server *server = arg;
    (void)base;
    if (++server->accepted == ACCEPTED_AT_ONCE) {
        (void)evconnlistener_disable(server->listener);
        (void)event_add(server->accept_more, &at_once);
    }
    return NULL;
}

static void on_accept_more(evutil_socket_t fd, short what, void *arg) {
    struct server *server = arg;
    (void)fd;
    (void)what;
    server->accepted = 0;
    (void)evconnlistener_enable(server->listener);
}

static void on_end(evutil_socket_t fd, short what, void *arg) {
    struct server *server = arg;
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(server->base);
}

/* Threads that were started before stay where they are; those that this one starts from here on have its processor too. */
static void take_processor(const struct arguments *arguments) {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(arguments->loop_processor, &own);
    if (sched_setaffinity(0, sizeof own, &own) != 0) {
        (void)fputs("appserver: --loop-processor is none that it may use\n", stderr);
    }
}

static void *run(void *arg) {
    struct server *server = arg;
    if (server->shop->arguments->has_loop_processor) {
        take_processor(server->shop->arguments);
    }
    held_open(&server->held);
    held_open(&server->in_cache);
    held_open(&server->outside);
    (void)event_base_dispatch(server->base);
    held_close(&server->outside);
    held_close(&server->in_cache);
    held_close(&server->held);
    return NULL;
}

/* ---- start and end ------------------------------------------------------------------------ */

static bool open_http(struct server *server, int socket) {
    server->http = evhttp_new(server->base);
    int own = dup(socket);
    server->listener =
        own >= 0 ? evconnlistener_new(server->base, NULL, NULL,
                                      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, own)
                 : NULL;
    if (server->http == NULL || server->listener == NULL) {
        return false;
    }
    evhttp_set_gencb(server->http, on_request, server);
    evhttp_set_bevcb(server->http, on_accept, server);
    evhttp_set_timeout(server->http, SILENCE_S);
    evhttp_set_max_headers_size(server->http, HEADERS_MOST);
    evhttp_set_max_body_size(server->http, BODY_MOST);
    evhttp_set_allowed_methods(
        server->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                          EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    return evhttp_bind_listener(server->http, server->listener) != NULL;
}

static bool open_queue(struct server *server) {
    int fd = -1;
    if (hearth_queue_open(server->shop->cache, &server->queue) != HEARTH_OK ||
        hearth_event_fd(server->queue, &fd) != HEARTH_OK) {
        return false;
    }
    server->results = event_new(server->base, fd, EV_READ | EV_PERSIST, on_results, server);
    return server->results != NULL && event_add(server->results, NULL) == 0;
}

static bool open_all(struct server *server, int socket, int end) {
    const struct shop *shop = server->shop;
    server->base = event_base_new();
    if (server->base == NULL || !open_http(server, socket)) {
        return false;
    }
    server->accept_more = evtimer_new(server->base, on_accept_more, server);
    server->ending = event_new(server->base, end, EV_READ, on_end, server);
    if (server->accept_more == NULL || server->ending == NULL ||
        event_add(server->ending, NULL) != 0) {
        return false;
    }
    if (shop->cache != NULL && !shop->arguments->blocks) {
        return open_queue(server);
    }
    server->page = hearth_value_new();
    return server->page != NULL;
}

static void close_all(struct server *server) {
    if (server->results != NULL) {
        event_free(server->results); /* before the queue, whose descriptor it polls */
    }
    if (server->queue != NULL) {
        serve_close(server);
    }
    hearth_value_free(server->page);
    if (server->accept_more != NULL) {
        event_free(server->accept_more);
    }
    if (server->ending != NULL) {
        event_free(server->ending);
    }
    if (server->http != NULL) {
        evhttp_free(server->http); /* and the listener */
    }
    if (server->base != NULL) {
        event_base_free(server->base);
    }
}

bool server_start(struct server *server, struct shop *shop, int socket, int end) {
    server->shop = shop;
    if (open_all(server, socket, end) &&
        pthread_create(&server->thread, NULL, run, server) == 0) {
        return true;
    }
    (void)fputs("appserver: a thread that serves does not start\n", stderr);
    close_all(server);
    server->base = NULL;
    return false;
}

void server_join(struct server *server) {
    if (server->base != NULL) {
        (void)pthread_join(server->thread, NULL);
        close_all(server);
    }
}
