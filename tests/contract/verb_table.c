/* SPDX-License-Identifier: Apache-2.0 */
/* What each verb answers over what is at a key, and what is there afterwards. */
#include "contract/suite.h"

#include "base/stat.h"
#include "remote/envelope.h"

#include <stdlib.h>

enum at {
    NOTHING,
    VALUE,
    STALE,
    ABSENT,
    LEASE,
    INTEGER,
    FOREIGN,
    NEWER_FORMAT,
    NEWER_FLAGS,
    CUT,
    ROWS
};

static const char *const row_names[] = {
    "nothing", "value",   "stale",  "absent", "lease",
    "integer", "foreign", "format", "flags",  "cut",
};

/* In the order of enum hearth__verb. */
static const char *const verb_names[] = {"get",   "set",       "add",    "replace", "swap",
                                         "touch", "increment", "delete", "mark",    "lease",
                                         "fill",  "extend",    "release"};

enum {
    VERBS = HEARTH__RELEASE + 1,
    OK = HEARTH_OK,
    MISS = HEARTH_MISS,
    GONE = HEARTH_ABSENT,
    EXISTS = HEARTH_EXISTS,
    TYPE = HEARTH_E_TYPE,
    OTHER = HEARTH_CONFLICT
};

/* SWAP asks for a version that nothing has here, and the verbs on leases for a token. */
/* clang-format off */
static const int32_t expected[ROWS][VERBS] = {
    /*                  get   set add     replace swap   touch increment delete mark  lease   fill   extend release */
    [NOTHING]        = {MISS, OK, OK,     MISS,   MISS,  MISS, MISS,     MISS,   MISS, OK,     MISS,  MISS,  MISS},
    [VALUE]          = {OK,   OK, EXISTS, OK,     OTHER, OK,   TYPE,     OK,     OK,   EXISTS, OTHER, OTHER, OTHER},
    [STALE]          = {OK,   OK, OK,     OK,     OTHER, MISS, TYPE,     OK,     OK,   EXISTS, OTHER, OTHER, OTHER},
    [ABSENT]         = {GONE, OK, OK,     MISS,   OTHER, MISS, MISS,     MISS,   MISS, EXISTS, OTHER, OTHER, OTHER},
    [LEASE]          = {MISS, OK, OK,     MISS,   OTHER, MISS, MISS,     MISS,   MISS, EXISTS, OTHER, OTHER, OTHER},
    [INTEGER]        = {OK,   OK, EXISTS, OK,     OTHER, OK,   OK,       OK,     TYPE, EXISTS, OTHER, OTHER, OTHER},
    [FOREIGN]        = {MISS, OK, EXISTS, OK,     OTHER, OK,   TYPE,     OK,     TYPE, EXISTS, OTHER, OTHER, OTHER},
    [NEWER_FORMAT]   = {MISS, OK, EXISTS, MISS,   OTHER, MISS, TYPE,     OK,     MISS, EXISTS, OTHER, OTHER, OTHER},
    [NEWER_FLAGS]    = {MISS, OK, EXISTS, MISS,   OTHER, MISS, TYPE,     OK,     MISS, EXISTS, OTHER, OTHER, OTHER},
    [CUT]            = {MISS, OK, EXISTS, MISS,   OTHER, MISS, TYPE,     OK,     MISS, EXISTS, OTHER, OTHER, OTHER},
};
/* clang-format on */

enum { FORMAT_AT = 4, MUST_FLAGS_AT = 8, CUT_SIZE = 40 };

/* Bytes as they stand at the server. */
struct bytes {
    unsigned char data[128];
    size_t size;
};

