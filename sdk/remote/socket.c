/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/socket.h"

#include "base/clock.h"
#include "base/fork.h"

#include <hearth/errors.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOST_BYTES = 256,
    NAP_NS = 1000000,
    ERROR_TEXT = 96,
    KEEP_IDLE_S = 60, /* of silence, before the kernel asks the peer whether it is there */
    KEEP_INTERVAL_S = 15,
    KEEP_COUNT = 4, /* questions without an answer end a connection */
};

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
        bool held = hearth__fork_pause();
        int ready = ppoll(&poller, 1, &timeout, NULL);
        hearth__fork_resume(held);
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

/* A peer that vanished without a word is found out on a connection that nobody uses, too. None of
 * these is worth failing for. */
static void set_up_tcp(int fd) {
    const int on = 1;
    const int idle_s = KEEP_IDLE_S;
    const int interval_s = KEEP_INTERVAL_S;
    const int count = KEEP_COUNT;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static int32_t open_address(const struct attempt *attempt, const hearth__address *address) {
    int32_t status = open_one(attempt, (const struct sockaddr *)&address->bytes, address->size);
    if (status != HEARTH_OK || address->bytes.ss_family == AF_UNIX) {
        return status;
    }
    int fd = atomic_load(attempt->fd);
    if (is_own_end(fd)) {
        atomic_store(attempt->fd, -1);
        (void)close(fd);
        return failed(attempt, "connect", ECONNREFUSED);
    }
    set_up_tcp(fd);
    return HEARTH_OK;
}

int32_t hearth__socket_open(const hearth__addresses *addresses, int64_t deadline_ns,
                            _Atomic int *fd, size_t *used, char *why, size_t why_size) {
    struct attempt attempt = {.fd = fd, .why = why, .why_size = why_size};
    int32_t status = HEARTH_E_UNAVAILABLE;
    (void)snprintf(why, why_size, "it has no address");
    for (size_t i = 0; i < addresses->count && status != HEARTH_OK; i++) {
        int64_t now_ns = hearth__monotonic_ns();
        int64_t left = (int64_t)(addresses->count - i);
        attempt.deadline_ns = now_ns + (deadline_ns - now_ns) / left;
        status = open_address(&attempt, &addresses->all[i]);
        *used = i;
    }
    return status;
}

bool hearth__socket_set_wait(int fd, int64_t ms) {
    const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
           fcntl(fd, F_SETFL, 0) == 0;
}

int32_t hearth__remote_connect(const char *host, uint16_t port, int64_t deadline_ns,
                               _Atomic int *fd, char *why, size_t why_size) {
    char own[HOST_BYTES];
    const hearth__node_address node = {.host = own, .port = port};
    hearth__addresses addresses = {.count = 0};
    size_t used = 0;
    int32_t status = HEARTH_OK;
    if ((size_t)snprintf(own, sizeof own, "%s", host) >= sizeof own) {
        (void)snprintf(why, why_size, "its name is too long");
        return HEARTH_E_INVALID;
    }
    if (!hearth__addresses_of_number(&node, &addresses)) {
        status = hearth__addresses_look_up(&node, &addresses, why, why_size);
    }
    return status == HEARTH_OK
               ? hearth__socket_open(&addresses, deadline_ns, fd, &used, why, why_size)
               : status;
}
