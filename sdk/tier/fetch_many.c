/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetch of many keys: the steps of chain.c, each for all keys that still need it, so that nodes are asked in one go and a
 * loader is called once.
 *
 * Flights are joined in the order of the keys. A batch waits for nobody's flight before it has landed its own: two batches of
 * the same keys, in whatever order, cannot wait for each other.
 *
 * Longer than 400 lines: all steps of a batch stand in one file.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "tier/lease.h"

#include <string.h>
#include <utlist.h>

/* What a key of a batch still needs. */
enum need {
    NOTHING,
    A_LEADER, /* another caller leads: its answer */
    ANOTHERS, /* this caller leads, and another process loads */
    A_VALUE,  /* this caller leads */
    RENEWAL,  /* this caller leads, and has an answer meanwhile */
    A_LOAD,   /* this caller leads, and only a load is an answer, whatever there is */
};

/* A key that has no fresh local value. */
struct part {
    struct part *next; /* in the order of the keys */
    struct part *twin; /* the same key, earlier in the batch, whose answer this one shares */
    hearth__read read;
    hearth__route route;
    hearth__flight *flight;
    hearth_value fresh; /* a renewal's */
    hearth_fill fill;
    hearth__local_ticket ticket;
    size_t place; /* among the caller's keys */
    enum need need;
    bool asks;      /* its node */
    bool loads;     /* into `fresh` */
    int32_t status; /* its answer so far */
};

struct batch {
    hearth *cache;
    const hearth_loader *loader;
    int64_t deadline_ns;
    bool reloads;
    struct part *parts; /* a list */
    struct part *rooms; /* the parts' memory, and below room for calls about some of them */
    hearth__remote_op *ops;
    hearth_fill **fills;
    const void **keys;
    size_t *key_sizes;
    hearth__lease_asking *askings;
};

static bool make_room(struct batch *batch, size_t count) {
    batch->rooms = hearth__alloc_zero(count, sizeof *batch->rooms);
    batch->ops = hearth__alloc_zero(count, sizeof *batch->ops);
    batch->fills = hearth__alloc_zero(count, sizeof(hearth_fill *));
    batch->keys = hearth__alloc_zero(count, sizeof(const void *));
    batch->key_sizes = hearth__alloc_zero(count, sizeof(size_t));
    batch->askings = hearth__alloc_zero(count, sizeof *batch->askings);
    return batch->rooms != NULL && batch->ops != NULL && batch->fills != NULL &&
           batch->keys != NULL && batch->key_sizes != NULL && batch->askings != NULL;
}

static void free_room(struct batch *batch) {
    hearth__free(batch->rooms);
    hearth__free(batch->ops);
    hearth__free(batch->fills);
    hearth__free(batch->keys);
    hearth__free(batch->key_sizes);
    hearth__free(batch->askings);
}

static int by_key(const struct part *a, const struct part *b) {
    size_t a_size = a->read.key_size;
    size_t b_size = b->read.key_size;
    int order = memcmp(a->read.key, b->read.key, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* The first of those with the same key does all the work. */
static void sort(struct batch *batch) {
    LL_SORT(batch->parts, by_key);
    struct part *first = batch->parts;
    for (struct part *part = first != NULL ? first->next : NULL; part != NULL;
         part = part->next) {
        if (by_key(first, part) == 0) {
            part->twin = first;
        } else {
            first = part;
        }
    }
}

/* The read that asks and loads for a part: what there is already is left alone. */
static hearth__read *reader(struct part *part, hearth__read *renewal) {
    if (part->need != RENEWAL && !part->loads) {
        return &part->read;
    }
    *renewal = part->read;
    renewal->value = &part->fresh;
    renewal->present = part->status == HEARTH_OK ? part->read.value : NULL;
    return renewal;
}

static void lead_or(struct batch *batch, struct part *part, enum need leading,
                    enum need otherwise) {
    bool leads = hearth__flight_try_lead(batch->cache->flights, part->read.key,
                                         part->read.key_size, &part->flight) == HEARTH_OK;
    part->need = leads ? leading : otherwise;
    if (leads) {
        hearth__route_refresh(&part->route);
    }
}

/* Leads the renewal of an answer, unless somebody does. */
static void lead_renewal(struct batch *batch, struct part *part) {
    lead_or(batch, part, RENEWAL, NOTHING);
}

/* Who does not lead tries again when all that it leads has landed. */
static void lead_load(struct batch *batch, struct part *part) {
    lead_or(batch, part, A_LOAD, A_LEADER);
}

static void join(struct batch *batch, struct part *part) {
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
        part->need = leads ? A_VALUE : A_LEADER;
        if (leads) {
            hearth__route_refresh(&part->route);
        }
    } else {
        part->status = status;
    }
}

static void swap_values(struct part *part) {
    hearth_value present = *part->read.value;
    *part->read.value = part->fresh;
    part->fresh = present;
}

/* A leader's answer, or its error, for which those who wait get what there is: all that it needs. */
static void land(struct part *part, int32_t status) {
    hearth__read renewal;
    const hearth__read *read = reader(part, &renewal);
    bool is_beside = read == &renewal;
    bool stays = status < 0 && read->present != NULL;
    if (is_beside && status >= 0) {
        swap_values(part);
    }
    (void)hearth__read_land(&part->read, part->flight, stays ? HEARTH_OK : status);
    if (status >= 0 || part->need != RENEWAL) {
        part->status = status;
    }
    part->need = NOTHING;
}

static bool leads(const struct part *part) {
    return part->need == A_VALUE || part->need == RENEWAL || part->need == A_LOAD;
}

/* Lands a part with what a tier said, if that is an answer. A stale one is, but to a renewal. */
static void land_if_found(struct batch *batch, struct part *part, int32_t status) {
    hearth__read renewal;
    if (part->need == A_LOAD) {
        part->status = status == HEARTH_OK ? HEARTH_OK : HEARTH_MISS;
    } else if (part->need == RENEWAL) {
        if (status == HEARTH_ABSENT ||
            (status == HEARTH_OK && hearth__read_is_renewed(reader(part, &renewal)))) {
            land(part, status);
        }
    } else if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        land(part, status);
        if (status == HEARTH_OK && hearth__read_needs_renewal(&part->read)) {
            lead_renewal(batch, part);
        }
    }
}

