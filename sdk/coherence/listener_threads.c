/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/listener_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/random.h"
#include "base/rest.h"

#include <hearth/errors.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNKS_MAX = 16, /* of one node, before another one's turn */
    IDLE_MS = 60000, /* a wait for nothing */
};

static const char ping[] = "*1\r\n$4\r\nPING\r\n";

/* ---- the thread that calls -------------------------------------------------------------- */

static void call_node(hearth__listener *listener, hearth__listened *node) {
    const hearth__listener_config *config = &listener->config;
    int wanted = HEARTH__CALL_WANTED;
    if (!atomic_compare_exchange_strong(&node->call, &wanted, HEARTH__CALL_UNDER_WAY)) {
        return;
    }
    int64_t deadline_ns = hearth__deadline_ns(config->connect_ms);
    bool held = hearth__fork_pause();
    int32_t status = config->connect(config->arg, node->host, node->port, deadline_ns,
                                     &node->calling_fd, node->why, sizeof node->why);
    hearth__fork_resume(held);
    atomic_store(&node->call, status == HEARTH_OK ? HEARTH__CALL_MADE : HEARTH__CALL_FAILED);
    hearth__listener_wake(listener);
}

static void call_wanted(hearth__listener *listener) {
    hearth__listened *node = NULL;
    for (uint32_t i = 0; (node = hearth__listener_node(listener, i)) != NULL; i++) {
        if (!atomic_load(&listener->closing)) {
            call_node(listener, node);
        }
    }
}

void *hearth__listener_call(void *arg) {
    hearth__listener *listener = arg;
    const hearth__listener_config *config = &listener->config;
    int64_t round_ns = hearth__deadline_ns(config->ping_ms);
    hearth__fork_hold();
    while (!atomic_load(&listener->closing)) {
        uint32_t seen = hearth__bell_look(&listener->bell);
        call_wanted(listener);
        bool held = hearth__fork_pause();
        if (hearth__monotonic_ns() >= round_ns) {
            config->refresh(config->arg);
            round_ns = hearth__deadline_ns(config->ping_ms);
        }
        (void)hearth__bell_await(&listener->bell, seen, HEARTH__LISTENER_STROKE, round_ns);
        hearth__fork_resume(held);
    }
    hearth__fork_release();
    return NULL;
}

/* ---- the thread that reads: losing and finding a node ------------------------------------- */

static void complain(const hearth__listener *listener, hearth__listened *node,
                     const char *why) {
    if (!node->complained) {
        node->complained = true;
        hearth__log_add(listener->config.log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
                        "node %.80s (port %u): its changes are not told: %.120s. Local copies "
                        "of its values live shorter until they are",
                        node->host, node->port, why);
    }
}

/* The one of all that was read, where changes are broadcast. */
static void close_source(const hearth__listener *listener, hearth__listened *node) {
    hearth__sources_close(listener->sources, atomic_exchange(&node->source, 0),
                          hearth__boot_ms());
}

/* Ends what the node's connection was good for. True: it listened. */
static bool end(hearth__listener *listener, uint32_t index, hearth__listened *node) {
    bool listened = node->tracking.phase == HEARTH__TRACKING_LISTENING;
    if (listened) {
        hearth__sources_end(listener->sources, index, hearth__boot_ms());
        close_source(listener, node);
    }
    hearth__listener_close_fd(&node->fd);
    node->unsent_size = 0;
    return listened;
}

static void lose(hearth__listener *listener, uint32_t index, hearth__listened *node,
                 const char *why) {
    const hearth__listener_config *config = &listener->config;
    bool listened = end(listener, index, node);
    hearth__tracking_lost(&node->tracking, hearth__random_u64(), hearth__boot_ms());
    if (listened) {
        config->flushed(config->arg, true);
    }
    complain(listener, node, why);
}

/* Nobody asks for it any more. */
static void leave(hearth__listener *listener, uint32_t index, hearth__listened *node) {
    int call = HEARTH__CALL_WANTED;
    if (atomic_load(&node->call) == HEARTH__CALL_UNDER_WAY) {
        return; /* not yet */
    }
    (void)atomic_compare_exchange_strong(&node->call, &call, HEARTH__NO_CALL);
    if (call == HEARTH__CALL_UNDER_WAY) {
        return;
    }
    (void)end(listener, index, node);
    hearth__listener_close_fd(&node->calling_fd);
    atomic_store(&node->call, HEARTH__NO_CALL);
    atomic_store(&node->state, HEARTH__PLACE_FREE);
}

/* Where changes are broadcast, it does not matter on which connection something was read: they have one source, which is as good as
 * the listener is. */
static void open_source(hearth__listener *listener, uint32_t index, hearth__listened *node) {
    hearth__sources *sources = listener->sources;
    if (listener->config.broadcast_count != 0 && atomic_load(&node->source) == 0) {
        uint32_t epoch = hearth__sources_redirect(sources, index).epoch;
        uint32_t source =
            hearth__sources_open(sources, index, epoch, INT64_MAX, hearth__boot_ms());
        hearth__canary_reset(&listener->canaries[source]);
        atomic_store(&node->source, source);
    }
}

