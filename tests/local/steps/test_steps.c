/* SPDX-License-Identifier: Apache-2.0 */
/* The hot tier's code, step by step, is what the model of tests/local/order does; what is stored is stored under the lock. */
#include "stage.h"

static void keys_of_one_tag_stay_apart(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    for (size_t gone = 0; gone < NAMES; gone++) {
        begin_stage(&stage);
        assert_true(evict(&stage, gone));
        assert_false(evict(&stage, gone));
        for (size_t name = 0; name < NAMES; name++) {
            const unsigned char fill = name == OURS_KEY ? 1 : 0xee;
            const bool there = get(&stage, name, &stage.bytes) == HEARTH_OK;
            assert_int_equal(there, name != gone);
            assert_true(!there || is_whole(&stage, &stage.bytes, fill));
        }
    }
    close_stage(&stage);
}

static void nobody_finds_ours(struct stage *stage) {
    for (enum reader reader = LONG_WAY; reader < READERS; reader++) {
        assert_int_equal(read_ours_by(stage, reader), HEARTH_MISS);
    }
}

/* Its tag is that of free slots, whose position would be that of the first entry ever. */
static void a_free_slot_names_nothing(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    assert_int_equal(log_of(&stage)->head, 0);
    put_ours(&stage, stage.size);
    evict_ours(&stage);
    nobody_finds_ours(&stage);
    close_stage(&stage);
}

static void a_key_is_not_one_that_begins_like_it(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    put(&stage, LONGER, 0xee, SHORT); /* the first slot of the tag, where the short way looks */
    nobody_finds_ours(&stage);
    close_stage(&stage);
}

/* ---- the code is the model ---- */

static void write_down(void *arg, const struct step *step) {
    struct stage *stage = arg;
    const uint64_t in_ring = step->at - (uintptr_t)log_of(stage)->space.base;
    const char *place = "slot";
    const enum order order = step->order == memory_order_acquire   ? ACQUIRE
                             : step->order == memory_order_release ? RELEASE
                                                                   : RELAXED;
    if (step->kind == FENCE) {
        place = "fence";
    } else if (in_ring < log_of(stage)->space.bytes) {
        const uint64_t offset = in_ring - stage->offset;
        place = offset == 0 ? "word0" : offset < 16 ? "word1" : offset < HEAD ? "key" : "value";
    } else if (step->kind == LOAD && (order == RELAXED || is_locked(stage))) {
        return; /* a writer looks at slots as it likes: under its lock they change by marks only */
    }
    add_step(stage->text, sizeof stage->text, step->kind, place, order);
}

/* What the script does is what a thread of the model's scene does. */
static void expect_steps(void (*script)(struct stage *), enum scene_id id, enum way way,
                         size_t thread) {
    const struct plan plan = {.form = (enum form)STEPS_BY, .way = way};
    struct stage stage;
    struct scene scene;
    char expected[sizeof stage.text];
    make_scene(id, &plan, &scene);
    describe(&scene.threads[thread], expected, sizeof expected);
    open_stage(&stage);
    begin_stage(&stage);
    stepper = (struct stepper){.before = write_down, .arg = &stage};
    script(&stage);
    stepper.before = NULL;
    print_message("%s\n", stage.text);
    if (way == MISSING) { /* the other slots of the tag follow */
        stage.text[strlen(expected)] = '\0';
    }
    assert_string_equal(stage.text, expected);
    close_stage(&stage);
}

static void read_ours(struct stage *stage) {
    assert_int_equal(read_ours_by(stage, LONG_WAY), HEARTH_OK);
}

static void read_ours_shortly(struct stage *stage) {
    assert_int_equal(read_ours_by(stage, SHORT_WAY), HEARTH_OK);
}

static void read_ours_among_many(struct stage *stage) {
    assert_int_equal(read_ours_by(stage, AMONG_MANY), HEARTH_OK);
}

static void peek_at_ours(struct stage *stage) {
    assert_int_equal(read_ours_by(stage, WITHOUT_WAITING), HEARTH_OK);
}

static void read_ours_growing(struct stage *stage) {
    assert_int_equal(read_ours_by(stage, WITHOUT_BUFFER), HEARTH_OK);
}

