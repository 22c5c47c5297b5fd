/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/sources.h"

#include "base/memory.h"

/*
 * What happens at once. Who opens a source makes it live, then looks whether its epoch still is; who ends an epoch ends it, then
 * looks which sources are live: one of them sees the other. Who opens gives the source its first point in time only if it has none,
 * and who ends an epoch gives it one that it keeps. A number is used again only when nobody can still be at its last use:
 * a life and a second later.
 *
 * The untold source is replaced when the epoch has begun already: who was given the new one sends behind that, so what he reads
 * is told of.
 */

enum {
    NOT_YET = 0,      /* until: of a source that is being opened */
    ENDED = 1,        /* until: its epoch has */
    LATE_MS = 1000,   /* before a number is used again */
    UNTOLD_MS = 1000, /* a life of what nobody is told of */
};

/* A source's word: its state, node and epoch. */
#define STATE_AT 62
enum state { FREE, OPENING, LIVE, CLOSED }; /* OPENING: the untold one is, too */
#define NODES_MAX (UINT32_C(1) << (STATE_AT - 32))

struct source {
    _Atomic uint64_t word;
    _Atomic int64_t answered_ms;
    _Atomic int64_t closed_ms;
};

struct node {
    _Atomic uint32_t epoch; /* odd: its changes are told */
    _Atomic int64_t client_id;
    _Atomic int64_t proven_ms;
};

struct hearth__sources {
    _Atomic int64_t until_ms[HEARTH__SOURCES];
    struct source all[HEARTH__SOURCES];
    int64_t grace_ms;
    int64_t life_ms;
    _Atomic uint32_t next; /* where to look for a number first */
    _Atomic uint32_t untold;
    uint32_t nodes_count;
    struct node nodes[];
};

static uint64_t word_of(enum state state, uint32_t node, uint32_t epoch) {
    return (uint64_t)state << STATE_AT | (uint64_t)node << 32 | epoch;
}

static enum state state_of(uint64_t word) {
    return (enum state)(word >> STATE_AT);
}

static uint32_t node_of(uint64_t word) {
    return (uint32_t)(word >> 32) & (NODES_MAX - 1);
}

static uint32_t epoch_of(uint64_t word) {
    return (uint32_t)word;
}

