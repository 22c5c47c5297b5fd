/* SPDX-License-Identifier: Apache-2.0 */
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct missing missing;

void *object_make(const char *data, ptrdiff_t size) {
    struct object *object = data != NULL ? malloc(sizeof *object + (size_t)size) : NULL;
    if (object != NULL) {
        object->size = (size_t)size;
        memcpy(object->bytes, data, (size_t)size);
    }
    return object;
}

void missing_retain(void *object) {
    struct missing *retained = object;
    atomic_fetch_add(&retained->references, 1);
}

hearth *cache_open_with_sink(const char *const *settings, hearth_sink_make make) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    bool set =
        options != NULL && hearth_options_set_sink(options, make != NULL ? make : object_make,
                                                   missing_retain, &missing) == HEARTH_OK;
    for (; set && settings != NULL && settings[0] != NULL; settings += 2) {
        set = hearth_options_set(options, settings[0], settings[1]) == HEARTH_OK;
    }
    if (!set || hearth_open(options, &cache) != HEARTH_OK) {
        (void)fprintf(stderr, "%s\n", hearth_options_error(options));
    }
    hearth_options_free(options);
    return cache;
}

const char *cache_get_with(hearth *cache, const char *key) {
    static _Thread_local char text[256];
    const uint64_t references = atomic_load(&missing.references);
    void *answer = hearth_get_with(cache, key, strlen(key));
    const uint64_t retained = atomic_load(&missing.references) - references;
    if (answer == NULL) {
        return retained == 0 ? "NULL" : "NULL, retained";
    }
    if (answer == &missing) {
        return retained == 1 ? "MISS" : "MISS, not retained";
    }
    struct object *object = answer;
    (void)snprintf(text, sizeof text, "=%.*s%s", (int)object->size, (const char *)object->bytes,
                   retained == 0 ? "" : ", retained");
    free(object);
    return text;
}
