/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is stored is compared and swapped with the server's `cas`, so every verb is atomic; one that
 * loses MAX_TRIES races answers as if it had lost the last.
 */
#include "remote/libmemcached_write.h"

#include "base/clock.h"
#include "remote/envelope.h"
#include "remote/memcached_compose.h"
#include "remote/memcached_exptime.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

enum { MAX_TRIES = 5 };

/* One operation on its way. */
struct run {
    hearth__lmc_lane *lane;
    hearth__remote_op *op;
    hearth__wire_key key;
};

/* ---- what a key holds ---- */

static enum hearth__envelope_verdict parse(const struct run *run, const hearth__lmc_item *item,
                                           hearth__envelope *envelope) {
    return hearth__envelope_parse(item->bytes, item->size, run->op->key, run->op->key_size,
                                  run->key.hidden, envelope);
}

/* The header says that it is over, though the server still has it. */
static bool is_over(const struct run *run, const hearth__lmc_item *item) {
    hearth__envelope envelope;
    return parse(run, item, &envelope) == HEARTH__ENVELOPE_OK &&
           envelope.hard_ms != HEARTH__ENVELOPE_NO_TTL &&
           hearth__envelope_age(&envelope, HEARTH__TTL_UNKNOWN) >= (int64_t)envelope.hard_ms;
}

static enum hearth__holding holding_of(const struct run *run, const hearth__lmc_item *item) {
    if (!item->there || is_over(run, item)) {
        return HEARTH__HOLDS_NOTHING;
    }
    return hearth__holding_of(item->bytes, item->size);
}

/* Whether ADD, REPLACE, SWAP or a verb on leases may store over this. */
static int32_t may_store(const struct run *run, const hearth__lmc_item *item) {
    const hearth__remote_op *op = run->op;
    if (hearth__verb_is_of_lease(op->verb)) {
        bool there = item->there && !is_over(run, item);
        return hearth__lease_status(there ? item->bytes : NULL, item->size, op->token);
    }
    if (op->verb != HEARTH__SWAP) {
        return hearth__verb_status(op->verb, holding_of(run, item));
    }
    int32_t status =
        hearth__swap_status(item->there ? item->bytes : NULL, item->size, op->if_version);
    bool over = status == HEARTH_CONFLICT && is_over(run, item);
    return over ? HEARTH_MISS : status;
}

/* ---- stores ---- */

/* Header and body side by side, as libmemcached wants them. */
static bool join(const struct run *run) {
    const hearth__remote_op *op = run->op;
    hearth__buffer *joined = &run->lane->connection->joined;
    if (op->data_size > SIZE_MAX - HEARTH__ENVELOPE_MAX ||
        !hearth__buffer_reserve(joined, HEARTH__ENVELOPE_MAX + op->data_size)) {
        return false;
    }
    joined->size = hearth__envelope_compose(op, run->key.hidden, joined->data);
    return hearth__buffer_append(joined, op->data, op->data_size);
}

static int32_t store(const struct run *run, hearth__mc_store *store) {
    const hearth__buffer *joined = &run->lane->connection->joined;
    store->size = joined->size;
    return hearth__lmc_store(run->lane, &run->key, store, joined->data);
}

static hearth__mc_store store_of(const hearth__remote_op *op, enum hearth__mc_mode mode) {
    return (hearth__mc_store){.mode = mode,
                              .flags = hearth__mc_flags_of(op),
                              .exptime = hearth__mc_exptime_of_store(op)};
}

/* What is too large leaves nothing older behind. */
static int32_t drop_older(const struct run *run) {
    int32_t status = hearth__lmc_delete(run->lane, &run->key);
    return status < 0 ? status : HEARTH_E_TOO_LARGE;
}

static int32_t set(const struct run *run) {
    if (!join(run)) {
        return HEARTH_E_NOMEM;
    }
    hearth__mc_store plain = store_of(run->op, HEARTH__MC_SET);
    int32_t status = store(run, &plain);
    return status == HEARTH_E_TOO_LARGE ? drop_older(run) : status;
}

