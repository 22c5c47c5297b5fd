/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 400 lines: what all steps ask, and make of what is there, stands in one file. */
#include "remote/memcached_filter.h"

#include "base/hash.h"
#include "remote/memcached_filter_head.h"

#include <hearth/errors.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER = 8,
    INSERT = 72,         /* of a key, a hash and its bits' places */
    PIECE = 65536,       /* bytes of blocks */
    PIECE_BLOCKS = 2048, /* of 32 bytes */
    LOG_PIECE = 2048,    /* hashes */
    MAKER_S = 10,
    KEY_MOST = 200, /* so that all names fit */
};

/* ---- the log ---------------------------------------------------------------------------- */

/* Numbers are told from 1 on: 1 is that of what the blocks have. */
struct log {
    uint64_t before; /* inserts in pieces that are full */
    const unsigned char *hashes;
    uint64_t count;
};

/* False: it is gone, or damaged. */
static bool parse_log(const hearth__buffer *bytes, struct log *log) {
    uint64_t before = 0;
    if (bytes->size < NUMBER || bytes->size % NUMBER != 0) {
        return false;
    }
    memcpy(&before, bytes->data, sizeof before);
    *log = (struct log){.before = le64toh(before),
                        .hashes = bytes->data + NUMBER,
                        .count = bytes->size / NUMBER - 1};
    return log->before % LOG_PIECE == 0;
}

static int32_t read_log(hearth__filter_run *run, const void *id, hearth__mc_question *question,
                        struct log *log) {
    *question = hearth__filter_about(run, HEARTH__MC_ASK_GET, id, "log");
    question->found = &run->found;
    *log = (struct log){0};
    int32_t status = hearth__filter_ask(run, question, 1);
    bool good = status == HEARTH_OK && parse_log(&run->found, log);
    return status == HEARTH_OK && !good ? HEARTH_MISS : status;
}

/* Full pieces get names of their own: whoever does that, all find the same there. If it is not done, the next look does it. */
static void roll(hearth__filter_run *run, const void *id) {
    hearth__mc_question question;
    struct log log;
    if (hearth__filter_hold(run) != HEARTH_OK ||
        read_log(run, id, &question, &log) != HEARTH_OK) {
        return;
    }
    uint64_t moved = 0;
    for (; log.count - moved >= LOG_PIECE; moved += LOG_PIECE) {
        hearth__mc_question piece = hearth__filter_about_piece(
            run, HEARTH__MC_ASK_SET, id, "log:", (log.before + moved) / LOG_PIECE);
        piece.data = log.hashes + moved * NUMBER;
        piece.size = (size_t)LOG_PIECE * NUMBER;
        if (hearth__filter_ask(run, &piece, 1) != HEARTH_OK) {
            return;
        }
    }
    uint64_t before = htole64(log.before + moved);
    unsigned char *rest = run->found.data + moved * NUMBER;
    memcpy(rest, &before, sizeof before);
    hearth__mc_question swap = hearth__filter_about(run, HEARTH__MC_ASK_SWAP, id, "log");
    swap.data = rest;
    swap.size = (size_t)(log.count - moved + 1) * NUMBER;
    swap.cas = question.cas;
    (void)hearth__filter_ask(run, &swap, 1);
}

/* ---- LOOK ------------------------------------------------------------------------------- */

static int32_t answer_look(hearth__filter_run *run, uint64_t last, uint64_t upto,
                           const unsigned char *hashes, uint64_t count) {
    uint64_t numbers[2] = {htole64(last), htole64(upto)};
    hearth__buffer *body = run->op->body;
    int32_t status = hearth__filter_answer(run, run->head.data, run->head.size);
    if (status == HEARTH_OK && (!hearth__buffer_append(body, numbers, sizeof numbers) ||
                                !hearth__buffer_append(body, hashes, count * NUMBER))) {
        body->size = 0;
        status = HEARTH_E_NOMEM;
    }
    return status;
}

