/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the operations that wait go together: those of one kind with the same options, in their order. An operation is passed
 * over while another one of its key runs, or waits before it and was passed over too, unless both read. Keys are told apart by
 * their stripe: two of a stripe keep an order that nobody asked for. What is written with a tag reads that tag's stripe, and the tag's
 * invalidation writes it.
 */
#include "tier/queue.h"

enum {
    LOOK_MOST = 1024, /* jobs that are looked at to fill a batch */
    WORD_BITS = 64,
    WORDS = HEARTH__QUEUE_STRIPES / WORD_BITS,
    SAME_DEADLINE_NS = 2000000, /* batches have one: the last of theirs */
};

/* A set of stripes. */
struct stripes {
    uint64_t words[WORDS];
};

static void add(struct stripes *set, uint32_t stripe) {
    set->words[stripe / WORD_BITS] |= UINT64_C(1) << (stripe % WORD_BITS);
}

static bool has(const struct stripes *set, uint32_t stripe) {
    return (set->words[stripe / WORD_BITS] >> (stripe % WORD_BITS) & 1) != 0;
}

/* One look at what waits. */
struct look {
    hearth_queue *queue;
    hearth__job *first; /* of the batch */
    hearth__job *last;
    size_t most;          /* keys in the batch, */
    size_t keys;          /* and those that are */
    struct stripes reads; /* of those that were passed over */
    struct stripes writes;
};

/* That of a tag of what is stored. */
static uint32_t tag_stripe(const hearth__job *job, size_t index) {
    return hearth__queue_stripe(job->write.tags[index], job->write.tag_sizes[index]);
}

static size_t tag_count(const hearth__job *job) {
    return hearth__job_writes(job) ? job->write.tag_count : 0;
}

static bool is_free_at(const struct look *look, uint32_t stripe, bool writes) {
    const hearth_queue *queue = look->queue;
    return queue->running_writes[stripe] == 0 && !has(&look->writes, stripe) &&
           (!writes || (queue->running_reads[stripe] == 0 && !has(&look->reads, stripe)));
}

static bool is_free(const struct look *look, const hearth__job *job) {
    bool writes = hearth__job_writes(job);
    bool free = true;
    for (size_t i = 0; free && i < job->count; i++) {
        free = is_free_at(look, job->keys[i].stripe, writes);
    }
    for (size_t i = 0; free && i < tag_count(job); i++) {
        free = is_free_at(look, tag_stripe(job, i), false);
    }
    return free;
}

static bool same_read(const hearth_read_options *one, const hearth_read_options *other) {
    return one->flags == other->flags && one->max_stale_ms == other->max_stale_ms;
}

static bool same_write(const hearth_write_options *one, const hearth_write_options *other) {
    return one->flags == other->flags && one->ttl_ms == other->ttl_ms &&
           one->soft_ttl_ms == other->soft_ttl_ms && one->if_version == 0 &&
           other->if_version == 0 && one->content == other->content && one->tag_count == 0 &&
           other->tag_count == 0;
}

static bool fits(const struct look *look, const hearth__job *job) {
    const hearth__job *first = look->first;
    if (first == NULL) {
        return true;
    }
    int64_t apart_ns = job->deadline_ns - first->deadline_ns;
    return first->verb == job->verb && job->verb != HEARTH_VERB_INVALIDATE_TAG &&
           look->keys + job->count <= look->most && apart_ns <= SAME_DEADLINE_NS &&
           apart_ns >= -SAME_DEADLINE_NS &&
           (hearth__job_writes(job) ? same_write(&first->write, &job->write)
                                    : same_read(&first->read, &job->read));
}

static void pass_over(struct look *look, const hearth__job *job) {
    struct stripes *of_keys = hearth__job_writes(job) ? &look->writes : &look->reads;
    for (size_t i = 0; i < job->count; i++) {
        add(of_keys, job->keys[i].stripe);
    }
    for (size_t i = 0; i < tag_count(job); i++) {
        add(&look->reads, tag_stripe(job, i));
    }
}

/* One more, or one less, runs at the stripes of a job. */
static void count_running(hearth_queue *queue, const hearth__job *job, uint32_t change) {
    uint32_t *of_keys = hearth__job_writes(job) ? queue->running_writes : queue->running_reads;
    for (size_t i = 0; i < job->count; i++) {
        of_keys[job->keys[i].stripe] += change;
    }
    for (size_t i = 0; i < tag_count(job); i++) {
        queue->running_reads[tag_stripe(job, i)] += change;
    }
}

/* Of a batch, all of whose jobs write in the order of their requests, or read. */
static void join(struct look *look, hearth__job *job) {
    if (look->last != NULL) {
        look->last->also = job;
    } else {
        look->first = job;
    }
    look->last = job;
    look->keys += job->count;
    hearth__jobs_remove(&look->queue->waiting, job);
    hearth__jobs_add(&look->queue->running, job);
    job->state = HEARTH__JOB_RUNNING;
}

/* They run only now: what is in one batch does not keep the others of it waiting. */
static void mark_running(hearth_queue *queue, const hearth__job *first) {
    for (const hearth__job *job = first; job != NULL; job = job->also) {
        count_running(queue, job, 1);
    }
}

hearth__job *hearth__queue_take(hearth_queue *queue, size_t most) {
    struct look look = {.queue = queue, .most = most};
    size_t looked = 0;
    hearth__job *next = NULL;
    for (hearth__job *job = queue->waiting.first;
         job != NULL && looked < LOOK_MOST && look.keys < most; job = next, looked++) {
        next = job->next;
        if (hearth__job_is_cancelled(job)) {
            hearth__jobs_remove(&queue->waiting, job);
            hearth__queue_bury(queue, job);
        } else if (is_free(&look, job) && fits(&look, job) && hearth__job_claim(job)) {
            join(&look, job);
        } else {
            pass_over(&look, job);
        }
    }
    mark_running(queue, look.first);
    return look.first;
}

void hearth__queue_untake(hearth_queue *queue, hearth__job *job) {
    count_running(queue, job, (uint32_t)-1);
    hearth__jobs_remove(&queue->running, job);
}
