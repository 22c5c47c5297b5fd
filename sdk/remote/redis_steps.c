/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_steps.h"

#include "base/clock.h"
#include "remote/lane_batch.h"
#include "remote/redis_change.h"
#include "remote/redis_codec.h"
#include "remote/redis_scripts.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

#include <string.h>

enum {
    LOOK_BYTES = 512, /* a header, and the fields it usually has */
    TOUCH_TRIES = 3,
    TRIES = 8,
    ROUND_REQUESTS = 4,
};

/* One operation on its way. */
struct steps {
    hearth__node *node;
    hearth__lane *lane; /* a transaction's */
    hearth__remote_op *op;
    int64_t deadline_ns;
    bool fresh;      /* it is tried on another connection */
    bool maybe_done; /* its write may have been carried out on a connection that broke */
    size_t look_bytes;
    unsigned conflicts;
    int32_t refusal; /* the first error that the server answered, or HEARTH_OK */
    bool scripted;   /* a script is asked for */
    bool forbidden;  /* and scripts may not run */
    bool in_multi;   /* a transaction is open */
    uint32_t got;    /* the type of the last answer */
    int64_t integer; /* of the last integer */
    hearth__redis_sight sight;
    hearth__outcome outcome; /* of the last round */
};

/* It cannot be said what is to be written before the value was seen. */
static bool looks_first(const hearth__remote_op *op) {
    return op->verb == HEARTH__TOUCH || op->verb == HEARTH__MARK;
}

bool hearth__redis_needs_steps(hearth__node *node, const hearth__remote_op *op) {
    return looks_first(op) || (hearth__redis_needs_script(op->verb) &&
                               atomic_load_explicit(&node->scripts, memory_order_relaxed) !=
                                   HEARTH__REDIS_SCRIPTS_ALLOWED);
}

/* ---- a round: commands that are sent together, and their answers ----------------------------- */

static void refuse(struct steps *steps, const hearth__notes *notes, hearth__kept kept) {
    bool is_error = notes->answer == REDIS_REPLY_ERROR;
    if (steps->scripted && hearth__redis_refuses_scripts(notes, kept)) {
        steps->forbidden = true;
        return;
    }
    bool may_be_other =
        steps->op->verb == HEARTH__DELETE || hearth__verb_is_of_lease(steps->op->verb);
    if (may_be_other && notes->status == HEARTH_E_TYPE) {
        return; /* what cannot be read can be removed, and is no lease: it counts as foreign */
    }
    int32_t status =
        hearth__redis_refusal(steps->node, notes->status, is_error ? kept : (hearth__kept){0});
    if (steps->refusal == HEARTH_OK) {
        steps->refusal = status;
    }
}

static bool take(void *arg, uint32_t index, const hearth__notes *notes, hearth__kept kept) {
    struct steps *steps = arg;
    (void)index;
    steps->got = notes->answer;
    if (notes->answer == REDIS_REPLY_INTEGER) {
        steps->integer = notes->number;
    }
    if (notes->status != HEARTH_OK) {
        refuse(steps, notes, kept);
    } else if (kept.lost ||
               (notes->answer == REDIS_REPLY_STRING &&
                !hearth__buffer_assign(&steps->sight.bytes, kept.bytes, kept.size))) {
        steps->refusal = HEARTH_E_NOMEM;
    }
    return true;
}

/* Sends it and awaits all answers. `writes`: the first of its requests that changes something. */
static int32_t exchange_all(struct steps *steps, hearth__exchange *exchange,
                            hearth__answer_taker *taker, uint32_t writes) {
    const hearth__way way = {.lane = steps->lane, .fresh = steps->fresh, .at_once = true};
    int32_t status =
        hearth__lanes_begin(steps->node->lanes, exchange, &way, steps->deadline_ns);
    steps->outcome = (hearth__outcome){.status = status};
    if (status == HEARTH_OK) {
        steps->outcome = hearth__lanes_finish(exchange, steps->deadline_ns, taker, steps);
    }
    if (steps->outcome.status != HEARTH_OK && steps->outcome.sent > writes) {
        steps->maybe_done = true;
    }
    return steps->outcome.status;
}

static int32_t ask(struct steps *steps, const hearth__redis_command *commands,
                   const hearth__notes *notes, size_t count, uint32_t writes) {
    hearth__exchange *exchange = hearth__exchange_create(ROUND_REQUESTS);
    int32_t status = exchange != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    for (size_t i = 0; i < count && status == HEARTH_OK; i++) {
        status = hearth__redis_say(exchange, &commands[i]);
        if (status == HEARTH_OK) {
            hearth__exchange_ask(exchange, &notes[i]);
        }
    }
    if (status != HEARTH_OK) {
        steps->outcome = (hearth__outcome){.status = status};
        if (exchange != NULL) {
            hearth__exchange_discard(exchange);
        }
        return status;
    }
    return exchange_all(steps, exchange, take, writes);
}

