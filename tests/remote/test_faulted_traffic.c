/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that use all verbs over a connection whose replies are torn, late and cut, or left out,
 * repeated, swapped and replaced by others: no value is another key's, none that was overwritten
 * comes back, none is there whose write was said to have failed, and no increment counts twice.
 *
 * A server without numbers on its replies (Redis, Memcached's text protocol) cannot be told from one
 * that answers the same question twice: where whole replies are forged there, only whose value it is
 * can be checked.
 */
#include "remote/faulty_node.h"

#include "support/crowd.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    THREADS = 3,
    KEYS = 4, /* of each thread */
    OPERATIONS = 400,
    OPERATIONS_LONG = 170000, /* 10^6 on each server, torn and forged together */
    DEADLINE_MS = 10,
    LATE_MS = 20,
    FAULT_IN = 16, /* replies, one is forged */
    FAULT_IN_LONG = 64,
};

static bool is_long(void) {
    return getenv("HEARTH_LONG") != NULL;
}

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* ---- what may be there ---------------------------------------------------------------------- */

/* A key of one thread's own. Its values are its name and a number, each used once. */
struct known {
    char name[16];
    uint32_t given;  /* the last number */
    uint32_t stored; /* of the last store that was answered; 0: it was deleted */
    bool maybe_gone; /* a delete's answer was lost */
    bool *maybe;     /* by number: a store's answer was lost */
};

/* A counter likewise. */
struct counted {
    int64_t sum;
    int64_t unknown; /* increments whose answer was lost */
};

struct worker {
    struct faulty_node *node;
    struct known keys[KEYS];
    struct counted counter;
    char counter_name[16];
    hearth__buffer body;
    uint32_t seed;
    uint32_t operations;
    bool forged; /* whole replies, and nothing tells them apart */
    unsigned right;
    unsigned missed;
    unsigned failed;
    unsigned wrong;
    char why[160]; /* the last that was wrong */
};

static void note_wrong(struct worker *own, const char *name, const char *what, int64_t number) {
    own->wrong++;
    snprintf(own->why, sizeof own->why, "%s: %s, %" PRId64, name, what, number);
}

static void judge_value(struct worker *own, struct known *known) {
    char text[FAULTY_BODY_BYTES] = "";
    size_t size = own->body.size < sizeof text - 1 ? own->body.size : sizeof text - 1;
    size_t name = strlen(known->name);
    memcpy(text, own->body.data, size);
    unsigned long number = strncmp(text, known->name, name) == 0 && text[name] == ' '
                               ? strtoul(text + name + 1, NULL, 10)
                               : 0;
    bool ever = number > 0 && number <= known->given;
    bool now = ever && (number == known->stored || known->maybe[number]);
    own->right++;
    if (!ever) {
        note_wrong(own, known->name, text, known->given);
    } else if (!now && !own->forged) {
        note_wrong(own, text, "where the last was", known->stored);
    }
}

static void judge_get(struct worker *own, struct known *known, int32_t status) {
    if (status == HEARTH_OK) {
        judge_value(own, known);
    } else if (status == HEARTH_MISS) {
        own->missed++;
        if (known->stored != 0 && !known->maybe_gone && !own->forged) {
            note_wrong(own, known->name, "missed", known->stored);
        }
    } else {
        own->failed++;
    }
}

/* `ended`: connections did meanwhile. A delete is then asked once more, and the first one may still be
 * on its way. */
static void judge_write(struct worker *own, struct known *known, const hearth__remote_op *op,
                        bool ended) {
    bool deletes = op->verb == HEARTH__DELETE;
    known->maybe_gone = known->maybe_gone || (deletes && ended);
    own->right += op->status >= 0;
    own->failed += op->status < 0;
    if (op->status == HEARTH_E_UNKNOWN) { /* an earlier store stays a maybe */
        bool stores = !deletes && op->verb != HEARTH__TOUCH;
        known->maybe[known->given] = known->maybe[known->given] || stores;
    } else if (deletes && op->status >= 0) {
        known->stored = 0;
    } else if (op->status == HEARTH_OK && op->verb != HEARTH__TOUCH) {
        known->stored = known->given;
    }
}

