/* SPDX-License-Identifier: Apache-2.0 */
/* The modes of the suite `hotkey`: how a request is answered by the source of truth alone, with servers before it, and by
 * Hearth. All of them ask the cache first, load what it lacks, and store it there. */
#include "hearth-bench/hotkey.h"
#include "hearth-bench/hotkey_peer.h"
#include "hearth-bench/hotkey_remote.h"
#include "hearth-bench/workload.h"

#include "base/clock.h"

#include <hearth/hearth.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SETTINGS_ROOM = 160, BATCH = 512 };

const char *hotkey_mode_name(const struct hotkey_scene *scene, enum hotkey_mode mode) {
    static const char *const names[HOTKEY_MODES] = {"origin",   "hiredis", "twemproxy",
                                                    "no-local", "hearth",  "tracking"};
    return mode == HOTKEY_PEER && scene->url.kind == HEARTH__MEMCACHED ? "libmemcached"
                                                                       : names[mode];
}

size_t hotkey_size_of(const struct hotkey_scene *scene, uint32_t id) {
    return scene->sizes != NULL ? scene->sizes[id] : scene->settings.value_low;
}

/* With the mode's own letter before it: what one wrote another cannot read. */
size_t hotkey_key(const struct hotkey_scene *scene, uint32_t id, char *key) {
    size_t size = strlen(scene->prefix);
    memcpy(key, scene->prefix, size);
    key_write(key + size, id);
    return size + KEY_SIZE;
}

/* ---- the source of truth ----------------------------------------------------------------- */

/* It takes its time, as a database does, and any number at once. */
static void load(const struct hotkey_scene *scene, _Atomic uint64_t *loads, uint32_t id,
                 void *value) {
    const struct timespec length = {.tv_sec = scene->settings.origin_us / 1000000,
                                    .tv_nsec = scene->settings.origin_us % 1000000 * 1000L};
    atomic_fetch_add_explicit(loads, 1, memory_order_relaxed);
    if (scene->settings.origin_us != 0) {
        (void)nanosleep(&length, NULL);
    }
    value_write(value, hotkey_size_of(scene, id), id);
}

bool hotkey_is_value(const void *value, size_t size, uint32_t id) {
    uint64_t words[2];
    value_readdress(words, sizeof words, id);
    words[0] ^= sizeof words ^ size; /* the size is part of the word */
    return size >= sizeof words && memcmp(value, words, sizeof words[0]) == 0 &&
           memcmp((const char *)value + size - sizeof words[0], words, sizeof words[0]) == 0;
}

/* ---- a client ---------------------------------------------------------------------------- */

/* A thread's. */
struct seat {
    struct hotkey_client *client;
    hearth_value *value;
    hearth_loader loader;
    void *bytes; /* room for the largest value */
    uint32_t id; /* that is being loaded */
    char key[HOTKEY_KEY_BYTES];
};

struct hotkey_client {
    const struct hotkey_scene *scene;
    _Atomic uint64_t *loads;
    hearth *cache;
    struct hotkey_peer *peer;
    struct seat seats[GENERATOR_THREADS];
};

static struct seat *seat_of(struct hotkey_client *client, unsigned thread) {
    return &client->seats[thread % client->scene->settings.threads];
}

static enum generator_answer ask_origin(void *arg, unsigned thread, uint64_t count,
                                        int64_t at_ns) {
    struct hotkey_client *client = arg;
    const struct hotkey_scene *scene = client->scene;
    struct seat *seat = seat_of(client, thread);
    int writes = 0;
    uint32_t id = popularity_pick(scene->popularity, thread, count, at_ns, &writes);
    load(scene, client->loads, id, seat->bytes);
    return hotkey_is_value(seat->bytes, hotkey_size_of(scene, id), id) ? GENERATOR_LOADED
                                                                       : GENERATOR_WRONG;
}

