/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: the number of a place, and how often it was given, so that one that is over is not taken for the next. */
#include "tier/queue.h"

#include "base/memory.h"

enum { PLACE_BITS = 24, PIECE = 512 };

_Static_assert(HEARTH__QUEUE_OPERATIONS_MOST <= 1 << PLACE_BITS, "each has a place");

static hearth__slot *place_of(const struct hearth__tickets *tickets, uint64_t place) {
    return &tickets->pieces[place / PIECE][place % PIECE];
}

static uint64_t number_of(uint64_t ticket) {
    return ticket & ((UINT64_C(1) << PLACE_BITS) - 1);
}

int32_t hearth__tickets_open(struct hearth__tickets *tickets, uint64_t most) {
    *tickets = (struct hearth__tickets){
        .pieces = hearth__alloc_zero((most + PIECE - 1) / PIECE, sizeof(hearth__slot *))};
    return tickets->pieces != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

void hearth__tickets_close(struct hearth__tickets *tickets) {
    for (uint64_t i = 0; i * PIECE < tickets->count; i++) {
        hearth__free(tickets->pieces[i]);
    }
    hearth__free(tickets->pieces);
}

/* A place that nobody had yet. */
static bool add_place(struct hearth__tickets *tickets) {
    uint64_t piece = tickets->count / PIECE;
    if (tickets->count % PIECE == 0) {
        tickets->pieces[piece] = hearth__alloc_zero(PIECE, sizeof(hearth__slot));
    }
    if (tickets->pieces[piece] == NULL) {
        return false;
    }
    tickets->first_free = ++tickets->count;
    return true;
}

bool hearth__tickets_give(struct hearth__tickets *tickets, hearth__job *job) {
    if (tickets->first_free == 0 && !add_place(tickets)) {
        return false;
    }
    uint64_t place = tickets->first_free - 1;
    hearth__slot *slot = place_of(tickets, place);
    tickets->first_free = slot->next_free;
    slot->uses++;
    slot->job = job;
    job->ticket = slot->uses << PLACE_BITS | place;
    return true;
}

void hearth__tickets_take_back(struct hearth__tickets *tickets, uint64_t ticket) {
    uint64_t place = number_of(ticket);
    hearth__slot *slot = place_of(tickets, place);
    slot->job = NULL;
    slot->next_free = tickets->first_free;
    tickets->first_free = place + 1;
}

hearth__job *hearth__tickets_find(const struct hearth__tickets *tickets, uint64_t ticket) {
    uint64_t place = number_of(ticket);
    hearth__job *job = place < tickets->count ? place_of(tickets, place)->job : NULL;
    return job != NULL && job->ticket == ticket ? job : NULL;
}

void hearth__tickets_forget(struct hearth__tickets *tickets) {
    for (uint64_t place = 0; place < tickets->count; place++) {
        if (place_of(tickets, place)->job != NULL) {
            hearth__tickets_take_back(tickets, place);
        }
    }
}
