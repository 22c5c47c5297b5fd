/* SPDX-License-Identifier: Apache-2.0 */
/* Threads against a server that answers most questions rightly and the others in every wrong
 * way: no answer is ever another key's, or changed. */
#include "remote/redis_rig.h"
#include "support/scripted_server.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 3, READS = 500, KEYS = 40, DEADLINE_MS = 20 };

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void body_of(const char *key, char *body, size_t size) {
    snprintf(body, size, "the body of %s, and no other", key);
}

static struct redis_wire answer_to(const char *key) {
    char body[64];
    body_of(key, body, sizeof body);
    return redis_wire_of(key, body);
}

/* One answer, or what comes instead. False: the connection is to be closed. */
static bool answer(struct scripted_client *client, const char *key, uint32_t *seed) {
    struct redis_wire wire = answer_to(key);
    size_t place = 1 + next(seed) % (wire.size - 1);
    switch (next(seed) % 40) {
    case 0: /* cut */
        (void)scripted_send(client, wire.bytes, place);
        return false;
    case 1: /* never */
        scripted_await_close(client);
        return false;
    case 2: /* twice */
        (void)scripted_send(client, wire.bytes, wire.size);
        break;
    case 3: /* another key's */
        wire = answer_to("key-x");
        break;
    case 4: /* changed */
        wire.bytes[place] = (char)(wire.bytes[place] ^ (1 + (int)(next(seed) % 255)));
        break;
    case 5: /* half of it, and the rest for the next to hear */
        (void)scripted_send(client, wire.bytes, place);
        scripted_await_close(client);
        return false;
    case 6:
    case 7:
    case 8: /* in two pieces */
        return scripted_send(client, wire.bytes, place) && scripted_await_read(client) &&
               scripted_send(client, wire.bytes + place, wire.size - place);
    default:
        break;
    }
    return scripted_send(client, wire.bytes, wire.size);
}

static void serve(struct scripted_client *client, void *arg) {
    uint32_t *seed = arg;
    char key[32] = "key-";
    while (scripted_await(client, "\r\nkey-") &&
           scripted_read_line(client, key + 4, sizeof key - 4) && answer(client, key, seed)) {
    }
}

struct reader {
    struct redis_rig *rig;
    pthread_t thread;
    uint32_t seed;
    unsigned right;
    unsigned missed;
    unsigned failed;
    unsigned wrong;
};

static void read_one(struct reader *own, hearth__buffer *body) {
    char key[32];
    char expected[64];
    hearth__batch *batch = NULL;
    hearth__remote_op op = {.verb = HEARTH__GET, .body = body, .status = HEARTH__PENDING};
    hearth__remote_op *ops[] = {&op};
    int64_t deadline_ns = hearth__deadline_ns(DEADLINE_MS);
    op.key = key;
    op.key_size = (size_t)snprintf(key, sizeof key, "key-%u", next(&own->seed) % KEYS);
    body_of(key, expected, sizeof expected);
    hearth__backend_redis.begin(own->rig->node, ops, 1, true, deadline_ns, &batch);
    hearth__backend_redis.finish(own->rig->node, ops, 1, deadline_ns, batch);
    if (op.status != HEARTH_OK) {
        own->missed += op.status == HEARTH_MISS;
        own->failed += op.status < 0;
    } else if (body->size == strlen(expected) &&
               memcmp(body->data, expected, body->size) == 0) {
        own->right++;
    } else {
        own->wrong++;
    }
}

static void *keep_reading(void *arg) {
    struct reader *own = arg;
    hearth__buffer body = {0};
    for (unsigned i = 0; i < READS; i++) {
        read_one(own, &body);
    }
    hearth__buffer_fini(&body);
    return NULL;
}

static void no_answer_is_wrong(void **state) {
    (void)state;
    struct scripted_server server;
    struct reader readers[THREADS];
    struct reader all = {.seed = 0};
    uint32_t seed = 20240229;
    scripted_server_start(&server, 1, serve, &seed);
    struct redis_rig rig = redis_rig_at(server.path, 0);
    rig.config.lanes = 1; /* the server serves one at a time */
    rig.config.stall_ms = DEADLINE_MS;
    redis_rig_open(&rig);
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.rig = &rig, .seed = i};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, keep_reading, &readers[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        all.right += readers[i].right;
        all.missed += readers[i].missed;
        all.failed += readers[i].failed;
        all.wrong += readers[i].wrong;
    }
    print_message("%u right, %u missed, %u failed\n", all.right, all.missed, all.failed);
    assert_int_equal(all.wrong, 0);
    assert_true(all.right > all.missed + all.failed); /* it did not give up */
    assert_true(all.missed > 0 && all.failed > 0);    /* and it met the faults */
    redis_rig_close(&rig);
    scripted_server_stop(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_answer_is_wrong)};
    return cmocka_run_group_tests_name("redis chaos", tests, NULL, NULL);
}