static void judge_increment(struct worker *own, const hearth__remote_op *op) {
    struct counted *counter = &own->counter;
    own->right += op->status == HEARTH_OK;
    own->failed += op->status < 0;
    if (op->status == HEARTH_E_UNKNOWN) {
        counter->unknown++;
    } else if (op->status == HEARTH_OK) {
        int64_t more = op->number - counter->sum - 1; /* of those, so many were done */
        if (more < 0 || more > counter->unknown) {
            note_wrong(own, own->counter_name, "counted in vain or twice", more);
        }
        counter->unknown -= more;
        counter->sum = op->number;
    } else if (op->status >= 0) {
        note_wrong(own, own->counter_name, "is no counter", op->status);
    }
}

/* ---- one operation -------------------------------------------------------------------------- */

/* A node that is known to fail answers in no time: all operations would be over before it is tried again. */
static int32_t run_one(struct worker *own, hearth__remote_op *op) {
    int32_t status = faulty_run(own->node, op, DEADLINE_MS);
    if (status == HEARTH_E_UNAVAILABLE) {
        nanosleep(&(struct timespec){.tv_nsec = FAULTY_RETRY_MS * 1000000L}, NULL);
    }
    return status;
}

static void use_key(struct worker *own) {
    static const enum hearth__verb verbs[] = {
        HEARTH__GET, HEARTH__GET,     HEARTH__GET,   HEARTH__GET,    HEARTH__SET,
        HEARTH__ADD, HEARTH__REPLACE, HEARTH__TOUCH, HEARTH__DELETE,
    };
    struct known *known = &own->keys[next(&own->seed) % KEYS];
    enum hearth__verb verb = verbs[next(&own->seed) % (sizeof verbs / sizeof verbs[0])];
    char text[FAULTY_BODY_BYTES];
    bool stores = verb == HEARTH__SET || verb == HEARTH__ADD || verb == HEARTH__REPLACE;
    known->given += stores;
    snprintf(text, sizeof text, "%s %u", known->name, known->given);
    hearth__remote_op op = faulty_op(own->node, verb, known->name, stores ? text : NULL);
    op.body = verb == HEARTH__GET ? &own->body : NULL;
    op.want_ttl = verb == HEARTH__GET && next(&own->seed) % 2 == 0;
    uint64_t before = faulty_count(own->node, HEARTH__STAT_disconnects);
    (void)run_one(own, &op);
    bool ended = faulty_count(own->node, HEARTH__STAT_disconnects) != before;
    if (verb == HEARTH__GET) {
        judge_get(own, known, op.status);
    } else {
        judge_write(own, known, &op, ended || op.status == HEARTH_E_UNKNOWN);
    }
}

static void use_counter(struct worker *own) {
    hearth__remote_op op = faulty_op(own->node, HEARTH__INCREMENT, own->counter_name, NULL);
    (void)run_one(own, &op);
    judge_increment(own, &op);
}

static void use_one(struct worker *own) {
    if (!own->forged && next(&own->seed) % 10 == 0) {
        use_counter(own);
    } else {
        use_key(own);
    }
}

/* ---- torn, late and cut --------------------------------------------------------------------- */

enum { TURNS = 8, TURN_OPERATIONS = 40, TURN_OPERATIONS_LONG = 200 };

/* Each of thread 0's operations is a step of what the proxy does. */
static void turn(struct proxy *proxy, uint32_t step, uint32_t operations) {
    if (step % operations == 2) { /* what makes all operations late does so for two */
        proxy_delay(proxy, PROXY_TO_CLIENT, 0);
        proxy_release(proxy, PROXY_TO_CLIENT);
    }
    if (step % operations != 0) {
        return;
    }
    proxy_split(proxy, PROXY_TO_CLIENT, 0);
    switch (step / operations % TURNS) {
    case 0:
        proxy_split(proxy, PROXY_TO_CLIENT, 1);
        break;
    case 1:
        proxy_split(proxy, PROXY_TO_CLIENT, 7);
        break;
    case 2:
        proxy_delay(proxy, PROXY_TO_CLIENT, 1);
        break;
    case 3:
        proxy_delay(proxy, PROXY_TO_CLIENT, LATE_MS);
        break;
    case 4:
        proxy_hold(proxy, PROXY_TO_CLIENT);
        break;
    case 5:
        proxy_let(proxy, PROXY_TO_CLIENT, 3);
        proxy_hold(proxy, PROXY_TO_CLIENT);
        break;
    default:
        proxy_cut(proxy, step / operations % 2 == 0);
        break;
    }
}