static enum generator_answer ask_peer(void *arg, unsigned thread, uint64_t count,
                                      int64_t at_ns) {
    struct hotkey_client *client = arg;
    const struct hotkey_scene *scene = client->scene;
    struct seat *seat = seat_of(client, thread);
    unsigned at = thread % scene->settings.threads;
    int writes = 0;
    uint32_t id = popularity_pick(scene->popularity, thread, count, at_ns, &writes);
    (void)hotkey_key(scene, id, seat->key);
    if (writes != 0) {
        value_write(seat->bytes, hotkey_size_of(scene, id), id);
        return hotkey_peer_set(client->peer, at, id, seat->key, seat->bytes) ? GENERATOR_WRITTEN
                                                                             : GENERATOR_WRONG;
    }
    switch (hotkey_peer_get(client->peer, at, id, seat->key)) {
    case HOTKEY_PEER_FOUND:
        return GENERATOR_REMOTE;
    case HOTKEY_PEER_MISSED:
        load(scene, client->loads, id, seat->bytes);
        return hotkey_peer_set(client->peer, at, id, seat->key, seat->bytes) ? GENERATOR_LOADED
                                                                             : GENERATOR_WRONG;
    default:
        return GENERATOR_WRONG;
    }
}

static int32_t load_for_hearth(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct seat *seat = arg;
    const struct hotkey_scene *scene = seat->client->scene;
    (void)key;
    (void)key_size;
    load(scene, seat->client->loads, seat->id, seat->bytes);
    return hearth_fill_value(fill, seat->bytes, hotkey_size_of(scene, seat->id));
}

static enum generator_answer ask_hearth(void *arg, unsigned thread, uint64_t count,
                                        int64_t at_ns) {
    static const enum generator_answer answers[] = {[HEARTH_TIER_NONE] = GENERATOR_WRONG,
                                                    [HEARTH_TIER_LOCAL] = GENERATOR_LOCAL,
                                                    [HEARTH_TIER_REMOTE] = GENERATOR_REMOTE,
                                                    [HEARTH_TIER_LOADED] = GENERATOR_LOADED,
                                                    [HEARTH_TIER_GUARD] = GENERATOR_WRONG};
    struct hotkey_client *client = arg;
    const struct hotkey_scene *scene = client->scene;
    struct seat *seat = seat_of(client, thread);
    hearth_info info = {.size = sizeof info};
    int writes = 0;
    uint32_t id = popularity_pick(scene->popularity, thread, count, at_ns, &writes);
    key_write(seat->key, id); /* the prefix is an option of the cache's */
    if (writes != 0) {
        size_t size = hotkey_size_of(scene, id);
        value_write(seat->bytes, size, id);
        return hearth_set(client->cache, seat->key, KEY_SIZE, seat->bytes, size, NULL) ==
                       HEARTH_OK
                   ? GENERATOR_WRITTEN
                   : GENERATOR_WRONG;
    }
    seat->id = id;
    if (hearth_fetch(client->cache, seat->key, KEY_SIZE, &seat->loader, NULL, NULL,
                     seat->value) != HEARTH_OK ||
        hearth_value_size(seat->value) != hotkey_size_of(scene, id) ||
        !hotkey_is_value(hearth_value_data(seat->value), hearth_value_size(seat->value), id)) {
        return GENERATOR_WRONG;
    }
    (void)hearth_value_info(seat->value, &info);
    return answers[info.tier];
}

generator_ask *hotkey_client_ask(enum hotkey_mode mode) {
    static generator_ask *const asks[HOTKEY_MODES] = {ask_origin, ask_peer,   ask_peer,
                                                      ask_hearth, ask_hearth, ask_hearth};
    return asks[mode];
}

/* ---- Hearth ------------------------------------------------------------------------------ */

/* What an entry takes in the local tier beside key and value, its place in the index included. */
enum { ENTRY_BYTES = 64, LOCAL_LEAST = 256 * 1024 };

static double mean_size(const struct hotkey_scene *scene) {
    double sum = 0;
    for (uint32_t i = 0; scene->sizes != NULL && i < scene->all_keys; i++) {
        sum += scene->sizes[i];
    }
    return scene->sizes != NULL ? sum / scene->all_keys : (double)scene->settings.value_low;
}