/* What was inserted between a number and the end of its full piece. */
static int32_t answer_piece(hearth__filter_run *run, const void *id, uint64_t at,
                            uint64_t last) {
    hearth__mc_question question =
        hearth__filter_about_piece(run, HEARTH__MC_ASK_GET, id, "log:", at / LOG_PIECE);
    question.found = &run->found;
    int32_t status = hearth__filter_ask(run, &question, 1);
    if (status != HEARTH_OK) {
        return status;
    }
    if (run->found.size != (size_t)LOG_PIECE * NUMBER) {
        return hearth__filter_answer_end(run, HEARTH__FILTER_ID_AT, id);
    }
    uint64_t skipped = at % LOG_PIECE;
    return answer_look(run, last, at - skipped + LOG_PIECE + 1,
                       run->found.data + skipped * NUMBER, LOG_PIECE - skipped);
}

static int32_t answer_log(hearth__filter_run *run, const void *id, uint64_t known) {
    struct log log;
    if (known == 0 || !parse_log(&run->found, &log)) {
        return hearth__filter_answer_end(run, HEARTH__FILTER_ID_AT, id);
    }
    uint64_t at = known - 1;
    uint64_t end = log.before + log.count;
    if (at > end) { /* it has gone back */
        return answer_look(run, end + 1, 0, (const unsigned char *)"", 0);
    }
    if (at < log.before) {
        return answer_piece(run, id, at, end + 1);
    }
    int32_t status =
        answer_look(run, end + 1, end + 1, log.hashes + (at - log.before) * NUMBER, end - at);
    if (log.count >= LOG_PIECE) {
        roll(run, id);
    }
    return status;
}

static int32_t look(hearth__filter_run *run, const char *words, size_t size) {
    const char *copied = words + HEARTH__FILTER_ID_BYTES;
    char digits[24];
    hearth__mc_question questions[3] = {hearth__filter_about_head(run)};
    size_t count = 1;
    if (!hearth__filter_is_none(copied)) {
        questions[count] = hearth__filter_about(run, HEARTH__MC_ASK_GET, copied, "log");
        questions[count++].found = &run->found;
    }
    if (!hearth__filter_is_none(words)) {
        questions[count] = hearth__filter_about(run, HEARTH__MC_ASK_TOUCH, words, "maker");
        questions[count++].exptime = MAKER_S;
    }
    int32_t status = hearth__filter_ask(run, questions, count);
    if (status != HEARTH_OK) {
        return status;
    }
    hearth__filter_take_head(run, &questions[0]);
    if (run->head.size == 0) {
        return hearth__filter_answer(run, NULL, 0);
    }
    if (hearth__filter_is_none(copied) ||
        !hearth__filter_says(run, HEARTH__FILTER_ID_AT, copied)) {
        return answer_look(run, 1, 0, (const unsigned char *)"", 0);
    }
    (void)snprintf(digits, sizeof digits, "%.*s",
                   (int)(size - (size_t)2 * HEARTH__FILTER_ID_BYTES),
                   words + (size_t)2 * HEARTH__FILTER_ID_BYTES);
    return answer_log(run, copied, strtoull(digits, NULL, 10));
}

/* ---- INSERT, READ ----------------------------------------------------------------------- */

static int32_t insert(hearth__filter_run *run, const char *words, size_t size) {
    hearth__mc_question questions[3];
    size_t count = 0;
    bool gone = false;
    run->made.size = 0;
    for (size_t at = HEARTH__FILTER_HEAD_BYTES; at + INSERT <= size; at += INSERT) {
        if (!hearth__buffer_append(&run->made, words + at, NUMBER)) {
            return HEARTH_E_NOMEM;
        }
    }
    for (size_t at = HEARTH__FILTER_ID_AT;
         words[0] == HEARTH__FILTER_MAGIC[0] && at < HEARTH__FILTER_HEAD_BYTES;
         at += HEARTH__FILTER_ONE_BYTES) {
        if (!hearth__filter_is_none(words + at)) {
            questions[count] =
                hearth__filter_about(run, HEARTH__MC_ASK_APPEND, words + at, "log");
            questions[count].data = run->made.data;
            questions[count++].size = run->made.size;
        }
    }
    questions[count++] = hearth__filter_about_head(run);
    int32_t status = hearth__filter_ask(run, questions, count);
    if (status != HEARTH_OK) {
        return status;
    }
    hearth__filter_take_head(run, &questions[count - 1]);
    for (size_t i = 0; i + 1 < count; i++) {
        gone = gone || questions[i].answer != HEARTH__MC_DONE;
    }
    if (gone && run->head.size != 0 &&
        memcmp(run->head.data, words, HEARTH__FILTER_HEAD_BYTES) == 0) {
        size_t at = hearth__filter_is_none(words + HEARTH__FILTER_ID_AT)
                        ? HEARTH__FILTER_NEXT_AT
                        : HEARTH__FILTER_ID_AT;
        return hearth__filter_answer_end(run, at, words + at);
    }
    return hearth__filter_answer(run, run->head.data, run->head.size);
}

