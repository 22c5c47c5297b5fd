/* SPDX-License-Identifier: Apache-2.0 */
/* Groups operations by node and hands them to the backend: all nodes written before any is read. Longer than 400 lines: calls in one
 * step and in two are divided alike. */
#include "remote/remote.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/stat.h"
#include "remote/backend.h"
#include "remote/envelope.h"

#include <hearth/errors.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_SIZE = 272,    /* a host name of 253 bytes, or a path, and a port */
    FEW_OPERATIONS = 8, /* up to here a batch needs no memory of the heap */
};

struct node {
    hearth__node *state;
    hearth__node_address address;
    char name[NAME_SIZE];
    uint32_t listened; /* for the tracker */
    _Atomic uint64_t requests;
    _Atomic uint64_t errors;
};

struct hearth__remote {
    const hearth__backend *backend;
    hearth__remote_config config;
    hearth__remote_url url; /* without its nodes */
    _Atomic uint64_t version_counter;
    _Atomic uint64_t version_process; /* whose it is: hearth__fork_generation() */
    _Atomic uint32_t limit;
    struct node *nodes[HEARTH__REMOTE_NODES]; /* by number; NULL: none has it */
};

static const hearth__backend *backend_of(const hearth__remote_config *config) {
    switch (config->url->kind) {
    case HEARTH__REDIS:
        return &hearth__backend_redis;
    case HEARTH__MEMCACHED:
        return config->memcached_client == HEARTH__MEMCACHED_LIBMEMCACHED
                   ? &hearth__backend_libmemcached
                   : &hearth__backend_memcached;
    case HEARTH__EMBEDDED:
        break;
    }
    return &hearth__backend_embedded;
}

static int32_t copy_text(const char *text, char **copy) {
    *copy = text != NULL ? hearth__copy_text(text, strlen(text)) : NULL;
    return text != NULL && *copy == NULL ? HEARTH_E_NOMEM : HEARTH_OK;
}

static int32_t copy_url(const hearth__remote_url *url, hearth__remote_url *copy) {
    *copy = (hearth__remote_url){.kind = url->kind, .database = url->database};
    int32_t status = copy_text(url->user, &copy->user);
    return status == HEARTH_OK ? copy_text(url->password, &copy->password) : status;
}

/* ---- nodes ------------------------------------------------------------------------------ */

static void destroy_node(const hearth__remote *remote, struct node *node) {
    const hearth__tracker *tracker = remote->config.tracker;
    if (node->state != NULL) {
        remote->backend->close(node->state);
    }
    if (node->state != NULL && tracker != NULL) {
        tracker->unlisten(tracker->arg, node->listened);
    }
    hearth__free(node->address.host);
    hearth__free(node);
}

static int32_t open_node(const hearth__remote *remote, const hearth__node_address *address,
                         struct node *node) {
    node->address = *address;
    int32_t status = copy_text(address->host, &node->address.host);
    if (status != HEARTH_OK) {
        return status;
    }
    if (address->port != 0) {
        (void)snprintf(node->name, sizeof node->name, "%s:%u", address->host, address->port);
    } else {
        (void)snprintf(node->name, sizeof node->name, "%s", address->host);
    }
    const hearth__tracker *tracker = remote->config.tracker;
    if (tracker != NULL) {
        status = tracker->listen(tracker->arg, address->host, address->port, &node->listened);
        if (status != HEARTH_OK) {
            return status;
        }
    }
    hearth__node_config config = {.remote = &remote->config,
                                  .address = &node->address,
                                  .name = node->name,
                                  .listened = node->listened};
    status = remote->backend->open(&config, &node->state);
    if (status != HEARTH_OK && tracker != NULL) {
        tracker->unlisten(tracker->arg, node->listened);
    }
    return status;
}

