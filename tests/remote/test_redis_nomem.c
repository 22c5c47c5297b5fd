/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once, and with all after it: the library's and hiredis's own. Calls
 * answer HEARTH_E_NOMEM or HEARTH_E_UNKNOWN, and the next ones are right again. */
#include "remote/redis_rig.h"

#include "base/thread_buffer.h"
#include "support/sanitizer.h"

#include <errno.h>
#include <stdlib.h>

/* What is allocated on this thread before the first failure, and how many fail. */
static _Thread_local struct {
    bool armed;
    uint64_t successes;
    uint64_t failures;
    uint64_t failed;
    int64_t blocks; /* that live */
} fate;

#if !SANITIZED
/* glibc's own, under the names it keeps for those who replace them. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);
/* NOLINTEND(bugprone-reserved-identifier) */

/* Seen by hiredis too. */
#define SHARED __attribute__((visibility("default")))

static bool fails(void) {
    if (!fate.armed) {
        return false;
    }
    if (fate.successes != 0) {
        fate.successes--;
        return false;
    }
    if (fate.failures == 0) {
        return false;
    }
    fate.failures--;
    fate.failed++;
    errno = ENOMEM;
    return true;
}

static void *counted(void *block) {
    fate.blocks += block != NULL;
    return block;
}

SHARED void *malloc(size_t size) {
    return fails() ? NULL : counted(__libc_malloc(size));
}

SHARED void *calloc(size_t count, size_t size) {
    return fails() ? NULL : counted(__libc_calloc(count, size));
}

SHARED void *realloc(void *block, size_t size) {
    if (fails()) {
        return NULL;
    }
    return block != NULL ? __libc_realloc(block, size) : counted(__libc_malloc(size));
}

SHARED void free(void *block) {
    fate.blocks -= block != NULL;
    __libc_free(block);
}
#endif

static struct servers servers;

static int start(void **state) {
    (void)state;
    assert_int_equal(servers_open(&servers), 0);
    if (servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

enum { OPERATIONS = 10 };

static void compose(struct redis_rig *rig, hearth__remote_op *ops) {
    static char large[300000];
    memset(large, 'l', sizeof large - 1);
    size_t count = 0;
    ops[count++] = redis_rig_op(rig, HEARTH__SET, "k", "body");
    ops[count++] = redis_rig_op(rig, HEARTH__GET, "k", NULL);
    ops[count++] = redis_rig_op(rig, HEARTH__DELETE, "k", NULL);
    ops[count++] = redis_rig_op(rig, HEARTH__ADD, "k", large);
    ops[count++] = redis_rig_op(rig, HEARTH__REPLACE, "k", "other");
    ops[count++] = redis_rig_op(rig, HEARTH__TOUCH, "k", NULL);
    ops[count++] = redis_rig_op(rig, HEARTH__SET, "n", "7");
    ops[count - 1].kind = HEARTH__KIND_INTEGER;
    ops[count++] = redis_rig_op(rig, HEARTH__INCREMENT, "n", NULL);
    ops[count++] = redis_rig_op(rig, HEARTH__TOUCH, "n", NULL);
    ops[count++] = redis_rig_op(rig, HEARTH__GET, "n", NULL);
    assert_int_equal(count, OPERATIONS);
}

static bool may_be(const hearth__remote_op *op) {
    /* What a failure kept from being written is missed by those that come later. */
    return op->status >= 0 || op->status == HEARTH_E_NOMEM ||
           (op->status == HEARTH_E_UNKNOWN && op->verb != HEARTH__GET);
}

static void check_right(struct redis_rig *rig) {
    hearth__remote_op ops[OPERATIONS];
    compose(rig, ops);
    redis_rig_run_many(rig, ops, OPERATIONS, REDIS_RIG_DEADLINE_MS);
    for (size_t i = 0; i < OPERATIONS; i++) {
        redis_rig_same_status(ops[i].status, HEARTH_OK, ops[i].key);
    }
}

/* Runs all with failures from a place on; false: the place lies behind the end. */
static bool run_failing(uint64_t place, uint64_t failures, bool together) {
    struct redis_rig rig = redis_rig_at(servers.nodes[0].path, 0);
    hearth__remote_op ops[OPERATIONS];
    int64_t blocks = fate.blocks;
    redis_rig_open(&rig);
    compose(&rig, ops);
    fate.successes = place;
    fate.failures = failures;
    fate.failed = 0;
    fate.armed = true;
    if (together) {
        redis_rig_run_many(&rig, ops, OPERATIONS, REDIS_RIG_DEADLINE_MS);
    }
    for (size_t i = 0; i < OPERATIONS && !together; i++) {
        (void)redis_rig_run_within(&rig, &ops[i], REDIS_RIG_DEADLINE_MS);
    }
    fate.armed = false;
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (!may_be(&ops[i])) {
            fail_msg("allocation %u, operation %zu: %s", (unsigned)place, i,
                     hearth_status_name(ops[i].status));
        }
    }
    check_right(&rig);
    redis_rig_close(&rig);
    hearth__buffer kept = hearth__thread_buffer_take(); /* it would not be asked for again */
    hearth__buffer_fini(&kept);
    assert_int_equal(fate.blocks, blocks);
    return fate.failed != 0;
}

#if !SANITIZED

static void sweep(uint64_t failures, bool together) {
    uint64_t place = 0;
    while (run_failing(place, failures, together)) {
        place++;
    }
    assert_true(place > 20);
}

static void any_one_allocation_may_fail(void **state) {
    (void)state;
    sweep(1, false);
    sweep(1, true);
}

static void all_allocations_may_fail_from_any_on(void **state) {
    (void)state;
    sweep(UINT64_MAX, false);
    sweep(UINT64_MAX, true);
}

#define TESTS                                      \
    cmocka_unit_test(any_one_allocation_may_fail), \
        cmocka_unit_test(all_allocations_may_fail_from_any_on)

#else /* the sanitizer has the heap: it looks at the same operations while none fails */

static void nothing_fails_where_there_is_memory(void **state) {
    (void)state;
    assert_false(run_failing(0, 0, false));
    assert_false(run_failing(0, 0, true));
}

#define TESTS cmocka_unit_test(nothing_fails_where_there_is_memory)

#endif

int main(void) {
    const struct CMUnitTest tests[] = {TESTS};
    return cmocka_run_group_tests_name("redis nomem", tests, start, stop);
}
