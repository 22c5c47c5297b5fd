/* SPDX-License-Identifier: Apache-2.0 */
#include "simulation/connections.h"

#include "remote/envelope.h"
#include "remote/verbs.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 64, TRACKS = 64, KEY_MAX = 64 };

/* A key that was ever asked for, and who is to be told of its next change. */
struct slot {
    unsigned char key[KEY_MAX];
    size_t key_size;      /* 0: the slot is free */
    unsigned char *bytes; /* NULL: nothing is there */
    size_t size;
    int64_t expires_ns;
    int64_t tracks[TRACKS];
    size_t track_count;
};

struct server {
    struct slot slots[SLOTS];
    struct slot kept[SLOTS]; /* without tracks */
    bool down;
    uint64_t life;
    int64_t frozen_ns;
    int64_t cut_ns[SCHEDULE_PROCESSES][SERVERS_LINKS];
    enum servers_restart restart;
};

static struct {
    struct servers_watch watch;
    int64_t slow;
    int64_t ids;
    connection *connections;
    struct server servers[SERVERS];
} all;

/* ---- connections ------------------------------------------------------------------------ */

int64_t connections_delay(void) {
    bool slow = all.slow != 0 && schedule_chance(all.slow);
    return slow ? schedule_below(150 * SCHEDULE_MS)
                : SCHEDULE_MS / 20 + schedule_below(SCHEDULE_MS / 2);
}

int64_t connections_cut_until(unsigned process, unsigned server, enum servers_link link) {
    return all.servers[server].cut_ns[process][link];
}

int64_t connections_frozen_until(unsigned server) {
    return all.servers[server].frozen_ns;
}

bool connections_is_up(unsigned server) {
    return !all.servers[server].down;
}

uint64_t connections_life(unsigned server) {
    return all.servers[server].life;
}

static int64_t arrival(const connection *on, int64_t last_ns) {
    int64_t from_ns = schedule_now();
    int64_t cut_ns = connections_cut_until(on->process, on->server, on->link);
    from_ns = from_ns > cut_ns ? from_ns : cut_ns;
    int64_t at_ns = from_ns + connections_delay();
    return at_ns > last_ns ? at_ns : last_ns + 1;
}

int64_t connections_there(connection *on) {
    on->there_ns = arrival(on, on->there_ns);
    int64_t frozen_ns = all.servers[on->server].frozen_ns;
    on->there_ns = on->there_ns > frozen_ns ? on->there_ns : frozen_ns + 1;
    return on->there_ns;
}

int64_t connections_here(connection *on) {
    return on->here_ns = arrival(on, on->here_ns);
}

connection *connections_open(unsigned process, unsigned server, enum servers_link link) {
    connection *on = calloc(1, sizeof *on);
    if (on == NULL) {
        abort();
    }
    *on = (connection){.next = all.connections,
                       .id = ++all.ids,
                       .process = process,
                       .server = server,
                       .link = link,
                       .life = all.servers[server].life,
                       .open = true,
                       .served = true};
    all.connections = on;
    return on;
}

connection *connections_find(unsigned server, int64_t id) {
    connection *on = all.connections;
    while (on != NULL && (on->id != id || on->server != server || !on->served)) {
        on = on->next;
    }
    return on;
}

/* The server learns that a connection has ended. */
static void forget(void *arg) {
    ((connection *)arg)->served = false;
}

void connections_close(connection *on) {
    if (on->open) {
        on->open = false;
        schedule_at(connections_there(on), on->process, forget, on);
    }
}

static void learn_broken(void *arg) {
    connection *on = arg;
    if (on->open) {
        on->open = false;
        if (on->link == SERVERS_DATA) {
            backend_broken(on);
        } else {
            sockets_broken(on);
        }
    }
}

static void break_one(connection *on) {
    if (schedule_chance(2)) { /* else what is under way arrives first */
        on->served = false;
    } else {
        schedule_at(connections_there(on), on->process, forget, on);
    }
    schedule_at(connections_here(on), on->process, learn_broken, on);
}

void servers_break(unsigned process, unsigned server, enum servers_link link) {
    for (connection *on = all.connections; on != NULL; on = on->next) {
        if (on->open && on->process == process && on->server == server && on->link == link) {
            break_one(on);
        }
    }
}

/* ---- keys ------------------------------------------------------------------------------- */

static struct slot *slot_of(struct server *server, const void *key, size_t key_size) {
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &server->slots[i];
        if (slot->key_size == 0) {
            memcpy(slot->key, key, key_size);
            slot->key_size = key_size;
        }
        if (slot->key_size == key_size && memcmp(slot->key, key, key_size) == 0) {
            return slot;
        }
    }
    abort();
}

