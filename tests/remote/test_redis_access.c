/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords, databases, and users who may not run scripts. */
#include "remote/redis_rig.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static char user[] = "worker";
static char password[] = "s3cret-pass";
static char wrong[] = "wr0ng-pass";

struct bench {
    struct servers servers;
    struct redis_rig rig;
    redisContext *client;
};

/* A server whose user may do everything but run scripts, and whose default user needs a
 * password for nothing. */
static int start(void **state) {
    static const char *const arguments[] = {"--user",      "worker", "on",    ">s3cret-pass",
                                            "~*",          "&*",     "+@all", "-@scripting",
                                            "--databases", "4",      NULL};
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    assert_int_equal(servers_open(&bench->servers), 0);
    if (servers_start(&bench->servers, SERVER_REDIS, SERVER_TCP, arguments) != 0) {
        fail_msg("%s", bench->servers.error);
    }
    struct server_node *node = &bench->servers.nodes[0];
    bench->rig = redis_rig_at(node->host, (uint16_t)node->port);
    bench->client = redis_rig_client(node);
    *state = bench;
    return 0;
}

static int stop(void **state) {
    struct bench *bench = *state;
    redis_rig_close(&bench->rig);
    redisFree(bench->client);
    servers_stop(&bench->servers);
    free(bench);
    return 0;
}

static struct redis_rig *open_as(struct bench *bench, char *name, char *secret,
                                 uint32_t database) {
    bench->rig.url.user = name;
    bench->rig.url.password = secret;
    bench->rig.url.database = database;
    redis_rig_open(&bench->rig);
    return &bench->rig;
}

static void user_and_password_are_said(void **state) {
    struct bench *bench = *state;
    struct redis_rig *rig = open_as(bench, user, password, 0);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"), HEARTH_OK);
    (void)redis_rig_expect_body(rig, "k", "body");
    assert_int_equal(redis_rig_info(bench->client, "cmdstat_auth:calls="), 1);
    redisReply *reply = redis_rig_ask(bench->client, "CLIENT LIST");
    assert_non_null(strstr(reply->str, "user=worker"));
    freeReplyObject(reply);
}

static void a_password_alone_is_the_default_users(void **state) {
    struct bench *bench = *state;
    redis_rig_tell(bench->client, "ACL SETUSER default resetpass >s3cret-pass");
    struct redis_rig *rig = open_as(bench, NULL, password, 0);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"), HEARTH_OK);
}

/* The log's records in one text. */
static void read_log(struct redis_rig *rig, char *text, size_t size, uint32_t *level) {
    hearth_log_record record = {.size = sizeof record};
    text[0] = '\0';
    while (hearth__log_next(rig->config.log, &record) == HEARTH_OK) {
        strncat(text, record.text, size - strlen(text) - 1);
        *level = record.level;
    }
}

static void a_wrong_password_is_an_error_for_a_person(void **state) {
    struct redis_rig *rig = open_as(*state, user, wrong, 0);
    char log[2000];
    uint32_t level = 0;
    for (unsigned i = 0; i < 100; i++) {
        (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"),
                               HEARTH_E_UNAVAILABLE);
    }
    read_log(rig, log, sizeof log, &level);
    assert_int_equal(level, HEARTH_LOG_ERROR);
    assert_non_null(strstr(log, "the-node"));
    assert_non_null(strstr(log, "WRONGPASS"));
    assert_non_null(strstr(log, "remote.url"));
    assert_null(strstr(log, wrong));
    assert_int_equal(redis_rig_count(rig, HEARTH__STAT_connects), 0);
    assert_in_range(redis_rig_count(rig, HEARTH__STAT_connect_errors), 1, 20);
}

static void a_missing_password_is_told(void **state) {
    struct bench *bench = *state;
    redis_rig_tell(bench->client, "ACL SETUSER default resetpass >s3cret-pass");
    struct redis_rig *rig = open_as(bench, NULL, NULL, 0);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"),
                           HEARTH_E_UNAVAILABLE);
    assert_true(redis_rig_logged(rig, HEARTH_LOG_WARNING, "NOAUTH"));
}

