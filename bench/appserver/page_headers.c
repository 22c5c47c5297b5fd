/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/page_headers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MS_PER_S = 1000 };

/* For how long others may keep it from now on. A local copy's own life is shorter than the page's, and no measure for them. */
static int64_t fresh_ms(const hearth_info *info, bool exists, const struct page_lives *lives) {
    int64_t life_ms = exists ? lives->ttl_ms : lives->negative_ms;
    int64_t age_ms = info->age_ms > 0 ? info->age_ms : 0;
    int64_t left_ms = life_ms == 0 ? lives->max_age_ms : life_ms - age_ms;
    if (info->freshness == HEARTH_STALE || left_ms < 0) {
        return 0;
    }
    return left_ms < lives->max_age_ms ? left_ms : lives->max_age_ms;
}

static const char *cache_status(const hearth_info *info) {
    if (info->freshness == HEARTH_STALE) {
        return "hearth; hit; detail=stale";
    }
    switch (info->tier) {
    case HEARTH_TIER_LOCAL:
        return "hearth; hit; detail=local";
    case HEARTH_TIER_REMOTE:
        return "hearth; hit; detail=remote";
    case HEARTH_TIER_GUARD:
        return "hearth; hit; detail=guard";
    default:
        return "hearth; fwd=miss";
    }
}

void page_headers_write(struct page_headers *headers, const hearth_info *info, bool exists,
                        const struct page_lives *lives) {
    int64_t age_s = info->age_ms > 0 ? info->age_ms / MS_PER_S : 0;
    *headers = (struct page_headers){.age = ""};
    /* Their clock begins where the page began: max-age is its whole life, Age the part that is over. */
    (void)snprintf(headers->cache_control, sizeof headers->cache_control,
                   "public, max-age=%" PRId64,
                   age_s + fresh_ms(info, exists, lives) / MS_PER_S);
    (void)snprintf(headers->cache_status, sizeof headers->cache_status, "%s",
                   cache_status(info));
    if (info->age_ms >= 0) {
        (void)snprintf(headers->age, sizeof headers->age, "%" PRId64, age_s);
    }
    if (exists && info->version != 0) {
        (void)snprintf(headers->etag, sizeof headers->etag, "\"%016" PRIx64 "\"",
                       info->version);
    }
}

bool page_headers_match(const char *if_none_match, const char *etag) {
    const char *at = if_none_match;
    size_t size = strlen(etag);
    while (at != NULL && *at != '\0' && size != 0) {
        at += strspn(at, " \t,");
        if (*at == '*') {
            return true;
        }
        at += strncmp(at, "W/", 2) == 0 ? 2 : 0; /* compared weakly: the same bytes will do */
        if (strncmp(at, etag, size) == 0) {
            return true;
        }
        const char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
        at = end != NULL ? end + 1 : NULL; /* what is no list of tags ends here */
    }
    return false;
}
