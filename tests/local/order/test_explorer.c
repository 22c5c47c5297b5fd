/* SPDX-License-Identifier: Apache-2.0 */
/* The explorer itself, by litmus tests whose outcomes are known: what is allowed is found, what is forbidden is not. */
#include "explorer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/*
 * Threads are words between blanks: `x=1` stores, `r0=x` loads, `x=r0` stores what was loaded, `r1=*r0` loads d or e as r0
 * says, `x?r1` adds 1 to x if x still is r1. `.acq` and `.rel` behind them, and alone `fence.acq`, `fence.rel`,
 * `fence.seq`. Memory begins as 0. An outcome is the last values of registers and places: `1r0=1`, `x=2`.
 */
struct litmus {
    const char *name;
    const char *threads[THREADS_MAX];
    const char *outcome;
    bool allowed;
};

enum { D = 2, WORDS_MAX = 100 };

static uint8_t place_of(char letter) {
    static const char letters[] = "xyde";
    return (uint8_t)(strchr(letters, letter) - letters);
}

static uint8_t second(uint8_t value) {
    return value;
}

static struct op op_of(const char *word) {
    struct op op = {.kind = STORE, .by = FIXED, .from = FIXED, .becomes = NO_CHANGE};
    const char *dot = strchr(word, '.');
    op.order = dot == NULL     ? RELAXED
               : dot[1] == 'a' ? ACQUIRE
               : dot[1] == 'r' ? RELEASE
                               : SEQUENTIAL;
    if (word[0] == 'f') {
        op.kind = FENCE;
    } else if (word[0] == 'r') {
        op.kind = LOAD;
        op.to = (uint8_t)(word[1] - '0');
        op.place = word[3] == '*' ? D : place_of(word[3]);
        op.by = (int8_t)(word[3] == '*' ? word[5] - '0' : FIXED);
    } else if (word[1] == '?') {
        op.kind = SWAP_IF_SAME;
        op.place = place_of(word[0]);
        op.value = 1;
        op.from = (int8_t)(word[3] - '0');
        op.to = REGISTERS_MAX - 1;
    } else {
        op.place = place_of(word[0]);
        op.from = (int8_t)(word[2] == 'r' ? word[3] - '0' : FIXED);
        op.value = (uint8_t)(word[2] == 'r' ? 0 : word[2] - '0');
    }
    return op;
}

static bool comes_to(const struct end *end) {
    char words[WORDS_MAX];
    char *rest = NULL;
    (void)snprintf(words, sizeof words, "%s", (const char *)end->scene->arg);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        const size_t size = strlen(word);
        const uint8_t value = (uint8_t)(word[size - 1] - '0');
        const uint8_t now = word[1] == 'r' ? end->registers[word[0] - '0'][word[2] - '0']
                                           : end->memory[place_of(word[0])];
        if (now != value) {
            return false;
        }
    }
    return true;
}

static struct finding run(const struct litmus *litmus) {
    struct scene scene = {
        .wrong = comes_to, .arg = litmus->outcome, .which = second, .stride = 1};
    while (scene.count < THREADS_MAX && litmus->threads[scene.count] != NULL) {
        char words[WORDS_MAX];
        char *rest = NULL;
        (void)snprintf(words, sizeof words, "%s", litmus->threads[scene.count]);
        for (char *word = strtok_r(words, " ", &rest); word != NULL;
             word = strtok_r(NULL, " ", &rest)) {
            (void)add_op(&scene.threads[scene.count], op_of(word));
        }
        scene.count++;
    }
    return explore(&scene);
}

static void expect_all(const struct litmus *tests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct finding finding = run(&tests[i]);
        print_message("%s: %s, %zu states\n", tests[i].name,
                      finding.wrong ? "allowed" : "forbidden", finding.states);
        assert_true(finding.complete);
        assert_int_equal(finding.wrong, tests[i].allowed);
    }
}

static void message_passing(void **state) {
    (void)state;
    static const struct litmus tests[] = {
        {"MP", {"x=1 y=1", "r0=y r1=x"}, "1r0=1 1r1=0", true},
        {"MP, release and acquire", {"x=1 y=1.rel", "r0=y.acq r1=x"}, "1r0=1 1r1=0", false},
        {"MP, release only", {"x=1 y=1.rel", "r0=y r1=x"}, "1r0=1 1r1=0", true},
        {"MP, acquire only", {"x=1 y=1", "r0=y.acq r1=x"}, "1r0=1 1r1=0", true},
        {"MP, the wrong way round", {"x=1.rel y=1", "r0=y r1=x.acq"}, "1r0=1 1r1=0", true},
        {"MP, fences", {"x=1 fence.rel y=1", "r0=y fence.acq r1=x"}, "1r0=1 1r1=0", false},
        {"MP, the writer's fence only",
         {"x=1 fence.rel y=1", "r0=y r1=x"},
         "1r0=1 1r1=0",
         true},
        {"MP, the reader's fence only",
         {"x=1 y=1", "r0=y fence.acq r1=x"},
         "1r0=1 1r1=0",
         true},
        {"MP, fences of the wrong kind",
         {"x=1 fence.acq y=1", "r0=y fence.rel r1=x"},
         "1r0=1 1r1=0",
         true},
        {"MP, read in order", {"x=1 y=1.rel", "r0=y.acq r1=x"}, "1r0=1 1r1=1", true},
        /* Real processors forbid this, C11 without memory_order_consume does not. */
        {"MP, address dependency", {"e=1 fence.rel y=1", "r0=y r1=*r0"}, "1r0=1 1r1=0", true},
        {"MP, address dependency, acquire",
         {"e=1 fence.rel y=1", "r0=y.acq r1=*r0"},
         "1r0=1 1r1=0",
         false},
        {"MP, address not as guessed", {"e=1", "r0=y r1=*r0"}, "1r0=0 1r1=1", false},
    };
    expect_all(tests, sizeof tests / sizeof *tests);
}

