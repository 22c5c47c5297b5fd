/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread looks at, and what of it goes into its table. Adding up is in hot_keys_sum.c. */
#include "local/hot_keys.h"

#include "base/clock.h"
#include "base/hash_key.h"
#include "base/racy.h"
#include "base/random.h"
#include "base/stat.h"
#include "local/tags.h"

#define ONE_SAMPLE (UINT64_C(1) << HEARTH__HOT_NOW_AT)

/* Twice the places: some sets are full before others. */
enum { AT_FIRST_SIGHT = 2 * HEARTH__HOT_SETS * HEARTH__HOT_WAYS };

uint64_t hearth__hot_carried(uint64_t count, uint64_t window) {
    switch ((uint16_t)(window - count)) {
    case 0:
    case UINT16_MAX: /* its thread has seen the next window already */
        return count;
    case 1:
        return hearth__hot_now(count) << HEARTH__HOT_BEFORE_AT | (uint16_t)window;
    default:
        return (uint16_t)window;
    }
}

/* The multiplier and increment of Knuth's MMIX; its high bits are good. */
static uint64_t next_random(hearth__hot_table *table) {
    table->random = table->random * 6364136223846793005u + 1442695040888963407u;
    return table->random;
}

/* How far it is to the next sample, at random: a fixed interval could keep step with what the application does. */
static uint64_t interval(hearth__hot_table *table) {
    return 1 + ((next_random(table) >> 32) * (2 * HEARTH__HOT_INTERVAL - 1) >> 32);
}

/* The same for who comes in at any point of an interval: a thread that asks little is looked at as often as others. */
static uint64_t rest_of_interval(hearth__hot_table *table) {
    uint64_t one = interval(table);
    uint64_t other = interval(table);
    return one < other ? one : other;
}

