/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write path. In this order, so that no reader of this process can bring back what a write replaced: the local copy goes
 * and fills are held off; a load under way is detached, and waited for if it is just filling; then the node is written; then
 * the new copy is kept, if the node said yes and no other write of the same keys was under way; and flights that took off
 * in between are detached too.
 */
#include "tier/write.h"

#include "base/clock.h"
#include "base/memory.h"
#include "tier/bus.h"
#include "tier/namespace_stats.h"
#include "tier/tags.h"

/* One write on its way. */
struct step {
    hearth__write *write;
    hearth__route route;
    hearth__local_ticket ticket;
    bool oversized;         /* refused, but what it was to replace goes */
    bool unsent;            /* refused, and nothing goes: its condition may not hold */
    hearth__buffer present; /* WRITE_MARK: the local copy's bytes, and what is kept with them */
    hearth__local_entry entry;
};

static enum hearth__verb verb_of(const hearth__write *write,
                                 const hearth_write_options *options) {
    switch (write->verb) {
    case HEARTH__WRITE_SET:
        return options->if_version != 0 ? HEARTH__SWAP : HEARTH__SET;
    case HEARTH__WRITE_ADD:
        return HEARTH__ADD;
    case HEARTH__WRITE_REPLACE:
        return options->if_version != 0 ? HEARTH__SWAP : HEARTH__REPLACE;
    case HEARTH__WRITE_TOUCH:
        return HEARTH__TOUCH;
    case HEARTH__WRITE_INCREMENT:
        return HEARTH__INCREMENT;
    case HEARTH__WRITE_MARK:
        return HEARTH__MARK;
    case HEARTH__WRITE_DELETE:
        break;
    }
    return HEARTH__DELETE;
}

static bool stores(const hearth__write *write) {
    return write->verb == HEARTH__WRITE_SET || write->verb == HEARTH__WRITE_ADD ||
           write->verb == HEARTH__WRITE_REPLACE;
}

/* Whether the key may exist by this. A delete tells that the source has changed, which may mean that the key is new there; so does
 * a mark. */
static bool makes(const hearth__write *write) {
    return stores(write) || write->verb == HEARTH__WRITE_DELETE ||
           write->verb == HEARTH__WRITE_MARK;
}

/* Whether what is stored is kept locally too. */
static bool keeps(const hearth *cache, const struct step *step,
                  const hearth_write_options *options) {
    return stores(step->write) && !step->oversized && cache->keeps_local &&
           options->tag_count == 0 &&
           (options->flags & (HEARTH_WRITE_INTEGER | HEARTH_WRITE_NO_LOCAL)) == 0;
}

/* The tags of what a call writes, as nodes have them. */
struct tags {
    hearth__buffer bytes;
    uint64_t stamp; /* of the clock, as the call began */
};

/* The stamp is asked for: what is known of the clock may be older than a tag that is made for these values, and then they would be gone
 * at once. */
static int32_t begin_tags(hearth *cache, const hearth_write_options *options,
                          int64_t deadline_ns, struct tags *tags) {
    *tags = (struct tags){0};
    int32_t status = HEARTH_OK;
    for (size_t i = 0; status == HEARTH_OK && i < options->tag_count; i++) {
        status = hearth__tags_add(&tags->bytes, options->tags[i], options->tag_sizes[i]);
    }
    if (status == HEARTH_OK && tags->bytes.size != 0) {
        hearth__tags_tell(cache, tags->bytes.data, tags->bytes.size);
        status = hearth__tags_ask_clock(cache, deadline_ns, &tags->stamp);
    }
    if (status == HEARTH_OK && tags->bytes.size != 0) {
        (void)hearth__tags_judge(cache, tags->bytes.data, tags->bytes.size, tags->stamp, NULL);
    }
    return status;
}

