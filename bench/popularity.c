/* SPDX-License-Identifier: Apache-2.0 */
#include "popularity.h"

#include "splitmix.h"

#include <math.h>
#include <stdlib.h>

/* ---- Zipf's law -------------------------------------------------------------------------- */

/*
 * Ranks from 1 in proportion to rank^-exponent, for any exponent above 0: rejection-inversion
 * (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", 1996). A rank is drawn from a curve over it by inverting the curve's integral,
 * and taken unless it fell between the curve and the histogram of the weights.
 */
struct law {
    double exponent;
    double from; /* the integral at the left end of the first rank's bar, */
    double to;   /* and at the right end of the last one's */
    double sure; /* so near to the left of its middle a draw is always taken */
};

static double weight_at(const struct law *law, double x) {
    return exp(-law->exponent * log(x));
}

/* (x^(1 - e) - 1) / (1 - e), and log x where e is 1 or nearly. */
static double integral_to(const struct law *law, double x) {
    double power = (1 - law->exponent) * log(x);
    return fabs(power) > 1e-8 ? expm1(power) / power * log(x) : log(x);
}

static double invert(const struct law *law, double area) {
    double power = area * (1 - law->exponent);
    power = power > -1 ? power : -1;
    return exp(fabs(power) > 1e-8 ? log1p(power) / power * area : area);
}

static struct law law_of(uint32_t keys, double exponent) {
    struct law law = {.exponent = exponent};
    law.from = integral_to(&law, 1.5) - 1;
    law.to = integral_to(&law, keys + 0.5);
    law.sure = 2 - invert(&law, integral_to(&law, 2.5) - weight_at(&law, 2));
    return law;
}

static uint32_t draw_rank(const struct law *law, uint32_t keys, uint64_t *random) {
    for (;;) {
        double share = ((double)(splitmix(random) >> 11) + 0.5) * 0x1p-53;
        double area = law->to + share * (law->from - law->to);
        double x = invert(law, area);
        double rank = floor(x + 0.5);
        rank = rank < 1 ? 1 : rank > keys ? keys : rank;
        if (rank - x <= law->sure ||
            area >= integral_to(law, rank + 0.5) - weight_at(law, rank)) {
            return (uint32_t)rank - 1;
        }
    }
}

/* ---- what is prepared -------------------------------------------------------------------- */

enum { DRAWN_LEAST = 1 << 18, DRAWN_MOST = 1 << 22 };

/* Four for each key, within bounds; then they come again. */
static size_t count_draws(uint32_t keys) {
    size_t count = (size_t)keys * 4;
    count = count > DRAWN_LEAST ? count : DRAWN_LEAST;
    return count < DRAWN_MOST ? count : DRAWN_MOST;
}

struct popularity {
    struct popularity_plan plan;
    const uint32_t *sequence; /* ranks, or a trace's keys */
    uint32_t *ranks;
    size_t count;
    uint32_t *by_rank; /* the key of each rank; NULL with a trace */
    uint64_t event_below;
    uint64_t write_below;
    uint32_t turned; /* keys that fall to the end each second */
};

/* 0 to 2^32, for comparison with 32 random bits. */
static uint64_t threshold(double share) {
    return (uint64_t)(share * 0x1p32);
}

static int draw_all(struct popularity *popularity) {
    const struct popularity_plan *plan = &popularity->plan;
    uint64_t random = plan->seed;
    popularity->count = count_draws(plan->keys);
    popularity->ranks = malloc(popularity->count * sizeof *popularity->ranks);
    popularity->by_rank = malloc(plan->keys * sizeof *popularity->by_rank);
    if (popularity->ranks == NULL || popularity->by_rank == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < plan->keys; i++) { /* Fisher and Yates, from the inside */
        uint32_t other = splitmix_below(&random, i + 1);
        popularity->by_rank[i] = popularity->by_rank[other];
        popularity->by_rank[other] = i;
    }
    const struct law law = law_of(plan->keys, plan->exponent);
    for (size_t i = 0; i < popularity->count; i++) {
        popularity->ranks[i] = draw_rank(&law, plan->keys, &random);
    }
    popularity->sequence = popularity->ranks;
    return 0;
}

struct popularity *popularity_create(const struct popularity_plan *plan) {
    struct popularity *popularity = calloc(1, sizeof *popularity);
    if (popularity == NULL) {
        return NULL;
    }
    popularity->plan = *plan;
    popularity->event_below = threshold(plan->share);
    popularity->write_below = threshold(plan->writes);
    if (plan->trace != NULL) {
        popularity->plan.keys = plan->trace->distinct;
        popularity->sequence = plan->trace->items;
        popularity->count = plan->trace->count;
    } else if (draw_all(popularity) != 0) {
        popularity_destroy(popularity);
        return NULL;
    }
    popularity->turned = (uint32_t)(plan->share * popularity->plan.keys);
    return popularity;
}

void popularity_destroy(struct popularity *popularity) {
    if (popularity != NULL) {
        free(popularity->ranks);
        free(popularity->by_rank);
        free(popularity);
    }
}

uint32_t popularity_keys(const struct popularity *popularity) {
    return popularity->plan.keys + POPULARITY_FLASH_KEYS;
}

/* ---- one request ------------------------------------------------------------------------- */

/* Requests lie in one sequence, of which the threads take turns. */
static uint32_t usual(const struct popularity *popularity, uint64_t turn, uint64_t turned) {
    uint32_t drawn = popularity->sequence[turn % popularity->count];
    const uint32_t keys = popularity->plan.keys;
    uint32_t place = turned == 0 ? drawn : (uint32_t)((drawn + turned) % keys);
    return popularity->by_rank != NULL ? popularity->by_rank[place] : place;
}

uint32_t popularity_pick(const struct popularity *popularity, unsigned thread, uint64_t count,
                         int64_t at_ns, int *writes) {
    const struct popularity_plan *plan = &popularity->plan;
    uint64_t turn = count * plan->threads + thread;
    uint64_t seed = plan->seed ^ (turn + 1) * 0x9E3779B97F4A7C15U;
    uint64_t random = splitmix(&seed);
    *writes = (random >> 32) < popularity->write_below;
    if (at_ns < plan->at_ns || plan->event == POPULARITY_STEADY) {
        return usual(popularity, turn, 0);
    }
    if (plan->event == POPULARITY_CHURN) {
        uint64_t seconds = (uint64_t)(at_ns - plan->at_ns) / 1000000000 + 1;
        return usual(popularity, turn, seconds * popularity->turned);
    }
    if ((random & UINT32_MAX) >= popularity->event_below) {
        return usual(popularity, turn, 0);
    }
    switch (plan->event) {
    case POPULARITY_VIRAL:
        return plan->keys;
    case POPULARITY_FLASH:
        return plan->keys + splitmix_below(&seed, POPULARITY_FLASH_KEYS);
    default:
        return (uint32_t)(turn % plan->keys);
    }
}
