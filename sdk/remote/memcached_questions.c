/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_questions.h"

#include "base/clock.h"
#include "remote/memcached_compose.h"

#include <hearth/errors.h>

#include <string.h>

/* ---- saying ----------------------------------------------------------------------------- */

static enum hearth__mc_mode mode_of(enum hearth__mc_asked asked) {
    switch (asked) {
    case HEARTH__MC_ASK_ADD:
        return HEARTH__MC_ADD;
    case HEARTH__MC_ASK_SWAP:
        return HEARTH__MC_SWAP;
    case HEARTH__MC_ASK_APPEND:
        return HEARTH__MC_APPEND;
    default:
        return HEARTH__MC_SET;
    }
}

static bool compose(const hearth__mc_question *question, const hearth__mc_target *target,
                    hearth__buffer *out) {
    switch (question->asked) {
    case HEARTH__MC_ASK_GET:
        return hearth__mc_compose_get(out, target);
    case HEARTH__MC_ASK_REMOVE:
        return hearth__mc_compose_delete(out, target);
    case HEARTH__MC_ASK_TOUCH:
        return hearth__mc_compose_touch(out, target, question->exptime);
    default:
        break;
    }
    const hearth__mc_store store = {.mode = mode_of(question->asked),
                                    .exptime = question->exptime,
                                    .cas = question->cas,
                                    .size = question->size};
    return hearth__mc_compose_store(out, target, &store) &&
           hearth__buffer_append(out, question->data, question->size) &&
           hearth__buffer_append(out, HEARTH__MC_DATA_END, strlen(HEARTH__MC_DATA_END));
}

static bool say(hearth__node *node, const hearth__mc_question *question,
                hearth__exchange *exchange, hearth__buffer *line) {
    bool meta =
        atomic_load_explicit(&node->protocol, memory_order_relaxed) == HEARTH__MC_PROTOCOL_META;
    hearth__wire_key key;
    hearth__notes notes;
    hearth__wire_key_init(&key, question->name, strlen(question->name));
    hearth__mc_target target = {
        .key = &key,
        .meta = meta,
        .opaque = atomic_fetch_add_explicit(&node->opaque, 2, memory_order_relaxed)};
    line->size = 0;
    if (!compose(question, &target, line) ||
        !hearth__exchange_say(exchange, line->data, line->size)) {
        return false;
    }
    hearth__mc_note(&notes, question->asked, meta, target.opaque, &key);
    hearth__exchange_ask(exchange, &notes);
    return true;
}

static hearth__exchange *say_all(hearth__node *node, const hearth__mc_question *questions,
                                 size_t count) {
    hearth__exchange *exchange = hearth__exchange_create((uint32_t)count);
    hearth__buffer line = {0};
    bool said = exchange != NULL;
    for (size_t i = 0; said && i < count; i++) {
        said = say(node, &questions[i], exchange, &line);
    }
    hearth__buffer_fini(&line);
    if (!said && exchange != NULL) {
        hearth__exchange_discard(exchange);
    }
    return said ? exchange : NULL;
}

/* ---- hearing ---------------------------------------------------------------------------- */

static bool take(void *arg, uint32_t index, const hearth__notes *notes, hearth__kept kept) {
    hearth__mc_question *question = (hearth__mc_question *)arg + index;
    question->status = notes->status;
    question->answer = (enum hearth__mc_answer)notes->answer;
    if (question->asked != HEARTH__MC_ASK_GET || question->status != HEARTH_OK) {
        return true;
    }
    question->cas = notes->cas;
    question->found->size = 0;
    if (kept.lost ||
        (kept.size != 0 && !hearth__buffer_assign(question->found, kept.bytes, kept.size))) {
        question->status = HEARTH_E_NOMEM;
    }
    return true;
}

static hearth__outcome ask(hearth__node *node, const hearth__way *way,
                           hearth__mc_question *questions, size_t count, int64_t deadline_ns) {
    hearth__exchange *exchange = say_all(node, questions, count);
    if (exchange == NULL) {
        return (hearth__outcome){.status = HEARTH_E_NOMEM};
    }
    int32_t status = hearth__lanes_begin(node->lanes, exchange, way, deadline_ns);
    if (status != HEARTH_OK) {
        return (hearth__outcome){.status = status};
    }
    return hearth__lanes_finish(exchange, deadline_ns, take, questions);
}

int32_t hearth__mc_ask_all(hearth__node *node, hearth__lane *lane,
                           hearth__mc_question *questions, size_t count, int64_t deadline_ns) {
    hearth__way way = {.lane = lane, .at_once = true};
    hearth__outcome outcome = ask(node, &way, questions, count, deadline_ns);
    if (outcome.status != HEARTH_OK && lane == NULL && (outcome.given_up || outcome.victim) &&
        hearth__monotonic_ns() < deadline_ns) {
        way.fresh = true;
        outcome = ask(node, &way, questions, count, deadline_ns);
    }
    int32_t status = outcome.status;
    for (size_t i = 0; status == HEARTH_OK && i < count; i++) {
        status = questions[i].status;
    }
    return status;
}
