/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forked child has none of the listener's threads; it leaves what came from its parent alone but for its copies of the sockets,
 * and starts its own.
 */
#include "coherence/listener_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/thread.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RETRY_MS = 1000 }; /* before threads are tried to be started again */

/* ---- making and ending ------------------------------------------------------------------ */

/* One bulk string of a command. */
static bool add_bytes(hearth__buffer *buffer, const void *word, size_t size) {
    char head[32];
    int head_size = snprintf(head, sizeof head, "$%zu\r\n", size);
    return hearth__buffer_append(buffer, head, (size_t)head_size) &&
           hearth__buffer_append(buffer, word, size) &&
           hearth__buffer_append(buffer, "\r\n", 2);
}

static bool add_word(hearth__buffer *buffer, const char *word) {
    return add_bytes(buffer, word, strlen(word));
}

/* Redis wants the client's number asked for before SUBSCRIBE, after which a connection takes nearly no command. */
static bool compose_greeting(hearth__listener *listener) {
    static const char id[] = "*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n";
    const hearth__listener_config *config = &listener->config;
    hearth__buffer *greeting = &listener->greeting;
    bool good = true;
    if (config->password != NULL) {
        bool has_user = config->user != NULL;
        good = hearth__buffer_append(greeting, has_user ? "*3\r\n" : "*2\r\n", 4) &&
               add_word(greeting, "AUTH") && (!has_user || add_word(greeting, config->user)) &&
               add_word(greeting, config->password);
    }
    return good && hearth__buffer_append(greeting, id, sizeof id - 1);
}

/* Behind the number of whom to tell: which keys are, and SUBSCRIBE. */
static bool compose_subscription(hearth__listener *listener) {
    static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$20\r\n__redis__:invalidate\r\n";
    const hearth__listener_config *config = &listener->config;
    hearth__buffer *subscription = &listener->subscription;
    if (config->broadcast_count == 0) {
        return hearth__buffer_append(&listener->greeting, subscribe, sizeof subscribe - 1);
    }
    bool good = add_word(subscription, "BCAST");
    for (size_t i = 0; good && i < config->broadcast_count; i++) {
        const hearth__beginning *beginning = &config->broadcast[i];
        good = add_word(subscription, "PREFIX") &&
               add_bytes(subscription, beginning->data, beginning->size);
    }
    return good && hearth__buffer_append(subscription, subscribe, sizeof subscribe - 1);
}

/* Room for it, so that a connection that is there needs no memory. */
static bool reserve_rest(const hearth__listener *listener, hearth__listened *node) {
    enum { HEAD_SIZE = 128 };
    return listener->subscription.size == 0 ||
           hearth__buffer_reserve(&node->rest, HEAD_SIZE + listener->subscription.size);
}

bool hearth__listener_compose_rest(const hearth__listener *listener, hearth__listened *node) {
    enum { WORDS = 6, EACH = 2, NUMBER_SIZE = 24, HEAD_SIZE = 128 };
    static const char first[] =
        "$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$8\r\nREDIRECT\r\n";
    const hearth__buffer *subscription = &listener->subscription;
    char head[HEAD_SIZE];
    char number[NUMBER_SIZE];
    int digits = snprintf(number, sizeof number, "%lld", (long long)node->tracking.client_id);
    int size = snprintf(head, sizeof head, "*%zu\r\n%s$%d\r\n%s\r\n",
                        WORDS + EACH * listener->config.broadcast_count, first, digits, number);
    node->rest.size = 0;
    return hearth__buffer_append(&node->rest, head, (size_t)size) &&
           hearth__buffer_append(&node->rest, subscription->data, subscription->size);
}

int32_t hearth__listener_create(const hearth__listener_config *config, hearth__listener **out) {
    hearth__listener *listener = hearth__alloc_zero(1, sizeof *listener);
    if (listener == NULL) {
        return HEARTH_E_NOMEM;
    }
    listener->config = *config;
    atomic_init(&listener->wake, -1);
    listener->sources = hearth__sources_create(
        HEARTH__LISTENED_MAX, config->ping_ms + config->dead_ms, config->life_ms);
    if (listener->sources == NULL || !compose_greeting(listener) ||
        !compose_subscription(listener)) {
        hearth__listener_destroy(listener);
        return HEARTH_E_NOMEM;
    }
    *out = listener;
    return HEARTH_OK;
}

void hearth__listener_close_fd(_Atomic int *fd) {
    int number = atomic_exchange(fd, -1); /* first: a child must not close a number used anew */
    if (number >= 0) {
        (void)close(number);
    }
}

void hearth__listener_wake(hearth__listener *listener) {
    const uint64_t one = 1;
    (void)!write(atomic_load(&listener->wake), &one, sizeof one);
}

void hearth__listener_stop(hearth__listener *listener) {
    if (listener == NULL) {
        return;
    }
    atomic_store(&listener->stopped, true);
    if (atomic_load(&listener->generation) == hearth__fork_generation()) {
        atomic_store(&listener->closing, true);
        hearth__listener_wake(listener);
        hearth__bell_ring(&listener->bell, HEARTH__LISTENER_STROKE);
        (void)pthread_join(listener->reader, NULL);
        (void)pthread_join(listener->caller, NULL);
        atomic_store(&listener->generation, 0);
    }
}

