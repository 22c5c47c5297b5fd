/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/tag_at_node.h"

#include "base/clock.h"
#include "tier/counter.h"

#include <hearth/errors.h>

/* A tag that is not asked for so long is made anew when it is. */
#define TAG_TTL_MS INT64_C(86400000)

/* ---- one key of the tags' own ----------------------------------------------------------- */

int32_t hearth__tag_question_open(const hearth *cache, const char *before, const void *tag,
                                  size_t size, hearth__tag_question *question) {
    question->body = (hearth__buffer){0};
    question->tag = tag;
    question->size = size;
    return hearth__route_init_beside(cache, before, tag, size, &question->route);
}

void hearth__tag_question_close(hearth__tag_question *question) {
    hearth__route_fini(&question->route);
    hearth__buffer_fini(&question->body);
}

hearth__remote_op hearth__tag_question_op(hearth__tag_question *question,
                                          enum hearth__verb verb) {
    hearth__remote_op op = hearth__route_op(&question->route, verb);
    op.body = verb == HEARTH__GET ? &question->body : NULL;
    return op;
}

static uint64_t number_at(const unsigned char *at) {
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        number |= (uint64_t)at[i] << (8 * i);
    }
    return number;
}

static void put_number(unsigned char *at, uint64_t number) {
    for (size_t i = 0; i < 8; i++) {
        at[i] = (unsigned char)(number >> (8 * i));
    }
}

/* ---- the clock -------------------------------------------------------------------------- */

int32_t hearth__tag_ask_clock(hearth *cache, int64_t step, int64_t deadline_ns,
                              uint64_t *time) {
    int32_t status =
        hearth__counter_ask(cache, HEARTH__TAG_CLOCK, "", 0, step, deadline_ns, time);
    if (status == HEARTH_OK) {
        hearth__tag_table_saw_clock(cache->tags, *time);
    }
    return status;
}

/* ---- a tag at its node ------------------------------------------------------------------ */

void hearth__tag_begin_asking(const hearth *cache, hearth__tag_state *state) {
    state->distrusts = hearth__tag_table_distrusts(cache->tags);
    state->asked_ms = hearth__boot_ms();
}

/* What a GET said, which began as `asked` says. HEARTH_OK; HEARTH_MISS: nothing that can be read, of that version, or none. */
static int32_t take(const hearth__tag_question *question, const hearth__remote_op *op,
                    const hearth__tag_state *asked, hearth__tag_state *state) {
    *state = (hearth__tag_state){.gone = HEARTH__TAG_NEVER,
                                 .stale = HEARTH__TAG_NEVER,
                                 .version = op->found_version,
                                 .asked_ms = asked->asked_ms,
                                 .distrusts = asked->distrusts,
                                 .is_told = true};
    if (op->status < 0) {
        return op->status;
    }
    if (op->status != HEARTH_OK || question->body.size != HEARTH__TAG_BODY) {
        return HEARTH_MISS;
    }
    state->gone = number_at(question->body.data);
    state->stale = number_at(question->body.data + 8);
    return HEARTH_OK;
}

hearth__remote_op hearth__tag_compose(hearth *cache, hearth__tag_question *question,
                                      enum hearth__verb verb, const hearth__tag_state *state,
                                      unsigned char *body) {
    put_number(body, state->gone);
    put_number(body + 8, state->stale);
    hearth__remote_op op = hearth__tag_question_op(question, verb);
    op.kind = HEARTH__KIND_VALUE;
    op.data = body;
    op.data_size = HEARTH__TAG_BODY;
    op.version = hearth__remote_new_version(cache->remote);
    op.if_version = verb == HEARTH__SWAP ? state->version : 0;
    op.ttl_ms = TAG_TTL_MS;
    return op;
}

/* Writes a tag, over the state's version, or where nothing is. HEARTH_OK: the state has the new version; HEARTH_CONFLICT: it is not so
 * any more. */
static int32_t write_tag(hearth *cache, hearth__tag_question *question, int64_t deadline_ns,
                         hearth__tag_state *state) {
    unsigned char body[HEARTH__TAG_BODY];
    enum hearth__verb verb = state->version != 0 ? HEARTH__SWAP : HEARTH__ADD;
    hearth__remote_op op = hearth__tag_compose(cache, question, verb, state, body);
    hearth__nodes_execute(cache, &op, 1, deadline_ns);
    if (op.status == HEARTH_OK) {
        state->version = op.version;
        return HEARTH_OK;
    }
    return op.status < 0 ? op.status : HEARTH_CONFLICT;
}

