/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include <errno.h>
#include <sys/socket.h>

enum { PIECES = 64 }; /* of what is sent in one system call */

/* Who queues just now may not be seen: the driver looks again before it sends or leaves. */
static void take_queue(hearth__lane *lane) {
    if (!atomic_load_explicit(&lane->queues, memory_order_relaxed)) {
        return;
    }
    pthread_mutex_lock(&lane->lock);
    hearth__line taken = lane->queue;
    lane->queue = (hearth__line){NULL, NULL};
    atomic_store_explicit(&lane->queues, false, memory_order_relaxed);
    for (hearth__exchange *at = taken.first; at != NULL; at = at->next) {
        atomic_store_explicit(&at->state, HEARTH__EXCHANGE_SENT, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lane->lock);
    if (taken.first == NULL) {
        return;
    }
    hearth__exchange *redirect = hearth__lane_redirect(lane);
    if (redirect != NULL) {
        redirect->next = taken.first;
        taken.first = redirect;
    }
    atomic_store_explicit(&lane->moved_ns, taken.last->sent_ns, memory_order_relaxed);
    for (hearth__exchange *at = taken.first; at != NULL; at = at->next) {
        at->begin = lane->asked;
        at->heard = lane->heard;
        lane->asked += at->bytes;
    }
    if (lane->flight.first == NULL) {
        lane->flight = taken;
    } else {
        lane->flight.last->next = taken.first;
        lane->flight.last = taken.last;
    }
    if (lane->unsent == NULL) {
        lane->unsent = taken.first;
    }
}

static size_t gather(const hearth__lane *lane, struct iovec *pieces) {
    size_t used = 0;
    size_t piece = lane->piece;
    size_t offset = lane->offset;
    for (const hearth__exchange *at = lane->unsent; at != NULL; at = at->next) {
        for (; piece < at->piece_count; piece++) {
            if (used == PIECES) {
                return used;
            }
            pieces[used++] = (struct iovec){.iov_base = at->pieces[piece].bytes + offset,
                                            .iov_len = at->pieces[piece].size - offset};
            offset = 0;
        }
        piece = 0;
    }
    return used;
}

/* So many bytes are the kernel's. */
static void advance(hearth__lane *lane, size_t bytes) {
    lane->sent += bytes;
    while (lane->unsent != NULL) {
        const hearth__exchange *at = lane->unsent;
        while (lane->piece < at->piece_count) {
            size_t left = at->pieces[lane->piece].size - lane->offset;
            if (bytes < left) {
                lane->offset += bytes;
                return;
            }
            bytes -= left;
            lane->offset = 0;
            lane->piece++;
        }
        lane->piece = 0;
        lane->unsent = at->next;
    }
}

bool hearth__lane_wants_to_send(const hearth__lane *lane) {
    return lane->unsent != NULL && !lane->deaf;
}

static ssize_t send_pieces(int fd, struct iovec *pieces, size_t count) {
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (count == 1) { /* the usual case, and the faster call */
        return send(fd, pieces[0].iov_base, pieces[0].iov_len, flags);
    }
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    return sendmsg(fd, &message, flags);
}

static void send_unsent(hearth__lane *lane) {
    int fd = atomic_load_explicit(&lane->fd, memory_order_relaxed);
    while (hearth__lane_wants_to_send(lane)) {
        struct iovec pieces[PIECES];
        ssize_t sent = send_pieces(fd, pieces, gather(lane, pieces));
        if (sent >= 0) {
            advance(lane, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            return;
        } else if (errno != EINTR) {
            lane->deaf = true; /* the server may have said why: that is read first */
        }
    }
}

void hearth__lane_send(hearth__lane *lane) {
    take_queue(lane);
    send_unsent(lane);
}