int32_t hearth__remote_add(hearth__remote *remote, const hearth__node_address *address,
                           uint32_t *out) {
    uint32_t number = 0;
    while (number < HEARTH__REMOTE_NODES && remote->nodes[number] != NULL) {
        number++;
    }
    if (number == HEARTH__REMOTE_NODES) {
        return HEARTH_E_OVERLOAD;
    }
    struct node *node = hearth__alloc_zero(1, sizeof *node);
    if (node == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = open_node(remote, address, node);
    if (status != HEARTH_OK) {
        destroy_node(remote, node);
        return status;
    }
    remote->nodes[number] = node;
    if (number >= hearth__remote_limit(remote)) {
        atomic_store(&remote->limit, number + 1);
    }
    *out = number;
    return HEARTH_OK;
}

void hearth__remote_remove(hearth__remote *remote, uint32_t number) {
    struct node *node = remote->nodes[number];
    remote->nodes[number] = NULL;
    destroy_node(remote, node);
}

void hearth__remote_refresh(hearth__remote *remote, uint32_t number) {
    if (remote->backend->refresh != NULL) {
        remote->backend->refresh(remote->nodes[number]->state);
    }
}

bool hearth__remote_stop(const hearth__remote *remote, uint32_t number) {
    return remote->backend->stop == NULL || remote->backend->stop(remote->nodes[number]->state);
}

uint32_t hearth__remote_limit(const hearth__remote *remote) {
    return atomic_load_explicit(&remote->limit, memory_order_acquire);
}

/* ---- open and close --------------------------------------------------------------------- */

int32_t hearth__remote_open(const hearth__remote_config *config, hearth__remote **out) {
    hearth__remote *remote = hearth__alloc_zero(1, sizeof *remote);
    if (remote == NULL) {
        return HEARTH_E_NOMEM;
    }
    remote->backend = backend_of(config);
    remote->config = *config;
    remote->config.url = &remote->url;
    atomic_init(&remote->version_counter, hearth__random_u64());
    atomic_init(&remote->version_process, hearth__fork_generation());
    int32_t status = copy_url(config->url, &remote->url);
    for (size_t i = 0; status == HEARTH_OK && i < config->url->count; i++) {
        uint32_t number = 0;
        status = hearth__remote_add(remote, &config->url->nodes[i], &number);
    }
    if (status != HEARTH_OK) {
        hearth__remote_close(remote);
        return status;
    }
    *out = remote;
    return HEARTH_OK;
}

void hearth__remote_close(hearth__remote *remote) {
    if (remote == NULL) {
        return;
    }
    for (uint32_t i = 0; i < hearth__remote_limit(remote); i++) {
        if (remote->nodes[i] != NULL) {
            hearth__remote_remove(remote, i);
        }
    }
    hearth__remote_url_fini(&remote->url);
    hearth__free(remote);
}

bool hearth__remote_knows_ttl(const hearth__remote *remote) {
    return remote->backend->knows_ttl;
}

/* Children of one parent would count alike, and give values of the same millisecond the same version. */
static void count_anew_in_child(hearth__remote *remote) {
    uint64_t process = hearth__fork_generation();
    if (atomic_load_explicit(&remote->version_process, memory_order_acquire) != process) {
        atomic_store_explicit(&remote->version_counter, hearth__random_u64(),
                              memory_order_relaxed);
        atomic_store_explicit(&remote->version_process, process, memory_order_release);
    }
}

uint64_t hearth__remote_new_version(hearth__remote *remote) {
    count_anew_in_child(remote);
    uint64_t counter =
        atomic_fetch_add_explicit(&remote->version_counter, 1, memory_order_relaxed);
    return (uint64_t)hearth__wall_ms() << 16 | (counter & 0xffff);
}

uint64_t hearth__remote_marked_version(uint64_t version) {
    return hearth__envelope_marked_version(version);
}

uint64_t hearth__remote_generation(const hearth__remote *remote, uint32_t node) {
    return remote->backend->generation != NULL
               ? remote->backend->generation(remote->nodes[node]->state)
               : 0;
}

bool hearth__remote_distrusts(const hearth__remote *remote, uint32_t node, int64_t written_ms) {
    return remote->backend->distrusts != NULL &&
           remote->backend->distrusts(remote->nodes[node]->state, written_ms);
}

bool hearth__remote_is_integer(const void *data, size_t size) {
    int64_t number = 0;
    return hearth__envelope_is_integer(data, size, &number);
}

void hearth__remote_node_stats(const hearth__remote *remote, uint32_t node,
                               hearth__node_stats *stats) {
    const struct node *of = remote->nodes[node];
    stats->name = of->name;
    stats->requests = atomic_load_explicit(&of->requests, memory_order_relaxed);
    stats->errors = atomic_load_explicit(&of->errors, memory_order_relaxed);
}

static void account(hearth__remote *remote, struct node *node, hearth__remote_op **ops,
                    size_t count) {
    uint64_t errors = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->status < 0 && ops[i]->body != NULL) {
            ops[i]->body->size = 0;
        }
        errors += ops[i]->status < 0;
    }
    atomic_fetch_add_explicit(&node->requests, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&node->errors, errors, memory_order_relaxed);
    if (errors != 0) {
        hearth__seats_add(remote->config.counters, HEARTH__STAT_remote_errors, errors);
    }
}