static struct bytes bytes_of(struct rig *rig, enum at row, const char *key) {
    static const enum hearth__kind kinds[ROWS] = {
        [STALE] = HEARTH__KIND_STALE,     [ABSENT] = HEARTH__KIND_ABSENT,
        [LEASE] = HEARTH__KIND_LEASE,     [INTEGER] = HEARTH__KIND_INTEGER,
        [FOREIGN] = HEARTH__KIND_FOREIGN,
    };
    const char *body = row == INTEGER ? "41" : row == ABSENT ? "" : "old";
    hearth__remote_op op = rig_store(rig, HEARTH__SET, key, body);
    op.kind = kinds[row];
    struct bytes bytes = {.size = 0};
    bytes.size = rig_compose(&op, bytes.data, sizeof bytes.data);
    switch (row) {
    case NEWER_FORMAT:
        bytes.data[FORMAT_AT] = 2;
        break;
    case NEWER_FLAGS:
        bytes.data[MUST_FLAGS_AT] = 1;
        break;
    case CUT:
        bytes.size = CUT_SIZE;
        break;
    default:
        break;
    }
    return bytes;
}

static hearth__remote_op op_of(struct rig *rig, enum hearth__verb verb, const char *key) {
    hearth__remote_op op = rig_store(rig, verb, key, "new");
    if (verb == HEARTH__GET) {
        return rig_get(rig, key);
    }
    if (verb == HEARTH__SWAP) {
        op.if_version = 7;
    }
    if (verb == HEARTH__INCREMENT) {
        op.number = 1;
    }
    if (verb >= HEARTH__LEASE) {
        return rig_lease_verb(rig, verb, key, "a token that is");
    }
    return op;
}

/* Nothing was changed: the very bytes are there, where another client can look. */
static void expect_untouched(struct rig *rig, const char *key, const struct bytes *bytes,
                             const char *what) {
    if (rig->contract->raw->get == NULL) {
        return;
    }
    bool there = rig->contract->raw->get(rig, 0, key, strlen(key), &rig->body);
    if (there != (bytes->size != 0) ||
        (there && (rig->body.size != bytes->size ||
                   memcmp(rig->body.data, bytes->data, bytes->size) != 0))) {
        fail_msg("%s: it changed what is there", what);
    }
}

/* A key that was deleted holds nothing, not even for another client. */
static void expect_nothing(struct rig *rig, const char *key) {
    struct bytes none = {.size = 0};
    expect_untouched(rig, key, &none, key);
    rig_expect(rig, op_of(rig, HEARTH__SWAP, key), HEARTH_MISS, key);
}

static void check_afterwards(struct rig *rig, enum at row, enum hearth__verb verb,
                             const char *key, const struct bytes *before) {
    bool done = expected[row][verb] == HEARTH_OK;
    bool removed =
        verb == HEARTH__DELETE || (verb == HEARTH__MARK && expected[row][verb] == MISS);
    if (removed) {
        expect_nothing(rig, key);
    } else if (verb == HEARTH__MARK && done) {
        hearth__remote_op op = rig_expect_get(rig, key, HEARTH_OK, "old");
        assert_int_equal(op.found, HEARTH__KIND_STALE);
    } else if (verb == HEARTH__GET || !done) {
        expect_untouched(rig, key, before, key);
        rig_expect(rig, rig_get(rig, key), expected[row][HEARTH__GET], key);
    } else if (verb == HEARTH__TOUCH) {
        rig_expect(rig, rig_get(rig, key), expected[row][HEARTH__GET], key);
    } else if (verb == HEARTH__LEASE) {
        hearth__remote_op op = rig_expect_get(rig, key, HEARTH_MISS, NULL);
        assert_int_equal(op.found, HEARTH__KIND_LEASE);
    } else {
        (void)rig_expect_get(rig, key, HEARTH_OK, verb == HEARTH__INCREMENT ? "42" : "new");
    }
}

static void check_cell(struct rig *rig, enum at row, enum hearth__verb verb) {
    char key[64];
    snprintf(key, sizeof key, "%s over %s", verb_names[verb], row_names[row]);
    for (char *at = strchr(key, ' '); at != NULL; at = strchr(at, ' ')) {
        *at = '-';
    }
    struct bytes bytes = {.size = 0};
    if (row != NOTHING) {
        bytes = bytes_of(rig, row, key);
        rig_plant(rig, key, bytes.data, bytes.size);
    }
    rig_expect(rig, op_of(rig, verb, key), expected[row][verb], key);
    check_afterwards(rig, row, verb, key, &bytes);
}

