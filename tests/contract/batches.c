/* SPDX-License-Identifier: Apache-2.0 */
/* Many operations at once, and many threads. */
#include "contract/suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* What one node is asked, in this order, and answers: later operations see the earlier ones. */
struct step {
    enum hearth__verb verb;
    enum hearth__kind kind;
    const char *key;
    const char *data; /* of a store, or what a GET finds */
    int32_t status;
};

static const struct step steps[] = {
    {HEARTH__GET, HEARTH__KIND_VALUE, "a", NULL, HEARTH_MISS},
    {HEARTH__SET, HEARTH__KIND_VALUE, "a", "one", HEARTH_OK},
    {HEARTH__GET, HEARTH__KIND_VALUE, "a", "one", HEARTH_OK},
    {HEARTH__ADD, HEARTH__KIND_VALUE, "a", "two", HEARTH_EXISTS},
    {HEARTH__GET, HEARTH__KIND_VALUE, "a", "one", HEARTH_OK},
    {HEARTH__GET, HEARTH__KIND_VALUE, "b", NULL, HEARTH_MISS},
    {HEARTH__REPLACE, HEARTH__KIND_VALUE, "a", "three", HEARTH_OK},
    {HEARTH__TOUCH, HEARTH__KIND_VALUE, "a", NULL, HEARTH_OK},
    {HEARTH__TOUCH, HEARTH__KIND_VALUE, "b", NULL, HEARTH_MISS},
    {HEARTH__GET, HEARTH__KIND_VALUE, "a", "three", HEARTH_OK},
    {HEARTH__SET, HEARTH__KIND_ABSENT, "b", "", HEARTH_OK},
    {HEARTH__GET, HEARTH__KIND_VALUE, "b", NULL, HEARTH_ABSENT},
    {HEARTH__SET, HEARTH__KIND_INTEGER, "n", "7", HEARTH_OK},
    {HEARTH__INCREMENT, HEARTH__KIND_VALUE, "n", NULL, HEARTH_OK},
    {HEARTH__INCREMENT, HEARTH__KIND_VALUE, "a", NULL, HEARTH_E_TYPE},
    {HEARTH__INCREMENT, HEARTH__KIND_VALUE, "b", NULL, HEARTH_MISS},
    {HEARTH__GET, HEARTH__KIND_VALUE, "n", "8", HEARTH_OK},
    {HEARTH__SWAP, HEARTH__KIND_VALUE, "a", "four", HEARTH_CONFLICT},
    {HEARTH__SWAP, HEARTH__KIND_VALUE, "c", "four", HEARTH_MISS},
    {HEARTH__DELETE, HEARTH__KIND_VALUE, "a", NULL, HEARTH_OK},
    {HEARTH__DELETE, HEARTH__KIND_VALUE, "b", NULL, HEARTH_MISS},
    {HEARTH__GET, HEARTH__KIND_VALUE, "a", NULL, HEARTH_MISS},
    {HEARTH__GET, HEARTH__KIND_VALUE, "b", NULL, HEARTH_MISS},
    {HEARTH__GET, HEARTH__KIND_VALUE, "n", "8", HEARTH_OK},
};

enum { STEPS = sizeof steps / sizeof steps[0] };

static hearth__remote_op op_of(struct rig *rig, const struct step *step) {
    hearth__remote_op op =
        rig_store(rig, step->verb, step->key, step->data != NULL ? step->data : "");
    op.kind = step->kind;
    op.number = 1;
    op.if_version = 12345;
    return op;
}

/* The nodes' steps lie in turn: 0 1 2 0 1 2 ... */
void test_batch_of_many_verbs(void **state) {
    struct rig *rig = *state;
    hearth__remote_op ops[STEPS * RIG_NODES];
    hearth__buffer bodies[STEPS * RIG_NODES] = {{0}};
    size_t count = (size_t)STEPS * rig->nodes;
    for (size_t i = 0; i < count; i++) {
        ops[i] = op_of(rig, &steps[i / rig->nodes]);
        ops[i].node = (uint32_t)(i % rig->nodes);
        ops[i].body = ops[i].verb == HEARTH__GET ? &bodies[i] : NULL;
    }
    hearth__remote_execute(rig->remote, ops, count, INT64_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i / rig->nodes];
        char what[64];
        snprintf(what, sizeof what, "step %zu at node %u", i / rig->nodes, ops[i].node);
        rig_same_status(ops[i].status, step->status, what);
        if (step->verb == HEARTH__GET && step->status == HEARTH_OK) {
            assert_int_equal(bodies[i].size, strlen(step->data));
            assert_memory_equal(bodies[i].data, step->data, bodies[i].size);
        }
        hearth__buffer_fini(&bodies[i]);
    }
}