static void work_torn(void *arg, size_t index) {
    struct worker *own = (struct worker *)arg + index;
    uint32_t operations = is_long() ? TURN_OPERATIONS_LONG : TURN_OPERATIONS;
    for (uint32_t i = 0; i < own->operations; i++) {
        if (index == 0) {
            turn(own->node->proxy, i, operations);
        }
        use_one(own);
    }
}

/* ---- forged --------------------------------------------------------------------------------- */

enum { CONNECTIONS = 64, REPLY_MAX = 512 };

/* What the filter knows of a connection. */
struct talk {
    unsigned number;
    unsigned replies;
    bool swaps; /* the next reply passes before this one */
};

struct forger {
    enum faulty_protocol protocol;
    uint32_t fault_in;
    uint32_t seed;
    struct talk talks[CONNECTIONS];
    unsigned char last[REPLY_MAX]; /* some reply of before */
    size_t last_size;
    _Atomic unsigned forged;
};

static struct talk *talk_of(struct forger *own, unsigned number) {
    struct talk *talk = &own->talks[number % CONNECTIONS];
    if (talk->number != number) {
        *talk = (struct talk){.number = number};
    }
    return talk;
}

static bool is_greeting(const struct forger *own, const struct talk *talk) {
    static const unsigned greetings[] = {
        [FAULTY_REDIS] = 0, [FAULTY_META] = 2, [FAULTY_TEXT] = 1};
    return talk->replies < greetings[own->protocol];
}

/* One reply of this size, or what comes instead. */
static void forge(struct forger *own, struct proxy_flow *flow, struct talk *talk,
                  const unsigned char *reply, size_t size) {
    atomic_fetch_add(&own->forged, 1);
    switch (next(&own->seed) % 6) {
    case 0: /* missing */
        break;
    case 1: /* one too many */
        proxy_emit(flow, reply, size);
        proxy_emit(flow, reply, size);
        break;
    case 2: /* another's */
        proxy_emit(flow, own->last, own->last_size);
        break;
    case 3: /* another's in front */
        proxy_emit(flow, own->last, own->last_size);
        proxy_emit(flow, reply, size);
        break;
    case 4: /* cut */
        proxy_emit(flow, reply, next(&own->seed) % size);
        proxy_end(flow);
        break;
    default:
        talk->swaps = true;
        break;
    }
}

static size_t filter(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                     size_t size) {
    struct forger *own = arg;
    struct talk *talk = talk_of(own, proxy_number(flow));
    size_t reply = faulty_reply(own->protocol, bytes, size);
    size_t second = reply != 0 ? faulty_reply(own->protocol, bytes + reply, size - reply) : 0;
    if (reply == 0 || (talk->swaps && second == 0)) {
        return 0;
    }
    if (talk->swaps) {
        talk->swaps = false;
        proxy_emit(flow, bytes + reply, second);
        proxy_emit(flow, bytes, reply);
        return reply + second;
    }
    if (is_greeting(own, talk) || next(&own->seed) % own->fault_in != 0) {
        proxy_emit(flow, bytes, reply);
    } else {
        forge(own, flow, talk, bytes, reply);
    }
    talk->replies++;
    if (talk->swaps) {
        return 0;
    }
    if (reply <= REPLY_MAX && next(&own->seed) % 4 == 0) {
        memcpy(own->last, bytes, reply);
        own->last_size = reply;
    }
    return reply;
}

static void work(void *arg, size_t index) {
    struct worker *own = (struct worker *)arg + index;
    for (uint32_t i = 0; i < own->operations; i++) {
        use_one(own);
    }
}

/* ---- the run -------------------------------------------------------------------------------- */

