/* SPDX-License-Identifier: Apache-2.0 */
#include "support/proxy.h"

#include "support/proxy_loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60 };

/* ---- beginning and end ----------------------------------------------------------------------- */

static void free_all(struct proxy *proxy) {
    proxy_loop_shut(proxy);
    proxy_loop_cut(proxy, false);
    if (proxy->wake >= 0) {
        (void)close(proxy->wake);
    }
    if (proxy->folder[0] != '\0') {
        (void)rmdir(proxy->folder);
    }
    free(proxy->pollers);
    free(proxy);
}

static bool open_all(struct proxy *proxy, const char *path, int port) {
    proxy_loop_aim(proxy, path, port);
    if (path != NULL) {
        (void)snprintf(proxy->folder, sizeof proxy->folder, "/tmp/hearth-proxy-XXXXXX");
        if (mkdtemp(proxy->folder) == NULL) {
            proxy->folder[0] = '\0';
            return false;
        }
        (void)snprintf(proxy->path, sizeof proxy->path, "%s/socket", proxy->folder);
    }
    proxy->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return proxy->wake >= 0 && proxy_loop_listen(proxy);
}

struct proxy *proxy_start(const char *path, int port) {
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return NULL;
    }
    proxy->wake = proxy->listener = -1;
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_cond_init(&proxy->changed, NULL);
    if (!open_all(proxy, path, port) ||
        pthread_create(&proxy->thread, NULL, proxy_loop_run, proxy) != 0) {
        int reason = errno;
        free_all(proxy);
        errno = reason;
        return NULL;
    }
    return proxy;
}

char *proxy_path(struct proxy *proxy) {
    return proxy->path;
}

int proxy_port(const struct proxy *proxy) {
    return proxy->port;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static struct proxy_rules *begin(struct proxy *proxy, enum proxy_way way) {
    pthread_mutex_lock(&proxy->lock);
    return &proxy->rules[way];
}

static void commit(struct proxy *proxy) {
    const uint64_t once = 1;
    (void)!write(proxy->wake, &once, sizeof once);
    pthread_mutex_unlock(&proxy->lock);
}

void proxy_stop(struct proxy *proxy) {
    if (proxy == NULL) {
        return;
    }
    (void)begin(proxy, PROXY_TO_SERVER);
    proxy->over = true;
    commit(proxy);
    pthread_join(proxy->thread, NULL);
    free_all(proxy);
}

void proxy_aim(struct proxy *proxy, const char *path, int port) {
    (void)begin(proxy, PROXY_TO_SERVER);
    proxy_loop_aim(proxy, path, port);
    commit(proxy);
}

void proxy_hold(struct proxy *proxy, enum proxy_way way) {
    struct proxy_rules *rules = begin(proxy, way);
    rules->held = true;
    rules->let = 0;
    for (struct proxy_connection *one = proxy->first; one != NULL; one = one->next) {
        one->flows[way].let = 0;
    }
    commit(proxy);
}

void proxy_let(struct proxy *proxy, enum proxy_way way, uint64_t bytes) {
    begin(proxy, way)->let += bytes;
    commit(proxy);
}

void proxy_release(struct proxy *proxy, enum proxy_way way) {
    begin(proxy, way)->held = false;
    commit(proxy);
}

void proxy_delay(struct proxy *proxy, enum proxy_way way, int64_t ms) {
    begin(proxy, way)->delay_ms = ms;
    commit(proxy);
}

void proxy_split(struct proxy *proxy, enum proxy_way way, size_t bytes) {
    begin(proxy, way)->split = bytes;
    commit(proxy);
}

void proxy_swallow(struct proxy *proxy, enum proxy_way way, bool swallows) {
    begin(proxy, way)->swallows = swallows;
    commit(proxy);
}

void proxy_edit(struct proxy *proxy, enum proxy_way way, const struct proxy_edit *edits,
                size_t count) {
    struct proxy_rules *rules = begin(proxy, way);
    rules->edits = edits;
    rules->edit_count = count;
    for (struct proxy_connection *one = proxy->first; one != NULL; one = one->next) {
        one->flows[way].edit = 0;
    }
    commit(proxy);
}

void proxy_filter(struct proxy *proxy, enum proxy_way way, proxy_filter_function *filter,
                  void *arg) {
    struct proxy_rules *rules = begin(proxy, way);
    rules->filter = filter;
    rules->filter_arg = arg;
    commit(proxy);
}

void proxy_cut(struct proxy *proxy, bool reset) {
    (void)begin(proxy, PROXY_TO_SERVER);
    proxy_loop_cut(proxy, reset);
    commit(proxy);
}

bool proxy_door(struct proxy *proxy, enum proxy_door door) {
    (void)begin(proxy, PROXY_TO_SERVER);
    proxy->door = door;
    bool done = true;
    if (door == PROXY_SHUT) {
        proxy_loop_shut(proxy);
    } else if (proxy->listener < 0) {
        done = proxy_loop_listen(proxy);
    }
    commit(proxy);
    return done;
}

/* ---- what it has seen ------------------------------------------------------------------------ */

static uint64_t read_count(struct proxy *proxy, const uint64_t *count) {
    pthread_mutex_lock(&proxy->lock);
    uint64_t value = *count;
    pthread_mutex_unlock(&proxy->lock);
    return value;
}

static bool await_count(struct proxy *proxy, const uint64_t *count, uint64_t value) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int result = 0;
    pthread_mutex_lock(&proxy->lock);
    while (*count < value && result == 0) {
        result = pthread_cond_timedwait(&proxy->changed, &proxy->lock, &until);
    }
    bool happened = *count >= value;
    pthread_mutex_unlock(&proxy->lock);
    return happened;
}

uint64_t proxy_seen(struct proxy *proxy, enum proxy_way way) {
    return read_count(proxy, &proxy->rules[way].seen);
}

uint64_t proxy_passed(struct proxy *proxy, enum proxy_way way) {
    return read_count(proxy, &proxy->rules[way].passed);
}

uint64_t proxy_connections(struct proxy *proxy) {
    return read_count(proxy, &proxy->connections);
}

uint64_t proxy_closed(struct proxy *proxy) {
    return read_count(proxy, &proxy->closed);
}

bool proxy_await_seen(struct proxy *proxy, enum proxy_way way, uint64_t bytes) {
    return await_count(proxy, &proxy->rules[way].seen, bytes);
}

bool proxy_await_passed(struct proxy *proxy, enum proxy_way way, uint64_t bytes) {
    return await_count(proxy, &proxy->rules[way].passed, bytes);
}

bool proxy_await_connections(struct proxy *proxy, uint64_t count) {
    return await_count(proxy, &proxy->connections, count);
}

bool proxy_await_closed(struct proxy *proxy, uint64_t count) {
    return await_count(proxy, &proxy->closed, count);
}
