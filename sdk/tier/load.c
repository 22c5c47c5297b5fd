/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/load.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "tier/lease.h"
#include "tier/namespace_stats.h"

#include <stddef.h>
#include <string.h>

enum { WAITING_MAX = 256 }; /* loads that wait for a worker */

typedef struct load {
    hearth__task task;
    hearth_fill fill;
    hearth__route route;
    hearth_loader loader; /* a worker's */
    hearth_write_options write;
    hearth__buffer bytes;
    hearth_value present; /* the value that there is, if there is one */
    uint64_t hold;        /* of a fill that was begun, on the cache */
    hearth__place place;  /* of the same */
    bool urgent;          /* callers wait for it */
    unsigned char key[];
} load;

/* ---- what those who wait get ------------------------------------------------------------ */

void hearth__load_land(hearth__flight *flight, int32_t status, const hearth__answer *answer,
                       const hearth__buffer *bytes) {
    hearth__outcome *outcome = NULL;
    hearth__lease_drop(flight);
    if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        outcome = hearth__alloc_zero(1, sizeof *outcome);
        if (outcome == NULL ||
            !hearth__buffer_assign(&outcome->bytes, bytes->data, bytes->size)) {
            hearth__free(outcome);
            hearth__flight_land(flight, HEARTH_E_NOMEM, NULL);
            return;
        }
        outcome->answer = *answer;
    }
    hearth__flight_land(flight, status, outcome);
}

/* A load that fails leaves the value that there is to those who wait. */
static void land(const load *own) {
    const hearth_fill *fill = &own->fill;
    if (fill->status < 0 && fill->present != NULL) {
        hearth__load_land(fill->plan.flight, HEARTH_OK, &own->present.answer,
                          &own->present.bytes);
    } else {
        hearth__load_land(fill->plan.flight, fill->status, &fill->answer, &own->bytes);
    }
}

/* ---- made and gone ---------------------------------------------------------------------- */

static load *load_of(hearth__task *task) {
    return (load *)(void *)((char *)task - offsetof(load, task));
}

/* The call's own value may be another's by the time that the loader asks for it. */
static bool keep_present(load *own, const hearth_value *present) {
    if (present == NULL) {
        return true;
    }
    own->present.answer = present->answer;
    own->fill.present = &own->present;
    return hearth__buffer_assign(&own->present.bytes, present->bytes.data, present->bytes.size);
}

static void destroy(load *own) {
    hearth__route_fini(&own->route);
    hearth__buffer_fini(&own->present.bytes);
    hearth__buffer_fini(&own->fill.tags);
    hearth__buffer_fini(&own->bytes);
    hearth__free(own);
}

/* The caller keeps the flight's lead. NULL: out of memory. */
static load *create(const hearth__read *read, hearth__flight *flight) {
    load *own = hearth__alloc_zero(1, sizeof *own + read->key_size);
    if (own == NULL) {
        return NULL;
    }
    memcpy(own->key, read->key, read->key_size);
    if (hearth__route_init(read->cache, own->key, read->key_size, &own->route) != HEARTH_OK) {
        hearth__free(own);
        return NULL;
    }
    own->fill = hearth__read_fill(read, flight, &own->route);
    own->fill.key = own->key;
    own->fill.bytes = &own->bytes;
    if (read->write != NULL) {
        own->write = *read->write;
    }
    own->fill.write = &own->write;
    if (!keep_present(own, read->present)) {
        destroy(own);
        return NULL;
    }
    return own;
}

/* ---- workers ---------------------------------------------------------------------------- */

bool hearth__load_may_outlive(const hearth_loader *loader) {
    return loader->retain != NULL && loader->release != NULL;
}

/* The application's code runs outside of what holds fork() off. */
static void release(load *own) {
    bool held = hearth__fork_pause();
    own->loader.release(own->loader.arg);
    hearth__fork_resume(held);
    destroy(own);
}

static bool enter(const load *own, hearth__place *place) {
    hearth *cache = own->fill.cache;
    return hearth__limit_enter(cache, place,
                               own->urgent ? hearth__limit_until_ns(cache, HEARTH__NEVER)
                                           : HEARTH__LIMIT_SPARE);
}

static void load_and_store(load *own, hearth__place *place) {
    hearth_fill *const fills[] = {&own->fill};
    hearth__remote_op op;
    HEARTH__COUNT(own->fill.cache->counters, worker_loads);
    /* From before the loader looks: what was written while it waited is in what it finds. */
    own->fill.plan.ticket = hearth__route_sample(&own->route, own->key, own->fill.key_size);
    hearth__fill_load(&own->fill, &own->loader);
    hearth__limiter_leave(place);
    hearth__fill_store(fills, &op, 1);
}