/* Another key's entry is in the first slot. */
static void miss_ours(struct stage *stage) {
    stepper.before = NULL;
    (void)evict(stage, ALIKE);
    (void)evict(stage, OURS_KEY);
    stage->offset = log_of(stage)->head;
    put(stage, ALIKE, 0xee, stage->size);
    stepper.before = write_down;
    assert_int_equal(read_ours_by(stage, LONG_WAY), HEARTH_MISS);
}

static void put_new(struct stage *stage) {
    stage->offset = log_of(stage)->head;
    overwrite_ours(stage);
}

static void rewrite_twice(struct stage *stage) {
    rewrite_ours(stage);
    rewrite_ours(stage);
}

static void drop_and_put(struct stage *stage) {
    evict_ours(stage);
    put_new(stage);
}

static void move_and_put(struct stage *stage) {
    hearth__shard_lock(stage->shard);
    _Atomic uint64_t *slot = slot_of(stage, OURS_KEY);
    const unsigned char *entry = log_of(stage)->space.base + stage->offset;
    stage->offset = log_of(stage)->head;
    move_entry(stage->shard, slot, entry, entry_bytes(stage),
               (hearth__place){.log = HEARTH__MAIN});
    pthread_mutex_unlock(&stage->shard->lock);
    stage->offset = log_of(stage)->head;
    put(stage, ALIKE, 0xee, SHORT + MORE);
}

static void reads_are_the_model_s(void **state) {
    (void)state;
    expect_steps(read_ours, PUBLISHING, HITTING, 0);
    expect_steps(read_ours_shortly, PUBLISHING, HITTING, 0);
    expect_steps(read_ours_among_many, PUBLISHING, HITTING, 0);
    expect_steps(peek_at_ours, PUBLISHING, HITTING, 0);
    expect_steps(read_ours_growing, PUBLISHING, GROWING, 0);
    expect_steps(miss_ours, PUBLISHING, MISSING, 0);
}

static void writes_are_the_model_s(void **state) {
    (void)state;
    expect_steps(put_new, PUBLISHING, HITTING, 1);
    expect_steps(drop_and_put, RECYCLING, HITTING, 1);
    expect_steps(rewrite_twice, REWRITING, HITTING, 1);
    expect_steps(move_and_put, MOVING, HITTING, 1);
}

/* Between a store to a slot and one to an entry is a fence, or the latter is a release. */
static void look_for_fence(void *arg, const struct step *step) {
    struct stage *stage = arg;
    const uint64_t in_ring = step->at - (uintptr_t)log_of(stage)->space.base;
    if (step->order == memory_order_release &&
        (step->kind == FENCE || in_ring < log_of(stage)->space.bytes)) {
        stage->waits = 0;
    } else if (step->kind == STORE && in_ring < log_of(stage)->space.bytes) {
        stage->wrong = stage->wrong || stage->waits != 0;
    } else if (step->kind == STORE) {
        stage->waits++;
        stage->reads++;
    }
}

static void nothing_is_recycled_before_a_fence(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    begin_stage(&stage);
    read_ours(&stage); /* so it is moved on its way, and dropped the next time */
    stepper = (struct stepper){.before = look_for_fence, .arg = &stage};
    wrap_thrice(&stage);
    assert_false(stage.wrong);
    assert_true(stage.reads > 100);
    close_stage(&stage);
}

/* Only a mark is stored by readers. */
static void look_for_lock(void *arg, const struct step *step) {
    struct stage *stage = arg;
    if (step->kind == STORE) {
        stage->wrong = stage->wrong || !is_locked(stage);
        stage->reads++;
    }
}

static void whoever_stores_holds_the_lock(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    begin_stage(&stage);
    stepper = (struct stepper){.before = look_for_lock, .arg = &stage};
    rewrite_ours(&stage);
    overwrite_ours(&stage);
    read_ours(&stage);
    recycle(&stage);
    store_again(&stage);
    assert_false(stage.wrong);
    assert_true(stage.reads > 100);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_the_model_s),
        cmocka_unit_test(writes_are_the_model_s),
        cmocka_unit_test(nothing_is_recycled_before_a_fence),
        cmocka_unit_test(whoever_stores_holds_the_lock),
        cmocka_unit_test(keys_of_one_tag_stay_apart),
        cmocka_unit_test(a_free_slot_names_nothing),
        cmocka_unit_test(a_key_is_not_one_that_begins_like_it),
    };
    return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
