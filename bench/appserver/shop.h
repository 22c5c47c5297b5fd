/* SPDX-License-Identifier: Apache-2.0 */
/* What all threads that serve share. */
#ifndef HEARTH_BENCH_APPSERVER_SHOP_H
#define HEARTH_BENCH_APPSERVER_SHOP_H

#include "appserver/arguments.h"
#include "appserver/held.h"
#include "appserver/page_headers.h"
#include "appserver/products.h"

#include <stdatomic.h>

struct server;

struct shop {
    const struct arguments *arguments;
    struct products *products;
    hearth *cache; /* NULL: without one */
    hearth_loader loader;
    struct page_lives lives;
    struct server *servers; /* arguments->threads of them */
    _Atomic uint64_t requests;
    _Atomic uint64_t failures; /* answered by 5xx */
};

/* Opens products and cache. False: stderr says why. */
bool shop_open(struct shop *shop, const struct arguments *arguments);
void shop_close(struct shop *shop);

/* What happened, as Prometheus reads it; to be freed with free(). NULL: no memory. */
char *shop_metrics(const struct shop *shop, size_t *size);

/* For how long a loop was held, of all that serve: by what it called, by Hearth's calls alone, and by answers alone. */
struct shop_held {
    struct held_longest all;
    struct held_longest in_cache;
    struct held_longest outside;
};

struct shop_held shop_held(const struct shop *shop);

#endif
