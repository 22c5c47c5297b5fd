/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Redis backend: a batch is one pipeline on one connection. Requests are formatted and sent
 * a window at a time, while answers are read, so that neither side waits for the other to read.
 */
#include "remote/backend.h"

#include "base/clock.h"
#include "base/memory.h"
#include "remote/redis_steps.h"
#include "remote/redis_verbs.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    WINDOW_BYTES = 256 * 1024, /* formatted and not sent */
    WINDOW_REQUESTS = 1024,    /* asked and not answered */
};

/* One operation of a batch. */
struct request {
    hearth__remote_op *op;
    int64_t began_ns;  /* before any of it was sent */
    uint64_t write_at; /* the connection's count of bytes where the write begins, or NOWHERE */
    uint64_t end;      /* and where it ends */
    bool maybe_done;   /* it was sent on another connection, which broke */
};

#define NOWHERE UINT64_MAX

struct hearth__batch {
    hearth__node *node;
    hearth__redis_connection *connection;
    size_t count;
    size_t asked;                    /* requests that are queued or sent */
    size_t answered;                 /* requests whose operation has its status */
    hearth__redis_progress progress; /* of the one to be answered next */
    struct request requests[];
};

static int32_t open_node(const hearth__node_config *config, hearth__node **out) {
    hearth__node *node = hearth__alloc_zero(1, sizeof *node);
    if (node == NULL) {
        return HEARTH_E_NOMEM;
    }
    node->config = *config;
    if (hearth__redis_pool_create(node) != HEARTH_OK) {
        hearth__free(node);
        return HEARTH_E_NOMEM;
    }
    *out = node;
    return HEARTH_OK;
}

static void close_node(hearth__node *node) {
    hearth__redis_pool_destroy(node);
    hearth__free(node);
}

