/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"
#include "base/clock.h"

#include <string.h>

enum { KEYS_MOST = 65536, RESULTS_MOST = 1024 };

void hearth_operation_init(hearth_operation *operation, size_t size) {
    if (operation != NULL) {
        memset(operation, 0, size);
        memcpy(operation, &size, size < sizeof size ? size : sizeof size);
    }
}

int32_t hearth_queue_open(hearth *cache, hearth_queue **queue) {
    if (cache == NULL || queue == NULL) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__queue_open(cache, queue);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_queue_close(hearth_queue *queue, hearth_result_function tell, void *arg) {
    return queue != NULL ? hearth__queue_close(queue, tell, arg) : HEARTH_OK;
}

/* ---- operations ------------------------------------------------------------------------- */

/* What a write takes. */
struct write_verb {
    bool writes;
    bool stores;    /* a value */
    bool version;   /* an if_version, for one key */
    bool many;      /* keys */
    uint32_t flags; /* HEARTH_WRITE_... */
};

/* NULL: it is none. */
static const struct write_verb *write_verb_of(uint32_t verb) {
    static const struct write_verb verbs[] = {
        [HEARTH_VERB_SET] = {true, true, true, true, HEARTH__SET_FLAGS},
        [HEARTH_VERB_DELETE] = {true, false, false, true, 0},
        [HEARTH_VERB_ADD] = {true, true, false, false, HEARTH__WRITE_FLAGS},
        [HEARTH_VERB_REPLACE] = {true, true, true, false, HEARTH__WRITE_FLAGS},
        [HEARTH_VERB_TOUCH] = {true, false, false, false, 0},
        [HEARTH_VERB_INCREMENT] = {true, false, false, false, 0},
        [HEARTH_VERB_MARK_STALE] = {true, false, false, false, HEARTH_WRITE_NO_REMOTE},
        [HEARTH_VERB_INVALIDATE_TAG] = {true, false, false, false, HEARTH_WRITE_KEEP_STALE},
    };
    bool known = verb < sizeof verbs / sizeof verbs[0] && verbs[verb].writes;
    return known ? &verbs[verb] : NULL;
}

/* An operation as it was given, and what was made of it. */
struct request {
    const struct write_verb *write_verb; /* NULL: it reads */
    hearth__operation submission;
    hearth_read_options scratch;
    hearth_write_options write;
    const void *key; /* of one key: arrays of one */
    size_t key_size;
    const void *data;
    size_t size;
    hearth_value *value;
};

static void place_keys(struct request *request, const hearth_operation *operation) {
    hearth__operation *submission = &request->submission;
    submission->is_many = operation->count != 0;
    if (submission->is_many) {
        submission->count = operation->count;
        submission->keys = operation->keys;
        submission->key_sizes = operation->key_sizes;
        submission->data = operation->datas;
        submission->sizes = operation->data_sizes;
        submission->values = operation->values;
        submission->statuses = operation->statuses;
        return;
    }
    request->key = operation->key;
    request->key_size = operation->key_size;
    request->data = operation->data;
    request->size = operation->data_size;
    request->value = operation->value;
    submission->count = 1;
    submission->keys = &request->key;
    submission->key_sizes = &request->key_size;
    submission->data = &request->data;
    submission->sizes = &request->size;
    submission->values = &request->value;
}

static bool check_one(const struct request *request, size_t index) {
    const hearth__operation *submission = &request->submission;
    const void *key = submission->keys[index];
    size_t size = submission->key_sizes[index];
    bool good = submission->verb == HEARTH_VERB_INVALIDATE_TAG ? hearth__check_tag(key, size)
                                                               : hearth__check_key(key, size);
    bool stores = request->write_verb != NULL && request->write_verb->stores;
    return good &&
           (!stores || hearth__check_data(submission->data[index], submission->sizes[index]));
}

static bool check_keys(const struct request *request) {
    const hearth__operation *submission = &request->submission;
    const struct write_verb *verb = request->write_verb;
    bool stores = verb != NULL && verb->stores;
    if (submission->count > KEYS_MOST || submission->keys == NULL ||
        submission->key_sizes == NULL ||
        (submission->is_many &&
         (submission->statuses == NULL || (verb != NULL && !verb->many))) ||
        (stores && (submission->data == NULL || submission->sizes == NULL))) {
        return false;
    }
    for (size_t i = 0; i < submission->count; i++) {
        if (!check_one(request, i)) {
            return false;
        }
    }
    return true;
}

static bool check_loader(const hearth__operation *submission) {
    const hearth_loader *loader = submission->loader;
    return loader != NULL && loader->size >= sizeof *loader &&
           (loader->load != NULL || (submission->is_many && loader->load_many != NULL));
}

static bool check_integers(const hearth__operation *submission) {
    bool integers = (submission->write->flags & HEARTH_WRITE_INTEGER) != 0;
    for (size_t i = 0; integers && i < submission->count; i++) {
        if (!hearth__write_is_integer(submission->data[i], submission->sizes[i])) {
            return false;
        }
    }
    return true;
}

static bool check_read(const hearth *cache, struct request *request,
                       const hearth_operation *operation) {
    hearth__operation *submission = &request->submission;
    bool fetches = submission->verb == HEARTH_VERB_FETCH;
    submission->read = fetches ? hearth__check_fetch(operation->read, &request->scratch)
                               : hearth__check_read(operation->read, &request->scratch);
    submission->loader = operation->loader;
    submission->write = fetches ? &request->write : NULL;
    return submission->read != NULL &&
           (!fetches || (check_loader(submission) &&
                         hearth__check_write(cache, operation->write, 0, &request->write) &&
                         request->write.if_version == 0));
}

static bool check_write(const hearth *cache, struct request *request,
                        const hearth_operation *operation) {
    hearth__operation *submission = &request->submission;
    const struct write_verb *verb = request->write_verb;
    submission->write = &request->write;
    return hearth__check_write(cache, operation->write, verb->flags, &request->write) &&
           hearth__check_together(&request->write) &&
           (request->write.if_version == 0 || (verb->version && !submission->is_many)) &&
           (!verb->stores || check_integers(submission));
}

static bool check(const hearth *cache, struct request *request,
                  const hearth_operation *operation) {
    bool reads = operation->verb == HEARTH_VERB_GET || operation->verb == HEARTH_VERB_FETCH;
    request->submission = (hearth__operation){
        .verb = operation->verb, .tag = operation->tag, .delta = operation->delta};
    request->write_verb = write_verb_of(operation->verb);
    place_keys(request, operation);
    if ((!reads && request->write_verb == NULL) || !check_keys(request)) {
        return false;
    }
    return reads ? check_read(cache, request, operation)
                 : check_write(cache, request, operation);
}

int32_t hearth_submit(hearth_queue *queue, const hearth_operation *operation,
                      uint64_t *ticket) {
    hearth_operation complete = {0};
    struct request request;
    if (ticket != NULL) {
        *ticket = 0;
    }
    if (queue == NULL || ticket == NULL || operation == NULL ||
        !hearth__check_take(&complete, sizeof complete, operation) || complete.reserved != 0) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__queue_enter(queue)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = HEARTH_E_INVALID;
    if (check(hearth__queue_cache(queue), &request, &complete)) {
        status = hearth__queue_submit(queue, &request.submission, ticket);
    }
    hearth__queue_leave(queue);
    return status;
}

int32_t hearth_cancel(hearth_queue *queue, uint64_t ticket) {
    if (queue == NULL) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__queue_enter(queue)) {
        return HEARTH_MISS; /* it ends by a result */
    }
    int32_t status = hearth__queue_cancel(queue, ticket);
    hearth__queue_leave(queue);
    return status;
}

