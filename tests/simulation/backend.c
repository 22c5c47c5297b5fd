/* SPDX-License-Identifier: Apache-2.0 */
/* The backend for redis://, in the place of the library's own: data connections to the simulated servers. */
#include "remote/backend.h"

#include "base/clock.h"
#include "remote/envelope.h"
#include "simulation/connections.h"

#include <hearth/errors.h>

#include <stdlib.h>
#include <string.h>

enum { LANES = 2, TRIES = 2 };

#define ANYBODY UINT32_MAX

struct lane {
    hearth__node *node;
    connection *on; /* NULL, or not open: to be opened */
    bool opening;
    uint32_t source;
    uint32_t epoch;
    int64_t told_ms;
};

struct hearth__node {
    hearth__node *next;
    const hearth__remote_config *config;
    uint32_t listened;
    unsigned process;
    unsigned server;
    uint64_t lost;
    struct lane lanes[LANES];
};

struct hearth__batch {
    size_t count;
    struct request *requests[];
};

/* All nodes of all processes. */
static hearth__node *nodes;

/* ---- requests --------------------------------------------------------------------------- */

static void *copy(const void *data, size_t size) {
    void *bytes = malloc(size + 1);
    if (bytes == NULL) {
        abort();
    }
    if (size != 0) {
        memcpy(bytes, data, size);
    }
    return bytes;
}

void requests_release(struct request *request) {
    if (--request->holders == 0) {
        /* NOLINTBEGIN(performance-no-int-to-ptr) they are its own */
        free((void *)(uintptr_t)request->op.key);
        free((void *)(uintptr_t)request->op.data);
        free((void *)(uintptr_t)request->op.token);
        /* NOLINTEND(performance-no-int-to-ptr) */
        free(request->stored);
        free(request->bytes);
        free(request);
    }
}

/* What is stored begins as the process says. */
static void compose(struct request *request, const hearth__remote_op *op) {
    unsigned char header[HEARTH__ENVELOPE_BARE];
    size_t size = hearth__envelope_compose(op, false, header);
    request->stored_size = size + op->data_size;
    request->stored = malloc(request->stored_size + 1);
    if (request->stored == NULL) {
        abort();
    }
    memcpy(request->stored, header, size);
    if (op->data_size != 0) {
        memcpy(request->stored + size, op->data, op->data_size);
    }
}

static bool stores(const hearth__remote_op *op) {
    return op->verb == HEARTH__SET || op->verb == HEARTH__ADD || op->verb == HEARTH__REPLACE ||
           op->verb == HEARTH__SWAP || op->verb == HEARTH__LEASE || op->verb == HEARTH__FILL;
}

/* Held by its caller and by what is on its way. */
static struct request *create(struct lane *lane, const hearth__remote_op *op,
                              int64_t redirects) {
    struct request *made = calloc(1, sizeof *made);
    if (made == NULL) {
        abort();
    }
    made->on = lane->on;
    made->owner = lane;
    made->redirects = redirects;
    made->holders = 2;
    made->stroke = UINT32_C(1) << (lane->on->requests++ % 32);
    if (op != NULL) {
        made->op = *op;
        made->op.key = copy(op->key, op->key_size);
        made->op.data = copy(op->data, op->data_size);
        made->op.token = op->token != NULL ? copy(op->token, HEARTH__TOKEN_BYTES) : NULL;
        made->op.tags = NULL;
        made->op.body = NULL;
        if (stores(op)) {
            compose(made, op);
        }
    }
    return made;
}

/* ---- there and back --------------------------------------------------------------------- */

static void finish_redirect(struct request *request, struct lane *lane) {
    const hearth__tracker *tracker = lane->node->config->tracker;
    if (request->status == HEARTH_OK) {
        lane->source = tracker->open(tracker->arg, lane->node->listened,
                                     (uint32_t)request->op.version, lane->told_ms);
        schedule_trace("lane to %u: source %u", lane->node->server, lane->source);
    }
}

static void come_back(void *arg) {
    struct request *request = arg;
    struct lane *lane = request->owner;
    if (request->on->open && lane->on == request->on) {
        if (request->redirects > 0) {
            finish_redirect(request, lane);
        }
        request->answered = true;
        request->source = lane->source;
        schedule_wake(request->on, request->stroke);
    }
    requests_release(request);
}

