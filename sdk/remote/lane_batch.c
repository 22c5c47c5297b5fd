/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_batch.h"

#include "base/clock.h"
#include "base/memory.h"

#include <hearth/errors.h>

enum {
    WINDOW_BYTES = 256 * 1024, /* in one exchange */
    WINDOW_REQUESTS = 1024,
};

/* An operation of a batch. */
struct errand {
    hearth__remote_op *op;
    bool maybe_done; /* a write that was sent on a connection that broke */
};

struct hearth__batch {
    hearth__lanes *lanes;
    const hearth__lane_verbs *verbs;
    hearth__node *node;
    hearth__exchange *exchange; /* the one that is under way */
    int64_t now_ns;             /* if it was looked at just now */
    bool again;                 /* what may be asked once more is being asked */
    size_t count;
    size_t first; /* of the exchange */
    size_t next;  /* the first that was not asked for */
    size_t at;    /* the one whose answer was taken last, or `first` */
    struct errand errands[];
};

static bool is_write(const hearth__remote_op *op) {
    return op->verb != HEARTH__GET;
}

static bool is_pending(const struct errand *errand) {
    return errand->op->status == HEARTH__PENDING;
}

bool hearth__lane_may_repeat(const hearth__outcome *outcome, uint32_t index,
                             const hearth__remote_op *op) {
    if (op->verb == HEARTH__DELETE) {
        return true;
    }
    return (outcome->given_up || outcome->victim) && (!is_write(op) || index >= outcome->sent);
}

