/* SPDX-License-Identifier: Apache-2.0 */
/* Until when copies may be hits: by hand, and against a plain model through random events, over simulated time. */
#include "coherence/canary.h"
#include "coherence/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum {
    NODES = 3,
    GRACE_MS = 2000,
    LIFE_MS = 10000,
    LATE_MS = 1000,
    UNTOLD_MS = 1000,
    CLIENT = 7,
    UNTOLDS = 2 /* numbers of the untold sources before and after open_sources() */
};

#define BEGIN_MS INT64_C(1000000)

static int64_t until(const hearth__sources *sources, uint32_t source) {
    return atomic_load(&hearth__sources_until_ms(sources)[source]);
}

static uint32_t epoch_of(const hearth__sources *sources, uint32_t node) {
    return hearth__sources_redirect(sources, node).epoch;
}

/* Of which node 1 is listened to since BEGIN_MS. */
static hearth__sources *open_sources(void) {
    hearth__sources *sources = hearth__sources_create(NODES, GRACE_MS, LIFE_MS);
    assert_non_null(sources);
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS, BEGIN_MS);
    return sources;
}

static uint32_t open_one(hearth__sources *sources, int64_t now_ms) {
    uint32_t source = hearth__sources_open(sources, 1, epoch_of(sources, 1), now_ms, now_ms);
    assert_int_not_equal(source, 0);
    return source;
}

/* ---- by hand -------------------------------------------------------------------------------- */

static void the_bound_is_that_of_the_connection_heard_of_least(void **state) {
    (void)state;
    hearth__sources *sources = open_sources();
    assert_int_equal(until(sources, 0), INT64_MAX);
    uint32_t source = open_one(sources, BEGIN_MS + 10);
    assert_int_equal(until(sources, source), BEGIN_MS + GRACE_MS);
    /* A ping that is answered proves no more than the connection's last answer. */
    hearth__sources_prove(sources, 1, BEGIN_MS + 500);
    assert_int_equal(until(sources, source), BEGIN_MS + 10 + GRACE_MS);
    hearth__sources_answered(sources, source, BEGIN_MS + 700);
    hearth__sources_prove(sources, 1, BEGIN_MS + 600);
    assert_int_equal(until(sources, source), BEGIN_MS + 600 + GRACE_MS);
    /* Answers that are told late are none of younger commands. */
    hearth__sources_answered(sources, source, BEGIN_MS + 650);
    hearth__sources_prove(sources, 1, BEGIN_MS + 900);
    assert_int_equal(until(sources, source), BEGIN_MS + 700 + GRACE_MS);
    hearth__sources_destroy(sources);
}

static void a_connection_that_ends_proves_no_more(void **state) {
    (void)state;
    hearth__sources *sources = open_sources();
    uint32_t source = open_one(sources, BEGIN_MS);
    hearth__sources_answered(sources, source, BEGIN_MS + 100);
    hearth__sources_prove(sources, 1, BEGIN_MS + 200);
    hearth__sources_close(sources, source, BEGIN_MS + 300);
    hearth__sources_answered(sources, source, BEGIN_MS + 400);
    hearth__sources_prove(sources, 1, BEGIN_MS + 1200);
    assert_int_equal(until(sources, source), BEGIN_MS + 100 + GRACE_MS);
    hearth__sources_destroy(sources);
}