static void begin(hearth__listener *listener, uint32_t index, hearth__listened *node) {
    hearth__sources_begin(listener->sources, index, node->tracking.client_id,
                          node->tracking.asked_ms, hearth__boot_ms());
    open_source(listener, index, node);
    if (node->complained) {
        node->complained = false;
        hearth__log_add(listener->config.log, HEARTH_LOG_NOTICE, HEARTH_OK,
                        "node %.80s (port %u): its changes are told again", node->host,
                        node->port);
    }
}

/* All of it may have changed; what is read from now on is told of as before. */
static void flush(hearth__listener *listener, uint32_t index, hearth__listened *node) {
    const hearth__listener_config *config = &listener->config;
    hearth__sources_flushed(listener->sources, index, hearth__boot_ms());
    close_source(listener, node);
    config->flushed(config->arg, false);
    begin(listener, index, node);
}

/* ---- the thread that reads: what is said to nodes, and what they say --------------------- */

/* Sends what it takes at once; the rest when it takes more. */
static const char *send_node(hearth__listened *node) {
    while (node->unsent_size != 0) {
        ssize_t sent = send(atomic_load(&node->fd), node->unsent, node->unsent_size,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            bool again = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
            return again ? NULL : "the connection has ended";
        }
        node->unsent = (const char *)node->unsent + sent;
        node->unsent_size -= (size_t)sent;
    }
    return NULL;
}

static const char *say(hearth__listened *node, const void *text, size_t size) {
    node->unsent = text;
    node->unsent_size = size;
    return send_node(node);
}

/* Of which node something is heard. */
struct hearing {
    hearth__listener *listener;
    uint32_t index;
    hearth__listened *node;
    int64_t now_ms;
    const char *why; /* if it is refused */
};

/* It is known whom to tell: which changes are to be. */
static bool say_rest(struct hearing *hearing) {
    hearth__listened *node = hearing->node;
    const char *why = "there is no memory";
    if (hearth__listener_compose_rest(hearing->listener, node)) {
        why = say(node, node->rest.data, node->rest.size);
    }
    hearing->why = why != NULL ? why : hearing->why;
    return why == NULL;
}

static bool take(void *arg, const hearth__push *push) {
    struct hearing *hearing = arg;
    hearth__listener *listener = hearing->listener;
    const hearth__listener_config *config = &listener->config;
    hearth__listened *node = hearing->node;
    switch (hearth__tracking_hear(&node->tracking, push, hearing->now_ms)) {
    case HEARTH__TRACKING_CHANGED:
        config->changed(config->arg, push->bytes, push->size);
        return true;
    case HEARTH__TRACKING_PROVEN:
        hearth__sources_prove(listener->sources, hearing->index, node->tracking.asked_ms);
        open_source(listener, hearing->index, node); /* if there was none to be had */
        return true;
    case HEARTH__TRACKING_FLUSHED:
        flush(listener, hearing->index, node);
        return true;
    case HEARTH__TRACKING_BEGUN:
        begin(listener, hearing->index, node);
        return true;
    case HEARTH__TRACKING_NOTHING:
        return true;
    case HEARTH__TRACKING_NAMED:
        return say_rest(hearing);
    case HEARTH__TRACKING_REFUSED:
        hearing->why = "it refuses AUTH, CLIENT ID, CLIENT TRACKING or SUBSCRIBE "
                       "__redis__:invalidate: see its ACL and remote.url";
        return false;
    case HEARTH__TRACKING_NONSENSE:
        break;
    }
    return false;
}

/* NULL, or why the connection has ended. */
static const char *read_node(hearth__listener *listener, uint32_t index,
                             hearth__listened *node) {
    struct hearing hearing = {.listener = listener,
                              .index = index,
                              .node = node,
                              .now_ms = hearth__boot_ms(),
                              .why = "it said what is no invalidation"};
    for (unsigned i = 0; i < CHUNKS_MAX; i++) {
        ssize_t got =
            recv(atomic_load(&node->fd), listener->chunk, HEARTH__LISTENER_CHUNK, MSG_DONTWAIT);
        if (got <= 0) {
            bool again = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
            return again ? NULL : "the connection has ended";
        }
        if (hearth__push_parser_feed(node->parser, listener->chunk, (size_t)got, take,
                                     &hearing) != HEARTH_OK) {
            return hearing.why;
        }
        if ((size_t)got < HEARTH__LISTENER_CHUNK) {
            return NULL;
        }
    }
    return NULL;
}

/* ---- the thread that reads: its rounds ---------------------------------------------------- */