/* At the server: whom to tell, if it is there. */
static void redirect_at(struct request *request) {
    request->status = HEARTH_E_UNAVAILABLE;
    if (connections_find(request->on->server, request->redirects) != NULL) {
        request->on->tells = request->redirects;
        request->status = HEARTH_OK;
    }
}

static void arrive(void *arg) {
    struct request *request = arg;
    if (!request->on->served || request->on->life != connections_life(request->on->server)) {
        requests_release(request);
        return;
    }
    if (request->redirects > 0) {
        redirect_at(request);
    } else if (request->redirects == 0) {
        server_execute(request);
    }
    schedule_at(connections_here(request->on), request->on->process, come_back, request);
}

static void send_request(struct request *request) {
    schedule_at(connections_there(request->on), request->on->process, arrive, request);
}

/* ---- lanes ------------------------------------------------------------------------------ */

static void end_source(struct lane *lane) {
    const hearth__tracker *tracker = lane->node->config->tracker;
    uint32_t source = lane->source;
    lane->source = 0;
    lane->epoch = 0;
    if (source != 0) {
        tracker->close(tracker->arg, source);
    }
}

static bool is_open(const struct lane *lane) {
    return lane->on != NULL && lane->on->open;
}

static void lose(struct lane *lane) {
    lane->node->lost++;
    end_source(lane);
    schedule_wake(lane->on, ANYBODY);
}

void backend_broken(connection *on) {
    for (hearth__node *node = nodes; node != NULL; node = node->next) {
        for (size_t i = 0; i < LANES; i++) {
            if (node->lanes[i].on == on) {
                schedule_trace("lane to %u broken", node->server);
                lose(&node->lanes[i]);
            }
        }
    }
}

static void break_lane(struct lane *lane) {
    if (is_open(lane)) {
        connections_close(lane->on);
        lose(lane);
    }
}

/* One connects, the others wait. HEARTH_OK, HEARTH_E_UNAVAILABLE, HEARTH_E_TIMEOUT. */
static int32_t open_lane(struct lane *lane, int64_t deadline_ns) {
    hearth__node *node = lane->node;
    while (lane->opening) {
        if (!schedule_wait(&lane->opening, 1, deadline_ns) && schedule_now() >= deadline_ns) {
            return HEARTH_E_TIMEOUT;
        }
    }
    if (is_open(lane)) {
        return HEARTH_OK;
    }
    int64_t now_ns = schedule_now();
    int64_t cut_ns = connections_cut_until(node->process, node->server, SERVERS_DATA);
    int64_t at_ns = (cut_ns > now_ns ? cut_ns : now_ns) + 2 * connections_delay();
    lane->opening = true;
    (void)schedule_wait(NULL, 0, at_ns < deadline_ns ? at_ns : deadline_ns);
    bool in_time = at_ns < deadline_ns;
    bool connected = in_time && connections_is_up(node->server);
    if (connected) {
        lane->on = connections_open(node->process, node->server, SERVERS_DATA);
        lane->epoch = 0;
    }
    lane->opening = false;
    schedule_wake(&lane->opening, 1);
    return connected ? HEARTH_OK : in_time ? HEARTH_E_UNAVAILABLE : HEARTH_E_TIMEOUT;
}

/* As hearth__lane_redirect() does, ahead of what is sent. */
static void redirect(struct lane *lane) {
    const hearth__tracker *tracker = lane->node->config->tracker;
    int64_t client_id = 0;
    uint32_t epoch =
        tracker != NULL ? tracker->redirect(tracker->arg, lane->node->listened, &client_id) : 0;
    if (epoch == 0 || epoch == lane->epoch || !is_open(lane)) {
        return;
    }
    end_source(lane);
    lane->epoch = epoch;
    lane->told_ms = hearth__boot_ms();
    if (!is_open(lane)) {
        return;
    }
    struct request *request = create(lane, NULL, client_id);
    request->op.version = epoch;
    send_request(request);
    requests_release(request);
}

/* False: it broke, or the deadline passed. */
static bool await(struct request *request, struct lane *lane, int64_t deadline_ns) {
    while (!request->answered && lane->on == request->on && request->on->open &&
           schedule_now() < deadline_ns) {
        (void)schedule_wait(request->on, request->stroke, deadline_ns);
    }
    return request->answered;
}