static hearth__notes expect(enum hearth__redis_asked asked) {
    return (hearth__notes){.asked = (uint32_t)asked};
}

/* Ends what look() began, if nothing is to be written. */
static int32_t release(struct steps *steps) {
    if (steps->lane == NULL) {
        return HEARTH_OK;
    }
    const hearth__notes notes = expect(HEARTH__REDIS_ASKED_STATUS);
    hearth__redis_command command;
    hearth__redis_command_init(&command, steps->in_multi ? "DISCARD" : "UNWATCH");
    return ask(steps, &command, &notes, 1, 1);
}

/* ---- looking -------------------------------------------------------------------------------- */

/* On a lane of its own MULTI comes along, and its answer is known before any write is sent: were
 * it refused, the writes would run without a condition. */
static int32_t look(struct steps *steps) {
    hearth__redis_command commands[ROUND_REQUESTS];
    hearth__notes notes[ROUND_REQUESTS];
    hearth__redis_number last;
    size_t count = 0;
    if (steps->lane != NULL) {
        notes[count] = expect(HEARTH__REDIS_ASKED_STATUS);
        hearth__redis_verb(&commands[count++], "WATCH", steps->op);
    }
    notes[count] = expect(HEARTH__REDIS_ASKED_STRING);
    hearth__redis_verb(&commands[count], "GETRANGE", steps->op);
    hearth__redis_text(&commands[count], "0");
    hearth__redis_integer(&commands[count++], (int64_t)steps->look_bytes - 1, &last);
    notes[count] = expect(HEARTH__REDIS_ASKED_INTEGER);
    hearth__redis_verb(&commands[count++], "PTTL", steps->op);
    if (steps->lane != NULL) {
        notes[count] = expect(HEARTH__REDIS_ASKED_STATUS);
        hearth__redis_command_init(&commands[count++], "MULTI");
    }
    int32_t status = ask(steps, commands, notes, count, (uint32_t)count);
    steps->sight.ttl_ms = steps->integer;
    steps->in_multi =
        status == HEARTH_OK && steps->lane != NULL && steps->got == REDIS_REPLY_STATUS;
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

/* The writes of an open transaction, and its end. */
static int32_t transact(struct steps *steps, const hearth__redis_change *change) {
    hearth__redis_command commands[3];
    hearth__notes notes[3];
    memcpy(commands, change->commands, change->count * sizeof commands[0]);
    for (size_t i = 0; i < change->count; i++) {
        notes[i] = expect(HEARTH__REDIS_ASKED_STATUS);
    }
    notes[change->count] = expect(HEARTH__REDIS_ASKED_EXEC);
    hearth__redis_command_init(&commands[change->count], "EXEC");
    int32_t status = ask(steps, commands, notes, change->count + 1, 0);
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
        hearth__redis_word(command, change->header.bytes, HEARTH__ENVELOPE_HEADER);
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

static void compose_mark(const struct steps *steps, const hearth__redis_change *change,
                         hearth__redis_command *command) {
    const hearth__buffer *seen = &steps->sight.bytes;
    hearth__redis_script(command, change->renews ? hearth__lua_mark : hearth__lua_remove,
                         steps->op);
    hearth__redis_word(command, seen->size != 0 ? (const void *)seen->data : "",
                       seen->size < HEARTH__ENVELOPE_HEADER ? seen->size
                                                            : HEARTH__ENVELOPE_HEADER);
    if (change->renews) {
        hearth__redis_word(command, change->header.bytes, HEARTH__ENVELOPE_HEADER);
    }
}

/* The write of a TOUCH or MARK, if nothing changed since look(). */
static int32_t change_by_script(struct steps *steps, hearth__redis_change *change) {
    hearth__redis_command command;
    hearth__redis_column column = hearth__redis_column_of(HEARTH__TOUCH);
    hearth__notes notes = expect(HEARTH__REDIS_ASKED_SCRIPT);
    notes.flags = steps->op->verb;
    if (steps->op->verb == HEARTH__MARK) {
        compose_mark(steps, change, &command);
    } else {
        compose_touch(steps, change, &column, &command);
    }
    steps->scripted = true;
    int32_t status = ask(steps, &command, &notes, 1, 0);
    steps->scripted = false;
    if (status != HEARTH_OK || steps->forbidden) {
        return status;
    }
    if (steps->got == REDIS_REPLY_INTEGER) {
        change->status = hearth__redis_verdict(steps->op->verb, steps->integer);
    }
    if (change->status == HEARTH_CONFLICT) {
        steps->conflicts++;
    } else {
        conclude(steps, change);
    }
    return HEARTH_OK;
}

/* ---- one try -------------------------------------------------------------------------------- */

static bool take_script(void *arg, uint32_t index, const hearth__notes *notes,
                        hearth__kept kept) {
    struct steps *steps = arg;
    (void)index;
    steps->op->source = notes->source;
    steps->forbidden = hearth__redis_refuses_scripts(notes, kept);
    return steps->forbidden || hearth__redis_take(steps->node, steps->op, notes, kept);
}

/* A script's verb, while it is not known whether scripts may run. */
static int32_t try_script(struct steps *steps) {
    hearth__exchange *exchange = hearth__exchange_create(1);
    if (exchange == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = hearth__redis_compose(steps->node, steps->op, exchange);
    if (status != HEARTH_OK) {
        hearth__exchange_discard(exchange);
        steps->op->status = status;
        return HEARTH_OK;
    }
    status = exchange_all(steps, exchange, take_script, 0);
    if (status == HEARTH_OK && !steps->forbidden && steps->op->status >= 0) {
        atomic_store(&steps->node->scripts, HEARTH__REDIS_SCRIPTS_ALLOWED);
    }
    return status;
}

/* Looks, decides and writes. */
static int32_t try_steps(struct steps *steps) {
    hearth__redis_change change;
    int32_t status = look(steps);
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
    hearth__redis_decide(steps->op, &steps->sight, &change);
    if (change.count == 0) {
        steps->op->status = change.status;
        return release(steps);
    }
    return steps->lane != NULL ? transact(steps, &change) : change_by_script(steps, &change);
}

/* The same, as a transaction. */
static int32_t try_transaction(struct steps *steps) {
    int32_t status =
        hearth__lanes_reserve(steps->node->lanes, steps->deadline_ns, &steps->lane);
    if (status != HEARTH_OK) {
        steps->outcome = (hearth__outcome){.status = status};
        return status;
    }
    status = try_steps(steps);
    hearth__lanes_unreserve(steps->lane, status == HEARTH_OK);
    steps->lane = NULL;
    return status;
}

static int32_t try_once(struct steps *steps) {
    bool by_script = atomic_load(&steps->node->scripts) != HEARTH__REDIS_SCRIPTS_FORBIDDEN;
    steps->forbidden = steps->in_multi = false;
    if (!by_script) {
        int32_t status = try_transaction(steps);
        if (steps->refusal == HEARTH_E_UNAVAILABLE) {
            atomic_store(&steps->node->scripts, HEARTH__REDIS_SCRIPTS_UNKNOWN);
        }
        return status;
    }
    int32_t status = looks_first(steps->op) ? try_steps(steps) : try_script(steps);
    if (steps->forbidden) {
        atomic_store(&steps->node->scripts, HEARTH__REDIS_SCRIPTS_FORBIDDEN);
    }
    return status;
}

/* Until it has its status; else why it could not be carried out. */
static int32_t try_all(struct steps *steps) {
    unsigned tries = steps->op->verb == HEARTH__TOUCH ? TOUCH_TRIES : TRIES;
    int32_t status = HEARTH_OK;
    for (unsigned round = 0; round < 2 * TRIES && steps->conflicts < tries &&
                             status == HEARTH_OK && steps->op->status == HEARTH__PENDING;
         round++) {
        status = try_once(steps);
    }
    if (status == HEARTH_OK && steps->op->status == HEARTH__PENDING) {
        bool may_conflict = looks_first(steps->op) || steps->op->verb == HEARTH__SWAP ||
                            hearth__verb_is_of_lease(steps->op->verb);
        steps->op->status = may_conflict ? HEARTH_CONFLICT : HEARTH_E_UNAVAILABLE;
    }
    return status;
}

void hearth__redis_run_steps(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns) {
    struct steps steps = {
        .node = node, .op = op, .deadline_ns = deadline_ns, .look_bytes = LOOK_BYTES};
    int32_t status = try_all(&steps);
    if (status != HEARTH_OK && hearth__monotonic_ns() < deadline_ns &&
        hearth__lane_may_repeat(&steps.outcome, steps.outcome.sent, op)) {
        bool unsent_or_delete = !steps.maybe_done || op->verb == HEARTH__DELETE;
        if (unsent_or_delete) {
            steps.fresh = true;
            status = try_all(&steps);
        }
    }
    if (op->status == HEARTH__PENDING) {
        op->status = status;
    }
    if (steps.maybe_done && op->status < 0) {
        op->status = HEARTH_E_UNKNOWN;
    }
    hearth__buffer_fini(&steps.sight.bytes);
}
