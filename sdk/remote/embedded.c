/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A remote tier inside the process: the same contract and the same bytes as at a server, so that
 * everything runs without one. Each shard's lock makes a verb atomic.
 *
 * A forked child begins with an empty tier of its own: it cannot know whether a lock it inherited
 * is held by a thread that it does not have. What it inherited stays allocated.
 */
#include "remote/backend.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/hash.h"
#include "base/memory.h"
#include "remote/embedded_table.h"
#include "remote/envelope.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

#include <stdatomic.h>
#include <string.h>

enum { SHARDS_MAX = 8 };

struct tier {
    uint64_t fork_generation;
    hearth__hash_secret secret;
    size_t shards;
    hearth__table tables[];
};

struct hearth__node {
    const hearth__remote_config *config;
    _Atomic(struct tier *) tier;
};

static void tier_destroy(struct tier *tier) {
    for (size_t i = 0; i < tier->shards; i++) {
        hearth__table_fini(&tier->tables[i]);
    }
    hearth__free(tier);
}

/* As many shards as can each hold the largest value. */
static size_t shards_of(const hearth__remote_config *config) {
    size_t largest = config->max_value_bytes + HEARTH__ENVELOPE_MAX + 4096;
    size_t shards = config->embedded_max_bytes / largest;
    if (shards > SHARDS_MAX) {
        return SHARDS_MAX;
    }
    return shards != 0 ? shards : 1;
}

static struct tier *tier_create(const hearth__remote_config *config) {
    size_t shards = shards_of(config);
    struct tier *tier = hearth__alloc_zero(1, sizeof *tier + shards * sizeof(hearth__table));
    if (tier == NULL) {
        return NULL;
    }
    tier->fork_generation = hearth__fork_generation();
    hearth__hash_secret_init(&tier->secret);
    for (; tier->shards < shards; tier->shards++) {
        if (hearth__table_init(&tier->tables[tier->shards],
                               config->embedded_max_bytes / shards) != HEARTH_OK) {
            tier_destroy(tier);
            return NULL;
        }
    }
    return tier;
}

/* The tier of this process; NULL: no memory. */
static struct tier *own_tier(hearth__node *node) {
    struct tier *tier = atomic_load_explicit(&node->tier, memory_order_acquire);
    if (tier->fork_generation == hearth__fork_generation()) {
        return tier;
    }
    struct tier *fresh = tier_create(node->config);
    if (fresh != NULL && !atomic_compare_exchange_strong(&node->tier, &tier, fresh)) {
        tier_destroy(fresh); /* another thread of the child was first */
        return tier;
    }
    return fresh;
}

static int32_t open_node(const hearth__node_config *config, hearth__node **out) {
    hearth__node *node = hearth__alloc_zero(1, sizeof *node);
    struct tier *tier = tier_create(config->remote);
    if (node == NULL || tier == NULL) {
        hearth__free(node);
        if (tier != NULL) {
            tier_destroy(tier);
        }
        return HEARTH_E_NOMEM;
    }
    node->config = config->remote;
    atomic_init(&node->tier, tier);
    *out = node;
    return HEARTH_OK;
}

static void close_node(hearth__node *node) {
    struct tier *tier = atomic_load(&node->tier);
    if (tier->fork_generation == hearth__fork_generation()) {
        tier_destroy(tier);
    }
    hearth__free(node);
}

/* One operation's key in its shard, locked, and what is there. */
struct place {
    hearth__table *table;
    uint64_t hash;
    int64_t now_ms;
    hearth__entry *entry; /* NULL: nothing */
};

static struct place place_of(struct tier *tier, const hearth__remote_op *op) {
    uint64_t hash = hearth__hash_key(&tier->secret, op->key, op->key_size);
    return (struct place){
        .table = &tier->tables[(hash >> 32) % tier->shards],
        .hash = hash,
    };
}

/* Under the lock: the time that was spent waiting for it counts. */
static void look(struct place *place, const hearth__remote_op *op) {
    place->now_ms = hearth__boot_ms();
    place->entry =
        hearth__table_find(place->table, place->hash, op->key, op->key_size, place->now_ms);
}

static enum hearth__holding holding_at(const struct place *place) {
    if (place->entry == NULL) {
        return HEARTH__HOLDS_NOTHING;
    }
    return hearth__holding_of(hearth__entry_value(place->entry),
                              hearth__entry_size(place->entry));
}

static int64_t expiry_of(int64_t now_ms, int64_t ttl_ms) {
    int64_t expires_ms = 0;
    if (ttl_ms <= 0 || __builtin_add_overflow(now_ms, ttl_ms, &expires_ms)) {
        return INT64_MAX;
    }
    return expires_ms;
}

