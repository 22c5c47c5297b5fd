/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_steps.h"

#include "remote/redis_change.h"
#include "remote/redis_scripts.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    LOOK_BYTES = 512, /* a header, and the fields it usually has */
    TOUCH_TRIES = 3,
    TRIES = 8,
};

/* One operation on its way. */
struct steps {
    hearth__node *node;
    hearth__redis_connection *connection;
    hearth__remote_op *op;
    int64_t deadline_ns;
    uint64_t *write_at;
    size_t look_bytes;
    unsigned conflicts;
    bool watched;    /* the key is watched: a transaction follows */
    bool in_multi;   /* and it is open */
    int expected;    /* the type of the next reply */
    int got;         /* the type it had */
    int64_t integer; /* of the last integer */
    int32_t refusal; /* the first error that the server answered, or HEARTH_OK */
    bool scripted;   /* a script was asked for */
    bool forbidden;  /* it was that scripts may not run */
    hearth__redis_sight sight;
};

bool hearth__redis_needs_steps(const hearth__node *node, const hearth__remote_op *op) {
    return op->verb == HEARTH__TOUCH ||
           (hearth__redis_needs_script(op->verb) &&
            atomic_load_explicit(&node->scripts, memory_order_relaxed) !=
                HEARTH__REDIS_SCRIPTS_ALLOWED);
}

/* ---- asking and expecting ------------------------------------------------------------------- */

static void refuse(struct steps *steps, const hearth__redis_reply *reply) {
    if (steps->scripted && hearth__redis_refuses_scripts(reply)) {
        steps->forbidden = true;
        return;
    }
    if (steps->op->verb == HEARTH__DELETE && reply->status == HEARTH_E_TYPE) {
        return; /* what cannot be read can be removed: it counts as foreign */
    }
    int32_t status = hearth__redis_refusal(steps->node, reply);
    if (steps->refusal == HEARTH_OK) {
        steps->refusal = status;
    }
}

static bool take(void *arg, const hearth__redis_reply *reply) {
    struct steps *steps = arg;
    steps->got = reply->type;
    steps->integer = reply->integer;
    if (reply->type == REDIS_REPLY_ERROR) {
        refuse(steps, reply);
        return true;
    }
    if (reply->type == REDIS_REPLY_NIL && steps->expected == REDIS_REPLY_ARRAY) {
        return true; /* a transaction that did not run */
    }
    if (reply->type == REDIS_REPLY_STRING &&
        !hearth__buffer_assign(&steps->sight.bytes, reply->text, reply->size)) {
        steps->refusal = HEARTH_E_NOMEM;
    }
    for (size_t i = 0; i < reply->count; i++) {
        if (reply->elements[i].type == REDIS_REPLY_ERROR) {
            refuse(steps, &reply->elements[i]);
        }
    }
    return reply->type == steps->expected;
}

static int32_t expect(struct steps *steps, int type) {
    steps->expected = type;
    return hearth__redis_await(steps->connection, take, steps, steps->deadline_ns);
}

static int32_t expect_many(struct steps *steps, const int *types, size_t count) {
    int32_t status = HEARTH_OK;
    for (size_t i = 0; i < count && status == HEARTH_OK; i++) {
        status = expect(steps, types[i]);
    }
    return status;
}

/* Ends what look() began, if nothing is to be written. */
static int32_t release(struct steps *steps) {
    if (!steps->watched) {
        return HEARTH_OK;
    }
    hearth__redis_command command = {0};
    hearth__redis_text(&command, steps->in_multi ? "DISCARD" : "UNWATCH");
    int32_t status = hearth__redis_queue(steps->connection, &command, 1);
    return status == HEARTH_OK ? expect(steps, REDIS_REPLY_STATUS) : status;
}

/* ---- looking -------------------------------------------------------------------------------- */

/* MULTI comes along, and its answer is known before any write is sent: were it refused, the
 * writes would run without a condition. */