static void a_lost_listener_ends_all_of_its_node_at_once(void **state) {
    (void)state;
    hearth__sources *sources = open_sources();
    hearth__sources_begin(sources, 2, CLIENT + 1, BEGIN_MS, BEGIN_MS);
    uint32_t live = open_one(sources, BEGIN_MS);
    uint32_t closed = open_one(sources, BEGIN_MS);
    uint32_t other = hearth__sources_open(sources, 2, epoch_of(sources, 2), BEGIN_MS, BEGIN_MS);
    uint32_t epoch = epoch_of(sources, 1);
    hearth__sources_close(sources, closed, BEGIN_MS);
    hearth__sources_end(sources, 1, BEGIN_MS);
    assert_true(until(sources, live) < BEGIN_MS);
    assert_true(until(sources, closed) < BEGIN_MS);
    assert_int_equal(until(sources, other), BEGIN_MS + GRACE_MS);
    assert_int_equal(epoch_of(sources, 1), 0);
    assert_int_equal(hearth__sources_open(sources, 1, epoch, BEGIN_MS, BEGIN_MS), 0);
    /* Nor does the next one revive them, be it the same client. */
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS + 50, BEGIN_MS + 50);
    assert_int_not_equal(epoch_of(sources, 1), epoch);
    assert_int_equal(hearth__sources_redirect(sources, 1).client_id, CLIENT);
    hearth__sources_answered(sources, live, BEGIN_MS + 60);
    hearth__sources_prove(sources, 1, BEGIN_MS + 70);
    assert_true(until(sources, live) < BEGIN_MS);
    assert_int_equal(hearth__sources_open(sources, 1, epoch, BEGIN_MS, BEGIN_MS), 0);
    hearth__sources_destroy(sources);
}

/* It stays so, whatever ends later, and so does what nobody was told of before. */
static void what_a_flush_ended_is_told_apart(void **state) {
    (void)state;
    hearth__sources *sources = hearth__sources_create(NODES, GRACE_MS, LIFE_MS);
    assert_non_null(sources);
    uint32_t before = hearth__sources_untold(sources);
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS, BEGIN_MS);
    hearth__sources_begin(sources, 2, CLIENT + 1, BEGIN_MS, BEGIN_MS);
    uint32_t untold = hearth__sources_untold(sources);
    uint32_t told = open_one(sources, BEGIN_MS);
    uint32_t other = hearth__sources_open(sources, 2, epoch_of(sources, 2), BEGIN_MS, BEGIN_MS);
    hearth__sources_flushed(sources, 1, BEGIN_MS);
    assert_false(hearth__sources_tells(sources, told));
    assert_true(hearth__sources_tells(sources, other));
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS, BEGIN_MS);
    hearth__sources_prove(sources, 1, BEGIN_MS + 1);
    hearth__sources_end(sources, 1, BEGIN_MS);
    hearth__sources_forked(sources, BEGIN_MS);
    assert_int_equal(until(sources, told), HEARTH__SOURCE_FLUSHED);
    assert_int_equal(until(sources, untold), HEARTH__SOURCE_FLUSHED);
    assert_int_equal(until(sources, before), HEARTH__SOURCE_FLUSHED);
    assert_int_not_equal(until(sources, other), HEARTH__SOURCE_FLUSHED);
    assert_true(until(sources, other) < BEGIN_MS);
    hearth__sources_destroy(sources);
}

/* What is not told of is good until it would be, and until it is not any more. */
static void what_is_not_told_of_ends_with_the_epoch(void **state) {
    (void)state;
    hearth__sources *sources = hearth__sources_create(NODES, GRACE_MS, LIFE_MS);
    assert_non_null(sources);
    uint32_t before = hearth__sources_untold(sources);
    assert_int_not_equal(before, 0);
    assert_int_equal(until(sources, before), INT64_MAX);
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS, BEGIN_MS);
    uint32_t during = hearth__sources_untold(sources);
    assert_int_not_equal(during, before);
    assert_true(until(sources, before) < BEGIN_MS);
    uint32_t told = open_one(sources, BEGIN_MS);
    assert_true(hearth__sources_tells(sources, told));
    assert_false(hearth__sources_tells(sources, during));
    assert_false(hearth__sources_tells(sources, 0));
    hearth__sources_end(sources, 1, BEGIN_MS);
    assert_true(until(sources, during) < BEGIN_MS);
    assert_false(hearth__sources_tells(sources, told));
    uint32_t after = hearth__sources_untold(sources);
    hearth__sources_forked(sources, BEGIN_MS);
    assert_true(until(sources, after) < BEGIN_MS);
    assert_int_equal(until(sources, hearth__sources_untold(sources)), INT64_MAX);
    hearth__sources_destroy(sources);
}

