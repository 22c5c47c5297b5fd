/* SPDX-License-Identifier: Apache-2.0 */
#include "requests.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Out of memory is an answer here, not an exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct known_key {
    UT_hash_handle hh;
    uint32_t item;
    char text[];
};

struct reading {
    struct requests *requests;
    struct known_key *keys;
    size_t items_room;
    size_t sizes_room;
    size_t keys_bytes;
    size_t bytes_max;
    char *error;
    size_t error_size;
};

static int fail_memory(struct reading *reading) {
    snprintf(reading->error, reading->error_size, "no memory for %zu requests",
             reading->requests->count);
    return -1;
}

/* What a key takes beside its text: its place in the heap and in the table. */
enum { KEY_OVERHEAD = 24 };

/* A machine that swaps, or ends the process, says less. */
static int check_memory(struct reading *reading, const char *path) {
    const struct requests *requests = reading->requests;
    size_t bytes = reading->items_room * sizeof *requests->items +
                   reading->sizes_room * sizeof *requests->sizes + reading->keys_bytes;
    if (bytes <= reading->bytes_max) {
        return 0;
    }
    (void)snprintf(reading->error, reading->error_size,
                   "%s: its first %zu requests and their %u keys take more than %zu MB; give a "
                   "part of it, as its beginning",
                   path, requests->count, requests->distinct, reading->bytes_max >> 20);
    return -1;
}

/* Makes room for one more. */
static int grow(void **array, size_t *room, size_t used, size_t element_size) {
    if (*array != NULL && used < *room) {
        return 0;
    }
    size_t grown = *room == 0 ? 65536 : *room + *room / 2;
    void *moved = realloc(*array, grown * element_size);
    if (moved == NULL) {
        return -1;
    }
    *array = moved;
    *room = grown;
    return 0;
}

/* NULL: no memory. */
static struct known_key *add_key(struct reading *reading, const struct trace_request *request) {
    struct requests *requests = reading->requests;
    struct known_key *known = malloc(sizeof *known + request->key_size);
    void *sizes = requests->sizes;
    if (known == NULL || requests->distinct == UINT32_MAX ||
        grow(&sizes, &reading->sizes_room, requests->distinct, sizeof *requests->sizes) != 0) {
        free(known);
        return NULL;
    }
    requests->sizes = sizes;
    requests->sizes[requests->distinct] = request->size;
    known->item = requests->distinct;
    memcpy(known->text, request->key, request->key_size);
    HASH_ADD_KEYPTR(hh, reading->keys, known->text, request->key_size, known);
    if (known->hh.tbl == NULL) {
        free(known);
        return NULL;
    }
    requests->distinct++;
    reading->keys_bytes += sizeof *known + request->key_size + KEY_OVERHEAD;
    return known;
}

static int add_request(struct reading *reading, const struct trace_request *request) {
    struct requests *requests = reading->requests;
    struct known_key *known;
    void *items = requests->items;
    HASH_FIND(hh, reading->keys, request->key, request->key_size, known);
    known = known == NULL ? add_key(reading, request) : known;
    if (known == NULL ||
        grow(&items, &reading->items_room, requests->count, sizeof *requests->items) != 0) {
        return fail_memory(reading);
    }
    requests->items = items;
    requests->items[requests->count++] = known->item;
    return 0;
}

static int read_all(struct reading *reading, struct trace *trace, const char *path,
                    size_t count_max) {
    struct trace_request request;
    bool has_sizes = false;
    while (count_max == 0 || reading->requests->count < count_max) {
        int result = trace_next(trace, &request);
        if (result < 0) {
            snprintf(reading->error, reading->error_size, "%s", trace_error(trace));
            return -1;
        }
        if (result == 0) {
            break;
        }
        has_sizes |= request.has_size;
        if (add_request(reading, &request) != 0 || check_memory(reading, path) != 0) {
            return -1;
        }
    }
    if (!has_sizes) {
        free(reading->requests->sizes);
        reading->requests->sizes = NULL;
    }
    return 0;
}

static void free_keys(struct reading *reading) {
    struct known_key *key = reading->keys;
    struct known_key *next;
    /* The list goes on through the handles after the table is gone. */
    HASH_CLEAR(hh, reading->keys);
    for (; key != NULL; key = next) {
        next = key->hh.next;
        free(key);
    }
}

int requests_read(struct requests *requests, const char *path, enum trace_form form,
                  size_t count_max, char *error, size_t error_size) {
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    size_t half = pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 2 : SIZE_MAX;
    return requests_read_within(requests, half, path, form, count_max, error, error_size);
}

int requests_read_within(struct requests *requests, size_t bytes_max, const char *path,
                         enum trace_form form, size_t count_max, char *error,
                         size_t error_size) {
    struct requests made = {NULL, 0, 0, NULL};
    struct reading reading = {
        .requests = &made, .bytes_max = bytes_max, .error = error, .error_size = error_size};
    struct trace *trace;
    if (trace_open(path, form, &trace, error, error_size) != 0) {
        return -1;
    }
    int result = read_all(&reading, trace, path, count_max);
    if (result == 0 && made.count == 0) {
        (void)snprintf(error, error_size, "%s: is empty: it has no request", path);
        result = -1;
    }
    trace_close(trace);
    free_keys(&reading);
    if (result != 0) {
        requests_fini(&made);
        return -1;
    }
    *requests = made;
    return 0;
}

void requests_fini(struct requests *requests) {
    free(requests->items);
    free(requests->sizes);
    memset(requests, 0, sizeof *requests);
}
