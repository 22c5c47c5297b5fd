/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/socket.h"

#include "base/clock.h"

#include <hearth/errors.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAP_NS = 1000000, ERROR_TEXT = 96 };

/* One attempt to connect. */
struct attempt {
    _Atomic int *fd;
    int64_t deadline_ns;
    char *why;
    size_t why_size;
};

static struct timespec span(int64_t ns) {
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

int32_t hearth__socket_poll(int fd, short events, int64_t deadline_ns, short *seen) {
    struct pollfd poller = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = deadline_ns - hearth__monotonic_ns();
        struct timespec timeout = span(left > 0 ? left : 0);
        int ready = ppoll(&poller, 1, &timeout, NULL);
        if (ready > 0) {
            *seen = poller.revents;
            return HEARTH_OK;
        }
        if (ready == 0 && left <= 0) {
            return HEARTH_E_TIMEOUT;
        }
        if (ready < 0 && errno != EINTR && errno != EAGAIN) {
            return errno == ENOMEM ? HEARTH_E_NOMEM : HEARTH_E_UNAVAILABLE;
        }
    }
}

static int32_t failed(const struct attempt *attempt, const char *what, int error) {
    char text[ERROR_TEXT];
    (void)snprintf(attempt->why, attempt->why_size, "%s: %s", what,
                   strerror_r(error, text, sizeof text));
    return error == ENOMEM ? HEARTH_E_NOMEM : HEARTH_E_UNAVAILABLE;
}

static int32_t timed_out(const struct attempt *attempt) {
    (void)snprintf(attempt->why, attempt->why_size, "no answer in time");
    return HEARTH_E_TIMEOUT;
}

static int32_t await_connected(const struct attempt *attempt, int fd) {
    short seen = 0;
    int32_t status = hearth__socket_poll(fd, POLLOUT, attempt->deadline_ns, &seen);
    if (status == HEARTH_E_TIMEOUT) {
        return timed_out(attempt);
    }
    int error = status == HEARTH_OK ? 0 : EIO;
    socklen_t size = sizeof error;
    if (status == HEARTH_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    return error == 0 ? HEARTH_OK : failed(attempt, "connect", error);
}

/* A unix socket whose backlog is full says EAGAIN, and nothing tells when that is over. */
static int32_t nap(const struct attempt *attempt) {
    if (hearth__monotonic_ns() >= attempt->deadline_ns) {
        return timed_out(attempt);
    }
    struct timespec timeout = {.tv_nsec = NAP_NS};
    (void)ppoll(NULL, 0, &timeout, NULL);
    return HEARTH_OK;
}

static int32_t connect_socket(const struct attempt *attempt, int fd,
                              const struct sockaddr *address, socklen_t size) {
    for (;;) {
        if (connect(fd, address, size) == 0 || errno == EISCONN) {
            return HEARTH_OK;
        }
        if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
            return await_connected(attempt, fd);
        }
        if (errno != EAGAIN) {
            return failed(attempt, "connect", errno);
        }
        int32_t status = nap(attempt);
        if (status != HEARTH_OK) {
            return status;
        }
    }
}

static int32_t open_one(const struct attempt *attempt, const struct sockaddr *address,
                        socklen_t size) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return failed(attempt, "socket", errno);
    }
    atomic_store(attempt->fd, fd);
    int32_t status = connect_socket(attempt, fd, address, size);
    if (status != HEARTH_OK) {
        atomic_store(attempt->fd, -1); /* first: a child must not close a number used anew */
        (void)close(fd);
    }
    return status;
}

static int32_t open_unix(const struct attempt *attempt, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof address.sun_path) {
        return failed(attempt, "connect", ENAMETOOLONG);
    }
    memcpy(address.sun_path, path, size);
    return open_one(attempt, (const struct sockaddr *)&address, sizeof address);
}

/* A loopback port that nobody listens to may connect to itself: the kernel picks the same
 * number as its own end. */
static bool is_own_end(int fd) {
    struct sockaddr_storage here = {0};
    struct sockaddr_storage there = {0};
    socklen_t here_size = sizeof here;
    socklen_t there_size = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &here_size) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_size) == 0 &&
           here_size == there_size && memcmp(&here, &there, here_size) == 0;
}

static int32_t open_tcp(const struct attempt *attempt, const struct addrinfo *info) {
    int32_t status = open_one(attempt, info->ai_addr, info->ai_addrlen);
    if (status != HEARTH_OK) {
        return status;
    }
    int fd = atomic_load(attempt->fd);
    if (is_own_end(fd)) {
        atomic_store(attempt->fd, -1);
        (void)close(fd);
        return failed(attempt, "connect", ECONNREFUSED);
    }
    int on = 1; /* neither is worth failing for */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return HEARTH_OK;
}

/* Numbers need no resolver, which may block. */
static int look_up(const char *host, const char *port, struct addrinfo **list) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    int error = getaddrinfo(host, port, &hints, list);
    if (error == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV;
        error = getaddrinfo(host, port, &hints, list);
    }
    return error;
}

static int32_t try_each(const struct attempt *attempt, const struct addrinfo *list) {
    int64_t others = 0;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        others++;
    }
    int32_t status = HEARTH_E_UNAVAILABLE;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        struct attempt one = *attempt;
        int64_t now_ns = hearth__monotonic_ns();
        one.deadline_ns = now_ns + (attempt->deadline_ns - now_ns) / others--;
        status = open_tcp(&one, info);
        if (status == HEARTH_OK) {
            break;
        }
    }
    return status;
}

int32_t hearth__socket_open(const hearth__node_address *address, int64_t deadline_ns,
                            _Atomic int *fd, char *why, size_t why_size) {
    struct attempt attempt = {
        .fd = fd, .deadline_ns = deadline_ns, .why = why, .why_size = why_size};
    if (address->port == 0) {
        return open_unix(&attempt, address->host);
    }
    char port[8];
    (void)snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo *list = NULL;
    int error = look_up(address->host, port, &list);
    if (error != 0) {
        (void)snprintf(why, why_size, "its name was not resolved: %s", gai_strerror(error));
        return error == EAI_MEMORY ? HEARTH_E_NOMEM : HEARTH_E_UNAVAILABLE;
    }
    int32_t status = try_each(&attempt, list);
    freeaddrinfo(list);
    return status;
}

bool hearth__socket_set_wait(int fd, int64_t ms) {
    const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
           fcntl(fd, F_SETFL, 0) == 0;
}
