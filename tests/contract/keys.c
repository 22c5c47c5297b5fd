/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever bytes a key has, it names its own value and nothing else, and the server is told nothing
 * but what we meant. */
#include "contract/suite.h"

#include "base/stat.h"

#include <stdlib.h>

struct key {
    const char *bytes;
    size_t size;
};

#define KEY(text) \
    { (text), sizeof(text) - 1 }

static const struct key short_keys[] = {
    KEY("k"),
    KEY("with space"),
    KEY("with\ttab"),
    KEY("with\rreturn"),
    KEY("with\nnewline"),
    KEY("with\0nul"),
    KEY("with\0lun"),
    KEY("\0"),
    KEY(" "),
    KEY("with\x7f"
        "delete"),
    KEY("with\x01"
        "control"),
    KEY("gr\xc3\xb6\xc3\x9f"
        "e"),
    KEY("\xff\xfe\x80"),
    KEY("\x89HRT"),
    KEY("%s%n%s%n"),
    KEY("x 0 0 1\r\nA\r\nset pwned 0 0 4\r\nEVIL\r\nget x"),
    KEY("x\r\nset pwned 0 0 4\r\nEVIL\r\n"),
    KEY("x\r\nflush_all\r\n"),
    KEY("x\r\nSET pwned EVIL\r\n"),
    KEY("x\r\nFLUSHALL\r\n"),
    KEY("x\r\n*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n$4\r\nEVIL\r\n"),
    KEY("x noreply\r\nflush_all"),
};

static const size_t long_sizes[] = {
    249, 250, 251, 252, 1000, 2048, 32767, 32768, HEARTH__FULL_KEY_MAX};

enum {
    SHORT_KEYS = sizeof short_keys / sizeof short_keys[0],
    LONG_KEYS = sizeof long_sizes / sizeof long_sizes[0],
    KEYS = SHORT_KEYS + LONG_KEYS,
};

static void make_keys(struct key *keys, char *space) {
    memset(space, 'a', HEARTH__FULL_KEY_MAX);
    memcpy(keys, short_keys, sizeof short_keys);
    for (size_t i = 0; i < LONG_KEYS; i++) {
        keys[SHORT_KEYS + i] = (struct key){space, long_sizes[i]};
    }
}

/* Every key has a body of its own. */
static hearth__remote_op op_for(struct rig *rig, enum hearth__verb verb, const struct key *keys,
                                size_t i, char body[32]) {
    snprintf(body, 32, "the body of key %zu", i);
    hearth__remote_op op = rig_store(rig, verb, "", body);
    op.key = keys[i].bytes;
    op.key_size = keys[i].size;
    op.body = verb == HEARTH__GET ? &rig->body : NULL;
    return op;
}

static void expect_all(struct rig *rig, enum hearth__verb verb, const struct key *keys,
                       int32_t status) {
    for (size_t i = 0; i < KEYS; i++) {
        char body[32];
        char what[64];
        hearth__remote_op op = op_for(rig, verb, keys, i, body);
        snprintf(what, sizeof what, "verb %d, key %zu", (int)verb, i);
        rig_expect(rig, op, status, what);
        if (verb == HEARTH__GET && status == HEARTH_OK) {
            assert_int_equal(rig->body.size, strlen(body));
            assert_memory_equal(rig->body.data, body, strlen(body));
        }
    }
}

static void expect_server_holds(struct rig *rig, uint64_t count) {
    const struct contract_raw *raw = rig->contract->raw;
    if (raw->keys != NULL) {
        assert_int_equal(raw->keys(rig, 0), count);
        assert_int_equal(raw->strange_commands(rig, 0), 0);
    }
    (void)rig_expect_get(rig, "pwned", HEARTH_MISS, NULL);
}

/* The value of one awkward key under another's: the header knows better. */
static void check_mixed_up(struct rig *rig, const struct key *keys) {
    const struct contract_raw *raw = rig->contract->raw;
    for (size_t i = 0; raw->get != NULL && i + 1 < KEYS; i++) {
        char body[32];
        hearth__buffer theirs = {0};
        assert_true(raw->get(rig, 0, keys[i].bytes, keys[i].size, &theirs));
        raw->put(rig, 0, keys[i + 1].bytes, keys[i + 1].size, theirs.data, theirs.size, 0);
        hearth__buffer_fini(&theirs);
        uint64_t before = rig_counter(rig, HEARTH__STAT_values_damaged);
        rig_expect(rig, op_for(rig, HEARTH__GET, keys, i + 1, body), HEARTH_MISS, "another's");
        assert_int_equal(rig_counter(rig, HEARTH__STAT_values_damaged), before + 1);
        rig_expect(rig, op_for(rig, HEARTH__SET, keys, i + 1, body), HEARTH_OK, "own again");
    }
}