int32_t hearth__tag_hold(hearth *cache, hearth__tag_question *question, int64_t deadline_ns,
                         hearth__tag_state *state) {
    int32_t status = HEARTH_MISS;
    for (int i = 0; i < HEARTH__TAG_TRIES; i++) {
        hearth__remote_op op = hearth__tag_question_op(question, HEARTH__GET);
        hearth__tag_state asked;
        hearth__tag_begin_asking(cache, &asked);
        hearth__nodes_execute(cache, &op, 1, deadline_ns);
        status = take(question, &op, &asked, state);
        if (status < 0 || state->version != 0) {
            return status < 0 ? status : HEARTH_OK;
        }
        status = write_tag(cache, question, deadline_ns, state); /* as one that is being made */
        if (status != HEARTH_CONFLICT) {
            return status;
        }
    }
    return HEARTH_E_UNAVAILABLE;
}

/* Whether both times are the clock's. */
static bool is_whole(const hearth__tag_state *state, uint64_t time) {
    return hearth__tag_same_epoch(state->gone, time) &&
           hearth__tag_same_epoch(state->stale, time);
}

void hearth__tag_complete(hearth__tag_state *state, uint64_t time) {
    state->gone = hearth__tag_same_epoch(state->gone, time) ? state->gone : time;
    state->stale = time;
    state->is_told = true;
}

int32_t hearth__tag_tell_time(hearth *cache, hearth__tag_question *question,
                              int64_t deadline_ns, hearth__tag_state *state) {
    hearth__tag_begin_asking(cache, state);
    state->is_told = true;
    return write_tag(cache, question, deadline_ns, state);
}

/* Makes a tag anew that its node has lost, that is of another epoch than the clock, or of which the last invalidation's time is not
 * told: the clock has gone on for that. */
static int32_t repair(hearth *cache, hearth__tag_question *question, int64_t deadline_ns) {
    hearth__tag_state state;
    hearth__tag_state own;
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; status == HEARTH_CONFLICT && i < HEARTH__TAG_TRIES; i++) {
        uint64_t time = hearth__tag_table_clock(cache->tags);
        status = hearth__tag_hold(cache, question, deadline_ns, &state);
        if (status != HEARTH_OK || is_whole(&state, time)) {
            continue;
        }
        bool is_own =
            hearth__tag_table_look(cache->tags, question->tag, question->size, &own) &&
            !own.is_told && own.version == state.version && is_whole(&own, time);
        if (is_own) {
            state = own;
            status = hearth__tag_tell_time(cache, question, deadline_ns, &state);
            continue;
        }
        status = hearth__tag_ask_clock(cache, 0, deadline_ns, &time);
        if (status == HEARTH_OK && !is_whole(&state, time)) {
            hearth__tag_complete(&state, time);
            hearth__tag_begin_asking(cache, &state);
            status = write_tag(cache, question, deadline_ns, &state);
        }
    }
    if (status == HEARTH_OK) {
        hearth__tag_table_learn(cache->tags, question->tag, question->size, &state);
    }
    return status;
}

/* One that is in use does not end. */
static void prolong(hearth *cache, hearth__tag_question *question, const hearth__remote_op *op,
                    int64_t deadline_ns) {
    if (op->left_ms >= 0 && op->left_ms < TAG_TTL_MS / 2) {
        hearth__remote_op touch = hearth__tag_question_op(question, HEARTH__TOUCH);
        touch.ttl_ms = TAG_TTL_MS;
        hearth__nodes_execute(cache, &touch, 1, deadline_ns);
    }
}

void hearth__tag_settle(hearth *cache, hearth__tag_question *question,
                        const hearth__remote_op *op, const hearth__tag_state *asked,
                        int64_t deadline_ns) {
    hearth__tag_state state;
    int32_t status = take(question, op, asked, &state);
    if (status == HEARTH_OK && is_whole(&state, hearth__tag_table_clock(cache->tags))) {
        hearth__tag_table_learn(cache->tags, question->tag, question->size, &state);
        prolong(cache, question, op, deadline_ns);
    } else if (status >= 0) {
        (void)repair(cache, question, deadline_ns);
    }
}
