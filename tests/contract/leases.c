/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: taken by one, filled by token, voided by whatever is written or deleted at the key. */
#include "contract/suite.h"

#include "base/clock.h"
#include "support/crowd.h"

#include <stdatomic.h>

#define OURS   "our own token.."
#define THEIRS "another token.."

static void expect(struct rig *rig, enum hearth__verb verb, const char *key, const char *token,
                   int32_t status) {
    rig_expect(rig, rig_lease_verb(rig, verb, key, token), status, key);
}

/* Whether a lease is there, as a reader sees it. */
static bool is_leased(struct rig *rig, const char *key) {
    hearth__remote_op op = rig_get(rig, key);
    return rig_run(rig, &op) == HEARTH_MISS && op.found == HEARTH__KIND_LEASE;
}

void test_a_lease_is_taken_once_and_filled(void **state) {
    struct rig *rig = *state;
    expect(rig, HEARTH__LEASE, "once", OURS, HEARTH_OK);
    assert_true(is_leased(rig, "once"));
    expect(rig, HEARTH__LEASE, "once", THEIRS, HEARTH_EXISTS);
    expect(rig, HEARTH__LEASE, "once", OURS, HEARTH_EXISTS);
    expect(rig, HEARTH__EXTEND, "once", OURS, HEARTH_OK);
    expect(rig, HEARTH__FILL, "once", OURS, HEARTH_OK);
    (void)rig_expect_get(rig, "once", HEARTH_OK, "filled");
    assert_false(is_leased(rig, "once"));
    expect(rig, HEARTH__FILL, "once", OURS, HEARTH_CONFLICT);
    expect(rig, HEARTH__EXTEND, "once", OURS, HEARTH_CONFLICT);
    expect(rig, HEARTH__RELEASE, "once", OURS, HEARTH_CONFLICT);
    (void)rig_expect_get(rig, "once", HEARTH_OK, "filled");
    /* An absence too can be filled in. */
    expect(rig, HEARTH__LEASE, "none", OURS, HEARTH_OK);
    hearth__remote_op op = rig_lease_verb(rig, HEARTH__FILL, "none", OURS);
    op.kind = HEARTH__KIND_ABSENT;
    op.data_size = 0;
    rig_expect(rig, op, HEARTH_OK, "none");
    (void)rig_expect_get(rig, "none", HEARTH_ABSENT, NULL);
}

void test_a_released_lease_leaves_nothing(void **state) {
    struct rig *rig = *state;
    expect(rig, HEARTH__LEASE, "let-go", OURS, HEARTH_OK);
    expect(rig, HEARTH__RELEASE, "let-go", THEIRS, HEARTH_CONFLICT);
    expect(rig, HEARTH__RELEASE, "let-go", OURS, HEARTH_OK);
    assert_false(is_leased(rig, "let-go"));
    if (rig->contract->raw->get != NULL) {
        assert_false(rig->contract->raw->get(rig, 0, "let-go", 6, &rig->body));
    }
    expect(rig, HEARTH__FILL, "let-go", OURS, HEARTH_MISS);
    expect(rig, HEARTH__EXTEND, "let-go", OURS, HEARTH_MISS);
    expect(rig, HEARTH__RELEASE, "let-go", OURS, HEARTH_MISS);
    expect(rig, HEARTH__LEASE, "let-go", THEIRS, HEARTH_OK);
}

/* Each of these ends the lease for good; what it left stays. */
void test_writes_void_a_lease(void **state) {
    struct rig *rig = *state;
    static const struct {
        enum hearth__verb verb;
        int32_t status;   /* its own */
        int32_t of_verbs; /* what verbs on the lease answer then */
    } writes[] = {{HEARTH__DELETE, HEARTH_MISS, HEARTH_MISS},
                  {HEARTH__SET, HEARTH_OK, HEARTH_CONFLICT},
                  {HEARTH__ADD, HEARTH_OK, HEARTH_CONFLICT}};
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        expect(rig, HEARTH__LEASE, "voided", OURS, HEARTH_OK);
        rig_expect(rig, rig_store(rig, writes[i].verb, "voided", "new"), writes[i].status,
                   "voided");
        expect(rig, HEARTH__EXTEND, "voided", OURS, writes[i].of_verbs);
        expect(rig, HEARTH__RELEASE, "voided", OURS, writes[i].of_verbs);
        expect(rig, HEARTH__FILL, "voided", OURS, writes[i].of_verbs);
        bool stored = writes[i].verb != HEARTH__DELETE;
        (void)rig_expect_get(rig, "voided", stored ? HEARTH_OK : HEARTH_MISS, "new");
        rig_expect(rig, rig_verb(HEARTH__DELETE, "voided"), stored ? HEARTH_OK : HEARTH_MISS,
                   "voided");
    }
}

