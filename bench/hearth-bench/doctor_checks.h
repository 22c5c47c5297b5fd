/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `hearth-bench doctor` share: nodes, what is known of them, and what is found. One thread. */
#ifndef HEARTH_BENCH_DOCTOR_CHECKS_H
#define HEARTH_BENCH_DOCTOR_CHECKS_H

#include "remote/remote.h"

#include <hiredis/hiredis.h>
#include <libmemcached/memcached.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DOCTOR_WHY = 256,
    DOCTOR_BOUND_MS = 500, /* of a connect, and of each answer */
    DOCTOR_LIFE_S = 60,    /* of what it writes */
    DOCTOR_PLACED = 64,    /* keys that are written and found */
};

/* Times of one kind; a count of 0: none were taken. */
struct doctor_times {
    size_t count;
    double p50_us;
    double p99_us;
};

struct doctor_node {
    const hearth__node_address *address;
    char name[280]; /* as people write it */
    bool answers;
    char why_not[DOCTOR_WHY];
    redisContext *redis; /* of the two one, while it answers */
    memcached_st *memcached;
    char version[48];
    char identity[64]; /* of the process; empty: it does not say */
    double ring_share;
    struct doctor_times trip;
    struct doctor_times invalidation; /* from a write's request to the message */
    char not_tracked[DOCTOR_WHY];     /* why there is no message */
    uint64_t used_bytes;
    uint64_t max_bytes; /* 0: no limit */
    char policy[32];    /* when the limit is reached */
    uint64_t evicted;
    uint64_t looked_at; /* keys that were there, */
    uint64_t in_place;  /* and those of them that the ring looks for there */
    char misplaced[64]; /* one of the others */
};

/* The same of several nodes is told once. */
struct doctor_finding {
    bool is_wrong; /* false: advice */
    char where[400];
    char text[400];
};

struct doctor {
    const char *url_text;
    const char
        *prefix; /* of what it writes, and of the keys that it looks at; NULL: of all keys */
    bool reads_only;
    hearth__remote_url url;
    struct doctor_node *nodes; /* url.count */
    struct doctor_finding *findings;
    size_t finding_count;
};

/* Notes what is wrong, or advice; of all nodes if `node` is NULL. */
void doctor_wrong(struct doctor *doctor, const struct doctor_node *node, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
void doctor_advise(struct doctor *doctor, const struct doctor_node *node, const char *format,
                   ...) __attribute__((format(printf, 3, 4)));

/* The node is not asked any more. */
void doctor_lose(struct doctor_node *node, const char *why);

/* Takes times, in us, and sorts them. */
struct doctor_times doctor_times_of(double *us, size_t count);

/* Copies what stands behind "name:" at the beginning of a line. False, and an empty text: there is no such line. */
bool doctor_field(const char *lines, const char *name, char *text, size_t size);
/* The same as a number; 0: there is none. */
uint64_t doctor_number(const char *lines, const char *name);

/* ---- doctor_redis.c, doctor_memcached.c -------------------------------------------------- */

/* Connects, and fills in what the node says of itself and how long an answer takes. */
void doctor_meet_redis(struct doctor *doctor, struct doctor_node *node);
void doctor_meet_memcached(struct doctor *doctor, struct doctor_node *node);

/* Keys of a node of either kind, past Hearth; they live DOCTOR_LIFE_S. What look gives is to be freed by free(); NULL: nothing
 * is there. */
bool doctor_put(struct doctor_node *node, const char *key, const char *value);
char *doctor_look(struct doctor_node *node, const char *key, size_t *size);
void doctor_delete(struct doctor_node *node, const char *key);

/* ---- doctor_tracking.c ------------------------------------------------------------------- */

/* Whether Redis tells one connection what another has read and a third one changes, and how fast. */
void doctor_track(struct doctor *doctor, struct doctor_node *node);

/* ---- doctor_placement.c ------------------------------------------------------------------ */

/* What came of it, for the report. */
struct doctor_placement {
    size_t computed; /* keys whose node was computed by both, */
    size_t differ;   /* and differs */
    size_t written;  /* keys that were put where libmemcached puts them, */
    size_t found;    /* those that Hearth found there, */
    size_t placed;   /* and those whose new value from Hearth was there too */
};

/* Whether keys are where other clients put them; also fills in the nodes' shares of the ring. 0; -1: it could not be found out,
 * and that is among the findings. */
int doctor_place(struct doctor *doctor, struct doctor_placement *placement);

#endif
