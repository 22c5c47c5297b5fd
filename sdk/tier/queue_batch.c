/* SPDX-License-Identifier: Apache-2.0 */
/* What was taken together of a queue, as one call for many keys. */
#include "tier/queue.h"

#include "base/clock.h"
#include "base/memory.h"
#include "tier/scope.h"

enum { NS_PER_MS = 1000000 };

/* ---- times ------------------------------------------------------------------------------ */

int64_t hearth__queue_left_ms(int64_t deadline_ns) {
    if (deadline_ns == HEARTH__NEVER) {
        return HEARTH_TTL_MAX;
    }
    int64_t left_ns = deadline_ns - hearth__monotonic_ns();
    return left_ns > 0 ? (left_ns + NS_PER_MS - 1) / NS_PER_MS : 1;
}

static int64_t last_deadline_ns(const hearth__job *first) {
    int64_t last_ns = first->deadline_ns;
    for (const hearth__job *job = first; job != NULL; job = job->also) {
        last_ns = job->deadline_ns > last_ns ? job->deadline_ns : last_ns;
    }
    return last_ns;
}

/* ---- a batch ---------------------------------------------------------------------------- */

static void place_reads(hearth__queue_batch *batch) {
    size_t at = 0;
    for (const hearth__job *job = batch->first; job != NULL; job = job->also) {
        for (size_t i = 0; i < job->count; i++, at++) {
            batch->keys[at] = job->keys[i].key;
            batch->sizes[at] = job->keys[i].key_size;
            batch->values[at] = job->values[i];
        }
    }
}

static enum hearth__write_verb write_of(uint32_t verb) {
    static const enum hearth__write_verb writes[] = {
        [HEARTH_VERB_SET] = HEARTH__WRITE_SET,
        [HEARTH_VERB_DELETE] = HEARTH__WRITE_DELETE,
        [HEARTH_VERB_ADD] = HEARTH__WRITE_ADD,
        [HEARTH_VERB_REPLACE] = HEARTH__WRITE_REPLACE,
        [HEARTH_VERB_TOUCH] = HEARTH__WRITE_TOUCH,
        [HEARTH_VERB_INCREMENT] = HEARTH__WRITE_INCREMENT,
        [HEARTH_VERB_MARK_STALE] = HEARTH__WRITE_MARK,
        [HEARTH_VERB_INVALIDATE_TAG] = HEARTH__WRITE_DELETE, /* carried out by itself */
    };
    return writes[verb];
}

static void place_writes(hearth__queue_batch *batch) {
    size_t at = 0;
    for (const hearth__job *job = batch->first; job != NULL; job = job->also) {
        for (size_t i = 0; i < job->count; i++, at++) {
            const hearth__job_key *key = &job->keys[i];
            batch->writes[at] = (hearth__write){.verb = write_of(job->verb),
                                                .key = key->key,
                                                .key_size = key->key_size,
                                                .data = key->data,
                                                .size = key->size,
                                                .number = job->number};
        }
    }
}

hearth__queue_batch *hearth__queue_batch_open(hearth *cache, hearth__job *first) {
    size_t count = first->count;
    for (const hearth__job *job = first->also; job != NULL; job = job->also) {
        count += job->count;
    }
    bool writes = hearth__job_writes(first);
    size_t each = writes ? sizeof(hearth__write)
                         : sizeof(void *) + sizeof(size_t) + sizeof(hearth_value *);
    hearth__queue_batch *batch =
        hearth__alloc(sizeof *batch + count * (each + sizeof(int32_t)));
    if (batch == NULL) {
        return NULL;
    }
    *batch = (hearth__queue_batch){.cache = cache, .first = first, .count = count};
    batch->statuses = (int32_t *)(void *)(batch->behind + count * each);
    if (writes) {
        batch->writes = (hearth__write *)(void *)batch->behind;
        place_writes(batch);
        return batch;
    }
    batch->keys = (const void **)(void *)batch->behind;
    batch->sizes = (size_t *)(void *)(batch->keys + count);
    batch->values = (hearth_value **)(void *)(batch->sizes + count);
    place_reads(batch);
    return batch;
}

void hearth__queue_batch_close(hearth__queue_batch *batch) {
    hearth__free(batch);
}