static void destroy_place(hearth__listened *node) {
    hearth__push_parser_destroy(node->parser);
    hearth__buffer_fini(&node->rest);
    hearth__free(node);
}

void hearth__listener_destroy(hearth__listener *listener) {
    if (listener == NULL) {
        return;
    }
    hearth__listener_stop(listener);
    hearth__listened *node = NULL;
    for (uint32_t i = 0; (node = hearth__listener_node(listener, i)) != NULL; i++) {
        hearth__listener_close_fd(&node->fd);
        hearth__listener_close_fd(&node->calling_fd);
        destroy_place(node);
    }
    hearth__listener_close_fd(&listener->wake);
    hearth__buffer_fini(&listener->greeting);
    hearth__buffer_fini(&listener->subscription);
    hearth__sources_destroy(listener->sources);
    hearth__free(listener);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

void hearth__listener_init_tracking(const hearth__listener *listener, hearth__listened *node) {
    const hearth__listener_config *config = &listener->config;
    hearth__tracking_init(&node->tracking, config->ping_ms, config->dead_ms, config->retry_ms,
                          config->password != NULL);
    node->tracking.broadcasts = config->broadcast_count != 0;
}

static hearth__listened *create_place(const hearth__listener *listener) {
    hearth__listened *node = hearth__alloc_zero(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    atomic_init(&node->state, HEARTH__PLACE_TAKEN);
    atomic_init(&node->fd, -1);
    atomic_init(&node->calling_fd, -1);
    node->parser = hearth__push_parser_create(listener->config.key_max);
    if (node->parser == NULL || !reserve_rest(listener, node)) {
        destroy_place(node);
        return NULL;
    }
    return node;
}

/* A place that was left. */
static uint32_t take_place(hearth__listener *listener) {
    hearth__listened *node = NULL;
    for (uint32_t i = 0; (node = hearth__listener_node(listener, i)) != NULL; i++) {
        int is_free = HEARTH__PLACE_FREE;
        if (atomic_compare_exchange_strong(&node->state, &is_free, HEARTH__PLACE_TAKEN)) {
            return i;
        }
    }
    return HEARTH__LISTENED_NONE;
}

/* A new place behind all others. */
static uint32_t add_place(hearth__listener *listener) {
    hearth__listened *node = create_place(listener);
    if (node == NULL) {
        return HEARTH__LISTENED_NONE;
    }
    for (uint32_t place = 0; place < HEARTH__LISTENED_MAX; place++) {
        hearth__listened *none = NULL;
        if (atomic_compare_exchange_strong(&listener->nodes[place], &none, node)) {
            return place;
        }
    }
    destroy_place(node);
    return HEARTH__LISTENED_NONE;
}

uint32_t hearth__listener_listen(hearth__listener *listener, const char *host, uint16_t port) {
    size_t size = strlen(host) + 1;
    uint32_t place = HEARTH__LISTENED_NONE;
    if (size > sizeof((hearth__listened *)0)->host) {
        return place;
    }
    place = take_place(listener);
    if (place == HEARTH__LISTENED_NONE) {
        place = add_place(listener);
    }
    if (place == HEARTH__LISTENED_NONE) {
        return place;
    }
    hearth__listened *node = atomic_load(&listener->nodes[place]);
    memcpy(node->host, host, size);
    node->port = port;
    node->complained = false;
    hearth__listener_init_tracking(listener, node);
    atomic_store(&node->state, HEARTH__LISTENED);
    hearth__listener_wake(listener);
    return place;
}

void hearth__listener_unlisten(hearth__listener *listener, uint32_t node) {
    if (node != HEARTH__LISTENED_NONE) {
        atomic_store(&atomic_load(&listener->nodes[node])->state, HEARTH__LEAVING);
        hearth__listener_wake(listener);
    }
}

/* ---- starting --------------------------------------------------------------------------- */

/* What a forked child has of its parent's. */
static void forget_parents(hearth__listener *listener) {
    hearth__listened *node = NULL;
    for (uint32_t i = 0; (node = hearth__listener_node(listener, i)) != NULL; i++) {
        hearth__listener_close_fd(&node->fd);
        hearth__listener_close_fd(&node->calling_fd);
        atomic_store(&node->call, HEARTH__NO_CALL);
        node->unsent_size = 0;
        atomic_store(&node->source, 0);
        hearth__listener_init_tracking(listener, node);
    }
    memset(listener->polled, 0, sizeof listener->polled);
    hearth__listener_close_fd(&listener->wake);
    hearth__sources_forked(listener->sources, hearth__boot_ms());
}

static bool start_threads(hearth__listener *listener) {
    atomic_store(&listener->closing, false);
    atomic_store(&listener->wake, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (atomic_load(&listener->wake) < 0) {
        return false;
    }
    if (!hearth__thread_start(&listener->caller, hearth__listener_call, listener)) {
        return false;
    }
    if (!hearth__thread_start(&listener->reader, hearth__listener_read, listener)) {
        atomic_store(&listener->closing, true);
        hearth__bell_ring(&listener->bell, HEARTH__LISTENER_STROKE);
        (void)pthread_join(listener->caller, NULL);
        return false;
    }
    return true;
}

/* While threads are being started nobody else in the process starts any. */
static uint64_t starting(uint64_t generation) {
    return ~generation;
}

static void start(hearth__listener *listener, uint64_t generation) {
    uint64_t before = atomic_load(&listener->generation);
    if (before == generation || before == starting(generation) ||
        atomic_load(&listener->stopped) ||
        (before == 0 && hearth__boot_ms() < atomic_load(&listener->retry_ms)) ||
        !atomic_compare_exchange_strong(&listener->generation, &before, starting(generation))) {
        return;
    }
    if (before != 0) {
        forget_parents(listener);
    }
    if (start_threads(listener)) {
        atomic_store(&listener->generation, generation);
        return;
    }
    hearth__listener_close_fd(&listener->wake);
    atomic_store(&listener->retry_ms, hearth__boot_ms() + RETRY_MS);
    atomic_store(&listener->generation, 0);
}

void hearth__listener_start(hearth__listener *listener) {
    uint64_t generation = hearth__fork_generation();
    if (atomic_load_explicit(&listener->generation, memory_order_relaxed) != generation) {
        start(listener, generation);
    }
}

/* ---- sources ---------------------------------------------------------------------------- */

const _Atomic int64_t *hearth__listener_until_ms(const hearth__listener *listener) {
    return hearth__sources_until_ms(listener->sources);
}

int64_t hearth__listener_grace_ms(const hearth__listener *listener) {
    return listener->config.ping_ms + listener->config.dead_ms;
}

uint32_t hearth__listener_untold(const hearth__listener *listener) {
    return hearth__sources_untold(listener->sources);
}

bool hearth__listener_tells(const hearth__listener *listener, uint32_t source) {
    return hearth__sources_tells(listener->sources, source);
}

/* Whether what is known of sources is this process's. */
static bool is_ours(const hearth__listener *listener) {
    return atomic_load(&listener->generation) == hearth__fork_generation();
}

uint32_t hearth__listener_source(const hearth__listener *listener, uint32_t node) {
    return node != HEARTH__LISTENED_NONE && is_ours(listener)
               ? atomic_load(&atomic_load(&listener->nodes[node])->source)
               : 0;
}

hearth__redirect hearth__listener_redirect(const hearth__listener *listener, uint32_t node) {
    return node != HEARTH__LISTENED_NONE && is_ours(listener) &&
                   listener->config.broadcast_count == 0
               ? hearth__sources_redirect(listener->sources, node)
               : (hearth__redirect){0};
}

uint32_t hearth__listener_open_source(hearth__listener *listener, uint32_t node, uint32_t epoch,
                                      int64_t sent_ms) {
    if (node == HEARTH__LISTENED_NONE || !is_ours(listener)) {
        return 0;
    }
    uint32_t source =
        hearth__sources_open(listener->sources, node, epoch, sent_ms, hearth__boot_ms());
    hearth__canary_reset(&listener->canaries[source]);
    return source;
}

void hearth__listener_answered(hearth__listener *listener, uint32_t source, int64_t sent_ms) {
    if (source != 0 && is_ours(listener)) {
        hearth__sources_answered(listener->sources, source, sent_ms);
    }
}

void hearth__listener_close_source(hearth__listener *listener, uint32_t source) {
    if (source != 0 && is_ours(listener)) {
        hearth__sources_close(listener->sources, source, hearth__boot_ms());
    }
}

/* ---- canaries --------------------------------------------------------------------------- */

bool hearth__listener_begin_canary(hearth__listener *listener, uint32_t source) {
    int64_t every_ms = listener->config.canary_ms;
    return every_ms != 0 && source != 0 && is_ours(listener) &&
           hearth__canary_begin(&listener->canaries[source], every_ms, hearth__boot_ms(),
                                hearth__monotonic_ns());
}

void hearth__listener_end_canary(hearth__listener *listener, uint32_t source, bool written) {
    if (source != 0 && is_ours(listener)) {
        hearth__canary_end(&listener->canaries[source], written, hearth__boot_ms());
    }
}

bool hearth__listener_is_deaf(hearth__listener *listener, uint32_t source) {
    int64_t proven_ms = 0;
    if (source == 0 || !is_ours(listener) ||
        !hearth__sources_proven_ms(listener->sources, source, &proven_ms) ||
        !hearth__canary_is_unheard(&listener->canaries[source], proven_ms)) {
        return false;
    }
    hearth__sources_distrust(listener->sources, source, hearth__boot_ms());
    return true;
}

int64_t hearth__listener_hear_canary(hearth__listener *listener, uint32_t source) {
    return source != 0 && source < HEARTH__SOURCES
               ? hearth__canary_hear(&listener->canaries[source], hearth__monotonic_ns())
               : -1;
}
