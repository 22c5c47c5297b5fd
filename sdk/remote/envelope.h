/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of a value: a little-endian header of 48 bytes, fields, the body. No I/O.
 *
 *   at  bytes
 *    0  4   magic 89 48 52 54            24  4  how long the load took, ms
 *    4  1   format, 1                    28  4  soft life, ms from the version's time
 *    5  1   kind (enum hearth__kind)     32  4  hard life, likewise
 *    6  2   size of header and fields    36  4  sum of the body
 *    8  2   must flags                   40  4  sum of header, fields and the full key
 *   10  2   may flags                    44  4  zero
 *   12  4   content                      48     fields: type (1), 0 (1), length (2), bytes;
 *   16  8   version                             type 2 is the full key, where the key on the
 *                                               wire is not the key; type 4, the first where it
 *                                               is there, a lease's token; type 1 the clock's
 *                                               stamp (8) and tags, each after its length (1)
 *
 * Must flags: 8: the value has tags. Who does not know that loads around it: it may have been invalidated by one of them.
 *
 * The header's sum binds the key: a value under a wrong key, cut or damaged, is never an answer.
 * The body has a sum of its own, so that a new life rewrites 48 bytes.
 */
#ifndef HEARTH_REMOTE_ENVELOPE_H
#define HEARTH_REMOTE_ENVELOPE_H

#include "remote/remote.h"

enum {
    HEARTH__ENVELOPE_HEADER = 48,
    HEARTH__ENVELOPE_KIND_AT = 5,
    HEARTH__ENVELOPE_VERSION_AT = 16,
    /* A lease: the header, and the token as the first field. */
    HEARTH__ENVELOPE_TOKEN_AT = HEARTH__ENVELOPE_HEADER + 4,
    HEARTH__ENVELOPE_LEASE = HEARTH__ENVELOPE_TOKEN_AT + HEARTH__TOKEN_BYTES,
    HEARTH__ENVELOPE_STAMP = 8,
    /* The most that stands before a body where the key on the wire is the key: the header, and tags. */
    HEARTH__ENVELOPE_BARE =
        HEARTH__ENVELOPE_HEADER + 4 + HEARTH__ENVELOPE_STAMP + HEARTH__TAGS_BYTES,
    /* And where it is not: a full key as a field too. */
    HEARTH__ENVELOPE_MAX = HEARTH__ENVELOPE_BARE + 4 + HEARTH__FULL_KEY_MAX,
};

#define HEARTH__ENVELOPE_MAGIC "\x89HRT"

/* A life in the header that has no end, or one beyond 49.7 days. */
#define HEARTH__ENVELOPE_NO_TTL UINT32_MAX

typedef struct hearth__envelope {
    enum hearth__kind kind;
    uint32_t content;
    uint64_t version;
    uint32_t delta_ms;
    uint32_t soft_ms; /* from the version's time */
    uint32_t hard_ms;
    uint64_t stamp;
    const unsigned char *tags; /* within what was parsed; NULL: none */
    size_t tags_size;
    const unsigned char *body; /* within what was parsed */
    size_t body_size;
} hearth__envelope;

/* What a node's bytes turned out to be. */
enum hearth__envelope_verdict {
    HEARTH__ENVELOPE_OK,      /* ours, or bare digits (INTEGER) */
    HEARTH__ENVELOPE_FOREIGN, /* no header of ours; `body` is all of it */
    HEARTH__ENVELOPE_DAMAGED, /* a sum or the key does not match, or it is cut; `version` as it
                                 stands there */
    HEARTH__ENVELOPE_NEWER,   /* a format or a must flag that this version does not know */
};

/* Whether bytes begin as what the op stores does, sums aside: they are of its version, with its lives. */
bool hearth__envelope_is_of(const hearth__remote_op *op, const void *bytes, size_t size);