/* One node's share of a call. */
struct share {
    uint32_t node;
    size_t first; /* in the sorted operations */
    size_t count;
    uint32_t source; /* where nodes tell of all changes */
    hearth__batch *batch;
};

/* Sorts by node with a counting sort, which keeps each node's order. Returns the number of shares. */
static size_t divide(hearth__remote_op *ops, size_t count, size_t *places, size_t nodes,
                     hearth__remote_op **sorted, struct share *shares) {
    for (size_t i = 0; i < count; i++) {
        places[ops[i].node]++;
    }
    size_t used = 0;
    size_t first = 0;
    for (size_t node = 0; node < nodes; node++) {
        size_t own = places[node];
        places[node] = first;
        if (own != 0) {
            shares[used++] =
                (struct share){.node = (uint32_t)node, .first = first, .count = own};
        }
        first += own;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[places[ops[i].node]++] = &ops[i];
    }
    return used;
}

/* Before anything is asked: of what changes from here on is told. */
static uint32_t source_of(const hearth__remote *remote, const struct node *node) {
    const hearth__tracker *tracker = remote->config.tracker;
    bool is_one = tracker != NULL && tracker->source != NULL;
    return is_one ? tracker->source(tracker->arg, node->listened) : 0;
}

static void note_source(const hearth__remote *remote, hearth__remote_op **ops, size_t count,
                        uint32_t source) {
    const hearth__tracker *tracker = remote->config.tracker;
    for (size_t i = 0; source != 0 && i < count; i++) {
        bool covered = tracker->covers(tracker->arg, ops[i]->key, ops[i]->key_size);
        ops[i]->source = covered ? source : 0;
    }
}

static void begin_all(hearth__remote *remote, hearth__remote_op **sorted, struct share *shares,
                      size_t count, bool at_once, int64_t deadline_ns) {
    for (size_t i = 0; i < count; i++) {
        struct share *share = &shares[i];
        share->source = source_of(remote, remote->nodes[share->node]);
        remote->backend->begin(remote->nodes[share->node]->state, sorted + share->first,
                               share->count, at_once, deadline_ns, &share->batch);
    }
}

static void finish_all(hearth__remote *remote, hearth__remote_op **sorted,
                       const struct share *shares, size_t count, int64_t deadline_ns) {
    for (size_t i = 0; i < count; i++) {
        const struct share *share = &shares[i];
        struct node *node = remote->nodes[share->node];
        remote->backend->finish(node->state, sorted + share->first, share->count, deadline_ns,
                                share->batch);
        note_source(remote, sorted + share->first, share->count, share->source);
        account(remote, node, sorted + share->first, share->count);
    }
}

