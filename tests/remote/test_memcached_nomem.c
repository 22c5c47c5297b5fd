/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the client for Memcached fails once, and with all after it: calls answer that
 * there was no memory, or that a write may have happened, and the next ones are right again. */
#include "remote/faulty_node.h"

#include "base/clock.h"
#include "base/thread_buffer.h"
#include "support/failing_memory.h"

enum { OPERATIONS = 10, LARGE = 100000 };

static void compose(struct faulty_node *node, hearth__remote_op *ops, hearth__buffer *body) {
    static char large[LARGE];
    static const struct {
        enum hearth__verb verb;
        const char *key;
        const char *data;
    } all[OPERATIONS] = {
        {HEARTH__SET, "k", "body"},     {HEARTH__GET, "k", NULL},
        {HEARTH__DELETE, "k", NULL},    {HEARTH__ADD, "k", large},
        {HEARTH__GET, "k", NULL},       {HEARTH__REPLACE, "k", "other"},
        {HEARTH__TOUCH, "k", NULL},     {HEARTH__SET, "n", "7"},
        {HEARTH__INCREMENT, "n", NULL}, {HEARTH__GET, "with space", NULL},
    };
    memset(large, 'l', sizeof large - 1);
    for (size_t i = 0; i < OPERATIONS; i++) {
        ops[i] = faulty_op(node, all[i].verb, all[i].key, all[i].data);
        ops[i].kind = strcmp(all[i].key, "n") == 0 ? HEARTH__KIND_INTEGER : HEARTH__KIND_VALUE;
        ops[i].body = all[i].verb == HEARTH__GET ? body : NULL;
        ops[i].want_ttl = true;
    }
}

static void run_all(struct faulty_node *node, hearth__remote_op *ops, bool together) {
    if (together) {
        hearth__remote_execute(node->remote, ops, OPERATIONS,
                               hearth__deadline_ns(FAULTY_DEADLINE_MS));
    }
    for (size_t i = 0; i < OPERATIONS && !together; i++) {
        (void)faulty_run(node, &ops[i], FAULTY_DEADLINE_MS);
    }
}

static bool may_be(const hearth__remote_op *op) {
    /* What a failure kept from being written is missed by those that come later. */
    return op->status >= 0 || op->status == HEARTH_E_NOMEM ||
           (op->status == HEARTH_E_UNKNOWN && op->verb != HEARTH__GET);
}

/* With failures from a place on; false: the place lies behind the end. */
static bool run_failing(struct faulty_node *node, uint64_t place, uint64_t failures,
                        bool together) {
    hearth__remote_op ops[OPERATIONS];
    hearth__buffer body = {0};
    faulty_reopen(node, 1, FAULTY_DEADLINE_MS);
    compose(node, ops, &body);
    failing_memory_fail(place, failures);
    run_all(node, ops, together);
    bool failed = failing_memory_failures() != 0;
    failing_memory_pass();
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (!may_be(&ops[i])) {
            fail_msg("%s, allocation %u, operation %zu: %s", faulty_name(node), (unsigned)place,
                     i, hearth_status_name(ops[i].status));
        }
    }
    compose(node, ops, &body);
    run_all(node, ops, together);
    for (size_t i = 0; i < OPERATIONS; i++) {
        int32_t right = i == OPERATIONS - 1 ? HEARTH_MISS : HEARTH_OK;
        assert_int_equal(ops[i].status, right);
    }
    hearth__buffer_fini(&body);
    hearth__buffer kept = hearth__thread_buffer_take(); /* it would not be asked for again */
    hearth__buffer_fini(&kept);
    return failed;
}

static void sweep(struct faulty_node *node, uint64_t failures, bool together) {
    uint64_t place = 0;
    int64_t blocks = 0;
    while (run_failing(node, place, failures, together)) {
        if (place == 0) {
            blocks = failing_memory_blocks();
        }
        assert_int_equal(failing_memory_blocks(), blocks);
        place++;
    }
    assert_true(place > 5);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    static const enum faulty_protocol protocols[] = {FAULTY_META, FAULTY_TEXT};
    for (size_t i = 0; i < 2; i++) {
        struct faulty_node node;
        faulty_open(&node, protocols[i], 1, FAULTY_DEADLINE_MS);
        for (int together = 0; together < 2; together++) {
            sweep(&node, 1, together != 0);
            sweep(&node, UINT64_MAX, together != 0);
        }
        faulty_close(&node);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_allocation_may_fail)};
    return cmocka_run_group_tests_name("memcached nomem", tests, faulty_servers_start,
                                       faulty_servers_stop);
}