static uint64_t sum_of(const void *id, uint32_t piece, const void *bytes, size_t size) {
    uint64_t seed = hearth__hash64_seeded(piece, id, HEARTH__FILTER_ID_BYTES);
    return htole64(hearth__hash64_seeded(seed, bytes, size));
}

static uint32_t number_at(const char *words) {
    uint32_t number = 0;
    memcpy(&number, words, sizeof number);
    return le32toh(number);
}

static int32_t read_piece(hearth__filter_run *run, const char *words) {
    uint32_t piece = number_at(words + HEARTH__FILTER_ID_BYTES) / PIECE;
    uint64_t sum = 0;
    hearth__mc_question question =
        hearth__filter_about_piece(run, HEARTH__MC_ASK_GET, words, "", piece);
    question.found = &run->found;
    int32_t status = hearth__filter_ask(run, &question, 1);
    if (status != HEARTH_OK || run->found.size < NUMBER) {
        return status == HEARTH_OK ? hearth__filter_answer(run, NULL, 0) : status;
    }
    memcpy(&sum, run->found.data, sizeof sum);
    const unsigned char *bytes = run->found.data + NUMBER;
    size_t size = run->found.size - NUMBER;
    bool good = sum == sum_of(words, piece, bytes, size);
    return hearth__filter_answer(run, bytes, good ? size : 0);
}

/* ---- the next one ----------------------------------------------------------------------- */

/* What belongs to a filter that nobody reads any more; what stays is evicted one day. */
static void forget(hearth__filter_run *run, const char *one) {
    hearth__mc_question questions[HEARTH__MC_QUESTIONS];
    char digits[NUMBER + 1];
    struct log log;
    (void)read_log(run, one, &questions[0], &log);
    (void)snprintf(digits, sizeof digits, "%.8s", one + HEARTH__FILTER_ID_BYTES);
    uint64_t pieces = (strtoull(digits, NULL, 16) + PIECE_BLOCKS - 1) / PIECE_BLOCKS;
    uint64_t all = pieces + log.before / LOG_PIECE;
    questions[0] = hearth__filter_about(run, HEARTH__MC_ASK_REMOVE, one, "maker");
    questions[1] = hearth__filter_about(run, HEARTH__MC_ASK_REMOVE, one, "log");
    size_t count = 2;
    for (uint64_t i = 0; i <= all; i++) {
        if (count == HEARTH__MC_QUESTIONS || i == all) {
            if (hearth__filter_ask(run, questions, count) != HEARTH_OK) {
                return;
            }
            count = 0;
        }
        if (i < all) {
            questions[count++] = hearth__filter_about_piece(
                run, HEARTH__MC_ASK_REMOVE, one,
                i < pieces ? "" : "log:", i < pieces ? i : i - pieces);
        }
    }
}

/* Whether another process makes one. */
static int32_t is_made(hearth__filter_run *run, bool *made) {
    *made = false;
    if (run->head.size == 0 ||
        hearth__filter_is_none(run->head.data + HEARTH__FILTER_NEXT_AT)) {
        return HEARTH_OK;
    }
    const unsigned char *next = run->head.data + HEARTH__FILTER_NEXT_AT;
    hearth__mc_question question = hearth__filter_about(run, HEARTH__MC_ASK_GET, next, "maker");
    question.found = &run->found;
    int32_t status = hearth__filter_ask(run, &question, 1);
    *made = question.answer != HEARTH__MC_NOTHING;
    return status;
}