/* Whoever led before may just have landed, so the local tier is asked again. */
static void ask_local_again(struct batch *batch) {
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (leads(part)) {
            hearth__read renewal;
            bool asks_node = !hearth__read_wants(&part->read, HEARTH_READ_NO_REMOTE);
            if (part->need != A_LOAD || !asks_node) {
                int32_t status = hearth__read_ask_local(reader(part, &renewal));
                land_if_found(batch, part, status);
            }
            part->asks = leads(part) && asks_node;
        }
    }
}

/* A remote tier that is down, slow or wrong is a miss to a fetch. */
static void ask_nodes_again(struct batch *batch) {
    size_t count = 0;
    struct part *part;
    int64_t deadline_ns = HEARTH__NEVER;
    LL_FOREACH(batch->parts, part) {
        if (part->asks) {
            hearth__read renewal;
            part->ticket =
                hearth__route_sample(&part->route, part->read.key, part->read.key_size);
            batch->ops[count++] = hearth__read_question(reader(part, &renewal), &part->route);
            deadline_ns = hearth__read_node_deadline_ns(&part->read);
        }
    }
    int64_t sent_ms = hearth__boot_ms();
    hearth__nodes_execute(batch->cache, batch->ops, count, deadline_ns);
    const hearth__remote_op *op = batch->ops;
    LL_FOREACH(batch->parts, part) {
        if (part->asks) {
            hearth__read renewal;
            hearth__read *read = reader(part, &renewal);
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
static void leave_to_other(struct part *part) {
    if (part->need == RENEWAL) {
        (void)hearth__read_land(&part->read, part->flight, HEARTH_OK);
        part->need = NOTHING;
    } else {
        part->need = ANOTHERS;
    }
}

/* Of all that is led and asked its node in vain. */
static void take_leases(struct batch *batch) {
    size_t count = 0;
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (leads(part) && part->asks) {
            batch->askings[count++] =
                (hearth__lease_asking){.read = &part->read,
                                       .flight = part->flight,
                                       .route = &part->route,
                                       .has_stale = part->need != A_VALUE};
        }
    }
    hearth__lease_ask_many(batch->cache, batch->askings, batch->ops, count);
    const hearth__lease_asking *asking = batch->askings;
    LL_FOREACH(batch->parts, part) {
        if (leads(part) && part->asks && (asking++)->lost && part->need != A_LOAD) {
            leave_to_other(part);
        }
    }
}

static void set_up(struct part *part) {
    hearth__read renewal;
    part->loads = part->need == A_LOAD;
    part->fill = hearth__read_fill(reader(part, &renewal), part->flight, &part->route);
}

static void land_loaded(struct part *part) {
    hearth__read renewal;
    if (part->fill.status >= 0) {
        reader(part, &renewal)->value->answer = part->fill.answer;
    }
    land(part, part->fill.status);
}

/* How long the loads of all that is led wait for a place: as long as the one that needs it most. */
static int64_t place_ns(const struct batch *batch) {
    int64_t until_ns = HEARTH__LIMIT_SPARE;
    const struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (leads(part)) {
            hearth__read read = part->read;
            read.present = part->need == RENEWAL ? read.value : NULL;
            int64_t own_ns = hearth__read_place_ns(&read);
            until_ns = own_ns > until_ns ? own_ns : until_ns;
        }
    }
    return until_ns;
}

static void refuse(struct part *part) {
    set_up(part);
    part->fill.status = HEARTH_E_OVERLOAD;
    land_loaded(part);
}

/* One call of the loader for all. */
static void load_many(struct batch *batch) {
    size_t count = 0;
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (leads(part)) {
            set_up(part);
            batch->fills[count] = &part->fill;
            batch->keys[count] = part->read.key;
            batch->key_sizes[count] = part->read.key_size;
            count++;
        }
    }
    hearth__fill_load_many(batch->fills, count, batch->keys, batch->key_sizes, batch->loader);
    hearth__fill_store(batch->fills, batch->ops, count);
    LL_FOREACH(batch->parts, part) {
        if (leads(part)) {
            land_loaded(part);
        }
    }
}

