/* SPDX-License-Identifier: Apache-2.0 */
#include "explorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUESSES = 2,
    THREAD_CHOICES = OPS_MAX * GUESSES,
    CHOICES = THREADS_MAX * THREAD_CHOICES,
    DEPTH = THREADS_MAX * OPS_MAX
};

/* All that the rest of a run depends on. No padding: states are compared as bytes. */
struct state {
    uint32_t done[THREADS_MAX];    /* operations performed, as bits */
    uint32_t guessed[THREADS_MAX]; /* operations whose place was taken to be the second */
    uint32_t during;
    uint8_t memory[PLACES_MAX];
    uint8_t registers[THREADS_MAX][REGISTERS_MAX];
    uint8_t value;
    uint8_t zero[3];
};

_Static_assert(sizeof(struct state) ==
                   4 * (2 * THREADS_MAX + 1) + PLACES_MAX + THREADS_MAX * REGISTERS_MAX + 4,
               "states have no padding");

struct frame {
    struct state state;
    size_t next; /* choice */
    size_t taken;
};

struct search {
    const struct scene *scene;
    uint32_t waits[THREADS_MAX][OPS_MAX]; /* for which earlier operations, as bits */
    uint32_t all[THREADS_MAX];            /* operations that are performed: all but fences */
    struct state *seen; /* a hash table; an empty place has no value in zero[0] */
    size_t seen_max;    /* a power of two */
    size_t seen_count;
    struct frame path[DEPTH + 1];
};

struct op *add_op(struct thread *thread, struct op op) {
    thread->ops[thread->count] = op;
    return &thread->ops[thread->count++];
}

/* ---- what the model keeps in order ---- */

static bool loads(const struct op *op) {
    return op->kind == LOAD || op->kind == SWAP_IF_SAME;
}

static bool stores(const struct op *op) {
    return op->kind == STORE || op->kind == SWAP_IF_SAME;
}

static bool fence_orders(const struct op *fence, const struct op *earlier,
                         const struct op *later) {
    return (fence->order == ACQUIRE && loads(earlier)) ||
           (fence->order == RELEASE && stores(later)) || fence->order == SEQUENTIAL;
}

static bool depends(const struct op *earlier, const struct op *later) {
    return loads(earlier) && stores(later) &&
           (later->when != NULL || later->from == (int8_t)earlier->to);
}

static bool must_wait(const struct thread *thread, size_t i, size_t j) {
    const struct op *earlier = &thread->ops[i];
    const struct op *later = &thread->ops[j];
    bool waits = (earlier->place == later->place && earlier->by == later->by) ||
                 (earlier->order == ACQUIRE && loads(earlier)) ||
                 (later->order == RELEASE && stores(later)) || depends(earlier, later);
    for (size_t k = i + 1; k < j; k++) {
        waits = waits ||
                (thread->ops[k].kind == FENCE && fence_orders(&thread->ops[k], earlier, later));
    }
    return waits;
}

static void order_thread(struct search *search, size_t index) {
    const struct thread *thread = &search->scene->threads[index];
    for (size_t j = 0; j < thread->count; j++) {
        if (thread->ops[j].kind == FENCE) {
            continue;
        }
        search->all[index] |= UINT32_C(1) << j;
        for (size_t i = 0; i < j; i++) {
            if (thread->ops[i].kind != FENCE && must_wait(thread, i, j)) {
                search->waits[index][j] |= UINT32_C(1) << i;
            }
        }
    }
}

/* ---- one step ---- */

/* Whether every place that was guessed from the register is what the register now says. */
static bool guesses_hold(const struct search *search, const struct state *state, size_t t,
                         uint8_t to) {
    const struct thread *thread = &search->scene->threads[t];
    uint8_t says = search->scene->which(state->registers[t][to]);
    for (size_t i = 0; i < thread->count; i++) {
        if (thread->ops[i].by == (int8_t)to && (state->done[t] >> i & 1) != 0 &&
            (state->guessed[t] >> i & 1) != says) {
            return false;
        }
    }
    return true;
}

static bool is_known(const struct search *search, const struct state *state, size_t t,
                     int8_t to) {
    const struct thread *thread = &search->scene->threads[t];
    for (size_t i = 0; i < thread->count; i++) {
        if (loads(&thread->ops[i]) && thread->ops[i].to == (uint8_t)to) {
            return (state->done[t] >> i & 1) != 0;
        }
    }
    return true;
}

static void perform(const struct op *op, const void *arg, uint8_t *registers, uint8_t *memory,
                    bool *stored) {
    uint8_t from = op->from == FIXED ? 0 : registers[op->from];
    bool may = op->when == NULL || op->when(registers, arg);
    if (op->kind == LOAD) {
        registers[op->to] = *memory;
    } else if (op->kind == STORE) {
        *stored = may;
        *memory = may ? (uint8_t)(from + op->value) : *memory;
    } else {
        *stored = may && *memory == from;
        *memory = *stored ? (uint8_t)(from + op->value) : *memory;
        registers[op->to] = *stored;
    }
}

/* The second guess is only for operations whose place is not yet known. */
static bool may_be(const struct search *search, const struct state *state, size_t t,
                   const struct op *op, uint8_t guess) {
    if (op->by == FIXED) {
        return guess == 0;
    }
    return !is_known(search, state, t, op->by) ||
           search->scene->which(state->registers[t][op->by]) == guess;
}