static void fail_batch(const hearth__queue_batch *batch, int32_t status) {
    for (size_t i = 0; i < batch->count; i++) {
        batch->statuses[i] = status;
        if (batch->values != NULL) {
            hearth__value_clear(batch->values[i]);
        }
    }
}

static bool looks(const hearth__queue_batch *batch) {
    return batch->first->verb == HEARTH_VERB_FETCH;
}

/* Those of the batch; a fetch looks what the tiers have, for which a node has its own time, within the load's. */
static void take_read_options(hearth__queue_batch *batch) {
    hearth_read_options *options = &batch->read;
    *options = batch->first->read;
    if (looks(batch)) {
        *options = hearth__read_without_load(options);
    }
    options->deadline_ms = hearth__queue_left_ms(last_deadline_ns(batch->first));
    int64_t most_ms = batch->cache->config.remote_timeout_ms;
    if (looks(batch) && options->deadline_ms > most_ms) {
        options->deadline_ms = most_ms;
    }
}

/* What the tiers said. */
static void end_read(const hearth__queue_batch *batch, int32_t status) {
    if (status != HEARTH_OK) {
        fail_batch(batch, status);
        return;
    }
    for (size_t i = 0; looks(batch) && i < batch->count; i++) {
        batch->statuses[i] = hearth__read_found(batch->statuses[i]);
    }
}

/* Whether nothing that is cached is an answer. */
static bool reloads(const hearth__queue_batch *batch) {
    return looks(batch) && (batch->first->read.flags & HEARTH_READ_RELOAD) != 0;
}

static void read_batch(hearth__queue_batch *batch) {
    if (reloads(batch)) {
        fail_batch(batch, HEARTH_MISS);
        return;
    }
    take_read_options(batch);
    int32_t status =
        hearth__scoped_get_many(batch->first->queue->handle, batch->count, batch->keys,
                                batch->sizes, &batch->read, batch->values, batch->statuses);
    end_read(batch, status);
}

static void write_batch(const hearth__queue_batch *batch) {
    hearth_write_options options = batch->first->write;
    options.deadline_ms = hearth__queue_left_ms(last_deadline_ns(batch->first));
    hearth__scoped_write(batch->first->queue->handle, batch->writes, batch->count, &options);
    const hearth__write *next = batch->writes;
    for (hearth__job *job = batch->first; job != NULL; job = job->also) {
        job->number = job->verb == HEARTH_VERB_INCREMENT ? next->number : 0;
        next += job->count;
    }
    for (size_t i = 0; i < batch->count; i++) {
        batch->statuses[i] = batch->writes[i].status;
    }
}

/* One, by itself. */
static void invalidate_tag(const hearth__queue_batch *batch) {
    const hearth__job *job = batch->first;
    bool keeps_stale = (job->write.flags & HEARTH_WRITE_KEEP_STALE) != 0;
    batch->statuses[0] = hearth__invalidate_tag(
        job->queue->handle, job->one.key, job->one.key_size, keeps_stale, job->deadline_ns);
}

void hearth__queue_batch_run(hearth__queue_batch *batch) {
    if (batch->first->verb == HEARTH_VERB_INVALIDATE_TAG) {
        invalidate_tag(batch);
    } else if (hearth__job_writes(batch->first)) {
        write_batch(batch);
    } else {
        read_batch(batch);
    }
}

/* ---- in two steps ----------------------------------------------------------------------- */

bool hearth__queue_batch_begin(hearth__queue_batch *batch) {
    if (hearth__job_writes(batch->first) || reloads(batch)) {
        hearth__queue_batch_run(batch);
        return false;
    }
    take_read_options(batch);
    int32_t status = hearth__scoped_get_many_begin(
        batch->first->queue->handle, batch->count, batch->keys, batch->sizes, &batch->read,
        batch->values, batch->statuses, &batch->many);
    if (batch->many == NULL) {
        end_read(batch, status);
        return false;
    }
    batch->deadline_ns = last_deadline_ns(batch->first);
    return true;
}

void hearth__queue_batch_finish(hearth__queue_batch *batch) {
    hearth__chain_get_many_finish(batch->many);
    end_read(batch, HEARTH_OK);
}
