/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of requests after the shape of a real one.
 *
 * Two things decide what a cache makes of a stream: how far back the objects lie that are asked
 * for again (the stack distance of Mattson and others, 1970: the number of distinct objects
 * requested since, which is the size from which on LRU hits), and which objects those are. A
 * model of distances alone gives LRU's miss ratio at every size, but spreads the requests over
 * all objects alike; a model of popularity alone has no bursts. So here a distance band is
 * drawn first, and an object within the band by popularity.
 *
 * The figures in the tables were measured on cache2k-web12 (95,607 requests for pages of a
 * shop; published by headissue GmbH and Jens Wilke with the cache2k benchmarks, CC BY 4.0):
 * counts of requests by band, by rank and by time, no request itself. All arithmetic is on
 * integers, so that a seed means the same stream everywhere. */
#include "requests.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = REQUESTS_WEB_COUNT, DISTINCT = REQUESTS_WEB_DISTINCT };

/* Requests by stack distance: band b holds the distances above 2^(b-1) up to 2^b (band 0: the
 * same object again). */
static const uint32_t reuses_by_band[] = {5521, 2187, 1941, 2909, 4631, 6213, 6695, 7148,
                                          7708, 8700, 8501, 7459, 6086, 4588, 1564};
enum { BANDS = sizeof reuses_by_band / sizeof reuses_by_band[0] };

/* First requests for an object, by tenth of the stream. */
static const uint32_t births_by_tenth[] = {4499, 1794, 1062, 1123, 1035,
                                           1132, 1016, 955,  612,  528};

/* Requests for the object of a rank in popularity, straight lines between. The last 6,207
 * objects are asked for once. */
static const struct {
    uint32_t rank, requests;
} popularity[] = {{1, 914},  {3, 727},   {5, 713},  {8, 557},  {10, 460},  {20, 307},
                  {50, 204}, {100, 135}, {200, 87}, {500, 34}, {1000, 14}, {2000, 6},
                  {3000, 4}, {5000, 3},  {5200, 2}, {7549, 2}, {7550, 1},  {DISTINCT, 1}};

/* So many objects of a band compete for a request. With fewer the popularity curve comes out
 * too flat (four: half of the real one at the top), with more no better. */
enum { RIVALS = 8 };

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(uint64_t *state) {
    uint64_t mixed = (*state += 0x9E3779B97F4A7C15U);
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
}

/* A number below `end`; the bias of 2^-32 does not matter here. */
static uint32_t draw_below(uint64_t *state, uint32_t end) {
    return (uint32_t)(((draw(state) >> 32) * end) >> 32);
}

/* ---- weights that change, drawn from in log n (Fenwick 1994) ---- */

struct weights {
    uint32_t *sums; /* 1-based */
    uint32_t count;
    uint32_t total;
};

static void add_weight(struct weights *weights, uint32_t at, int32_t change) {
    weights->total += (uint32_t)change;
    for (uint32_t i = at + 1; i <= weights->count; i += i & (~i + 1)) {
        weights->sums[i] += (uint32_t)change;
    }
}

/* The place in which the running sum of weights passes `sum`, which is below the total. */
static uint32_t find_place(const struct weights *weights, uint32_t sum) {
    uint32_t at = 0;
    for (uint32_t step = 1U << 17; step > 0; step /= 2) {
        if (at + step <= weights->count && weights->sums[at + step] <= sum) {
            at += step;
            sum -= weights->sums[at];
        }
    }
    return at;
}

/* ---- the model ---- */

struct model {
    uint64_t random;
    struct weights unborn; /* by rank: the requests an object is to get, until its first */
    struct weights stack;  /* by time: 1 where the latest request of an object lies */
    uint32_t *left;        /* per item: requests it is still to get */
    uint32_t *latest;      /* per item: time of its latest request */
    struct requests *requests;
};

static uint32_t requests_of_rank(uint32_t rank) {
    size_t i = 1;
    while (popularity[i].rank < rank) {
        i++;
    }
    uint32_t width = popularity[i].rank - popularity[i - 1].rank;
    uint32_t drop = popularity[i - 1].requests - popularity[i].requests;
    return popularity[i].requests + drop * (popularity[i].rank - rank) / width;
}