/* Where the name has an address that nobody listens on, the next is tried. */
static void every_address_of_a_name_is_tried(void **state) {
    struct bench *bench = *state;
    static char name[] = "localhost";
    bench->rig.address.host = name;
    struct redis_rig *rig = open_as(bench, NULL, NULL, 0);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"), HEARTH_OK);
}

static void a_name_that_is_none_is_told(void **state) {
    struct bench *bench = *state;
    static char name[] = "no-such-name.invalid";
    bench->rig.address.host = name;
    struct redis_rig *rig = open_as(bench, NULL, NULL, 0);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"),
                           HEARTH_E_UNAVAILABLE);
    assert_true(redis_rig_logged(rig, HEARTH_LOG_WARNING, "name was not resolved"));
}

static void the_database_is_chosen(void **state) {
    struct bench *bench = *state;
    struct redis_rig *rig = open_as(bench, NULL, NULL, 3);
    redis_rig_set_integer(rig, "k", "7");
    redis_rig_tell(bench->client, "SELECT 3");
    redisReply *reply = redis_rig_ask(bench->client, "GET k");
    assert_string_equal(reply->str, "7");
    freeReplyObject(reply);
}

static void a_database_that_is_not_there_is_an_error_for_a_person(void **state) {
    struct redis_rig *rig = open_as(*state, NULL, NULL, 4);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"),
                           HEARTH_E_UNAVAILABLE);
    assert_true(redis_rig_logged(rig, HEARTH_LOG_ERROR, "the-node cannot be used"));
}

/* ---- users who may not run scripts ---------------------------------------------------------- */

static void check_every_conditional_verb(struct redis_rig *rig) {
    hearth__remote_op op = redis_rig_op(rig, HEARTH__ADD, "k", "one");
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__REPLACE, "k", "none"), HEARTH_MISS);
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__ADD, "k", "two"), HEARTH_EXISTS);
    (void)redis_rig_expect_body(rig, "k", "one");
    op.verb = HEARTH__SWAP;
    op.data = "new";
    op.if_version = op.version + 1;
    (void)redis_rig_expect(rig, op, HEARTH_CONFLICT);
    op.if_version = op.version;
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__REPLACE, "k", "three"), HEARTH_OK);
    (void)redis_rig_increment(rig, "k", 1, HEARTH_E_TYPE);
    const uint64_t version = redis_rig_expect_body(rig, "k", "three").found_version;
    op = redis_rig_op(rig, HEARTH__SWAP, "k", "three");
    op.same_body = true;
    op.if_version = version;
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    assert_true(redis_rig_expect_body(rig, "k", "three").found_version == op.version);
    op = redis_rig_op(rig, HEARTH__TOUCH, "k", NULL);
    op.ttl_ms = 900000;
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    assert_in_range(redis_rig_expect_body(rig, "k", "three").left_ms, 800000, 900000);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__MARK, "k", NULL), HEARTH_OK);
    assert_int_equal(redis_rig_expect_body(rig, "k", "three").found, HEARTH__KIND_STALE);
    assert_in_range(redis_rig_expect_body(rig, "k", "three").left_ms, 800000, 900000);
    redis_rig_set_integer(rig, "n", "7");
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__MARK, "n", NULL), HEARTH_E_TYPE);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__MARK, "none", NULL), HEARTH_MISS);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__DELETE, "k", NULL), HEARTH_OK);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__DELETE, "k", NULL), HEARTH_MISS);
    (void)redis_rig_increment(rig, "k", 1, HEARTH_MISS);
    redis_rig_set_integer(rig, "n", "9223372036854775806");
    assert_int_equal(redis_rig_increment(rig, "n", 1, HEARTH_OK), INT64_MAX);
    (void)redis_rig_increment(rig, "n", 1, HEARTH_E_TOO_LARGE);
    assert_int_equal(redis_rig_increment(rig, "n", INT64_MIN, HEARTH_OK), 0);
    op = redis_rig_op(rig, HEARTH__TOUCH, "n", NULL);
    op.ttl_ms = 900000;
    (void)redis_rig_expect(rig, op, HEARTH_OK);
    assert_in_range(redis_rig_expect_body(rig, "n", "0").left_ms, 800000, 900000);
}