static void numbers_are_used_again_when_no_copy_can_have_them(void **state) {
    (void)state;
    hearth__sources *sources = open_sources();
    uint32_t first = open_one(sources, BEGIN_MS);
    for (uint32_t i = 2 + UNTOLDS; i < HEARTH__SOURCES; i++) {
        assert_int_not_equal(open_one(sources, BEGIN_MS), first);
    }
    uint32_t epoch = epoch_of(sources, 1);
    int64_t soon_ms = BEGIN_MS + UNTOLD_MS + LATE_MS;
    assert_int_equal(hearth__sources_open(sources, 1, epoch, soon_ms - 1, soon_ms - 1), 0);
    assert_int_not_equal(open_one(sources, soon_ms), first);
    assert_int_equal(hearth__sources_open(sources, 1, epoch, soon_ms, soon_ms), 0);
    hearth__sources_close(sources, first, BEGIN_MS);
    int64_t free_ms = BEGIN_MS + LIFE_MS + LATE_MS;
    assert_int_equal(hearth__sources_open(sources, 1, epoch, free_ms - 1, free_ms - 1), 0);
    hearth__sources_prove(sources, 1, free_ms - 5);
    assert_int_equal(open_one(sources, free_ms), first);
    assert_int_equal(until(sources, first), free_ms - 5 + GRACE_MS);
    hearth__sources_destroy(sources);
}

static void a_child_trusts_nothing_of_its_parents(void **state) {
    (void)state;
    hearth__sources *sources = open_sources();
    uint32_t other = 0;
    uint32_t epoch = 0;
    uint32_t source = open_one(sources, BEGIN_MS);
    hearth__sources_forked(sources, BEGIN_MS + 1);
    assert_true(until(sources, source) < BEGIN_MS);
    assert_int_equal(until(sources, 0), INT64_MAX);
    assert_int_equal(epoch_of(sources, 1), 0);
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS + 2, BEGIN_MS + 2);
    /* Nor is its number used again while a copy of the parent's may be there. */
    int64_t now_ms = BEGIN_MS + LIFE_MS;
    epoch = epoch_of(sources, 1);
    while ((other = hearth__sources_open(sources, 1, epoch, now_ms, now_ms)) != 0) {
        assert_int_not_equal(other, source);
    }
    now_ms = BEGIN_MS + 1 + LIFE_MS + LATE_MS;
    bool comes_back = false;
    while ((other = hearth__sources_open(sources, 1, epoch, now_ms, now_ms)) != 0) {
        comes_back |= other == source;
    }
    assert_true(comes_back);
    hearth__sources_destroy(sources);
}

/* ---- against a model ------------------------------------------------------------------------ */

enum { STEPS = 20000 };

struct model_source {
    bool used;
    bool live;
    bool ended;
    uint32_t node;
    int64_t answered_ms;
    int64_t until_ms;
    int64_t closed_ms;
};