static bool is_over(int64_t until_ms) {
    return until_ms == ENDED || until_ms == HEARTH__SOURCE_FLUSHED;
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* Whether nobody can be at the last use of a number any more. */
static bool is_free(const hearth__sources *sources, uint32_t source, uint64_t word,
                    int64_t now_ms) {
    if (state_of(word) != CLOSED) {
        return state_of(word) == FREE;
    }
    int64_t since_ms = now_ms - atomic_load(&sources->all[source].closed_ms);
    return since_ms - LATE_MS >= sources->life_ms;
}

/* A number, which is OPENING now; 0: there is none. */
static uint32_t take_number(hearth__sources *sources, int64_t now_ms) {
    uint32_t first = atomic_load(&sources->next);
    for (uint32_t i = 0; i < HEARTH__SOURCES; i++) {
        uint32_t source = (first + i) % HEARTH__SOURCES;
        uint64_t word = atomic_load(&sources->all[source].word);
        if (source != 0 && is_free(sources, source, word, now_ms) &&
            atomic_compare_exchange_strong(&sources->all[source].word, &word,
                                           word_of(OPENING, 0, 0))) {
            atomic_store(&sources->next, source + 1);
            return source;
        }
    }
    return 0;
}

/* What was asked for with the untold source until now is good no more. */
static void renew_untold(hearth__sources *sources, int64_t now_ms, int64_t end) {
    uint32_t next = take_number(sources, now_ms);
    if (next != 0) {
        atomic_store(&sources->until_ms[next], INT64_MAX);
    }
    uint32_t before = atomic_exchange(&sources->untold, next);
    if (before != 0) {
        atomic_store(&sources->until_ms[before], end);
        atomic_store(&sources->all[before].closed_ms, now_ms - sources->life_ms + UNTOLD_MS);
        atomic_store(&sources->all[before].word, word_of(CLOSED, 0, 0));
    }
}

uint32_t hearth__sources_untold(const hearth__sources *sources) {
    return atomic_load(&sources->untold);
}

bool hearth__sources_tells(const hearth__sources *sources, uint32_t source) {
    int64_t until_ms = atomic_load(&sources->until_ms[source]);
    return until_ms != INT64_MAX && !is_over(until_ms);
}

hearth__sources *hearth__sources_create(uint32_t nodes, int64_t grace_ms, int64_t life_ms) {
    hearth__sources *sources =
        hearth__alloc_zero(1, sizeof *sources + nodes * sizeof(struct node));
    if (sources == NULL) {
        return NULL;
    }
    sources->grace_ms = grace_ms;
    sources->life_ms = life_ms;
    sources->nodes_count = nodes;
    atomic_init(&sources->until_ms[0], INT64_MAX);
    renew_untold(sources, 0, ENDED);
    return sources;
}

void hearth__sources_destroy(hearth__sources *sources) {
    hearth__free(sources);
}

const _Atomic int64_t *hearth__sources_until_ms(const hearth__sources *sources) {
    return sources->until_ms;
}

/* ---- the formula ------------------------------------------------------------------------ */

static int64_t until_of(const hearth__sources *sources, uint32_t source, uint32_t node) {
    int64_t heard_ms = atomic_load(&sources->nodes[node].proven_ms);
    int64_t answered_ms = atomic_load(&sources->all[source].answered_ms);
    return (heard_ms < answered_ms ? heard_ms : answered_ms) + sources->grace_ms;
}

/* ---- the listener ----------------------------------------------------------------------- */

void hearth__sources_begin(hearth__sources *sources, uint32_t node, int64_t client_id,
                           int64_t sent_ms, int64_t now_ms) {
    struct node *own = &sources->nodes[node];
    atomic_store(&own->client_id, client_id);
    atomic_store(&own->proven_ms, sent_ms);
    atomic_fetch_or(&own->epoch, 1);
    renew_untold(sources, now_ms, ENDED);
}

void hearth__sources_prove(hearth__sources *sources, uint32_t node, int64_t sent_ms) {
    const struct node *own = &sources->nodes[node];
    atomic_store(&sources->nodes[node].proven_ms, sent_ms);
    uint64_t live = word_of(LIVE, node, atomic_load(&own->epoch));
    for (uint32_t i = 1; i < HEARTH__SOURCES; i++) {
        int64_t before = atomic_load(&sources->until_ms[i]);
        if (atomic_load(&sources->all[i].word) == live && before != NOT_YET &&
            !is_over(before)) {
            (void)atomic_compare_exchange_strong(&sources->until_ms[i], &before,
                                                 until_of(sources, i, node));
        }
    }
}

static void end_source(hearth__sources *sources, uint32_t source, int64_t end) {
    if (atomic_load(&sources->until_ms[source]) != HEARTH__SOURCE_FLUSHED) {
        atomic_store(&sources->until_ms[source], end);
    }
}

/* Whether a source may have brought something of a node's: the untold ones of before have no epoch, and are of all nodes. */
static bool is_of(uint64_t word, uint32_t node) {
    return state_of(word) >= LIVE && (node_of(word) == node || epoch_of(word) == 0);
}

/* False: it had ended. */
static bool end_epoch(hearth__sources *sources, uint32_t node, int64_t end) {
    struct node *own = &sources->nodes[node];
    uint32_t epoch = atomic_load(&own->epoch);
    if ((epoch & 1) == 0) {
        return false;
    }
    atomic_store(&own->epoch, epoch + 1);
    for (uint32_t i = 1; i < HEARTH__SOURCES; i++) {
        uint64_t word = atomic_load(&sources->all[i].word);
        if (is_of(word, node)) {
            end_source(sources, i, end);
        }
    }
    return true;
}

void hearth__sources_end(hearth__sources *sources, uint32_t node, int64_t now_ms) {
    if (end_epoch(sources, node, ENDED)) {
        renew_untold(sources, now_ms, ENDED);
    }
}

void hearth__sources_flushed(hearth__sources *sources, uint32_t node, int64_t now_ms) {
    if (end_epoch(sources, node, HEARTH__SOURCE_FLUSHED)) {
        renew_untold(sources, now_ms, HEARTH__SOURCE_FLUSHED);
    }
}

void hearth__sources_forked(hearth__sources *sources, int64_t now_ms) {
    for (uint32_t i = 0; i < sources->nodes_count; i++) {
        (void)end_epoch(sources, i, ENDED);
    }
    atomic_store(&sources->untold, 0);
    for (uint32_t i = 1; i < HEARTH__SOURCES; i++) {
        uint64_t word = atomic_load(&sources->all[i].word);
        if (state_of(word) != FREE) {
            end_source(sources, i, ENDED);
            atomic_store(&sources->all[i].closed_ms, now_ms);
            atomic_store(&sources->all[i].word, word_of(CLOSED, node_of(word), epoch_of(word)));
        }
    }
    renew_untold(sources, now_ms, ENDED);
}

/* ---- connections ------------------------------------------------------------------------ */

hearth__redirect hearth__sources_redirect(const hearth__sources *sources, uint32_t node) {
    const struct node *own = &sources->nodes[node];
    hearth__redirect redirect = {.epoch = atomic_load(&own->epoch)};
    redirect.client_id = atomic_load(&own->client_id);
    bool is_one = (redirect.epoch & 1) != 0 && atomic_load(&own->epoch) == redirect.epoch;
    return is_one ? redirect : (hearth__redirect){0};
}

uint32_t hearth__sources_open(hearth__sources *sources, uint32_t node, uint32_t epoch,
                              int64_t sent_ms, int64_t now_ms) {
    uint32_t source = (epoch & 1) != 0 ? take_number(sources, now_ms) : 0;
    if (source == 0) {
        return 0;
    }
    int64_t until_ms = NOT_YET;
    atomic_store(&sources->until_ms[source], NOT_YET);
    atomic_store(&sources->all[source].answered_ms, sent_ms);
    atomic_store(&sources->all[source].word, word_of(LIVE, node, epoch));
    if (atomic_load(&sources->nodes[node].epoch) != epoch) {
        hearth__sources_close(sources, source, now_ms);
        return 0;
    }
    (void)atomic_compare_exchange_strong(&sources->until_ms[source], &until_ms,
                                         until_of(sources, source, node));
    return source;
}

void hearth__sources_answered(hearth__sources *sources, uint32_t source, int64_t sent_ms) {
    _Atomic int64_t *answered_ms = &sources->all[source].answered_ms;
    int64_t before_ms = atomic_load_explicit(answered_ms, memory_order_relaxed);
    while (before_ms < sent_ms &&
           !atomic_compare_exchange_weak(answered_ms, &before_ms, sent_ms)) {
    }
}

void hearth__sources_close(hearth__sources *sources, uint32_t source, int64_t now_ms) {
    uint64_t word = atomic_load(&sources->all[source].word);
    if (state_of(word) == LIVE) {
        atomic_store(&sources->all[source].closed_ms, now_ms);
        atomic_store(&sources->all[source].word,
                     word_of(CLOSED, node_of(word), epoch_of(word)));
    }
}

/* ---- sources that are not told of what they should be ------------------------------------ */

/* The time first: what is proven later, of another epoch, is not taken for this one's. */
bool hearth__sources_proven_ms(const hearth__sources *sources, uint32_t source,
                               int64_t *proven_ms) {
    uint64_t word = atomic_load(&sources->all[source].word);
    if (state_of(word) != LIVE) {
        return false;
    }
    const struct node *own = &sources->nodes[node_of(word)];
    *proven_ms = atomic_load(&own->proven_ms);
    return atomic_load(&own->epoch) == epoch_of(word);
}

void hearth__sources_distrust(hearth__sources *sources, uint32_t source, int64_t now_ms) {
    hearth__sources_close(sources, source, now_ms);
    atomic_store(&sources->until_ms[source], ENDED);
}