static hearth__remote_op compose(hearth *cache, const struct step *step,
                                 const hearth_write_options *options, const struct tags *tags,
                                 int64_t sent_ms, int64_t began_ms) {
    const hearth__write *write = step->write;
    if (step->oversized) {
        return hearth__route_op(&step->route, HEARTH__DELETE);
    }
    hearth__remote_op op = hearth__route_op(&step->route, verb_of(write, options));
    bool integer = (options->flags & HEARTH_WRITE_INTEGER) != 0;
    hearth__lives lives = hearth__lives_of(cache, options->ttl_ms, options->soft_ttl_ms);
    op.kind = integer ? HEARTH__KIND_INTEGER : HEARTH__KIND_VALUE;
    op.data = write->data;
    op.data_size = write->size;
    op.content = options->content;
    op.version = stores(write) ? hearth__remote_new_version(cache->remote) : 0;
    op.ttl_ms = lives.ttl_ms;
    op.soft_ttl_ms = lives.soft_ttl_ms;
    op.age_ms = sent_ms - began_ms;
    op.if_version = options->if_version;
    op.tags = tags->bytes.data;
    op.tags_size = tags->bytes.size;
    op.stamp = tags->stamp;
    op.number = write->number;
    /* Who had a copy is told of this write, which voids what he keeps of it. */
    op.check = cache->listener != NULL && hearth__tracking_keeps_own(cache) &&
               keeps(cache, step, options) && !step->ticket.had_copy;
    return op;
}

static hearth__local_entry written(int64_t at_ms, hearth__lives lives, uint32_t content) {
    return (hearth__local_entry){
        .born_ms = at_ms,
        .read_ms = at_ms,
        .soft_expiry_ms =
            hearth__expiry_ms(at_ms, lives.soft_ttl_ms != 0 ? lives.soft_ttl_ms : -1),
        .hard_expiry_ms = hearth__expiry_ms(at_ms, lives.ttl_ms != 0 ? lives.ttl_ms : -1),
        .content = content,
        .until_ms = HEARTH__LOCAL_FOREVER};
}

/* The new local copy of what the node has taken. */
hearth__local_entry hearth__write_entry(const hearth *cache, const hearth__remote_op *op,
                                        int64_t sent_ms) {
    hearth__lives lives = {.ttl_ms = op->ttl_ms, .soft_ttl_ms = op->soft_ttl_ms};
    hearth__local_entry entry = written(sent_ms, lives, op->content);
    entry.version = op->version;
    if (op->checked) {
        hearth__tracking_checked(op, sent_ms, &entry);
    } else if (cache->bus.bus != NULL) {
        entry.source = (uint16_t)op->source;
    }
    hearth__local_entry_bound(cache, &entry);
    return entry;
}

/* A value that is marked may stay here too, if it is the one that its node has. */
static int32_t look_local(hearth *cache, struct step *step) {
    const hearth__write *write = step->write;
    int32_t status = hearth__local_get(cache->local, write->key, write->key_size,
                                       hearth__boot_ms(), &step->present, &step->entry);
    if (status != HEARTH_OK || step->entry.absent) {
        step->entry = (hearth__local_entry){0};
    } else {
        step->entry.tags = step->present.data + step->present.size;
    }
    return status;
}

/* The mark of the local copy, as its node has it. False: that has another value. */
static bool mark_local(struct step *step, const hearth__remote_op *op, int64_t sent_ms) {
    uint64_t version = step->entry.version;
    if (op->status != HEARTH_OK || version == 0 || version != op->found_version) {
        return false;
    }
    step->entry.stale = true;
    step->entry.version = hearth__remote_marked_version(version);
    step->entry.read_ms = sent_ms;
    step->entry.source = (uint16_t)op->source;
    return true;
}

/* Holds readers off. HEARTH_OK, HEARTH_E_NOMEM. */
static int32_t begin(hearth *cache, struct step *step, hearth__write *write,
                     const hearth_write_options *options, int64_t deadline_ns) {
    step->write = write;
    if (write->verb == HEARTH__WRITE_MARK && cache->keeps_local) {
        (void)look_local(cache, step); /* what was not seen does not stay */
    }
    step->ticket = hearth__local_write_begin(cache->local, write->key, write->key_size);
    if (hearth__flight_detach(cache->flights, write->key, write->key_size, deadline_ns)) {
        HEARTH__COUNT(cache->counters, flight_detaches);
    }
    /* The owner is found behind the ticket: if the members change from here on, that voids it. */
    int32_t status = hearth__route_init(cache, write->key, write->key_size, &step->route);
    bool conditional = write->verb == HEARTH__WRITE_ADD || options->if_version != 0;
    bool too_large =
        stores(write) && write->size > (size_t)cache->config.remote_max_value_bytes;
    step->oversized = too_large && !conditional;
    step->unsent = too_large && conditional;
    HEARTH__COUNT_KEY(cache, write->key, write->key_size, writes);
    return status;
}

