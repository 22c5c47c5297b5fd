/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever comes in between two steps of a read or a write: a reader gets a value that its key had meanwhile, or a miss if it
 * had none, and touches nothing but its own slot's mark. */
#include "stage.h"

#include "support/sanitizer.h"

static void (*const scripts[])(struct stage *) = {
    NULL,       rewrite_ours, overwrite_ours, move_ours,  replace_ours,        wrap_thrice,
    carry_ours, recycle,      store_again,    spoil_size, spoil_size_a_little, spoil_flags,
};
enum {
    SCRIPTS = sizeof scripts / sizeof *scripts,
    FIRST_SCRIPTS = SANITIZED ? 1 : SCRIPTS, /* who comes in twice touches no other memory */
    READ_STEPS = 18,
    READ_STEP_PAIRS = READ_STEPS * READ_STEPS
};

/* Reads are of slots or stay in the ring, and what is copied fits the buffer. */
static void look_at_range(struct stage *stage, const struct step *step) {
    const hearth__ring_space *space = &log_of(stage)->space;
    const uintptr_t base = (uintptr_t)space->base;
    const uintptr_t slots = (uintptr_t)stage->shard->slots;
    const bool is_slot = step->at - slots < HEARTH__BUCKET_SLOTS * sizeof(uint64_t);
    if (step->kind == LOAD && !is_slot) {
        stage->too_far = stage->too_far || step->at < base ||
                         step->at + step->size > base + space->bytes ||
                         (step->size > AMPLE && step->size > stage->bytes.capacity);
    }
}

static void come_in(void *arg, const struct step *step) {
    struct stage *stage = arg;
    look_at_range(stage, step);
    for (size_t i = 0; i < 2 && !is_locked(stage); i++) {
        if (stage->scripts[i] != NULL && (stage->always || stage->step == stage->steps[i])) {
            mend(stage);
            stage->scripts[i](stage);
            stage->absent = stage->absent || slot_of(stage, OURS_KEY) == NULL;
        }
    }
    stage->step++;
}

static bool is_right(const struct stage *stage, int32_t status, const hearth__buffer *bytes) {
    if (status != HEARTH_OK) {
        return status == HEARTH_MISS && stage->absent;
    }
    return bytes->size > 0 && is_whole(stage, bytes, bytes->data[0]) &&
           bytes->data[0] <= VERSIONS && (stage->had >> bytes->data[0] & 1) != 0;
}

/* The other keys were not read: a mark in their slots is not theirs. */
static bool is_untouched(struct stage *stage, size_t name) {
    hearth__buffer bytes = {0};
    const _Atomic uint64_t *slot = slot_of(stage, name);
    bool untouched = slot == NULL || hearth__slot_mark(*slot) == 0;
    if (get(stage, name, &bytes) == HEARTH_OK) {
        for (size_t i = 0; i < bytes.size; i++) {
            untouched = untouched && bytes.data[i] == 0xee;
        }
    }
    hearth__buffer_fini(&bytes);
    return untouched;
}

static void read_interrupted(struct stage *stage, enum reader reader) {
    begin_stage(stage);
    stepper = (struct stepper){.before = come_in, .arg = stage};
    const int32_t status = read_ours_by(stage, reader);
    stepper.before = NULL;
    mend(stage);
    assert_true(is_right(stage, status, &stage->bytes));
    assert_false(stage->too_far);
    assert_true(stage->bytes.capacity <
                SPOILED_SIZE); /* no memory is taken by a size of nobody */
    assert_true(is_untouched(stage, ALIKE));
    assert_true(is_untouched(stage, LONGER));
}

/* Two scripts, each between any two steps. */
static void interrupt_reads(struct stage *stage, enum reader reader, size_t firsts) {
    for (size_t i = 0; i < firsts * SCRIPTS; i++) {
        stage->scripts[0] = scripts[i / SCRIPTS];
        stage->scripts[1] = scripts[i % SCRIPTS];
        for (size_t pair = 0; pair < READ_STEP_PAIRS; pair++) {
            stage->steps[0] = pair / READ_STEPS;
            stage->steps[1] = pair % READ_STEPS;
            const bool once = i / SCRIPTS == 0 && stage->steps[0] != 0;
            if (stage->steps[0] <= stage->steps[1] && !once) {
                read_interrupted(stage, reader);
            }
        }
    }
}

static void a_read_that_is_interrupted_is_right(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    interrupt_reads(&stage, LONG_WAY, FIRST_SCRIPTS);
    close_stage(&stage);
}