static int64_t left_of(const struct place *place) {
    int64_t expires_ms = hearth__entry_expires_ms(place->entry);
    return expires_ms == INT64_MAX ? HEARTH__TTL_NONE : expires_ms - place->now_ms;
}

static void get(const hearth__node *node, hearth__remote_op *op, const struct place *place) {
    if (place->entry == NULL) {
        op->status = HEARTH_MISS;
        return;
    }
    (void)hearth__envelope_answer(node->config, op, hearth__entry_value(place->entry),
                                  hearth__entry_size(place->entry), false, left_of(place),
                                  true);
}

/* Puts `fresh` (NULL: it would not fit) in the place of what is there. */
static int32_t put(struct place *place, hearth__entry *fresh) {
    if (place->entry != NULL) {
        hearth__table_remove(place->table, place->entry);
    }
    if (fresh == NULL) {
        return HEARTH_E_TOO_LARGE;
    }
    return hearth__table_add(place->table, place->hash, fresh) ? HEARTH_OK : HEARTH_E_NOMEM;
}

static int32_t touch(const struct place *place, const hearth__remote_op *op) {
    unsigned char *bytes = hearth__entry_value(place->entry);
    size_t size = hearth__entry_size(place->entry);
    hearth__envelope envelope;
    enum hearth__envelope_verdict verdict =
        hearth__envelope_parse(bytes, size, op->key, op->key_size, false, &envelope);
    if (verdict == HEARTH__ENVELOPE_DAMAGED || verdict == HEARTH__ENVELOPE_NEWER) {
        return HEARTH_MISS; /* new sums would vouch for it */
    }
    if (verdict == HEARTH__ENVELOPE_OK && envelope.kind != HEARTH__KIND_INTEGER) {
        int64_t age_ms = hearth__envelope_age(&envelope, left_of(place));
        hearth__envelope_renew(bytes, size - envelope.body_size, op->key, op->key_size, age_ms,
                               op->soft_ttl_ms, op->ttl_ms);
    }
    hearth__entry_set_expiry(place->entry, expiry_of(place->now_ms, op->ttl_ms));
    return HEARTH_OK;
}

/* What cannot be marked goes. */
static int32_t mark(struct place *place, hearth__remote_op *op) {
    unsigned char *bytes = hearth__entry_value(place->entry);
    size_t size = hearth__entry_size(place->entry);
    hearth__envelope envelope;
    if (hearth__verb_status(op->verb, holding_at(place)) != HEARTH_OK ||
        hearth__envelope_parse(bytes, size, op->key, op->key_size, false, &envelope) !=
            HEARTH__ENVELOPE_OK) {
        hearth__table_remove(place->table, place->entry);
        return HEARTH_MISS;
    }
    op->found_version = envelope.version;
    hearth__envelope_mark(bytes, size - envelope.body_size, op->key, op->key_size);
    return HEARTH_OK;
}

static int32_t increment(struct place *place, hearth__remote_op *op) {
    int64_t number = 0;
    unsigned char digits[HEARTH__DIGITS_MAX];
    (void)hearth__envelope_is_integer(hearth__entry_value(place->entry),
                                      hearth__entry_size(place->entry), &number);
    int32_t status = hearth__number_add(number, op->number, &number);
    if (status != HEARTH_OK) {
        return status;
    }
    size_t size = hearth__number_compose(number, digits);
    hearth__entry *fresh = hearth__entry_create(op->key, op->key_size, size,
                                                hearth__entry_expires_ms(place->entry));
    if (fresh == NULL) {
        return HEARTH_E_NOMEM;
    }
    memcpy(hearth__entry_value(fresh), digits, size);
    status = put(place, fresh);
    op->number = status == HEARTH_OK ? number : op->number;
    return status;
}

static int32_t status_of_lease(const hearth__remote_op *op, const struct place *place) {
    return place->entry == NULL
               ? HEARTH_MISS
               : hearth__lease_status(hearth__entry_value(place->entry),
                                      hearth__entry_size(place->entry), op->token);
}

/* EXTEND and RELEASE. */
static void change_lease(hearth__remote_op *op, struct place *place) {
    op->status = status_of_lease(op, place);
    if (op->status == HEARTH_OK && op->verb == HEARTH__EXTEND) {
        hearth__entry_set_expiry(place->entry, expiry_of(place->now_ms, op->ttl_ms));
    } else if (op->status == HEARTH_OK) {
        hearth__table_remove(place->table, place->entry);
    }
}