void test_keys(void **state) {
    struct rig *rig = *state;
    struct key keys[KEYS];
    char *space = malloc(HEARTH__FULL_KEY_MAX);
    assert_non_null(space);
    make_keys(keys, space);
    expect_all(rig, HEARTH__GET, keys, HEARTH_MISS);
    expect_all(rig, HEARTH__ADD, keys, HEARTH_OK);
    expect_all(rig, HEARTH__GET, keys, HEARTH_OK);
    expect_server_holds(rig, KEYS);
    expect_all(rig, HEARTH__ADD, keys, HEARTH_EXISTS);
    expect_all(rig, HEARTH__SET, keys, HEARTH_OK);
    expect_all(rig, HEARTH__REPLACE, keys, HEARTH_OK);
    expect_all(rig, HEARTH__TOUCH, keys, HEARTH_OK);
    expect_all(rig, HEARTH__SWAP, keys, HEARTH_CONFLICT);
    expect_all(rig, HEARTH__GET, keys, HEARTH_OK);
    check_mixed_up(rig, keys);
    expect_all(rig, HEARTH__GET, keys, HEARTH_OK);
    expect_server_holds(rig, KEYS);
    expect_all(rig, HEARTH__DELETE, keys, HEARTH_OK);
    expect_all(rig, HEARTH__DELETE, keys, HEARTH_MISS);
    expect_server_holds(rig, 0);
    free(space);
}

/* All of them in one batch: no key spoils another's answer. */
void test_keys_in_a_batch(void **state) {
    struct rig *rig = *state;
    struct key keys[KEYS];
    hearth__remote_op ops[KEYS];
    hearth__buffer bodies[KEYS] = {{0}};
    char texts[KEYS][32];
    char *space = malloc(HEARTH__FULL_KEY_MAX);
    assert_non_null(space);
    make_keys(keys, space);
    expect_all(rig, HEARTH__SET, keys, HEARTH_OK);
    for (size_t i = 0; i < KEYS; i++) {
        ops[i] = op_for(rig, HEARTH__GET, keys, i, texts[i]);
        ops[i].body = &bodies[i];
    }
    hearth__remote_execute(rig->remote, ops, KEYS, INT64_MAX);
    for (size_t i = 0; i < KEYS; i++) {
        rig_same_status(ops[i].status, HEARTH_OK, "get of many");
        assert_int_equal(bodies[i].size, strlen(texts[i]));
        assert_memory_equal(bodies[i].data, texts[i], strlen(texts[i]));
        hearth__buffer_fini(&bodies[i]);
    }
    free(space);
}

/* Integers have no header that could hold the key. */
void test_integers_under_awkward_keys(void **state) {
    struct rig *rig = *state;
    bool anywhere = rig->contract->integers_anywhere;
    int32_t status = anywhere ? HEARTH_OK : HEARTH_E_UNSUPPORTED;
    hearth__remote_op set = rig_store(rig, HEARTH__SET, "a b", "1");
    set.kind = HEARTH__KIND_INTEGER;
    hearth__remote_op increment = rig_verb(HEARTH__INCREMENT, "a b");
    increment.number = 1;
    rig_expect(rig, set, status, "integer under a key with a space");
    rig_expect(rig, increment, status, "increment under a key with a space");
    (void)rig_expect_get(rig, "a b", anywhere ? HEARTH_OK : HEARTH_MISS, "2");
    if (!anywhere) {
        /* Digits that somebody left there could be any key's. */
        rig_plant(rig, "a b", "5", 1);
        (void)rig_expect_get(rig, "a b", HEARTH_MISS, NULL);
        hearth__remote_op op = rig_get(rig, "a b");
        hearth__remote_execute(rig->lenient, &op, 1, INT64_MAX);
        rig_same_status(op.status, HEARTH_MISS, "digits under a key with a space");
    }
}