/* Its log is there before anybody hears of it. */
static int32_t prepare(hearth__filter_run *run, const char *one) {
    static const unsigned char empty_log[NUMBER] = {0};
    hearth__mc_question questions[] = {
        hearth__filter_about(run, HEARTH__MC_ASK_SET, one, "maker"),
        hearth__filter_about(run, HEARTH__MC_ASK_ADD, one, "log")};
    questions[0].exptime = MAKER_S;
    questions[0].data = one;
    questions[0].size = HEARTH__FILTER_ID_BYTES;
    questions[1].data = empty_log;
    questions[1].size = sizeof empty_log;
    return hearth__filter_ask(run, questions, 2);
}

static int32_t try_to_begin(hearth__filter_run *run, const char *words) {
    char text[HEARTH__FILTER_HEAD_BYTES + 1];
    bool made = false;
    int32_t status = hearth__filter_read_head(run);
    if (status == HEARTH_OK && hearth__filter_says(run, HEARTH__FILTER_NEXT_AT, words)) {
        return hearth__filter_answer(run, run->head.data, run->head.size);
    }
    status = status == HEARTH_OK ? is_made(run, &made) : status;
    if (status != HEARTH_OK || made) {
        return status == HEARTH_OK ? hearth__filter_answer(run, NULL, 0) : status;
    }
    status = prepare(run, words);
    hearth__filter_compose_head(text,
                                run->head.size != 0
                                    ? (const char *)run->head.data + HEARTH__FILTER_ID_AT
                                    : HEARTH__FILTER_NONE,
                                words);
    status = status == HEARTH_OK
                 ? hearth__filter_write_head(run, text, HEARTH__FILTER_HEAD_BYTES)
                 : status;
    return status == HEARTH_OK ? hearth__filter_answer(run, text, HEARTH__FILTER_HEAD_BYTES)
                               : status;
}

static int32_t append(hearth__filter_run *run, const char *words, size_t size) {
    const char *bytes = words + HEARTH__FILTER_ID_BYTES + sizeof(uint32_t);
    size_t count = size - HEARTH__FILTER_ID_BYTES - sizeof(uint32_t);
    uint32_t piece = number_at(words + HEARTH__FILTER_ID_BYTES) / PIECE;
    uint64_t sum = sum_of(words, piece, bytes, count);
    if (!hearth__buffer_assign(&run->made, &sum, sizeof sum) ||
        !hearth__buffer_append(&run->made, bytes, count)) {
        return HEARTH_E_NOMEM;
    }
    hearth__mc_question questions[] = {
        hearth__filter_about_piece(run, HEARTH__MC_ASK_SET, words, "", piece),
        hearth__filter_about(run, HEARTH__MC_ASK_TOUCH, words, "maker"),
        hearth__filter_about_head(run)};
    questions[0].data = run->made.data;
    questions[0].size = run->made.size;
    questions[1].exptime = MAKER_S;
    int32_t status = hearth__filter_ask(run, questions, 3);
    if (status != HEARTH_OK) {
        return status;
    }
    hearth__filter_take_head(run, &questions[2]);
    return hearth__filter_answer(
        run, "1", hearth__filter_says(run, HEARTH__FILTER_NEXT_AT, words) ? 1 : 0);
}

static int32_t try_to_publish(hearth__filter_run *run, const char *words) {
    char text[HEARTH__FILTER_HEAD_BYTES + 1];
    char old[HEARTH__FILTER_ONE_BYTES + 1];
    int32_t status = hearth__filter_read_head(run);
    if (status != HEARTH_OK || !hearth__filter_says(run, HEARTH__FILTER_NEXT_AT, words)) {
        bool done =
            status == HEARTH_OK && hearth__filter_says(run, HEARTH__FILTER_ID_AT, words);
        return status == HEARTH_OK ? hearth__filter_answer(run, run->head.data,
                                                           done ? HEARTH__FILTER_HEAD_BYTES : 0)
                                   : status;
    }
    (void)snprintf(old, sizeof old, "%.24s",
                   (const char *)run->head.data + HEARTH__FILTER_ID_AT);
    hearth__filter_compose_head(text, run->head.data + HEARTH__FILTER_NEXT_AT,
                                HEARTH__FILTER_NONE);
    status = hearth__filter_write_head(run, text, HEARTH__FILTER_HEAD_BYTES);
    status = status == HEARTH_OK ? hearth__filter_answer(run, text, HEARTH__FILTER_HEAD_BYTES)
                                 : status;
    if (status == HEARTH_OK && !hearth__filter_is_none(old)) {
        forget(run, old);
    }
    return status;
}

