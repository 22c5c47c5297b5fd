/* SPDX-License-Identifier: Apache-2.0 */
/* One way of one connection of a proxy: bytes from one socket to another, and what is done to
 * them. Under the proxy's lock. */
#ifndef HEARTH_TESTS_SUPPORT_PROXY_FLOW_H
#define HEARTH_TESTS_SUPPORT_PROXY_FLOW_H

#include "support/proxy.h"

/* What is done to all bytes of one way. */
struct proxy_rules {
    bool held;
    uint64_t let; /* bytes of each connection that may pass while held */
    int64_t delay_ms;
    size_t split;
    bool swallows;
    const struct proxy_edit *edits;
    size_t edit_count;
    proxy_filter_function *filter;
    void *filter_arg;
    uint64_t seen;
    uint64_t passed;
};

/* When bytes up to a place may pass. */
struct proxy_due {
    uint64_t end;
    int64_t at_ns;
};

struct proxy_bytes {
    unsigned char *data;
    size_t first; /* what is before it is gone */
    size_t size;
    size_t capacity;
};

struct proxy_flow {
    struct proxy_rules *rules;
    int from;
    int to;
    unsigned number;
    bool ended;     /* the sender has closed, or a cut: what is kept still passes */
    bool broken;    /* one of the sockets failed */
    bool forsaken;  /* its sender is gone, and the receiver does not know */
    uint64_t place; /* bytes taken from `in` */
    size_t edit;    /* the next one */
    uint64_t let;   /* bytes that passed on an allowance */
    uint64_t emitted;
    struct proxy_bytes in;
    struct proxy_bytes out;
    struct proxy_due *dues;
    size_t due_count;
    size_t due_capacity;
};

void proxy_flow_init(struct proxy_flow *flow, struct proxy_rules *rules, int from, int to,
                     unsigned number);
void proxy_flow_fini(struct proxy_flow *flow);

/* Whether it can take more bytes. */
bool proxy_flow_wants(const struct proxy_flow *flow);

/* Takes what came. */
void proxy_flow_receive(struct proxy_flow *flow);

/* Does to what came what is to be done. */
void proxy_flow_apply(struct proxy_flow *flow);

/* Forgets what it has. */
void proxy_flow_drop(struct proxy_flow *flow);

/* How many bytes may be sent now; if none because of time, *wake_ns may get earlier; if none
 * because the receiver has not read yet, *look gets true. */
size_t proxy_flow_ready(const struct proxy_flow *flow, int64_t now_ns, int64_t *wake_ns,
                        bool *look);

/* Sends what may be sent. */
void proxy_flow_send(struct proxy_flow *flow, size_t ready);

/* Whether all has passed that ever will. */
bool proxy_flow_over(const struct proxy_flow *flow);

#endif