static void begin_worker(struct worker *own, struct faulty_node *node, unsigned index,
                         bool forged) {
    *own = (struct worker){.node = node, .seed = index, .forged = forged};
    own->operations = is_long() ? OPERATIONS_LONG : OPERATIONS;
    snprintf(own->counter_name, sizeof own->counter_name, "counter-%u", index);
    hearth__remote_op zero = faulty_op(node, HEARTH__SET, own->counter_name, "0");
    zero.kind = HEARTH__KIND_INTEGER;
    faulty_expect(node, zero, HEARTH_OK, "counter");
    for (unsigned i = 0; i < KEYS; i++) {
        struct known *known = &own->keys[i];
        snprintf(known->name, sizeof known->name, "key-%u-%u", index, i);
        known->maybe = calloc(own->operations + 1, sizeof *known->maybe);
        assert_non_null(known->maybe);
        hearth__remote_op gone = faulty_op(node, HEARTH__DELETE, known->name, NULL);
        assert_true(faulty_run(node, &gone, FAULTY_DEADLINE_MS) >= 0);
    }
}

/* The faults are over: everything is right again. */
static void end_worker(struct worker *own) {
    for (unsigned i = 0; i < KEYS; i++) {
        struct known *known = &own->keys[i];
        hearth__remote_op op = faulty_op(own->node, HEARTH__GET, known->name, NULL);
        op.body = &own->body;
        judge_get(own, known, faulty_run(own->node, &op, FAULTY_DEADLINE_MS));
        assert_true(op.status >= 0);
        free(known->maybe);
    }
    hearth__buffer_fini(&own->body);
}

static void run(struct faulty_node *node, struct forger *forger, bool forged) {
    struct worker workers[THREADS];
    struct worker all = {.seed = 0};
    for (unsigned i = 0; i < THREADS; i++) {
        begin_worker(&workers[i], node, i, forged);
    }
    faulty_reopen(node, 2, DEADLINE_MS);
    if (forger != NULL) {
        proxy_filter(node->proxy, PROXY_TO_CLIENT, filter, forger);
    }
    assert_true(crowd_run(THREADS, forger != NULL ? work : work_torn, workers));
    faulty_reopen(node, 2, FAULTY_DEADLINE_MS);
    proxy_filter(node->proxy, PROXY_TO_CLIENT, NULL, NULL);
    proxy_split(node->proxy, PROXY_TO_CLIENT, 0);
    proxy_delay(node->proxy, PROXY_TO_CLIENT, 0);
    proxy_release(node->proxy, PROXY_TO_CLIENT);
    for (unsigned i = 0; i < THREADS; i++) {
        end_worker(&workers[i]);
        all.right += workers[i].right;
        all.missed += workers[i].missed;
        all.failed += workers[i].failed;
        all.wrong += workers[i].wrong;
        if (workers[i].wrong != 0) {
            memcpy(all.why, workers[i].why, sizeof all.why);
        }
    }
    print_message("%s: %u right, %u missed, %u failed, %u connections\n", faulty_name(node),
                  all.right, all.missed, all.failed, (unsigned)proxy_connections(node->proxy));
    if (all.wrong != 0) {
        fail_msg("%u were wrong: %s", all.wrong, all.why);
    }
    assert_true(all.right > all.failed); /* it did not give up */
    assert_true(all.failed > 0);         /* and it met the faults */
}

static void torn_replies_bring_no_wrong_value(void **state) {
    (void)state;
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        faulty_open(&node, (enum faulty_protocol)protocol, 2, FAULTY_DEADLINE_MS);
        run(&node, NULL, false);
        faulty_close(&node);
    }
}

static void forged_replies_bring_no_wrong_value(void **state) {
    (void)state;
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        struct forger forger = {.protocol = (enum faulty_protocol)protocol,
                                .fault_in = is_long() ? FAULT_IN_LONG : FAULT_IN,
                                .seed = 11};
        faulty_open(&node, (enum faulty_protocol)protocol, 2, FAULTY_DEADLINE_MS);
        run(&node, &forger, protocol != FAULTY_META);
        print_message("%u replies forged\n", atomic_load(&forger.forged));
        faulty_close(&node);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torn_replies_bring_no_wrong_value),
        cmocka_unit_test(forged_replies_bring_no_wrong_value),
    };
    return cmocka_run_group_tests_name("faulted traffic", tests, faulty_servers_start,
                                       faulty_servers_stop);
}