static int32_t try_to_end(hearth__filter_run *run, const char *words) {
    char text[HEARTH__FILTER_HEAD_BYTES + 1];
    char one[HEARTH__FILTER_ONE_BYTES + 1];
    bool retires = run->op->filter == HEARTH__FILTER_RETIRE;
    size_t at = retires ? HEARTH__FILTER_ID_AT : HEARTH__FILTER_NEXT_AT;
    int32_t status = hearth__filter_read_head(run);
    if (status != HEARTH_OK || !hearth__filter_says(run, at, words)) {
        return status == HEARTH_OK ? hearth__filter_answer(run, NULL, 0) : status;
    }
    (void)snprintf(one, sizeof one, "%.24s", (const char *)run->head.data + at);
    hearth__filter_compose_head(text, run->head.data + HEARTH__FILTER_ID_AT,
                                HEARTH__FILTER_NONE);
    status = retires ? hearth__filter_void_head(run)
                     : hearth__filter_write_head(run, text, HEARTH__FILTER_HEAD_BYTES);
    if (status == HEARTH_OK) {
        forget(run, one);
        return hearth__filter_answer(run, NULL, 0);
    }
    return status;
}

/* By what is there, and once more if that is another by then. */
static int32_t change(hearth__filter_run *run,
                      int32_t (*try)(hearth__filter_run *, const char *), const char *words) {
    int32_t status = hearth__filter_hold(run);
    for (int i = 0; status == HEARTH_OK && i < HEARTH__FILTER_TRIES; i++) {
        int32_t tried = try(run, words);
        if (tried != HEARTH_CONFLICT) {
            return tried;
        }
    }
    return status == HEARTH_OK ? HEARTH_E_UNAVAILABLE : status;
}

/* ---- all of them ------------------------------------------------------------------------ */

/* The least that is said with a step. */
static size_t least_of(enum hearth__filter_step step) {
    switch (step) {
    case HEARTH__FILTER_LOOK:
        return (size_t)2 * HEARTH__FILTER_ID_BYTES;
    case HEARTH__FILTER_INSERT:
        return HEARTH__FILTER_HEAD_BYTES + INSERT;
    case HEARTH__FILTER_READ:
        return HEARTH__FILTER_ID_BYTES + 2 * sizeof(uint32_t);
    case HEARTH__FILTER_BEGIN:
        return HEARTH__FILTER_ONE_BYTES;
    case HEARTH__FILTER_APPEND:
        return HEARTH__FILTER_ID_BYTES + sizeof(uint32_t);
    default:
        return HEARTH__FILTER_ID_BYTES;
    }
}

static int32_t step(hearth__filter_run *run) {
    const char *words = run->op->data;
    size_t size = run->op->data_size;
    if (size < least_of(run->op->filter) || run->op->key_size > KEY_MOST) {
        return HEARTH_E_INVALID;
    }
    switch (run->op->filter) {
    case HEARTH__FILTER_LOOK:
        return look(run, words, size);
    case HEARTH__FILTER_INSERT:
        return insert(run, words, size);
    case HEARTH__FILTER_READ:
        return read_piece(run, words);
    case HEARTH__FILTER_BEGIN:
        return change(run, try_to_begin, words);
    case HEARTH__FILTER_APPEND:
        return append(run, words, size);
    case HEARTH__FILTER_PUBLISH:
        return change(run, try_to_publish, words);
    default:
        return change(run, try_to_end, words);
    }
}

void hearth__mc_filter_run(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns) {
    hearth__filter_run run = {.node = node, .op = op, .deadline_ns = deadline_ns};
    op->status = step(&run);
    if (run.lane != NULL) {
        hearth__lanes_unreserve(run.lane, !run.broken);
    }
    hearth__buffer_fini(&run.head);
    hearth__buffer_fini(&run.found);
    hearth__buffer_fini(&run.made);
}
