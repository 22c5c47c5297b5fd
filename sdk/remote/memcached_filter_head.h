/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a filter that processes share at a Memcached server: the head, which names what belongs to it and is only ever swapped;
 * and how a step asks for that. The forms are those of guard/bloom_share.h. */
#ifndef HEARTH_REMOTE_MEMCACHED_FILTER_HEAD_H
#define HEARTH_REMOTE_MEMCACHED_FILTER_HEAD_H

#include "remote/memcached_questions.h"

enum {
    HEARTH__FILTER_HEAD_BYTES = 52,
    HEARTH__FILTER_ID_BYTES = 16,
    HEARTH__FILTER_ONE_BYTES = 24, /* an id and a number of blocks */
    HEARTH__FILTER_ID_AT = 4,
    HEARTH__FILTER_NEXT_AT = 28,
    HEARTH__FILTER_TRIES = 4,
};

#define HEARTH__FILTER_MAGIC "HBF1"
#define HEARTH__FILTER_NONE  "000000000000000000000000" /* no filter */

/* One step on its way. */
typedef struct hearth__filter_run {
    hearth__node *node;
    hearth__remote_op *op;
    int64_t deadline_ns;
    hearth__lane *lane; /* its own, once there is something to be swapped; else NULL */
    bool broken;
    hearth__buffer head; /* what the key holds; empty: no head */
    uint64_t cas;
    bool is_there; /* a head or not */
    hearth__buffer found;
    hearth__buffer made;
} hearth__filter_run;

/* About what belongs to a filter, and about one of its pieces; without an id it is the key itself. */
hearth__mc_question hearth__filter_about(const hearth__filter_run *run,
                                         enum hearth__mc_asked asked, const void *id,
                                         const char *what);
hearth__mc_question hearth__filter_about_piece(const hearth__filter_run *run,
                                               enum hearth__mc_asked asked, const void *id,
                                               const char *of, uint64_t number);
int32_t hearth__filter_ask(hearth__filter_run *run, hearth__mc_question *questions,
                           size_t count);

/* What is read from here on is to be swapped: a number of the server's is of use on the connection that told it. */
int32_t hearth__filter_hold(hearth__filter_run *run);

/* The step's answer. */
int32_t hearth__filter_answer(hearth__filter_run *run, const void *bytes, size_t size);

/* For a question among others, and what came of it; the same by itself. */
hearth__mc_question hearth__filter_about_head(hearth__filter_run *run);
void hearth__filter_take_head(hearth__filter_run *run, const hearth__mc_question *question);
int32_t hearth__filter_read_head(hearth__filter_run *run);

/* Whether the head that was read has that id there; whether an id is none. */
bool hearth__filter_says(const hearth__filter_run *run, size_t at, const void *id);
bool hearth__filter_is_none(const void *id);

/* Instead of what was read. HEARTH_OK; HEARTH_CONFLICT: it is another by now. */
int32_t hearth__filter_write_head(hearth__filter_run *run, const void *bytes, size_t size);

/* The same with what is no head: what there was is not to be trusted any more. */
int32_t hearth__filter_void_head(hearth__filter_run *run);

/* `text` has a byte more than a head. */
void hearth__filter_compose_head(char *text, const void *one, const void *next);

/* Answers that there is nothing. Who is told so tells the server nothing for a while: that must be so. */
int32_t hearth__filter_answer_end(hearth__filter_run *run, size_t at, const void *id);

#endif
