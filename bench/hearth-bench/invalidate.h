/* SPDX-License-Identifier: Apache-2.0 */
/* What the cases of the suite invalidate share: a server of their own, caches before it, and keys on it. */
#ifndef HEARTH_BENCH_INVALIDATE_H
#define HEARTH_BENCH_INVALIDATE_H

#include "hearth-bench/bench.h"
#include "support/servers.h"

#include <hearth/hearth.h>

enum { SITE_URL_BYTES = 160, SITE_CACHES = 2 };

struct invalidate_site {
    struct servers servers;
    char url[SITE_URL_BYTES];
    hearth *caches[SITE_CACHES]; /* as two processes would have them */
};

struct invalidate_plan {
    enum server_kind kind;
    const char *local_bytes[SITE_CACHES]; /* local.max_bytes of each cache */
    const char *version_ttl_ms;
};

/* Starts the server and opens the caches. 0; -1, and bench_fail() has said why. Ended by invalidate_close() in either case. */
int invalidate_open(struct invalidate_site *site, const struct bench *bench,
                    const struct invalidate_plan *plan);
void invalidate_close(struct invalidate_site *site);

/* Stores the keys of `count` numbers from `first` on. 0; -1 as above. */
int invalidate_store(const struct bench *bench, hearth *cache, uint32_t first, uint32_t count,
                     const hearth_write_options *write);

/* The peer: a client that deletes the keys of the numbers below `count` one by one, in pipelines, with hiredis or libmemcached. All of
 * them must be there. 0 and how long it took; -1 as above. */
int invalidate_delete_all(const struct bench *bench, const struct server_node *node,
                          uint32_t count, int64_t *took_ns);

case_run invalidate_keys_redis;
case_run invalidate_keys_memcached;
case_run invalidate_tagged_hit_redis;
case_run invalidate_tagged_hit_memcached;
case_run invalidate_view_hit;

#endif