/* Takes the node's answer and lets readers in again. */
static void end(hearth *cache, struct step *step, const hearth__remote_op *op,
                const hearth_write_options *options, int64_t sent_ms) {
    hearth__write *write = step->write;
    bool keep = op->status == HEARTH_OK && keeps(cache, step, options) &&
                (cache->listener == NULL || op->checked);
    if (write->verb == HEARTH__WRITE_MARK) {
        bool marked = cache->listener == NULL && mark_local(step, op, sent_ms);
        hearth__local_write_end(cache->local, write->key, write->key_size, step->ticket,
                                marked ? &step->entry : NULL, step->present.data,
                                step->present.size);
        hearth__buffer_fini(&step->present);
    } else {
        hearth__local_entry entry = hearth__write_entry(cache, op, sent_ms);
        hearth__local_write_end(cache->local, write->key, write->key_size, step->ticket,
                                keep ? &entry : NULL, write->data, write->size);
    }
    /* A flight that took off meanwhile may have asked the node before it was written: who comes
     * from now on does not join it. What it loads is not kept, but need not be waited for. */
    (void)hearth__flight_detach(cache->flights, write->key, write->key_size, 0);
    hearth__route_fini(&step->route);
    write->number = op->number;
    write->status = step->oversized && op->status >= 0 ? HEARTH_E_TOO_LARGE : op->status;
    if (op->status == HEARTH_E_UNKNOWN) {
        HEARTH__COUNT(cache->counters, writes_unknown);
    }
}

int64_t hearth__write_deadline_ns(const hearth *cache, const hearth_write_options *options) {
    int64_t ms = options->deadline_ms;
    return hearth__deadline_ns(ms != 0 ? ms : cache->config.remote_timeout_ms);
}

/* What kept changing while it was to be marked may have been made of what the mark is for: then it goes. */
static void delete_unmarked(hearth *cache, hearth__remote_op *ops, size_t count,
                            int64_t deadline_ns) {
    for (size_t i = 0; i < count; i++) {
        if (ops[i].verb == HEARTH__MARK && ops[i].status == HEARTH_CONFLICT) {
            ops[i].verb = HEARTH__DELETE;
            hearth__nodes_execute(cache, &ops[i], 1, deadline_ns);
            ops[i].status = ops[i].status >= 0 ? HEARTH_MISS : ops[i].status;
        }
    }
}

/* The writes of a call are of one verb. */
static void add_to_guard(hearth *cache, const hearth__write *writes, size_t count) {
    if (count != 0 && makes(&writes[0])) {
        hearth__guard_add_all_own(cache, writes, count);
    }
}

static void run(hearth *cache, hearth__write *writes, struct step *steps,
                hearth__remote_op *ops, size_t count, const hearth_write_options *options) {
    int64_t deadline_ns = hearth__write_deadline_ns(cache, options);
    int64_t began_ms = hearth__boot_ms();
    struct tags tags;
    int32_t begun = begin_tags(cache, options, deadline_ns, &tags);
    add_to_guard(cache, writes, count);
    for (size_t i = 0; i < count; i++) {
        int32_t routed = begin(cache, &steps[i], &writes[i], options, deadline_ns);
        begun = begun == HEARTH_OK ? routed : begun;
    }
    int64_t sent_ms = hearth__boot_ms();
    size_t sent = 0;
    for (size_t i = 0; begun == HEARTH_OK && i < count; i++) {
        if (!steps[i].unsent) {
            ops[sent++] = compose(cache, &steps[i], options, &tags, sent_ms, began_ms);
        }
    }
    hearth__nodes_execute(cache, ops, sent, deadline_ns);
    delete_unmarked(cache, ops, sent, deadline_ns);
    const hearth__remote_op none = {.status = begun == HEARTH_OK ? HEARTH_E_TOO_LARGE : begun};
    const hearth__remote_op *next = ops;
    /* Once more, since a filter may have been begun after the first time, for keys that were there before these. */
    add_to_guard(cache, writes, count);
    for (size_t i = 0; i < count; i++) {
        bool was_sent = begun == HEARTH_OK && !steps[i].unsent;
        end(cache, &steps[i], was_sent ? next++ : &none, options, sent_ms);
    }
    hearth__buffer_fini(&tags.bytes);
    hearth__bus_tell_writes(cache, writes, count, deadline_ns);
}

/* Nothing could be written: what these writes were to replace is not to be trusted any more. */
static void fail(hearth *cache, hearth__write *writes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)hearth__local_evict(cache->local, writes[i].key, writes[i].key_size);
        writes[i].status = HEARTH_E_NOMEM;
    }
}

