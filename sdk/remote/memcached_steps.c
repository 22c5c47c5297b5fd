/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 400 lines: what all verbs ask, and make of what is there, stands in one file. */
#include "remote/memcached_steps.h"

#include "remote/envelope.h"
#include "remote/memcached_compose.h"
#include "remote/memcached_exptime.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

/* One that loses so many races answers as if it had lost the last. */
enum { MAX_CONFLICTS = 5 };

bool hearth__mc_may_ask_again(const hearth__remote_op *op) {
    return op->verb != HEARTH__GET && op->verb != HEARTH__SET && op->verb != HEARTH__DELETE;
}

static enum hearth__mc_asked first_of(enum hearth__verb verb) {
    static const enum hearth__mc_asked firsts[] = {
        [HEARTH__GET] = HEARTH__MC_ASK_GET,       [HEARTH__SET] = HEARTH__MC_ASK_SET,
        [HEARTH__ADD] = HEARTH__MC_ASK_ADD, /* mostly there is nothing */
        [HEARTH__REPLACE] = HEARTH__MC_ASK_GET,   [HEARTH__SWAP] = HEARTH__MC_ASK_GET,
        [HEARTH__TOUCH] = HEARTH__MC_ASK_GET,     [HEARTH__INCREMENT] = HEARTH__MC_ASK_COUNT,
        [HEARTH__DELETE] = HEARTH__MC_ASK_DELETE, [HEARTH__LEASE] = HEARTH__MC_ASK_ADD,
        [HEARTH__FILL] = HEARTH__MC_ASK_GET,      [HEARTH__EXTEND] = HEARTH__MC_ASK_GET,
        [HEARTH__RELEASE] = HEARTH__MC_ASK_GET,   [HEARTH__MARK] = HEARTH__MC_ASK_GET,
        [HEARTH__FILTER] = HEARTH__MC_ASK_GET,
    };
    return firsts[verb];
}

static bool stores(const hearth__remote_op *op) {
    return op->verb == HEARTH__SET || op->verb == HEARTH__ADD || op->verb == HEARTH__REPLACE ||
           op->verb == HEARTH__SWAP || op->verb == HEARTH__LEASE ||
           hearth__verb_is_of_lease(op->verb);
}

int32_t hearth__mc_steps_init(hearth__mc_steps *steps, const hearth__remote_config *config,
                              hearth__remote_op *op) {
    *steps = (hearth__mc_steps){.config = config, .op = op, .next = first_of(op->verb)};
    hearth__wire_key_init(&steps->key, op->key, op->key_size);
    bool integer =
        op->verb == HEARTH__INCREMENT || (stores(op) && op->kind == HEARTH__KIND_INTEGER);
    bool refused = (steps->key.hidden && integer) || op->verb == HEARTH__FILTER;
    return refused ? HEARTH_E_UNSUPPORTED : HEARTH_OK;
}

void hearth__mc_steps_fini(hearth__mc_steps *steps) {
    hearth__buffer_fini(&steps->renewed);
}

/* ---- asking --------------------------------------------------------------------------------- */

static enum hearth__mc_mode mode_of(enum hearth__mc_asked asked) {
    if (asked == HEARTH__MC_ASK_SET) {
        return HEARTH__MC_SET;
    }
    return asked == HEARTH__MC_ASK_ADD ? HEARTH__MC_ADD : HEARTH__MC_SWAP;
}

/* Whether it stores what was looked at, with another header. */
static bool renews(const hearth__remote_op *op) {
    return op->verb == HEARTH__TOUCH || op->verb == HEARTH__MARK;
}

/* What was looked at, with its new life, or with what is left of it. */
static bool compose_renewal(const hearth__mc_steps *steps, const hearth__mc_target *target,
                            hearth__mc_request *request) {
    hearth__mc_store store = {
        .mode = HEARTH__MC_SWAP,
        .exptime = steps->op->verb == HEARTH__MARK
                       ? hearth__mc_exptime(steps->left_ms, true)
                       : hearth__mc_exptime_of_renewal(steps->op, steps->renewed_age_ms),
        .cas = steps->cas,
        .size = steps->renewed.size,
    };
    request->has_data = true;
    request->rest = steps->renewed.data;
    request->rest_size = steps->renewed.size;
    return hearth__mc_compose_store(&request->head, target, &store);
}

