/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 400 lines: who asks for a tag and who invalidates it keep one protocol, and it stands in one file. */
#include "tier/tags.h"

#include "base/clock.h"
#include "tier/bus.h"
#include "tier/counter.h"

#include <hearth/errors.h>

#include <string.h>

/* Where a tag's time stands, and the clock; the prefix follows, and the tag. */
#define TAG   HEARTH__TAG_KEYS
#define CLOCK "hearth-clock:"

enum {
    TRIES = 8,
    BODY = 16, /* of a tag at its node: gone 8, stale 8, little-endian */
};

/* A tag that is not asked for so long is made anew when it is. */
#define TAG_TTL_MS INT64_C(86400000)

/* ---- a value's tags --------------------------------------------------------------------- */

int32_t hearth__tags_add(hearth__buffer *tags, const void *tag, size_t size) {
    const unsigned char *other = NULL;
    size_t count = 0;
    size_t other_size = 0;
    for (size_t at = 0;
         (other = hearth__tags_next(tags->data, tags->size, &at, &other_size)) != NULL;
         count++) {
        if (other_size == size && memcmp(other, tag, size) == 0) {
            return HEARTH_OK;
        }
    }
    if (count == HEARTH__TAGS_MAX || tags->size + 1 + size > HEARTH__TAGS_BYTES) {
        return HEARTH_E_TOO_LARGE;
    }
    unsigned char length = (unsigned char)size;
    size_t before = tags->size;
    if (!hearth__buffer_append(tags, &length, 1) || !hearth__buffer_append(tags, tag, size)) {
        tags->size = before;
        return HEARTH_E_NOMEM;
    }
    return HEARTH_OK;
}

/* ---- one key of the tags' own ----------------------------------------------------------- */

/* A question to a node, and where its answer goes. Must not move. */
struct question {
    hearth__route route;
    hearth__buffer body;
    const void *tag;
    size_t size;
};

static int32_t open_question(const hearth *cache, const char *before, const void *tag,
                             size_t size, struct question *question) {
    question->body = (hearth__buffer){0};
    question->tag = tag;
    question->size = size;
    return hearth__route_init_beside(cache, before, tag, size, &question->route);
}

static void close_question(struct question *question) {
    hearth__route_fini(&question->route);
    hearth__buffer_fini(&question->body);
}