/* Writes the local tier alone. A load under way is detached as by any write. There is no version, which is for nodes: it would
 * be a fifth of what an entry takes besides key and value. */
static void put_local(hearth *cache, hearth__write *write, uint64_t hash,
                      const hearth_write_options *options) {
    hearth__lives lives = hearth__lives_of(cache, options->ttl_ms, options->soft_ttl_ms);
    hearth__local_entry entry = written(hearth__boot_ms(), lives, options->content);
    hearth__local_entry_bound(cache, &entry);
    bool kept = cache->keeps_local &&
                hearth__local_put_hashed(cache->local, hash, write->key, write->key_size,
                                         &entry, write->data, write->size);
    if (hearth__flights_any(cache->flights) &&
        hearth__flight_detach(cache->flights, write->key, write->key_size,
                              hearth__deadline_ns(cache->config.remote_timeout_ms))) {
        HEARTH__COUNT(cache->counters, flight_detaches);
    }
    write->status = kept ? HEARTH_OK : HEARTH_MISS;
    HEARTH__COUNT_KEY(cache, write->key, write->key_size, writes);
}

/* Marks the local copy alone. */
static void mark_local_alone(hearth *cache, hearth__write *write) {
    struct step step = {.write = write};
    /* What is written from here on is not what is marked, and stays. */
    hearth__local_ticket ticket =
        hearth__local_sample(cache->local, write->key, write->key_size);
    int32_t status = look_local(cache, &step);
    bool there = step.entry.hard_expiry_ms != 0;
    step.entry.stale = true;
    step.entry.version = hearth__remote_marked_version(step.entry.version);
    there = there && hearth__local_fill(cache->local, write->key, write->key_size, ticket,
                                        &step.entry, step.present.data, step.present.size);
    (void)hearth__flight_detach(cache->flights, write->key, write->key_size,
                                hearth__deadline_ns(cache->config.remote_timeout_ms));
    hearth__buffer_fini(&step.present);
    if (!there) { /* what was not marked is not fresh either */
        (void)hearth__local_evict(cache->local, write->key, write->key_size);
    }
    write->status = there ? HEARTH_OK : status == HEARTH_E_NOMEM ? status : HEARTH_MISS;
    HEARTH__COUNT_KEY(cache, write->key, write->key_size, writes);
}

static uint64_t ahead(const hearth *cache, const hearth__write *write) {
    return hearth__local_ahead(cache->local, write->key, write->key_size);
}

/* What the next one needs comes from memory while this one is stored. */
static void put_all_local(hearth *cache, hearth__write *writes, size_t count,
                          const hearth_write_options *options) {
    uint64_t next = ahead(cache, &writes[0]);
    hearth__guard_add_all_own(cache, writes, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = next;
        next = i + 1 < count ? ahead(cache, &writes[i + 1]) : 0;
        put_local(cache, &writes[i], hash, options);
    }
}

static void run_local(hearth *cache, hearth__write *writes, size_t count,
                      const hearth_write_options *options) {
    if (writes[0].verb != HEARTH__WRITE_MARK) {
        put_all_local(cache, writes, count, options);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        mark_local_alone(cache, &writes[i]);
    }
}

void hearth__write_run(hearth *cache, hearth__write *writes, size_t count,
                       const hearth_write_options *options) {
    if ((options->flags & HEARTH_WRITE_NO_REMOTE) != 0) {
        run_local(cache, writes, count, options);
        return;
    }
    struct step one_step = {0};
    hearth__remote_op one_op;
    if (count == 1) {
        run(cache, writes, &one_step, &one_op, 1, options);
        return;
    }
    struct step *steps = hearth__alloc_zero(count, sizeof *steps);
    hearth__remote_op *ops = hearth__alloc_zero(count, sizeof *ops);
    if (steps != NULL && ops != NULL) {
        run(cache, writes, steps, ops, count, options);
    } else {
        fail(cache, writes, count);
    }
    hearth__free(ops);
    hearth__free(steps);
}

int32_t hearth__write_evict_local(hearth *cache, const void *key, size_t key_size) {
    return hearth__local_evict(cache->local, key, key_size) ? HEARTH_OK : HEARTH_MISS;
}

bool hearth__write_is_integer(const void *data, size_t size) {
    return hearth__remote_is_integer(data, size);
}
