/* SPDX-License-Identifier: Apache-2.0 */
#include "support/proxy_loop.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* ---- sockets --------------------------------------------------------------------------------- */

static union proxy_address path_address(const char *path) {
    union proxy_address address = {.local = {.sun_family = AF_UNIX}};
    (void)snprintf(address.local.sun_path, sizeof address.local.sun_path, "%s", path);
    return address;
}

static union proxy_address port_address(int port) {
    union proxy_address address = {.inet = {.sin_family = AF_INET}};
    address.inet.sin_port = htons((uint16_t)port);
    address.inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void proxy_loop_aim(struct proxy *proxy, const char *path, int port) {
    proxy->server = path != NULL ? path_address(path) : port_address(port);
    proxy->server_size = path != NULL ? sizeof proxy->server.local : sizeof proxy->server.inet;
}

bool proxy_loop_listen(struct proxy *proxy) {
    bool local = proxy->path[0] != '\0';
    union proxy_address address = local ? path_address(proxy->path) : port_address(proxy->port);
    socklen_t size = local ? sizeof address.local : sizeof address.inet;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0) {
        return false;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, &address.any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &address.any, &size) != 0) {
        (void)close(fd);
        return false;
    }
    proxy->port = local ? 0 : ntohs(address.inet.sin_port);
    proxy->listener = fd;
    return true;
}

void proxy_loop_shut(struct proxy *proxy) {
    if (proxy->listener >= 0) {
        (void)close(proxy->listener);
        (void)unlink(proxy->path);
        proxy->listener = -1;
    }
}