static bool compose_store(const hearth__mc_steps *steps, const hearth__mc_target *target,
                          hearth__mc_request *request) {
    const hearth__remote_op *op = steps->op;
    hearth__buffer *head = &request->head;
    size_t header_size = hearth__envelope_size(op, steps->key.hidden);
    hearth__mc_store store = {
        .mode = mode_of(steps->next),
        .flags = hearth__mc_flags_of(op),
        .exptime = hearth__mc_exptime_of_store(op),
        .cas = steps->cas,
        .size = header_size + op->data_size,
    };
    if (!hearth__mc_compose_store(head, target, &store) ||
        !hearth__buffer_reserve(head, head->size + header_size)) {
        return false;
    }
    head->size += hearth__envelope_compose(op, steps->key.hidden, head->data + head->size);
    request->has_data = true;
    request->rest = op->data;
    request->rest_size = op->data_size;
    return true;
}

/* Back by going on: what is beyond 2^64-1 began at 0 again. */
static bool compose_count(const hearth__mc_steps *steps, const hearth__mc_target *target,
                          hearth__buffer *head) {
    uint64_t amount = (uint64_t)steps->op->number;
    bool up = steps->op->number >= 0;
    if (steps->takes_back) {
        return hearth__mc_compose_count(head, target, true, 0 - amount);
    }
    return hearth__mc_compose_count(head, target, up, up ? amount : 0 - amount);
}

static bool compose_delete(const hearth__mc_target *target, hearth__buffer *head) {
    hearth__mc_target second = *target;
    second.opaque++;
    return hearth__mc_compose_flags(head, target) && hearth__mc_compose_delete(head, &second);
}

static bool compose(const hearth__mc_steps *steps, const hearth__mc_target *target,
                    hearth__mc_request *request) {
    switch (steps->next) {
    case HEARTH__MC_ASK_GET:
        return hearth__mc_compose_get(&request->head, target);
    case HEARTH__MC_ASK_SET:
    case HEARTH__MC_ASK_ADD:
    case HEARTH__MC_ASK_SWAP:
        return renews(steps->op) ? compose_renewal(steps, target, request)
                                 : compose_store(steps, target, request);
    case HEARTH__MC_ASK_DELETE:
        return compose_delete(target, &request->head);
    case HEARTH__MC_ASK_REMOVE:
        return hearth__mc_compose_delete(&request->head, target);
    case HEARTH__MC_ASK_TOUCH:
        return hearth__mc_compose_touch(&request->head, target,
                                        hearth__mc_exptime(steps->op->ttl_ms, false));
    case HEARTH__MC_ASK_COUNT:
        return compose_count(steps, target, &request->head);
    default:
        return false;
    }
}

/* What no server takes is not sent; what is older goes all the same. */
static void refuse_too_large(hearth__mc_steps *steps) {
    const hearth__remote_op *op = steps->op;
    if (stores(op) && steps->next != HEARTH__MC_ASK_GET &&
        op->data_size > HEARTH__MC_DATA_MAX - HEARTH__ENVELOPE_MAX) {
        steps->next = HEARTH__MC_ASK_REMOVE;
    }
}

int32_t hearth__mc_ask(hearth__mc_steps *steps, bool meta, uint32_t opaque,
                       hearth__mc_request *request) {
    hearth__mc_target target = {.key = &steps->key, .meta = meta, .opaque = opaque};
    request->head.size = 0;
    request->has_data = false;
    refuse_too_large(steps);
    request->writes = steps->next != HEARTH__MC_ASK_GET;
    hearth__mc_note(&request->notes, steps->next, meta, opaque, &steps->key);
    return compose(steps, &target, request) ? HEARTH_OK : HEARTH_E_NOMEM;
}

/* ---- what is there -------------------------------------------------------------------------- */

/* What was answered to a look. */
struct item {
    enum hearth__mc_answer answer;
    const void *bytes;
    size_t size;
    int64_t left_ms; /* as hearth__mc_left_ms() */
    int64_t told_ms; /* by the server: as it has it */
};

