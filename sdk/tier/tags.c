/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/tags.h"

#include "base/clock.h"
#include "tier/bus.h"
#include "tier/counter.h"
#include "tier/tag_at_node.h"

#include <hearth/errors.h>

#include <string.h>

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

/* ---- the clock -------------------------------------------------------------------------- */

int32_t hearth__tags_ask_clock(hearth *cache, int64_t deadline_ns, uint64_t *time) {
    return hearth__tag_ask_clock(cache, 0, deadline_ns, time);
}

uint64_t hearth__tags_stamp(const hearth *cache) {
    return hearth__tag_table_clock(cache->tags);
}

uint64_t hearth__tags_ask_stamp(hearth *cache) {
    uint64_t time = hearth__tags_stamp(cache);
    if (time == 0) {
        (void)hearth__tag_ask_clock(
            cache, 0, hearth__deadline_ns(cache->config.remote_timeout_ms), &time);
    }
    return time;
}

uint64_t hearth__tags_invalidations(const hearth *cache) {
    return atomic_load(&cache->invalidations);
}

/* ---- asking ----------------------------------------------------------------------------- */

/* Questions about the tags of which nothing is known since then; how many. */
static size_t open_questions(hearth *cache, const unsigned char *tags, size_t size,
                             int64_t since_ms, hearth__tag_question *questions) {
    const unsigned char *tag = NULL;
    size_t tag_size = 0;
    size_t count = 0;
    for (size_t at = 0; count < HEARTH__TAGS_MAX &&
                        (tag = hearth__tags_next(tags, size, &at, &tag_size)) != NULL;) {
        hearth__tag_state state;
        bool known = hearth__tag_table_look(cache->tags, tag, tag_size, &state) &&
                     state.asked_ms >= since_ms;
        if (!known) {
            if (hearth__tag_question_open(cache, HEARTH__TAG_KEYS, tag, tag_size,
                                          &questions[count]) != HEARTH_OK) {
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
    hearth__tag_question questions[HEARTH__TAGS_MAX + 1];
    hearth__remote_op ops[HEARTH__TAGS_MAX + 1];
    hearth__tag_state asked;
    hearth__tag_begin_asking(cache, &asked);
    size_t count = open_questions(cache, tags, size, since_ms, questions);
    hearth__tag_question *clock = &questions[count];
    bool asks_clock =
        hearth__tag_question_open(cache, HEARTH__TAG_CLOCK, "", 0, clock) == HEARTH_OK;
    for (size_t i = 0; i < count + asks_clock; i++) {
        ops[i] = hearth__tag_question_op(&questions[i], HEARTH__GET);
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
                  hearth__tag_ask_clock(cache, 0, deadline_ns, &time) == HEARTH_OK);
    if (known) {
        hearth__tag_table_saw_clock(cache->tags, time);
    }
    for (size_t i = 0; i < count; i++) {
        if (known) {
            hearth__tag_settle(cache, &questions[i], &ops[i], &asked, deadline_ns);
        }
        hearth__tag_question_close(&questions[i]);
    }
    hearth__tag_question_close(clock);
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
    for (int i = 0; verdict == HEARTH__TAGS_UNKNOWN && told && i < HEARTH__TAG_TRIES; i++) {
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
    hearth__tag_question question;
    hearth__tag_state state;
    const unsigned char *tag = NULL;
    size_t tag_size = 0;
    for (size_t at = 0; (tag = hearth__tags_next(tags, size, &at, &tag_size)) != NULL;) {
        if (!hearth__tag_table_look(cache->tags, tag, tag_size, &state) || state.is_told) {
            continue;
        }
        if (hearth__tag_question_open(cache, HEARTH__TAG_KEYS, tag, tag_size, &question) ==
            HEARTH_OK) {
            int32_t status = hearth__tag_tell_time(cache, &question, deadline_ns, &state);
            if (status == HEARTH_OK) {
                hearth__tag_table_learn(cache->tags, tag, tag_size, &state);
            } else if (status == HEARTH_CONFLICT) {
                hearth__tag_table_distrust(cache->tags, tag, tag_size);
            }
        }
        hearth__tag_question_close(&question);
    }
}

/* An invalidation under way. */
struct invalidation {
    hearth__tag_question tag;
    hearth__tag_question clock;
    hearth__tag_state state; /* once the node has its time */
    unsigned char body[HEARTH__TAG_BODY];
    bool keeps_stale;
};

/* The version that is to be replaced where its values stay as stale ones: what is known of it, or what its node says. */
static int32_t begin_state(hearth *cache, struct invalidation *this, bool asks,
                           int64_t deadline_ns) {
    hearth__tag_state *state = &this->state;
    if (this->keeps_stale && asks) {
        return hearth__tag_hold(cache, &this->tag, deadline_ns, state);
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
    hearth__remote_op ops[] = {
        hearth__tag_question_op(&this->clock, HEARTH__INCREMENT),
        hearth__tag_compose(cache, &this->tag, verb, &untold, this->body)};
    ops[0].number = 1;
    hearth__tag_begin_asking(cache, state);
    execute_in_order(cache, ops, deadline_ns);
    int32_t status = ops[0].status;
    uint64_t time = (uint64_t)ops[0].number;
    if (status < 0 || ops[1].status != HEARTH_OK) {
        return status < 0 ? status : ops[1].status < 0 ? ops[1].status : HEARTH_CONFLICT;
    }
    if (status == HEARTH_OK && hearth__counter_is_value(time)) {
        hearth__tag_table_saw_clock(cache->tags, time);
    } else { /* there was none: one that is made now is of another epoch than all that was */
        status = hearth__tag_ask_clock(cache, 1, deadline_ns, &time);
    }
    state->version = ops[1].version;
    hearth__tag_complete(state, time);
    state->is_told = false;
    return status;
}

static int32_t open_invalidation(hearth *cache, const void *tag, size_t size,
                                 struct invalidation *this) {
    int32_t status = hearth__tag_question_open(cache, HEARTH__TAG_KEYS, tag, size, &this->tag);
    int32_t clock = hearth__tag_question_open(cache, HEARTH__TAG_CLOCK, "", 0, &this->clock);
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
    for (int i = 0; status == HEARTH_CONFLICT && i < HEARTH__TAG_TRIES; i++) {
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
    hearth__bus_tell_beside(cache, HEARTH__TAG_KEYS, tag, size, status, deadline_ns);
    hearth__tag_question_close(&this.tag);
    hearth__tag_question_close(&this.clock);
    return status == HEARTH_CONFLICT ? HEARTH_E_UNAVAILABLE : status;
}

void hearth__tags_changed(hearth *cache, const void *key, size_t key_size) {
    size_t head = sizeof HEARTH__TAG_KEYS - 1;
    size_t prefix = cache->prefix_size;
    const char *bytes = key;
    if (key_size > head + prefix && memcmp(bytes, HEARTH__TAG_KEYS, head) == 0 &&
        memcmp(bytes + head, cache->config.remote_prefix, prefix) == 0) {
        hearth__tag_table_distrust(cache->tags, bytes + head + prefix,
                                   key_size - head - prefix);
    }
}