/* TOUCH, INCREMENT, DELETE and MARK: what changes an entry in its place. */
static void change(hearth__remote_op *op, struct place *place) {
    op->status = hearth__verb_status(op->verb, holding_at(place));
    if (op->verb == HEARTH__DELETE && place->entry != NULL) {
        hearth__table_remove(place->table, place->entry);
    } else if (op->verb == HEARTH__TOUCH && op->status == HEARTH_OK) {
        op->status = touch(place, op);
    } else if (op->verb == HEARTH__INCREMENT && op->status == HEARTH_OK) {
        op->status = increment(place, op);
    } else if (op->verb == HEARTH__MARK && op->status >= 0 && place->entry != NULL) {
        op->status = mark(place, op);
    }
}

/* Whether SET, ADD, REPLACE, SWAP, LEASE or FILL may store. */
static int32_t may_store(const hearth__remote_op *op, const struct place *place) {
    if (hearth__verb_is_of_lease(op->verb)) {
        return status_of_lease(op, place);
    }
    if (op->verb != HEARTH__SWAP) {
        return hearth__verb_status(op->verb, holding_at(place));
    }
    if (place->entry == NULL) {
        return HEARTH_MISS;
    }
    return hearth__swap_status(hearth__entry_value(place->entry),
                               hearth__entry_size(place->entry), op->if_version);
}

/* Copies header and body before the lock is taken. */
static int32_t prepare(const hearth__remote_op *op, const struct place *place,
                       hearth__entry **fresh) {
    unsigned char header[HEARTH__ENVELOPE_BARE];
    size_t header_size = hearth__envelope_compose(op, false, header);
    *fresh = NULL;
    if (op->data_size > SIZE_MAX - header_size ||
        !hearth__table_fits(place->table, op->key_size, header_size + op->data_size)) {
        return HEARTH_OK; /* put() will say that it is too large */
    }
    *fresh = hearth__entry_create(op->key, op->key_size, header_size + op->data_size,
                                  expiry_of(hearth__boot_ms(), op->ttl_ms));
    if (*fresh == NULL) {
        return HEARTH_E_NOMEM;
    }
    memcpy(hearth__entry_value(*fresh), header, header_size);
    if (op->data_size != 0) {
        memcpy(hearth__entry_value(*fresh) + header_size, op->data, op->data_size);
    }
    return HEARTH_OK;
}

static void store(hearth__remote_op *op, struct place *place) {
    hearth__entry *fresh = NULL;
    op->status = prepare(op, place, &fresh);
    if (op->status != HEARTH_OK) {
        return;
    }
    pthread_mutex_lock(&place->table->lock);
    look(place, op);
    op->status = may_store(op, place);
    if (op->status == HEARTH_OK) {
        op->status = put(place, fresh);
        fresh = NULL;
    }
    pthread_mutex_unlock(&place->table->lock);
    hearth__entry_destroy(fresh);
}

static void execute(hearth__node *node, struct tier *tier, hearth__remote_op *op) {
    struct place place = place_of(tier, op);
    switch (op->verb) {
    case HEARTH__SET:
    case HEARTH__ADD:
    case HEARTH__REPLACE:
    case HEARTH__SWAP:
    case HEARTH__LEASE:
    case HEARTH__FILL:
        store(op, &place);
        return;
    case HEARTH__FILTER:
        op->status = HEARTH_E_UNSUPPORTED;
        return;
    case HEARTH__GET:
    case HEARTH__TOUCH:
    case HEARTH__INCREMENT:
    case HEARTH__DELETE:
    case HEARTH__MARK:
    case HEARTH__EXTEND:
    case HEARTH__RELEASE:
        break;
    }
    pthread_mutex_lock(&place.table->lock);
    look(&place, op);
    if (op->verb == HEARTH__GET) {
        get(node, op, &place);
    } else if (hearth__verb_is_of_lease(op->verb)) {
        change_lease(op, &place);
    } else {
        change(op, &place);
    }
    pthread_mutex_unlock(&place.table->lock);
}

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count, bool at_once,
                  int64_t deadline_ns, hearth__batch **batch) {
    (void)at_once;
    (void)deadline_ns;
    (void)batch;
    struct tier *tier = own_tier(node);
    for (size_t i = 0; i < count; i++) {
        if (tier != NULL) {
            execute(node, tier, ops[i]);
        } else {
            ops[i]->status = HEARTH_E_NOMEM;
        }
    }
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    (void)node;
    (void)ops;
    (void)count;
    (void)deadline_ns;
    (void)batch;
}

const hearth__backend hearth__backend_embedded = {
    .name = "embedded",
    .knows_ttl = true,
    .open = open_node,
    .close = close_node,
    .begin = begin,
    .finish = finish,
};