struct model {
    struct model_source all[HEARTH__SOURCES];
    bool listens[NODES];
    int64_t proven_ms[NODES];
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void model_open(struct model *model, hearth__sources *sources, uint32_t node,
                       int64_t now_ms) {
    uint32_t epoch = epoch_of(sources, node);
    assert_int_equal(epoch != 0, model->listens[node]);
    uint32_t source = hearth__sources_open(sources, node, epoch, now_ms - 3, now_ms);
    if (epoch == 0 || source == 0) {
        assert_int_equal(source, 0);
        return;
    }
    struct model_source *own = &model->all[source];
    assert_true(!own->used || (!own->live && now_ms >= own->closed_ms + LIFE_MS + LATE_MS));
    *own =
        (struct model_source){.used = true,
                              .live = true,
                              .node = node,
                              .answered_ms = now_ms - 3,
                              .until_ms = least(model->proven_ms[node], now_ms - 3) + GRACE_MS};
}

static void model_close(struct model *model, hearth__sources *sources, uint32_t source,
                        int64_t now_ms) {
    struct model_source *own = &model->all[source];
    if (own->live) {
        own->live = false;
        own->closed_ms = now_ms;
        hearth__sources_close(sources, source, now_ms);
    }
}

/* It was replaced, by a number that nobody can have. */
static void model_untold(struct model *model, const hearth__sources *sources, int64_t now_ms) {
    uint32_t source = hearth__sources_untold(sources);
    struct model_source *own = &model->all[source];
    assert_true(!own->used || (!own->live && now_ms >= own->closed_ms + LIFE_MS + LATE_MS));
    *own = (struct model_source){0};
    assert_int_equal(until(sources, source), INT64_MAX);
}

static void model_listen(struct model *model, hearth__sources *sources, uint32_t node,
                         int64_t now_ms) {
    if (!model->listens[node]) {
        model->listens[node] = true;
        model->proven_ms[node] = now_ms;
        hearth__sources_begin(sources, node, CLIENT, now_ms, now_ms);
        model_untold(model, sources, now_ms);
        return;
    }
    model->proven_ms[node] = now_ms - 5;
    hearth__sources_prove(sources, node, now_ms - 5);
    for (uint32_t i = 1; i < HEARTH__SOURCES; i++) {
        struct model_source *own = &model->all[i];
        if (own->live && !own->ended && own->node == node) {
            own->until_ms = least(own->answered_ms, now_ms - 5) + GRACE_MS;
        }
    }
}

static void model_lose(struct model *model, hearth__sources *sources, uint32_t node,
                       int64_t now_ms) {
    bool listened = model->listens[node];
    model->listens[node] = false;
    hearth__sources_end(sources, node, now_ms);
    if (listened) {
        model_untold(model, sources, now_ms);
    }
    for (uint32_t i = 1; i < HEARTH__SOURCES; i++) {
        model->all[i].ended |= model->all[i].used && model->all[i].node == node;
    }
}

static void check(const struct model *model, const hearth__sources *sources, int64_t now_ms) {
    for (uint32_t i = 1; i < HEARTH__SOURCES; i++) {
        const struct model_source *own = &model->all[i];
        if (own->used && !own->ended) {
            assert_int_equal(until(sources, i), own->until_ms);
        } else if (i != hearth__sources_untold(sources)) {
            assert_true(until(sources, i) < now_ms);
        }
    }
}

static void sources_are_what_a_plain_model_says(void **state) {
    (void)state;
    hearth__sources *sources = hearth__sources_create(NODES, GRACE_MS, LIFE_MS);
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    uint64_t random = 42;
    int64_t now_ms = BEGIN_MS;
    for (unsigned step = 0; step < STEPS; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t node = (uint32_t)(random >> 40) % NODES;
        uint32_t source = 1 + (uint32_t)(random >> 20) % (HEARTH__SOURCES - 1);
        now_ms += (int64_t)(random >> 50) % 30;
        unsigned what = (unsigned)(random >> 33) % 100;
        if (what < 30) {
            model_open(model, sources, node, now_ms);
        } else if (what < 60) {
            model_close(model, sources, source, now_ms);
        } else if (what < 80) {
            model_listen(model, sources, node, now_ms);
        } else if (what < 98 && model->all[source].live) {
            model->all[source].answered_ms = now_ms;
            hearth__sources_answered(sources, source, now_ms);
        } else if (what >= 98) {
            model_lose(model, sources, node, now_ms);
        }
        if (step % 50 == 0) {
            check(model, sources, now_ms);
        }
    }
    check(model, sources, now_ms);
    free(model);
    hearth__sources_destroy(sources);
}

/* ---- canaries --------------------------------------------------------------------------- */

static void a_source_that_is_distrusted_has_ended(void **state) {
    (void)state;
    hearth__sources *sources = open_sources();
    int64_t proven_ms = 0;
    uint32_t source = open_one(sources, BEGIN_MS);
    hearth__sources_prove(sources, 1, BEGIN_MS + 5);
    assert_true(hearth__sources_proven_ms(sources, source, &proven_ms));
    assert_int_equal(proven_ms, BEGIN_MS + 5);
    hearth__sources_distrust(sources, source, BEGIN_MS + 6);
    assert_true(until(sources, source) < BEGIN_MS);
    assert_false(hearth__sources_proven_ms(sources, source, &proven_ms));
    hearth__sources_answered(sources, source, BEGIN_MS + 7);
    hearth__sources_prove(sources, 1, BEGIN_MS + 8);
    assert_true(until(sources, source) < BEGIN_MS);
    /* Of another epoch nothing is proven. */
    source = open_one(sources, BEGIN_MS + 8);
    hearth__sources_end(sources, 1, BEGIN_MS + 8);
    hearth__sources_begin(sources, 1, CLIENT, BEGIN_MS + 9, BEGIN_MS + 9);
    assert_false(hearth__sources_proven_ms(sources, source, &proven_ms));
    hearth__sources_destroy(sources);
}

static void a_canary_is_unheard_when_what_came_later_was_heard(void **state) {
    (void)state;
    enum { EVERY_MS = 100, TOOK_NS = 5000 };
    hearth__canary canary = {0};
    assert_true(hearth__canary_begin(&canary, EVERY_MS, BEGIN_MS, 1));
    assert_false(
        hearth__canary_is_unheard(&canary, BEGIN_MS + EVERY_MS)); /* if it is written */
    assert_false(
        hearth__canary_begin(&canary, EVERY_MS, BEGIN_MS + EVERY_MS, 1)); /* one at a time */
    hearth__canary_end(&canary, true, BEGIN_MS + 2);
    assert_false(
        hearth__canary_is_unheard(&canary, BEGIN_MS + 2)); /* that may be from before it */
    assert_int_equal(hearth__canary_hear(&canary, 1 + TOOK_NS), TOOK_NS);
    assert_true(hearth__canary_hear(&canary, 1 + TOOK_NS) < 0);
    assert_false(hearth__canary_is_unheard(&canary, BEGIN_MS + EVERY_MS));
    assert_false(hearth__canary_begin(&canary, EVERY_MS, BEGIN_MS + EVERY_MS - 1, 2));
    assert_true(hearth__canary_begin(&canary, EVERY_MS, BEGIN_MS + EVERY_MS, 2));
    /* Of what the last one left nothing is taken for this one's. */
    assert_false(hearth__canary_is_unheard(&canary, BEGIN_MS + EVERY_MS));
    hearth__canary_end(&canary, true, BEGIN_MS + EVERY_MS);
    assert_true(hearth__canary_is_unheard(&canary, BEGIN_MS + EVERY_MS + 1));
    assert_false(hearth__canary_is_unheard(&canary, BEGIN_MS + EVERY_MS + 1));
    /* One that was not written is awaited by nobody; a new connection owes nothing. */
    assert_true(hearth__canary_begin(&canary, EVERY_MS, BEGIN_MS + INT64_C(2) * EVERY_MS, 3));
    hearth__canary_end(&canary, false, BEGIN_MS + INT64_C(2) * EVERY_MS);
    assert_false(hearth__canary_is_unheard(&canary, BEGIN_MS + INT64_C(3) * EVERY_MS));
    assert_true(hearth__canary_begin(&canary, EVERY_MS, BEGIN_MS + INT64_C(3) * EVERY_MS, 4));
    hearth__canary_end(&canary, true, BEGIN_MS + INT64_C(3) * EVERY_MS);
    hearth__canary_reset(&canary);
    assert_false(hearth__canary_is_unheard(&canary, BEGIN_MS + INT64_C(4) * EVERY_MS));
    assert_true(hearth__canary_begin(&canary, EVERY_MS, 0, 5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_is_that_of_the_connection_heard_of_least),
        cmocka_unit_test(a_connection_that_ends_proves_no_more),
        cmocka_unit_test(a_lost_listener_ends_all_of_its_node_at_once),
        cmocka_unit_test(what_a_flush_ended_is_told_apart),
        cmocka_unit_test(what_is_not_told_of_ends_with_the_epoch),
        cmocka_unit_test(numbers_are_used_again_when_no_copy_can_have_them),
        cmocka_unit_test(a_child_trusts_nothing_of_its_parents),
        cmocka_unit_test(sources_are_what_a_plain_model_says),
        cmocka_unit_test(a_source_that_is_distrusted_has_ended),
        cmocka_unit_test(a_canary_is_unheard_when_what_came_later_was_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
