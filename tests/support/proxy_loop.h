/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy's sockets and its thread. */
#ifndef HEARTH_TESTS_SUPPORT_PROXY_LOOP_H
#define HEARTH_TESTS_SUPPORT_PROXY_LOOP_H

#include "support/proxy_flow.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PROXY_WAYS = 2 };

struct proxy_connection {
    int client;
    int server;
    struct proxy_flow flows[PROXY_WAYS];
    struct proxy_connection *next;
};

union proxy_address {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in inet;
};

struct proxy {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int wake; /* an eventfd: there are new rules */
    bool over;
    enum proxy_door door;
    int listener; /* -1: the door is shut */
    char folder[40];
    char path[64]; /* empty: TCP */
    int port;
    union proxy_address server;
    socklen_t server_size;
    struct proxy_rules rules[PROXY_WAYS];
    uint64_t connections;
    uint64_t closed;
    struct proxy_connection *first;
    size_t count;
    struct pollfd *pollers; /* the thread's own */
    size_t poller_capacity;
};

/* The server at a path, or at a port. */
void proxy_loop_aim(struct proxy *proxy, const char *path, int port);

/* Listens at our path, or at our port: 0 is any, which is then ours. False: errno says why. */
bool proxy_loop_listen(struct proxy *proxy);
void proxy_loop_shut(struct proxy *proxy);

/* Under the lock: ends all connections. */
void proxy_loop_cut(struct proxy *proxy, bool reset);

/* The thread. */
void *proxy_loop_run(void *proxy);

#endif