int32_t hearth__lane_failure(const hearth__outcome *outcome, uint32_t index,
                             const hearth__remote_op *op) {
    return is_write(op) && index < outcome->sent ? HEARTH_E_UNKNOWN : outcome->status;
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool needs_steps(const struct hearth__batch *batch, const hearth__remote_op *op) {
    return batch->verbs->needs_steps != NULL && batch->verbs->needs_steps(batch->node, op);
}

/* Composes what goes into one exchange: up to an operation that runs in steps, since those before
 * it must be done. What cannot be asked for has its status at once. */
static void fill(struct hearth__batch *batch) {
    hearth__exchange *exchange = batch->exchange;
    batch->first = batch->at = batch->next;
    for (; batch->next < batch->count; batch->next++) {
        struct errand *errand = &batch->errands[batch->next];
        if (!is_pending(errand)) {
            continue;
        }
        if (hearth__exchange_requests(exchange) == WINDOW_REQUESTS ||
            hearth__exchange_bytes(exchange) >= WINDOW_BYTES ||
            needs_steps(batch, errand->op)) {
            break;
        }
        int32_t status = batch->verbs->compose(batch->node, errand->op, exchange);
        if (status != HEARTH_OK) {
            hearth__exchange_unsay(exchange);
            errand->op->status = status;
        }
    }
}

/* Every operation that was asked for in this exchange, or that is still to be asked for, ends like
 * this; those that were sent before are asked once more if `repeats`. */
static void settle(struct hearth__batch *batch, const hearth__outcome *outcome, bool repeats) {
    uint32_t index = outcome->answered;
    for (size_t i = batch->at; i < batch->count; i++) {
        struct errand *errand = &batch->errands[i];
        if (!is_pending(errand)) {
            continue;
        }
        bool sent = index < outcome->sent;
        errand->maybe_done = errand->maybe_done || (sent && is_write(errand->op));
        if (!repeats || !hearth__lane_may_repeat(outcome, index, errand->op)) {
            errand->op->status = errand->maybe_done ? HEARTH_E_UNKNOWN : outcome->status;
        }
        index++;
    }
}

/* Asks for the next ones. */
static void ask(struct hearth__batch *batch, bool at_once, int64_t deadline_ns) {
    const hearth__way way = {.fresh = batch->again,
                             .at_once = at_once,
                             .now_ns =
                                 batch->now_ns != 0 ? batch->now_ns : hearth__monotonic_ns()};
    size_t left = batch->count - batch->next;
    batch->now_ns = 0;
    batch->exchange =
        hearth__exchange_create((uint32_t)(left < WINDOW_REQUESTS ? left : WINDOW_REQUESTS));
    int32_t status = batch->exchange != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    batch->first = batch->at = batch->next;
    if (status == HEARTH_OK) {
        hearth__exchange_begin(batch->exchange, way.now_ns);
        fill(batch);
        if (hearth__exchange_requests(batch->exchange) == 0) {
            hearth__exchange_discard(batch->exchange);
            batch->exchange = NULL;
            return;
        }
        status = hearth__lanes_begin(batch->lanes, batch->exchange, &way, deadline_ns);
    }
    if (status != HEARTH_OK) {
        const hearth__outcome outcome = {.status = status};
        batch->exchange = NULL;
        settle(batch, &outcome, false);
        batch->next = batch->count;
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static bool take(void *arg, uint32_t index, const hearth__notes *notes, hearth__kept kept) {
    struct hearth__batch *batch = arg;
    (void)index;
    while (!is_pending(&batch->errands[batch->at])) {
        batch->at++;
    }
    hearth__remote_op *op = batch->errands[batch->at].op;
    op->heard = true;
    op->heard_ms = notes->wall_ms;
    op->source = notes->source;
    return batch->verbs->take(batch->node, op, notes, kept);
}

static void await(struct hearth__batch *batch, int64_t deadline_ns) {
    hearth__outcome outcome = hearth__lanes_finish(batch->exchange, deadline_ns, take, batch);
    batch->exchange = NULL;
    if (outcome.status == HEARTH_OK) {
        return;
    }
    bool repeats = !batch->again && hearth__monotonic_ns() < deadline_ns;
    settle(batch, &outcome, repeats);
    batch->next = batch->count;
}

static void run_steps(struct hearth__batch *batch, int64_t deadline_ns) {
    struct errand *errand = &batch->errands[batch->next++];
    batch->verbs->run_steps(batch->node, errand->op, deadline_ns);
}

/* Until all that is to be asked for is answered. */
static void run(struct hearth__batch *batch, int64_t deadline_ns) {
    for (;;) {
        if (batch->exchange != NULL) {
            await(batch, deadline_ns);
        }
        while (batch->next < batch->count && !is_pending(&batch->errands[batch->next])) {
            batch->next++;
        }
        if (batch->next == batch->count) {
            return;
        }
        if (needs_steps(batch, batch->errands[batch->next].op)) {
            run_steps(batch, deadline_ns);
        } else {
            ask(batch, true, deadline_ns);
        }
    }
}

static bool has_pending(const struct hearth__batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        if (is_pending(&batch->errands[i])) {
            return true;
        }
    }
    return false;
}

/* ---- the contract --------------------------------------------------------------------------- */

static void fail_all(hearth__remote_op **ops, size_t count, int32_t status) {
    for (size_t i = 0; i < count; i++) {
        ops[i]->status = status;
    }
}

void hearth__lane_batch_begin(hearth__lanes *lanes, const hearth__lane_verbs *verbs,
                              hearth__node *node, hearth__remote_op **ops, size_t count,
                              bool at_once, int64_t deadline_ns, hearth__batch **out) {
    int64_t now_ns = hearth__monotonic_ns();
    if (now_ns >= deadline_ns) {
        fail_all(ops, count, HEARTH_E_TIMEOUT);
        return;
    }
    struct hearth__batch *batch = NULL;
    if (count <= (SIZE_MAX - sizeof *batch) / sizeof(struct errand)) {
        batch = hearth__alloc(sizeof *batch + count * sizeof(struct errand));
    }
    if (batch == NULL) {
        fail_all(ops, count, HEARTH_E_NOMEM);
        return;
    }
    *batch = (struct hearth__batch){
        .lanes = lanes, .verbs = verbs, .node = node, .now_ns = now_ns, .count = count};
    for (size_t i = 0; i < count; i++) {
        batch->errands[i] = (struct errand){.op = ops[i]};
    }
    ask(batch, at_once, deadline_ns);
    *out = batch;
}

void hearth__lane_batch_finish(hearth__remote_op **ops, size_t count, int64_t deadline_ns,
                               hearth__batch *batch) {
    if (batch == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        batch->errands[i].op = ops[i];
    }
    run(batch, deadline_ns);
    if (has_pending(batch)) {
        batch->again = true;
        batch->next = 0;
        run(batch, deadline_ns);
    }
    for (size_t i = 0; i < count; i++) { /* an error now says nothing about the first time */
        const struct errand *errand = &batch->errands[i];
        if (errand->maybe_done && errand->op->status < 0) {
            errand->op->status = HEARTH_E_UNKNOWN;
        }
    }
    hearth__free(batch);
}
