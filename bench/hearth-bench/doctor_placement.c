/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench doctor`: whether Hearth looks for keys where other clients put them. libmemcached's weighted ketama is what
 * those are compared with, for Redis too. */
#include "hearth-bench/doctor_checks.h"

#include "ring/ring.h"
#include "ring_shares.h"

#include <hearth/hearth.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMPUTED = 10000, SCANS = 20, SCANNED = 200, KEY_BYTES = 256 };

static const char *prefix_of(const struct doctor *doctor) {
    return doctor->prefix != NULL ? doctor->prefix : "hearth-doctor:";
}

/* ---- the ring ---------------------------------------------------------------------------- */

/* libmemcached with all nodes; nobody is asked anything through it. NULL: no memory. */
static memcached_st *make_other(const hearth__remote_url *url) {
    memcached_st *other = memcached_create(NULL);
    bool made =
        other != NULL && memcached_behavior_set(other, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1) ==
                             MEMCACHED_SUCCESS;
    for (size_t i = 0; made && i < url->count; i++) {
        const hearth__node_address *node = &url->nodes[i];
        made =
            (node->port == 0
                 ? memcached_server_add_unix_socket_with_weight(other, node->host, node->weight)
                 : memcached_server_add_with_weight(other, node->host, node->port,
                                                    node->weight)) == MEMCACHED_SUCCESS;
    }
    if (!made) {
        memcached_free(other);
        other = NULL;
    }
    return other;
}

static hearth__ring *make_ring(struct doctor *doctor) {
    size_t count = doctor->url.count;
    hearth__ring *ring = NULL;
    double *shares = calloc(count, sizeof *shares);
    hearth__ring_member *members = calloc(count, sizeof *members);
    for (size_t i = 0; shares != NULL && members != NULL && i < count; i++) {
        const hearth__node_address *node = &doctor->url.nodes[i];
        members[i] = (hearth__ring_member){node->host, node->port, node->weight};
    }
    if (shares != NULL && members != NULL &&
        hearth__ring_create(members, count, &ring) == HEARTH_OK) {
        ring_shares(ring, shares, count);
        for (size_t i = 0; i < count; i++) {
            doctor->nodes[i].ring_share = shares[i];
        }
    }
    free(shares);
    free(members);
    return ring;
}

static void compute(struct doctor *doctor, const hearth__ring *ring, memcached_st *other,
                    struct doctor_placement *placement) {
    char key[KEY_BYTES];
    for (unsigned i = 0; i < COMPUTED; i++) {
        size_t size = (size_t)snprintf(key, sizeof key, "%s%u", prefix_of(doctor), i);
        placement->computed++;
        placement->differ +=
            hearth__ring_pick(ring, key, size) != memcached_generate_hash(other, key, size);
    }
    if (placement->differ != 0) {
        doctor_wrong(doctor, NULL,
                     "other clients with libmemcached's ketama put keys on other nodes");
    }
}

/* ---- keys that are there ----------------------------------------------------------------- */

/* Hearth's own beside a key, which lie where that key does. */
static bool is_beside(const redisReply *key) {
    static const char hidden[] = "hearth-";
    return key->len >= sizeof hidden - 1 && memcmp(key->str, hidden, sizeof hidden - 1) == 0;
}

static void note_place(const struct doctor *doctor, const hearth__ring *ring,
                       struct doctor_node *node, const redisReply *key) {
    if (key->type != REDIS_REPLY_STRING || is_beside(key) || node->looked_at == SCANNED) {
        return;
    }
    bool in_place =
        hearth__ring_pick(ring, key->str, key->len) == (uint32_t)(node - doctor->nodes);
    node->looked_at++;
    node->in_place += in_place;
    if (!in_place && node->misplaced[0] == '\0') {
        (void)snprintf(node->misplaced, sizeof node->misplaced, "%s", key->str);
        for (char *at = node->misplaced; *at != '\0'; at++) {
            *at = (char)((unsigned char)*at < ' ' || *at == 0x7f ? '?' : *at);
        }
    }
}

/* A prefix as SCAN takes it. */
static void write_pattern(const char *prefix, char *pattern) {
    for (; *prefix != '\0'; prefix++) {
        if (strchr("*?[]\\^", *prefix) != NULL) {
            *pattern++ = '\\';
        }
        *pattern++ = *prefix;
    }
    *pattern++ = '*';
    *pattern = '\0';
}

static void look_at_keys(struct doctor *doctor, const hearth__ring *ring,
                         struct doctor_node *node) {
    char pattern[2 * KEY_BYTES + 2];
    char cursor[32] = "0";
    write_pattern(doctor->prefix != NULL ? doctor->prefix : "", pattern);
    for (unsigned i = 0; i < SCANS && node->looked_at < SCANNED; i++) {
        redisReply *reply =
            redisCommand(node->redis, "SCAN %s MATCH %s COUNT 500", cursor, pattern);
        bool fine = reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
        for (size_t at = 0; fine && at < reply->element[1]->elements; at++) {
            note_place(doctor, ring, node, reply->element[1]->element[at]);
        }
        (void)snprintf(cursor, sizeof cursor, "%s", fine ? reply->element[0]->str : "0");
        freeReplyObject(reply);
        if (strcmp(cursor, "0") == 0) {
            break;
        }
    }
}

enum { ENOUGH = 20 }; /* keys, to say where keys are */

static void look_at_all_keys(struct doctor *doctor, const hearth__ring *ring) {
    for (size_t i = 0; i < doctor->url.count; i++) {
        struct doctor_node *node = &doctor->nodes[i];
        if (node->answers && node->redis != NULL) {
            look_at_keys(doctor, ring, node);
        }
        if (node->looked_at >= ENOUGH && node->in_place * 10 < node->looked_at * 9) {
            doctor_wrong(
                doctor, node,
                "has keys that Hearth looks for elsewhere, as '%s': whoever wrote them "
                "places keys in another way, or names the nodes otherwise (the text of "
                "host and port counts), or nodes came and went",
                node->misplaced);
        }
    }
}

/* ---- keys that are written --------------------------------------------------------------- */

static hearth *open_cache(struct doctor *doctor) {
    static const char *const settings[][2] = {{"local.max_bytes", "0"},
                                              {"remote.accept_foreign", "yes"},
                                              {"remote.timeout_ms", "1s"},
                                              {"ttl_ms", "60s"}};
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    int32_t status = options != NULL
                         ? hearth_options_set(options, "remote.url", doctor->url_text)
                         : HEARTH_E_NOMEM;
    for (size_t i = 0; status == HEARTH_OK && i < sizeof settings / sizeof settings[0]; i++) {
        status = hearth_options_set(options, settings[i][0], settings[i][1]);
    }
    if (status == HEARTH_OK) {
        status = hearth_open(options, &cache);
    }
    if (status != HEARTH_OK) {
        doctor_wrong(doctor, NULL, "no cache can be opened: %s",
                     options != NULL ? hearth_options_error(options) : "no memory");
    }
    hearth_options_free(options);
    return cache;
}

static bool is_text(const void *data, size_t size, const char *text) {
    return data != NULL && size == strlen(text) && memcmp(data, text, size) == 0;
}

/* A value of another client's is read by Hearth; one of Hearth's is where the other would look. */
static void try_key(hearth *cache, hearth_value *value, struct doctor_node *node,
                    const char *key, struct doctor_placement *placement) {
    static const char other[] = "by another client";
    static const char ours[] = "by Hearth";
    size_t size = 0;
    if (!doctor_put(node, key, other)) {
        return;
    }
    placement->written++;
    placement->found += hearth_get(cache, key, strlen(key), NULL, value) == HEARTH_OK &&
                        is_text(hearth_value_data(value), hearth_value_size(value), other);
    if (hearth_set(cache, key, strlen(key), ours, sizeof ours - 1, NULL) == HEARTH_OK) {
        char *there = doctor_look(node, key, &size);
        size_t tail = sizeof ours - 1;
        placement->placed +=
            there != NULL && size > tail && is_text(there + size - tail, tail, ours);
        free(there);
    }
    doctor_delete(node, key);
}

static void try_keys(struct doctor *doctor, memcached_st *other,
                     struct doctor_placement *placement) {
    char key[KEY_BYTES];
    hearth *cache = open_cache(doctor);
    hearth_value *value = hearth_value_new();
    for (unsigned i = 0; cache != NULL && value != NULL && i < DOCTOR_PLACED; i++) {
        (void)snprintf(key, sizeof key, "%splaced-%ld-%u", prefix_of(doctor), (long)getpid(),
                       i);
        struct doctor_node *node =
            &doctor->nodes[memcached_generate_hash(other, key, strlen(key))];
        if (node->answers) {
            try_key(cache, value, node, key, placement);
        }
    }
    hearth_value_free(value);
    if (cache != NULL) {
        (void)hearth_close(cache);
    }
    if (placement->found < placement->written || placement->placed < placement->written) {
        doctor_wrong(
            doctor, NULL,
            "of %zu keys that were put where other clients look, Hearth found %zu, and "
            "wrote %zu there",
            placement->written, placement->found, placement->placed);
    }
}

int doctor_place(struct doctor *doctor, struct doctor_placement *placement) {
    hearth__ring *ring = make_ring(doctor);
    memcached_st *other = make_other(&doctor->url);
    memset(placement, 0, sizeof *placement);
    bool made = ring != NULL && other != NULL;
    if (made) {
        compute(doctor, ring, other, placement);
        look_at_all_keys(doctor, ring);
    } else {
        doctor_wrong(doctor, NULL,
                     "no ring: not enough memory, or a host name over 1024 bytes");
    }
    if (made && !doctor->reads_only) {
        try_keys(doctor, other, placement);
    }
    memcached_free(other);
    hearth__ring_destroy(ring);
    return made ? 0 : -1;
}
