/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_verbs.h"

#include "base/clock.h"
#include "base/thread_buffer.h"
#include "remote/memcached_compose.h"
#include "remote/memcached_filter.h"
#include "remote/memcached_node.h"
#include "remote/memcached_steps.h"

#include <hearth/errors.h>

#include <string.h>

enum { NS_PER_MS = 1000000, HEAD_KEPT_BYTES = 64 * 1024 };

int32_t hearth__mc_meet(hearth__node *node, int64_t deadline_ns) {
    hearth__lane *lane = NULL;
    if (atomic_load_explicit(&node->protocol, memory_order_relaxed) !=
        HEARTH__MC_PROTOCOL_UNKNOWN) {
        return HEARTH_OK;
    }
    int32_t status = hearth__lanes_reserve(node->lanes, deadline_ns, &lane);
    if (status == HEARTH_OK) {
        hearth__lanes_unreserve(lane, true);
    }
    return status;
}

/* ---- saying --------------------------------------------------------------------------------- */

static bool say(hearth__exchange *exchange, const hearth__mc_request *request) {
    if (!hearth__exchange_say(exchange, request->head.data, request->head.size)) {
        return false;
    }
    if (!request->has_data) {
        return true;
    }
    return (request->rest_size == 0 ||
            hearth__exchange_say(exchange, request->rest, request->rest_size)) &&
           hearth__exchange_say(exchange, HEARTH__MC_DATA_END, strlen(HEARTH__MC_DATA_END));
}

/* Composes what is asked next, and adds it to the exchange. *writes: whether it may change what is
 * there. */
static int32_t ask(hearth__node *node, hearth__mc_steps *steps, hearth__exchange *exchange,
                   bool *writes) {
    hearth__mc_request request = {.head = hearth__thread_buffer_take()};
    bool meta =
        atomic_load_explicit(&node->protocol, memory_order_relaxed) == HEARTH__MC_PROTOCOL_META;
    uint32_t opaque = atomic_fetch_add_explicit(&node->opaque, 2, memory_order_relaxed);
    int32_t status = hearth__mc_ask(steps, meta, opaque, &request);
    if (status == HEARTH_OK && !say(exchange, &request)) {
        status = HEARTH_E_NOMEM;
    }
    if (status == HEARTH_OK) {
        request.notes.began_ns = steps->op->want_ttl ? hearth__exchange_began_ns(exchange) : 0;
        hearth__exchange_ask(exchange, &request.notes);
    }
    *writes = request.writes;
    if (request.head.capacity <= HEAD_KEPT_BYTES) {
        hearth__thread_buffer_put(&request.head);
    } else {
        hearth__buffer_fini(&request.head);
    }
    return status;
}

/* ---- hearing -------------------------------------------------------------------------------- */

static int64_t passed_ms(const hearth__notes *notes) {
    if (notes->began_ns == 0) {
        return 0;
    }
    return (hearth__monotonic_ns() - notes->began_ns + NS_PER_MS - 1) / NS_PER_MS;
}

/* True: the operation has its status. */
static bool hear(hearth__node *node, hearth__mc_steps *steps, const hearth__notes *notes,
                 hearth__kept kept) {
    bool unusual = notes->status == HEARTH_E_UNAVAILABLE;
    if (unusual && kept.bytes != NULL && !kept.lost) {
        hearth__complain(&node->complaint, &node->config, notes->status,
                         "refuses: ", kept.bytes, kept.size);
    }
    return hearth__mc_take(steps, notes, kept, passed_ms(notes));
}

/* ---- operations of one request -------------------------------------------------------------- */

static int32_t compose(hearth__node *node, const hearth__remote_op *op,
                       hearth__exchange *exchange) {
    hearth__mc_steps steps;
    bool writes = false;
    hearth__remote_op own = *op; /* only looked at */
    int32_t status = hearth__mc_steps_init(&steps, node->config.remote, &own);
    if (status == HEARTH_OK) {
        status = ask(node, &steps, exchange, &writes);
    }
    hearth__mc_steps_fini(&steps);
    return status;
}

