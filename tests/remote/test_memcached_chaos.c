/* SPDX-License-Identifier: Apache-2.0 */
/* Threads against a server that answers most questions rightly and the others in every wrong way: no
 * answer is ever another key's, or changed. */
#include "remote/memcached_rig.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 3, READS = 500, READS_LONG = 400000, KEYS = 40, DEADLINE_MS = 20 };

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void body_of(const char *key, char *body, size_t size) {
    snprintf(body, size, "the body of %s, and no other", key);
}

static struct mc_wire answer_to(const struct mc_asked *asked, const char *key) {
    char body[64];
    body_of(key, body, sizeof body);
    return mc_value_of(asked, key, body);
}

/* One answer, or what comes instead. False: the connection is to be closed. */
static bool answer(struct scripted_client *client, struct mc_asked *asked, const char *key,
                   uint32_t *seed) {
    struct mc_wire wire = answer_to(asked, key);
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
        wire = answer_to(asked, "key-x");
        break;
    case 4: /* changed */
        wire.bytes[place] = (char)(wire.bytes[place] ^ (1 + (int)(next(seed) % 255)));
        break;
    case 5: /* half of it, and the rest for the next to hear */
        (void)scripted_send(client, wire.bytes, place);
        scripted_await_close(client);
        return false;
    case 6: /* to another question */
        asked->opaque -= 2;
        wire = answer_to(asked, key);
        break;
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
    struct mc_asked asked;
    char key[32] = "key-";
    (void)mc_greet(client);
    while (mc_await(client, "mg key-", &asked)) {
        snprintf(key + 4, sizeof key - 4, "%.*s", (int)strcspn(asked.line, " "), asked.line);
        if (!answer(client, &asked, key, seed)) {
            return;
        }
    }
}

struct reader {
    struct mc_rig *rig;
    pthread_t thread;
    uint32_t seed;
    unsigned reads;
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
    hearth__backend_memcached.begin(own->rig->node, ops, 1, true, deadline_ns, &batch);
    hearth__backend_memcached.finish(own->rig->node, ops, 1, deadline_ns, batch);
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
    for (unsigned i = 0; i < own->reads; i++) {
        read_one(own, &body);
    }
    hearth__buffer_fini(&body);
    return NULL;
}

static void no_answer_is_wrong(void **state) {
    (void)state;
    struct mc_rig rig;
    struct reader readers[THREADS];
    struct reader all = {.seed = 0};
    uint32_t seed = 20240229;
    mc_rig_open(&rig, serve, &seed); /* with one lane: the server serves one at a time */
    rig.config.stall_ms = DEADLINE_MS;
    mc_rig_reopen(&rig);
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.rig = &rig, .seed = i, .reads = READS};
        readers[i].reads = getenv("HEARTH_LONG") != NULL ? READS_LONG : READS;
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
    mc_rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_answer_is_wrong)};
    return cmocka_run_group_tests_name("memcached chaos", tests, NULL, NULL);
}