/* ADD, REPLACE, SWAP and the verbs on leases: looks, and stores if nobody else does in between. */
static int32_t store_if(const struct run *run) {
    if (!join(run)) {
        return HEARTH_E_NOMEM;
    }
    hearth__mc_store next = store_of(run->op, HEARTH__MC_ADD);
    int32_t status = HEARTH_CONFLICT;
    bool adds = run->op->verb == HEARTH__ADD || run->op->verb == HEARTH__LEASE;
    if (adds) { /* mostly there is nothing */
        status = store(run, &next);
    }
    for (int i = 0; i < MAX_TRIES; i++) {
        if (status != HEARTH_CONFLICT && status != HEARTH_E_TOO_LARGE) {
            return status;
        }
        hearth__lmc_item item;
        status = hearth__lmc_read(run->lane, &run->key, &item);
        if (status == HEARTH_OK) {
            status = may_store(run, &item);
        }
        if (status != HEARTH_OK) {
            return status;
        }
        next.mode = item.there ? HEARTH__MC_SWAP : HEARTH__MC_ADD;
        next.cas = item.cas;
        status = store(run, &next);
        if (status == HEARTH_E_TOO_LARGE) {
            return drop_older(run);
        }
    }
    return status == HEARTH_CONFLICT && adds ? HEARTH_EXISTS : status;
}

/* ---- other writes ---- */

/* The header with a new life, and the body, go where they were. */
static int32_t renew(const struct run *run, const hearth__lmc_item *item,
                     const hearth__envelope *envelope) {
    const hearth__remote_op *op = run->op;
    hearth__buffer *joined = &run->lane->connection->joined;
    int64_t age_ms = hearth__envelope_age(envelope, HEARTH__TTL_UNKNOWN);
    if (!hearth__buffer_assign(joined, item->bytes, item->size)) {
        return HEARTH_E_NOMEM;
    }
    hearth__envelope_renew(joined->data, item->size - envelope->body_size, op->key,
                           op->key_size, age_ms, op->soft_ttl_ms, op->ttl_ms);
    hearth__mc_store swap = {.mode = HEARTH__MC_SWAP,
                             .exptime = hearth__mc_exptime_of_renewal(op, age_ms),
                             .cas = item->cas};
    return store(run, &swap);
}

static int32_t touch(const struct run *run) {
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; i < MAX_TRIES && status == HEARTH_CONFLICT; i++) {
        hearth__lmc_item item;
        hearth__envelope envelope;
        status = hearth__lmc_read(run->lane, &run->key, &item);
        if (status != HEARTH_OK) {
            return status;
        }
        enum hearth__holding holding = holding_of(run, &item);
        status = hearth__verb_status(HEARTH__TOUCH, holding);
        if (status != HEARTH_OK) {
            return status;
        }
        if (holding == HEARTH__HOLDS_INTEGER || holding == HEARTH__HOLDS_FOREIGN) {
            return hearth__lmc_touch(run->lane, &run->key,
                                     (time_t)hearth__mc_exptime(run->op->ttl_ms, false));
        }
        if (parse(run, &item, &envelope) != HEARTH__ENVELOPE_OK) {
            return HEARTH_MISS; /* new sums would vouch for it */
        }
        status = renew(run, &item, &envelope);
    }
    return status;
}

/* Its end is known by the header alone: what has none there goes too. */
static int32_t mark_over(const struct run *run, const hearth__lmc_item *item) {
    const hearth__remote_op *op = run->op;
    hearth__buffer *joined = &run->lane->connection->joined;
    hearth__envelope envelope;
    int64_t left_ms = 0;
    if (parse(run, item, &envelope) != HEARTH__ENVELOPE_OK ||
        !hearth__envelope_left(item->bytes, item->size, &left_ms) || left_ms <= 0) {
        return HEARTH_MISS;
    }
    if (!hearth__buffer_assign(joined, item->bytes, item->size)) {
        return HEARTH_E_NOMEM;
    }
    run->op->found_version = envelope.version;
    hearth__envelope_mark(joined->data, item->size - envelope.body_size, op->key, op->key_size);
    hearth__mc_store swap = {.mode = HEARTH__MC_SWAP,
                             .exptime = hearth__mc_exptime(left_ms, true),
                             .cas = item->cas};
    return store(run, &swap);
}

