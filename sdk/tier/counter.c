/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/counter.h"

#include "base/random.h"

#include <hearth/errors.h>

uint64_t hearth__counter_first(void) {
    const uint64_t epochs = (UINT64_C(1) << 24) - 1;
    return (1 + hearth__random_u64() % epochs) << HEARTH__COUNTER_SEQUENCE_BITS | 1;
}

bool hearth__counter_is_value(uint64_t number) {
    return number >> HEARTH__COUNTER_SEQUENCE_BITS != 0 && number <= INT64_MAX;
}

uint64_t hearth__counter_parse(const hearth__buffer *digits) {
    uint64_t number = 0;
    for (size_t i = 0; i < digits->size; i++) {
        number = number * 10 + (uint64_t)(digits->data[i] - '0');
    }
    return number;
}

/* In a new epoch. HEARTH_OK and *value; HEARTH_EXISTS: it has been made. */
static int32_t make(hearth *cache, const hearth__route *route, int64_t deadline_ns,
                    uint64_t *value) {
    uint64_t first = hearth__counter_first();
    unsigned char digits[24];
    size_t at = sizeof digits;
    for (uint64_t rest = first; rest != 0; rest /= 10) {
        digits[--at] = (unsigned char)('0' + rest % 10);
    }
    hearth__remote_op op = hearth__route_op(route, HEARTH__ADD);
    op.kind = HEARTH__KIND_INTEGER;
    op.data = digits + at;
    op.data_size = sizeof digits - at;
    hearth__nodes_execute(cache, &op, 1, deadline_ns);
    *value = first;
    return op.status;
}

static bool is_nothing(const hearth__remote_op *op) {
    return op->status == HEARTH_MISS && op->found_version == 0 &&
           op->found != HEARTH__KIND_LEASE;
}

/* HEARTH_OK, HEARTH_MISS, HEARTH_E_TYPE, or the node's error. */
static int32_t ask_once(hearth *cache, const hearth__route *route, int64_t step,
                        int64_t deadline_ns, uint64_t *value) {
    hearth__buffer body = {0};
    hearth__remote_op op = hearth__route_op(route, step != 0 ? HEARTH__INCREMENT : HEARTH__GET);
    op.number = step;
    op.body = step != 0 ? NULL : &body;
    hearth__nodes_execute(cache, &op, 1, deadline_ns);
    int32_t status = op.status;
    if (status == HEARTH_OK) {
        bool is_number = step != 0 || op.found == HEARTH__KIND_INTEGER;
        *value = step != 0 ? (uint64_t)op.number : hearth__counter_parse(&body);
        status = is_number && hearth__counter_is_value(*value) ? HEARTH_OK : HEARTH_E_TYPE;
    } else if (status > HEARTH_OK && !is_nothing(&op)) {
        status = HEARTH_E_TYPE;
    }
    hearth__buffer_fini(&body);
    return status;
}

int32_t hearth__counter_ask(hearth *cache, const char *before, const void *name, size_t size,
                            int64_t step, int64_t deadline_ns, uint64_t *value) {
    hearth__route route;
    int32_t status = hearth__route_init_beside(cache, before, name, size, &route);
    bool asks = status == HEARTH_OK;
    for (int i = 0; asks && i < HEARTH__COUNTER_TRIES; i++) {
        status = ask_once(cache, &route, step, deadline_ns, value);
        if (status == HEARTH_MISS) {
            status = make(cache, &route, deadline_ns, value);
        }
        asks = status == HEARTH_EXISTS;
    }
    hearth__route_fini(&route);
    return status == HEARTH_EXISTS ? HEARTH_E_TYPE /* which nobody can read */
           : status <= HEARTH_OK   ? status
                                   : HEARTH_E_UNAVAILABLE;
}

int32_t hearth__counter_renew(hearth *cache, const char *before, const void *name, size_t size,
                              int64_t deadline_ns, uint64_t *value) {
    hearth__route route;
    int32_t status = hearth__route_init_beside(cache, before, name, size, &route);
    if (status == HEARTH_OK) {
        hearth__remote_op op = hearth__route_op(&route, HEARTH__DELETE);
        hearth__nodes_execute(cache, &op, 1, deadline_ns);
        status = op.status < 0 ? op.status : make(cache, &route, deadline_ns, value);
    }
    hearth__route_fini(&route);
    if (status == HEARTH_EXISTS) { /* by another, since */
        status = hearth__counter_ask(cache, before, name, size, 0, deadline_ns, value);
    }
    return status <= HEARTH_OK ? status : HEARTH_E_UNAVAILABLE;
}
