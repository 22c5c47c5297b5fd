/* SPDX-License-Identifier: Apache-2.0 */
/* What the caches between the server and a reader are told of a page, from what is known of the cached value: Cache-Control and
 * Age (RFC 9111, 5.2 and 5.1), ETag and If-None-Match (RFC 9110, 8.8.3 and 13.1.2), Cache-Status (RFC 9211). */
#ifndef HEARTH_BENCH_APPSERVER_PAGE_HEADERS_H
#define HEARTH_BENCH_APPSERVER_PAGE_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include <hearth/hearth.h>

struct page_lives {
    int64_t max_age_ms;  /* others ask again after so long, or sooner */
    int64_t ttl_ms;      /* hard life of a page; 0: for ever */
    int64_t negative_ms; /* of the knowledge that there is none */
};

/* Header fields; an empty one is left out. */
struct page_headers {
    char cache_control[64];
    char age[24];
    char etag[24];
    char cache_status[48];
};

/* `exists`: a page, not the absence of one. */
void page_headers_write(struct page_headers *headers, const hearth_info *info, bool exists,
                        const struct page_lives *lives);

/* Whether who sends this If-None-Match (NULL: none) has the page of that ETag. */
bool page_headers_match(const char *if_none_match, const char *etag);

#endif
