/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/tag_table.h"

#include "base/hash.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define HASH_NONFATAL_OOM        1
#define uthash_malloc(size)      hearth__alloc(size)
#define uthash_free(block, size) hearth__free(block)
#include <uthash.h>

enum { TAGS_MAX = 65536 }; /* that are remembered; the one that came first is asked for again */

struct known {
    UT_hash_handle hh; /* keeps the order in which they came, too */
    hearth__tag_state state;
    uint64_t distrusted; /* so many distrusts there were then */
    size_t size;
    unsigned char tag[];
};

struct hearth__tag_table {
    pthread_mutex_t lock; /* innermost */
    hearth__hash_secret secret;
    struct known *tags;
    _Atomic uint64_t clock;
    _Atomic uint64_t epoch;
    _Atomic uint64_t distrusts;
    uint64_t distrusted; /* as that of a tag: the last of those that are not remembered */
};

hearth__tag_table *hearth__tag_table_create(void) {
    hearth__tag_table *table = hearth__alloc_zero(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    hearth__hash_secret_init(&table->secret);
    atomic_init(&table->clock, 0);
    atomic_init(&table->epoch, 1);
    atomic_init(&table->distrusts, 0);
    if (pthread_mutex_init(&table->lock, NULL) != 0) {
        hearth__free(table);
        return NULL;
    }
    return table;
}

static void forget(hearth__tag_table *table, struct known *known) {
    HASH_DEL(table->tags, known);
    hearth__free(known);
}

void hearth__tag_table_destroy(hearth__tag_table *table) {
    if (table == NULL) {
        return;
    }
    while (table->tags != NULL) {
        forget(table, table->tags);
    }
    (void)pthread_mutex_destroy(&table->lock);
    hearth__free(table);
}

/* ---- tags ------------------------------------------------------------------------------- */

static unsigned hash_of(const hearth__tag_table *table, const void *tag, size_t size) {
    return (unsigned)hearth__hash_key(&table->secret, tag, size);
}

static struct known *find(const hearth__tag_table *table, const void *tag, size_t size) {
    struct known *known = NULL;
    HASH_FIND_BYHASHVALUE(hh, table->tags, tag, size, hash_of(table, tag, size), known);
    return known;
}

bool hearth__tag_table_look(hearth__tag_table *table, const void *tag, size_t size,
                            hearth__tag_state *state) {
    pthread_mutex_lock(&table->lock);
    const struct known *known = find(table, tag, size);
    if (known != NULL) {
        *state = known->state;
    }
    pthread_mutex_unlock(&table->lock);
    return known != NULL;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static void merge(hearth__tag_state *old, const hearth__tag_state *state) {
    bool newer = state->asked_ms >= old->asked_ms;
    if (!hearth__tag_same_epoch(old->stale, state->stale)) {
        *old = newer ? *state : *old;
        return;
    }
    bool keeps_version = old->stale > state->stale || (old->stale == state->stale && !newer);
    old->version = keeps_version ? old->version : state->version;
    old->is_told = keeps_version ? old->is_told : state->is_told;
    old->gone = hearth__tag_same_epoch(old->gone, state->gone) ? later(old->gone, state->gone)
                : newer                                        ? state->gone
                                                               : old->gone;
    old->stale = later(old->stale, state->stale);
    old->asked_ms = newer ? state->asked_ms : old->asked_ms;
}

static void add(hearth__tag_table *table, const void *tag, size_t size,
                const hearth__tag_state *state) {
    struct known *known = hearth__alloc(sizeof *known + size);
    if (known == NULL) {
        return;
    }
    if (HASH_COUNT(table->tags) >= TAGS_MAX) {
        table->distrusted = later(table->distrusted, table->tags->distrusted);
        forget(table, table->tags);
    }
    memset(known, 0, sizeof *known);
    known->state = *state;
    known->size = size;
    memcpy(known->tag, tag, size);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->tags, known->tag, size, hash_of(table, tag, size),
                                known);
    if (known->hh.tbl == NULL) { /* uthash's way to say that its table got no memory */
        hearth__free(known);
    }
}

void hearth__tag_table_learn(hearth__tag_table *table, const void *tag, size_t size,
                             const hearth__tag_state *state) {
    pthread_mutex_lock(&table->lock);
    struct known *known = find(table, tag, size);
    hearth__tag_state learned = *state;
    if (learned.distrusts < (known != NULL ? known->distrusted : table->distrusted)) {
        learned.asked_ms = INT64_MIN;
    }
    if (known == NULL) {
        add(table, tag, size, &learned);
    } else {
        hearth__tag_state before = known->state;
        merge(&known->state, &learned);
        if (before.gone != known->state.gone || before.stale != known->state.stale) {
            hearth__tag_table_go_on(table);
        }
    }
    pthread_mutex_unlock(&table->lock);
}

void hearth__tag_table_distrust(hearth__tag_table *table, const void *tag, size_t size) {
    pthread_mutex_lock(&table->lock);
    struct known *known = find(table, tag, size);
    uint64_t distrusts = atomic_fetch_add(&table->distrusts, 1) + 1;
    if (known != NULL) {
        known->state.asked_ms = INT64_MIN;
        known->distrusted = distrusts;
    } else {
        table->distrusted = distrusts;
    }
    hearth__tag_table_go_on(table);
    pthread_mutex_unlock(&table->lock);
}

uint64_t hearth__tag_table_distrusts(const hearth__tag_table *table) {
    return atomic_load(&table->distrusts);
}

const _Atomic uint64_t *hearth__tag_table_epoch(const hearth__tag_table *table) {
    return &table->epoch;
}

void hearth__tag_table_go_on(hearth__tag_table *table) {
    atomic_fetch_add(&table->epoch, 1);
}

/* ---- the clock -------------------------------------------------------------------------- */

void hearth__tag_table_saw_clock(hearth__tag_table *table, uint64_t time) {
    uint64_t known = atomic_load(&table->clock);
    while ((!hearth__tag_same_epoch(known, time) || known < time) &&
           !atomic_compare_exchange_weak(&table->clock, &known, time)) {
    }
    if (!hearth__tag_same_epoch(known, time)) { /* by another clock they are judged otherwise */
        hearth__tag_table_go_on(table);
    }
}

uint64_t hearth__tag_table_clock(const hearth__tag_table *table) {
    return atomic_load(&table->clock);
}

/* ---- values ----------------------------------------------------------------------------- */

const unsigned char *hearth__tags_next(const unsigned char *tags, size_t size, size_t *at,
                                       size_t *tag_size) {
    if (*at >= size) {
        return NULL;
    }
    const unsigned char *tag = tags + *at + 1;
    *tag_size = tags[*at];
    *at += 1 + *tag_size;
    return tag;
}

static bool holds(uint64_t since, uint64_t stamp) {
    return hearth__tag_same_epoch(since, stamp) && since <= stamp;
}

static enum hearth__tags_verdict judge(const struct known *known, uint64_t clock,
                                       uint64_t stamp, int64_t since_ms) {
    if (known == NULL) {
        return HEARTH__TAGS_UNKNOWN;
    }
    const hearth__tag_state *state = &known->state;
    if (hearth__tag_same_epoch(state->gone, stamp) && stamp < state->gone) {
        return HEARTH__TAGS_GONE; /* which no later answer takes back */
    }
    if (state->asked_ms < since_ms || !hearth__tag_same_epoch(state->gone, clock)) {
        return HEARTH__TAGS_UNKNOWN;
    }
    if (!holds(state->gone, stamp)) {
        return HEARTH__TAGS_GONE;
    }
    return holds(state->stale, stamp) ? HEARTH__TAGS_GOOD : HEARTH__TAGS_STALE;
}

enum hearth__tags_verdict hearth__tag_table_judge(hearth__tag_table *table,
                                                  const unsigned char *tags, size_t size,
                                                  uint64_t stamp, int64_t since_ms,
                                                  hearth__tags_check *check) {
    enum hearth__tags_verdict worst = HEARTH__TAGS_GOOD;
    hearth__tags_check own = {.epoch = atomic_load(&table->epoch), .asked_ms = INT64_MAX};
    const unsigned char *tag = NULL;
    size_t tag_size = 0;
    pthread_mutex_lock(&table->lock);
    for (size_t at = 0; (tag = hearth__tags_next(tags, size, &at, &tag_size)) != NULL;) {
        const struct known *known = find(table, tag, tag_size);
        enum hearth__tags_verdict one =
            judge(known, atomic_load(&table->clock), stamp, since_ms);
        worst = one > worst ? one : worst;
        if (known != NULL && known->state.asked_ms < own.asked_ms) {
            own.asked_ms = known->state.asked_ms;
        }
    }
    pthread_mutex_unlock(&table->lock);
    if (check != NULL) {
        *check = own;
    }
    return worst;
}