/* As Redis does: who was told once is not told again before it has read the key again. */
static void tell(unsigned server, struct slot *slot) {
    char text[128 + KEY_MAX];
    int size =
        snprintf(text, sizeof text,
                 "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$%zu\r\n%.*s\r\n",
                 slot->key_size, (int)slot->key_size, (const char *)slot->key);
    for (size_t i = 0; i < slot->track_count; i++) {
        const connection *reader = connections_find(server, slot->tracks[i]);
        connection *listener = reader != NULL && reader->tells != 0
                                   ? connections_find(server, reader->tells)
                                   : NULL;
        if (listener != NULL) {
            sockets_say(listener, text, (size_t)size);
        }
    }
    slot->track_count = 0;
}

static void track(struct slot *slot, const connection *on) {
    if (on->tells == 0) {
        return;
    }
    for (size_t i = 0; i < slot->track_count; i++) {
        if (slot->tracks[i] == on->id) {
            return;
        }
    }
    if (slot->track_count < TRACKS) {
        slot->tracks[slot->track_count++] = on->id;
    } else {
        abort();
    }
}

static void voided(unsigned server, struct slot *slot) {
    tell(server, slot);
    all.watch.voided(slot->key, slot->key_size);
}

static void empty(struct slot *slot) {
    free(slot->bytes);
    slot->bytes = NULL;
    slot->size = 0;
}

static struct slot *look(unsigned server, const hearth__remote_op *op) {
    struct slot *slot = slot_of(&all.servers[server], op->key, op->key_size);
    if (slot->bytes != NULL && slot->expires_ns <= schedule_now()) {
        empty(slot);
        voided(server, slot);
    }
    return slot;
}

static int64_t expiry_of(int64_t ttl_ms) {
    return ttl_ms != 0 ? schedule_now() + ttl_ms * SCHEDULE_MS : INT64_MAX;
}

static int64_t left_of(const struct slot *slot) {
    return slot->expires_ns == INT64_MAX ? HEARTH__TTL_NONE
                                         : (slot->expires_ns - schedule_now()) / SCHEDULE_MS;
}

/* ---- verbs ------------------------------------------------------------------------------ */

static int32_t may_store(const hearth__remote_op *op, const struct slot *slot) {
    if (hearth__verb_is_of_lease(op->verb)) {
        return slot->bytes == NULL ? HEARTH_MISS
                                   : hearth__lease_status(slot->bytes, slot->size, op->token);
    }
    if (op->verb == HEARTH__SWAP) {
        return hearth__swap_status(slot->bytes, slot->size, op->if_version);
    }
    enum hearth__holding holding = slot->bytes == NULL
                                       ? HEARTH__HOLDS_NOTHING
                                       : hearth__holding_of(slot->bytes, slot->size);
    return hearth__verb_status(op->verb, holding);
}

static void copy_out(struct request *request, const struct slot *slot) {
    if (slot->bytes != NULL) {
        request->bytes = malloc(slot->size);
        if (request->bytes == NULL) {
            abort();
        }
        memcpy(request->bytes, slot->bytes, slot->size);
        request->size = slot->size;
        request->left_ms = left_of(slot);
    }
}

static void store(struct request *request, struct slot *slot) {
    const hearth__remote_op *op = &request->op;
    request->status = may_store(op, slot);
    if (request->status != HEARTH_OK) {
        return;
    }
    if (op->verb == HEARTH__SET && request->late) {
        all.watch.late(op->key, op->key_size, request->op.data, request->op.data_size);
    }
    empty(slot);
    slot->bytes = malloc(request->stored_size);
    if (slot->bytes == NULL) {
        abort();
    }
    memcpy(slot->bytes, request->stored, request->stored_size);
    slot->size = request->stored_size;
    slot->expires_ns = expiry_of(op->ttl_ms);
    if (op->verb == HEARTH__SET) {
        voided(request->on->server, slot);
    } else {
        tell(request->on->server, slot);
    }
    if (op->check) {
        track(slot, request->on);
        request->left_ms = left_of(slot);
        request->checked = hearth__envelope_is_of(op, slot->bytes, slot->size);
    }
}

static void change_lease(struct request *request, struct slot *slot) {
    const hearth__remote_op *op = &request->op;
    request->status = may_store(op, slot);
    if (request->status == HEARTH_OK && op->verb == HEARTH__EXTEND) {
        slot->expires_ns = expiry_of(op->ttl_ms);
    } else if (request->status == HEARTH_OK) {
        empty(slot);
        tell(request->on->server, slot);
    }
}

static void mark(struct request *request, struct slot *slot) {
    const hearth__remote_op *op = &request->op;
    hearth__envelope envelope;
    if (request->status == HEARTH_OK &&
        hearth__envelope_parse(slot->bytes, slot->size, op->key, op->key_size, false,
                               &envelope) == HEARTH__ENVELOPE_OK) {
        request->found_version = envelope.version;
        hearth__envelope_mark(slot->bytes, slot->size - envelope.body_size, op->key,
                              op->key_size);
    } else {
        request->status = HEARTH_MISS;
        empty(slot);
    }
}