static void no_delay(const struct proxy *proxy, int fd) {
    int on = 1;
    if (proxy->path[0] == '\0') {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

/* On this machine a connection is made at once or not at all. */
static int connect_server(const struct proxy *proxy) {
    int fd = socket(proxy->server.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &proxy->server.any, proxy->server_size) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void accept_one(struct proxy *proxy) {
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) {
        return;
    }
    struct proxy_connection *connection = calloc(1, sizeof *connection);
    int server = connection != NULL ? connect_server(proxy) : -1;
    unsigned number = (unsigned)proxy->connections++;
    if (server < 0) {
        (void)close(client);
        free(connection);
        return;
    }
    no_delay(proxy, client);
    no_delay(proxy, server);
    connection->client = client;
    connection->server = server;
    proxy_flow_init(&connection->flows[PROXY_TO_SERVER], &proxy->rules[PROXY_TO_SERVER], client,
                    server, number);
    proxy_flow_init(&connection->flows[PROXY_TO_CLIENT], &proxy->rules[PROXY_TO_CLIENT], server,
                    client, number);
    connection->next = proxy->first;
    proxy->first = connection;
    proxy->count++;
}

static void end(struct proxy *proxy, struct proxy_connection *connection, bool reset) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset) {
        (void)setsockopt(connection->client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)setsockopt(connection->server, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    (void)close(connection->client);
    (void)close(connection->server);
    proxy_flow_fini(&connection->flows[PROXY_TO_SERVER]);
    proxy_flow_fini(&connection->flows[PROXY_TO_CLIENT]);
    free(connection);
    proxy->count--;
}

void proxy_loop_cut(struct proxy *proxy, bool reset) {
    while (proxy->first != NULL) {
        struct proxy_connection *connection = proxy->first;
        proxy->first = connection->next;
        end(proxy, connection, reset);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* What one look at the connections found. */
struct outlook {
    int64_t wake_ns; /* the next time at which something may pass */
    bool look;       /* some receiver has not read yet, which nothing tells */
};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Does what can be done now. False: the connection is over. */
static bool attend(struct proxy *proxy, struct proxy_connection *connection,
                   struct pollfd *pollers, struct outlook *outlook) {
    for (size_t way = 0; way < PROXY_WAYS; way++) {
        struct proxy_flow *flow = &connection->flows[way];
        if (flow->forsaken) {
            continue;
        }
        struct pollfd *from = &pollers[way];
        struct pollfd *to = &pollers[1 - way];
        if ((from->revents & ~POLLOUT) != 0 && proxy_flow_wants(flow)) {
            proxy_flow_receive(flow);
            proxy->closed += way == PROXY_TO_SERVER && flow->ended;
        }
        if (connection->flows[PROXY_TO_CLIENT].forsaken) {
            proxy_flow_drop(flow);
        }
        if (!flow->ended || flow->in.size != 0) {
            proxy_flow_apply(flow);
        }
        size_t ready = proxy_flow_ready(flow, now_ns(), &outlook->wake_ns, &outlook->look);
        if (ready != 0) {
            proxy_flow_send(flow, ready);
            ready = proxy_flow_ready(flow, now_ns(), &outlook->wake_ns, &outlook->look);
        }
        from->events |= proxy_flow_wants(flow) ? POLLIN : 0;
        to->events |= ready != 0 ? POLLOUT : 0;
        if (proxy_flow_over(flow)) {
            return false;
        }
    }
    return true;
}

static void reserve_pollers(struct proxy *proxy) {
    size_t needed = 2 + PROXY_WAYS * (proxy->count + 1);
    if (needed > proxy->poller_capacity) {
        proxy->poller_capacity = 2 * needed;
        proxy->pollers =
            realloc(proxy->pollers, proxy->poller_capacity * sizeof *proxy->pollers);
        if (proxy->pollers == NULL) {
            abort();
        }
    }
}

/* Under the lock: looks at all, and writes down what to wait for. Returns how many that are. */
static size_t attend_all(struct proxy *proxy, struct outlook *outlook) {
    static const struct pollfd nothing = {.fd = -1};
    struct proxy_connection **link = &proxy->first;
    size_t used = 2;
    reserve_pollers(proxy);
    while (*link != NULL) {
        struct proxy_connection *connection = *link;
        struct pollfd own[PROXY_WAYS] = {nothing, nothing};
        /* What poll() said of it is not kept: recv() says it again. */
        own[PROXY_TO_SERVER] = (struct pollfd){.fd = connection->client, .revents = POLLIN};
        own[PROXY_TO_CLIENT] = (struct pollfd){.fd = connection->server, .revents = POLLIN};
        if (attend(proxy, connection, own, outlook)) {
            memcpy(&proxy->pollers[used], own, sizeof own);
            used += PROXY_WAYS;
            link = &connection->next;
        } else {
            *link = connection->next;
            end(proxy, connection, false);
        }
    }
    proxy->pollers[0] = (struct pollfd){.fd = proxy->wake, .events = POLLIN};
    proxy->pollers[1] = (struct pollfd){.fd = proxy->door == PROXY_OPEN ? proxy->listener : -1,
                                        .events = POLLIN};
    return used;
}

static void await(struct proxy *proxy, size_t count, const struct outlook *outlook) {
    int64_t left_ns = outlook->wake_ns - now_ns();
    struct timespec timeout = {0};
    bool for_ever = outlook->wake_ns == INT64_MAX && !outlook->look;
    if (!for_ever && !outlook->look && left_ns > 0) {
        timeout.tv_sec = left_ns / 1000000000;
        timeout.tv_nsec = left_ns % 1000000000;
    }
    /* A socket of which nothing is wanted says all the same that it has ended. */
    for (size_t i = 0; i < count; i++) {
        if (proxy->pollers[i].events == 0) {
            proxy->pollers[i].fd = -1;
        }
    }
    (void)ppoll(proxy->pollers, count, for_ever ? NULL : &timeout, NULL);
    if (outlook->look) {
        sched_yield();
    }
}

void *proxy_loop_run(void *arg) {
    struct proxy *proxy = arg;
    pthread_mutex_lock(&proxy->lock);
    while (!proxy->over) {
        struct outlook outlook = {.wake_ns = INT64_MAX};
        size_t count = attend_all(proxy, &outlook);
        pthread_cond_broadcast(&proxy->changed);
        pthread_mutex_unlock(&proxy->lock);
        await(proxy, count, &outlook);
        pthread_mutex_lock(&proxy->lock);
        uint64_t times = 0;
        (void)!read(proxy->wake, &times, sizeof times);
        if (proxy->door == PROXY_OPEN && (proxy->pollers[1].revents & POLLIN) != 0) {
            accept_one(proxy);
        }
    }
    pthread_mutex_unlock(&proxy->lock);
    return NULL;
}