static void transactions_stand_in_for_scripts(void **state) {
    struct bench *bench = *state;
    check_every_conditional_verb(open_as(bench, user, password, 0));
    assert_int_equal(redis_rig_info(bench->client, "cmdstat_eval:calls="), 0);
    assert_true(redis_rig_info(bench->client, "cmdstat_exec:calls=") > 5);
    /* One refusal tells it all. */
    assert_int_equal(redis_rig_info(bench->client, "errorstat_NOPERM:count="), 1);
    assert_int_equal(redis_rig_count(&bench->rig, HEARTH__STAT_connects), 1);
}

static void scripts_are_used_where_they_may(void **state) {
    struct bench *bench = *state;
    check_every_conditional_verb(open_as(bench, NULL, NULL, 0));
    assert_true(redis_rig_info(bench->client, "cmdstat_eval:calls=") > 10);
    assert_int_equal(redis_rig_info(bench->client, "cmdstat_exec:calls="), 0);
}

/* Also when the access list changes under a node that is open. */
static void a_permission_that_is_taken_away_is_noticed(void **state) {
    struct bench *bench = *state;
    redis_rig_tell(bench->client, "ACL SETUSER worker +@scripting");
    struct redis_rig *rig = open_as(bench, user, password, 0);
    check_every_conditional_verb(rig);
    redis_rig_tell(bench->client, "ACL SETUSER worker -@scripting");
    (void)redis_rig_run_within(
        rig, &(hearth__remote_op){.verb = HEARTH__DELETE, .key = "n", .key_size = 1},
        REDIS_RIG_DEADLINE_MS);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__DELETE, "n", NULL), HEARTH_OK);
    check_every_conditional_verb(rig);
}

/* Were MULTI refused and the write sent all the same, it would have no condition. */
static void without_transactions_too_nothing_is_written(void **state) {
    struct bench *bench = *state;
    redis_rig_tell(bench->client, "ACL SETUSER worker -multi");
    struct redis_rig *rig = open_as(bench, user, password, 0);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__SET, "k", "body"), HEARTH_OK);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__ADD, "new", "body"),
                           HEARTH_E_UNAVAILABLE);
    (void)redis_rig_expect(rig, redis_rig_op(rig, HEARTH__DELETE, "k", NULL),
                           HEARTH_E_UNAVAILABLE);
    assert_true(redis_rig_logged(rig, HEARTH_LOG_WARNING, "NOPERM"));
    (void)redis_rig_expect_body(rig, "new", NULL);
    (void)redis_rig_expect_body(rig, "k", "body");
}

enum { THREADS = 4, ROUNDS = 100 };

struct worker {
    struct redis_rig *rig;
    pthread_barrier_t *round;
    pthread_t thread;
    uint64_t added;
    uint64_t incremented;
    uint64_t sums; /* the sum of the numbers that increments answered */
};

static int32_t run(struct worker *own, hearth__remote_op *op) {
    hearth__batch *batch = NULL;
    int64_t deadline_ns = hearth__deadline_ns(REDIS_RIG_DEADLINE_MS);
    op->status = HEARTH__PENDING;
    hearth__backend_redis.begin(own->rig->node, &op, 1, true, deadline_ns, &batch);
    hearth__backend_redis.finish(own->rig->node, &op, 1, deadline_ns, batch);
    return op->status;
}

static void *compete(void *arg) {
    struct worker *own = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[16];
        hearth__remote_op add = {.verb = HEARTH__ADD, .key = key, .data = "a", .data_size = 1};
        hearth__remote_op increment = {
            .verb = HEARTH__INCREMENT, .key = "n", .key_size = 1, .number = 1};
        add.key_size = (size_t)snprintf(key, sizeof key, "key-%u", i);
        pthread_barrier_wait(own->round);
        own->added += run(own, &add) == HEARTH_OK;
        if (run(own, &increment) == HEARTH_OK) {
            own->incremented++;
            own->sums += (uint64_t)increment.number;
        }
    }
    return NULL;
}

