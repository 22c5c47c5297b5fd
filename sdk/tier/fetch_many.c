/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetch of many keys: the steps of chain.c, each for all keys that still need it, so that nodes are asked in one go and a
 * loader is called once.
 *
 * Flights are joined in the order of the keys. A batch waits for nobody's flight before it has landed its own: two batches of
 * the same keys, in whatever order, cannot wait for each other.
 */
#include "tier/fetch_many.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/unwind.h"

#include <string.h>
#include <utlist.h>

static bool make_room(hearth__fetch_batch *batch, size_t count) {
    batch->rooms = hearth__alloc_zero(count, sizeof *batch->rooms);
    batch->ops = hearth__alloc_zero(count, sizeof *batch->ops);
    batch->fills = hearth__alloc_zero(count, sizeof(hearth_fill *));
    batch->keys = hearth__alloc_zero(count, sizeof(const void *));
    batch->key_sizes = hearth__alloc_zero(count, sizeof(size_t));
    batch->askings = hearth__alloc_zero(count, sizeof *batch->askings);
    return batch->rooms != NULL && batch->ops != NULL && batch->fills != NULL &&
           batch->keys != NULL && batch->key_sizes != NULL && batch->askings != NULL;
}

static int by_key(const hearth__fetch_part *a, const hearth__fetch_part *b) {
    size_t a_size = a->read.key_size;
    size_t b_size = b->read.key_size;
    int order = memcmp(a->read.key, b->read.key, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* The first of those with the same key does all the work. */
static void sort(hearth__fetch_batch *batch) {
    LL_SORT(batch->parts, by_key);
    hearth__fetch_part *first = batch->parts;
    for (hearth__fetch_part *part = first != NULL ? first->next : NULL; part != NULL;
         part = part->next) {
        if (by_key(first, part) == 0) {
            part->twin = first;
        } else {
            first = part;
        }
    }
}

hearth__read *hearth__fetch_reader(hearth__fetch_part *part, hearth__read *renewal) {
    if (part->need != HEARTH__NEED_RENEWAL && !part->loads) {
        return &part->read;
    }
    *renewal = part->read;
    renewal->value = &part->fresh;
    renewal->present = part->status == HEARTH_OK ? part->read.value : NULL;
    return renewal;
}

static void lead_or(hearth__fetch_batch *batch, hearth__fetch_part *part,
                    enum hearth__fetch_need leading, enum hearth__fetch_need otherwise) {
    bool leads = hearth__flight_try_lead(batch->cache->flights, part->read.key,
                                         part->read.key_size, &part->flight) == HEARTH_OK;
    part->need = leads ? leading : otherwise;
    if (leads) {
        hearth__route_refresh(&part->route);
    }
}

/* Leads the renewal of an answer, unless somebody does. */
static void lead_renewal(hearth__fetch_batch *batch, hearth__fetch_part *part) {
    lead_or(batch, part, HEARTH__NEED_RENEWAL, HEARTH__NEED_NOTHING);
}

/* Who does not lead tries again when all that it leads has landed. */
static void lead_load(hearth__fetch_batch *batch, hearth__fetch_part *part) {
    lead_or(batch, part, HEARTH__NEED_A_LOAD, HEARTH__NEED_A_LEADER);
}

static void join(hearth__fetch_batch *batch, hearth__fetch_part *part) {
    int32_t routed =
        hearth__route_init(batch->cache, part->read.key, part->read.key_size, &part->route);
    if (routed != HEARTH_OK) {
        part->status = part->status == HEARTH_OK ? HEARTH_OK : routed;
        return;
    }
    if (part->status == HEARTH_OK) {
        lead_renewal(batch, part);
        return;
    }
    if (batch->reloads) {
        lead_load(batch, part);
        return;
    }
    bool leads = false;
    int32_t status =
        hearth__flight_join_many(batch->cache->flights, part->read.key, part->read.key_size,
                                 batch->deadline_ns, &part->flight, &leads);
    if (status == HEARTH_OK) {
        part->need = leads ? HEARTH__NEED_A_VALUE : HEARTH__NEED_A_LEADER;
        if (leads) {
            hearth__route_refresh(&part->route);
        }
    } else {
        part->status = status;
    }
}

static void swap_values(hearth__fetch_part *part) {
    hearth_value present = *part->read.value;
    *part->read.value = part->fresh;
    part->fresh = present;
}

void hearth__fetch_land(hearth__fetch_part *part, int32_t status) {
    hearth__read renewal;
    const hearth__read *read = hearth__fetch_reader(part, &renewal);
    bool is_beside = read == &renewal;
    bool stays = status < 0 && read->present != NULL;
    if (is_beside && status >= 0) {
        swap_values(part);
    }
    (void)hearth__read_land(&part->read, part->flight, stays ? HEARTH_OK : status);
    if (status >= 0 || part->need != HEARTH__NEED_RENEWAL) {
        part->status = status;
    }
    part->need = HEARTH__NEED_NOTHING;
}

/* Lands a part with what a tier said, if that is an answer. A stale one is, but to a renewal. */
static void land_if_found(hearth__fetch_batch *batch, hearth__fetch_part *part,
                          int32_t status) {
    hearth__read renewal;
    if (part->need == HEARTH__NEED_A_LOAD) {
        part->status = status == HEARTH_OK ? HEARTH_OK : HEARTH_MISS;
    } else if (part->need == HEARTH__NEED_RENEWAL) {
        if (status == HEARTH_ABSENT ||
            (status == HEARTH_OK &&
             hearth__read_is_renewed(hearth__fetch_reader(part, &renewal)))) {
            hearth__fetch_land(part, status);
        }
    } else if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        hearth__fetch_land(part, status);
        if (status == HEARTH_OK && hearth__read_needs_renewal(&part->read)) {
            lead_renewal(batch, part);
        }
    }
}

/* Whoever led before may just have landed, so the local tier is asked again. */
static void ask_local_again(hearth__fetch_batch *batch) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part)) {
            hearth__read renewal;
            bool asks_node = !hearth__read_wants(&part->read, HEARTH_READ_NO_REMOTE);
            if (part->need != HEARTH__NEED_A_LOAD || !asks_node) {
                int32_t status = hearth__read_ask_local(hearth__fetch_reader(part, &renewal));
                land_if_found(batch, part, status);
            }
            part->asks = hearth__fetch_leads(part) && asks_node;
        }
    }
}