static hearth__remote_op op_of(struct question *question, enum hearth__verb verb) {
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

/* The clock's time, after it went on by `step`. It is made where there is none. */
static int32_t ask_clock(hearth *cache, int64_t step, int64_t deadline_ns, uint64_t *time) {
    int32_t status = hearth__counter_ask(cache, CLOCK, "", 0, step, deadline_ns, time);
    if (status == HEARTH_OK) {
        hearth__tag_table_saw_clock(cache->tags, *time);
    }
    return status;
}

int32_t hearth__tags_ask_clock(hearth *cache, int64_t deadline_ns, uint64_t *time) {
    return ask_clock(cache, 0, deadline_ns, time);
}

uint64_t hearth__tags_stamp(const hearth *cache) {
    return hearth__tag_table_clock(cache->tags);
}

uint64_t hearth__tags_ask_stamp(hearth *cache) {
    uint64_t time = hearth__tags_stamp(cache);
    if (time == 0) {
        (void)ask_clock(cache, 0, hearth__deadline_ns(cache->config.remote_timeout_ms), &time);
    }
    return time;
}

uint64_t hearth__tags_invalidations(const hearth *cache) {
    return atomic_load(&cache->invalidations);
}

/* ---- a tag at its node ------------------------------------------------------------------ */

/* Who asks, or writes, does so from now on. */
static void begin_asking(const hearth *cache, hearth__tag_state *state) {
    state->distrusts = hearth__tag_table_distrusts(cache->tags);
    state->asked_ms = hearth__boot_ms();
}

/* What a GET said, which began as `asked` says. HEARTH_OK; HEARTH_MISS: nothing that can be read, of that version, or none. */
static int32_t take(const struct question *question, const hearth__remote_op *op,
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
    if (op->status != HEARTH_OK || question->body.size != BODY) {
        return HEARTH_MISS;
    }
    state->gone = number_at(question->body.data);
    state->stale = number_at(question->body.data + 8);
    return HEARTH_OK;
}

/* A write of a tag, of BODY bytes at `body`. */
static hearth__remote_op compose(hearth *cache, struct question *question,
                                 enum hearth__verb verb, const hearth__tag_state *state,
                                 unsigned char *body) {
    put_number(body, state->gone);
    put_number(body + 8, state->stale);
    hearth__remote_op op = op_of(question, verb);
    op.kind = HEARTH__KIND_VALUE;
    op.data = body;
    op.data_size = BODY;
    op.version = hearth__remote_new_version(cache->remote);
    op.if_version = verb == HEARTH__SWAP ? state->version : 0;
    op.ttl_ms = TAG_TTL_MS;
    return op;
}

/* Writes a tag, over the state's version, or where nothing is. HEARTH_OK: the state has the new version; HEARTH_CONFLICT: it is not so
 * any more. */
static int32_t write_tag(hearth *cache, struct question *question, int64_t deadline_ns,
                         hearth__tag_state *state) {
    unsigned char body[BODY];
    enum hearth__verb verb = state->version != 0 ? HEARTH__SWAP : HEARTH__ADD;
    hearth__remote_op op = compose(cache, question, verb, state, body);
    hearth__nodes_execute(cache, &op, 1, deadline_ns);
    if (op.status == HEARTH_OK) {
        state->version = op.version;
        return HEARTH_OK;
    }
    return op.status < 0 ? op.status : HEARTH_CONFLICT;
}

/* A version of the tag that can be replaced, from before what follows; *state is what it says. */
static int32_t hold_tag(hearth *cache, struct question *question, int64_t deadline_ns,
                        hearth__tag_state *state) {
    int32_t status = HEARTH_MISS;
    for (int i = 0; i < TRIES; i++) {
        hearth__remote_op op = op_of(question, HEARTH__GET);
        hearth__tag_state asked;
        begin_asking(cache, &asked);
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

/* What was lost, or is not told, is as late as the time. */
static void complete(hearth__tag_state *state, uint64_t time) {
    state->gone = hearth__tag_same_epoch(state->gone, time) ? state->gone : time;
    state->stale = time;
    state->is_told = true;
}

/* Tells the time of this process's own invalidation, which its node has in that version. HEARTH_CONFLICT: the node has another by now. */
static int32_t tell(hearth *cache, struct question *question, int64_t deadline_ns,
                    hearth__tag_state *state) {
    begin_asking(cache, state);
    state->is_told = true;
    return write_tag(cache, question, deadline_ns, state);
}

/* Makes a tag anew that its node has lost, that is of another epoch than the clock, or of which the last invalidation's time is not
 * told: the clock has gone on for that. */
static int32_t repair(hearth *cache, struct question *question, int64_t deadline_ns) {
    hearth__tag_state state;
    hearth__tag_state own;
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; status == HEARTH_CONFLICT && i < TRIES; i++) {
        uint64_t time = hearth__tags_stamp(cache);
        status = hold_tag(cache, question, deadline_ns, &state);
        if (status != HEARTH_OK || is_whole(&state, time)) {
            continue;
        }
        bool is_own =
            hearth__tag_table_look(cache->tags, question->tag, question->size, &own) &&
            !own.is_told && own.version == state.version && is_whole(&own, time);
        if (is_own) {
            state = own;
            status = tell(cache, question, deadline_ns, &state);
            continue;
        }
        status = ask_clock(cache, 0, deadline_ns, &time);
        if (status == HEARTH_OK && !is_whole(&state, time)) {
            complete(&state, time);
            begin_asking(cache, &state);
            status = write_tag(cache, question, deadline_ns, &state);
        }
    }
    if (status == HEARTH_OK) {
        hearth__tag_table_learn(cache->tags, question->tag, question->size, &state);
    }
    return status;
}

/* ---- asking ----------------------------------------------------------------------------- */

/* One that is in use does not end. */
static void prolong(hearth *cache, struct question *question, const hearth__remote_op *op,
                    int64_t deadline_ns) {
    if (op->left_ms >= 0 && op->left_ms < TAG_TTL_MS / 2) {
        hearth__remote_op touch = op_of(question, HEARTH__TOUCH);
        touch.ttl_ms = TAG_TTL_MS;
        hearth__nodes_execute(cache, &touch, 1, deadline_ns);
    }
}

static void settle(hearth *cache, struct question *question, const hearth__remote_op *op,
                   const hearth__tag_state *asked, int64_t deadline_ns) {
    hearth__tag_state state;
    int32_t status = take(question, op, asked, &state);
    if (status == HEARTH_OK && is_whole(&state, hearth__tags_stamp(cache))) {
        hearth__tag_table_learn(cache->tags, question->tag, question->size, &state);
        prolong(cache, question, op, deadline_ns);
    } else if (status >= 0) {
        (void)repair(cache, question, deadline_ns);
    }
}

/* Questions about the tags of which nothing is known since then; how many. */
static size_t open_questions(hearth *cache, const unsigned char *tags, size_t size,
                             int64_t since_ms, struct question *questions) {
    const unsigned char *tag = NULL;
    size_t tag_size = 0;
    size_t count = 0;
    for (size_t at = 0; count < HEARTH__TAGS_MAX &&
                        (tag = hearth__tags_next(tags, size, &at, &tag_size)) != NULL;) {
        hearth__tag_state state;
        bool known = hearth__tag_table_look(cache->tags, tag, tag_size, &state) &&
                     state.asked_ms >= since_ms;
        if (!known) {
            if (open_question(cache, TAG, tag, tag_size, &questions[count]) != HEARTH_OK) {
                break;
            }
            count++;
        }
    }
    return count;
}

/* Asks all nodes at once. */
static void ask_nodes(hearth *cache, const unsigned char *tags, size_t size, int64_t since_ms,
                      int64_t deadline_ns) {
    struct question questions[HEARTH__TAGS_MAX + 1];
    hearth__remote_op ops[HEARTH__TAGS_MAX + 1];
    hearth__tag_state asked;
    begin_asking(cache, &asked);
    size_t count = open_questions(cache, tags, size, since_ms, questions);
    struct question *clock = &questions[count];
    bool asks_clock = open_question(cache, CLOCK, "", 0, clock) == HEARTH_OK;
    for (size_t i = 0; i < count + asks_clock; i++) {
        ops[i] = op_of(&questions[i], HEARTH__GET);
        ops[i].want_ttl = i < count && hearth__remote_knows_ttl(cache->remote);
    }
    hearth__nodes_execute(cache, ops, count + asks_clock, deadline_ns);
    uint64_t time = 0;
    if (asks_clock && ops[count].status == HEARTH_OK &&
        ops[count].found == HEARTH__KIND_INTEGER) {
        time = hearth__counter_parse(&clock->body);
    }
    bool known = hearth__counter_is_value(time) ||
                 (asks_clock && ops[count].status == HEARTH_MISS &&
                  ask_clock(cache, 0, deadline_ns, &time) == HEARTH_OK);
    if (known) {
        hearth__tag_table_saw_clock(cache->tags, time);
    }
    for (size_t i = 0; i < count; i++) {
        if (known) {
            settle(cache, &questions[i], &ops[i], &asked, deadline_ns);
        }
        close_question(&questions[i]);
    }
    close_question(clock);
}

int64_t hearth__tags_trust_ms(const hearth *cache) {
    return cache->sole_writer ? INT64_MAX / 2 : cache->config.coherence_version_ttl_ms / 2;
}

/* What is known of tags since then is trusted. Where nobody else writes, it stays so, but what is distrusted, which was asked for at
 * INT64_MIN. */
static int64_t trusted_since_ms(const hearth *cache, int64_t trust_ms) {
    return cache->sole_writer ? INT64_MIN + 1 : hearth__boot_ms() - trust_ms;
}

enum hearth__tags_verdict hearth__tags_judge_known(hearth *cache, const void *tags, size_t size,
                                                   uint64_t stamp, hearth__tags_check *check) {
    int64_t since_ms = trusted_since_ms(cache, cache->config.coherence_version_ttl_ms);
    return hearth__tag_table_judge(cache->tags, tags, size, stamp, since_ms, check);
}

/* Tags are asked for before they are not trusted any more: one caller does, the others go on. */
static void ask_ahead(hearth *cache, const void *tags, size_t size,
                      const hearth__tags_check *check) {
    int64_t since_ms = trusted_since_ms(cache, hearth__tags_trust_ms(cache));
    if (check->asked_ms < since_ms && !atomic_exchange(&cache->asks_tags, true)) {
        ask_nodes(cache, tags, size, since_ms,
                  hearth__deadline_ns(cache->config.remote_timeout_ms));
        atomic_store(&cache->asks_tags, false);
    }
}

/* By what nodes say. What is told of meanwhile, as of this process's own writes too, is asked for once more. */
static enum hearth__tags_verdict ask_and_judge(hearth *cache, const void *tags, size_t size,
                                               uint64_t stamp, int64_t since_ms,
                                               hearth__tags_check *check) {
    int64_t deadline_ns = hearth__deadline_ns(cache->config.remote_timeout_ms);
    enum hearth__tags_verdict verdict = HEARTH__TAGS_UNKNOWN;
    bool told = true;
    for (int i = 0; verdict == HEARTH__TAGS_UNKNOWN && told && i < TRIES; i++) {
        uint64_t distrusts = hearth__tag_table_distrusts(cache->tags);
        ask_nodes(cache, tags, size, since_ms, deadline_ns);
        verdict = hearth__tag_table_judge(cache->tags, tags, size, stamp, since_ms, check);
        told = distrusts != hearth__tag_table_distrusts(cache->tags);
    }
    return verdict;
}

enum hearth__tags_verdict hearth__tags_judge(hearth *cache, const void *tags, size_t size,
                                             uint64_t stamp, hearth__tags_check *check) {
    int64_t since_ms = trusted_since_ms(cache, cache->config.coherence_version_ttl_ms);
    enum hearth__tags_verdict verdict =
        hearth__tag_table_judge(cache->tags, tags, size, stamp, since_ms, check);
    if (verdict != HEARTH__TAGS_UNKNOWN && verdict != HEARTH__TAGS_GONE && check != NULL) {
        ask_ahead(cache, tags, size, check);
        verdict = hearth__tag_table_judge(cache->tags, tags, size, stamp, since_ms, check);
    }
    return verdict == HEARTH__TAGS_UNKNOWN
               ? ask_and_judge(cache, tags, size, stamp, since_ms, check)
               : verdict;
}

/* ---- invalidating ----------------------------------------------------------------------- */

void hearth__tags_tell(hearth *cache, const void *tags, size_t size) {
    int64_t deadline_ns = hearth__deadline_ns(cache->config.remote_timeout_ms);
    struct question question;
    hearth__tag_state state;
    const unsigned char *tag = NULL;
    size_t tag_size = 0;
    for (size_t at = 0; (tag = hearth__tags_next(tags, size, &at, &tag_size)) != NULL;) {
        if (!hearth__tag_table_look(cache->tags, tag, tag_size, &state) || state.is_told) {
            continue;
        }
        if (open_question(cache, TAG, tag, tag_size, &question) == HEARTH_OK) {
            int32_t status = tell(cache, &question, deadline_ns, &state);
            if (status == HEARTH_OK) {
                hearth__tag_table_learn(cache->tags, tag, tag_size, &state);
            } else if (status == HEARTH_CONFLICT) {
                hearth__tag_table_distrust(cache->tags, tag, tag_size);
            }
        }
        close_question(&question);
    }
}

/* An invalidation under way. */
struct invalidation {
    struct question tag;
    struct question clock;
    hearth__tag_state state; /* once the node has its time */
    unsigned char body[BODY];
    bool keeps_stale;
};

/* The version that is to be replaced where its values stay as stale ones: what is known of it, or what its node says. */
static int32_t begin_state(hearth *cache, struct invalidation *this, bool asks,
                           int64_t deadline_ns) {
    hearth__tag_state *state = &this->state;
    if (this->keeps_stale && asks) {
        return hold_tag(cache, &this->tag, deadline_ns, state);
    }
    if (!this->keeps_stale ||
        !hearth__tag_table_look(cache->tags, this->tag.tag, this->tag.size, state)) {
        *state = (hearth__tag_state){.gone = HEARTH__TAG_NEVER};
    }
    return HEARTH_OK;
}

/* In this order: a node carries out what it is asked at once one after another. */
static void execute_in_order(hearth *cache, hearth__remote_op *ops, int64_t deadline_ns) {
    if (ops[0].node == ops[1].node) {
        hearth__nodes_execute(cache, ops, 2, deadline_ns);
        return;
    }
    hearth__nodes_execute(cache, ops, 1, deadline_ns);
    if (ops[0].status >= 0) {
        hearth__nodes_execute(cache, ops + 1, 1, deadline_ns);
    } else {
        ops[1].status = ops[0].status;
    }
}

/* The clock goes on, and then the tag says so. HEARTH_CONFLICT: the node had another version of the tag. */
static int32_t invalidate(hearth *cache, struct invalidation *this, int64_t deadline_ns) {
    hearth__tag_state *state = &this->state;
    enum hearth__verb verb = this->keeps_stale && state->version != 0 ? HEARTH__SWAP
                             : this->keeps_stale                      ? HEARTH__ADD
                                                                      : HEARTH__SET;
    hearth__tag_state untold = {
        .gone = state->gone, .stale = HEARTH__TAG_NEVER, .version = state->version};
    hearth__remote_op ops[] = {op_of(&this->clock, HEARTH__INCREMENT),
                               compose(cache, &this->tag, verb, &untold, this->body)};
    ops[0].number = 1;
    begin_asking(cache, state);
    execute_in_order(cache, ops, deadline_ns);
    int32_t status = ops[0].status;
    uint64_t time = (uint64_t)ops[0].number;
    if (status < 0 || ops[1].status != HEARTH_OK) {
        return status < 0 ? status : ops[1].status < 0 ? ops[1].status : HEARTH_CONFLICT;
    }
    if (status == HEARTH_OK && hearth__counter_is_value(time)) {
        hearth__tag_table_saw_clock(cache->tags, time);
    } else { /* there was none: one that is made now is of another epoch than all that was */
        status = ask_clock(cache, 1, deadline_ns, &time);
    }
    state->version = ops[1].version;
    complete(state, time);
    state->is_told = false;
    return status;
}

static int32_t open_invalidation(hearth *cache, const void *tag, size_t size,
                                 struct invalidation *this) {
    int32_t status = open_question(cache, TAG, tag, size, &this->tag);
    int32_t clock = open_question(cache, CLOCK, "", 0, &this->clock);
    return status != HEARTH_OK ? status : clock;
}

int32_t hearth__invalidate_tag(hearth *handle, const void *tag, size_t size, bool keeps_stale,
                               int64_t deadline_ns) {
    hearth *cache = handle->whole;
    struct invalidation this = {.keeps_stale = keeps_stale};
    atomic_fetch_add(&cache->invalidations, 1);
    HEARTH__COUNT(cache->counters, tag_invalidations);
    int32_t status = open_invalidation(cache, tag, size, &this);
    status = status == HEARTH_OK ? HEARTH_CONFLICT : status;
    for (int i = 0; status == HEARTH_CONFLICT && i < TRIES; i++) {
        status = begin_state(cache, &this, i != 0, deadline_ns);
        if (status == HEARTH_OK) {
            status = invalidate(cache, &this, deadline_ns);
        }
    }
    if (status == HEARTH_OK) {
        hearth__tag_table_learn(cache->tags, tag, size, &this.state);
        hearth__tag_table_go_on(cache->tags);
    } else {
        hearth__tag_table_distrust(cache->tags, tag, size);
    }
    hearth__bus_tell_beside(cache, TAG, tag, size, status, deadline_ns);
    close_question(&this.tag);
    close_question(&this.clock);
    return status == HEARTH_CONFLICT ? HEARTH_E_UNAVAILABLE : status;
}

void hearth__tags_changed(hearth *cache, const void *key, size_t key_size) {
    size_t head = sizeof TAG - 1;
    size_t prefix = cache->prefix_size;
    const char *bytes = key;
    if (key_size > head + prefix && memcmp(bytes, TAG, head) == 0 &&
        memcmp(bytes + head, cache->config.remote_prefix, prefix) == 0) {
        hearth__tag_table_distrust(cache->tags, bytes + head + prefix,
                                   key_size - head - prefix);
    }
}