static void run(hearth__remote *remote, hearth__remote_op **sorted, struct share *shares,
                size_t count, int64_t deadline_ns) {
    begin_all(remote, sorted, shares, count, count == 1, deadline_ns);
    finish_all(remote, sorted, shares, count, deadline_ns);
}

static void fail_all(hearth__remote_op *ops, size_t count, int32_t status) {
    for (size_t i = 0; i < count; i++) {
        ops[i].status = status;
    }
}

static void run_on_one_node(hearth__remote *remote, hearth__remote_op *ops, size_t count,
                            int64_t deadline_ns) {
    hearth__remote_op *few[FEW_OPERATIONS];
    hearth__remote_op **all =
        count <= FEW_OPERATIONS ? few : hearth__alloc_many(count, sizeof(hearth__remote_op *));
    if (all == NULL) {
        fail_all(ops, count, HEARTH_E_NOMEM);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = &ops[i];
    }
    struct share share = {.node = ops[0].node, .count = count};
    run(remote, all, &share, 1, deadline_ns);
    if (all != few) {
        hearth__free(all);
    }
}

static bool same_node(const hearth__remote_op *ops, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (ops[i].node != ops[0].node) {
            return false;
        }
    }
    return true;
}

static void pend(hearth__remote_op *ops, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ops[i].status = HEARTH__PENDING;
        ops[i].heard = false;
        ops[i].heard_ms = 0;
    }
}

void hearth__remote_execute(hearth__remote *remote, hearth__remote_op *ops, size_t count,
                            int64_t deadline_ns) {
    pend(ops, count);
    if (count == 0) {
        return;
    }
    if (same_node(ops, count)) {
        run_on_one_node(remote, ops, count, deadline_ns);
        return;
    }
    size_t nodes = hearth__remote_limit(remote);
    struct share *shares = hearth__alloc_zero(nodes, sizeof *shares);
    size_t *places = hearth__alloc_zero(nodes, sizeof *places);
    hearth__remote_op **sorted = hearth__alloc_zero(count, sizeof(hearth__remote_op *));
    if (shares != NULL && places != NULL && sorted != NULL) {
        size_t used = divide(ops, count, places, nodes, sorted, shares);
        run(remote, sorted, shares, used, deadline_ns);
    } else {
        fail_all(ops, count, HEARTH_E_NOMEM);
    }
    hearth__free(sorted);
    hearth__free(places);
    hearth__free(shares);
}

/* ---- the same in two steps ---------------------------------------------------------------- */

struct hearth__remote_call {
    hearth__remote *remote;
    int64_t deadline_ns;
    size_t count; /* of shares */
    struct share *shares;
    hearth__remote_op *sorted[];
};

hearth__remote_call *hearth__remote_begin(hearth__remote *remote, hearth__remote_op *ops,
                                          size_t count, int64_t deadline_ns) {
    size_t nodes = hearth__remote_limit(remote);
    if (!remote->backend->keeps_nothing || count == 0) {
        return NULL;
    }
    hearth__remote_call *call =
        hearth__alloc(sizeof *call + count * sizeof(hearth__remote_op *) +
                      nodes * (sizeof(struct share) + sizeof(size_t)));
    if (call == NULL) {
        return NULL;
    }
    call->shares = (struct share *)(void *)(call->sorted + count);
    size_t *places = (size_t *)(void *)(call->shares + nodes);
    call->remote = remote;
    call->deadline_ns = deadline_ns;
    memset(places, 0, nodes * sizeof *places);
    pend(ops, count);
    call->count = divide(ops, count, places, nodes, call->sorted, call->shares);
    begin_all(remote, call->sorted, call->shares, call->count, false, deadline_ns);
    return call;
}

void hearth__remote_finish(hearth__remote_call *call) {
    finish_all(call->remote, call->sorted, call->shares, call->count, call->deadline_ns);
    hearth__free(call);
}
