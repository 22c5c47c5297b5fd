/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/scripted_server.h"

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

static void *run(void *arg) {
    struct scripted_server *server = arg;
    while (ready(server, server->listener, POLLIN)) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            server->heard_size = 0;
            server->serve(server, fd, atomic_fetch_add(&server->connections, 1), server->arg);
            close(fd);
        }
    }
    return NULL;
}

void scripted_server_start(struct scripted_server *server, scripted_serve *serve, void *arg) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(server, 0, sizeof *server);
    server->serve = serve;
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
static bool said(struct scripted_server *server, const char *words) {
    char *at = memmem(server->heard, server->heard_size, words, strlen(words));
    if (at == NULL) {
        return false;
    }
    size_t used = (size_t)(at - server->heard) + strlen(words);
    memmove(server->heard, server->heard + used, server->heard_size - used);
    server->heard_size -= used;
    return true;
}

static bool hear(struct scripted_server *server, int fd) {
    if (server->heard_size == sizeof server->heard) { /* keep the newer half */
        server->heard_size /= 2;
        memmove(server->heard, server->heard + server->heard_size, server->heard_size);
    }
    if (!ready(server, fd, POLLIN)) {
        return false;
    }
    ssize_t got = recv(fd, server->heard + server->heard_size,
                       sizeof server->heard - server->heard_size, 0);
    if (got > 0) {
        server->heard_size += (size_t)got;
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    atomic_fetch_add(&server->closed, 1);
    return false;
}

bool scripted_await(struct scripted_server *server, int fd, const char *words) {
    while (!said(server, words)) {
        if (!hear(server, fd)) {
            return false;
        }
    }
    return true;
}

bool scripted_read_line(struct scripted_server *server, int fd, char *line, size_t size) {
    char *end = NULL;
    while ((end = memmem(server->heard, server->heard_size, "\r\n", 2)) == NULL) {
        if (!hear(server, fd)) {
            return false;
        }
    }
    snprintf(line, size, "%.*s", (int)(end - server->heard), server->heard);
    return said(server, "\r\n");
}

bool scripted_send(struct scripted_server *server, int fd, const void *data, size_t size) {
    const char *bytes = data;
    while (size != 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!ready(server, fd, POLLOUT)) {
                return false;
            }
        } else if (errno != EINTR) {
            atomic_fetch_add(&server->closed, 1);
            return false;
        }
    }
    return true;
}

bool scripted_await_read(struct scripted_server *server, int fd) {
    for (;;) {
        int unread = 0;
        struct pollfd poller = {.fd = fd, .events = 0};
        if (ioctl(fd, SIOCOUTQ, &unread) != 0 || unread == 0) {
            return true;
        }
        sched_yield();
        if (over(server) || (poll(&poller, 1, 0) > 0 && (poller.revents & POLLHUP) != 0)) {
            return false;
        }
    }
}

void scripted_await_close(struct scripted_server *server, int fd) {
    while (hear(server, fd)) {
        server->heard_size = 0;
    }
}