/* `decr` fills up with blanks where the number had more digits. */
static size_t without_blanks(const unsigned char *bytes, size_t size) {
    size_t trimmed = size;
    int64_t number = 0;
    while (trimmed > 0 && bytes[trimmed - 1] == ' ') {
        trimmed--;
    }
    return hearth__envelope_is_integer(bytes, trimmed, &number) ? trimmed : size;
}

static struct item item_of(const hearth__notes *notes, hearth__kept kept, int64_t passed_ms) {
    struct item item = {.answer = (enum hearth__mc_answer)notes->answer,
                        .bytes = kept.bytes != NULL ? kept.bytes : "",
                        .told_ms = notes->ttl_ms};
    item.size = without_blanks(item.bytes, kept.size);
    item.left_ms = hearth__mc_left_ms(item.bytes, item.size, notes->ttl_ms, passed_ms);
    return item;
}

/* The header says that it is over, though the server still has it. */
static bool is_over(const struct item *item) {
    int64_t left_ms = 0;
    if (!hearth__envelope_left(item->bytes, item->size, &left_ms)) {
        return false;
    }
    return (item->left_ms != HEARTH__TTL_UNKNOWN ? item->left_ms : left_ms) <= 0;
}

static enum hearth__holding holding_of(const struct item *item) {
    if (item->answer == HEARTH__MC_PROMISED) {
        return HEARTH__HOLDS_LEASE;
    }
    if (item->answer == HEARTH__MC_NOTHING || is_over(item)) {
        return HEARTH__HOLDS_NOTHING;
    }
    enum hearth__holding holding = hearth__holding_of(item->bytes, item->size);
    bool stale = item->answer == HEARTH__MC_STALE && holding == HEARTH__HOLDS_VALUE;
    return stale ? HEARTH__HOLDS_STALE : holding;
}

/* What is released is stored once more, to be over at once: no delete of the text protocol compares. */
static int32_t status_of_lease(const hearth__remote_op *op, const struct item *item) {
    bool there = item->answer != HEARTH__MC_NOTHING && !is_over(item);
    return hearth__lease_status(there ? item->bytes : NULL, item->size, op->token);
}

/* Whether ADD, REPLACE, SWAP or a verb on leases may store over this. */
static int32_t may_store(const hearth__remote_op *op, const struct item *item) {
    if (hearth__verb_is_of_lease(op->verb)) {
        return status_of_lease(op, item);
    }
    if (op->verb != HEARTH__SWAP) {
        return hearth__verb_status(op->verb, holding_of(item));
    }
    bool there = item->answer != HEARTH__MC_NOTHING;
    int32_t status =
        hearth__swap_status(there ? item->bytes : NULL, item->size, op->if_version);
    return status == HEARTH_CONFLICT && is_over(item) ? HEARTH_MISS : status;
}

void hearth__mc_resume(hearth__mc_steps *steps, const hearth__notes *notes) {
    steps->next = (enum hearth__mc_asked)(notes->asked & ~(uint32_t)HEARTH__MC_ASK_META);
}

bool hearth__mc_is_bound(const hearth__mc_steps *steps) {
    bool looks_to_swap = steps->next == HEARTH__MC_ASK_GET && steps->op->verb != HEARTH__GET &&
                         steps->op->verb != HEARTH__INCREMENT;
    return looks_to_swap || steps->next == HEARTH__MC_ASK_SWAP ||
           steps->next == HEARTH__MC_ASK_TOUCH;
}

/* ---- taking --------------------------------------------------------------------------------- */

static bool finish(const hearth__mc_steps *steps, int32_t status) {
    steps->op->status = status;
    return true;
}

static bool go_on(hearth__mc_steps *steps, enum hearth__mc_asked next) {
    steps->next = next;
    return false;
}

/* Something came between. */
static bool look_again(hearth__mc_steps *steps) {
    if (++steps->conflicts <= MAX_CONFLICTS) {
        return go_on(steps, HEARTH__MC_ASK_GET);
    }
    bool adds = steps->op->verb == HEARTH__ADD || steps->op->verb == HEARTH__LEASE;
    return finish(steps, adds ? HEARTH_EXISTS : HEARTH_CONFLICT);
}

