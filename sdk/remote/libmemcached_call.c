/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/libmemcached_call.h"

#include "base/memory.h"
#include "remote/envelope.h"

#include <hearth/errors.h>

#include <string.h>

enum { FEW_KEYS = 8, VERSION_UNKNOWN = UINT8_MAX };

/* ---- statuses ---- */

/* What the server itself said, so that nothing is left open. */
static bool is_servers_word(memcached_return_t result) {
    return result == MEMCACHED_ERROR || result == MEMCACHED_CLIENT_ERROR ||
           result == MEMCACHED_SERVER_ERROR ||
           result == MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE;
}

static int32_t status_of(memcached_return_t result) {
    switch (result) {
    case MEMCACHED_TIMEOUT:
        return HEARTH_E_TIMEOUT;
    case MEMCACHED_MEMORY_ALLOCATION_FAILURE:
        return HEARTH_E_NOMEM;
    case MEMCACHED_ERROR:
    case MEMCACHED_CLIENT_ERROR:
    case MEMCACHED_PROTOCOL_ERROR:
    case MEMCACHED_PARTIAL_READ:
    case MEMCACHED_UNKNOWN_READ_FAILURE:
        return HEARTH_E_PROTOCOL;
    default: /* what is good news elsewhere is out of place here */
        return memcached_failed(result) ? HEARTH_E_UNAVAILABLE : HEARTH_E_PROTOCOL;
    }
}

/* Closes the connection and says why. */
static int32_t fail_read(hearth__lmc_lane *lane, memcached_return_t result) {
    hearth__lmc_pool_break(lane->pool, lane->connection);
    return status_of(result);
}

static int32_t fail_write(hearth__lmc_lane *lane, memcached_return_t result) {
    hearth__lmc_pool_break(lane->pool, lane->connection);
    return is_servers_word(result) ? status_of(result) : HEARTH_E_UNKNOWN;
}

/* Before every request: the connection is open and there is time. */
static int32_t prepare(hearth__lmc_lane *lane) {
    if (lane->connection->client == NULL) {
        int32_t status = hearth__lmc_pool_open(lane->pool, lane->deadline_ns, lane->connection);
        if (status != HEARTH_OK) {
            return status;
        }
    }
    return hearth__lmc_set_deadline(lane->connection, lane->deadline_ns) ? HEARTH_OK
                                                                         : HEARTH_E_TIMEOUT;
}

/* ---- reads ---- */

static memcached_return_t request_keys(memcached_st *client, const hearth__wire_key *keys,
                                       size_t count) {
    const char *few_names[FEW_KEYS];
    size_t few_sizes[FEW_KEYS];
    const char **names = few_names;
    size_t *sizes = few_sizes;
    memcached_return_t result = MEMCACHED_MEMORY_ALLOCATION_FAILURE;
    if (count > FEW_KEYS) {
        names = hearth__alloc_zero(count, sizeof(const char *));
        sizes = hearth__alloc_zero(count, sizeof *sizes);
    }
    if (names != NULL && sizes != NULL) {
        for (size_t i = 0; i < count; i++) {
            names[i] = keys[i].data;
            sizes[i] = keys[i].size;
        }
        result = memcached_mget(client, names, sizes, count);
    }
    if (count > FEW_KEYS) {
        hearth__free(names);
        hearth__free(sizes);
    }
    return result;
}

int32_t hearth__lmc_send_reads(hearth__lmc_lane *lane, const hearth__wire_key *keys,
                               size_t count) {
    int32_t status = prepare(lane);
    if (status != HEARTH_OK) {
        return status;
    }
    hearth__lmc_connection *connection = lane->connection;
    memcached_return_t result = request_keys(connection->client, keys, count);
    if (result != MEMCACHED_SUCCESS) {
        memcached_return_t last = memcached_last_error(connection->client);
        return fail_read(lane, last != MEMCACHED_SUCCESS ? last : result);
    }
    /* libmemcached turns the error of a fetch that gave nothing yet into NOTFOUND: with a count it
     * believes that there was something and tells the error. */
    connection->answer.count = 1;
    return HEARTH_OK;
}

/* Whether a fetch ended because the server said END. */
static bool came_to_end(const hearth__lmc_connection *connection, memcached_return_t result) {
    const memcached_st *client = connection->client;
    return result == MEMCACHED_END && memcached_last_error(client) == MEMCACHED_SUCCESS &&
           memcached_server_major_version(memcached_server_instance_by_position(client, 0)) !=
               VERSION_UNKNOWN; /* known until it is closed */
}

static bool is_answer_to(const memcached_result_st *answer, const hearth__wire_key *key) {
    return memcached_result_key_length(answer) == key->size &&
           memcmp(memcached_result_key_value(answer), key->data, key->size) == 0;
}

/* `decr` fills up with blanks where the number had more digits. */
static size_t without_blanks(const unsigned char *bytes, size_t size) {
    size_t trimmed = size;
    int64_t number = 0;
    while (trimmed > 0 && bytes[trimmed - 1] == ' ') {
        trimmed--;
    }
    return hearth__envelope_is_integer(bytes, trimmed, &number) ? trimmed : size;
}

static hearth__lmc_item item_of(const memcached_result_st *answer) {
    const char *value = memcached_result_value(answer);
    hearth__lmc_item item = {
        .there = true,
        .bytes = (const unsigned char *)(value != NULL ? value : ""),
        .size = memcached_result_length(answer),
        .cas = memcached_result_cas(answer),
    };
    item.size = without_blanks(item.bytes, item.size);
    return item;
}