/* ---- results ---------------------------------------------------------------------------- */

/* Where results go. */
struct places {
    unsigned char *at;
    size_t size; /* of one, for the caller */
};

static void give(void *arg, size_t index, const hearth_result *result) {
    const struct places *places = arg;
    unsigned char *at = places->at + index * places->size;
    size_t size = places->size;
    memcpy(at, result, size < sizeof *result ? size : sizeof *result);
    memcpy(at, &size, sizeof size);
}

int32_t hearth_collect(hearth_queue *queue, hearth_result *results, size_t capacity,
                       int64_t timeout_ms, size_t *count) {
    if (queue == NULL || results == NULL || capacity == 0 || count == NULL ||
        results->size < sizeof(size_t) || timeout_ms < -1 || timeout_ms > HEARTH_TTL_MAX) {
        return HEARTH_E_INVALID;
    }
    struct places places = {(unsigned char *)results, results->size};
    int64_t deadline_ns = timeout_ms == 0    ? 0
                          : timeout_ms == -1 ? HEARTH__NEVER
                                             : hearth__deadline_ns(timeout_ms);
    size_t most = capacity < RESULTS_MOST ? capacity : RESULTS_MOST;
    return hearth__queue_collect(queue, most, deadline_ns, give, &places, count);
}

int32_t hearth_event_fd(hearth_queue *queue, int *fd) {
    return queue != NULL && fd != NULL ? hearth__queue_event_fd(queue, fd) : HEARTH_E_INVALID;
}
