/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/shop.h"

#include "appserver/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_BYTES = 512, NAME_BYTES = 64 };

/* ---- the cache ---------------------------------------------------------------------------- */

static bool set(hearth_options *options, const char *name, const char *value) {
    if (hearth_options_set(options, name, value) == HEARTH_OK) {
        return true;
    }
    (void)fprintf(stderr, "appserver: %s\n", hearth_options_error(options));
    return false;
}

static bool set_all(hearth_options *options, const struct arguments *arguments) {
    bool done = set(options, "remote.url", arguments->remote);
    for (size_t i = 0; done && i < arguments->option_count; i++) {
        char name[NAME_BYTES];
        const char *value = strchr(arguments->options[i], '=');
        (void)snprintf(name, sizeof name, "%.*s", (int)(value - arguments->options[i]),
                       arguments->options[i]);
        done = set(options, name, value + 1);
    }
    return done;
}

static int64_t life_ms(const hearth_options *options, const char *name) {
    char text[NAME_BYTES] = "0";
    (void)hearth_options_get(options, name, text, sizeof text, NULL);
    return strtoll(text, NULL, 10);
}

static bool open_cache(struct shop *shop) {
    hearth_options *options = hearth_options_new();
    bool done = options != NULL && set_all(options, shop->arguments);
    if (done && hearth_open(options, &shop->cache) != HEARTH_OK) {
        (void)fprintf(stderr, "appserver: %s\n", hearth_options_error(options));
        done = false;
    }
    if (done) {
        shop->lives.ttl_ms = life_ms(options, "ttl_ms");
        shop->lives.negative_ms = life_ms(options, "negative_ttl_ms");
    }
    hearth_options_free(options);
    return done;
}

bool shop_open(struct shop *shop, const struct arguments *arguments) {
    *shop = (struct shop){.arguments = arguments,
                          .products = products_open(arguments),
                          .lives.max_age_ms = (int64_t)arguments->max_age_s * 1000};
    shop->servers = calloc(arguments->threads, sizeof *shop->servers);
    if (shop->products == NULL || shop->servers == NULL) {
        return false;
    }
    shop->loader = products_loader(shop->products);
    return !arguments->has_hearth || open_cache(shop);
}

void shop_close(struct shop *shop) {
    if (shop->cache != NULL) {
        (void)hearth_close(shop->cache);
    }
    products_close(shop->products);
    free(shop->servers);
}

/* ---- what happened ------------------------------------------------------------------------ */

static struct held_longest longer(struct held_longest one, const struct held *other) {
    struct held_longest found = held_longest(other);
    int64_t whole_ns = found.whole_ns > one.whole_ns ? found.whole_ns : one.whole_ns;
    found = found.held_ns > one.held_ns ? found : one;
    found.whole_ns = whole_ns;
    return found;
}

struct shop_held shop_held(const struct shop *shop) {
    struct shop_held held = {0};
    for (uint32_t i = 0; i < shop->arguments->threads; i++) {
        const struct server *server = &shop->servers[i];
        held.all = longer(held.all, &server->held);
        held.in_cache = longer(held.in_cache, &server->in_cache);
        held.outside = longer(held.outside, &server->outside);
    }
    return held;
}

char *shop_metrics(const struct shop *shop, size_t *size) {
    size_t needed = 1;
    if (shop->cache != NULL) {
        (void)hearth_stats_text(shop->cache, NULL, 0, &needed);
    }
    size_t room = OWN_BYTES + needed + OWN_BYTES; /* a counter may grow meanwhile */
    char *text = malloc(room);
    if (text == NULL) {
        return NULL;
    }
    int own =
        snprintf(text, OWN_BYTES,
                 "# TYPE appserver_requests_total counter\n"
                 "appserver_requests_total %" PRIu64 "\n"
                 "# TYPE appserver_failures_total counter\n"
                 "appserver_failures_total %" PRIu64 "\n"
                 "# HELP appserver_held_seconds Longest time for which an event loop was held\n"
                 "# TYPE appserver_held_seconds gauge\n"
                 "appserver_held_seconds %.6f\n",
                 atomic_load(&shop->requests), atomic_load(&shop->failures),
                 (double)shop_held(shop).all.held_ns / 1e9);
    if (shop->cache != NULL) {
        (void)hearth_stats_text(shop->cache, text + own, room - (size_t)own, NULL);
    }
    *size = strlen(text);
    return text;
}