static int32_t look(struct steps *steps, bool watch) {
    hearth__redis_command commands[4] = {0};
    hearth__redis_number last;
    size_t count = 0;
    if (watch) {
        hearth__redis_verb(&commands[count++], "WATCH", steps->op);
    }
    hearth__redis_verb(&commands[count], "GETRANGE", steps->op);
    hearth__redis_text(&commands[count], "0");
    hearth__redis_integer(&commands[count++], (int64_t)steps->look_bytes - 1, &last);
    hearth__redis_verb(&commands[count++], "PTTL", steps->op);
    if (watch) {
        hearth__redis_text(&commands[count++], "MULTI");
    }
    int32_t status = hearth__redis_queue(steps->connection, commands, count);
    steps->watched = watch && status == HEARTH_OK;
    if (steps->watched) {
        status = expect(steps, REDIS_REPLY_STATUS);
    }
    if (status == HEARTH_OK) {
        const int types[] = {REDIS_REPLY_STRING, REDIS_REPLY_INTEGER};
        status = expect_many(steps, types, 2);
        steps->sight.ttl_ms = steps->integer;
    }
    if (status == HEARTH_OK && watch) {
        status = expect(steps, REDIS_REPLY_STATUS);
        steps->in_multi = steps->got == REDIS_REPLY_STATUS;
    }
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* The operation is done, by what the server said to the write. */
static void conclude(struct steps *steps, const hearth__redis_change *change) {
    steps->op->status = steps->refusal != HEARTH_OK ? steps->refusal : change->status;
    if (steps->op->status == HEARTH_OK && steps->op->verb == HEARTH__INCREMENT) {
        steps->op->number = change->sum;
    }
}

static int32_t queue_write(struct steps *steps, const hearth__redis_command *commands,
                           size_t count) {
    uint64_t write_at = steps->connection->queued;
    int32_t status = hearth__redis_queue(steps->connection, commands, count);
    if (status == HEARTH_OK) {
        *steps->write_at = write_at;
    }
    return status;
}

/* The writes of an open transaction, and its end. */
static int32_t transact(struct steps *steps, const hearth__redis_change *change) {
    hearth__redis_command commands[3] = {0};
    memcpy(commands, change->commands, change->count * sizeof commands[0]);
    hearth__redis_text(&commands[change->count], "EXEC");
    int32_t status = queue_write(steps, commands, change->count + 1);
    for (size_t i = 0; i < change->count && status == HEARTH_OK; i++) {
        status = expect(steps, REDIS_REPLY_STATUS);
    }
    if (status == HEARTH_OK) {
        status = expect(steps, REDIS_REPLY_ARRAY);
    }
    if (status == HEARTH_OK && steps->got == REDIS_REPLY_NIL) {
        steps->conflicts++;
    } else if (status == HEARTH_OK) {
        conclude(steps, change);
    }
    return status;
}

static void compose_touch(const struct steps *steps, hearth__redis_change *change,
                          hearth__redis_column *column, hearth__redis_command *command) {
    if (change->renews) {
        hearth__redis_script(command, hearth__lua_renew, steps->op);
        hearth__redis_word(command, steps->sight.bytes.data, HEARTH__ENVELOPE_HEADER);
        hearth__redis_word(command, change->header, sizeof change->header);
    } else {
        column->digits[HEARTH__HOLDS_VALUE] = '0' + HEARTH_CONFLICT; /* it must be renewed */
        hearth__redis_script(command, hearth__lua_prolong, steps->op);
        hearth__redis_word(command, column->digits, sizeof column->digits);
        hearth__redis_text(command, "");
    }
    if (steps->op->ttl_ms != 0) {
        hearth__redis_integer(command, steps->op->ttl_ms, &change->numbers[0]);
    }
}

/* The write of a TOUCH, if nothing changed since look(). */
static int32_t touch_by_script(struct steps *steps, hearth__redis_change *change) {
    hearth__redis_command command;
    hearth__redis_column column = hearth__redis_column_of(HEARTH__TOUCH);
    compose_touch(steps, change, &column, &command);
    int32_t status = queue_write(steps, &command, 1);
    if (status == HEARTH_OK) {
        steps->scripted = true;
        status = expect(steps, REDIS_REPLY_INTEGER);
        steps->scripted = false;
    }
    if (status != HEARTH_OK || steps->forbidden) {
        return status;
    }
    if (steps->got == REDIS_REPLY_INTEGER) {
        change->status = hearth__redis_verdict(HEARTH__TOUCH, steps->integer);
    }
    if (change->status == HEARTH_CONFLICT) {
        steps->conflicts++;
    } else if (change->status != HEARTH_E_PROTOCOL) {
        conclude(steps, change);
    }
    return change->status != HEARTH_E_PROTOCOL ? HEARTH_OK : HEARTH_E_PROTOCOL;
}

/* ---- one try -------------------------------------------------------------------------------- */

static bool take_answer(void *arg, const hearth__redis_reply *reply) {
    struct steps *steps = arg;
    hearth__redis_progress progress = {0};
    steps->forbidden = hearth__redis_refuses_scripts(reply);
    return steps->forbidden || hearth__redis_answer(steps->node, steps->op, &progress, reply);
}

/* A script's verb, while it is not known whether scripts may run. */
static int32_t try_script(struct steps *steps) {
    uint64_t write_at = steps->connection->queued;
    int32_t status = hearth__redis_ask(steps->connection, steps->op);
    if (status != HEARTH_OK) {
        steps->op->status = status;
        return HEARTH_OK;
    }
    *steps->write_at = write_at;
    status = hearth__redis_await(steps->connection, take_answer, steps, steps->deadline_ns);
    if (status == HEARTH_OK && !steps->forbidden && steps->op->status >= 0) {
        atomic_store(&steps->node->scripts, HEARTH__REDIS_SCRIPTS_ALLOWED);
    }
    return status;
}

/* Looks, decides and writes. */
static int32_t try_steps(struct steps *steps, bool watch) {
    hearth__redis_change change;
    int32_t status = look(steps, watch);
    if (status != HEARTH_OK) {
        return status;
    }
    size_t wanted = hearth__redis_sight_wanted(&steps->sight, steps->op);
    if (steps->refusal != HEARTH_OK) {
        steps->op->status = steps->refusal;
        return release(steps);
    }
    if (wanted > steps->look_bytes) {
        steps->look_bytes = wanted;
        return release(steps);
    }
    hearth__redis_decide(steps->connection, steps->op, &steps->sight, &change);
    if (change.count == 0) {
        steps->op->status = change.status;
        return release(steps);
    }
    return watch ? transact(steps, &change) : touch_by_script(steps, &change);
}

static int32_t try_once(struct steps *steps) {
    int scripts = atomic_load(&steps->node->scripts);
    bool by_script = scripts != HEARTH__REDIS_SCRIPTS_FORBIDDEN;
    steps->watched = steps->in_multi = steps->forbidden = false;
    int32_t status = by_script && steps->op->verb != HEARTH__TOUCH
                         ? try_script(steps)
                         : try_steps(steps, !by_script);
    if (steps->forbidden) {
        *steps->write_at = UINT64_MAX; /* it was refused as a whole */
        atomic_store(&steps->node->scripts, HEARTH__REDIS_SCRIPTS_FORBIDDEN);
    } else if (!by_script && steps->refusal == HEARTH_E_UNAVAILABLE) {
        atomic_store(&steps->node->scripts, HEARTH__REDIS_SCRIPTS_UNKNOWN);
    }
    return status;
}

int32_t hearth__redis_run_steps(hearth__node *node, hearth__redis_connection *connection,
                                hearth__remote_op *op, int64_t deadline_ns,
                                uint64_t *write_at) {
    struct steps steps = {.node = node,
                          .connection = connection,
                          .op = op,
                          .deadline_ns = deadline_ns,
                          .write_at = write_at,
                          .look_bytes = LOOK_BYTES};
    unsigned tries = op->verb == HEARTH__TOUCH ? TOUCH_TRIES : TRIES;
    int32_t status = HEARTH_OK;
    for (unsigned round = 0; round < 2 * TRIES && steps.conflicts < tries &&
                             status == HEARTH_OK && op->status == HEARTH__PENDING;
         round++) {
        status = try_once(&steps);
    }
    hearth__buffer_fini(&steps.sight.bytes);
    if (status == HEARTH_OK && op->status == HEARTH__PENDING) {
        op->status = op->verb == HEARTH__TOUCH || op->verb == HEARTH__SWAP
                         ? HEARTH_CONFLICT
                         : HEARTH_E_UNAVAILABLE;
    }
    return status;
}