static uint64_t load(const _Atomic uint64_t *at) {
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void store(_Atomic uint64_t *at, uint64_t word) {
    atomic_store_explicit(at, word, memory_order_relaxed);
}

/* ---- windows ---------------------------------------------------------------------------- */

/* Every window has its turn, or counts would come back when the 16 bits of its number do. */
static void carry(hearth__hot_table *table, uint64_t window) {
    uint64_t last = load(&table->window);
    for (size_t i = 0; i < HEARTH__HOT_SETS; i++) {
        for (size_t way = 0; way < HEARTH__HOT_WAYS; way++) {
            _Atomic uint64_t *count = &table->sets[i].counts[way];
            store(count, window - last == 1 ? hearth__hot_carried(load(count), window)
                                            : (uint16_t)window);
        }
    }
    table->at_first_sight = AT_FIRST_SIGHT;
    atomic_store_explicit(&table->window, window, memory_order_release);
}

/* ---- the table -------------------------------------------------------------------------- */

/* What was counted of a key in both windows. */
static uint64_t samples_of(uint64_t count) {
    return hearth__hot_now(count) + hearth__hot_before(count);
}

/* Of a set, the place least counted in this window; what was counted before is looked at when that one shall go. */
static size_t weakest(const hearth__hot_set *set) {
    size_t least = 0;
    uint64_t least_count = load(&set->counts[0]);
    for (size_t way = 1; way < HEARTH__HOT_WAYS; way++) {
        uint64_t count = load(&set->counts[way]);
        least = count < least_count ? way : least;
        least_count = count < least_count ? count : least_count;
    }
    return least;
}

/* Gives a place of the table to a key of which at most HEARTH__HOT_KEY_BYTES are given. */
static void take_place(hearth__hot_table *table, size_t set, size_t way, uint64_t hash,
                       const void *key, uint64_t key_size, uint64_t count) {
    _Atomic uint64_t *place = &table->sets[set].hashes[way];
    hearth__hot_name *name = &table->names[set][way];
    store(place, 0);
    hearth__racy_fence_release();
    hearth__racy_write(&name->size, &key_size, sizeof name->size);
    hearth__racy_write(name->bytes, key,
                       key_size < sizeof name->bytes ? key_size : sizeof name->bytes);
    store(&table->sets[set].counts[way], count);
    atomic_store_explicit(place, hash, memory_order_release);
}

/* With a chance of `for_it` in `for_it` + `against`. */
static bool wins(hearth__hot_table *table, uint64_t for_it, uint64_t against) {
    return (next_random(table) >> 32) * (for_it + against) >> 32 < for_it;
}

/* A key takes the place of the weakest of its set: who was seen twice, the less likely the stronger that one is; who was seen
 * once, if there is nobody. */
static __attribute__((noinline)) void admit(hearth__hot_table *table, uint64_t hash,
                                            const void *key, size_t key_size, bool again) {
    size_t set = hearth__hot_set_of(hash);
    size_t way = weakest(&table->sets[set]);
    uint64_t samples = samples_of(load(&table->sets[set].counts[way]));
    table->at_first_sight -= !again;
    if (samples == 0 || (again && wins(table, 1, samples))) {
        take_place(table, set, way, hash, key, key_size,
                   (again ? 2 : 1) * ONE_SAMPLE | (uint16_t)load(&table->window));
    }
}

/* The way of a set that a key has; HEARTH__HOT_WAYS: none. */
static size_t way_of(const hearth__hot_set *set, uint64_t hash) {
    for (unsigned equal = hearth__tags_equal(set->hashes, hash); equal != 0;
         equal &= equal - 1) {
        size_t way = hearth__tags_first(equal);
        if (load(&set->hashes[way]) == hash) {
            return way;
        }
    }
    return HEARTH__HOT_WAYS;
}

static void look_at(hearth__hot_table *table, uint64_t hash, const void *key, size_t key_size) {
    hearth__hot_set *set = &table->sets[hearth__hot_set_of(hash)];
    size_t way = way_of(set, hash);
    if (way < HEARTH__HOT_WAYS) {
        store(&set->counts[way], load(&set->counts[way]) + ONE_SAMPLE);
        return;
    }
    uint32_t *seen = &table->seen[hash >> (64 - HEARTH__HOT_SEEN_BITS)];
    uint32_t mark = (uint32_t)hash;
    bool again = *seen == mark;
    *seen = mark;
    if (again || table->at_first_sight != 0) {
        admit(table, hash, key, key_size, again);
    }
}

/* In a window that is new to the thread. */
static __attribute__((noinline)) void begin_window(hearth__seat *seat, uint64_t window,
                                                   uint64_t hash, const void *key,
                                                   size_t key_size) {
    hearth__hot_table *table = seat->extra;
    uint64_t hits = load(&seat->counters[HEARTH__STAT_local_hits]);
    bool is_new = load(&table->window) == 0;
    if (is_new) { /* the thread's first request is not always the first to be looked at */
        table->random = hearth__random_u64();
        seat->due = hits + rest_of_interval(table) - 1;
    }
    carry(table, window);
    if (hearth__hot_is_due(seat, hits)) {
        seat->due += interval(table);
        look_at(table, hash, key, key_size);
    }
}

__attribute__((flatten)) void hearth__hot_sample(hearth__local *local, hearth__seat *seat,
                                                 const void *key, size_t key_size) {
    hearth__hot_table *table = seat->extra;
    uint64_t window = hearth__hot_window(hearth__boot_last_ms());
    uint64_t hash =
        hearth__hash_key_inline(&local->secret, key, key_size) | 1; /* 0 is a free place */
    if (window != load(&table->window)) {
        begin_window(seat, window, hash, key, key_size);
        return;
    }
    seat->due += interval(table);
    look_at(table, hash, key, key_size);
}

/* ---- threads that end ------------------------------------------------------------------- */

static void fold_key(hearth__hot_table *common, const hearth__hot_table *ended, size_t set,
                     size_t way) {
    uint64_t window = load(&common->window);
    uint64_t hash = load(&ended->sets[set].hashes[way]);
    uint64_t count = hearth__hot_carried(load(&ended->sets[set].counts[way]), window);
    hearth__hot_set *into = &common->sets[set];
    size_t own = way_of(into, hash);
    if (own < HEARTH__HOT_WAYS) {
        store(&into->counts[own], load(&into->counts[own]) + (count & ~(uint64_t)UINT16_MAX));
        return;
    }
    size_t least = weakest(into);
    if (wins(common, samples_of(count), samples_of(load(&into->counts[least])))) {
        const hearth__hot_name *name = &ended->names[set][way];
        take_place(common, set, least, hash, name->bytes, name->size, count);
    }
}

static void fold(void *into, const void *from) {
    hearth__hot_table *common = into;
    const hearth__hot_table *ended = from;
    uint64_t window = load(&ended->window);
    if (window > load(&common->window)) {
        carry(common, window);
    }
    if (window + 1 < load(&common->window)) {
        return; /* it is over */
    }
    for (size_t set = 0; set < HEARTH__HOT_SETS; set++) {
        for (size_t way = 0; way < HEARTH__HOT_WAYS; way++) {
            if (load(&ended->sets[set].hashes[way]) !=
                0) { /* and 0 samples win against nobody */
                fold_key(common, ended, set, way);
            }
        }
    }
}

hearth__seats *hearth__local_seats_create(void) {
    const hearth__seats_extra extra = {.bytes = sizeof(hearth__hot_table), .fold = fold};
    return hearth__seats_create_with(HEARTH__STATS, &extra);
}

/* ---- requests beside the short way ------------------------------------------------------ */

static void sample(hearth__local *local, hearth__seat *seat, const void *key, size_t key_size) {
    (void)hearth__boot_coarse_ms();
    hearth__hot_sample(local, seat, key, key_size);
}

void hearth__local_count_hit(hearth__local *local, hearth__seat *seat, const void *key,
                             size_t key_size) {
    uint64_t hits = hearth__seat_add(seat, HEARTH__STAT_local_hits, 1);
    if (hearth__hot_is_due(seat, hits)) {
        sample(local, seat, key, key_size);
    }
}

/* The next sample is due after so many hits; what is no hit brings it one nearer. */
void hearth__local_count_miss(hearth__local *local, hearth__seat *seat, const void *key,
                              size_t key_size) {
    (void)hearth__seat_add(seat, HEARTH__STAT_reads, 1);
    if (seat->shared || seat->due == UINT64_MAX) {
        return;
    }
    seat->due -= seat->due != 0;
    if (hearth__hot_is_due(seat, load(&seat->counters[HEARTH__STAT_local_hits]))) {
        sample(local, seat, key, key_size);
    }
}