static bool take_get(hearth__mc_steps *steps, const struct item *item) {
    hearth__remote_op *op = steps->op;
    if (item->answer == HEARTH__MC_NOTHING || item->answer == HEARTH__MC_PROMISED) {
        bool promised = item->answer == HEARTH__MC_PROMISED;
        op->found = promised ? HEARTH__KIND_LEASE : HEARTH__KIND_VALUE;
        return finish(steps, HEARTH_MISS);
    }
    steps->misfit = !hearth__envelope_answer(steps->config, op, item->bytes, item->size,
                                             steps->key.hidden, item->left_ms, false);
    if (item->answer == HEARTH__MC_STALE && op->status == HEARTH_OK &&
        op->found == HEARTH__KIND_VALUE) {
        op->found = HEARTH__KIND_STALE;
    }
    return true;
}

/* What is left of a value that is marked, in ms; 0: it has no end. False: nobody knows. */
static bool left_of(const struct item *item, int64_t *left_ms) {
    if (hearth__envelope_left(item->bytes, item->size, left_ms)) {
        *left_ms = item->left_ms != HEARTH__TTL_UNKNOWN ? item->left_ms : *left_ms;
        return *left_ms > 0;
    }
    *left_ms = item->told_ms != HEARTH__MC_FOR_EVER ? item->left_ms : 0;
    return item->told_ms == HEARTH__MC_FOR_EVER || *left_ms > 0;
}

/* The value's bytes with a new life, or the mark: HEARTH_OK; HEARTH_MISS: they are damaged or newer. */
static int32_t renew(hearth__mc_steps *steps, const struct item *item) {
    const hearth__remote_op *op = steps->op;
    hearth__envelope envelope;
    if (hearth__envelope_parse(item->bytes, item->size, op->key, op->key_size,
                               steps->key.hidden, &envelope) != HEARTH__ENVELOPE_OK) {
        return HEARTH_MISS; /* new sums would vouch for it */
    }
    if (!hearth__buffer_assign(&steps->renewed, item->bytes, item->size)) {
        return HEARTH_E_NOMEM;
    }
    if (op->verb == HEARTH__MARK) {
        steps->op->found_version = envelope.version;
        hearth__envelope_mark(steps->renewed.data, item->size - envelope.body_size, op->key,
                              op->key_size);
        return left_of(item, &steps->left_ms) ? HEARTH_OK : HEARTH_MISS;
    }
    steps->renewed_age_ms = hearth__envelope_age(&envelope, item->left_ms);
    hearth__envelope_renew(steps->renewed.data, item->size - envelope.body_size, op->key,
                           op->key_size, steps->renewed_age_ms, op->soft_ttl_ms, op->ttl_ms);
    return HEARTH_OK;
}

static bool look_for_touch(hearth__mc_steps *steps, const struct item *item) {
    enum hearth__holding holding = holding_of(item);
    int32_t status = hearth__verb_status(HEARTH__TOUCH, holding);
    if (status != HEARTH_OK) {
        return finish(steps, status);
    }
    if (holding == HEARTH__HOLDS_INTEGER || holding == HEARTH__HOLDS_FOREIGN) {
        return go_on(steps, HEARTH__MC_ASK_TOUCH);
    }
    status = renew(steps, item);
    return status == HEARTH_OK ? go_on(steps, HEARTH__MC_ASK_SWAP) : finish(steps, status);
}

/* What is there and cannot be marked goes: also a lease, whose holder may have read what the mark is for. */
static bool look_for_mark(hearth__mc_steps *steps, const struct item *item) {
    int32_t status = hearth__verb_status(HEARTH__MARK, holding_of(item));
    status = status == HEARTH_OK ? renew(steps, item) : status;
    if (status == HEARTH_OK) {
        return go_on(steps, HEARTH__MC_ASK_SWAP);
    }
    if (status == HEARTH_MISS && item->answer != HEARTH__MC_NOTHING) {
        return go_on(steps, HEARTH__MC_ASK_REMOVE);
    }
    return finish(steps, status);
}