/* Takes what the other thread has connected, if it has. */
static const char *take_call(hearth__listener *listener, hearth__listened *node) {
    int call = atomic_load(&node->call);
    if (call != HEARTH__CALL_MADE && call != HEARTH__CALL_FAILED) {
        return NULL;
    }
    atomic_store(&node->call, HEARTH__NO_CALL);
    if (call == HEARTH__CALL_FAILED) {
        return node->why;
    }
    atomic_store(&node->fd, atomic_exchange(&node->calling_fd, -1));
    hearth__push_parser_reset(node->parser);
    hearth__tracking_connected(&node->tracking, hearth__boot_ms());
    return say(node, listener->greeting.data, listener->greeting.size);
}

static const char *act(hearth__listener *listener, hearth__listened *node) {
    switch (hearth__tracking_look(&node->tracking, hearth__boot_ms())) {
    case HEARTH__TRACKING_WAIT:
        return NULL;
    case HEARTH__TRACKING_CONNECT:
        atomic_store(&node->call, HEARTH__CALL_WANTED);
        hearth__bell_ring(&listener->bell, HEARTH__LISTENER_STROKE);
        return NULL;
    case HEARTH__TRACKING_PING:
        return say(node, ping, sizeof ping - 1);
    case HEARTH__TRACKING_GIVE_UP:
        return "it did not answer in time";
    }
    return NULL;
}

/* Where changes are broadcast: its source was found not to be told of what it should be. Seen with the next ping at the latest. */
static bool is_deaf(const hearth__listener *listener, const hearth__listened *node) {
    uint32_t source = atomic_load(&node->source);
    return source != 0 && !hearth__sources_tells(listener->sources, source);
}

static void look_after(hearth__listener *listener, uint32_t index, hearth__listened *node) {
    short events = listener->polled[index + 1].revents;
    const char *why = NULL;
    if ((events & POLLOUT) != 0) {
        why = send_node(node);
    }
    if (why == NULL && (events & ~POLLOUT) != 0) {
        why = read_node(listener, index, node);
    }
    if (why == NULL) {
        why = take_call(listener, node);
    }
    if (why == NULL && is_deaf(listener, node)) {
        why = "a change that was tried out was not";
    }
    if (why == NULL) {
        why = act(listener, node);
    }
    if (why != NULL) {
        lose(listener, index, node, why);
    }
}

static void look_after_all(hearth__listener *listener) {
    hearth__listened *node = NULL;
    for (uint32_t i = 0; (node = hearth__listener_node(listener, i)) != NULL; i++) {
        int state = atomic_load(&node->state);
        if (state == HEARTH__LISTENED) {
            look_after(listener, i, node);
        } else if (state == HEARTH__LEAVING) {
            leave(listener, i, node);
        }
    }
}

/* What a place waits for, until then. */
static struct pollfd poll_of(const hearth__listened *node, int64_t *due_ms) {
    if (atomic_load(&node->state) != HEARTH__LISTENED) {
        return (struct pollfd){.fd = -1};
    }
    int64_t nodes_ms = hearth__tracking_due_ms(&node->tracking);
    *due_ms = nodes_ms < *due_ms ? nodes_ms : *due_ms;
    short events = node->unsent_size != 0 ? POLLIN | POLLOUT : POLLIN;
    return (struct pollfd){.fd = atomic_load(&node->fd), .events = events};
}

/* It could not be waited for: what reads and writes without waiting finds out. */
static void take_all_for_ready(struct pollfd *polled, nfds_t count) {
    for (nfds_t i = 0; i < count; i++) {
        polled[i].revents = (short)(polled[i].fd >= 0 ? polled[i].events : 0);
    }
}

/* Waits until something is to be done. */
static void await(hearth__listener *listener) {
    int64_t now_ms = hearth__boot_ms();
    int64_t due_ms = now_ms + IDLE_MS;
    nfds_t count = 1;
    const hearth__listened *node = NULL;
    listener->polled[0] = (struct pollfd){.fd = atomic_load(&listener->wake), .events = POLLIN};
    for (uint32_t i = 0; (node = hearth__listener_node(listener, i)) != NULL; i++) {
        listener->polled[count++] = poll_of(node, &due_ms);
    }
    bool held = hearth__fork_pause();
    int ready = poll(listener->polled, count, due_ms > now_ms ? (int)(due_ms - now_ms) : 0);
    if (ready < 0) {
        hearth__rest(&listener->bell, HEARTH__LISTENER_STROKE, &listener->closing,
                     HEARTH__REST_MS);
        take_all_for_ready(listener->polled, count);
    }
    hearth__fork_resume(held);
}

void *hearth__listener_read(void *arg) {
    hearth__listener *listener = arg;
    uint64_t wakes = 0;
    hearth__fork_hold();
    while (!atomic_load(&listener->closing)) {
        look_after_all(listener);
        await(listener);
        if (listener->polled[0].revents != 0) {
            (void)!read(atomic_load(&listener->wake), &wakes, sizeof wakes);
        }
    }
    hearth__fork_release();
    return NULL;
}