/* A remote tier that is down, slow or wrong is a miss to a fetch. */
static void ask_nodes_again(hearth__fetch_batch *batch) {
    size_t count = 0;
    hearth__fetch_part *part;
    int64_t deadline_ns = HEARTH__NEVER;
    LL_FOREACH(batch->parts, part) {
        if (part->asks) {
            hearth__read renewal;
            part->ticket =
                hearth__route_sample(&part->route, part->read.key, part->read.key_size);
            batch->ops[count++] =
                hearth__read_question(hearth__fetch_reader(part, &renewal), &part->route);
            deadline_ns = hearth__read_node_deadline_ns(&part->read);
        }
    }
    int64_t sent_ms = hearth__boot_ms();
    hearth__nodes_execute(batch->cache, batch->ops, count, deadline_ns);
    const hearth__remote_op *op = batch->ops;
    LL_FOREACH(batch->parts, part) {
        if (part->asks) {
            hearth__read renewal;
            hearth__read *read = hearth__fetch_reader(part, &renewal);
            int32_t status = hearth__read_take_remote(read, op++, part->ticket, sent_ms);
            part->read.replaces = read->replaces;
            part->read.is_whole = read->is_whole;
            part->read.is_leased = read->is_leased;
            hearth__read_note_node(&part->read, status);
            land_if_found(batch, part, status);
        }
    }
}

/* A key whose lease another process has: a stale answer is one, else it is waited for when all else is done. */
static void leave_to_other(hearth__fetch_part *part) {
    if (part->need == HEARTH__NEED_RENEWAL) {
        (void)hearth__read_land(&part->read, part->flight, HEARTH_OK);
        part->need = HEARTH__NEED_NOTHING;
    } else {
        part->need = HEARTH__NEED_ANOTHERS;
    }
}

/* Of all that is led and asked its node in vain. */
static void take_leases(hearth__fetch_batch *batch) {
    size_t count = 0;
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part) && part->asks) {
            batch->askings[count++] =
                (hearth__lease_asking){.read = &part->read,
                                       .flight = part->flight,
                                       .route = &part->route,
                                       .has_stale = part->need != HEARTH__NEED_A_VALUE};
        }
    }
    hearth__lease_ask_many(batch->cache, batch->askings, batch->ops, count);
    const hearth__lease_asking *asking = batch->askings;
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part) && part->asks && (asking++)->lost &&
            part->need != HEARTH__NEED_A_LOAD) {
            leave_to_other(part);
        }
    }
}

/* All that this process loads has landed: now it may wait for other processes, before it waits for callers of this one, who may do
 * the same. */
static void await_others(hearth__fetch_batch *batch) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->need != HEARTH__NEED_ANOTHERS) {
            continue;
        }
        int32_t status =
            hearth__lease_seek(&part->read, part->flight, &part->route, HEARTH_MISS);
        part->need = HEARTH__NEED_A_VALUE;
        if (status == HEARTH_MISS) {
            hearth__fetch_load_late(batch, part);
        } else if (status >= 0) {
            hearth__fetch_land(part, status);
        } else {
            hearth__fetch_land(part, HEARTH_MISS); /* who waits for it may have more time */
            part->status = status;
        }
    }
}

/* Renewals that workers can do are not waited for. */
static void renew_elsewhere(hearth__fetch_batch *batch) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->need == HEARTH__NEED_RENEWAL) {
            part->read.present = part->read.value;
            hearth__read_renewal_begins(&part->read);
            int32_t status = hearth__read_renew_elsewhere(&part->read, part->flight, 0);
            part->need = status == HEARTH_MISS ? HEARTH__NEED_RENEWAL : HEARTH__NEED_NOTHING;
        }
    }
}