/* Decides by what is there. */
static bool take_look(hearth__mc_steps *steps, const struct item *item) {
    hearth__remote_op *op = steps->op;
    int32_t status = HEARTH_OK;
    switch (op->verb) {
    case HEARTH__GET:
        return take_get(steps, item);
    case HEARTH__TOUCH:
        return look_for_touch(steps, item);
    case HEARTH__MARK:
        return look_for_mark(steps, item);
    case HEARTH__INCREMENT: /* it was no number */
        status = hearth__verb_status(HEARTH__INCREMENT, holding_of(item));
        return finish(steps, status == HEARTH_OK ? HEARTH_E_TYPE : status);
    default:
        break;
    }
    status = may_store(op, item);
    if (status != HEARTH_OK) {
        return finish(steps, status);
    }
    bool there = item->answer != HEARTH__MC_NOTHING;
    return go_on(steps, there ? HEARTH__MC_ASK_SWAP : HEARTH__MC_ASK_ADD);
}

static bool take_count(hearth__mc_steps *steps, const hearth__notes *notes) {
    hearth__remote_op *op = steps->op;
    uint64_t sum = (uint64_t)notes->number;
    if (notes->answer == HEARTH__MC_NOTHING) {
        return finish(steps, steps->takes_back ? HEARTH_E_TOO_LARGE : HEARTH_MISS);
    }
    if (steps->takes_back) {
        return finish(steps, HEARTH_E_TOO_LARGE);
    }
    bool wrapped = op->number > 0 && sum < (uint64_t)op->number;
    if (wrapped || sum > INT64_MAX) {
        steps->takes_back = true;
        return go_on(steps, HEARTH__MC_ASK_COUNT);
    }
    op->number = (int64_t)sum;
    return finish(steps, HEARTH_OK);
}

/* An error leaves open what a store did to what was there. */
static bool take_error(hearth__mc_steps *steps, int32_t status) {
    bool may_stay = steps->next == HEARTH__MC_ASK_ADD || steps->next == HEARTH__MC_ASK_SWAP;
    if (may_stay && status == HEARTH_E_TOO_LARGE) { /* a plain set leaves nothing older */
        return go_on(steps, HEARTH__MC_ASK_REMOVE);
    }
    if (steps->next == HEARTH__MC_ASK_COUNT && steps->takes_back) {
        return finish(steps, HEARTH_E_UNKNOWN);
    }
    if (steps->next == HEARTH__MC_ASK_COUNT && status == HEARTH_E_TYPE) {
        return go_on(steps, HEARTH__MC_ASK_GET);
    }
    return finish(steps, status);
}

static int32_t deleted(const hearth__notes *notes) {
    bool value = notes->answer == HEARTH__MC_DONE && notes->flags != HEARTH__MC_MARKER_FLAGS;
    return value ? HEARTH_OK : HEARTH_MISS;
}

bool hearth__mc_take(hearth__mc_steps *steps, const hearth__notes *notes, hearth__kept kept,
                     int64_t passed_ms) {
    if (notes->status != HEARTH_OK) {
        return take_error(steps, notes->status);
    }
    if (kept.lost) {
        return finish(steps, HEARTH_E_NOMEM);
    }
    bool done = notes->answer == HEARTH__MC_DONE || notes->answer == HEARTH__MC_STALE;
    struct item item;
    switch (steps->next) {
    case HEARTH__MC_ASK_GET:
        item = item_of(notes, kept, passed_ms);
        steps->cas = notes->cas;
        return take_look(steps, &item);
    case HEARTH__MC_ASK_TOUCH:
        if (done && (notes->asked & HEARTH__MC_ASK_META) != 0 && notes->cas != steps->cas) {
            return look_again(steps); /* it was something else */
        }
        return finish(steps, done ? HEARTH_OK : HEARTH_MISS);
    case HEARTH__MC_ASK_COUNT:
        return take_count(steps, notes);
    case HEARTH__MC_ASK_DELETE:
        return finish(steps, deleted(notes));
    case HEARTH__MC_ASK_REMOVE:
        return finish(steps,
                      steps->op->verb == HEARTH__MARK ? HEARTH_MISS : HEARTH_E_TOO_LARGE);
    default:
        return done ? finish(steps, HEARTH_OK) : look_again(steps);
    }
}
