/* SPDX-License-Identifier: Apache-2.0 */
/* The products' pages: their keys, and their way out of the database. Any thread, several at once. */
#ifndef HEARTH_BENCH_APPSERVER_PRODUCTS_H
#define HEARTH_BENCH_APPSERVER_PRODUCTS_H

#include "appserver/arguments.h"
#include "origin.h"

#include <hearth/hearth.h>

enum { PRODUCT_KEY_BYTES = 32 };

struct products;

/* Opens the database, and builds it first if it is not there. NULL, and stderr says why. */
struct products *products_open(const struct arguments *arguments);

/* NULL is allowed. */
void products_close(struct products *products);

/* The key of a product's page, with a NUL behind it; its size without that. */
size_t product_key(uint32_t product, char key[PRODUCT_KEY_BYTES]);

/* A product's page out of the database: HEARTH_OK, HEARTH_ABSENT (there is no such product), HEARTH_E_LOADER. */
int32_t products_page(struct products *products, uint32_t product, char page[ORIGIN_PAGE_MAX],
                      size_t *size);

/* The same, for Hearth. */
hearth_loader products_loader(struct products *products);

#endif