/* Whether the choice can be taken in the state; then the state is that after it. */
static bool take(const struct search *search, size_t choice, struct state *state) {
    size_t t = choice / THREAD_CHOICES;
    size_t i = choice / GUESSES % OPS_MAX;
    uint8_t guess = choice % GUESSES;
    const struct op *op = &search->scene->threads[t].ops[i];
    if ((search->all[t] >> i & 1) == 0 || (state->done[t] >> i & 1) != 0 ||
        (search->waits[t][i] & ~state->done[t]) != 0 || !may_be(search, state, t, op, guess)) {
        return false;
    }
    if (t == 0) {
        state->during |= UINT32_C(1) << state->value;
    }
    bool stored = false;
    uint8_t *memory = &state->memory[op->place + guess * search->scene->stride];
    perform(op, search->scene->arg, state->registers[t], memory, &stored);
    state->done[t] |= UINT32_C(1) << i;
    state->guessed[t] |= (uint32_t)guess << i;
    if (stored && op->becomes != NO_CHANGE && (!op->if_present || state->value != 0)) {
        state->value = (uint8_t)op->becomes;
        bool watched = state->done[0] != 0 && state->done[0] != search->all[0];
        state->during |= watched ? UINT32_C(1) << state->value : 0;
    }
    return !loads(op) || search->scene->which == NULL || guesses_hold(search, state, t, op->to);
}

/* ---- states seen ---- */

static uint64_t hash_of(const struct state *state) {
    const unsigned char *bytes = (const unsigned char *)state;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *state; i++) {
        hash = (hash ^ bytes[i]) * 1099511628211u;
    }
    return hash ^ hash >> 32;
}

/* Where the state is, or would be. */
static struct state *place_of(struct state *seen, size_t max, const struct state *state) {
    size_t at = hash_of(state) & (max - 1);
    while (seen[at].zero[0] != 0 && memcmp(&seen[at], state, sizeof *state) != 0) {
        at = (at + 1) & (max - 1);
    }
    return &seen[at];
}

static bool grow(struct search *search) {
    size_t max = search->seen_max != 0 ? search->seen_max * 2 : 1024;
    struct state *seen = calloc(max, sizeof *seen);
    if (seen == NULL) {
        return false;
    }
    for (size_t i = 0; i < search->seen_max; i++) {
        if (search->seen[i].zero[0] != 0) {
            *place_of(seen, max, &search->seen[i]) = search->seen[i];
        }
    }
    free(search->seen);
    search->seen = seen;
    search->seen_max = max;
    return true;
}

enum news { OLD, NEW, NO_ROOM };

static enum news note(struct search *search, struct state *state) {
    if (search->seen_count * 2 >= search->seen_max && !grow(search)) {
        return NO_ROOM;
    }
    state->zero[0] = 1;
    struct state *place = place_of(search->seen, search->seen_max, state);
    if (place->zero[0] != 0) {
        return OLD;
    }
    *place = *state;
    search->seen_count++;
    return NEW;
}

/* ---- the search ---- */

static bool is_wrong(const struct search *search, const struct state *state) {
    for (size_t t = 0; t < search->scene->count; t++) {
        if (state->done[t] != search->all[t]) {
            return false;
        }
    }
    const struct end end = {.memory = state->memory,
                            .registers = state->registers,
                            .during = state->during,
                            .scene = search->scene};
    return search->scene->wrong(&end);
}

/* The steps as T:I=V, thread, operation and what memory held after it. */
static void write_trace(const struct search *search, size_t depth, struct finding *finding) {
    size_t used = 0;
    for (size_t d = 0; d < depth && used < sizeof finding->trace; d++) {
        size_t t = search->path[d].taken / THREAD_CHOICES;
        size_t i = search->path[d].taken / GUESSES % OPS_MAX;
        size_t guess = search->path[d].taken % GUESSES;
        const struct op *op = &search->scene->threads[t].ops[i];
        size_t place = op->place + guess * search->scene->stride;
        int size =
            snprintf(finding->trace + used, sizeof finding->trace - used, "%s%zu:%zu(%c%zu=%u)",
                     d != 0 ? " " : "", t, i, op->kind == LOAD ? 'r' : 'w', place,
                     search->path[d + 1].state.memory[place]);
        used += size > 0 ? (size_t)size : sizeof finding->trace;
    }
}

/* Depth first, without recursion: path[] is the run so far. */
static void search_all(struct search *search, struct finding *finding) {
    size_t depth = 0;
    finding->complete = note(search, &search->path[0].state) == NEW;
    while (finding->complete) {
        struct frame *frame = &search->path[depth];
        if (frame->next == CHOICES) {
            if (depth-- == 0) {
                break;
            }
            continue;
        }
        struct frame *child = &search->path[depth + 1];
        child->state = frame->state;
        frame->taken = frame->next++;
        if (!take(search, frame->taken, &child->state)) {
            continue;
        }
        enum news news = note(search, &child->state);
        finding->complete = news != NO_ROOM;
        if (news == NEW) {
            child->next = 0;
            depth++;
            if (is_wrong(search, &child->state)) {
                finding->wrong = true;
                write_trace(search, depth, finding);
                break;
            }
        }
    }
}

struct finding explore(const struct scene *scene) {
    struct finding finding = {0};
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL) {
        return finding;
    }
    search->scene = scene;
    for (size_t t = 0; t < scene->count; t++) {
        order_thread(search, t);
    }
    memcpy(search->path[0].state.memory, scene->memory, sizeof scene->memory);
    search->path[0].state.value = scene->value;
    search_all(search, &finding);
    finding.states = search->seen_count;
    free(search->seen);
    free(search);
    return finding;
}