static void load_one(struct batch *batch, struct part *part) {
    set_up(part);
    hearth_fill *const fills[] = {&part->fill};
    hearth__fill_load(&part->fill, batch->loader);
    hearth__fill_store(fills, batch->ops, 1);
    land_loaded(part);
}

/* A call for each key, which lands before the next is loaded. */
static void load_each(struct batch *batch) {
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (leads(part)) {
            load_one(batch, part);
        }
    }
}

/* All that is led, in one place among the loads. */
static void load_led(struct batch *batch) {
    bool any = false;
    struct part *part;
    hearth__place place;
    LL_FOREACH(batch->parts, part) {
        any = any || leads(part);
    }
    if (!any) {
        return;
    }
    if (!hearth__limit_enter(batch->cache, &place, place_ns(batch))) {
        LL_FOREACH(batch->parts, part) {
            if (leads(part)) {
                refuse(part);
            }
        }
        return;
    }
    if (batch->loader->load_many != NULL) {
        load_many(batch);
    } else {
        load_each(batch);
    }
    hearth__limiter_leave(&place);
}

/* The same for one that was another process's. */
static void load_late(struct batch *batch, struct part *part) {
    hearth__place place;
    if (hearth__limit_enter(batch->cache, &place, hearth__read_place_ns(&part->read))) {
        load_one(batch, part);
        hearth__limiter_leave(&place);
    } else {
        refuse(part);
    }
}

/* All that this process loads has landed: now it may wait for other processes, before it waits for callers of this one, who may do
 * the same. */
static void await_others(struct batch *batch) {
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->need != ANOTHERS) {
            continue;
        }
        int32_t status =
            hearth__lease_seek(&part->read, part->flight, &part->route, HEARTH_MISS);
        part->need = A_VALUE;
        if (status == HEARTH_MISS) {
            load_late(batch, part);
        } else if (status >= 0) {
            land(part, status);
        } else {
            land(part, HEARTH_MISS); /* who waits for it may have more time */
            part->status = status;
        }
    }
}

/* Renewals that workers can do are not waited for. */
static void renew_elsewhere(struct batch *batch) {
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->need == RENEWAL) {
            part->read.present = part->read.value;
            hearth__read_renewal_begins(&part->read);
            int32_t status = hearth__read_renew_elsewhere(&part->read, part->flight, 0);
            part->need = status == HEARTH_MISS ? RENEWAL : NOTHING;
        }
    }
}

/* All that is led has landed: now it may wait. */
static void follow(struct batch *batch) {
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->need == A_LEADER) {
            part->status = batch->reloads ? hearth__read_reload(&part->read, &part->route)
                                          : hearth__read_follow(&part->read, part->flight);
            if (part->status == HEARTH_MISS &&
                !batch->reloads) { /* its leader had no more time */
                part->status = hearth__read_go_on(&part->read, &part->route);
            }
        }
    }
}

static void share(struct part *part) {
    hearth_value *value = part->read.value;
    const hearth_value *from = part->twin->read.value;
    part->status = part->twin->status;
    value->answer = from->answer;
    if (part->status == HEARTH_OK &&
        !hearth__buffer_assign(&value->bytes, from->bytes.data, from->bytes.size)) {
        part->status = HEARTH_E_NOMEM;
    }
}

static void deliver(struct batch *batch, int32_t *statuses) {
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->twin != NULL) {
            share(part);
        }
    }
    LL_FOREACH(batch->parts, part) {
        int32_t status = hearth__read_audit(&part->read, part->status);
        statuses[part->place] = hearth__read_deliver(&part->read, status);
        hearth__buffer_fini(&part->fresh.bytes);
        hearth__route_fini(&part->route);
    }
}

/* Answers a key from the local tier or the guard; true: it has become a part of the batch. */
static bool becomes_part(struct batch *batch, hearth__read *read, struct part *part,
                         int32_t *status) {
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
static void run(struct batch *batch, int32_t *statuses) {
    sort(batch);
    struct part *part;
    LL_FOREACH(batch->parts, part) {
        if (part->twin == NULL) {
            join(batch, part);
        }
    }
    ask_local_again(batch);
    ask_nodes_again(batch);
    take_leases(batch);
    renew_elsewhere(batch);
    load_led(batch);
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
    struct batch batch = {.cache = cache,
                          .loader = loader,
                          .reloads = (options->flags & HEARTH_READ_RELOAD) != 0,
                          .deadline_ns = hearth__read_fetch_deadline_ns(cache, options)};
    int32_t result = make_room(&batch, count - hits) ? HEARTH_OK : HEARTH_E_NOMEM;
    struct part *next = batch.rooms;
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
    free_room(&batch);
    return result;
}