void test_verb_table(void **state) {
    struct rig *rig = *state;
    for (enum at row = 0; row < ROWS; row++) {
        for (int verb = 0; verb < VERBS; verb++) {
            check_cell(rig, row, (enum hearth__verb)verb);
        }
    }
}

/* What a GET says of what it found, and what it counts as refused. */
void test_get_says_what_it_found(void **state) {
    struct rig *rig = *state;
    static const struct {
        enum at row;
        enum hearth__kind found;
    } answers[] = {{VALUE, HEARTH__KIND_VALUE},
                   {STALE, HEARTH__KIND_STALE},
                   {ABSENT, HEARTH__KIND_ABSENT},
                   {LEASE, HEARTH__KIND_LEASE},
                   {INTEGER, HEARTH__KIND_INTEGER}};
    static const struct {
        enum at row;
        size_t stat;
    } refused[] = {{FOREIGN, HEARTH__STAT_values_foreign},
                   {NEWER_FORMAT, HEARTH__STAT_values_newer},
                   {NEWER_FLAGS, HEARTH__STAT_values_newer},
                   {CUT, HEARTH__STAT_values_damaged}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct bytes bytes = bytes_of(rig, answers[i].row, "found");
        rig_plant(rig, "found", bytes.data, bytes.size);
        hearth__remote_op op = rig_get(rig, "found");
        (void)rig_run(rig, &op);
        assert_int_equal(op.found, answers[i].found);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct bytes bytes = bytes_of(rig, refused[i].row, "refused");
        rig_plant(rig, "refused", bytes.data, bytes.size);
        uint64_t before = rig_counter(rig, refused[i].stat);
        (void)rig_expect_get(rig, "refused", HEARTH_MISS, NULL);
        assert_int_equal(rig_counter(rig, refused[i].stat), before + 1);
    }
}

void test_foreign_values_by_choice(void **state) {
    struct rig *rig = *state;
    rig_plant(rig, "foreign", "no header", 9);
    hearth__remote_op op = rig_get(rig, "foreign");
    hearth__remote_execute(rig->lenient, &op, 1, INT64_MAX);
    rig_same_status(op.status, HEARTH_OK, "foreign");
    assert_int_equal(op.found, HEARTH__KIND_FOREIGN);
    assert_int_equal(rig->body.size, 9);
    assert_memory_equal(rig->body.data, "no header", 9);
    /* An empty one is a value too. */
    rig_plant(rig, "empty", "", 0);
    op = rig_get(rig, "empty");
    hearth__remote_execute(rig->lenient, &op, 1, INT64_MAX);
    rig_same_status(op.status, HEARTH_OK, "empty");
    assert_int_equal(rig->body.size, 0);
}

void test_other_types(void **state) {
    struct rig *rig = *state;
    if (rig->contract->raw->put_other_type == NULL) {
        return; /* this server knows strings only */
    }
    rig->contract->raw->put_other_type(rig, 0, "list");
    rig_expect(rig, rig_get(rig, "list"), HEARTH_E_TYPE, "get of a list");
    rig_expect(rig, op_of(rig, HEARTH__INCREMENT, "list"), HEARTH_E_TYPE,
               "increment of a list");
    rig_expect(rig, op_of(rig, HEARTH__SET, "list"), HEARTH_OK, "set over a list");
    (void)rig_expect_get(rig, "list", HEARTH_OK, "new");
    rig->contract->raw->put_other_type(rig, 0, "other");
    rig_expect(rig, op_of(rig, HEARTH__DELETE, "other"), HEARTH_OK, "delete of a list");
    expect_nothing(rig, "other");
}
