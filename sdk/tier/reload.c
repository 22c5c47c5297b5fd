/* SPDX-License-Identifier: Apache-2.0 */
/* A fetch that loads whatever is cached. Still one loader a key runs at a time, so it waits for one that began before, and then
 * there is another, for all who came meanwhile. */
#include "base/clock.h"
#include "tier/lease.h"

/* What there is, for who loads all the same. HEARTH_OK, HEARTH_MISS. */
static int32_t ask_present(hearth__read *read, const hearth__route *route) {
    int32_t status = hearth__read_ask_remote(read, route);
    bool unknown = read->node_failed || hearth__read_wants(read, HEARTH_READ_NO_REMOTE);
    if (status == HEARTH_MISS && unknown) {
        status = hearth__read_ask_local(read);
    }
    return status == HEARTH_OK ? HEARTH_OK : HEARTH_MISS;
}

/* Whether another's flight, which has ended so, was a load that began after that time. Of one that failed this is not known: of
 * the second that was waited for it is taken to be so. */
static bool was_loaded_since(const hearth__read *read, int32_t status, int64_t began_ms,
                             bool is_second) {
    bool is_own_end = status == HEARTH_E_TIMEOUT || status == HEARTH_E_DEADLOCK ||
                      status == HEARTH_E_NOMEM || status == HEARTH_E_CLOSED;
    const hearth__answer *answer = &read->value->answer;
    return status >= 0 ? answer->tier == HEARTH_TIER_LOADED && answer->entry.born_ms > began_ms
                       : is_second || is_own_end;
}

/* As seek(), but no cached value is an answer, and no load that began before this call. */
int32_t hearth__read_seek_load(hearth__read *read, hearth__route *route, hearth__flight **led) {
    int64_t began_ms = hearth__boot_ms();
    int32_t status = HEARTH_OK;
    bool is_done = false;
    for (bool is_second = false; !is_done; is_second = true) {
        hearth__flight *flight = NULL;
        bool leads = false;
        if (hearth__read_wants(read, HEARTH_READ_NO_WAIT)) {
            status = hearth__flight_try_lead(read->cache->flights, read->key, read->key_size,
                                             &flight);
            leads = status == HEARTH_OK;
            status = status == HEARTH_EXISTS ? HEARTH_MISS : status;
        } else {
            status = hearth__flight_join(read->cache->flights, read->key, read->key_size,
                                         read->deadline_ns, &flight, &leads);
        }
        if (leads) {
            *led = flight;
            hearth__route_refresh(route);
            status = ask_present(read, route);
            hearth__lease_try(read, flight, route);
            return status;
        }
        if (status != HEARTH_OK) {
            return status;
        }
        status = hearth__read_follow(read, flight);
        is_done = was_loaded_since(read, status, began_ms, is_second);
    }
    return status;
}
