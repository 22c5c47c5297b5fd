/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy before a server, on a socket of the same kind (unix, or TCP on loopback), which does to
 * the bytes what networks and middle boxes do: it holds them, delays, cuts, drops, repeats, swaps
 * and splits them, each way by itself, on all connections that there are and will be.
 *
 * It runs on a thread of its own and is told what to do by the test, which waits for what it has
 * seen and passed on instead of sleeping. Any thread may call these. Nothing here asserts.
 */
#ifndef HEARTH_TESTS_SUPPORT_PROXY_H
#define HEARTH_TESTS_SUPPORT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proxy;

enum proxy_way { PROXY_TO_SERVER, PROXY_TO_CLIENT };

/* Starts one before the server at a path, or (NULL) at a port of 127.0.0.1. The server need not
 * run yet. NULL: it could not, errno says why. */
struct proxy *proxy_start(const char *path, int port) __attribute__((warn_unused_result));

/* Connections that are made from now on are to another server. */
void proxy_aim(struct proxy *proxy, const char *path, int port);

/* Ends all connections and the proxy. NULL is allowed. */
void proxy_stop(struct proxy *proxy);

/* Where clients connect: the path lives as long as the proxy; 0 with a path. */
char *proxy_path(struct proxy *proxy);
int proxy_port(const struct proxy *proxy);

/* ---- what it does to the bytes --------------------------------------------------------------- */

/* Keeps all bytes, and also that the sender has closed. */
void proxy_hold(struct proxy *proxy, enum proxy_way way);

/* While they are held: so many bytes more may pass, on each connection. */
void proxy_let(struct proxy *proxy, enum proxy_way way, uint64_t bytes);

/* What is held passes, and all that comes. */
void proxy_release(struct proxy *proxy, enum proxy_way way);

/* Bytes pass so many ms after they came. */
void proxy_delay(struct proxy *proxy, enum proxy_way way, int64_t ms);

/* At most so many bytes at once; the next ones when the receiver has read them (TCP: when its
 * kernel has them). 0: no more of that. */
void proxy_split(struct proxy *proxy, enum proxy_way way, size_t bytes);

/* Whether bytes are taken and go nowhere: the other end seems to be there and is not. */
void proxy_swallow(struct proxy *proxy, enum proxy_way way, bool swallows);

enum proxy_edit_kind {
    PROXY_CUT,    /* the connection ends here */
    PROXY_DROP,   /* `size` bytes are left out */
    PROXY_REPEAT, /* `size` bytes pass twice */
    PROXY_SWAP,   /* `size` bytes pass after the `other` bytes behind them */
    PROXY_INSERT, /* `bytes` pass first */
};

/* A change at a place in a connection's stream, counted from its beginning. */
struct proxy_edit {
    enum proxy_edit_kind kind;
    uint64_t at;
    size_t size;
    size_t other;
    const void *bytes; /* INSERT: `size` of them */
};

/* Edits in the order of their places, which do not overlap; they must live until others or none
 * are given. On each connection those in front of its place have no effect. */
void proxy_edit(struct proxy *proxy, enum proxy_way way, const struct proxy_edit *edits,
                size_t count);

/* One way of one connection, for a filter. */
struct proxy_flow;

/*
 * Decides on bytes that came, in place of edits: takes some of them from the front and says how
 * many; passes on what it wants by proxy_emit(). 0: it needs more of them. It runs on the
 * proxy's thread, one at a time.
 */
typedef size_t proxy_filter_function(void *arg, struct proxy_flow *flow,
                                     const unsigned char *bytes, size_t size);

/* NULL: no filter. */
void proxy_filter(struct proxy *proxy, enum proxy_way way, proxy_filter_function *filter,
                  void *arg);

/* For a filter. The connection's number, the first being 0; and its end, after what was emitted. */
void proxy_emit(struct proxy_flow *flow, const void *bytes, size_t size);
unsigned proxy_number(const struct proxy_flow *flow);
void proxy_end(struct proxy_flow *flow);

/* For a filter: the same, but they pass so many ms later, and what comes behind them not before them. */
void proxy_emit_late(struct proxy_flow *flow, const void *bytes, size_t size, int64_t ms);

/* For a filter of what servers say. The server loses the connection, and the client is told nothing of that: it can say what it likes
 * to nobody, until it closes. */
void proxy_forsake(struct proxy_flow *flow);

/* ---- what it does to connections -------------------------------------------------------------- */

/* Ends all connections at once. `reset`: with an error at both ends, where the kind of socket
 * has that. */
void proxy_cut(struct proxy *proxy, bool reset);

enum proxy_door {
    PROXY_OPEN,   /* connections are taken */
    PROXY_SHUT,   /* and refused */
    PROXY_UNSEEN, /* they are made by the kernel, and nobody takes them */
};

/* False: the socket could not be made anew. */
bool proxy_door(struct proxy *proxy, enum proxy_door door);

/* ---- what it has seen ------------------------------------------------------------------------- */

/* Bytes that came, and that were passed on, on all connections since the beginning. */
uint64_t proxy_seen(struct proxy *proxy, enum proxy_way way);
uint64_t proxy_passed(struct proxy *proxy, enum proxy_way way);

/* Connections that were taken, and those of them that the client has closed. */
uint64_t proxy_connections(struct proxy *proxy);
uint64_t proxy_closed(struct proxy *proxy);

/* Waits until there were at least so many. False: not within a minute. */
bool proxy_await_seen(struct proxy *proxy, enum proxy_way way, uint64_t bytes)
    __attribute__((warn_unused_result));
bool proxy_await_passed(struct proxy *proxy, enum proxy_way way, uint64_t bytes)
    __attribute__((warn_unused_result));
bool proxy_await_connections(struct proxy *proxy, uint64_t count)
    __attribute__((warn_unused_result));
bool proxy_await_closed(struct proxy *proxy, uint64_t count)
    __attribute__((warn_unused_result));

#endif
