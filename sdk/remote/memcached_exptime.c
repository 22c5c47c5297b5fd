/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_exptime.h"

#include "base/clock.h"
#include "remote/envelope.h"

enum {
    MS_PER_S = 1000,
    RELATIVE_MAX_S = 30 * 24 * 3600, /* what is more is a unix time */
    UNIX_LATE_S = 2, /* the server's unix clock lost fractions of a second when it started */
};

static int64_t unix_time_of(int64_t seconds, bool header_cuts) {
    int64_t now_s = hearth__wall_ms() / MS_PER_S;
    int64_t end_s = now_s + seconds + (header_cuts ? 1 : -UNIX_LATE_S);
    if (end_s > INT32_MAX) {
        end_s = INT32_MAX;
    }
    return end_s - now_s > RELATIVE_MAX_S ? end_s : RELATIVE_MAX_S;
}

int64_t hearth__mc_exptime(int64_t ttl_ms, bool header_cuts) {
    if (ttl_ms <= 0) {
        return 0;
    }
    int64_t seconds = ttl_ms / MS_PER_S;
    if (seconds == 0 || (header_cuts && ttl_ms % MS_PER_S != 0)) {
        seconds++;
    }
    return seconds <= RELATIVE_MAX_S ? seconds : unix_time_of(seconds, header_cuts);
}

/* Whether a header can hold this life. */
static bool fits_header(int64_t age_ms, int64_t ttl_ms) {
    return ttl_ms < (int64_t)HEARTH__ENVELOPE_NO_TTL - age_ms;
}

/* A lease is kept for a second more than it lasts: its header cuts it, and the server's tick would cost it up to a second. */
static int64_t exptime_of_lease(const hearth__remote_op *op) {
    return op->verb == HEARTH__RELEASE ? HEARTH__MC_OVER
                                       : hearth__mc_exptime(op->ttl_ms + MS_PER_S, true);
}

int64_t hearth__mc_exptime_of_store(const hearth__remote_op *op) {
    if (op->kind == HEARTH__KIND_LEASE && op->token != NULL) {
        return exptime_of_lease(op);
    }
    bool has_header = op->kind != HEARTH__KIND_INTEGER && op->kind != HEARTH__KIND_FOREIGN;
    return hearth__mc_exptime(op->ttl_ms, has_header && fits_header(op->age_ms, op->ttl_ms));
}

int64_t hearth__mc_exptime_of_renewal(const hearth__remote_op *op, int64_t age_ms) {
    return hearth__mc_exptime(op->ttl_ms, fits_header(age_ms, op->ttl_ms));
}

static int64_t not_negative(int64_t ms) {
    return ms > 0 ? ms : 0;
}

/*
 * When a life of over N - 1 to N seconds began, the server's clock had ticked up to a second before,
 * and so it has now: of t seconds that it still counts, the true rest is more than t - 2, and at t
 * the item is gone.
 */
int64_t hearth__mc_left_ms(const void *bytes, size_t size, int64_t ttl_ms, int64_t passed_ms) {
    int64_t left_ms = 0;
    if (ttl_ms < 0) {
        return HEARTH__TTL_UNKNOWN;
    }
    if (!hearth__envelope_left(bytes, size, &left_ms)) {
        return not_negative(ttl_ms - MS_PER_S - passed_ms);
    }
    int64_t least_ms = not_negative(ttl_ms - INT64_C(2) * MS_PER_S - passed_ms);
    if (left_ms > ttl_ms) {
        return ttl_ms;
    }
    return left_ms < least_ms ? least_ms : left_ms;
}