/* All that is led has landed: now it may wait. */
static void follow(hearth__fetch_batch *batch) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->need == HEARTH__NEED_A_LEADER) {
            part->need = HEARTH__NEED_NOTHING; /* whoever follows leaves, whatever comes */
            part->status = batch->reloads ? hearth__read_reload(&part->read, &part->route)
                                          : hearth__read_follow(&part->read, part->flight);
            if (part->status == HEARTH_MISS &&
                !batch->reloads) { /* its leader had no more time */
                part->status = hearth__read_go_on(&part->read, &part->route);
            }
        }
    }
}

static void share(hearth__fetch_part *part) {
    hearth_value *value = part->read.value;
    const hearth_value *from = part->twin->read.value;
    part->status = part->twin->status;
    value->answer = from->answer;
    if (part->status == HEARTH_OK &&
        !hearth__buffer_assign(&value->bytes, from->bytes.data, from->bytes.size)) {
        part->status = HEARTH_E_NOMEM;
    }
}

static void deliver(hearth__fetch_batch *batch, int32_t *statuses) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->twin != NULL) {
            share(part);
        }
    }
    LL_FOREACH(batch->parts, part) {
        int32_t status =
            hearth__read_ended(&part->read, hearth__read_audit(&part->read, part->status));
        statuses[part->place] = hearth__read_deliver(&part->read, status);
    }
}

static void end_batch(hearth__fetch_batch *batch) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        hearth__fetch_give_up(part);
        hearth__buffer_fini(&part->fresh.bytes);
        hearth__route_fini(&part->route);
    }
    hearth__free(batch->rooms);
    hearth__free(batch->ops);
    hearth__free(batch->fills);
    hearth__free(batch->keys);
    hearth__free(batch->key_sizes);
    hearth__free(batch->askings);
}

/* Answers a key from the local tier or the guard; true: it has become a part of the batch. */
static bool becomes_part(hearth__fetch_batch *batch, hearth__read *read,
                         hearth__fetch_part *part, int32_t *status) {
    *status = batch->reloads ? HEARTH_MISS : hearth__read_ask_local(read);
    if (*status == HEARTH_MISS && !batch->reloads) {
        *status = hearth__read_ask_guard(read);
    }
    bool needs_more =
        *status == HEARTH_OK ? hearth__read_needs_renewal(read) : *status == HEARTH_MISS;
    if (!needs_more) {
        *status = hearth__read_deliver(read, *status);
        return false;
    }
    part->read = *read;
    part->read.loader = batch->loader;
    part->read.deadline_ns = batch->deadline_ns;
    part->status = *status;
    LL_PREPEND(batch->parts, part);
    return true;
}

/* From the flights to the answers. */
static void run(hearth__fetch_batch *batch, int32_t *statuses) {
    sort(batch);
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->twin == NULL) {
            join(batch, part);
        }
    }
    ask_local_again(batch);
    ask_nodes_again(batch);
    take_leases(batch);
    renew_elsewhere(batch);
    hearth__fetch_load_led(batch);
    await_others(batch);
    follow(batch);
    deliver(batch, statuses);
}

int32_t hearth__chain_fetch_many(hearth *cache, size_t count, const void *const *keys,
                                 const size_t *key_sizes, const hearth_loader *loader,
                                 const hearth_read_options *options,
                                 const hearth_write_options *write, hearth_value *const *values,
                                 int32_t *statuses) {
    if ((options->flags & HEARTH_READ_NO_LOAD) != 0) {
        return hearth__read_look_many(cache, count, keys, key_sizes, options, values, statuses);
    }
    bool is_tried = hearth__read_takes_any_hit(options);
    size_t hits =
        is_tried ? hearth__read_hit_many(cache, count, keys, key_sizes, values, statuses) : 0;
    if (hits == count) {
        return HEARTH_OK;
    }
    HEARTH__AT_END(end_batch)
    hearth__fetch_batch batch = {.cache = cache,
                                 .loader = loader,
                                 .reloads = (options->flags & HEARTH_READ_RELOAD) != 0,
                                 .deadline_ns = hearth__read_fetch_deadline_ns(cache, options)};
    int32_t result = make_room(&batch, count - hits) ? HEARTH_OK : HEARTH_E_NOMEM;
    hearth__fetch_part *next = batch.rooms;
    for (size_t i = 0; result == HEARTH_OK && i < count; i++) {
        if (!is_tried || statuses[i] != HEARTH_OK) {
            hearth__read read =
                hearth__read_begin(cache, keys[i], key_sizes[i], options, values[i]);
            read.write = write;
            next->place = i;
            next += becomes_part(&batch, &read, next, &statuses[i]);
        }
    }
    if (batch.parts != NULL) {
        run(&batch, statuses);
    }
    return result;
}