/* ---- what the room asks for ------------------------------------------------------------- */

static int32_t open_node(const hearth__node_config *config, hearth__node **out) {
    hearth__node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return HEARTH_E_NOMEM;
    }
    node->config = config->remote;
    node->listened = config->listened;
    node->process = schedule_process();
    node->server = config->address->port - SERVERS_FIRST_PORT;
    for (size_t i = 0; i < LANES; i++) {
        node->lanes[i].node = node;
    }
    node->next = nodes;
    nodes = node;
    *out = node;
    return HEARTH_OK;
}

static void close_node(hearth__node *node) {
    hearth__node **at = &nodes;
    while (*at != node) {
        at = &(*at)->next;
    }
    *at = node->next;
    for (size_t i = 0; i < LANES; i++) {
        break_lane(&node->lanes[i]);
    }
    free(node);
}

static uint64_t generation(hearth__node *node) {
    return node->lost;
}

static void ping(struct lane *lane) {
    const hearth__tracker *tracker = lane->node->config->tracker;
    uint32_t source = lane->source;
    int64_t sent_ms = hearth__boot_ms();
    if (!is_open(lane) || lane->source != source) {
        return;
    }
    struct request *request = create(lane, NULL, -1);
    send_request(request);
    if (await(request, lane, hearth__deadline_ns(lane->node->config->stall_ms))) {
        tracker->answered(tracker->arg, source, sent_ms);
    } else if (lane->on == request->on) {
        break_lane(lane);
    }
    requests_release(request);
}

static void refresh(hearth__node *node) {
    for (size_t i = 0; i < LANES; i++) {
        struct lane *lane = &node->lanes[i];
        if (is_open(lane) && lane->source == 0) {
            lane->epoch = 0;
        } else if (is_open(lane)) {
            ping(lane);
        }
    }
}

static void take(const hearth__node *node, hearth__remote_op *op,
                 const struct request *request) {
    op->heard = true;
    op->source = request->source;
    op->status = request->status;
    op->checked = request->checked;
    op->left_ms = request->left_ms;
    if (op->verb == HEARTH__GET && request->bytes == NULL) {
        op->status = HEARTH_MISS;
    } else if (op->verb == HEARTH__GET) {
        (void)hearth__envelope_answer(node->config, op, request->bytes, request->size, false,
                                      request->left_ms, true);
    } else {
        op->found_version = request->found_version;
    }
}

/* Once; true: its connection broke. */
static bool execute(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns) {
    struct lane *lane = &node->lanes[schedule_below(LANES)];
    op->found_version = 0;
    op->found = HEARTH__KIND_VALUE;
    op->checked = false;
    op->status = open_lane(lane, deadline_ns);
    if (op->status != HEARTH_OK) {
        return false;
    }
    redirect(lane);
    if (!is_open(lane)) {
        op->status = HEARTH_E_UNAVAILABLE;
        return true;
    }
    struct request *request = create(lane, op, 0);
    send_request(request);
    bool answered = await(request, lane, deadline_ns);
    bool broken = !answered && (lane->on != request->on || !request->on->open);
    if (answered) {
        take(node, op, request);
    } else {
        request->late = true;
        op->status = op->verb != HEARTH__GET ? HEARTH_E_UNKNOWN
                     : broken                ? HEARTH_E_UNAVAILABLE
                                             : HEARTH_E_TIMEOUT;
        if (!broken && schedule_chance(2)) {
            break_lane(lane);
        }
    }
    requests_release(request);
    return broken;
}

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count, bool at_once,
                  int64_t deadline_ns, hearth__batch **batch) {
    (void)node;
    (void)ops;
    (void)count;
    (void)at_once;
    (void)deadline_ns;
    (void)batch;
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    (void)batch;
    for (size_t i = 0; i < count; i++) {
        int tries = ops[i]->verb == HEARTH__DELETE ? TRIES : 1;
        while (tries-- != 0 && execute(node, ops[i], deadline_ns)) {
        }
    }
}

const hearth__backend hearth__backend_redis = {
    .name = "simulated",
    .knows_ttl = true,
    .open = open_node,
    .close = close_node,
    .generation = generation,
    .refresh = refresh,
    .begin = begin,
    .finish = finish,
};
