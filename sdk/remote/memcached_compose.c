/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_compose.h"

#include <string.h>

/* The longest line: of a text `cas`, with its key and five numbers. */
enum { LINE_MAX_BYTES = 512, NUMBER_DIGITS = 20 };

_Static_assert(HEARTH__WIRE_KEY_MAX + 5 * (NUMBER_DIGITS + 2) + 32 <= LINE_MAX_BYTES,
               "a line has room");

uint32_t hearth__mc_flags_of(const hearth__remote_op *op) {
    bool marker = op->kind == HEARTH__KIND_ABSENT || op->kind == HEARTH__KIND_LEASE;
    return marker ? HEARTH__MC_MARKER_FLAGS : 0;
}

/* ---- pieces of a line ----------------------------------------------------------------------- */

static char *put_bytes(char *at, const void *bytes, size_t size) {
    memcpy(at, bytes, size);
    return at + size;
}

static char *put(char *at, const char *text) {
    return put_bytes(at, text, strlen(text));
}

static char *put_number(char *at, uint64_t number) {
    char digits[NUMBER_DIGITS];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return put_bytes(at, digits + first, sizeof digits - first);
}

/* A flag and its number. */
static char *put_flag(char *at, const char *flag, uint64_t number) {
    return put_number(put(at, flag), number);
}

/* Room for a line; NULL: no memory. */
static char *begin(hearth__buffer *out, const char *verb) {
    if (!hearth__buffer_reserve(out, out->size + LINE_MAX_BYTES)) {
        return NULL;
    }
    return put((char *)out->data + out->size, verb);
}

static char *begin_on_key(hearth__buffer *out, const hearth__mc_target *target,
                          const char *verb) {
    char *at = begin(out, verb);
    return at != NULL ? put_bytes(at, target->key->data, target->key->size) : NULL;
}

static bool end(hearth__buffer *out, char *at) {
    at = put(at, "\r\n");
    out->size = (size_t)(at - (char *)out->data);
    return true;
}

static bool end_meta(hearth__buffer *out, const hearth__mc_target *target, char *at) {
    return end(out, put_flag(at, " O", target->opaque));
}

/* ---- commands ------------------------------------------------------------------------------- */

bool hearth__mc_compose_get(hearth__buffer *out, const hearth__mc_target *target) {
    char *at = begin_on_key(out, target, target->meta ? "mg " : "gets ");
    if (at == NULL) {
        return false;
    }
    return target->meta ? end_meta(out, target, put(at, " v t c f k")) : end(out, at);
}

bool hearth__mc_compose_flags(hearth__buffer *out, const hearth__mc_target *target) {
    char *at = begin_on_key(out, target, target->meta ? "mg " : "get ");
    if (at == NULL) {
        return false;
    }
    return target->meta ? end_meta(out, target, put(at, " f k")) : end(out, at);
}

static char *put_text_store(char *at, const hearth__mc_store *store) {
    at = put_flag(at, " ", store->flags);
    at = put_flag(at, " ", (uint64_t)store->exptime);
    at = put_flag(at, " ", store->size);
    return store->mode == HEARTH__MC_SWAP ? put_flag(at, " ", store->cas) : at;
}

static char *put_meta_store(char *at, const hearth__mc_store *store) {
    at = put_flag(at, " ", store->size);
    at = put_flag(at, " T", (uint64_t)store->exptime);
    if (store->flags != 0) {
        at = put_flag(at, " F", store->flags);
    }
    if (store->mode == HEARTH__MC_ADD) {
        at = put(at, " ME");
    } else if (store->mode == HEARTH__MC_APPEND) {
        at = put(at, " MA");
    }
    return store->mode == HEARTH__MC_SWAP ? put_flag(at, " C", store->cas) : at;
}

bool hearth__mc_compose_store(hearth__buffer *out, const hearth__mc_target *target,
                              const hearth__mc_store *store) {
    static const char *const verbs[] = {[HEARTH__MC_SET] = "set ",
                                        [HEARTH__MC_ADD] = "add ",
                                        [HEARTH__MC_SWAP] = "cas ",
                                        [HEARTH__MC_APPEND] = "append "};
    char *at = begin_on_key(out, target, target->meta ? "ms " : verbs[store->mode]);
    if (at == NULL) {
        return false;
    }
    return target->meta ? end_meta(out, target, put_meta_store(at, store))
                        : end(out, put_text_store(at, store));
}

bool hearth__mc_compose_delete(hearth__buffer *out, const hearth__mc_target *target) {
    char *at = begin_on_key(out, target, target->meta ? "md " : "delete ");
    if (at == NULL) {
        return false;
    }
    return target->meta ? end_meta(out, target, at) : end(out, at);
}

bool hearth__mc_compose_touch(hearth__buffer *out, const hearth__mc_target *target,
                              int64_t exptime) {
    char *at = begin_on_key(out, target, target->meta ? "mg " : "touch ");
    if (at == NULL) {
        return false;
    }
    at = put_flag(at, target->meta ? " T" : " ", (uint64_t)exptime);
    return target->meta ? end_meta(out, target, put(at, " c k")) : end(out, at);
}

bool hearth__mc_compose_count(hearth__buffer *out, const hearth__mc_target *target, bool up,
                              uint64_t amount) {
    const char *verb = target->meta ? "ma " : up ? "incr " : "decr ";
    char *at = begin_on_key(out, target, verb);
    if (at == NULL) {
        return false;
    }
    if (!target->meta) {
        return end(out, put_flag(at, " ", amount));
    }
    at = put(at, up ? " v k" : " MD v k");
    return end_meta(out, target, put_flag(at, " D", amount));
}

bool hearth__mc_compose_version(hearth__buffer *out) {
    char *at = begin(out, "version");
    return at != NULL && end(out, at);
}

void hearth__mc_probe_key(hearth__wire_key *key) {
    static const char probe[] = "hearth-probe";
    hearth__wire_key_init(key, probe, strlen(probe));
}

bool hearth__mc_compose_probe(hearth__buffer *out, uint32_t opaque) {
    hearth__wire_key key;
    hearth__mc_probe_key(&key);
    hearth__mc_target target = {.key = &key, .meta = true, .opaque = opaque};
    return hearth__mc_compose_get(out, &target);
}