static void so_it_is_by_the_short_way(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    interrupt_reads(&stage, SHORT_WAY, FIRST_SCRIPTS);
    close_stage(&stage);
}

static void so_it_is_of_a_long_value_by_the_short_way(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    stage.size = LONG;
    interrupt_reads(&stage, SHORT_WAY, 1);
    interrupt_reads(&stage, AMONG_MANY, 1);
    close_stage(&stage);
}

static void so_it_is_of_one_with_a_version_by_the_short_way(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    stage.versioned = true;
    interrupt_reads(&stage, SHORT_WAY, 1);
    interrupt_reads(&stage, SHORT_WITHOUT_BUFFER, 1);
    interrupt_reads(&stage, AMONG_MANY, 1);
    close_stage(&stage);
}

static void so_it_is_without_waiting(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    interrupt_reads(&stage, WITHOUT_WAITING, 1);
    hearth__buffer none = {0}; /* of a value that does not fit the size is told */
    hearth__local_raw raw = {0};
    begin_stage(&stage);
    assert_int_equal(hearth__local_peek(stage.local, stage.names[OURS_KEY],
                                        strlen(stage.names[OURS_KEY]), &none, &raw),
                     HEARTH_OK);
    assert_int_equal(none.size, stage.size);
    assert_null(none.data);
    close_stage(&stage);
}

static void so_it_is_among_many(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    interrupt_reads(&stage, AMONG_MANY, 1);
    close_stage(&stage);
}

static void so_it_is_without_a_buffer(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    interrupt_reads(&stage, WITHOUT_BUFFER, 1);
    interrupt_reads(&stage, SHORT_WITHOUT_BUFFER, 1);
    close_stage(&stage);
}

static void so_it_is_at_the_ring_s_end(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    stage.at_end = true;
    interrupt_reads(&stage, LONG_WAY, 1);
    interrupt_reads(&stage, SHORT_WAY, 1);
    close_stage(&stage);
}

/* After a few tries it takes the lock. */
static void a_key_that_always_changes_is_found(void **state) {
    (void)state;
    static void (*const changes[])(struct stage *) = {rewrite_ours, overwrite_ours, move_ours};
    struct stage stage;
    open_stage(&stage);
    stage.always = true;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        stage.scripts[0] = changes[i];
        for (int reader = 0; reader < READERS; reader++) {
            if (reader != WITHOUT_WAITING) { /* it gives up */
                read_interrupted(&stage, (enum reader)reader);
                assert_false(stage.absent);
            }
        }
    }
    close_stage(&stage);
}

/* A reader in the middle of a write; it does not wait for the lock. */
static void read_within(void *arg, const struct step *step) {
    struct stage *stage = arg;
    jmp_buf waits;
    if (step->kind == LOAD) {
        return;
    }
    stepper.waits = &waits;
    if (setjmp(waits) == 0) {
        const int32_t status = get(stage, OURS_KEY, &stage->bytes);
        stage->wrong = stage->wrong || !is_right(stage, status, &stage->bytes);
        stage->reads++;
    } else {
        stage->waits++;
    }
    stepper.waits = NULL;
}

static void read_while(struct stage *stage, void (*script)(struct stage *), bool leaves) {
    begin_stage(stage);
    stage->wrong = false;
    stage->reads = stage->waits = 0;
    stage->absent = leaves;
    stepper = (struct stepper){.before = read_within, .arg = stage};
    script(stage);
    stepper.before = NULL;
    assert_false(stage->wrong);
    assert_true(stage->reads > 0);
    assert_int_equal(stage->waits > 0, script == rewrite_ours);
}

static void reads_within_a_write_are_right(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage);
    read_while(&stage, rewrite_ours, false);
    read_while(&stage, overwrite_ours, false);
    read_while(&stage, replace_ours, true);
    read_while(&stage, carry_ours, false);
    read_while(&stage, wrap_thrice, true);
    read_while(&stage, store_again, true);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_always_changes_is_found),
        cmocka_unit_test(reads_within_a_write_are_right),
        cmocka_unit_test(so_it_is_without_a_buffer),
        cmocka_unit_test(so_it_is_of_a_long_value_by_the_short_way),
        cmocka_unit_test(so_it_is_of_one_with_a_version_by_the_short_way),
        cmocka_unit_test(so_it_is_at_the_ring_s_end),
        cmocka_unit_test(so_it_is_among_many),
        cmocka_unit_test(so_it_is_without_waiting),
        cmocka_unit_test(a_read_that_is_interrupted_is_right),
        cmocka_unit_test(so_it_is_by_the_short_way),
    };
    return cmocka_run_group_tests_name("interruptions", tests, NULL, NULL);
}