/* One add wins, and no two increments answer the same. */
static void transactions_are_one_step(void **state) {
    struct redis_rig *rig = open_as(*state, user, password, 0);
    struct worker workers[THREADS];
    struct worker all = {.rig = rig};
    pthread_barrier_t round;
    char sum[24];
    redis_rig_set_integer(rig, "n", "0");
    assert_int_equal(pthread_barrier_init(&round, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.rig = rig, .round = &round};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, compete, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        all.added += workers[i].added;
        all.incremented += workers[i].incremented;
        all.sums += workers[i].sums;
    }
    pthread_barrier_destroy(&round);
    assert_int_equal(all.added, ROUNDS);
    assert_true(all.incremented > 0);
    assert_int_equal(all.sums, all.incremented * (all.incremented + 1) / 2);
    snprintf(sum, sizeof sum, "%u", (unsigned)all.incremented);
    (void)redis_rig_expect_body(rig, "n", sum);
}

static const unsigned char ours[HEARTH__TOKEN_BYTES] = "our own token..";
static const unsigned char theirs[HEARTH__TOKEN_BYTES] = "another token..";

static void expect_on_lease(struct redis_rig *rig, enum hearth__verb verb,
                            const unsigned char *token, int32_t status) {
    hearth__remote_op op =
        redis_rig_op(rig, verb, "leased", verb == HEARTH__FILL ? "body" : "");
    op.kind = verb == HEARTH__FILL ? HEARTH__KIND_VALUE : HEARTH__KIND_LEASE;
    op.token = token;
    op.ttl_ms = 60000;
    (void)redis_rig_expect(rig, op, status);
}

static void leases_do_without_scripts(void **state) {
    struct bench *bench = *state;
    struct redis_rig *rig = open_as(bench, user, password, 0);
    expect_on_lease(rig, HEARTH__LEASE, ours, HEARTH_OK);
    expect_on_lease(rig, HEARTH__LEASE, theirs, HEARTH_EXISTS);
    expect_on_lease(rig, HEARTH__EXTEND, theirs, HEARTH_CONFLICT);
    expect_on_lease(rig, HEARTH__EXTEND, ours, HEARTH_OK);
    expect_on_lease(rig, HEARTH__RELEASE, theirs, HEARTH_CONFLICT);
    expect_on_lease(rig, HEARTH__RELEASE, ours, HEARTH_OK);
    expect_on_lease(rig, HEARTH__FILL, ours, HEARTH_MISS);
    expect_on_lease(rig, HEARTH__LEASE, theirs, HEARTH_OK);
    expect_on_lease(rig, HEARTH__FILL, ours, HEARTH_CONFLICT);
    expect_on_lease(rig, HEARTH__FILL, theirs, HEARTH_OK);
    (void)redis_rig_expect_body(rig, "leased", "body");
    redis_rig_tell(bench->client, "DEL leased");
    redis_rig_tell(bench->client, "RPUSH leased element");
    expect_on_lease(rig, HEARTH__FILL, ours, HEARTH_CONFLICT);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(user_and_password_are_said),
        TEST(a_password_alone_is_the_default_users),
        TEST(a_wrong_password_is_an_error_for_a_person),
        TEST(a_missing_password_is_told),
        TEST(every_address_of_a_name_is_tried),
        TEST(a_name_that_is_none_is_told),
        TEST(the_database_is_chosen),
        TEST(a_database_that_is_not_there_is_an_error_for_a_person),
        TEST(transactions_stand_in_for_scripts),
        TEST(scripts_are_used_where_they_may),
        TEST(a_permission_that_is_taken_away_is_noticed),
        TEST(without_transactions_too_nothing_is_written),
        TEST(transactions_are_one_step),
        TEST(leases_do_without_scripts),
    };
    return cmocka_run_group_tests_name("redis access", tests, NULL, NULL);
}