int32_t hearth__lmc_next_read(hearth__lmc_lane *lane, const hearth__wire_key *keys,
                              size_t count, size_t *at, hearth__lmc_item *item) {
    hearth__lmc_connection *connection = lane->connection;
    memcached_return_t result = MEMCACHED_SUCCESS;
    /* Past the deadline, what has come already is taken: another node may have used the time up. */
    (void)hearth__lmc_set_deadline(connection, lane->deadline_ns);
    memcached_result_st *answer =
        memcached_fetch_result(connection->client, &connection->answer, &result);
    if (answer == NULL) {
        return came_to_end(connection, result) ? HEARTH_MISS : fail_read(lane, result);
    }
    while (*at < count && !is_answer_to(answer, &keys[*at])) {
        ++*at;
    }
    if (*at == count) { /* nobody asked for this */
        return fail_read(lane, MEMCACHED_PROTOCOL_ERROR);
    }
    *item = item_of(answer);
    return HEARTH_OK;
}

int32_t hearth__lmc_read(hearth__lmc_lane *lane, const hearth__wire_key *key,
                         hearth__lmc_item *item) {
    size_t at = 0;
    hearth__lmc_item none = {.there = false};
    *item = none;
    int32_t status = hearth__lmc_send_reads(lane, key, 1);
    if (status == HEARTH_OK) {
        status = hearth__lmc_next_read(lane, key, 1, &at, item);
    }
    if (status == HEARTH_OK) {
        /* The bytes stay where they are while END is read: it brings none. */
        at++;
        hearth__lmc_item more;
        status = hearth__lmc_next_read(lane, key, 1, &at, &more);
    }
    return status == HEARTH_MISS ? HEARTH_OK : status;
}

/* ---- writes ---- */

static memcached_return_t send_store(memcached_st *client, const hearth__wire_key *key,
                                     const hearth__mc_store *store, const char *bytes) {
    time_t exptime = (time_t)store->exptime;
    switch (store->mode) {
    case HEARTH__MC_ADD:
        return memcached_add(client, key->data, key->size, bytes, store->size, exptime,
                             store->flags);
    case HEARTH__MC_SWAP:
        return memcached_cas(client, key->data, key->size, bytes, store->size, exptime,
                             store->flags, store->cas);
    case HEARTH__MC_APPEND:
        return memcached_append(client, key->data, key->size, bytes, store->size, exptime,
                                store->flags);
    case HEARTH__MC_SET:
        break;
    }
    return memcached_set(client, key->data, key->size, bytes, store->size, exptime,
                         store->flags);
}

int32_t hearth__lmc_store(hearth__lmc_lane *lane, const hearth__wire_key *key,
                          const hearth__mc_store *store, const void *bytes) {
    int32_t status = prepare(lane);
    if (status != HEARTH_OK) {
        return status;
    }
    memcached_return_t result = send_store(lane->connection->client, key, store, bytes);
    switch (result) {
    case MEMCACHED_SUCCESS:
        return HEARTH_OK;
    case MEMCACHED_NOTSTORED:
    case MEMCACHED_DATA_EXISTS:
    case MEMCACHED_NOTFOUND:
        return store->mode != HEARTH__MC_SET ? HEARTH_CONFLICT
                                             : fail_write(lane, MEMCACHED_PROTOCOL_ERROR);
    case MEMCACHED_E2BIG:
        return HEARTH_E_TOO_LARGE;
    default:
        return fail_write(lane, result);
    }
}

int32_t hearth__lmc_delete(hearth__lmc_lane *lane, const hearth__wire_key *key) {
    int32_t status = prepare(lane);
    if (status != HEARTH_OK) {
        return status;
    }
    memcached_return_t result =
        memcached_delete(lane->connection->client, key->data, key->size, 0);
    if (result == MEMCACHED_NOTFOUND) {
        return HEARTH_MISS;
    }
    return result == MEMCACHED_SUCCESS ? HEARTH_OK : fail_write(lane, result);
}

int32_t hearth__lmc_touch(hearth__lmc_lane *lane, const hearth__wire_key *key, time_t exptime) {
    int32_t status = prepare(lane);
    if (status != HEARTH_OK) {
        return status;
    }
    memcached_return_t result =
        memcached_touch(lane->connection->client, key->data, key->size, exptime);
    if (result == MEMCACHED_NOTFOUND) {
        return HEARTH_MISS;
    }
    return result == MEMCACHED_SUCCESS ? HEARTH_OK : fail_write(lane, result);
}

int32_t hearth__lmc_count(hearth__lmc_lane *lane, const hearth__wire_key *key, bool up,
                          uint64_t amount, uint64_t *sum) {
    int32_t status = prepare(lane);
    if (status != HEARTH_OK) {
        return status;
    }
    memcached_st *client = lane->connection->client;
    memcached_return_t result =
        up ? memcached_increment_by_key(client, key->data, key->size, key->data, key->size,
                                        amount, sum)
           : memcached_decrement_by_key(client, key->data, key->size, key->data, key->size,
                                        amount, sum);
    switch (result) {
    case MEMCACHED_SUCCESS:
        return HEARTH_OK;
    case MEMCACHED_NOTFOUND:
        return HEARTH_MISS;
    case MEMCACHED_CLIENT_ERROR: /* "cannot increment or decrement non-numeric value" */
        return HEARTH_E_TYPE;
    default:
        return fail_write(lane, result);
    }
}
