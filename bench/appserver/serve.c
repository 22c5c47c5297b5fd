/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/serve.h"

#include "appserver/answer.h"

#include <stdlib.h>

enum { RESULTS_AT_ONCE = 8 }; /* an answer takes some 10 us: then the loop has its turn */

/* A request whose result is to come. */
struct waiting {
    struct evhttp_request *http;
    hearth_value *page;
    struct waiting *next; /* of those that can be used again */
};

static void count(struct server *server, bool failed) {
    if (failed) {
        atomic_fetch_add(&server->shop->failures, 1);
    }
}

static void send_page(struct server *server, struct evhttp_request *http, int32_t status,
                      const hearth_value *page) {
    hearth_info info = {.size = sizeof info};
    (void)hearth_value_info(page, &info);
    const struct page_answer answer = {.status = status,
                                       .data = hearth_value_data(page),
                                       .size = hearth_value_size(page),
                                       .info = &info,
                                       .lives = &server->shop->lives};
    count(server, answer_page(http, &answer));
}

/* ---- without Hearth ------------------------------------------------------------------------ */

static void send_from_database(struct server *server, struct evhttp_request *http,
                               uint32_t product) {
    char page[ORIGIN_PAGE_MAX];
    size_t size = 0;
    int32_t status = products_page(server->shop->products, product, page, &size);
    const struct page_answer answer = {.status = status, .data = page, .size = size};
    count(server, answer_page(http, &answer));
}

/* ---- threads that wait --------------------------------------------------------------------- */

static void fetch(struct server *server, struct evhttp_request *http, uint32_t product) {
    char key[PRODUCT_KEY_BYTES];
    size_t key_size = product_key(product, key);
    int32_t status = hearth_fetch(server->shop->cache, key, key_size, &server->shop->loader,
                                  NULL, NULL, server->page);
    send_page(server, http, status, server->page);
}

/* ---- loops that submit --------------------------------------------------------------------- */

static struct waiting *take(struct server *server, struct evhttp_request *http) {
    struct waiting *waiting = server->spares;
    if (waiting != NULL) {
        server->spares = waiting->next;
    } else if ((waiting = calloc(1, sizeof *waiting)) != NULL &&
               (waiting->page = hearth_value_new()) == NULL) {
        free(waiting);
        waiting = NULL;
    }
    if (waiting != NULL) {
        waiting->http = http;
    }
    return waiting;
}

static void give_back(struct server *server, struct waiting *waiting) {
    waiting->next = server->spares;
    server->spares = waiting;
}

/* A reader who went away meanwhile is libevent's business: an answer to a connection that is closed only frees the request. */
static void finish(struct server *server, struct waiting *waiting, uint32_t verb,
                   int32_t status) {
    if (verb == HEARTH_VERB_DELETE) {
        count(server, answer_change(waiting->http, status));
    } else {
        send_page(server, waiting->http, status, waiting->page);
    }
    give_back(server, waiting);
}

static void submit(struct server *server, struct evhttp_request *http, uint32_t verb,
                   uint32_t product) {
    char key[PRODUCT_KEY_BYTES];
    uint64_t ticket = 0;
    struct waiting *waiting = take(server, http);
    if (waiting == NULL) {
        count(server, answer_change(http, HEARTH_E_NOMEM));
        return;
    }
    hearth_operation operation;
    hearth_operation_init(&operation, sizeof operation);
    operation.verb = verb;
    operation.key = key; /* copied, as the loader is */
    operation.key_size = product_key(product, key);
    operation.tag = waiting;
    if (verb == HEARTH_VERB_FETCH) {
        operation.value = waiting->page;
        operation.loader = &server->shop->loader;
    }
    held_begin(&server->in_cache);
    int32_t status = hearth_submit(server->queue, &operation, &ticket);
    held_end(&server->in_cache);
    if (ticket == 0) { /* a local hit, or refused */
        finish(server, waiting, verb, status);
    }
}

void serve_results(struct server *server) {
    hearth_result results[RESULTS_AT_ONCE] = {{.size = sizeof results[0]}};
    size_t ready = 0;
    held_begin(&server->in_cache);
    int32_t status = hearth_collect(server->queue, results, RESULTS_AT_ONCE, 0, &ready);
    held_end(&server->in_cache);
    held_begin(&server->outside);
    for (size_t i = 0; status == HEARTH_OK && i < ready; i++) {
        finish(server, results[i].tag, results[i].verb, results[i].status);
    }
    held_end(&server->outside);
}

static void drop(void *arg, const hearth_result *result) {
    struct waiting *waiting = result->tag;
    /* Requests with a connection go with it. */
    if (evhttp_request_get_connection(waiting->http) == NULL) {
        evhttp_request_free(waiting->http);
    }
    give_back(arg, waiting);
}

void serve_close(struct server *server) {
    (void)hearth_queue_close(server->queue, drop, server);
    while (server->spares != NULL) {
        struct waiting *waiting = server->spares;
        server->spares = waiting->next;
        hearth_value_free(waiting->page);
        free(waiting);
    }
}

/* ---- both ---------------------------------------------------------------------------------- */

void serve_page(struct server *server, struct evhttp_request *http, uint32_t product) {
    if (server->shop->cache == NULL) {
        send_from_database(server, http, product);
    } else if (server->queue == NULL) {
        fetch(server, http, product);
    } else {
        submit(server, http, HEARTH_VERB_FETCH, product);
    }
}

void serve_change(struct server *server, struct evhttp_request *http, uint32_t product) {
    char key[PRODUCT_KEY_BYTES];
    int32_t status = HEARTH_OK;
    if (server->queue != NULL) {
        submit(server, http, HEARTH_VERB_DELETE, product);
        return;
    }
    if (server->shop->cache != NULL) {
        size_t key_size = product_key(product, key);
        status = hearth_delete(server->shop->cache, key, key_size, NULL);
    }
    count(server, answer_change(http, status));
}
