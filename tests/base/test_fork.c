/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Whether `work` said yes in a child. A child neither asserts nor runs exit handlers. */
static bool in_child(bool (*work)(uint64_t parents), uint64_t parents) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(work(parents) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_another(uint64_t parents) {
    const uint64_t own = hearth__fork_generation();
    return own != parents && own == hearth__fork_generation();
}

static bool grandchild_is_another(uint64_t parents) {
    const uint64_t own = hearth__fork_generation();
    const pid_t child = fork();
    if (child == 0) {
        _exit(is_another(own) && is_another(parents) ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static void a_child_has_another_generation(void **state) {
    (void)state;
    const uint64_t own = hearth__fork_generation();
    assert_true(in_child(is_another, own));
    assert_int_equal(hearth__fork_generation(), own);
}

static void a_grandchild_has_yet_another(void **state) {
    (void)state;
    const uint64_t own = hearth__fork_generation();
    assert_true(in_child(grandchild_is_another, own));
    assert_int_equal(hearth__fork_generation(), own);
}

static bool draws_another_number(uint64_t parents) {
    return hearth__random_u64() != parents;
}

static void a_child_draws_other_random_numbers(void **state) {
    (void)state;
    assert_true(in_child(draws_another_number, hearth__random_u64()));
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    const uint64_t drawn = hearth__random_u64(); /* in both, from the same state */
    if (child == 0) {
        _exit(write(pipes[1], &drawn, sizeof drawn) == sizeof drawn ? 0 : 1);
    }
    uint64_t childs = drawn;
    assert_int_equal(read(pipes[0], &childs, sizeof childs), sizeof childs);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    assert_true(childs != drawn);
}

/* The numbers that threads draw for themselves go on in the parent, and begin anew in the child. */
static void a_childs_threads_draw_other_random_numbers(void **state) {
    (void)state;
    enum { NUMBERS = 1000 };
    double sum = 0;
    for (int i = 0; i < NUMBERS; i++) {
        const double drawn = hearth__random_unit();
        assert_true(drawn > 0 && drawn <= 1);
        sum += drawn;
    }
    assert_true(sum > NUMBERS * 0.4 && sum < NUMBERS * 0.6);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    const double drawn[] = {hearth__random_unit(), hearth__random_unit()};
    if (child == 0) {
        _exit(write(pipes[1], drawn, sizeof drawn) == sizeof drawn ? 0 : 1);
    }
    double childs[2];
    assert_int_equal(read(pipes[0], childs, sizeof childs), sizeof childs);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    assert_true(childs[0] < drawn[0] || childs[0] > drawn[0] || childs[1] < drawn[1] ||
                childs[1] > drawn[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_another_generation),
        cmocka_unit_test(a_grandchild_has_yet_another),
        cmocka_unit_test(a_child_draws_other_random_numbers),
        cmocka_unit_test(a_childs_threads_draw_other_random_numbers),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