/* More than any socket's buffer holds, in both directions. */
static void check_large_batch(struct rig *rig, size_t count, size_t size) {
    hearth__remote_op *ops = calloc(count, sizeof *ops);
    hearth__buffer *bodies = calloc(count, sizeof *bodies);
    char(*keys)[24] = calloc(count, sizeof *keys);
    char *data = malloc(size + count);
    assert_non_null(ops);
    assert_non_null(bodies);
    assert_non_null(keys);
    assert_non_null(data);
    for (size_t i = 0; i < size + count; i++) {
        data[i] = (char)(i * 7 + i / 251);
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "large-%zu-%zu", size, i);
        ops[i] = rig_store(rig, HEARTH__SET, keys[i], "");
        ops[i].node = (uint32_t)(i % rig->nodes);
        ops[i].data = data + i; /* every value is another */
        ops[i].data_size = size;
    }
    hearth__remote_execute(rig->remote, ops, count, INT64_MAX);
    for (size_t i = 0; i < count; i++) {
        rig_same_status(ops[i].status, HEARTH_OK, "set of many");
        ops[i].verb = HEARTH__GET;
        ops[i].body = &bodies[i];
    }
    hearth__remote_execute(rig->remote, ops, count, INT64_MAX);
    for (size_t i = 0; i < count; i++) {
        rig_same_status(ops[i].status, HEARTH_OK, "get of many");
        assert_int_equal(bodies[i].size, size);
        assert_memory_equal(bodies[i].data, data + i, size);
        hearth__buffer_fini(&bodies[i]);
    }
    free(data);
    free(keys);
    free(bodies);
    free(ops);
}

void test_large_batch(void **state) {
    check_large_batch(*state, 5000, 100);
    check_large_batch(*state, 64, 200000);
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 1500, THREAD_KEYS = 48 };

struct hammer {
    struct rig *rig;
    uint32_t seed;
    _Atomic uint32_t *errors;
    _Atomic uint32_t *wrong;
    _Atomic uint32_t *right;
};

/* A key's value has nothing in common with another key's. */
static size_t value_of(uint32_t number, char value[4096]) {
    size_t size = 1 + number * 83 % 4000;
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)((size_t)number * 5 + i * ((size_t)number + 1));
    }
    return size;
}

static void hammer_once(struct hammer *hammer, hearth__buffer *body, uint32_t number) {
    static const enum hearth__verb verbs[] = {HEARTH__GET,    HEARTH__GET,  HEARTH__GET,
                                              HEARTH__SET,    HEARTH__ADD,  HEARTH__REPLACE,
                                              HEARTH__DELETE, HEARTH__TOUCH};
    char key[32];
    char value[4096];
    hearth__remote_op op = {
        .verb = verbs[hammer->seed / 7919 % (sizeof verbs / sizeof verbs[0])],
        .node = number % hammer->rig->nodes,
        .key = key,
        .key_size = (size_t)snprintf(key, sizeof key, "hammer-%u", number),
        .data = value,
        .data_size = value_of(number, value),
        .version = hearth__remote_new_version(hammer->rig->remote),
        .content = number,
        .ttl_ms = 60000,
        .body = body,
    };
    (void)rig_run(hammer->rig, &op);
    atomic_fetch_add(hammer->errors, op.status < 0);
    if (op.verb == HEARTH__GET && op.status == HEARTH_OK) {
        bool same = body->size == op.data_size && op.found_content == number &&
                    memcmp(body->data, value, body->size) == 0;
        atomic_fetch_add(same ? hammer->right : hammer->wrong, 1);
    }
}

static void *hammer(void *arg) {
    struct hammer *own = arg;
    hearth__buffer body = {0};
    for (size_t i = 0; i < ROUNDS; i++) {
        own->seed = own->seed * 1664525 + 1013904223;
        hammer_once(own, &body, own->seed / 65536 % THREAD_KEYS);
    }
    hearth__buffer_fini(&body);
    return NULL;
}

void test_threads(void **state) {
    _Atomic uint32_t errors = 0;
    _Atomic uint32_t wrong = 0;
    _Atomic uint32_t right = 0;
    struct hammer hammers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){*state, i + 1, &errors, &wrong, &right};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(errors, 0);
    assert_true(right > 0);
}