static bool take(hearth__node *node, hearth__remote_op *op, const hearth__notes *notes,
                 hearth__kept kept) {
    hearth__mc_steps steps;
    (void)hearth__mc_steps_init(&steps, node->config.remote, op);
    hearth__mc_resume(&steps, notes);
    (void)hear(node, &steps, notes, kept);
    hearth__mc_steps_fini(&steps);
    return !steps.misfit;
}

/* ---- and of several ------------------------------------------------------------------------- */

static bool needs_steps(hearth__node *node, const hearth__remote_op *op) {
    (void)node;
    return hearth__mc_may_ask_again(op);
}

/* One operation on its way. */
struct run {
    hearth__node *node;
    hearth__mc_steps steps;
    hearth__lane *lane; /* NULL: any does */
    int64_t deadline_ns;
    bool fresh;
    bool done;
    bool maybe_done; /* a write was sent, and its answer was lost */
    hearth__outcome outcome;
};

static bool take_step(void *arg, uint32_t index, const hearth__notes *notes,
                      hearth__kept kept) {
    struct run *run = arg;
    (void)index;
    run->steps.op->heard = true;
    run->done = hear(run->node, &run->steps, notes, kept);
    return !run->steps.misfit;
}

/* Asks once. HEARTH_OK: there is more to ask, or it is done. */
static int32_t run_step(struct run *run) {
    const hearth__way way = {.lane = run->lane, .fresh = run->fresh, .at_once = true};
    hearth__exchange *exchange = hearth__exchange_create(1);
    bool writes = false;
    run->outcome = (hearth__outcome){.status = HEARTH_E_NOMEM};
    if (exchange == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = ask(run->node, &run->steps, exchange, &writes);
    if (status != HEARTH_OK) {
        hearth__exchange_discard(exchange);
        return status;
    }
    status = hearth__lanes_begin(run->node->lanes, exchange, &way, run->deadline_ns);
    run->outcome.status = status;
    if (status == HEARTH_OK) {
        run->outcome = hearth__lanes_finish(exchange, run->deadline_ns, take_step, run);
    }
    if (run->outcome.status != HEARTH_OK && run->outcome.sent != 0 && writes) {
        run->maybe_done = true;
    }
    return run->outcome.status;
}

/* What was seen on a connection is of use on that one only: it is the caller's until the end. */
static int32_t bind(struct run *run) {
    if (run->lane != NULL || !hearth__mc_is_bound(&run->steps)) {
        return HEARTH_OK;
    }
    int32_t status = hearth__lanes_reserve(run->node->lanes, run->deadline_ns, &run->lane);
    if (status != HEARTH_OK) {
        run->outcome = (hearth__outcome){.status = status};
    }
    return status;
}

/* Until the operation has its status; else why it could not be carried out. */
static int32_t run_all(struct run *run) {
    int32_t status = HEARTH_OK;
    run->done = false;
    while (status == HEARTH_OK && !run->done) {
        status = bind(run);
        if (status == HEARTH_OK) {
            status = run_step(run);
        }
    }
    if (run->lane != NULL) {
        hearth__lanes_unreserve(run->lane, status == HEARTH_OK);
        run->lane = NULL;
    }
    return status;
}

static void run_steps(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns) {
    struct run run = {.node = node, .deadline_ns = deadline_ns};
    if (op->verb == HEARTH__FILTER) {
        hearth__mc_filter_run(node, op, deadline_ns);
        return;
    }
    int32_t status = hearth__mc_steps_init(&run.steps, node->config.remote, op);
    if (status == HEARTH_OK) {
        status = run_all(&run);
    }
    run.maybe_done =
        run.maybe_done || run.steps.takes_back; /* it was done, and is not undone */
    if (status != HEARTH_OK && !run.maybe_done && hearth__monotonic_ns() < deadline_ns &&
        hearth__lane_may_repeat(&run.outcome, run.outcome.sent, op)) {
        hearth__mc_steps_fini(&run.steps);
        (void)hearth__mc_steps_init(&run.steps, node->config.remote, op);
        run.fresh = true;
        status = run_all(&run);
    }
    if (status != HEARTH_OK) {
        op->status = run.maybe_done ? HEARTH_E_UNKNOWN : status;
    }
    hearth__mc_steps_fini(&run.steps);
}

const hearth__lane_verbs hearth__mc_verbs = {
    .compose = compose,
    .take = take,
    .needs_steps = needs_steps,
    .run_steps = run_steps,
};