static int32_t set_own(hearth_options *options, const struct hotkey_scene *scene) {
    int32_t status = HEARTH_OK;
    for (size_t i = 0; status == HEARTH_OK && i < scene->settings.set_count; i++) {
        char name[SETTINGS_ROOM];
        const char *text = scene->settings.sets[i];
        const char *equals = strchr(text, '=');
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        status = hearth_options_set(options, name, equals + 1);
    }
    return status;
}

static hearth *open_cache(const struct hotkey_scene *scene, enum hotkey_mode mode, char *why,
                          size_t why_size) {
    char local[32];
    char expected[32];
    double entry = KEY_SIZE + mean_size(scene);
    double bytes = scene->settings.local * scene->keys * (entry + ENTRY_BYTES);
    bytes = bytes > LOCAL_LEAST ? bytes : LOCAL_LEAST;
    (void)snprintf(local, sizeof local, "%.0f", mode != HOTKEY_REMOTE ? bytes : 0);
    (void)snprintf(expected, sizeof expected, "%.0f", entry > 32 ? entry : 32);
    const char *const settings[][2] = {
        {"remote.url", scene->url_text},
        {"remote.prefix", scene->prefix},
        {"remote.timeout_ms", "5s"}, /* clients and servers share these processors */
        {"local.max_bytes", local},
        {"local.expected_entry_bytes", expected},
        {"local.max_ttl_ms", "1h"}, /* nobody else changes a key here */
        {"ttl_ms", "1h"},
        {"coherence.mode", mode == HOTKEY_TRACKING ? "tracking" : "ttl"},
    };
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    int32_t status = options != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    for (size_t i = 0; status == HEARTH_OK && i < sizeof settings / sizeof settings[0]; i++) {
        if (settings[i][1][0] != '\0') {
            status = hearth_options_set(options, settings[i][0], settings[i][1]);
        }
    }
    if (status == HEARTH_OK) {
        status = set_own(options, scene);
    }
    if (status == HEARTH_OK) {
        status = hearth_open(options, &cache);
    }
    if (status != HEARTH_OK) {
        (void)snprintf(why, why_size, "no cache: %s", hearth_options_error(options));
    }
    hearth_options_free(options);
    return cache;
}

static bool open_seats(struct hotkey_client *client) {
    const struct hotkey_scene *scene = client->scene;
    bool made = true;
    for (unsigned i = 0; i < scene->settings.threads; i++) {
        struct seat *seat = &client->seats[i];
        seat->client = client;
        seat->bytes = malloc(scene->settings.value_high);
        seat->value = hearth_value_new();
        seat->loader =
            (hearth_loader){.size = sizeof seat->loader, .load = load_for_hearth, .arg = seat};
        made = made && seat->bytes != NULL && seat->value != NULL;
    }
    return made;
}

struct hotkey_client *hotkey_client_open(const struct hotkey_scene *scene,
                                         enum hotkey_mode mode, _Atomic uint64_t *loads,
                                         char *why, size_t why_size) {
    struct hotkey_client *client = calloc(1, sizeof *client);
    bool made = false;
    (void)snprintf(why, why_size, "no memory");
    if (client == NULL) {
        return NULL;
    }
    client->scene = scene;
    client->loads = loads;
    made = open_seats(client);
    if (made && hotkey_asks_peer(mode)) {
        client->peer = hotkey_peer_open(scene, mode, why, why_size);
        made = client->peer != NULL;
    } else if (made && mode != HOTKEY_ORIGIN) {
        client->cache = open_cache(scene, mode, why, why_size);
        made = client->cache != NULL;
    }
    if (!made) {
        hotkey_client_close(client);
        client = NULL;
    }
    return client;
}

uint64_t hotkey_client_entries(const struct hotkey_client *client) {
    hearth_stats stats = {.size = sizeof stats};
    return client->cache != NULL && hearth_stats_get(client->cache, &stats) == HEARTH_OK
               ? stats.local_entries
               : 0;
}