static void request(struct model *model, uint32_t item) {
    struct requests *requests = model->requests;
    uint32_t now = (uint32_t)requests->count;
    add_weight(&model->stack, now, 1);
    model->latest[item] = now;
    model->left[item] -= model->left[item] > 0;
    requests->items[requests->count++] = item;
}

/* Popular objects come early: drawn by the requests they are to get. */
static void request_new(struct model *model) {
    uint32_t rank = find_place(&model->unborn, draw_below(&model->random, model->unborn.total));
    uint32_t weight = requests_of_rank(rank + 1);
    uint32_t item = model->requests->distinct++;
    add_weight(&model->unborn, rank, -(int32_t)weight);
    model->left[item] = weight;
    request(model, item);
}

/* A band that is there already: it needs more objects than its lower end. */
static uint32_t draw_band(struct model *model) {
    uint32_t total = 0;
    uint32_t bands = 0;
    while (bands < BANDS && (bands == 0 || (1U << (bands - 1)) < model->stack.total)) {
        total += reuses_by_band[bands++];
    }
    uint32_t drawn = draw_below(&model->random, total);
    uint32_t band = 0;
    while (drawn >= reuses_by_band[band]) {
        drawn -= reuses_by_band[band++];
    }
    return band;
}

static void request_again(struct model *model) {
    uint32_t rivals[RIVALS];
    uint32_t left[RIVALS];
    uint32_t total = 0;
    uint32_t band = draw_band(model);
    uint32_t below = band == 0 ? 0 : 1U << (band - 1);
    uint32_t end = 1U << band;
    end = end < model->stack.total ? end : model->stack.total;
    for (size_t i = 0; i < RIVALS; i++) {
        uint32_t distance = below + draw_below(&model->random, end - below);
        uint32_t time = find_place(&model->stack, model->stack.total - 1 - distance);
        rivals[i] = model->requests->items[time];
        left[i] = model->left[rivals[i]];
        total += left[i];
    }
    uint32_t drawn = total == 0 ? 0 : draw_below(&model->random, total);
    size_t chosen = 0;
    while (total > 0 && drawn >= left[chosen]) {
        drawn -= left[chosen++];
    }
    add_weight(&model->stack, model->latest[rivals[chosen]], -1);
    request(model, rivals[chosen]);
}

static void run(struct model *model) {
    for (uint32_t rank = 1; rank <= DISTINCT; rank++) {
        add_weight(&model->unborn, rank - 1, (int32_t)requests_of_rank(rank));
    }
    size_t tenth = 0;
    uint32_t births = births_by_tenth[0];
    while (model->requests->count < COUNT) {
        uint32_t now = (uint32_t)model->requests->count;
        if (now >= (tenth + 1) * COUNT / 10) {
            births += births_by_tenth[++tenth];
        }
        uint32_t left = (uint32_t)((tenth + 1) * COUNT / 10) - now;
        if (now == 0 || draw_below(&model->random, left) < births) {
            births--;
            request_new(model);
        } else {
            request_again(model);
        }
    }
}

static uint32_t *zeros(size_t count) {
    return calloc(count, sizeof(uint32_t));
}

int requests_generate(struct requests *requests, uint64_t seed) {
    struct requests made = {.items = zeros(COUNT)};
    struct model model = {.random = seed,
                          .unborn = {zeros(DISTINCT + 1), DISTINCT, 0},
                          .stack = {zeros(COUNT + 1), COUNT, 0},
                          .left = zeros(DISTINCT),
                          .latest = zeros(DISTINCT),
                          .requests = &made};
    int result = -1;
    if (made.items != NULL && model.unborn.sums != NULL && model.stack.sums != NULL &&
        model.left != NULL && model.latest != NULL) {
        run(&model);
        *requests = made;
        result = 0;
    } else {
        requests_fini(&made);
    }
    free(model.unborn.sums);
    free(model.stack.sums);
    free(model.left);
    free(model.latest);
    return result;
}
