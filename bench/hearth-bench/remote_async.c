/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/remote_async.h"

#include <poll.h>

enum { PATIENCE_MS = 5000 };

int async_open(struct async_client *async, const struct bench *bench, struct our_client *client,
               size_t in_flight, bool polls) {
    *async = (struct async_client){
        .client = client, .in_flight = in_flight, .polls = polls, .fd = -1};
    bool made = hearth_queue_open(client->cache, &async->queue) == HEARTH_OK &&
                (!polls || hearth_event_fd(async->queue, &async->fd) == HEARTH_OK);
    for (uint32_t i = 0; made && i < in_flight; i++) {
        async->free[async->free_count++] = i;
        async->values[i] = hearth_value_new();
        made = async->values[i] != NULL;
    }
    return made ? 0 : bench_fail(bench, "no queue");
}

void async_close(struct async_client *async) {
    (void)hearth_queue_close(async->queue, NULL, NULL);
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        hearth_value_free(async->values[i]);
    }
}

static bool submit(struct async_client *async, unsigned thread) {
    uint32_t slot = async->free[async->free_count - 1];
    const struct client_keys *keys = async->client->keys;
    uint32_t id = client_pick(keys, thread, async->submitted);
    uint64_t ticket = 0;
    hearth_operation get;
    hearth_operation_init(&get, sizeof get);
    get.verb = HEARTH_VERB_GET;
    get.key = keys->keys[id];
    get.key_size = KEY_SIZE;
    get.read = &async->client->read;
    get.value = async->values[slot];
    get.tag = &async->ids[slot];
    async->ids[slot] = id;
    async->submitted++;
    async->free_count--;
    return hearth_submit(async->queue, &get, &ticket) == HEARTH_OK && ticket != 0;
}

static bool is_right(const hearth_result *result) {
    const uint32_t *id = result->tag;
    return result->status == HEARTH_OK && hearth_value_size(result->value) == VALUE_SIZE &&
           value_is(hearth_value_data(result->value), VALUE_SIZE, *id);
}

/* How many came, each checked; 0: none did, or one was wrong. */
static size_t collect(struct async_client *async, size_t most) {
    hearth_result results[MANY] = {{.size = sizeof results[0]}};
    size_t count = 0;
    if (async->polls) {
        struct pollfd poller = {.fd = async->fd, .events = POLLIN};
        if (poll(&poller, 1, PATIENCE_MS) != 1) {
            return 0;
        }
    }
    if (hearth_collect(async->queue, results, most, async->polls ? 0 : PATIENCE_MS, &count) !=
        HEARTH_OK) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t *id = results[i].tag;
        if (!is_right(&results[i])) {
            return 0;
        }
        async->free[async->free_count++] = (uint32_t)(id - async->ids);
    }
    return count;
}

bool async_get(void *arg, unsigned thread, uint64_t count) {
    struct async_client *async = arg;
    (void)count;
    for (size_t answered = 0; answered < MANY;) {
        while (async->free_count != 0) {
            if (!submit(async, thread)) {
                return false;
            }
        }
        size_t came = collect(async, MANY - answered);
        if (came == 0) {
            return false;
        }
        answered += came;
    }
    return true;
}
