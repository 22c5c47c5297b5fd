/* SPDX-License-Identifier: Apache-2.0 */
#include "simulation.h"

#include <stdlib.h>

enum {
    MOVES_MOST = 32, /* for one insertion, as in the tier */
    /* Of these, the main queue's; then the window has to make room. */
    MOVES_OF_MAIN = MOVES_MOST / 2,
    REFUSED_FROM = 64, /* a larger part of the bytes is not inserted */
    ENTRY_BYTES = 152, /* that a tier expects, with what an entry costs beside */
};

/* Objects, oldest first; no object is twice in it. */
struct queue {
    uint32_t *items;
    uint32_t places;
    uint32_t oldest;
    uint32_t count;
    uint64_t weight;
};

struct simulation {
    const hearth__policy *policy;
    hearth__policy_state *state;
    const uint64_t *sizes; /* NULL: each object weighs 1 */
    uint64_t capacity;
    struct queue queues[HEARTH__LOGS];
    uint8_t *log_of; /* by object; 0: it is not there */
    uint8_t *mark_of;
    bool was_full;
    uint64_t wanted;     /* by the window */
    unsigned moves_left; /* for the present insertion */
    struct simulation_outcome outcome;
};

/* splitmix64's finish (Steele, Lea, Flood 2014), for the tier's hash of a key. */
static uint64_t hash_of(uint32_t item) {
    uint64_t mixed = item + UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static uint64_t weight_of(const struct simulation *simulation, uint32_t item) {
    uint64_t size = simulation->sizes != NULL ? simulation->sizes[item] : 1;
    return size != 0 ? size : 1;
}

static void push(struct simulation *simulation, hearth__place place, uint32_t item) {
    struct queue *queue = &simulation->queues[place.log];
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero) a policy names a log, and logs have places */
    queue->items[((uint64_t)queue->oldest + queue->count) % queue->places] = item;
    queue->count++;
    queue->weight += weight_of(simulation, item);
    simulation->log_of[item] = (uint8_t)place.log;
    simulation->mark_of[item] = (uint8_t)place.mark;
}

static uint32_t pop(struct simulation *simulation, struct queue *queue) {
    uint32_t item = queue->items[queue->oldest];
    queue->oldest = (queue->oldest + 1) % queue->places;
    queue->count--;
    queue->weight -= weight_of(simulation, item);
    simulation->log_of[item] = 0;
    return item;
}

static bool has_room(const struct simulation *simulation, uint64_t weight) {
    return simulation->queues[HEARTH__WINDOW].weight + simulation->queues[HEARTH__MAIN].weight +
               weight <=
           simulation->capacity;
}

/* Asks the policy about the oldest of a queue. `room_in_main`: nothing has to go yet. */
static void judge(struct simulation *simulation, enum hearth__log_id log, bool room_in_main) {
    uint32_t item = pop(simulation, &simulation->queues[log]);
    hearth__verdict verdict = simulation->policy->judge(
        simulation->state, log, simulation->mark_of[item], room_in_main);
    if (verdict.keep && simulation->moves_left > 0) {
        simulation->moves_left--;
        simulation->outcome.moves++;
        push(simulation, verdict.to, item);
    } else {
        simulation->policy->dropped(simulation->state, log, hash_of(item),
                                    weight_of(simulation, item));
    }
}

/* The queue that has to give way. */
static enum hearth__log_id giver(const struct simulation *simulation) {
    const struct queue *window = &simulation->queues[HEARTH__WINDOW];
    bool over = window->weight >= simulation->wanted ||
                simulation->moves_left <= MOVES_MOST - MOVES_OF_MAIN;
    bool from_window =
        window->count != 0 && (over || simulation->queues[HEARTH__MAIN].count == 0);
    return from_window ? HEARTH__WINDOW : HEARTH__MAIN;
}

/* While there is room for all, what leaves the window goes on to the main queue. */
static void fill_main(struct simulation *simulation, uint64_t weight) {
    const struct queue *window = &simulation->queues[HEARTH__WINDOW];
    while (!simulation->was_full && window->count != 0 &&
           window->weight + weight > simulation->wanted && has_room(simulation, weight) &&
           simulation->moves_left > 0) {
        judge(simulation, HEARTH__WINDOW, true);
    }
}

static void insert(struct simulation *simulation, uint32_t item) {
    uint64_t weight = weight_of(simulation, item);
    if (weight > (simulation->sizes != NULL ? simulation->capacity / REFUSED_FROM
                                            : simulation->capacity)) {
        return;
    }
    hearth__place place = simulation->policy->admit(simulation->state, hash_of(item), weight);
    simulation->moves_left = MOVES_MOST;
    simulation->wanted = simulation->policy->window_bytes(
        simulation->state,
        simulation->was_full ? simulation->queues[HEARTH__WINDOW].weight : simulation->wanted);
    if (place.log == HEARTH__WINDOW) {
        fill_main(simulation, weight);
    }
    while (!has_room(simulation, weight)) {
        simulation->was_full = true;
        judge(simulation, giver(simulation), false);
    }
    push(simulation, place, item);
}

static void play(struct simulation *simulation, const struct requests *requests) {
    for (size_t i = 0; i < requests->count; i++) {
        uint32_t item = requests->items[i];
        if (simulation->log_of[item] == 0) {
            simulation->outcome.misses++;
            insert(simulation, item);
        } else if (simulation->mark_of[item] < simulation->policy->mark_max) {
            simulation->mark_of[item]++;
        }
    }
}

int simulate(const hearth__policy *policy, const struct requests *requests,
             const struct simulation_size *size, struct simulation_outcome *outcome) {
    uint64_t expected = size->in_bytes ? size->capacity / ENTRY_BYTES + 1 : size->capacity;
    size_t state_bytes = policy->state_bytes(expected);
    size_t distinct = (size_t)requests->distinct + 1;
    struct simulation simulation = {.policy = policy,
                                    .sizes = size->in_bytes ? requests->sizes : NULL,
                                    .capacity = size->capacity,
                                    .state = calloc(1, state_bytes + 1),
                                    .log_of = calloc(distinct, 1),
                                    .mark_of = calloc(distinct, 1)};
    bool made =
        simulation.state != NULL && simulation.log_of != NULL && simulation.mark_of != NULL;
    for (int log = HEARTH__WINDOW; log < HEARTH__LOGS; log++) {
        simulation.queues[log].items = malloc(distinct * sizeof(uint32_t));
        simulation.queues[log].places = (uint32_t)distinct;
        made = made && simulation.queues[log].items != NULL;
    }
    if (made) {
        if (state_bytes != 0) {
            policy->init(simulation.state, state_bytes, size->capacity);
        }
        play(&simulation, requests);
        *outcome = simulation.outcome;
    }
    for (int log = HEARTH__WINDOW; log < HEARTH__LOGS; log++) {
        free(simulation.queues[log].items);
    }
    free(simulation.state);
    free(simulation.log_of);
    free(simulation.mark_of);
    return made ? 0 : -1;
}