static void run(hearth__task *task) {
    load *own = load_of(task);
    hearth__place place;
    hearth__flight_take_over(own->fill.plan.flight);
    if (enter(own, &place)) {
        load_and_store(own, &place);
    } else {
        own->fill.status = HEARTH_E_OVERLOAD;
    }
    land(own);
    release(own);
}

static void drop(hearth__task *task) {
    load *own = load_of(task);
    hearth__lease_drop(own->fill.plan.flight);
    hearth__flight_land(own->fill.plan.flight, HEARTH_E_CLOSED, NULL);
    release(own);
}

hearth__workers *hearth__load_workers_create(const hearth *cache) {
    hearth__workers_config config = {.threads = (uint32_t)cache->config.load_workers,
                                     .room = WAITING_MAX,
                                     .run = run,
                                     .drop = drop};
    return hearth__workers_create(&config);
}

enum hearth__handing hearth__load_hand_over(const hearth__read *read, hearth__flight *flight,
                                            bool urgent, bool waits) {
    load *own = create(read, flight);
    if (own == NULL) {
        return HEARTH__KEPT;
    }
    own->loader = *read->loader;
    own->urgent = urgent || waits;
    own->loader.retain(own->loader.arg);
    hearth__flight_hand_over(flight, waits);
    enum hearth__submission said =
        hearth__workers_submit(read->cache->workers, &own->task, urgent);
    if (said == HEARTH__TAKEN) {
        return HEARTH__HANDED;
    }
    hearth__flight_take_over(flight);
    if (waits) {
        hearth__flight_leave(flight);
    }
    release(own);
    return said == HEARTH__FULL ? HEARTH__DROPPED : HEARTH__KEPT;
}

static bool leads_flight(const hearth__task *task, const void *flight) {
    const load *own = (const load *)(const void *)((const char *)task - offsetof(load, task));
    return own->fill.plan.flight == flight;
}

void hearth__load_rescue(hearth *cache, const hearth__flight *flight) {
    hearth__task *task = hearth__workers_take_back(cache->workers, leads_flight, flight);
    if (task != NULL) {
        run(task);
    }
}

int32_t hearth__load_work(hearth *handle, int64_t deadline_ns) {
    hearth *cache = handle->whole;
    if (hearth__flights_is_leader(cache->flights)) {
        return HEARTH_E_DEADLOCK;
    }
    return hearth__workers_lend(cache->workers, deadline_ns);
}

/* ---- fills that a caller ends ----------------------------------------------------------- */

static load *load_of_fill(hearth_fill *fill) {
    return (load *)(void *)((char *)fill - offsetof(load, fill));
}

hearth *hearth__load_begun(const hearth_fill *fill) {
    return fill->begun ? fill->cache : NULL;
}

int32_t hearth__load_begin(const hearth__read *read, hearth__flight *flight,
                           hearth_fill **fill) {
    load *own = create(read, flight);
    if (own == NULL) {
        return HEARTH_E_NOMEM;
    }
    if (!hearth__limit_enter(read->cache, &own->place, hearth__read_place_ns(read))) {
        destroy(own);
        return hearth__read_wants(read, HEARTH_READ_NO_WAIT) ? HEARTH_MISS : HEARTH_E_OVERLOAD;
    }
    own->fill.plan.ticket = hearth__route_sample(&own->route, own->key, read->key_size);
    hearth__flight_hand_over(flight, false);
    hearth__fill_begin(&own->fill);
    HEARTH__COUNT_KEY(read->cache, read->key, read->key_size, loads);
    own->fill.begun = true;
    own->hold = hearth__seats_hold(read->cache->counters);
    *fill = &own->fill;
    return HEARTH_OK;
}

/* The cache may be gone once it is let go. */
static void end(load *own) {
    hearth__seats *counters = own->fill.cache->counters;
    uint64_t hold = own->hold;
    destroy(own);
    hearth__seats_let_go(counters, hold);
}

int32_t hearth__load_commit(hearth_fill *fill, const hearth_write_options *write,
                            hearth_value *value) {
    load *own = load_of_fill(fill);
    hearth_fill *const fills[] = {fill};
    hearth__remote_op op;
    own->write = *write;
    hearth__limiter_leave(&own->place);
    hearth__fill_end(fill, HEARTH_OK);
    hearth__fill_store(fills, &op, 1);
    land(own);
    int32_t status = fill->status;
    if (value != NULL && status >= 0) {
        hearth__buffer bytes = value->bytes;
        value->bytes = own->bytes;
        value->answer = fill->answer;
        own->bytes = bytes;
    }
    end(own);
    return status;
}

void hearth__load_abandon(hearth_fill *fill) {
    load *own = load_of_fill(fill);
    hearth__limiter_leave(&own->place);
    hearth__fill_end(fill, HEARTH_E_LOADER);
    land(own);
    end(own);
}