void test_other_clients_void_a_lease(void **state) {
    struct rig *rig = *state;
    expect(rig, HEARTH__LEASE, "foreign-set", OURS, HEARTH_OK);
    rig_plant(rig, "foreign-set", "theirs", 6);
    expect(rig, HEARTH__FILL, "foreign-set", OURS, HEARTH_CONFLICT);
    expect(rig, HEARTH__LEASE, "emptied", OURS, HEARTH_OK);
    rig_plant(rig, "emptied", "", 0);
    expect(rig, HEARTH__FILL, "emptied", OURS, HEARTH_CONFLICT);
    if (rig->contract->raw->put_other_type != NULL) {
        rig->contract->raw->put_other_type(rig, 0, "a-list");
        expect(rig, HEARTH__LEASE, "a-list", OURS, HEARTH_EXISTS);
        expect(rig, HEARTH__FILL, "a-list", OURS, HEARTH_CONFLICT);
        expect(rig, HEARTH__RELEASE, "a-list", OURS, HEARTH_CONFLICT);
    }
}

/* A delete between two leases: the older one stays void. */
void test_a_lease_of_another_is_none(void **state) {
    struct rig *rig = *state;
    expect(rig, HEARTH__LEASE, "again", OURS, HEARTH_OK);
    rig_expect(rig, rig_verb(HEARTH__DELETE, "again"), HEARTH_MISS, "again");
    expect(rig, HEARTH__LEASE, "again", THEIRS, HEARTH_OK);
    expect(rig, HEARTH__FILL, "again", OURS, HEARTH_CONFLICT);
    expect(rig, HEARTH__EXTEND, "again", OURS, HEARTH_CONFLICT);
    expect(rig, HEARTH__RELEASE, "again", OURS, HEARTH_CONFLICT);
    assert_true(is_leased(rig, "again"));
    expect(rig, HEARTH__FILL, "again", THEIRS, HEARTH_OK);
    /* A placeholder without a token, as it may stand there, is nobody's. */
    (void)rig_plant_kind(rig, HEARTH__KIND_LEASE, "nobodys", "");
    expect(rig, HEARTH__FILL, "nobodys", OURS, HEARTH_CONFLICT);
    assert_true(is_leased(rig, "nobodys"));
}

void test_what_is_no_value_leaves_a_lease(void **state) {
    struct rig *rig = *state;
    static const enum hearth__verb verbs[] = {HEARTH__REPLACE, HEARTH__TOUCH,
                                              HEARTH__INCREMENT};
    expect(rig, HEARTH__LEASE, "kept", OURS, HEARTH_OK);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        rig_expect(rig, rig_store(rig, verbs[i], "kept", "new"), HEARTH_MISS, "kept");
    }
    hearth__remote_op swap = rig_store(rig, HEARTH__SWAP, "kept", "new");
    swap.if_version = 7;
    rig_expect(rig, swap, HEARTH_CONFLICT, "kept");
    expect(rig, HEARTH__FILL, "kept", OURS, HEARTH_OK);
}

struct place {
    struct rig *rig;
    const char *key;
};

static bool is_free(void *arg) {
    const struct place *place = arg;
    hearth__remote_op op = rig_lease_verb(place->rig, HEARTH__LEASE, place->key, THEIRS);
    return rig_run(place->rig, &op) == HEARTH_OK;
}

void test_a_lease_ends_unless_it_is_extended(void **state) {
    struct rig *rig = *state;
    hearth__remote_op extended = rig_lease_verb(rig, HEARTH__LEASE, "extended", OURS);
    extended.ttl_ms = 100;
    rig_expect(rig, extended, HEARTH_OK, "extended");
    expect(rig, HEARTH__EXTEND, "extended", OURS, HEARTH_OK);
    hearth__remote_op brief = rig_lease_verb(rig, HEARTH__LEASE, "brief", OURS);
    brief.ttl_ms = 100;
    rig_expect(rig, brief, HEARTH_OK, "brief");
    assert_true(await_until(is_free, &(struct place){rig, "brief"}));
    expect(rig, HEARTH__FILL, "brief", OURS, HEARTH_CONFLICT);
    /* That one was taken later, and is over. */
    expect(rig, HEARTH__FILL, "extended", OURS, HEARTH_OK);
    (void)rig_expect_get(rig, "extended", HEARTH_OK, "filled");
}

