/* SPDX-License-Identifier: Apache-2.0 */
/* The thread behind stats.socket. It waits for readers, gives each a report, and lets go of who does not take it. */
#include "tier/stats_socket.h"

#include "base/clock.h"
#include "base/event_fd.h"
#include "base/rest.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

enum {
    READER_MS = 1000,       /* for a reader to take all */
    REPORT_MS = 100,        /* between two reports */
    REST_MS = 10,           /* after readers came, for who does nothing but connect */
    NO_ROOM_MS = 100,       /* without a descriptor, or memory */
    SMALL_BUFFER = 1 << 16, /* what is kept of a larger one is given back */
    KERNEL_BYTES = 1 << 15, /* that wait in a socket for who does not read */
};

/* ---- readers ---------------------------------------------------------------------------- */

void hearth__stats_end_reader(struct hearth__stats_socket *socket, size_t place) {
    int *fd = &socket->fds[HEARTH__STATS_FIRST_READER + place];
    hearth__stats_reader *reader = &socket->readers[place];
    if (*fd >= 0) {
        (void)shutdown(*fd, SHUT_RDWR); /* whoever has a copy of it */
        (void)close(*fd);
        *fd = -1;
    }
    hearth__buffer_fini(&reader->report);
    reader->sent = 0;
}

/* What there is room for. False: it has all, or has gone. */
static bool send_some(int fd, hearth__stats_reader *reader) {
    while (reader->sent < reader->report.size) {
        ssize_t sent = send(fd, reader->report.data + reader->sent,
                            reader->report.size - reader->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        reader->sent += (size_t)sent;
    }
    return false;
}

static bool is_same_user(int fd) {
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof peer &&
           peer.uid == geteuid();
}

/* The report of now, or of just now. False: no memory. */
static bool renew_report(struct hearth__stats_socket *socket, int64_t now_ns) {
    if (now_ns < socket->stale_ns && socket->report.size != 0) {
        return true;
    }
    if (socket->report.capacity > SMALL_BUFFER) {
        hearth__buffer_fini(&socket->report);
    }
    socket->report.size = 0;
    if (!hearth__stats_report(socket->cache, &socket->report)) {
        socket->report.size = 0;
        return false;
    }
    socket->stale_ns = now_ns + REPORT_MS * NS_PER_MS;
    return true;
}

static void let_in(struct hearth__stats_socket *socket, size_t place, int fd, int64_t now_ns) {
    hearth__stats_reader *reader = &socket->readers[place];
    const int bytes = KERNEL_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    socket->fds[HEARTH__STATS_FIRST_READER + place] = fd;
    reader->until_ns = now_ns + READER_MS * NS_PER_MS;
    if (!is_same_user(fd) || !renew_report(socket, now_ns) ||
        !hearth__buffer_assign(&reader->report, socket->report.data, socket->report.size) ||
        !send_some(fd, reader)) {
        hearth__stats_end_reader(socket, place);
    }
}

/* Those who wait, as far as there is room. */
static void let_all_in(struct hearth__stats_socket *socket, int64_t now_ns) {
    socket->rest_ns = now_ns + REST_MS * NS_PER_MS;
    for (size_t i = 0; i < HEARTH__STATS_READERS; i++) {
        if (socket->fds[HEARTH__STATS_FIRST_READER + i] >= 0) {
            continue;
        }
        int fd = accept4(socket->fds[HEARTH__STATS_LISTENS], NULL, NULL,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                socket->rest_ns = now_ns + NO_ROOM_MS * NS_PER_MS;
            }
            return;
        }
        let_in(socket, i, fd, now_ns);
    }
}

/* ---- the thread ------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Whom to wait for, and until when. */
static int64_t prepare(const struct hearth__stats_socket *socket, struct pollfd *polls,
                       int64_t now_ns) {
    int64_t until_ns = HEARTH__NEVER;
    bool has_room = false;
    for (size_t i = 0; i < HEARTH__STATS_FDS; i++) {
        polls[i] = (struct pollfd){.fd = socket->fds[i], .events = POLLOUT};
    }
    for (size_t i = 0; i < HEARTH__STATS_READERS; i++) {
        if (socket->fds[HEARTH__STATS_FIRST_READER + i] >= 0) {
            until_ns = sooner(until_ns, socket->readers[i].until_ns);
        } else {
            has_room = true;
        }
    }
    polls[HEARTH__STATS_WAKES].events = POLLIN;
    polls[HEARTH__STATS_LISTENS].events = POLLIN;
    if (!has_room || now_ns < socket->rest_ns) {
        polls[HEARTH__STATS_LISTENS].fd = -1;
        until_ns = has_room ? sooner(until_ns, socket->rest_ns) : until_ns;
    }
    return until_ns;
}

static int poll_ms(int64_t until_ns, int64_t now_ns) {
    if (until_ns == HEARTH__NEVER) {
        return -1;
    }
    return until_ns > now_ns ? (int)((until_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

/* It could not be waited for: nothing here waits for a socket. */
static void take_all_for_ready(struct pollfd *polls) {
    for (size_t i = 0; i < HEARTH__STATS_FDS; i++) {
        polls[i].revents = (short)(polls[i].fd >= 0 ? polls[i].events : 0);
    }
}

static void serve(struct hearth__stats_socket *socket, const struct pollfd *polls) {
    int64_t now_ns = hearth__monotonic_ns();
    for (size_t i = 0; i < HEARTH__STATS_READERS; i++) {
        const struct pollfd *polled = &polls[HEARTH__STATS_FIRST_READER + i];
        hearth__stats_reader *reader = &socket->readers[i];
        if (polled->fd >= 0 && ((polled->revents != 0 && !send_some(polled->fd, reader)) ||
                                now_ns >= reader->until_ns)) {
            hearth__stats_end_reader(socket, i);
        }
    }
    if (polls[HEARTH__STATS_LISTENS].revents != 0) {
        let_all_in(socket, now_ns);
    }
}

void *hearth__stats_serve(void *arg) {
    struct hearth__stats_socket *socket = arg;
    hearth__fork_hold();
    while (!atomic_load(&socket->closing)) {
        struct pollfd polls[HEARTH__STATS_FDS];
        int64_t now_ns = hearth__monotonic_ns();
        int64_t until_ns = prepare(socket, polls, now_ns);
        bool held = hearth__fork_pause();
        int ready = poll(polls, HEARTH__STATS_FDS, poll_ms(until_ns, now_ns));
        if (ready < 0) {
            hearth__rest(&socket->bell, HEARTH__STATS_STROKE, &socket->closing,
                         HEARTH__REST_MS);
            take_all_for_ready(polls);
        }
        hearth__fork_resume(held);
        serve(socket, polls);
    }
    hearth__fork_release();
    return NULL;
}
