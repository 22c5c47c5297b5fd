/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/stat.h"
#include "remote/socket.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <unistd.h>

enum { GREETINGS = 4 };

struct greeting {
    const hearth__lanes *lanes;
    hearth__welcome *welcome;
};

static bool take_welcome(void *arg, uint32_t index, const hearth__notes *notes,
                         hearth__kept kept) {
    const struct greeting *greeting = arg;
    if (greeting->welcome->status == HEARTH_OK) {
        greeting->lanes->codec->welcome(greeting->lanes->node, index, notes, kept,
                                        greeting->welcome);
    }
    return true;
}

/* The exchange is freed. */
static int32_t send_greeting(hearth__lane *lane, hearth__exchange *exchange,
                             int64_t deadline_ns, struct greeting *greeting) {
    hearth__drive drive = {
        .lane = lane, .own = exchange, .taker = take_welcome, .arg = greeting};
    exchange->deadline_ns = deadline_ns;
    exchange->sent_ns = hearth__monotonic_ns();
    hearth__lane_queue(lane, exchange);
    int32_t status = hearth__lane_drive(&drive, deadline_ns);
    if (status != HEARTH_OK) {
        (void)snprintf(greeting->welcome->why, sizeof greeting->welcome->why,
                       "it did not answer as a %s server does", greeting->lanes->codec->server);
    }
    if (status == HEARTH_E_TIMEOUT && lane->flight.first != NULL) {
        lane->flight = (hearth__line){NULL, NULL};
        lane->unsent = NULL;
        hearth__lane_unload(lane, exchange);
    }
    hearth__exchange_free(exchange);
    return status;
}

static int32_t greet(hearth__lane *lane, int64_t deadline_ns, hearth__welcome *welcome) {
    const hearth__lanes *lanes = lane->set->lanes;
    struct greeting greeting = {.lanes = lanes, .welcome = welcome};
    hearth__exchange *exchange = hearth__exchange_create(GREETINGS);
    if (exchange == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t status = lanes->codec->greet(lanes->node, exchange);
    if (status != HEARTH_OK || exchange->count == 0) {
        hearth__exchange_free(exchange);
        return status;
    }
    return send_greeting(lane, exchange, deadline_ns, &greeting);
}

static int32_t prepare(hearth__lane *lane) {
    const hearth__lanes *lanes = lane->set->lanes;
    lane->flight = (hearth__line){NULL, NULL};
    lane->unsent = NULL;
    lane->piece = lane->offset = lane->dropped = lane->under_way = 0;
    lane->asked = lane->sent = lane->heard = 0;
    lane->heard_requests = 0;
    lane->patient = hearth__socket_set_wait(lane->fd, HEARTH__LANE_WAIT_MS);
    lane->deaf = lane->doomed = lane->used = false;
    lane->epoch = 0;
    lane->told_ms = hearth__boot_ms();
    atomic_store(&lane->deaf_source, false);
    atomic_store(&lane->bulky, false);
    atomic_store(&lane->orphans, 0);
    atomic_store(&lane->misfits, 0);
    lane->chunk = hearth__alloc(HEARTH__LANE_CHUNK);
    if (lane->chunk == NULL) {
        return HEARTH_E_NOMEM;
    }
    return lanes->codec->open(lanes->node, &lane->parser);
}

/* What worked is tried first the next time. */
static int32_t connect_to_node(hearth__lane *lane, int64_t deadline_ns,
                               hearth__welcome *welcome) {
    hearth__lane_set *set = lane->set;
    size_t used = 0;
    pthread_mutex_lock(&set->lock);
    hearth__addresses addresses = set->addresses;
    pthread_mutex_unlock(&set->lock);
    int32_t status = hearth__socket_open(&addresses, deadline_ns, &lane->fd, &used,
                                         welcome->why, sizeof welcome->why);
    if (status == HEARTH_OK && used != 0) {
        pthread_mutex_lock(&set->lock);
        hearth__addresses_prefer(&set->addresses, &addresses.all[used]);
        pthread_mutex_unlock(&set->lock);
    }
    return status;
}

void hearth__lane_open(hearth__lane *lane, int64_t deadline_ns, hearth__welcome *welcome) {
    const hearth__lanes *lanes = lane->set->lanes;
    hearth__seats *counters = lanes->config.remote->counters;
    *welcome = (hearth__welcome){.status = HEARTH_OK, .why = "out of memory"};
    int32_t status = connect_to_node(lane, deadline_ns, welcome);
    if (status == HEARTH_OK) {
        status = prepare(lane);
    }
    if (status == HEARTH_OK) {
        status = greet(lane, deadline_ns, welcome);
    }
    if (status == HEARTH_OK) {
        status = welcome->status;
    }
    welcome->status = status;
    if (status == HEARTH_OK) {
        HEARTH__COUNT(counters, connects);
    } else {
        hearth__lane_close(lane);
        HEARTH__COUNT(counters, connect_errors);
    }
}

void hearth__lane_close(hearth__lane *lane) {
    hearth__lane_close_source(lane);
    int fd =
        atomic_exchange(&lane->fd, -1); /* first: a child must not close a number used anew */
    if (fd >= 0) {
        (void)close(fd);
    }
    if (lane->parser != NULL) {
        lane->set->lanes->codec->close(lane->parser);
        lane->parser = NULL;
    }
    hearth__free(lane->chunk);
    lane->chunk = NULL;
}
