/* SPDX-License-Identifier: Apache-2.0 */
/* Adds up what the tables of all threads say of the hot keys. */
#include "local/hot_keys.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/racy.h"
#include "local/shard.h"

#include <hearth/errors.h>

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MS = 1 << HEARTH__HOT_WINDOW_BITS,
    SAMPLES_MIN = 2, /* one is any key */
    SPARE = 256,     /* keys that may come while memory is taken for the others */
};

/* A key as a table has it; of several tables, then of all. */
struct found {
    uint64_t hash;
    uint64_t samples;
    uint64_t
        weight; /* samples, those of the window before by how much of it is still looked at: in WINDOW_MS */
    hearth__hot_name name;
};

struct collection {
    uint64_t window;
    uint64_t passed_ms; /* of the window */
    struct found *found;
    size_t capacity;
    size_t count;
    size_t seen; /* more than count: there was no room */
};

/* ---- collecting ------------------------------------------------------------------------- */

/* Copies a place of a table. False: it is free, being changed, or nobody asked for its key lately. */
static bool read_place(const struct collection *all, const hearth__hot_table *table, size_t set,
                       size_t way, struct found *found) {
    const _Atomic uint64_t *place = &table->sets[set].hashes[way];
    found->hash = atomic_load_explicit(place, memory_order_acquire);
    uint64_t count = atomic_load_explicit(&table->sets[set].counts[way], memory_order_relaxed);
    count = hearth__hot_carried(count, all->window);
    found->samples = hearth__hot_now(count) + hearth__hot_before(count);
    if (found->hash == 0 || found->samples == 0) {
        return false;
    }
    found->weight = hearth__hot_now(count) * WINDOW_MS +
                    hearth__hot_before(count) * (WINDOW_MS - all->passed_ms);
    hearth__racy_copy(&found->name, &table->names[set][way], sizeof found->name);
    hearth__racy_fence_acquire();
    return atomic_load_explicit(place, memory_order_relaxed) == found->hash;
}

static void collect(void *arg, const void *extra) {
    struct collection *all = arg;
    const hearth__hot_table *table = extra;
    uint64_t last = atomic_load_explicit(&table->window, memory_order_acquire);
    if (last + 1 < all->window) {
        return;
    }
    for (size_t set = 0; set < HEARTH__HOT_SETS; set++) {
        for (size_t way = 0; way < HEARTH__HOT_WAYS; way++) {
            struct found found;
            if (read_place(all, table, set, way, &found)) {
                if (all->count < all->capacity) {
                    all->found[all->count++] = found;
                }
                all->seen++;
            }
        }
    }
}

/* Takes memory for all of them: how many there are is known only when they were gone through. */
static int32_t collect_all(hearth__local *local, struct collection *all) {
    do {
        all->capacity = all->seen + SPARE;
        hearth__free(all->found);
        all->found = hearth__alloc(all->capacity * sizeof *all->found);
        if (all->found == NULL) {
            return HEARTH_E_NOMEM;
        }
        all->count = 0;
        all->seen = 0;
        hearth__seats_visit(local->counters, collect, all);
    } while (all->seen > all->count);
    return HEARTH_OK;
}

/* ---- adding up -------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b) {
    uint64_t left = ((const struct found *)a)->hash;
    uint64_t right = ((const struct found *)b)->hash;
    return (left > right) - (left < right);
}

static int heaviest_first(const void *a, const void *b) {
    uint64_t left = ((const struct found *)a)->weight;
    uint64_t right = ((const struct found *)b)->weight;
    return (left < right) - (left > right);
}

/* Makes one of those that several tables have. */
static void add_up(struct collection *all) {
    size_t count = 0;
    qsort(all->found, all->count, sizeof *all->found, by_hash);
    for (size_t i = 0; i < all->count; i++) {
        struct found *found = &all->found[i];
        struct found *last = count != 0 ? &all->found[count - 1] : NULL;
        if (last != NULL && last->hash == found->hash) {
            last->samples += found->samples;
            last->weight += found->weight;
        } else {
            all->found[count++] = *found;
        }
    }
    all->count = count;
    qsort(all->found, all->count, sizeof *all->found, heaviest_first);
}

/* The time that the weights are of, in ms: this window's part, and of the one before what is still looked at; neither from
 * before the tier was opened. */
static double covered_ms(const hearth__local *local, const struct collection *all,
                         int64_t now_ms) {
    int64_t open_ms = now_ms - local->opened_ms;
    int64_t passed_ms = (int64_t)all->passed_ms;
    int64_t before_ms = open_ms - passed_ms;
    if (before_ms <= 0) {
        return open_ms > 0 ? (double)open_ms : 1;
    }
    before_ms = before_ms < WINDOW_MS ? before_ms : WINDOW_MS;
    double looked_at = (double)(WINDOW_MS - passed_ms) / WINDOW_MS;
    return (double)passed_ms + (double)before_ms * looked_at;
}

static hearth__hot_key hot_key(const struct found *found, double covered) {
    double requests = (double)found->weight / WINDOW_MS * HEARTH__HOT_INTERVAL;
    hearth__hot_key key = {.requests_per_s = (uint64_t)(requests * 1000 / covered + 0.5),
                           .full_size = found->name.size};
    key.key_size = key.full_size < sizeof key.key ? key.full_size : sizeof key.key;
    memcpy(key.key, found->name.bytes, sizeof key.key);
    return key;
}

int32_t hearth__local_hot_keys(hearth__local *local, size_t most,
                               void (*give)(void *arg, const hearth__hot_key *key), void *arg) {
    int64_t now_ms = hearth__boot_ms();
    struct collection all = {.window = hearth__hot_window(now_ms),
                             .passed_ms = (uint64_t)now_ms % WINDOW_MS};
    int32_t status = collect_all(local, &all);
    if (status == HEARTH_OK) {
        add_up(&all);
        double covered = covered_ms(local, &all, now_ms);
        for (size_t i = 0; i < all.count && most != 0; i++) {
            if (all.found[i].samples >= SAMPLES_MIN) {
                hearth__hot_key key = hot_key(&all.found[i], covered);
                give(arg, &key);
                most--;
            }
        }
    }
    hearth__free(all.found);
    return status;
}