static void store_buffering(void **state) {
    (void)state;
    static const struct litmus tests[] = {
        {"SB", {"x=1 r0=y", "y=1 r0=x"}, "0r0=0 1r0=0", true},
        {"SB, release and acquire",
         {"x=1.rel r0=y.acq", "y=1.rel r0=x.acq"},
         "0r0=0 1r0=0",
         true},
        {"SB, acquire and release fences",
         {"x=1 fence.rel fence.acq r0=y", "y=1 fence.rel fence.acq r0=x"},
         "0r0=0 1r0=0",
         true},
        {"SB, sequential fences",
         {"x=1 fence.seq r0=y", "y=1 fence.seq r0=x"},
         "0r0=0 1r0=0",
         false},
        {"SB, one sequential fence", {"x=1 fence.seq r0=y", "y=1 r0=x"}, "0r0=0 1r0=0", true},
    };
    expect_all(tests, sizeof tests / sizeof *tests);
}

static void load_buffering(void **state) {
    (void)state;
    static const struct litmus tests[] = {
        {"LB", {"r0=x y=1", "r0=y x=1"}, "0r0=1 1r0=1", true},
        {"LB, acquire", {"r0=x.acq y=1", "r0=y.acq x=1"}, "0r0=1 1r0=1", false},
        {"LB, release", {"r0=x y=1.rel", "r0=y x=1.rel"}, "0r0=1 1r0=1", false},
        {"LB, one acquire", {"r0=x.acq y=1", "r0=y x=1"}, "0r0=1 1r0=1", true},
        {"LB, data dependencies", {"r0=x y=r0", "r0=y x=r0"}, "0r0=1 1r0=1", false},
        {"LB, one data dependency", {"r0=x y=r0", "r0=y x=1"}, "0r0=1 1r0=1", true},
    };
    expect_all(tests, sizeof tests / sizeof *tests);
}

static void coherence(void **state) {
    (void)state;
    static const struct litmus tests[] = {
        {"CoRR", {"x=1", "r0=x r1=x"}, "1r0=1 1r1=0", false},
        {"CoRR, two stores", {"x=1 x=2", "r0=x r1=x"}, "1r0=2 1r1=1", false},
        {"CoWW", {"x=1 x=2"}, "x=1", false},
        {"CoRW", {"r0=x x=1"}, "0r0=1", false},
        {"CoWR", {"x=1 r0=x", "x=2"}, "0r0=0", false},
        {"2+2W", {"x=1 y=2", "y=1 x=2"}, "x=1 y=1", true},
        {"2+2W, fences", {"x=1 fence.rel y=2", "y=1 fence.rel x=2"}, "x=1 y=1", false},
    };
    expect_all(tests, sizeof tests / sizeof *tests);
}

static void three_threads(void **state) {
    (void)state;
    static const struct litmus tests[] = {
        {"WRC", {"x=1", "r0=x y=1", "r0=y r1=x"}, "1r0=1 2r0=1 2r1=0", true},
        {"WRC, release and acquire",
         {"x=1", "r0=x.acq y=1.rel", "r0=y.acq r1=x"},
         "1r0=1 2r0=1 2r1=0",
         false},
        /* A relaxed swap goes on with the release sequence of the store that it saw. */
        {"release sequence",
         {"d=1 x=1.rel", "r1=x x?r1", "r0=x.acq r2=d"},
         "2r0=2 2r2=0",
         false},
        {"release sequence, read in order",
         {"d=1 x=1.rel", "r1=x x?r1", "r0=x.acq r2=d"},
         "2r0=2 2r2=1",
         true},
        {"two swaps of one value", {"x?r1", "x?r1", "x=0"}, "x=2", false},
        {"one swap after the other", {"x?r1", "r1=x x?r1", "y=0"}, "x=2", true},
    };
    expect_all(tests, sizeof tests / sizeof *tests);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_passing), cmocka_unit_test(store_buffering),
        cmocka_unit_test(load_buffering),  cmocka_unit_test(coherence),
        cmocka_unit_test(three_threads),
    };
    return cmocka_run_group_tests_name("explorer", tests, NULL, NULL);
}