void hotkey_client_close(struct hotkey_client *client) {
    if (client->cache != NULL) {
        (void)hearth_close(client->cache);
    }
    hotkey_peer_close(client->peer);
    for (size_t i = 0; i < GENERATOR_THREADS; i++) {
        hearth_value_free(client->seats[i].value);
        free(client->seats[i].bytes);
    }
    free(client);
}

/* ---- the keys that are there in the beginning -------------------------------------------- */

/* The keys and values of some numbers in a row. */
struct batch {
    char keys[BATCH][KEY_SIZE];
    const void *key_at[BATCH];
    size_t key_sizes[BATCH];
    const void *data[BATCH];
    size_t sizes[BATCH];
    int32_t statuses[BATCH];
    unsigned char *bytes; /* room for all values */
};

static size_t compose(const struct hotkey_scene *scene, struct batch *batch, uint32_t first,
                      uint32_t end) {
    size_t count = end - first < BATCH ? end - first : BATCH;
    unsigned char *bytes = batch->bytes;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = first + (uint32_t)i;
        batch->sizes[i] = hotkey_size_of(scene, id);
        key_write(batch->keys[i], id);
        value_write(bytes, batch->sizes[i], id);
        batch->key_at[i] = batch->keys[i];
        batch->key_sizes[i] = KEY_SIZE;
        batch->data[i] = bytes;
        bytes += batch->sizes[i];
    }
    return count;
}

static bool each_batch(const struct hotkey_scene *scene, hearth *cache, bool deletes, char *why,
                       size_t why_size) {
    uint32_t end = deletes ? scene->all_keys : scene->keys;
    struct batch *batch = calloc(1, sizeof *batch);
    int32_t worst = batch != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    if (batch != NULL) {
        batch->bytes = malloc(BATCH * scene->settings.value_high);
        worst = batch->bytes != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    }
    int64_t begin_ns = hearth__monotonic_ns();
    for (uint32_t first = 0; worst == HEARTH_OK && first < end; first += BATCH) {
        if (!deletes && hotkey_is_interrupted()) {
            (void)snprintf(why, why_size, "interrupted");
            break;
        }
        hotkey_pace(scene, begin_ns, first);
        size_t count = compose(scene, batch, first, end);
        int32_t status =
            deletes ? hearth_delete_many(cache, count, batch->key_at, batch->key_sizes, NULL,
                                         batch->statuses)
                    : hearth_set_many(cache, count, batch->key_at, batch->key_sizes,
                                      batch->data, batch->sizes, NULL, batch->statuses);
        for (size_t i = 0; i < count; i++) {
            worst = batch->statuses[i] < worst ? batch->statuses[i] : worst;
        }
        worst = status < worst ? status : worst;
    }
    if (worst < HEARTH_OK) {
        (void)snprintf(why, why_size, "the servers %s the keys: %s",
                       deletes ? "did not delete all of" : "do not keep",
                       hearth_strerror(worst));
    }
    if (batch != NULL) {
        free(batch->bytes);
    }
    free(batch);
    return worst == HEARTH_OK && (deletes || !hotkey_is_interrupted());
}

static bool with_cache(const struct hotkey_scene *scene, bool deletes, char *why,
                       size_t why_size) {
    hearth *cache = open_cache(scene, HOTKEY_REMOTE, why, why_size);
    bool done = cache != NULL && each_batch(scene, cache, deletes, why, why_size);
    if (cache != NULL) {
        (void)hearth_close(cache);
    }
    return done;
}

bool hotkey_fill(const struct hotkey_scene *scene, enum hotkey_mode mode, char *why,
                 size_t why_size) {
    if (mode == HOTKEY_ORIGIN) {
        return true;
    }
    return hotkey_asks_peer(mode) ? hotkey_peer_fill(scene, mode, why, why_size)
                                  : with_cache(scene, false, why, why_size);
}

bool hotkey_clean(const struct hotkey_scene *scene, char *why, size_t why_size) {
    return with_cache(scene, true, why, why_size);
}