/* DELETE, MARK. */
static void change(struct request *request, struct slot *slot) {
    request->status = may_store(&request->op, slot);
    if (slot->bytes == NULL) {
        return; /* who was told of nothing there is not told again */
    }
    if (request->op.verb == HEARTH__DELETE) {
        empty(slot);
    } else {
        mark(request, slot);
    }
    voided(request->on->server, slot);
}

void server_execute(struct request *request) {
    unsigned server = request->on->server;
    struct slot *slot = look(server, &request->op);
    switch (request->op.verb) {
    case HEARTH__GET:
        copy_out(request, slot);
        track(slot, request->on);
        break;
    case HEARTH__SET:
    case HEARTH__ADD:
    case HEARTH__REPLACE:
    case HEARTH__SWAP:
    case HEARTH__LEASE:
    case HEARTH__FILL:
        store(request, slot);
        break;
    case HEARTH__EXTEND:
    case HEARTH__RELEASE:
        change_lease(request, slot);
        break;
    case HEARTH__DELETE:
    case HEARTH__MARK:
        change(request, slot);
        break;
    case HEARTH__TOUCH:
    case HEARTH__INCREMENT:
    case HEARTH__FILTER:
        request->status = HEARTH_E_UNSUPPORTED;
        break;
    }
    schedule_trace("server %u: verb %d %.*s%s -> %d%s", server, (int)request->op.verb,
                   (int)request->op.key_size, (const char *)request->op.key,
                   request->late ? " (late)" : "", request->status,
                   request->op.verb == HEARTH__GET && request->bytes == NULL ? " (nothing)"
                                                                             : "");
}

/* ---- faults ----------------------------------------------------------------------------- */

void servers_cut(unsigned process, unsigned server, enum servers_link link, int64_t until_ns) {
    all.servers[server].cut_ns[process][link] = until_ns;
}

void servers_freeze(unsigned server, int64_t until_ns) {
    all.servers[server].frozen_ns = until_ns;
}

static void copy_slots(struct slot *to, const struct slot *from) {
    for (size_t i = 0; i < SLOTS; i++) {
        free(to[i].bytes);
        to[i] = from[i];
        to[i].track_count = 0;
        if (from[i].bytes != NULL) {
            to[i].bytes = malloc(from[i].size);
            if (to[i].bytes == NULL) {
                abort();
            }
            memcpy(to[i].bytes, from[i].bytes, from[i].size);
        }
    }
}

void servers_keep(unsigned server) {
    copy_slots(all.servers[server].kept, all.servers[server].slots);
    all.watch.kept(server);
}

static void come_back(void *arg) {
    struct server *server = arg;
    unsigned number = (unsigned)(server - all.servers);
    server->down = false;
    if (server->restart == SERVERS_OLDER) {
        copy_slots(server->slots, server->kept);
        all.watch.lost(number);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        server->slots[i].track_count = 0;
        if (server->restart == SERVERS_EMPTY) {
            empty(&server->slots[i]);
        }
        if (server->restart != SERVERS_WHOLE && server->slots[i].key_size != 0) {
            all.watch.voided(server->slots[i].key, server->slots[i].key_size);
        }
    }
}

void servers_start_again(unsigned number, int64_t until_ns, enum servers_restart restart) {
    struct server *server = &all.servers[number];
    if (server->down) {
        return;
    }
    server->down = true;
    server->life++;
    server->restart = restart;
    for (connection *on = all.connections; on != NULL; on = on->next) {
        if (on->server == number && on->open) {
            on->served = false;
            schedule_at(connections_here(on), on->process, learn_broken, on);
        }
    }
    schedule_at(until_ns, SCHEDULE_DRIVER, come_back, server);
}

void servers_heal(void) {
    all.slow = 0;
    for (unsigned i = 0; i < SERVERS; i++) {
        memset(all.servers[i].cut_ns, 0, sizeof all.servers[i].cut_ns);
        all.servers[i].frozen_ns = 0;
    }
}

/* ---- begin and end ---------------------------------------------------------------------- */

void servers_begin(const struct servers_watch *watch, int64_t slow) {
    memset(&all, 0, sizeof all);
    all.watch = *watch;
    all.slow = slow;
}

void servers_end(void) {
    for (unsigned i = 0; i < SERVERS; i++) {
        for (size_t j = 0; j < SLOTS; j++) {
            free(all.servers[i].slots[j].bytes);
            free(all.servers[i].kept[j].bytes);
        }
    }
    while (all.connections != NULL) {
        connection *on = all.connections;
        all.connections = on->next;
        free(on->heard);
        free(on);
    }
}
