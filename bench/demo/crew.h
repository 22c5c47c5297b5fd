/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that send the requests. Each has its own connection to the origin, which is also
 * its loader. They take the requests in their order, a few at a time, and check every answer. */
#ifndef HEARTH_BENCH_DEMO_CREW_H
#define HEARTH_BENCH_DEMO_CREW_H

#include <stddef.h>
#include <stdint.h>

#include <hearth/hearth.h>

#include "demo/ledger.h"
#include "latency.h"
#include "requests.h"

struct crew;

/* The key of an item; gives its size. */
enum { CREW_KEY_BYTES = 16 };
size_t crew_key(uint32_t item, char *key);

/* Opens `threads` connections to the database; the threads start with each replay. `requests`
 * and `ledger` stay the caller's. 0, or -1 with the reason in `error`. */
int crew_open(struct crew **crew, uint32_t threads, const char *database, uint32_t peers,
              const struct requests *requests, struct ledger *ledger, char *error,
              size_t error_size) __attribute__((warn_unused_result));

/* NULL is allowed. */
void crew_close(struct crew *crew);

/* Called some ten times a second, on the thread that called crew_replay. `done`: requests taken
 * so far. */
typedef void crew_watch(void *context, size_t done, uint64_t elapsed_ns);

/* Called once, on the thread that has taken the request `at`, while the others go on. */
typedef void crew_event(void *context, size_t at, uint64_t elapsed_ns);

struct crew_orders {
    hearth *cache;     /* NULL: every request goes to the origin */
    size_t first;      /* the request to begin with */
    size_t end;        /* the one to end before, at most their number */
    uint64_t limit_ns; /* when to end, unless the requests end before; 0: never */
    crew_watch *watch; /* NULL: none */
    crew_event *event; /* NULL: none */
    size_t event_at;   /* the request */
    void *context;     /* of both */
};

struct crew_outcome {
    uint64_t requests;
    uint64_t elapsed_ns;
    uint64_t answered[4]; /* by enum hearth_tier */
    uint64_t failed;      /* answered with an error, or with nothing */
    int32_t failure;      /* the status of one of them */
    uint64_t wrong;       /* answered with another key's page */
    struct latency latency;
};

/* Adds what was seen to `outcome`. 0, or -1: a thread did not start. */
int crew_replay(struct crew *crew, const struct crew_orders *orders,
                struct crew_outcome *outcome) __attribute__((warn_unused_result));

#endif