static bool is_write(const hearth__remote_op *op) {
    return op->verb != HEARTH__GET;
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool has_room(const struct hearth__batch *batch) {
    const hearth__redis_connection *connection = batch->connection;
    return connection->queued - connection->sent < WINDOW_BYTES &&
           batch->asked - batch->answered < WINDOW_REQUESTS;
}

/* An operation that cannot be asked for has its status at once, and no reply. */
static void ask(struct hearth__batch *batch) {
    struct request *request = &batch->requests[batch->asked++];
    uint64_t begin = batch->connection->queued;
    request->began_ns = request->op->want_ttl ? hearth__monotonic_ns() : 0;
    int32_t status = hearth__redis_ask(batch->connection, request->op);
    if (status != HEARTH_OK) {
        request->op->status = status;
        return;
    }
    request->write_at = begin;
    request->end = batch->connection->queued;
}

/* Fills the window, up to an operation that runs in steps: those before it must be done. */
static void ask_more(struct hearth__batch *batch) {
    while (batch->asked < batch->count && has_room(batch) &&
           !hearth__redis_needs_steps(batch->node, batch->requests[batch->asked].op)) {
        ask(batch);
    }
}

/* ---- answering ------------------------------------------------------------------------------ */

static bool take_reply(void *arg, const hearth__redis_reply *reply) {
    struct hearth__batch *batch = arg;
    const struct request *request = &batch->requests[batch->answered];
    bool half_sent = batch->connection->sent < request->end;
    if (half_sent && reply->type != REDIS_REPLY_ERROR) {
        return false; /* nobody can have answered it */
    }
    batch->progress.began_ns = request->began_ns;
    return hearth__redis_answer(batch->node, request->op, &batch->progress, reply);
}

/* Goes on to the next operation without a status. */
static void step_over(struct hearth__batch *batch) {
    while (batch->answered < batch->asked &&
           batch->requests[batch->answered].op->status != HEARTH__PENDING) {
        batch->answered++;
        batch->progress = (hearth__redis_progress){0};
    }
}

static int32_t run_steps(struct hearth__batch *batch, int64_t deadline_ns) {
    struct request *request = &batch->requests[batch->asked++];
    return hearth__redis_run_steps(batch->node, batch->connection, request->op, deadline_ns,
                                   &request->write_at);
}

/* Until all are answered; else why not. */
static int32_t drive(struct hearth__batch *batch, int64_t deadline_ns) {
    int32_t status = HEARTH_OK;
    while (status == HEARTH_OK) {
        ask_more(batch);
        step_over(batch);
        if (batch->answered == batch->count) {
            return HEARTH_OK;
        }
        status = batch->answered == batch->asked
                     ? run_steps(batch, deadline_ns)
                     : hearth__redis_await(batch->connection, take_reply, batch, deadline_ns);
    }
    return status;
}

/* ---- when a connection broke ---------------------------------------------------------------- */

static bool was_sent(const struct hearth__batch *batch, const struct request *request) {
    return batch->connection != NULL && batch->connection->sent > request->write_at;
}

/*
 * What may be asked once more on a fresh connection: a delete, which does no harm twice; and, on
 * an idle connection that the server had given up, reads and what was not sent. No other write
 * is sent twice.
 */
static bool may_repeat(const struct hearth__batch *batch, const struct request *request) {
    const hearth__redis_connection *connection = batch->connection;
    if (request->op->verb == HEARTH__DELETE) {
        return true;
    }
    return connection->reused && !connection->heard &&
           (!is_write(request->op) || !was_sent(batch, request));
}

/* Gives what is unanswered its status, but for what may be repeated: that stays, at the front. */
static void fail(struct hearth__batch *batch, int32_t status, bool may) {
    size_t kept = 0;
    for (size_t i = batch->answered; i < batch->count; i++) {
        struct request *request = &batch->requests[i];
        if (request->op->status != HEARTH__PENDING) {
            continue;
        }
        bool again = may && may_repeat(batch, request);
        request->maybe_done =
            request->maybe_done || (is_write(request->op) && was_sent(batch, request));
        request->write_at = NOWHERE;
        if (again) {
            batch->requests[kept++] = *request;
        } else {
            request->op->status = request->maybe_done ? HEARTH_E_UNKNOWN : status;
        }
    }
    batch->count = kept;
    batch->asked = batch->answered = 0;
    batch->progress = (hearth__redis_progress){0};
}

static void explain(hearth__node *node, int32_t status) {
    if (status == HEARTH_E_PROTOCOL) {
        hearth__redis_complain(node, status, "sent what is no answer of a Redis server", "", 0);
    } else if (status == HEARTH_E_TOO_LARGE) {
        hearth__redis_complain(node, status, "has a value over remote.max_value_bytes", "", 0);
    }
}

/* For others, or closed: also after an answer too many. */
static void leave(struct hearth__batch *batch, int32_t status) {
    hearth__redis_connection *connection = batch->connection;
    batch->connection = NULL;
    if (status == HEARTH_OK && !hearth__redis_parser_is_empty(&connection->parser)) {
        status = HEARTH_E_PROTOCOL;
    }
    explain(batch->node, status);
    if (status == HEARTH_OK) {
        hearth__redis_give(connection);
    } else {
        hearth__redis_drop(connection);
    }
}

static int32_t try_all(struct hearth__batch *batch, bool may_repeat_some, int64_t deadline_ns) {
    int32_t status = drive(batch, deadline_ns);
    if (status != HEARTH_OK) {
        fail(batch, status, may_repeat_some && hearth__monotonic_ns() < deadline_ns);
    }
    leave(batch, status);
    return status;
}

static void repeat(struct hearth__batch *batch, int64_t deadline_ns) {
    size_t count = batch->count;
    int32_t status = hearth__redis_take(batch->node, true, deadline_ns, &batch->connection);
    if (status == HEARTH_OK) {
        (void)try_all(batch, false, deadline_ns);
    } else {
        fail(batch, status, false);
    }
    for (size_t i = 0; i < count; i++) { /* an error now says nothing about the first time */
        struct request *request = &batch->requests[i];
        if (request->maybe_done && request->op->status < 0) {
            request->op->status = HEARTH_E_UNKNOWN;
        }
    }
}

/* ---- the contract --------------------------------------------------------------------------- */

static struct hearth__batch *create(hearth__node *node, hearth__remote_op **ops, size_t count) {
    if (count > SIZE_MAX / sizeof(struct request) - 1) {
        return NULL;
    }
    struct hearth__batch *batch = hearth__alloc(sizeof *batch + count * sizeof(struct request));
    if (batch != NULL) {
        *batch = (struct hearth__batch){.node = node, .count = count};
        for (size_t i = 0; i < count; i++) {
            batch->requests[i] = (struct request){.op = ops[i], .write_at = NOWHERE};
        }
    }
    return batch;
}

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count,
                  int64_t deadline_ns, hearth__batch **out) {
    struct hearth__batch *batch = NULL;
    int32_t status = HEARTH_E_TIMEOUT;
    if (hearth__monotonic_ns() < deadline_ns) {
        batch = create(node, ops, count);
        status = batch != NULL
                     ? hearth__redis_take(node, false, deadline_ns, &batch->connection)
                     : HEARTH_E_NOMEM;
    }
    if (status != HEARTH_OK) {
        for (size_t i = 0; i < count; i++) {
            ops[i]->status = status;
        }
        hearth__free(batch);
        return;
    }
    ask_more(batch);
    hearth__redis_send(batch->connection);
    *out = batch;
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    (void)node;
    if (batch == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        batch->requests[i].op = ops[i];
    }
    if (try_all(batch, true, deadline_ns) != HEARTH_OK && batch->count != 0) {
        repeat(batch, deadline_ns);
    }
    hearth__free(batch);
}

const hearth__backend hearth__backend_redis = {
    .name = "redis",
    .knows_ttl = true,
    .open = open_node,
    .close = close_node,
    .begin = begin,
    .finish = finish,
};
