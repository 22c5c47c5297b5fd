/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a protocol does for the lanes (lane.h): it says what is sent, and finds the replies in
 * what comes. No I/O, no waiting, no locks, no clocks.
 *
 * A request is what one operation sends in one go, a command or a few, and has as many replies
 * as it needs. Who reads its replies is not always who asked: so a reply is first heard (on any
 * thread, and the operation must not be touched), and what was heard is then taken by who asked.
 */
#ifndef HEARTH_REMOTE_LANE_CODEC_H
#define HEARTH_REMOTE_LANE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__exchange hearth__exchange;

/* What a codec writes down about one request: lanes only carry it. Begins as who asks says. */
typedef struct hearth__notes {
    uint32_t asked;   /* what was asked, as the codec numbers it */
    uint32_t heard;   /* replies so far */
    uint32_t answer;  /* what was answered, as the codec numbers it */
    int32_t status;   /* HEARTH_OK, or what an error that was answered means */
    int64_t number;   /* what was answered */
    int64_t ttl_ms;   /* the life that is left at the server */
    uint64_t cas;     /* the item's unique number */
    uint32_t opaque;  /* what a reply must repeat */
    uint32_t flags;   /* the item's */
    size_t first;     /* not 0: its first reply can come when so many of its bytes are sent */
    int64_t began_ns; /* when it was asked for, or 0 */
    /* The lane's to write: wall clock when it was answered, where others were with it; 0: just now. */
    int64_t wall_ms;
    uint32_t source; /* of the connection that answered: the lane's to write */
    /* Not 0: whom it has told of changes from here on, if it is answered by HEARTH_OK. */
    uint32_t epoch;
    bool checks; /* a store is followed by a look at what is there */
} hearth__notes;

enum hearth__heard {
    HEARTH__HEARD_MORE,     /* further replies belong to this request */
    HEARTH__HEARD_ALL,      /* this was its last */
    HEARTH__HEARD_NONSENSE, /* this is no reply to it: the connection is closed */
};

/* Bytes of a reply that who asked wants to see. */
typedef struct hearth__kept {
    const void *bytes; /* NULL: none */
    size_t size;
    bool lost; /* there was no memory for them */
} hearth__kept;

/* Gets one reply, in the codec's own form, valid during the call. False: it is not what was asked
 * for. */
typedef bool hearth__hearer(void *arg, const void *reply);

/* How a new connection's greeting was received. */
typedef struct hearth__welcome {
    int32_t status;
    bool refused;  /* a person must change something */
    char why[160]; /* if it failed: words for a log, never a password */
} hearth__welcome;

/* `node` is what the lanes were made with. */
typedef struct hearth__codec {
    const char *server; /* what speaks it, for messages: "Redis" */

    /* Makes a connection's parser. HEARTH_OK, HEARTH_E_NOMEM. */
    int32_t (*open)(void *node, void **parser);
    void (*close)(void *parser);

    /*
     * Takes bytes from the server, gives each reply that is complete to `hearer`, and keeps the
     * rest. HEARTH_OK; HEARTH_E_PROTOCOL: no replies of this protocol, a line or a number beyond
     * any bound, or the hearer refused; HEARTH_E_TOO_LARGE: a value over the limit;
     * HEARTH_E_NOMEM. After an error the connection is of no further use; replies before it were
     * given.
     */
    int32_t (*parse)(void *parser, const void *bytes, size_t size, hearth__hearer *hearer,
                     void *arg);

    /* Whether nothing lies behind the last reply. */
    bool (*is_empty)(const void *parser);

    /* How large the reply that is under way will be, as far as that was announced; else 0. */
    size_t (*under_way)(const void *parser);

    /* Gives back memory that a large reply took; it is empty. */
    void (*trim)(void *parser);

    /*
     * Hears the next reply to a request. `half_sent`: not all of the request has been sent, so
     * that only a refusal can be a reply. What is kept must lie in the reply; with
     * HEARTH__HEARD_MORE nothing is kept.
     */
    enum hearth__heard (*hear)(hearth__notes *notes, const void *reply, bool half_sent,
                               hearth__kept *kept);

    /* Adds to an exchange what is said first on a new connection, if anything. HEARTH_OK,
     * HEARTH_E_NOMEM. */
    int32_t (*greet)(void *node, hearth__exchange *exchange);

    /* Judges the answer to the greeting's request at `index`; `welcome` begins as HEARTH_OK. */
    void (*welcome)(void *node, uint32_t index, const hearth__notes *notes, hearth__kept kept,
                    hearth__welcome *welcome);

    /* Adds a request that every server answers at once. NULL: it is never needed. HEARTH_OK, HEARTH_E_NOMEM. */
    int32_t (*ping)(hearth__exchange *exchange);

    /* Adds what reads and sets a source's key, and judges the answer to its request at `index`: false: it was not done. NULL: it
     * is never asked for, or nothing is added: it is not to be, just now. HEARTH_OK, HEARTH_E_NOMEM. */
    int32_t (*canary)(void *node, hearth__exchange *exchange, uint32_t source);
    bool (*take_canary)(void *node, uint32_t index, const hearth__notes *notes,
                        hearth__kept kept);

    /* Adds what says whom to tell of changes, if anybody is to be. NULL: the configuration has no tracker. HEARTH_OK, HEARTH_E_NOMEM. */
    int32_t (*redirect)(void *node, hearth__exchange *exchange);

    /* The answer to that, for the log. NULL as that is. Under no lock. */
    void (*redirected)(void *node, const hearth__notes *notes, hearth__kept kept);

    /* Tells, for the log, that a connection was closed for a parse()'s error. Under no lock. */
    void (*ended)(void *node, int32_t status);
} hearth__codec;

/*
 * Composing: adds the bytes of a command to an exchange. They are copied. False: no memory.
 */
bool hearth__exchange_say(hearth__exchange *exchange, const void *bytes, size_t size)
    __attribute__((warn_unused_result));

/* The same in two steps: room for so many bytes, which the caller writes; NULL: no memory. Then how
 * many of them it wrote. */
unsigned char *hearth__exchange_room(hearth__exchange *exchange, size_t size)
    __attribute__((warn_unused_result));
void hearth__exchange_said(hearth__exchange *exchange, size_t size);

/* Ends a request: what was said since the last one is what it sends. The exchange must have been
 * made for so many. */
void hearth__exchange_ask(hearth__exchange *exchange, const hearth__notes *notes);

/* When its requests are asked for, if that was said before; else now. */
int64_t hearth__exchange_began_ns(const hearth__exchange *exchange);

/* Takes back what was said since the last request. */
void hearth__exchange_unsay(hearth__exchange *exchange);

#endif
