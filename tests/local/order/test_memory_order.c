/* SPDX-License-Identifier: Apache-2.0 */
/* The hot tier's order, by exhaustion: nothing goes wrong with all of it, and something does without any part of it that is
 * said to be needed. */
#include "model.h"

#include "base/tsan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Whether one of a plan's scenes goes wrong; says which, and how if it should not. */
static bool goes_wrong(const struct plan *plan, const char *what, bool expected) {
    static const char *const forms[FORMS] = {"fences", "words"};
    static const char *const ways[WAYS] = {"hit", "growing hit", "miss"};
    for (int i = 0; i < SCENES; i++) {
        struct scene scene;
        make_scene((enum scene_id)i, plan, &scene);
        const struct finding finding = explore(&scene);
        assert_true(finding.complete);
        if (finding.wrong) {
            print_message("%s, %s, %s: %s\n%s%s", forms[plan->form], ways[plan->way], what,
                          scene.name, expected ? "" : finding.trace, expected ? "" : "\n");
            return true;
        }
    }
    print_message("%s, %s, %s: nothing goes wrong\n", forms[plan->form], ways[plan->way], what);
    return false;
}

/* Over all ways of a read: none goes wrong, or one does. */
static void expect(enum form form, uint32_t without, const char *what, bool wrong) {
    bool found = false;
    for (int way = 0; way < WAYS && !found; way++) {
        const struct plan plan = {.form = form, .way = (enum way)way, .without = without};
        found = goes_wrong(&plan, what, wrong);
    }
    assert_int_equal(found, wrong);
}

static void nothing_goes_wrong(void **state) {
    (void)state;
    expect(BY_FENCES, 0, "all of it", false);
    expect(BY_WORDS, 0, "all of it", false);
}

/* What a form needs, and what it has besides: there, another order does the same, or there is nothing to order. */
static const uint32_t spare[FORMS] = {
    [BY_FENCES] = WITHOUT(LAST_ACQUIRE) | WITHOUT(WORD0_ACQUIRE),
    [BY_WORDS] = WITHOUT(LAST_ACQUIRE),
};

/* The other form's. */
static const uint32_t foreign[FORMS] = {
    [BY_FENCES] = WITHOUT(COPY_ACQUIRE) | WITHOUT(WRITE_RELEASE),
    [BY_WORDS] = WITHOUT(COPY_FENCE) | WITHOUT(LAST_FENCE) | WITHOUT(RECYCLE_FENCE) |
                 WITHOUT(REWRITE_FENCE),
};

#if defined(HEARTH__TSAN)
enum { FIRST_FORM = BY_WORDS }; /* a model has no threads to watch: it is only slow there */
#else
enum { FIRST_FORM = BY_FENCES };
#endif

static void each_point_is_needed(void **state) {
    (void)state;
    for (int form = FIRST_FORM; form < FORMS; form++) {
        for (int point = 0; point < POINT_COUNT; point++) {
            const uint32_t without = WITHOUT(point);
            if ((foreign[form] & without) == 0) {
                char what[128];
                (void)snprintf(what, sizeof what, "but for: %s", point_text((enum point)point));
                expect((enum form)form, without, what, (spare[form] & without) == 0);
            }
        }
    }
}

/* The fence is for misses; for hits it and the acquire do the same. */
static void of_two_one_is_needed(void **state) {
    (void)state;
    struct plan plan = {.way = HITTING, .without = WITHOUT(LAST_FENCE)};
    assert_false(goes_wrong(&plan, "no fence behind word 0", false));
    plan.without |= WITHOUT(WORD0_ACQUIRE);
    assert_true(goes_wrong(&plan, "neither acquire nor fence behind word 0", true));
}

static void what_is_spare_is_so_together(void **state) {
    (void)state;
    expect(BY_FENCES, spare[BY_FENCES], "nothing spare", false);
    expect(BY_WORDS, spare[BY_WORDS], "nothing spare", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_goes_wrong),
        cmocka_unit_test(each_point_is_needed),
        cmocka_unit_test(of_two_one_is_needed),
        cmocka_unit_test(what_is_spare_is_so_together),
    };
    return cmocka_run_group_tests_name("memory order", tests, NULL, NULL);
}
