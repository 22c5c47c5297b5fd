/* SPDX-License-Identifier: Apache-2.0 */
/* What a fetch of many keys loads: by one call of the loader where it takes many, else by one for each key. */
#include "base/unwind.h"
#include "tier/fetch_many.h"
#include "tier/namespace_key.h"

#include <utlist.h>

static void set_up(hearth__fetch_part *part) {
    hearth__read renewal;
    part->loads = part->need == HEARTH__NEED_A_LOAD;
    part->fill =
        hearth__read_fill(hearth__fetch_reader(part, &renewal), part->flight, &part->route);
}

static void land_loaded(hearth__fetch_part *part) {
    hearth__read renewal;
    if (part->fill.status >= 0) {
        hearth__fetch_reader(part, &renewal)->value->answer = part->fill.answer;
    }
    hearth__fetch_land(part, part->fill.status);
}

/* How long the loads of all that is led wait for a place: as long as the one that needs it most. */
static int64_t place_ns(const hearth__fetch_batch *batch) {
    int64_t until_ns = HEARTH__LIMIT_SPARE;
    const hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part)) {
            hearth__read read = part->read;
            read.present = part->need == HEARTH__NEED_RENEWAL ? read.value : NULL;
            int64_t own_ns = hearth__read_place_ns(&read);
            until_ns = own_ns > until_ns ? own_ns : until_ns;
        }
    }
    return until_ns;
}

static void refuse(hearth__fetch_part *part) {
    set_up(part);
    part->fill.status = HEARTH_E_OVERLOAD;
    land_loaded(part);
}

/* One call of the loader for all. */
static void load_many(hearth__fetch_batch *batch) {
    size_t count = 0;
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part)) {
            set_up(part);
            batch->fills[count] = &part->fill;
            hearth__key_part given = hearth__key_given(part->read.key, part->read.key_size);
            batch->keys[count] = given.data;
            batch->key_sizes[count] = given.size;
            count++;
        }
    }
    hearth__fill_load_many(batch->fills, count, batch->keys, batch->key_sizes, batch->loader);
    hearth__fill_store(batch->fills, batch->ops, count);
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part)) {
            land_loaded(part);
        }
    }
}

static void load_one(hearth__fetch_batch *batch, hearth__fetch_part *part) {
    set_up(part);
    hearth_fill *const fills[] = {&part->fill};
    hearth__fill_load(&part->fill, batch->loader);
    hearth__fill_store(fills, batch->ops, 1);
    land_loaded(part);
}

/* A call for each key, which lands before the next is loaded. */
static void load_each(hearth__fetch_batch *batch) {
    hearth__fetch_part *part;
    LL_FOREACH(batch->parts, part) {
        if (hearth__fetch_leads(part)) {
            load_one(batch, part);
        }
    }
}

void hearth__fetch_load_led(hearth__fetch_batch *batch) {
    bool any = false;
    hearth__fetch_part *part;
    HEARTH__AT_END(hearth__limiter_leave) hearth__place place = {0};
    LL_FOREACH(batch->parts, part) {
        any = any || hearth__fetch_leads(part);
    }
    if (!any) {
        return;
    }
    if (!hearth__limit_enter(batch->cache, &place, place_ns(batch))) {
        LL_FOREACH(batch->parts, part) {
            if (hearth__fetch_leads(part)) {
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
}

void hearth__fetch_load_late(hearth__fetch_batch *batch, hearth__fetch_part *part) {
    HEARTH__AT_END(hearth__limiter_leave) hearth__place place = {0};
    if (hearth__limit_enter(batch->cache, &place, hearth__read_place_ns(&part->read))) {
        load_one(batch, part);
    } else {
        refuse(part);
    }
}

void hearth__fetch_give_up(hearth__fetch_part *part) {
    if (hearth__fetch_leads(part) || part->need == HEARTH__NEED_ANOTHERS) {
        hearth__fetch_land(part, HEARTH_E_LOADER);
    } else if (part->need == HEARTH__NEED_A_LEADER && part->flight != NULL) {
        hearth__flight_leave(part->flight);
    }
    hearth__buffer_fini(&part->fill.tags);
}
