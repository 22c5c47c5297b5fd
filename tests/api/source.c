/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct source *source = arg;
    (void)key;
    (void)key_size;
    atomic_fetch_add(&source->calls, 1);
    if (source->inside != NULL) {
        source->inside(source, fill);
    }
    event_raise(&source->entered);
    if (source->waits && !event_await(&source->go, 1)) {
        return HEARTH_E_TIMEOUT;
    }
    const char *text = source->text != NULL ? source->text : "";
    if (source->has_ttl) {
        source->filled = hearth_fill_ttl(fill, source->ttl_ms, source->soft_ttl_ms);
    }
    if (source->absent) {
        source->filled = hearth_fill_absent(fill);
    } else if (!source->silent) {
        source->filled =
            hearth_fill_value(fill, text, source->size != 0 ? source->size : strlen(text));
    }
    return source->returns;
}

hearth_loader source_loader(struct source *source) {
    return (hearth_loader){.size = sizeof(hearth_loader), .load = load, .arg = source};
}

int32_t source_fetch(hearth *cache, const char *key, struct source *source,
                     hearth_value *value) {
    const hearth_loader loader = source_loader(source);
    return hearth_fetch(cache, key, strlen(key), &loader, NULL, NULL, value);
}

hearth *cache_open(const char *const *settings) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    /* The default of 50 ms is for servers; on a busy machine a thread can lie still for longer. */
    bool set =
        options != NULL && hearth_options_set(options, "remote.timeout_ms", "30s") == HEARTH_OK;
    for (; set && settings != NULL && settings[0] != NULL; settings += 2) {
        set = hearth_options_set(options, settings[0], settings[1]) == HEARTH_OK;
    }
    if (!set || hearth_open(options, &cache) != HEARTH_OK) {
        (void)fprintf(stderr, "%s\n", hearth_options_error(options));
    }
    hearth_options_free(options);
    return cache;
}

int cache_open_with_value(const char *const *settings, hearth **cache, hearth_value **value) {
    *cache = cache_open(settings);
    *value = hearth_value_new();
    return *cache != NULL && *value != NULL ? 0 : -1;
}

void expect_text(const hearth_value *value, const char *text) {
    assert_int_equal(hearth_value_size(value), strlen(text));
    assert_memory_equal(hearth_value_data(value), text, strlen(text));
}

const char *cache_get(hearth *cache, const char *key, uint32_t flags) {
    static _Thread_local char text[256];
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    hearth_value *value = hearth_value_new();
    int32_t status =
        value != NULL ? hearth_get(cache, key, strlen(key), &read, value) : HEARTH_E_NOMEM;
    if (status == HEARTH_OK) {
        (void)snprintf(text, sizeof text, "=%.*s", (int)hearth_value_size(value),
                       (const char *)hearth_value_data(value));
    } else {
        (void)snprintf(text, sizeof text, "%s", hearth_status_name(status) + strlen("HEARTH_"));
    }
    hearth_value_free(value);
    return text;
}

hearth_stats cache_stats(hearth *cache) {
    hearth_stats stats = {.size = sizeof stats};
    if (hearth_stats_get(cache, &stats) != HEARTH_OK) {
        memset(&stats, 0xff, sizeof stats);
    }
    return stats;
}

int32_t cache_set(hearth *cache, const char *key, const char *text) {
    return hearth_set(cache, key, strlen(key), text, strlen(text), NULL);
}

int32_t cache_set_short(hearth *cache, const char *key) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 10000000;
    write.soft_ttl_ms = 1;
    return hearth_set(cache, key, strlen(key), "old", 3, &write);
}

struct place {
    hearth *cache;
    const char *key;
};

/* The local copy's soft life is no longer than the node's. */
static bool is_stale(void *arg) {
    const struct place *place = arg;
    return strcmp(cache_get(place->cache, place->key, HEARTH_READ_NO_LOCAL), "MISS") == 0;
}

bool cache_await_stale(hearth *cache, const char *key) {
    return await_until(is_stale, &(struct place){cache, key});
}

bool cache_make_stale(hearth *cache, const char *key) {
    return cache_set_short(cache, key) == HEARTH_OK && cache_await_stale(cache, key);
}