static int32_t mark(const struct run *run) {
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; i < MAX_TRIES && status == HEARTH_CONFLICT; i++) {
        hearth__lmc_item item;
        status = hearth__lmc_read(run->lane, &run->key, &item);
        if (status != HEARTH_OK || !item.there) {
            return status != HEARTH_OK ? status : HEARTH_MISS;
        }
        status = hearth__verb_status(HEARTH__MARK, holding_of(run, &item));
        if (status == HEARTH_OK) {
            status = mark_over(run, &item);
        }
    }
    if (status == HEARTH_MISS) { /* what cannot be marked goes */
        int32_t gone = hearth__lmc_delete(run->lane, &run->key);
        status = gone < 0 ? gone : HEARTH_MISS;
    }
    return status;
}

/* The server counts to 2^64-1: what is beyond our numbers is undone. */
static int32_t take_back(const struct run *run, bool up, uint64_t amount) {
    uint64_t sum = 0;
    int32_t status = hearth__lmc_count(run->lane, &run->key, !up, amount, &sum);
    return status == HEARTH_OK ? HEARTH_E_TOO_LARGE : HEARTH_E_UNKNOWN;
}

static int32_t increment(const struct run *run) {
    bool up = run->op->number >= 0;
    uint64_t amount = up ? (uint64_t)run->op->number : 0 - (uint64_t)run->op->number;
    uint64_t sum = 0;
    int32_t status = hearth__lmc_count(run->lane, &run->key, up, amount, &sum);
    if (status == HEARTH_OK && sum > INT64_MAX) {
        return take_back(run, up, amount);
    }
    if (status == HEARTH_OK) {
        run->op->number = (int64_t)sum;
    }
    if (status == HEARTH_E_TYPE) { /* no number: a marker is a miss */
        hearth__lmc_item item;
        status = hearth__lmc_read(run->lane, &run->key, &item);
        if (status == HEARTH_OK) {
            status = hearth__verb_status(HEARTH__INCREMENT, holding_of(run, &item));
        }
        return status == HEARTH_OK ? HEARTH_E_TYPE : status; /* it became one meanwhile */
    }
    return status;
}

/* The server's own answer does not tell a value from a marker. */
static int32_t delete (const struct run *run) {
    hearth__lmc_item item;
    int32_t status = hearth__lmc_read(run->lane, &run->key, &item);
    if (status != HEARTH_OK || !item.there) {
        return status != HEARTH_OK ? status : HEARTH_MISS;
    }
    int32_t held = hearth__verb_status(HEARTH__DELETE, holding_of(run, &item));
    status = hearth__lmc_delete(run->lane, &run->key);
    if (status == HEARTH_E_UNKNOWN && hearth__monotonic_ns() < run->lane->deadline_ns) {
        int32_t again = hearth__lmc_delete(run->lane, &run->key);
        status = again == HEARTH_MISS ? HEARTH_OK : again;
        status = status < 0 ? HEARTH_E_UNKNOWN : status;
    }
    return status == HEARTH_OK ? held : status;
}

static bool needs_integer_key(const hearth__remote_op *op) {
    bool stores = op->verb == HEARTH__SET || op->verb == HEARTH__ADD ||
                  op->verb == HEARTH__REPLACE || op->verb == HEARTH__SWAP;
    return op->verb == HEARTH__INCREMENT || (stores && op->kind == HEARTH__KIND_INTEGER);
}

int32_t hearth__lmc_write(hearth__lmc_lane *lane, hearth__remote_op *op) {
    struct run own = {.lane = lane, .op = op};
    const struct run *run = &own;
    hearth__wire_key_init(&own.key, op->key, op->key_size);
    if (own.key.hidden && needs_integer_key(op)) {
        return HEARTH_E_UNSUPPORTED;
    }
    switch (op->verb) {
    case HEARTH__SET:
        return set(run);
    case HEARTH__ADD:
    case HEARTH__REPLACE:
    case HEARTH__SWAP:
    case HEARTH__LEASE:
    case HEARTH__FILL:
    case HEARTH__EXTEND:
    case HEARTH__RELEASE:
        return store_if(run);
    case HEARTH__TOUCH:
        return touch(run);
    case HEARTH__INCREMENT:
        return increment(run);
    case HEARTH__DELETE:
        return delete (run);
    case HEARTH__MARK:
        return mark(run);
    case HEARTH__FILTER:
        return HEARTH_E_UNSUPPORTED;
    case HEARTH__GET:
        break;
    }
    return HEARTH_E_INVALID;
}