/* Memcached would misread these: there they are replaced. */
void test_leases_under_awkward_keys(void **state) {
    struct rig *rig = *state;
    static const char *const keys[] = {"with blanks in it", "line\r\nend"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        expect(rig, HEARTH__LEASE, keys[i], OURS, HEARTH_OK);
        expect(rig, HEARTH__LEASE, keys[i], THEIRS, HEARTH_EXISTS);
        assert_true(is_leased(rig, keys[i]));
        expect(rig, HEARTH__EXTEND, keys[i], OURS, HEARTH_OK);
        expect(rig, HEARTH__FILL, keys[i], THEIRS, HEARTH_CONFLICT);
        expect(rig, HEARTH__FILL, keys[i], OURS, HEARTH_OK);
        (void)rig_expect_get(rig, keys[i], HEARTH_OK, "filled");
    }
}

enum { BATCH = 30 };

static void run_batch(struct rig *rig, hearth__remote_op *ops, enum hearth__verb verb,
                      char keys[BATCH][16]) {
    for (size_t i = 0; i < BATCH; i++) {
        ops[i] = rig_lease_verb(rig, verb, keys[i], OURS);
        ops[i].node = (uint32_t)i % rig->nodes;
    }
    hearth__remote_execute(rig->remote, ops, BATCH, hearth__deadline_ns(RIG_DEADLINE_MS));
}

void test_leases_in_a_batch(void **state) {
    struct rig *rig = *state;
    hearth__remote_op ops[BATCH];
    char keys[BATCH][16];
    for (size_t i = 0; i < BATCH; i++) {
        snprintf(keys[i], sizeof keys[i], "lease-%zu", i);
    }
    rig_expect(rig, rig_store(rig, HEARTH__SET, keys[0], "there"), HEARTH_OK, keys[0]);
    run_batch(rig, ops, HEARTH__LEASE, keys);
    for (size_t i = 0; i < BATCH; i++) {
        rig_same_status(ops[i].status, i == 0 ? HEARTH_EXISTS : HEARTH_OK, keys[i]);
    }
    run_batch(rig, ops, HEARTH__FILL, keys);
    for (size_t i = 0; i < BATCH; i++) {
        rig_same_status(ops[i].status, i == 0 ? HEARTH_CONFLICT : HEARTH_OK, keys[i]);
    }
}

enum { TAKERS = 8 };

struct takers {
    struct rig *rig;
    _Atomic int won;
    _Atomic int lost;
};

static void take(void *arg, size_t index) {
    struct takers *takers = arg;
    char token[HEARTH__TOKEN_BYTES];
    snprintf(token, sizeof token, "token %9zu", index);
    hearth__remote_op op = rig_lease_verb(takers->rig, HEARTH__LEASE, "wanted", token);
    int32_t status = rig_run(takers->rig, &op);
    atomic_fetch_add(&takers->won, status == HEARTH_OK);
    atomic_fetch_add(&takers->lost, status == HEARTH_EXISTS);
}

void test_one_of_many_gets_a_lease(void **state) {
    struct takers takers = {.rig = *state};
    assert_true(crowd_run(TAKERS, take, &takers));
    assert_int_equal(atomic_load(&takers.won), 1);
    assert_int_equal(atomic_load(&takers.lost), TAKERS - 1);
}

void test_a_fill_too_large_leaves_nothing(void **state) {
    struct rig *rig = *state;
    static char large[(2 << 20) + 4096];
    if (rig->contract->value_max == 0) {
        return; /* it takes what this suite can send */
    }
    expect(rig, HEARTH__LEASE, "large", OURS, HEARTH_OK);
    hearth__remote_op op = rig_lease_verb(rig, HEARTH__FILL, "large", OURS);
    op.data = large;
    op.data_size = sizeof large;
    rig_expect(rig, op, HEARTH_E_TOO_LARGE, "large");
    assert_true(await_until(is_free, &(struct place){rig, "large"}));
}

static bool has_changed(void *arg) {
    const struct place *place = arg;
    static uint64_t first;
    uint64_t now = hearth__remote_generation(place->rig->remote, 0);
    if (place->key == NULL) {
        first = now;
    }
    return now != first;
}

/* A server that was started anew may have a lease again whose end it has forgotten. */
void test_lost_connections_change_the_generation(void **state) {
    struct rig *rig = *state;
    bool tells = rig->contract->has_servers &&
                 rig->contract->memcached_client == HEARTH__MEMCACHED_HEARTH;
    if (!tells) {
        return;
    }
    expect(rig, HEARTH__LEASE, "k", OURS, HEARTH_OK);
    assert_false(has_changed(&(struct place){rig, NULL}));
    expect(rig, HEARTH__EXTEND, "k", OURS, HEARTH_OK);
    assert_false(has_changed(&(struct place){rig, "k"}));
    assert_int_equal(servers_restart(&rig->servers, 0), 0);
    assert_true(
        await_until(has_changed, &(struct place){rig, "k"})); /* nobody has used it since */
}
