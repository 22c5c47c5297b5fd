/* SPDX-License-Identifier: Apache-2.0 */
/* One operation on its way through a queue: a copy of all that it needs but what its result goes to. */
#include "tier/queue.h"

#include "base/memory.h"

#include <string.h>
#include <utlist.h>

enum {
    SMALL_BYTES = 256, /* behind a job that can be used again */
    SPARES = 1024,
};

/* What an operation needs behind its job. */
struct needs {
    size_t keys;     /* bytes of the array; 0: one key */
    size_t values;   /* bytes of the array; 0: it writes, or has one that is wanted */
    size_t unwanted; /* values */
    size_t tags;     /* bytes of both arrays */
    size_t text;
};

static bool reads(const hearth__operation *submission) {
    return hearth__verb_reads(submission->verb);
}

static bool is_wanted(const hearth__operation *submission, size_t index) {
    return submission->values != NULL && submission->values[index] != NULL;
}

static struct needs needs_of(const hearth__operation *submission) {
    struct needs needs = {0};
    size_t count = submission->count;
    bool alone = count == 1;
    bool all_wanted = true;
    for (size_t i = 0; i < count; i++) {
        needs.text += submission->key_sizes[i];
        needs.text += hearth__verb_stores(submission->verb) ? submission->sizes[i] : 0;
        all_wanted = all_wanted && is_wanted(submission, i);
    }
    const hearth_write_options *write = submission->write;
    size_t tags = write != NULL ? write->tag_count : 0;
    for (size_t i = 0; i < tags; i++) {
        needs.text += write->tag_sizes[i];
    }
    needs.tags = tags * (sizeof *write->tags + sizeof *write->tag_sizes);
    needs.keys = alone ? 0 : count * sizeof(hearth__job_key);
    needs.values = alone || !reads(submission) ? 0 : count * sizeof(hearth_value *);
    needs.unwanted = all_wanted || !reads(submission) ? 0 : count;
    return needs;
}

static const void *copy(unsigned char **text, const void *bytes, size_t size) {
    void *place = *text;
    if (size != 0) {
        memcpy(place, bytes, size);
    }
    *text += size;
    return place;
}

/* Where the text goes on. */
static unsigned char *copy_keys(hearth__job *job, const hearth__operation *submission,
                                unsigned char *text) {
    for (size_t i = 0; i < job->count; i++) {
        hearth__job_key *key = &job->keys[i];
        key->key_size = submission->key_sizes[i];
        key->key = copy(&text, submission->keys[i], key->key_size);
        key->stripe = hearth__queue_stripe(key->key, key->key_size);
        if (hearth__verb_stores(job->verb)) {
            key->size = submission->sizes[i];
            key->data = copy(&text, submission->data[i], key->size);
        }
    }
    return text;
}

static void copy_tags(hearth_write_options *write, unsigned char *arrays, unsigned char *text) {
    const void **tags = (const void **)(void *)arrays;
    size_t *sizes = (size_t *)(void *)(tags + write->tag_count);
    for (size_t i = 0; i < write->tag_count; i++) {
        sizes[i] = write->tag_sizes[i];
        tags[i] = copy(&text, write->tags[i], sizes[i]);
    }
    write->tags = tags;
    write->tag_sizes = sizes;
}

static void place_values(hearth__job *job, const hearth__operation *submission) {
    for (size_t i = 0; job->values != NULL && i < job->count; i++) {
        job->values[i] = is_wanted(submission, i) ? submission->values[i] : &job->unwanted[i];
    }
}

static void take_options(hearth__job *job, const hearth__operation *submission) {
    if (submission->read != NULL) {
        job->read = *submission->read;
    }
    if (submission->write != NULL) {
        job->write = *submission->write;
    }
    if (submission->loader != NULL) {
        job->loader = *submission->loader;
    }
}

/* ---- memory ----------------------------------------------------------------------------- */

/* One that was used before; NULL: there is none. */
static hearth__job *take_spare(hearth_queue *queue) {
    pthread_mutex_lock(&queue->front);
    hearth__job *job = queue->spares;
    if (job != NULL) {
        queue->spares = job->next;
        queue->spare_count--;
    }
    pthread_mutex_unlock(&queue->front);
    return job;
}

static hearth__job *allocate(hearth_queue *queue, size_t behind, bool *is_small) {
    *is_small = behind <= SMALL_BYTES;
    hearth__job *job = *is_small ? take_spare(queue) : NULL;
    return job != NULL ? job : hearth__alloc(sizeof *job + (*is_small ? SMALL_BYTES : behind));
}

void hearth__jobs_recycle(hearth_queue *queue, hearth__job *jobs) {
    hearth__job *all = jobs;
    pthread_mutex_lock(&queue->front);
    while (all != NULL && queue->spare_count < SPARES) {
        hearth__job *next = all->next;
        all->next = queue->spares;
        queue->spares = all;
        queue->spare_count++;
        all = next;
    }
    pthread_mutex_unlock(&queue->front);
    hearth__jobs_free(all);
}

void hearth__jobs_free(hearth__job *jobs) {
    while (jobs != NULL) {
        hearth__job *next = jobs->next;
        hearth__free(jobs);
        jobs = next;
    }
}

hearth__job *hearth__job_create(hearth_queue *queue, const hearth__operation *submission) {
    struct needs needs = needs_of(submission);
    bool is_small = false;
    size_t needed = needs.keys + needs.values + needs.tags + needs.text;
    hearth__job *job = allocate(queue, needed, &is_small);
    if (job == NULL) {
        return NULL;
    }
    size_t bytes = sizeof *job + (is_small ? SMALL_BYTES : needed);
    *job = (hearth__job){.verb = submission->verb,
                         .tag = submission->tag,
                         .count = submission->count,
                         .number = submission->delta,
                         .is_many = submission->is_many,
                         .is_small = is_small && needs.unwanted == 0,
                         .statuses = submission->statuses,
                         .bytes = bytes + needs.unwanted * sizeof(hearth_value)};
    if (needs.unwanted != 0) {
        job->unwanted = hearth__alloc_zero(needs.unwanted, sizeof *job->unwanted);
        if (job->unwanted == NULL) {
            hearth__free(job);
            return NULL;
        }
    }
    unsigned char *behind = job->behind;
    job->keys = needs.keys != 0 ? (hearth__job_key *)(void *)behind : &job->one;
    behind += needs.keys;
    if (reads(submission)) {
        job->values = needs.values != 0 ? (hearth_value **)(void *)behind : &job->single;
    }
    unsigned char *tags = behind + needs.values;
    unsigned char *text = copy_keys(job, submission, tags + needs.tags);
    place_values(job, submission);
    take_options(job, submission);
    copy_tags(&job->write, tags, text);
    return job;
}

void hearth__job_destroy(hearth__job *job) {
    for (size_t i = 0; job->unwanted != NULL && i < job->count; i++) {
        hearth__buffer_fini(&job->unwanted[i].bytes);
    }
    hearth__free(job->unwanted);
    hearth__free(job);
}

void hearth__jobs_add(hearth__jobs *jobs, hearth__job *job) {
    DL_APPEND(jobs->first, job);
    jobs->count++;
}

void hearth__jobs_remove(hearth__jobs *jobs, hearth__job *job) {
    DL_DELETE(jobs->first, job);
    jobs->count--;
}

hearth__job *hearth__jobs_reverse(hearth__job *all) {
    hearth__job *reversed = NULL;
    while (all != NULL) {
        hearth__job *next = all->next;
        all->next = reversed;
        reversed = all;
        all = next;
    }
    return reversed;
}
