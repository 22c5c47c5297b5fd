/* SPDX-License-Identifier: Apache-2.0 */
#include "support/scripted_server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

/* Waits for the socket; false: it is over. */
static bool ready(const struct scripted_server *server, int fd, short events) {
    struct pollfd pollers[] = {{.fd = fd, .events = events},
                               {.fd = server->stop[0], .events = POLLIN}};
    while (poll(pollers, 2, -1) < 0 && errno == EINTR) {
    }
    return pollers[1].revents == 0;
}

static bool over(const struct scripted_server *server) {
    struct pollfd poller = {.fd = server->stop[0], .events = POLLIN};
    return poll(&poller, 1, 0) > 0;
}

static void *serve(void *arg) {
    struct scripted_client *client = arg;
    struct scripted_server *server = client->server;
    server->serve(client, server->arg);
    (void)close(client->fd);
    pthread_mutex_lock(&server->lock);
    atomic_store(&client->is_done, true);
    pthread_cond_signal(&server->left);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void join(struct scripted_client *client) {
    if (client->is_served) {
        pthread_join(client->thread, NULL);
        client->is_served = false;
    }
}

/* A place for a connection; NULL: all are taken. */
static struct scripted_client *free_place(struct scripted_server *server) {
    for (size_t i = 0; i < server->at_once; i++) {
        struct scripted_client *client = &server->clients[i];
        if (!client->is_served || atomic_load(&client->is_done)) {
            join(client);
            return client;
        }
    }
    return NULL;
}

static struct scripted_client *await_place(struct scripted_server *server) {
    struct scripted_client *client = NULL;
    pthread_mutex_lock(&server->lock);
    while ((client = free_place(server)) == NULL) {
        pthread_cond_wait(&server->left, &server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return client;
}

static void *run(void *arg) {
    struct scripted_server *server = arg;
    struct scripted_client *client = await_place(server);
    while (ready(server, server->listener, POLLIN)) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            continue;
        }
        client->server = server;
        client->fd = fd;
        client->number = atomic_fetch_add(&server->connections, 1);
        client->heard_size = 0;
        atomic_store(&client->is_done, false);
        client->is_served = pthread_create(&client->thread, NULL, serve, client) == 0;
        client = await_place(server);
    }
    for (size_t i = 0; i < server->at_once; i++) {
        join(&server->clients[i]);
    }
    return NULL;
}

void scripted_server_start(struct scripted_server *server, size_t at_once,
                           scripted_serve *serves, void *arg) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(server, 0, sizeof *server);
    assert_in_range(at_once, 1, SCRIPTED_AT_ONCE);
    server->at_once = at_once;
    server->serve = serves;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->left, NULL);
    server->arg = arg;
    snprintf(server->folder, sizeof server->folder, "/tmp/hearth-scripted-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    snprintf(server->path, sizeof server->path, "%s/socket", server->folder);
    memcpy(address.sun_path, server->path, strlen(server->path));
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
}

int scripted_connect(const struct scripted_server *server) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, server->path, strlen(server->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void scripted_server_stop(struct scripted_server *server) {
    close(server->stop[1]);
    pthread_join(server->thread, NULL);
    close(server->stop[0]);
    close(server->listener);
    unlink(server->path);
    rmdir(server->folder);
}

/* Forgets up to the end of the words; false: they were not said yet. */
static bool said(struct scripted_client *client, const char *words) {
    char *at = memmem(client->heard, client->heard_size, words, strlen(words));
    if (at == NULL) {
        return false;
    }
    size_t used = (size_t)(at - client->heard) + strlen(words);
    memmove(client->heard, client->heard + used, client->heard_size - used);
    client->heard_size -= used;
    return true;
}

static bool hear(struct scripted_client *client) {
    if (client->heard_size == sizeof client->heard) { /* keep the newer half */
        client->heard_size /= 2;
        memmove(client->heard, client->heard + client->heard_size, client->heard_size);
    }
    if (!ready(client->server, client->fd, POLLIN)) {
        return false;
    }
    ssize_t got = recv(client->fd, client->heard + client->heard_size,
                       sizeof client->heard - client->heard_size, 0);
    if (got > 0) {
        client->heard_size += (size_t)got;
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    atomic_fetch_add(&client->server->closed, 1);
    return false;
}

bool scripted_await(struct scripted_client *client, const char *words) {
    while (!said(client, words)) {
        if (!hear(client)) {
            return false;
        }
    }
    return true;
}

bool scripted_read_line(struct scripted_client *client, char *line, size_t size) {
    char *end = NULL;
    while ((end = memmem(client->heard, client->heard_size, "\r\n", 2)) == NULL) {
        if (!hear(client)) {
            return false;
        }
    }
    snprintf(line, size, "%.*s", (int)(end - client->heard), client->heard);
    return said(client, "\r\n");
}

bool scripted_skip(struct scripted_client *client, size_t size) {
    while (size > client->heard_size) {
        size -= client->heard_size;
        client->heard_size = 0;
        if (!hear(client)) {
            return false;
        }
    }
    client->heard_size -= size;
    memmove(client->heard, client->heard + size, client->heard_size);
    return true;
}

bool scripted_send(struct scripted_client *client, const void *data, size_t size) {
    const char *bytes = data;
    while (size != 0) {
        ssize_t sent = send(client->fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!ready(client->server, client->fd, POLLOUT)) {
                return false;
            }
        } else if (errno != EINTR) {
            atomic_fetch_add(&client->server->closed, 1);
            return false;
        }
    }
    return true;
}

bool scripted_await_read(struct scripted_client *client) {
    for (;;) {
        int unread = 0;
        struct pollfd poller = {.fd = client->fd, .events = 0};
        if (ioctl(client->fd, SIOCOUTQ, &unread) != 0 || unread == 0) {
            return true;
        }
        sched_yield();
        if (over(client->server) ||
            (poll(&poller, 1, 0) > 0 && (poller.revents & POLLHUP) != 0)) {
            return false;
        }
    }
}

void scripted_await_close(struct scripted_client *client) {
    while (hear(client)) {
        client->heard_size = 0;
    }
}