/*
 * Writes what comes before the body of a store into `header` (HEARTH__ENVELOPE_MAX bytes of
 * room, or HEARTH__ENVELOPE_BARE when `with_key` is false): kind, content, version, delta,
 * lives (counted from the version's time by op->age_ms) and sums. Returns its size; 0 for an
 * INTEGER, which has no header, and for a FOREIGN value, which is stored as it is.
 */
size_t hearth__envelope_compose(const hearth__remote_op *op, bool with_key,
                                unsigned char *header);

/* What that will return. */
size_t hearth__envelope_size(const hearth__remote_op *op, bool with_key);

/*
 * Reads a node's bytes. `must_have_key`: the key on the wire is not the key, so the full key
 * must be there and equal. The key is the op's.
 */
enum hearth__envelope_verdict hearth__envelope_parse(const void *bytes, size_t size,
                                                     const void *key, size_t key_size,
                                                     bool must_have_key,
                                                     hearth__envelope *envelope);

/*
 * Gives the value at `bytes` (header and fields; the body is not needed) a new soft and hard
 * life from now, in place: age_ms is its present age. The key as above. The version stays.
 */
void hearth__envelope_renew(unsigned char *header, size_t header_size, const void *key,
                            size_t key_size, int64_t age_ms, int64_t soft_ttl_ms,
                            int64_t ttl_ms);

/*
 * Marks the value at `bytes` (header and fields) stale, in place, and gives it another version of the same time, from which its lives
 * count. The key as above.
 */
void hearth__envelope_mark(unsigned char *header, size_t header_size, const void *key,
                           size_t key_size);

/* The version that a mark leaves. */
uint64_t hearth__envelope_marked_version(uint64_t version);

/* The size of header and fields as the header says; 0: these 48 bytes are no header of ours. */
size_t hearth__envelope_header_size(const unsigned char *bytes, size_t size);

/* The version as it stands there, whether or not the sums match: what a SWAP compares. False: none
 * that this version of Hearth may replace. */
bool hearth__envelope_version(const void *bytes, size_t size, uint64_t *version);

/* Whether these bytes begin with those of the lease that has this token, whether or not the sums match. */
bool hearth__envelope_has_token(const void *bytes, size_t size, const unsigned char *token);

/* What is left of the hard life by this host's wall clock, negative: over it, as it stands there, whether or not the sums match.
 * False: no header of ours, or no end. */
bool hearth__envelope_left(const void *bytes, size_t size, int64_t *left_ms);

/* The remaining life is not known, or there is none. */
#define HEARTH__TTL_UNKNOWN INT64_C(-3)
#define HEARTH__TTL_NONE    INT64_C(-1)

/*
 * Answers a GET from a node's bytes: counts what is refused, judges age and lives from the
 * server's remaining TTL (or TTL_UNKNOWN, TTL_NONE), copies the body, sets status and found_...
 * of the op. `server_expires_exactly`: the server alone decides when a value is over; else the
 * header decides too, by this host's wall clock. False: the bytes are not whole, or not of this key.
 */
bool hearth__envelope_answer(const hearth__remote_config *config, hearth__remote_op *op,
                             const void *bytes, size_t size, bool must_have_key,
                             int64_t server_ttl_ms, bool server_expires_exactly);

/*
 * Answers a GET that has the op's known version already, from a value's header alone: OK and found_... if that is it, and its sum
 * matches. False: it is something else, or has fields, and nothing is told of it.
 */
bool hearth__envelope_confirm(hearth__remote_op *op, const void *bytes, size_t size,
                              int64_t server_ttl_ms);

/* True: `size` bytes are a number from 0 to 2^63-1 in canonical ASCII digits; *number is it. */
bool hearth__envelope_is_integer(const void *bytes, size_t size, int64_t *number);

/* The age of a value by the server's clock where possible, else by this host's wall clock; 0 to
 * hard. */
int64_t hearth__envelope_age(const hearth__envelope *envelope, int64_t server_ttl_ms);

#endif
