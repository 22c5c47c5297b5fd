/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_filter_head.h"

#include <hearth/errors.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- asking ----------------------------------------------------------------------------- */

hearth__mc_question hearth__filter_about(const hearth__filter_run *run,
                                         enum hearth__mc_asked asked, const void *id,
                                         const char *what) {
    hearth__mc_question question = {.asked = asked};
    if (id == NULL) {
        (void)snprintf(question.name, sizeof question.name, "%.*s", (int)run->op->key_size,
                       (const char *)run->op->key);
    } else {
        (void)snprintf(question.name, sizeof question.name, "%.*s:%.16s:%s",
                       (int)run->op->key_size, (const char *)run->op->key, (const char *)id,
                       what);
    }
    return question;
}

hearth__mc_question hearth__filter_about_piece(const hearth__filter_run *run,
                                               enum hearth__mc_asked asked, const void *id,
                                               const char *of, uint64_t number) {
    char what[32];
    (void)snprintf(what, sizeof what, "%s%" PRIu64, of, number);
    return hearth__filter_about(run, asked, id, what);
}

int32_t hearth__filter_ask(hearth__filter_run *run, hearth__mc_question *questions,
                           size_t count) {
    int32_t status =
        hearth__mc_ask_all(run->node, run->lane, questions, count, run->deadline_ns);
    run->op->heard = run->op->heard || status == HEARTH_OK;
    run->broken = run->broken || status != HEARTH_OK;
    return status;
}

int32_t hearth__filter_hold(hearth__filter_run *run) {
    return run->lane != NULL
               ? HEARTH_OK
               : hearth__lanes_reserve(run->node->lanes, run->deadline_ns, &run->lane);
}

int32_t hearth__filter_answer(hearth__filter_run *run, const void *bytes, size_t size) {
    run->op->body->size = 0;
    return size == 0 || hearth__buffer_assign(run->op->body, bytes, size) ? HEARTH_OK
                                                                          : HEARTH_E_NOMEM;
}

/* ---- the head --------------------------------------------------------------------------- */

hearth__mc_question hearth__filter_about_head(hearth__filter_run *run) {
    hearth__mc_question question = hearth__filter_about(run, HEARTH__MC_ASK_GET, NULL, "");
    question.found = &run->head;
    return question;
}

void hearth__filter_take_head(hearth__filter_run *run, const hearth__mc_question *question) {
    run->is_there = question->answer != HEARTH__MC_NOTHING;
    run->cas = question->cas;
    if (run->head.size != HEARTH__FILTER_HEAD_BYTES ||
        memcmp(run->head.data, HEARTH__FILTER_MAGIC, strlen(HEARTH__FILTER_MAGIC)) != 0) {
        run->head.size = 0;
    }
}

int32_t hearth__filter_read_head(hearth__filter_run *run) {
    hearth__mc_question question = hearth__filter_about_head(run);
    int32_t status = hearth__filter_ask(run, &question, 1);
    if (status == HEARTH_OK) {
        hearth__filter_take_head(run, &question);
    }
    return status;
}

bool hearth__filter_says(const hearth__filter_run *run, size_t at, const void *id) {
    return run->head.size != 0 && memcmp(run->head.data + at, id, HEARTH__FILTER_ID_BYTES) == 0;
}

bool hearth__filter_is_none(const void *id) {
    return memcmp(id, HEARTH__FILTER_NONE, HEARTH__FILTER_ID_BYTES) == 0;
}

int32_t hearth__filter_write_head(hearth__filter_run *run, const void *bytes, size_t size) {
    hearth__mc_question question = hearth__filter_about(
        run, run->is_there ? HEARTH__MC_ASK_SWAP : HEARTH__MC_ASK_ADD, NULL, "");
    question.data = bytes;
    question.size = size;
    question.cas = run->cas;
    int32_t status = hearth__filter_ask(run, &question, 1);
    bool written = question.answer == HEARTH__MC_DONE;
    return status == HEARTH_OK && !written ? HEARTH_CONFLICT : status;
}

int32_t hearth__filter_void_head(hearth__filter_run *run) {
    return hearth__filter_write_head(run, "0", 1);
}

void hearth__filter_compose_head(char *text, const void *one, const void *next) {
    (void)snprintf(text, HEARTH__FILTER_HEAD_BYTES + 1, "%s%.24s%.24s", HEARTH__FILTER_MAGIC,
                   (const char *)one, (const char *)next);
}

/* There is nothing any more. HEARTH_CONFLICT: but something else, by now. */
static int32_t give_up(hearth__filter_run *run, size_t at, const void *id) {
    int32_t status = hearth__filter_hold(run);
    status = status == HEARTH_OK ? hearth__filter_read_head(run) : status;
    if (status != HEARTH_OK || run->head.size == 0) {
        return status;
    }
    return hearth__filter_says(run, at, id) ? hearth__filter_void_head(run) : HEARTH_CONFLICT;
}

int32_t hearth__filter_answer_end(hearth__filter_run *run, size_t at, const void *id) {
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; status == HEARTH_CONFLICT && i < HEARTH__FILTER_TRIES; i++) {
        status = give_up(run, at, id);
    }
    if (status == HEARTH_OK) {
        return hearth__filter_answer(run, NULL, 0);
    }
    return status == HEARTH_CONFLICT ? HEARTH_E_UNAVAILABLE : status;
}
